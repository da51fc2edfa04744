//! Access tokens over HTTP: forgeries of every kind, key pairs and what others verify by, keys that are exchanged while
//! tokens live, and key files that no server starts with.

use std::{path::Path, time::Duration};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        UnparsedPublicKey,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tests::{
    answer::text_of,
    client::Client,
    jwt::Jwt,
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

/// Routes of every kind: that of a customer, of a signed-in person, of a command, of an id.
const DOORS: [(&str, &str); 4] = [
    ("GET", "/api/v1/orders"),
    ("GET", "/api/profile"),
    ("POST", "/api/v1/orders"),
    (
        "DELETE",
        "/api/v1/api-keys/00000000-0000-0000-0000-000000000000",
    ),
];

/// Fails unless every door is closed to the token, and nobody is told why but for its age.
async fn assert_refused(client: &Client, what: &str, token: &str) {
    let client = client.with_token(token);
    for (method, path) in DOORS {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let ask = client.ask(method.clone(), path);
        let ask = if method == reqwest::Method::POST {
            ask.json(&json!({"items": []}))
        } else {
            ask
        };
        let answer = ask.send().await;
        assert_eq!(answer.status, 401, "{what}: {answer}");
        let problem = answer.problem_of(401, "unauthenticated");
        assert!(
            [
                "the access token is not valid",
                "the access token has expired"
            ]
            .map(Value::from)
            .contains(&problem["detail"]),
            "{what}: {answer}"
        );
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"invalid_token\""), "{what}");
    }
}

