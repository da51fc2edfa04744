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
            kafka.kill().await;
        } else {
            kafka.stop().await;
        }
        // the first time as long as the issue asks for, then by chance
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
    wait_until_the_publisher_has_stopped(&world).await;
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
    let opening = opening().with_kafka().on_postgres(postgres.options());
    let mut world = World::open("log restored", opening, &[&[], &[]]).await;
    let mut load = world.load(Rules::STRICT);
    load.successes(40).await;
    let mut record = load.finish().await;

    world.stop_all().await;
    let backup = postgres.backup().await;
    world.start_all().await;
    let mut lost = world.load_again(Rules::STRICT);
    lost.successes(40).await;
    let _ = lost.finish().await;
    // the topics are ahead of the backup, by whatever the processes still publish before they end
    world
        .topics()
        .records(world.shop.events().await.len())
        .await;
    world.stop_all().await;
    let published = world.topics().records(0).await;
    let before = world.shop.head().await;
    postgres.end(End::Fast).await;
    postgres.restore(&backup);
    postgres.go_on().await;
    assert!(
        world.shop.head().await < before,
        "the log is older than the topics"
    );
    world.start_all().await;
    wait_until_the_publisher_has_stopped(&world).await;
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

/// Waits until readiness is red because of the publisher, in the process that leads it, and tells an admin why.
async fn wait_until_the_publisher_has_stopped(world: &World) {
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
    eprintln!("chaos: the publisher has stopped: {reason}");
}
