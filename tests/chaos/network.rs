//! The network between a server process and PostgreSQL is slow, thin, or only half open (toxiproxy).

use std::time::Duration;

use serde_json::json;
use sqlx::ConnectOptions;
use tests::own::toxiproxy::Toxiproxy;

use crate::{
    checks,
    clients::Rules,
    seed::{Choices, long},
    world::{World, opening},
};

/// The two directions, as toxiproxy calls them.
const DIRECTIONS: [&str; 2] = ["upstream", "downstream"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_slow_or_half_open_is_waited_for_no_longer_than_documented() {
    let mut world = World::open("network", opening().with_kafka(), &[&[]]).await;
    let folder = world.shop.folder().to_owned();
    let database = world.shop.database().options();
    let target = (database.get_host(), database.get_port());
    let target = tokio::net::lookup_host(target)
        .await
        .unwrap()
        .next()
        .unwrap();
    let way = Toxiproxy::start(target, &folder).await;
    let through = database
        .clone()
        .host("127.0.0.1")
        .port(way.address().port());
    // the first process goes through it from now on; a second one does not, and is not disturbed
    world.stop_all().await;
    world.set("DATABASE_URL", through.to_url_lossy().as_str());
    world.start_all().await;
    world
        .add(&[("DATABASE_URL", database.to_url_lossy().as_str())])
        .await;
    let mut choices = world.seed.choices("network");
    let mut load = world.load(Rules::STRICT);
    for round in 0..if long() { 12 } else { 4 } {
        load.successes(choices.between(10, 60)).await;
        let name = put_a_toxic(&way, round, &mut choices).await;
        let longest = if long() { 40_000 } else { 12_000 };
        tokio::time::sleep(Duration::from_millis(choices.between(3_000, longest))).await; // the fault itself
        way.take(name).await;
    }
    load.successes(40).await;
    let record = load.finish().await;
    checks::all(world, record).await;
}

/// Slow, thin, half open towards the database, half open back; then by chance.
async fn put_a_toxic(way: &Toxiproxy, round: u64, choices: &mut Choices) -> &'static str {
    match if round < 4 { round } else { choices.below(4) } {
        0 => {
            let (latency, jitter) = (choices.between(50, 400), choices.between(0, 100));
            let attributes = json!({"latency": latency, "jitter": jitter});
            way.put("slow", "latency", choices.of(&DIRECTIONS), &attributes)
                .await;
            "slow"
        }
        1 => {
            // nothing arrives, and the connection stays open until the toxic is taken out
            way.put("deaf", "timeout", "upstream", &json!({"timeout": 0}))
                .await;
            "deaf"
        }
        2 => {
            way.put("mute", "timeout", "downstream", &json!({"timeout": 0}))
                .await;
            "mute"
        }
        _ => {
            let kilobytes = choices.between(8, 60);
            way.put(
                "thin",
                "bandwidth",
                choices.of(&DIRECTIONS),
                &json!({"rate": kilobytes}),
            )
            .await;
            "thin"
        }
    }
}
