//! An event as a Kafka message: the headers of CloudEvents 1.0 in binary mode. The publisher's header says what each is.

use std::borrow::Cow;

use chrono::SecondsFormat;
use eventstore::event::RecordedEvent;
use rdkafka::message::{Header, OwnedHeaders};
use serde::Deserialize;

/// Headers of one message, at most.
const HEADERS: usize = 12;

/// What the metadata of an event says about its origin.
#[derive(Default, Deserialize)]
struct Origin<'a> {
    #[serde(borrow, default)]
    correlation_id: Cow<'a, str>,
    #[serde(borrow, default)]
    causation_id: Cow<'a, str>,
}

/// The headers of an event's message.
pub(super) fn headers(event: &RecordedEvent) -> OwnedHeaders {
    // metadata of a foreign program may look otherwise: then it says nothing about the origin
    let origin: Origin<'_> = serde_json::from_str(&event.metadata).unwrap_or_default();
    let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
    [
        ("ce_specversion", "1.0"),
        ("ce_id", event.event_id.hyphenated().encode_lower(&mut id)),
        ("ce_source", "/souk"),
        (
            "ce_type",
            &format!("souk.{}.{}", event.aggregate_type, event.event_type),
        ),
        (
            "ce_time",
            &event
                .recorded_at
                .to_rfc3339_opts(SecondsFormat::Micros, true),
        ),
        ("ce_subject", &event.aggregate_id),
        ("content-type", "application/json"),
        ("ce_eventversion", &event.event_version),
        ("ce_position", &event.position.to_string()),
        ("ce_sequence", &event.sequence.to_string()),
        ("ce_correlationid", &origin.correlation_id),
        ("ce_causationid", &origin.causation_id),
    ]
    .into_iter()
    // an attribute of CloudEvents is never empty
    .filter(|(_, value)| !value.is_empty())
    .fold(
        OwnedHeaders::new_with_capacity(HEADERS),
        |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        },
    )
}
