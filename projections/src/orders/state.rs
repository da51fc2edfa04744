//! What of an order moves, and how its events move it. The same moves as the aggregate's; a test holds the two
//! against each other.

use chrono::{DateTime, Utc};
use domain::order::{OrderEvent, OrderStatus, PaymentStatus};
use uuid::Uuid;

use crate::decode::Decoded;

/// The moving part of an order's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrderState {
    pub(super) status: OrderStatus,
    pub(super) payment_status: PaymentStatus,
    pub(super) payment_id: Option<Uuid>,
    pub(super) paid: Option<i64>,
    pub(super) paid_at: Option<DateTime<Utc>>,
    pub(super) refunded: i64,
    /// It is to be cancelled once the outcome of its payment is known.
    pub(super) cancellation_requested: bool,
    /// Why it was, or is to be, called off.
    pub(super) cancellation_reason: Option<String>,
    /// Its customer does not see it any more.
    pub(super) deleted: bool,
    /// Of the last event that it has taken.
    pub(super) sequence: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    /// Whether it took an event since it was loaded.
    pub(super) changed: bool,
}

impl OrderState {
    /// As `OrderPlaced` makes it.
    pub(super) fn placed(sequence: i64, at: DateTime<Utc>) -> Self {
        Self {
            status: OrderStatus::Pending,
            payment_status: PaymentStatus::Awaiting,
            payment_id: None,
            paid: None,
            paid_at: None,
            refunded: 0,
            cancellation_requested: false,
            cancellation_reason: None,
            deleted: false,
            sequence,
            created_at: at,
            updated_at: at,
            changed: false,
        }
    }

    /// Takes the event that is next; false for one that was taken before.
    pub(super) fn take(&mut self, decoded: &Decoded<OrderEvent>) -> bool {
        if decoded.sequence <= self.sequence {
            return false;
        }
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
        self.changed = true;
        match &decoded.event {
            // their rows are changed apart: see `Changes`
            OrderEvent::OrderPlaced { .. }
            | OrderEvent::OrderContactChanged { .. }
            | OrderEvent::OrderItemsChanged { .. } => {}
            OrderEvent::OrderHidden {} => self.deleted = true,
            OrderEvent::OrderPaymentStarted { payment_id, .. } => {
                self.payment_id = Some(payment_id.0);
                self.payment_status = PaymentStatus::Awaiting;
            }
            OrderEvent::OrderPaid { payment_id, amount } => {
                self.payment_id = Some(payment_id.0);
                self.paid = Some(*amount);
                self.paid_at = Some(decoded.at);
                self.payment_status = PaymentStatus::Paid;
                // money that comes after the end does not bring the order back
                if self.status == OrderStatus::Pending {
                    self.status = OrderStatus::Processing;
                }
            }
            OrderEvent::OrderPaymentFailed { .. } => self.payment_status = PaymentStatus::Failed,
            OrderEvent::OrderCancellationRequested { reason, .. } => {
                self.cancellation_requested = true;
                self.cancellation_reason = Some(reason.to_string());
            }
            OrderEvent::OrderUnpaid { reason, .. } | OrderEvent::OrderCancelled { reason, .. } => {
                self.end(reason.to_string());
            }
            OrderEvent::OrderRemainderCancelled { reason, .. } => {
                self.status = OrderStatus::Shipped;
                self.cancellation_reason = Some(reason.to_string());
            }
            OrderEvent::OrderItemsShipped { complete: true, .. } => {
                self.status = OrderStatus::Shipped;
            }
            OrderEvent::OrderItemsShipped { .. } => self.status = OrderStatus::PartlyShipped,
            OrderEvent::OrderDelivered {} => self.status = OrderStatus::Delivered,
            OrderEvent::OrderRefunded {
                refunded_total,
                complete,
                ..
            } => {
                self.refunded = *refunded_total;
                self.payment_status = if *complete {
                    PaymentStatus::Refunded
                } else {
                    PaymentStatus::PartiallyRefunded
                };
            }
        }
        true
    }

    /// Called off: nothing is waited for any more, and where no money came none will.
    fn end(&mut self, reason: String) {
        self.status = OrderStatus::Cancelled;
        self.cancellation_requested = false;
        self.cancellation_reason = Some(reason);
        if self.paid.is_none() {
            self.payment_status = PaymentStatus::Unpaid;
        }
    }
}

/// The status of this name; rows are only ever written by us.
pub(super) fn parse_status(name: &str) -> Result<OrderStatus, sqlx::Error> {
    let found = OrderStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == name);
    found.ok_or_else(|| sqlx::Error::Decode(format!("no order status {name:?}").into()))
}

/// The payment status of this name.
pub(super) fn parse_payment_status(name: &str) -> Result<PaymentStatus, sqlx::Error> {
    let found = PaymentStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == name);
    found.ok_or_else(|| sqlx::Error::Decode(format!("no payment status {name:?}").into()))
}
