//! Cold loads: many streams in two statements, each from its snapshot where there is a fitting one.
//!
//! Their arrays come out of a subquery, where PostgreSQL does not look for how long they are: where it does, it takes a
//! plan for this very array for a better one and plans each load anew, which takes three times as long as the load.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    cache::CachedStream,
    store::LoadedStreams,
    stream::{StreamId, StreamRef},
};

/// Streams are loaded this many at a time.
const STREAMS_PER_LOAD: usize = 500;

/// The snapshots of streams, each of an event that the log holds: after a failover a server may still have written one
/// of an event that is lost. Looked up one by one, through the keys: as a join, PostgreSQL may read the whole log.
const SNAPSHOTS: &str = "select s.aggregate_type, s.aggregate_id, p.sequence, p.event_id, p.state_version, p.state \
     from unnest((select $1::text[]), (select $2::text[])) as s (aggregate_type, aggregate_id) \
     cross join lateral ( \
         select sequence, event_id, state_version, state::text as state from aggregate_snapshots \
         where aggregate_type = s.aggregate_type and aggregate_id = s.aggregate_id limit 1) p \
     where p.event_id = ( \
         select e.event_id from events e \
         where e.aggregate_type = s.aggregate_type and e.aggregate_id = s.aggregate_id and e.sequence = p.sequence)";

/// All events of streams after a sequence each; after the greatest there is, just the last one, without its payload.
const EVENTS: &str = "select s.aggregate_type, s.aggregate_id, e.sequence, e.event_id, e.event_type, e.event_version, e.payload \
     from unnest((select $1::text[]), (select $2::text[]), (select $3::bigint[])) as s (aggregate_type, aggregate_id, after) \
     cross join lateral ( \
         select sequence, event_id, event_type, event_version, payload::text as payload from events \
         where aggregate_type = s.aggregate_type and aggregate_id = s.aggregate_id and sequence > s.after \
         union all \
         (select sequence, event_id, event_type, event_version, '' from events \
          where s.after = 9223372036854775807 \
            and aggregate_type = s.aggregate_type and aggregate_id = s.aggregate_id \
          order by sequence desc limit 1)) e \
     order by s.aggregate_type, s.aggregate_id, e.sequence";

/// Loads the states of `streams`. Streams without events come back empty, at sequence 0.
pub(crate) async fn load(
    pool: &PgPool,
    streams: &[StreamRef],
) -> Result<LoadedStreams, sqlx::Error> {
    let distinct = distinct(streams);
    let mut connection = pool.acquire().await?;
    let mut loaded = Vec::with_capacity(distinct.len());
    for chunk in distinct.chunks(STREAMS_PER_LOAD) {
        loaded.extend(load_chunk(&mut connection, chunk).await?);
    }
    Ok(loaded)
}

/// Makes a new connection ready to load: PostgreSQL reads its catalogue and plans the statements before anybody waits
/// for what they find.
pub(crate) async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    snapshots(connection, &[], &[]).await?;
    events(connection, &[], &[], &[]).await?;
    Ok(())
}

async fn snapshots(
    connection: &mut PgConnection,
    types: &[&str],
    ids: &[&str],
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(SNAPSHOTS)
        .bind(types)
        .bind(ids)
        .fetch_all(connection)
        .await
}

async fn events(
    connection: &mut PgConnection,
    types: &[&str],
    ids: &[&str],
    after: &[i64],
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(EVENTS)
        .bind(types)
        .bind(ids)
        .bind(after)
        .fetch_all(connection)
        .await
}

/// Each once, however many units ask for it: an event applied twice is a state that never was.
pub(crate) fn distinct(streams: &[StreamRef]) -> Vec<StreamRef> {
    let mut distinct = streams.to_vec();
    distinct.sort_by(|a, b| a.id.cmp(&b.id).then(b.is_typed().cmp(&a.is_typed())));
    distinct.dedup_by(|a, b| a.id == b.id);
    distinct
}

/// Streams that are being put together from what is stored.
pub(crate) struct Assembly<'a> {
    streams: &'a [StreamRef],
    states: BTreeMap<StreamId, CachedStream>,
}

/// A snapshot as it is stored.
pub(crate) struct StoredSnapshot<'a> {
    pub(crate) sequence: i64,
    pub(crate) event_id: Uuid,
    pub(crate) state_version: i32,
    pub(crate) state: &'a str,
}

/// An event as it is stored, as far as the state of its stream goes.
pub(crate) struct StreamEvent<'a> {
    pub(crate) sequence: i64,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: &'a str,
    pub(crate) event_version: &'a str,
    pub(crate) payload: &'a str,
}

