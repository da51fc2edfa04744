//! The stock feed: every change of stock as it is committed, whichever process has made it, to any number of clients.
//!
//! One follower of the log per process makes each change into a line once and hands it to all clients; it runs only
//! while there are any. A client begins at a position and misses nothing from there on: what lies between that position
//! and the follower it reads from the log by itself ([`Following`]), then it listens. What waits for a client is bounded;
//! one that falls behind is told to come back with the id it got last, and is let go.

mod following;
mod levels;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::ids::{ProductId, RegionId};
use eventstore::{EventLog, feed::FeedError, position::Head};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::following::{Filter, Following};
use self::levels::Levels;

/// Most events that the follower reads at once.
const BATCH_EVENTS: usize = 256;
/// At the end of the log batches begin this far apart, as those of subscriptions: what is written in between reaches a
/// client in one go. An event that comes after a lull is passed on at once.
const GATHERING: Duration = Duration::from_millis(10);
/// Batches that wait for a client before it counts as too slow: some seconds under full load, and less than 25 MB for
/// all clients together, since they share them.
const WAITING_BATCHES: usize = 256;
/// How long the follower waits for more before it looks whether anybody listens.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// Longest that a batch may take; beyond it the connection to the database counts as gone.
const BATCH_PATIENCE: Duration = Duration::from_secs(10);
/// How long a new client waits for the follower.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// How long after a fault the follower begins anew.
const PAUSE: Duration = Duration::from_millis(500);
/// Clients that read from the log at once, until they have caught up.
const CATCHING_UP: usize = 4;

/// A change of stock, as all clients get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The event that made it.
    pub(crate) head: Head,
    /// Of which product.
    pub(crate) product_id: ProductId,
    /// Where that is sold.
    pub(crate) region_id: Option<RegionId>,
    /// How much there is now, as JSON.
    pub(crate) data: String,
}

/// What the follower hands out.
#[derive(Clone)]
enum Handout {
    /// All changes up to an event.
    Batch(Arc<Batch>),
    /// The follower ends: what comes next may not join on.
    Interrupted,
}

struct Batch {
    changes: Vec<Change>,
    reached: Head,
}

/// Why nobody can follow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowing {
    /// As many follow as may.
    #[error("as many clients follow the stock as this server serves at once")]
    Full,
    /// The log cannot be read, or the server is stopping.
    #[error("the log cannot be followed at the moment")]
    Unavailable,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct StockFeed(Arc<Inner>);

struct Inner {
    log: EventLog,
    seats: Arc<Semaphore>,
    catching_up: Semaphore,
    handouts: broadcast::Sender<Handout>,
    /// How far the follower has come, once it is known. Moved before a batch is handed out: whoever listens first and
    /// looks here then finds all that is missing at or before this place.
    place: watch::Sender<Option<Head>>,
    /// Whether the follower runs; held while that is decided.
    runs: Mutex<bool>,
    stopping: CancellationToken,
}

/// A place among the clients, and what it takes to begin.
pub(crate) struct Seat {
    handouts: broadcast::Receiver<Handout>,
    place: Head,
    /// Given back when the client is gone.
    _permit: OwnedSemaphorePermit,
}

impl StockFeed {
    /// A feed of this log for so many clients at once.
    pub fn new(log: EventLog, clients: usize) -> Self {
        Self(Arc::new(Inner {
            log,
            seats: Arc::new(Semaphore::new(clients.min(Semaphore::MAX_PERMITS))),
            catching_up: Semaphore::new(CATCHING_UP),
            handouts: broadcast::Sender::new(WAITING_BATCHES),
            place: watch::Sender::new(None),
            runs: Mutex::new(false),
            stopping: CancellationToken::new(),
        }))
    }

    /// Follows the stock, from behind `after` where the client names an event that the log holds, otherwise from now on.
    pub async fn follow(
        &self,
        after: Option<Head>,
        filter: Filter,
    ) -> Result<Following, NotFollowing> {
        let seat = self.take_seat().await?;
        Ok(Following::new(self.clone(), seat, after, filter))
    }

    /// Lets all clients go, and takes none any more.
    pub fn close(&self) {
        self.0.stopping.cancel();
    }

    async fn take_seat(&self) -> Result<Seat, NotFollowing> {
        let permit = self.0.seats.clone().try_acquire_owned();
        let permit = permit.map_err(|_| NotFollowing::Full)?;
        let handouts = self.listen();
        let mut place = self.0.place.subscribe();
        let known = async {
            let known = tokio::time::timeout(START_PATIENCE, place.wait_for(Option::is_some));
            known.await.ok()?.ok().and_then(|place| *place)
        };
        let place = tokio::select! {
            biased;
            () = self.0.stopping.cancelled() => None,
            place = known => place,
        };
        Ok(Seat {
            handouts,
            place: place.ok_or(NotFollowing::Unavailable)?,
            _permit: permit,
        })
    }

    /// Listens, and sees to it that there is something to hear.
    fn listen(&self) -> broadcast::Receiver<Handout> {
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let handouts = self.0.handouts.subscribe();
        if !*runs {
            *runs = true;
            tokio::spawn(self.clone().run());
        }
        handouts
    }

    /// True where nobody listens any more: then the follower ends, and the next who listens starts another.
    fn rests(&self) -> bool {
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.handouts.receiver_count() > 0 {
            return false;
        }
        self.0.place.send_replace(None);
        *runs = false;
        true
    }

    /// Follows the log while anybody listens, beginning anew after a fault.
    async fn run(self) {
        loop {
            let ended = tokio::select! {
                biased;
                () = self.0.stopping.cancelled() => return,
                ended = self.pass_on() => ended,
            };
            let Err(error) = ended else { return };
            tracing::warn!(%error, "the stock feed is interrupted");
            self.0.place.send_replace(None);
            // nobody may be there to hear it
            let _ = self.0.handouts.send(Handout::Interrupted);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Passes changes on from now until nobody listens.
    async fn pass_on(&self) -> Result<(), FeedError> {
        let (log, feed) = (&self.0.log, self.0.log.feed());
        let mut levels = Levels::of_many(log.clone());
        let mut at = in_time(async { Ok(log.head().await?) }).await?;
        self.0.place.send_replace(Some(at));
        while !self.rests() {
            let events = in_time(feed.read_after(at, BATCH_EVENTS)).await?;
            let Some(reached) = events.last().map(|event| event.head()) else {
                feed.wait_beyond(at.position, IDLE_WAIT).await;
                continue;
            };
            let begun = Instant::now();
            let changes = in_time(async { Ok(levels.changes(&events).await?) }).await?;
            at = reached;
            self.0.place.send_replace(Some(at));
            let batch = Arc::new(Batch { changes, reached });
            // nobody may be there any more
            let _ = self.0.handouts.send(Handout::Batch(batch));
            if events.len() < BATCH_EVENTS {
                tokio::time::sleep_until(begun + GATHERING).await;
            }
        }
        Ok(())
    }
}

/// Bounds a conversation with the database.
async fn in_time<T>(work: impl Future<Output = Result<T, FeedError>>) -> Result<T, FeedError> {
    tokio::time::timeout(BATCH_PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()))
}

#[cfg(test)]
mod tests;
