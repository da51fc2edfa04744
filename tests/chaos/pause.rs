//! SIGSTOP and SIGCONT: a process that writes, one that leads subscriptions, the publisher in a transaction. The others
//! go on meanwhile, and whoever wakes up does no harm.

use std::time::Duration;

use tests::eventually;

use crate::{
    checks,
    clients::{DEADLINE, Rules},
    seed::{Choices, long},
    world::{PATIENCE, World, opening},
};

/// Longest pause, in milliseconds.
fn longest() -> u64 {
    if long() { 30_000 } else { 7_000 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_stand_still_stop_nobody_and_do_no_harm_when_they_go_on() {
    let world = World::open("pause", opening().with_kafka(), &[&[], &[]]).await;
    let mut choices = world.seed.choices("sandman");
    let mut load = world.load(Rules {
        // who stands in the door of a process that stands still waits with it
        deadline: DEADLINE + Duration::from_millis(longest()),
        ..Rules::STRICT
    });
    let rounds = if long() { 12 } else { 3 };
    for round in 0..rounds {
        load.successes(choices.between(20, 120)).await;
        let sleeper = match round % 3 {
            0 => choices.below(2) as usize,
            1 => leader(&world, choices.of(&["orders_v1", "payment_saga"])).await,
            _ => leader(&world, "publisher").await,
        };
        if round % 3 == 2 {
            pause_in_transaction(&world, sleeper).await;
        } else {
            world.server(sleeper).pause().await;
        }
        world.close_door(sleeper);
        stand_still(&mut choices).await;
        world.server(sleeper).resume().await;
        world.open_door(sleeper);
    }
    let record = load.finish().await;
    checks::all(world, record).await;
}

/// The fault itself: how long a process stands still.
async fn stand_still(choices: &mut Choices) {
    tokio::time::sleep(Duration::from_millis(choices.between(1_000, longest()))).await;
}

/// The process that leads a subscription.
async fn leader(world: &World, subscription: &str) -> usize {
    eventually("somebody leads", PATIENCE, || async {
        for number in world.running() {
            if world.state(number, subscription).await.as_deref() == Some("leading") {
                return Some(number);
            }
        }
        None
    })
    .await
}

/// Pauses the publisher while a transaction of its is open.
async fn pause_in_transaction(world: &World, publisher: usize) {
    let topics = world.topics();
    let (server, topics) = (world.server(publisher), &topics);
    eventually(
        "the publisher stands still in a transaction",
        PATIENCE,
        || async {
            server.pause().await;
            if topics.in_transaction().await {
                return Some(());
            }
            server.resume().await;
            None
        },
    )
    .await;
}
