//! The table of timers. Its clock is the database's.
//!
//! What is done with a timer is tied to the event that armed it: a runner that has finished removes or puts off only
//! what it was armed for, so that what the saga armed since is not lost.

use std::{future::Future, pin::Pin, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Row, postgres::PgPoolOptions};
use uuid::Uuid;

use super::{NAME, react::TimerId};

/// Claims due timers; public so that its plan can be shown. The time is asked for once, in a subquery: compared with a
/// volatile function directly, every armed timer would be read.
pub const CLAIM_DUE: &str = "with due as materialized ( \
        select saga, key, kind from timers \
        where saga = $1 and due_at <= (select clock_timestamp()) \
            and (claimed_until is null or claimed_until <= clock_timestamp()) \
        order by due_at limit $2 for update skip locked) \
     update timers t set claimed_until = clock_timestamp() + make_interval(secs => $3) from due \
     where t.saga = due.saga and t.key = due.key and t.kind = due.kind \
     returning t.key, t.kind, t.attempts, t.cause, t.correlation, \
        extract(epoch from clock_timestamp() - t.unanswered_since)::float8 as unanswered";

/// A timer to be armed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmedTimer {
    /// Which.
    pub timer: TimerId,
    /// When it is to fire.
    pub due_at: DateTime<Utc>,
    /// Id of the event that arms it.
    pub cause: Uuid,
    /// Goes on into what the timer leads to.
    pub correlation: String,
}

/// A timer that is due and that this runner has to itself for a while.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedTimer {
    pub(crate) timer: TimerId,
    /// How often it was put off.
    pub(crate) attempts: u32,
    /// How long the gateway has not given an answer.
    pub(crate) unanswered: Option<Duration>,
    pub(crate) cause: Uuid,
    pub(crate) correlation: String,
}

/// A claimed timer that is to fire again.
pub(crate) struct PutOff {
    pub(crate) claimed: ClaimedTimer,
    pub(crate) pause: Duration,
    /// Whether it is because the gateway gave no answer.
    pub(crate) unanswered: bool,
}

