//! The loop that every subscription runs in: take the lease, read, handle, repeat; give way, retry or stop as the
//! handler says.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    HandleError, Lease, State, Status, Subscriber, WaitError, Worker,
    checkpointed::Checkpointed,
    lease::{LEASE_DURATION, RENEW_INTERVAL},
    ledger::{Leases, Ledger},
    postgres::{PgLeases, PgLedger},
    status::Statuses,
};
use crate::{
    EventLog,
    feed::FeedError,
    position::{Head, Position},
};

/// Most events in one batch, unless the worker wants another number.
pub(super) const BATCH_EVENTS: usize = 1_000;
/// Longest that a batch may take. Beyond it the connection counts as gone, and the batch begins anew on another one.
const BATCH_PATIENCE: Duration = Duration::from_mins(1);
/// At the end of the log batches begin this far apart, so that what is written in between shares a transaction: a batch
/// for every event or two would cost more than all that is in it. An event that comes after a lull is handled at once.
const GATHERING: Duration = Duration::from_millis(10);
/// How long an idle subscription sleeps at most before it looks again.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// First pause after a passing fault; doubled each time …
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After giving way (fenced, newer event) the lease is not asked for again for longer than it lasts.
const STAY_AWAY: Duration = Duration::from_secs(LEASE_DURATION.as_secs() + 3);
/// How often a stopped subscription looks whether an operator has helped.
const STOPPED_PAUSE: Duration = Duration::from_secs(10);

