//! The connection to Redis: made in the background, given up at the first command that fails, or where some in a row are not
//! answered in time, and made again. While there is none every command ends at once, so that an outage costs a few requests
//! one timeout, and one line in the log.
//!
//! A Redis that is slow is not one that comes and goes: one answer that is late changes nothing, a connection counts only once
//! it has answered as fast as a request waits, and one that soon fails again is left alone longer each time.

use std::{
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisError, Script, ScriptInvocation,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// How long what no request waits for may take.
pub(super) const BACKGROUND_PATIENCE: Duration = Duration::from_secs(1);
/// How often an idle connection is tried.
const LOOK: Duration = Duration::from_secs(1);
/// First pause before it is tried again to connect; doubled each time …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection that was given up earlier than this did not hold. The pause behind it doubles, too …
const STEADY: Duration = Duration::from_secs(10);
/// … up to this.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// So many late answers in a row end a connection, and so many in time begin it.
const IN_A_ROW: u32 = 3;
/// Most commands that wait to be sent; beyond it they wait for their turn, as long as they may.
const WAITING: usize = 1_024;

/// Why a connection is not used that answers too late.
const LATE: &str = "no answer in time";

/// Writes by a script, as all of ours do: a Redis that is full, a replica, or does not let us run scripts is of no use.
static PROBE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('SET', KEYS[1], '1', 'PX', 5000)"));

/// See the module. Cheap to clone; the connection ends with the last of them.
#[derive(Clone)]
pub(super) struct Link {
    inner: Arc<Inner>,
    _keeping: Arc<Task>,
}

/// A task that ends with whoever holds this.
pub(super) struct Task(pub(super) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Inner {
    client: Client,
    probe: String,
    patience: Duration,
    held: Mutex<Held>,
    lost: Notify,
}

/// The connection, and the number that tells it from those before.
#[derive(Default)]
struct Held {
    number: u64,
    connection: Option<MultiplexedConnection>,
    late: Late,
}

/// Answers that came too late for a request, one after the other.
#[derive(Default)]
struct Late {
    in_a_row: u32,
    /// When the last was found to be late.
    at: Option<Instant>,
}

impl Late {
    /// Notes that a command that was begun then has ended now, and says whether too many in a row were late. Those that were
    /// waiting when one was found to be late are late for the same reason.
    fn note(&mut self, begun: Instant, now: Instant, patience: Duration) -> bool {
        if self.at.is_some_and(|at| begun < at) {
            return false;
        }
        if now.duration_since(begun) < patience {
            self.in_a_row = 0;
            return false;
        }
        self.in_a_row += 1;
        self.at = Some(now);
        self.in_a_row >= IN_A_ROW
    }
}

impl Link {
    /// Connects in the background.
    pub(super) fn start(client: Client, prefix: &str, patience: Duration) -> Self {
        let inner = Arc::new(Inner {
            client,
            probe: format!("{prefix}:probe"),
            patience,
            held: Mutex::default(),
            lost: Notify::new(),
        });
        let keeping = tokio::spawn(keep(inner.clone()));
        Self {
            inner,
            _keeping: Arc::new(Task(keeping.abort_handle())),
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_there(&self) -> bool {
        self.inner.held().connection.is_some()
    }

    /// Runs a script for a request. None where Redis is away, refuses, or does not answer in time.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Option<T> {
        self.inner.run(script, self.inner.patience).await
    }

    /// The same where no request waits for it.
    pub(super) async fn run_behind<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Option<T> {
        let patience = self.inner.patience.max(BACKGROUND_PATIENCE);
        self.inner.run(script, patience).await
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        // nothing panics while holding it; a poisoned one would still be consistent
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        patience: Duration,
    ) -> Option<T> {
        let (number, connection) = {
            let held = self.held();
            (held.number, held.connection.clone())
        };
        let mut connection = connection?;
        let begun = Instant::now();
        match timeout(patience, script.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.ended(number, begun);
                Some(answer)
            }
            Ok(Err(error)) => {
                self.lose(number, &error.to_string());
                None
            }
            Err(_) => {
                self.ended(number, begun);
                None
            }
        }
    }

    /// A command that was begun then has been answered, or will not be waited for any longer.
    fn ended(&self, number: u64, begun: Instant) {
        let too_many = {
            let mut held = self.held();
            held.number == number && held.late.note(begun, Instant::now(), self.patience)
        };
        if too_many {
            self.lose(number, LATE);
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let told = |error: RedisError| error.to_string();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            // each command has a bound of its own
            .set_response_timeout(Some(CONNECT_PATIENCE))
            .set_pipeline_buffer_size(WAITING);
        let client = &self.client;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(told)?;
        let probe = PROBE.key(&self.probe);
        // the first time it may have to be told the script, which takes longer
        probe
            .invoke_async::<()>(&mut connection)
            .await
            .map_err(told)?;
        for _ in 0..IN_A_ROW {
            let answer = probe.invoke_async::<()>(&mut connection);
            let answer = timeout(self.patience, answer).await;
            answer.map_err(|_| LATE.to_owned())?.map_err(told)?;
        }
        Ok(connection)
    }

    fn hold(&self, connection: MultiplexedConnection) {
        let mut held = self.held();
        *held = Held {
            number: held.number + 1,
            connection: Some(connection),
            late: Late::default(),
        };
    }

    /// Gives this connection up. Whoever comes second finds that it is done.
    fn lose(&self, number: u64, reason: &str) {
        {
            let mut held = self.held();
            if held.number != number || held.connection.take().is_none() {
                return;
            }
        }
        tracing::warn!(
            reason,
            "Redis is away: limits count per process, products come from the read model"
        );
        self.lost.notify_one();
    }

    /// Returns when the connection is lost; tries it while nobody else does.
    async fn until_lost(&self) {
        loop {
            tokio::select! {
                () = self.lost.notified() => return,
                () = sleep(LOOK) => {
                    let _: Option<()> = self.run(&PROBE.key(&self.probe), BACKGROUND_PATIENCE).await;
                }
            }
        }
    }
}

/// Keeps a connection, for good.
async fn keep(inner: Arc<Inner>) {
    let (mut pause, mut rest) = (FIRST_PAUSE, FIRST_PAUSE);
    let mut told = false;
    loop {
        match inner.connect().await {
            Ok(connection) => {
                tracing::info!("Redis is there: limits and reads of products are shared");
                let since = Instant::now();
                inner.hold(connection);
                inner.until_lost().await;
                told = true;
                pause = FIRST_PAUSE;
                if since.elapsed() >= STEADY {
                    rest = FIRST_PAUSE;
                    continue;
                }
                sleep(rest).await;
                rest = (rest * 2).min(LONGEST_REST);
            }
            Err(reason) => {
                if !told {
                    tracing::warn!(
                        reason,
                        "Redis is away: limits count per process, products come from the read model"
                    );
                    told = true;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[tokio::test(start_paused = true)]
    async fn some_late_answers_in_a_row_are_too_many_and_one_in_time_begins_anew() {
        let start = Instant::now();
        let mut late = Late::default();
        let mut note = |begun, ended| late.note(after(start, begun), after(start, ended), PATIENCE);
        assert!(!note(0, 50) && !note(100, 150));
        assert!(!note(200, 249), "in time");
        assert!(!note(300, 350) && !note(400, 450));
        assert!(note(500, 550));
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_waits_at_the_same_time_is_late_once() {
        let start = Instant::now();
        let mut late = Late::default();
        let mut note = |begun, ended| late.note(after(start, begun), after(start, ended), PATIENCE);
        for begun in 0..10 {
            assert!(!note(begun, begun + 50), "begun before the first was late");
        }
        assert!(!note(60, 110) && note(120, 170));
    }
}
