//! PostgreSQL fails under load: restarted in every way, its connections cut one by one, its disk full and free again.
//!
//! The server processes live all the time, so every request gets an answer, and nobody has to restart anything.

use std::{path::PathBuf, time::Duration};

use sqlx::{ConnectOptions, Connection, PgConnection};
use tests::{
    eventually,
    own::postgres::{End, OwnPostgres},
    shop::Shop,
};

use crate::{
    checks,
    clients::Rules,
    disk::SmallDisk,
    seed::{Choices, long},
    world::{PATIENCE, World, opening},
};

/// Two processes on a PostgreSQL of their own.
async fn world_on(scenario: &'static str, postgres: &OwnPostgres) -> World {
    let opening = opening().with_kafka().on_postgres(postgres.options());
    World::open(scenario, opening, &[&[], &[]]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_restarted_in_every_way_loses_and_doubles_nothing() {
    let mut postgres = OwnPostgres::start().await;
    let world = world_on("postgres restarted", &postgres).await;
    let mut choices = world.seed.choices("operator");
    let mut load = world.load(Rules::STRICT);
    for round in 0..if long() { 15 } else { 4 } {
        load.successes(choices.between(10, 80)).await;
        // each way once, then by chance
        let how = End::ALL
            .get(round)
            .copied()
            .unwrap_or_else(|| choices.of(&End::ALL));
        postgres.end(how).await;
        away(&mut choices, if long() { 10_000 } else { 1_500 }).await;
        postgres.go_on().await;
    }
    load.successes(20).await;
    let record = load.finish().await;
    checks::all(world, record).await;
}

/// Longer than the crash is away, and shorter than one waits for a payment.
const ASKED_AGAIN_AFTER: &str = "10s";

/// The gateway is another company: what it answered stays true, also when our database crashes and takes with it what was
/// not yet written to the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_the_fake_gateway_has_answered_survives_a_crash() {
    let mut postgres = OwnPostgres::prepare().await;
    // what nobody waits for stays in memory
    postgres.set("wal_writer_delay", "10s");
    postgres.go_on().await;
    let shop = Shop::opening()
        .on_postgres(postgres.options())
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("SOUK_GATEWAY_RETRY", ASKED_AGAIN_AFTER)
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    // its answer is lost: nothing is appended after it, which would write the charge to the disk as well
    let order = customer
        .place(&[(&product, 1)], "test_times_out_then_succeeds")
        .await;
    let charged = async || -> i64 {
        let sql = "select count(*) from fake_gateway_charges where status = 'captured'";
        sqlx::query_scalar(sql)
            .fetch_one(&mut shop.database().connect().await)
            .await
            .unwrap()
    };
    eventually("it is charged", PATIENCE, || async {
        (charged().await == 1).then_some(())
    })
    .await;
    postgres.end(End::Kill).await;
    server.kill_9().await;
    postgres.go_on().await;
    assert_eq!(charged().await, 1);
    let server = shop.serve().await;
    customer.at(&server.address).wait_until_paid(&order).await;
    checks::of_a_few_orders(shop, server).await;
}

/// The fault itself: how long the database is away.
async fn away(choices: &mut Choices, longest_ms: u64) {
    tokio::time::sleep(Duration::from_millis(choices.below(longest_ms))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_one_by_one_lose_and_double_nothing() {
    let postgres = OwnPostgres::start().await;
    let world = world_on("connections cut", &postgres).await;
    let mut choices = world.seed.choices("scissors");
    let mut load = world.load(Rules::STRICT);
    let mut connection = postgres.connect("souk").await;
    for _ in 0..if long() { 600 } else { 120 } {
        load.successes(choices.between(0, 3)).await;
        cut_one(&mut connection, &mut choices).await;
    }
    load.successes(20).await;
    let record = load.finish().await;
    checks::all(world, record).await;
}

/// Ends one session of the servers, whatever it does: one that appends as often as all others together.
async fn cut_one(connection: &mut PgConnection, choices: &mut Choices) {
    let sessions: Vec<(i32, String)> = sqlx::query_as(
        "select pid, application_name from pg_stat_activity \
         where datname like 'test_%' and application_name like 'souk%' order by pid",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let is_writer = |session: &&(i32, String)| session.1 == "souk log writer";
    let writers: Vec<_> = sessions.iter().filter(is_writer).cloned().collect();
    let among = if choices.percent(50) && !writers.is_empty() {
        &writers
    } else {
        &sessions
    };
    if among.is_empty() {
        return;
    }
    let (pid, _) = choices.of(among);
    sqlx::query("select pg_terminate_backend($1)")
        .bind(pid)
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_honestly_and_all_goes_on_once_there_is_room() {
    let postgres = OwnPostgres::start().await;
    // tables and indexes lie on the small disk, the database's own log does not: writing fails, and nothing crashes
    let disk = SmallDisk::mount(&postgres.folder().join("small"), "96m");
    let mut connection = postgres.connect("souk").await;
    let place = disk.path().display();
    for statement in [
        format!("create tablespace small location '{place}'"),
        "alter database template1 set tablespace small".to_owned(),
    ] {
        sqlx::raw_sql(&statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let world = world_on("disk full", &postgres).await;
    let mut load = world.load(Rules::STRICT);
    for _ in 0..if long() { 5 } else { 2 } {
        load.successes(40).await;
        disk.fill();
        wait_for_refusals(&world).await;
        disk.free();
        load.successes(40).await;
    }
    let record = load.finish().await;
    assert!(
        record.tally.keys().any(|answer| answer.starts_with("503")),
        "the disk was full, and nobody noticed: {:?}",
        record.tally
    );
    connection.close().await.unwrap();
    checks::all(world, record).await;
}

/// Waits until the log has stood still for a while although clients go on asking.
async fn wait_for_refusals(world: &World) {
    let seen = std::cell::Cell::new((-1, 0));
    eventually("nothing can be appended any more", PATIENCE, || async {
        let head = world.shop.head().await;
        let (before, times) = seen.get();
        seen.set(if head == before {
            (head, times + 1)
        } else {
            (head, 0)
        });
        tokio::time::sleep(Duration::from_millis(100)).await; // between two looks
        (seen.get().1 >= 15).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_for_want_of_room_comes_back_with_all_that_was_acknowledged() {
    let mut postgres = OwnPostgres::prepare().await;
    // all of it lies on the small disk: when no log segment can be made any more, the database panics
    let data = postgres.data();
    let aside = aside(&data);
    std::fs::rename(&data, &aside).unwrap();
    let disk = SmallDisk::mount(&data, "192m");
    disk.take_over(&aside);
    postgres.go_on().await;
    let world = world_on("disk full of log", &postgres).await;
    let mut load = world.load(Rules::STRICT);
    for _ in 0..if long() { 4 } else { 1 } {
        load.successes(40).await;
        // before there is no room: the load may be faster than we are
        let panics = postgres.times_said(PANIC);
        disk.fill();
        eventually("the database panics", PATIENCE, || async {
            fill_log(&postgres).await;
            (postgres.times_said(PANIC) > panics).then_some(())
        })
        .await;
        disk.free();
        postgres.come_back().await;
        load.successes(40).await;
    }
    let record = load.finish().await;
    checks::all(world, record).await;
}

fn aside(data: &std::path::Path) -> PathBuf {
    data.with_extension("aside")
}

/// How the database says that it falls over.
const PANIC: &str = "PANIC:  ";

/// Makes the database use up its log, until it refuses: its sessions are gone when it falls over.
async fn fill_log(postgres: &OwnPostgres) {
    // the load may have been faster
    let Ok(mut connection) = postgres.options().connect().await else {
        return;
    };
    let statement = "select pg_logical_emit_message(true, 'chaos', repeat('x', 1000000))";
    for _ in 0..400 {
        if sqlx::query(statement)
            .execute(&mut connection)
            .await
            .is_err()
        {
            return;
        }
    }
    panic!("the disk is not full");
}