/// What can be done to a token without its key, or with the key for another use. `secret` is the right one, where there
/// is one.
fn forgeries(good: &Jwt, token: &str, secret: &[u8]) -> Vec<(&'static str, String)> {
    let theirs = b"the secret of somebody else, 32 bytes and more";
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let cloned = || good.clone();
    let embedded = json!({"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(theirs)});
    let promoted = cloned().claim("roles", json!(["admin"])).signed(signature);
    let twice = format!(
        "{header}.{}",
        URL_SAFE_NO_PAD.encode(format!(
            "{},\"sub\":\"{}\"}}",
            good.claims.to_string().trim_end_matches('}'),
            Uuid::nil()
        ))
    );
    let twice_key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let twice_signed = URL_SAFE_NO_PAD.encode(hmac::sign(&twice_key, twice.as_bytes()));
    vec![
        ("alg none", cloned().header("alg", "none").signed("")),
        ("alg nOnE", cloned().header("alg", "nOnE").signed("")),
        (
            "no alg, no signature",
            cloned().header("alg", "").signed(""),
        ),
        (
            "alg none, but signed",
            cloned().header("alg", "none").hs256(secret),
        ),
        ("no signature", good.signed("")),
        (
            "another HMAC",
            cloned()
                .header("alg", "HS512")
                .hmac(hmac::HMAC_SHA512, secret),
        ),
        (
            "HMAC labelled RS256",
            cloned().header("alg", "RS256").hs256(secret),
        ),
        (
            "HMAC labelled ES256",
            cloned().header("alg", "ES256").hs256(secret),
        ),
        (
            "HMAC labelled EdDSA",
            cloned().header("alg", "EdDSA").hs256(secret),
        ),
        ("wrong secret", good.hs256(theirs)),
        ("empty secret", good.hs256(b"")),
        (
            "unknown kid",
            cloned().header("kid", "unknown").hs256(secret),
        ),
        (
            "kid as a path",
            cloned().header("kid", "../../../../dev/null").hs256(b""),
        ),
        (
            "kid as SQL",
            cloned().header("kid", "' union select 'a").hs256(b"a"),
        ),
        (
            "kid of another type",
            cloned().header("kid", json!([1])).hs256(secret),
        ),
        (
            "embedded jwk",
            cloned().header("jwk", embedded).hs256(theirs),
        ),
        (
            "jku",
            cloned()
                .header("jku", "http://127.0.0.1:9/jwks.json")
                .hs256(theirs),
        ),
        (
            "x5u",
            cloned()
                .header("x5u", "http://127.0.0.1:9/key.pem")
                .hs256(theirs),
        ),
        ("x5c", cloned().header("x5c", json!(["MIIB"])).hs256(theirs)),
        (
            "crit",
            cloned().header("crit", json!(["exp"])).hs256(secret),
        ),
        ("another typ", cloned().header("typ", "JWT").hs256(secret)),
        (
            "another issuer",
            cloned().claim("iss", "bazaar").hs256(secret),
        ),
        (
            "another audience",
            cloned().claim("aud", "bazaar").hs256(secret),
        ),
        ("expired", cloned().time("exp", -6).hs256(secret)),
        ("expired long ago", cloned().claim("exp", 0).hs256(secret)),
        ("not valid yet", cloned().time("nbf", 60).hs256(secret)),
        (
            "no expiry",
            cloned().claim("exp", Value::Null).hs256(secret),
        ),
        (
            "a claim that comes twice",
            format!("{twice}.{twice_signed}"),
        ),
        ("a payload of one's own", promoted),
        (
            "a header of one's own",
            cloned().header("alg", "HS384").signed(signature),
        ),
        (
            "half a signature",
            format!("{message}.{}", &signature[..20]),
        ),
        ("no header", format!(".{payload}.{signature}")),
        ("one part too many", format!("{token}.{signature}")),
        (
            "oversized",
            cloned().claim("padding", "x".repeat(4_000)).hs256(secret),
        ),
        ("not a token", "a.b.c".into()),
        ("a UUID", Uuid::new_v4().to_string()),
        ("nearly an API key", format!("souk{token}")),
    ]
}

#[tokio::test]
async fn no_forged_token_opens_a_door() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let customer = shop.demo_user(&server, "customer").await;
    let secret = shop.setting("SOUK_JWT_SECRET").as_bytes();
    let good = Jwt::of(customer.token());
    // made by hand in the same way, it is accepted: so it is what was changed that is refused
    let by_hand = customer.with_token(&good.hs256(secret));
    let _ = by_hand.get("/api/v1/orders").await.expect(200);
    for (what, token) in forgeries(&good, customer.token(), secret) {
        assert_refused(&customer, what, &token).await;
        // where a token is not needed, a bad one does no harm and opens nothing
        let ready = customer.with_token(&token).get("/health/ready").await;
        assert_eq!(ready.status, 200, "{what}");
    }
    let _ = customer.get("/api/v1/orders").await.expect(200);
    shop.close().await;
}

/// A file with these private keys, in PEM.
fn key_file(shop: &Shop, name: &str, pairs: &[&Ed25519KeyPair]) -> String {
    let pems = pairs.iter().map(|pair| {
        let der = pair.to_pkcs8v1().unwrap();
        pem("PRIVATE KEY", der.as_ref())
    });
    written(shop.folder(), name, pems.collect::<String>().as_bytes())
}

fn pem(label: &str, content: &[u8]) -> String {
    let content = STANDARD.encode(content);
    format!("-----BEGIN {label}-----\n{content}\n-----END {label}-----\n")
}

fn written(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

async fn serve_by(shop: &Shop, file: &str) -> Server {
    shop.serve_with(&[("SOUK_JWT_KEYS", file)]).await
}

#[tokio::test]
async fn tokens_of_a_key_pair_are_verified_by_what_the_server_publishes() {
    let shop = Shop::open().await;
    let (first, second) = (
        Ed25519KeyPair::generate().unwrap(),
        Ed25519KeyPair::generate().unwrap(),
    );
    let server = serve_by(&shop, &key_file(&shop, "keys.pem", &[&first, &second])).await;
    let customer = shop.demo_user(&server, "customer").await;
    let _ = customer.get("/api/v1/orders").await.expect(200);

    let published = shop.client(&server).get("/.well-known/jwks.json").await;
    let published = published.expect(200);
    assert_eq!(published.header("content-type"), Some("application/json"));
    assert_eq!(
        published.header("cache-control"),
        Some("public, max-age=300")
    );
    let set = published.json();
    let keys = set["keys"].as_array().unwrap();
    let x = |pair: &Ed25519KeyPair| URL_SAFE_NO_PAD.encode(pair.public_key());
    assert_eq!(keys.len(), 2);
    for (key, pair) in keys.iter().zip([&first, &second]) {
        let kid = key["kid"].clone();
        let expected = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x(pair)});
        assert_eq!(key, &expected, "public parts alone");
    }

    let token = customer.token();
    let header = Jwt::of(token).header;
    assert_eq!(
        header,
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": keys[0]["kid"]})
    );
    let (message, signature) = token.rsplit_once('.').unwrap();
    let public = URL_SAFE_NO_PAD.decode(text_of(&keys[0]["x"])).unwrap();
    UnparsedPublicKey::new(&ED25519, public)
        .verify(
            message.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .expect("verified as any service would");
    shop.close().await;
}

#[tokio::test]
async fn no_forged_token_opens_a_door_of_a_server_with_a_key_pair() {
    let shop = Shop::open().await;
    let pair = Ed25519KeyPair::generate().unwrap();
    let server = serve_by(&shop, &key_file(&shop, "keys.pem", &[&pair])).await;
    let customer = shop.demo_user(&server, "customer").await;
    let good = Jwt::of(customer.token());
    // everybody knows the public key, in whichever form, and the settings still hold a secret
    let public = pair.public_key().as_ref();
    let mut spki = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
    spki.extend_from_slice(public);
    let x = URL_SAFE_NO_PAD.encode(public);
    let set = shop.client(&server).get("/.well-known/jwks.json").await;
    let secrets = [
        shop.setting("SOUK_JWT_SECRET").as_bytes().to_vec(),
        public.to_vec(),
        pem("PUBLIC KEY", &spki).into_bytes(),
        spki,
        x.clone().into_bytes(),
        set.json()["keys"][0].to_string().into_bytes(),
    ];
    for secret in &secrets {
        for algorithm in ["HS256", "EdDSA", "RS256"] {
            let forged = good.clone().header("alg", algorithm).hs256(secret);
            assert_refused(&customer, "a public key as a secret", &forged).await;
        }
    }
    for (what, token) in forgeries(&good, customer.token(), public) {
        assert_refused(&customer, what, &token).await;
    }
    // somebody else's key pair, brought along
    let theirs = Ed25519KeyPair::generate().unwrap();
    let jwk =
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(theirs.public_key())});
    for header in [good.clone(), good.clone().header("jwk", jwk)] {
        let unsigned = header.signed("");
        let message = unsigned.trim_end_matches('.');
        let signature = URL_SAFE_NO_PAD.encode(theirs.sign(message.as_bytes()));
        assert_refused(&customer, "another key pair", &header.signed(&signature)).await;
    }
    let _ = customer.get("/api/v1/orders").await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn where_tokens_are_signed_with_a_secret_nothing_is_published() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let set = shop.client(&server).get("/.well-known/jwks.json").await;
    assert_eq!(set.expect(200).json(), json!({"keys": []}));
    shop.close().await;
}

