//! The scheduled job that removes what has expired: refresh tokens, valid and spent ones, one-time codes, old mails, and
//! idempotency keys that no client comes back to. Every process looks whether it is time; whoever moves the row of the
//! job runs it, so that one of several processes does, by the database's clock. Started by [`crate::Application`].

use std::{fmt::Display, time::Duration};

use sqlx::PgPool;

use crate::services::Services;

/// Name of the job in the table.
const NAME: &str = "expiry";
/// How long an idempotency key is kept. Clients repeat within minutes; this leaves a day for those that queue.
const KEY_LIFETIME: Duration = Duration::from_hours(24);
/// How often a process looks whether it is time, at the rarest.
const LOOK: Duration = Duration::from_mins(1);

/// Runs the job every `interval`, here or in another process.
pub(crate) async fn every(interval: Duration, services: Services) {
    let Services {
        log,
        identity,
        codes,
        mails,
        ..
    } = services;
    let mut looks = tokio::time::interval(interval.clamp(Duration::from_millis(100), LOOK));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match begin(log.pool(), interval).await {
            Ok(true) => {
                tell("expired refresh tokens", identity.remove_expired().await);
                tell("expired one-time codes", codes.remove_expired().await);
                tell("old mails", mails.remove_old().await);
                tell("old idempotency keys", log.expire_keys(KEY_LIFETIME).await);
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what has expired is not removed"),
        }
    }
}

/// Whether it is time, and nobody else has begun.
async fn begin(pool: &PgPool, interval: Duration) -> Result<bool, sqlx::Error> {
    let begun = sqlx::query(
        "insert into scheduled_jobs (name, begun_at) values ($1, now())
         on conflict (name) do update set begun_at = now()
         where scheduled_jobs.begun_at <= now() - make_interval(secs => $2)",
    )
    .bind(NAME)
    .bind(interval.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Says what became of what has expired, where there was any.
fn tell(what: &str, outcome: Result<u64, impl Display>) {
    match outcome {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "{what} removed"),
        Err(error) => tracing::warn!(%error, "{what} are not removed"),
    }
}
