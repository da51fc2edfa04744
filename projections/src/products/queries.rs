//! Queries over the catalogue and its stock.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    ids::{CategoryId, ProductId, RegionId, ShopId},
    inventory,
    kinds::AttributeValue,
    money::{Currency, Money},
};
use eventstore::position::Position;
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::text::SearchText;
use crate::{
    page::{Direction, Page, PageError, PageRequest, SortKey, SortKind, SortValue, Span},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// A product with its stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductView {
    /// Which.
    pub product_id: ProductId,
    /// Where it is sold.
    pub region_id: RegionId,
    /// The seller's number.
    pub sku: String,
    /// Its name.
    pub title: String,
    /// What it is.
    pub description: String,
    /// Its picture.
    pub image_url: Option<String>,
    /// Price of one piece.
    pub price: Money,
    /// Whose it is; nobody's but the market's where there is none.
    pub shop_id: Option<ShopId>,
    /// What it is grouped by.
    pub category_id: Option<CategoryId>,
    /// Its kind.
    pub kind: Option<String>,
    /// What is told of it as one of its kind, by name.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Whether it is no longer sold or shown.
    pub deleted: bool,
    /// Whether its shop was closed, so that it is not either.
    pub shop_closed: bool,
    /// Its stock.
    pub stock: StockView,
    /// How many events the product has: its ETag. Stock has one of its own.
    pub sequence: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed, its stock apart.
    pub updated_at: DateTime<Utc>,
}

impl ProductView {
    /// Whether it is shown to those who buy.
    pub const fn is_shown(&self) -> bool {
        !self.deleted && !self.shop_closed
    }
}

/// The stock of a product; no pieces before its first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockView {
    /// Pieces that can be reserved; below zero where more is promised than is there.
    pub available: i64,
    /// Pieces put aside for orders that are not paid yet.
    pub reserved: i64,
    /// Pieces sold and not returned.
    pub sold: i64,
    /// From how many pieces down it is low; zero: never.
    pub threshold: u32,
    /// How many events the inventory has: the ETag of the stock.
    pub sequence: i64,
    /// When it last changed.
    pub updated_at: Option<DateTime<Utc>>,
}

impl StockView {
    /// Nothing can be reserved.
    pub const fn is_sold_out(&self) -> bool {
        self.available <= 0
    }

    /// No more than the threshold, as [`inventory::is_low`] has it.
    pub fn is_low(&self) -> bool {
        inventory::is_low(self.available, self.threshold)
    }

    /// More is promised than is there.
    pub const fn is_oversold(&self) -> bool {
        self.available < 0
    }
}

/// A product as its read model had it at one moment, and how far that had come then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductAsOf {
    /// The product, also one that was deleted.
    pub product: ProductView,
    /// Every event up to here is in it, unless its key is parked.
    pub position: Position,
    /// Whether its key is parked.
    pub parked: bool,
}

/// Prices of one currency, in its minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceSpan {
    /// Amounts of other currencies cannot be compared and do not fit.
    pub currency: Currency,
    /// Within; open for all prices of the currency.
    pub amount: Span<i64>,
}

/// Which products are listed; all of what is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductFilter {
    /// Found by this text.
    pub text: Option<SearchText>,
    /// Of this region.
    pub region_id: Option<RegionId>,
    /// With this number; one per region.
    pub sku: Option<String>,
    /// Whether some can be reserved.
    pub in_stock: Option<bool>,
    /// Whether no more than the product's threshold can be reserved.
    pub low_stock: Option<bool>,
    /// With such a price.
    pub price: Option<PriceSpan>,
    /// Of this shop.
    pub shop_id: Option<ShopId>,
    /// In this category.
    pub category_id: Option<CategoryId>,
    /// Of this kind.
    pub kind: Option<String>,
    /// With these attributes of its kind.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// The deleted ones and those of closed shops too.
    pub include_deleted: bool,
}

impl ProductFilter {
    /// Whether it takes the stock to tell.
    pub(super) const fn is_of_stock(&self) -> bool {
        self.in_stock.is_some() || self.low_stock.is_some()
    }
}

/// What products are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductSort {
    /// When they were created.
    CreatedAt,
    /// Price in minor units; meaningful within a currency.
    Price,
    /// Title, by the collation of the database.
    Title,
    /// How far they are from what a text says: the best first, going up.
    Relevance,
}

