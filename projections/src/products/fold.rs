//! Rebuilds the catalogue and the stock: both tables are folded in memory first. The words of
//! titles are counted, and what is of closed shops is hidden, last.

use std::collections::HashMap;

use domain::{
    inventory::{Inventory, InventoryEvent},
    product::{self, Product, ProductEvent},
    shop::{self, Shop},
};
use eventstore::subscription::HandleError;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    catalogue::{self, ProductRow},
    closed_shops,
    stock::{self, StockRow},
    vocabulary,
};
use crate::{
    decode::{Decoded, EventRef, decode},
    rebuild::{Closed, CopyRows, Fold, Row, Rows, Writer},
    views::Schema,
};

/// See the module.
pub(crate) struct ProductsFold {
    schema: Schema,
    products: Rows<ProductRow>,
    stock: Rows<StockRow>,
    closed_shops: Vec<Uuid>,
}

/// An event of either stream of a product, or of a shop.
pub(crate) enum Event {
    Product(Decoded<ProductEvent>),
    Stock(Decoded<InventoryEvent>),
    /// The shop, where it closes it.
    Shop(Option<Uuid>),
}

impl Event {
    /// The product that it is about.
    fn product(&self) -> Option<Uuid> {
        match self {
            Self::Product(decoded) => Some(decoded.id),
            Self::Stock(decoded) => Some(decoded.id),
            Self::Shop(_) => None,
        }
    }
}

impl ProductsFold {
    fn take_product(&mut self, decoded: &Decoded<ProductEvent>) {
        if let Some(row) = self.products.get_mut(decoded.id) {
            row.take(decoded);
        } else if let Some(row) = ProductRow::created(decoded) {
            self.products.insert(decoded.id, row);
            // every product has a row of stock, to be filtered by
            if self.stock.get_mut(decoded.id).is_none() {
                self.stock.insert(decoded.id, StockRow::default());
            }
        }
    }

    fn take_stock(&mut self, decoded: &Decoded<InventoryEvent>) {
        if let Some(row) = self.stock.get_mut(decoded.id) {
            row.take(decoded);
        } else {
            let mut row = StockRow::default();
            row.take(decoded);
            self.stock.insert(decoded.id, row);
        }
    }
}

impl Fold for ProductsFold {
    type Event = Event;

    fn new(schema: &Schema, limit: usize) -> Self {
        Self {
            schema: schema.clone(),
            products: Rows::new(schema, limit),
            stock: Rows::new(schema, limit),
            closed_shops: Vec::new(),
        }
    }

    fn decode(event: &EventRef<'_>) -> Result<Event, HandleError> {
        if event.aggregate_type == product::TYPE {
            decode::<Product>(event).map(Event::Product)
        } else if event.aggregate_type == shop::TYPE {
            let decoded = decode::<Shop>(event)?;
            Ok(Event::Shop(closed_shops::closed(&decoded)))
        } else {
            decode::<Inventory>(event).map(Event::Stock)
        }
    }

    fn take(&mut self, events: Vec<Event>, writer: &Writer) -> Result<(), Closed> {
        let of_products = events
            .iter()
            .filter(|event| matches!(event, Event::Product(_)));
        self.products
            .fetch(of_products.filter_map(Event::product), writer)?;
        self.stock
            .fetch(events.iter().filter_map(Event::product), writer)?;
        for event in &events {
            match event {
                Event::Product(decoded) => self.take_product(decoded),
                Event::Stock(decoded) => self.take_stock(decoded),
                Event::Shop(closed) => self.closed_shops.extend(closed),
            }
        }
        self.products.shrink(writer)?;
        self.stock.shrink(writer)
    }

    fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        self.products.finish(writer)?;
        self.stock.finish(writer)?;
        let (schema, shops) = (self.schema.clone(), std::mem::take(&mut self.closed_shops));
        writer.run(move |target| {
            Box::pin(async move {
                vocabulary::count(&schema, &mut target.connection).await?;
                if !shops.is_empty() {
                    target.key("closed_shops").await?;
                    closed_shops::close(&schema, &shops, &mut target.connection).await?;
                }
                Ok(())
            })
        })
    }
}

impl Row for ProductRow {
    const TABLE: &'static str = "products";
    const COLUMNS: &'static str = "product_id, region_id, sku, title, description, image_url, price, currency, \
         shop_id, category_id, kind, attributes, deleted, sequence, created_at, updated_at, title_words, words";

    fn push(&self, id: Uuid, rows: &mut CopyRows) {
        let found_by = self.found_by();
        rows.push(&[
            &id,
            &self.region_id,
            &self.sku,
            &self.title,
            &self.description,
            &self.image_url,
            &self.price,
            &self.currency,
            &self.shop_id,
            &self.category_id,
            &self.kind,
            &self.attributes,
            &self.deleted,
            &self.sequence,
            &self.created_at,
            &self.updated_at,
            &found_by.title_words,
            &found_by.words,
        ]);
    }

    async fn load(
        schema: &Schema,
        ids: &[Uuid],
        connection: &mut PgConnection,
    ) -> Result<HashMap<Uuid, Self>, HandleError> {
        catalogue::load(schema, ids, connection).await
    }

    async fn update(
        schema: &Schema,
        rows: &HashMap<Uuid, Self>,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        catalogue::store(schema, rows, connection).await
    }
}

impl Row for StockRow {
    const TABLE: &'static str = "stock";
    const COLUMNS: &'static str =
        "product_id, available, reserved, sold, threshold, sequence, updated_at";

    fn push(&self, id: Uuid, rows: &mut CopyRows) {
        rows.push(&[
            &id,
            &self.available,
            &self.reserved,
            &self.sold,
            &self.threshold,
            &self.sequence,
            &self.updated_at,
        ]);
    }

    async fn load(
        schema: &Schema,
        ids: &[Uuid],
        connection: &mut PgConnection,
    ) -> Result<HashMap<Uuid, Self>, HandleError> {
        stock::load(schema, ids, connection).await
    }

    async fn update(
        schema: &Schema,
        rows: &HashMap<Uuid, Self>,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let ids: Vec<Uuid> = rows.keys().copied().collect();
        stock::store(schema, &ids, rows, connection).await
    }
}
