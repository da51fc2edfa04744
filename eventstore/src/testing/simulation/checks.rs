//! What must hold at the end of every history, whatever it was about.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt::{Debug, Display},
};

use domain::{
    aggregate::Decider,
    ids::OrderId,
    inventory::{self, Inventory, InventoryEvent},
};

use super::process::World;
use crate::{
    EventLog,
    event::{Cause, RecordedEvent},
    stream::{StreamId, StreamRef},
    unit::{Committed, ExecuteError, Unit},
};

/// How often a process is asked what it remembers.
const ATTEMPTS: u32 = 3;

/// Fails unless positions and sequences are dense, ids unique, and time never goes back.
///
/// # Panics
/// See above.
pub fn assert_log_is_sound(events: &[RecordedEvent]) {
    let mut sequences: BTreeMap<StreamId, i64> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position.0, position, "positions are dense");
        let sequence = sequences.entry(event.stream()).or_default();
        *sequence += 1;
        assert_eq!(
            event.sequence,
            *sequence,
            "sequence of {} at {position}",
            event.stream()
        );
        assert!(ids.insert(event.event_id), "event id twice at {position}");
    }
    assert!(
        events.is_sorted_by_key(|event| event.recorded_at),
        "time goes back"
    );
}

/// Fails unless the stock of every product adds up after each of its events: what came in is available, put aside for
/// an order, or sold; nothing is sold beyond it; a reservation ends once; low stock is told once until it has recovered.
/// No history has corrections that take away.
///
/// # Panics
/// See above.
pub fn assert_stock_adds_up(events: &[RecordedEvent]) {
    let mut shelves: BTreeMap<StreamId, Shelf> = BTreeMap::new();
    for event in events {
        if *event.aggregate_type == *inventory::TYPE {
            let shelf = shelves.entry(event.stream()).or_default();
            shelf.take(&decoded::<Inventory>(event));
        }
    }
}

/// The stock of a product, counted apart from the aggregate, and the aggregate beside it.
#[derive(Default)]
struct Shelf {
    came_in: i64,
    reserved: BTreeMap<OrderId, i64>,
    sold: BTreeMap<OrderId, i64>,
    inventory: Inventory,
    /// Whether it was told that the stock is low.
    low: bool,
}

impl Shelf {
    fn take(&mut self, event: &InventoryEvent) {
        self.inventory.evolve(event);
        let told = self.count(event);
        let (reserved, sold) = (self.reserved.values().sum(), self.sold.values().sum());
        let available = self.came_in - reserved - sold;
        assert!(available >= 0, "sold what was not there: {event:?}");
        let adds_up = told.is_none_or(|told| told == available);
        assert!(adds_up, "stock does not add up to {available}: {event:?}");
        let inventory = &self.inventory;
        assert_eq!(
            (
                inventory.received(),
                inventory.available(),
                inventory.reserved(),
                inventory.sold()
            ),
            (self.came_in, available, reserved, sold),
            "received, available, reserved, sold: {event:?}"
        );
    }

    /// Returns what the event says is available, if it does.
    fn count(&mut self, event: &InventoryEvent) -> Option<i64> {
        use InventoryEvent as E;
        match event {
            E::StockReceived {
                quantity,
                available,
                ..
            } => {
                self.came_in += i64::from(*quantity);
                Some(*available)
            }
            E::StockAdjusted {
                delta, available, ..
            } => {
                self.came_in += delta;
                Some(*available)
            }
            E::StockOversold { available, .. } => Some(*available),
            E::LowStockThresholdSet { .. } => None,
            E::StockRanLow {
                available,
                threshold,
                ..
            } => {
                assert!(!self.low, "told twice: {event:?}");
                assert!(
                    inventory::is_low(*available, *threshold),
                    "not low: {event:?}"
                );
                self.low = true;
                Some(*available)
            }
            E::StockRecovered { available, .. } => {
                assert!(self.low, "was not low: {event:?}");
                self.low = false;
                Some(*available)
            }
            E::StockReserved {
                order_id,
                quantity,
                available,
                ..
            } => {
                let before = self.reserved.insert(*order_id, i64::from(*quantity));
                assert_eq!(before, None, "reserved twice: {event:?}");
                Some(*available)
            }
            E::StockReleased {
                order_id,
                quantity,
                available,
                ..
            } => {
                let held = self.reserved.remove(order_id);
                assert_eq!(held, Some(i64::from(*quantity)), "not held: {event:?}");
                Some(*available)
            }
            E::StockSold {
                order_id, quantity, ..
            } => {
                let held = self.reserved.remove(order_id);
                assert_eq!(held, Some(i64::from(*quantity)), "not held: {event:?}");
                *self.sold.entry(*order_id).or_default() += i64::from(*quantity);
                None
            }
            E::StockReturned {
                order_id,
                quantity,
                available,
                ..
            } => {
                let sold = self.sold.entry(*order_id).or_default();
                *sold -= i64::from(*quantity);
                assert!(*sold >= 0, "returned what was not sold: {event:?}");
                Some(*available)
            }
        }
    }
}

/// The states of all aggregates of one type, by id.
///
/// # Panics
/// Where an event cannot be read.
pub fn replay<A: Decider>(events: &[RecordedEvent]) -> BTreeMap<String, A> {
    let mut states: BTreeMap<String, A> = BTreeMap::new();
    for event in events {
        if *event.aggregate_type == *A::TYPE {
            let state = states.entry(event.aggregate_id.to_string()).or_default();
            state.evolve(&decoded::<A>(event));
        }
    }
    states
}

#[allow(clippy::expect_used)]
fn decoded<A: Decider>(event: &RecordedEvent) -> A::Event {
    event.decode::<A>().expect("readable")
}

/// Fails unless a process knows the whole log, and what it remembers of these aggregates is what the log says. Asked
/// when nothing is under way.
///
/// # Panics
/// See above; and where the process does not answer though nothing goes wrong.
pub async fn assert_remembers<A: Decider + PartialEq + Debug>(
    world: &World,
    log: &EventLog,
    ids: impl IntoIterator<Item: Display>,
) {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    let seen = look::<A>(log, &ids).await;
    let events = world.events();
    assert_eq!(seen.head, world.head(), "it does not know the whole log");
    let mut states = replay::<A>(&events);
    for (id, (sequence, state)) in ids.iter().zip(seen.output) {
        let stream = StreamId::of::<A>(id);
        let stored = events.iter().filter(|event| event.stream() == stream);
        assert_eq!(
            (sequence, state),
            (stored.count() as i64, states.remove(id).unwrap_or_default()),
            "{stream}: a process remembers what the log does not say"
        );
    }
}

/// Sequences and states as a process remembers them. Its session may have ended while nobody used it: then it is asked
/// again.
async fn look<A: Decider>(log: &EventLog, ids: &[String]) -> Committed<Vec<(i64, A)>> {
    for _ in 0..ATTEMPTS {
        let streams = ids.iter().map(StreamRef::of::<A>).collect();
        let ids = ids.to_vec();
        let look = Unit::<_, Infallible>::new(Cause::default(), streams, move |work| {
            let seen = ids.iter().map(|id| {
                let sequence = work.sequence::<A>(id)?;
                Ok((sequence, work.state::<A>(id)?.clone()))
            });
            seen.collect()
        });
        match log.execute(look).await {
            Ok(seen) => return seen,
            Err(ExecuteError::Unavailable(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("not available though nothing goes wrong");
}
