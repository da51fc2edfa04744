//! A simulated process: its calls to the server, on a way that loses and delays them; it can stand still, and die.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    Random, Weather,
    rows::{SimLeases, SimLedger, SimTransaction},
    server::{Attempt, Server, Table},
    store::SimStore,
    weather::{Fate, Fault, broken, says},
};
use crate::{
    EventLog,
    event::RecordedEvent,
    position::Head,
    stream::StreamId,
    subscription::{Subscriber, Subscriptions},
};

/// Longest that a statement waits for a lock, as the sessions that append have it set.
const LOCK_TIMEOUT: Duration = Duration::from_secs(4);

/// One simulated server; cheap to clone.
#[derive(Clone)]
pub struct World {
    server: Arc<Mutex<Server>>,
    /// Some lock was given up.
    released: Arc<Notify>,
}

impl World {
    /// An empty one. All that happens by chance follows from `random`.
    pub fn new(mut random: Random, weather: Weather) -> Self {
        let server = Server::new(random.fork(), weather);
        Self {
            server: Arc::new(Mutex::new(server)),
            released: Arc::default(),
        }
    }

    /// A process that uses it.
    pub fn start_process(&self) -> Process {
        let number = {
            let mut server = self.server();
            server.processes += 1;
            server.processes
        };
        Process {
            world: self.clone(),
            number,
            condition: Arc::default(),
        }
    }

    /// From now on faults happen so often.
    pub fn set_weather(&self, weather: Weather) {
        self.server().weather = weather;
    }

    /// The server is killed and starts again: sessions end, for a while nobody can connect. What was committed stays.
    pub fn restart_server(&self, down_for: Duration) {
        if self.server().is_told {
            eprintln!("the server restarts, and is down for {down_for:?}");
        }
        self.server().restart(down_for);
        self.released.notify_waiters();
    }

    /// This happens to the next call of that name, of whichever process, instead of what the weather brings.
    pub fn befall(&self, call: &'static str, fault: Fault) {
        self.server().intended.push((call, fault));
    }

    /// The log as it is committed.
    pub fn events(&self) -> Vec<RecordedEvent> {
        self.server().log.clone()
    }

    /// The last committed event.
    pub fn head(&self) -> Head {
        self.server().head()
    }

    /// The committed rows of a table.
    pub fn rows<T: Clone + Send + 'static>(&self) -> Table<T> {
        self.server().table::<T>().clone()
    }

    /// At which sequence of the stream its snapshot was taken, where there is one.
    pub fn snapshot_at(&self, stream: &StreamId) -> Option<i64> {
        let server = self.server();
        server.snapshots.get(stream).map(|(sequence, ..)| *sequence)
    }

    /// Ids of the idempotency keys that were used.
    pub fn used_keys(&self) -> Vec<uuid::Uuid> {
        self.server().keys.keys().copied().collect()
    }

    /// Who owns what must be unique: scope, value and owner.
    pub fn claims(&self) -> Vec<(String, String, String)> {
        let server = self.server();
        let claims = server.claims.iter();
        claims
            .map(|((scope, value), owner)| (scope.clone(), value.clone(), owner.clone()))
            .collect()
    }

    pub(super) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn end_session(&self, number: i32) {
        self.server().end_session(number);
        self.released.notify_waiters();
    }

    pub(super) fn client_closes(&self, number: i32) {
        self.server().client_closes(number);
        self.released.notify_waiters();
    }

    /// The server's side of a call. None where the client never gets an answer.
    async fn serve<T>(
        &self,
        session: Option<i32>,
        fate: Fate,
        mut statement: impl FnMut(&mut Server) -> Attempt<T>,
    ) -> Option<Result<T, sqlx::Error>> {
        let boots = self.server().boots;
        pass(fate.there).await;
        let give_up = Instant::now() + LOCK_TIMEOUT;
        let result = loop {
            let released = self.released.notified();
            let (retry_at, result) = {
                let mut server = self.server();
                match server.execute(session, boots, fate.fault, &mut statement) {
                    Attempt::Done(result) => break result,
                    Attempt::Blocked(by) => {
                        let expiry = server.expires_at(by).unwrap_or(give_up);
                        (expiry.min(give_up), says("55P03"))
                    }
                }
            };
            if Instant::now() >= give_up {
                break Err(result);
            }
            tokio::select! {
                biased;
                () = released => {}
                () = tokio::time::sleep_until(retry_at) => {}
            }
        };
        if let Some(number) = session {
            self.server().statement_ends(number);
        }
        // whoever waits looks again: a lock may have been given up
        self.released.notify_waiters();
        if let Fault::Silent { .. } = fate.fault {
            return None;
        }
        if fate.fault == Fault::LostAnswer {
            if let Some(number) = session {
                self.end_session(number);
            }
            return Some(Err(broken()));
        }
        pass(fate.back).await;
        if self.server().boots != boots {
            return Some(Err(broken()));
        }
        Some(result)
    }
}

