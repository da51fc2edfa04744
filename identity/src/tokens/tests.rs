//! Every known way to get past a JWT check, tried with either algorithm.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::*;
use crate::roles::Role;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn tokens() -> AccessTokens {
    AccessTokens::new(SECRET, TokenSettings::default()).unwrap()
}

/// What signs tokens by hand, as whoever holds the key could.
enum Signer {
    /// The secret.
    Hs256(&'static [u8]),
    /// The key pair.
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// Either algorithm, with a key of its own.
    fn both() -> [Self; 2] {
        [Self::Hs256(SECRET), Self::ed25519()]
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn pem(&self) -> String {
        let Self::Ed25519(pair) = self else {
            unreachable!("a secret is no PEM")
        };
        let der = STANDARD.encode(pair.to_pkcs8v1().unwrap());
        format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
    }

    fn keys(&self) -> TokenKeys {
        match self {
            Self::Hs256(secret) => TokenKeys::hs256(secret, &[]).unwrap(),
            Self::Ed25519(_) => TokenKeys::ed25519(&self.pem()).unwrap(),
        }
    }

    /// What takes its tokens.
    fn tokens(&self) -> AccessTokens {
        AccessTokens::with_keys(self.keys(), TokenSettings::default())
    }

    /// The header of a token that would be accepted.
    fn header(&self) -> Value {
        json!({ "alg": self.name(), "typ": "at+jwt", "kid": self.keys().id() })
    }

    fn signature(&self, message: &str) -> String {
        let message = message.as_bytes();
        match self {
            Self::Hs256(secret) => hmac_sha256(secret, message),
            Self::Ed25519(pair) => URL_SAFE_NO_PAD.encode(pair.sign(message)),
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(header), part(claims));
        format!("{message}.{}", self.signature(&message))
    }
}

fn hmac_sha256(secret: &[u8], message: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message))
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
        [
            "aud", "epoch", "exp", "iat", "iss", "jti", "nbf", "roles", "sid", "sub"
        ]
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
        "alg": "HS256", "typ": "at+jwt", "jku": "https://example.com/keys", "x5u": "https://example.com/key",
        "jwk": { "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(key) },
    });
    let token = forged(&header, &good_claims(), aws_lc_rs::hmac::HMAC_SHA256, key);
    assert_eq!(tokens().verify(&token), Err(TokenError::WrongSignature));

    let (ours, theirs) = (Signer::ed25519(), Signer::ed25519());
    let public = theirs.keys().public_keys()[0].clone();
    let mut header = ours.header();
    header["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": public.x, "kid": public.kid });
    header["jku"] = json!("https://example.com/.well-known/jwks.json");
    header["x5c"] = json!(["MIIB"]);
    let forged = theirs.sign(&header, &good_claims());
    assert_eq!(
        ours.tokens().verify(&forged),
        Err(TokenError::WrongSignature)
    );
    header["kid"] = json!(public.kid);
    let forged = theirs.sign(&header, &good_claims());
    assert_eq!(ours.tokens().verify(&forged), Err(TokenError::UnknownKey));
    // nor does it do harm beside the right signature: it is passed over
    assert_eq!(
        ours.tokens()
            .verify(&ours.sign(&ours.header(), &good_claims())),
        Ok(mai())
    );
}

#[test]
fn a_token_made_by_hand_with_the_right_key_is_accepted() {
    for signer in Signer::both() {
        let token = signer.sign(&signer.header(), &good_claims());
        assert_eq!(
            signer.tokens().verify(&token),
            Ok(mai()),
            "{}",
            signer.name()
        );
        let own = signer.tokens().sign(&mai(), ROLES).unwrap();
        assert_eq!(signer.tokens().verify(own.as_str()), Ok(mai()));
        let header = own.as_str().split('.').next().unwrap();
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert_eq!(header, signer.header());
    }
}

#[test]
fn a_key_is_found_among_ours_or_nowhere() {
    for signer in Signer::both() {
        for kid in [
            "",
            " ",
            "0",
            "../../../../dev/null",
            "/etc/passwd",
            "' or '1'='1",
            "1; drop table users",
            "file:///dev/null",
            "https://example.com/key",
            "\u{0}",
            &format!("{} ", signer.keys().id()),
            &signer.keys().id().to_uppercase(),
            &"k".repeat(1_000),
        ] {
            let mut header = signer.header();
            header["kid"] = json!(kid);
            assert_eq!(
                signer
                    .tokens()
                    .verify(&signer.sign(&header, &good_claims())),
                Err(TokenError::UnknownKey),
                "{} {kid:?}",
                signer.name()
            );
        }
        for kid in [json!(7), json!(["a"]), json!({ "a": 1 })] {
            let mut header = signer.header();
            header["kid"] = kid;
            assert_eq!(
                signer
                    .tokens()
                    .verify(&signer.sign(&header, &good_claims())),
                Err(TokenError::Malformed)
            );
        }
    }
}

