//! Orders as one shop sees them: those that hold lines of it, with these lines and none of another's.
//!
//! They are walked along the shop's own index, oldest or newest first; in which status one is, is looked up order by
//! order on the way.

use chrono::{DateTime, Utc};
use domain::{
    ids::{OrderId, ShopId},
    order::{OrderStatus, PaymentStatus},
};
use sqlx::{Postgres, QueryBuilder};

use super::queries::{OrderView, select};
use crate::{
    page::{Page, PageRequest, SortKey, SortKind, SortValue, Span},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// Which orders of a shop are listed; all of what is given must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopOrderFilter {
    /// Of this shop.
    pub shop_id: ShopId,
    /// In this status.
    pub status: Option<OrderStatus>,
    /// In this payment status.
    pub payment_status: Option<PaymentStatus>,
    /// Placed within.
    pub created_at: Span<DateTime<Utc>>,
}

impl ShopOrderFilter {
    /// All orders of the shop.
    pub fn of(shop_id: ShopId) -> Self {
        Self {
            shop_id,
            status: None,
            payment_status: None,
            created_at: Span::default(),
        }
    }
}

/// What the orders of a shop are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShopOrderSort {
    /// When they were placed.
    CreatedAt,
}

impl SortKey for ShopOrderSort {
    const ALL: &'static [Self] = &[Self::CreatedAt];

    fn name(self) -> &'static str {
        "created_at"
    }

    fn columns(self) -> [&'static str; 2] {
        ["created_at", "order_id"]
    }

    fn kind(self) -> SortKind {
        SortKind::Time
    }
}

impl ReadModels {
    /// A page of the orders that hold lines of a shop, with these lines only. Those that their customers do not see any
    /// more are among them: what was sold stays sold.
    pub async fn shop_orders(
        &self,
        filter: &ShopOrderFilter,
        page: &PageRequest<ShopOrderSort>,
    ) -> Result<Page<OrderView>, QueryError> {
        let schema = self.schema(View::Orders).await?;
        let rows = list(&schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let orders = rows
            .iter()
            .map(OrderView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(orders, |order| {
            (SortValue::Time(order.created_at), order.order_id.0)
        }))
    }

    /// One of them; none where it holds no line of that shop.
    pub async fn shop_order(
        &self,
        shop_id: ShopId,
        order_id: OrderId,
    ) -> Result<Option<OrderView>, QueryError> {
        let schema = self.schema(View::Orders).await?;
        let mut sql = of_shop(&schema, shop_id);
        sql.push(" and f.order_id = ").push_bind(order_id.0);
        let row = sql.build().fetch_optional(self.pool()).await?;
        Ok(row.as_ref().map(OrderView::from_row).transpose()?)
    }
}

fn of_shop<'q>(schema: &Schema, shop_id: ShopId) -> QueryBuilder<'q, Postgres> {
    let mut sql = select(schema, Some(shop_id));
    sql.push(
        schema.sql(" join {schema}.order_shops f on f.order_id = o.order_id where f.shop_id = "),
    )
    .push_bind(shop_id.0);
    sql
}

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &ShopOrderFilter,
    page: &PageRequest<ShopOrderSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql = of_shop(schema, filter.shop_id);
    if let Some(status) = filter.status {
        sql.push(" and s.status = ").push_bind(status.as_str());
    }
    if let Some(status) = filter.payment_status {
        sql.push(" and s.payment_status = ")
            .push_bind(status.as_str());
    }
    filter.created_at.push_to(&mut sql, "f.created_at");
    page.push_to(&mut sql, "f");
    sql
}
