//! What networks and newer versions do to a running server: connections lost in a commit, a database that is away, an
//! event that this version does not know.

use std::collections::HashSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::ConnectOptions;
use tests::{
    answer::Answer,
    client::{Client, PATIENCE, new_order},
    eventually,
    history::{count, streams},
    shop::Shop,
};

async fn order_with_key(client: &Client, product: &str, key: &str) -> Answer {
    client
        .ask(Method::POST, "/api/v1/orders")
        .json(&new_order(&[(product, 1)]))
        .key(key)
        .send()
        .await
}

#[tokio::test]
async fn an_order_whose_connection_is_lost_in_the_commit_is_there_once_in_the_end() {
    let shop = Shop::open().await;
    let (way, options) = shop.database().behind_proxy().await;
    let server = shop
        .serve_with(&[("DATABASE_URL", options.to_url_lossy().as_str())])
        .await;
    let direct = shop.serve().await;
    let product = shop.admin(&direct).await.product(100, 10_000).await;
    let customer = shop.customer(&server).await;
    let mut keys = Vec::new();
    for round in 0..5 {
        let round_keys: Vec<String> = (0..10).map(|number| format!("{round}-{number}")).collect();
        let swallowed = way.swallowed_bytes();
        way.swallow_answers(true);
        let asks = join_all(
            round_keys
                .iter()
                .map(|key| order_with_key(&customer, &product, key)),
        );
        let cut = async {
            // the database has answered something: the commit may or may not be among it
            eventually("an answer is swallowed", PATIENCE, || async {
                (way.swallowed_bytes() > swallowed).then_some(())
            })
            .await;
            way.cut();
            way.swallow_answers(false);
        };
        let (answers, ()) = tokio::join!(asks, cut);
        for answer in &answers {
            if answer.status != 201 {
                answer.problem(503);
                assert!(answer.header("retry-after").is_some(), "{answer}");
            }
        }
        for (key, first) in round_keys.iter().zip(&answers) {
            let again = eventually("the order is placed", PATIENCE, || async {
                let answer = order_with_key(&customer, &product, key).await;
                (answer.status == 201).then_some(answer)
            })
            .await;
            if first.status == 201 {
                assert_eq!(again.id(), first.id(), "what was acknowledged stays");
            }
            keys.push(again.id());
        }
    }
    let placed: HashSet<String> = streams(&shop.events().await, "order").into_iter().collect();
    assert_eq!(
        placed,
        keys.iter().cloned().collect(),
        "one order per key and none besides"
    );
    assert_eq!(placed.len(), 50);
    shop.close().await;
}

#[tokio::test]
async fn while_the_database_is_away_everything_is_503_and_it_recovers_by_itself() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let (way, options) = shop.database().behind_proxy().await;
    let server = shop
        .serve_with(&[("DATABASE_URL", options.to_url_lossy().as_str())])
        .await;
    shop.caught_up(&server).await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let before = customer.order(&[(&product, 1)]).await.expect(201);
    way.refuse(true);
    way.cut();
    let placing = customer.order(&[(&product, 1)]).await;
    let reading = customer
        .get(&format!("/api/v1/orders/{}", before.id()))
        .await;
    for answer in [placing, reading] {
        answer.problem(503);
        assert!(answer.header("retry-after").is_some(), "{answer}");
        assert!(
            !answer.text().contains("connection"),
            "nothing of the inside is told: {answer}"
        );
    }
    let _ = customer.get("/health/ready").await.expect(503);
    let _ = customer.get("/health/live").await.expect(200);
    way.refuse(false);
    let after = eventually("orders are taken again", PATIENCE, || async {
        let answer = customer.order(&[(&product, 1)]).await;
        (answer.status == 201).then(|| answer.id())
    })
    .await;
    customer.wait_until_paid(&before.id()).await;
    customer.wait_until_paid(&after).await;
    let _ = customer.get("/health/ready").await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn a_cancellation_that_was_done_and_cannot_be_read_back_is_not_said_to_have_failed() {
    let shop = Shop::open().await;
    let (first, second) = (shop.serve().await, shop.serve().await);
    let product = shop.admin(&first).await.product(100, 10).await;
    let customer = shop.customer(&first).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    let elsewhere = customer.at(&second.address);
    let cancel = async || {
        let path = format!("/api/v1/orders/{order}/cancel");
        elsewhere.post(&path, &json!({})).await
    };
    // the process has the customer's key not in memory: it cancels, and then cannot open the name
    let rename = async |from: &str, to: &str| {
        let statement = format!("alter table {from} rename to {to}");
        sqlx::raw_sql(&statement).execute(&shop.pool).await.unwrap();
    };
    rename("person_keys", "mislaid").await;
    cancel().await.problem_of(503, "outcome-unknown");
    rename("mislaid", "person_keys").await;
    assert_eq!(count(&shop.events().await, &order, "OrderCancelled"), 1);
    let again = cancel().await.expect(200);
    assert_eq!(again.json()["status"], "cancelled");
    shop.close().await;
}

#[tokio::test]
async fn an_event_of_a_newer_version_is_handed_over_and_neither_parked_nor_skipped() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    customer.read_order(&order).await;
    // as a newer version of the server would write it
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         values ('order', $1, 2, 'OrderGiftWrapped', '1.0', '{\"type\":\"OrderGiftWrapped\"}', '{}')",
    )
    .bind(&order)
    .execute(&shop.pool)
    .await
    .unwrap();
    // who cannot read it does not decide on it
    let refused = customer
        .post(&format!("/api/v1/orders/{order}/cancel"), &json!({}))
        .await;
    refused.problem_of(503, "newer-version");
    // all else goes on
    let other = customer.order(&[(&product, 1)]).await.expect(201);
    let _ = customer
        .post(&format!("/api/v1/orders/{}/cancel", other.id()), &json!({}))
        .await
        .expect(200);
    let shown = eventually(
        "the read model of orders is handed over",
        PATIENCE,
        || async {
            let shown = admin.get("/api/v1/subscriptions").await.expect(200).json();
            let orders = shown["items"].as_array()?.iter().find(|it| {
                it["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("orders"))
                    && it["state"] == "handed_over"
            })?;
            Some((orders.clone(), shown["parked"].clone()))
        },
    )
    .await;
    assert_eq!(shown.1, json!([]), "nothing is parked");
    assert!(
        shown.0["lag"].as_i64().unwrap() > 0,
        "nothing is skipped: {}",
        shown.0
    );
    let _ = customer.get("/health/ready").await.expect(200);
    shop.close().await;
}
