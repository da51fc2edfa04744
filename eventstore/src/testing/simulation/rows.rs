//! Tables beside the simulated log: leases, checkpoints, parked keys, and what subscribers write with them.

use std::{
    any::TypeId,
    collections::HashSet,
    ops::{Deref, DerefMut},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    process::{Process, World},
    server::{Attempt, RowId, Server, Table},
};
use crate::{
    position::{Head, Position},
    store::Reply,
    subscription::{
        Lease,
        ledger::{Leases, Ledger},
    },
};

/// Longest that a transaction of a subscription may sit idle, as it is set in PostgreSQL.
const IDLE_LIMIT: Duration = Duration::from_secs(3);

/// A subscription: who leads it, and how far it came.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionRow {
    /// Grows with every take-over.
    pub epoch: i64,
    holder: Option<Uuid>,
    lease_until: Option<DateTime<Utc>>,
    /// Its checkpoint.
    pub head: Head,
}

/// An event of a parked key.
#[derive(Clone, Debug)]
pub struct ParkedRow {
    /// The subscription.
    pub subscription: String,
    /// The key.
    pub key: String,
    /// Which event.
    pub position: Position,
    /// Of the one at fault.
    pub error: Option<String>,
}

pub(super) struct SimLeases(pub(super) Process);

fn row_of_subscription(name: &str) -> RowId {
    (TypeId::of::<SubscriptionRow>(), name.to_owned())
}

impl SimLeases {
    /// Changes the row of a subscription in a statement of its own: waits for a transaction that moves its checkpoint.
    async fn update<R: Send + 'static>(
        &self,
        what: &'static str,
        name: &str,
        mut change: impl FnMut(&mut SubscriptionRow, DateTime<Utc>) -> R + Send + 'static,
    ) -> Result<R, sqlx::Error> {
        let (name, row) = (name.to_owned(), row_of_subscription(name));
        self.0
            .call(what, None, move |server| {
                // no session has this number
                if let Some(holder) = server.row_lock_in_the_way_of(0, &row) {
                    return Attempt::Blocked(holder);
                }
                let now = server.now();
                let subscription = server.table::<SubscriptionRow>().entry(name.clone());
                Attempt::ok(change(subscription.or_default(), now))
            })
            .await
    }
}

impl Leases for SimLeases {
    fn take<'a>(
        &'a self,
        name: &'a str,
        holder: Uuid,
        duration: Duration,
    ) -> Reply<'a, Option<i64>> {
        Box::pin(self.update("take lease", name, move |row, now| {
            let free = row.lease_until.is_none_or(|until| until < now);
            free.then(|| {
                row.epoch += 1;
                row.holder = Some(holder);
                row.lease_until = Some(now + in_calendar(duration));
                row.epoch
            })
        }))
    }

    fn extend<'a>(&'a self, lease: &'a Lease, from_now: Duration) -> Reply<'a, bool> {
        let (epoch, holder) = (lease.epoch, lease.holder);
        Box::pin(self.update("extend lease", &lease.name, move |row, now| {
            let ours = row.epoch == epoch && row.holder == Some(holder);
            if ours {
                row.lease_until = Some(now + in_calendar(from_now));
            }
            ours
        }))
    }

    fn checkpoint<'a>(&'a self, name: &'a str) -> Reply<'a, Option<Head>> {
        let name = name.to_owned();
        Box::pin(self.0.call("checkpoint", None, move |server| {
            let row = server.table::<SubscriptionRow>().get(&name);
            Attempt::ok(row.map(|row| row.head))
        }))
    }
}

fn in_calendar(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A transaction over simulated tables; what it writes is seen when it is committed.
pub struct SimTransaction {
    process: Process,
    number: i32,
    /// What this transaction itself has parked: it must see that.
    parked: Vec<(String, String)>,
}

impl SimTransaction {
    /// Changes rows of a table at the commit. Their locks are taken now, and held until then. `change` gets the table
    /// and the server's time.
    pub async fn change<T: Send + 'static>(
        &mut self,
        keys: Vec<String>,
        change: impl FnOnce(&mut Table<T>, DateTime<Utc>) + Send + 'static,
    ) -> Result<(), sqlx::Error> {
        let rows: Vec<RowId> = keys
            .into_iter()
            .map(|key| (TypeId::of::<T>(), key))
            .collect();
        let number = self.number;
        let mut change = Some(change);
        self.process
            .call("write", Some(number), move |server| {
                if let Attempt::Blocked(holder) = server.lock_rows(number, &rows) {
                    return Attempt::Blocked(holder);
                }
                if let Some(change) = change.take() {
                    let write = move |server: &mut Server| {
                        let now = server.now();
                        change(server.table::<T>(), now);
                    };
                    server.write_later(number, Box::new(write));
                }
                Attempt::ok(())
            })
            .await
    }

    /// Does something to the session that needs no lock.
    async fn tell(
        &mut self,
        what: &'static str,
        tell: fn(&mut Server, i32),
    ) -> Result<(), sqlx::Error> {
        let number = self.number;
        self.process
            .call(what, Some(number), move |server| {
                tell(server, number);
                Attempt::ok(())
            })
            .await
    }
}

