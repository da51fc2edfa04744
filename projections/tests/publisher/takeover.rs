//! Publishers that are killed, fenced and replaced in the middle of what they do: still each event once.

use std::time::Duration;

use eventstore::{
    EventLog, LogSettings,
    subscription::{State, checkpoints},
    testing::eventually,
};
use projections::publisher::SUBSCRIPTION_NAME;
use sqlx::Connection;
use tokio::runtime::{Builder, Runtime};

use crate::{
    intruder::Intruder,
    shop::{PATIENCE, Shop, new_products, publish, receive_many, state},
};

/// A server of its own, which can be killed: nothing is closed or given up, and a transaction that its thread is in goes
/// on to its end, behind the back of the successor.
struct Process(Runtime);

impl Process {
    fn start(shop: &Shop) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (database, settings) = (shop.db.options(), shop.settings.clone());
        runtime.spawn(async move {
            let log = EventLog::open(LogSettings {
                pool_size: 4,
                ..LogSettings::new(database)
            });
            let _publishing = publish(&log.await.unwrap(), &settings).await;
            std::future::pending::<()>().await;
        });
        Self(runtime)
    }

    fn kill(self) {
        self.0.shutdown_background();
    }
}

/// The position that the database knows of.
async fn noted(shop: &Shop) -> i64 {
    let all = checkpoints(shop.log.pool()).await.unwrap();
    let ours = all
        .iter()
        .find(|checkpoint| checkpoint.name == SUBSCRIPTION_NAME);
    ours.map_or(0, |checkpoint| checkpoint.position)
}

/// The lease of a dead process lasts for seconds; here its successor comes at once.
async fn expire_lease(shop: &Shop) {
    let mut connection = shop.db.connect().await;
    sqlx::query("update subscriptions set lease_until = '-infinity'")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_that_are_killed_in_the_middle_lose_and_double_nothing() {
    let shop = Shop::open().await;
    let products = new_products(100);
    // a backlog of several transactions, and more as long as they run
    receive_many(&shop.log, &products, 60).await;
    receive_many(&shop.log, &products, 60).await;
    let log = shop.log.clone();
    let (done, mut end) = tokio::sync::oneshot::channel::<()>();
    let appending = tokio::spawn(async move {
        while end.try_recv().is_err() {
            receive_many(&log, &products[..10], 2).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    for round in 0..5 {
        let process = Process::start(&shop);
        let before = noted(&shop).await;
        eventually("it publishes", PATIENCE, async || {
            (noted(&shop).await > before).then_some(())
        })
        .await;
        // somewhere in the next transaction, each time elsewhere
        tokio::time::sleep(Duration::from_millis(7 * round)).await;
        process.kill();
        expire_lease(&shop).await;
    }
    done.send(()).unwrap();
    appending.await.unwrap();
    let publishing = shop.publish().await;
    shop.expect_all_published(&publishing).await;
    publishing.close().await;
    shop.close().await;
}

#[tokio::test]
async fn two_processes_take_turns_and_publish_each_event_once() {
    let shop = Shop::open().await;
    let other = shop.db.open_log().await;
    let (first, second) = (shop.publish().await, publish(&other, &shop.settings).await);
    let products = new_products(10);
    receive_many(&shop.log, &products, 10).await;
    shop.expect_all_published(&first).await;
    let (leading, standing_by) = if state(&first) == State::Leading {
        (first, second)
    } else {
        (second, first)
    };
    let appending = async {
        for _ in 0..50 {
            receive_many(&other, &products, 1).await;
        }
    };
    tokio::join!(appending, leading.close());
    shop.expect_all_published(&standing_by).await;
    standing_by.close().await;
    other.close().await;
    shop.close().await;
}

#[tokio::test]
async fn a_fenced_publisher_gives_way_and_what_the_other_never_committed_is_never_seen() {
    let shop = Shop::open().await;
    let products = new_products(10);
    let publishing = shop.publish().await;
    receive_many(&shop.log, &products, 2).await;
    shop.expect_all_published(&publishing).await;

    let intruder = Intruder::open(&shop.settings).await;
    intruder
        .write_garbage(&shop.settings.topic("inventory"))
        .await;
    receive_many(&shop.log, &products, 2).await;
    eventually("it gives way", PATIENCE, async || {
        (state(&publishing) == State::Standby).then_some(())
    })
    .await;
    // it comes back after longer than a lease, and fences in its turn
    shop.expect_all_published(&publishing).await;
    assert!(intruder.commit().await.is_err());
    shop.expect_topics_equal_log().await;
    publishing.close().await;
    shop.close().await;
}

/// A predecessor that is paused before its commit, and goes on while its successor starts: at whichever moment, either
/// its commit counts and the successor goes on after it, or it fails and the successor publishes the event.
#[tokio::test]
async fn a_predecessor_that_commits_while_its_successor_starts_doubles_nothing() {
    let shop = Shop::open().await;
    let products = new_products(1);
    let publishing = shop.publish().await;
    receive_many(&shop.log, &products, 1).await;
    shop.expect_all_published(&publishing).await;
    publishing.close().await;
    let (mut won, mut lost) = (0, 0);
    for round in 0..20 {
        let progress = shop.progress().await;
        let head = receive_many(&shop.log, &products, 1).await;
        let event = shop.log.event_at(head.position).await.unwrap().unwrap();
        let predecessor = Intruder::open(&shop.settings).await;
        predecessor
            .write_event(&shop.settings, &event, &progress)
            .await;

        let successor = shop.publish().await;
        tokio::time::sleep(Duration::from_millis(15 * round)).await;
        match predecessor.commit().await {
            Ok(()) => won += 1,
            Err(_) => lost += 1,
        }
        successor
            .wait_for(SUBSCRIPTION_NAME, head.position, PATIENCE)
            .await
            .unwrap();
        successor.close().await;
    }
    println!("it committed {won} times and was fenced {lost} times");
    let records = shop.topics.read().await;
    let published: Vec<_> = records
        .iter()
        .map(|record| record.headers["ce_position"].clone())
        .collect();
    let expected: Vec<_> = (1..=21).map(|position: i64| position.to_string()).collect();
    assert_eq!(published, expected);
    shop.close().await;
}
