//! Queries over payments.

use chrono::{DateTime, Utc};
use domain::{
    ids::{OrderId, PaymentId, RefundId, UserId},
    money::{Currency, Money},
    payment::{FactKind, PaymentState, RefundOutcome},
};
use serde::Deserialize;
use sqlx::{Postgres, QueryBuilder, Row, postgres::PgRow, types::Json};

use crate::{
    page::{Page, PageRequest, SortKey, SortKind, SortValue, Span},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// A payment with what the gateway said of it. Bare amounts are minor units of the currency of `amount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentView {
    /// Which.
    pub payment_id: PaymentId,
    /// Of which order.
    pub order_id: OrderId,
    /// Of whom.
    pub customer_id: UserId,
    /// How much is to be captured.
    pub amount: Money,
    /// Method of the last attempt.
    pub method: String,
    /// How far it is, derived from the ledger.
    pub status: PaymentState,
    /// Number of the last attempt, from 1.
    pub attempt: i64,
    /// Until when it may be tried again.
    pub deadline_at: DateTime<Utc>,
    /// How much came.
    pub captured: Option<i64>,
    /// When it came.
    pub captured_at: Option<DateTime<Utc>>,
    /// How much went back.
    pub refunded: i64,
    /// What was said last of a decline, a void or a silence of the gateway.
    pub reason: Option<String>,
    /// What the gateway said, in order.
    pub ledger: Vec<LedgerEntryView>,
    /// What is to be or was given back, in the order of asking.
    pub refunds: Vec<RefundView>,
    /// How many events it has: its ETag.
    pub sequence: i64,
    /// When the first attempt began.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Something the gateway said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LedgerEntryView {
    /// The gateway's name for it.
    pub reference: String,
    /// What it said.
    pub kind: FactKind,
    /// How much money it moved; nothing for a decline or a void.
    pub amount: Option<i64>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// A refund.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RefundView {
    /// Which.
    pub refund_id: RefundId,
    /// How much.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// What became of it.
    pub outcome: RefundOutcome,
    /// What the gateway said when it refused.
    pub failure: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which payments are listed; all of what is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentFilter {
    /// In this status.
    pub status: Option<PaymentState>,
    /// Of this order.
    pub order_id: Option<OrderId>,
    /// Of this customer.
    pub customer_id: Option<UserId>,
    /// Begun within.
    pub created_at: Span<DateTime<Utc>>,
}

/// What payments are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentSort {
    /// When they began.
    CreatedAt,
}

impl SortKey for PaymentSort {
    const ALL: &'static [Self] = &[Self::CreatedAt];

    fn name(self) -> &'static str {
        "created_at"
    }

    fn columns(self) -> [&'static str; 2] {
        ["created_at", "payment_id"]
    }

    fn kind(self) -> SortKind {
        SortKind::Time
    }
}

impl ReadModels {
    /// A payment. That of an order is `PaymentId::of` it, once it was started.
    pub async fn payment(&self, id: PaymentId) -> Result<Option<PaymentView>, QueryError> {
        let schema = self.schema(View::Payments).await?;
        let mut sql = select(&schema);
        sql.push(" and p.payment_id = ").push_bind(id.0);
        let row = sql.build().fetch_optional(self.pool()).await?;
        Ok(row.as_ref().map(PaymentView::from_row).transpose()?)
    }

    /// A page of payments.
    pub async fn payments(
        &self,
        filter: &PaymentFilter,
        page: &PageRequest<PaymentSort>,
    ) -> Result<Page<PaymentView>, QueryError> {
        let schema = self.schema(View::Payments).await?;
        let rows = list(&schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let payments = rows
            .iter()
            .map(PaymentView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(payments, |payment| {
            (SortValue::Time(payment.created_at), payment.payment_id.0)
        }))
    }
}

/// Payments with ledger and refunds in one statement, so that all are of one moment.
fn select<'q>(schema: &Schema) -> QueryBuilder<'q, Postgres> {
    QueryBuilder::new(schema.sql(
        "select p.*, \
                (select json_agg(l order by l.sequence) from {schema}.payment_ledger l \
                 where l.payment_id = p.payment_id) as ledger, \
                (select json_agg(r order by r.requested_at, r.refund_id) from {schema}.payment_refunds r \
                 where r.payment_id = p.payment_id) as refunds \
         from {schema}.payments p where true",
    ))
}

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &PaymentFilter,
    page: &PageRequest<PaymentSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql = select(schema);
    if let Some(status) = filter.status {
        sql.push(" and p.status = ").push_bind(status.as_str());
    }
    if let Some(order_id) = filter.order_id {
        sql.push(" and p.order_id = ").push_bind(order_id.0);
    }
    if let Some(customer_id) = filter.customer_id {
        sql.push(" and p.customer_id = ").push_bind(customer_id.0);
    }
    filter.created_at.push_to(&mut sql, "p.created_at");
    page.push_to(&mut sql, "p");
    sql
}

impl PaymentView {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let unreadable = |error| sqlx::Error::Decode(Box::new(error));
        let currency = Currency::parse(row.try_get("currency")?).map_err(unreadable)?;
        let ledger: Option<Json<Vec<LedgerEntryView>>> = row.try_get("ledger")?;
        let refunds: Option<Json<Vec<RefundView>>> = row.try_get("refunds")?;
        Ok(Self {
            payment_id: PaymentId(row.try_get("payment_id")?),
            order_id: OrderId(row.try_get("order_id")?),
            customer_id: UserId(row.try_get("customer_id")?),
            amount: Money::new(row.try_get("amount")?, currency),
            method: row.try_get("method")?,
            status: parse_status(row.try_get("status")?)?,
            attempt: row.try_get("attempt")?,
            deadline_at: row.try_get("deadline_at")?,
            captured: row.try_get("captured")?,
            captured_at: row.try_get("captured_at")?,
            refunded: row.try_get("refunded")?,
            reason: row.try_get("reason")?,
            ledger: ledger.map(|Json(entries)| entries).unwrap_or_default(),
            refunds: refunds.map(|Json(refunds)| refunds).unwrap_or_default(),
            sequence: row.try_get("sequence")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// The status of this name; rows are only ever written by us.
fn parse_status(name: &str) -> Result<PaymentState, sqlx::Error> {
    let found = PaymentState::ALL
        .into_iter()
        .find(|status| status.as_str() == name);
    found.ok_or_else(|| sqlx::Error::Decode(format!("no payment status {name:?}").into()))
}
