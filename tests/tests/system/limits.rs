//! How often one may try to log in and what is like it, and what strangers who try cannot take from an owner.

use std::time::Duration;

use eventstore::sealing::MasterKey;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    client::Client,
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
};

use crate::codes::read_code;

const CUSTOMER: &str = "customer@example.com";
const OWNER: &str = "192.0.2.1";

/// A shop whose clients say through a proxy, which is this machine, where they come from.
async fn shop(limits: &[(&str, &str)]) -> (Shop, Server) {
    let mut opening = Shop::opening()
        .set("SOUK_RATE_LIMITS", "true")
        .set("SOUK_TRUSTED_PROXIES", "127.0.0.0/8");
    for (limit, value) in limits {
        opening = opening.set(limit, value);
    }
    let shop = opening.open().await;
    let server = shop.serve().await;
    (shop, server)
}

async fn log_in(client: &Client, from: &str, email: &str, password: &str) -> Answer {
    client
        .ask(Method::POST, "/api/v1/login")
        .header("x-forwarded-for", from)
        .json(&json!({"email": email, "password": password}))
        .send()
        .await
}

/// Sends that as somebody who is there.
async fn send_from(
    client: &Client,
    from: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> Answer {
    let request = client.ask(method, path).header("x-forwarded-for", from);
    request.json(body).send().await
}

/// Fails unless the answer says that this was one try too many, and when to come again.
fn assert_too_many(answer: &Answer) {
    answer.problem_of(429, "too-many-tries");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&seconds), "{answer}");
}

#[tokio::test]
async fn whoever_tries_too_often_is_told_when_to_come_again() {
    let (shop, server) = shop(&[("SOUK_LIMIT_LOG_IN", "3/1h")]).await;
    let client = shop.client(&server);
    for left in ["2", "1", "0"] {
        let answer = log_in(&client, OWNER, "nobody@example.com", "a wrong password").await;
        answer.problem_of(401, "wrong-credentials");
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"log-in\";q=3;w=3600")
        );
        let told = answer.header("ratelimit").unwrap();
        assert!(
            told.starts_with(&format!("\"log-in\";r={left};t=")),
            "{told}"
        );
    }
    let refused = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD).await;
    assert_too_many(&refused);
    assert!(
        refused
            .header("ratelimit")
            .unwrap()
            .starts_with("\"log-in\";r=0;t=")
    );
    let _ = log_in(&client, "192.0.2.2", CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    shop.close().await;
}

#[tokio::test]
async fn known_and_unknown_accounts_are_limited_alike() {
    let (shop, server) = shop(&[("SOUK_LIMIT_LOG_IN_ACCOUNT", "2/1h")]).await;
    let client = shop.client(&server);
    for email in [CUSTOMER, "nobody@example.com", "not an address"] {
        for _ in 0..2 {
            let answer = log_in(&client, OWNER, email, "a wrong password").await;
            answer.problem_of(401, "wrong-credentials");
        }
        assert_too_many(&log_in(&client, OWNER, email, "a wrong password").await);
        let spelled = format!(" {}", email.to_uppercase());
        assert_too_many(&log_in(&client, OWNER, &spelled, "a wrong password").await);
    }
    shop.close().await;
}

