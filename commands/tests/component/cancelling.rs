//! Cancelling an order in each phase of its payment: what was answered stays true.

use std::time::Duration;

use commands::{
    CommandSettings, Failure,
    orders::{CancelOrder, Progress},
    payment_methods::{DEFAULT, TEST_DECLINED, TEST_VOIDS_AFTER_SILENCE},
};
use domain::{
    ids::{OrderId, UserId},
    order::{OrderStatus, PaymentStatus},
    payment::PaymentState,
};
use eventstore::testing::eventually;
use futures::future::join_all;
use uuid::Uuid;

use crate::shop::{Call, PATIENCE, PRICE, cancellation_of, in_shop, request, settings};

const LATER: Duration = Duration::from_hours(1);

#[tokio::test]
async fn cancelled_before_its_payment_started_nothing_is_charged() {
    in_shop(
        CommandSettings {
            payment_delay: LATER,
            ..settings()
        },
        |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            let order_id = shop.placed(&[(product, 2)], DEFAULT).await;
            shop.until_saga_read_all().await;
            assert_eq!(shop.timers().await, 1);
            let cancelled = shop.cancel(order_id).await.unwrap();
            assert_eq!(cancelled.output.progress, Progress::Done);
            let order = cancelled.output.order.state;
            assert_eq!(
                (order.status, order.payment_status),
                (OrderStatus::Cancelled, PaymentStatus::Unpaid)
            );
            assert_eq!(shop.stock(product).await.available, 5);
            shop.until_no_timer().await;
            assert_eq!(shop.gateway.calls(), []);
            running.close().await;
        },
    )
    .await;
}

#[tokio::test]
async fn cancelled_while_the_gateway_is_asked_it_is_voided() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        shop.gateway.let_charges_in(false);
        let order_id = shop.placed(&[(product, 2)], TEST_VOIDS_AFTER_SILENCE).await;
        shop.gateway.until_called(Call::Charge, 1).await;
        let cancelled = shop.cancel(order_id).await.unwrap();
        assert_eq!(cancelled.output.progress, Progress::Accepted);
        assert_eq!(cancelled.output.order.state.status, OrderStatus::Pending);
        shop.until_order(order_id, "it is cancelled", |order| {
            order.status == OrderStatus::Cancelled
        })
        .await;
        assert_eq!(
            shop.order(order_id).await.payment_status,
            PaymentStatus::Unpaid
        );
        assert_eq!(shop.stock(product).await.available, 5);
        shop.gateway.let_charges_in(true);
        shop.until_no_timer().await;
        assert_eq!(
            shop.payment(order_id).await.unwrap().state(),
            PaymentState::Voided
        );
        assert_eq!(shop.captures_of(order_id).await, 0);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_while_the_money_moves_it_is_given_back() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        shop.gateway.let_answers_out(false);
        let order_id = shop.placed(&[(product, 2)], DEFAULT).await;
        eventually("the money moved", PATIENCE, || async {
            (shop.captures_of(order_id).await == 1).then_some(())
        })
        .await;
        let cancelled = shop.cancel(order_id).await.unwrap();
        assert_eq!(cancelled.output.progress, Progress::Accepted);
        shop.until_order(order_id, "it is refunded", |order| {
            order.payment_status == PaymentStatus::Refunded
        })
        .await;
        let order = shop.order(order_id).await;
        assert_eq!(order.status, OrderStatus::Cancelled);
        assert_eq!(
            (order.paid, order.refunded),
            (Some(2 * PRICE + 200), 2 * PRICE + 200)
        );
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved, stock.sold), (5, 0, 0));
        shop.gateway.let_answers_out(true);
        shop.until_no_timer().await;
        assert_eq!(shop.captures_of(order_id).await, 1);
        assert_eq!(
            shop.cancel(order_id).await.unwrap().output.progress,
            Progress::Done
        );
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_after_it_was_paid_stock_and_money_go_back_once() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        let order_id = shop.placed(&[(product, 2)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        let answers = join_all((0..5).map(|_| shop.cancel(order_id))).await;
        let appended: usize = answers
            .iter()
            .map(|answer| answer.as_ref().unwrap().appended)
            .sum();
        assert_eq!(
            appended, 3,
            "cancelled, stock returned, refund requested: once"
        );
        assert!(
            answers
                .iter()
                .any(|answer| answer.as_ref().unwrap().output.progress == Progress::Accepted)
        );
        shop.until_order(order_id, "it is refunded", |order| {
            order.payment_status == PaymentStatus::Refunded
        })
        .await;
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.sold), (5, 0));
        shop.until_no_timer().await;
        assert_eq!(shop.gateway.count(Call::Refund), 1);
        assert_eq!(
            shop.payment(order_id).await.unwrap().state(),
            PaymentState::Refunded
        );
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_refund_that_the_gateway_refuses_is_recorded_once_and_tried_on() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        shop.gateway.refuse_refunds(true);
        let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        shop.cancel(order_id).await.unwrap();
        shop.gateway.until_called(Call::Refund, 3).await;
        assert_eq!(
            shop.cancel(order_id).await.unwrap().output.progress,
            Progress::Accepted
        );
        shop.gateway.refuse_refunds(false);
        shop.until_order(order_id, "it is refunded", |order| {
            order.payment_status == PaymentStatus::Refunded
        })
        .await;
        let told = shop.told(order_id).await;
        let failures = told.iter().filter(|event| *event == "RefundFailed").count();
        assert_eq!(failures, 1, "{told:?}");
        shop.until_no_timer().await;
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_after_a_decline_nothing_more_is_tried() {
    let window = Duration::from_hours(1);
    in_shop(
        CommandSettings {
            payment_window: window,
            ..settings()
        },
        |shop| async move {
            let running = shop.run_saga().await;
            let product = shop.product(5).await;
            let order_id = shop.placed(&[(product, 2)], TEST_DECLINED).await;
            shop.until_order(order_id, "it failed", |order| {
                order.payment_status == PaymentStatus::Failed
            })
            .await;
            shop.cancel(order_id).await.unwrap();
            shop.until_order(order_id, "it is cancelled", |order| {
                order.status == OrderStatus::Cancelled
            })
            .await;
            shop.until_no_timer().await;
            assert_eq!(shop.stock(product).await.available, 5);
            let ended = shop.payment(order_id).await.unwrap().state();
            assert_eq!(ended, PaymentState::Expired);
            running.close().await;
        },
    )
    .await;
}