impl<'a> Assembly<'a> {
    /// All empty; each stream is there once.
    pub(crate) fn new(streams: &'a [StreamRef]) -> Self {
        let states = streams
            .iter()
            .map(|s| (s.id.clone(), CachedStream::empty((s.kind.empty)())))
            .collect();
        Self { streams, states }
    }

    /// The streams of which more is wanted than the last sequence.
    pub(crate) fn typed(&self) -> impl Iterator<Item = &'a StreamRef> {
        self.streams.iter().filter(|stream| stream.is_typed())
    }

    /// Begins with a snapshot. One of another state version, or one that does not read, is as good as none: the events
    /// are the truth.
    pub(crate) fn restore(&mut self, id: &StreamId, snapshot: &StoredSnapshot<'_>) {
        let fitting = self
            .typed()
            .find(|stream| stream.id == *id)
            .filter(|stream| stream.kind.state_version == snapshot.state_version)
            .and_then(|stream| (stream.kind.restore)(snapshot.state));
        if let Some(state) = fitting {
            let StoredSnapshot {
                sequence, event_id, ..
            } = *snapshot;
            let restored = CachedStream::new(sequence, event_id, state, sequence);
            self.states.insert(id.clone(), restored);
        }
    }

    /// After which sequence the events of a stream are wanted; none where only its last event is.
    pub(crate) fn wanted_after(&self, stream: &StreamRef) -> Option<i64> {
        match self.states.get(&stream.id) {
            Some(state) => state.state.is_typed().then_some(state.sequence),
            None => Some(0),
        }
    }

    /// Takes in the next event of a stream.
    pub(crate) fn apply(&mut self, id: &StreamId, event: &StreamEvent<'_>) {
        let Some(entry) = self.states.get_mut(id) else {
            return;
        };
        if event.sequence <= entry.sequence {
            return;
        }
        entry.sequence = event.sequence;
        entry.event_id = event.event_id;
        let applied =
            entry
                .state
                .apply_stored(event.event_type, event.event_version, event.payload);
        if let Err(error) = applied {
            entry.unreadable.get_or_insert(error);
        }
    }

    /// The states, weighed only now that they are whole.
    pub(crate) fn finish(self) -> LoadedStreams {
        let weighed = |(id, entry): (StreamId, CachedStream)| {
            let mut fresh = CachedStream::new(
                entry.sequence,
                entry.event_id,
                entry.state,
                entry.snapshot_at,
            );
            fresh.unreadable = entry.unreadable;
            (id, fresh)
        };
        self.states.into_iter().map(weighed).collect()
    }
}

async fn load_chunk(
    connection: &mut PgConnection,
    streams: &[StreamRef],
) -> Result<LoadedStreams, sqlx::Error> {
    let mut assembly = Assembly::new(streams);
    restore_snapshots(connection, &mut assembly).await?;

    // sequence-only streams need just their last sequence; the others all events since the snapshot
    let types: Vec<&str> = streams.iter().map(|s| &*s.id.aggregate_type).collect();
    let ids: Vec<&str> = streams.iter().map(|s| &*s.id.aggregate_id).collect();
    let after: Vec<i64> = streams
        .iter()
        .map(|stream| assembly.wanted_after(stream).unwrap_or(i64::MAX))
        .collect();
    for row in events(connection, &types, &ids, &after).await? {
        let event = StreamEvent {
            sequence: row.try_get("sequence")?,
            event_id: row.try_get("event_id")?,
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            payload: row.try_get("payload")?,
        };
        assembly.apply(&stream_of(&row)?, &event);
    }
    Ok(assembly.finish())
}

fn stream_of(row: &PgRow) -> Result<StreamId, sqlx::Error> {
    Ok(StreamId {
        aggregate_type: row.try_get::<&str, _>("aggregate_type")?.into(),
        aggregate_id: row.try_get::<&str, _>("aggregate_id")?.into(),
    })
}

async fn restore_snapshots(
    connection: &mut PgConnection,
    assembly: &mut Assembly<'_>,
) -> Result<(), sqlx::Error> {
    let (types, ids): (Vec<&str>, Vec<&str>) = assembly
        .typed()
        .map(|s| (&*s.id.aggregate_type, &*s.id.aggregate_id))
        .unzip();
    if types.is_empty() {
        return Ok(());
    }
    for row in snapshots(connection, &types, &ids).await? {
        let snapshot = StoredSnapshot {
            sequence: row.try_get("sequence")?,
            event_id: row.try_get("event_id")?,
            state_version: row.try_get("state_version")?,
            state: row.try_get("state")?,
        };
        assembly.restore(&stream_of(&row)?, &snapshot);
    }
    Ok(())
}
