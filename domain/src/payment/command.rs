//! What can be asked of a payment, and why it refuses.

use crate::{
    ids::{OrderId, PaymentId, RefundId, UserId},
    money::Money,
    text::{PaymentMethod, Reason, Reference},
};

/// A payment, or its next attempt, to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPayment {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Of which order.
    pub order_id: OrderId,
    /// Of whom.
    pub customer_id: UserId,
    /// How much is to be captured; the same in every attempt.
    pub amount: Money,
    /// By which method; another attempt may use another.
    pub method: PaymentMethod,
    /// Number of the attempt: one more than the last.
    pub attempt: u32,
    /// How long the payment may take, in milliseconds; only the first attempt's counts.
    pub deadline_ms: u64,
}

/// What can be asked of a payment. `Record…` tells what the gateway said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentCommand {
    /// Begin an attempt.
    StartPayment(StartPayment),
    /// The gateway captured the money.
    RecordCapture {
        /// Number of the attempt.
        attempt: u32,
        /// The gateway's name for the charge.
        reference: Reference,
        /// How much.
        amount: Money,
    },
    /// The gateway declined.
    RecordDecline {
        /// Number of the attempt.
        attempt: u32,
        /// The gateway's name for the charge, if it gave one.
        reference: Option<Reference>,
        /// What it said.
        reason: Reason,
    },
    /// Make sure that no money moves any more.
    RequestVoid {
        /// Why.
        reason: Reason,
    },
    /// The gateway confirmed that no money moves any more.
    RecordVoid {
        /// The gateway's name for the void, if it gave one.
        reference: Option<Reference>,
    },
    /// The gateway does not answer.
    ReportStuck {
        /// How often it was asked.
        asked: u32,
        /// What came back last.
        reason: Reason,
    },
    /// Try no more: the last attempt was declined and the deadline passed.
    ExpirePayment,
    /// Give money back.
    RequestRefund {
        /// Names the refund: repeated, it is taken once.
        refund_id: RefundId,
        /// How much.
        amount: Money,
        /// Why.
        reason: Reason,
    },
    /// The gateway gave it back.
    RecordRefund {
        /// Which refund.
        refund_id: RefundId,
        /// The gateway's name for it.
        reference: Reference,
    },
    /// The gateway did not give it back.
    RecordRefundFailure {
        /// Which refund.
        refund_id: RefundId,
        /// What it said.
        reason: Reason,
    },
}

/// Why a payment refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// There is no such payment.
    #[error("the payment does not exist")]
    NotFound,
    /// The id belongs to the payment of another order or customer.
    #[error("the payment belongs to order {order_id}")]
    OtherOrder {
        /// The order it belongs to.
        order_id: OrderId,
    },
    /// A negative amount.
    #[error("the amount of a payment must not be negative")]
    NegativeAmount,
    /// Another amount or currency than the payment's, or than what the gateway said before under the same reference.
    #[error("{given} was given where {expected} was due")]
    AmountDiffers {
        /// What was due.
        expected: Money,
        /// What was given.
        given: Money,
    },
    /// The outcome of the last attempt, or of a void, is not known yet.
    #[error("the gateway's answer is awaited")]
    OutcomePending,
    /// The number of the attempt is not the next one, or none of those made.
    #[error("attempt {expected} was expected")]
    WrongAttempt {
        /// Which one would fit.
        expected: u32,
    },
    /// The money came by another charge, or came at all where it should not have.
    #[error("the money was captured already, as {reference}")]
    AlreadyCaptured {
        /// The gateway's name for the charge.
        reference: Reference,
    },
    /// It was voided, expired, or a void was requested: no attempt is begun and no capture expected.
    #[error("the payment is closed")]
    Closed,
    /// More than is left to give back, or nothing to give back.
    #[error("{requested} cannot be refunded, {refundable} is left")]
    NotRefundable {
        /// How much was to be given back.
        requested: Money,
        /// How much is left.
        refundable: Money,
    },
    /// The refund was requested with another amount.
    #[error("the refund was requested with {recorded}")]
    RefundDiffers {
        /// The requested amount.
        recorded: Money,
    },
    /// Nobody requested this refund.
    #[error("the refund was not requested")]
    UnknownRefund,
}
