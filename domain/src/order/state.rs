//! What is known of an order, and what can be read from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AppliedDiscount, LineQuantity, OrderLine, OrderNumber, OrderStatus, PaymentStatus};
use crate::{
    ids::{OrderId, PaymentId, RefundId, ShipmentId, UserId},
    money::{Money, portion},
    region::RegionTerms,
    sealed::Sealed,
    text::{PaymentMethod, Quantity, Reason},
};

/// An order as its events tell; empty until it is placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub(super) placed: Option<PlacedOrder>,
}

/// A placed order. Amounts are minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedOrder {
    /// Which.
    pub order_id: OrderId,
    /// Its number, as people say it; none where it was placed before orders had one.
    pub number: Option<OrderNumber>,
    /// Whose.
    pub customer_id: UserId,
    /// Who it is for.
    pub customer_name: Sealed,
    /// Where it goes.
    pub shipping_address: Sealed,
    /// What it froze of its region.
    pub terms: RegionTerms,
    /// How it is to be paid.
    pub payment_method: PaymentMethod,
    /// What is bought, by line number.
    pub lines: Vec<OrderLine>,
    /// What was bought when it was placed, where that was changed since.
    pub placed_lines: Option<Vec<OrderLine>>,
    /// Pieces shipped, by line number; lines of which nothing was shipped are absent.
    pub shipped: BTreeMap<u32, u32>,
    /// Shipments taken.
    pub shipments: BTreeSet<ShipmentId>,
    /// Sum of price times quantity.
    pub subtotal: i64,
    /// Sum of what discounts took off.
    pub discount: i64,
    /// Which discounts, in the order in which they were given.
    pub discounts: Vec<AppliedDiscount>,
    /// Sum of the lines' tax.
    pub tax: i64,
    /// What is to be paid.
    pub total: i64,
    /// Milliseconds from placing to the payment's start.
    pub payment_delay_ms: u64,
    /// Milliseconds that the payment may take from its start.
    pub payment_window_ms: u64,
    /// How far the goods are.
    pub status: OrderStatus,
    /// How far the money is.
    pub payment_status: PaymentStatus,
    /// The payment, once started or confirmed.
    pub payment_id: Option<PaymentId>,
    /// Number of the last attempt to pay; zero before the first.
    pub attempt: u32,
    /// Whether the gateway was asked and its answer is not known.
    pub outcome_pending: bool,
    /// Why it is to be cancelled once the outcome is known.
    pub cancellation: Option<Reason>,
    /// Whether its customer does not see it any more.
    pub hidden: bool,
    /// What came in.
    pub paid: Option<i64>,
    /// Sum of `refunds`.
    pub refunded: i64,
    /// What was given back.
    pub refunds: BTreeMap<RefundId, i64>,
}

impl Order {
    /// The order, once placed.
    pub const fn placed(&self) -> Option<&PlacedOrder> {
        self.placed.as_ref()
    }

    /// The statuses that the order can get to next.
    pub fn next_statuses(&self) -> Vec<OrderStatus> {
        self.placed
            .as_ref()
            .map_or_else(|| vec![OrderStatus::Pending], PlacedOrder::next_statuses)
    }
}

impl PlacedOrder {
    /// The statuses that the order can get to next.
    pub fn next_statuses(&self) -> Vec<OrderStatus> {
        self.status
            .next(self.payment_status, self.pieces(), self.is_cancelling())
    }

    /// The payment statuses that the order can get to next.
    pub fn next_payment_statuses(&self) -> Vec<PaymentStatus> {
        self.payment_status.next(self.total, self.is_cancelling())
    }

    /// Whether it ends once the outcome of its payment is known.
    fn is_cancelling(&self) -> bool {
        self.status == OrderStatus::Pending && self.cancellation.is_some()
    }

    /// What was bought when it was placed.
    pub fn lines_as_placed(&self) -> &[OrderLine] {
        self.placed_lines.as_deref().unwrap_or(&self.lines)
    }

    /// The pieces not yet shipped, line by line.
    pub fn unshipped(&self) -> Vec<LineQuantity> {
        let left = |line: &OrderLine| {
            let left = line
                .quantity
                .get()
                .saturating_sub(self.shipped_of(line.line));
            let quantity = Quantity::parse(left.into()).ok()?;
            Some(LineQuantity {
                line: line.line,
                product_id: line.product_id,
                quantity,
            })
        };
        self.lines.iter().filter_map(left).collect()
    }

    /// How many pieces of a line were shipped.
    pub fn shipped_of(&self, line: u32) -> u32 {
        self.shipped.get(&line).copied().unwrap_or(0)
    }

    /// An amount in the order's currency.
    pub const fn money(&self, amount: i64) -> Money {
        Money::new(amount, self.terms.currency)
    }

    fn pieces(&self) -> u64 {
        self.lines
            .iter()
            .map(|line| u64::from(line.quantity.get()))
            .sum()
    }

    /// What came in and was not given back.
    pub(super) fn refundable(&self) -> i64 {
        self.paid.unwrap_or(0).saturating_sub(self.refunded)
    }

    /// What the customer is owed for the pieces not shipped: each line's gross less the share of what was shipped.
    pub(super) fn refund_of_unshipped(&self) -> i64 {
        let kept = |line: &OrderLine| {
            let pieces = line.quantity.into();
            line.gross
                - portion(
                    line.gross,
                    i64::from(self.shipped_of(line.line)).min(pieces),
                    pieces,
                )
        };
        // cannot saturate: each is at most its line's gross, and those add up to the total
        self.lines
            .iter()
            .map(kept)
            .fold(0_i64, i64::saturating_add)
            .min(self.refundable())
    }
}
