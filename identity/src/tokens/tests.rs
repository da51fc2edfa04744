//! Every known way to get past a JWT check, tried.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::roles::Role;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn tokens() -> AccessTokens {
    AccessTokens::new(SECRET, TokenSettings::default()).unwrap()
}

const ROLES: Roles = Roles::NONE.with(Role::Customer).with(Role::Admin);

fn mai() -> Subject {
    Subject {
        user_id: UserId::from(Uuid::from_u128(7)),
        epoch: 3,
        session: Some(Uuid::from_u128(5)),
    }
}

/// The claims of a token that would be accepted.
fn good_claims() -> Value {
    let now = Utc::now().timestamp();
    json!({
        "iss": "souk", "aud": "souk", "sub": Uuid::from_u128(7), "jti": Uuid::from_u128(1),
        "iat": now, "nbf": now, "exp": now + 900, "sid": Uuid::from_u128(5), "epoch": 3,
        "roles": ["customer", "admin"],
    })
}

fn changed(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

fn good_header() -> Value {
    json!({ "alg": "HS256", "typ": "at+jwt" })
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token made by hand, signed with HMAC whatever its header says.
fn forged(
    header: &Value,
    claims: &Value,
    algorithm: aws_lc_rs::hmac::Algorithm,
    secret: &[u8],
) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(algorithm, secret),
        message.as_bytes(),
    );
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signed(header: &Value, claims: &Value) -> String {
    forged(header, claims, aws_lc_rs::hmac::HMAC_SHA256, SECRET)
}

fn verify_claims(claims: &Value) -> Result<Subject, TokenError> {
    tokens().verify(&signed(&good_header(), claims))
}

fn payload(token: &AccessToken) -> Value {
    let payload = token.as_str().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn a_signed_token_speaks_for_its_principal() {
    let token = tokens().sign(&mai(), ROLES).unwrap();
    assert_eq!(tokens().verify(token.as_str()), Ok(mai()));
    assert!(token.as_str().len() < 600, "{}", token.as_str().len());
    assert_eq!(
        verify_claims(&good_claims()),
        Ok(mai()),
        "and so does one made by hand: the forgeries start from it"
    );
}

#[test]
fn a_token_holds_ids_times_and_roles_and_nothing_else() {
    let claims = payload(&tokens().sign(&mai(), ROLES).unwrap());
    let names: Vec<_> = claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        ["aud", "epoch", "exp", "iat", "iss", "jti", "nbf", "roles", "sid", "sub"]
    );
    assert_eq!(claims["roles"], json!(["customer", "admin"]));
    let again = payload(&tokens().sign(&mai(), ROLES).unwrap());
    assert_ne!(claims["jti"], again["jti"]);
}

#[test]
fn a_token_of_the_api_lives_a_quarter_of_an_hour_and_one_of_the_contract_a_day() {
    let contract = Subject {
        session: None,
        ..mai()
    };
    for (subject, seconds) in [(mai(), 900), (contract, 86_400)] {
        let token = tokens().sign(&subject, ROLES).unwrap();
        assert_eq!(tokens().verify(token.as_str()), Ok(subject));
        let claims = payload(&token);
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            seconds
        );
        assert_eq!(token.expires_at().timestamp(), claims["exp"]);
        assert_eq!(
            token.lifetime(),
            Duration::from_secs(seconds.unsigned_abs())
        );
    }
}

#[test]
fn a_token_without_signature_is_refused() {
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let message = format!(
            "{}.{}",
            part(&json!({ "alg": algorithm, "typ": "at+jwt" })),
            part(&good_claims())
        );
        assert_eq!(
            tokens().verify(&format!("{message}.")),
            Err(TokenError::Malformed),
            "{algorithm}"
        );
        assert_eq!(
            tokens().verify(&message),
            Err(TokenError::Malformed),
            "{algorithm}"
        );
    }
    let message = format!("{}.{}.", part(&good_header()), part(&good_claims()));
    assert_eq!(tokens().verify(&message), Err(TokenError::WrongSignature));
}

#[test]
fn another_hmac_is_refused_even_with_the_right_secret() {
    for (name, algorithm) in [
        ("HS384", aws_lc_rs::hmac::HMAC_SHA384),
        ("HS512", aws_lc_rs::hmac::HMAC_SHA512),
    ] {
        let token = forged(
            &json!({ "alg": name, "typ": "at+jwt" }),
            &good_claims(),
            algorithm,
            SECRET,
        );
        assert_eq!(
            tokens().verify(&token),
            Err(TokenError::WrongAlgorithm),
            "{name}"
        );
    }
    let mislabelled = forged(
        &good_header(),
        &good_claims(),
        aws_lc_rs::hmac::HMAC_SHA512,
        SECRET,
    );
    assert_eq!(
        tokens().verify(&mislabelled),
        Err(TokenError::WrongSignature)
    );
}

