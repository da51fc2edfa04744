//! The saga and a gateway that does not answer: never a second charge, and never an order that ends by a guess.

use std::time::Duration;

use commands::{
    CommandSettings,
    payment_methods::{TEST_NEVER_ANSWERS, TEST_TIMES_OUT_THEN_SUCCEEDS, TEST_VOIDS_AFTER_SILENCE},
};
use domain::{
    order::{OrderStatus, PaymentStatus},
    payment::PaymentState,
};
use eventstore::testing::eventually;

use crate::shop::{Call, PATIENCE, in_shop, settings};

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_asked_for_not_charged_again() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        let order_id = shop
            .placed(&[(product, 1)], TEST_TIMES_OUT_THEN_SUCCEEDS)
            .await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        shop.until_no_timer().await;
        assert_eq!(shop.gateway.calls(), [Call::Charge, Call::Ask]);
        assert_eq!(shop.captures_of(order_id).await, 1);
        assert_eq!(shop.order(order_id).await.attempt, 1);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn after_patience_a_silent_charge_is_voided_and_only_then_the_order_unpaid() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        let order_id = shop.placed(&[(product, 2)], TEST_VOIDS_AFTER_SILENCE).await;
        shop.until_order(order_id, "it is unpaid", |order| {
            order.payment_status == PaymentStatus::Unpaid
        })
        .await;
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved), (5, 0));
        assert_eq!(
            shop.told(order_id).await,
            [
                "OrderPlaced",
                "PaymentStarted",
                "OrderPaymentStarted",
                "PaymentVoidRequested",
                "PaymentVoided",
                "OrderUnpaid"
            ]
        );
        // first asked, then voided
        let calls = shop.gateway.calls();
        let void = calls.iter().position(|call| *call == Call::Void).unwrap();
        assert_eq!((calls[0], calls[void - 1]), (Call::Charge, Call::Ask));
        assert_eq!(shop.gateway.count(Call::Charge), 1);
        shop.until_no_timer().await;
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_never_answers_leaves_the_payment_stuck_and_the_stock_reserved() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        let order_id = shop.placed(&[(product, 2)], TEST_NEVER_ANSWERS).await;
        eventually("it is stuck", PATIENCE, || async {
            let payment = shop.payment(order_id).await?;
            (payment.state() == PaymentState::Stuck).then_some(())
        })
        .await;
        let voids = shop.gateway.count(Call::Void);
        shop.gateway.until_called(Call::Void, voids + 3).await;
        let order = shop.order(order_id).await;
        assert_eq!(
            (order.status, order.payment_status),
            (OrderStatus::Pending, PaymentStatus::Awaiting)
        );
        assert_eq!(shop.stock(product).await.reserved, 2);
        assert_eq!(shop.gateway.count(Call::Charge), 1);
        let told = shop.told(order_id).await;
        let stuck = told.iter().filter(|event| *event == "PaymentStuck").count();
        assert_eq!(stuck, 1, "{told:?}");
        assert_eq!(shop.timers().await, 1, "it goes on asking");
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_window_that_ends_while_the_outcome_is_unknown_voids_before_it_releases() {
    let window = Duration::from_millis(100);
    in_shop(
        CommandSettings {
            payment_window: window,
            ..settings()
        },
        |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            shop.gateway.let_charges_in(false);
            let order_id = shop.placed(&[(product, 2)], TEST_VOIDS_AFTER_SILENCE).await;
            shop.until_order(order_id, "it is unpaid", |order| {
                order.payment_status == PaymentStatus::Unpaid
            })
            .await;
            assert_eq!(shop.stock(product).await.available, 5);
            assert!(shop.gateway.count(Call::Void) >= 1);
            // the charge that was still on its way finds the void
            shop.gateway.let_charges_in(true);
            shop.until_no_timer().await;
            assert_eq!(shop.captures_of(order_id).await, 0);
            running.close().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_window_that_ends_while_a_capture_is_on_its_way_keeps_the_order() {
    let window = Duration::from_millis(100);
    in_shop(
        CommandSettings {
            payment_window: window,
            ..settings()
        },
        |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            // the money moves, the answer does not come back
            shop.gateway.let_answers_out(false);
            let order_id = shop.placed(&[(product, 2)], "default").await;
            shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
                .await;
            let order = shop.order(order_id).await;
            assert_eq!(
                (order.status, order.payment_status),
                (OrderStatus::Processing, PaymentStatus::Paid)
            );
            shop.gateway.let_answers_out(true);
            shop.until_no_timer().await;
            assert_eq!(shop.captures_of(order_id).await, 1);
            assert_eq!(shop.stock(product).await.sold, 2);
            running.close().await;
        },
    )
    .await;
}
