//! Rows of the stock: how events change them, and how they are read and written.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::inventory::{InventoryEvent, LOW_STOCK};
use eventstore::subscription::HandleError;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::{decode::Decoded, views::Schema};

/// A row of `stock`; no pieces before the first event.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct StockRow {
    pub(super) available: i64,
    pub(super) reserved: i64,
    pub(super) sold: i64,
    /// From how many pieces down the stock is low.
    pub(super) threshold: i64,
    pub(super) sequence: i64,
    pub(super) updated_at: Option<DateTime<Utc>>,
}

impl Default for StockRow {
    fn default() -> Self {
        Self {
            available: 0,
            reserved: 0,
            sold: 0,
            threshold: LOW_STOCK.into(),
            sequence: 0,
            updated_at: None,
        }
    }
}

impl StockRow {
    /// Takes the event that is next; one that was taken before changes nothing, so what is not in the event as a
    /// result (reserved, sold) is counted once.
    pub(super) fn take(&mut self, decoded: &Decoded<InventoryEvent>) {
        if decoded.sequence <= self.sequence {
            return;
        }
        match &decoded.event {
            InventoryEvent::StockReceived { available, .. }
            | InventoryEvent::StockAdjusted { available, .. }
            | InventoryEvent::StockOversold { available, .. }
            | InventoryEvent::StockRanLow { available, .. }
            | InventoryEvent::StockRecovered { available, .. } => self.available = *available,
            InventoryEvent::LowStockThresholdSet { threshold, .. } => {
                self.threshold = (*threshold).into();
            }
            InventoryEvent::StockReserved {
                quantity,
                available,
                ..
            } => {
                self.available = *available;
                self.reserved = self.reserved.saturating_add((*quantity).into());
            }
            InventoryEvent::StockReleased {
                quantity,
                available,
                ..
            } => {
                self.available = *available;
                self.reserved = self.reserved.saturating_sub((*quantity).into());
            }
            InventoryEvent::StockSold { quantity, .. } => {
                self.reserved = self.reserved.saturating_sub((*quantity).into());
                self.sold = self.sold.saturating_add((*quantity).into());
            }
            InventoryEvent::StockReturned {
                quantity,
                available,
                ..
            } => {
                self.available = *available;
                self.sold = self.sold.saturating_sub((*quantity).into());
            }
        }
        self.sequence = decoded.sequence;
        self.updated_at = Some(decoded.at);
    }
}

/// Those of the products that have a row.
pub(super) async fn load(
    schema: &Schema,
    ids: &[Uuid],
    tx: &mut PgConnection,
) -> Result<HashMap<Uuid, StockRow>, HandleError> {
    #[derive(FromRow)]
    struct Keyed {
        product_id: Uuid,
        #[sqlx(flatten)]
        row: StockRow,
    }
    let sql = format!(
        "select product_id, available, reserved, sold, threshold, sequence, updated_at from {schema}.stock \
         where product_id = any($1)"
    );
    let rows: Vec<Keyed> = sqlx::query_as(&sql).bind(ids).fetch_all(tx).await?;
    Ok(rows
        .into_iter()
        .map(|keyed| (keyed.product_id, keyed.row))
        .collect())
}

/// Writes the rows of these products as they are now.
pub(super) async fn store(
    schema: &Schema,
    ids: &[Uuid],
    rows: &HashMap<Uuid, StockRow>,
    tx: &mut PgConnection,
) -> Result<(), HandleError> {
    let sql = schema.sql(
        "insert into {schema}.stock (product_id, available, reserved, sold, threshold, sequence, updated_at) \
         select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], \
                $7::timestamptz[]) \
         on conflict (product_id) do update \
         set available = excluded.available, reserved = excluded.reserved, sold = excluded.sold, \
             threshold = excluded.threshold, sequence = excluded.sequence, updated_at = excluded.updated_at",
    );
    let rows = || ids.iter().filter_map(|id| rows.get(id));
    sqlx::query(&sql)
        .bind(ids)
        .bind(rows().map(|row| row.available).collect::<Vec<_>>())
        .bind(rows().map(|row| row.reserved).collect::<Vec<_>>())
        .bind(rows().map(|row| row.sold).collect::<Vec<_>>())
        .bind(rows().map(|row| row.threshold).collect::<Vec<_>>())
        .bind(rows().map(|row| row.sequence).collect::<Vec<_>>())
        .bind(rows().map(|row| row.updated_at).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Gives products without inventory events a row, so that every product has one to be filtered by.
pub(super) async fn make_missing(
    schema: &Schema,
    ids: &[Uuid],
    tx: &mut PgConnection,
) -> Result<(), HandleError> {
    let sql = schema.sql(
        "insert into {schema}.stock (product_id, available, reserved, sold, threshold, sequence) \
         select product_id, 0, 0, 0, $2, 0 from unnest($1::uuid[]) as created (product_id) \
         on conflict (product_id) do nothing",
    );
    sqlx::query(&sql)
        .bind(ids)
        .bind(i64::from(LOW_STOCK))
        .execute(tx)
        .await?;
    Ok(())
}
