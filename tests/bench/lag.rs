//! How far subscriptions are behind the log, sampled while a load runs.

use std::{collections::BTreeMap, time::Duration};

use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::env::Outcome;

/// Between two samples.
const INTERVAL: Duration = Duration::from_millis(250);

/// How many events each subscription has not handled, and how old the oldest of them is.
const LAG: &str = "select s.name, h.position - s.position as events, \
        coalesce(extract(epoch from clock_timestamp() - e.recorded_at), 0)::float8 as seconds \
    from subscriptions s cross join (select max(position) as position from events) h \
    left join events e on e.position = s.position + 1";

/// The greatest lag of each subscription in each half of the time.
#[derive(Default)]
pub(crate) struct Lags {
    samples: Vec<Vec<(String, i64, f64)>>,
}

/// Sampling that goes on.
pub(crate) struct Sampling {
    stop: CancellationToken,
    task: JoinHandle<Outcome<Lags>>,
}

impl Sampling {
    /// Ends it.
    pub(crate) async fn end(self) -> Outcome<Lags> {
        self.stop.cancel();
        self.task.await?
    }
}

impl Lags {
    /// Begins to sample.
    pub(crate) fn sample(pool: &PgPool) -> Sampling {
        let (stop, pool) = (CancellationToken::new(), pool.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut lags = Self::default();
            while !stopped.is_cancelled() {
                lags.samples
                    .push(sqlx::query_as(LAG).fetch_all(&pool).await?);
                tokio::time::sleep(INTERVAL).await;
            }
            Ok(lags)
        });
        Sampling { stop, task }
    }

    /// The oldest that an event got before a subscription handled it, whichever it was.
    pub(crate) fn worst_seconds(&self) -> f64 {
        self.samples
            .iter()
            .flatten()
            .map(|(_, _, seconds)| *seconds)
            .fold(0.0, f64::max)
    }

    /// Fails where a subscription fell further and further behind while the load lasted.
    pub(crate) fn bounded(self) -> Outcome<Self> {
        let (first, second) = self.samples.split_at(self.samples.len() / 2);
        let first = worst(first);
        for (name, (_, seconds)) in worst(second) {
            let (_, before) = first.get(name).copied().unwrap_or_default();
            if seconds > before * 1.5 + 1.0 {
                return Err(format!("{name} was {before:.2} s behind, then {seconds:.2} s").into());
            }
        }
        Ok(self)
    }

    /// The worst of each subscription in the first and in the second half: what grows shows.
    pub(crate) fn described(&self) -> String {
        let (first, second) = self.samples.split_at(self.samples.len() / 2);
        let (first, second) = (worst(first), worst(second));
        let each = second.iter().map(|(name, (events, seconds))| {
            let (events_before, seconds_before) = first.get(name).copied().unwrap_or_default();
            format!("{name} {seconds_before:.2} s ({events_before}) then {seconds:.2} s ({events})")
        });
        format!(
            "A pass, worst lag in seconds and events, in the first half then in the second: {}.",
            each.collect::<Vec<_>>().join(", ")
        )
    }
}

fn worst(samples: &[Vec<(String, i64, f64)>]) -> BTreeMap<&str, (i64, f64)> {
    let mut worst = BTreeMap::<&str, (i64, f64)>::new();
    for (name, events, seconds) in samples.iter().flatten() {
        let entry = worst.entry(name).or_default();
        *entry = (entry.0.max(*events), entry.1.max(*seconds));
    }
    worst
}
