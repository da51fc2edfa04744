//! Payments as a read model: how far each is, what the gateway said, what went back.
//!
//! The projector folds a batch over the rows it touches and writes them back whole: one statement per table and batch.
//! An event that a row has taken (by its sequence) changes nothing. Keyed by payment; the payment of an order is
//! `PaymentId::of` it.

mod fold;
mod queries;
mod state;
mod write;

use std::{collections::HashMap, sync::Arc};

use domain::payment::Payment;
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use self::fold::PaymentsFold;
#[cfg(test)]
pub(crate) use self::queries::list;
pub use self::queries::{LedgerEntryView, PaymentFilter, PaymentSort, PaymentView, RefundView};
use self::{
    state::PaymentRow,
    write::{LedgerEntry, Refunds},
};
use crate::{
    decode::decode_all,
    views::{Schema, View},
};

/// Projects the payments.
pub struct PaymentsProjector {
    schema: Schema,
}

impl PaymentsProjector {
    /// Into the schema of this version.
    pub fn new() -> Self {
        Self::within(View::Payments.schema())
    }

    /// Into this schema.
    pub(crate) fn within(schema: Schema) -> Self {
        Self { schema }
    }
}

impl Default for PaymentsProjector {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriber for PaymentsProjector {
    fn name(&self) -> &str {
        self.schema.as_str()
    }

    fn reads(&self) -> &'static [&'static str] {
        View::Payments.reads()
    }

    /// The payment and not its order, because a damaged event may not tell that.
    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<Payment>(events.iter().map(|event| &**event))?;
        let ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        let mut rows: HashMap<Uuid, PaymentRow> = write::load(&self.schema, &ids, tx).await?;
        let (mut ledger, mut refunds) = (Vec::new(), Refunds::default());
        for event in &decoded {
            let taken = match rows.get_mut(&event.id) {
                Some(row) => row.take(event),
                // one without a beginning (an operator gave up on it) has no row to change
                None => PaymentRow::started(event)
                    .is_some_and(|row| rows.insert(event.id, row).is_none()),
            };
            if taken {
                ledger.extend(LedgerEntry::of(event));
                refunds.take(event);
            }
        }
        write::store(&self.schema, &rows, tx).await?;
        write::store_ledger(&self.schema, &ledger, tx).await?;
        refunds.store(&self.schema, tx).await
    }
}
