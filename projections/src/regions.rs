//! Regions as a read model: the markets, with their currency and tax.

use chrono::{DateTime, Utc};
use domain::{
    ids::RegionId,
    money::{Currency, TaxRate},
    region::{Region, RegionDetails, RegionEvent},
    text::{CountryCode, Title},
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow};

use crate::{
    decode::Decoded,
    one_row_each::{AggregateRow, unreadable},
    page::{Page, PageRequest, SortKey, SortKind, SortValue},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// A region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionView {
    /// What it is now.
    pub details: RegionDetails,
    /// How many events it has: its ETag.
    pub sequence: i64,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which regions are listed: none that was deleted, and of the others those that fit all of what is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionFilter {
    /// With prices in this currency.
    pub currency: Option<Currency>,
    /// Open for orders and products, or not.
    pub enabled: Option<bool>,
}

/// What regions are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionSort {
    /// Title, by the collation of the database.
    Title,
    /// When they were opened.
    CreatedAt,
}

impl SortKey for RegionSort {
    const ALL: &'static [Self] = &[Self::Title, Self::CreatedAt];

    fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::CreatedAt => "created_at",
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::Title => ["title", "region_id"],
            Self::CreatedAt => ["created_at", "region_id"],
        }
    }

    fn kind(self) -> SortKind {
        match self {
            Self::Title => SortKind::Text,
            Self::CreatedAt => SortKind::Time,
        }
    }
}

impl ReadModels {
    /// A region, also when it is disabled or was deleted.
    pub async fn region(&self, id: RegionId) -> Result<Option<RegionView>, QueryError> {
        self.row(id.0).await
    }

    /// A page of regions.
    pub async fn regions(
        &self,
        filter: &RegionFilter,
        page: &PageRequest<RegionSort>,
    ) -> Result<Page<RegionView>, QueryError> {
        let schema = self.schema(View::Regions).await?;
        let rows = list(&schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let regions = rows
            .iter()
            .map(RegionView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(regions, |region| {
            (region.sort_value(page.sort.key), region.details.region_id.0)
        }))
    }
}

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &RegionFilter,
    page: &PageRequest<RegionSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql =
        QueryBuilder::new(schema.sql("select * from {schema}.regions r where not r.deleted"));
    if let Some(currency) = filter.currency {
        sql.push(" and r.currency = ").push_bind(currency.code());
    }
    if let Some(enabled) = filter.enabled {
        sql.push(if enabled {
            " and r.enabled"
        } else {
            " and not r.enabled"
        });
    }
    page.push_to(&mut sql, "r");
    sql
}

impl RegionView {
    fn sort_value(&self, key: RegionSort) -> SortValue {
        match key {
            RegionSort::Title => SortValue::Text(self.details.title.to_string()),
            RegionSort::CreatedAt => SortValue::Time(self.created_at),
        }
    }
}

impl AggregateRow for RegionView {
    type Aggregate = Region;
    const VIEW: View = View::Regions;
    const KEY: &'static str = "region_id";

    fn begun(decoded: &Decoded<RegionEvent>) -> Option<Self> {
        let RegionEvent::RegionOpened {
            region_id: _,
            title,
            country,
            currency,
            tax_rate,
            prices_include_tax,
            default_for_currency,
        } = &decoded.event
        else {
            return None;
        };
        Some(Self {
            details: RegionDetails {
                region_id: RegionId(decoded.id),
                title: title.clone(),
                country: country.clone(),
                currency: *currency,
                tax_rate: *tax_rate,
                prices_include_tax: *prices_include_tax,
                default_for_currency: *default_for_currency,
                enabled: true,
                deleted: false,
            },
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }

    fn change(&mut self, decoded: &Decoded<RegionEvent>) {
        let details = &mut self.details;
        match &decoded.event {
            RegionEvent::RegionOpened { .. } => {}
            RegionEvent::RegionChanged {
                title,
                country,
                tax_rate,
                prices_include_tax,
                default_for_currency,
            } => {
                details.title = title.clone();
                details.country = country.clone();
                details.tax_rate = *tax_rate;
                details.prices_include_tax = *prices_include_tax;
                details.default_for_currency = *default_for_currency;
            }
            RegionEvent::RegionDisabled {} => details.enabled = false,
            RegionEvent::RegionEnabled {} => details.enabled = true,
            RegionEvent::RegionDeleted {} => {
                details.deleted = true;
                details.enabled = false;
                details.default_for_currency = false;
            }
        }
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
    }

    fn sequence(&self) -> i64 {
        self.sequence
    }

    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let tax_rate = u32::try_from(row.try_get::<i32, _>("tax_rate")?).map_err(unreadable)?;
        Ok(Self {
            details: RegionDetails {
                region_id: RegionId(row.try_get("region_id")?),
                title: Title::parse(row.try_get("title")?).map_err(unreadable)?,
                country: CountryCode::parse(row.try_get("country")?).map_err(unreadable)?,
                currency: Currency::parse(row.try_get("currency")?).map_err(unreadable)?,
                tax_rate: TaxRate::from_basis_points(tax_rate).map_err(unreadable)?,
                prices_include_tax: row.try_get("prices_include_tax")?,
                default_for_currency: row.try_get("default_for_currency")?,
                enabled: row.try_get("enabled")?,
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
            "insert into {schema}.regions (region_id, title, country, currency, tax_rate, prices_include_tax, \
                default_for_currency, enabled, deleted, sequence, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             on conflict (region_id) do update set title = excluded.title, country = excluded.country, \
             tax_rate = excluded.tax_rate, prices_include_tax = excluded.prices_include_tax, \
             default_for_currency = excluded.default_for_currency, enabled = excluded.enabled, \
             deleted = excluded.deleted, \
             sequence = excluded.sequence, updated_at = excluded.updated_at",
        );
        let details = &self.details;
        sqlx::query(&sql)
            .bind(details.region_id.0)
            .bind(details.title.as_str())
            .bind(details.country.as_str())
            .bind(details.currency.code())
            .bind(details.tax_rate.basis_points() as i32)
            .bind(details.prices_include_tax)
            .bind(details.default_for_currency)
            .bind(details.enabled)
            .bind(details.deleted)
            .bind(self.sequence)
            .bind(self.created_at)
            .bind(self.updated_at)
            .execute(connection)
            .await?;
        Ok(())
    }
}
