//! Runs a [`Subscriber`]: its writes and its checkpoint in one transaction, poison parked by key.
//!
//! Most events are nothing to most subscribers. Batches that hold nothing for this one move its checkpoint now and then only:
//! otherwise each of a dozen views would pay a transaction for every few orders. Whoever takes over reads them once more.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    HandleError, Lease, Subscriber, Worker,
    ledger::{Leases, Ledger},
    parking,
};
use crate::{
    EventLog,
    append::bounded,
    event::RecordedEvent,
    position::{Head, Position},
};

/// A [`Subscriber`] as a [`Worker`].
pub(super) struct Checkpointed<S, L> {
    subscriber: S,
    leases: Arc<dyn Leases>,
    ledger: L,
    /// False as long as it is certain that no key is parked, which is the rule.
    may_have_parked: bool,
    /// Where the checkpoint stands, and since when; none before the lease is taken.
    saved: Option<(Head, Instant)>,
}

/// How long the checkpoint may stay behind while nothing is read. At the end of the log it does not.
const PASSING_OVER: Duration = Duration::from_millis(100);

impl<L: Ledger, S: Subscriber<L::Tx>> Checkpointed<S, L> {
    pub(super) fn new(subscriber: S, leases: Arc<dyn Leases>, ledger: L) -> Self {
        Self {
            subscriber,
            leases,
            ledger,
            may_have_parked: true,
            saved: None,
        }
    }

    /// Handles the batch and moves the checkpoint, in one transaction.
    async fn batch(
        &mut self,
        lease: &Lease,
        after: Head,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), HandleError> {
        let Some(done) = events.last().map(|event| event.head()) else {
            return Ok(());
        };
        let mut tx = self.ledger.begin().await?;
        let read = self.without_parked(events, &mut tx).await?;
        if !read.is_empty() {
            self.subscriber.handle(&read, &mut tx).await?;
        }
        commit::<L>(lease, tx, after, done).await
    }

    /// The same, one event at a time, so that the one at fault is found and its key parked.
    async fn one_by_one(
        &mut self,
        lease: &Lease,
        after: Head,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), HandleError> {
        let Some(done) = events.last().map(|event| event.head()) else {
            return Ok(());
        };
        let mut tx = self.ledger.begin().await?;
        for event in events {
            // events behind one that was just parked must wait, so this is asked anew for each
            let read = self
                .without_parked(std::slice::from_ref(event), &mut tx)
                .await?;
            if read.is_empty() {
                continue;
            }
            L::savepoint(&mut tx).await?;
            match self.subscriber.handle(&read, &mut tx).await {
                Ok(()) => L::keep(&mut tx).await?,
                Err(HandleError::Poison(reason)) => {
                    L::undo(&mut tx).await?;
                    self.park(event, &reason, &mut tx).await?;
                }
                Err(other) => return Err(other),
            }
        }
        commit::<L>(lease, tx, after, done).await
    }

    async fn park(
        &mut self,
        event: &RecordedEvent,
        reason: &str,
        tx: &mut L::Tx,
    ) -> Result<(), HandleError> {
        let name = self.subscriber.name();
        let Some(key) = self.subscriber.key(event) else {
            return Err(HandleError::Stopped(format!(
                "event at position {}: {reason}",
                event.position
            )));
        };
        let parked = L::parked_keys(tx, name).await?;
        if parked.len() as i64 >= parking::MAX_PARKED_KEYS {
            return Err(HandleError::Stopped(format!(
                "{} keys are parked; the next would be {key:?}: {reason}",
                parking::MAX_PARKED_KEYS
            )));
        }
        tracing::error!(subscription = name, key, position = %event.position, reason, "poison event: key parked");
        L::park(tx, name, &key, event.position, Some(reason)).await?;
        self.may_have_parked = true;
        Ok(())
    }

    /// The events that it reads, less those of parked keys, which are noted down to wait.
    async fn without_parked(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut L::Tx,
    ) -> Result<Vec<Arc<RecordedEvent>>, HandleError> {
        let types = self.subscriber.reads();
        let mut read: Vec<Arc<RecordedEvent>> = events
            .iter()
            .filter(|event| types.contains(&&*event.aggregate_type))
            .cloned()
            .collect();
        if read.is_empty() || !self.may_have_parked {
            return Ok(read);
        }
        let name = self.subscriber.name();
        let parked = L::parked_keys(tx, name).await?;
        self.may_have_parked = !parked.is_empty();
        let mut waiting = Vec::new();
        read.retain(|event| match self.subscriber.key(event) {
            Some(key) if parked.contains(&key) => {
                waiting.push((key, event.position));
                false
            }
            _ => true,
        });
        for (key, position) in waiting {
            L::park(tx, name, &key, position, None).await?;
        }
        Ok(read)
    }
}

async fn commit<L: Ledger>(
    lease: &Lease,
    mut tx: L::Open,
    after: Head,
    done: Head,
) -> Result<(), HandleError> {
    if !L::advance(&mut tx, lease, after, done).await? {
        return Err(HandleError::Fenced);
    }
    L::commit(tx).await?;
    Ok(())
}

/// Handles the events of a parked key again, in order, and lets the key go on. All or nothing: where one still fails,
/// the key stays parked. Returns how many events were handled.
pub async fn retry<S: Subscriber>(
    log: &EventLog,
    subscriber: &mut S,
    key: &str,
) -> Result<usize, HandleError> {
    let mut tx = log.background_pool().begin().await?;
    let positions = parking::take(&mut tx, subscriber.name(), key).await?;
    for position in &positions {
        let event = log.event_at(Position(*position)).await?;
        let event = event
            .ok_or_else(|| HandleError::Stopped(format!("no event at position {position}")))?;
        subscriber.handle(&[Arc::new(event)], &mut tx).await?;
    }
    tx.commit().await?;
    Ok(positions.len())
}

impl<L: Ledger, S: Subscriber<L::Tx>> Worker for Checkpointed<S, L> {
    fn name(&self) -> &str {
        self.subscriber.name()
    }

    async fn start(&mut self, lease: &Lease) -> Result<Head, HandleError> {
        self.may_have_parked = true;
        let head = bounded(self.leases.checkpoint(&lease.name)).await?;
        let head = head.ok_or(sqlx::Error::RowNotFound)?;
        self.saved = Some((head, Instant::now()));
        Ok(head)
    }

    async fn process(
        &mut self,
        lease: &Lease,
        after: Head,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), HandleError> {
        let (saved, since) = self.saved.unwrap_or_else(|| (after, Instant::now()));
        let types = self.subscriber.reads();
        let is_read = |event: &Arc<RecordedEvent>| types.contains(&&*event.aggregate_type);
        if since.elapsed() < PASSING_OVER && !events.iter().any(is_read) {
            return Ok(());
        }
        match self.batch(lease, saved, events).await {
            Err(HandleError::Poison(reason)) => {
                tracing::warn!(
                    subscription = self.subscriber.name(),
                    reason,
                    "batch refused; handling one by one"
                );
                self.one_by_one(lease, saved, events).await?;
            }
            other => other?,
        }
        let done = events.last().map_or(after, |event| event.head());
        self.saved = Some((done, Instant::now()));
        Ok(())
    }

    async fn idle(&mut self, lease: &Lease, done: Head) -> Result<(), HandleError> {
        match self.saved {
            Some((saved, _)) if saved != done => {
                let tx = self.ledger.begin().await?;
                commit::<L>(lease, tx, saved, done).await?;
                self.saved = Some((done, Instant::now()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn stop(&mut self) {}
}
