//! Staying logged in, and logging out: refresh tokens over HTTP, on one server process and on two.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use eventstore::testing::eventually;
use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE},
    shop::{DEMO_PASSWORD, Shop},
};

const CUSTOMER: &str = "customer@example.com";

async fn log_in(client: &Client) -> Value {
    let body = json!({"email": CUSTOMER, "password": DEMO_PASSWORD});
    client.post("/api/v1/login", &body).await.expect(200).json()
}

fn refresh_token(session: &Value) -> String {
    text_of(&session["refresh_token"])
}

fn access_token(session: &Value) -> String {
    text_of(&session["access_token"])
}

async fn refresh(client: &Client, token: &str) -> Answer {
    client
        .post("/api/v1/refresh", &json!({"refresh_token": token}))
        .await
}

async fn orders(client: &Client, session: &Value) -> Answer {
    client
        .with_token(&access_token(session))
        .get("/api/v1/orders")
        .await
}

#[tokio::test]
async fn access_tokens_live_a_quarter_of_an_hour_and_those_of_the_contract_a_day() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let client = shop.client(&server);
    let lifetime = |token: &str| {
        let claims = token.split('.').nth(1).expect("three parts");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat")
    };
    let session = log_in(&client).await;
    assert_eq!(session["expires_in"], 900);
    assert_eq!(lifetime(&access_token(&session)), 900);
    let body = json!({"email": CUSTOMER, "password": DEMO_PASSWORD});
    let contract = client.post("/api/login", &body).await.expect(200).json();
    assert_eq!(lifetime(&text_of(&contract["token"])), 24 * 3_600);
    shop.close().await;
}

#[tokio::test]
async fn a_session_goes_on_at_any_process() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let (one, two) = (shop.client(&one), shop.client(&two));
    let first = log_in(&one).await;
    assert_eq!(first["token_type"], "Bearer");
    assert_eq!(first["user"]["roles"], json!(["customer"]));
    assert!(first["refresh_expires_at"].is_string());
    let second = refresh(&two, &refresh_token(&first))
        .await
        .expect(200)
        .json();
    assert_ne!(refresh_token(&second), refresh_token(&first));
    assert_eq!(second["user"], first["user"]);
    let _ = orders(&one, &second).await.expect(200);
    let _ = refresh(&one, &refresh_token(&second)).await.expect(200);
    shop.close().await;
}

/// Edge case 49.
#[tokio::test]
async fn a_refresh_token_reused_ends_the_session_and_two_tabs_at_once_do_not() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let (one, two) = (shop.client(&one), shop.client(&two));
    let first = refresh_token(&log_in(&one).await);
    let tabs = (0..6).map(|tab| refresh(if tab % 2 == 0 { &one } else { &two }, &first));
    let answers = join_all(tabs).await;
    let successors: BTreeSet<String> = answers
        .into_iter()
        .map(|answer| refresh_token(&answer.expect(200).json()))
        .collect();
    assert_eq!(successors.len(), 1, "the same successor for all");
    let second = successors.first().unwrap();
    let third = refresh_token(&refresh(&one, second).await.expect(200).json());
    // two generations old: somebody has kept a copy
    let refused = refresh(&two, &first).await;
    refused.problem_of(401, "session-over");
    assert!(refused.header("www-authenticate").is_some());
    refresh(&one, &third).await.problem_of(401, "session-over");
    shop.close().await;
}

#[tokio::test]
async fn logging_out_ends_one_session_and_logging_out_everywhere_all() {
    let shop = Shop::open().await;
    let (here, there) = (shop.serve().await, shop.serve().await);
    let (here, there) = (shop.client(&here), shop.client(&there));
    let (one, two) = (log_in(&here).await, log_in(&here).await);
    let body = json!({"refresh_token": refresh_token(&one)});
    for _ in 0..2 {
        let _ = here.post("/api/v1/logout", &body).await.expect(204);
    }
    refresh(&here, &refresh_token(&one))
        .await
        .problem_of(401, "session-over");
    let two = refresh(&here, &refresh_token(&two))
        .await
        .expect(200)
        .json();
    let _ = orders(&there, &two).await.expect(200);
    let everywhere = here.with_token(&access_token(&two));
    let _ = everywhere
        .post("/api/v1/logout/everywhere", &json!({}))
        .await
        .expect(204);
    orders(&here, &two).await.problem_of(401, "unauthenticated");
    eventually(
        "the other process knows",
        Duration::from_secs(5),
        || async { (orders(&there, &two).await.status == 401).then_some(()) },
    )
    .await;
    refresh(&here, &refresh_token(&two))
        .await
        .problem_of(401, "session-over");
    let _ = orders(&here, &log_in(&here).await).await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn expired_refresh_tokens_are_removed_by_one_of_several_processes() {
    let shop = Shop::opening()
        .set("SOUK_REFRESH_TTL", "1s")
        .set("SOUK_EXPIRY_INTERVAL", "1s")
        .open()
        .await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let (one, _two) = (shop.client(&one), shop.client(&two));
    let tokens: Vec<String> = join_all((0..3).map(|_| log_in(&one)))
        .await
        .iter()
        .map(refresh_token)
        .collect();
    eventually("the tokens are removed", PATIENCE, || async {
        let left: i64 = sqlx::query_scalar("select count(*) from refresh_tokens")
            .fetch_one(&shop.pool)
            .await
            .unwrap();
        (left == 0).then_some(())
    })
    .await;
    for token in &tokens {
        refresh(&one, token).await.problem_of(401, "session-over");
    }
    shop.close().await;
}

#[tokio::test]
async fn bodies_that_are_no_refresh_token_are_refused_without_a_hint() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let client = shop.client(&server);
    for token in [
        "",
        "nonsense",
        "00000000-0000-0000-0000-000000000000",
        &"x".repeat(5_000),
    ] {
        refresh(&client, token)
            .await
            .problem_of(401, "session-over");
    }
    let odd = client
        .post("/api/v1/refresh", &json!({"refresh_token": 7}))
        .await;
    odd.problem_of(422, "validation");
    shop.close().await;
}
