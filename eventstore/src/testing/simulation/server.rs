//! The simulated server: its clock, the sessions it knows, their transactions, and the locks that they hold.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{Fault, Random, Weather, histories};
use crate::{event::RecordedEvent, position::Position, stream::StreamId};

/// Rows of one kind, by key.
pub type Table<T> = BTreeMap<String, T>;

/// A row that a transaction may hold a lock on: the type stands for its table.
pub(super) type RowId = (TypeId, String);

/// A write that takes place when its transaction commits.
pub(super) type Write = Box<dyn FnOnce(&mut Server) + Send>;

/// Scope and value of what must be unique.
pub(super) type ClaimId = (String, String);

/// See the module.
pub(super) struct Server {
    pub(super) random: Random,
    pub(super) weather: Weather,
    started: Instant,
    pub(super) log: Vec<RecordedEvent>,
    /// Places of the events of each stream in the log.
    pub(super) streams: HashMap<StreamId, Vec<usize>>,
    pub(super) keys: BTreeMap<Uuid, DateTime<Utc>>,
    pub(super) claims: BTreeMap<ClaimId, String>,
    pub(super) snapshots: HashMap<StreamId, (i64, Uuid, i32, String)>,
    tables: HashMap<TypeId, Box<dyn Any + Send>>,
    sessions: BTreeMap<i32, SessionState>,
    last_session: i32,
    /// Who holds the lock of the log.
    log_lock: Option<i32>,
    row_locks: HashMap<RowId, i32>,
    pub(super) listeners: Vec<mpsc::UnboundedSender<Position>>,
    /// Grows with every start of the server.
    pub(super) boots: u64,
    down_until: Option<Instant>,
    /// How many processes were started.
    pub(super) processes: u64,
    /// Whether it is told what happens.
    pub(super) is_told: bool,
    /// What is to befall calls, by their names.
    pub(super) intended: Vec<(&'static str, Fault)>,
}

/// A session as the server knows it.
struct SessionState {
    /// In a transaction that may sit idle for so long.
    idle_limit: Duration,
    transaction: Option<Transaction>,
    /// A statement is on its way or being executed.
    pub(super) busy: bool,
    /// The client has closed the connection.
    closed: bool,
}

struct Transaction {
    writes: Vec<Write>,
    savepoint: usize,
    idle_since: Instant,
}

/// What a statement comes to.
pub(super) enum Attempt<T> {
    Done(Result<T, sqlx::Error>),
    /// It waits for this session.
    Blocked(i32),
}

impl<T> Attempt<T> {
    pub(super) const fn ok(value: T) -> Self {
        Self::Done(Ok(value))
    }
}

impl Server {
    pub(super) fn new(random: Random, weather: Weather) -> Self {
        Self {
            random,
            weather,
            started: Instant::now(),
            log: Vec::new(),
            streams: HashMap::new(),
            keys: BTreeMap::new(),
            claims: BTreeMap::new(),
            snapshots: HashMap::new(),
            tables: HashMap::new(),
            sessions: BTreeMap::new(),
            last_session: 0,
            log_lock: None,
            row_locks: HashMap::new(),
            listeners: Vec::new(),
            boots: 0,
            down_until: None,
            processes: 0,
            is_told: histories::is_one_alone(),
            intended: Vec::new(),
        }
    }

    /// The server's clock.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.started.elapsed()).unwrap_or(TimeDelta::MAX);
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + elapsed
    }

    pub(super) fn is_down(&self) -> bool {
        self.down_until.is_some_and(|until| Instant::now() < until)
    }

    /// Every session ends, what was not committed is gone, and for a while nobody can connect.
    pub(super) fn restart(&mut self, down_for: Duration) {
        self.boots += 1;
        self.down_until = Some(Instant::now() + down_for);
        self.sessions.clear();
        self.log_lock = None;
        self.row_locks.clear();
        self.listeners.clear();
    }

    pub(super) fn open_session(&mut self, idle_limit: Duration) -> i32 {
        self.last_session += 1;
        self.sessions.insert(
            self.last_session,
            SessionState {
                idle_limit,
                transaction: None,
                busy: false,
                closed: false,
            },
        );
        self.last_session
    }

    /// Ends a session, and with it its transaction.
    pub(super) fn end_session(&mut self, number: i32) {
        self.sessions.remove(&number);
        self.release_locks(number);
    }

    fn release_locks(&mut self, number: i32) {
        if self.log_lock == Some(number) {
            self.log_lock = None;
        }
        self.row_locks.retain(|_, holder| *holder != number);
    }

