//! Processes that die, stand still or are asked to go, in the middle of their work: what was acknowledged stays.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use serde_json::json;
use sqlx::Connection;
use tests::{
    answer::Answer,
    client::{Client, PATIENCE, new_order},
    eventually,
    history::{assert_stock_adds_up, assert_topics_equal_log, count, streams},
    shop::Shop,
};
use uuid::Uuid;

const IN_FLIGHT: usize = 50;

/// Places orders of one piece, `IN_FLIGHT` at a time, each with a key of its own, until the server answers no more.
/// Calls `begin` once some are through. Returns what was acknowledged by key, and the keys whose fate is not known.
async fn order_until_it_dies(
    client: &Client,
    product: &str,
    begin: impl AsyncFnOnce(),
) -> (HashMap<String, Answer>, Vec<String>) {
    let ask = |key: String| async move {
        let ask = client
            .ask(reqwest::Method::POST, "/api/v1/orders")
            .json(&new_order(&[(product, 1)]))
            .key(&key);
        (key.clone(), ask.try_send().await)
    };
    let new_key = || Uuid::new_v4().to_string();
    let mut running: FuturesUnordered<_> = (0..IN_FLIGHT).map(|_| ask(new_key())).collect();
    let (mut acknowledged, mut unknown) = (HashMap::new(), Vec::new());
    let mut begin = Some(begin);
    while let Some((key, answer)) = running.next().await {
        match answer {
            Ok(answer) if answer.status == 201 => {
                acknowledged.insert(key, answer);
                if acknowledged.len() >= IN_FLIGHT
                    && let Some(begin) = begin.take()
                {
                    begin().await;
                }
                if unknown.is_empty() {
                    running.push(ask(new_key()));
                }
            }
            Ok(answer) => {
                assert!(answer.status == 503, "{answer}");
                unknown.push(key);
            }
            Err(_) => unknown.push(key),
        }
    }
    (acknowledged, unknown)
}

#[tokio::test]
async fn after_a_sigkill_every_acknowledged_order_is_there_once_and_gets_paid_once() {
    let shop = Shop::opening()
        .with_kafka()
        .set("SOUK_PAYMENT_DELAY", "1s")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 100_000).await;
    let customer = shop.customer(&server).await;
    let (acknowledged, unknown) =
        order_until_it_dies(&customer, &product, async || server.kill_9().await).await;
    assert!(!unknown.is_empty(), "orders were in flight");

    let server = shop.serve().await;
    let customer = customer.at(&server.address);
    // whoever got no answer asks again with the same key, and so does one who did
    let mut orders: HashMap<String, String> = acknowledged
        .iter()
        .map(|(key, answer)| (key.clone(), answer.id()))
        .collect();
    for key in unknown.iter().chain(acknowledged.keys().take(5)) {
        let ask = customer
            .ask(reqwest::Method::POST, "/api/v1/orders")
            .json(&new_order(&[(&product, 1)]))
            .key(key);
        let order = ask.send().await.expect(201).id();
        assert_eq!(
            *orders.entry(key.clone()).or_insert_with(|| order.clone()),
            order,
            "one key, one order"
        );
    }
    let placed: HashSet<String> = streams(&shop.events().await, "order").into_iter().collect();
    assert_eq!(
        placed,
        orders.values().cloned().collect(),
        "no order is lost, none is there without a key"
    );

    let total = orders.len() as i64;
    eventually("all of them are paid", Duration::from_mins(1), || async {
        let events = shop.events().await;
        let paid = events
            .iter()
            .filter(|event| event.event_type == "OrderPaid")
            .count();
        (paid == orders.len()).then_some(())
    })
    .await;
    assert_eq!(
        super::payment::charges(&shop).await,
        total,
        "each is charged once"
    );
    customer
        .wait_for_stock(&product, [100_000 - total, 0, total])
        .await;

    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    shop.close().await;
}

#[tokio::test]
async fn a_graceful_stop_answers_what_it_has_begun_and_loses_nothing() {
    let shop = Shop::open().await;
    let mut server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 100_000).await;
    let customer = shop.customer(&server).await;
    let (acknowledged, _) =
        order_until_it_dies(&customer, &product, async || server.ask_to_stop().await).await;
    assert!(server.ended().await.success());
    let placed: HashSet<String> = streams(&shop.events().await, "order").into_iter().collect();
    let answered: HashSet<String> = acknowledged.values().map(Answer::id).collect();
    assert_eq!(
        placed, answered,
        "what is stored was answered, and the other way round"
    );
    shop.close().await;
}

