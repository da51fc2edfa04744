//! Order: what a customer bought, where its goods and its money are.
//!
//! Prices and tax are frozen when it is placed. Two status fields move apart; this is the one table of moves. A
//! command whose effect is already there yields nothing; a move that is not in the table is refused with the legal
//! next statuses. "Asked" is a payment that was started and whose outcome is not known.
//!
//! | command | when | status | payment status | stock |
//! | --- | --- | --- | --- | --- |
//! | `PlaceOrder` | new | pending | awaiting | reserved |
//! | `StartPayment` | pending, not asked | · (asked) | awaiting | · |
//! | `ConfirmPayment` | pending | processing | paid | sold |
//! | `ConfirmPayment` | pending, cancellation requested | cancelled | paid (refund follows) | sold and returned |
//! | `ConfirmPayment` | cancelled, no money came before | · | paid (refund follows) | · |
//! | `DeclinePayment` | pending, asked | · | failed | · |
//! | `DeclinePayment`, last | pending | cancelled | unpaid | released |
//! | `GiveUpPayment` | pending | cancelled | unpaid | released |
//! | `DeclinePayment`, `GiveUpPayment` | pending, cancellation requested | cancelled | unpaid | released |
//! | `CancelOrder` | pending, not asked | cancelled | unpaid | released |
//! | `CancelOrder` | pending, asked | · (cancellation requested) | · | · |
//! | `CancelOrder` | processing | cancelled | · (refund follows) | returned |
//! | `CancelOrder` | partly_shipped | shipped | · (refund of the rest follows) | the rest returned |
//! | `ChangeContact` | pending, processing; no cancellation requested | · | · | · |
//! | `ChangeItems` | pending, its payment never started | · | · | reserved anew |
//! | `HideOrder` | pending, processing | as `CancelOrder` (deleted) | as `CancelOrder` | as `CancelOrder` |
//! | `HideOrder` | delivered, cancelled | · (deleted) | · | · |
//! | `ShipItems` | processing, partly_shipped; money not refunded | partly_shipped or shipped | · | · |
//! | `DeliverOrder` | shipped | delivered | · | · |
//! | `RecordRefund` | money came | · | partially_refunded or refunded | · |
//!
//! Its stream id is the [`OrderId`](crate::ids::OrderId). The commands crate writes the inventories' events in the
//! same unit of work, by [`StockEffect`], and counts the discounts, by [`DiscountEffect`].

mod command;
mod decide;
mod discounts;
mod event;
mod evolve;
mod number;
mod state;
mod status;
mod stock;

pub use self::{
    command::{ContactChange, OrderCommand, OrderError, PlaceOrder, ShipLine},
    discounts::DiscountEffect,
    event::{LineQuantity, OrderEvent},
    number::OrderNumber,
    state::{Order, PlacedOrder},
    status::{OrderStatus, PaymentStatus},
    stock::{StockEffect, StockLine},
};
use crate::aggregate::{Decider, impl_aggregate};
pub use crate::pricing::{AppliedDiscount, OrderLine};

/// Aggregate type of orders in the log.
pub const TYPE: &str = "order";

impl_aggregate!(Order, TYPE, OrderCommand, OrderEvent, OrderError);

impl Decider for Order {
    const STATE_VERSION: i32 = 4;
    const EVENTS: &'static [(&'static str, &'static str)] = OrderEvent::CATALOGUE;
    const EARLIER_EVENTS: &'static [(&'static str, &'static str)] = event::EARLIER;

    fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        match (command, &self.placed) {
            (OrderCommand::PlaceOrder(wished), None) => decide::place(wished),
            (OrderCommand::PlaceOrder(wished), Some(order)) => order.place_again(&wished),
            (_, None) => Err(OrderError::NotFound),
            (command, Some(order)) => order.decide(command),
        }
    }

    fn evolve(&mut self, event: &OrderEvent) {
        match &mut self.placed {
            Some(order) => order.evolve(event),
            None => self.placed = PlacedOrder::from_event(event),
        }
    }

    fn weight(&self) -> usize {
        self.placed.as_ref().map_or(0, PlacedOrder::heap)
    }
}

#[cfg(test)]
mod tests;
