//! `souk events`: the log as JSON lines, oldest first, one event a line, for `jq`, DuckDB or a look at what happened.
//!
//! Payload and metadata are printed as they are stored, so personal data stays sealed whoever runs it. Reads in short
//! statements of at most [`PAGE_EVENTS`] events and [`WINDOW`] positions, however long the log is.

use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
    time::Duration,
};

use eventstore::{
    EventLog,
    event::{EVENT_COLUMNS, RecordedEvent},
    position::Position,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Failure;

/// Most events that one statement reads.
const PAGE_EVENTS: u64 = 1_000;
/// Most positions that one statement looks through for events of a type.
const WINDOW: i64 = 50_000;
/// How long `--follow` waits at most before it looks at the log again.
const FOLLOW_WAIT: Duration = Duration::from_secs(1);

/// What to print.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// Begin after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
    /// Print at most so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only events of this type, for instance OrderPlaced
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only events of this kind of aggregate or of this one: order or order/0198c0de-0000-7000-8000-000000000000
    #[arg(long, value_name = "TYPE/ID", value_parser = parse_aggregate)]
    aggregate: Option<Aggregate>,
    /// At the end of the log wait for more, until interrupted
    #[arg(long)]
    follow: bool,
}

/// A kind of aggregate, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aggregate {
    kind: String,
    id: Option<String>,
}

fn parse_aggregate(text: &str) -> Result<Aggregate, String> {
    let (kind, id) = match text.split_once('/') {
        Some((kind, id)) => (kind, Some(id)),
        None => (text, None),
    };
    if kind.is_empty() || id == Some("") {
        return Err("expected a kind of aggregate, or a kind and an id, as in order/0198c0de-0000-7000-8000-000000000000".into());
    }
    Ok(Aggregate {
        kind: kind.to_owned(),
        id: id.map(ToOwned::to_owned),
    })
}

/// One event as a line.
#[derive(Serialize)]
struct Line<'a> {
    position: i64,
    event_id: uuid::Uuid,
    recorded_at: chrono::DateTime<chrono::Utc>,
    aggregate_type: &'a str,
    aggregate_id: &'a str,
    sequence: i64,
    event_type: &'a str,
    event_version: &'a str,
    payload: &'a RawValue,
    metadata: &'a RawValue,
}

/// Prints the events that `args` ask for. A reader that goes away (`| head`) ends it without an error.
pub(super) async fn run(log: &EventLog, args: EventsArgs) -> Result<(), Failure> {
    let printed = print(log, args, BufWriter::new(io::stdout())).await;
    match printed {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

async fn print(log: &EventLog, args: EventsArgs, mut out: impl Write) -> Result<(), Failure> {
    let mut after = Position(args.after);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let page = read(log, &args, after, left.min(PAGE_EVENTS)).await?;
        for event in &page.events {
            write_line(&mut out, event)?;
        }
        left -= page.events.len() as u64;
        after = page.read_to;
        if page.at_end {
            // whoever follows sees what there is before the next wait
            out.flush().map_err(Failure::Output)?;
            if !args.follow {
                break;
            }
            log.feed().wait_beyond(after, FOLLOW_WAIT).await;
        }
    }
    out.flush().map_err(Failure::Output)
}

/// Some events, and how far the log was read to find them.
struct Page {
    events: Vec<RecordedEvent>,
    read_to: Position,
    at_end: bool,
}

async fn read(
    log: &EventLog,
    args: &EventsArgs,
    after: Position,
    limit: u64,
) -> Result<Page, Failure> {
    let head = log.head().await?.position;
    let kind = args.aggregate.as_ref().map(|aggregate| &aggregate.kind);
    let id = args
        .aggregate
        .as_ref()
        .and_then(|aggregate| aggregate.id.as_ref());
    // one aggregate is found by the index of its stream, however far apart its events are; in it, sequence and
    // position give the same order
    let (filter, order, to) = if id.is_some() {
        (
            "aggregate_type = $4 and aggregate_id = $5",
            "sequence",
            head,
        )
    } else {
        let to = Position(head.0.min(after.0.saturating_add(WINDOW)));
        ("($4::text is null or aggregate_type = $4)", "position", to)
    };
    let query = format!(
        "select {EVENT_COLUMNS} from events \
         where position > $1 and position <= $2 and ($3::text is null or event_type = $3) and {filter} \
         order by {order} limit $6"
    );
    let rows = sqlx::query(&query)
        .bind(after.0)
        .bind(to.0)
        .bind(&args.event_type)
        .bind(kind)
        .bind(id)
        .bind(limit as i64)
        .fetch_all(log.pool())
        .await?;
    let events = rows
        .iter()
        .map(RecordedEvent::from_row)
        .collect::<Result<Vec<_>, _>>()?;
    let full = events.len() as u64 == limit;
    let read_to = match events.last() {
        Some(last) if full => last.position,
        // a log that was restored to an older state may end before `after`
        _ => to.max(after),
    };
    Ok(Page {
        events,
        read_to,
        at_end: !full && to == head || head <= after,
    })
}

fn write_line(out: &mut impl Write, event: &RecordedEvent) -> Result<(), Failure> {
    let (payload, metadata) = (one_line(&event.payload), one_line(&event.metadata));
    let line = Line {
        position: event.position.0,
        event_id: event.event_id,
        recorded_at: event.recorded_at,
        aggregate_type: &event.aggregate_type,
        aggregate_id: &event.aggregate_id,
        sequence: event.sequence,
        event_type: &event.event_type,
        event_version: &event.event_version,
        payload: raw(&payload, event.position)?,
        metadata: raw(&metadata, event.position)?,
    };
    serde_json::to_writer(&mut *out, &line).map_err(|error| Failure::Output(error.into()))?;
    out.write_all(b"\n").map_err(Failure::Output)
}

/// A line break in JSON is only ever between its parts, where a space does as well. Ours have none; other programs
/// that write to the log may.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) {
        json.replace(['\n', '\r'], " ").into()
    } else {
        json.into()
    }
}

fn raw(json: &str, position: Position) -> Result<&RawValue, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::NotJson { position, error })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(payload: &str) -> RecordedEvent {
        RecordedEvent {
            position: Position(7),
            event_id: uuid::Uuid::from_u128(1),
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            aggregate_type: "order".into(),
            aggregate_id: "1".into(),
            sequence: 2,
            event_type: "OrderPaid".into(),
            event_version: "1.0".into(),
            payload: payload.into(),
            metadata: "{}".into(),
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_its_payload_looks_like() {
        let mut out = Vec::new();
        write_line(
            &mut out,
            &event("{\n  \"name\": \"Tr\u{e0} s\u{1eef}a\",\r\n \"n\": 12345678901234567890123\n}"),
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        assert!(
            text.ends_with('\n')
                && text.contains("Tr\u{e0} s\u{1eef}a")
                && text.contains("12345678901234567890123")
        );
        assert!(
            text.starts_with(r#"{"position":7,"event_id":"00000000-0000-0000-0000-000000000001""#),
            "{text}"
        );
    }

    #[test]
    fn an_aggregate_is_a_kind_or_a_kind_and_an_id() {
        let parsed = |text| {
            let aggregate = parse_aggregate(text).unwrap();
            (aggregate.kind, aggregate.id)
        };
        assert_eq!(parsed("order/1/2"), ("order".into(), Some("1/2".into())));
        assert_eq!(parsed("order"), ("order".into(), None));
        for text in ["", "/1", "order/"] {
            assert!(parse_aggregate(text).is_err(), "{text}");
        }
    }
}
