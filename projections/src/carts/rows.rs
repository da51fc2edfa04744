//! Rows of carts: how events change them, how they are read and written, and how they are rebuilt.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{
    cart::{Cart, CartCode, CartEvent, CartItem},
    ids::{CartId, RegionId, UserId},
};
use eventstore::subscription::HandleError;
use sqlx::{FromRow, PgConnection, types::Json};
use uuid::Uuid;

use super::CartView;
use crate::{
    decode::{Decoded, EventRef, decode},
    rebuild::{Closed, CopyRows, Fold, Row, Rows, Writer},
    views::Schema,
};

/// A row of `carts`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct CartRow {
    cart_id: Uuid,
    customer_id: Uuid,
    region_id: Uuid,
    products: i32,
    pieces: i64,
    items: Json<Vec<CartItem>>,
    codes: Json<Vec<CartCode>>,
    sequence: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<CartRow> for CartView {
    fn from(row: CartRow) -> Self {
        Self {
            cart_id: CartId(row.cart_id),
            customer_id: UserId(row.customer_id),
            region_id: RegionId(row.region_id),
            items: row.items.0,
            products: row.products.into(),
            pieces: row.pieces,
            codes: row.codes.0,
            sequence: row.sequence,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl CartRow {
    /// The row that `CartOpened` makes; nothing from any other event.
    pub(super) fn opened(decoded: &Decoded<CartEvent>) -> Option<Self> {
        let CartEvent::CartOpened {
            customer_id,
            region_id,
        } = &decoded.event
        else {
            return None;
        };
        Some(Self {
            cart_id: decoded.id,
            customer_id: customer_id.0,
            region_id: region_id.0,
            products: 0,
            pieces: 0,
            items: Json::default(),
            codes: Json::default(),
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }

    /// Takes the event that is next; one that was taken before changes nothing.
    pub(super) fn take(&mut self, decoded: &Decoded<CartEvent>) {
        if decoded.sequence <= self.sequence {
            return;
        }
        match &decoded.event {
            CartEvent::CartOpened { .. } => {}
            CartEvent::CartItemPut {
                product_id,
                quantity,
                unit_price,
            } => self.put(CartItem {
                product_id: *product_id,
                quantity: *quantity,
                unit_price: *unit_price,
            }),
            CartEvent::CartItemRemoved { product_id } => {
                self.items.0.retain(|item| item.product_id != *product_id);
            }
            CartEvent::CartCodesSet { codes } => self.codes.0.clone_from(codes),
            CartEvent::CartCleared {} | CartEvent::CartCheckedOut { .. } => {
                self.items.0.clear();
                self.codes.0.clear();
            }
        }
        let items = &self.items.0;
        // cannot be cut off: a cart holds no more products than an order has lines
        self.products = items.len() as i32;
        self.pieces = items.iter().map(|item| i64::from(item.quantity)).sum();
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
    }

    fn put(&mut self, item: CartItem) {
        let items = &mut self.items.0;
        match items
            .iter_mut()
            .find(|there| there.product_id == item.product_id)
        {
            Some(there) => *there = item,
            None => items.push(item),
        }
    }
}

/// Those of the carts that have a row.
pub(super) async fn load(
    schema: &Schema,
    ids: &[Uuid],
    tx: &mut PgConnection,
) -> Result<HashMap<Uuid, CartRow>, HandleError> {
    let sql = format!("select * from {schema}.carts where cart_id = any($1)");
    let rows: Vec<CartRow> = sqlx::query_as(&sql).bind(ids).fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.cart_id, row)).collect())
}

/// Writes the rows as they are now.
pub(super) async fn store(
    schema: &Schema,
    rows: &HashMap<Uuid, CartRow>,
    tx: &mut PgConnection,
) -> Result<(), HandleError> {
    let sql = schema.sql(
        "insert into {schema}.carts (cart_id, customer_id, region_id, products, pieces, items, codes, sequence, \
                created_at, updated_at) \
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::bigint[], $6::jsonb[], $7::jsonb[], \
                $8::bigint[], $9::timestamptz[], $10::timestamptz[]) \
         on conflict (cart_id) do update \
         set products = excluded.products, pieces = excluded.pieces, items = excluded.items, codes = excluded.codes, \
             sequence = excluded.sequence, updated_at = excluded.updated_at",
    );
    let rows = || rows.values();
    sqlx::query(&sql)
        .bind(rows().map(|row| row.cart_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.customer_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.region_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.products).collect::<Vec<_>>())
        .bind(rows().map(|row| row.pieces).collect::<Vec<_>>())
        .bind(rows().map(|row| &row.items).collect::<Vec<_>>())
        .bind(rows().map(|row| &row.codes).collect::<Vec<_>>())
        .bind(rows().map(|row| row.sequence).collect::<Vec<_>>())
        .bind(rows().map(|row| row.created_at).collect::<Vec<_>>())
        .bind(rows().map(|row| row.updated_at).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Rebuilds the carts: rows are folded in memory first.
pub(crate) struct CartsFold {
    carts: Rows<CartRow>,
}

impl Fold for CartsFold {
    type Event = Decoded<CartEvent>;

    fn new(schema: &Schema, limit: usize) -> Self {
        Self {
            carts: Rows::new(schema, limit),
        }
    }

    fn decode(event: &EventRef<'_>) -> Result<Self::Event, HandleError> {
        decode::<Cart>(event)
    }

    fn take(&mut self, events: Vec<Self::Event>, writer: &Writer) -> Result<(), Closed> {
        self.carts
            .fetch(events.iter().map(|event| event.id), writer)?;
        for event in &events {
            if let Some(row) = self.carts.get_mut(event.id) {
                row.take(event);
            } else if let Some(row) = CartRow::opened(event) {
                self.carts.insert(event.id, row);
            }
        }
        self.carts.shrink(writer)
    }

    fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        self.carts.finish(writer)
    }
}

impl Row for CartRow {
    const TABLE: &'static str = "carts";
    const COLUMNS: &'static str = "cart_id, customer_id, region_id, products, pieces, items, codes, sequence, \
         created_at, updated_at";

    fn push(&self, id: Uuid, rows: &mut CopyRows) {
        rows.push(&[
            &id,
            &self.customer_id,
            &self.region_id,
            &self.products,
            &self.pieces,
            &self.items,
            &self.codes,
            &self.sequence,
            &self.created_at,
            &self.updated_at,
        ]);
    }

    async fn load(
        schema: &Schema,
        ids: &[Uuid],
        connection: &mut PgConnection,
    ) -> Result<HashMap<Uuid, Self>, HandleError> {
        load(schema, ids, connection).await
    }

    async fn update(
        schema: &Schema,
        rows: &HashMap<Uuid, Self>,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        store(schema, rows, connection).await
    }
}