#[tokio::test]
async fn nobody_can_lock_somebody_else_out() {
    let (shop, server) = shop(&[("SOUK_LIMIT_LOG_IN_STRANGERS", "5/1h")]).await;
    let client = shop.client(&server);
    let _ = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    let mut refused = 0;
    for attacker in 0..10 {
        let from = format!("198.51.100.{attacker}");
        let answer = log_in(&client, &from, CUSTOMER, "a wrong password").await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused >= 5, "an attack from many addresses is stopped");
    assert_too_many(&log_in(&client, "198.51.100.77", CUSTOMER, DEMO_PASSWORD).await);
    let _ = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    let other_process = shop.serve().await;
    let _ = log_in(&shop.client(&other_process), OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    shop.close().await;
}

#[tokio::test]
async fn one_address_alone_uses_up_nothing_of_what_an_owner_has_at_a_new_one() {
    let limits = [
        ("SOUK_LIMIT_LOG_IN_STRANGER", "2/1h"),
        ("SOUK_LIMIT_LOG_IN_STRANGERS", "4/1h"),
    ];
    let (shop, server) = shop(&limits).await;
    let client = shop.client(&server);
    for tried in 0..8 {
        let answer = log_in(&client, "198.51.100.1", CUSTOMER, "a wrong password").await;
        if tried < 2 {
            answer.problem_of(401, "wrong-credentials");
        } else {
            assert_too_many(&answer);
            let told = answer.header("ratelimit").unwrap();
            assert!(told.starts_with("\"log-in-stranger\";r=0;"), "{told}");
        }
    }
    let _ = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    for _ in 0..5 {
        let _ = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
            .await
            .expect(200);
    }
    shop.close().await;
}

#[tokio::test]
async fn an_address_is_known_also_after_the_master_key_was_exchanged() {
    let (shop, server) = shop(&[("SOUK_LIMIT_LOG_IN_STRANGERS", "1/1h")]).await;
    let _ = log_in(&shop.client(&server), OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    let old = shop.setting("SOUK_MASTER_KEY").to_owned();
    let new = MasterKey::generate_base64().unwrap();
    let exchanged = [
        ("SOUK_MASTER_KEY", new.as_str()),
        ("SOUK_PREVIOUS_MASTER_KEYS", old.as_str()),
    ];
    let server = shop.serve_with(&exchanged).await;
    let client = shop.client(&server);
    let attacked = log_in(&client, "198.51.100.1", CUSTOMER, "a wrong password").await;
    attacked.problem_of(401, "wrong-credentials");
    assert_too_many(&log_in(&client, "198.51.100.2", CUSTOMER, DEMO_PASSWORD).await);
    let _ = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    shop.close().await;
}

#[tokio::test]
async fn a_token_tries_no_more_passwords_from_many_addresses() {
    let (shop, server) = shop(&[("SOUK_LIMIT_LOG_IN_ACCOUNT", "3/1h")]).await;
    let client = shop.client(&server);
    let stolen = client.log_in(CUSTOMER, DEMO_PASSWORD).await;
    let change = json!({"current_password": "a wrong one", "new_password": "another password"});
    for thief in 1..=3 {
        let from = format!("198.51.100.{thief}");
        let tried = send_from(
            &stolen,
            &from,
            Method::PUT,
            "/api/v1/profile/password",
            &change,
        );
        tried.await.problem_of(422, "validation");
    }
    for (method, path, body) in [
        (Method::PUT, "/api/v1/profile/password", &change),
        (
            Method::DELETE,
            "/api/v1/profile",
            &json!({"password": "a wrong one"}),
        ),
    ] {
        assert_too_many(&send_from(&stolen, "198.51.100.9", method, path, body).await);
    }
    let _ = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    let other = client.log_in("seller@example.com", DEMO_PASSWORD).await;
    let tried = send_from(
        &other,
        OWNER,
        Method::PUT,
        "/api/v1/profile/password",
        &change,
    );
    tried.await.problem_of(422, "validation");
    shop.close().await;
}

#[tokio::test]
async fn a_stranger_neither_replaces_nor_uses_up_the_code_of_an_owner() {
    let (shop, server) = shop(&[]).await;
    let client = shop.client(&server);
    let admin = client.log_in("admin@example.com", DEMO_PASSWORD).await;
    let address = json!({"email": CUSTOMER});
    let asked = send_from(
        &client,
        OWNER,
        Method::POST,
        "/api/v1/password-resets",
        &address,
    );
    let _ = asked.await.expect(202);
    let code = read_code(&admin, CUSTOMER, 1).await;
    let stranger = "198.51.100.1";
    let asked = send_from(
        &client,
        stranger,
        Method::POST,
        "/api/v1/password-resets",
        &address,
    );
    let _ = asked.await.expect(202);
    read_code(&admin, CUSTOMER, 2).await;
    let confirm = "/api/v1/password-resets/confirm";
    let mut choice = json!({"email": CUSTOMER, "code": "nonsense", "password": "another password"});
    for _ in 0..6 {
        let tried = send_from(&client, stranger, Method::POST, confirm, &choice);
        tried.await.problem_of(422, "code-refused");
    }
    choice["code"] = json!(code);
    let tried = send_from(&client, stranger, Method::POST, confirm, &choice);
    tried.await.problem_of(422, "code-refused");
    let chosen = send_from(&client, OWNER, Method::POST, confirm, &choice);
    let _ = chosen.await.expect(204);
    shop.close().await;
}

#[tokio::test]
async fn one_mailbox_gets_no_flood_of_registrations_from_one_address() {
    let (shop, server) = shop(&[("SOUK_LIMIT_CODES_ACCOUNT", "2/1h")]).await;
    let client = shop.client(&server);
    for (path, statuses) in [
        ("/api/v1/registrations", [202, 202]),
        ("/api/registration", [201, 409]),
    ] {
        let [mai, tom] = ["mai", "tom"].map(|who| {
            let email = format!("{who}{}@example.com", statuses[0]);
            json!({"name": "Mai", "email": email, "password": "a long password"})
        });
        for status in statuses {
            let registered = send_from(&client, OWNER, Method::POST, path, &mai).await;
            let _ = registered.expect(status);
        }
        assert_too_many(&send_from(&client, OWNER, Method::POST, path, &mai).await);
        let other = send_from(&client, OWNER, Method::POST, path, &tom).await;
        let _ = other.expect(statuses[0]);
    }
    shop.close().await;
}

#[tokio::test]
async fn sessions_of_one_person_are_limited_from_however_many_addresses() {
    let (shop, server) = shop(&[("SOUK_LIMIT_REFRESH_ACCOUNT", "2/1h")]).await;
    let client = shop.client(&server);
    let refresh = async |client: &Client, from: &str, session: &Value| {
        let body = json!({"refresh_token": session["refresh_token"]});
        send_from(client, from, Method::POST, "/api/v1/refresh", &body).await
    };
    let logged_in = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD).await;
    let mut session = logged_in.expect(200).json();
    for from in ["192.0.2.1", "192.0.2.2"] {
        session = refresh(&client, from, &session).await.expect(200).json();
    }
    assert_too_many(&refresh(&client, "192.0.2.3", &session).await);
    let unknown = json!({"refresh_token": "7b0f3c52-4f0e-4d5e-9a3b-0c9f0a6d8e11"});
    let refused = refresh(&client, "192.0.2.3", &unknown).await;
    refused.problem_of(401, "session-over");
    // what was refused has not spent the token
    let other_process = shop.serve().await;
    let other_process = shop.client(&other_process);
    let _ = refresh(&other_process, OWNER, &session).await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn whoever_resets_their_password_is_let_in_from_there_during_an_attack() {
    let (shop, server) = shop(&[("SOUK_LIMIT_LOG_IN_STRANGERS", "1/1h")]).await;
    let client = shop.client(&server);
    let attacked = log_in(&client, "198.51.100.1", CUSTOMER, "a wrong password").await;
    attacked.problem_of(401, "wrong-credentials");
    assert_too_many(&log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD).await);
    let ask = |path, body| {
        let request = client.ask(Method::POST, path).json(&body);
        request.header("x-forwarded-for", OWNER).send()
    };
    let address = json!({"email": CUSTOMER});
    let _ = ask("/api/v1/password-resets", address).await.expect(202);
    let admin = client.log_in("admin@example.com", DEMO_PASSWORD).await;
    let code = read_code(&admin, CUSTOMER, 1).await;
    let password = "another password altogether";
    let choice = json!({"email": CUSTOMER, "code": code, "password": password});
    let _ = ask("/api/v1/password-resets/confirm", choice)
        .await
        .expect(204);
    let _ = log_in(&client, OWNER, CUSTOMER, password).await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn registrations_and_refreshes_are_limited_too() {
    let limits = [
        ("SOUK_LIMIT_REGISTRATION", "1/1h"),
        ("SOUK_LIMIT_REFRESH", "1/1h"),
    ];
    let (shop, server) = shop(&limits).await;
    let client = shop.client(&server);
    let register = async |email: &str| {
        let body = json!({"name": "Mai", "email": email, "password": "a long password"});
        client.post("/api/registration", &body).await
    };
    let registered = register("mai@example.com").await.expect(201);
    assert!(
        registered
            .header("ratelimit")
            .unwrap()
            .starts_with("\"registration\";r=0;")
    );
    assert_too_many(&register("tom@example.com").await);
    let refresh = async |token: &str| {
        client
            .post("/api/v1/refresh", &json!({"refresh_token": token}))
            .await
    };
    let session = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200)
        .json();
    let token = session["refresh_token"].as_str().unwrap();
    let _ = refresh(token).await.expect(200);
    assert_too_many(&refresh(token).await);
    shop.close().await;
}

#[tokio::test]
async fn a_limit_gives_way_with_time() {
    let (shop, server) = shop(&[("SOUK_LIMIT_LOG_IN", "1/1s")]).await;
    let client = shop.client(&server);
    let _ = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    eventstore::testing::eventually("it is given again", Duration::from_secs(10), || async {
        let answer = log_in(&client, OWNER, CUSTOMER, DEMO_PASSWORD).await;
        (answer.status == 200).then_some(())
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn without_a_trusted_proxy_nobody_is_somebody_else_by_saying_so() {
    let opening = Shop::opening()
        .set("SOUK_RATE_LIMITS", "true")
        .set("SOUK_LIMIT_LOG_IN", "1/1h");
    let shop = opening.open().await;
    let server = shop.serve().await;
    let client = shop.client(&server);
    let _ = log_in(&client, "192.0.2.1", CUSTOMER, DEMO_PASSWORD)
        .await
        .expect(200);
    assert_too_many(&log_in(&client, "192.0.2.2", CUSTOMER, DEMO_PASSWORD).await);
    shop.close().await;
}