/// Logs the customer in: access token and refresh token.
async fn log_in(client: &Client) -> (String, String) {
    let body = json!({"email": "customer@example.com", "password": DEMO_PASSWORD});
    let session = client.post("/api/v1/login", &body).await.expect(200).json();
    (
        text_of(&session["access_token"]),
        text_of(&session["refresh_token"]),
    )
}

/// One process after the other, one for each step of an exchange: each takes what the one before it signed, the last no
/// longer what the first signed, and no session ends.
async fn assert_exchanged(shop: &Shop, steps: [&[(&str, &str)]; 4]) {
    let mut sessions: Vec<(String, String)> = Vec::new();
    for (at, settings) in steps.into_iter().enumerate() {
        let server = shop.serve_with(settings).await;
        let client = shop.client(&server);
        if let Some((token, _)) = sessions.last() {
            let answer = client.with_token(token).get("/api/v1/orders").await;
            assert_eq!(answer.status, 200, "step {at}: {answer}");
        }
        if at == 3 {
            let (token, refresh_token) = &sessions[0];
            assert_refused(&client, "signed with a key that was removed", token).await;
            let body = json!({"refresh_token": refresh_token});
            let session = client.post("/api/v1/refresh", &body).await.expect(200);
            let token = text_of(&session.json()["access_token"]);
            let answer = client.with_token(&token).get("/api/v1/orders").await;
            assert_eq!(answer.status, 200, "{answer}");
        }
        sessions.push(log_in(&client).await);
        server.stop().await;
    }
}

