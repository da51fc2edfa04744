//! Typed events for projectors.

use chrono::{DateTime, Utc};
use domain::aggregate::Decider;
use eventstore::{event::RecordedEvent, subscription::HandleError};
use uuid::Uuid;

/// A typed event with what the log says of it.
pub(crate) struct Decoded<E> {
    /// Id of the aggregate, which is the key of the row.
    pub(crate) id: Uuid,
    /// Place in the aggregate's stream.
    pub(crate) sequence: i64,
    /// When it was committed.
    pub(crate) at: DateTime<Utc>,
    /// The event.
    pub(crate) event: E,
}

/// Decodes an event of aggregate `A`. The id comes from the stream, never from the payload: the stream is what keys
/// are parked by.
pub(crate) fn decode<A: Decider>(record: &RecordedEvent) -> Result<Decoded<A::Event>, HandleError> {
    Ok(Decoded {
        event: record.decode::<A>()?,
        id: stream_id(record)?,
        sequence: record.sequence,
        at: record.recorded_at,
    })
}

/// The id of the event's stream. All of ours are uuids; a program beside us may have written something else.
pub(crate) fn stream_id(record: &RecordedEvent) -> Result<Uuid, HandleError> {
    record.aggregate_id.parse().map_err(|_| {
        HandleError::Poison(format!(
            "{}/{} is not a uuid",
            record.aggregate_type, record.aggregate_id
        ))
    })
}
