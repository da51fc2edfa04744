//! Shops as a read model.

use chrono::{DateTime, Utc};
use domain::{
    ids::{ShopId, UserId},
    shop::{Shop, ShopDetails, ShopEvent, ShopStatus},
    text::{Description, Title},
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow};

use crate::{
    decode::Decoded,
    one_row_each::{AggregateRow, unreadable},
    page::{Page, PageRequest, SortKey, SortKind, SortValue},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// A shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopView {
    /// What it is now.
    pub details: ShopDetails,
    /// How many events it has: its ETag.
    pub sequence: i64,
    /// When it was asked for or opened.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which shops are listed; all of what is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShopFilter {
    /// Of this seller.
    pub owner_id: Option<UserId>,
    /// In this status.
    pub status: Option<ShopStatus>,
}

/// What shops are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShopSort {
    /// When they were asked for or opened.
    CreatedAt,
    /// Title, by the collation of the database.
    Title,
}

impl SortKey for ShopSort {
    const ALL: &'static [Self] = &[Self::CreatedAt, Self::Title];

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Title => "title",
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::CreatedAt => ["created_at", "shop_id"],
            Self::Title => ["title", "shop_id"],
        }
    }

    fn kind(self) -> SortKind {
        match self {
            Self::CreatedAt => SortKind::Time,
            Self::Title => SortKind::Text,
        }
    }
}

impl ReadModels {
    /// A shop, in whatever status.
    pub async fn shop(&self, id: ShopId) -> Result<Option<ShopView>, QueryError> {
        self.row(id.0).await
    }

    /// A page of shops.
    pub async fn shops(
        &self,
        filter: &ShopFilter,
        page: &PageRequest<ShopSort>,
    ) -> Result<Page<ShopView>, QueryError> {
        let schema = self.schema(View::Shops).await?;
        let rows = list(&schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let shops = rows
            .iter()
            .map(ShopView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(shops, |shop| {
            (shop.sort_value(page.sort.key), shop.details.shop_id.0)
        }))
    }
}

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &ShopFilter,
    page: &PageRequest<ShopSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(schema.sql("select * from {schema}.shops s where true"));
    if let Some(owner_id) = filter.owner_id {
        sql.push(" and s.owner_id = ").push_bind(owner_id.0);
    }
    if let Some(status) = filter.status {
        sql.push(" and s.status = ").push_bind(status.as_str());
    }
    page.push_to(&mut sql, "s");
    sql
}

impl ShopView {
    fn sort_value(&self, key: ShopSort) -> SortValue {
        match key {
            ShopSort::CreatedAt => SortValue::Time(self.created_at),
            ShopSort::Title => SortValue::Text(self.details.title.to_string()),
        }
    }
}

impl AggregateRow for ShopView {
    type Aggregate = Shop;
    const VIEW: View = View::Shops;
    const KEY: &'static str = "shop_id";

    fn begun(decoded: &Decoded<ShopEvent>) -> Option<Self> {
        let (owner_id, title, description, status) = match &decoded.event {
            ShopEvent::ShopRequested {
                shop_id: _,
                owner_id,
                title,
                description,
            } => (owner_id, title, description, ShopStatus::Requested),
            ShopEvent::ShopOpened {
                shop_id: _,
                owner_id,
                title,
                description,
            } => (owner_id, title, description, ShopStatus::Open),
            ShopEvent::ShopDetailsChanged { .. } | ShopEvent::ShopClosed {} => return None,
        };
        Some(Self {
            details: ShopDetails {
                shop_id: ShopId(decoded.id),
                owner_id: *owner_id,
                title: title.clone(),
                description: description.clone(),
                status,
            },
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }

    fn change(&mut self, decoded: &Decoded<ShopEvent>) {
        let details = &mut self.details;
        match &decoded.event {
            ShopEvent::ShopRequested { .. } => {}
            ShopEvent::ShopOpened { .. } => details.status = ShopStatus::Open,
            ShopEvent::ShopDetailsChanged { title, description } => {
                details.title = title.clone();
                details.description = description.clone();
            }
            ShopEvent::ShopClosed {} => details.status = ShopStatus::Closed,
        }
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
    }

    fn sequence(&self) -> i64 {
        self.sequence
    }

    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            details: ShopDetails {
                shop_id: ShopId(row.try_get("shop_id")?),
                owner_id: UserId(row.try_get("owner_id")?),
                title: Title::parse(row.try_get("title")?).map_err(unreadable)?,
                description: Description::parse(row.try_get("description")?).map_err(unreadable)?,
                status: row
                    .try_get::<&str, _>("status")?
                    .parse()
                    .map_err(unreadable)?,
            },
            sequence: row.try_get("sequence")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    async fn store(
        &self,
        schema: &Schema,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        let sql = schema.sql(
            "insert into {schema}.shops (shop_id, owner_id, title, description, status, sequence, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) \
             on conflict (shop_id) do update set title = excluded.title, description = excluded.description, \
             status = excluded.status, sequence = excluded.sequence, updated_at = excluded.updated_at",
        );
        let details = &self.details;
        sqlx::query(&sql)
            .bind(details.shop_id.0)
            .bind(details.owner_id.0)
            .bind(details.title.as_str())
            .bind(details.description.as_str())
            .bind(details.status.as_str())
            .bind(self.sequence)
            .bind(self.created_at)
            .bind(self.updated_at)
            .execute(connection)
            .await?;
        Ok(())
    }
}
