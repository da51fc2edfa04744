//! The subscription runtime: order, take-over, hand-over, parking.

use std::{sync::Arc, time::Duration};

use domain::{ids::ProductId, inventory::Inventory};
use eventstore::{
    EventLog,
    event::RecordedEvent,
    position::Head,
    subscription::{self, HandleError, State, Subscriber, Subscriptions},
    testing::{TestDatabase, eventually},
};
use sqlx::{Connection, PgConnection};

use crate::stock::new_product;

const PATIENCE: Duration = Duration::from_secs(20);

/// Notes down what it handles, in a table without any uniqueness: whatever is handled twice shows.
struct Notes {
    /// A later version, that can read what the first could not.
    reads_all: bool,
}

/// The first version.
fn notes_of_today() -> Notes {
    Notes { reads_all: false }
}

/// The later one.
fn later_notes() -> Notes {
    Notes { reads_all: true }
}

impl Subscriber for Notes {
    fn name(&self) -> &'static str {
        "notes_v1"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["inventory"]
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        for event in events {
            if !self.reads_all {
                event.decode::<Inventory>()?;
            }
            sqlx::query("insert into notes (position, key) values ($1, $2)")
                .bind(event.position.0)
                .bind(&*event.aggregate_id)
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }
}

async fn database_with_notes() -> TestDatabase {
    let db = TestDatabase::create().await;
    sqlx::query("create table notes (position bigint not null, key text not null)")
        .execute(&mut db.connect().await)
        .await
        .unwrap();
    db
}

async fn notes(db: &TestDatabase) -> Vec<i64> {
    // in the order they were written, not sorted
    sqlx::query_scalar("select position from notes order by ctid")
        .fetch_all(&mut db.connect().await)
        .await
        .unwrap()
}

async fn receive(log: &EventLog, product: ProductId) -> Head {
    log.execute(crate::stock::receive(product, 1))
        .await
        .unwrap()
        .head
}

/// An event as another program would write it, for instance a newer Souk.
async fn insert(
    connection: &mut PgConnection,
    product: ProductId,
    sequence: i64,
    event_type: &str,
    payload: &str,
) {
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         values ('inventory', $1, $2, $3, '1.0', $4::json, '{}')",
    )
    .bind(product.to_string())
    .bind(sequence)
    .bind(event_type)
    .bind(payload)
    .execute(connection)
    .await
    .unwrap();
}

#[tokio::test]
async fn every_event_is_handled_once_and_in_order_across_two_processes_and_a_take_over() {
    let db = database_with_notes().await;
    let (one, two) = (db.open_log().await, db.open_log().await);
    let (first, second) = (
        Subscriptions::new(one.clone()),
        Subscriptions::new(two.clone()),
    );
    first.spawn(notes_of_today()).await;
    first
        .wait_for(
            "notes_v1",
            receive(&one, new_product()).await.position,
            PATIENCE,
        )
        .await
        .unwrap();
    second.spawn(notes_of_today()).await;
    for n in 0..100 {
        receive(if n % 2 == 0 { &one } else { &two }, new_product()).await;
    }
    first.close().await;
    let mut last = Head::EMPTY;
    for _ in 0..20 {
        last = receive(&one, new_product()).await;
    }
    second
        .wait_for("notes_v1", last.position, PATIENCE)
        .await
        .unwrap();
    assert_eq!(notes(&db).await, (1..=121).collect::<Vec<_>>());
    second.close().await;
    one.close().await;
    two.close().await;
    db.drop_database().await;
}

/// The lease is for thrift; the checkpoint is what keeps two instances that both believe to lead from doing it twice.
#[tokio::test]
async fn an_instance_that_lost_its_lease_commits_nothing() {
    let db = database_with_notes().await;
    let log = db.open_log().await;
    let subscriptions = Subscriptions::new(log.clone());
    subscriptions.spawn(notes_of_today()).await;
    subscriptions
        .wait_for(
            "notes_v1",
            receive(&log, new_product()).await.position,
            PATIENCE,
        )
        .await
        .unwrap();
    // somebody takes over behind its back: a higher epoch, and the checkpoint moved on
    let head = receive(&log, new_product()).await;
    subscriptions
        .wait_for("notes_v1", head.position, PATIENCE)
        .await
        .unwrap();
    sqlx::query("update subscriptions set epoch = epoch + 1, holder = gen_random_uuid(), lease_until = now() + interval '1 hour'")
        .execute(&mut db.connect().await)
        .await
        .unwrap();
    receive(&log, new_product()).await;
    eventually("it gives way", PATIENCE, || async {
        subscriptions
            .statuses()
            .iter()
            .all(|(_, status)| status.state == State::Standby)
            .then_some(())
    })
    .await;
    assert_eq!(
        notes(&db).await,
        [1, 2],
        "the third event belongs to the one who leads now"
    );
    subscriptions.close().await;
    log.close().await;
    db.drop_database().await;
}

