//! The half of the saga that acts: claims due timers, works on many at once, and removes what is done.
//!
//! Any number of processes may run one: a claim keeps them apart, and where it does not (a process paused beyond its
//! claim) every step can be repeated. Hundreds of steps run at once, so that the log commits them in groups.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    SagaSettings,
    steps::{Outcome, Steps},
    timers::{ClaimedTimer, PutOff, Timers},
};
use crate::{gateway::PaymentGateway, request::Commands};

/// Most timers that are claimed by one statement.
const MAX_CLAIM: usize = 256;
/// Most timers that are worked on at once.
const MAX_AT_WORK: usize = 2 * MAX_CLAIM;
/// Looks at the table are at least this far apart, unless there is more to claim: what ends or falls due in between
/// shares them. After something was armed or done the runner looks again this soon, then half as often each time …
const SHORTEST_IDLE: Duration = Duration::from_millis(10);
/// … until it looks this often.
const LONGEST_IDLE: Duration = Duration::from_millis(250);
/// A claim is renewed so often before it is over.
const RENEWALS: u32 = 4;
/// Pause after the database did not answer.
const FAILED_IDLE: Duration = Duration::from_secs(1);
/// How long reading or writing timers may take. A connection that fell silent must not stop the runner for good.
const TIMERS_PATIENCE: Duration = Duration::from_secs(10);
/// How long a step may take, calls of the gateway apart.
const STEP_PATIENCE: Duration = Duration::from_mins(1);
/// How long what is at work may take when the runner is closed; what is not done then is given back.
const CLOSING_GRACE: Duration = Duration::from_secs(5);

/// See [`crate::saga`].
pub struct TimerRunner {
    steps: Steps,
    timers: Arc<dyn Timers>,
    armed: Arc<Notify>,
}

/// A runner that runs. Dropped, it ends by itself.
pub struct RunningTimers {
    cancel: DropGuard,
    task: JoinHandle<()>,
}

impl RunningTimers {
    /// Claims nothing new, waits a moment for what is at work, and gives back the rest.
    pub async fn close(self) {
        drop(self.cancel);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the timer runner did not end well");
        }
    }

    /// Stops it where it stands, as the end of the process would. What it had claimed waits for the end of the claim.
    #[cfg(feature = "testing")]
    pub fn kill(&self) {
        self.task.abort();
    }
}

impl TimerRunner {
    pub(super) fn new(
        commands: Commands,
        gateway: Arc<dyn PaymentGateway>,
        settings: SagaSettings,
        timers: Arc<dyn Timers>,
        armed: Arc<Notify>,
    ) -> Self {
        Self {
            steps: Steps {
                commands,
                gateway,
                settings,
            },
            timers,
            armed,
        }
    }

    /// Runs until it is closed, on a task of its own.
    pub fn spawn(self) -> RunningTimers {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(self.run(cancel.clone()));
        RunningTimers {
            cancel: cancel.drop_guard(),
            task,
        }
    }

