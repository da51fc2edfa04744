//! The memory of one server of all parts while a million orders go through it.

use std::time::{Duration, Instant};

use crate::{
    env::{Env, Outcome, median},
    load::{Load, Pace, Plan, Until},
    market::{self, Market},
    process::{self, Memory},
    report::{Bound, Figure, Row, number},
};

const NAME: &str = "memory";

/// Orders through the HTTP API of one process.
const ORDERS: usize = 1_000_000;
/// How often its memory is noted: after each of so many parts of the orders.
const PARTS: u64 = 10;

/// The row, where it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let orders = env.sized(ORDERS, 1_000) as u64;
    let market = Market::open(env.quick).await?;
    let server = market.serve_all().await?;
    let begun = Instant::now();
    let mut course = vec![process::memory(server.pid())?];
    let mut load_cores = Vec::new();
    for part in 1..=PARTS {
        let plan = Plan {
            lines: 3,
            seed: part,
            ..market.plan(&server, Pace::Closed, Until::Orders(orders / PARTS))
        };
        load_cores.push(Load::run(&plan).await?.cores());
        course.push(process::memory(server.pid())?);
    }
    let placing = begun.elapsed();
    let settling = market.settled(None).await?;
    let end = process::memory(server.pid())?;
    market::stop(server).await?;
    market.close().await;
    let cores = median(&mut load_cores);
    Ok(vec![row(&course, end, placing, settling, cores)])
}

fn row(
    course: &[Memory],
    end: Memory,
    placing: Duration,
    settling: Duration,
    load_cores: f64,
) -> Row {
    let course: Vec<String> = course
        .iter()
        .map(|memory| number(memory.resident))
        .collect();
    Row {
        name: NAME,
        what: "server memory after 1,000,000 orders",
        measured: Figure::new(end.peak, "MB"),
        baseline: None,
        bound: Bound::Within {
            floor: 250.0,
            aim: 100.0,
        },
        explanation: "The most resident memory that one server process of all parts ever had while a million orders of 1 to \
            3 lines came in over HTTP as fast as it took them, were paid, projected and published. SOUK_CACHE has its \
            default of 64 MiB. One pass.",
        held_by: "the caches: 64 MiB of streams, 24 MiB of recent events and as much again on their way to read models and \
            to Kafka.",
        notes: vec![
            format!(
                "Resident at the end: {} MB; after each tenth of the orders: {} MB.",
                number(end.resident),
                course.join(", ")
            ),
            format!(
                "Placing took {:.0} s, with {load_cores:.2} cores for the load, and everything behind it {:.0} s more.",
                placing.as_secs_f64(),
                settling.as_secs_f64()
            ),
        ],
    }
}
