//! What the projector of payments reads and writes: one statement per table and batch, rows as arrays.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::payment::{FactKind, PaymentEvent, RefundOutcome};
use eventstore::subscription::HandleError;
use sqlx::PgConnection;
use uuid::Uuid;

use super::state::PaymentRow;
use crate::{decode::Decoded, views::Schema};

/// Those of the payments that have a row.
pub(super) async fn load(
    schema: &Schema,
    ids: &[Uuid],
    tx: &mut PgConnection,
) -> Result<HashMap<Uuid, PaymentRow>, HandleError> {
    let sql = format!("select * from {schema}.payments where payment_id = any($1)");
    let rows: Vec<PaymentRow> = sqlx::query_as(&sql).bind(ids).fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.payment_id, row)).collect())
}

/// Writes the rows as they are now.
pub(super) async fn store(
    schema: &Schema,
    rows: &HashMap<Uuid, PaymentRow>,
    tx: &mut PgConnection,
) -> Result<(), HandleError> {
    let sql = schema.sql(
        "insert into {schema}.payments (payment_id, order_id, customer_id, amount, currency, method, status, attempt, \
                deadline_at, captured, captured_at, refunded, awaiting, void_requested, asked, ended, reason, \
                sequence, created_at, updated_at) \
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], \
                $8::bigint[], $9::timestamptz[], $10::bigint[], $11::timestamptz[], $12::bigint[], $13::bool[], \
                $14::bool[], $15::bigint[], $16::text[], $17::text[], $18::bigint[], $19::timestamptz[], \
                $20::timestamptz[]) \
         on conflict (payment_id) do update \
         set method = excluded.method, status = excluded.status, attempt = excluded.attempt, \
             captured = excluded.captured, captured_at = excluded.captured_at, refunded = excluded.refunded, \
             awaiting = excluded.awaiting, void_requested = excluded.void_requested, asked = excluded.asked, \
             ended = excluded.ended, reason = excluded.reason, sequence = excluded.sequence, \
             updated_at = excluded.updated_at",
    );
    let rows = || rows.values();
    sqlx::query(&sql)
        .bind(rows().map(|row| row.payment_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.order_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.customer_id).collect::<Vec<_>>())
        .bind(rows().map(|row| row.amount).collect::<Vec<_>>())
        .bind(rows().map(|row| row.currency.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.method.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.status().as_str()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.attempt).collect::<Vec<_>>())
        .bind(rows().map(|row| row.deadline_at).collect::<Vec<_>>())
        .bind(rows().map(|row| row.captured).collect::<Vec<_>>())
        .bind(rows().map(|row| row.captured_at).collect::<Vec<_>>())
        .bind(rows().map(|row| row.refunded).collect::<Vec<_>>())
        .bind(rows().map(|row| row.awaiting).collect::<Vec<_>>())
        .bind(rows().map(|row| row.void_requested).collect::<Vec<_>>())
        .bind(rows().map(|row| row.asked).collect::<Vec<_>>())
        .bind(rows().map(|row| row.ended.as_deref()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.reason.as_deref()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.sequence).collect::<Vec<_>>())
        .bind(rows().map(|row| row.created_at).collect::<Vec<_>>())
        .bind(rows().map(|row| row.updated_at).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// The name of a kind of fact, as it is stored and shown.
pub(super) const fn kind_name(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Captured => "captured",
        FactKind::Declined => "declined",
        FactKind::Voided => "voided",
        FactKind::Refunded => "refunded",
    }
}

/// The name of an outcome, as it is stored and shown.
pub(super) const fn outcome_name(outcome: RefundOutcome) -> &'static str {
    match outcome {
        RefundOutcome::Pending => "pending",
        RefundOutcome::Failed => "failed",
        RefundOutcome::Succeeded => "succeeded",
    }
}

/// A row of `payment_ledger`: what the gateway said.
pub(super) struct LedgerEntry<'e> {
    pub(super) payment_id: Uuid,
    pub(super) sequence: i64,
    pub(super) reference: &'e str,
    pub(super) kind: &'static str,
    pub(super) amount: Option<i64>,
    pub(super) recorded_at: DateTime<Utc>,
}

impl<'e> LedgerEntry<'e> {
    /// Of an event that names a reference; the rest is no entry.
    pub(super) fn of(decoded: &'e Decoded<PaymentEvent>) -> Option<Self> {
        let (reference, kind, amount) = match &decoded.event {
            PaymentEvent::PaymentCaptured {
                reference, amount, ..
            } => (reference, FactKind::Captured, Some(amount.amount)),
            PaymentEvent::RefundSucceeded {
                reference, amount, ..
            } => (reference, FactKind::Refunded, Some(amount.amount)),
            PaymentEvent::PaymentDeclined {
                reference: Some(reference),
                ..
            } => (reference, FactKind::Declined, None),
            PaymentEvent::PaymentVoided {
                reference: Some(reference),
                ..
            } => (reference, FactKind::Voided, None),
            _ => return None,
        };
        Some(Self {
            payment_id: decoded.id,
            sequence: decoded.sequence,
            reference: reference.as_str(),
            kind: kind_name(kind),
            amount,
            recorded_at: decoded.at,
        })
    }
}

