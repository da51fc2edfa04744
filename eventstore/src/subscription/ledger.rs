//! Where subscriptions keep leases, checkpoints and parked keys, as the runtime sees it: PostgreSQL
//! ([`super::postgres`]), or a simulated store in tests.

use std::{collections::HashSet, future::Future, ops::DerefMut, time::Duration};

use uuid::Uuid;

use super::Lease;
use crate::{
    position::{Head, Position},
    store::Reply,
};

/// Who leads which subscription, and how far it came. Its clock decides when a lease is over.
pub(crate) trait Leases: Send + Sync + 'static {
    /// Makes `holder` lead unless somebody does. Returns the epoch, which grows with every take-over; none where another
    /// one leads. Makes the subscription known on its first call.
    fn take<'a>(
        &'a self,
        name: &'a str,
        holder: Uuid,
        duration: Duration,
    ) -> Reply<'a, Option<i64>>;

    /// Has the lease end so long from now; false when somebody else has taken it over.
    fn extend<'a>(&'a self, lease: &'a Lease, from_now: Duration) -> Reply<'a, bool>;

    /// Where the checkpoint of a subscription stands; none where it is not known.
    fn checkpoint<'a>(&'a self, name: &'a str) -> Reply<'a, Option<Head>>;
}

/// Where the writes of a subscriber and its checkpoint commit together.
pub(crate) trait Ledger: Send + Sync + 'static {
    /// What a subscriber writes to.
    type Tx: Send + 'static;
    /// A transaction of it; rolled back where it is dropped.
    type Open: DerefMut<Target = Self::Tx> + Send;

    /// Begins a transaction.
    fn begin(&self) -> impl Future<Output = Result<Self::Open, sqlx::Error>> + Send;

    /// Commits it.
    fn commit(open: Self::Open) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Moves the checkpoint from `read` to `done`; false when it is not this lease's any more, or not at `read`.
    fn advance(
        tx: &mut Self::Tx,
        lease: &Lease,
        read: Head,
        done: Head,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Notes the place to which [`Self::undo`] goes back.
    fn savepoint(tx: &mut Self::Tx) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Keeps what was written since the savepoint, and forgets it.
    fn keep(tx: &mut Self::Tx) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Undoes what was written since the savepoint.
    fn undo(tx: &mut Self::Tx) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The parked keys of a subscription.
    fn parked_keys(
        tx: &mut Self::Tx,
        name: &str,
    ) -> impl Future<Output = Result<HashSet<String>, sqlx::Error>> + Send;

    /// Parks an event under its key; with the error where it is the one at fault.
    fn park(
        tx: &mut Self::Tx,
        name: &str,
        key: &str,
        position: Position,
        error: Option<&str>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}
