//! How much there is of each product after each event.
//!
//! An event says what it changes, not what there is. So the numbers of products are kept as their events are read; of
//! one that is not known they are read from its stream, as they are by then, and what has happened since is taken back.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use domain::{
    ids::{ProductId, RegionId},
    inventory::{self, Inventory, InventoryEvent},
    product::Product,
};
use eventstore::{EventLog, event::RecordedEvent};
use lru::LruCache;
use projections::products::StockView;
use uuid::Uuid;

use super::Change;
use crate::routes::{stock::StockBody, stock_feed::StockNews};

/// Products whose numbers the follower keeps: some 15 MB.
const KNOWN_TO_ALL: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// Those that a client keeps while it catches up.
const KNOWN_TO_ONE: NonZeroUsize = NonZeroUsize::new(5_000).unwrap();
/// Events of one product that are read at once.
const PAGE: i64 = 1_000;

/// See the module.
pub(super) struct Levels {
    log: EventLog,
    known: LruCache<Arc<str>, Known>,
}

struct Known {
    product_id: ProductId,
    region_id: Option<RegionId>,
    level: Level,
}

/// The numbers of a product after so many of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    available: i64,
    reserved: i64,
    sold: i64,
    threshold: u32,
    sequence: i64,
}

/// An event of an inventory.
struct Told<'e> {
    recorded: &'e RecordedEvent,
    event: InventoryEvent,
}

impl Levels {
    /// For the follower.
    pub(super) fn of_many(log: EventLog) -> Self {
        Self {
            log,
            known: LruCache::new(KNOWN_TO_ALL),
        }
    }

    /// For one client.
    pub(super) fn of_few(log: EventLog) -> Self {
        Self {
            log,
            known: LruCache::new(KNOWN_TO_ONE),
        }
    }

    /// The changes of stock among events of the log, which come in its order. A product with events that this binary
    /// cannot read is left out.
    pub(super) async fn changes(
        &mut self,
        events: &[Arc<RecordedEvent>],
    ) -> Result<Vec<Change>, sqlx::Error> {
        let told: Vec<Told<'_>> = events.iter().filter_map(|event| told(event)).collect();
        self.learn(&told).await?;
        let mut changes = Vec::with_capacity(told.len());
        for Told { recorded, event } in &told {
            let Some(known) = self.known.get_mut(&recorded.aggregate_id) else {
                continue;
            };
            known.level.take(event, recorded.sequence);
            changes.push(Change {
                head: recorded.head(),
                product_id: known.product_id,
                region_id: known.region_id,
                data: line(known.product_id, known.level),
            });
        }
        Ok(changes)
    }

    /// Has the numbers of every product as they are before its first event among these.
    async fn learn(&mut self, told: &[Told<'_>]) -> Result<(), sqlx::Error> {
        let mut of_product: HashMap<Arc<str>, Vec<&Told<'_>>> = HashMap::new();
        for it in told {
            let id = it.recorded.aggregate_id.clone();
            of_product.entry(id).or_default().push(it);
        }
        let known = &mut self.known;
        of_product.retain(|id, told| {
            let next = known.get(id).map(|known| known.level.sequence + 1);
            next != told.first().map(|first| first.recorded.sequence)
        });
        if of_product.is_empty() {
            return Ok(());
        }
        let products = self.log.load_all::<Product>(of_product.keys()).await?;
        let regions: HashMap<Arc<str>, RegionId> = products
            .into_iter()
            .filter_map(|product| Some((product.id, product.state.details()?.region_id)))
            .collect();
        for id in of_product.keys() {
            self.known.pop(id);
        }
        for loaded in self.log.load_all::<Inventory>(of_product.keys()).await? {
            let Some(told) = of_product.get(&loaded.id) else {
                continue;
            };
            let now = Level::of(&loaded.state, loaded.sequence);
            let level = self.before(&loaded.id, told, now).await?;
            if let (Ok(product_id), Some(level)) = (Uuid::parse_str(&loaded.id), level) {
                let known = Known {
                    product_id: ProductId(product_id),
                    region_id: regions.get(&loaded.id).copied(),
                    level,
                };
                self.known.put(loaded.id, known);
            }
        }
        Ok(())
    }

    /// Takes back, from what there is now, these events of a product and all that came after them.
    async fn before(
        &self,
        id: &str,
        told: &[&Told<'_>],
        mut level: Level,
    ) -> Result<Option<Level>, sqlx::Error> {
        let (Some(first), Some(last)) = (told.first(), told.last()) else {
            return Ok(None);
        };
        let now = level.sequence;
        // the earliest of all says what the threshold was
        let mut threshold = None;
        for it in told {
            threshold = threshold.or(level.take_back(&it.event));
        }
        let mut read = last.recorded.sequence;
        while read < now {
            let page = self.log.stream(inventory::TYPE, id, read, PAGE).await?;
            let Some(end) = page.last() else { break };
            read = end.sequence;
            for recorded in page.iter().take_while(|event| event.sequence <= now) {
                let Ok(event) = recorded.decode::<Inventory>() else {
                    return Ok(None);
                };
                threshold = threshold.or(level.take_back(&event));
            }
        }
        level.threshold = threshold.unwrap_or(level.threshold);
        level.sequence = first.recorded.sequence - 1;
        Ok(Some(level))
    }
}

fn told(recorded: &RecordedEvent) -> Option<Told<'_>> {
    if &*recorded.aggregate_type != inventory::TYPE {
        return None;
    }
    match recorded.decode::<Inventory>() {
        Ok(event) => Some(Told { recorded, event }),
        Err(error) => {
            tracing::warn!(position = %recorded.position, %error, "not told in the stock feed");
            None
        }
    }
}

impl Level {
    fn of(inventory: &Inventory, sequence: i64) -> Self {
        Self {
            available: inventory.available(),
            reserved: inventory.reserved(),
            sold: inventory.sold(),
            threshold: inventory.low_stock_threshold(),
            sequence,
        }
    }

