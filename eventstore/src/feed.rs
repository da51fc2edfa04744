//! The feed: committed events in the order of their positions, for every reader of the log.
//!
//! The last events are kept in memory, shared by all subscriptions of the process, so that a live event is read from
//! the database by none of them. Older ones come from the table. A reader names the event that it stands on, not just
//! its position, and is told when the log does not hold that event any more (a failover, a restored backup).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::{
    event::RecordedEvent,
    position::{Head, Position},
    store::Store,
};

/// Most events kept in memory.
const RECENT_EVENTS: usize = 20_000;
/// Most bytes of payload kept in memory.
const RECENT_BYTES: usize = 24 * 1024 * 1024;

/// Why the feed cannot go on from where a reader stands.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log does not hold the event that the reader stands on: it is another history.
    #[error("the log does not hold event {} at position {}", after.event_id, after.position)]
    Diverged {
        /// Where the reader stands.
        after: Head,
    },
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// See the module.
pub struct Feed {
    store: Arc<dyn Store>,
    recent: Mutex<Recent>,
    known: watch::Sender<Position>,
    /// Whoever waits for more, woken in the order in which they came: a watch channel wakes at random.
    further: Notify,
    /// How far this process itself has committed: what others are to be told.
    committed: watch::Sender<Position>,
}

impl Feed {
    pub(crate) fn new(store: Arc<dyn Store>, head: Position) -> Self {
        Self {
            store,
            recent: Mutex::default(),
            known: watch::Sender::new(head),
            further: Notify::new(),
            committed: watch::Sender::new(head),
        }
    }

    /// Up to `limit` events after the one that `after` names, in order; empty at the end of the log.
    pub async fn read_after(
        &self,
        after: Head,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, FeedError> {
        // at the end of what is in memory, another process may have written more
        if let Some(events) = self.recent().after(after, limit)
            && (!events.is_empty() || self.known() <= after.position)
        {
            return Ok(events);
        }
        let events = self.store.read_after(after, limit).await?;
        let events: Vec<Arc<RecordedEvent>> = events.into_iter().map(Arc::new).collect();
        if let Some(last) = events.last() {
            let at_tail = events.len() < limit;
            self.recent().extend_from(after.position, &events, at_tail);
            self.observe(last.position);
        }
        Ok(events)
    }

    /// Returns once the log is known to reach beyond `position`, or after `patience`.
    pub async fn wait_beyond(&self, position: Position, patience: Duration) {
        let beyond = async {
            loop {
                // before looking: what comes in between is not missed
                let further = self.further.notified();
                if self.known() > position {
                    return;
                }
                further.await;
            }
        };
        // out of patience, whoever waits looks for himself
        let _ = tokio::time::timeout(patience, beyond).await;
    }

    /// The last position that this process knows of.
    pub fn known(&self) -> Position {
        *self.known.borrow()
    }

    /// Follows [`Self::known`].
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.known.subscribe()
    }

    /// Follows what this process commits.
    pub(crate) fn subscribe_committed(&self) -> watch::Receiver<Position> {
        self.committed.subscribe()
    }

    /// Takes in a batch that this process has just committed.
    pub(crate) fn publish_committed(&self, events: Vec<RecordedEvent>) {
        let Some(last) = events.last().map(|event| event.position) else {
            return;
        };
        self.publish(events);
        self.committed.send_replace(last);
    }

    /// Takes in events that were just read at the end of the log.
    pub(crate) fn publish(&self, events: Vec<RecordedEvent>) {
        let Some(last) = events.last().map(|event| event.position) else {
            return;
        };
        self.recent().push(events.into_iter().map(Arc::new));
        self.observe(last);
    }

    /// Whether another event stands in memory where `head` stands.
    pub(crate) fn contradicts(&self, head: Head) -> bool {
        let known = self.recent().id_at(head.position);
        known.is_some_and(|event_id| event_id != head.event_id)
    }

    /// Takes note that the log reaches this far.
    pub(crate) fn observe(&self, position: Position) {
        let moved = self.known.send_if_modified(|known| {
            let further = position > *known;
            if further {
                *known = position;
            }
            further
        });
        if moved {
            self.further.notify_waiters();
        }
    }

    /// Forgets all: the log is not the one that it was.
    pub(crate) fn reset(&self) {
        *self.recent() = Recent::default();
        self.known.send_replace(Position::START);
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        // nothing panics while holding it; a poisoned one would still be consistent
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last events, without gaps.
#[derive(Default)]
struct Recent {
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
}

impl Recent {
    /// None when these events do not tell what comes after.
    fn after(&self, after: Head, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let first = self.events.front()?.position;
        let index = usize::try_from(after.position.0 - first.0).ok()?;
        let standing = self.events.get(index)?;
        if standing.event_id != after.event_id {
            return None;
        }
        Some(
            self.events
                .iter()
                .skip(index + 1)
                .take(limit)
                .cloned()
                .collect(),
        )
    }

    fn id_at(&self, position: Position) -> Option<uuid::Uuid> {
        let first = self.events.front()?.position;
        let index = usize::try_from(position.0 - first.0).ok()?;
        self.events.get(index).map(|event| event.event_id)
    }

    fn push(&mut self, events: impl IntoIterator<Item = Arc<RecordedEvent>>) {
        for event in events {
            match self.events.back().map(|last| last.position) {
                Some(last) if event.position <= last => continue,
                Some(last) if event.position != last.plus(1) => {
                    self.events.clear();
                    self.bytes = 0;
                }
                _ => {}
            }
            self.bytes += event.payload.len();
            self.events.push_back(event);
        }
        while self.events.len() > RECENT_EVENTS || self.bytes > RECENT_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.payload.len();
        }
    }

    /// Takes in events that a reader fetched from the table, where they join on or where there are none yet.
    fn extend_from(&mut self, after: Position, events: &[Arc<RecordedEvent>], at_tail: bool) {
        let joins = match self.events.back() {
            Some(last) => last.position == after,
            None => at_tail,
        };
        if joins {
            self.push(events.iter().cloned());
        }
    }
}
