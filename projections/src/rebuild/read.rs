//! Reads the log for a rebuild: stretches of positions, each in a short transaction of its own, in the binary format of
//! `COPY`, so that nothing is converted and nothing is allocated per event.

use chrono::{DateTime, Utc};
use eventstore::position::{Head, Position};
use futures::TryStreamExt;
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::RebuildError;
use crate::decode::EventRef;

/// What a copy begins with, and what follows: four bytes of flags, four of the length of an extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// 2000-01-01 in microseconds of Unix time: where PostgreSQL's clock begins.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The events of a stretch of the log that a view reads.
pub(super) struct Stretch {
    /// Rows of a binary copy.
    pub(super) rows: Vec<u8>,
    /// How many.
    pub(super) events: usize,
}

/// Where a rebuild reads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// The head to end at; else the end of the log as it is when it is come near to.
    pub(super) head: Option<Head>,
    /// Most positions in a stretch.
    pub(super) stretch: i64,
}

/// Reads the events of these types from the first position on and hands them over; ends early where nobody takes them.
/// Returns the last event that was read.
pub(super) async fn read_all(
    mut connection: PgConnection,
    types: &'static [&'static str],
    until: Until,
    stretches: mpsc::Sender<Stretch>,
) -> Result<Head, RebuildError> {
    let mut done = Head::EMPTY;
    loop {
        let end = match until.head {
            Some(head) => head,
            None => head(&mut connection).await?,
        };
        let last_round = until.head.is_some() || end.position.0 - done.position.0 <= until.stretch;
        while done.position < end.position {
            let to = end.position.0.min(done.position.0 + until.stretch);
            let (stretch, last) = read(&mut connection, types, done, Position(to)).await?;
            done = last;
            if stretch.events > 0 && stretches.send(stretch).await.is_err() {
                return Ok(done);
            }
        }
        if done != end {
            return Err(RebuildError::Diverged { at: end });
        }
        if last_round {
            connection.close().await?;
            return Ok(done);
        }
    }
}

async fn head(connection: &mut PgConnection) -> Result<Head, sqlx::Error> {
    let last = "select position, event_id from events order by position desc limit 1";
    let last: Option<(i64, Uuid)> = sqlx::query_as(last).fetch_optional(connection).await?;
    Ok(last.map_or(Head::EMPTY, |(position, event_id)| Head {
        position: Position(position),
        event_id,
    }))
}

/// Reads the events after `after` up to the position `to`, and proves that `after` is still there.
async fn read(
    connection: &mut PgConnection,
    types: &[&str],
    after: Head,
    to: Position,
) -> Result<(Stretch, Head), RebuildError> {
    let mut tx = connection
        .begin_with("begin isolation level repeatable read read only")
        .await?;
    let ends: Vec<(i64, Uuid)> = sqlx::query_as(
        "select position, event_id from events where position = any($1) order by position",
    )
    .bind([after.position.0, to.0])
    .fetch_all(&mut *tx)
    .await?;
    let ends: Vec<Head> = ends
        .into_iter()
        .map(|(position, event_id)| Head {
            position: Position(position),
            event_id,
        })
        .collect();
    let last = match ends[..] {
        [last] if after == Head::EMPTY => last,
        [first, last] if first == after => last,
        _ => return Err(RebuildError::Diverged { at: after }),
    };
    let stretch = copy(&mut tx, types, after.position, to).await?;
    tx.rollback().await?;
    Ok((stretch, last))
}

async fn copy(
    connection: &mut PgConnection,
    types: &[&str],
    after: Position,
    to: Position,
) -> Result<Stretch, sqlx::Error> {
    let types = types.join("', '");
    // `is true`: the type must not make the planner think of the index by stream; a stretch is read by position
    let statement = format!(
        "copy (select position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version, payload \
         from events where position > {after} and position <= {to} and (aggregate_type in ('{types}')) is true \
         order by position) to stdout (format binary)"
    );
    let mut messages = connection.copy_out_raw(&statement).await?;
    let mut rows = Vec::new();
    let mut events = 0;
    while let Some(message) = messages.try_next().await? {
        rows.extend_from_slice(&message);
        events += 1;
    }
    // the last message ends the copy and is no row
    Ok(Stretch {
        rows,
        events: events - 1,
    })
}

/// The events in rows of a binary copy.
pub(super) fn events(rows: &[u8]) -> impl Iterator<Item = Result<EventRef<'_>, RebuildError>> {
    let mut cursor = Cursor { rest: rows };
    let mut ended = cursor.header().is_none();
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let event = cursor.event().ok_or(RebuildError::Garbled).transpose()?;
        ended = event.is_err();
        Some(event)
    })
}

/// Walks over the bytes of a copy; nothing where they are not what they should be.
struct Cursor<'r> {
    rest: &'r [u8],
}

impl<'r> Cursor<'r> {
    fn bytes(&mut self, length: usize) -> Option<&'r [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn header(&mut self) -> Option<()> {
        let signature = self.bytes(SIGNATURE.len())?;
        let _flags: [u8; 4] = self.array()?;
        let extension = u32::from_be_bytes(self.array()?);
        self.bytes(extension as usize)?;
        (signature == SIGNATURE).then_some(())
    }

    fn field(&mut self) -> Option<&'r [u8]> {
        let length = i32::from_be_bytes(self.array()?);
        self.bytes(usize::try_from(length).ok()?)
    }

    fn text(&mut self) -> Option<&'r str> {
        std::str::from_utf8(self.field()?).ok()
    }

    fn integer(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.field()?.try_into().ok()?))
    }

    /// The next event; `Some(None)` at the end of the copy.
    #[allow(clippy::option_option)]
    fn event(&mut self) -> Option<Option<EventRef<'r>>> {
        match i16::from_be_bytes(self.array()?) {
            -1 => return Some(None),
            8 => {}
            _ => return None,
        }
        Some(Some(EventRef {
            position: Position(self.integer()?),
            recorded_at: DateTime::<Utc>::from_timestamp_micros(
                self.integer()?.checked_add(POSTGRES_EPOCH_MICROS)?,
            )?,
            aggregate_type: self.text()?,
            aggregate_id: self.text()?,
            sequence: self.integer()?,
            event_type: self.text()?,
            event_version: self.text()?,
            payload: self.text()?,
        }))
    }
}
