//! Payments: cancelled in every phase, declined and tried again, timed out, and never charged twice.

use reqwest::Method;
use serde_json::json;
use tests::{
    answer::Answer,
    client::{Client, PATIENCE},
    eventually,
    history::count,
    shop::Shop,
};

/// How often the gateway took money, by its own book.
pub(crate) async fn charges(shop: &Shop) -> i64 {
    sqlx::query_scalar("select count(*) from fake_gateway_charges where status = 'captured'")
        .fetch_one(&shop.pool)
        .await
        .unwrap()
}

/// How often the gateway gave money back, by its own book.
pub(crate) async fn refunds(shop: &Shop) -> i64 {
    sqlx::query_scalar("select count(*) from fake_gateway_refunds")
        .fetch_one(&shop.pool)
        .await
        .unwrap()
}

async fn cancel(client: &Client, order: &str) -> Answer {
    client
        .post(
            &format!("/api/v1/orders/{order}/cancel"),
            &json!({"reason": "changed_mind"}),
        )
        .await
}

async fn wait_for_status(client: &Client, order: &str, status: &str) {
    eventually(&format!("order {order} is {status}"), PATIENCE, || async {
        (client.read_order(order).await["status"] == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_order_cancelled_before_its_payment_started_is_never_charged() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "2s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    let cancelled = customer.place(&[(&product, 2)], "test_succeeds").await;
    let answer = cancel(&customer, &cancelled).await.expect(200);
    assert_eq!(
        customer.stock_at(&product, &answer.position()).await,
        [3, 0, 0]
    );
    // placed after it, so its payment is due after the other's would have been
    let paid = customer.place(&[(&product, 1)], "test_succeeds").await;
    customer.wait_until_paid(&paid).await;
    let order = customer.read_order(&cancelled).await;
    assert_eq!(
        (&order["status"], &order["payment_status"]),
        (&json!("cancelled"), &json!("unpaid"))
    );
    assert_eq!(
        count(&shop.events().await, &cancelled, "OrderPaymentStarted"),
        0
    );
    assert_eq!(charges(&shop).await, 1, "the other order's");
    shop.close().await;
}

#[tokio::test]
async fn an_order_cancelled_while_the_gateway_is_asked_gets_202_and_its_money_back() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    // the charge takes place, its answer is lost, and for two seconds nobody knows
    let order = customer
        .place(&[(&product, 2)], "test_times_out_then_succeeds")
        .await;
    eventually("the payment has started", PATIENCE, || async {
        (count(&shop.events().await, &order, "OrderPaymentStarted") == 1).then_some(())
    })
    .await;
    let _ = cancel(&customer, &order).await.expect(202);
    wait_for_status(&customer, &order, "cancelled").await;
    customer.wait_for_payment(&order, "refunded").await;
    customer.wait_for_stock(&product, [3, 0, 0]).await;
    assert_eq!((charges(&shop).await, refunds(&shop).await), (1, 1));
    shop.close().await;
}

#[tokio::test]
async fn cancelling_a_paid_order_refunds_it_through_the_gateway_once() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&product, 2)], "test_succeeds").await;
    customer.wait_until_paid(&order).await;
    let answers = [
        cancel(&customer, &order).await,
        cancel(&customer, &order).await,
    ];
    assert_eq!(answers[0].status, 202, "{}", answers[0]);
    assert!(
        matches!(answers[1].status, 200 | 202),
        "cancelled already: {}",
        answers[1]
    );
    let refunded = customer.wait_for_payment(&order, "refunded").await;
    assert_eq!(refunded["status"], "cancelled");
    customer.wait_for_stock(&product, [3, 0, 0]).await;
    assert_eq!((charges(&shop).await, refunds(&shop).await), (1, 1));
    shop.close().await;
}

