//! Leases, checkpoints and parked keys in PostgreSQL, by the database's clock.

use std::{collections::HashSet, time::Duration};

use sqlx::{PgConnection, PgPool, PgTransaction, Row};
use uuid::Uuid;

use super::{
    Lease,
    ledger::{Leases, Ledger},
    parking,
};
use crate::{
    position::{Head, Position},
    store::Reply,
};

/// Leases and checkpoints, each in a statement of its own.
pub(super) struct PgLeases(pub(super) PgPool);

impl Leases for PgLeases {
    fn take<'a>(
        &'a self,
        name: &'a str,
        holder: Uuid,
        duration: Duration,
    ) -> Reply<'a, Option<i64>> {
        Box::pin(async move {
            sqlx::query(
                "insert into subscriptions (name) values ($1) on conflict (name) do nothing",
            )
            .bind(name)
            .execute(&self.0)
            .await?;
            sqlx::query_scalar(
                "update subscriptions set epoch = epoch + 1, holder = $2, \
                        lease_until = clock_timestamp() + make_interval(secs => $3), updated_at = clock_timestamp() \
                 where name = $1 and lease_until < clock_timestamp() returning epoch",
            )
            .bind(name)
            .bind(holder)
            .bind(duration.as_secs_f64())
            .fetch_optional(&self.0)
            .await
        })
    }

    fn extend<'a>(&'a self, lease: &'a Lease, from_now: Duration) -> Reply<'a, bool> {
        Box::pin(async move {
            let updated = sqlx::query(
                "update subscriptions set lease_until = clock_timestamp() + make_interval(secs => $4) \
                 where name = $1 and epoch = $2 and holder = $3",
            )
            .bind(&lease.name)
            .bind(lease.epoch)
            .bind(lease.holder)
            .bind(from_now.as_secs_f64())
            .execute(&self.0)
            .await?;
            Ok(updated.rows_affected() == 1)
        })
    }

    fn checkpoint<'a>(&'a self, name: &'a str) -> Reply<'a, Option<Head>> {
        Box::pin(async move {
            let row = sqlx::query("select position, event_id from subscriptions where name = $1")
                .bind(name)
                .fetch_optional(&self.0)
                .await?;
            row.map(|row| {
                Ok(Head {
                    position: Position(row.try_get("position")?),
                    event_id: row.try_get("event_id")?,
                })
            })
            .transpose()
        })
    }
}

/// Read models and their checkpoints.
pub(super) struct PgLedger(pub(super) PgPool);

impl Ledger for PgLedger {
    type Tx = PgConnection;
    type Open = PgTransaction<'static>;

    async fn begin(&self) -> Result<Self::Open, sqlx::Error> {
        self.0.begin().await
    }

    async fn commit(open: Self::Open) -> Result<(), sqlx::Error> {
        open.commit().await
    }

    async fn advance(
        tx: &mut PgConnection,
        lease: &Lease,
        read: Head,
        done: Head,
    ) -> Result<bool, sqlx::Error> {
        let updated = sqlx::query(
            "update subscriptions set position = $4, event_id = $5, updated_at = clock_timestamp() \
             where name = $1 and epoch = $2 and position = $3 and event_id = $6",
        )
        .bind(&lease.name)
        .bind(lease.epoch)
        .bind(read.position.0)
        .bind(done.position.0)
        .bind(done.event_id)
        .bind(read.event_id)
        .execute(tx)
        .await?;
        Ok(updated.rows_affected() == 1)
    }

    async fn savepoint(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        execute(tx, "savepoint event").await
    }

    async fn keep(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        execute(tx, "release savepoint event").await
    }

    async fn undo(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        execute(tx, "rollback to savepoint event").await?;
        Self::keep(tx).await
    }

    async fn parked_keys(
        tx: &mut PgConnection,
        name: &str,
    ) -> Result<HashSet<String>, sqlx::Error> {
        parking::keys(tx, name).await
    }

    async fn park(
        tx: &mut PgConnection,
        name: &str,
        key: &str,
        position: Position,
        error: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        parking::park(tx, name, key, position, error).await
    }
}

async fn execute(tx: &mut PgConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(tx).await?;
    Ok(())
}
