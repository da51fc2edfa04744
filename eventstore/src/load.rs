//! Cold loads: many streams in two statements, each from its snapshot where there is a fitting one.

use std::collections::HashMap;

use sqlx::{PgPool, Row};

use crate::{
    cache::CachedStream,
    stream::{StreamId, StreamRef},
};

/// Streams are loaded this many at a time.
const STREAMS_PER_LOAD: usize = 500;

/// Loads the states of `streams`. Streams without events come back empty, at sequence 0.
pub(crate) async fn load(
    pool: &PgPool,
    streams: &[StreamRef],
) -> Result<Vec<(StreamId, CachedStream)>, sqlx::Error> {
    // each once, however many units ask for it: an event applied twice is a state that never was
    let mut distinct = streams.to_vec();
    distinct.sort_by(|a, b| a.id.cmp(&b.id).then(b.is_typed().cmp(&a.is_typed())));
    distinct.dedup_by(|a, b| a.id == b.id);
    let mut loaded = Vec::with_capacity(distinct.len());
    for chunk in distinct.chunks(STREAMS_PER_LOAD) {
        loaded.extend(load_chunk(pool, chunk).await?);
    }
    Ok(loaded)
}

async fn load_chunk(
    pool: &PgPool,
    streams: &[StreamRef],
) -> Result<Vec<(StreamId, CachedStream)>, sqlx::Error> {
    let mut states: HashMap<StreamId, CachedStream> = streams
        .iter()
        .map(|s| (s.id.clone(), CachedStream::empty((s.kind.empty)())))
        .collect();
    restore_snapshots(pool, streams, &mut states).await?;

    // sequence-only streams need just their last sequence; the others all events since the snapshot
    let types: Vec<&str> = streams.iter().map(|s| &*s.id.aggregate_type).collect();
    let ids: Vec<&str> = streams.iter().map(|s| &*s.id.aggregate_id).collect();
    let after: Vec<i64> = streams
        .iter()
        .map(|s| {
            states.get(&s.id).map_or(0, |state| {
                if state.state.is_typed() {
                    state.sequence
                } else {
                    i64::MAX
                }
            })
        })
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
        let id = StreamId {
            aggregate_type: row.try_get::<&str, _>("aggregate_type")?.into(),
            aggregate_id: row.try_get::<&str, _>("aggregate_id")?.into(),
        };
        let Some(entry) = states.get_mut(&id) else {
            continue;
        };
        let sequence = row.try_get("sequence")?;
        if sequence <= entry.sequence {
            continue;
        }
        entry.sequence = sequence;
        entry.event_id = row.try_get("event_id")?;
        let applied = entry.state.apply_stored(
            row.try_get("event_type")?,
            row.try_get("event_version")?,
            row.try_get("payload")?,
        );
        if let Err(error) = applied {
            entry.unreadable.get_or_insert(error);
        }
    }
    // weighed only now that they are whole
    Ok(states
        .into_iter()
        .map(|(id, entry)| {
            let mut fresh = CachedStream::new(
                entry.sequence,
                entry.event_id,
                entry.state,
                entry.snapshot_at,
            );
            fresh.unreadable = entry.unreadable;
            (id, fresh)
        })
        .collect())
}

async fn restore_snapshots(
    pool: &PgPool,
    streams: &[StreamRef],
    states: &mut HashMap<StreamId, CachedStream>,
) -> Result<(), sqlx::Error> {
    let kept: Vec<&StreamRef> = streams
        .iter()
        .filter(|s| {
            states
                .get(&s.id)
                .is_some_and(|state| state.state.is_typed())
        })
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    let types: Vec<&str> = kept.iter().map(|s| &*s.id.aggregate_type).collect();
    let ids: Vec<&str> = kept.iter().map(|s| &*s.id.aggregate_id).collect();
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
        let (aggregate_type, aggregate_id): (&str, &str) =
            (row.try_get("aggregate_type")?, row.try_get("aggregate_id")?);
        let version: i32 = row.try_get("state_version")?;
        let Some(stream) = kept
            .iter()
            .find(|s| {
                &*s.id.aggregate_type == aggregate_type && &*s.id.aggregate_id == aggregate_id
            })
            .filter(|s| s.kind.state_version == version)
        else {
            continue;
        };
        // a snapshot that does not read is as good as none: the events are the truth
        if let Some(state) = (stream.kind.restore)(row.try_get("state")?) {
            let sequence = row.try_get("sequence")?;
            states.insert(
                stream.id.clone(),
                CachedStream::new(sequence, row.try_get("event_id")?, state, sequence),
            );
        }
    }
    Ok(())
}
