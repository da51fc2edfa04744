//! The generator's process: one thread, one task per connection, nothing allocated per order.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, task::LocalSet};

use super::{Pace, Plan, Report, Until, connection::Connection, percentile, requests::Requests};
use crate::{env::Outcome, process};

/// Most bytes of the first fault that are told.
const SHOWN_BYTES: usize = 500;
/// Broken connections in a row after which a connection is given up.
const MAX_BREAKS: u32 = 20;

/// What the connections share.
struct Shared {
    plan: Plan,
    begun: Instant,
    /// Numbers of orders that were taken by connections.
    taken: Cell<u64>,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    placed: u64,
    statuses: BTreeMap<u16, u64>,
    first_fault: Option<String>,
    /// Microseconds of each answer since the warm-up.
    latencies: Vec<u32>,
    /// When the warm-up was over, and the processor time that had been taken by then.
    measuring: Option<(Instant, Outcome<f64>)>,
    measured: u64,
}

/// Runs the plan to its end.
pub(super) fn run(plan: Plan) -> Outcome<Report> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let requests: Vec<Requests> = (0..plan.connections)
        .map(|connection| Requests::new(&plan, connection))
        .collect();
    let shared = Rc::new(Shared {
        plan,
        begun: Instant::now(),
        taken: Cell::new(0),
        seen: RefCell::default(),
    });
    let tasks = LocalSet::new();
    for requests in requests {
        tasks.spawn_local(send_all(shared.clone(), requests));
    }
    runtime.block_on(tasks);
    report(shared.seen.take())
}

fn report(mut seen: Seen) -> Outcome<Report> {
    let (since, cpu_before) = seen.measuring.ok_or("no answer came after the warm-up")?;
    let cpu_before = cpu_before?;
    seen.latencies.sort_unstable();
    let milliseconds = |share| f64::from(percentile(&seen.latencies, share).unwrap_or(0)) / 1_000.0;
    Ok(Report {
        placed: seen.placed,
        measured: seen.measured,
        seconds: since.elapsed().as_secs_f64(),
        p50_ms: milliseconds(0.50),
        p99_ms: milliseconds(0.99),
        worst_ms: milliseconds(1.0),
        statuses: seen.statuses,
        first_fault: seen.first_fault,
        cpu_seconds: process::cpu_seconds(std::process::id())? - cpu_before,
    })
}

impl Shared {
    /// When the next order is due; none when the load is over.
    fn next(&self) -> Option<Instant> {
        let number = self.taken.get();
        let due = match self.plan.pace {
            Pace::Closed => Instant::now(),
            Pace::PerSecond(rate) => {
                #[allow(clippy::cast_precision_loss)] // far below 2^52
                let after = number as f64 / rate;
                self.begun + Duration::from_secs_f64(after)
            }
        };
        let goes_on = match self.plan.until {
            Until::Orders(orders) => number < orders,
            Until::Seconds(seconds) => {
                due < self.begun + Duration::from_secs_f64(self.plan.warm_up + seconds)
            }
        };
        self.taken.set(number + 1);
        goes_on.then_some(due)
    }

    fn note(&self, due: Instant, status: u16, fault: impl FnOnce() -> String) {
        let now = Instant::now();
        let mut seen = self.seen.borrow_mut();
        *seen.statuses.entry(status).or_default() += 1;
        let placed = u64::from(status == 201);
        seen.placed += placed;
        if placed == 0 && seen.first_fault.is_none() {
            seen.first_fault = Some(fault());
        }
        if seen.measuring.is_some() {
            seen.measured += placed;
            let micros = now.saturating_duration_since(due).as_micros();
            seen.latencies
                .push(u32::try_from(micros).unwrap_or(u32::MAX));
        } else if now >= self.begun + Duration::from_secs_f64(self.plan.warm_up) {
            seen.measuring = Some((now, process::cpu_seconds(std::process::id())));
        }
    }
}

/// What one connection does.
async fn send_all(shared: Rc<Shared>, mut requests: Requests) {
    let mut connection = None;
    let mut breaks = 0;
    while let Some(due) = shared.next() {
        if matches!(shared.plan.pace, Pace::PerSecond(_)) {
            tokio::time::sleep_until(due.into()).await;
        }
        let request = requests.next();
        match ask(&mut connection, &shared.plan.authority, request).await {
            Ok((status, fault)) => {
                breaks = 0;
                shared.note(due, status, || fault.unwrap_or_default());
            }
            Err(error) => {
                connection = None;
                breaks += 1;
                shared.note(due, 0, || error.to_string());
                if breaks > MAX_BREAKS {
                    return;
                }
            }
        }
    }
}

/// Asks on the open connection, or on a new one. Returns the status, and the body where it was not 201.
async fn ask(
    connection: &mut Option<Connection>,
    authority: &str,
    request: &[u8],
) -> std::io::Result<(u16, Option<String>)> {
    if connection.is_none() {
        *connection = Some(Connection::open(authority).await?);
    }
    let Some(open) = connection else {
        unreachable!("opened just now");
    };
    let answered = open.ask(request).await?;
    let fault = (answered.status != 201).then(|| {
        let shown = &answered.body[..answered.body.len().min(SHOWN_BYTES)];
        format!("{} {}", answered.status, String::from_utf8_lossy(shown))
    });
    Ok((answered.status, fault))
}