    fn take(&mut self, event: &InventoryEvent, sequence: i64) {
        let moves = event.moves();
        self.available = self.available.saturating_add(moves.available);
        self.reserved = self.reserved.saturating_add(moves.reserved);
        self.sold = self.sold.saturating_add(moves.sold);
        if let InventoryEvent::LowStockThresholdSet { threshold, .. } = event {
            self.threshold = *threshold;
        }
        self.sequence = sequence;
    }

    /// Undoes what the event has moved. Returns what the threshold was before it, where it set another.
    fn take_back(&mut self, event: &InventoryEvent) -> Option<u32> {
        let moves = event.moves();
        self.available = self.available.saturating_sub(moves.available);
        self.reserved = self.reserved.saturating_sub(moves.reserved);
        self.sold = self.sold.saturating_sub(moves.sold);
        match event {
            InventoryEvent::LowStockThresholdSet { previous, .. } => Some(*previous),
            _ => None,
        }
    }
}

/// What clients get: the stock as its resource shows it, and the place of the event in the inventory's own stream.
fn line(product_id: ProductId, level: Level) -> String {
    let view = StockView {
        available: level.available,
        reserved: level.reserved,
        sold: level.sold,
        threshold: level.threshold,
        sequence: level.sequence,
        updated_at: None,
    };
    let line = StockNews {
        stock: StockBody::from_view(product_id, &view),
        sequence: level.sequence,
    };
    // numbers, flags and an id always serialise
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use domain::{
        aggregate::Decider,
        ids::{OperationId, OrderId},
        inventory::InventoryCommand as C,
        text::Quantity,
    };
    use serde_json::{Value, json};

    use super::*;

    const PRODUCT: ProductId = ProductId(Uuid::from_u128(7));

    /// One of each command, with all that they tell.
    fn history() -> Vec<InventoryEvent> {
        let product_id = PRODUCT;
        let [order_id, other] = [1, 2].map(|id| OrderId(Uuid::from_u128(id)));
        let pieces = |number| Quantity::parse(number).unwrap();
        let operation = |id| OperationId(Uuid::from_u128(id));
        let commands = [
            C::ReceiveStock {
                product_id,
                operation_id: operation(1),
                quantity: pieces(10),
                reason: None,
            },
            C::ReserveStock {
                product_id,
                order_id,
                quantity: pieces(4),
            },
            C::ReserveStock {
                product_id,
                order_id: other,
                quantity: pieces(2),
            },
            C::SetLowStockThreshold {
                product_id,
                threshold: 3,
            },
            C::SellStock {
                product_id,
                order_id,
            },
            C::ReleaseStock {
                product_id,
                order_id: other,
            },
            C::SetLowStockThreshold {
                product_id,
                threshold: 8,
            },
            C::ReturnStock {
                product_id,
                order_id,
                operation_id: operation(2),
                quantity: pieces(3),
            },
            C::AdjustStock {
                product_id,
                operation_id: operation(3),
                delta: -12,
                reason: None,
            },
        ];
        let mut inventory = Inventory::default();
        let mut told = vec![];
        for command in commands {
            for event in inventory.decide(command).unwrap() {
                inventory.evolve(&event);
                told.push(event);
            }
        }
        told
    }

    #[test]
    fn numbers_are_the_inventorys_forwards_and_backwards() {
        let told = history();
        let mut inventory = Inventory::default();
        let mut level = Level::of(&inventory, 0);
        let mut levels = vec![level];
        for (event, sequence) in told.iter().zip(1..) {
            inventory.evolve(event);
            level.take(event, sequence);
            assert_eq!(level, Level::of(&inventory, sequence), "{event:?}");
            levels.push(level);
        }
        // from the end back to each place in the story
        for (place, expected) in levels.iter().enumerate() {
            let mut back = level;
            let mut threshold = None;
            for event in &told[place..] {
                threshold = threshold.or(back.take_back(event));
            }
            back.threshold = threshold.unwrap_or(back.threshold);
            back.sequence = expected.sequence;
            assert_eq!(back, *expected);
        }
    }

    #[test]
    fn a_line_is_the_stock_and_its_place() {
        let level = Level {
            available: 2,
            reserved: 3,
            sold: 4,
            threshold: 5,
            sequence: 6,
        };
        let line: Value = serde_json::from_str(&line(PRODUCT, level)).unwrap();
        let expected = json!({
            "product_id": PRODUCT.to_string(), "available": 2, "reserved": 3, "sold": 4, "threshold": 5,
            "sold_out": false, "low_stock": true, "oversold": false, "sequence": 6,
        });
        assert_eq!(line, expected);
    }
}
