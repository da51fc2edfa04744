//! The log as a repository of cqrs-es: a `CqrsFramework` runs on it, with group commit.
//!
//! Cold reads go through postgres-es, whose table layout the log shares; writes go through the sequencer, so that they
//! are ordered, cached and published like all others. Use it with `PersistedEventStore::new_event_store`: snapshots are
//! the log's own business, so a store that brings its own is refused.

use cqrs_es::{
    Aggregate,
    persist::{
        PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent,
        SerializedSnapshot,
    },
};
use postgres_es::PostgresEventRepository;
use serde_json::Value;

use crate::{
    EventLog,
    event::Cause,
    stream::StreamRef,
    unit::{ExecuteError, Halt, StoredEvent, Unit, Work},
};

/// See the module.
pub struct LogRepository {
    log: EventLog,
    reader: PostgresEventRepository,
}

impl LogRepository {
    /// A repository on this log.
    pub fn new(log: EventLog) -> Self {
        let reader = PostgresEventRepository::new(log.pool().clone());
        Self { log, reader }
    }
}

/// The stream has moved on since the aggregate was loaded.
#[derive(Debug)]
struct Conflict;

impl PersistedEventRepository for LogRepository {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.reader.get_events::<A>(aggregate_id).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.reader
            .get_last_events::<A>(aggregate_id, last_sequence)
            .await
    }

    async fn get_snapshot<A: Aggregate>(
        &self,
        _: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        if snapshot_update.is_some() {
            return Err(unknown(
                "the log keeps its own snapshots: use PersistedEventStore::new_event_store",
            ));
        }
        let Some(first) = events.first() else {
            return Ok(());
        };
        let stream = StreamRef::sequence_only(A::TYPE, &first.aggregate_id);
        let cause = Cause {
            actor: "cqrs-es".into(),
            command: first.event_type.clone(),
            ..Cause::default()
        };
        let events = events.to_vec();
        let decide_stream = stream.clone();
        let unit = Unit::new(cause, vec![stream], move |work: &mut Work<'_, Conflict>| {
            for event in &events {
                let stored = StoredEvent {
                    event_type: (&event.event_type).into(),
                    event_version: (&event.event_version).into(),
                    payload: event.payload.to_string().into(),
                    metadata: Some(event.metadata.to_string().into()),
                };
                if !work.append_stored(&decide_stream, event.sequence as i64, stored)? {
                    return Err(Halt::Refused(Conflict));
                }
            }
            Ok(())
        });
        match self.log.execute(unit).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Refused(Conflict)) => Err(PersistenceError::OptimisticLockError),
            Err(ExecuteError::Unavailable(reason)) => {
                Err(PersistenceError::ConnectionError(reason.into()))
            }
            Err(error) => Err(unknown(&format!("{error:?}"))),
        }
    }

    async fn stream_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<ReplayStream, PersistenceError> {
        self.reader.stream_events::<A>(aggregate_id).await
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        self.reader.stream_all_events::<A>().await
    }
}

fn unknown(reason: &str) -> PersistenceError {
    PersistenceError::UnknownError(reason.into())
}
