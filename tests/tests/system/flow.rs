//! The whole way of an order: browsed, placed, paid or not, told as a timeline, and heard on Kafka.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{number_of, text_of},
    client::{PATIENCE, new_order},
    eventually,
    history::{assert_topics_equal_log, count},
    shop::Shop,
};
use uuid::Uuid;

/// Long enough to see the reservation before the payment, short enough for a test.
const DELAY: &str = "2s";

#[tokio::test]
async fn an_order_of_several_lines_goes_from_browsing_to_paid_and_is_heard_on_kafka() {
    let shop = Shop::opening()
        .with_kafka()
        .set("SOUK_PAYMENT_DELAY", DELAY)
        .open()
        .await;
    let server = shop.serve().await;
    let customer = shop.demo_user(&server, "customer").await;

    let region = customer.region("SGD").await;
    let products = browse(&customer, &region).await;
    let [first, second, ..] = products.as_slice() else {
        panic!("seeded")
    };
    let (first_id, second_id) = (
        text_of(&first["product_id"]),
        text_of(&second["product_id"]),
    );
    let (before_first, before_second) = (available(first), available(second));

    let body = new_order(&[(&first_id, 2), (&second_id, 1)]);
    let request = Uuid::new_v4().to_string();
    let ask = customer
        .ask(Method::POST, "/api/v1/orders")
        .json(&body)
        .header("x-request-id", &request);
    let placed = ask.send().await.expect(201);
    assert_eq!(placed.header("x-request-id"), Some(request.as_str()));
    let order = placed.id();
    assert_eq!(
        placed.header("location"),
        Some(format!("/api/v1/orders/{order}").as_str())
    );
    assert_eq!(placed.json()["status"], "pending");
    assert_eq!(placed.json()["payment_status"], "awaiting");
    assert_eq!(
        customer.stock_at(&first_id, &placed.position()).await,
        [before_first - 2, 2, 0]
    );
    assert_eq!(
        customer.stock_at(&second_id, &placed.position()).await,
        [before_second - 1, 1, 0]
    );

    let paid = customer.wait_until_paid(&order).await;
    assert_eq!(paid["status"], "processing");
    assert!(paid["paid_at"].is_string(), "{paid}");
    customer
        .wait_for_stock(&first_id, [before_first - 2, 0, 2])
        .await;
    customer
        .wait_for_stock(&second_id, [before_second - 1, 0, 1])
        .await;

    timeline_tells_every_step_with_its_cause(&shop, &customer, &order, &request).await;

    let events = shop.events().await;
    let when = |name: &str| {
        events
            .iter()
            .find(|event| event.event_type == name)
            .expect(name)
            .recorded_at
    };
    let waited = when("PaymentStarted") - when("OrderPlaced");
    assert!(
        (2..6).contains(&waited.num_seconds()),
        "not before its time, and soon after: {waited}"
    );
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    assert!(server.stop().await.success());
    shop.close().await;
}

/// All products of a region, page by page.
async fn browse(client: &tests::client::Client, region: &str) -> Vec<Value> {
    let mut path = format!("/api/v1/products?region_id={region}&limit=3&sort=title");
    let mut products = Vec::new();
    loop {
        let page = client.get(&path).await.expect(200).json();
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 3);
        products.extend(items.iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/products?region_id={region}&limit=3&sort=title&cursor={next}");
    }
    let ids: HashSet<String> = products
        .iter()
        .map(|product| text_of(&product["product_id"]))
        .collect();
    assert_eq!(ids.len(), products.len(), "no product twice");
    assert!(
        products
            .iter()
            .all(|product| product["region_id"] == region)
    );
    products
}

fn available(product: &Value) -> i64 {
    number_of(&product["stock"]["available"])
}

