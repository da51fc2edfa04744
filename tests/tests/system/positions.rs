//! Reading what one has written: position tokens, and what is answered when a read model does not get there.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tests::{
    client::{Client, PATIENCE},
    eventually,
    shop::Shop,
};
use uuid::Uuid;

#[tokio::test]
async fn a_read_with_the_position_of_a_write_sees_it_at_any_process() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let product = shop.admin(&one).await.product(100, 100).await;
    let customer = shop.customer(&one).await;
    for _ in 0..20 {
        let placed = customer.order(&[(&product, 1)]).await.expect(201);
        let path = format!("/api/v1/orders/{}", placed.id());
        for address in [&one.address, &two.address] {
            let reader = customer.at(address);
            let read = reader
                .ask(Method::GET, &path)
                .min_position(&placed.position())
                .send()
                .await
                .expect(200);
            assert_eq!(read.json()["order_id"], placed.id().as_str());
            let list = reader
                .ask(Method::GET, "/api/v1/orders?limit=1")
                .min_position(&placed.position())
                .send()
                .await;
            assert_eq!(
                list.expect(200).json()["items"][0]["order_id"],
                placed.id().as_str()
            );
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn a_position_that_the_log_does_not_hold_is_a_conflict() {
    let (shop, elsewhere) = (Shop::open().await, Shop::open().await);
    let (server, other) = (shop.serve().await, elsewhere.serve().await);
    let admin = shop.admin(&server).await;
    // of another log: the position is there, its event is another one
    let foreign = elsewhere.admin(&other).await;
    let product = foreign.product(100, 1).await;
    let position = foreign.restock(&product, 1).await;
    let _ = admin.product(100, 1).await;
    let mine = admin.product(100, 1).await;
    for token in [position.as_str()] {
        for path in [
            "/api/v1/products",
            "/api/v1/orders",
            &format!("/api/v1/products/{mine}"),
        ] {
            let answer = admin
                .ask(Method::GET, path)
                .min_position(token)
                .send()
                .await;
            answer.problem_of(409, "position-unknown");
        }
    }
    for damaged in ["", "x", "AAAA", "%%%%"] {
        let answer = admin
            .ask(Method::GET, "/api/v1/products")
            .min_position(damaged)
            .send()
            .await;
        answer.problem(400);
    }
    elsewhere.close().await;
    shop.close().await;
}

#[tokio::test]
async fn a_read_model_that_does_not_get_there_is_503_with_retry_after() {
    let shop = Shop::opening().set("SOUK_READ_WAIT", "300ms").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 100).await;
    let position = admin.restock(&product, 1).await;
    let _ = admin.stock_at(&product, &position).await;
    assert!(server.stop().await.success());

    // the API goes on without its projectors: it takes orders, and reads tell what is there
    let server = shop.serve_with(&[("SOUK_ROLES", "api")]).await;
    let customer = shop.customer(&server).await;
    let placed = customer.order(&[(&product, 1)]).await.expect(201);
    let path = format!("/api/v1/orders/{}", placed.id());
    let begun = Instant::now();
    let behind = customer
        .ask(Method::GET, &path)
        .min_position(&placed.position())
        .send()
        .await;
    behind.problem_of(503, "read-model-behind");
    assert!(
        behind
            .header("retry-after")
            .is_some_and(|seconds| seconds.parse::<u32>().is_ok()),
        "{behind}"
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < Duration::from_secs(5)
    );
    customer.get(&path).await.problem(404);

    let projectors = shop.serve_with(&[("SOUK_ROLES", "projectors")]).await;
    let read = eventually("the projectors catch up", PATIENCE, || async {
        let answer = customer
            .ask(Method::GET, &path)
            .min_position(&placed.position())
            .send()
            .await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(read.json()["status"], "pending");
    drop(projectors);
    shop.close().await;
}

#[tokio::test]
async fn a_row_that_a_poison_event_keeps_behind_is_said_to_be_degraded_and_the_rest_goes_on() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 100).await;
    let customer = shop.customer(&server).await;
    let poisoned = Uuid::new_v4();
    // an event as a plain postgres-es program would write it, whose content no version of Souk ever wrote
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         values ('order', $1, 1, 'OrderPlaced', '1.0', '{\"type\":\"OrderPlaced\",\"order_id\":7}', '{}')",
    )
    .bind(poisoned.to_string())
    .execute(&shop.pool)
    .await
    .unwrap();
    let placed = customer.order(&[(&product, 1)]).await.expect(201);
    let path = |id: &str| format!("/api/v1/orders/{id}");
    let fine = customer
        .ask(Method::GET, &path(&placed.id()))
        .min_position(&placed.position())
        .send()
        .await;
    let _ = fine.expect(200);
    let degraded = admin
        .ask(Method::GET, &path(&poisoned.to_string()))
        .min_position(&placed.position())
        .send()
        .await;
    degraded.problem_of(503, "read-model-degraded");
    assert!(degraded.header("retry-after").is_some(), "{degraded}");
    parked_key_is_shown(&admin, &poisoned.to_string()).await;
    let told = shop.run(&["projections", "parked"]).await;
    assert!(told.contains(&poisoned.to_string()), "{told}");
    shop.close().await;
}

async fn parked_key_is_shown(admin: &Client, key: &str) {
    let shown = admin.get("/api/v1/subscriptions").await.expect(200);
    assert!(shown.text().contains(key), "{shown}");
}

#[tokio::test]
async fn every_change_answers_with_a_position() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 5).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201);
    let stock = format!("/api/v1/products/{product}/stock");
    let answers = [
        admin
            .patch(
                &format!("/api/v1/products/{product}"),
                &json!({"title": "New"}),
            )
            .send()
            .await,
        admin
            .post(&format!("{stock}/receipts"), &json!({"quantity": 1}))
            .await,
        admin
            .post(&format!("{stock}/adjustments"), &json!({"delta": -1}))
            .await,
        customer
            .post(&format!("/api/v1/orders/{}/cancel", order.id()), &json!({}))
            .await,
        admin
            .ask(Method::DELETE, &format!("/api/v1/products/{product}"))
            .send()
            .await,
    ];
    for answer in answers {
        assert!((200..300).contains(&answer.status), "{answer}");
        assert!(!answer.position().is_empty());
    }
    shop.close().await;
}
