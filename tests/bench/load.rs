//! The load: a process of its own that places orders over HTTP/1.1 on keep-alive connections and measures how long each
//! answer takes. It is this very executable, started with a hidden argument, so that the time it takes on the cores it
//! shares with the server is known apart and can be told beside every figure ([`Report::cores`]).
//!
//! Closed: every connection sends its next order as soon as the last one is answered. Open: orders fall due at a fixed
//! rate whether or not the last ones are answered, and each one's time counts from the moment it was due, so that a
//! server that stands still for a second shows as a thousand late answers and not as one.

use std::{
    collections::BTreeMap,
    process::{ExitCode, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::env::Outcome;

mod connection;
mod generator;
mod requests;

/// The argument that makes this executable the load generator.
const ARGUMENT: &str = "generate-load";

/// How long the generator may take beyond its plan until it must have reported.
const PATIENCE: Duration = Duration::from_mins(2);

/// Orders per second below which a load of so many orders is given up.
const SLOWEST: u64 = 200;

/// When orders are sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// The next one on a connection once the last one is answered.
    Closed,
    /// So many a second, whatever the answers do.
    PerSecond(f64),
}

/// When the load ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Until {
    /// After so many seconds behind the warm-up.
    Seconds(f64),
    /// After so many orders, the warm-up's among them.
    Orders(u64),
}

/// What the generator is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Where the server listens, such as `127.0.0.1:41234`.
    pub(crate) authority: String,
    /// Access tokens of the customers; each connection goes through them in turn.
    pub(crate) tokens: Vec<String>,
    /// What they buy, one piece of each chosen product.
    pub(crate) products: Vec<String>,
    /// Most lines of an order; each has 1 to this many.
    pub(crate) lines: usize,
    /// Connections that are kept open.
    pub(crate) connections: usize,
    /// When orders are sent.
    pub(crate) pace: Pace,
    /// Seconds before anything is measured.
    pub(crate) warm_up: f64,
    /// When it ends.
    pub(crate) until: Until,
    /// What the choice of products begins with.
    pub(crate) seed: u64,
}

/// What the generator saw. Figures are of what was answered after the warm-up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Orders accepted, with those of the warm-up.
    pub(crate) placed: u64,
    /// Orders accepted while it was measured.
    pub(crate) measured: u64,
    /// How long it was measured.
    pub(crate) seconds: f64,
    /// Half of the answers took no longer, in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99_ms: f64,
    /// None took longer.
    pub(crate) worst_ms: f64,
    /// Answers by status, with those of the warm-up; 0 counts connections that broke.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The first answer that was not 201.
    pub(crate) first_fault: Option<String>,
    /// Seconds of processor time that the generator took while it was measured.
    pub(crate) cpu_seconds: f64,
}

impl Report {
    /// Orders accepted per second.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(crate) fn per_second(&self) -> f64 {
        self.measured as f64 / self.seconds
    }

    /// Cores that the generator kept busy.
    pub(crate) fn cores(&self) -> f64 {
        self.cpu_seconds / self.seconds
    }

    /// Answers other than 201.
    pub(crate) fn faults(&self) -> u64 {
        let others = self.statuses.iter().filter(|(status, _)| **status != 201);
        others.map(|(_, count)| count).sum()
    }

    /// Fails unless every order was accepted: a figure of refusals would mean nothing.
    pub(crate) fn all_placed(self) -> Outcome<Self> {
        if self.faults() > 0 || self.measured == 0 {
            let (statuses, fault) = (&self.statuses, &self.first_fault);
            return Err(format!(
                "not every order was accepted: {statuses:?}, the first: {fault:?}"
            )
            .into());
        }
        Ok(self)
    }

    /// Latencies and the load's own share of the machine, for the notes of a row.
    pub(crate) fn described(&self) -> String {
        format!(
            "Answers took {:.1} ms (p50), {:.1} ms (p99), {:.0} ms at worst; the load took {:.2} of the cores.",
            self.p50_ms,
            self.p99_ms,
            self.worst_ms,
            self.cores()
        )
    }
}

/// A load that runs. Killed when dropped.
pub(crate) struct Load {
    child: Child,
    bound: Duration,
}

impl Load {
    /// Starts the generator.
    pub(crate) async fn start(plan: &Plan) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().ok_or("a pipe was asked for")?;
        stdin.write_all(&serde_json::to_vec(plan)?).await?;
        drop(stdin);
        let bound = match plan.until {
            Until::Seconds(seconds) => Duration::from_secs_f64(plan.warm_up + seconds) + PATIENCE,
            Until::Orders(orders) => Duration::from_secs(orders / SLOWEST) + PATIENCE,
        };
        Ok(Self { child, bound })
    }

    /// Waits until it has ended, and returns what it saw. Fails unless every order was accepted.
    pub(crate) async fn report(self) -> Outcome<Report> {
        let output = tokio::time::timeout(self.bound, self.child.wait_with_output()).await??;
        if !output.status.success() {
            return Err(format!("the load ended with {}", output.status).into());
        }
        serde_json::from_slice::<Report>(&output.stdout)?.all_placed()
    }

    /// Runs a load to its end.
    pub(crate) async fn run(plan: &Plan) -> Outcome<Report> {
        Self::start(plan).await?.report().await
    }
}

/// The hidden part of `main`, called before anything else, outside of a runtime: where this process was started as the
/// generator, runs it and returns how it ended.
pub(crate) fn generate_if_asked() -> Option<ExitCode> {
    if std::env::args().nth(1).as_deref() != Some(ARGUMENT) {
        return None;
    }
    let generate = || -> Outcome<String> {
        let plan: Plan = serde_json::from_reader(std::io::stdin().lock())?;
        Ok(serde_json::to_string(&generator::run(plan)?)?)
    };
    Some(match generate() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    })
}

/// The figure that this share of them does not exceed; none where there are none. They are in order.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
