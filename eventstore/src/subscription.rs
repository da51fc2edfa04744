//! Subscriptions: what follows the log. One runtime (feed, lease, checkpoint, wake-up, retry) for projectors, the saga and the
//! Kafka publisher.
//!
//! - A [`Subscriber`] handles batches in a transaction that also moves its checkpoint: projectors and the saga.
//! - A [`Worker`] keeps its progress itself: the publisher, whose progress is in Kafka.
//! - [`Subscriptions::spawn`] and [`Subscriptions::spawn_worker`] run them, one active instance among all processes.
//!
//! The lease is for thrift. What keeps a subscription correct is that its checkpoint moves only where name, epoch and
//! position are what was read.

use std::{future::Future, sync::Arc};

use sqlx::PgConnection;

pub use self::{
    checkpointed::retry,
    lease::Lease,
    parking::{MAX_PARKED_KEYS, ParkedKey, discard, is_parked, parked_keys},
    runner::Subscriptions,
    status::{Checkpoint, State, Status, WaitError, checkpoints},
};
use crate::{
    event::{RecordedEvent, Unreadable},
    position::Head,
};

mod checkpointed;
mod lease;
pub(crate) mod ledger;
mod parking;
mod postgres;
mod runner;
mod status;

/// Handles events in the transaction that moves its checkpoint. `Tx` is what it writes to.
pub trait Subscriber<Tx = PgConnection>: Send + 'static {
    /// Name of the subscription, for instance `orders_v1`: it and its checkpoint are one.
    fn name(&self) -> &str;

    /// The aggregate types whose events it reads; others are passed over.
    fn reads(&self) -> &'static [&'static str];

    /// The key of the read model that an event changes (that order, that product): what is parked when the event turns
    /// out to be poison. None where the subscription must not skip anything: it then stops and tries again.
    fn key(&self, event: &RecordedEvent) -> Option<String>;

    /// Handles a batch, in order. What it writes in `tx` commits together with the checkpoint.
    fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut Tx,
    ) -> impl Future<Output = Result<(), HandleError>> + Send;
}

/// Follows the log and keeps its own progress.
pub trait Worker: Send + 'static {
    /// Name of the subscription.
    fn name(&self) -> &str;

    /// Most events that it takes at once.
    fn batch_events(&self) -> usize {
        runner::BATCH_EVENTS
    }

    /// Called when the lease is taken. Returns the last event that is done.
    fn start(&mut self, lease: &Lease) -> impl Future<Output = Result<Head, HandleError>> + Send;

    /// Handles the events that follow `after`, in order and without gaps. On an error the lease is kept or given up as
    /// the error says, and `start` is called before the next batch.
    fn process(
        &mut self,
        lease: &Lease,
        after: Head,
        events: &[Arc<RecordedEvent>],
    ) -> impl Future<Output = Result<(), HandleError>> + Send;

    /// Called at the end of the log, before waiting for more; `done` is the last event that was processed.
    fn idle(
        &mut self,
        _lease: &Lease,
        _done: Head,
    ) -> impl Future<Output = Result<(), HandleError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Called when the lease is given up or lost.
    fn stop(&mut self) -> impl Future<Output = ()> + Send;
}

/// Why a batch was not handled.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// Something that passes (the database, the broker): tried again, with growing pauses.
    #[error("{0}")]
    Passing(String),
    /// An event that a newer binary wrote: the lease is handed over, nothing is skipped.
    #[error(transparent)]
    Newer(Unreadable),
    /// An event that cannot be handled however often it is tried.
    #[error("{0}")]
    Poison(String),
    /// Somebody else leads: the lease is given up, and not asked for again for longer than a lease.
    #[error("another instance leads")]
    Fenced,
    /// Only an operator can help: stops, says so, looks again from time to time.
    #[error("{0}")]
    Stopped(String),
}

impl From<Unreadable> for HandleError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Newer { .. } => Self::Newer(unreadable),
            Unreadable::Malformed { .. } => Self::Poison(unreadable.to_string()),
        }
    }
}

impl From<sqlx::Error> for HandleError {
    /// What the content of an event makes impossible is poison; everything else about a database passes.
    fn from(error: sqlx::Error) -> Self {
        let by_content = match &error {
            sqlx::Error::Database(database) => database
                .code()
                .is_some_and(|code| matches!(code.get(..2), Some("22" | "23" | "54"))),
            sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                true
            }
            _ => false,
        };
        if by_content {
            Self::Poison(error.to_string())
        } else {
            Self::Passing(error.to_string())
        }
    }
}
