//! An order as the API shows it, from whichever source: what was just committed, the log, or the read model.

use chrono::{DateTime, TimeDelta, Utc};
use commands::Versioned;
use domain::{
    aggregate::Decider,
    ids::{DiscountId, OrderId, PaymentId, ProductId, RegionId, ShopId, UserId},
    money::Currency,
    order::{Order, OrderEvent, OrderLine, OrderStatus, PaymentStatus, PlacedOrder},
    sealed::Sealed,
};
use eventstore::{
    EventLog,
    sealing::{SealError, Vault},
};
use projections::orders::{OrderLineView, OrderView};
use serde::Serialize;
use utoipa::ToSchema;

use super::quote::{DiscountGiven, discounts_given};
use crate::{error::ApiError, problem::Kind, routes::body::MoneyBody};

/// An order.
#[derive(Serialize, ToSchema)]
pub struct OrderBody {
    /// Which.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Its number, for people: digits only, never given twice, some never given. Null where it was placed before orders had
    /// one.
    #[schema(example = "100001")]
    order_number: Option<String>,
    /// Whose.
    #[schema(value_type = Uuid)]
    customer_id: UserId,
    /// Who it is for; null where the customer was erased, and in lists where their key cannot be read.
    customer_name: Option<String>,
    /// Where it goes; null as their name.
    shipping_address: Option<String>,
    /// Where it was bought.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// How far the goods are: `pending`, `processing`, `partly_shipped`, `shipped`, `delivered` or `cancelled`.
    #[schema(value_type = String, example = "pending")]
    status: OrderStatus,
    /// How far the money is: `awaiting`, `paid`, `failed`, `unpaid`, `partially_refunded` or `refunded`.
    #[schema(value_type = String, example = "awaiting")]
    payment_status: PaymentStatus,
    /// The statuses that it can get to next.
    #[schema(value_type = Vec<String>, example = json!(["processing", "cancelled"]))]
    next_statuses: Vec<OrderStatus>,
    /// The payment statuses that it can get to next.
    #[schema(value_type = Vec<String>, example = json!(["paid", "failed", "unpaid"]))]
    next_payment_statuses: Vec<PaymentStatus>,
    /// What was bought.
    items: Vec<LineBody>,
    /// The same by shop: one group for each, and one for what belongs to none.
    shops: Vec<ShopLines>,
    /// Sum of price times quantity, before discounts; with tax inside where prices include it.
    subtotal: MoneyBody,
    /// Sum of what discounts took off.
    discount: MoneyBody,
    /// Which discounts, in the order in which they were given.
    discounts: Vec<DiscountGiven>,
    /// Sum of the lines' tax.
    tax: MoneyBody,
    /// Rate of the tax in basis points, as it was.
    #[schema(example = 1000)]
    tax_rate: u32,
    /// Whether prices contain the tax.
    prices_include_tax: bool,
    /// What is to be paid.
    order_total: MoneyBody,
    /// What was given back.
    refunded: MoneyBody,
    /// How it is to be paid.
    #[schema(example = "default")]
    payment_method: String,
    /// Its payment, once that was started.
    #[schema(value_type = Option<Uuid>)]
    payment_id: Option<PaymentId>,
    /// When the payment is, or was, first to be asked for.
    payment_due_at: DateTime<Utc>,
    /// When it was paid.
    paid_at: Option<DateTime<Utc>>,
    /// Whether it will be cancelled once the outcome of its payment is known.
    cancellation_requested: bool,
    /// Why it was, or is to be, called off.
    cancellation_reason: Option<String>,
    /// Whether it was deleted: its customer does not see it any more.
    deleted: bool,
    /// When it was placed.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

/// A line of an order.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct LineBody {
    /// Its number, from 1.
    #[schema(example = 1)]
    line: u32,
    /// Which product.
    #[schema(value_type = Uuid)]
    product_id: ProductId,
    /// Whose the product is; null where it belongs to no shop.
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// The seller's number, as it was.
    sku: String,
    /// The product's name, as it was.
    title: String,
    /// How many pieces.
    #[schema(example = 2)]
    quantity: i64,
    /// How many of them were handed to a carrier.
    shipped: i64,
    /// How many of them were called off.
    cancelled: i64,
    /// Price of one piece.
    unit_price: MoneyBody,
    /// What a discount took off it.
    discount: MoneyBody,
    /// Which discount did; null where none did.
    #[schema(value_type = Option<Uuid>)]
    discount_id: Option<DiscountId>,
    /// What is left after the discount, without tax.
    net: MoneyBody,
    /// Tax of the line.
    tax: MoneyBody,
    /// What the line costs.
    total: MoneyBody,
}

