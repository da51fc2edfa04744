//! Regions as a read model: the markets, with their currency and tax. Few rows, so lists are whole.

mod fold;

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{
    ids::RegionId,
    money::{Currency, TaxRate},
    region::{Region, RegionDetails, RegionEvent},
    text::{CountryCode, Title},
};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

pub(crate) use self::fold::RegionsFold;
use crate::{
    decode::{Decoded, decode_all},
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

const COLUMNS: &str = "region_id, title, country, currency, tax_rate, prices_include_tax, \
     default_for_currency, enabled, sequence, created_at, updated_at";

impl RegionView {
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
            },
            sequence: row.try_get("sequence")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

impl ReadModels {
    /// A region, also when it is disabled.
    pub async fn region(&self, id: RegionId) -> Result<Option<RegionView>, QueryError> {
        let schema = self.schema(View::Regions).await?;
        let sql = format!("select {COLUMNS} from {schema}.regions where region_id = $1");
        let row = sqlx::query(&sql)
            .bind(id.0)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.as_ref().map(RegionView::from_row).transpose()?)
    }

    /// All regions by title, the disabled ones too.
    pub async fn regions(&self) -> Result<Vec<RegionView>, QueryError> {
        let schema = self.schema(View::Regions).await?;
        let sql = format!("select {COLUMNS} from {schema}.regions order by title, region_id");
        let rows = sqlx::query(&sql).fetch_all(self.pool()).await?;
        Ok(rows
            .iter()
            .map(RegionView::from_row)
            .collect::<Result<_, _>>()?)
    }
}

/// Projects the regions.
pub struct RegionsProjector {
    schema: Schema,
}

impl RegionsProjector {
    /// Into the schema of this version.
    pub fn new() -> Self {
        Self::within(View::Regions.schema())
    }

    /// Into this schema.
    pub(crate) fn within(schema: Schema) -> Self {
        Self { schema }
    }

    async fn load(
        &self,
        ids: &[Uuid],
        tx: &mut PgConnection,
    ) -> Result<HashMap<Uuid, RegionView>, HandleError> {
        let sql = format!(
            "select {COLUMNS} from {}.regions where region_id = any($1)",
            self.schema
        );
        let rows = sqlx::query(&sql).bind(ids).fetch_all(tx).await?;
        let regions = rows
            .iter()
            .map(|row| Ok((row.try_get("region_id")?, RegionView::from_row(row)?)));
        Ok(regions.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Regions change a few times a year: one statement each is enough.
    async fn store(&self, region: &RegionView, tx: &mut PgConnection) -> Result<(), HandleError> {
        let sql = format!(
            "insert into {}.regions ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             on conflict (region_id) do update set title = excluded.title, country = excluded.country, \
             tax_rate = excluded.tax_rate, prices_include_tax = excluded.prices_include_tax, \
             default_for_currency = excluded.default_for_currency, enabled = excluded.enabled, \
             sequence = excluded.sequence, updated_at = excluded.updated_at",
            self.schema
        );
        let details = &region.details;
        sqlx::query(&sql)
            .bind(details.region_id.0)
            .bind(details.title.as_str())
            .bind(details.country.as_str())
            .bind(details.currency.code())
            .bind(details.tax_rate.basis_points() as i32)
            .bind(details.prices_include_tax)
            .bind(details.default_for_currency)
            .bind(details.enabled)
            .bind(region.sequence)
            .bind(region.created_at)
            .bind(region.updated_at)
            .execute(tx)
            .await?;
        Ok(())
    }
}

impl Default for RegionsProjector {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriber for RegionsProjector {
    fn name(&self) -> &str {
        self.schema.as_str()
    }

    fn reads(&self) -> &'static [&'static str] {
        View::Regions.reads()
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<Region>(events.iter().map(|event| &**event))?;
        let ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        let mut regions = self.load(&ids, tx).await?;
        for event in &decoded {
            fold(&mut regions, event);
        }
        for region in regions.values() {
            self.store(region, tx).await?;
        }
        Ok(())
    }
}

/// Takes an event into its row. One without a beginning (an operator gave up on it) has no row to change.
fn fold(regions: &mut HashMap<Uuid, RegionView>, decoded: &Decoded<RegionEvent>) {
    match regions.get_mut(&decoded.id) {
        Some(region) => region.take(decoded),
        None => regions.extend(RegionView::opened(decoded).map(|region| (decoded.id, region))),
    }
}

impl RegionView {
    /// Takes the event that is next; one that was taken before changes nothing.
    fn take(&mut self, decoded: &Decoded<RegionEvent>) {
        if decoded.sequence <= self.sequence {
            return;
        }
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
        }
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
    }

    /// The row that `RegionOpened` makes; nothing from any other event.
    fn opened(decoded: &Decoded<RegionEvent>) -> Option<Self> {
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
            },
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }
}
