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
/// How much too early a look may be and still begin: looks come by the clock of this process, to some milliseconds, and
/// where one came before its time the job would wait for the next.
const SLACK: Duration = Duration::from_secs(1);

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
    .bind(
        interval
            .saturating_sub(SLACK.min(interval / 10))
            .as_secs_f64(),
    )
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use eventstore::testing::TestDatabase;
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn of_all_processes_one_begins_and_none_again_before_it_is_time() {
        let database = TestDatabase::create().await;
        let pool = PgPool::connect_with(database.options()).await.unwrap();
        let interval = Duration::from_mins(30);
        let begun = async || {
            let all = join_all((0..8).map(|_| begin(&pool, interval))).await;
            all.into_iter()
                .filter(|begun| *begun.as_ref().unwrap())
                .count()
        };
        let earlier = async |by: &str| {
            let moved = format!("update scheduled_jobs set begun_at = begun_at - interval '{by}'");
            sqlx::query(&moved).execute(&pool).await.unwrap();
        };
        assert_eq!(begun().await, 1, "it never ran before");
        assert_eq!(begun().await, 0);
        earlier("29 minutes").await;
        assert_eq!(begun().await, 0, "a minute too early");
        // the thirtieth look, some milliseconds too early
        earlier("59.5 seconds").await;
        assert_eq!(begun().await, 1);
        assert_eq!(begun().await, 0);
        earlier("2 hours").await;
        assert_eq!(begun().await, 1, "nobody ran for long");
        pool.close().await;
        database.drop_database().await;
    }
}
