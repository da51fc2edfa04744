//! The stock that an order's events are told to move.

use std::collections::BTreeMap;

use crate::{
    aggregate::Decider,
    ids::ProductId,
    inventory::{Inventory, InventoryCommand},
    order::{OrderStatus, PlacedOrder, StockEffect, StockLine},
    testing::{ORDER, operation, pieces},
};

/// The inventories of an order's products, moved by the order's events as the command handler moves them.
#[derive(Default)]
pub(super) struct Shelves(BTreeMap<ProductId, Inventory>);

impl Shelves {
    const FULL: u64 = 1_000;

    pub(super) fn move_by(&mut self, effect: StockEffect, step: u128) {
        use InventoryCommand as C;
        type Command = fn(StockLine, u128) -> InventoryCommand;
        let reserve: Command = |line, _| C::ReserveStock {
            product_id: line.product_id,
            order_id: ORDER,
            quantity: line.quantity,
        };
        let release: Command = |line, _| C::ReleaseStock {
            product_id: line.product_id,
            order_id: ORDER,
        };
        let (lines, command): (_, Command) = match effect {
            StockEffect::None => return,
            StockEffect::Reserve(lines) => (lines, reserve),
            StockEffect::Change { from, to } => {
                let reserved = |line: &StockLine| from.contains(line);
                let kept =
                    |line: &StockLine| to.iter().any(|new| new.product_id == line.product_id);
                let (dropped, wanted) = (
                    from.iter().copied().filter(|line| !kept(line)),
                    to.iter().copied().filter(|line| !reserved(line)),
                );
                self.each(dropped, release, step);
                self.each(wanted, reserve, step);
                return;
            }
            StockEffect::Sell(lines) => (lines, |line, _| C::SellStock {
                product_id: line.product_id,
                order_id: ORDER,
            }),
            StockEffect::Release(lines) => (lines, release),
            StockEffect::Return(lines) => (lines, |line, step| C::ReturnStock {
                product_id: line.product_id,
                order_id: ORDER,
                operation_id: operation(step),
                quantity: line.quantity,
            }),
        };
        self.each(lines, command, step);
    }

    /// Every command changes something: what an order binds is known exactly.
    fn each(
        &mut self,
        lines: impl IntoIterator<Item = StockLine>,
        command: fn(StockLine, u128) -> InventoryCommand,
        step: u128,
    ) {
        for line in lines {
            let stock = self
                .0
                .entry(line.product_id)
                .or_insert_with(|| full(line.product_id));
            let events = stock.decide(command(line, step)).unwrap();
            assert!(!events.is_empty());
            for event in &events {
                stock.evolve(event);
            }
        }
    }

    /// What is pending is reserved, what is paid is sold, what is called off is on the shelf.
    pub(super) fn agree_with(&self, order: &PlacedOrder) {
        for (product_id, stock) in &self.0 {
            let bought = order
                .lines
                .iter()
                .any(|line| line.product_id == *product_id);
            assert!(bought || (stock.reserved(), stock.sold()) == (0, 0));
        }
        for line in &order.lines {
            let ordered = i64::from(line.quantity);
            let shipped = i64::from(order.shipped_of(line.line));
            let (reserved, sold) = match order.status {
                OrderStatus::Pending => (ordered, 0),
                OrderStatus::Processing | OrderStatus::PartlyShipped => (0, ordered),
                OrderStatus::Shipped | OrderStatus::Delivered => (0, shipped),
                OrderStatus::Cancelled => (0, 0),
            };
            let stock = &self.0[&line.product_id];
            assert_eq!(
                (stock.reserved(), stock.sold()),
                (reserved, sold),
                "{}",
                order.status
            );
        }
    }
}

fn full(product_id: ProductId) -> Inventory {
    let (operation_id, quantity) = (operation(0), pieces(Shelves::FULL));
    let mut stock = Inventory::default();
    let received = InventoryCommand::ReceiveStock {
        product_id,
        operation_id,
        quantity,
        reason: None,
    };
    for event in stock.decide(received).unwrap() {
        stock.evolve(&event);
    }
    stock
}
