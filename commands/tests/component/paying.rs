//! The saga and a gateway that answers: paid, declined, tried again.

use std::time::Duration;

use commands::{
    CommandSettings,
    payment_methods::{DEFAULT, TEST_DECLINED, TEST_DECLINED_THEN_SUCCEEDS, TEST_SUCCEEDS},
};
use domain::{
    order::{OrderStatus, PaymentStatus, PlacedOrder},
    payment::PaymentState,
};
use eventstore::testing::eventually;
use futures::future::join_all;

use crate::shop::{Call, PATIENCE, in_shop, settings};

fn is_paid(order: &PlacedOrder) -> bool {
    order.payment_status == PaymentStatus::Paid
}

fn is_unpaid(order: &PlacedOrder) -> bool {
    order.payment_status == PaymentStatus::Unpaid
}

#[tokio::test]
async fn an_order_becomes_paid_and_its_stock_sold() {
    for method in [DEFAULT, TEST_SUCCEEDS] {
        in_shop(settings(), |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            let order_id = shop.placed(&[(product, 2)], method).await;
            shop.until_order(order_id, "it is paid", is_paid).await;
            assert_eq!(shop.order(order_id).await.status, OrderStatus::Processing);
            let stock = shop.stock(product).await;
            assert_eq!((stock.available, stock.reserved, stock.sold), (3, 0, 2));
            assert_eq!(
                shop.told(order_id).await,
                [
                    "OrderPlaced",
                    "PaymentStarted",
                    "OrderPaymentStarted",
                    "PaymentCaptured",
                    "OrderPaid"
                ]
            );
            shop.until_no_timer().await;
            assert_eq!(shop.gateway.calls(), [Call::Charge]);
            assert_eq!(shop.captures_of(order_id).await, 1);
            running.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn every_event_of_a_payment_names_its_cause() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", is_paid).await;
        let events = shop
            .log
            .stream("order", &order_id.to_string(), 0, 10)
            .await
            .unwrap();
        let correlation = events[0].metadata_value("correlation_id");
        for event in &events[1..] {
            assert_eq!(event.metadata_value("correlation_id"), correlation);
            assert_eq!(
                event.metadata_value("actor").as_deref(),
                Some("saga:payment")
            );
        }
        let started = &events[1];
        assert_eq!(
            started.metadata_value("causation_id"),
            Some(events[0].event_id.to_string())
        );
        assert_eq!(
            started.metadata_value("command").as_deref(),
            Some("StartPayment")
        );
        assert_eq!(
            events[2].metadata_value("causation_id"),
            Some(started.event_id.to_string())
        );
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_payment_is_not_started_before_its_delay_is_over() {
    let delay = Duration::from_millis(700);
    in_shop(
        CommandSettings {
            payment_delay: delay,
            ..settings()
        },
        |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
            shop.until_order(order_id, "it is paid", is_paid).await;
            let events = shop
                .log
                .stream("order", &order_id.to_string(), 0, 10)
                .await
                .unwrap();
            let waited = (events[1].recorded_at - events[0].recorded_at)
                .to_std()
                .unwrap();
            assert!(
                (delay..delay + Duration::from_secs(1)).contains(&waited),
                "{waited:?}"
            );
            running.close().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_declined_order_is_unpaid_at_once_where_there_is_no_window() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        let order_id = shop.placed(&[(product, 2)], TEST_DECLINED).await;
        shop.until_order(order_id, "it is unpaid", is_unpaid).await;
        assert_eq!(shop.order(order_id).await.status, OrderStatus::Cancelled);
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved, stock.sold), (5, 0, 0));
        let payment = shop.payment(order_id).await.unwrap();
        assert_eq!(payment.state(), PaymentState::Expired);
        shop.until_no_timer().await;
        assert_eq!(shop.gateway.calls(), [Call::Charge]);
        assert_eq!(shop.captures_of(order_id).await, 0);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn within_the_window_a_declined_payment_is_tried_again_with_a_new_key() {
    let window = Duration::from_mins(5);
    in_shop(
        CommandSettings {
            payment_window: window,
            ..settings()
        },
        |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            let order_id = shop
                .placed(&[(product, 2)], TEST_DECLINED_THEN_SUCCEEDS)
                .await;
            shop.until_order(order_id, "it is paid", is_paid).await;
            assert_eq!(shop.order(order_id).await.attempt, 2);
            assert_eq!(shop.stock(product).await.sold, 2);
            // the window's timer, minutes away, is gone too
            shop.until_no_timer().await;
            assert_eq!(shop.gateway.calls(), [Call::Charge, Call::Charge]);
            assert_eq!(shop.captures_of(order_id).await, 1);
            running.close().await;
        },
    )
    .await;
}

#[tokio::test]
async fn stock_stays_reserved_through_declines_until_the_window_is_over() {
    let window = Duration::from_millis(900);
    in_shop(
        CommandSettings {
            payment_window: window,
            ..settings()
        },
        |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            let order_id = shop.placed(&[(product, 2)], TEST_DECLINED).await;
            shop.until_order(order_id, "it failed and is not cancelled", |order| {
                order.payment_status == PaymentStatus::Failed
                    && order.status == OrderStatus::Pending
            })
            .await;
            shop.until_order(order_id, "it is unpaid", is_unpaid).await;
            assert!(shop.gateway.count(Call::Charge) > 1);
            let stock = shop.stock(product).await;
            assert_eq!((stock.available, stock.reserved), (5, 0));
            let events = shop
                .log
                .stream("order", &order_id.to_string(), 0, 100)
                .await
                .unwrap();
            let lasted = (events.last().unwrap().recorded_at - events[1].recorded_at)
                .to_std()
                .unwrap();
            assert!(lasted >= window, "{lasted:?}");
            assert_eq!(
                shop.payment(order_id).await.unwrap().state(),
                PaymentState::Expired
            );
            shop.until_no_timer().await;
            running.close().await;
        },
    )
    .await;
}

#[tokio::test]
async fn many_orders_are_each_charged_once_by_several_runners() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(1_000).await;
        let orders = join_all((0..300).map(|_| {
            let shop = shop.clone();
            async move { shop.placed(&[(product, 1)], DEFAULT).await }
        }))
        .await;
        let runners = [shop.run_saga().await, shop.run_timers(), shop.run_timers()];
        eventually("all are sold", PATIENCE, || async {
            (shop.stock(product).await.sold == 300).then_some(())
        })
        .await;
        shop.until_no_timer().await;
        assert_eq!(shop.gateway.count(Call::Charge), 300);
        for order_id in orders {
            assert_eq!(shop.captures_of(order_id).await, 1);
        }
        for runner in runners {
            runner.close().await;
        }
    })
    .await;
}
