//! A synchronous standby takes over under load: nothing that was acknowledged is lost with the primary.
//!
//! The servers reach the database by an address that moves to the standby, as with any failover.

use eventstore::testing::Proxy;
use reqwest::Method;
use serde_json::json;
use sqlx::Connection;
use tests::{
    answer::Answer,
    client::{Client, new_order},
    eventually,
    history::streams,
    own::postgres::{End, OwnPostgres},
    shop::Shop,
};

use crate::{
    checks,
    clients::Rules,
    seed::long,
    world::{PATIENCE, World, opening},
};

/// The name that the primary knows its standby by.
const NAME: &str = "standby";

/// A primary, and a standby without which it commits nothing.
async fn pair(way_to_primary: Option<&Proxy>, primary: &OwnPostgres) -> OwnPostgres {
    let mut standby = primary
        .standby(NAME, way_to_primary.map(Proxy::address))
        .await;
    standby.go_on().await;
    let mut connection = primary.connect("souk").await;
    for statement in [
        format!("alter system set synchronous_standby_names = '{NAME}'"),
        "select pg_reload_conf()".to_owned(),
    ] {
        sqlx::raw_sql(&statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    primary.wait_for_standby(NAME).await;
    connection.close().await.unwrap();
    standby
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_standby_that_takes_over_has_all_that_was_acknowledged() {
    let mut primary = OwnPostgres::start().await;
    let way = Proxy::start(primary.address()).await;
    let through = primary.options().port(way.address().port());
    let world = World::open(
        "standby",
        opening().with_kafka().on_postgres(through),
        &[&[], &[]],
    )
    .await;
    let mut choices = world.seed.choices("operator");
    let mut load = world.load(Rules::STRICT);
    for _ in 0..if long() { 3 } else { 1 } {
        load.successes(choices.between(10, 100)).await;
        // taken while orders are placed
        let standby = pair(None, &primary).await;
        load.successes(choices.between(40, 160)).await;
        way.refuse(true);
        primary.end(choices.of(&[End::Kill, End::Immediate])).await;
        way.cut();
        standby.promote().await;
        way.lead_to(standby.address());
        way.refuse(false);
        load.successes(40).await;
        primary = standby;
    }
    let record = load.finish().await;
    checks::all(world, record).await;
}

async fn order(client: &Client, product: &str, key: &str) -> Answer {
    let ask = client
        .ask(Method::POST, "/api/v1/orders")
        .json(&new_order(&[(product, 1)]));
    ask.key(key).send().await
}

/// While the standby is away the primary holds back its commits. Ending such a session makes its commit visible on the
/// primary alone: it must not be taken for one that is safe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_the_standby_does_not_have_is_not_acknowledged() {
    let mut primary = OwnPostgres::start().await;
    let way = Proxy::start(primary.address()).await;
    let through = primary.options().port(way.address().port());
    let shop = Shop::opening().on_postgres(through).open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let to_primary = Proxy::start(primary.address()).await;
    let standby = pair(Some(&to_primary), &primary).await;
    let before = order(&customer, &product, "before").await.expect(201);

    to_primary.refuse(true);
    to_primary.cut();
    for _ in 0..3 {
        let answer = order(&customer, &product, "held back").await;
        answer.problem(503);
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }

    way.refuse(true);
    primary.end(End::Kill).await;
    way.cut();
    standby.promote().await;
    way.lead_to(standby.address());
    way.refuse(false);
    let placed = eventually("the standby takes orders", PATIENCE, || async {
        let answer = order(&customer, &product, "held back").await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    let again = order(&customer, &product, "before").await.expect(201);
    assert_eq!(again.id(), before.id());
    let orders = streams(&shop.events().await, "order");
    assert_eq!(orders, [before.id(), placed.id()]);
    checks::of_a_few_orders(shop, server).await;
}

/// Whoever finds a thing done already, and has nothing to write, may have found what the standby does not have: that,
/// too, is answered only once the standby has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_is_there_already_waits_for_the_standby_too() {
    let primary = OwnPostgres::start().await;
    let shop = Shop::opening().on_postgres(primary.options()).open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let to_primary = Proxy::start(primary.address()).await;
    let _standby = pair(Some(&to_primary), &primary).await;
    let placed = order(&customer, &product, "cancelled").await.expect(201);
    let path = format!("/api/v1/orders/{}/cancel", placed.id());
    let cancelled = customer.post(&path, &json!({})).await;
    assert_eq!(cancelled.status, 200, "{cancelled}");

    to_primary.refuse(true);
    to_primary.cut();
    let held_back = customer.post(&path, &json!({})).await;
    held_back.problem(503);

    to_primary.refuse(false);
    eventually("the standby is back", PATIENCE, || async {
        let answer = customer.post(&path, &json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
    checks::of_a_few_orders(shop, server).await;
}