/// A transaction in which timers can be armed and disarmed: they change together with the checkpoint of the saga.
pub trait ArmsTimers: Send {
    /// Arms timers, or moves them where they are armed already. The same event again changes nothing.
    fn arm(
        &mut self,
        timers: &[ArmedTimer],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Removes timers, whatever armed them.
    fn disarm(
        &mut self,
        timers: &[TimerId],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// The timers as a runner sees them.
pub(crate) trait Timers: Send + Sync + 'static {
    /// Claims up to `limit` due timers, the earliest first, for as long as `claim`.
    fn claim(&self, limit: usize, claim: Duration) -> Reply<'_, Vec<ClaimedTimer>>;

    /// Has claims last for so long from now. What was given up or armed anew since is left as it is.
    fn renew<'a>(&'a self, claimed: &'a [ClaimedTimer], claim: Duration) -> Reply<'a, ()>;

    /// Removes timers whose work is committed. One that the saga is changing at this moment is left to it.
    fn finish<'a>(&'a self, done: &'a [ClaimedTimer]) -> Reply<'a, ()>;

    /// Has timers fire again after a pause.
    fn put_off<'a>(&'a self, later: &'a [PutOff]) -> Reply<'a, ()>;
}

/// An answer that is on its way.
pub(crate) type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'a>>;

impl ArmsTimers for PgConnection {
    async fn arm(&mut self, timers: &[ArmedTimer]) -> Result<(), sqlx::Error> {
        if timers.is_empty() {
            return Ok(());
        }
        sqlx::query(
        "insert into timers (saga, key, kind, due_at, cause, correlation) \
         select $1, t.* from unnest($2::text[], $3::text[], $4::timestamptz[], $5::uuid[], $6::text[]) t \
         on conflict (saga, key, kind) do update set due_at = excluded.due_at, attempts = 0, unanswered_since = null, \
             claimed_until = null, cause = excluded.cause, correlation = excluded.correlation \
         where timers.cause <> excluded.cause",
    )
    .bind(NAME)
    .bind(timers.iter().map(|armed| armed.timer.key()).collect::<Vec<_>>())
    .bind(timers.iter().map(|armed| armed.timer.kind()).collect::<Vec<_>>())
    .bind(timers.iter().map(|armed| armed.due_at).collect::<Vec<_>>())
    .bind(timers.iter().map(|armed| armed.cause).collect::<Vec<_>>())
    .bind(timers.iter().map(|armed| armed.correlation.as_str()).collect::<Vec<_>>())
    .execute(self)
    .await?;
        Ok(())
    }

    async fn disarm(&mut self, timers: &[TimerId]) -> Result<(), sqlx::Error> {
        if timers.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "delete from timers t using unnest($2::text[], $3::text[]) d (key, kind) \
         where t.saga = $1 and t.key = d.key and t.kind = d.kind",
        )
        .bind(NAME)
        .bind(timers.iter().map(|timer| timer.key()).collect::<Vec<_>>())
        .bind(timers.iter().map(|timer| timer.kind()).collect::<Vec<_>>())
        .execute(self)
        .await?;
        Ok(())
    }
}

/// The table, on connections of its own: claiming never waits behind read models.
pub(super) struct PgTimers {
    pool: PgPool,
}

impl PgTimers {
    pub(super) fn open(database: &PgPool) -> Self {
        let options = database
            .connect_options()
            .as_ref()
            .clone()
            .application_name("souk timers")
            .options([
                // a removal that a crash takes back fires once more and finds nothing to do
                ("synchronous_commit", "off"),
                // the table is empty when the plans are made and may be large later
                ("enable_seqscan", "off"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(options);
        Self { pool }
    }

    async fn claim_due(
        &self,
        limit: usize,
        claim: Duration,
    ) -> Result<Vec<ClaimedTimer>, sqlx::Error> {
        let rows = sqlx::query(CLAIM_DUE)
            .bind(NAME)
            .bind(limit as i64)
            .bind(claim.as_secs_f64())
            .fetch_all(&self.pool)
            .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let (kind, key): (&str, &str) = (row.try_get("kind")?, row.try_get("key")?);
            let Some(timer) = TimerId::parse(kind, key) else {
                // a newer binary's: left to it
                tracing::warn!(kind, key, "a timer that this version does not know");
                continue;
            };
            let unanswered: Option<f64> = row.try_get("unanswered")?;
            claimed.push(ClaimedTimer {
                timer,
                attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or(0),
                unanswered: unanswered
                    .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
                cause: row.try_get("cause")?,
                correlation: row.try_get("correlation")?,
            });
        }
        Ok(claimed)
    }

    async fn extend(&self, claimed: &[ClaimedTimer], claim: Duration) -> Result<(), sqlx::Error> {
        if claimed.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "with held as materialized ( \
                select t.saga, t.key, t.kind from timers t \
                join unnest($2::text[], $3::text[], $4::uuid[]) h (key, kind, cause) \
                    on t.saga = $1 and t.key = h.key and t.kind = h.kind and t.cause = h.cause \
                where t.claimed_until is not null \
                for update of t skip locked) \
             update timers t set claimed_until = clock_timestamp() + make_interval(secs => $5) \
             from held where t.saga = held.saga and t.key = held.key and t.kind = held.kind",
        )
        .bind(NAME)
        .bind(keys(claimed))
        .bind(kinds(claimed))
        .bind(causes(claimed))
        .bind(claim.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn remove(&self, done: &[ClaimedTimer]) -> Result<(), sqlx::Error> {
        if done.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "with done as materialized ( \
                select t.saga, t.key, t.kind from timers t \
                join unnest($2::text[], $3::text[], $4::uuid[]) d (key, kind, cause) \
                    on t.saga = $1 and t.key = d.key and t.kind = d.kind and t.cause = d.cause \
                for update of t skip locked) \
             delete from timers t using done where t.saga = done.saga and t.key = done.key and t.kind = done.kind",
        )
        .bind(NAME)
        .bind(keys(done))
        .bind(kinds(done))
        .bind(causes(done))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn delay(&self, later: &[PutOff]) -> Result<(), sqlx::Error> {
        if later.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "with later as materialized ( \
                select t.saga, t.key, t.kind, l.pause, l.unanswered from timers t \
                join unnest($2::text[], $3::text[], $4::uuid[], $5::float8[], $6::bool[]) \
                    l (key, kind, cause, pause, unanswered) \
                    on t.saga = $1 and t.key = l.key and t.kind = l.kind and t.cause = l.cause \
                for update of t skip locked) \
             update timers t set due_at = clock_timestamp() + make_interval(secs => later.pause), \
                attempts = t.attempts + 1, claimed_until = null, \
                unanswered_since = case when later.unanswered then coalesce(t.unanswered_since, clock_timestamp()) \
                    else t.unanswered_since end \
             from later where t.saga = later.saga and t.key = later.key and t.kind = later.kind",
        )
        .bind(NAME)
        .bind(keys(claims(later)))
        .bind(kinds(claims(later)))
        .bind(causes(claims(later)))
        .bind(later.iter().map(|put_off| put_off.pause.as_secs_f64()).collect::<Vec<_>>())
        .bind(later.iter().map(|put_off| put_off.unanswered).collect::<Vec<_>>())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn keys<'a>(claimed: impl IntoIterator<Item = &'a ClaimedTimer>) -> Vec<String> {
    claimed.into_iter().map(|it| it.timer.key()).collect()
}

fn kinds<'a>(claimed: impl IntoIterator<Item = &'a ClaimedTimer>) -> Vec<&'static str> {
    claimed.into_iter().map(|it| it.timer.kind()).collect()
}

fn causes<'a>(claimed: impl IntoIterator<Item = &'a ClaimedTimer>) -> Vec<Uuid> {
    claimed.into_iter().map(|it| it.cause).collect()
}

fn claims(later: &[PutOff]) -> impl Iterator<Item = &ClaimedTimer> {
    later.iter().map(|put_off| &put_off.claimed)
}

impl Timers for PgTimers {
    fn claim(&self, limit: usize, claim: Duration) -> Reply<'_, Vec<ClaimedTimer>> {
        Box::pin(self.claim_due(limit, claim))
    }

    fn renew<'a>(&'a self, claimed: &'a [ClaimedTimer], claim: Duration) -> Reply<'a, ()> {
        Box::pin(self.extend(claimed, claim))
    }

    fn finish<'a>(&'a self, done: &'a [ClaimedTimer]) -> Reply<'a, ()> {
        Box::pin(self.remove(done))
    }

    fn put_off<'a>(&'a self, later: &'a [PutOff]) -> Reply<'a, ()> {
        Box::pin(self.delay(later))
    }
}
