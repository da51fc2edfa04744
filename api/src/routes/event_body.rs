//! An event of the log as the API shows it, with its cause. Sealed fields stay sealed, unless somebody reads who may
//! see personal data in history.

use chrono::{DateTime, Utc};
use domain::sealed::Sealed;
use eventstore::{
    event::RecordedEvent,
    sealing::{SealError, Vault},
};
use projections::timeline::TimelineEntry;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::ApiError;

/// An event of the log.
#[derive(Serialize, ToSchema)]
pub struct EventBody {
    /// Place in the log: 1 for the first, without gaps.
    #[schema(example = 42)]
    position: i64,
    /// Id of the event; also its CloudEvents id on Kafka.
    event_id: Uuid,
    /// When it was committed.
    recorded_at: DateTime<Utc>,
    /// Kind of the aggregate.
    #[schema(example = "order")]
    aggregate_type: String,
    /// Which aggregate.
    aggregate_id: String,
    /// Place in the aggregate's own stream, from 1.
    #[schema(example = 1)]
    sequence: i64,
    /// Name of the event.
    #[schema(example = "OrderPlaced")]
    event_type: String,
    /// Version of its shape.
    #[schema(example = "1.0")]
    event_version: String,
    /// Who acted.
    #[schema(example = "saga:payment")]
    actor: Option<String>,
    /// The command that it came of.
    #[schema(example = "PlaceOrder")]
    command: Option<String>,
    /// The event or request that led to the command.
    causation_id: Option<String>,
    /// What all that follows from one request shares: its `x-request-id`.
    correlation_id: Option<String>,
    /// The event itself.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
}

impl EventBody {
    pub(super) fn of_entry(entry: TimelineEntry) -> Self {
        Self {
            position: entry.position.0,
            event_id: entry.event_id,
            recorded_at: entry.recorded_at,
            aggregate_type: entry.aggregate_type,
            aggregate_id: entry.aggregate_id,
            sequence: entry.sequence,
            event_type: entry.event_type,
            event_version: entry.event_version,
            actor: entry.actor,
            command: entry.command,
            causation_id: entry.causation_id,
            correlation_id: entry.correlation_id,
            payload: entry.payload,
        }
    }

    pub(super) fn of_recorded(event: &RecordedEvent) -> Result<Self, ApiError> {
        // an object of string to string, unless a program beside us wrote something else
        let mut cause: Map<String, Value> =
            serde_json::from_str(&event.metadata).unwrap_or_default();
        let mut take = |name: &str| match cause.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let payload = RawValue::from_string(event.payload.to_string())
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Self {
            position: event.position.0,
            event_id: event.event_id,
            recorded_at: event.recorded_at,
            aggregate_type: event.aggregate_type.to_string(),
            aggregate_id: event.aggregate_id.to_string(),
            sequence: event.sequence,
            event_type: event.event_type.to_string(),
            event_version: event.event_version.to_string(),
            actor: take("actor"),
            command: take("command"),
            causation_id: take("causation_id"),
            correlation_id: take("correlation_id"),
            payload,
        })
    }

    /// Opens what is sealed in the payload; null where the person was erased.
    pub(super) async fn open(&mut self, vault: &Vault) -> Result<(), ApiError> {
        // most events hold nothing sealed: then the payload stays the text that it is
        if !self.payload.get().contains(SEALED_MARK) {
            return Ok(());
        }
        let Ok(mut payload) = serde_json::from_str::<Map<String, Value>>(self.payload.get()) else {
            return Ok(());
        };
        let stream = format!("{}/{}", self.aggregate_type, self.aggregate_id);
        for (field, value) in &mut payload {
            let Value::String(text) = &*value else {
                continue;
            };
            if !text.starts_with(SEALED_START) {
                continue;
            }
            match vault.open(&Sealed::new(text.clone()), &stream, field).await {
                Ok(opened) => *value = opened.map_or(Value::Null, Value::String),
                // not sealed after all, damaged, or of somebody whose key cannot be read here: shown as it is
                Err(SealError::Damaged | SealError::OtherMasterKey(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Ok(payload) = serde_json::value::to_raw_value(&payload) {
            self.payload = payload;
        }
        Ok(())
    }
}

/// How sealed texts begin.
const SEALED_START: &str = "v1.";
/// The same within JSON.
const SEALED_MARK: &str = "\"v1.";
