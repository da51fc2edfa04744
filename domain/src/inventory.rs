//! Inventory: the stock of one product, and who has which part of it reserved.
//!
//! Its stream id is the [`ProductId`]; the first command on an unknown inventory finds it at zero. Guaranteed:
//! `available + reserved + sold == received` always; a reservation never takes more than is available, so only a
//! correction can make `available` negative; a repeated operation or reservation changes nothing. Whoever restocks is
//! told once when no more than the product's threshold is left, and once when that is over.
//!
//! | command | received | available | reserved | sold |
//! | --- | --- | --- | --- | --- |
//! | `ReceiveStock` n | + n | + n | | |
//! | `AdjustStock` ±n, `SetStock` | ± n | ± n | | |
//! | `ReserveStock` n | | − n | + n | |
//! | `ReserveStock` n (m reserved for the same order) | | + m − n | + n − m | |
//! | `ReleaseStock` (n reserved) | | + n | − n | |
//! | `SellStock` (n reserved) | | | − n | + n |
//! | `ReturnStock` n | | + n | | − n |
//! | `SetLowStockThreshold` | | | | |

mod command;
mod event;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

pub use self::{
    command::{InventoryCommand, InventoryError},
    event::{InventoryEvent, StockMove},
};
use crate::{
    aggregate::{Decider, impl_aggregate},
    ids::{OperationId, OrderId, ProductId},
    text::{Quantity, Reason},
};

/// Aggregate type of inventories in the log.
pub const TYPE: &str = "inventory";

/// How many operations back a repetition is recognised.
pub const REMEMBERED_OPERATIONS: usize = 64;

/// The threshold of a product for which none was set: from so many pieces down its stock is low.
pub const LOW_STOCK: u32 = 5;

/// Whether that many pieces are few: no more than the threshold, none included. With a threshold of zero they never are.
pub fn is_low(available: i64, threshold: u32) -> bool {
    threshold > 0 && available <= i64::from(threshold)
}

/// The stock of one product as its events tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    received: i64,
    available: i64,
    reserved: i64,
    sold: i64,
    /// Open reservations.
    reservations: BTreeMap<OrderId, Quantity>,
    /// The last [`REMEMBERED_OPERATIONS`], oldest first.
    operations: VecDeque<OperationId>,
    /// From how many pieces down the stock is low, where that was set.
    low_stock_threshold: Option<u32>,
    /// See [`Self::is_told_low`].
    told_low: bool,
}

impl Inventory {
    /// Pieces that ever came in, corrections included.
    pub const fn received(&self) -> i64 {
        self.received
    }

    /// Pieces that can be reserved; below zero only after a correction.
    pub const fn available(&self) -> i64 {
        self.available
    }

    /// Pieces put aside for orders that are not paid yet.
    pub const fn reserved(&self) -> i64 {
        self.reserved
    }

    /// Pieces sold and not returned.
    pub const fn sold(&self) -> i64 {
        self.sold
    }

    /// From how many pieces down the stock is low; zero: never.
    pub fn low_stock_threshold(&self) -> u32 {
        self.low_stock_threshold.unwrap_or(LOW_STOCK)
    }

    /// Whether it was told that the stock is low, and not yet that it is no longer.
    pub const fn is_told_low(&self) -> bool {
        self.told_low
    }

    /// How many pieces are put aside for this order.
    pub fn reserved_for(&self, order_id: OrderId) -> Option<Quantity> {
        self.reservations.get(&order_id).copied()
    }
}

impl_aggregate!(
    Inventory,
    TYPE,
    InventoryCommand,
    InventoryEvent,
    InventoryError
);

impl Decider for Inventory {
    const STATE_VERSION: i32 = 2;
    const EVENTS: &'static [(&'static str, &'static str)] = InventoryEvent::CATALOGUE;

    fn decide(&self, command: InventoryCommand) -> Result<Vec<InventoryEvent>, InventoryError> {
        let product_id = command.product_id();
        let mut events = self.effect(command)?;
        if let Some(crossing) = self.crossing(product_id, &events) {
            events.push(crossing);
        }
        Ok(events)
    }

