//! The log in PostgreSQL: one round trip and one commit per batch, by the database function `append_events`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::{
    ConnectOptions, PgConnection, PgExecutor, PgPool, Row,
    postgres::{PgConnectOptions, PgListener, PgRow},
};

use super::{Listener, LoadedStreams, Reply, Session, Store};
use crate::{
    append::{Appended, Batch, LOCK_TIMEOUT},
    event::{EVENT_COLUMNS, RecordedEvent},
    feed::FeedError,
    load,
    position::{Head, Position},
    snapshots::Snapshot,
    stream::StreamRef,
};

/// Longest that one statement of a writer may run.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(6);
/// Longest that a transaction of a writer may sit idle: a paused process must not stop the shop.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Application name of the sessions that append.
const WRITER_NAME: &str = "souk log writer";
/// Channel of the notifications; the payload is a position.
const CHANNEL: &str = "souk_log";

/// See the module.
pub(crate) struct PgStore {
    pool: PgPool,
    options: PgConnectOptions,
}

impl PgStore {
    /// Reads through `pool`, appends on connections of its own.
    pub(crate) const fn new(pool: PgPool, options: PgConnectOptions) -> Self {
        Self { pool, options }
    }
}

impl Store for PgStore {
    fn connect(&self) -> Reply<'_, Box<dyn Session>> {
        Box::pin(async {
            let session = PgSession::connect(&self.options).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn load<'a>(&'a self, streams: &'a [StreamRef]) -> Reply<'a, LoadedStreams> {
        Box::pin(load::load(&self.pool, streams))
    }

    fn read_after(
        &self,
        after: Head,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, FeedError>> {
        Box::pin(read_after(&self.pool, after, limit))
    }

    fn head(&self) -> Reply<'_, Head> {
        Box::pin(read_head(&self.pool))
    }

    fn keep_snapshot<'a>(&'a self, snapshot: &'a Snapshot) -> Reply<'a, ()> {
        Box::pin(snapshot.write(&self.pool))
    }

    fn claim_owner<'a>(&'a self, scope: &'a str, value: &'a str) -> Reply<'a, Option<String>> {
        Box::pin(
            sqlx::query_scalar::<_, String>(
                "select owner from claims where scope = $1 and value = $2",
            )
            .bind(scope)
            .bind(value)
            .fetch_optional(&self.pool),
        )
    }

    /// From another connection than the one that appends, because a transaction with a NOTIFY in it takes a lock that
    /// all such transactions share.
    fn notify(&self, position: Position) -> Reply<'_, ()> {
        Box::pin(async move {
            sqlx::query("select pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(position.to_string())
                .execute(&self.pool)
                .await?;
            Ok(())
        })
    }

    fn listen(&self) -> Reply<'_, Box<dyn Listener>> {
        Box::pin(async {
            let mut listener = PgListener::connect_with(&self.pool).await?;
            listener.listen(CHANNEL).await?;
            Ok(Box::new(Notifications(listener)) as Box<dyn Listener>)
        })
    }
}

struct Notifications(PgListener);

impl Listener for Notifications {
    fn next(&mut self) -> Reply<'_, Option<Position>> {
        Box::pin(async {
            let notification = self.0.try_recv().await?;
            Ok(notification.and_then(|told| told.payload().parse().ok().map(Position)))
        })
    }
}

/// A session that appends, and the number of its backend.
struct PgSession {
    connection: PgConnection,
    backend: i32,
}

impl PgSession {
    /// Connects with synchronous commits and the timeouts of a writer, whatever the server's defaults.
    async fn connect(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let options = options.clone().application_name(WRITER_NAME).options([
            ("synchronous_commit", "on".to_owned()),
            ("lock_timeout", LOCK_TIMEOUT.as_millis().to_string()),
            (
                "statement_timeout",
                STATEMENT_TIMEOUT.as_millis().to_string(),
            ),
            (
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION_TIMEOUT.as_millis().to_string(),
            ),
        ]);
        let mut connection = options.connect().await?;
        let backend = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut connection)
            .await?;
        Ok(Self {
            connection,
            backend,
        })
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(statement).execute(&mut self.connection).await?;
        Ok(())
    }

    async fn call_append(
        &mut self,
        batch: &Batch,
        expected: Head,
    ) -> Result<Appended, sqlx::Error> {
        let row = sqlx::query(
            "select outcome, head_position, head_event_id, head_recorded_at, taken_keys, taken_claims \
             from append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        )
        .bind(expected.position.0)
        .bind(expected.event_id)
        .bind(texts(&batch.aggregate_types))
        .bind(texts(&batch.aggregate_ids))
        .bind(&batch.sequences)
        .bind(texts(&batch.event_types))
        .bind(texts(&batch.event_versions))
        .bind(texts(&batch.payloads))
        .bind(texts(&batch.metadatas))
        .bind(&batch.event_ids)
        .bind(&batch.key_ids)
        .bind(&batch.key_fingerprints)
        .bind(&batch.key_statuses)
        .bind(&batch.key_resources)
        .bind(&batch.key_offsets)
        .bind(&batch.claim_scopes)
        .bind(&batch.claim_values)
        .bind(&batch.claim_owners)
        .bind(&batch.release_scopes)
        .bind(&batch.release_values)
        .fetch_one(&mut self.connection)
        .await?;
        appended_from_row(&row)
    }

    async fn find(
        &mut self,
        batch: &Batch,
        expected: Head,
        lost: i32,
    ) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let mut tx = sqlx::Connection::begin(&mut self.connection).await?;
        // matched by the user and the application name: the number alone may belong to somebody else by now
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where pid = $1 and usename = current_user and application_name = $2",
        )
        .bind(lost)
        .bind(WRITER_NAME)
        .execute(&mut *tx)
        .await?;
        sqlx::query("select pg_advisory_xact_lock(log_lock())")
            .execute(&mut *tx)
            .await?;
        let found = sqlx::query_scalar(
            "select recorded_at from events where position = $1 and event_id = $2",
        )
        .bind(expected.position.0 + 1)
        .bind(batch.event_ids.first())
        .fetch_optional(&mut *tx)
        .await?;
        // ending a session that waits for a synchronous standby makes its commit visible here, and here alone: a commit
        // behind it, which writes something, is answered only once the standby has both
        sqlx::query("select pg_logical_emit_message(true, 'souk', 'found')")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(found)
    }
}