/// The lines of one shop.
#[derive(Serialize, ToSchema)]
struct ShopLines {
    /// Which shop; null for what belongs to none.
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// The numbers of its lines.
    #[schema(example = json!([1, 3]))]
    lines: Vec<u32>,
    /// What they cost.
    total: MoneyBody,
}

/// In the order in which the shops' first lines come.
fn by_shop(lines: &[OrderLineView], currency: Currency) -> Vec<ShopLines> {
    let mut shops: Vec<(Option<ShopId>, Vec<u32>, i64)> = Vec::new();
    for line in lines {
        match shops
            .iter_mut()
            .find(|(shop_id, ..)| *shop_id == line.shop_id)
        {
            Some((_, numbers, total)) => {
                numbers.push(line.line);
                *total = total.saturating_add(line.gross);
            }
            None => shops.push((line.shop_id, vec![line.line], line.gross)),
        }
    }
    let shop = |(shop_id, lines, total)| ShopLines {
        shop_id,
        lines,
        total: MoneyBody::of(total, currency),
    };
    shops.into_iter().map(shop).collect()
}

/// An order at one moment, its personal fields sealed.
pub(crate) struct Snapshot(OrderView);

impl From<OrderView> for Snapshot {
    fn from(view: OrderView) -> Self {
        Self(view)
    }
}

impl Snapshot {
    /// The order as a command left it that has just placed it.
    pub(crate) fn just_placed(
        placed: Versioned<PlacedOrder>,
        recorded_at: Option<DateTime<Utc>>,
    ) -> Self {
        // a unit that places an order always appends, so there is a time; no time of ours would do as well
        let at = recorded_at.unwrap_or_default();
        let paid = placed.state.paid.map(|_| at);
        Self(view(
            placed.state,
            placed.sequence,
            Times {
                created: at,
                updated: at,
                paid,
            },
            None,
        ))
    }

    /// The order as the log has it; none where there is no such order.
    pub(crate) async fn from_log(log: &EventLog, id: OrderId) -> Result<Option<Self>, ApiError> {
        let mut order = Order::default();
        let mut times: Option<Times> = None;
        let (mut sequence, mut reason) = (0, None);
        loop {
            let events = log
                .stream(
                    domain::order::TYPE,
                    &id.to_string(),
                    sequence,
                    EVENTS_A_READ,
                )
                .await?;
            for event in &events {
                let decoded = event.decode::<Order>().map_err(|error| {
                    tracing::warn!(%error, "an order cannot be read");
                    Kind::NewerVersion
                })?;
                let at = event.recorded_at;
                let times = times.get_or_insert(Times {
                    created: at,
                    updated: at,
                    paid: None,
                });
                times.updated = at;
                if let OrderEvent::OrderPaid { .. } = &decoded {
                    times.paid = Some(at);
                }
                reason = called_off(&decoded).or(reason);
                order.evolve(&decoded);
                sequence = event.sequence;
            }
            if (events.len() as i64) < EVENTS_A_READ {
                break;
            }
        }
        Ok(match (order.placed(), times) {
            (Some(placed), Some(times)) => {
                Some(Self(view(placed.clone(), sequence, times, reason)))
            }
            _ => None,
        })
    }

