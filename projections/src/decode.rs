//! Typed events for projectors.

use chrono::{DateTime, TimeDelta, Utc};
use domain::aggregate::Decider;
use eventstore::{
    event::{self, RecordedEvent},
    position::Position,
    subscription::HandleError,
};
use uuid::Uuid;

/// An event as the log holds it, borrowed from wherever it was read to: from the feed, or from the rows that a rebuild
/// reads. What an event means to a view is said over this, so that it is said once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventRef<'e> {
    pub(crate) position: Position,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) aggregate_type: &'e str,
    pub(crate) aggregate_id: &'e str,
    pub(crate) sequence: i64,
    pub(crate) event_type: &'e str,
    pub(crate) event_version: &'e str,
    pub(crate) payload: &'e str,
}

impl<'e> From<&'e RecordedEvent> for EventRef<'e> {
    fn from(event: &'e RecordedEvent) -> Self {
        Self {
            position: event.position,
            recorded_at: event.recorded_at,
            aggregate_type: &event.aggregate_type,
            aggregate_id: &event.aggregate_id,
            sequence: event.sequence,
            event_type: &event.event_type,
            event_version: &event.event_version,
            payload: &event.payload,
        }
    }
}

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
pub(crate) fn decode<A: Decider>(event: &EventRef<'_>) -> Result<Decoded<A::Event>, HandleError> {
    Ok(Decoded {
        event: event::decode::<A>(event.event_type, event.event_version, event.payload)?,
        id: stream_id(event)?,
        sequence: event.sequence,
        at: event.recorded_at,
    })
}

/// Decodes a batch of events of aggregate `A`.
pub(crate) fn decode_all<'e, A: Decider>(
    events: impl IntoIterator<Item = &'e RecordedEvent>,
) -> Result<Vec<Decoded<A::Event>>, HandleError> {
    let events = events.into_iter();
    events.map(|event| decode::<A>(&event.into())).collect()
}

/// The id of the event's stream. All of ours are uuids; a program beside us may have written something else.
pub(crate) fn stream_id(event: &EventRef<'_>) -> Result<Uuid, HandleError> {
    event.aggregate_id.parse().map_err(|_| {
        HandleError::Poison(format!(
            "{}/{} is not a uuid",
            event.aggregate_type, event.aggregate_id
        ))
    })
}