impl Server {
    /// Executes a statement that has got here, as far as the weather lets it.
    fn execute<T>(
        &mut self,
        session: Option<i32>,
        boots: u64,
        fault: Fault,
        statement: &mut impl FnMut(&mut Self) -> Attempt<T>,
    ) -> Attempt<T> {
        if self.is_down() || self.boots != boots {
            return Attempt::Done(Err(broken()));
        }
        if let Some(number) = session
            && !self.is_open(number)
        {
            // ended by another session, by its own idleness, or with the server
            return Attempt::Done(Err(says("57P01")));
        }
        match fault {
            Fault::Refused(code) => Attempt::Done(Err(says(code))),
            Fault::LostRequest | Fault::Silent { effect: false } => {
                if let Some(number) = session {
                    self.end_session(number);
                }
                Attempt::Done(Err(broken()))
            }
            Fault::None | Fault::LostAnswer | Fault::Silent { effect: true } => statement(self),
        }
    }
}

/// Time passes on the way; none at all is none.
async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

#[derive(Default)]
struct Condition {
    dead: bool,
    paused_until: Option<Instant>,
}

/// One process; clones are handles of the same.
#[derive(Clone)]
pub struct Process {
    pub(super) world: World,
    /// Of how many that were started.
    number: u64,
    condition: Arc<Mutex<Condition>>,
}

impl Process {
    /// The world that it is in.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Opens the log, as a server would on its start.
    pub async fn open_log(&self, cache_bytes: usize) -> Result<EventLog, sqlx::Error> {
        let store = Arc::new(SimStore::new(self.clone()));
        EventLog::on(store, nowhere(), nowhere(), cache_bytes).await
    }

    /// Runs subscriptions with their leases and checkpoints in this world.
    pub fn subscriptions(&self, log: &EventLog) -> Subscriptions {
        Subscriptions::on(log.clone(), Arc::new(SimLeases(self.clone())))
    }

    /// Runs a subscriber that writes to this world.
    pub async fn follow(
        &self,
        subscriptions: &Subscriptions,
        subscriber: impl Subscriber<SimTransaction>,
    ) {
        let ledger = SimLedger(self.clone());
        subscriptions.spawn_on(ledger, subscriber).await;
    }

    /// It stands still for so long: what it calls meanwhile gets on its way only then, and so do the answers.
    pub fn pause(&self, duration: Duration) {
        self.tell(&format_args!("stands still for {duration:?}"));
        self.condition().paused_until = Some(Instant::now() + duration);
    }

    /// It is no more: nothing that it calls gets on its way, nothing is answered. What was on its way still arrives.
    pub fn kill(&self) {
        self.tell(&"is killed");
        self.condition().dead = true;
    }

    /// Whether it was not killed.
    pub fn is_alive(&self) -> bool {
        !self.condition().dead
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the process runs; never where it is dead.
    async fn running(&self) {
        loop {
            let until = {
                let condition = self.condition();
                match condition.paused_until {
                    _ if condition.dead => None,
                    Some(until) if Instant::now() < until => Some(until),
                    _ => return,
                }
            };
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Says what happens, where one history is repeated alone.
    fn tell(&self, what: &dyn std::fmt::Display) {
        let server = self.world.server();
        if server.is_told {
            let (time, head) = (server.now().format("%T%.3f"), server.head().position);
            eprintln!("{time} at {head} process {}: {what}", self.number);
        }
    }

    /// Calls the server. What is on its way arrives even if the caller has given up waiting.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        session: Option<i32>,
        statement: impl FnMut(&mut Server) -> Attempt<T> + Send + 'static,
    ) -> Result<T, sqlx::Error> {
        self.running().await;
        let fate = {
            let mut server = self.world.server();
            if let Some(number) = session {
                server.statement_begins(number);
            }
            let server = &mut *server;
            let fate = server.weather.fate(&mut server.random);
            match server.intended.iter().position(|(call, _)| *call == what) {
                Some(index) => Fate {
                    fault: server.intended.remove(index).1,
                    ..fate
                },
                None => fate,
            }
        };
        let (caller, answer) = oneshot::channel();
        let world = self.world.clone();
        tokio::spawn(async move {
            match world.serve(session, fate, statement).await {
                // a caller that has given up hears nothing
                Some(result) => drop(caller.send(result)),
                // kept, so that the caller does not even hear that there will be no answer
                None => std::future::pending().await,
            }
        });
        self.tell(&format_args!("{what} {session:?}: {fate:?}"));
        let result = answer.await.unwrap_or_else(|_| Err(broken()));
        if let Err(error) = &result {
            self.tell(&format_args!("{what} {session:?}: {error}"));
        }
        self.running().await;
        result
    }
}

/// For those who keep tables beside the log in PostgreSQL, of whom there are none here.
fn nowhere() -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(PgConnectOptions::new_without_pgpass().host("simulated.invalid"))
}
