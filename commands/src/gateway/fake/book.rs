//! The book of the fake gateway: its charges and refunds in tables of their own, keyed by idempotency key.
//!
//! Charges are entered many at a time by one task. What was answered is in the book for good, whatever becomes of the
//! database: otherwise the log could know of money that the gateway does not, which no real one would do.

use std::{collections::HashMap, time::Duration};

use domain::{
    ids::PaymentId,
    money::{Currency, Money},
    text::{Reason, Reference},
};
use sqlx::{
    PgPool, Row,
    postgres::{PgPoolOptions, PgRow},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    gateway::{Charge, ChargeKey, GatewayError, Refund, RefundStatus},
    payment_methods::TEST_VOIDS_AFTER_SILENCE,
};

/// Most charges that are entered by one statement.
const MAX_BATCH: usize = 256;
/// Most charges that wait to be entered.
const QUEUE_LENGTH: usize = 4_096;
/// Connections of the gateway, apart from the shop's.
const POOL_SIZE: u32 = 3;
/// Stands before the key in the gateway's name for a charge.
const CHARGE_PREFIX: &str = "fake_ch_";
/// Stands before the key in the gateway's name for a refund.
const REFUND_PREFIX: &str = "fake_re_";

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Captured,
    Declined,
    Voided,
    /// The gateway has it and does not say what became of it.
    Silent,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Voided => "voided",
            Self::Silent => "silent",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "captured" => Self::Captured,
            "declined" => Self::Declined,
            "voided" => Self::Voided,
            // the only other one that the table admits
            _ => Self::Silent,
        }
    }
}

/// A charge in the book.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) status: Status,
    pub(super) reference: Option<String>,
    pub(super) amount: Option<Money>,
    /// Whether it was entered just now.
    pub(super) is_new: bool,
}

impl Entry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let currency: Option<&str> = row.try_get("currency")?;
        let amount = row
            .try_get::<Option<i64>, _>("amount")?
            .zip(currency.and_then(|code| Currency::parse(code).ok()));
        Ok(Self {
            status: Status::parse(row.try_get("status")?),
            reference: row.try_get("reference")?,
            amount: amount.map(|(amount, currency)| Money::new(amount, currency)),
            is_new: row.try_get("is_new")?,
        })
    }
}

struct Wanted {
    charge: Charge,
    status: Status,
    caller: oneshot::Sender<Result<Entry, GatewayError>>,
}

pub(super) struct Book {
    pool: PgPool,
    queue: mpsc::Sender<Wanted>,
}