    fn evolve(&mut self, event: &InventoryEvent) {
        use InventoryEvent as E;
        // saturating: decide never lets a number overflow, and evolve never fails whatever it is given
        match event {
            E::StockReceived {
                operation_id,
                quantity,
                ..
            } => {
                self.remember(*operation_id);
                self.add(i64::from(*quantity));
            }
            E::StockAdjusted {
                operation_id,
                delta,
                ..
            } => {
                self.remember(*operation_id);
                self.add(*delta);
            }
            E::StockOversold { .. } => {}
            E::LowStockThresholdSet { threshold, .. } => {
                self.low_stock_threshold = Some(*threshold);
            }
            E::StockRanLow { .. } => self.told_low = true,
            E::StockRecovered { .. } => self.told_low = false,
            E::StockReserved {
                order_id, quantity, ..
            } => {
                self.available = self.available.saturating_sub((*quantity).into());
                self.reserved = self.reserved.saturating_add((*quantity).into());
                self.reservations.insert(*order_id, *quantity);
            }
            E::StockReleased {
                order_id, quantity, ..
            } => {
                self.reservations.remove(order_id);
                self.reserved = self.reserved.saturating_sub((*quantity).into());
                self.available = self.available.saturating_add((*quantity).into());
            }
            E::StockSold {
                order_id, quantity, ..
            } => {
                self.reservations.remove(order_id);
                self.reserved = self.reserved.saturating_sub((*quantity).into());
                self.sold = self.sold.saturating_add((*quantity).into());
            }
            E::StockReturned {
                operation_id,
                quantity,
                ..
            } => {
                self.remember(*operation_id);
                self.sold = self.sold.saturating_sub((*quantity).into());
                self.available = self.available.saturating_add((*quantity).into());
            }
        }
    }

    fn weight(&self) -> usize {
        // a BTreeMap entry costs about half as much again as its content
        self.reservations.len() * size_of::<(OrderId, Quantity)>() * 3 / 2
            + self.operations.capacity() * size_of::<OperationId>()
    }
}

impl Inventory {
    /// What the command itself leads to.
    fn effect(&self, command: InventoryCommand) -> Result<Vec<InventoryEvent>, InventoryError> {
        use InventoryCommand as C;
        match command {
            C::ReceiveStock {
                product_id,
                operation_id,
                quantity,
                reason,
            } => self.receive(product_id, operation_id, quantity, reason),
            C::AdjustStock {
                product_id,
                operation_id,
                delta,
                reason,
            } => self.adjust(product_id, operation_id, delta, reason),
            C::SetStock {
                product_id,
                operation_id,
                available,
                reason,
            } => {
                let delta = available
                    .checked_sub(self.available)
                    .ok_or(InventoryError::Overflow)?;
                self.adjust(product_id, operation_id, delta, reason)
            }
            C::ReserveStock {
                product_id,
                order_id,
                quantity,
            } => self.reserve(product_id, order_id, quantity),
            C::ReleaseStock {
                product_id,
                order_id,
            } => {
                let released = |quantity| self.released(product_id, order_id, quantity);
                Ok(self
                    .reserved_for(order_id)
                    .map(released)
                    .into_iter()
                    .collect())
            }
            C::SellStock {
                product_id,
                order_id,
            } => {
                let quantity = self
                    .reserved_for(order_id)
                    .ok_or(InventoryError::NoReservation)?;
                Ok(vec![InventoryEvent::StockSold {
                    product_id,
                    order_id,
                    quantity,
                }])
            }
            C::ReturnStock {
                product_id,
                order_id,
                operation_id,
                quantity,
            } => self.take_back(product_id, order_id, operation_id, quantity),
            C::SetLowStockThreshold {
                product_id,
                threshold,
            } => Ok(self.watch(product_id, threshold)),
        }
    }

    /// What is told beside these events: that the stock has become low, or is no longer. Pieces that come in tell nothing
    /// of how few they are, so that a product whose first delivery is small has not run low.
    fn crossing(&self, product_id: ProductId, events: &[InventoryEvent]) -> Option<InventoryEvent> {
        let last = events.last()?;
        let available = last.available().unwrap_or(self.available);
        let (threshold, watch_changed) = match last {
            InventoryEvent::LowStockThresholdSet { threshold, .. } => (*threshold, true),
            _ => (self.low_stock_threshold(), false),
        };
        let low = is_low(available, threshold);
        if low && !self.told_low && (available < self.available || watch_changed) {
            return Some(InventoryEvent::StockRanLow {
                product_id,
                available,
                threshold,
            });
        }
        (self.told_low && !low).then_some(InventoryEvent::StockRecovered {
            product_id,
            available,
        })
    }