#[test]
fn only_the_secret_has_tokens_that_name_no_key() {
    for signer in Signer::both() {
        let expected = match signer {
            Signer::Hs256(_) => Ok(mai()), // signed before tokens named their key
            Signer::Ed25519(_) => Err(TokenError::UnknownKey),
        };
        let mut header = signer.header();
        header.as_object_mut().unwrap().remove("kid");
        let token = signer.sign(&header, &good_claims());
        assert_eq!(signer.tokens().verify(&token), expected);
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let signer = Signer::ed25519();
    let Signer::Ed25519(pair) = &signer else {
        unreachable!("just made")
    };
    let public = signer.keys().public_keys()[0].clone();
    // RFC 8410, 4: what stands before the key itself
    let mut der = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
    der.extend_from_slice(pair.public_key().as_ref());
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&der)
    );
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": public.x }).to_string();
    let secrets: [&[u8]; 6] = [
        pair.public_key().as_ref(),
        public.x.as_bytes(),
        &der,
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        jwk.as_bytes(),
    ];
    for secret in secrets {
        for (algorithm, expected) in [
            ("HS256", TokenError::WrongAlgorithm),
            ("EdDSA", TokenError::WrongSignature),
        ] {
            let mut header = signer.header();
            header["alg"] = json!(algorithm);
            let token = forged(
                &header,
                &good_claims(),
                aws_lc_rs::hmac::HMAC_SHA256,
                secret,
            );
            assert_eq!(signer.tokens().verify(&token), Err(expected), "{algorithm}");
        }
    }
}

#[test]
fn a_server_of_one_algorithm_takes_no_token_of_another() {
    let [hs256, eddsa] = Signer::both();
    for (ours, theirs) in [(&hs256, &eddsa), (&eddsa, &hs256)] {
        let token = theirs.tokens().sign(&mai(), ROLES).unwrap();
        assert_eq!(
            ours.tokens().verify(token.as_str()),
            Err(TokenError::WrongAlgorithm)
        );
        // the key that is named is ours, the algorithm is theirs
        let mut header = theirs.header();
        header["kid"] = ours.header()["kid"].clone();
        assert_eq!(
            ours.tokens().verify(&theirs.sign(&header, &good_claims())),
            Err(TokenError::WrongAlgorithm)
        );
        // both are ours, the signature is theirs
        assert_eq!(
            ours.tokens()
                .verify(&theirs.sign(&ours.header(), &good_claims())),
            Err(TokenError::WrongSignature)
        );
    }
    for algorithm in [
        "none", "None", "NONE", "nOnE", "", "Ed25519", "ed25519", "EDDSA",
    ] {
        let mut header = eddsa.header();
        header["alg"] = json!(algorithm);
        let token = eddsa.sign(&header, &good_claims());
        assert_eq!(
            eddsa.tokens().verify(&token),
            Err(TokenError::Malformed),
            "{algorithm}"
        );
        let unsigned = &token[..=token.rfind('.').unwrap()];
        assert_eq!(eddsa.tokens().verify(unsigned), Err(TokenError::Malformed));
    }
}

#[test]
fn an_ed25519_signature_is_checked_to_its_last_bit() {
    let signer = Signer::ed25519();
    let tokens = signer.tokens();
    let token = tokens.sign(&mai(), ROLES).unwrap().as_str().to_owned();
    // first, so that nothing is taken from what was verified before
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(bytes).unwrap();
        assert!(tokens.verify(&tampered).is_err(), "byte {index}");
    }
    assert_eq!(tokens.verify(&token), Ok(mai()));
    let (message, _) = token.rsplit_once('.').unwrap();
    for signature in [
        vec![0; 64],
        vec![0xff; 64],
        vec![],
        vec![0; 63],
        vec![0; 65],
    ] {
        let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(tokens.verify(&forged), Err(TokenError::WrongSignature));
    }
}

#[test]
fn claims_are_checked_alike_whatever_the_algorithm() {
    let now = Utc::now().timestamp();
    for signer in Signer::both() {
        for (claims, expected) in [
            (changed("iss", json!("bazaar")), TokenError::Foreign),
            (changed("aud", json!("bazaar")), TokenError::Foreign),
            (changed("exp", json!(now - 6)), TokenError::Expired),
            (changed("nbf", json!(now + 60)), TokenError::NotYetValid),
            (changed("sub", json!("mai")), TokenError::Malformed),
            (changed("exp", json!(9.5e18)), TokenError::Malformed),
            (without("exp"), TokenError::Malformed),
            (without("aud"), TokenError::Malformed),
        ] {
            let token = signer.sign(&signer.header(), &claims);
            assert_eq!(signer.tokens().verify(&token), Err(expected), "{claims}");
        }
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", json!("AT+JWT")),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
        ] {
            let mut header = signer.header();
            header[name] = value;
            let token = signer.sign(&header, &good_claims());
            assert_eq!(
                signer.tokens().verify(&token),
                Err(TokenError::Foreign),
                "{header}"
            );
        }
    }
}

