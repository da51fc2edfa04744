//! One batch in the shape of the database function `append_events`, and what became of appending it.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::{
    event::RecordedEvent,
    position::Head,
    store::{Session, Store},
    unit::{Claim, DraftEvent, IdempotencyKey},
};

/// Longest that a writer waits for the lock of the log, and for its connection.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(4);
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
    pub(crate) aggregate_types: Vec<SmolStr>,
    pub(crate) aggregate_ids: Vec<Arc<str>>,
    pub(crate) sequences: Vec<i64>,
    pub(crate) event_types: Vec<SmolStr>,
    pub(crate) event_versions: Vec<SmolStr>,
    pub(crate) payloads: Vec<Arc<str>>,
    pub(crate) metadatas: Vec<Arc<str>>,
    pub(crate) event_ids: Vec<Uuid>,
    pub(crate) key_ids: Vec<Uuid>,
    pub(crate) key_fingerprints: Vec<Vec<u8>>,
    pub(crate) key_statuses: Vec<i16>,
    pub(crate) key_resources: Vec<String>,
    pub(crate) key_offsets: Vec<i64>,
    pub(crate) claim_scopes: Vec<String>,
    pub(crate) claim_values: Vec<String>,
    pub(crate) claim_owners: Vec<String>,
    pub(crate) release_scopes: Vec<String>,
    pub(crate) release_values: Vec<String>,
    /// A unit of it succeeds by what is there already.
    vouches: bool,
    bytes: usize,
}

impl Batch {
    /// Adds an event; its position will be the head's plus its place here.
    pub(crate) fn push_event(&mut self, event_id: Uuid, event: DraftEvent, metadata: &Arc<str>) {
        let metadata = event.stored.metadata.unwrap_or_else(|| metadata.clone());
        self.bytes += event.stored.payload.len() + metadata.len();
        self.aggregate_types.push(event.stream.aggregate_type);
        self.aggregate_ids.push(event.stream.aggregate_id);
        self.sequences.push(event.sequence);
        self.event_types.push(event.stored.event_type);
        self.event_versions.push(event.stored.event_version);
        self.payloads.push(event.stored.payload);
        self.metadatas.push(metadata);
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

    /// Takes note of a unit that succeeds without writing anything: what it found done must be as safe as a commit.
    pub(crate) fn vouch(&mut self) {
        self.vouches = true;
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

    /// The events as committed after `before`; their texts are shared with the batch.
    pub(crate) fn recorded(&self, before: Head, recorded_at: DateTime<Utc>) -> Vec<RecordedEvent> {
        (0..self.len())
            .map(|index| RecordedEvent {
                position: before.position.plus(index + 1),
                event_id: self.event_ids[index],
                recorded_at,
                aggregate_type: self.aggregate_types[index].clone(),
                aggregate_id: self.aggregate_ids[index].clone(),
                sequence: self.sequences[index],
                event_type: self.event_types[index].clone(),
                event_version: self.event_versions[index].clone(),
                payload: self.payloads[index].clone(),
                metadata: self.metadatas[index].clone(),
            })
            .collect()
    }

    /// Appends the batch; where there is nothing to write, reads the head, because refusals and no-ops, too, must rest
    /// on the head that there is.
    pub(crate) async fn append_or_verify(
        &self,
        expected: Head,
        session: &mut dyn Session,
    ) -> Result<Appended, AppendError> {
        if !self.is_empty() {
            return bounded(session.append(self, expected))
                .await
                .map_err(AppendError::of);
        }
        let head = if self.vouches {
            bounded(session.safe_head()).await
        } else {
            bounded(session.head()).await
        };
        match head {
            Ok(head) if head == expected => Ok(Appended::Written { recorded_at: None }),
            Ok(_) => Ok(Appended::Moved),
            Err(error) => Err(AppendError::Unavailable(error.to_string())),
        }
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

/// A new session that appends.
pub(crate) async fn connect(store: &dyn Store) -> Result<Box<dyn Session>, sqlx::Error> {
    tokio::time::timeout(LOCK_TIMEOUT, store.connect())
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
