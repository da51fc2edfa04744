//! Connections that break, and processes that are paused, at the worst moment.

use std::time::Duration;

use domain::{
    ids::ProductId,
    inventory::{Inventory, InventoryError},
};
use eventstore::{
    EventLog, LogSettings,
    testing::{Proxy, TestDatabase, eventually},
    unit::{Committed, ExecuteError},
};
use sqlx::Connection;
use tokio::task::JoinHandle;

use crate::stock::{new_product, receive};

async fn count_events(db: &TestDatabase) -> i64 {
    sqlx::query_scalar("select count(*) from events")
        .fetch_one(&mut db.connect().await)
        .await
        .unwrap()
}

/// Commits the second event, whose answer the proxy swallows; returns who waits for it.
async fn commit_unanswered(
    db: &TestDatabase,
    proxy: &Proxy,
    log: &EventLog,
    product: ProductId,
) -> JoinHandle<Result<Committed<()>, ExecuteError<InventoryError>>> {
    proxy.swallow_answers(true);
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.execute(receive(product, 1)).await }
    });
    eventually("the commit", Duration::from_secs(5), || async {
        (count_events(db).await == 2).then_some(())
    })
    .await;
    waiting
}

/// Edge case 59, committed: the answer to the commit is lost, the commit is not.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_and_acknowledged_once() {
    let db = TestDatabase::create().await;
    let (proxy, through_proxy) = db.behind_proxy().await;
    let log = EventLog::open(LogSettings::new(through_proxy))
        .await
        .unwrap();
    let product = new_product();
    log.execute(receive(product, 1)).await.unwrap();

    let waiting = commit_unanswered(&db, &proxy, &log, product).await;
    proxy.swallow_answers(false);
    proxy.cut();
    let committed = waiting.await.unwrap().unwrap();
    assert_eq!((committed.appended, committed.head.position.0), (1, 2));
    log.execute(receive(product, 1)).await.unwrap();
    assert_eq!(
        log.load::<Inventory>(product).await.unwrap().0.available(),
        3
    );
    log.close().await;
    db.drop_database().await;
}

/// Edge case 59, not committed: the connection breaks before the commit took place, and the unit is decided again.
#[tokio::test]
async fn a_commit_that_did_not_take_place_is_made_once() {
    let db = TestDatabase::create().await;
    let (proxy, through_proxy) = db.behind_proxy().await;
    let log = EventLog::open(LogSettings::new(through_proxy))
        .await
        .unwrap();
    let product = new_product();
    log.execute(receive(product, 1)).await.unwrap();

    // somebody holds the lock of the log, so that the append hangs in the middle
    let mut other = db.connect().await;
    let mut held = other.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(log_lock())")
        .execute(&mut *held)
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.execute(receive(product, 1)).await }
    });
    eventually(
        "the append waits for the lock",
        Duration::from_secs(5),
        || async {
            let waits: bool = sqlx::query_scalar(
                "select exists (select 1 from pg_locks l join pg_database d on d.oid = l.database \
             where d.datname = current_database() and locktype = 'advisory' and not granted)",
            )
            .fetch_one(&mut db.connect().await)
            .await
            .unwrap();
            waits.then_some(())
        },
    )
    .await;
    proxy.cut();
    held.rollback().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(
        count_events(&db).await,
        2,
        "once, not twice: the session that was cut off did not commit later"
    );
    log.execute(receive(product, 1)).await.unwrap();
    assert_eq!(
        log.load::<Inventory>(product).await.unwrap().0.available(),
        3
    );
    log.close().await;
    db.drop_database().await;
}

/// While the outcome cannot be found out, callers are told so, and nothing else is decided on a guess.
#[tokio::test]
async fn an_outcome_that_cannot_be_found_out_is_said_to_be_unknown() {
    let db = TestDatabase::create().await;
    let (proxy, through_proxy) = db.behind_proxy().await;
    let log = EventLog::open(LogSettings::new(through_proxy))
        .await
        .unwrap();
    let product = new_product();
    log.execute(receive(product, 1)).await.unwrap();

    let waiting = commit_unanswered(&db, &proxy, &log, product).await;
    proxy.refuse(true);
    proxy.cut();
    assert_eq!(waiting.await.unwrap(), Err(ExecuteError::OutcomeUnknown));
    assert!(
        matches!(
            log.execute(receive(product, 1)).await,
            Err(ExecuteError::Unavailable(_))
        ),
        "no database, no decision"
    );
    proxy.refuse(false);
    proxy.swallow_answers(false);
    let committed = log.execute(receive(product, 1)).await.unwrap();
    assert_eq!(
        committed.head.position.0, 3,
        "rests on the commit whose answer was lost"
    );
    assert_eq!(
        log.load::<Inventory>(product).await.unwrap().0.available(),
        3
    );
    log.close().await;
    db.drop_database().await;
}

/// Edge case 58: somebody keeps the lock longer than the timeout. Others are told, and go on when it is free.
#[tokio::test]
async fn a_lock_that_is_not_given_up_ends_in_an_honest_refusal() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let product = new_product();
    log.execute(receive(product, 1)).await.unwrap();
    let mut other = db.connect().await;
    let mut held = other.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(log_lock())")
        .execute(&mut *held)
        .await
        .unwrap();
    assert!(matches!(
        log.execute(receive(product, 1)).await,
        Err(ExecuteError::Unavailable(_))
    ));
    assert_eq!(count_events(&db).await, 1);
    held.rollback().await.unwrap();
    log.execute(receive(product, 1)).await.unwrap();
    log.close().await;
    db.drop_database().await;
}

/// Connections that stay open and say nothing: whoever waits is answered within bounds, and the log recovers by itself.
#[tokio::test]
async fn connections_that_fall_silent_stop_nobody_for_good() {
    let db = TestDatabase::create().await;
    let (proxy, through_proxy) = db.behind_proxy().await;
    let (warm, cold) = (new_product(), new_product());
    let elsewhere = db.open_log().await;
    elsewhere.execute(receive(cold, 1)).await.unwrap();
    let log = EventLog::open(LogSettings::new(through_proxy))
        .await
        .unwrap();
    log.execute(receive(warm, 1)).await.unwrap();
    // with the writer and all pooled connections silent: an append, a catch-up and a cold load are all in the way
    elsewhere.execute(receive(cold, 1)).await.unwrap();
    proxy.silence();
    for product in [warm, cold] {
        eventually("it recovers", Duration::from_mins(1), || async {
            let answer =
                tokio::time::timeout(Duration::from_secs(30), log.execute(receive(product, 1)));
            answer.await.expect("an answer within bounds").ok()
        })
        .await;
    }
    // one more round, in which nothing is silent any more
    log.execute(receive(warm, 1)).await.unwrap();
    proxy.silence();
    let closed = tokio::time::timeout(Duration::from_secs(45), log.close());
    closed.await.expect("closing does not wait for good");
    let counted: i64 = count_events(&db).await;
    let (warm, cold) = (
        elsewhere.load::<Inventory>(warm).await.unwrap().1,
        elsewhere.load::<Inventory>(cold).await.unwrap().1,
    );
    assert_eq!(warm + cold, counted);
    elsewhere.close().await;
    db.drop_database().await;
}