#[tokio::test]
async fn key_pairs_are_exchanged_while_people_stay_logged_in() {
    let shop = Shop::open().await;
    let (old, new) = (
        Ed25519KeyPair::generate().unwrap(),
        Ed25519KeyPair::generate().unwrap(),
    );
    let files = [
        key_file(&shop, "1.pem", &[&old]),
        key_file(&shop, "2.pem", &[&old, &new]),
        key_file(&shop, "3.pem", &[&new, &old]),
        key_file(&shop, "4.pem", &[&new]),
    ];
    let steps = files
        .each_ref()
        .map(|file| [("SOUK_JWT_KEYS", file.as_str())]);
    assert_exchanged(&shop, steps.each_ref().map(<[_; 1]>::as_slice)).await;
    shop.close().await;
}

#[tokio::test]
async fn secrets_are_exchanged_while_people_stay_logged_in() {
    let shop = Shop::open().await;
    let (old, new) = ("o".repeat(32), "n".repeat(32));
    let settings = |signs, others| {
        [
            ("SOUK_JWT_SECRET", signs),
            ("SOUK_JWT_PREVIOUS_SECRETS", others),
        ]
    };
    let steps = [
        settings(old.as_str(), ""),
        settings(&old, &new),
        settings(&new, &old),
        settings(&new, ""),
    ];
    assert_exchanged(&shop, steps.each_ref().map(<[_; 2]>::as_slice)).await;
    shop.close().await;
}

#[tokio::test]
async fn a_server_does_not_start_with_keys_that_it_cannot_use() {
    let shop = Shop::open().await;
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    let ed25519 = pem("PRIVATE KEY", ed25519.to_pkcs8v1().unwrap().as_ref());
    let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let p256 = pem("PRIVATE KEY", p256.unwrap().as_ref());
    let public = pem("PUBLIC KEY", &[0; 44]);
    let file = |name: &str, content: &str| written(shop.folder(), name, content.as_bytes());
    for (path, reason) in [
        (file("empty.pem", ""), "no private key"),
        (file("text.pem", "ssh-ed25519 AAAA"), "no private key"),
        (file("public.pem", &public), "key 1"),
        (file("p256.pem", &p256), "key 1"),
        (file("second.pem", &(ed25519.clone() + &p256)), "key 2"),
        (file("cut.pem", &ed25519[..60]), "damaged"),
        (file("none", "").replace("none", "nowhere"), "No such file"),
        (shop.folder().display().to_string(), "directory"),
    ] {
        let own = [("SOUK_JWT_KEYS", path.as_str())];
        let starting = shop.try_run(&own, &["serve"]);
        let output = tokio::time::timeout(Duration::from_secs(30), starting)
            .await
            .expect("it ends by itself");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{path}: {told}");
        assert!(
            told.contains("SOUK_JWT_KEYS") && told.contains(&path) && told.contains(reason),
            "{path}: {told}"
        );
        let content = ed25519.lines().nth(1).unwrap();
        assert!(!told.contains(&content[..20]), "{told}");
    }
    shop.close().await;
}