/// Writes entries of the ledger.
pub(super) async fn store_ledger(
    schema: &Schema,
    entries: &[LedgerEntry<'_>],
    tx: &mut PgConnection,
) -> Result<(), HandleError> {
    if entries.is_empty() {
        return Ok(());
    }
    let sql = schema.sql(
        "insert into {schema}.payment_ledger (payment_id, sequence, reference, kind, amount, recorded_at) \
         select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[]) \
         on conflict (payment_id, sequence) do nothing",
    );
    let entries = || entries.iter();
    sqlx::query(&sql)
        .bind(entries().map(|entry| entry.payment_id).collect::<Vec<_>>())
        .bind(entries().map(|entry| entry.sequence).collect::<Vec<_>>())
        .bind(entries().map(|entry| entry.reference).collect::<Vec<_>>())
        .bind(entries().map(|entry| entry.kind).collect::<Vec<_>>())
        .bind(entries().map(|entry| entry.amount).collect::<Vec<_>>())
        .bind(entries().map(|entry| entry.recorded_at).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// What a batch says of a refund.
#[derive(Default)]
struct RefundChange {
    requested: Option<(i64, String, DateTime<Utc>)>,
    outcome: Option<RefundOutcome>,
    failure: Option<String>,
    at: DateTime<Utc>,
}

/// What a batch says of refunds, by payment and refund.
#[derive(Default)]
pub(super) struct Refunds {
    changes: BTreeMap<(Uuid, Uuid), RefundChange>,
}

impl Refunds {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn take(&mut self, decoded: &Decoded<PaymentEvent>) {
        let refund_id = match &decoded.event {
            PaymentEvent::RefundRequested { refund_id, .. }
            | PaymentEvent::RefundSucceeded { refund_id, .. }
            | PaymentEvent::RefundFailed { refund_id, .. } => refund_id.0,
            _ => return,
        };
        let change = self.changes.entry((decoded.id, refund_id)).or_default();
        change.at = decoded.at;
        change.failure = None;
        match &decoded.event {
            PaymentEvent::RefundRequested { amount, reason, .. } => {
                change.requested = Some((amount.amount, reason.to_string(), decoded.at));
                change.outcome = None;
            }
            PaymentEvent::RefundFailed { reason, .. } => {
                change.outcome = Some(RefundOutcome::Failed);
                change.failure = Some(reason.to_string());
            }
            _ => change.outcome = Some(RefundOutcome::Succeeded),
        }
    }

    pub(super) async fn store(
        self,
        schema: &Schema,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        self.store_requested(schema, &mut *tx).await?;
        self.store_outcomes(schema, tx).await
    }

    async fn store_requested(
        &self,
        schema: &Schema,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let sql = schema.sql(
            "insert into {schema}.payment_refunds (payment_id, refund_id, amount, reason, outcome, requested_at, \
                    updated_at) \
             select n.payment_id, n.refund_id, n.amount, n.reason, 'pending', n.requested_at, n.requested_at \
             from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[]) \
                  as n (payment_id, refund_id, amount, reason, requested_at) \
             on conflict (payment_id, refund_id) do update \
             set amount = excluded.amount, reason = excluded.reason, outcome = excluded.outcome, failure = null, \
                 requested_at = excluded.requested_at, updated_at = excluded.updated_at",
        );
        let requested: Vec<_> = self
            .changes
            .iter()
            .filter_map(|(key, change)| Some((key, change.requested.as_ref()?)))
            .collect();
        if requested.is_empty() {
            return Ok(());
        }
        sqlx::query(&sql)
            .bind(requested.iter().map(|(key, _)| key.0).collect::<Vec<_>>())
            .bind(requested.iter().map(|(key, _)| key.1).collect::<Vec<_>>())
            .bind(
                requested
                    .iter()
                    .map(|(_, requested)| requested.0)
                    .collect::<Vec<_>>(),
            )
            .bind(
                requested
                    .iter()
                    .map(|(_, requested)| requested.1.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(
                requested
                    .iter()
                    .map(|(_, requested)| requested.2)
                    .collect::<Vec<_>>(),
            )
            .execute(tx)
            .await?;
        Ok(())
    }

    async fn store_outcomes(
        &self,
        schema: &Schema,
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let sql = schema.sql(
            "update {schema}.payment_refunds r set outcome = n.outcome, failure = n.failure, updated_at = n.updated_at \
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) \
                  as n (payment_id, refund_id, outcome, failure, updated_at) \
             where r.payment_id = n.payment_id and r.refund_id = n.refund_id",
        );
        let decided: Vec<_> = self
            .changes
            .iter()
            .filter_map(|(key, change)| Some((key, change.outcome?, change)))
            .collect();
        if decided.is_empty() {
            return Ok(());
        }
        sqlx::query(&sql)
            .bind(decided.iter().map(|(key, ..)| key.0).collect::<Vec<_>>())
            .bind(decided.iter().map(|(key, ..)| key.1).collect::<Vec<_>>())
            .bind(
                decided
                    .iter()
                    .map(|(_, outcome, _)| outcome_name(*outcome))
                    .collect::<Vec<_>>(),
            )
            .bind(
                decided
                    .iter()
                    .map(|(.., change)| change.failure.as_deref())
                    .collect::<Vec<_>>(),
            )
            .bind(
                decided
                    .iter()
                    .map(|(.., change)| change.at)
                    .collect::<Vec<_>>(),
            )
            .execute(tx)
            .await?;
        Ok(())
    }
}