    fn watch(&self, product_id: ProductId, threshold: u32) -> Vec<InventoryEvent> {
        if self.low_stock_threshold == Some(threshold) {
            return vec![];
        }
        vec![InventoryEvent::LowStockThresholdSet {
            product_id,
            threshold,
            previous: self.low_stock_threshold(),
        }]
    }

    fn receive(
        &self,
        product_id: ProductId,
        operation_id: OperationId,
        quantity: Quantity,
        reason: Option<Reason>,
    ) -> Result<Vec<InventoryEvent>, InventoryError> {
        if self.operations.contains(&operation_id) {
            return Ok(vec![]);
        }
        let available = self.available_after(quantity.into())?;
        Ok(vec![InventoryEvent::StockReceived {
            product_id,
            operation_id,
            quantity,
            available,
            reason,
        }])
    }

    fn adjust(
        &self,
        product_id: ProductId,
        operation_id: OperationId,
        delta: i64,
        reason: Option<Reason>,
    ) -> Result<Vec<InventoryEvent>, InventoryError> {
        if delta == 0 || self.operations.contains(&operation_id) {
            return Ok(vec![]);
        }
        let available = self.available_after(delta)?;
        let mut events = vec![InventoryEvent::StockAdjusted {
            product_id,
            operation_id,
            delta,
            available,
            reason,
        }];
        if self.available >= 0 && available < 0 {
            events.push(InventoryEvent::StockOversold {
                product_id,
                available,
            });
        }
        Ok(events)
    }

    /// What is available after `delta` pieces come in or go missing. `received` is checked too; what is reserved or
    /// sold was available before, so their sum with `available` is `received` and fits as well.
    fn available_after(&self, delta: i64) -> Result<i64, InventoryError> {
        self.received
            .checked_add(delta)
            .ok_or(InventoryError::Overflow)?;
        self.available
            .checked_add(delta)
            .ok_or(InventoryError::Overflow)
    }

    fn reserve(
        &self,
        product_id: ProductId,
        order_id: OrderId,
        quantity: Quantity,
    ) -> Result<Vec<InventoryEvent>, InventoryError> {
        let held = self.reserved_for(order_id);
        if held == Some(quantity) {
            return Ok(vec![]);
        }
        // the buyer's own reservation never blocks the buyer, and may shrink even when stock is oversold
        let available = self.available.saturating_add(held.map_or(0, i64::from));
        if available < quantity.into() && held.is_none_or(|held| held < quantity) {
            return Err(InventoryError::InsufficientStock {
                requested: quantity,
                available,
            });
        }
        let mut events: Vec<_> = held
            .map(|held| self.released(product_id, order_id, held))
            .into_iter()
            .collect();
        let available = available.saturating_sub(quantity.into());
        events.push(InventoryEvent::StockReserved {
            product_id,
            order_id,
            quantity,
            available,
        });
        Ok(events)
    }

    fn released(
        &self,
        product_id: ProductId,
        order_id: OrderId,
        quantity: Quantity,
    ) -> InventoryEvent {
        // cannot overflow: these pieces were available before they were reserved
        let available = self.available.saturating_add(quantity.into());
        InventoryEvent::StockReleased {
            product_id,
            order_id,
            quantity,
            available,
        }
    }

    fn take_back(
        &self,
        product_id: ProductId,
        order_id: OrderId,
        operation_id: OperationId,
        quantity: Quantity,
    ) -> Result<Vec<InventoryEvent>, InventoryError> {
        if self.operations.contains(&operation_id) {
            return Ok(vec![]);
        }
        if self.sold < quantity.into() {
            return Err(InventoryError::NotSold {
                requested: quantity,
                sold: self.sold,
            });
        }
        let available = self.available.saturating_add(quantity.into());
        Ok(vec![InventoryEvent::StockReturned {
            product_id,
            order_id,
            operation_id,
            quantity,
            available,
        }])
    }

    fn add(&mut self, delta: i64) {
        self.received = self.received.saturating_add(delta);
        self.available = self.available.saturating_add(delta);
    }

    fn remember(&mut self, operation_id: OperationId) {
        if self.operations.len() == REMEMBERED_OPERATIONS {
            self.operations.pop_front();
        }
        self.operations.push_back(operation_id);
    }
}

#[cfg(test)]
mod tests;