#[tokio::test]
async fn a_process_that_stands_still_while_it_writes_does_not_stop_the_shop() {
    let shop = Shop::open().await;
    let (frozen, other) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&other).await;
    let product = admin.product(100, 100_000).await;
    let customer = shop.customer(&frozen).await;
    let elsewhere = customer.at(&other.address);
    for _ in 0..3 {
        let item = [(product.as_str(), 1)];
        let mut running: FuturesUnordered<_> =
            (0..IN_FLIGHT).map(|_| customer.order(&item)).collect();
        let first = running.next().await.unwrap();
        assert_eq!(first.status, 201, "{first}");
        frozen.pause().await;
        let begun = Instant::now();
        let _ = elsewhere.order(&item).await.expect(201);
        assert!(
            begun.elapsed() < Duration::from_secs(6), // the lock timeout, and some
            "others wait {:?}",
            begun.elapsed()
        );
        let _ = elsewhere.order(&item).await.expect(201);
        frozen.resume().await;
        while let Some(late) = running.next().await {
            assert!(matches!(late.status, 201 | 503), "{late}");
        }
    }
    // for certain in the middle of an append: it waits for the lock of the log, which somebody else holds
    let mut connection = shop.database().connect().await;
    let mut held = connection.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(log_lock())")
        .execute(&mut *held)
        .await
        .unwrap();
    let late = {
        let (customer, product) = (customer.clone(), product.clone());
        tokio::spawn(async move { customer.order(&[(&product, 1)]).await })
    };
    eventually("the append waits for the lock", PATIENCE, || async {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_locks l join pg_database d on d.oid = l.database \
             where d.datname = current_database() and l.locktype = 'advisory' and not l.granted)",
        )
        .fetch_one(&mut shop.database().connect().await)
        .await
        .unwrap();
        waits.then_some(())
    })
    .await;
    frozen.pause().await;
    held.rollback().await.unwrap();
    let begun = Instant::now();
    let _ = elsewhere.order(&[(&product, 1)]).await.expect(201);
    assert!(begun.elapsed() < Duration::from_secs(6));
    frozen.resume().await;
    let late = late.await.unwrap();
    assert!(matches!(late.status, 201 | 503), "{late}");

    let events = shop.events().await;
    let orders = streams(&events, "order").len() as i64;
    customer
        .wait_for_stock(&product, [100_000 - orders, orders, 0])
        .await;
    shop.close().await; // also looks whether the late writes have bent the log
}

#[tokio::test]
async fn another_process_takes_the_subscriptions_over_within_seconds() {
    let shop = Shop::opening()
        .with_kafka()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .open()
        .await;
    let first = shop.serve().await;
    let second = shop.serve().await;
    let product = shop.admin(&first).await.product(100, 100).await;
    let customer = shop.customer(&second).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    customer.wait_until_paid(&order).await;
    first.kill_9().await;
    let killed = Instant::now();
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    customer.wait_until_paid(&order).await;
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "take-over took {:?}",
        killed.elapsed()
    );
    let events = eventually("the sale is in the log", PATIENCE, || async {
        let events = shop.events().await;
        (count(&events, &product, "StockSold") == 2).then_some(events)
    })
    .await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    shop.close().await;
}

#[tokio::test]
async fn a_leader_that_stands_still_is_replaced_and_does_no_harm_when_it_goes_on() {
    let shop = Shop::opening()
        .with_kafka()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .open()
        .await;
    let leader = shop.serve().await;
    let other = shop.serve().await;
    let product = shop.admin(&leader).await.product(100, 1_000).await;
    let customer = shop.customer(&other).await;
    let item = [(product.as_str(), 1)];
    for round in 0..2 {
        let begun = join_all((0..IN_FLIGHT).map(|_| customer.order(&item))).await;
        // in the middle of projecting, paying and publishing them
        leader.pause().await;
        assert!(begun.iter().all(|answer| answer.status == 201));
        let order = customer.order(&item).await.expect(201).id();
        let stopped = Instant::now();
        eventually("the other process pays", Duration::from_mins(1), || async {
            (customer.read_order(&order).await["payment_status"] == "paid").then_some(())
        })
        .await;
        assert!(
            stopped.elapsed() < Duration::from_secs(20),
            "round {round}: {:?}",
            stopped.elapsed()
        );
        leader.resume().await;
    }
    let placed = 2 * (IN_FLIGHT as i64 + 1);
    eventually("all are paid", Duration::from_mins(1), || async {
        (super::payment::charges(&shop).await == placed
            && shop
                .events()
                .await
                .iter()
                .filter(|event| event.event_type == "OrderPaid")
                .count() as i64
                == placed)
            .then_some(())
    })
    .await;
    for server in [&leader, &other] {
        shop.client(server)
            .wait_for_stock(&product, [1_000 - placed, 0, placed])
            .await;
    }
    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    shop.close().await;
}

#[tokio::test]
async fn a_server_that_was_just_started_knows_the_stock_however_many_ask_for_it_at_once() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 1_000).await;
    let mut customer = shop.customer(&server).await;
    let mut server = server;
    for round in 1..=20 {
        // whether they meet in one batch is chance: so often that they do
        let item = [(product.as_str(), 1)];
        let orders = join_all((0..IN_FLIGHT).map(|_| customer.order(&item))).await;
        assert!(server.stop().await.success());
        // nothing is cached: all of these find out at once that they need the stock of the same product
        server = shop.serve().await;
        customer = customer.at(&server.address);
        let cancels = orders.into_iter().map(|order| {
            let path = format!("/api/v1/orders/{}/cancel", order.expect(201).id());
            let customer = &customer;
            async move { customer.post(&path, &json!({})).await }
        });
        for cancelled in join_all(cancels).await {
            let _ = cancelled.expect(200);
        }
        assert_stock_adds_up(&shop.events().await);
        let placed = customer.order(&item).await.expect(201);
        let stock = customer.stock_at(&product, &placed.position()).await;
        assert_eq!(stock, [1_000 - round, round, 0], "round {round}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_still_publishes_every_event_once() {
    let shop = Shop::opening().with_kafka().open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 100_000).await;
    let mut customer = shop.customer(&server).await;
    let mut server = Some(server);
    for _ in 0..3 {
        let item = [(product.as_str(), 1)];
        let orders = join_all((0..IN_FLIGHT).map(|_| customer.order(&item))).await;
        assert!(orders.iter().all(|answer| answer.status == 201));
        // at once: the publisher is in the middle of them
        if let Some(server) = server.take() {
            server.kill_9().await;
        }
        let next = shop.serve().await;
        customer = customer.at(&next.address);
        server = Some(next);
    }
    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    shop.close().await;
}
