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
}

impl_domain_event!(InventoryEvent {
    StockReceived,
    StockAdjusted,
    StockOversold,
    StockReserved,
    StockReleased,
    StockSold,
    StockReturned,
});
