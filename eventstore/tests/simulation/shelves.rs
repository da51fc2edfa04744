//! What is traded: a few products, what a decision saw of them, and what the log says of them at each position.

use domain::{
    aggregate::Decider,
    ids::ProductId,
    inventory::{Inventory, InventoryError},
};
use eventstore::{
    event::RecordedEvent,
    position::Position,
    unit::{Halt, Work},
};
use uuid::Uuid;

/// Few, so that there is contention.
pub(crate) const PRODUCTS: u64 = 4;

pub(crate) fn product(number: u64) -> ProductId {
    ProductId(Uuid::from_u128(u128::from(number) + 1))
}

/// The state of one product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) sequence: i64,
    pub(crate) available: i64,
    pub(crate) reserved: i64,
    pub(crate) sold: i64,
}

impl Shelf {
    pub(crate) fn of(inventory: &Inventory, sequence: i64) -> Self {
        Self {
            sequence,
            available: inventory.available(),
            reserved: inventory.reserved(),
            sold: inventory.sold(),
        }
    }
}

/// What a decision found: product and state.
pub(crate) type Seen = Vec<(ProductId, Shelf)>;

/// Why a unit was refused, and on what.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The inventory said no; not told on what.
    Inventory,
    /// The same, with the states that it rests on.
    On(Seen),
}

impl From<InventoryError> for Refusal {
    fn from(_: InventoryError) -> Self {
        Self::Inventory
    }
}

/// Looks at products before anything is done to them.
pub(crate) fn see(
    work: &mut Work<'_, Refusal>,
    products: &[ProductId],
) -> Result<Seen, Halt<Refusal>> {
    products
        .iter()
        .map(|product| {
            let sequence = work.sequence::<Inventory>(product)?;
            let inventory = work.state::<Inventory>(product)?;
            Ok((*product, Shelf::of(inventory, sequence)))
        })
        .collect()
}

/// The states of all products after each event of the log.
pub(crate) struct Replay {
    /// By product, the states that it had, each with the position that brought it.
    states: Vec<(ProductId, Vec<(Position, Shelf)>)>,
}

impl Replay {
    pub(crate) fn of(events: &[RecordedEvent]) -> Self {
        let mut states = Vec::new();
        for product in (0..PRODUCTS).map(product) {
            let mut inventory = Inventory::default();
            let mut history = vec![(Position::START, Shelf::default())];
            for event in events {
                if *event.aggregate_id != *product.to_string() {
                    continue;
                }
                inventory.evolve(&event.decode::<Inventory>().expect("readable"));
                history.push((event.position, Shelf::of(&inventory, event.sequence)));
            }
            states.push((product, history));
        }
        Self { states }
    }

    /// The product as the log says up to this position.
    pub(crate) fn at(&self, product: ProductId, position: Position) -> Shelf {
        let (_, history) = self
            .states
            .iter()
            .find(|(id, _)| *id == product)
            .expect("a known product");
        let next = history.partition_point(|(at, _)| *at <= position);
        history[next - 1].1
    }

    /// Whether this was the state of things at the position.
    pub(crate) fn agrees(&self, seen: &Seen, position: Position) -> bool {
        seen.iter()
            .all(|(product, shelf)| self.at(*product, position) == *shelf)
    }
}
