//! The events of an inventory.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::impl_domain_event,
    ids::{OperationId, OrderId, ProductId},
    text::{Quantity, Reason},
};

/// What happened to the stock of a product. `available` is always the number after the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum InventoryEvent {
    /// Pieces came in.
    StockReceived {
        /// Of which product.
        product_id: ProductId,
        /// The operation, taken once.
        operation_id: OperationId,
        /// How many.
        quantity: Quantity,
        /// Pieces that can be reserved now.
        available: i64,
        /// Why.
        reason: Option<Reason>,
    },
    /// The number was corrected.
    StockAdjusted {
        /// Of which product.
        product_id: ProductId,
        /// The operation, taken once.
        operation_id: OperationId,
        /// By how many pieces, never zero.
        delta: i64,
        /// Pieces that can be reserved now.
        available: i64,
        /// Why.
        reason: Option<Reason>,
    },
    /// A correction took `available` below zero: more is promised than is there.
    StockOversold {
        /// Of which product.
        product_id: ProductId,
        /// How far below.
        available: i64,
    },
    /// Pieces were put aside for an order.
    StockReserved {
        /// Of which product.
        product_id: ProductId,
        /// For which order.
        order_id: OrderId,
        /// How many.
        quantity: Quantity,
        /// Pieces that can be reserved now.
        available: i64,
    },
    /// A reservation ended without a sale.
    StockReleased {
        /// Of which product.
        product_id: ProductId,
        /// Of which order.
        order_id: OrderId,
        /// How many.
        quantity: Quantity,
        /// Pieces that can be reserved now.
        available: i64,
    },
    /// What an order had reserved was sold.
    StockSold {
        /// Of which product.
        product_id: ProductId,
        /// To which order.
        order_id: OrderId,
        /// How many.
        quantity: Quantity,
    },
    /// Sold pieces went back on the shelf.
    StockReturned {
        /// Of which product.
        product_id: ProductId,
        /// From which order.
        order_id: OrderId,
        /// The operation, taken once.
        operation_id: OperationId,
        /// How many.
        quantity: Quantity,
        /// Pieces that can be reserved now.
        available: i64,
    },
    /// From now on so many pieces are few.
    LowStockThresholdSet {
        /// Of which product.
        product_id: ProductId,
        /// From how many pieces down the stock is low; zero: never.
        threshold: u32,
        /// What it was before.
        previous: u32,
    },
    /// No more than the threshold is left. Told once, until the stock has recovered.
    StockRanLow {
        /// Of which product.
        product_id: ProductId,
        /// Pieces that can be reserved now.
        available: i64,
        /// From how many pieces down the stock is low.
        threshold: u32,
    },
    /// The stock that had run low is low no longer: there is more than the threshold, or the threshold is another.
    StockRecovered {
        /// Of which product.
        product_id: ProductId,
        /// Pieces that can be reserved now.
        available: i64,
    },
}

/// By how many pieces an event changes the numbers of an inventory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockMove {
    /// What can be reserved.
    pub available: i64,
    /// What is put aside.
    pub reserved: i64,
    /// What is sold and not returned.
    pub sold: i64,
}

impl InventoryEvent {
    /// What it changes, so that a reader who knows the numbers on one side of it knows them on the other.
    pub fn moves(&self) -> StockMove {
        let (available, reserved, sold) = match self {
            Self::StockReceived { quantity, .. } => (i64::from(*quantity), 0, 0),
            Self::StockAdjusted { delta, .. } => (*delta, 0, 0),
            Self::StockReserved { quantity, .. } => {
                (-i64::from(*quantity), i64::from(*quantity), 0)
            }
            Self::StockReleased { quantity, .. } => {
                (i64::from(*quantity), -i64::from(*quantity), 0)
            }
            Self::StockSold { quantity, .. } => (0, -i64::from(*quantity), i64::from(*quantity)),
            Self::StockReturned { quantity, .. } => {
                (i64::from(*quantity), 0, -i64::from(*quantity))
            }
            Self::StockOversold { .. }
            | Self::LowStockThresholdSet { .. }
            | Self::StockRanLow { .. }
            | Self::StockRecovered { .. } => (0, 0, 0),
        };
        StockMove {
            available,
            reserved,
            sold,
        }
    }

    /// Pieces that can be reserved after it; none where it does not say, because it changes nothing about them.
    pub const fn available(&self) -> Option<i64> {
        match self {
            Self::StockReceived { available, .. }
            | Self::StockAdjusted { available, .. }
            | Self::StockOversold { available, .. }
            | Self::StockReserved { available, .. }
            | Self::StockReleased { available, .. }
            | Self::StockReturned { available, .. }
            | Self::StockRanLow { available, .. }
            | Self::StockRecovered { available, .. } => Some(*available),
            Self::StockSold { .. } | Self::LowStockThresholdSet { .. } => None,
        }
    }
}

impl_domain_event!(InventoryEvent {
    StockReceived,
    StockAdjusted,
    StockOversold,
    StockReserved,
    StockReleased,
    StockSold,
    StockReturned,
    LowStockThresholdSet,
    StockRanLow,
    StockRecovered,
});
