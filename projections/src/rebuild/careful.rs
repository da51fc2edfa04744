//! A rebuild with the projector's own statements: slow, and right where the database refuses single rows. An event that
//! it refuses is found as the live view finds it, by handling its batch one by one.

use std::sync::Arc;

use eventstore::{
    EventLog,
    event::{RecordedEvent, Unreadable},
    feed::FeedError,
    position::Head,
    subscription::{HandleError, Subscriber},
};
use sqlx::{Connection, PgConnection};

use super::{RebuildError, Rebuilt, Settings, fold::Parking};
use crate::views::Schema;

/// Events in a transaction.
const BATCH_EVENTS: usize = 1_000;

/// Fills the tables of `schema`, which are empty and have their keys and indexes.
pub(super) async fn run<S: Subscriber>(
    log: &EventLog,
    mut connection: PgConnection,
    mut subscriber: S,
    schema: &Schema,
    settings: Settings,
) -> Result<Rebuilt, RebuildError> {
    let until = match settings.until {
        Some(head) => head,
        None => log.head().await?,
    };
    let types = subscriber.reads();
    let (mut done, mut count) = (Head::EMPTY, 0);
    let mut parking = Parking::default();
    while done.position < until.position {
        let left = usize::try_from(until.position.0 - done.position.0).unwrap_or(usize::MAX);
        let events = log.feed().read_after(done, BATCH_EVENTS.min(left)).await;
        let events = events.map_err(|error| match error {
            FeedError::Diverged { after } => RebuildError::Diverged { at: after },
            FeedError::Database(error) => error.into(),
        })?;
        let Some(last) = events.last().map(|event| event.head()) else {
            break;
        };
        let mut read = events;
        read.retain(|event| types.contains(&&*event.aggregate_type));
        count += read.len() as u64;
        batch(&mut subscriber, &read, &mut parking, &mut connection).await?;
        done = last;
    }
    if done != until {
        return Err(RebuildError::Diverged { at: until });
    }
    connection.close().await?;
    Ok(Rebuilt {
        schema: schema.clone(),
        head: done,
        events: count,
        parked: parking.into_keys(),
    })
}

async fn batch<S: Subscriber>(
    subscriber: &mut S,
    events: &[Arc<RecordedEvent>],
    parking: &mut Parking,
    connection: &mut PgConnection,
) -> Result<(), RebuildError> {
    if parking.is_empty() {
        let mut tx = connection.begin().await?;
        match subscriber.handle(events, &mut tx).await {
            Ok(()) => return Ok(tx.commit().await?),
            Err(HandleError::Poison(_)) => tx.rollback().await?,
            Err(other) => return Err(of_batch(other, events)),
        }
    }
    let mut tx = connection.begin().await?;
    for event in events {
        let key = || subscriber.key(event).unwrap_or_default();
        if parking.holds(key, event.position) {
            continue;
        }
        let mut savepoint = tx.begin().await?;
        let one = std::slice::from_ref(event);
        match subscriber.handle(one, &mut savepoint).await {
            Ok(()) => savepoint.commit().await?,
            Err(HandleError::Poison(reason)) => {
                savepoint.rollback().await?;
                let key = subscriber.key(event).unwrap_or_default();
                parking.park(key, &(&**event).into(), reason)?;
            }
            Err(other) => return Err(of_batch(other, one)),
        }
    }
    Ok(tx.commit().await?)
}

/// Names the position of the event that a newer binary wrote, as near as the batch tells it.
fn of_batch(error: HandleError, events: &[Arc<RecordedEvent>]) -> RebuildError {
    let HandleError::Newer(unreadable) = error else {
        return error.into();
    };
    let (Unreadable::Newer { event_type, .. } | Unreadable::Malformed { event_type, .. }) =
        &unreadable;
    let newer = |event: &&Arc<RecordedEvent>| *event.event_type == **event_type;
    let position = events.iter().find(newer).map(|event| event.position);
    RebuildError::Newer {
        position: position.unwrap_or_default(),
        unreadable,
    }
}
