//! Where a run takes place: servers, sizes, which rows are wanted, and the baseline that several rows share.

use std::time::Duration;

use eventstore::testing::TestDatabase;

use crate::plain::Plain;

/// What goes wrong in a measurement ends it, with a message.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long one pass of a throughput row takes.
const PASS: Duration = Duration::from_secs(10);
const QUICK_PASS: Duration = Duration::from_millis(400);
/// Passes of each side, in turn.
const PASSES: usize = 3;

/// See the module.
pub(crate) struct Env {
    /// The server; [`Env::fresh_database`] makes a database on it.
    pub(crate) database_url: String,
    /// The brokers, as rdkafka takes them.
    pub(crate) brokers: String,
    /// Tiny sizes: shows that each row runs, measures nothing.
    pub(crate) quick: bool,
    /// Names of the wanted rows, or beginnings or parts of them; empty for all.
    wanted: Vec<String>,
}

impl Env {
    /// Reads the servers' addresses from the environment.
    pub(crate) fn new(quick: bool, wanted: Vec<String>) -> Outcome<Self> {
        let setting = |name: &str| {
            std::env::var(name).map_err(|_| format!("{name} is not set; `make bench` sets it"))
        };
        Ok(Self {
            database_url: setting("DATABASE_URL")?,
            brokers: setting("KAFKA_BROKERS")?,
            quick,
            wanted,
        })
    }

    /// Whether the row of this name is to be measured.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| row.contains(&**wanted))
    }

    /// Whether all rows are: only such a run is written down.
    pub(crate) fn wants_all(&self) -> bool {
        self.wanted.is_empty()
    }

    /// How long one pass of a throughput row takes.
    pub(crate) const fn pass(&self) -> Duration {
        if self.quick { QUICK_PASS } else { PASS }
    }

    /// Passes of each side, in turn.
    pub(crate) const fn passes(&self) -> usize {
        if self.quick { 1 } else { PASSES }
    }

    /// A size, or the one that a quick run has instead.
    pub(crate) const fn sized(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// An empty, migrated database of its own; whoever takes it drops it.
    pub(crate) async fn fresh_database(&self) -> TestDatabase {
        TestDatabase::create().await
    }

    /// Orders per second of one pass of "plain", 32 in flight over 1,000 products: the store figure that rows of
    /// other parts are compared with. Measured at each call, so take it right before and after what is compared; and
    /// on new streams each time, because plain gets slower with their length.
    pub(crate) async fn plain_32(&self) -> Outcome<f64> {
        let plain = Plain::open(1_000).await?;
        let rate = plain.pass_over_all(32, self.pass()).await?;
        plain.close().await;
        Ok(rate)
    }
}

/// Medians of passes of a baseline and of ours, taken in turn, so that both see the same machine: (baseline, ours).
pub(crate) async fn in_turn(
    env: &Env,
    mut baseline: impl AsyncFnMut() -> Outcome<f64>,
    mut ours: impl AsyncFnMut() -> Outcome<f64>,
) -> Outcome<(f64, f64)> {
    let (mut baselines, mut ourses) = (Vec::new(), Vec::new());
    for pass in 0..env.passes() {
        // who comes first changes, because the second may find the machine warmer or busier
        if pass % 2 == 0 {
            baselines.push(baseline().await?);
            ourses.push(ours().await?);
        } else {
            ourses.push(ours().await?);
            baselines.push(baseline().await?);
        }
    }
    Ok((median(&mut baselines), median(&mut ourses)))
}

/// The middle one; not a number where there is none.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[count / 2],
        count => f64::midpoint(figures[count / 2 - 1], figures[count / 2]),
    }
}
