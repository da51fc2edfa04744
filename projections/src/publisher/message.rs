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

#[cfg(test)]
mod tests {
    use eventstore::position::Position;
    use rdkafka::message::Headers;
    use uuid::Uuid;

    use super::*;

    fn shown(metadata: &str) -> Vec<String> {
        let event = RecordedEvent {
            position: Position(42),
            event_id: Uuid::from_u128(1),
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            aggregate_type: "order".into(),
            aggregate_id: "o-1".into(),
            sequence: 3,
            event_type: "OrderPaid".into(),
            event_version: "1.0".into(),
            payload: "{}".into(),
            metadata: metadata.into(),
        };
        let headers = headers(&event);
        let text =
            |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        headers
            .as_borrowed()
            .iter()
            .map(|header| format!("{}: {}", header.key, text(header.value)))
            .collect()
    }

    #[test]
    fn an_event_has_the_headers_of_cloudevents() {
        assert_eq!(
            shown(r#"{"correlation_id":"c","causation_id":"a \"quoted\" one","actor":"seed"}"#),
            [
                "ce_specversion: 1.0",
                "ce_id: 00000000-0000-0000-0000-000000000001",
                "ce_source: /souk",
                "ce_type: souk.order.OrderPaid",
                "ce_time: 1970-01-01T00:00:00.000000Z",
                "ce_subject: o-1",
                "content-type: application/json",
                "ce_eventversion: 1.0",
                "ce_position: 42",
                "ce_sequence: 3",
                "ce_correlationid: c",
                "ce_causationid: a \"quoted\" one",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        for metadata in [
            "{}",
            "[]",
            "null",
            r#"{"correlation_id":7}"#,
            r#"{"correlation_id":""}"#,
        ] {
            assert!(
                !shown(metadata)
                    .iter()
                    .any(|header| header.contains("ationid")),
                "{metadata}"
            );
        }
    }
}