#[tokio::test]
async fn a_cancel_that_races_the_timer_either_prevents_the_charge_or_gets_it_refunded() {
    let shop = Shop::opening()
        .set("SOUK_PAYMENT_DELAY", "300ms")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 100).await;
    let customer = shop.customer(&server).await;
    let mut outcomes = Vec::new();
    for step in 0..12_u64 {
        let order = customer.place(&[(&product, 1)], "test_succeeds").await;
        // not a wait for something: the cancel is to meet the timer at another moment each time
        tokio::time::sleep(std::time::Duration::from_millis(200 + step * 25)).await;
        let answer = cancel(&customer, &order).await;
        assert!(matches!(answer.status, 200 | 202), "{answer}");
        outcomes.push((order, answer.status));
    }
    for (order, status) in &outcomes {
        wait_for_status(&customer, order, "cancelled").await;
        if *status == 200 {
            assert_eq!(
                count(&shop.events().await, order, "OrderPaid"),
                0,
                "a 200 means that no charge follows"
            );
        }
    }
    customer.wait_for_stock(&product, [100, 0, 0]).await;
    eventually("each charge is refunded", PATIENCE, || async {
        (charges(&shop).await == refunds(&shop).await).then_some(())
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_payment_whose_answer_is_lost_stays_pending_and_is_asked_for_with_the_same_key() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer
        .place(&[(&product, 1)], "test_times_out_then_succeeds")
        .await;
    customer.wait_until_paid(&order).await;
    let events = shop.events().await;
    assert_eq!(
        count(&events, &order, "OrderPaymentStarted"),
        1,
        "one attempt"
    );
    let keys: i64 = sqlx::query_scalar("select count(*) from fake_gateway_charges")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(keys, 1, "one key");
    shop.close().await;
}

#[tokio::test]
async fn a_declined_payment_keeps_its_stock_until_the_deadline_and_may_still_succeed() {
    let shop = Shop::opening()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("SOUK_PAYMENT_WINDOW", "60s")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer
        .place(&[(&product, 2)], "test_declined_then_succeeds")
        .await;
    let failed = customer.wait_for_payment(&order, "failed").await;
    assert_eq!(failed["status"], "pending");
    customer.wait_for_stock(&product, [1, 2, 0]).await;
    customer.wait_until_paid(&order).await;
    customer.wait_for_stock(&product, [1, 0, 2]).await;
    assert_eq!(charges(&shop).await, 1);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_declined_until_the_deadline_is_unpaid_and_released_then() {
    let shop = Shop::opening()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("SOUK_PAYMENT_WINDOW", "3s")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&product, 2)], "test_declined").await;
    customer.wait_for_payment(&order, "failed").await;
    customer.wait_for_payment(&order, "unpaid").await;
    customer.wait_for_stock(&product, [3, 0, 0]).await;
    assert_eq!(charges(&shop).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_falls_due_during_a_restart_is_charged_once() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "1s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 30).await;
    let customer = shop.customer(&server).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(customer.place(&[(&product, 1)], "test_succeeds").await);
    }
    server.kill_9().await;
    // two at once, and both find the timers due
    let (one, two) = (shop.serve().await, shop.serve().await);
    let customer = customer.at(&one.address);
    for order in &orders {
        customer.wait_until_paid(order).await;
    }
    customer
        .at(&two.address)
        .wait_for_stock(&product, [20, 0, 10])
        .await;
    assert_eq!(charges(&shop).await, 10);
    shop.close().await;
}

#[tokio::test]
async fn payment_methods_for_tests_are_refused_where_they_are_not_switched_on() {
    let shop = Shop::opening()
        .set("SOUK_TEST_PAYMENT_METHODS", "false")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    let before = shop.head().await;
    let body = json!({"items": [{"product_id": product, "quantity": 1}], "payment_method": "test_succeeds"});
    let refused = customer
        .ask(Method::POST, "/api/v1/orders")
        .json(&body)
        .send()
        .await;
    refused.problem(422);
    assert_eq!(shop.head().await, before);
    shop.close().await;
}

#[tokio::test]
async fn a_charge_that_the_gateway_is_silent_about_is_voided_and_only_then_unpaid() {
    let shop = Shop::opening()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("SOUK_GATEWAY_RETRY", "50ms")
        .set("SOUK_GATEWAY_PATIENCE", "500ms")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer
        .place(&[(&product, 2)], "test_voids_after_silence")
        .await;
    let unpaid = customer.wait_for_payment(&order, "unpaid").await;
    assert_eq!(unpaid["status"], "cancelled");
    customer.wait_for_stock(&product, [3, 0, 0]).await;
    let events = shop.events().await;
    let at = |name: &str| {
        events
            .iter()
            .position(|event| event.event_type == name)
            .expect(name)
    };
    assert!(at("PaymentVoidRequested") < at("PaymentVoided"));
    assert!(
        at("PaymentVoided") < at("StockReleased"),
        "nothing is released before the void is confirmed"
    );
    assert_eq!(charges(&shop).await, 0);
    shop.close().await;
}
