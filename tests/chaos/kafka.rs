//! Kafka fails under load: stopped, killed, away for a minute, a topic deleted, and topics that are ahead of the log.
//! The shop goes on meanwhile; the topics say what the log says, or the publisher stops and says so.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use reqwest::Method;
use tests::{
    eventually,
    own::{
        kafka::OwnKafka,
        postgres::{End, OwnPostgres},
    },
    shop::brokers,
};

use crate::{
    checks,
    clients::Rules,
    seed::long,
    story::stories,
    world::{PATIENCE, World, opening},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_is_stopped_killed_and_away_gets_every_event_once_in_the_end() {
    let mut kafka = OwnKafka::start().await;
    let world = World::open(
        "kafka",
        opening().with_kafka_at(&kafka.address()),
        &[&[], &[]],
    )
    .await;
    let mut choices = world.seed.choices("operator");
    let mut load = world.load(Rules::STRICT);
    for round in 0..if long() { 6 } else { 2 } {
        load.successes(choices.between(20, 100)).await;
        if round % 2 == 0 {
            kafka.stop().await;
        } else {
            kafka.kill().await;
        }
        // stopped for a minute the first time, then away by chance
        let away = match (long(), round) {
            (true, 0) => 60_000,
            (true, _) => choices.between(100, 20_000),
            (false, _) => choices.between(100, 5_000),
        };
        tokio::time::sleep(Duration::from_millis(away)).await; // the fault itself
        load.successes(20).await; // the shop does not need it
        kafka.go_on().await;
    }
    let record = load.finish().await;
    checks::all(world, record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_stops_the_publisher_which_says_so() {
    let mut world = World::open("topic deleted", opening().with_kafka(), &[&[], &[]]).await;
    let mut load = world.load(Rules::STRICT);
    load.successes(40).await;
    let topic = format!("{}.order", world.shop.prefix);
    eventually("the topic is there", PATIENCE, || async {
        let records = world.topics().records(0).await;
        records
            .iter()
            .any(|record| record.topic == topic)
            .then_some(())
    })
    .await;
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap();
    let deleted = admin
        .delete_topics(&[topic.as_str()], &AdminOptions::new())
        .await
        .unwrap();
    assert!(deleted[0].is_ok(), "{deleted:?}");
    let reason = format!("topic {topic} is missing");
    wait_until_the_publisher_has_stopped(&world, &reason).await;
    load.successes(40).await; // orders are taken all the same
    let mut record = load.finish().await;

    // what an operator does; the clients come back afterwards
    world.start_new_generation().await;
    let mut load = world.load_again(Rules::STRICT);
    load.successes(20).await;
    record = record.joined(load.finish().await);
    checks::all(world, record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_restored_to_an_older_state_stops_the_publisher_which_says_so() {
    let mut postgres = OwnPostgres::start().await;
    // long enough for the backup to know of orders that are charged only in the time that is lost
    let opening = opening().set("SOUK_PAYMENT_DELAY", "5s");
    let opening = opening.with_kafka().on_postgres(postgres.options());
    let mut world = World::open("log restored", opening, &[&[], &[]]).await;
    let mut load = world.load(Rules::STRICT);
    load.successes(40).await;
    let mut record = load.finish().await;

    world.stop_all().await;
    let backup = postgres.backup().await;
    let mut not_paid_yet = stories(&world.shop.events().await);
    not_paid_yet.retain(|_, story| !story.is_settled());
    world.start_all().await;
    let mut lost = world.load_again(Rules::STRICT);
    lost.successes(40).await;
    let _ = lost.finish().await;
    eventually(
        "one of before is paid, after the backup",
        PATIENCE,
        || async {
            let stories = stories(&world.shop.events().await);
            let mut before = not_paid_yet.keys();
            before.any(|order| stories[order].paid > 0).then_some(())
        },
    )
    .await;
    // the topics are ahead of the backup, by whatever the processes still publish before they end
    world
        .topics()
        .records(world.shop.events().await.len())
        .await;
    world.stop_all().await;
    let published = world.topics().records(0).await;
    let before = world.shop.events().await;
    // a gateway is another company: its book is not restored with our log
    let book = book(&world).await;
    postgres.end(End::Fast).await;
    postgres.restore(&backup);
    postgres.go_on().await;
    put_back(&world, &book).await;
    assert!(
        world.shop.head().await < before.len() as i64,
        "the log is older than the topics"
    );
    world.before_restore = before;
    world.start_all().await;
    wait_until_the_publisher_has_stopped(&world, "the log does not hold event").await;
    let mut load = world.load_again(Rules::STRICT);
    load.successes(40).await;
    record = record.joined(load.finish().await);
    let unchanged = world.topics().records(published.len()).await;
    assert_eq!(
        unchanged.len(),
        published.len(),
        "nothing is published on top of what was lost"
    );

    world.start_new_generation().await;
    checks::all(world, record).await;
}

/// The fake gateway's tables; refunds refer to charges.
const BOOK: [&str; 2] = ["fake_gateway_charges", "fake_gateway_refunds"];

/// The rows of each of them, as JSON.
async fn book(world: &World) -> [String; 2] {
    let mut book = [String::new(), String::new()];
    for (table, rows) in BOOK.iter().zip(&mut book) {
        let sql = format!("select coalesce(json_agg(t), '[]')::text from {table} t");
        let read = sqlx::query_scalar(&sql).fetch_one(&world.shop.pool);
        *rows = read.await.expect("the book is readable");
    }
    book
}

/// Makes the book what it was.
async fn put_back(world: &World, book: &[String; 2]) {
    let emptied = sqlx::raw_sql("truncate fake_gateway_charges, fake_gateway_refunds");
    let emptied = emptied.execute(&world.shop.pool).await;
    emptied.expect("the book is emptied");
    for (table, rows) in BOOK.iter().zip(book) {
        let sql = format!(
            "insert into {table} select * from json_populate_recordset(null::{table}, $1::json)"
        );
        let written = sqlx::query(&sql).bind(rows).execute(&world.shop.pool).await;
        written.expect("the book is written");
    }
}

/// Waits until readiness is red because of the publisher, in the process that leads it, and tells an admin this reason.
async fn wait_until_the_publisher_has_stopped(world: &World, because: &str) {
    eventually(
        "the publisher has stopped and says so",
        PATIENCE,
        || async {
            for number in world.running() {
                if world.state(number, "publisher").await.as_deref() == Some("stopped") {
                    return Some(number);
                }
            }
            None
        },
    )
    .await;
    let admin = world.admin();
    let reason = eventually("an admin is told why", PATIENCE, || async {
        for number in world.running() {
            let client = admin.at(&world.server(number).address);
            let told = client.ask(Method::GET, "/health/ready").send_or_say().await;
            if told.status == 503
                && let Some(all) = told.json()["subscriptions"].as_array()
                && let Some(it) = all
                    .iter()
                    .find(|it| it["name"] == "publisher" && it["state"] == "stopped")
            {
                return it["reason"].as_str().map(str::to_owned);
            }
        }
        None
    })
    .await;
    assert!(
        reason.contains(because) && reason.contains("SOUK_KAFKA_GENERATION=2"),
        "{reason:?} does not say {because:?}, or not what to do"
    );
}