    /// Whose it is.
    pub(crate) fn customer_id(&self) -> UserId {
        self.0.customer_id
    }

    /// Whether its customer does not see it any more.
    pub(crate) fn is_deleted(&self) -> bool {
        self.0.deleted
    }

    /// How many events it has.
    pub(crate) fn sequence(&self) -> i64 {
        self.0.sequence
    }

    /// What is known of it, as the read model has it.
    pub(crate) fn into_view(self) -> OrderView {
        self.0
    }

    /// As the API shows it, with name and address as they are known.
    pub(crate) fn into_body(
        self,
        customer_name: Option<String>,
        shipping_address: Option<String>,
    ) -> OrderBody {
        let view = self.0;
        let money = |amount| MoneyBody::of(amount, view.currency);
        OrderBody {
            order_id: view.order_id,
            order_number: view.number.map(|number| number.to_string()),
            customer_id: view.customer_id,
            customer_name,
            shipping_address,
            region_id: view.region_id,
            status: view.status,
            payment_status: view.payment_status,
            next_statuses: view.status.next(
                view.payment_status,
                pieces(&view.lines),
                view.cancellation_requested,
            ),
            next_payment_statuses: view
                .payment_status
                .next(view.total, view.cancellation_requested),
            subtotal: money(view.subtotal),
            discount: money(view.discount),
            discounts: discounts_given(&view.discounts, view.currency),
            shops: by_shop(&view.lines, view.currency),
            tax: money(view.tax),
            tax_rate: view.tax_rate,
            prices_include_tax: view.prices_include_tax,
            order_total: money(view.total),
            refunded: money(view.refunded),
            payment_method: view.payment_method,
            payment_id: view.payment_id,
            payment_due_at: view.payment_due_at,
            paid_at: view.paid_at,
            cancellation_requested: view.cancellation_requested,
            cancellation_reason: view.cancellation_reason,
            deleted: view.deleted,
            created_at: view.created_at,
            updated_at: view.updated_at,
            items: view
                .lines
                .into_iter()
                .map(|line| line_body(line, view.status, view.currency))
                .collect(),
        }
    }
}

/// Events of an order that are read at once; few orders have as many.
const EVENTS_A_READ: i64 = 100;

/// When things happened to an order.
#[derive(Clone, Copy)]
struct Times {
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
    paid: Option<DateTime<Utc>>,
}

/// Why an event calls the order off, if it does.
fn called_off(event: &OrderEvent) -> Option<String> {
    match event {
        OrderEvent::OrderCancellationRequested { reason, .. }
        | OrderEvent::OrderUnpaid { reason, .. }
        | OrderEvent::OrderCancelled { reason, .. }
        | OrderEvent::OrderRemainderCancelled { reason, .. } => Some(reason.to_string()),
        _ => None,
    }
}

/// The state of the aggregate in the form of the read model, so that there is one way to show an order.
fn view(
    order: PlacedOrder,
    sequence: i64,
    times: Times,
    cancellation_reason: Option<String>,
) -> OrderView {
    let delay = i64::try_from(order.payment_delay_ms).unwrap_or(i64::MAX);
    let due_at = TimeDelta::try_milliseconds(delay)
        .and_then(|delay| times.created.checked_add_signed(delay));
    let lines = order
        .lines
        .iter()
        .map(|line| line_view(line, order.shipped_of(line.line)))
        .collect();
    OrderView {
        order_id: order.order_id,
        number: order.number,
        customer_id: order.customer_id,
        region_id: order.terms.region_id,
        currency: order.terms.currency,
        tax_rate: order.terms.tax_rate.basis_points(),
        prices_include_tax: order.terms.prices_include_tax,
        payment_method: order.payment_method.to_string(),
        lines,
        subtotal: order.subtotal,
        discount: order.discount,
        discounts: order.discounts,
        tax: order.tax,
        total: order.total,
        payment_due_at: due_at.unwrap_or(DateTime::<Utc>::MAX_UTC),
        status: order.status,
        payment_status: order.payment_status,
        payment_id: order.payment_id,
        paid: order.paid,
        paid_at: times.paid,
        refunded: order.refunded,
        cancellation_requested: order.cancellation.is_some(),
        cancellation_reason,
        deleted: order.hidden,
        sequence,
        created_at: times.created,
        updated_at: times.updated,
        customer_name: order.customer_name,
        shipping_address: order.shipping_address,
    }
}

