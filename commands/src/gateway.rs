//! The port to whoever moves the money.
//!
//! What an adapter must keep, because the saga relies on it:
//! - a key names one charge: repeated, the first answer is given again and no more money moves;
//! - a confirmed void is for good: no charge of that key takes place afterwards, not even one that is still on its way
//!   or that the gateway had never heard of;
//! - an answer is what is so; whoever is not sure answers with an error or [`ChargeStatus::Pending`].
//!
//! The saga calls it outside any lock and any transaction, and bounds every call in time.

mod fake;

use std::{fmt, future::Future, pin::Pin};

use domain::{
    ids::{PaymentId, RefundId},
    money::Money,
    text::{PaymentMethod, Reason, Reference},
};

pub use self::fake::FakeGateway;

/// Names one attempt of a payment: the idempotency key of its charge, its question and its void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChargeKey {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

/// The text that goes to the gateway.
impl fmt::Display for ChargeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.payment_id, self.attempt)
    }
}

/// Money to be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The idempotency key.
    pub key: ChargeKey,
    /// How much.
    pub amount: Money,
    /// By which method.
    pub method: PaymentMethod,
}

/// Money to be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The idempotency key.
    pub refund_id: RefundId,
    /// The charge that it is taken from, by the gateway's name.
    pub charge: Reference,
    /// How much.
    pub amount: Money,
}

/// What the gateway says of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The money moved.
    Captured {
        /// The gateway's name for the charge.
        reference: Reference,
        /// How much.
        amount: Money,
    },
    /// It did not, and will not by this key.
    Declined {
        /// The gateway's name for the attempt, if it gave one.
        reference: Option<Reference>,
        /// Why.
        reason: Reason,
    },
    /// It did not, and will not by this key, because it was voided.
    Voided {
        /// The gateway's name for the void, if it gave one.
        reference: Option<Reference>,
    },
    /// Not decided yet: to be asked again.
    Pending,
    /// The gateway knows no charge of this key.
    NotFound,
}

/// What the gateway says of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundStatus {
    /// The money went back.
    Refunded {
        /// The gateway's name for the refund.
        reference: Reference,
    },
    /// It did not; it may be tried again with the same key.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// Not decided yet: to be asked again.
    Pending,
}

/// Why there is no answer. The call may or may not have had its effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// No answer in time.
    #[error("the gateway did not answer in time")]
    Timeout,
    /// It could not be reached, or it said that it cannot serve now.
    #[error("the gateway is not available: {0}")]
    Unavailable(String),
}

/// An answer that is on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, GatewayError>> + Send + 'a>>;

/// Whoever moves the money; see the module for what an adapter must keep.
pub trait PaymentGateway: Send + Sync + 'static {
    /// Captures the money, once per key.
    fn charge(&self, charge: Charge) -> Answer<'_, ChargeStatus>;

    /// Asks what became of a charge.
    fn ask(&self, key: ChargeKey) -> Answer<'_, ChargeStatus>;

    /// Sees to it that no money moves by this key. Answers [`ChargeStatus::Voided`] when that is certain, or what had
    /// become of the charge before.
    fn void(&self, key: ChargeKey) -> Answer<'_, ChargeStatus>;

    /// Gives money back, once per refund.
    fn refund(&self, refund: Refund) -> Answer<'_, RefundStatus>;
}
