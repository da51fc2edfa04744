//! The saga interrupted: stopped, killed, started twice. Nothing is charged twice and nothing forgotten.

use std::time::Duration;

use commands::{
    CommandSettings,
    payment_methods::DEFAULT,
    saga::{SagaSettings, payment_saga},
};
use domain::ids::PaymentId;
use eventstore::testing::eventually;
use futures::future::join_all;

use crate::shop::{Call, PATIENCE, in_shop, saga_settings, settings};

#[tokio::test]
async fn a_runner_that_dies_in_the_middle_of_charges_is_taken_over_by_the_next() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(1_000).await;
        let place = |count| {
            let items = [(product, 1)];
            let shop = shop.clone();
            async move {
                let orders = (0..count).map(|_| shop.placed(&items, DEFAULT));
                join_all(orders).await
            }
        };
        let dying = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (saga, runner) =
            payment_saga(shop.commands.clone(), shop.gateway.clone(), saga_settings());
        shop.follow(saga).await;
        let _keeps_it_running = dying.spawn(async move {
            let _running = runner.spawn();
            std::future::pending::<()>().await;
        });
        // money moved and the answer has not come back …
        shop.gateway.let_answers_out(false);
        let mut orders = place(20).await;
        for order_id in orders.clone() {
            eventually("the money moved", PATIENCE, || async {
                (shop.captures_of(order_id).await == 1).then_some(())
            })
            .await;
        }
        // … and charges that have not reached the gateway
        shop.gateway.let_charges_in(false);
        orders.extend(place(20).await);
        shop.gateway.until_called(Call::Charge, 40).await;
        dying.shutdown_background();
        shop.gateway.let_charges_in(true);
        shop.gateway.let_answers_out(true);

        let next = shop.run_timers();
        eventually("all are sold", PATIENCE, || async {
            (shop.stock(product).await.sold == 40).then_some(())
        })
        .await;
        shop.until_no_timer().await;
        for order_id in orders {
            assert_eq!(shop.captures_of(order_id).await, 1);
            assert_eq!(shop.order(order_id).await.attempt, 1);
        }
        next.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_closed_runner_gives_back_what_it_has_not_finished() {
    in_shop(settings(), |shop| async move {
        let long = SagaSettings {
            claim: Duration::from_hours(1),
            ..saga_settings()
        };
        let product = shop.product(10).await;
        let (saga, runner) = payment_saga(shop.commands.clone(), shop.gateway.clone(), long);
        shop.follow(saga).await;
        let first = runner.spawn();
        shop.gateway.let_charges_in(false);
        let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
        shop.gateway.until_called(Call::Charge, 1).await;
        first.close().await;
        shop.gateway.let_charges_in(true);
        // a claim of an hour is no obstacle
        let second = shop.run_timers();
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        assert_eq!(shop.captures_of(order_id).await, 1);
        second.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_timer_belongs_to_its_runner_for_as_long_as_that_works_on_it() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let another = shop.run_timers();
        let product = shop.product(10).await;
        shop.gateway.let_charges_in(false);
        let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
        shop.gateway.until_called(Call::Charge, 1).await;
        // twice as long as a claim lasts that is not renewed
        let renewed = "select bool_and(claimed_until > clock_timestamp() and clock_timestamp() > due_at + $1) from timers";
        eventually("the claim is renewed", PATIENCE, || async {
            let held: bool = sqlx::query_scalar(renewed)
                .bind(saga_settings().claim * 2)
                .fetch_one(shop.log.pool())
                .await
                .unwrap();
            held.then_some(())
        })
        .await;
        assert_eq!(shop.gateway.calls(), [Call::Charge], "nobody else asked");
        shop.gateway.let_charges_in(true);
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        assert_eq!(shop.gateway.calls(), [Call::Charge]);
        running.close().await;
        another.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_timer_that_fires_again_after_the_payment_charges_nothing() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(10).await;
        let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some()).await;
        shop.until_no_timer().await;
        let before = shop.head().await;
        // as if the removal had been lost in a crash
        sqlx::query(
            "insert into timers (saga, key, kind, due_at, cause, correlation) \
             select $1, $2, kind, now(), gen_random_uuid(), '' from unnest(array['payment', 'window']) kind",
        )
        .bind(commands::saga::NAME)
        .bind(order_id.to_string())
        .execute(shop.log.pool())
        .await
        .unwrap();
        shop.until_no_timer().await;
        assert_eq!(shop.head().await, before);
        assert_eq!(shop.gateway.calls(), [Call::Charge]);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn history_read_again_from_the_start_charges_nothing() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(10).await;
        let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        shop.until_no_timer().await;
        let before = shop.head().await;
        // the order's placing alone, as a batch of its own
        for order_event in shop
            .log
            .stream("order", &order_id.to_string(), 0, 10)
            .await
            .unwrap()
        {
            let (mut saga, _) =
                payment_saga(shop.commands.clone(), shop.gateway.clone(), saga_settings());
            let mut connection = shop.log.pool().acquire().await.unwrap();
            let events = [std::sync::Arc::new(order_event)];
            eventstore::subscription::Subscriber::handle(&mut saga, &events, &mut *connection)
                .await
                .unwrap();
        }
        shop.until_no_timer().await;
        assert_eq!(shop.head().await, before);
        assert_eq!(shop.gateway.calls(), [Call::Charge]);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_the_gateway_never_heard_of_is_charged_with_the_same_key() {
    in_shop(
        CommandSettings {
            payment_delay: Duration::ZERO,
            ..settings()
        },
        |shop| async move {
            let product = shop.product(10).await;
            let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
            // begun and committed, and then the process died
            let cause = eventstore::event::Cause::default();
            shop.commands
                .advance_payment(cause, order_id)
                .await
                .unwrap();
            let running = shop.run_saga().await;
            shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
                .await;
            assert_eq!(shop.gateway.calls(), [Call::Ask, Call::Charge]);
            let payment = shop.payment(order_id).await.unwrap();
            assert_eq!(
                (payment.payment_id, payment.attempt),
                (PaymentId::of(order_id), 1)
            );
            running.close().await;
        },
    )
    .await;
}
