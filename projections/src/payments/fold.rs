//! Rebuilds the payments: the ledger is copied as it comes, payments are folded in memory first. Refunds are few; they
//! are written as the projector writes them.

use std::collections::HashMap;

use domain::payment::{Payment, PaymentEvent};
use eventstore::subscription::HandleError;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    state::PaymentRow,
    write::{self, LedgerEntry, Refunds},
};
use crate::{
    decode::{Decoded, EventRef, decode},
    rebuild::{Closed, CopyRows, Fold, Row, Rows, Writer},
    views::Schema,
};

/// See the module.
pub(crate) struct PaymentsFold {
    schema: Schema,
    payments: Rows<PaymentRow>,
    ledger: CopyRows,
}

impl PaymentsFold {
    fn store(&self, refunds: Refunds, writer: &Writer) -> Result<(), Closed> {
        if refunds.is_empty() {
            return Ok(());
        }
        let schema = self.schema.clone();
        writer.run(move |target| {
            Box::pin(async move {
                target.key("payment_refunds").await?;
                refunds.store(&schema, &mut target.connection).await
            })
        })
    }
}

/// The beginning of a payment that no row can be there of.
fn is_new(decoded: &Decoded<PaymentEvent>) -> bool {
    decoded.sequence == 1 && matches!(decoded.event, PaymentEvent::PaymentStarted { .. })
}

impl Fold for PaymentsFold {
    type Event = Decoded<PaymentEvent>;

    fn new(schema: &Schema, limit: usize) -> Self {
        Self {
            schema: schema.clone(),
            payments: Rows::new(schema, limit),
            ledger: CopyRows::new(
                schema,
                "payment_ledger",
                "payment_id, sequence, reference, kind, amount, recorded_at",
            ),
        }
    }

    fn decode(event: &EventRef<'_>) -> Result<Self::Event, HandleError> {
        decode::<Payment>(event)
    }

    fn take(&mut self, events: Vec<Self::Event>, writer: &Writer) -> Result<(), Closed> {
        let known = events.iter().filter(|event| !is_new(event));
        self.payments.fetch(known.map(|event| event.id), writer)?;
        let mut refunds = Refunds::default();
        for event in &events {
            let Some(row) = self.payments.get_mut(event.id) else {
                if let Some(row) = PaymentRow::started(event) {
                    self.payments.insert(event.id, row);
                }
                continue;
            };
            if !row.take(event) {
                continue;
            }
            if let Some(entry) = LedgerEntry::of(event) {
                self.ledger.push(&[
                    &entry.payment_id,
                    &entry.sequence,
                    &entry.reference,
                    &entry.kind,
                    &entry.amount,
                    &entry.recorded_at,
                ]);
            }
            refunds.take(event);
        }
        self.store(refunds, writer)?;
        self.ledger.send_full(writer)?;
        self.payments.shrink(writer)
    }

    fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        self.ledger.send(writer)?;
        self.payments.finish(writer)
    }
}

impl Row for PaymentRow {
    const TABLE: &'static str = "payments";
    const COLUMNS: &'static str = "payment_id, order_id, customer_id, amount, currency, method, status, attempt, \
         deadline_at, captured, captured_at, refunded, awaiting, void_requested, asked, ended, reason, sequence, \
         created_at, updated_at";

    fn push(&self, id: Uuid, rows: &mut CopyRows) {
        rows.push(&[
            &id,
            &self.order_id,
            &self.customer_id,
            &self.amount,
            &self.currency,
            &self.method,
            &self.status().as_str(),
            &self.attempt,
            &self.deadline_at,
            &self.captured,
            &self.captured_at,
            &self.refunded,
            &self.awaiting,
            &self.void_requested,
            &self.asked,
            &self.ended,
            &self.reason,
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
        write::load(schema, ids, connection).await
    }

    async fn update(
        schema: &Schema,
        rows: &HashMap<Uuid, Self>,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        write::store(schema, rows, connection).await
    }
}