/// Rows of a table as a statement of its own sees and changes them.
pub struct Rows<'a, T> {
    server: &'a mut Server,
    table: std::marker::PhantomData<T>,
}

impl<T: Send + 'static> Rows<'_, T> {
    /// The server's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.server.now()
    }

    /// All committed rows.
    pub fn all(&mut self) -> &mut Table<T> {
        self.server.table::<T>()
    }

    /// Whether some transaction holds the lock of this row.
    pub fn is_locked(&mut self, key: &str) -> bool {
        let row = (TypeId::of::<T>(), key.to_owned());
        self.server.row_lock_in_the_way_of(0, &row).is_some()
    }
}

impl Process {
    /// A statement of its own over the rows of one table.
    pub async fn statement<T: Send + 'static, R: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Rows<'_, T>) -> R + Send + 'static,
    ) -> Result<R, sqlx::Error> {
        self.call("statement", None, move |server| {
            let table = std::marker::PhantomData;
            Attempt::ok(work(&mut Rows { server, table }))
        })
        .await
    }
}

/// An open transaction; dropped, it is rolled back.
pub(super) struct OpenTransaction {
    transaction: SimTransaction,
    world: World,
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        self.world.client_closes(self.transaction.number);
    }
}

impl Deref for OpenTransaction {
    type Target = SimTransaction;

    fn deref(&self) -> &SimTransaction {
        &self.transaction
    }
}

impl DerefMut for OpenTransaction {
    fn deref_mut(&mut self) -> &mut SimTransaction {
        &mut self.transaction
    }
}

pub(super) struct SimLedger(pub(super) Process);

impl Ledger for SimLedger {
    type Tx = SimTransaction;
    type Open = OpenTransaction;

    async fn begin(&self) -> Result<OpenTransaction, sqlx::Error> {
        let begin = |server: &mut Server| {
            let number = server.open_session(IDLE_LIMIT);
            server.begin(number);
            Attempt::ok(number)
        };
        let number = self.0.call("begin", None, begin).await?;
        Ok(OpenTransaction {
            transaction: SimTransaction {
                process: self.0.clone(),
                number,
                parked: Vec::new(),
            },
            world: self.0.world().clone(),
        })
    }

    async fn commit(mut open: OpenTransaction) -> Result<(), sqlx::Error> {
        open.tell("commit", Server::commit).await
    }

    async fn advance(
        tx: &mut SimTransaction,
        lease: &Lease,
        read: Head,
        done: Head,
    ) -> Result<bool, sqlx::Error> {
        let (number, name, epoch) = (tx.number, lease.name.clone(), lease.epoch);
        let row = row_of_subscription(&name);
        tx.process
            .call("advance", Some(number), move |server| {
                if let Attempt::Blocked(holder) =
                    server.lock_rows(number, std::slice::from_ref(&row))
                {
                    return Attempt::Blocked(holder);
                }
                let ours = server
                    .table::<SubscriptionRow>()
                    .get(&name)
                    .is_some_and(|row| row.epoch == epoch && row.head == read);
                if ours {
                    let name = name.clone();
                    let write = move |server: &mut Server| {
                        if let Some(row) = server.table::<SubscriptionRow>().get_mut(&name) {
                            row.head = done;
                        }
                    };
                    server.write_later(number, Box::new(write));
                }
                Attempt::ok(ours)
            })
            .await
    }

    async fn savepoint(tx: &mut SimTransaction) -> Result<(), sqlx::Error> {
        tx.tell("savepoint", Server::savepoint).await
    }

    async fn keep(tx: &mut SimTransaction) -> Result<(), sqlx::Error> {
        tx.tell("savepoint", Server::savepoint).await
    }

    async fn undo(tx: &mut SimTransaction) -> Result<(), sqlx::Error> {
        tx.tell("undo", Server::undo).await
    }

    async fn parked_keys(
        tx: &mut SimTransaction,
        name: &str,
    ) -> Result<HashSet<String>, sqlx::Error> {
        let of = name.to_owned();
        let committed = tx
            .process
            .call("parked keys", Some(tx.number), move |server| {
                let parked = server.table::<ParkedRow>().values();
                let keys: Vec<String> = parked
                    .filter(|row| row.subscription == of)
                    .map(|row| row.key.clone())
                    .collect();
                Attempt::ok(keys)
            });
        let mut keys: HashSet<String> = committed.await?.into_iter().collect();
        let own = tx.parked.iter().filter(|(of, _)| of == name);
        keys.extend(own.map(|(_, key)| key.clone()));
        Ok(keys)
    }

    async fn park(
        tx: &mut SimTransaction,
        name: &str,
        key: &str,
        position: Position,
        error: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        let row = ParkedRow {
            subscription: name.to_owned(),
            key: key.to_owned(),
            position,
            error: error.map(str::to_owned),
        };
        let id = format!("{name}/{key}/{:012}", position.0);
        tx.parked.push((name.to_owned(), key.to_owned()));
        tx.change::<ParkedRow>(vec![id.clone()], move |table, _| {
            table.insert(id, row);
        })
        .await
    }
}
