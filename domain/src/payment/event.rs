//! The events of a payment.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::impl_domain_event,
    ids::{OrderId, PaymentId, RefundId, UserId},
    money::Money,
    text::{PaymentMethod, Reason, Reference},
};

/// What happened to a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum PaymentEvent {
    /// An attempt began: the gateway is asked after this is committed.
    PaymentStarted {
        /// Which payment; also the gateway's idempotency key, with the attempt.
        payment_id: PaymentId,
        /// Of which order.
        order_id: OrderId,
        /// Of whom.
        customer_id: UserId,
        /// How much is to be captured.
        amount: Money,
        /// By which method.
        method: PaymentMethod,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// How long the payment may take from its first start, in milliseconds; the same in every attempt.
        deadline_ms: u64,
    },
    /// The gateway captured the money.
    PaymentCaptured {
        /// Of which order.
        order_id: OrderId,
        /// The gateway's name for the charge.
        reference: Reference,
        /// How much.
        amount: Money,
        /// Number of the attempt that it belongs to.
        attempt: u32,
    },
    /// The gateway declined the attempt.
    PaymentDeclined {
        /// Of which order.
        order_id: OrderId,
        /// The gateway's name for the charge, if it gave one.
        reference: Option<Reference>,
        /// What the gateway said.
        reason: Reason,
        /// Number of the attempt.
        attempt: u32,
    },
    /// The gateway is to make sure that no money moves any more.
    PaymentVoidRequested {
        /// Of which order.
        order_id: OrderId,
        /// Why.
        reason: Reason,
    },
    /// The gateway confirmed that no money moves any more.
    PaymentVoided {
        /// Of which order.
        order_id: OrderId,
        /// The gateway's name for the void, if it gave one.
        reference: Option<Reference>,
    },
    /// The gateway does not answer: somebody must look.
    PaymentStuck {
        /// Of which order.
        order_id: OrderId,
        /// How often it was asked.
        asked: u32,
        /// What came back last.
        reason: Reason,
    },
    /// The deadline passed after a decline: nothing more is tried.
    PaymentExpired {
        /// Of which order.
        order_id: OrderId,
    },
    /// Money is to be given back: the gateway is asked after this is committed.
    RefundRequested {
        /// Of which order.
        order_id: OrderId,
        /// Which refund; also the gateway's idempotency key.
        refund_id: RefundId,
        /// How much.
        amount: Money,
        /// Why.
        reason: Reason,
    },
    /// The gateway gave it back.
    RefundSucceeded {
        /// Of which order.
        order_id: OrderId,
        /// Which refund.
        refund_id: RefundId,
        /// The gateway's name for the refund.
        reference: Reference,
        /// How much.
        amount: Money,
    },
    /// The gateway did not give it back; it may be tried again.
    RefundFailed {
        /// Of which order.
        order_id: OrderId,
        /// Which refund.
        refund_id: RefundId,
        /// What the gateway said.
        reason: Reason,
    },
}

impl_domain_event!(PaymentEvent {
    PaymentStarted,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoidRequested,
    PaymentVoided,
    PaymentStuck,
    PaymentExpired,
    RefundRequested,
    RefundSucceeded,
    RefundFailed,
});
