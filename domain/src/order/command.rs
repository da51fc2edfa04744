//! What can be asked of an order, and why it refuses.

use super::{OrderNumber, OrderStatus, PaymentStatus};
use crate::{
    ids::{OrderId, PaymentId, RefundId, ShipmentId, UserId},
    money::Money,
    pricing::{Offer, PricedItem, PricingError},
    region::RegionTerms,
    sealed::Sealed,
    text::{PaymentMethod, Quantity, Reason},
};

/// So many pieces of a line to be shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShipLine {
    /// Number of the line, from 1.
    pub line: u32,
    /// How many pieces.
    pub quantity: Quantity,
}

/// An order to be placed. Terms, items and offers come from the Region, Product and Discount aggregates, read in the same
/// unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Which.
    pub order_id: OrderId,
    /// Its number, as people say it.
    pub number: OrderNumber,
    /// Whose.
    pub customer_id: UserId,
    /// Who it is for.
    pub customer_name: Sealed,
    /// Where it goes.
    pub shipping_address: Sealed,
    /// Terms of the region it is placed in.
    pub terms: RegionTerms,
    /// How it is to be paid.
    pub payment_method: PaymentMethod,
    /// What is bought; a product named twice becomes one line.
    pub items: Vec<PricedItem>,
    /// Discounts that are to be had for it.
    pub offers: Vec<Offer>,
    /// Milliseconds until the payment is started.
    pub payment_delay_ms: u64,
    /// Milliseconds that the payment may take from its start.
    pub payment_window_ms: u64,
}

/// What is to change of whom an order is for and where it goes; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactChange {
    /// Who it is for.
    pub customer_name: Option<Sealed>,
    /// Where it goes.
    pub shipping_address: Option<Sealed>,
}

/// What can be asked of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderCommand {
    /// Place it.
    PlaceOrder(PlaceOrder),
    /// Begin to ask for the money.
    StartPayment {
        /// Which payment.
        payment_id: PaymentId,
        /// Number of the attempt to be begun: one more than the last.
        attempt: u32,
    },
    /// The money came.
    ConfirmPayment {
        /// Which payment.
        payment_id: PaymentId,
        /// How much.
        amount: Money,
    },
    /// The gateway declined.
    DeclinePayment {
        /// Which payment.
        payment_id: PaymentId,
        /// Number of the attempt that was declined.
        attempt: u32,
        /// What the gateway said.
        reason: Reason,
        /// Whether it will not be tried again.
        last: bool,
    },
    /// No money will come: never asked in time, or the gateway confirmed that the charge is void.
    GiveUpPayment {
        /// Why.
        reason: Reason,
    },
    /// Call off what was not shipped.
    CancelOrder {
        /// Why.
        reason: Reason,
        /// Who asks.
        requested_by: Option<UserId>,
    },
    /// Send it to somebody or somewhere else.
    ChangeContact(ContactChange),
    /// Buy other things instead, at their prices of today and under the terms that the order froze.
    ChangeItems {
        /// What is bought from now on; a product named twice becomes one line.
        items: Vec<PricedItem>,
        /// Discounts that are to be had for it, those that it has included.
        offers: Vec<Offer>,
    },
    /// Show it to its customer no more. What can still be called off is.
    HideOrder {
        /// Why.
        reason: Reason,
        /// Who asks.
        requested_by: Option<UserId>,
    },
    /// Hand pieces to a carrier.
    ShipItems {
        /// Names the shipment: repeated, it is taken once.
        shipment_id: ShipmentId,
        /// Which pieces.
        lines: Vec<ShipLine>,
    },
    /// It arrived.
    DeliverOrder,
    /// Money was given back.
    RecordRefund {
        /// Names the refund: repeated, it is taken once.
        refund_id: RefundId,
        /// How much.
        amount: Money,
    },
}

impl OrderCommand {
    /// The command's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PlaceOrder(_) => "PlaceOrder",
            Self::StartPayment { .. } => "StartPayment",
            Self::ConfirmPayment { .. } => "ConfirmPayment",
            Self::DeclinePayment { .. } => "DeclinePayment",
            Self::GiveUpPayment { .. } => "GiveUpPayment",
            Self::CancelOrder { .. } => "CancelOrder",
            Self::ChangeContact(_) => "ChangeContact",
            Self::ChangeItems { .. } => "ChangeItems",
            Self::HideOrder { .. } => "HideOrder",
            Self::ShipItems { .. } => "ShipItems",
            Self::DeliverOrder => "DeliverOrder",
            Self::RecordRefund { .. } => "RecordRefund",
        }
    }
}

/// Why an order refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such order.
    #[error("the order does not exist")]
    NotFound,
    /// The id is taken by another order.
    #[error("the order exists already")]
    AlreadyExists,
    /// The items make no order.
    #[error(transparent)]
    Pricing(#[from] PricingError),
    /// Not in the table of moves.
    #[error("{command} is not possible for an order that is {from} and {payment}")]
    IllegalMove {
        /// Its status.
        from: OrderStatus,
        /// Its payment status.
        payment: PaymentStatus,
        /// What was asked.
        command: &'static str,
        /// The statuses it can get to.
        allowed: Vec<OrderStatus>,
    },
    /// All of it is on its way: it can be returned, not cancelled.
    #[error("the order was shipped already")]
    AlreadyShipped {
        /// Its status.
        from: OrderStatus,
        /// Its payment status.
        payment: PaymentStatus,
        /// The statuses it can get to.
        allowed: Vec<OrderStatus>,
    },
    /// What is in it is being paid for, or was: it can be cancelled, not changed.
    #[error("the payment of the order was started: its items stay as they are")]
    PaymentStarted {
        /// How far the money is.
        payment: PaymentStatus,
        /// The statuses that the order can get to.
        allowed: Vec<OrderStatus>,
    },
    /// The order is paid by another payment.
    #[error("the order belongs to payment {expected}")]
    OtherPayment {
        /// The order's payment.
        expected: PaymentId,
    },
    /// The outcome of the last attempt is not known yet.
    #[error("the outcome of the last attempt to pay is not known yet")]
    OutcomePending,
    /// The number of the attempt is not the next one, or none of those made.
    #[error("attempt {expected} was expected")]
    WrongAttempt {
        /// Which one would fit.
        expected: u32,
    },
    /// What came is not what was to be paid.
    #[error("{given} came where {expected} was due")]
    AmountDiffers {
        /// What was due.
        expected: Money,
        /// What came.
        given: Money,
    },
    /// There is nowhere to send it.
    #[error("the order has no shipping address: it gets one before it is shipped")]
    NoAddress,
    /// A shipment without pieces.
    #[error("a shipment needs at least one line")]
    NothingToShip,
    /// The order has no such line.
    #[error("the order has no line {line}")]
    UnknownLine {
        /// Its number.
        line: u32,
    },
    /// More pieces than are left to ship.
    #[error("{requested} pieces of line {line} were to be shipped, {left} are left")]
    OverShipped {
        /// Number of the line.
        line: u32,
        /// How many were to be shipped.
        requested: u64,
        /// How many are left.
        left: u32,
    },
    /// More money than is left to give back, or none at all.
    #[error("{requested} cannot be refunded, {refundable} is left")]
    NotRefundable {
        /// How much was to be given back.
        requested: Money,
        /// How much is left.
        refundable: Money,
    },
    /// The refund was recorded with another amount.
    #[error("the refund was recorded with {recorded}")]
    RefundDiffers {
        /// The recorded amount.
        recorded: Money,
    },
}
