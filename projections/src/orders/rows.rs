//! What an order's beginning says, as rows: the order itself and its lines; and the few events that change them.

use chrono::{DateTime, Utc};
use domain::{
    ids::{ShipmentId, ShopId},
    order::{AppliedDiscount, LineQuantity, OrderEvent, OrderLine},
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use crate::decode::Decoded;

/// A row of `orders`.
pub(super) struct OrderRow<'e> {
    pub(super) order_id: Uuid,
    pub(super) number: Option<i64>,
    pub(super) customer_id: Uuid,
    pub(super) customer_name: &'e str,
    pub(super) shipping_address: &'e str,
    pub(super) region_id: Uuid,
    pub(super) currency: &'e str,
    pub(super) tax_rate: i32,
    pub(super) prices_include_tax: bool,
    pub(super) payment_method: &'e str,
    pub(super) subtotal: i64,
    pub(super) discount: i64,
    pub(super) tax: i64,
    pub(super) total: i64,
    pub(super) discounts: &'e [AppliedDiscount],
    pub(super) payment_due_at: DateTime<Utc>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) lines: &'e [OrderLine],
}

impl<'e> OrderRow<'e> {
    /// The row that `OrderPlaced` makes; there is no other event that makes one.
    pub(super) fn placed(decoded: &'e Decoded<OrderEvent>) -> Option<Self> {
        let OrderEvent::OrderPlaced {
            order_id: _,
            number,
            customer_id,
            customer_name,
            shipping_address,
            region_id,
            currency,
            tax_rate,
            prices_include_tax,
            payment_method,
            lines,
            subtotal,
            discount,
            discounts,
            tax,
            total,
            payment_delay_ms,
            payment_window_ms: _,
        } = &decoded.event
        else {
            return None;
        };
        Some(Self {
            order_id: decoded.id,
            number: number.map(|number| number.0),
            customer_id: customer_id.0,
            customer_name: customer_name.as_str(),
            shipping_address: shipping_address.as_str(),
            region_id: region_id.0,
            currency: currency.code(),
            tax_rate: tax_rate.basis_points() as i32,
            prices_include_tax: *prices_include_tax,
            payment_method: payment_method.as_str(),
            subtotal: *subtotal,
            discount: *discount,
            tax: *tax,
            total: *total,
            discounts,
            payment_due_at: decoded.later(*payment_delay_ms),
            created_at: decoded.at,
            lines,
        })
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = LineRow<'e>> + use<'e> {
        line_rows(self.order_id, self.lines)
    }

    pub(super) fn shops(&self) -> impl Iterator<Item = ShopRow> + use<'e> {
        shop_rows(self.order_id, self.created_at, self.lines)
    }
}

fn line_rows(order_id: Uuid, lines: &[OrderLine]) -> impl Iterator<Item = LineRow<'_>> {
    lines.iter().map(move |line| LineRow {
        order_id,
        line: line.line as i32,
        product_id: line.product_id.0,
        shop_id: line.shop_id.map(|shop_id| shop_id.0),
        sku: line.sku.as_str(),
        title: line.title.as_str(),
        quantity: line.quantity.into(),
        unit_price: line.unit_price,
        discount: line.discount,
        net: line.net,
        tax: line.tax,
        gross: line.gross,
        discount_id: line.discount_id.map(|discount_id| discount_id.0),
    })
}

/// One row per shop whose goods are among the lines.
fn shop_rows(
    order_id: Uuid,
    created_at: DateTime<Utc>,
    lines: &[OrderLine],
) -> impl Iterator<Item = ShopRow> + use<> {
    let shops: BTreeSet<ShopId> = lines.iter().filter_map(|line| line.shop_id).collect();
    shops.into_iter().map(move |shop_id| ShopRow {
        order_id,
        shop_id: shop_id.0,
        created_at,
    })
}

