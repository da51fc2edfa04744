//! The events of an order.

use serde::{Deserialize, Serialize};

use super::{AppliedDiscount, OrderLine, OrderNumber};
use crate::{
    aggregate::impl_domain_event,
    ids::{OrderId, PaymentId, ProductId, RefundId, RegionId, ShipmentId, UserId},
    money::{Currency, TaxRate},
    sealed::Sealed,
    text::{PaymentMethod, Quantity, Reason},
};

/// So many pieces of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineQuantity {
    /// Number of the line, from 1.
    pub line: u32,
    /// The product of that line.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: Quantity,
}

/// What happened to an order. Amounts are minor units of the order's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum OrderEvent {
    /// It was placed; its stock is reserved.
    OrderPlaced {
        /// Which.
        order_id: OrderId,
        /// Its number, as people say it; absent where it was placed before orders had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<OrderNumber>,
        /// Whose.
        customer_id: UserId,
        /// Who it is for.
        customer_name: Sealed,
        /// Where it goes.
        shipping_address: Sealed,
        /// Where it was sold.
        region_id: RegionId,
        /// What all amounts are in.
        currency: Currency,
        /// Rate of its sales tax, for good.
        tax_rate: TaxRate,
        /// Whether prices contain the tax.
        prices_include_tax: bool,
        /// How it is to be paid.
        payment_method: PaymentMethod,
        /// What was bought: one line per product.
        lines: Vec<OrderLine>,
        /// Sum of price times quantity, before discounts; with tax inside where prices include it.
        subtotal: i64,
        /// Sum of what discounts took off.
        discount: i64,
        /// Which discounts, in the order in which they were given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        discounts: Vec<AppliedDiscount>,
        /// Sum of the lines' tax.
        tax: i64,
        /// What is to be paid.
        total: i64,
        /// How long after this event the payment is started, in milliseconds.
        payment_delay_ms: u64,
        /// How long the payment may take from its start, in milliseconds.
        payment_window_ms: u64,
    },
    /// The gateway is about to be asked: from here on the outcome is awaited.
    OrderPaymentStarted {
        /// Which payment.
        payment_id: PaymentId,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// The money came.
    OrderPaid {
        /// Which payment.
        payment_id: PaymentId,
        /// How much.
        amount: i64,
    },
    /// The gateway declined; it may be tried again.
    OrderPaymentFailed {
        /// Which payment.
        payment_id: PaymentId,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// What the gateway said.
        reason: Reason,
    },
    /// No money came and none is asked for any more: the order is called off.
    OrderUnpaid {
        /// Which payment, if one was started.
        payment_id: Option<PaymentId>,
        /// Why.
        reason: Reason,
    },
    /// It is to be cancelled as soon as the outcome of its payment is known.
    OrderCancellationRequested {
        /// Why.
        reason: Reason,
        /// Who asked.
        requested_by: Option<UserId>,
    },
    /// All of it was called off.
    OrderCancelled {
        /// Why.
        reason: Reason,
        /// What was in it.
        lines: Vec<LineQuantity>,
        /// What the customer is owed back; zero when no money came.
        refund: i64,
    },
    /// What was not yet shipped was called off.
    OrderRemainderCancelled {
        /// Why.
        reason: Reason,
        /// What will not be shipped.
        lines: Vec<LineQuantity>,
        /// What the customer is owed back for it.
        refund: i64,
    },
    /// It goes to somebody or somewhere else; what is absent stays.
    OrderContactChanged {
        /// Who it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer_name: Option<Sealed>,
        /// Where it goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shipping_address: Option<Sealed>,
    },
    /// Other things are bought instead; their stock is reserved.
    OrderItemsChanged {
        /// What is bought from now on: one line per product.
        lines: Vec<OrderLine>,
        /// Sum of price times quantity, before discounts; with tax inside where prices include it.
        subtotal: i64,
        /// Sum of what discounts took off.
        discount: i64,
        /// Which discounts, in the order in which they were given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        discounts: Vec<AppliedDiscount>,
        /// Sum of the lines' tax.
        tax: i64,
        /// What is to be paid.
        total: i64,
    },
    /// Its customer does not see it any more; its history stays.
    OrderHidden {},
    /// Pieces were handed to a carrier.
    OrderItemsShipped {
        /// The shipment, taken once.
        shipment_id: ShipmentId,
        /// Which pieces.
        lines: Vec<LineQuantity>,
        /// Whether all is shipped now.
        complete: bool,
    },
    /// It arrived.
    OrderDelivered {},
    /// Money was given back.
    OrderRefunded {
        /// Which refund, taken once.
        refund_id: RefundId,
        /// How much.
        amount: i64,
        /// How much in all so far.
        refunded_total: i64,
        /// Whether everything that was paid is given back.
        complete: bool,
    },
}

impl_domain_event!(OrderEvent {
    OrderPlaced @ "1.2",
    OrderPaymentStarted,
    OrderPaid,
    OrderPaymentFailed,
    OrderUnpaid,
    OrderCancellationRequested,
    OrderCancelled,
    OrderRemainderCancelled,
    OrderContactChanged,
    OrderItemsChanged @ "1.1",
    OrderHidden,
    OrderItemsShipped,
    OrderDelivered,
    OrderRefunded,
});

/// Versions of before. `OrderPlaced` 1.1: a line names the shop whose product it is. `OrderPlaced` 1.2 and
/// `OrderItemsChanged` 1.1: the order names its discounts, and a line the one that it has; 1.2 also has the order's number.
pub(super) const EARLIER: &[(&str, &str)] = &[
    ("OrderPlaced", "1.0"),
    ("OrderPlaced", "1.1"),
    ("OrderItemsChanged", "1.0"),
];
