//! Events as the log holds them, and the metadata that says who caused them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::aggregate::Decider;
use serde::Serialize;
use smol_str::SmolStr;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    position::{Head, Position},
    stream::StreamId,
};

/// One committed event, as every reader of the log sees it. Payload and metadata are the stored JSON texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Place in the log.
    pub position: Position,
    /// Globally unique id of the event.
    pub event_id: Uuid,
    /// When the batch was committed, by the database's clock; never smaller than the one before.
    pub recorded_at: DateTime<Utc>,
    /// Kind of the aggregate, for instance `order`.
    pub aggregate_type: SmolStr,
    /// Which aggregate.
    pub aggregate_id: Arc<str>,
    /// Place in the aggregate's own stream, from 1.
    pub sequence: i64,
    /// Name of the event, for instance `OrderPlaced`.
    pub event_type: SmolStr,
    /// Version of the event's shape, for instance `1.0`.
    pub event_version: SmolStr,
    /// The event as JSON, with its own tag.
    pub payload: Arc<str>,
    /// A JSON object of string to string.
    pub metadata: Arc<str>,
}

/// The columns of `events` that make a [`RecordedEvent`]; payload and metadata as text, so that nothing is parsed
/// that is not needed.
pub const EVENT_COLUMNS: &str = "position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload::text as payload, metadata::text as metadata";

impl RecordedEvent {
    /// The head of the log right after this event.
    pub fn head(&self) -> Head {
        Head {
            position: self.position,
            event_id: self.event_id,
        }
    }

    /// The stream that it belongs to.
    pub fn stream(&self) -> StreamId {
        StreamId {
            aggregate_type: self.aggregate_type.clone(),
            aggregate_id: self.aggregate_id.clone(),
        }
    }

    /// Reads a row of [`EVENT_COLUMNS`].
    pub fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            position: Position(row.try_get("position")?),
            event_id: row.try_get("event_id")?,
            recorded_at: row.try_get("recorded_at")?,
            aggregate_type: row.try_get::<&str, _>("aggregate_type")?.into(),
            aggregate_id: row.try_get::<&str, _>("aggregate_id")?.into(),
            sequence: row.try_get("sequence")?,
            event_type: row.try_get::<&str, _>("event_type")?.into(),
            event_version: row.try_get::<&str, _>("event_version")?.into(),
            payload: row.try_get::<&str, _>("payload")?.into(),
            metadata: row.try_get::<&str, _>("metadata")?.into(),
        })
    }

    /// The typed event, when this is one of aggregate `A`.
    pub fn decode<A: Decider>(&self) -> Result<A::Event, Unreadable> {
        decode::<A>(&self.event_type, &self.event_version, &self.payload)
    }

    /// One value of the metadata.
    pub fn metadata_value(&self, key: &str) -> Option<String> {
        let mut metadata: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.metadata).ok()?;
        match metadata.remove(key)? {
            serde_json::Value::String(value) => Some(value),
            _ => None,
        }
    }
}

/// Why a stored event cannot be read by this binary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The type or version is not known here: a newer binary wrote it.
    #[error(
        "event {event_type} version {event_version} is not known: written by a newer version of Souk"
    )]
    Newer {
        /// Its type.
        event_type: String,
        /// Its version.
        event_version: String,
    },
    /// The type is known, the content does not fit it.
    #[error("event {event_type} is malformed: {reason}")]
    Malformed {
        /// Its type.
        event_type: String,
        /// What the parser said.
        reason: String,
    },
}

/// Reads the JSON of an event of aggregate `A`, after asking its catalogue whether type and version are known.
pub fn decode<A: Decider>(
    event_type: &str,
    event_version: &str,
    payload: &str,
) -> Result<A::Event, Unreadable> {
    if !A::reads(event_type, event_version) {
        return Err(Unreadable::Newer {
            event_type: event_type.into(),
            event_version: event_version.into(),
        });
    }
    serde_json::from_str(payload).map_err(|error| Unreadable::Malformed {
        event_type: event_type.into(),
        reason: error.to_string(),
    })
}

/// Who and what caused the events of a unit: stored as their metadata. Holds ids only, never personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// All that follows from one request shares its correlation id.
    pub correlation_id: String,
    /// Id of the event (or request) that led to this command.
    pub causation_id: String,
    /// Who acts: `user:<id>`, `saga:payment`, `seed`.
    pub actor: String,
    /// The command, for instance `PlaceOrder`.
    pub command: String,
}

impl Cause {
    /// The metadata of an event: a JSON object of string to string.
    pub fn to_json(&self) -> String {
        // serialising four strings into memory cannot fail; an empty object would still be valid metadata
        serde_json::to_string(self).unwrap_or_else(|_| "{}".into())
    }

    /// The cause of a command that `event` led to: the correlation goes on, the event is the causation.
    pub fn following(event: &RecordedEvent, actor: &str, command: &str) -> Self {
        Self {
            correlation_id: event
                .metadata_value("correlation_id")
                .unwrap_or_else(|| event.event_id.to_string()),
            causation_id: event.event_id.to_string(),
            actor: actor.into(),
            command: command.into(),
        }
    }
}