impl SortKey for ProductSort {
    const ALL: &'static [Self] = &[Self::CreatedAt, Self::Price, Self::Title, Self::Relevance];

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Price => "price",
            Self::Title => "title",
            Self::Relevance => "relevance",
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::CreatedAt => ["created_at", "product_id"],
            Self::Price => ["price", "product_id"],
            Self::Title => ["title", "product_id"],
            Self::Relevance => ["off", "product_id"],
        }
    }

    fn kind(self) -> SortKind {
        match self {
            Self::CreatedAt => SortKind::Time,
            Self::Price | Self::Relevance => SortKind::Integer,
            Self::Title => SortKind::Text,
        }
    }
}

impl ReadModels {
    /// A product, also one that was deleted.
    pub async fn product(&self, id: ProductId) -> Result<Option<ProductView>, QueryError> {
        let schema = self.schema(View::Products).await?;
        let mut sql = select(&schema);
        sql.push(" and p.product_id = ").push_bind(id.0);
        let row = sql.build().fetch_optional(self.pool()).await?;
        Ok(row.as_ref().map(ProductView::from_row).transpose()?)
    }

    /// A product as it is in this schema, with the position that belongs to it: one statement, so one moment, and a read
    /// model commits with its checkpoint.
    pub async fn product_as_of(
        &self,
        schema: &Schema,
        id: ProductId,
    ) -> Result<Option<ProductAsOf>, QueryError> {
        // by the keys of its three tables
        let sql = schema.sql(
            "select p.*, s.available, s.reserved, s.sold, s.threshold, s.sequence as stock_sequence, s.updated_at as stock_updated_at, \
                    coalesce((select position from subscriptions where name = $2), 0) as as_of, \
                    exists (select from parked_events where subscription = $2 and key = $3) as parked \
             from {schema}.products p join {schema}.stock s on s.product_id = p.product_id where p.product_id = $1",
        );
        let row = sqlx::query(&sql)
            .bind(id.0)
            .bind(schema.as_str())
            .bind(id.to_string())
            .fetch_optional(self.pool())
            .await?;
        let read = |row: &PgRow| -> Result<ProductAsOf, sqlx::Error> {
            Ok(ProductAsOf {
                product: ProductView::from_row(row)?,
                position: Position(row.try_get("as_of")?),
                parked: row.try_get("parked")?,
            })
        };
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// A page of products. Those that a text finds: see `products/search.rs`.
    pub async fn products(
        &self,
        filter: &ProductFilter,
        page: &PageRequest<ProductSort>,
    ) -> Result<Page<ProductView>, QueryError> {
        let schema = self.schema(View::Products).await?;
        if let Some(text) = &filter.text {
            return self.search(&schema, filter, text, page).await;
        }
        if page.sort.key == ProductSort::Relevance {
            return Err(PageError::NothingToRank.into());
        }
        let rows = list(&schema, filter, page, |_| {})
            .build()
            .fetch_all(self.pool())
            .await?;
        let products = rows
            .iter()
            .map(ProductView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(products, |product| {
            (product.sort_value(page.sort.key), product.product_id.0)
        }))
    }
}

/// What a row is read from.
pub(super) const COLUMNS: &str = "p.product_id, p.region_id, p.sku, p.title, p.description, p.image_url, p.price, p.currency, \
     p.shop_id, p.category_id, p.kind, p.attributes, p.deleted, p.shop_closed, p.sequence, p.created_at, p.updated_at, \
     s.available, s.reserved, s.sold, s.threshold, s.sequence as stock_sequence, s.updated_at as stock_updated_at";

/// Every product has a row of stock.
pub(super) fn select<'q>(schema: &Schema) -> QueryBuilder<'q, Postgres> {
    QueryBuilder::new(format!(
        "select {COLUMNS} from {schema}.products p join {schema}.stock s on s.product_id = p.product_id where true"
    ))
}

/// A page of the products that the filters let through, and a text, whose conditions `push_text` adds. It is picked by
/// their keys; the rows, and the stock, which is in another table, are read afterwards.
pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &ProductFilter,
    page: &PageRequest<ProductSort>,
    push_text: impl FnOnce(&mut QueryBuilder<'q, Postgres>),
) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(format!("select {COLUMNS} from (select p.product_id from "));
    push_filtered(&mut sql, schema, filter);
    push_text(&mut sql);
    page.push_to(&mut sql, "p");
    let [column, _] = page.sort.key.columns();
    push_rows(
        &mut sql,
        schema,
        &format!("p.{column}"),
        page.sort.direction,
    );
    sql
}