async fn timeline_tells_every_step_with_its_cause(
    shop: &Shop,
    client: &tests::client::Client,
    order: &str,
    request: &str,
) {
    let path = format!("/api/v1/orders/{order}/timeline");
    let steps = eventually("the timeline tells of the payment", PATIENCE, || async {
        let steps = client.get(&path).await.expect(200).json()["items"]
            .as_array()
            .expect("a list")
            .clone();
        steps
            .iter()
            .any(|step| step["event_type"] == "OrderPaid")
            .then_some(steps)
    })
    .await;
    let told: Vec<String> = steps
        .iter()
        .map(|step| text_of(&step["event_type"]))
        .collect();
    for step in [
        "OrderPlaced",
        "StockReserved",
        "PaymentStarted",
        "OrderPaymentStarted",
        "PaymentCaptured",
        "OrderPaid",
        "StockSold",
    ] {
        assert!(
            told.iter().any(|name| name == step),
            "{step} is not told in {told:?}"
        );
    }
    let positions: Vec<i64> = steps
        .iter()
        .map(|step| number_of(&step["position"]))
        .collect();
    assert!(positions.is_sorted(), "{positions:?}");
    let events = shop.events().await;
    let ids: HashSet<String> = events
        .iter()
        .map(|event| event.event_id.to_string())
        .collect();
    for step in &steps {
        assert_eq!(
            step["correlation_id"], request,
            "all of it is one story: {step}"
        );
        let cause = text_of(&step["causation_id"]);
        assert!(
            ids.contains(&cause) || cause == request,
            "the cause is an event or the request: {step}"
        );
        let actor = text_of(&step["actor"]);
        assert!(
            actor.starts_with("user:") || actor.starts_with("saga:"),
            "{step}"
        );
    }
    let started = steps
        .iter()
        .find(|step| step["event_type"] == "PaymentStarted")
        .expect("told");
    let placed = steps
        .iter()
        .find(|step| step["event_type"] == "OrderPlaced")
        .expect("told");
    assert_eq!(
        started["causation_id"], placed["event_id"],
        "the payment follows from the order"
    );
}

#[tokio::test]
async fn a_declined_order_becomes_unpaid_and_gives_its_stock_back() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&product, 3)], "test_declined").await;
    let unpaid = customer.wait_for_payment(&order, "unpaid").await;
    assert_eq!(unpaid["status"], "cancelled");
    customer.wait_for_stock(&product, [5, 0, 0]).await;
    shop.close().await;
}

#[tokio::test]
async fn an_order_whose_payment_times_out_once_is_paid_and_charged_once() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let order = customer
        .place(&[(&product, 2)], "test_times_out_then_succeeds")
        .await;
    customer.wait_until_paid(&order).await;
    customer.wait_for_stock(&product, [3, 0, 2]).await;
    assert_eq!(super::payment::charges(&shop).await, 1);
    shop.close().await;
}

#[tokio::test]
async fn a_gateway_that_never_answers_leaves_a_payment_that_is_seen_to_be_stuck() {
    let shop = Shop::opening()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("SOUK_GATEWAY_RETRY", "50ms")
        .set("SOUK_GATEWAY_PATIENCE", "500ms")
        .open()
        .await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&product, 2)], "test_never_answers").await;
    let stuck = eventually("the payment is listed as stuck", PATIENCE, || async {
        let list = admin
            .get("/api/v1/payments?status=stuck")
            .await
            .expect(200)
            .json();
        list["items"]
            .as_array()?
            .iter()
            .find(|payment| payment["order_id"] == order.as_str())
            .cloned()
    })
    .await;
    assert_eq!(stuck["status"], "stuck");
    let seen = customer.read_order(&order).await;
    assert_eq!(
        (&seen["status"], &seen["payment_status"]),
        (&json!("pending"), &json!("awaiting"))
    );
    customer.wait_for_stock(&product, [3, 2, 0]).await;
    shop.close().await;
}

#[tokio::test]
async fn without_a_delay_the_payment_is_decided_at_once() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(99, 1).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    let paid = customer.wait_until_paid(&order).await;
    let payments = shop
        .admin(&server)
        .await
        .get(&format!("/api/v1/payments?order_id={order}"))
        .await
        .expect(200);
    let payment = payments.json()["items"][0].clone();
    assert_eq!(payment["status"], "captured", "{payment}");
    assert_eq!(payment["payment_id"], paid["payment_id"]);
    let events = shop.events().await;
    assert_eq!(count(&events, &order, "OrderPaid"), 1);
    shop.close().await;
}

#[tokio::test]
async fn each_part_may_run_in_a_process_of_its_own() {
    let shop = Shop::opening()
        .with_kafka()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .open()
        .await;
    let api = shop.serve_with(&[("SOUK_ROLES", "api")]).await;
    let projectors = shop.serve_with(&[("SOUK_ROLES", "projectors")]).await;
    let _saga = shop.serve_with(&[("SOUK_ROLES", "saga")]).await;
    let _publisher = shop.serve_with(&[("SOUK_ROLES", "publisher")]).await;
    shop.caught_up(&projectors).await;
    let product = shop.admin(&api).await.product(1_000, 3).await;
    let customer = shop.customer(&api).await;
    let order = customer.order(&[(&product, 2)]).await.expect(201).id();
    customer.wait_until_paid(&order).await;
    customer.wait_for_stock(&product, [1, 0, 2]).await;
    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    // who does not serve the API is still asked for its health, and for nothing else
    let _ = shop
        .client(&projectors)
        .get("/health/ready")
        .await
        .expect(200);
    shop.client(&projectors)
        .get("/api/v1/products")
        .await
        .problem(404);
    shop.close().await;
}
