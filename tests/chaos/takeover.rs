//! A process that projects, pays and publishes dies: another one takes over within ten seconds.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tests::eventually;

use crate::{
    checks,
    clients::Rules,
    seed::long,
    world::{PATIENCE, World, opening},
};

/// From the death of a process until all that it led is led by another.
const TAKE_OVER: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_takes_over_within_ten_seconds() {
    let worker = ("SOUK_ROLES", "projectors,saga,publisher");
    let processes: [&[(&str, &str)]; 3] = [&[("SOUK_ROLES", "api")], &[worker], &[worker]];
    let mut world = World::open("takeover", opening().with_kafka(), &processes).await;
    let mut choices = world.seed.choices("reaper");
    // the process that takes requests lives
    let mut load = world.load(Rules::STRICT);
    for round in 0..if long() { 8 } else { 2 } {
        load.successes(choices.between(20, 80)).await;
        // whoever leads most; in the other rounds the other one, which leads at least what it took over
        let victim = 1 + round % 2;
        let led_before = led_by(&world, victim).await;
        world.kill(victim).await;
        let died = Instant::now();
        let head = world.shop.head().await;
        let survivor = 3 - victim;
        let what = format!(
            "{led_before:?} are led by another process, which has caught up and goes on paying"
        );
        eventually(&what, PATIENCE, || async {
            let caught_up = caught_up(&world, survivor, head).await;
            (caught_up.is_superset(&led_before) && paid_after(&world, head).await).then_some(())
        })
        .await;
        let took = died.elapsed();
        eprintln!("chaos: takeover: {led_before:?} taken over after {took:?}");
        assert!(took < TAKE_OVER, "{took:?}: {led_before:?}");
        world.start(victim).await;
    }
    let record = load.finish().await;
    checks::all(world, record).await;
}

/// The subscriptions that a process leads, by its own account.
async fn led_by(world: &World, number: usize) -> BTreeSet<String> {
    caught_up(world, number, 0).await
}

/// Those that it leads and has brought as far as this position.
async fn caught_up(world: &World, number: usize, position: i64) -> BTreeSet<String> {
    let told = world.readiness(number).await;
    let all = told["subscriptions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let led = all
        .iter()
        .filter(|it| it["state"] == "leading" && it["position"].as_i64() >= Some(position));
    led.filter_map(|it| Some(it["name"].as_str()?.to_owned()))
        .collect()
}

/// Whether an order was paid after this position: the load sees to it that some are due.
async fn paid_after(world: &World, position: i64) -> bool {
    let sql = "select exists (select from events where position > $1 and event_type = 'OrderPaid')";
    let paid = sqlx::query_scalar(sql)
        .bind(position)
        .fetch_one(&world.shop.pool);
    paid.await.expect("the log is readable")
}
