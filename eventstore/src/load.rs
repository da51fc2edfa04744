//! Cold loads: many streams in two statements, each from its snapshot where there is a fitting one.

use std::collections::BTreeMap;

use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::{
    cache::CachedStream,
    store::LoadedStreams,
    stream::{StreamId, StreamRef},
};

/// Streams are loaded this many at a time.
const STREAMS_PER_LOAD: usize = 500;

/// Loads the states of `streams`. Streams without events come back empty, at sequence 0.
pub(crate) async fn load(
    pool: &PgPool,
    streams: &[StreamRef],
) -> Result<LoadedStreams, sqlx::Error> {
    let distinct = distinct(streams);
    let mut loaded = Vec::with_capacity(distinct.len());
    for chunk in distinct.chunks(STREAMS_PER_LOAD) {
        loaded.extend(load_chunk(pool, chunk).await?);
    }
    Ok(loaded)
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

async fn load_chunk(pool: &PgPool, streams: &[StreamRef]) -> Result<LoadedStreams, sqlx::Error> {
    let mut assembly = Assembly::new(streams);
    restore_snapshots(pool, &mut assembly).await?;

    // sequence-only streams need just their last sequence; the others all events since the snapshot
    let types: Vec<&str> = streams.iter().map(|s| &*s.id.aggregate_type).collect();
    let ids: Vec<&str> = streams.iter().map(|s| &*s.id.aggregate_id).collect();
    let after: Vec<i64> = streams
        .iter()
        .map(|stream| assembly.wanted_after(stream).unwrap_or(i64::MAX))
        .collect();
    let rows = sqlx::query(
        "select s.aggregate_type, s.aggregate_id, e.sequence, e.event_id, e.event_type, e.event_version, e.payload \
         from unnest($1::text[], $2::text[], $3::bigint[]) as s (aggregate_type, aggregate_id, after) \
         cross join lateral ( \
             select sequence, event_id, event_type, event_version, payload::text as payload from events \
             where aggregate_type = s.aggregate_type and aggregate_id = s.aggregate_id and sequence > s.after \
             union all \
             (select sequence, event_id, event_type, event_version, '' from events \
              where s.after = 9223372036854775807 \
                and aggregate_type = s.aggregate_type and aggregate_id = s.aggregate_id \
              order by sequence desc limit 1)) e \
         order by s.aggregate_type, s.aggregate_id, e.sequence",
    )
    .bind(types)
    .bind(ids)
    .bind(after)
    .fetch_all(pool)
    .await?;
    for row in rows {
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

fn stream_of(row: &sqlx::postgres::PgRow) -> Result<StreamId, sqlx::Error> {
    Ok(StreamId {
        aggregate_type: row.try_get::<&str, _>("aggregate_type")?.into(),
        aggregate_id: row.try_get::<&str, _>("aggregate_id")?.into(),
    })
}

async fn restore_snapshots(pool: &PgPool, assembly: &mut Assembly<'_>) -> Result<(), sqlx::Error> {
    let (types, ids): (Vec<&str>, Vec<&str>) = assembly
        .typed()
        .map(|s| (&*s.id.aggregate_type, &*s.id.aggregate_id))
        .unzip();
    if types.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        // of an event that the log holds: after a failover a server may still have written one of an event that is lost
        "select s.aggregate_type, s.aggregate_id, p.sequence, p.event_id, p.state_version, p.state::text as state \
         from unnest($1::text[], $2::text[]) as s (aggregate_type, aggregate_id) \
         join aggregate_snapshots p on p.aggregate_type = s.aggregate_type and p.aggregate_id = s.aggregate_id \
         join events e on e.aggregate_type = p.aggregate_type and e.aggregate_id = p.aggregate_id \
            and e.sequence = p.sequence and e.event_id = p.event_id",
    )
    .bind(types)
    .bind(ids)
    .fetch_all(pool)
    .await?;
    for row in rows {
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
