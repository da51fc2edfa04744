//! Carts as a read model: what customers mean to buy, also of those that are empty again.
//!
//! The projector folds a batch over the rows it touches and writes them back in one statement. Keyed by cart.

mod rows;

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{
    cart::{Cart, CartCode, CartItem},
    ids::{CartId, RegionId, UserId},
};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

pub(crate) use self::rows::CartsFold;
use self::rows::{CartRow, load, store};
use crate::{
    decode::decode_all,
    page::{Page, PageRequest, SortKey, SortKind, SortValue},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// A cart. Amounts are minor units of its region's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartView {
    /// Which.
    pub cart_id: CartId,
    /// Whose.
    pub customer_id: UserId,
    /// Where.
    pub region_id: RegionId,
    /// What is in it, in the order in which it was first put there.
    pub items: Vec<CartItem>,
    /// How many products that is.
    pub products: i64,
    /// How many pieces of them.
    pub pieces: i64,
    /// The discount codes that are to be used.
    pub codes: Vec<CartCode>,
    /// How many events it has.
    pub sequence: i64,
    /// When it was first used.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Whose carts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CartFilter {
    /// Of this customer.
    pub customer_id: UserId,
}

/// What carts are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CartSort {
    /// When they last changed.
    UpdatedAt,
}

impl SortKey for CartSort {
    const ALL: &'static [Self] = &[Self::UpdatedAt];

    fn name(self) -> &'static str {
        "updated_at"
    }

    fn columns(self) -> [&'static str; 2] {
        ["updated_at", "cart_id"]
    }

    fn kind(self) -> SortKind {
        SortKind::Time
    }
}

impl ReadModels {
    /// A cart, also one that is empty again.
    pub async fn cart(&self, id: CartId) -> Result<Option<CartView>, QueryError> {
        let schema = self.schema(View::Carts).await?;
        let sql = format!("select * from {schema}.carts where cart_id = $1");
        let row: Option<CartRow> = sqlx::query_as(&sql)
            .bind(id.0)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(Into::into))
    }

    /// A page of a customer's carts that hold something.
    pub async fn carts(
        &self,
        filter: &CartFilter,
        page: &PageRequest<CartSort>,
    ) -> Result<Page<CartView>, QueryError> {
        let schema = self.schema(View::Carts).await?;
        let rows = list(&schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let carts = rows
            .iter()
            .map(|row| CartRow::from_row(row).map(CartView::from))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(carts, |cart| {
            (SortValue::Time(cart.updated_at), cart.cart_id.0)
        }))
    }
}

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &CartFilter,
    page: &PageRequest<CartSort>,
) -> QueryBuilder<'q, Postgres> {
    let text = "select * from {schema}.carts c where c.products > 0 and c.customer_id = ";
    let mut sql = QueryBuilder::new(schema.sql(text));
    sql.push_bind(filter.customer_id.0);
    page.push_to(&mut sql, "c");
    sql
}

/// Projects the carts.
pub struct CartsProjector {
    schema: Schema,
}

impl CartsProjector {
    /// Into the schema of this version.
    pub fn new() -> Self {
        Self::within(View::Carts.schema())
    }

    /// Into this schema.
    pub(crate) fn within(schema: Schema) -> Self {
        Self { schema }
    }
}

impl Default for CartsProjector {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriber for CartsProjector {
    fn name(&self) -> &str {
        self.schema.as_str()
    }

    fn reads(&self) -> &'static [&'static str] {
        View::Carts.reads()
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<Cart>(events.iter().map(|event| &**event))?;
        let ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        let mut rows: HashMap<Uuid, CartRow> = load(&self.schema, &ids, tx).await?;
        for event in &decoded {
            match rows.get_mut(&event.id) {
                Some(row) => row.take(event),
                // one without a beginning (an operator gave up on it) has no row to change
                None => rows.extend(CartRow::opened(event).map(|row| (event.id, row))),
            }
        }
        store(&self.schema, &rows, tx).await
    }
}
