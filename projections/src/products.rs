//! The catalogue with its stock as a read model.
//!
//! Two tables, because two aggregates feed them: products change rarely, their stock with every order; one of the shops that
//! were closed, whose products are hidden; and one of the words of titles, for spelling mistakes. A batch is folded
//! over the rows it touches and written back whole, one statement per table, so a thousand reservations of one hot
//! product are one update. An event that a row has taken (by its sequence) changes nothing. Keyed by product.
//!
//! Products are listed with filters and sorts, and searched by text: `text` is what is looked for, `words` how it is
//! compared with what products say, `search` how they are found and ranked. Where one is configured, an [`engine`] of its
//! own searches instead.

mod catalogue;
mod closed_shops;
pub mod engine;
mod fold;
mod queries;
mod search;
mod stock;
mod text;
mod vocabulary;
mod words;

use std::{collections::HashMap, sync::Arc};

use domain::{
    inventory::{self, Inventory},
    product::{self, Product},
    shop::{self, Shop},
};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use self::fold::ProductsFold;
use self::{catalogue::ProductRow, stock::StockRow};
#[cfg(test)]
pub(crate) use self::{
    queries::list,
    search::{ALIKE, BY_TEXT, Found, SESSION, is_known_statement, most_alike_statement, statement},
};
pub use self::{
    queries::{PriceSpan, ProductAsOf, ProductFilter, ProductSort, ProductView, StockView},
    text::{InvalidSearch, SearchText},
};
use crate::{
    decode::decode_all,
    views::{Schema, View},
};

/// Projects the catalogue and the stock.
pub struct ProductsProjector {
    schema: Schema,
}

impl ProductsProjector {
    /// Into the schema of this version.
    pub fn new() -> Self {
        Self::within(View::Products.schema())
    }

    /// Into this schema.
    pub(crate) fn within(schema: Schema) -> Self {
        Self { schema }
    }

    async fn handle_products(
        &self,
        events: &[&RecordedEvent],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<Product>(events.iter().copied())?;
        let ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        let mut rows = catalogue::load(&self.schema, &ids, tx).await?;
        for event in &decoded {
            match rows.get_mut(&event.id) {
                Some(row) => row.take(event),
                // one without a beginning (an operator gave up on it) has no row to change
                None => {
                    if let Some(row) = ProductRow::created(event) {
                        rows.insert(event.id, row);
                    }
                }
            }
        }
        vocabulary::exchange(&self.schema, &rows, tx).await?;
        catalogue::store(&self.schema, &rows, tx).await?;
        let ids: Vec<Uuid> = rows.into_keys().collect();
        closed_shops::hide(&self.schema, &ids, tx).await?;
        stock::make_missing(&self.schema, &ids, tx).await
    }

    async fn handle_shops(
        &self,
        events: &[&RecordedEvent],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<Shop>(events.iter().copied())?;
        let closed: Vec<Uuid> = decoded.iter().filter_map(closed_shops::closed).collect();
        if !closed.is_empty() {
            closed_shops::close(&self.schema, &closed, tx).await?;
        }
        Ok(())
    }

    async fn handle_stock(
        &self,
        events: &[&RecordedEvent],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<Inventory>(events.iter().copied())?;
        let mut ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        // each once, and in one order: updates of the hottest rows stay side by side
        ids.sort_unstable();
        ids.dedup();
        let mut rows: HashMap<Uuid, StockRow> = stock::load(&self.schema, &ids, tx).await?;
        for event in &decoded {
            rows.entry(event.id).or_default().take(event);
        }
        stock::store(&self.schema, &ids, &rows, tx).await
    }
}

impl Default for ProductsProjector {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriber for ProductsProjector {
    fn name(&self) -> &str {
        self.schema.as_str()
    }

    fn reads(&self) -> &'static [&'static str] {
        View::Products.reads()
    }

    /// A product and its inventory have the same id, and one waits for the other. A shop is a key of its own.
    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    /// The tables do not depend on each other's order.
    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let of = |aggregate_type: &str| -> Vec<&RecordedEvent> {
            let events = events.iter().map(|event| &**event);
            events
                .filter(|event| &*event.aggregate_type == aggregate_type)
                .collect()
        };
        let (products, stock) = (of(product::TYPE), of(inventory::TYPE));
        let shops = of(shop::TYPE);
        if !products.is_empty() {
            self.handle_products(&products, tx).await?;
        }
        if !stock.is_empty() {
            self.handle_stock(&stock, tx).await?;
        }
        if !shops.is_empty() {
            self.handle_shops(&shops, tx).await?;
        }
        Ok(())
    }
}