#[test]
fn a_token_signed_with_rsa_is_refused() {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let message = format!(
        "{}.{}",
        part(&json!({ "alg": "RS256", "typ": "at+jwt" })),
        part(&good_claims())
    );
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_eq!(tokens().verify(&token), Err(TokenError::WrongAlgorithm));
}

#[test]
fn the_algorithm_in_the_header_cannot_confuse_the_keys() {
    // our secret, passed off as a public key of another algorithm
    for algorithm in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let token = signed(
            &json!({ "alg": algorithm, "typ": "at+jwt" }),
            &good_claims(),
        );
        assert_eq!(
            tokens().verify(&token),
            Err(TokenError::WrongAlgorithm),
            "{algorithm}"
        );
    }
    // a public key, passed off as our secret
    let public = RsaKeyPair::generate(KeySize::Rsa2048)
        .unwrap()
        .public_key()
        .as_ref()
        .to_vec();
    let token = forged(
        &good_header(),
        &good_claims(),
        aws_lc_rs::hmac::HMAC_SHA256,
        &public,
    );
    assert_eq!(tokens().verify(&token), Err(TokenError::WrongSignature));
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let key = b"the key of somebody else, 32 bytes and more";
    let header = json!({
        "alg": "HS256", "typ": "at+jwt", "kid": "../../dev/null", "jku": "https://example.com/keys",
        "jwk": { "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(key) },
    });
    let token = forged(&header, &good_claims(), aws_lc_rs::hmac::HMAC_SHA256, key);
    assert_eq!(tokens().verify(&token), Err(TokenError::WrongSignature));
}

#[test]
fn a_token_signed_with_another_secret_is_refused() {
    for secret in [
        b"0123456789abcdef0123456789abcdeg".as_slice(),
        b"",
        &SECRET[..31],
    ] {
        let token = forged(
            &good_header(),
            &good_claims(),
            aws_lc_rs::hmac::HMAC_SHA256,
            secret,
        );
        assert_eq!(tokens().verify(&token), Err(TokenError::WrongSignature));
    }
}

#[test]
fn a_tampered_token_is_refused_whatever_byte_was_changed() {
    let token = tokens()
        .sign(&mai(), ROLES)
        .unwrap()
        .as_str()
        .to_owned();
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(bytes).unwrap();
        assert!(tokens().verify(&tampered).is_err(), "byte {index}");
    }
    let parts: Vec<_> = token.split('.').collect();
    let promoted = format!(
        "{}.{}.{}",
        parts[0],
        part(&changed("roles", json!(["admin"]))),
        parts[2]
    );
    assert_eq!(tokens().verify(&promoted), Err(TokenError::WrongSignature));
    assert_eq!(
        tokens().verify(&format!("{}.{}.", parts[0], parts[1])),
        Err(TokenError::WrongSignature)
    );
    let cut = &parts[2][..parts[2].len() - 3];
    assert_eq!(
        tokens().verify(&format!("{}.{}.{cut}", parts[0], parts[1])),
        Err(TokenError::WrongSignature)
    );
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
    assert_eq!(
        verify_claims(&changed("iss", json!("bazaar"))),
        Err(TokenError::Foreign)
    );
    assert_eq!(
        verify_claims(&changed("iss", json!("Souk"))),
        Err(TokenError::Foreign)
    );
    assert_eq!(
        verify_claims(&changed("aud", json!("bazaar"))),
        Err(TokenError::Foreign)
    );
    assert_eq!(
        verify_claims(&changed("aud", json!(["bazaar", "mall"]))),
        Err(TokenError::Foreign)
    );
    assert_eq!(
        verify_claims(&changed("aud", json!([]))),
        Err(TokenError::Foreign)
    );
}

#[test]
fn what_is_signed_with_our_secret_but_is_no_access_token_is_refused() {
    for header in [
        json!({ "alg": "HS256" }),
        json!({ "alg": "HS256", "typ": "JWT" }),
        json!({ "alg": "HS256", "typ": "at+jwt", "crit": ["b64"], "b64": false }),
    ] {
        assert_eq!(
            tokens().verify(&signed(&header, &good_claims())),
            Err(TokenError::Foreign),
            "{header}"
        );
    }
}

