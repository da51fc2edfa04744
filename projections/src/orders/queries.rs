//! Queries over orders.

use chrono::{DateTime, Utc};
use domain::{
    ids::{DiscountId, OrderId, PaymentId, ProductId, RegionId, ShopId, UserId},
    money::Currency,
    order::{AppliedDiscount, OrderNumber, OrderStatus, PaymentStatus},
    sealed::Sealed,
};
use serde::Deserialize;
use sqlx::{Postgres, QueryBuilder, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::state::{parse_payment_status, parse_status};
use crate::{
    page::{Page, PageRequest, SortKey, SortKind, SortValue, Span},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// An order with its lines. Amounts are minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Which.
    pub order_id: OrderId,
    /// Its number, as people say it; none where it was placed before orders had one.
    pub number: Option<OrderNumber>,
    /// Whose.
    pub customer_id: UserId,
    /// Who it is for.
    pub customer_name: Sealed,
    /// Where it goes.
    pub shipping_address: Sealed,
    /// Where it was sold.
    pub region_id: RegionId,
    /// What all amounts are in.
    pub currency: Currency,
    /// Rate of its sales tax, in basis points.
    pub tax_rate: u32,
    /// Whether prices contain the tax.
    pub prices_include_tax: bool,
    /// How it is to be paid.
    pub payment_method: String,
    /// What was bought.
    pub lines: Vec<OrderLineView>,
    /// Sum of price times quantity, before discounts.
    pub subtotal: i64,
    /// Sum of what discounts took off.
    pub discount: i64,
    /// Which discounts, in the order in which they were given.
    pub discounts: Vec<AppliedDiscount>,
    /// Sum of the lines' tax.
    pub tax: i64,
    /// What is to be paid.
    pub total: i64,
    /// When the payment is, or was, first to be started.
    pub payment_due_at: DateTime<Utc>,
    /// How far the goods are.
    pub status: OrderStatus,
    /// How far the money is.
    pub payment_status: PaymentStatus,
    /// The payment, once started.
    pub payment_id: Option<PaymentId>,
    /// What came in.
    pub paid: Option<i64>,
    /// When it came in.
    pub paid_at: Option<DateTime<Utc>>,
    /// What was given back.
    pub refunded: i64,
    /// Whether it will be cancelled once the outcome of its payment is known.
    pub cancellation_requested: bool,
    /// Why it was, or is to be, called off.
    pub cancellation_reason: Option<String>,
    /// Whether its customer does not see it any more.
    pub deleted: bool,
    /// How many events it has: its ETag.
    pub sequence: i64,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OrderLineView {
    /// Its number, from 1.
    pub line: u32,
    /// Which product.
    pub product_id: ProductId,
    /// Whose the product is; nobody's but the market's where there is none.
    pub shop_id: Option<ShopId>,
    /// The seller's number, as it was.
    pub sku: String,
    /// The product's name, as it was.
    pub title: String,
    /// How many pieces.
    pub quantity: i64,
    /// How many of them were handed to a carrier.
    pub shipped: i64,
    /// Price of one piece.
    pub unit_price: i64,
    /// What a discount took off it.
    pub discount: i64,
    /// Which discount did; none where none did.
    pub discount_id: Option<DiscountId>,
    /// What is left after the discount, without tax.
    pub net: i64,
    /// Tax of the line.
    pub tax: i64,
    /// What the line costs.
    pub gross: i64,
}

/// Which orders are listed; all of what is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// With this number.
    pub number: Option<OrderNumber>,
    /// Of this customer.
    pub customer_id: Option<UserId>,
    /// Of this region.
    pub region_id: Option<RegionId>,
    /// In this status.
    pub status: Option<OrderStatus>,
    /// In this payment status.
    pub payment_status: Option<PaymentStatus>,
    /// Placed within.
    pub created_at: Span<DateTime<Utc>>,
    /// With a total, in minor units, within.
    pub total: Span<i64>,
    /// Those too that their customers do not see any more.
    pub include_deleted: bool,
}

/// What orders are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderSort {
    /// When they were placed.
    CreatedAt,
    /// What is to be paid.
    Total,
}

impl SortKey for OrderSort {
    const ALL: &'static [Self] = &[Self::CreatedAt, Self::Total];

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Total => "total",
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::CreatedAt => ["created_at", "order_id"],
            Self::Total => ["total", "order_id"],
        }
    }

    fn kind(self) -> SortKind {
        match self {
            Self::CreatedAt => SortKind::Time,
            Self::Total => SortKind::Integer,
        }
    }
}

impl ReadModels {
    /// An order, also one that was deleted.
    pub async fn order(&self, id: OrderId) -> Result<Option<OrderView>, QueryError> {
        let schema = self.schema(View::Orders).await?;
        let mut sql = select(&schema, None);
        sql.push(" where o.order_id = ").push_bind(id.0);
        let row = sql.build().fetch_optional(self.pool()).await?;
        Ok(row.as_ref().map(OrderView::from_row).transpose()?)
    }

    /// Those of the orders that there are, in no order, also those that were deleted.
    pub async fn orders_by_id(&self, ids: &[OrderId]) -> Result<Vec<OrderView>, QueryError> {
        let schema = self.schema(View::Orders).await?;
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut sql = select(&schema, None);
        sql.push(" where o.order_id = any(")
            .push_bind(ids)
            .push(")");
        let rows = sql.build().fetch_all(self.pool()).await?;
        let orders = rows.iter().map(OrderView::from_row);
        Ok(orders.collect::<Result<_, _>>()?)
    }

