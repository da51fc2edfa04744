//! What is known of a payment, and how it follows from the events.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::PaymentEvent;
use crate::{
    ids::{OrderId, PaymentId, RefundId, UserId},
    money::Money,
    text::{PaymentMethod, Reason, Reference},
};

/// A payment as its events tell; empty until its first attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    started: Option<StartedPayment>,
}

/// A payment of which at least one attempt began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedPayment {
    /// Which.
    pub payment_id: PaymentId,
    /// Of which order.
    pub order_id: OrderId,
    /// Of whom.
    pub customer_id: UserId,
    /// How much is to be captured.
    pub amount: Money,
    /// Method of the last attempt.
    pub method: PaymentMethod,
    /// Number of the last attempt, from 1.
    pub attempt: u32,
    /// Number of the last attempt that was declined; zero before the first.
    pub declined: u32,
    /// How long the payment may take from its first start, in milliseconds.
    pub deadline_ms: u64,
    /// Whether an answer of the gateway, to an attempt or a void, is awaited.
    pub awaiting: bool,
    /// Whether a void was requested: no attempt begins any more.
    pub void_requested: bool,
    /// How often the gateway was asked when it was reported as not answering.
    pub stuck: Option<u32>,
    /// How it ended without money, if it did.
    pub ended: Option<PaymentEnd>,
    /// What the gateway said, in order.
    pub ledger: Vec<Fact>,
    /// What is to be or was given back.
    pub refunds: BTreeMap<RefundId, RequestedRefund>,
}

/// How a payment ends without money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentEnd {
    /// The gateway confirmed that no money moves any more.
    Voided,
    /// It was given up after a decline. Only a late capture changes it.
    Expired,
}

/// Something the gateway said that named a reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The gateway's name for it.
    pub reference: Reference,
    /// What it said.
    pub kind: FactKind,
    /// How much money it moved; nothing for a decline or a void.
    pub amount: Option<Money>,
}

/// The kinds of things that the gateway says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// Money was captured.
    Captured,
    /// An attempt was declined.
    Declined,
    /// No money moves any more.
    Voided,
    /// Money was given back.
    Refunded,
}

/// A refund that was requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedRefund {
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: Reason,
    /// What became of it.
    pub outcome: RefundOutcome,
}

/// What became of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundOutcome {
    /// The gateway's answer is awaited.
    Pending,
    /// The gateway refused; it may still be tried again, so its amount stays set aside.
    Failed,
    /// The money went back.
    Succeeded,
}

/// How far a payment is, derived from its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// The gateway was asked.
    Pending,
    /// The last attempt was declined.
    Failed,
    /// The money came.
    Captured,
    /// The gateway was asked for a void.
    Voiding,
    /// No money moves any more. Final.
    Voided,
    /// The gateway does not answer.
    Stuck,
    /// Given up after a decline. Only a late capture changes it.
    Expired,
    /// Some of the money went back.
    PartiallyRefunded,
    /// All of the money went back. Final.
    Refunded,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Failed,
        Self::Captured,
        Self::Voiding,
        Self::Voided,
        Self::Stuck,
        Self::Expired,
        Self::PartiallyRefunded,
        Self::Refunded,
    ];

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Captured => "captured",
            Self::Voiding => "voiding",
            Self::Voided => "voided",
            Self::Stuck => "stuck",
            Self::Expired => "expired",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }
}

impl fmt::Display for PaymentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Payment {
    /// The payment, once its first attempt began.
    pub const fn started(&self) -> Option<&StartedPayment> {
        self.started.as_ref()
    }

    pub(super) fn take(&mut self, event: &PaymentEvent) {
        match (event, &mut self.started) {
            (
                PaymentEvent::PaymentStarted {
                    method, attempt, ..
                },
                Some(payment),
            ) => {
                payment.method = method.clone();
                payment.attempt = *attempt;
                payment.awaiting = true;
                payment.stuck = None;
            }
            (event, None) => self.started = StartedPayment::from_event(event),
            (event, Some(payment)) => payment.take(event),
        }
    }
}

impl StartedPayment {
    /// How far it is.
    pub fn state(&self) -> PaymentState {
        if let Some((_, captured)) = self.captured() {
            return match self.refunded() {
                0 => PaymentState::Captured,
                refunded if refunded < captured.amount => PaymentState::PartiallyRefunded,
                _ => PaymentState::Refunded,
            };
        }
        if let Some(end) = self.ended {
            return match end {
                PaymentEnd::Voided => PaymentState::Voided,
                PaymentEnd::Expired => PaymentState::Expired,
            };
        }
        if !self.awaiting {
            PaymentState::Failed
        } else if self.stuck.is_some() {
            PaymentState::Stuck
        } else if self.void_requested {
            PaymentState::Voiding
        } else {
            PaymentState::Pending
        }
    }

