//! The connection to Redis: made in the background, given up at the first command that fails or takes too long, made
//! again. While there is none every command ends at once, so that an outage costs one request one timeout, and one line
//! in the log.

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
/// … up to this, until a connection has held for …
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// … so long.
const STEADY: Duration = Duration::from_secs(10);
/// Most commands that wait to be sent; beyond it they wait for their turn, as long as they may.
const WAITING: usize = 1_024;

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

    /// Runs a script for a request. None where Redis is away, or becomes so by not answering in time.
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
        match timeout(patience, script.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.lose(number, &error.to_string());
                None
            }
            Err(_) => {
                self.lose(number, "no answer in time");
                None
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            // each command has a bound of its own
            .set_response_timeout(Some(CONNECT_PATIENCE))
            .set_pipeline_buffer_size(WAITING);
        let client = &self.client;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        PROBE
            .key(&self.probe)
            .invoke_async::<()>(&mut connection)
            .await?;
        Ok(connection)
    }

    fn hold(&self, connection: MultiplexedConnection) {
        let mut held = self.held();
        held.number += 1;
        held.connection = Some(connection);
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
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        match inner.connect().await {
            Ok(connection) => {
                tracing::info!("Redis is there: limits and reads of products are shared");
                let since = Instant::now();
                inner.hold(connection);
                inner.until_lost().await;
                told = true;
                if since.elapsed() >= STEADY {
                    pause = FIRST_PAUSE;
                    continue;
                }
            }
            Err(error) if !told => {
                let reason = error.to_string();
                tracing::warn!(
                    reason,
                    "Redis is away: limits count per process, products come from the read model"
                );
                told = true;
            }
            Err(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