impl Session for PgSession {
    fn number(&self) -> i32 {
        self.backend
    }

    fn append<'a>(&'a mut self, batch: &'a Batch, expected: Head) -> Reply<'a, Appended> {
        Box::pin(self.call_append(batch, expected))
    }

    fn head(&mut self) -> Reply<'_, Head> {
        Box::pin(read_head(&mut self.connection))
    }

    /// By a commit of its own that writes something: it waits for the standby, and behind all that is visible.
    fn safe_head(&mut self) -> Reply<'_, Head> {
        Box::pin(async {
            let head = read_head(&mut self.connection).await?;
            self.execute("select pg_logical_emit_message(true, 'souk', 'head')")
                .await?;
            Ok(head)
        })
    }

    fn read_after(
        &mut self,
        after: Head,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, FeedError>> {
        Box::pin(read_after(&mut self.connection, after, limit))
    }

    fn lock(&mut self) -> Reply<'_, ()> {
        Box::pin(async {
            self.execute("begin").await?;
            self.execute("select pg_advisory_xact_lock(log_lock())")
                .await
        })
    }

    fn commit(&mut self) -> Reply<'_, ()> {
        Box::pin(self.execute("commit"))
    }

    fn roll_back(&mut self) -> Reply<'_, ()> {
        Box::pin(self.execute("rollback"))
    }

    fn find_committed<'a>(
        &'a mut self,
        batch: &'a Batch,
        expected: Head,
        lost: i32,
    ) -> Reply<'a, Option<DateTime<Utc>>> {
        Box::pin(self.find(batch, expected, lost))
    }
}

/// A column of texts as it is bound.
fn texts(column: &[impl AsRef<str>]) -> Vec<&str> {
    column.iter().map(AsRef::as_ref).collect()
}

fn appended_from_row(row: &PgRow) -> Result<Appended, sqlx::Error> {
    match row.try_get("outcome")? {
        "appended" => Ok(Appended::Written {
            recorded_at: Some(row.try_get("head_recorded_at")?),
        }),
        "moved" => Ok(Appended::Moved),
        "taken" => Ok(Appended::Taken {
            keys: row
                .try_get::<Option<_>, _>("taken_keys")?
                .unwrap_or_default(),
            claims: row
                .try_get::<Option<_>, _>("taken_claims")?
                .unwrap_or_default(),
        }),
        other => Err(sqlx::Error::Decode(
            format!("append_events answered {other:?}").into(),
        )),
    }
}

/// The head of the log as committed now.
async fn read_head(executor: impl PgExecutor<'_>) -> Result<Head, sqlx::Error> {
    let row = sqlx::query("select position, event_id from events order by position desc limit 1")
        .fetch_optional(executor)
        .await?;
    match row {
        Some(row) => Ok(Head {
            position: Position(row.try_get("position")?),
            event_id: row.try_get("event_id")?,
        }),
        None => Ok(Head::EMPTY),
    }
}

/// Reads the event that `after` names, too: that proves that it is still there.
async fn read_after(
    executor: impl PgExecutor<'_>,
    after: Head,
    limit: usize,
) -> Result<Vec<RecordedEvent>, FeedError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let standing = i64::from(after != Head::EMPTY);
    let rows = sqlx::query(&format!(
        "select {EVENT_COLUMNS} from events where position >= $1 order by position limit $2"
    ))
    .bind(after.position.0)
    .bind(limit.saturating_add(standing))
    .fetch_all(executor)
    .await?;
    let mut events = rows
        .iter()
        .map(RecordedEvent::from_row)
        .collect::<Result<Vec<_>, _>>()?;
    if after == Head::EMPTY {
        return Ok(events);
    }
    match events.first() {
        Some(first) if first.head() == after => {
            events.remove(0);
            Ok(events)
        }
        _ => Err(FeedError::Diverged { after }),
    }
}
