//! Subscribers that note down what they handle, in the transaction of their checkpoint.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
    testing::simulation::{ParkedRow, SimTransaction, World},
};

/// Without and with poison.
pub(crate) const NAMES: [&str; 2] = ["all", "parking"];

/// An event of this type is poison to the second.
const POISON: &str = "StockAdjusted";

pub(crate) fn both() -> [Follower; 2] {
    [Follower { parks: false }, Follower { parks: true }]
}

pub(crate) struct Follower {
    parks: bool,
}

/// What was handled.
#[derive(Clone, Debug)]
struct Note {
    subscription: &'static str,
    position: i64,
    /// Place among all notes, in the order of their commits.
    order: usize,
}

/// Makes every note a row of its own, so that one that is taken twice shows.
static NOTES: AtomicU64 = AtomicU64::new(0);

impl Subscriber<SimTransaction> for Follower {
    fn name(&self) -> &'static str {
        NAMES[usize::from(self.parks)]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["inventory"]
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        self.parks.then(|| event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut SimTransaction,
    ) -> Result<(), HandleError> {
        let subscription = Subscriber::<SimTransaction>::name(self);
        let positions: Vec<i64> = events.iter().map(|event| event.position.0).collect();
        let subscription = NAMES[usize::from(subscription == NAMES[1])];
        tx.change::<Note>(Vec::new(), move |table, _| {
            for position in positions {
                let order = table.len();
                let id = NOTES.fetch_add(1, Ordering::Relaxed);
                let note = Note {
                    subscription,
                    position,
                    order,
                };
                table.insert(format!("{position:012} {id}"), note);
            }
        })
        .await?;
        if self.parks && events.iter().any(|event| *event.event_type == *POISON) {
            return Err(HandleError::Poison("as it is".into()));
        }
        Ok(())
    }
}

/// Every event was handled once, in order; of a key with poison those before it, and the others wait.
pub(crate) fn check(world: &World) {
    let events = world.events();
    let all: Vec<i64> = events.iter().map(|event| event.position.0).collect();
    assert_eq!(handled(world, NAMES[0]), all, "handled by the first");

    let mut poisoned: BTreeMap<String, i64> = BTreeMap::new();
    let (mut expected, mut waiting) = (Vec::new(), Vec::new());
    for event in &events {
        let (key, position) = (event.aggregate_id.to_string(), event.position.0);
        if *event.event_type == *POISON {
            poisoned.entry(key.clone()).or_insert(position);
        }
        if poisoned.contains_key(&key) {
            waiting.push((position, key.clone(), poisoned[&key] == position));
        } else {
            expected.push(position);
        }
    }
    assert_eq!(handled(world, NAMES[1]), expected, "handled by the second");
    let mut parked: Vec<(i64, String, bool)> = world
        .rows::<ParkedRow>()
        .into_values()
        .inspect(|row| assert_eq!(row.subscription, NAMES[1]))
        .map(|row| (row.position.0, row.key, row.error.is_some()))
        .collect();
    parked.sort();
    assert_eq!(parked, waiting, "parked");
}

/// In the order in which it was committed.
fn handled(world: &World, subscription: &str) -> Vec<i64> {
    let mut notes: Vec<Note> = world.rows::<Note>().into_values().collect();
    notes.retain(|note| note.subscription == subscription);
    notes.sort_by_key(|note| note.order);
    notes.into_iter().map(|note| note.position).collect()
}