/// The subscriptions of this process.
#[derive(Clone)]
pub struct Subscriptions {
    log: EventLog,
    leases: Arc<dyn Leases>,
    holder: Uuid,
    statuses: Statuses,
    cancel: CancellationToken,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Subscriptions {
    /// None at first.
    pub fn new(log: EventLog) -> Self {
        let leases = Arc::new(PgLeases(log.pool().clone()));
        Self::on(log, leases)
    }

    /// None at first, with leases and checkpoints kept there.
    pub(crate) fn on(log: EventLog, leases: Arc<dyn Leases>) -> Self {
        Self {
            log,
            leases,
            holder: Uuid::new_v4(),
            statuses: Statuses::default(),
            cancel: CancellationToken::new(),
            tasks: Arc::default(),
        }
    }

    /// Runs a subscriber until [`Self::close`].
    pub async fn spawn(&self, subscriber: impl Subscriber) {
        let ledger = PgLedger(self.log.background_pool().clone());
        self.spawn_on(ledger, subscriber).await;
    }

    /// The same, with what it writes kept there.
    pub(crate) async fn spawn_on<L: Ledger>(&self, ledger: L, subscriber: impl Subscriber<L::Tx>) {
        let leases = self.leases.clone();
        self.spawn_worker(Checkpointed::new(subscriber, leases, ledger))
            .await;
    }

    /// Runs a worker until [`Self::close`].
    pub async fn spawn_worker(&self, worker: impl Worker) {
        self.statuses.set_state(worker.name(), State::Standby);
        let this = self.clone();
        self.tasks
            .lock()
            .await
            .spawn(async move { this.run(worker).await });
    }

    /// States and progress, by name.
    pub fn statuses(&self) -> Vec<(String, Status)> {
        self.statuses.all()
    }

    /// Waits until the named subscription, wherever it runs, has handled everything up to `position`.
    pub async fn wait_for(
        &self,
        name: &str,
        position: Position,
        patience: Duration,
    ) -> Result<(), WaitError> {
        self.statuses
            .wait_for(&*self.leases, name, position, patience)
            .await
    }

    /// Ends all subscriptions after their batch at hand and gives up their leases.
    pub async fn close(&self) {
        self.cancel.cancel();
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }

    /// Stops all subscriptions where they stand, as the end of the process would. Their leases run out.
    #[cfg(feature = "testing")]
    pub async fn kill(&self) {
        self.tasks.lock().await.shutdown().await;
    }

    async fn run(self, mut worker: impl Worker) {
        let name = worker.name().to_owned();
        while !self.cancel.is_cancelled() {
            let lease = match Lease::take(&*self.leases, &name, self.holder).await {
                Ok(Some(lease)) => lease,
                Ok(None) => {
                    self.statuses.set_standby(&name);
                    self.pause(RENEW_INTERVAL).await;
                    continue;
                }
                Err(error) => {
                    self.statuses
                        .set_state(&name, State::Retrying(error.to_string()));
                    self.pause(RENEW_INTERVAL).await;
                    continue;
                }
            };
            tracing::info!(subscription = name, epoch = lease.epoch, holder = %self.holder.simple(), "leading");
            let ended = self.lead(&lease, &mut worker).await;
            worker.stop().await;
            // left to run out by itself where the database does not answer
            let _ = lease.release(&*self.leases).await;
            self.after(&name, ended).await;
        }
    }

    /// Says how leading ended and stays away as long as that asks for.
    async fn after(&self, name: &str, ended: HandleError) {
        let (state, pause) = match ended {
            HandleError::Fenced => (State::Standby, STAY_AWAY),
            HandleError::Newer(unreadable) => {
                (State::HandedOver(unreadable.to_string()), STAY_AWAY)
            }
            HandleError::Stopped(reason) | HandleError::Poison(reason) => {
                (State::Stopped(reason), STOPPED_PAUSE)
            }
            // only on shutdown and when the lease could not be renewed
            HandleError::Passing(_) => (State::Standby, Duration::ZERO),
        };
        match &state {
            State::HandedOver(reason) => tracing::warn!(subscription = name, reason, "handed over"),
            State::Stopped(reason) => tracing::error!(subscription = name, reason, "stopped"),
            _ => tracing::info!(subscription = name, "no longer leading"),
        }
        self.statuses.set_state(name, state);
        self.pause(pause).await;
    }

    /// Leads until something other than a passing fault ends it.
    async fn lead(&self, lease: &Lease, worker: &mut impl Worker) -> HandleError {
        let lost = self.keep_lease(lease);
        tokio::pin!(lost);
        let mut pause = FIRST_PAUSE;
        loop {
            // a batch that is cut off here rolls back: its checkpoint has not moved
            let ended = tokio::select! {
                biased;
                ended = &mut lost => return ended,
                () = self.cancel.cancelled() => return HandleError::Passing("shutting down".into()),
                ended = self.follow(lease, worker, &mut pause) => ended,
            };
            match ended {
                HandleError::Passing(reason) => {
                    tracing::warn!(subscription = lease.name, reason, "trying again");
                    self.statuses
                        .set_state(&lease.name, State::Retrying(reason));
                    self.pause(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Renews the lease until it is lost.
    async fn keep_lease(&self, lease: &Lease) -> HandleError {
        let mut failing_since = None;
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            match lease.renew(&*self.leases).await {
                Ok(true) => failing_since = None,
                Ok(false) => return HandleError::Fenced,
                Err(error) => {
                    let since = *failing_since.get_or_insert_with(tokio::time::Instant::now);
                    if since.elapsed() > LEASE_DURATION {
                        return HandleError::Passing(error.to_string());
                    }
                }
            }
        }
    }

    /// Reads and handles batch after batch. Behind a full batch, which more events are likely to follow, the next one is
    /// read while it is handled.
    async fn follow(
        &self,
        lease: &Lease,
        worker: &mut impl Worker,
        pause: &mut Duration,
    ) -> HandleError {
        let mut at = match in_time(worker.start(lease)).await {
            Ok(head) => head,
            Err(error) => return error,
        };
        self.progress(lease, at);
        let feed = self.log.feed();
        let limit = worker.batch_events();
        let mut ahead = None;
        loop {
            let read = match ahead.take() {
                Some(read) => read,
                None => in_time(feed.read_after(at, limit)).await,
            };
            let events = match read {
                Ok(events) => events,
                Err(FeedError::Diverged { .. }) => {
                    return HandleError::Stopped(format!(
                        "the log does not hold event {} at position {}, which was handled before",
                        at.event_id, at.position
                    ));
                }
                Err(FeedError::Database(error)) => return HandleError::Passing(error.to_string()),
            };
            let Some(last) = events.last().map(|event| event.head()) else {
                if let Err(error) = in_time(worker.idle(lease, at)).await {
                    return error;
                }
                feed.wait_beyond(at.position, IDLE_WAIT).await;
                continue;
            };
            let begun = tokio::time::Instant::now();
            let next = async {
                if events.len() < limit {
                    return None;
                }
                Some(in_time(feed.read_after(last, limit)).await)
            };
            let (handled, next) = tokio::join!(in_time(worker.process(lease, at, &events)), next);
            if let Err(error) = handled {
                return error;
            }
            (at, ahead) = (last, next);
            *pause = FIRST_PAUSE;
            self.progress(lease, at);
            if ahead.is_none() {
                tokio::time::sleep_until(begun + GATHERING).await;
            }
        }
    }

    fn progress(&self, lease: &Lease, head: Head) {
        self.statuses.set_state(&lease.name, State::Leading);
        self.statuses.set_head(&lease.name, head);
    }

    async fn pause(&self, duration: Duration) {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(duration) => {}
        }
    }
}

/// Bounds what a subscription waits for: a connection whose other end is gone without a word would otherwise keep it,
/// and its lease, for good.
async fn in_time<T, E: From<sqlx::Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(BATCH_PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()))
}