/// Events that are nothing to the subscription. Returns the position of the last.
async fn insert_others(db: &TestDatabase, count: i64) -> i64 {
    sqlx::query_scalar(
        "with inserted as (insert into events \
             (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         select 'weather', gen_random_uuid()::text, 1, 'SunShone', '1.0', '{}', '{}' \
             from generate_series(1, $1) returning position) \
         select max(position) from inserted",
    )
    .bind(count)
    .fetch_one(&mut db.connect().await)
    .await
    .unwrap()
}

/// Where the checkpoint is, for whoever reads the table.
async fn checkpoint(log: &EventLog) -> i64 {
    subscription::checkpoints(log.pool()).await.unwrap()[0].position
}

#[tokio::test]
async fn what_is_nothing_to_a_follower_is_passed_over_and_its_checkpoint_comes_to_the_end() {
    let db = database_with_notes().await;
    let log = db.open_log().await;
    let subscriptions = Subscriptions::new(log.clone());
    subscriptions.spawn(notes_of_today()).await;
    let mut read = Vec::new();
    for count in [1, 20, 1_500] {
        read.push(receive(&log, new_product()).await.position.0);
        let last = insert_others(&db, count).await;
        eventually("the checkpoint is at the end", PATIENCE, || async {
            (checkpoint(&log).await == last).then_some(())
        })
        .await;
        assert_eq!(notes(&db).await, read);
    }
    subscriptions.close().await;
    // whoever comes next begins there
    let next = Subscriptions::new(log.clone());
    next.spawn(notes_of_today()).await;
    let last = receive(&log, new_product()).await.position;
    next.wait_for("notes_v1", last, PATIENCE).await.unwrap();
    read.push(last.0);
    assert_eq!(notes(&db).await, read);
    next.close().await;
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn whoever_passes_events_over_while_another_takes_over_moves_no_checkpoint() {
    let db = database_with_notes().await;
    let (one, two) = (db.open_log().await, db.open_log().await);
    let first = Subscriptions::new(one.clone());
    first.spawn(notes_of_today()).await;
    let begun = receive(&one, new_product()).await.position;
    first.wait_for("notes_v1", begun, PATIENCE).await.unwrap();
    let steal = "update subscriptions set epoch = epoch + 1, holder = gen_random_uuid(), \
                 lease_until = now() + interval '1 hour'";
    let mut connection = db.connect().await;
    sqlx::query(steal).execute(&mut connection).await.unwrap();
    insert_others(&db, 20).await;
    eventually("it gives way", PATIENCE, || async {
        let statuses = first.statuses();
        let standby = |(_, status): &(_, subscription::Status)| status.state == State::Standby;
        statuses.iter().all(standby).then_some(())
    })
    .await;
    assert_eq!(checkpoint(&one).await, begun.0);
    let last = receive(&one, new_product()).await.position;
    sqlx::query("update subscriptions set lease_until = '-infinity'")
        .execute(&mut connection)
        .await
        .unwrap();
    let second = Subscriptions::new(two.clone());
    second.spawn(notes_of_today()).await;
    second.wait_for("notes_v1", last, PATIENCE).await.unwrap();
    assert_eq!(notes(&db).await, [begun.0, last.0]);
    assert_eq!(checkpoint(&two).await, last.0);
    first.close().await;
    second.close().await;
    one.close().await;
    two.close().await;
    db.drop_database().await;
}

/// Edge case 62, the half of subscriptions.
#[tokio::test]
async fn an_event_of_a_newer_binary_is_handed_over_and_never_parked_or_skipped() {
    let db = database_with_notes().await;
    let log = db.open_log().await;
    let product = new_product();
    receive(&log, product).await;
    insert(
        &mut db.connect().await,
        product,
        2,
        "StockTeleported",
        r#"{"type":"StockTeleported"}"#,
    )
    .await;
    receive(&log, new_product()).await;
    let subscriptions = Subscriptions::new(log.clone());
    subscriptions.spawn(notes_of_today()).await;
    eventually("handed over", PATIENCE, || async {
        subscriptions
            .statuses()
            .iter()
            .any(|(_, status)| matches!(status.state, State::HandedOver(_)))
            .then_some(())
    })
    .await;
    let connection = db.connect().await;
    let led = subscription::checkpoints(log.pool()).await.unwrap();
    assert!(!led[0].led, "the lease is free for a newer process");
    assert_eq!(led[0].position, 0, "nothing is skipped");
    assert!(
        subscription::parked_keys(log.pool())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(notes(&db).await.is_empty());
    subscriptions.close().await;
    connection.close().await.unwrap();
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_poison_event_parks_its_key_alone_until_it_is_retried_or_discarded() {
    let db = database_with_notes().await;
    let log = db.open_log().await;
    let (poisoned, healthy) = (new_product(), new_product());
    receive(&log, poisoned).await;
    insert(
        &mut db.connect().await,
        poisoned,
        2,
        "StockReceived",
        r#"{"type":"StockReceived","quantity":"many"}"#,
    )
    .await;
    receive(&log, healthy).await;
    let subscriptions = Subscriptions::new(log.clone());
    subscriptions.spawn(notes_of_today()).await;
    // a later event of the same key waits, those of others do not
    insert(
        &mut db.connect().await,
        poisoned,
        3,
        "StockReceived",
        r#"{"type":"StockReceived","quantity":"more"}"#,
    )
    .await;
    let last = receive(&log, healthy).await;
    subscriptions
        .wait_for("notes_v1", last.position, PATIENCE)
        .await
        .unwrap();
    assert_eq!(notes(&db).await, [1, 3, 5]);
    let parked = subscription::parked_keys(log.pool()).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (parked[0].key.as_str(), parked[0].position, parked[0].events),
        (poisoned.to_string().as_str(), 2, 2)
    );
    assert!(
        parked[0].error.contains("StockReceived"),
        "{}",
        parked[0].error
    );
    assert!(
        subscription::is_parked(log.pool(), "notes_v1", &poisoned.to_string())
            .await
            .unwrap()
    );
    assert!(
        !subscription::is_parked(log.pool(), "notes_v1", &healthy.to_string())
            .await
            .unwrap()
    );

    // still poison: retrying leaves everything as it was
    assert!(
        subscription::retry(&log, &mut notes_of_today(), &poisoned.to_string())
            .await
            .is_err()
    );
    assert_eq!(subscription::parked_keys(log.pool()).await.unwrap(), parked);
    // a binary that can read it handles what waited, in order, and the key goes on
    assert_eq!(
        subscription::retry(&log, &mut later_notes(), &poisoned.to_string())
            .await
            .unwrap(),
        2
    );
    assert_eq!(notes(&db).await, [1, 3, 5, 2, 4]);
    assert!(
        subscription::parked_keys(log.pool())
            .await
            .unwrap()
            .is_empty()
    );

    insert(
        &mut db.connect().await,
        poisoned,
        4,
        "StockReceived",
        r#"{"type":"StockReceived","quantity":"lots"}"#,
    )
    .await;
    let last = receive(&log, healthy).await;
    subscriptions
        .wait_for("notes_v1", last.position, PATIENCE)
        .await
        .unwrap();
    assert_eq!(
        subscription::discard(log.pool(), "notes_v1", &poisoned.to_string())
            .await
            .unwrap(),
        1
    );
    assert!(
        subscription::parked_keys(log.pool())
            .await
            .unwrap()
            .is_empty()
    );
    subscriptions.close().await;
    log.close().await;
    db.drop_database().await;
}

/// A failover that lost the tail of the log: the checkpoint names an event that is not there.
#[tokio::test]
async fn a_log_without_the_event_of_the_checkpoint_stops_the_subscription() {
    let db = database_with_notes().await;
    let log = db.open_log().await;
    for _ in 0..3 {
        receive(&log, new_product()).await;
    }
    sqlx::query("insert into subscriptions (name, position, event_id) values ('notes_v1', 2, gen_random_uuid())")
        .execute(&mut db.connect().await)
        .await
        .unwrap();
    let subscriptions = Subscriptions::new(log.clone());
    subscriptions.spawn(notes_of_today()).await;
    eventually("stopped", PATIENCE, || async {
        subscriptions
            .statuses()
            .iter()
            .any(|(_, status)| matches!(status.state, State::Stopped(_)))
            .then_some(())
    })
    .await;
    assert!(notes(&db).await.is_empty());
    subscriptions.close().await;
    log.close().await;
    db.drop_database().await;
}
