//! Typed events for projectors.

use chrono::{DateTime, TimeDelta, Utc};
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

impl<E> Decoded<E> {
    /// The moment so many milliseconds after the event; the last one there is, where that is too far.
    pub(crate) fn later(&self, milliseconds: u64) -> DateTime<Utc> {
        let delay = i64::try_from(milliseconds)
            .ok()
            .and_then(TimeDelta::try_milliseconds);
        let moment = delay.and_then(|delay| self.at.checked_add_signed(delay));
        moment.map_or(LAST_MOMENT, |moment| moment.min(LAST_MOMENT))
    }
}

/// The end of the year 9999: beyond it a date is not one that every program reads.
const LAST_MOMENT: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(moment) => moment,
    None => DateTime::<Utc>::MAX_UTC,
};

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