    /// False once the session has ended; one that sat idle in a transaction for too long ends here.
    pub(super) fn is_open(&mut self, number: i32) -> bool {
        let Some(session) = self.sessions.get(&number) else {
            return false;
        };
        let expired = !session.busy
            && session
                .transaction
                .as_ref()
                .is_some_and(|transaction| transaction.idle_since.elapsed() >= session.idle_limit);
        if expired {
            self.end_session(number);
        }
        !expired
    }

    /// When the session ends by itself if nothing is heard of it.
    pub(super) fn expires_at(&self, number: i32) -> Option<Instant> {
        let session = self.sessions.get(&number)?;
        let transaction = session.transaction.as_ref()?;
        (!session.busy).then(|| transaction.idle_since + session.idle_limit)
    }

    pub(super) fn statement_begins(&mut self, number: i32) {
        if let Some(session) = self.sessions.get_mut(&number) {
            session.busy = true;
        }
    }

    pub(super) fn statement_ends(&mut self, number: i32) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        session.busy = false;
        if let Some(transaction) = &mut session.transaction {
            transaction.idle_since = Instant::now();
        }
        if session.closed {
            self.end_session(number);
        }
    }

    /// The client closes the connection. A statement that is on its way is still executed.
    pub(super) fn client_closes(&mut self, number: i32) {
        let unnoticed = self.random.in_thousand(self.weather.half_open);
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        if session.busy {
            session.closed = true;
        } else if !unnoticed || session.transaction.is_none() {
            self.end_session(number);
        }
    }

    pub(super) fn begin(&mut self, number: i32) {
        if let Some(session) = self.sessions.get_mut(&number) {
            session.transaction = Some(Transaction {
                writes: Vec::new(),
                savepoint: 0,
                idle_since: Instant::now(),
            });
        }
    }

    /// Takes the lock of the log, until the end of the session's transaction.
    pub(super) fn lock_log(&mut self, number: i32) -> Attempt<()> {
        if let Some(holder) = self.log_lock_in_the_way_of(number) {
            return Attempt::Blocked(holder);
        }
        self.log_lock = Some(number);
        Attempt::ok(())
    }

    pub(super) fn log_lock_in_the_way_of(&mut self, number: i32) -> Option<i32> {
        let holder = self.log_lock.filter(|holder| *holder != number)?;
        self.is_open(holder).then_some(holder)
    }

    /// Takes the locks of rows, all or none.
    pub(super) fn lock_rows(&mut self, number: i32, rows: &[RowId]) -> Attempt<()> {
        for row in rows {
            if let Some(holder) = self.row_lock_in_the_way_of(number, row) {
                return Attempt::Blocked(holder);
            }
        }
        self.row_locks
            .extend(rows.iter().map(|row| (row.clone(), number)));
        Attempt::ok(())
    }

    pub(super) fn row_lock_in_the_way_of(&mut self, number: i32, row: &RowId) -> Option<i32> {
        let holder = *self
            .row_locks
            .get(row)
            .filter(|holder| **holder != number)?;
        self.is_open(holder).then_some(holder)
    }

    /// Adds a write to the session's transaction.
    pub(super) fn write_later(&mut self, number: i32, write: Write) {
        let session = self.sessions.get_mut(&number);
        if let Some(transaction) = session.and_then(|session| session.transaction.as_mut()) {
            transaction.writes.push(write);
        }
    }

    pub(super) fn savepoint(&mut self, number: i32) {
        let session = self.sessions.get_mut(&number);
        if let Some(transaction) = session.and_then(|session| session.transaction.as_mut()) {
            transaction.savepoint = transaction.writes.len();
        }
    }

    pub(super) fn undo(&mut self, number: i32) {
        let session = self.sessions.get_mut(&number);
        if let Some(transaction) = session.and_then(|session| session.transaction.as_mut()) {
            transaction.writes.truncate(transaction.savepoint);
        }
    }

    pub(super) fn commit(&mut self, number: i32) {
        let session = self.sessions.get_mut(&number);
        if let Some(transaction) = session.and_then(|session| session.transaction.take()) {
            for write in transaction.writes {
                write(self);
            }
        }
        self.release_locks(number);
    }

    pub(super) fn roll_back(&mut self, number: i32) {
        if let Some(session) = self.sessions.get_mut(&number) {
            session.transaction = None;
        }
        self.release_locks(number);
    }

    pub(super) fn in_transaction(&self, number: i32) -> bool {
        self.sessions
            .get(&number)
            .is_some_and(|session| session.transaction.is_some())
    }

    /// The rows of a table.
    pub(super) fn table<T: Send + 'static>(&mut self) -> &mut Table<T> {
        let table = self
            .tables
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::new(Table::<T>::new()));
        // the entry was made for this very type
        #[allow(clippy::expect_used)]
        table.downcast_mut().expect("a table of this type")
    }
}