impl Book {
    pub(super) fn open(database: &PgPool) -> Self {
        let options = database
            .connect_options()
            .as_ref()
            .clone()
            .application_name("souk fake gateway")
            .options([
                ("synchronous_commit", "on"),
                // the tables are empty when the plans are made and large later
                ("enable_seqscan", "off"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(POOL_SIZE)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(options);
        let (queue, wanted) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(enter_together(pool.clone(), wanted));
        Self { pool, queue }
    }

    /// Enters a charge, or finds the one that was entered under its key before.
    pub(super) async fn enter(
        &self,
        charge: Charge,
        status: Status,
    ) -> Result<Entry, GatewayError> {
        let closed = || GatewayError::Unavailable("the fake gateway has stopped".into());
        let (caller, answer) = oneshot::channel();
        self.queue
            .send(Wanted {
                charge,
                status,
                caller,
            })
            .await
            .map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn find(&self, key: ChargeKey) -> Result<Option<Entry>, sqlx::Error> {
        let row = sqlx::query(
            "select status, reference, amount, currency, false as is_new from fake_gateway_charges where key = $1",
        )
        .bind(key.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(Entry::from_row).transpose()
    }

    /// Voids what is not decided. A key that was never heard of is entered as voided, so that a charge that is still
    /// on its way finds it so.
    pub(super) async fn void(&self, key: ChargeKey) -> Result<Entry, sqlx::Error> {
        let row = sqlx::query(
            "insert into fake_gateway_charges as book (key, status) values ($1, 'voided') \
             on conflict (key) do update set status = \
             case when book.status = 'silent' and book.method = $2 then 'voided' else book.status end \
             returning status, reference, amount, currency, false as is_new",
        )
        .bind(key.to_string())
        .bind(TEST_VOIDS_AFTER_SILENCE)
        .fetch_one(&self.pool)
        .await?;
        Entry::from_row(&row)
    }

    /// Gives back once per key, and never more than was captured.
    pub(super) async fn refund(&self, refund: Refund) -> Result<RefundStatus, GatewayError> {
        let refused = |reason: &str| {
            Ok(RefundStatus::Refused {
                reason: Reason::lossy(reason),
            })
        };
        let Some(charge) = refund.charge.as_str().strip_prefix(CHARGE_PREFIX) else {
            return refused("no such charge");
        };
        let mut tx = self.pool.begin().await?;
        // refunds of one charge go one after the other; a statement of its own, so that the next sees the last one
        let captured: Option<i64> = sqlx::query_scalar(
            "select amount from fake_gateway_charges \
             where key = $1 and status = 'captured' and currency = $2 for update",
        )
        .bind(charge)
        .bind(refund.amount.currency.code())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(captured) = captured else {
            return refused("no such charge");
        };
        let reference = format!("{REFUND_PREFIX}{}", refund.refund_id);
        let entered: Option<String> = sqlx::query_scalar(
            "with entered as ( \
                insert into fake_gateway_refunds (key, charge, amount, currency, reference) \
                select $1, $2, $3, $4, $5 where $3 <= $6 - \
                    (select coalesce(sum(r.amount), 0)::bigint from fake_gateway_refunds r where r.charge = $2) \
                on conflict (key) do nothing returning reference) \
             select reference from entered \
             union all select reference from fake_gateway_refunds where key = $1",
        )
        .bind(refund.refund_id.to_string())
        .bind(charge)
        .bind(refund.amount.amount)
        .bind(refund.amount.currency.code())
        .bind(reference)
        .bind(captured)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        match entered.map(|reference| Reference::parse(&reference)) {
            Some(Ok(reference)) => Ok(RefundStatus::Refunded { reference }),
            Some(Err(error)) => Err(GatewayError::Unavailable(error.to_string())),
            None => refused("more than was captured"),
        }
    }

    pub(super) async fn captures_of(&self, payment_id: PaymentId) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(
            "select count(*) from fake_gateway_charges where status = 'captured' and key like $1",
        )
        .bind(format!("{payment_id}-%"))
        .fetch_one(&self.pool)
        .await
    }
}

/// Enters what is waiting, batch after batch, until the gateway is gone.
async fn enter_together(pool: PgPool, mut queue: mpsc::Receiver<Wanted>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let entries = enter_all(&pool, &batch).await;
        for wanted in batch.drain(..) {
            let entry = match &entries {
                // entered by another process at the same moment: there when asked for again
                Ok(entries) => entries
                    .get(&wanted.charge.key.to_string())
                    .cloned()
                    .ok_or_else(|| {
                        GatewayError::Unavailable("the charge is just being entered".into())
                    }),
                Err(error) => Err(GatewayError::Unavailable(error.to_string())),
            };
            // a caller that has gone away asks again by its key
            let _ = wanted.caller.send(entry);
        }
    }
}

async fn enter_all(pool: &PgPool, batch: &[Wanted]) -> Result<HashMap<String, Entry>, sqlx::Error> {
    let column = |of: fn(&Wanted) -> String| batch.iter().map(of).collect::<Vec<_>>();
    let amounts: Vec<i64> = batch
        .iter()
        .map(|wanted| wanted.charge.amount.amount)
        .collect();
    let rows = sqlx::query(
        "with entered as ( \
            insert into fake_gateway_charges (key, method, amount, currency, status, reference) \
            select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[]) \
            on conflict (key) do nothing returning key, status, reference, amount, currency, true as is_new) \
         select * from entered \
         union all \
         select key, status, reference, amount, currency, false from fake_gateway_charges where key = any($1)",
    )
    .bind(column(|wanted| wanted.charge.key.to_string()))
    .bind(column(|wanted| wanted.charge.method.as_str().to_owned()))
    .bind(amounts)
    .bind(column(|wanted| wanted.charge.amount.currency.code().to_owned()))
    .bind(column(|wanted| wanted.status.as_str().to_owned()))
    .bind(column(|wanted| format!("{CHARGE_PREFIX}{}", wanted.charge.key)))
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("key")?, Entry::from_row(row)?)))
        .collect()
}
