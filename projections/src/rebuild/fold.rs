//! Folds what was read into rows: events that cannot be read park their key, as they do when the view runs live.

use std::collections::HashMap;

use eventstore::{
    position::Position,
    subscription::{HandleError, MAX_PARKED_KEYS},
};
use tokio::sync::mpsc;

use super::{
    ParkedKey, RebuildError,
    read::{Stretch, events},
    writer::{Closed, Writer},
};
use crate::{decode::EventRef, views::Schema};

/// How a view is folded from the log. What an event means is shared with the projector; a rebuild has its rows in
/// memory and writes them when they are done.
pub(crate) trait Fold: Send + 'static {
    /// An event as the view reads it.
    type Event;

    /// Into this schema, with at most so many rows in memory.
    fn new(schema: &Schema, limit: usize) -> Self;

    /// The key that is parked when the event cannot be read: mostly the aggregate.
    fn key(event: &EventRef<'_>) -> String {
        event.aggregate_id.to_owned()
    }

    /// Reads an event.
    fn decode(event: &EventRef<'_>) -> Result<Self::Event, HandleError>;

    /// Takes events in the order of the log.
    fn take(&mut self, events: Vec<Self::Event>, writer: &Writer) -> Result<(), Closed>;

    /// Writes all that is left.
    fn finish(&mut self, writer: &Writer) -> Result<(), Closed>;
}

/// What was folded.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) events: u64,
    pub(super) parked: Vec<ParkedKey>,
}

/// Folds all stretches until there are no more; on a thread that may block.
pub(super) fn fold_all<F: Fold>(
    mut fold: F,
    mut stretches: mpsc::Receiver<Stretch>,
    writer: &Writer,
) -> Result<Folded, RebuildError> {
    let mut parking = Parking::default();
    let mut count = 0;
    while let Some(stretch) = stretches.blocking_recv() {
        let mut decoded = Vec::with_capacity(stretch.events);
        for event in events(&stretch.rows) {
            let event = event?;
            count += 1;
            if parking.holds(|| F::key(&event), event.position) {
                continue;
            }
            match F::decode(&event) {
                Ok(event) => decoded.push(event),
                Err(HandleError::Poison(reason)) => parking.park(F::key(&event), &event, reason)?,
                Err(HandleError::Newer(unreadable)) => {
                    return Err(RebuildError::Newer {
                        position: event.position,
                        unreadable,
                    });
                }
                Err(other) => return Err(other.into()),
            }
        }
        // where the writer has ended it says why
        if fold.take(decoded, writer).is_err() {
            return Ok(Folded::default());
        }
    }
    let _ = fold.finish(writer);
    Ok(Folded {
        events: count,
        parked: parking.into_keys(),
    })
}

/// The keys that are parked, with the events that wait.
#[derive(Default)]
pub(super) struct Parking {
    keys: HashMap<String, ParkedKey>,
}

impl Parking {
    /// Whether no key is parked, which is the rule.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Notes the event down where its key is parked.
    pub(super) fn holds(&mut self, key: impl FnOnce() -> String, position: Position) -> bool {
        if self.is_empty() {
            return false;
        }
        let parked = self.keys.get_mut(&key());
        parked.is_some_and(|parked| {
            parked.positions.push(position);
            true
        })
    }

    /// Parks a key.
    pub(super) fn park(
        &mut self,
        key: String,
        event: &EventRef<'_>,
        error: String,
    ) -> Result<(), RebuildError> {
        if self.keys.len() as i64 >= MAX_PARKED_KEYS {
            return Err(RebuildError::TooManyParked {
                position: event.position,
                error,
            });
        }
        let parked = ParkedKey {
            key: key.clone(),
            error,
            positions: vec![event.position],
        };
        self.keys.insert(key, parked);
        Ok(())
    }

    /// The keys in the order in which they were parked.
    pub(super) fn into_keys(self) -> Vec<ParkedKey> {
        let mut keys: Vec<_> = self.keys.into_values().collect();
        keys.sort_unstable_by_key(|parked| parked.positions.first().copied());
        keys
    }
}
