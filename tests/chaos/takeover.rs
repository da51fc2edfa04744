//! A process that projects, pays and publishes dies at work: within ten seconds another one leads what it led and has done
//! what it had taken upon itself.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tests::eventually;

use crate::{
    checks,
    clients::Rules,
    seed::long,
    world::{PATIENCE, World, opening},
};

/// From the death of a process until another one leads all that it led, and has worked off all timers that were due.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// A claim of a timer that stands for so long is that of a process that stands still: the fake gateway answers at once.
const AT_WORK: Duration = Duration::from_millis(300);
/// How long a process runs between two attempts to stop it at work.
const RUN_UP: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_takes_over_within_ten_seconds() {
    let worker = ("SOUK_ROLES", "projectors,saga,publisher");
    let processes: [&[(&str, &str)]; 3] = [&[("SOUK_ROLES", "api")], &[worker], &[worker]];
    let mut world = World::open("takeover", opening().with_kafka(), &processes).await;
    let mut choices = world.seed.choices("reaper");
    // the process that takes requests lives
    let mut load = world.load(Rules::STRICT);
    for _ in 0..if long() { 8 } else { 2 } {
        load.successes(choices.between(20, 80)).await;
        // whoever leads most: later the one that took over before
        let (first, second) = (led_by(&world, 1).await, led_by(&world, 2).await);
        let (victim, survivor, led_before) = if first.len() >= second.len() {
            (1, 2, first)
        } else {
            (2, 1, second)
        };
        assert!(!led_before.is_empty(), "somebody leads");
        let claimed = stop_at_work(&world, victim).await;
        world.kill(victim).await;
        let died = Instant::now();
        let (head, death) = (world.shop.head().await, now(&world).await);
        let what = format!(
            "{led_before:?} are led by another process, which has caught up and worked off what was due"
        );
        eventually(&what, PATIENCE, || async {
            let caught_up = caught_up(&world, survivor, head).await;
            (caught_up.is_superset(&led_before) && overdue(&world, death).await == 0).then_some(())
        })
        .await;
        let took = died.elapsed();
        eprintln!("chaos: takeover: {led_before:?} and {claimed} claimed timers after {took:?}");
        assert!(took < TAKE_OVER, "{took:?}: {led_before:?}");
        world.start(victim).await;
    }
    let record = load.finish().await;
    checks::all(world, record).await;
}

/// Stops a process in its tracks while it works on timers. Returns how many it has claimed.
async fn stop_at_work(world: &World, number: usize) -> usize {
    let server = world.server(number);
    eventually("a process stands still at work", PATIENCE, || async {
        server.pause().await;
        let before = claimed(world).await;
        tokio::time::sleep(AT_WORK).await;
        let still = claimed(world).await.intersection(&before).count();
        if still > 0 {
            return Some(still);
        }
        server.resume().await;
        tokio::time::sleep(RUN_UP).await; // it goes on
        None
    })
    .await
}

/// The timers that somebody has claimed: key, kind, and until when.
async fn claimed(world: &World) -> BTreeSet<(String, String, DateTime<Utc>)> {
    let sql = "select key, kind, claimed_until from timers where claimed_until > clock_timestamp()";
    let claimed = sqlx::query_as(sql).fetch_all(&world.shop.pool).await;
    claimed
        .expect("the timers are readable")
        .into_iter()
        .collect()
}

/// How many timers were due at this moment and are neither done nor put off since.
async fn overdue(world: &World, moment: DateTime<Utc>) -> i64 {
    let overdue = sqlx::query_scalar("select count(*) from timers where due_at <= $1")
        .bind(moment)
        .fetch_one(&world.shop.pool);
    overdue.await.expect("the timers are readable")
}

/// The time of the database, which timers go by.
async fn now(world: &World) -> DateTime<Utc> {
    let now = sqlx::query_scalar("select clock_timestamp()").fetch_one(&world.shop.pool);
    now.await.expect("the database answers")
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
