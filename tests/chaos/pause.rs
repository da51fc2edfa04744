//! SIGSTOP and SIGCONT: a process that writes, one that leads subscriptions, the publisher in a transaction. The others
//! go on meanwhile, and whoever wakes up does no harm.

use std::time::Duration;

use tests::eventually;

use crate::{
    checks,
    clients::{Load, Rules},
    seed::{Choices, long},
    world::{CUSTOMERS, PATIENCE, World, opening},
};

/// The longest that a process which stands still may hold up a command at another one, as docs/GUARANTEES.md promises.
const HELD_UP: Duration = Duration::from_secs(6);
/// How long a broker may take to end a transaction whose end it was told before the publisher stood still.
const ENDING: Duration = Duration::from_secs(1);
/// How long the publisher runs between two attempts to stop it in a transaction.
const RUN_UP: Duration = Duration::from_millis(200);

/// Shortest and longest pause, in milliseconds. Only one that is longer than [`HELD_UP`] can show that it is kept.
fn pauses() -> (u64, u64) {
    if long() {
        (1_000, 30_000)
    } else {
        (6_500, 8_000)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_stand_still_stop_nobody_and_do_no_harm_when_they_go_on() {
    let world = World::open("pause", opening().with_kafka(), &[&[], &[]]).await;
    let mut choices = world.seed.choices("sandman");
    let mut load = world.load(Rules {
        standing_still: Duration::from_millis(pauses().1),
        decided_within: Some(HELD_UP),
        ..Rules::STRICT
    });
    let rounds = if long() { 12 } else { 3 };
    let mut served = 0;
    for round in 0..rounds {
        load.successes(choices.between(20, 120)).await;
        let sleeper = match round % 3 {
            0 => choices.below(2) as usize,
            1 => leader(&world, choices.of(&["orders_v3", "payment_saga"])).await,
            _ => leader(&world, "publisher").await,
        };
        if round % 3 == 2 {
            pause_in_transaction(&world, sleeper).await;
        } else {
            world.server(sleeper).pause().await;
            world.close_door(sleeper);
        }
        served += stand_still(&load, &mut choices).await;
        world.server(sleeper).resume().await;
        world.open_door(sleeper);
    }
    // more than the answers that were on their way to each client when a process stopped
    assert!(
        served > rounds * CUSTOMERS as u64,
        "nobody was served while a process stood still"
    );
    let record = load.finish().await;
    checks::all(world, record).await;
}

/// The fault itself: how long a process stands still. Returns how many successes were heard meanwhile, at the other one:
/// none where all clients happen to wait at the door of the one that stands still.
async fn stand_still(load: &Load, choices: &mut Choices) -> u64 {
    let before = load.heard();
    let (shortest, longest) = pauses();
    tokio::time::sleep(Duration::from_millis(choices.between(shortest, longest))).await;
    load.heard() - before
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

/// Pauses the publisher while a transaction of its is open. Clients go to the other process from now on, since this one
/// stands still more often than once.
async fn pause_in_transaction(world: &World, publisher: usize) {
    world.close_door(publisher);
    let topics = world.topics();
    let (server, topics) = (world.server(publisher), &topics);
    eventually(
        "the publisher stands still in a transaction",
        PATIENCE,
        || async {
            server.pause().await;
            // one whose commit is on its way looks open, too, but not for long
            if topics.in_transaction().await {
                tokio::time::sleep(ENDING).await;
                if topics.in_transaction().await {
                    return Some(());
                }
            }
            server.resume().await;
            tokio::time::sleep(RUN_UP).await; // it goes on
            None
        },
    )
    .await;
}
