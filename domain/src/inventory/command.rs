//! What can be asked of an inventory, and why it refuses.

use crate::{
    ids::{OperationId, OrderId, ProductId},
    text::{Quantity, Reason},
};

/// What can be asked of an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InventoryCommand {
    /// Take pieces in.
    ReceiveStock {
        /// Of which product.
        product_id: ProductId,
        /// Names the operation: repeated, it is taken once.
        operation_id: OperationId,
        /// How many.
        quantity: Quantity,
        /// Why.
        reason: Option<Reason>,
    },
    /// Correct the number by a difference.
    AdjustStock {
        /// Of which product.
        product_id: ProductId,
        /// Names the operation: repeated, it is taken once.
        operation_id: OperationId,
        /// By how many pieces.
        delta: i64,
        /// Why.
        reason: Option<Reason>,
    },
    /// Correct the number so that this many can be reserved.
    SetStock {
        /// Of which product.
        product_id: ProductId,
        /// Names the operation: repeated, it is taken once.
        operation_id: OperationId,
        /// How many are to be available.
        available: i64,
        /// Why.
        reason: Option<Reason>,
    },
    /// Put pieces aside for an order, in place of what it had reserved before.
    ReserveStock {
        /// Of which product.
        product_id: ProductId,
        /// For which order.
        order_id: OrderId,
        /// How many in all.
        quantity: Quantity,
    },
    /// End an order's reservation, if it has one.
    ReleaseStock {
        /// Of which product.
        product_id: ProductId,
        /// Of which order.
        order_id: OrderId,
    },
    /// Sell what an order has reserved.
    SellStock {
        /// Of which product.
        product_id: ProductId,
        /// To which order.
        order_id: OrderId,
    },
    /// Put sold pieces back on the shelf.
    ReturnStock {
        /// Of which product.
        product_id: ProductId,
        /// From which order.
        order_id: OrderId,
        /// Names the operation: repeated, it is taken once.
        operation_id: OperationId,
        /// How many.
        quantity: Quantity,
    },
    /// Say from how many pieces down the stock is low.
    SetLowStockThreshold {
        /// Of which product.
        product_id: ProductId,
        /// So many; zero: it is never low.
        threshold: u32,
    },
}

impl InventoryCommand {
    /// Of which product.
    pub(super) const fn product_id(&self) -> ProductId {
        match self {
            Self::ReceiveStock { product_id, .. }
            | Self::AdjustStock { product_id, .. }
            | Self::SetStock { product_id, .. }
            | Self::ReserveStock { product_id, .. }
            | Self::ReleaseStock { product_id, .. }
            | Self::SellStock { product_id, .. }
            | Self::ReturnStock { product_id, .. }
            | Self::SetLowStockThreshold { product_id, .. } => *product_id,
        }
    }
}

/// Why an inventory refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// Fewer pieces can be had than are asked for.
    #[error("{requested} pieces were asked for, {available} can be had")]
    InsufficientStock {
        /// How many were asked for.
        requested: Quantity,
        /// How many this order could have; below zero where more is promised than is there.
        available: i64,
    },
    /// The order has nothing reserved.
    #[error("the order has nothing reserved")]
    NoReservation,
    /// More pieces are to come back than were sold.
    #[error("{requested} pieces were to be returned, {sold} are sold")]
    NotSold {
        /// How many were to come back.
        requested: Quantity,
        /// How many are sold.
        sold: i64,
    },
    /// A number does not fit in 64 bits.
    #[error("the number of pieces is too large")]
    Overflow,
}
