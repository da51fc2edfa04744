//! Discounts as a read model. A use is counted here as it is in the log, but it is no change: neither the revision nor the
//! time of the last change moves with it.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use domain::{
    discount::{
        Discount, DiscountDetails, DiscountEvent, DiscountRules, DiscountScope, DiscountValue,
    },
    ids::{DiscountId, RegionId, ShopId},
    money::Currency,
    text::{DiscountCode, Title},
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow, types::Json};

use crate::{
    decode::Decoded,
    one_row_each::{AggregateRow, unreadable},
    page::{Page, PageRequest, SortKey, SortKind, SortValue},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// A discount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscountView {
    /// What it is now; its revision is its ETag.
    pub details: DiscountDetails,
    /// How many events it has, uses included.
    pub sequence: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its rules last changed, or it was deleted.
    pub updated_at: DateTime<Utc>,
}

/// Which discounts are listed; all of what is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscountFilter {
    /// Of this region.
    pub region_id: Option<RegionId>,
    /// Of this shop.
    pub shop_id: Option<ShopId>,
    /// With this code.
    pub code: Option<DiscountCode>,
    /// Given by itself, or not.
    pub automatic: Option<bool>,
    /// Given now (begun, not ended, not used up, not deleted), or not.
    pub active: Option<bool>,
    /// Those too that were deleted.
    pub include_deleted: bool,
}

/// What discounts are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscountSort {
    /// When they were made.
    CreatedAt,
    /// Title, by the collation of the database.
    Title,
    /// When they end; those that do not are last.
    EndsAt,
}

impl SortKey for DiscountSort {
    const ALL: &'static [Self] = &[Self::CreatedAt, Self::Title, Self::EndsAt];

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Title => "title",
            Self::EndsAt => "ends_at",
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::CreatedAt => ["created_at", "discount_id"],
            Self::Title => ["title", "discount_id"],
            Self::EndsAt => ["given_until", "discount_id"],
        }
    }

    fn kind(self) -> SortKind {
        match self {
            Self::CreatedAt | Self::EndsAt => SortKind::Time,
            Self::Title => SortKind::Text,
        }
    }
}

/// What `given_until` is where there is no end: the last microsecond of the year 9999.
const NO_END: DateTime<Utc> = match DateTime::from_timestamp_micros(253_402_300_799_999_999) {
    Some(moment) => moment,
    None => DateTime::<Utc>::MAX_UTC,
};

impl ReadModels {
    /// A discount, also when it was deleted.
    pub async fn discount(&self, id: DiscountId) -> Result<Option<DiscountView>, QueryError> {
        self.row(id.0).await
    }

    /// A page of discounts.
    pub async fn discounts(
        &self,
        filter: &DiscountFilter,
        page: &PageRequest<DiscountSort>,
    ) -> Result<Page<DiscountView>, QueryError> {
        let schema = self.schema(View::Discounts).await?;
        let rows = list(&schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let discounts = rows
            .iter()
            .map(DiscountView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(discounts, |discount| {
            (
                discount.sort_value(page.sort.key),
                discount.details.discount_id.0,
            )
        }))
    }
}

/// Whether a discount is given now.
const GIVEN_NOW: &str = "(not d.deleted and not d.used_up and d.given_until > now() \
     and (d.starts_at is null or d.starts_at <= now()))";

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &DiscountFilter,
    page: &PageRequest<DiscountSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(schema.sql("select * from {schema}.discounts d where true"));
    if !filter.include_deleted {
        sql.push(" and not d.deleted");
    }
    if let Some(region_id) = filter.region_id {
        sql.push(" and d.region_id = ").push_bind(region_id.0);
    }
    if let Some(shop_id) = filter.shop_id {
        sql.push(" and d.shop_id = ").push_bind(shop_id.0);
    }
    if let Some(code) = &filter.code {
        sql.push(" and d.code = ").push_bind(code.to_string());
    }
    if let Some(automatic) = filter.automatic {
        let there = if automatic { "is null" } else { "is not null" };
        sql.push(" and d.code ").push(there);
    }
    if let Some(active) = filter.active {
        sql.push(if active { " and " } else { " and not " })
            .push(GIVEN_NOW);
    }
    page.push_to(&mut sql, "d");
    sql
}

impl DiscountView {
    fn sort_value(&self, key: DiscountSort) -> SortValue {
        let rules = &self.details.rules;
        match key {
            DiscountSort::CreatedAt => SortValue::Time(self.created_at),
            DiscountSort::Title => SortValue::Text(rules.title.to_string()),
            DiscountSort::EndsAt => SortValue::Time(rules.ends_at.unwrap_or(NO_END)),
        }
    }

    fn revised(&mut self, at: DateTime<Utc>) {
        self.details.revision = self.details.revision.saturating_add(1);
        self.updated_at = at;
    }
}

