//! Orders as a read model: who bought what, how far goods and money are.
//!
//! The projector folds a batch over the rows it touches and writes them back: one statement per table and batch. An
//! event that a row has taken (by its sequence) changes nothing, so handling events again is harmless. Keyed by order.

mod columns;
mod queries;
mod state;
mod write;

use std::{collections::HashMap, sync::Arc};

use domain::order::{self, Order, OrderEvent};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use sqlx::PgConnection;
use uuid::Uuid;

#[cfg(test)]
pub(crate) use self::queries::list;
pub use self::queries::{OrderFilter, OrderLineView, OrderSort, OrderView};
use self::{
    state::OrderState,
    write::{NewOrder, ShippedLines, Statements},
};
use crate::{
    decode::{Decoded, decode},
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
        let schema = View::Orders.schema();
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
        &[order::TYPE]
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = events
            .iter()
            .map(|event| decode::<Order>(event))
            .collect::<Result<Vec<_>, _>>()?;
        let mut batch = Batch {
            known: self.statements.load(&decoded, tx).await?,
            ..Batch::default()
        };
        for event in &decoded {
            batch.take(event);
        }
        self.statements.insert(batch.placed.values(), tx).await?;
        self.statements
            .update(batch.known.iter().filter(|(_, order)| order.changed), tx)
            .await?;
        self.statements.ship(&batch.shipped, tx).await
    }
}

/// The orders that a batch of events touches.
#[derive(Default)]
struct Batch<'e> {
    /// Those with a row.
    known: HashMap<Uuid, OrderState>,
    /// Those that the batch itself placed.
    placed: HashMap<Uuid, NewOrder<'e>>,
    shipped: ShippedLines,
}

impl<'e> Batch<'e> {
    /// Takes an event into its order. An order without a beginning (an operator gave up on it) has no row to change.
    fn take(&mut self, decoded: &'e Decoded<OrderEvent>) {
        let placed = self.placed.get_mut(&decoded.id);
        let placed = placed.map(|order| &mut order.state);
        let Some(state) = self.known.get_mut(&decoded.id).or(placed) else {
            if matches!(decoded.event, OrderEvent::OrderPlaced { .. }) {
                let state = OrderState::placed(decoded.sequence, decoded.at);
                self.placed.insert(decoded.id, NewOrder { decoded, state });
            }
            return;
        };
        if !state.take(decoded) {
            return;
        }
        if let OrderEvent::OrderItemsShipped {
            shipment_id, lines, ..
        } = &decoded.event
        {
            for line in lines {
                self.shipped.add(decoded, *shipment_id, line);
            }
        }
    }
}