    /// A page of orders.
    pub async fn orders(
        &self,
        filter: &OrderFilter,
        page: &PageRequest<OrderSort>,
    ) -> Result<Page<OrderView>, QueryError> {
        let schema = self.schema(View::Orders).await?;
        self.orders_in(&schema, filter, page).await
    }

    /// A page of the orders that stand in this schema, whichever queries go to by now: for whoever has waited for just
    /// this one.
    pub async fn orders_in(
        &self,
        schema: &Schema,
        filter: &OrderFilter,
        page: &PageRequest<OrderSort>,
    ) -> Result<Page<OrderView>, QueryError> {
        let rows = list(schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let orders = rows
            .iter()
            .map(OrderView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(orders, |order| {
            (order.sort_value(page.sort.key), order.order_id.0)
        }))
    }
}

/// Orders, their states and their lines in one statement, so that all are of one moment; only the lines of one shop where
/// one is given. Conditions follow.
pub(super) fn select<'q>(schema: &Schema, shop_id: Option<ShopId>) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(schema.sql(
        "select o.*, s.status, s.payment_status, s.payment_id, s.paid, s.paid_at, s.refunded, \
                s.cancellation_requested, s.cancellation_reason, s.deleted, s.sequence, s.updated_at, \
                (select json_agg(l order by l.line) from (select l.*, \
                    (select coalesce(sum(p.quantity), 0) from {schema}.shipped_lines p \
                     where p.order_id = l.order_id and p.line = l.line) as shipped \
                 from {schema}.order_lines l where l.order_id = o.order_id",
    ));
    if let Some(shop_id) = shop_id {
        sql.push(" and l.shop_id = ").push_bind(shop_id.0);
    }
    sql.push(schema.sql(
        ") l) as lines from {schema}.orders o join {schema}.order_states s on s.order_id = o.order_id",
    ));
    sql
}

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &OrderFilter,
    page: &PageRequest<OrderSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql = select(schema, None);
    sql.push(" where true");
    if !filter.include_deleted {
        sql.push(" and not s.deleted");
    }
    if let Some(number) = filter.number {
        sql.push(" and o.number = ").push_bind(number.0);
    }
    if let Some(customer_id) = filter.customer_id {
        sql.push(" and o.customer_id = ").push_bind(customer_id.0);
    }
    if let Some(region_id) = filter.region_id {
        sql.push(" and o.region_id = ").push_bind(region_id.0);
    }
    if let Some(status) = filter.status {
        sql.push(" and s.status = ").push_bind(status.as_str());
    }
    if let Some(status) = filter.payment_status {
        sql.push(" and s.payment_status = ")
            .push_bind(status.as_str());
    }
    // both tables have the time and the id; those of the one that is filtered continue its index
    let by_status = filter.status.is_some() || filter.payment_status.is_some();
    let table = if by_status { "s" } else { "o" };
    filter
        .created_at
        .push_to(&mut sql, format_args!("{table}.created_at"));
    filter.total.push_to(&mut sql, "o.total");
    match page.sort.key {
        OrderSort::CreatedAt => page.push_to(&mut sql, table),
        OrderSort::Total => page.push_to(&mut sql, "o"),
    }
    sql
}

impl OrderView {
    fn sort_value(&self, key: OrderSort) -> SortValue {
        match key {
            OrderSort::CreatedAt => SortValue::Time(self.created_at),
            OrderSort::Total => SortValue::Integer(self.total),
        }
    }

    pub(super) fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let unreadable = |error| sqlx::Error::Decode(Box::new(error));
        let lines: Option<Json<Vec<OrderLineView>>> = row.try_get("lines")?;
        let Json(discounts) = row.try_get("discounts")?;
        Ok(Self {
            order_id: OrderId(row.try_get("order_id")?),
            number: row.try_get::<Option<i64>, _>("number")?.map(OrderNumber),
            customer_id: UserId(row.try_get("customer_id")?),
            customer_name: Sealed::new(row.try_get::<String, _>("customer_name")?),
            shipping_address: Sealed::new(row.try_get::<String, _>("shipping_address")?),
            region_id: RegionId(row.try_get("region_id")?),
            currency: Currency::parse(row.try_get("currency")?).map_err(unreadable)?,
            tax_rate: row.try_get::<i32, _>("tax_rate")?.unsigned_abs(),
            prices_include_tax: row.try_get("prices_include_tax")?,
            payment_method: row.try_get("payment_method")?,
            lines: lines.map(|Json(lines)| lines).unwrap_or_default(),
            subtotal: row.try_get("subtotal")?,
            discount: row.try_get("discount")?,
            discounts,
            tax: row.try_get("tax")?,
            total: row.try_get("total")?,
            payment_due_at: row.try_get("payment_due_at")?,
            status: parse_status(row.try_get("status")?)?,
            payment_status: parse_payment_status(row.try_get("payment_status")?)?,
            payment_id: row.try_get::<Option<Uuid>, _>("payment_id")?.map(PaymentId),
            paid: row.try_get("paid")?,
            paid_at: row.try_get("paid_at")?,
            refunded: row.try_get("refunded")?,
            cancellation_requested: row.try_get("cancellation_requested")?,
            cancellation_reason: row.try_get("cancellation_reason")?,
            deleted: row.try_get("deleted")?,
            sequence: row.try_get("sequence")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}
