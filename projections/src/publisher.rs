//! The Kafka publisher: every event of the log on a topic, exactly once and in order per key for consumers that read
//! committed messages. The log is the outbox; nothing else is written by those who append.
//!
//! # What subscribers see
//! - Topic `<prefix>.<aggregate type>`, for instance `souk.order`; see [`topic_name`] for the other cases.
//! - Key: the aggregate id. Its partition is murmur2 of the key, as Java clients compute it; partitions are never added.
//! - Value: the event as JSON, byte for byte as in the log. Personal data in it stays sealed.
//! - Timestamp: when the event was recorded, in milliseconds.
//! - Headers: CloudEvents 1.0 in binary mode, all UTF-8 text:
//!
//! | header | value |
//! | --- | --- |
//! | `ce_specversion` | `1.0` |
//! | `ce_id` | id of the event, a UUID: what to recognise repetitions by outside Kafka |
//! | `ce_source` | `/souk` |
//! | `ce_type` | `souk.<aggregate type>.<event type>`, for instance `souk.order.OrderPlaced` |
//! | `ce_time` | when it was recorded, RFC 3339, UTC, microseconds |
//! | `ce_subject` | the aggregate id (left out where a foreign program stored an empty one) |
//! | `content-type` | `application/json` |
//! | `ce_eventversion` | version of the event's shape, for instance `1.0`. An extension and not `ce_dataschema`, which has to be a URI, and the address of the catalogue is not the same in every installation |
//! | `ce_position` | place in the log of all events, decimal, from 1, without gaps |
//! | `ce_sequence` | place in the aggregate's own stream, decimal |
//! | `ce_correlationid` | what all that follows from one request shares; left out where there is none |
//! | `ce_causationid` | id of the event or request that led to it; left out where there is none |
//!
//! Read with `isolation.level=read_committed` (librdkafka's default, not Java's): what a publisher that was killed left
//! behind is never seen.
//!
//! # How it is exactly once
//! Each transaction holds a batch of events and the [`progress`] after it, in the compacted topic `<prefix>.progress`. A
//! publisher that starts fences all others (one fixed transactional id, `<prefix>-publisher`), which also ends whatever
//! they had begun, and only then reads how far it came. The checkpoint in the database is a copy for operators.
//!
//! When log and topics contradict each other (the log was restored to an older state, a topic was deleted, cut or given
//! partitions, the progress was lost) nothing that is published could be taken back: it stops and says so. An operator
//! then starts a new generation of topics (`SOUK_KAFKA_GENERATION`), which begins with the first event.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use eventstore::{
    EventLog,
    event::RecordedEvent,
    position::Head,
    subscription::{HandleError, Lease, Worker},
};
use tokio::task::{JoinError, JoinHandle};

use self::session::Session;
pub use self::settings::{InvalidSettings, PublisherSettings, topic_name};

mod client;
mod fault;
mod message;
mod partition;
pub mod progress;
mod session;
mod settings;
mod tail;
mod topics;

/// Name of the publisher's subscription, as operators see it.
pub const SUBSCRIPTION_NAME: &str = "publisher";

/// Most events in one transaction: its fixed cost is tens of milliseconds, which a backlog shares among many.
const BATCH_EVENTS: usize = 20_000;
/// How long giving up waits for the transaction at hand to end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How long the copy of the checkpoint may hold up the next batch.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);

/// Publishes the log to Kafka; see the module. Run by `Subscriptions::spawn_worker`.
pub struct Publisher {
    log: EventLog,
    settings: Arc<PublisherSettings>,
    /// Between batches.
    session: Option<Session>,
    /// What is going on now. It outlives a call that is cut off, so that stopping can wait for its end.
    job: Option<JoinHandle<Result<Session, HandleError>>>,
    /// Tells the job that nobody waits for it any more.
    abandoned: Arc<AtomicBool>,
}

impl Publisher {
    /// A publisher of this log. Settings that cannot work are reported when it starts; see
    /// [`PublisherSettings::validate`] to know earlier.
    pub fn new(log: EventLog, settings: PublisherSettings) -> Self {
        Self {
            log,
            settings: Arc::new(settings),
            session: None,
            job: None,
            abandoned: Arc::default(),
        }
    }

