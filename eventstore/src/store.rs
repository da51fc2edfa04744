//! Where the log is kept, as the sequencer, the feed and the wake-up see it.
//!
//! There are two: PostgreSQL ([`postgres`]), and a simulated one for tests, which fails, delays, reorders and forgets
//! to answer by a seed. All that decides anything, bounds in time and classification of errors included, is above this
//! seam, so that the simulation runs it. A call is made per batch, never per event.

use futures::future::BoxFuture;

use crate::{
    append::{Appended, Batch},
    cache::CachedStream,
    event::RecordedEvent,
    feed::FeedError,
    position::{Head, Position},
    snapshots::Snapshot,
    stream::{StreamId, StreamRef},
};

pub(crate) mod postgres;

/// An answer of the store that is on its way.
pub(crate) type Reply<'a, T> = BoxFuture<'a, Result<T, sqlx::Error>>;

/// States of streams, as loaded.
pub(crate) type LoadedStreams = Vec<(StreamId, CachedStream)>;

/// The log as it is committed; see the module.
pub(crate) trait Store: Send + Sync + 'static {
    /// A new session that appends.
    fn connect(&self) -> Reply<'_, Box<dyn Session>>;

    /// The states of streams, from their snapshots and events. Streams without events come back empty, at sequence 0.
    fn load<'a>(&'a self, streams: &'a [StreamRef]) -> Reply<'a, LoadedStreams>;

    /// Up to `limit` events after `after`, having made sure that `after` is still there.
    fn read_after(
        &self,
        after: Head,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, FeedError>>;

    /// The last event.
    fn head(&self) -> Reply<'_, Head>;

    /// Keeps a snapshot, unless there is a later one or the log does not hold its event.
    fn keep_snapshot<'a>(&'a self, snapshot: &'a Snapshot) -> Reply<'a, ()>;

    /// Which stream owns a unique value, if any.
    fn claim_owner<'a>(&'a self, scope: &'a str, value: &'a str) -> Reply<'a, Option<String>>;

    /// Tells other processes how far the log reaches; may be lost.
    fn notify(&self, position: Position) -> Reply<'_, ()>;

    /// Hears of what other processes are told.
    fn listen(&self) -> Reply<'_, Box<dyn Listener>>;
}

/// A session that appends. It bounds the locks that it waits for and the transactions that it leaves open, on the
/// server's side. Dropped, it ends, and with it the transaction it has open.
pub(crate) trait Session: Send {
    /// Names the session, for [`Self::find_committed`] by another one.
    fn number(&self) -> i32;

    /// Appends a batch on top of `expected`; committed when it returns, unless the session holds the lock.
    fn append<'a>(&'a mut self, batch: &'a Batch, expected: Head) -> Reply<'a, Appended>;

    /// The last event.
    fn head(&mut self) -> Reply<'_, Head>;

    /// The last event, once it is as safe as a commit of ours would be: what another session has committed may be seen
    /// before a synchronous standby has it.
    fn safe_head(&mut self) -> Reply<'_, Head>;

    /// Like [`Store::read_after`].
    fn read_after(
        &mut self,
        after: Head,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, FeedError>>;

    /// Begins a transaction that holds the lock of the log: until its end nobody else appends.
    fn lock(&mut self) -> Reply<'_, ()>;

    /// Commits that transaction.
    fn commit(&mut self) -> Reply<'_, ()>;

    /// Gives that transaction up.
    fn roll_back(&mut self) -> Reply<'_, ()>;

    /// When the batch that session `lost` was to append on top of `expected` was committed; none where it was not.
    /// Ends that session and then takes the lock, so that the commit either took place before this looks or never will.
    ///
    /// A batch without events is never found: nothing in the log is its own. A key of it that is there may be another
    /// batch's; decided again, whoever brought it is told that it is taken, and finds the stored answer.
    fn find_committed<'a>(
        &'a mut self,
        batch: &'a Batch,
        expected: Head,
        lost: i32,
    ) -> Reply<'a, Option<chrono::DateTime<chrono::Utc>>>;
}

/// Hears of commits of other processes.
pub(crate) trait Listener: Send {
    /// The next position told; none where something may have been missed.
    fn next(&mut self) -> Reply<'_, Option<Position>>;
}
