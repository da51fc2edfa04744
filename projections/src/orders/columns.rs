//! Rows of orders as the arrays that a statement takes, one per column.

use chrono::{DateTime, Utc};
use domain::order::{OrderEvent, OrderLine};
use uuid::Uuid;

use super::state::OrderState;
use crate::decode::Decoded;

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// What never changes of new orders, column by column.
#[derive(Default)]
pub(super) struct FrozenColumns<'e> {
    ids: Vec<Uuid>,
    customer_ids: Vec<Uuid>,
    customer_names: Vec<&'e str>,
    shipping_addresses: Vec<&'e str>,
    region_ids: Vec<Uuid>,
    currencies: Vec<&'e str>,
    tax_rates: Vec<i32>,
    prices_include_tax: Vec<bool>,
    payment_methods: Vec<&'e str>,
    subtotals: Vec<i64>,
    discounts: Vec<i64>,
    taxes: Vec<i64>,
    totals: Vec<i64>,
    payments_due_at: Vec<DateTime<Utc>>,
    pub(super) created_at: Vec<DateTime<Utc>>,
}

impl<'e> FrozenColumns<'e> {
    /// Takes an `OrderPlaced`; there is no other event that makes an order.
    pub(super) fn push(
        &mut self,
        decoded: &'e Decoded<OrderEvent>,
        line_columns: &mut LineColumns<'e>,
    ) {
        let OrderEvent::OrderPlaced {
            order_id: _,
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
            tax,
            total,
            payment_delay_ms,
            payment_window_ms: _,
        } = &decoded.event
        else {
            return;
        };
        self.ids.push(decoded.id);
        self.customer_ids.push(customer_id.0);
        self.customer_names.push(customer_name.as_str());
        self.shipping_addresses.push(shipping_address.as_str());
        self.region_ids.push(region_id.0);
        self.currencies.push(currency.code());
        self.tax_rates.push(tax_rate.basis_points() as i32);
        self.prices_include_tax.push(*prices_include_tax);
        self.payment_methods.push(payment_method.as_str());
        self.subtotals.push(*subtotal);
        self.discounts.push(*discount);
        self.taxes.push(*tax);
        self.totals.push(*total);
        self.payments_due_at.push(decoded.later(*payment_delay_ms));
        self.created_at.push(decoded.at);
        for line in lines {
            line_columns.push(decoded.id, line);
        }
    }

    /// Binds the columns in the order of the statement.
    pub(super) fn bind<'q>(self, query: Query<'q>) -> Query<'q>
    where
        'e: 'q,
    {
        query
            .bind(self.ids)
            .bind(self.customer_ids)
            .bind(self.customer_names)
            .bind(self.shipping_addresses)
            .bind(self.region_ids)
            .bind(self.currencies)
            .bind(self.tax_rates)
            .bind(self.prices_include_tax)
            .bind(self.payment_methods)
            .bind(self.subtotals)
            .bind(self.discounts)
            .bind(self.taxes)
            .bind(self.totals)
            .bind(self.payments_due_at)
            .bind(self.created_at)
    }
}

/// What moves of orders, column by column.
#[derive(Default)]
pub(super) struct MovingColumns<'s> {
    ids: Vec<Uuid>,
    statuses: Vec<&'static str>,
    payment_statuses: Vec<&'static str>,
    payment_ids: Vec<Option<Uuid>>,
    paid: Vec<Option<i64>>,
    paid_at: Vec<Option<DateTime<Utc>>>,
    refunded: Vec<i64>,
    cancellation_requested: Vec<bool>,
    cancellation_reasons: Vec<Option<&'s str>>,
    sequences: Vec<i64>,
    updated_at: Vec<DateTime<Utc>>,
}

impl<'s> MovingColumns<'s> {
    pub(super) fn push(&mut self, id: Uuid, state: &'s OrderState) {
        self.ids.push(id);
        self.statuses.push(state.status.as_str());
        self.payment_statuses.push(state.payment_status.as_str());
        self.payment_ids.push(state.payment_id);
        self.paid.push(state.paid);
        self.paid_at.push(state.paid_at);
        self.refunded.push(state.refunded);
        self.cancellation_requested
            .push(state.cancellation_requested);
        self.cancellation_reasons
            .push(state.cancellation_reason.as_deref());
        self.sequences.push(state.sequence);
        self.updated_at.push(state.updated_at);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, which each statement has in another place.
    pub(super) fn take_ids(&mut self) -> Vec<Uuid> {
        std::mem::take(&mut self.ids)
    }

    /// Binds all but the ids, in the order of both statements.
    pub(super) fn bind<'q>(self, query: Query<'q>) -> Query<'q>
    where
        's: 'q,
    {
        query
            .bind(self.statuses)
            .bind(self.payment_statuses)
            .bind(self.payment_ids)
            .bind(self.paid)
            .bind(self.paid_at)
            .bind(self.refunded)
            .bind(self.cancellation_requested)
            .bind(self.cancellation_reasons)
            .bind(self.sequences)
            .bind(self.updated_at)
    }
}

/// The lines of new orders, column by column.
#[derive(Default)]
pub(super) struct LineColumns<'e> {
    order_ids: Vec<Uuid>,
    numbers: Vec<i32>,
    product_ids: Vec<Uuid>,
    skus: Vec<&'e str>,
    titles: Vec<&'e str>,
    quantities: Vec<i64>,
    unit_prices: Vec<i64>,
    discounts: Vec<i64>,
    nets: Vec<i64>,
    taxes: Vec<i64>,
    grosses: Vec<i64>,
}

impl<'e> LineColumns<'e> {
    pub(super) fn push(&mut self, order_id: Uuid, line: &'e OrderLine) {
        self.order_ids.push(order_id);
        self.numbers.push(line.line as i32);
        self.product_ids.push(line.product_id.0);
        self.skus.push(line.sku.as_str());
        self.titles.push(line.title.as_str());
        self.quantities.push(line.quantity.into());
        self.unit_prices.push(line.unit_price);
        self.discounts.push(line.discount);
        self.nets.push(line.net);
        self.taxes.push(line.tax);
        self.grosses.push(line.gross);
    }

    /// Binds the columns in the order of the statement.
    pub(super) fn bind<'q>(self, query: Query<'q>) -> Query<'q>
    where
        'e: 'q,
    {
        query
            .bind(self.order_ids)
            .bind(self.numbers)
            .bind(self.product_ids)
            .bind(self.skus)
            .bind(self.titles)
            .bind(self.quantities)
            .bind(self.unit_prices)
            .bind(self.discounts)
            .bind(self.nets)
            .bind(self.taxes)
            .bind(self.grosses)
    }
}
