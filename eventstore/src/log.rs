//! The event log as the rest of Souk uses it: execute a unit of work, read, follow.

use std::{collections::HashSet, sync::Arc, time::Duration};

use domain::aggregate::Decider;
use sqlx::{
    PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use uuid::Uuid;

use crate::{
    append::bounded,
    event::{EVENT_COLUMNS, RecordedEvent},
    feed::Feed,
    load,
    position::{Head, Position},
    sequencer::Sequencer,
    snapshots,
    store::{Store, postgres::PgStore},
    stream::{StreamRef, typed},
    unit::{AnyUnit, Committed, ExecuteError, Pending, Unit},
    wake,
};

/// Most units that wait to be decided; beyond that callers are told that the log is overloaded.
const QUEUE_LENGTH: usize = 8_192;

/// Most connections for read models and other work whose loss in a crash costs nothing.
const BACKGROUND_POOL_SIZE: u32 = 12;

/// Connections that are kept open: one listens, the first command does not wait for another.
const READY_CONNECTIONS: u32 = 2;

/// How long closing waits for the database; every conversation with it is bounded well below that.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);
/// Expired keys are removed so many at a time, so that no removal is a long transaction.
const KEYS_PER_REMOVAL: i64 = 10_000;

/// How the log is opened.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The database.
    pub database: PgConnectOptions,
    /// Most pooled connections of this process; the appending session is one more.
    pub pool_size: u32,
    /// Bytes of aggregate states kept in memory.
    pub cache_bytes: usize,
}

impl LogSettings {
    /// Pool and cache sizes that suit one server process.
    pub fn new(database: PgConnectOptions) -> Self {
        Self {
            database,
            pool_size: 16,
            cache_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What an idempotency key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Keyed digest of the canonical body of the first request.
    pub fingerprint: Vec<u8>,
    /// HTTP status of the first answer.
    pub status: u16,
    /// Id of the resource that was made.
    pub resource: String,
    /// Where its last event stands.
    pub head: Head,
}

/// A handle to the log of one database; cheap to clone. See the crate for what it guarantees.
#[derive(Clone)]
pub struct EventLog {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    pool: PgPool,
    background: PgPool,
    feed: Arc<Feed>,
    /// Taken away at shutdown: then nothing new is accepted.
    queue: std::sync::RwLock<Option<mpsc::Sender<Box<dyn AnyUnit>>>>,
    tasks: Mutex<Tasks>,
}

struct Tasks {
    /// End by themselves once the queue is closed and drained.
    draining: JoinSet<()>,
    /// Run until they are aborted.
    watching: JoinSet<()>,
}

impl EventLog {
    /// Connects and starts the tasks of the log. The schema must be migrated.
    pub async fn open(settings: LogSettings) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(settings.pool_size)
            .min_connections(READY_CONNECTIONS.min(settings.pool_size))
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(|connection, _| Box::pin(load::prepare(connection)))
            .connect_with(settings.database.clone().application_name("souk"))
            .await?;
        let background = PgPoolOptions::new()
            .max_connections(BACKGROUND_POOL_SIZE)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(
                settings
                    .database
                    .clone()
                    .application_name("souk background")
                    // a process that is paused in a transaction holds the row of its subscription for no longer than
                    // its lease
                    .options([
                        ("synchronous_commit", "off"),
                        ("idle_in_transaction_session_timeout", "3s"),
                    ]),
            );
        let store = Arc::new(PgStore::new(pool.clone(), settings.database));
        Self::on(store, pool, background, settings.cache_bytes).await
    }

    /// Starts the tasks of the log on a store; the pools are for those who keep tables beside it.
    pub(crate) async fn on(
        store: Arc<dyn Store>,
        pool: PgPool,
        background: PgPool,
        cache_bytes: usize,
    ) -> Result<Self, sqlx::Error> {
        let head = store.head().await?;
        let feed = Arc::new(Feed::new(store.clone(), head.position));
        let (queue, units) = mpsc::channel(QUEUE_LENGTH);
        let (snapshot_queue, due_snapshots) = mpsc::channel(snapshots::QUEUE_LENGTH);
        let sequencer = Sequencer::new(
            store.clone(),
            units,
            feed.clone(),
            snapshot_queue,
            cache_bytes,
            head,
        );
        let mut tasks = Tasks {
            draining: JoinSet::new(),
            watching: JoinSet::new(),
        };
        tasks.draining.spawn(sequencer.run());
        tasks
            .draining
            .spawn(snapshots::write_snapshots(store.clone(), due_snapshots));
        tasks
            .watching
            .spawn(wake::notify(store.clone(), feed.subscribe_committed()));
        tasks
            .watching
            .spawn(wake::listen(store.clone(), feed.clone()));
        let shared = Shared {
            store,
            pool,
            background,
            feed,
            queue: std::sync::RwLock::new(Some(queue)),
            tasks: Mutex::new(tasks),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Decides and commits a unit of work. Once called, the unit runs to its end even if the caller goes away.
    pub async fn execute<T, E>(&self, unit: Unit<T, E>) -> Result<Committed<T>, ExecuteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (pending, answer) = Pending::new(unit);
        {
            let queue = self
                .shared
                .queue
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let Some(queue) = queue.as_ref() else {
                return Err(ExecuteError::Unavailable("shutting down".into()));
            };
            match queue.try_send(Box::new(pending)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => return Err(ExecuteError::Overloaded),
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    return Err(ExecuteError::Unavailable(
                        "the sequencer has stopped".into(),
                    ));
                }
            }
        }
        answer
            .await
            .unwrap_or_else(|_| Err(ExecuteError::OutcomeUnknown))
    }

    /// False once the log is closed, or its sequencer has ended: then no command can be decided here.
    pub fn accepts_commands(&self) -> bool {
        let queue = self
            .shared
            .queue
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| !queue.is_closed())
    }