    /// The capture: the gateway's name for it and how much came.
    pub fn captured(&self) -> Option<(&Reference, Money)> {
        let capture = self
            .ledger
            .iter()
            .find(|fact| fact.kind == FactKind::Captured)?;
        Some((&capture.reference, capture.amount?))
    }

    /// What can still be given back: what came, less all refunds that were requested.
    pub fn refundable(&self) -> Money {
        let captured = self.captured().map_or(0, |(_, money)| money.amount);
        let requested = self.refunds.values().fold(0_i64, |sum, refund| {
            sum.saturating_add(refund.amount.amount)
        });
        Money::new(captured.saturating_sub(requested), self.amount.currency)
    }

    /// Minor units that went back.
    pub fn refunded(&self) -> i64 {
        let done = self
            .refunds
            .values()
            .filter(|refund| refund.outcome == RefundOutcome::Succeeded);
        done.fold(0_i64, |sum, refund| {
            sum.saturating_add(refund.amount.amount)
        })
    }

    /// Whether the gateway said this before.
    pub(super) fn knows(&self, reference: &Reference, kind: FactKind) -> bool {
        self.ledger
            .iter()
            .any(|fact| fact.kind == kind && fact.reference == *reference)
    }

    fn from_event(event: &PaymentEvent) -> Option<Self> {
        let PaymentEvent::PaymentStarted {
            payment_id,
            order_id,
            customer_id,
            amount,
            method,
            attempt,
            deadline_ms,
        } = event
        else {
            return None;
        };
        Some(Self {
            payment_id: *payment_id,
            order_id: *order_id,
            customer_id: *customer_id,
            amount: *amount,
            method: method.clone(),
            attempt: *attempt,
            declined: 0,
            deadline_ms: *deadline_ms,
            awaiting: true,
            void_requested: false,
            stuck: None,
            ended: None,
            ledger: vec![],
            refunds: BTreeMap::new(),
        })
    }

    fn take(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::PaymentStarted { .. } => {}
            PaymentEvent::PaymentCaptured {
                reference, amount, ..
            } => {
                self.answered();
                self.note(Some(reference), FactKind::Captured, Some(*amount));
            }
            PaymentEvent::PaymentDeclined {
                reference, attempt, ..
            } => {
                self.answered();
                self.declined = *attempt;
                self.note(reference.as_ref(), FactKind::Declined, None);
            }
            PaymentEvent::PaymentVoidRequested { .. } => {
                self.void_requested = true;
                self.awaiting = true;
            }
            PaymentEvent::PaymentVoided { reference, .. } => {
                self.answered();
                self.ended = Some(PaymentEnd::Voided);
                self.note(reference.as_ref(), FactKind::Voided, None);
            }
            PaymentEvent::PaymentStuck { asked, .. } => self.stuck = Some(*asked),
            PaymentEvent::PaymentExpired { .. } => self.ended = Some(PaymentEnd::Expired),
            PaymentEvent::RefundRequested {
                refund_id,
                amount,
                reason,
                ..
            } => {
                let refund = RequestedRefund {
                    amount: *amount,
                    reason: reason.clone(),
                    outcome: RefundOutcome::Pending,
                };
                self.refunds.insert(*refund_id, refund);
            }
            PaymentEvent::RefundSucceeded {
                refund_id,
                reference,
                amount,
                ..
            } => {
                self.settle(*refund_id, RefundOutcome::Succeeded);
                self.note(Some(reference), FactKind::Refunded, Some(*amount));
            }
            PaymentEvent::RefundFailed { refund_id, .. } => {
                self.settle(*refund_id, RefundOutcome::Failed);
            }
        }
    }

    fn answered(&mut self) {
        self.awaiting = false;
        self.stuck = None;
    }

    fn note(&mut self, reference: Option<&Reference>, kind: FactKind, amount: Option<Money>) {
        if let Some(reference) = reference {
            self.ledger.push(Fact {
                reference: reference.clone(),
                kind,
                amount,
            });
        }
    }

    fn settle(&mut self, refund_id: RefundId, outcome: RefundOutcome) {
        if let Some(refund) = self.refunds.get_mut(&refund_id) {
            refund.outcome = outcome;
        }
    }

    /// Approximate bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        let fact = |fact: &Fact| size_of::<Fact>() + fact.reference.as_str().len();
        let refund = |refund: &RequestedRefund| {
            2 * size_of::<RequestedRefund>() + refund.reason.as_str().len()
        };
        self.method.as_str().len()
            + self.ledger.iter().map(fact).sum::<usize>()
            + self.refunds.values().map(refund).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_state_is_named_alike_in_json_and_text() {
        for state in PaymentState::ALL {
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                format!("\"{state}\"")
            );
        }
    }
}