    async fn run(self, cancel: CancellationToken) {
        let mut work = AtWork::default();
        let mut idle = SHORTEST_IDLE;
        while !cancel.is_cancelled() {
            idle = match self.round(&mut work).await {
                Ok(claimed) => idle_after(claimed, idle),
                Err(error) => {
                    tracing::warn!(%error, "timers cannot be read or written now");
                    FAILED_IDLE
                }
            };
            // in order: what is next is decided by the table, whichever of these it was
            let sooner = async {
                tokio::time::sleep(idle.min(SHORTEST_IDLE)).await;
                tokio::select! {
                    biased;
                    () = self.armed.notified() => true,
                    () = work.one_ended() => false,
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                armed = sooner => if armed { idle = SHORTEST_IDLE },
                () = tokio::time::sleep(idle) => {}
            }
        }
        work.wait(CLOSING_GRACE).await;
        if let Err(error) = self.store(&mut work).await {
            tracing::warn!(%error, "timers could not be given back; their claims run out");
        }
    }

    /// Stores what ended, renews claims and claims what is due. Returns how many timers were claimed.
    async fn round(&self, work: &mut AtWork) -> Result<usize, sqlx::Error> {
        work.collect();
        self.store(work).await?;
        self.renew(work).await?;
        // only when there is room for a full claim: claims in dribs and drabs cost as much each
        if work.len() > MAX_AT_WORK - MAX_CLAIM {
            return Ok(0);
        }
        let now = Instant::now();
        let claiming = self.timers.claim(MAX_CLAIM, self.steps.settings.claim);
        let claimed = in_time(claiming).await?;
        let count = claimed.len();
        for timer in claimed {
            work.start(self.steps.clone(), timer, now);
        }
        Ok(count)
    }

    /// Renews the claims that need it, and with them those that soon would.
    async fn renew(&self, work: &mut AtWork) -> Result<(), sqlx::Error> {
        let claim = self.steps.settings.claim;
        let pace = claim / RENEWALS;
        if work.held_for(pace).next().is_none() {
            return Ok(());
        }
        let now = Instant::now();
        let held: Vec<_> = work.held_for(pace / 2).cloned().collect();
        in_time(self.timers.renew(&held, claim)).await?;
        work.renewed(pace / 2, now);
        Ok(())
    }

    /// Where storing fails, what ended is kept for the next round.
    async fn store(&self, work: &mut AtWork) -> Result<(), sqlx::Error> {
        in_time(self.timers.finish(&work.done)).await?;
        work.done.clear();
        in_time(self.timers.put_off(&work.later)).await?;
        work.later.clear();
        Ok(())
    }
}

/// How long the runner may sleep after it claimed so many timers.
fn idle_after(claimed: usize, before: Duration) -> Duration {
    match claimed {
        0 => (before * 2).clamp(SHORTEST_IDLE, LONGEST_IDLE),
        MAX_CLAIM => Duration::ZERO,
        _ => SHORTEST_IDLE,
    }
}

async fn in_time<T>(
    timers: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(TIMERS_PATIENCE, timers)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// The timers that are being worked on, and those that ended and are not stored yet.
#[derive(Default)]
struct AtWork {
    tasks: JoinSet<Outcome>,
    /// And when each was claimed last.
    timers: HashMap<Id, (ClaimedTimer, Instant)>,
    done: Vec<ClaimedTimer>,
    later: Vec<PutOff>,
}

impl AtWork {
    fn len(&self) -> usize {
        self.tasks.len()
    }

    fn start(&mut self, steps: Steps, claimed: ClaimedTimer, at: Instant) {
        let timer = claimed.clone();
        // every step is bounded in itself; this is for what nobody thought of, since claims are renewed meanwhile
        let patience = STEP_PATIENCE + 3 * steps.settings.gateway_timeout;
        let task = self.tasks.spawn(async move {
            let step = tokio::time::timeout(patience, steps.run(&claimed));
            step.await.unwrap_or(Outcome::Later {
                pause: FAILED_IDLE,
                unanswered: false,
            })
        });
        self.timers.insert(task.id(), (timer, at));
    }

    /// Those whose claim is at least so old.
    fn held_for(&self, age: Duration) -> impl Iterator<Item = &ClaimedTimer> {
        let held = self.timers.values();
        held.filter(move |(_, claimed)| claimed.elapsed() >= age)
            .map(|(timer, _)| timer)
    }

    /// Takes note that claims of at least that age were renewed.
    fn renewed(&mut self, age: Duration, now: Instant) {
        for (_, claimed) in self.timers.values_mut() {
            if now.saturating_duration_since(*claimed) >= age {
                *claimed = now;
            }
        }
    }

    /// Returns when one has ended; never where none is at work.
    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.take(ended),
            None => std::future::pending().await,
        }
    }

    /// Takes all that have ended.
    fn collect(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.take(ended);
        }
    }

    fn take(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a step of the payment saga panicked; it is tried again");
                }
                let pause = if error.is_panic() {
                    FAILED_IDLE
                } else {
                    Duration::ZERO
                };
                (
                    error.id(),
                    Outcome::Later {
                        pause,
                        unanswered: false,
                    },
                )
            }
        };
        let Some((claimed, _)) = self.timers.remove(&id) else {
            return;
        };
        match outcome {
            Outcome::Done => self.done.push(claimed),
            Outcome::Later { pause, unanswered } => self.later.push(PutOff {
                claimed,
                pause,
                unanswered,
            }),
        }
    }

    /// Waits until all have ended, or ends them.
    async fn wait(&mut self, patience: Duration) {
        let give_up = Instant::now() + patience;
        while self.len() > 0
            && tokio::time::timeout_at(give_up, self.one_ended())
                .await
                .is_ok()
        {}
        self.tasks.abort_all();
        while self.len() > 0 {
            self.one_ended().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_asked_again_at_once_only_behind_a_full_claim() {
        assert_eq!(idle_after(MAX_CLAIM, LONGEST_IDLE), Duration::ZERO);
        // all hands busy: there is nothing to ask for until one of them is done
        assert_eq!(idle_after(0, Duration::ZERO), SHORTEST_IDLE);
        assert_eq!(idle_after(1, LONGEST_IDLE), SHORTEST_IDLE);
        assert_eq!(idle_after(0, SHORTEST_IDLE), 2 * SHORTEST_IDLE);
        assert_eq!(idle_after(0, LONGEST_IDLE), LONGEST_IDLE);
    }
}
