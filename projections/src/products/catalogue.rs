//! Rows of the catalogue: how events change them, and how they are read and written.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::product::ProductEvent;
use eventstore::subscription::HandleError;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::{decode::Decoded, views::Schema};

/// A row of `products`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct ProductRow {
    pub(super) product_id: Uuid,
    pub(super) region_id: Uuid,
    pub(super) sku: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) image_url: Option<String>,
    pub(super) price: i64,
    pub(super) currency: String,
    pub(super) deleted: bool,
    pub(super) sequence: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl ProductRow {
    /// The row that `ProductCreated` makes; nothing from any other event.
    pub(super) fn created(decoded: &Decoded<ProductEvent>) -> Option<Self> {
        let ProductEvent::ProductCreated {
            product_id: _,
            region_id,
            sku,
            title,
            description,
            image_url,
            price,
        } = &decoded.event
        else {
            return None;
        };
        Some(Self {
            product_id: decoded.id,
            region_id: region_id.0,
            sku: sku.to_string(),
            title: title.to_string(),
            description: description.to_string(),
            image_url: image_url.as_ref().map(ToString::to_string),
            price: price.amount,
            currency: price.currency.code().to_owned(),
            deleted: false,
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }

    /// Takes the event that is next; one that was taken before changes nothing.
    pub(super) fn take(&mut self, decoded: &Decoded<ProductEvent>) {
        if decoded.sequence <= self.sequence {
            return;
        }
        match &decoded.event {
            ProductEvent::ProductCreated { .. } => {}
            ProductEvent::ProductDetailsChanged {
                title,
                description,
                image_url,
            } => {
                self.title = title.to_string();
                self.description = description.to_string();
                self.image_url = image_url.as_ref().map(ToString::to_string);
            }
            ProductEvent::ProductPriceChanged { price, previous: _ } => self.price = price.amount,
            ProductEvent::ProductDeleted {} => self.deleted = true,
        }
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
    }
}

/// Those of the products that have a row.
pub(super) async fn load(
    schema: &Schema,
    ids: &[Uuid],
    tx: &mut PgConnection,
) -> Result<HashMap<Uuid, ProductRow>, HandleError> {
    let sql = format!("select * from {schema}.products where product_id = any($1)");
    let rows: Vec<ProductRow> = sqlx::query_as(&sql).bind(ids).fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.product_id, row)).collect())
}

/// Writes the rows as they are now.
pub(super) async fn store(
    schema: &Schema,
    rows: &HashMap<Uuid, ProductRow>,
    tx: &mut PgConnection,
) -> Result<(), HandleError> {
    let sql = schema.sql(
        "insert into {schema}.products (product_id, region_id, sku, title, description, image_url, price, currency, \
                deleted, sequence, created_at, updated_at) \
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
                $8::text[], $9::bool[], $10::bigint[], $11::timestamptz[], $12::timestamptz[]) \
         on conflict (product_id) do update \
         set title = excluded.title, description = excluded.description, image_url = excluded.image_url, \
             price = excluded.price, deleted = excluded.deleted, sequence = excluded.sequence, \
             updated_at = excluded.updated_at",
    );
    let rows = || rows.values();
    sqlx::query(&sql)
        .bind(rows().map(|row| row.product_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.region_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.sku.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.title.as_str()).collect::<Vec<_>>())
        .bind(
            rows()
                .map(|row| row.description.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows()
                .map(|row| row.image_url.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(rows().map(|row| row.price).collect::<Vec<_>>())
        .bind(rows().map(|row| row.currency.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.deleted).collect::<Vec<_>>())
        .bind(rows().map(|row| row.sequence).collect::<Vec<_>>())
        .bind(rows().map(|row| row.created_at).collect::<Vec<_>>())
        .bind(rows().map(|row| row.updated_at).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}