impl AggregateRow for DiscountView {
    type Aggregate = Discount;
    const VIEW: View = View::Discounts;
    const KEY: &'static str = "discount_id";

    fn begun(decoded: &Decoded<DiscountEvent>) -> Option<Self> {
        let DiscountEvent::DiscountCreated {
            discount_id: _,
            region_id,
            currency,
            shop_id,
            code,
            rules,
        } = &decoded.event
        else {
            return None;
        };
        Some(Self {
            details: DiscountDetails {
                discount_id: DiscountId(decoded.id),
                region_id: *region_id,
                currency: *currency,
                shop_id: *shop_id,
                code: code.clone(),
                rules: rules.clone(),
                used: 0,
                revision: 1,
                deleted: false,
            },
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }

    fn change(&mut self, decoded: &Decoded<DiscountEvent>) {
        let details = &mut self.details;
        match &decoded.event {
            DiscountEvent::DiscountCreated { .. } => {}
            DiscountEvent::DiscountChanged { rules } => {
                details.rules = rules.clone();
                self.revised(decoded.at);
            }
            DiscountEvent::DiscountDeleted {} => {
                details.deleted = true;
                self.revised(decoded.at);
            }
            DiscountEvent::DiscountUsed { .. } => details.used = details.used.saturating_add(1),
            DiscountEvent::DiscountUseReturned { .. } => {
                details.used = details.used.saturating_sub(1);
            }
        }
        self.sequence = decoded.sequence;
    }

    fn sequence(&self) -> i64 {
        self.sequence
    }

    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let code: Option<&str> = row.try_get("code")?;
        let Json(value) = row.try_get::<Json<DiscountValue>, _>("value")?;
        let Json(scope) = row.try_get::<Json<DiscountScope>, _>("scope")?;
        Ok(Self {
            details: DiscountDetails {
                discount_id: DiscountId(row.try_get("discount_id")?),
                region_id: RegionId(row.try_get("region_id")?),
                currency: Currency::parse(row.try_get("currency")?).map_err(unreadable)?,
                shop_id: row.try_get::<Option<_>, _>("shop_id")?.map(ShopId),
                code: code
                    .map(DiscountCode::parse)
                    .transpose()
                    .map_err(unreadable)?,
                rules: DiscountRules {
                    title: Title::parse(row.try_get("title")?).map_err(unreadable)?,
                    value,
                    scope,
                    minimum: row.try_get("minimum")?,
                    starts_at: row.try_get("starts_at")?,
                    ends_at: row.try_get("ends_at")?,
                    max_uses: limit(row.try_get("max_uses")?)?,
                    max_uses_per_customer: limit(row.try_get("max_uses_per_customer")?)?,
                },
                used: row.try_get::<i64, _>("used")?.unsigned_abs(),
                revision: row.try_get("revision")?,
                deleted: row.try_get("deleted")?,
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
            "insert into {schema}.discounts (discount_id, region_id, currency, shop_id, code, title, value, scope, minimum, \
                starts_at, ends_at, max_uses, max_uses_per_customer, used, revision, deleted, sequence, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
             on conflict (discount_id) do update set title = excluded.title, value = excluded.value, \
             scope = excluded.scope, minimum = excluded.minimum, starts_at = excluded.starts_at, \
             ends_at = excluded.ends_at, max_uses = excluded.max_uses, \
             max_uses_per_customer = excluded.max_uses_per_customer, used = excluded.used, \
             revision = excluded.revision, deleted = excluded.deleted, sequence = excluded.sequence, \
             updated_at = excluded.updated_at",
        );
        let (details, rules) = (&self.details, &self.details.rules);
        let uses = |limit: Option<NonZeroU32>| limit.map(|limit| i64::from(limit.get()));
        sqlx::query(&sql)
            .bind(details.discount_id.0)
            .bind(details.region_id.0)
            .bind(details.currency.code())
            .bind(details.shop_id.map(|id| id.0))
            .bind(details.code.as_ref().map(DiscountCode::as_str))
            .bind(rules.title.as_str())
            .bind(Json(rules.value))
            .bind(Json(&rules.scope))
            .bind(rules.minimum)
            .bind(rules.starts_at)
            .bind(rules.ends_at)
            .bind(uses(rules.max_uses))
            .bind(uses(rules.max_uses_per_customer))
            .bind(i64::try_from(details.used).unwrap_or(i64::MAX))
            .bind(details.revision)
            .bind(details.deleted)
            .bind(self.sequence)
            .bind(self.created_at)
            .bind(self.updated_at)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// How often something may be used; rows are only ever written by us.
fn limit(uses: Option<i64>) -> Result<Option<NonZeroU32>, sqlx::Error> {
    uses.map(|uses| u32::try_from(uses).and_then(NonZeroU32::try_from))
        .transpose()
        .map_err(unreadable)
}
