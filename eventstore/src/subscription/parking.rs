//! Parked keys: a poison event takes its own key (that order, that product) out of the stream, the rest goes on. Later
//! events of the key are noted down in order and wait.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};

use crate::position::Position;

/// A subscription with so many parked keys stops: then it is not single events that are wrong.
pub const MAX_PARKED_KEYS: i64 = 1_000;

/// A key that is parked, for operators.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ParkedKey {
    /// The subscription.
    pub subscription: String,
    /// The key of its read model.
    pub key: String,
    /// Position of the poison event.
    pub position: i64,
    /// Why it could not be handled.
    pub error: String,
    /// Events that wait, the poison event included.
    pub events: i64,
    /// Since when.
    pub parked_at: DateTime<Utc>,
}

/// All parked keys, oldest first.
pub async fn parked_keys(pool: &PgPool) -> Result<Vec<ParkedKey>, sqlx::Error> {
    sqlx::query_as(
        "select subscription, key, min(position) as position, \
                coalesce((array_agg(error order by position) filter (where error is not null))[1], '') as error, \
                count(*) as events, min(parked_at) as parked_at \
         from parked_events group by subscription, key order by min(position), subscription",
    )
    .fetch_all(pool)
    .await
}

/// Whether this key of a subscription is parked: its row then lags behind what the checkpoint says.
pub async fn is_parked(pool: &PgPool, subscription: &str, key: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select 1 from parked_events where subscription = $1 and key = $2)",
    )
    .bind(subscription)
    .bind(key)
    .fetch_one(pool)
    .await
}

/// Gives up on the events of a parked key: they are never handled, and the key goes on with its next event. Returns
/// how many were given up.
pub async fn discard(pool: &PgPool, subscription: &str, key: &str) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query("delete from parked_events where subscription = $1 and key = $2")
        .bind(subscription)
        .bind(key)
        .execute(pool)
        .await?;
    Ok(deleted.rows_affected())
}

/// Takes the waiting events of a key away; back they are when the transaction does not commit. In order.
pub(super) async fn take(
    connection: &mut PgConnection,
    subscription: &str,
    key: &str,
) -> Result<Vec<i64>, sqlx::Error> {
    let mut positions: Vec<i64> = sqlx::query_scalar(
        "delete from parked_events where subscription = $1 and key = $2 returning position",
    )
    .bind(subscription)
    .bind(key)
    .fetch_all(connection)
    .await?;
    positions.sort_unstable();
    Ok(positions)
}

pub(super) async fn keys(
    connection: &mut PgConnection,
    subscription: &str,
) -> Result<HashSet<String>, sqlx::Error> {
    let keys: Vec<String> =
        sqlx::query_scalar("select distinct key from parked_events where subscription = $1")
            .bind(subscription)
            .fetch_all(connection)
            .await?;
    Ok(keys.into_iter().collect())
}

pub(super) async fn park(
    connection: &mut PgConnection,
    subscription: &str,
    key: &str,
    position: Position,
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into parked_events (subscription, key, position, error) values ($1, $2, $3, $4) \
         on conflict (subscription, key, position) do update set error = excluded.error",
    )
    .bind(subscription)
    .bind(key)
    .bind(position.0)
    .bind(error)
    .execute(connection)
    .await?;
    Ok(())
}
