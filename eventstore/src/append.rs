//! One batch in the shape of the database function `append_events`, and the call of it: one round trip, one commit.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{ConnectOptions, PgConnection, Row, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::{
    event::RecordedEvent,
    position::{Head, Position},
    unit::{Claim, DraftEvent, IdempotencyKey},
};

/// Longest that a writer waits for the lock of the log.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest that one statement of a writer may run.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(6);
/// Longest that a transaction of a writer may sit idle: a paused process must not stop the shop.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest that we wait for an answer before the connection counts as lost. Above the server's own timeouts, which say
/// more than silence does.
const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(8);

/// Bounds a conversation with the database: a connection whose other end is gone without a word must not stop anybody
/// for good.
pub(crate) async fn bounded<T>(
    talk: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ROUND_TRIP_TIMEOUT, talk)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// The columns of a batch.
#[derive(Default)]
pub(crate) struct Batch {
    aggregate_types: Vec<String>,
    aggregate_ids: Vec<String>,
    sequences: Vec<i64>,
    event_types: Vec<String>,
    event_versions: Vec<String>,
    payloads: Vec<String>,
    metadatas: Vec<String>,
    event_ids: Vec<Uuid>,
    key_ids: Vec<Uuid>,
    key_fingerprints: Vec<Vec<u8>>,
    key_statuses: Vec<i16>,
    key_resources: Vec<String>,
    key_offsets: Vec<i64>,
    claim_scopes: Vec<String>,
    claim_values: Vec<String>,
    claim_owners: Vec<String>,
    release_scopes: Vec<String>,
    release_values: Vec<String>,
    bytes: usize,
}

impl Batch {
    /// Adds an event; its position will be the head's plus its place here.
    pub(crate) fn push_event(&mut self, event_id: Uuid, event: DraftEvent, metadata: &str) {
        self.bytes += event.stored.payload.len() + metadata.len();
        self.aggregate_types
            .push(event.stream.aggregate_type.to_string());
        self.aggregate_ids
            .push(event.stream.aggregate_id.to_string());
        self.sequences.push(event.sequence);
        self.event_types.push(event.stored.event_type);
        self.event_versions.push(event.stored.event_version);
        self.payloads.push(event.stored.payload);
        self.metadatas
            .push(event.stored.metadata.unwrap_or_else(|| metadata.to_owned()));
        self.event_ids.push(event_id);
    }

    /// Adds the key of a unit whose last event is the last one pushed.
    pub(crate) fn push_key(&mut self, key: &IdempotencyKey) {
        self.key_ids.push(key.id);
        self.key_fingerprints.push(key.fingerprint.clone());
        self.key_statuses
            .push(i16::try_from(key.status).unwrap_or(i16::MAX));
        self.key_resources.push(key.resource.clone());
        self.key_offsets.push(self.event_ids.len() as i64);
    }

    /// Adds a claim and returns its 1-based index, as `taken_claims` names it.
    pub(crate) fn push_claim(&mut self, claim: &Claim) -> i64 {
        self.claim_scopes.push(claim.scope.clone());
        self.claim_values.push(claim.value.clone());
        self.claim_owners.push(claim.owner.clone());
        self.claim_scopes.len() as i64
    }

    /// Scope and value of the claim with this 1-based index.
    pub(crate) fn claim(&self, index: i64) -> Option<(String, String)> {
        let index = usize::try_from(index).ok()?.checked_sub(1)?;
        Some((
            self.claim_scopes.get(index)?.clone(),
            self.claim_values.get(index)?.clone(),
        ))
    }

    pub(crate) fn push_release(&mut self, scope: &str, value: &str) {
        self.release_scopes.push(scope.to_owned());
        self.release_values.push(value.to_owned());
    }

    /// How many events it has.
    pub(crate) fn len(&self) -> usize {
        self.event_ids.len()
    }

