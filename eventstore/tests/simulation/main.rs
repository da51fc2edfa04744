//! The sequencer and the subscriptions in a simulated world: thousands of seeded histories of faults, pauses, deaths and
//! restarts, each checked at its end against everything that is promised.
//!
//! A history that fails names its seed; `SOUK_SIMULATION_SEED` repeats it alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod clients;
mod cluster;
mod followers;
mod scenarios;
mod shelves;

use eventstore::testing::simulation::{Random, Weather, World, histories};

/// So many that both tests together take about fifteen seconds.
const HISTORIES: u64 = 1_500;

#[test]
fn units_of_work_keep_their_promises_whatever_happens_to_processes_and_connections() {
    histories("units of work", HISTORIES, |seed| async move {
        let mut random = Random::new(seed);
        let weather = Weather::draw(&mut random);
        let cluster =
            cluster::Cluster::start(World::new(random.fork(), weather), &mut random, false);
        let records = clients::trade(&cluster, &mut random).await;
        cluster.settle().await;
        check::all(&cluster, &records).await;
    });
}

#[test]
fn subscriptions_handle_every_event_once_and_in_order_whatever_happens() {
    histories("subscriptions", HISTORIES, |seed| async move {
        let mut random = Random::new(seed);
        let weather = Weather::draw(&mut random);
        let cluster =
            cluster::Cluster::start(World::new(random.fork(), weather), &mut random, true);
        let records = clients::trade(&cluster, &mut random).await;
        cluster.settle().await;
        check::all(&cluster, &records).await;
        followers::check(cluster.world());
    });
}
