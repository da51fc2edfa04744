//! How events move the row of a payment. The same moves as the aggregate's; a test holds the two against each other.

use chrono::{DateTime, Utc};
use domain::payment::{PaymentEvent, PaymentState};
use sqlx::FromRow;
use uuid::Uuid;

use crate::decode::Decoded;

/// A row of `payments`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct PaymentRow {
    pub(super) payment_id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) customer_id: Uuid,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) method: String,
    pub(super) attempt: i64,
    pub(super) deadline_at: DateTime<Utc>,
    pub(super) captured: Option<i64>,
    pub(super) captured_at: Option<DateTime<Utc>>,
    pub(super) refunded: i64,
    /// An answer of the gateway, to an attempt or a void, is awaited.
    pub(super) awaiting: bool,
    pub(super) void_requested: bool,
    /// How often the gateway was asked when it was reported as not answering.
    pub(super) asked: Option<i64>,
    pub(super) ended: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) sequence: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl PaymentRow {
    /// The row that the first `PaymentStarted` makes; nothing from any other event.
    pub(super) fn started(decoded: &Decoded<PaymentEvent>) -> Option<Self> {
        let PaymentEvent::PaymentStarted {
            payment_id: _,
            order_id,
            customer_id,
            amount,
            method,
            attempt,
            deadline_ms,
        } = &decoded.event
        else {
            return None;
        };
        Some(Self {
            payment_id: decoded.id,
            order_id: order_id.0,
            customer_id: customer_id.0,
            amount: amount.amount,
            currency: amount.currency.code().to_owned(),
            method: method.to_string(),
            attempt: i64::from(*attempt),
            deadline_at: decoded.later(*deadline_ms),
            captured: None,
            captured_at: None,
            refunded: 0,
            awaiting: true,
            void_requested: false,
            asked: None,
            ended: None,
            reason: None,
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }

    /// Takes the event that is next; false for one that was taken before.
    pub(super) fn take(&mut self, decoded: &Decoded<PaymentEvent>) -> bool {
        if decoded.sequence <= self.sequence {
            return false;
        }
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
        match &decoded.event {
            PaymentEvent::PaymentStarted {
                method, attempt, ..
            } => {
                self.method = method.to_string();
                self.attempt = i64::from(*attempt);
                self.awaiting = true;
                self.asked = None;
            }
            PaymentEvent::PaymentCaptured { amount, .. } => {
                self.answered();
                self.captured = Some(amount.amount);
                self.captured_at = Some(decoded.at);
            }
            PaymentEvent::PaymentDeclined { reason, .. } => {
                self.answered();
                self.reason = Some(reason.to_string());
            }
            PaymentEvent::PaymentVoidRequested { reason, .. } => {
                self.void_requested = true;
                self.awaiting = true;
                self.reason = Some(reason.to_string());
            }
            PaymentEvent::PaymentVoided { .. } => {
                self.answered();
                self.ended = Some(PaymentState::Voided.to_string());
            }
            PaymentEvent::PaymentStuck { asked, reason, .. } => {
                self.asked = Some(i64::from(*asked));
                self.reason = Some(reason.to_string());
            }
            PaymentEvent::PaymentExpired { .. } => {
                self.ended = Some(PaymentState::Expired.to_string());
            }
            PaymentEvent::RefundSucceeded { amount, .. } => {
                self.refunded = self.refunded.saturating_add(amount.amount);
            }
            PaymentEvent::RefundRequested { .. } | PaymentEvent::RefundFailed { .. } => {}
        }
        true
    }

    fn answered(&mut self) {
        self.awaiting = false;
        self.asked = None;
    }

    /// How far it is.
    pub(super) fn status(&self) -> PaymentState {
        match (self.captured, self.ended.as_deref()) {
            (Some(_), _) if self.refunded == 0 => PaymentState::Captured,
            (Some(captured), _) if self.refunded < captured => PaymentState::PartiallyRefunded,
            (Some(_), _) => PaymentState::Refunded,
            (None, Some(ended)) if ended == PaymentState::Voided.as_str() => PaymentState::Voided,
            (None, Some(_)) => PaymentState::Expired,
            (None, None) if !self.awaiting => PaymentState::Failed,
            (None, None) if self.asked.is_some() => PaymentState::Stuck,
            (None, None) if self.void_requested => PaymentState::Voiding,
            (None, None) => PaymentState::Pending,
        }
    }
}