    /// What the idempotency key with this id led to, if it was used.
    ///
    /// A commit that still waited for a synchronous standby when its session was ended, or the database restarted, is
    /// visible before it is safe. So this read writes a word to the database's own log: it ends once the standby has
    /// both.
    pub async fn stored_answer(&self, key: Uuid) -> Result<Option<StoredAnswer>, sqlx::Error> {
        let row = sqlx::query(
            "select k.fingerprint, k.status, k.resource, k.position, e.event_id, \
                    set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'souk', 'known') \
             from idempotency_keys k left join events e on e.position = k.position where k.id = $1",
        )
        .bind(key)
        .fetch_optional(&self.shared.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredAnswer {
            fingerprint: row.try_get("fingerprint")?,
            status: u16::try_from(row.try_get::<i16, _>("status")?).unwrap_or_default(),
            resource: row.try_get("resource")?,
            head: Head {
                position: Position(row.try_get("position")?),
                event_id: row.try_get::<Option<_>, _>("event_id")?.unwrap_or_default(),
            },
        }))
    }

    /// Removes idempotency keys older than `age`. Returns how many.
    pub async fn expire_keys(&self, age: Duration) -> Result<u64, sqlx::Error> {
        let mut removed = 0;
        loop {
            let result = sqlx::query(
                "delete from idempotency_keys where id in ( \
                    select id from idempotency_keys \
                    where recorded_at < now() - make_interval(secs => $1) order by recorded_at limit $2)",
            )
            .bind(age.as_secs_f64())
            .bind(KEYS_PER_REMOVAL)
            .execute(&self.shared.background)
            .await?;
            removed += result.rows_affected();
            if result.rows_affected() < KEYS_PER_REMOVAL as u64 {
                return Ok(removed);
            }
        }
    }

    /// Which stream owns a unique value, if any.
    pub async fn claim_owner(
        &self,
        scope: &str,
        value: &str,
    ) -> Result<Option<String>, sqlx::Error> {
        bounded(self.shared.store.claim_owner(scope, value)).await
    }

    /// The committed state of an aggregate and its sequence (0 where it has no events), read from the database.
    pub async fn load<A: Decider>(
        &self,
        id: impl std::fmt::Display,
    ) -> Result<(A, i64), LoadError> {
        let stream = StreamRef::of::<A>(id);
        let loaded = bounded(self.shared.store.load(std::slice::from_ref(&stream))).await?;
        let Some((_, cached)) = loaded.into_iter().next() else {
            return Ok((A::default(), 0));
        };
        if let Some(unreadable) = cached.unreadable {
            return Err(unreadable.into());
        }
        let state = typed::<A>(cached.state.as_ref())
            .cloned()
            .unwrap_or_default();
        Ok((state, cached.sequence))
    }

    /// The same for several aggregates at once, in no particular order. One with events that this binary cannot read is
    /// left out.
    pub async fn load_all<A: Decider>(
        &self,
        ids: impl IntoIterator<Item = impl std::fmt::Display>,
    ) -> Result<Vec<Loaded<A>>, sqlx::Error> {
        let streams: Vec<StreamRef> = ids.into_iter().map(StreamRef::of::<A>).collect();
        let loaded = self.shared.store.load(&streams).await?;
        let readable = loaded
            .into_iter()
            .filter(|(_, cached)| cached.unreadable.is_none());
        let states = readable.map(|(stream, cached)| Loaded {
            id: stream.aggregate_id,
            state: typed::<A>(cached.state.as_ref())
                .cloned()
                .unwrap_or_default(),
            sequence: cached.sequence,
        });
        Ok(states.collect())
    }

    /// Which of these aggregates have any events.
    pub async fn existing<A: Decider>(
        &self,
        ids: impl IntoIterator<Item = impl std::fmt::Display>,
    ) -> Result<HashSet<String>, sqlx::Error> {
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        // looked up one by one, through the primary key: as a join, PostgreSQL may read the whole log
        let found: Vec<String> = sqlx::query_scalar(
            "select s.aggregate_id from unnest($2::text[]) as s (aggregate_id) \
             cross join lateral ( \
                 select e.sequence from events e \
                 where e.aggregate_type = $1 and e.aggregate_id = s.aggregate_id \
                 order by e.sequence limit 1) first",
        )
        .bind(A::TYPE)
        .bind(ids)
        .fetch_all(&self.shared.pool)
        .await?;
        Ok(found.into_iter().collect())
    }

    /// Writes a snapshot of a stream as it stands: the same that the log writes by itself once enough has happened to it.
    /// Returns whether there was anything to write.
    #[cfg(feature = "testing")]
    pub async fn take_snapshot<A: Decider>(
        &self,
        id: impl std::fmt::Display,
    ) -> Result<bool, LoadError> {
        let store = &self.shared.store;
        let loaded = store.load(&[StreamRef::of::<A>(id)]).await?;
        let snapshot = loaded
            .first()
            .and_then(|(stream, cached)| snapshots::Snapshot::of(stream, cached));
        if let Some(snapshot) = &snapshot {
            store.keep_snapshot(snapshot).await?;
        }
        Ok(snapshot.is_some())
    }

    /// The events of one stream after `sequence`, in order.
    pub async fn stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        sequence: i64,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, sqlx::Error> {
        let rows = sqlx::query(&format!(
            "select {EVENT_COLUMNS} from events \
             where aggregate_type = $1 and aggregate_id = $2 and sequence > $3 order by sequence limit $4"
        ))
        .bind(aggregate_type)
        .bind(aggregate_id)
        .bind(sequence)
        .bind(limit)
        .fetch_all(&self.shared.pool)
        .await?;
        rows.iter().map(RecordedEvent::from_row).collect()
    }

    /// The event at this position, if there is one.
    pub async fn event_at(&self, position: Position) -> Result<Option<RecordedEvent>, sqlx::Error> {
        let row = sqlx::query(&format!(
            "select {EVENT_COLUMNS} from events where position = $1"
        ))
        .bind(position.0)
        .fetch_optional(&self.shared.pool)
        .await?;
        row.as_ref().map(RecordedEvent::from_row).transpose()
    }

    /// Whether the log holds the event that `head` names.
    pub async fn holds(&self, head: Head) -> Result<bool, sqlx::Error> {
        if head == Head::EMPTY {
            return Ok(true);
        }
        Ok(self
            .event_at(head.position)
            .await?
            .is_some_and(|event| event.event_id == head.event_id))
    }

    /// The head as committed now.
    pub async fn head(&self) -> Result<Head, sqlx::Error> {
        self.shared.store.head().await
    }

    /// The feed of committed events.
    pub fn feed(&self) -> Arc<Feed> {
        self.shared.feed.clone()
    }

    /// The pool of this process, for read models and tables beside the log.
    pub fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// The pool for what can be derived from the log again: its commits are not waited for, so a crash may take read
    /// models and their checkpoints a moment back, together.
    pub fn background_pool(&self) -> &PgPool {
        &self.shared.background
    }

    /// Accepts nothing new, answers all that was accepted, and stops the tasks. Nothing acknowledged is lost: an
    /// answer is only ever given after the commit.
    pub async fn close(&self) {
        drop(
            self.shared
                .queue
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take(),
        );
        let mut tasks = self.shared.tasks.lock().await;
        let drained = async { while tasks.draining.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSE_PATIENCE, drained).await.is_err() {
            tracing::error!("the database does not answer; closing without it");
            tasks.draining.shutdown().await;
        }
        tasks.watching.shutdown().await;
    }

    /// Stops the tasks where they stand, as the end of the process would. Nobody is answered.
    #[cfg(feature = "testing")]
    pub async fn kill(&self) {
        let mut tasks = self.shared.tasks.lock().await;
        tasks.draining.shutdown().await;
        tasks.watching.shutdown().await;
    }
}

/// An aggregate as it is committed.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// Which.
    pub id: Arc<str>,
    /// Its state.
    pub state: A,
    /// How many events it has.
    pub sequence: i64,
}

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The stream holds events that this binary cannot read.
    #[error(transparent)]
    Unreadable(#[from] crate::event::Unreadable),
}