/// A row of `order_lines`.
pub(super) struct LineRow<'e> {
    pub(super) order_id: Uuid,
    pub(super) line: i32,
    pub(super) product_id: Uuid,
    pub(super) shop_id: Option<Uuid>,
    pub(super) sku: &'e str,
    pub(super) title: &'e str,
    pub(super) quantity: i64,
    pub(super) unit_price: i64,
    pub(super) discount: i64,
    pub(super) net: i64,
    pub(super) tax: i64,
    pub(super) gross: i64,
    pub(super) discount_id: Option<Uuid>,
}

/// A row of `order_shops`.
pub(super) struct ShopRow {
    pub(super) order_id: Uuid,
    pub(super) shop_id: Uuid,
    pub(super) created_at: DateTime<Utc>,
}

/// What the events of a batch change of orders that have their rows: the last of each kind counts.
#[derive(Clone, Default)]
pub(super) struct Changes {
    pub(super) items: BTreeMap<Uuid, ItemsNow>,
    pub(super) contacts: BTreeMap<Uuid, ContactNow>,
}

/// What is bought from now on, and what it costs.
#[derive(Clone)]
pub(super) struct ItemsNow {
    pub(super) created_at: DateTime<Utc>,
    pub(super) lines: Vec<OrderLine>,
    pub(super) subtotal: i64,
    pub(super) discount: i64,
    pub(super) tax: i64,
    pub(super) total: i64,
    pub(super) discounts: Vec<AppliedDiscount>,
}

impl ItemsNow {
    pub(super) fn lines(&self, order_id: Uuid) -> impl Iterator<Item = LineRow<'_>> {
        line_rows(order_id, &self.lines)
    }

    pub(super) fn shops(&self, order_id: Uuid) -> impl Iterator<Item = ShopRow> + use<> {
        shop_rows(order_id, self.created_at, &self.lines)
    }
}

/// Who an order is for from now on and where it goes, sealed; what is absent stays.
#[derive(Clone, Default)]
pub(super) struct ContactNow {
    pub(super) customer_name: Option<String>,
    pub(super) shipping_address: Option<String>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.contacts.is_empty()
    }

    /// Takes an event of an order that was placed at `created_at`, in the order of its stream.
    pub(super) fn take(&mut self, decoded: &Decoded<OrderEvent>, created_at: DateTime<Utc>) {
        match &decoded.event {
            OrderEvent::OrderItemsChanged {
                lines,
                subtotal,
                discount,
                discounts,
                tax,
                total,
            } => {
                let now = ItemsNow {
                    created_at,
                    lines: lines.clone(),
                    subtotal: *subtotal,
                    discount: *discount,
                    tax: *tax,
                    total: *total,
                    discounts: discounts.clone(),
                };
                self.items.insert(decoded.id, now);
            }
            OrderEvent::OrderContactChanged {
                customer_name,
                shipping_address,
            } => {
                let now = self.contacts.entry(decoded.id).or_default();
                if let Some(name) = customer_name {
                    now.customer_name = Some(name.as_str().to_owned());
                }
                if let Some(address) = shipping_address {
                    now.shipping_address = Some(address.as_str().to_owned());
                }
            }
            _ => {}
        }
    }
}

/// Pieces handed to carriers, by order, line and shipment: rows of `shipped_lines`.
#[derive(Default)]
pub(super) struct ShippedLines {
    pub(super) pieces: BTreeMap<(Uuid, i32, Uuid), (i64, DateTime<Utc>)>,
}

impl ShippedLines {
    /// A line named twice in one shipment is one row. A shipment is one event; where a program beside us wrote two, the
    /// later one counts, whether they are in one batch or not.
    pub(super) fn take(&mut self, decoded: &Decoded<OrderEvent>) {
        let OrderEvent::OrderItemsShipped {
            shipment_id, lines, ..
        } = &decoded.event
        else {
            return;
        };
        let key = |line: &LineQuantity, shipment_id: &ShipmentId| {
            (decoded.id, line.line as i32, shipment_id.0)
        };
        for line in lines {
            self.pieces.insert(key(line, shipment_id), (0, decoded.at));
        }
        for line in lines {
            let row = self.pieces.entry(key(line, shipment_id)).or_default();
            row.0 += i64::from(line.quantity);
        }
    }
}