/// Reads the rows of the page that was picked, in its order.
pub(super) fn push_rows(
    sql: &mut QueryBuilder<'_, Postgres>,
    schema: &Schema,
    column: &str,
    direction: Direction,
) {
    let order = match direction {
        Direction::Asc => "asc",
        Direction::Desc => "desc",
    };
    sql.push(format_args!(
        ") r join {schema}.products p on p.product_id = r.product_id \
         join {schema}.stock s on s.product_id = r.product_id order by {column} {order}, r.product_id {order}"
    ));
}

/// The products that the filters let through, with their stock where a filter is about it. Few are sold out or low: they
/// are gone through by themselves. Most are not, so that is looked up for each product on the way.
pub(super) fn push_filtered(
    sql: &mut QueryBuilder<'_, Postgres>,
    schema: &Schema,
    filter: &ProductFilter,
) {
    sql.push(format_args!("{schema}.products p"));
    if filter.in_stock == Some(false) || filter.low_stock == Some(true) {
        sql.push(format_args!(
            " join {schema}.stock s on s.product_id = p.product_id"
        ));
    } else if filter.is_of_stock() {
        sql.push(format_args!(
            " cross join lateral (select s.in_stock, s.low_stock from {schema}.stock s \
             where s.product_id = p.product_id offset 0) s"
        ));
    }
    sql.push(" where true");
    push_filter(sql, filter);
}

/// Adds the conditions of the filter, its text apart. `p` is the product, `s` its stock.
pub(super) fn push_filter(sql: &mut QueryBuilder<'_, Postgres>, filter: &ProductFilter) {
    if !filter.include_deleted {
        sql.push(" and not p.deleted and not p.shop_closed");
    }
    if let Some(region_id) = filter.region_id {
        sql.push(" and p.region_id = ").push_bind(region_id.0);
    }
    if let Some(sku) = &filter.sku {
        sql.push(" and p.sku = ").push_bind(sku.clone());
    }
    if let Some(in_stock) = filter.in_stock {
        // spelled out, so that the planner knows which of the two it is
        sql.push(if in_stock {
            " and s.in_stock"
        } else {
            " and not s.in_stock"
        });
    }
    if let Some(low_stock) = filter.low_stock {
        sql.push(if low_stock {
            " and s.low_stock"
        } else {
            " and not s.low_stock"
        });
    }
    if let Some(price) = &filter.price {
        sql.push(" and p.currency = ")
            .push_bind(price.currency.code());
        price.amount.push_to(sql, "p.price");
    }
    if let Some(shop_id) = filter.shop_id {
        sql.push(" and p.shop_id = ").push_bind(shop_id.0);
    }
    if let Some(category_id) = filter.category_id {
        sql.push(" and p.category_id = ").push_bind(category_id.0);
    }
    if let Some(kind) = &filter.kind {
        sql.push(" and p.kind = ").push_bind(kind.clone());
    }
    if !filter.attributes.is_empty() {
        // the first condition is the index's
        sql.push(" and p.kind is not null and p.attributes @> ")
            .push_bind(Json(filter.attributes.clone()));
    }
}

impl ProductView {
    /// What it is sorted by where that is in its row: not by relevance, which a search knows.
    pub(super) fn sort_value(&self, key: ProductSort) -> SortValue {
        match key {
            ProductSort::CreatedAt => SortValue::Time(self.created_at),
            ProductSort::Price => SortValue::Integer(self.price.amount),
            ProductSort::Title => SortValue::Text(self.title.clone()),
            ProductSort::Relevance => SortValue::Integer(0),
        }
    }

    pub(super) fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let unreadable = |error| sqlx::Error::Decode(Box::new(error));
        let currency = Currency::parse(row.try_get("currency")?).map_err(unreadable)?;
        Ok(Self {
            product_id: ProductId(row.try_get("product_id")?),
            region_id: RegionId(row.try_get("region_id")?),
            sku: row.try_get("sku")?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            image_url: row.try_get("image_url")?,
            price: Money::new(row.try_get("price")?, currency),
            shop_id: row.try_get::<Option<Uuid>, _>("shop_id")?.map(ShopId),
            category_id: row
                .try_get::<Option<Uuid>, _>("category_id")?
                .map(CategoryId),
            kind: row.try_get("kind")?,
            attributes: row.try_get::<Json<_>, _>("attributes")?.0,
            deleted: row.try_get("deleted")?,
            shop_closed: row.try_get("shop_closed")?,
            stock: StockView {
                available: row.try_get("available")?,
                reserved: row.try_get("reserved")?,
                sold: row.try_get("sold")?,
                threshold: u32::try_from(row.try_get::<i64, _>("threshold")?)
                    .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                sequence: row.try_get("stock_sequence")?,
                updated_at: row.try_get("stock_updated_at")?,
            },
            sequence: row.try_get("sequence")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}
