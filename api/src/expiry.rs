//! The scheduled job that removes what has expired: refresh tokens, valid and spent ones, one-time codes, old mails, and
//! idempotency keys that no client comes back to. Every process looks whether it is time; whoever moves the row of the job runs it, so that one
//! of several processes does, by the database's clock. Started by [`crate::Application`].

use std::time::Duration;

use eventstore::EventLog;
use identity::{Codes, Identity, Mails};
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
    let mut looks = tokio::time::interval(interval.clamp(Duration::from_millis(100), LOOK));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match begin(services.log.pool(), interval).await {
            Ok(true) => {
                remove_tokens(&services.identity).await;
                remove_codes(&services.codes).await;
                remove_mails(&services.mails).await;
                remove_keys(&services.log).await;
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

async fn remove_tokens(identity: &Identity) {
    match identity.remove_expired().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "expired refresh tokens removed"),
        Err(error) => tracing::warn!(%error, "expired refresh tokens are not removed"),
    }
}

async fn remove_codes(codes: &Codes) {
    match codes.remove_expired().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "expired one-time codes removed"),
        Err(error) => tracing::warn!(%error, "expired one-time codes are not removed"),
    }
}

async fn remove_mails(mails: &Mails) {
    match mails.remove_old().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "old mails removed"),
        Err(error) => tracing::warn!(%error, "old mails are not removed"),
    }
}

async fn remove_keys(log: &EventLog) {
    match log.expire_keys(KEY_LIFETIME).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "old idempotency keys removed"),
        Err(error) => tracing::warn!(%error, "old idempotency keys are not removed"),
    }
}
