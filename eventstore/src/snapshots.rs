//! Snapshots of aggregate states: written after the commit, from committed state, by a task of their own.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{append::bounded, cache::CachedStream, store::Store, stream::StreamId};

/// A stream gets a snapshot after this many events …
const EVENTS_BETWEEN_SNAPSHOTS: i64 = 500;
/// … and one more for each so many bytes of state, so that large states do not make each event dear.
const STATE_BYTES_PER_EVENT: usize = 256;
/// Most snapshots that wait to be written; beyond that they are skipped until next time.
pub(crate) const QUEUE_LENGTH: usize = 64;

/// A state as of a committed event.
pub(crate) struct Snapshot {
    pub(crate) stream: StreamId,
    pub(crate) sequence: i64,
    pub(crate) event_id: Uuid,
    pub(crate) state_version: i32,
    pub(crate) state: String,
}

/// Whether enough has happened since the last one.
pub(crate) fn snapshot_due(stream: &CachedStream) -> bool {
    let since = stream.sequence - stream.snapshot_at;
    since >= EVENTS_BETWEEN_SNAPSHOTS
        && since
            >= EVENTS_BETWEEN_SNAPSHOTS + (stream.state.weight() / STATE_BYTES_PER_EVENT) as i64
}

impl Snapshot {
    /// None for streams whose state is not kept, or cannot be trusted.
    pub(crate) fn of(stream: &StreamId, cached: &CachedStream) -> Option<Self> {
        if cached.unreadable.is_some() {
            return None;
        }
        Some(Self {
            stream: stream.clone(),
            sequence: cached.sequence,
            event_id: cached.event_id,
            state_version: cached.state.state_version(),
            state: cached.state.snapshot()?,
        })
    }

    pub(crate) async fn write(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into aggregate_snapshots as s \
                (aggregate_type, aggregate_id, sequence, event_id, state_version, state) \
             select aggregate_type, aggregate_id, sequence, event_id, $5, $6::json from events \
             where aggregate_type = $1 and aggregate_id = $2 and sequence = $3 and event_id = $4 \
             on conflict (aggregate_type, aggregate_id) do update \
             set sequence = excluded.sequence, event_id = excluded.event_id, \
                 state_version = excluded.state_version, state = excluded.state \
             where excluded.sequence > s.sequence or excluded.state_version <> s.state_version",
        )
        .bind(&*self.stream.aggregate_type)
        .bind(&*self.stream.aggregate_id)
        .bind(self.sequence)
        .bind(self.event_id)
        .bind(self.state_version)
        .bind(&self.state)
        .execute(pool)
        .await?;
        Ok(())
    }
}

/// Writes snapshots until the sequencer is gone. One that fails is skipped: it only saves time.
pub(crate) async fn write_snapshots(
    store: Arc<dyn Store>,
    mut snapshots: mpsc::Receiver<Snapshot>,
) {
    while let Some(snapshot) = snapshots.recv().await {
        if let Err(error) = bounded(store.keep_snapshot(&snapshot)).await {
            tracing::warn!(stream = %snapshot.stream, %error, "snapshot not written");
        }
    }
}
