//! For tests (feature `testing`): the saga's timers in a simulated world, with what the table in PostgreSQL does to them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use eventstore::testing::simulation::{Process, SimTransaction};
use uuid::Uuid;

use crate::{
    Commands,
    gateway::PaymentGateway,
    saga::{
        ArmedTimer, ArmsTimers, PaymentSaga, SagaSettings, TimerId, TimerRunner, payment_saga_on,
        timers::{ClaimedTimer, PutOff, Reply, Timers},
    },
};

/// The two halves of the saga of a simulated process.
pub fn simulated_payment_saga(
    process: Process,
    commands: Commands,
    gateway: Arc<dyn PaymentGateway>,
    settings: SagaSettings,
) -> (PaymentSaga, TimerRunner) {
    payment_saga_on(Arc::new(SimTimers(process)), commands, gateway, settings)
}

/// A timer as it is stored.
#[derive(Clone, Debug)]
pub struct TimerRow {
    /// Which.
    pub timer: TimerId,
    /// When it is to fire.
    pub due_at: DateTime<Utc>,
    /// How often it was put off.
    pub attempts: u32,
    /// Since when the gateway has given no answer.
    pub unanswered_since: Option<DateTime<Utc>>,
    claimed_until: Option<DateTime<Utc>>,
    cause: Uuid,
    correlation: String,
}

impl ArmsTimers for SimTransaction {
    async fn arm(&mut self, timers: &[ArmedTimer]) -> Result<(), sqlx::Error> {
        let timers = timers.to_vec();
        let keys = timers.iter().map(|armed| armed.timer.to_string()).collect();
        self.change::<TimerRow>(keys, move |table, _| {
            for armed in timers {
                let key = armed.timer.to_string();
                if table.get(&key).is_none_or(|row| row.cause != armed.cause) {
                    let row = TimerRow {
                        timer: armed.timer,
                        due_at: armed.due_at,
                        attempts: 0,
                        unanswered_since: None,
                        claimed_until: None,
                        cause: armed.cause,
                        correlation: armed.correlation,
                    };
                    table.insert(key, row);
                }
            }
        })
        .await
    }

    async fn disarm(&mut self, timers: &[TimerId]) -> Result<(), sqlx::Error> {
        let keys: Vec<String> = timers.iter().map(TimerId::to_string).collect();
        self.change::<TimerRow>(keys.clone(), move |table, _| {
            for key in &keys {
                table.remove(key);
            }
        })
        .await
    }
}

struct SimTimers(Process);

fn in_calendar(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn keys_and_causes(claimed: &[ClaimedTimer]) -> Vec<(String, Uuid)> {
    claimed
        .iter()
        .map(|claimed| (claimed.timer.to_string(), claimed.cause))
        .collect()
}

impl Timers for SimTimers {
    fn claim(&self, limit: usize, claim: Duration) -> Reply<'_, Vec<ClaimedTimer>> {
        Box::pin(self.0.statement::<TimerRow, _>(move |rows| {
            let now = rows.now();
            let due = |row: &&TimerRow| {
                row.due_at <= now && row.claimed_until.is_none_or(|until| until <= now)
            };
            let mut due: Vec<(DateTime<Utc>, String)> = rows
                .all()
                .values()
                .filter(due)
                .map(|row| (row.due_at, row.timer.to_string()))
                .collect();
            due.sort();
            due.retain(|(_, key)| !rows.is_locked(key));
            due.truncate(limit);
            let claim_row = |(_, key): (_, String)| {
                let row = rows.all().get_mut(&key)?;
                row.claimed_until = Some(now + in_calendar(claim));
                Some(ClaimedTimer {
                    timer: row.timer,
                    attempts: row.attempts,
                    unanswered: row
                        .unanswered_since
                        .map(|since| (now - since).to_std().unwrap_or_default()),
                    cause: row.cause,
                    correlation: row.correlation.clone(),
                })
            };
            due.into_iter().filter_map(claim_row).collect()
        }))
    }

    fn renew<'a>(&'a self, claimed: &'a [ClaimedTimer], claim: Duration) -> Reply<'a, ()> {
        let claimed = keys_and_causes(claimed);
        Box::pin(async move {
            if claimed.is_empty() {
                return Ok(());
            }
            let renew = move |rows: &mut eventstore::testing::simulation::Rows<'_, TimerRow>| {
                let until = rows.now() + in_calendar(claim);
                for (key, cause) in &claimed {
                    if rows.is_locked(key) {
                        continue;
                    }
                    let row = rows.all().get_mut(key);
                    if let Some(row) = row.filter(|row| row.cause == *cause) {
                        row.claimed_until = row.claimed_until.map(|_| until);
                    }
                }
            };
            self.0.statement(renew).await
        })
    }

    fn finish<'a>(&'a self, done: &'a [ClaimedTimer]) -> Reply<'a, ()> {
        let done = keys_and_causes(done);
        Box::pin(async move {
            if done.is_empty() {
                return Ok(());
            }
            let remove = move |rows: &mut eventstore::testing::simulation::Rows<'_, TimerRow>| {
                for (key, cause) in &done {
                    let ours = rows.all().get(key).is_some_and(|row| row.cause == *cause);
                    if ours && !rows.is_locked(key) {
                        rows.all().remove(key);
                    }
                }
            };
            self.0.statement(remove).await
        })
    }

    fn put_off<'a>(&'a self, later: &'a [PutOff]) -> Reply<'a, ()> {
        let later: Vec<(String, Uuid, Duration, bool)> = later
            .iter()
            .map(|put_off| {
                let claimed = &put_off.claimed;
                let key = claimed.timer.to_string();
                (key, claimed.cause, put_off.pause, put_off.unanswered)
            })
            .collect();
        Box::pin(async move {
            if later.is_empty() {
                return Ok(());
            }
            let delay = move |rows: &mut eventstore::testing::simulation::Rows<'_, TimerRow>| {
                let now = rows.now();
                for (key, cause, pause, unanswered) in &later {
                    if rows.is_locked(key) {
                        continue;
                    }
                    let Some(row) = rows.all().get_mut(key).filter(|row| row.cause == *cause)
                    else {
                        continue;
                    };
                    row.due_at = now + in_calendar(*pause);
                    row.attempts += 1;
                    row.claimed_until = None;
                    if *unanswered {
                        row.unanswered_since.get_or_insert(now);
                    }
                }
            };
            self.0.statement(delay).await
        })
    }
}