    /// Bytes of JSON in it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when there is nothing to write at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.event_ids.is_empty()
            && self.key_ids.is_empty()
            && self.claim_scopes.is_empty()
            && self.release_scopes.is_empty()
    }

    /// Id of the `count`-th event, the head's where count is 0.
    pub(crate) fn head_after(&self, before: Head, count: usize) -> Head {
        match count
            .checked_sub(1)
            .and_then(|last| self.event_ids.get(last))
        {
            Some(event_id) => Head {
                position: before.position.plus(count),
                event_id: *event_id,
            },
            None => before,
        }
    }

    /// The events as committed after `before`.
    pub(crate) fn into_recorded(
        self,
        before: Head,
        recorded_at: DateTime<Utc>,
    ) -> Vec<RecordedEvent> {
        let mut recorded = Vec::with_capacity(self.event_ids.len());
        let columns = self
            .aggregate_types
            .into_iter()
            .zip(self.aggregate_ids)
            .zip(self.sequences)
            .zip(self.event_types)
            .zip(self.event_versions)
            .zip(self.payloads)
            .zip(self.metadatas)
            .zip(self.event_ids);
        for (index, column) in columns.enumerate() {
            let (
                (
                    (((((aggregate_type, aggregate_id), sequence), event_type), version), payload),
                    metadata,
                ),
                event_id,
            ) = column;
            recorded.push(RecordedEvent {
                position: before.position.plus(index + 1),
                event_id,
                recorded_at,
                aggregate_type: aggregate_type.into(),
                aggregate_id: aggregate_id.into(),
                sequence,
                event_type: event_type.into(),
                event_version: version.into(),
                payload: payload.into(),
                metadata: metadata.into(),
            });
        }
        recorded
    }

    /// Calls `append_events`. Works on a plain connection (then it is one committed round trip) and inside a
    /// transaction that holds the lock already.
    pub(crate) async fn append(
        &self,
        expected: Head,
        connection: &mut PgConnection,
    ) -> Result<Appended, AppendError> {
        let query = sqlx::query(
            "select outcome, head_position, head_event_id, head_recorded_at, taken_keys, taken_claims \
             from append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        )
        .bind(expected.position.0)
        .bind(expected.event_id)
        .bind(&self.aggregate_types)
        .bind(&self.aggregate_ids)
        .bind(&self.sequences)
        .bind(&self.event_types)
        .bind(&self.event_versions)
        .bind(&self.payloads)
        .bind(&self.metadatas)
        .bind(&self.event_ids)
        .bind(&self.key_ids)
        .bind(&self.key_fingerprints)
        .bind(&self.key_statuses)
        .bind(&self.key_resources)
        .bind(&self.key_offsets)
        .bind(&self.claim_scopes)
        .bind(&self.claim_values)
        .bind(&self.claim_owners)
        .bind(&self.release_scopes)
        .bind(&self.release_values);
        let row = bounded(query.fetch_one(&mut *connection))
            .await
            .map_err(AppendError::of)?;
        Appended::from_row(&row).map_err(AppendError::of)
    }

    /// Appends the batch; where there is nothing to write, reads the head, because refusals and no-ops, too, must rest
    /// on the head that there is.
    pub(crate) async fn append_or_verify(
        &self,
        expected: Head,
        connection: &mut PgConnection,
    ) -> Result<Appended, AppendError> {
        if !self.is_empty() {
            return self.append(expected, connection).await;
        }
        match bounded(read_head(connection)).await {
            Ok(head) if head == expected => Ok(Appended::Written { recorded_at: None }),
            Ok(_) => Ok(Appended::Moved),
            Err(error) => Err(AppendError::Unavailable(error.to_string())),
        }
    }

    /// After a lost connection: whether this batch, written on top of `expected`, is in the log.
    ///
    /// Ends what may be left of the old session, then takes the lock, so that the commit either took place before
    /// this looks or never will.
    pub(crate) async fn find_committed(
        &self,
        expected: Head,
        old_backend: Option<i32>,
        connection: &mut PgConnection,
    ) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let mut tx = sqlx::Connection::begin(&mut *connection).await?;
        if let Some(pid) = old_backend {
            // matched by the user and the application name: the number alone may belong to somebody else by now
            sqlx::query(
                "select pg_terminate_backend(pid) from pg_stat_activity \
                 where pid = $1 and usename = current_user and application_name = $2",
            )
            .bind(pid)
            .bind(WRITER_NAME)
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query("select pg_advisory_xact_lock(log_lock())")
            .execute(&mut *tx)
            .await?;
        let found = if let Some(event_id) = self.event_ids.first() {
            sqlx::query_scalar(
                "select recorded_at from events where position = $1 and event_id = $2",
            )
            .bind(expected.position.0 + 1)
            .bind(event_id)
            .fetch_optional(&mut *tx)
            .await?
        } else {
            sqlx::query_scalar(
                "select recorded_at from idempotency_keys where id = any($1) limit 1",
            )
            .bind(&self.key_ids)
            .fetch_optional(&mut *tx)
            .await?
        };
        tx.commit().await?;
        Ok(found)
    }
}

