//! Orders as a read model: who bought what, how far goods and money are.
//!
//! The projector folds a batch over the rows it touches and writes them back: one statement per table and batch. An
//! event that a row has taken (by its sequence) changes nothing, so handling events again is harmless. Keyed by order.

mod fold;
mod of_shops;
mod queries;
mod rows;
mod state;
mod write;

use std::{collections::HashMap, sync::Arc};

use domain::order::{Order, OrderEvent};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use self::fold::OrdersFold;
#[cfg(test)]
pub(crate) use self::{of_shops::list as list_of_shop, queries::list};
pub use self::{
    of_shops::{ShopOrderFilter, ShopOrderSort},
    queries::{OrderFilter, OrderLineView, OrderSort, OrderView},
};
use self::{
    rows::{Changes, OrderRow, ShippedLines},
    state::OrderState,
    write::Statements,
};
use crate::{
    decode::{Decoded, decode_all},
    views::{Schema, View},
};

/// Projects the orders.
pub struct OrdersProjector {
    schema: Schema,
    statements: Statements,
}

impl OrdersProjector {
    /// Into the schema of this version.
    pub fn new() -> Self {
        Self::within(View::Orders.schema())
    }

    /// Into this schema.
    pub(crate) fn within(schema: Schema) -> Self {
        Self {
            statements: Statements::new(&schema),
            schema,
        }
    }
}

impl Default for OrdersProjector {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriber for OrdersProjector {
    fn name(&self) -> &str {
        self.schema.as_str()
    }

    fn reads(&self) -> &'static [&'static str] {
        View::Orders.reads()
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<Order>(events.iter().map(|event| &**event))?;
        let ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        let mut batch = Batch {
            known: self.statements.load(&ids, tx).await?,
            ..Batch::default()
        };
        for event in &decoded {
            batch.take(event);
        }
        let placed: Vec<_> = batch
            .placed
            .into_values()
            .map(|new| (new.row, new.state))
            .collect();
        self.statements.insert(&placed, tx).await?;
        self.statements.change(&batch.changes, tx).await?;
        self.statements.update(&batch.known, tx).await?;
        self.statements.ship(&batch.shipped, tx).await
    }
}

/// An order that the batch placed, as it is after the batch.
struct NewOrder<'e> {
    row: OrderRow<'e>,
    state: OrderState,
}

/// The orders that a batch of events touches.
#[derive(Default)]
struct Batch<'e> {
    /// Those with a row.
    known: HashMap<Uuid, OrderState>,
    /// Those that the batch itself placed.
    placed: HashMap<Uuid, NewOrder<'e>>,
    /// What is changed of either, once they have their rows.
    changes: Changes,
    shipped: ShippedLines,
}

impl<'e> Batch<'e> {
    /// Takes an event into its order. An order without a beginning (an operator gave up on it) has no row to change.
    fn take(&mut self, decoded: &'e Decoded<OrderEvent>) {
        let placed = self.placed.get_mut(&decoded.id);
        let placed = placed.map(|order| &mut order.state);
        let Some(state) = self.known.get_mut(&decoded.id).or(placed) else {
            if let Some(row) = OrderRow::placed(decoded) {
                let state = OrderState::placed(decoded.sequence, decoded.at);
                self.placed.insert(decoded.id, NewOrder { row, state });
            }
            return;
        };
        if state.take(decoded) {
            self.changes.take(decoded, state.created_at);
            self.shipped.take(decoded);
        }
    }
}
