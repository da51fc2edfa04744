//! The lease of a subscription: who leads, by the database's clock, with an epoch that grows with every take-over.

use std::time::Duration;

use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::position::{Head, Position};

/// How long a lease lasts without being renewed: take-over from a dead process takes about this long.
pub(super) const LEASE_DURATION: Duration = Duration::from_secs(5);
/// How often it is renewed, and how often others ask for it.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_millis(1_500);

/// A lease that was taken; it may have been lost since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The subscription.
    pub name: String,
    /// Grows with every take-over.
    pub epoch: i64,
    holder: Uuid,
}

impl Lease {
    /// Takes the lease if nobody holds it. Makes the subscription known on its first call.
    pub(super) async fn take(
        pool: &PgPool,
        name: &str,
        holder: Uuid,
    ) -> Result<Option<Self>, sqlx::Error> {
        sqlx::query("insert into subscriptions (name) values ($1) on conflict (name) do nothing")
            .bind(name)
            .execute(pool)
            .await?;
        let epoch = sqlx::query_scalar(
            "update subscriptions set epoch = epoch + 1, holder = $2, \
                    lease_until = clock_timestamp() + make_interval(secs => $3), updated_at = clock_timestamp() \
             where name = $1 and lease_until < clock_timestamp() returning epoch",
        )
        .bind(name)
        .bind(holder)
        .bind(LEASE_DURATION.as_secs_f64())
        .fetch_optional(pool)
        .await?;
        Ok(epoch.map(|epoch| Self {
            name: name.to_owned(),
            epoch,
            holder,
        }))
    }

    /// Extends the lease; false when somebody else has taken it over.
    pub(super) async fn renew(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        self.set_until(pool, LEASE_DURATION).await
    }

    /// Gives the lease up, so that another process need not wait for its end.
    pub(super) async fn release(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        self.set_until(pool, Duration::ZERO).await.map(|_| ())
    }

    async fn set_until(&self, pool: &PgPool, from_now: Duration) -> Result<bool, sqlx::Error> {
        let updated = sqlx::query(
            "update subscriptions set lease_until = clock_timestamp() + make_interval(secs => $4) \
             where name = $1 and epoch = $2 and holder = $3",
        )
        .bind(&self.name)
        .bind(self.epoch)
        .bind(self.holder)
        .bind(from_now.as_secs_f64())
        .execute(pool)
        .await?;
        Ok(updated.rows_affected() == 1)
    }

    /// Where the checkpoint stands.
    pub async fn checkpoint(&self, pool: &PgPool) -> Result<Head, sqlx::Error> {
        let row = sqlx::query("select position, event_id from subscriptions where name = $1")
            .bind(&self.name)
            .fetch_one(pool)
            .await?;
        Ok(Head {
            position: Position(row.try_get("position")?),
            event_id: row.try_get("event_id")?,
        })
    }

    /// Moves the checkpoint from `read` to `done`; false when it is not this lease's any more, or not at `read`.
    pub async fn advance(
        &self,
        connection: &mut sqlx::PgConnection,
        read: Head,
        done: Head,
    ) -> Result<bool, sqlx::Error> {
        let updated = sqlx::query(
            "update subscriptions set position = $4, event_id = $5, updated_at = clock_timestamp() \
             where name = $1 and epoch = $2 and position = $3 and event_id = $6",
        )
        .bind(&self.name)
        .bind(self.epoch)
        .bind(read.position.0)
        .bind(done.position.0)
        .bind(done.event_id)
        .bind(read.event_id)
        .execute(connection)
        .await?;
        Ok(updated.rows_affected() == 1)
    }
}
