//! What an order's events mean for stock, so that whoever builds the unit of work writes the inventories' events
//! beside the order's.

use super::{Order, OrderEvent, OrderLine, OrderStatus, PlacedOrder};
use crate::{ids::ProductId, text::Quantity};

/// So many pieces of a product; an order has one line per product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockLine {
    /// Which product's inventory.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: Quantity,
}

/// What is to happen to the stock of an order's products, in the same unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StockEffect {
    /// Nothing.
    None,
    /// Reserve these for the order.
    Reserve(Vec<StockLine>),
    /// Instead of what is reserved, reserve other pieces for the order.
    Change {
        /// What is reserved.
        from: Vec<StockLine>,
        /// What is to be.
        to: Vec<StockLine>,
    },
    /// What is reserved is sold.
    Sell(Vec<StockLine>),
    /// What is reserved becomes available again.
    Release(Vec<StockLine>),
    /// What was sold goes back on the shelf.
    Return(Vec<StockLine>),
}

impl Order {
    /// What `event` does to stock when it happens in this state. With several events, ask for each before it is
    /// taken into the state.
    pub fn stock_effect(&self, event: &OrderEvent) -> StockEffect {
        match (event, self.placed()) {
            (OrderEvent::OrderPlaced { lines, .. }, None) => StockEffect::Reserve(bought(lines)),
            (OrderEvent::OrderItemsChanged { lines, .. }, Some(order)) => StockEffect::Change {
                from: order.unshipped_stock(),
                to: bought(lines),
            },
            (OrderEvent::OrderPaid { .. }, Some(order)) if order.status == OrderStatus::Pending => {
                StockEffect::Sell(order.unshipped_stock())
            }
            (
                OrderEvent::OrderUnpaid { .. }
                | OrderEvent::OrderCancelled { .. }
                | OrderEvent::OrderRemainderCancelled { .. },
                Some(order),
            ) => order.undone_stock(),
            _ => StockEffect::None,
        }
    }

    /// What cancelling the order now would do to stock. Where a payment's outcome is awaited, cancelling only asks,
    /// and what is reserved is released when the outcome is known.
    pub fn stock_if_cancelled(&self) -> StockEffect {
        match self.placed() {
            Some(order) if !order.outcome_pending => order.undone_stock(),
            _ => StockEffect::None,
        }
    }
}

fn bought(lines: &[OrderLine]) -> Vec<StockLine> {
    let line = |line: &OrderLine| StockLine {
        product_id: line.product_id,
        quantity: line.quantity,
    };
    lines.iter().map(line).collect()
}

impl PlacedOrder {
    /// Stock still bound by the order is reserved until it is paid and sold from then on.
    fn undone_stock(&self) -> StockEffect {
        match self.status {
            OrderStatus::Pending => StockEffect::Release(self.unshipped_stock()),
            OrderStatus::Processing | OrderStatus::PartlyShipped => {
                StockEffect::Return(self.unshipped_stock())
            }
            OrderStatus::Shipped | OrderStatus::Delivered | OrderStatus::Cancelled => {
                StockEffect::None
            }
        }
    }

    fn unshipped_stock(&self) -> Vec<StockLine> {
        let lines = self.unshipped().into_iter();
        lines
            .map(|line| StockLine {
                product_id: line.product_id,
                quantity: line.quantity,
            })
            .collect()
    }
}
