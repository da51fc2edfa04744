//! What follows from an event: timers to arm and to disarm. Pure; the timers are durable, and firing one does no harm
//! where there is nothing to do.

use std::{fmt, time::Duration};

use domain::{
    ids::{OrderId, RefundId},
    order::OrderEvent,
    payment::PaymentEvent,
};

use super::SagaSettings;

/// An event that the saga reads.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// Of this order.
    Order(OrderId, &'a OrderEvent),
    /// Of a payment.
    Payment(&'a PaymentEvent),
}

/// Names a timer: arming it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerId {
    /// Time to see to the payment of this order.
    Payment(OrderId),
    /// The time to pay this order is over.
    Window(OrderId),
    /// Time to see to this refund.
    Refund(OrderId, RefundId),
}

impl TimerId {
    /// Of which kind it is, as stored.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Payment(_) => "payment",
            Self::Window(_) => "window",
            Self::Refund(..) => "refund",
        }
    }

    /// Of what it is, as stored.
    pub fn key(self) -> String {
        match self {
            Self::Payment(order_id) | Self::Window(order_id) => order_id.to_string(),
            Self::Refund(order_id, refund_id) => format!("{order_id}/{refund_id}"),
        }
    }

    /// Reads what is stored.
    pub fn parse(kind: &str, key: &str) -> Option<Self> {
        match kind {
            "payment" => Some(Self::Payment(key.parse().ok()?)),
            "window" => Some(Self::Window(key.parse().ok()?)),
            "refund" => {
                let (order_id, refund_id) = key.split_once('/')?;
                Some(Self::Refund(
                    order_id.parse().ok()?,
                    refund_id.parse().ok()?,
                ))
            }
            _ => None,
        }
    }
}

impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.key())
    }
}

/// What the saga does on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The timer is to fire this long after the event was recorded.
    Arm(TimerId, Duration),
    /// Nothing is left for the timer to do.
    Disarm(TimerId),
}

/// All that follows from one event.
pub fn react(settings: &SagaSettings, fact: Fact<'_>) -> Vec<Reaction> {
    let mut reactions = happy_path(fact);
    reactions.extend(compensation(settings, fact));
    reactions
}

/// Placed, charged after the delay, paid.
fn happy_path(fact: Fact<'_>) -> Vec<Reaction> {
    match fact {
        // what costs nothing is paid when it is placed
        Fact::Order(_, OrderEvent::OrderPlaced { total: 0, .. }) => vec![],
        Fact::Order(
            order_id,
            OrderEvent::OrderPlaced {
                payment_delay_ms, ..
            },
        ) => {
            vec![Reaction::Arm(
                TimerId::Payment(order_id),
                Duration::from_millis(*payment_delay_ms),
            )]
        }
        Fact::Order(order_id, OrderEvent::OrderPaid { .. }) => over(order_id),
        _ => vec![],
    }
}

/// Declined, out of time, cancelled, to be given back.
fn compensation(settings: &SagaSettings, fact: Fact<'_>) -> Vec<Reaction> {
    match fact {
        Fact::Payment(PaymentEvent::PaymentStarted {
            order_id,
            attempt: 1,
            deadline_ms,
            ..
        }) if *deadline_ms > 0 => {
            vec![Reaction::Arm(
                TimerId::Window(*order_id),
                Duration::from_millis(*deadline_ms),
            )]
        }
        Fact::Order(order_id, OrderEvent::OrderPaymentFailed { attempt, .. }) => {
            let pause = settings.pause(attempt.saturating_sub(1));
            vec![Reaction::Arm(TimerId::Payment(order_id), pause)]
        }
        Fact::Payment(PaymentEvent::PaymentVoidRequested { order_id, .. }) => {
            vec![Reaction::Arm(TimerId::Payment(*order_id), Duration::ZERO)]
        }
        Fact::Order(
            order_id,
            OrderEvent::OrderUnpaid { .. } | OrderEvent::OrderCancelled { .. },
        ) => over(order_id),
        Fact::Payment(PaymentEvent::RefundRequested {
            order_id,
            refund_id,
            ..
        }) => {
            vec![Reaction::Arm(
                TimerId::Refund(*order_id, *refund_id),
                Duration::ZERO,
            )]
        }
        Fact::Payment(PaymentEvent::RefundSucceeded {
            order_id,
            refund_id,
            ..
        }) => {
            vec![Reaction::Disarm(TimerId::Refund(*order_id, *refund_id))]
        }
        _ => vec![],
    }
}

/// Whether the money comes is decided.
fn over(order_id: OrderId) -> Vec<Reaction> {
    vec![
        Reaction::Disarm(TimerId::Payment(order_id)),
        Reaction::Disarm(TimerId::Window(order_id)),
    ]
}

#[cfg(test)]
mod tests;