/// Edge 13: whatever wins, what was answered stays true.
#[tokio::test]
async fn cancels_that_race_the_timer_never_leave_a_charge_that_was_denied() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(100).await;
        let races = (0..40).map(|_| {
            let shop = shop.clone();
            async move {
                let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
                (
                    order_id,
                    shop.cancel(order_id).await.unwrap().output.progress,
                )
            }
        });
        for (order_id, progress) in join_all(races).await {
            shop.until_order(order_id, "it is cancelled", |order| {
                order.status == OrderStatus::Cancelled
            })
            .await;
            if progress == Progress::Done {
                assert_eq!(shop.captures_of(order_id).await, 0);
            }
        }
        shop.until_no_timer().await;
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved, stock.sold), (100, 0, 0));
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn only_the_customer_s_own_order_and_the_version_that_was_seen_are_cancelled() {
    in_shop(
        CommandSettings {
            payment_delay: LATER,
            ..settings()
        },
        |shop| async move {
            let product = shop.product(5).await;
            let order_id = shop.placed(&[(product, 2)], DEFAULT).await;
            let before = shop.head().await;
            let stranger = CancelOrder {
                only_of: Some(UserId(Uuid::now_v7())),
                ..cancellation_of(order_id)
            };
            let refused = shop
                .commands
                .cancel_order(request(), stranger, None)
                .await
                .unwrap_err();
            assert_eq!(refused, Failure::NotFound { what: "order" });
            let unknown = shop.cancel(OrderId(Uuid::now_v7())).await.unwrap_err();
            assert_eq!(unknown, Failure::NotFound { what: "order" });
            let stale = shop
                .commands
                .cancel_order(request(), cancellation_of(order_id), Some(7))
                .await;
            assert_eq!(
                stale.unwrap_err(),
                Failure::PreconditionFailed { current: 1 }
            );
            assert_eq!(shop.head().await, before);
            let customer_id = shop.order(order_id).await.customer_id;
            let own = CancelOrder {
                only_of: Some(customer_id),
                ..cancellation_of(order_id)
            };
            shop.commands
                .cancel_order(request(), own, Some(1))
                .await
                .unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_process_that_has_seen_nothing_of_the_order_cancels_it_whole() {
    in_shop(
        CommandSettings {
            payment_delay: LATER,
            ..settings()
        },
        |shop| async move {
            let mut items = Vec::new();
            for _ in 0..5 {
                items.push((shop.product(3).await, 2));
            }
            let order_id = shop.placed(&items, DEFAULT).await;
            let other = shop.another_process(settings()).await;
            let cancelled = other
                .cancel_order(request(), cancellation_of(order_id), None)
                .await
                .unwrap();
            assert_eq!(
                cancelled.appended, 6,
                "the order's event and one for each product"
            );
            for (product, _) in items {
                assert_eq!(shop.stock(product).await.available, 3);
            }
            other.log().close().await;
        },
    )
    .await;
}
