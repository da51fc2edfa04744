//! Rows of the catalogue: how events change them, what they are found by, and how they are read and written.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::{kinds::AttributeValue, product::ProductEvent};
use eventstore::subscription::HandleError;
use sqlx::{FromRow, PgConnection, types::Json};
use uuid::Uuid;

use super::words::{Weight, WordVector};
use crate::{decode::Decoded, views::Schema};

/// What is told of a product beside its kind, by name.
pub(super) type Attributes = BTreeMap<String, AttributeValue>;

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
    pub(super) shop_id: Option<Uuid>,
    pub(super) category_id: Option<Uuid>,
    pub(super) kind: Option<String>,
    pub(super) attributes: Json<Attributes>,
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
            shop_id: None,
            category_id: None,
            kind: None,
            attributes: Json::default(),
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
            ProductEvent::ProductOfferedByShop { shop_id } => self.shop_id = Some(shop_id.0),
            ProductEvent::ProductCategorised { category_id } => {
                self.category_id = category_id.map(|id| id.0);
            }
            ProductEvent::ProductSpecified { specification } => {
                let specification = specification.as_ref();
                self.kind = specification.map(|of| of.kind().to_string());
                let attributes = specification.map(|of| of.attributes().clone());
                self.attributes = Json(attributes.unwrap_or_default());
            }
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

/// What a product is found by: follows from the row.
pub(super) struct FoundBy {
    /// The title's words.
    pub(super) title_words: WordVector,
    /// The words of all that is told of it.
    pub(super) words: WordVector,
}

impl ProductRow {
    /// See [`FoundBy`].
    pub(super) fn found_by(&self) -> FoundBy {
        let mut title_words = WordVector::default();
        title_words.add(&self.title, Weight::Most);
        let mut all = title_words.clone();
        all.add(&self.sku, Weight::Much);
        if let Some(kind) = &self.kind {
            all.add(kind, Weight::Little);
        }
        for value in self.attributes.values() {
            if let AttributeValue::Text(text) = value {
                all.add(text.as_str(), Weight::Little);
            }
        }
        all.add(&self.description, Weight::Least);
        FoundBy {
            title_words,
            words: all,
        }
    }
}

/// Those of the products that have a row.
pub(super) async fn load(
    schema: &Schema,
    ids: &[Uuid],
    tx: &mut PgConnection,
) -> Result<HashMap<Uuid, ProductRow>, HandleError> {
    let sql = schema.sql(
        "select product_id, region_id, sku, title, description, image_url, price, currency, shop_id, category_id, kind, \
                attributes, deleted, sequence, created_at, updated_at \
         from {schema}.products where product_id = any($1)",
    );
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
                shop_id, category_id, kind, attributes, deleted, sequence, created_at, updated_at, title_words, words) \
         select product_id, region_id, sku, title, description, image_url, price, currency, shop_id, category_id, kind, \
                attributes, deleted, sequence, created_at, updated_at, title_words::tsvector, words::tsvector \
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
                $8::text[], $9::uuid[], $10::uuid[], $11::text[], $12::jsonb[], $13::bool[], $14::bigint[], \
                $15::timestamptz[], $16::timestamptz[], $17::text[], $18::text[]) \
              as told (product_id, region_id, sku, title, description, image_url, price, currency, shop_id, category_id, \
                kind, attributes, deleted, sequence, created_at, updated_at, title_words, words) \
         on conflict (product_id) do update \
         set title = excluded.title, description = excluded.description, image_url = excluded.image_url, \
             price = excluded.price, shop_id = excluded.shop_id, category_id = excluded.category_id, \
             kind = excluded.kind, attributes = excluded.attributes, deleted = excluded.deleted, sequence = excluded.sequence, \
             updated_at = excluded.updated_at, title_words = excluded.title_words, words = excluded.words",
    );
    let found_by: Vec<FoundBy> = rows.values().map(ProductRow::found_by).collect();
    let vectors = |of: fn(&FoundBy) -> &WordVector| -> Vec<String> {
        found_by.iter().map(|row| of(row).to_string()).collect()
    };
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
        .bind(rows().map(|row| row.shop_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.category_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.kind.as_deref()).collect::<Vec<_>>())
        .bind(rows().map(|row| &row.attributes).collect::<Vec<_>>())
        .bind(rows().map(|row| row.deleted).collect::<Vec<_>>())
        .bind(rows().map(|row| row.sequence).collect::<Vec<_>>())
        .bind(rows().map(|row| row.created_at).collect::<Vec<_>>())
        .bind(rows().map(|row| row.updated_at).collect::<Vec<_>>())
        .bind(vectors(|row| &row.title_words))
        .bind(vectors(|row| &row.words))
        .execute(tx)
        .await?;
    Ok(())
}