#[test]
fn a_member_that_comes_twice_is_refused() {
    for signer in Signer::both() {
        let (header, claims) = (signer.header().to_string(), good_claims().to_string());
        let twice = |object: &str, member: &str| {
            format!("{},{member}}}", object.strip_suffix('}').unwrap())
        };
        for member in [
            r#""sub":"00000000-0000-0000-0000-000000000001""#,
            r#""exp":99999999999"#,
            r#""epoch":4"#,
            r#""iss":"souk""#,
            r#""aud":"souk""#,
            r#""nbf":0"#,
        ] {
            let token = signer.sign_text(&header, &twice(&claims, member));
            assert_eq!(
                signer.tokens().verify(&token),
                Err(TokenError::Malformed),
                "{member}"
            );
        }
        for member in [
            r#""alg":"none""#,
            r#""alg":"HS256""#,
            r#""kid":"a""#,
            r#""typ":"at+jwt""#,
        ] {
            let token = signer.sign_text(&twice(&header, member), &claims);
            assert_eq!(
                signer.tokens().verify(&token),
                Err(TokenError::Malformed),
                "{member}"
            );
        }
    }
}

#[test]
fn keys_are_exchanged_while_tokens_of_the_old_one_live() {
    let (old, new) = (Signer::ed25519(), Signer::ed25519());
    let rotated = |first: &Signer, second: &Signer| {
        let keys = TokenKeys::ed25519(&(first.pem() + &second.pem())).unwrap();
        AccessTokens::with_keys(keys, TokenSettings::default())
    };
    assert_rotates(
        &old.tokens(),
        [&rotated(&old, &new), &rotated(&new, &old)],
        &new.tokens(),
    );
}

#[test]
fn secrets_are_exchanged_while_tokens_of_the_old_one_live() {
    let (old, new) = (
        SECRET,
        b"another secret of thirty-two bytes or more".as_slice(),
    );
    let rotated = |first: &[u8], second: &[u8]| {
        let keys = TokenKeys::hs256(first, &[second]).unwrap();
        AccessTokens::with_keys(keys, TokenSettings::default())
    };
    let alone = |secret| AccessTokens::new(secret, TokenSettings::default()).unwrap();
    assert_rotates(
        &alone(old),
        [&rotated(old, new), &rotated(new, old)],
        &alone(new),
    );
    // one of before tokens named their key was signed with the secret that signs
    let unnamed = signed(&good_header(), &good_claims());
    assert_eq!(rotated(old, new).verify(&unnamed), Ok(mai()));
    assert_eq!(
        rotated(new, old).verify(&unnamed),
        Err(TokenError::WrongSignature)
    );
}

/// The steps of an exchange: each takes what the one before and the one behind it sign, and the last no longer what the
/// first signed.
fn assert_rotates(before: &AccessTokens, between: [&AccessTokens; 2], after: &AccessTokens) {
    let steps = [before, between[0], between[1], after];
    let tokens = steps.map(|step| step.sign(&mai(), ROLES).unwrap().as_str().to_owned());
    for at in 0..steps.len() {
        for token in &tokens[at.saturating_sub(1)..steps.len().min(at + 2)] {
            assert_eq!(steps[at].verify(token), Ok(mai()), "step {at}");
        }
    }
    assert_eq!(after.verify(&tokens[0]), Err(TokenError::UnknownKey));
}

#[test]
fn a_token_that_was_verified_expires_all_the_same() {
    let signer = Signer::ed25519();
    let tokens = signer.tokens();
    let now = Utc::now().timestamp();
    // within the skew of clocks for less than a second
    let claims = changed("exp", json!(now - CLOCK_SKEW.as_secs() as i64));
    let token = signer.sign(&signer.header(), &claims);
    let first = tokens.verify(&token);
    let until = Instant::now() + Duration::from_secs(5);
    while tokens.verify(&token) != Err(TokenError::Expired) {
        assert!(Instant::now() < until, "{first:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn only_what_was_verified_is_kept_and_no_more_than_a_bound() {
    let signer = Signer::ed25519();
    let tokens = signer.tokens();
    let kept = || tokens.0.verified.as_ref().unwrap().len();
    for forger in [Signer::ed25519(), Signer::ed25519()] {
        let forged = forger.sign(&signer.header(), &good_claims());
        assert!(tokens.verify(&forged).is_err());
        assert!(tokens.verify(&forged).is_err());
    }
    assert_eq!(kept(), 0);
    let token = tokens.sign(&mai(), ROLES).unwrap();
    for _ in 0..3 {
        assert_eq!(tokens.verify(token.as_str()), Ok(mai()));
    }
    assert_eq!(kept(), 1);
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
    let token = tokens().sign(&mai(), ROLES).unwrap().as_str().to_owned();
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