fn line_view(line: &OrderLine, shipped: u32) -> OrderLineView {
    OrderLineView {
        line: line.line,
        product_id: line.product_id,
        shop_id: line.shop_id,
        sku: line.sku.to_string(),
        title: line.title.to_string(),
        quantity: line.quantity.into(),
        shipped: shipped.into(),
        unit_price: line.unit_price,
        discount: line.discount,
        discount_id: line.discount_id,
        net: line.net,
        tax: line.tax,
        gross: line.gross,
    }
}

/// A line as the API shows it.
pub(in crate::routes) fn line_body(
    line: OrderLineView,
    status: OrderStatus,
    currency: Currency,
) -> LineBody {
    // what is not under way by then is called off: an order is shipped once nothing is left to be shipped
    let cancelled = match status {
        OrderStatus::Pending | OrderStatus::Processing | OrderStatus::PartlyShipped => 0,
        OrderStatus::Shipped | OrderStatus::Delivered | OrderStatus::Cancelled => {
            line.quantity - line.shipped
        }
    };
    let money = |amount| MoneyBody::of(amount, currency);
    LineBody {
        line: line.line,
        product_id: line.product_id,
        shop_id: line.shop_id,
        sku: line.sku,
        title: line.title,
        quantity: line.quantity,
        shipped: line.shipped,
        cancelled,
        unit_price: money(line.unit_price),
        discount: money(line.discount),
        discount_id: line.discount_id,
        net: money(line.net),
        tax: money(line.tax),
        total: money(line.gross),
    }
}

fn pieces(lines: &[OrderLineView]) -> u64 {
    // quantities are not negative
    lines.iter().map(|line| line.quantity.unsigned_abs()).sum()
}

/// The order with its personal fields opened, for somebody who may see them.
pub(crate) async fn opened(vault: &Vault, order: Snapshot) -> Result<OrderBody, ApiError> {
    let (name, address) = personal(vault, &order.0).await?;
    Ok(order.into_body(name, address))
}

/// The same for one of a list: a key that this server cannot unwrap keeps no other order from being shown.
pub(crate) async fn listed(vault: &Vault, order: Snapshot) -> Result<OrderBody, ApiError> {
    let (name, address) = match personal(vault, &order.0).await {
        // the vault has said whose
        Err(SealError::OtherMasterKey(_)) => (None, None),
        opened => opened?,
    };
    Ok(order.into_body(name, address))
}

/// Name and address.
pub(in crate::routes) async fn personal(
    vault: &Vault,
    order: &OrderView,
) -> Result<(Option<String>, Option<String>), SealError> {
    let stream = format!("{}/{}", domain::order::TYPE, order.order_id);
    let address = &order.shipping_address;
    Ok((
        open(vault, &order.customer_name, &stream, "customer_name").await?,
        open(vault, address, &stream, "shipping_address").await?,
    ))
}

/// None where the person was erased. A text that was never sealed, as another program may write it, is not shown.
async fn open(
    vault: &Vault,
    sealed: &Sealed,
    stream: &str,
    field: &str,
) -> Result<Option<String>, SealError> {
    match vault.open(sealed, stream, field).await {
        Err(SealError::Damaged) => {
            tracing::error!(stream, field, "a sealed text does not open");
            Ok(None)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