#[test]
fn an_expired_token_is_refused_once_the_skew_of_clocks_is_over() {
    let now = Utc::now().timestamp();
    assert_eq!(
        verify_claims(&changed("exp", json!(now - 6))),
        Err(TokenError::Expired)
    );
    assert_eq!(
        verify_claims(&changed("exp", json!(0))),
        Err(TokenError::Expired)
    );
    assert_eq!(verify_claims(&changed("exp", json!(now))), Ok(mai()));
}

#[test]
fn a_token_that_has_not_begun_is_refused() {
    let now = Utc::now().timestamp();
    assert_eq!(
        verify_claims(&changed("nbf", json!(now + 60))),
        Err(TokenError::NotYetValid)
    );
    assert_eq!(
        verify_claims(&changed("nbf", json!(now + 2))),
        Ok(mai()),
        "clocks differ a little"
    );
}

#[test]
fn a_token_that_lacks_a_claim_or_has_one_of_another_type_is_refused() {
    for claim in ["iss", "aud", "sub", "nbf", "exp", "epoch"] {
        assert_eq!(
            verify_claims(&without(claim)),
            Err(TokenError::Malformed),
            "without {claim}"
        );
        assert_eq!(
            verify_claims(&changed(claim, Value::Null)),
            Err(TokenError::Malformed),
            "{claim} null"
        );
    }
    for (claim, value) in [
        ("exp", json!("tomorrow")),
        ("exp", json!(-1)),
        ("nbf", json!("9")),
        ("sub", json!("mai")),
        ("sub", json!(7)),
        ("epoch", json!("3")),
        ("epoch", json!(3.5)),
        ("sid", json!("mine")),
    ] {
        assert_eq!(
            verify_claims(&changed(claim, value.clone())),
            Err(TokenError::Malformed),
            "{claim} {value}"
        );
    }
}

#[test]
fn what_is_not_a_token_is_refused() {
    let good = tokens().sign(&mai(), ROLES).unwrap();
    let array = format!(
        "{}.{}.AAAA",
        part(&good_header()),
        URL_SAFE_NO_PAD.encode("[]")
    );
    assert!(tokens().verify(&array).is_err());
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "Bearer",
        "🦊.🦊.🦊",
        "\0",
        &format!("Bearer {}", good.as_str()),
    ] {
        assert_eq!(
            tokens().verify(text),
            Err(TokenError::Malformed),
            "{text:?}"
        );
    }
    assert!(tokens().verify(&format!("{}.AAAA", good.as_str())).is_err());
    assert!(tokens().verify(&format!("{}\n", good.as_str())).is_err());
}

#[test]
fn an_oversized_token_is_refused_before_it_is_parsed() {
    let padded = |bytes: usize| {
        signed(
            &good_header(),
            &changed("padding", json!("x".repeat(bytes))),
        )
    };
    assert_eq!(tokens().verify(&padded(2_000)), Ok(mai()));
    assert_eq!(tokens().verify(&padded(4_000)), Err(TokenError::TooLong));
    let huge = "A".repeat(64 << 20);
    let begun = Instant::now();
    assert_eq!(tokens().verify(&huge), Err(TokenError::TooLong));
    assert!(begun.elapsed() < Duration::from_millis(50));
}

#[test]
fn a_secret_of_31_bytes_is_refused() {
    assert_eq!(
        AccessTokens::new(&SECRET[..31], TokenSettings::default()).unwrap_err(),
        WeakSecret
    );
}

#[test]
fn a_lifetime_beyond_the_calendar_is_an_error_and_no_panic() {
    let settings = TokenSettings {
        lifetime: Duration::MAX,
        ..TokenSettings::default()
    };
    let signed = AccessTokens::new(SECRET, settings)
        .unwrap()
        .sign(&mai(), ROLES);
    assert!(matches!(signed, Err(SigningError::Lifetime)), "{signed:?}");
}

#[test]
fn neither_secret_nor_token_is_in_debug_output() {
    let token = tokens().sign(&mai(), ROLES).unwrap();
    assert!(!format!("{token:?}").contains("eyJ"));
    assert!(!format!("{:?}", tokens()).contains("0123456789"));
}

#[test]
fn the_errors_say_nothing_of_the_token() {
    let forged = signed(&good_header(), &changed("sub", json!("a-secret-thing")));
    let error = tokens().verify(&forged).unwrap_err();
    assert_eq!(format!("{error} {error:?}"), "malformed Malformed");
}