/// What `append_events` answered.
pub(crate) enum Appended {
    /// All written; with a time where there was anything to write.
    Written { recorded_at: Option<DateTime<Utc>> },
    /// Nothing written: the head is another.
    Moved,
    /// Nothing written: these keys and claims (1-based) are taken.
    Taken { keys: Vec<Uuid>, claims: Vec<i64> },
}

impl Appended {
    fn from_row(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        match row.try_get("outcome")? {
            "appended" => Ok(Self::Written {
                recorded_at: Some(row.try_get("head_recorded_at")?),
            }),
            "moved" => Ok(Self::Moved),
            "taken" => Ok(Self::Taken {
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
}

/// Why a batch could not be appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// The database refuses something in the batch (a bad character, a stale stream, a value too large).
    BadBatch(sqlx::Error),
    /// The database cannot serve now; nothing was written.
    Unavailable(String),
    /// The connection broke on the way: it may or may not be committed.
    OutcomeUnknown(String),
}

impl AppendError {
    pub(crate) fn of(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                match &code[..code.len().min(2)] {
                    // data exception, integrity violation, limits exceeded: the batch's fault
                    "22" | "23" | "54" => Self::BadBatch(error),
                    // shutdown or crash of the server, or our session ended: after the commit it looks the same
                    "57" if code != "57014" => Self::OutcomeUnknown(error.to_string()),
                    "08" | "58" | "XX" => Self::OutcomeUnknown(error.to_string()),
                    // lock or statement timeout, too many connections, read-only standby, disk full: rolled back
                    _ => Self::Unavailable(error.to_string()),
                }
            }
            sqlx::Error::Encode(_) => Self::BadBatch(error),
            _ => Self::OutcomeUnknown(error.to_string()),
        }
    }
}

/// Application name of the sessions that append.
pub(crate) const WRITER_NAME: &str = "souk log writer";

/// A session that appends, and the number of its backend.
pub(crate) struct Writer {
    pub(crate) connection: PgConnection,
    pub(crate) backend: i32,
}

impl Writer {
    /// Connects with synchronous commits and the timeouts of a writer, whatever the server's defaults.
    pub(crate) async fn connect(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
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
        let connect = async {
            let mut connection = options.connect().await?;
            let backend = sqlx::query_scalar("select pg_backend_pid()")
                .fetch_one(&mut connection)
                .await?;
            Ok(Self {
                connection,
                backend,
            })
        };
        match tokio::time::timeout(LOCK_TIMEOUT, connect).await {
            Ok(result) => result,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

/// The head of the log as committed now.
pub(crate) async fn read_head(connection: &mut PgConnection) -> Result<Head, sqlx::Error> {
    let row = sqlx::query("select position, event_id from events order by position desc limit 1")
        .fetch_optional(connection)
        .await?;
    match row {
        Some(row) => Ok(Head {
            position: Position(row.try_get("position")?),
            event_id: row.try_get("event_id")?,
        }),
        None => Ok(Head::EMPTY),
    }
}