    /// Runs on a thread of its own what blocks: librdkafka's transactions do.
    async fn run(
        &mut self,
        job: impl FnOnce() -> Result<Session, HandleError> + Send + 'static,
    ) -> Result<(), HandleError> {
        let outcome = self.job.insert(tokio::task::spawn_blocking(job)).await;
        self.job = None;
        self.session = Some(flatten(outcome)?);
        Ok(())
    }

    /// Ends the session, and what an earlier call may have left going on. Its transaction, if there is one, is ended by
    /// the next session of whichever process.
    async fn end(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        let mut sessions = vec![self.session.take()];
        if let Some(job) = self.job.take()
            && let Ok(outcome) = tokio::time::timeout(STOP_PATIENCE, job).await
        {
            sessions.push(flatten(outcome).ok());
        }
        // closing connections blocks too; a panic in there would leave nothing to be done
        let _ = tokio::task::spawn_blocking(move || drop(sessions)).await;
        self.abandoned = Arc::default();
    }

    /// Whether the lease is still held. A process that was paused must not fence its successor, only because it has not
    /// heard of it yet.
    async fn holds(&self, lease: &Lease) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "select exists (select from subscriptions where name = $1 and epoch = $2 and lease_until > clock_timestamp())",
        )
        .bind(&lease.name)
        .bind(lease.epoch)
        .fetch_one(self.log.pool())
        .await
    }

    /// Copies the progress to the checkpoint, for operators and for those who wait for it. Kafka's is what counts, so
    /// this takes over whatever the row says, and may fail.
    async fn note(&self, lease: &Lease, head: Head) {
        let noted = sqlx::query(
            "update subscriptions set position = $3, event_id = $4, updated_at = clock_timestamp() \
             where name = $1 and epoch = $2",
        )
        .bind(&lease.name)
        .bind(lease.epoch)
        .bind(head.position.0)
        .bind(head.event_id)
        .execute(self.log.background_pool());
        match tokio::time::timeout(NOTE_PATIENCE, noted).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the publisher's checkpoint was not copied"),
            Err(_) => tracing::debug!("the publisher's checkpoint was not copied in time"),
        }
    }
}

fn flatten(
    outcome: Result<Result<Session, HandleError>, JoinError>,
) -> Result<Session, HandleError> {
    outcome.unwrap_or_else(|error| {
        Err(HandleError::Passing(format!(
            "the publisher's thread ended: {error}"
        )))
    })
}

impl Worker for Publisher {
    fn name(&self) -> &str {
        SUBSCRIPTION_NAME
    }

    fn batch_events(&self) -> usize {
        BATCH_EVENTS
    }

    async fn start(&mut self, lease: &Lease) -> Result<Head, HandleError> {
        self.end().await;
        if !self.holds(lease).await? {
            return Err(HandleError::Fenced);
        }
        let (settings, abandoned) = (self.settings.clone(), self.abandoned.clone());
        self.run(move || Session::open(settings, abandoned)).await?;
        let head = self.session.as_ref().map_or(Head::EMPTY, Session::head);
        if !self.log.holds(head).await? {
            return Err(self.settings.contradiction(&format!(
                "the log does not hold event {} at position {}, up to which it was published",
                head.event_id, head.position
            )));
        }
        tracing::info!(position = %head.position, generation = self.settings.generation, "publishing");
        self.note(lease, head).await;
        Ok(head)
    }

    async fn process(
        &mut self,
        lease: &Lease,
        after: Head,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), HandleError> {
        let Some(session) = self
            .session
            .take()
            .filter(|session| session.head() == after)
        else {
            return Err(HandleError::Passing(
                "the batch does not follow what was published".into(),
            ));
        };
        let events = events.to_vec();
        self.run(move || session.publish(&events)).await?;
        if let Some(session) = &self.session {
            self.note(lease, session.head()).await;
            // waited for out here, what is written meanwhile is in the next transaction
            tokio::time::sleep_until(session.earliest().into()).await;
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.end().await;
    }
}
