//! `make bench`: Souk measured, each figure next to a baseline of the same run.
//!
//! `cargo bench -p tests --bench souk -- [--quick] [ROW…]`, with `DATABASE_URL` and `KAFKA_BROKERS`. ROW is a part of a
//! row's name. The table is printed; that of a whole run, not a quick one, is also written to docs/BENCHMARKS.md, all of
//! whose text stands in these files. The exit code is 1 when a floor is missed or a row could not be measured.
//!
//! - `report`: rows and their table. `env`: servers, sizes, passes in turn. `machine`: on what it was measured.
//! - `plain`: the baseline, a program as the documentation of cqrs-es and postgres-es shows it.
//! - `shop`: buyers at the store, through the production path. `history`: a long log, written in bulk.
//! - `store`, `bare`, `held`, `deep`, `cold`, `rebuild`, `search`: the rows measured there.
//! - `auth`: what every request pays to be let in. `scale`: a large demo shop by the command line.
//! - `market`: a shop as processes see it. `load`: orders over HTTP, from a process of its own. `process`: what one takes.
//! - `http`, `saga`, `publish`, `latency`, `sign_in`, `memory`: the rows measured at server processes and Kafka;
//!   `consumer` and `listener`: who hears of what was committed.

use std::process::ExitCode;

use self::{
    env::{Env, Outcome},
    report::{Row, Verdict},
};

mod auth;
mod bare;
mod cold;
mod consumer;
mod deep;
mod env;
mod held;
mod history;
mod http;
mod lag;
mod latency;
mod listener;
mod load;
mod machine;
mod market;
mod memory;
mod plain;
mod process;
mod publish;
mod rebuild;
mod report;
mod saga;
mod scale;
mod search;
mod shop;
mod sign_in;
mod store;

/// That of the server, for "plain" as well as for what is measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    load::generate_if_asked().unwrap_or_else(measure)
}

/// Everything is measured by one multi-threaded runtime, as it is in the server.
#[tokio::main]
async fn measure() -> ExitCode {
    let mut quick = false;
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match &*argument {
            "--quick" => quick = true,
            "--bench" => {} // cargo's own
            _ => wanted.push(argument),
        }
    }
    match run(quick, wanted).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("souk: {error}");
            ExitCode::FAILURE
        }
    }
}

/// True when every wanted row was measured and has reached its floor. A quick run shows only that the rows run.
async fn run(quick: bool, wanted: Vec<String>) -> Outcome<bool> {
    let env = Env::new(quick, wanted)?;
    let machine = machine::Machine::look(&env).await?;
    let mut rows = Vec::new();
    let mut complete = true;
    let mut take = |part: &str, measured: Outcome<Vec<Row>>| match measured {
        Ok(measured) => rows.extend(measured),
        Err(error) => {
            eprintln!("souk: {part}: {error}");
            complete = false;
        }
    };
    take("store", store::run(&env).await);
    take("bare", bare::run(&env).await);
    take("held", held::run(&env).await);
    take("deep", deep::run(&env).await);
    take("cold", cold::run(&env).await);
    take("auth", auth::run(&env).await);
    take("scale", scale::run(&env).await);
    take("http", http::run(&env).await);
    take("saga", saga::run(&env).await);
    take("publish", publish::run(&env).await);
    take("rebuild", rebuild::run(&env).await);
    take("search", search::run(&env).await);
    take("latency", latency::run(&env).await);
    take("sign-in", sign_in::run(&env).await);
    take("memory", memory::run(&env).await);
    let (whole, quick) = (env.wants_all(), env.quick);
    if rows.is_empty() {
        return Err("no such row".into());
    }
    let document = machine.document(&rows);
    println!("{document}");
    if whole && !quick && complete {
        std::fs::write(machine::FILE, document)?;
    }
    let reached = rows.iter().all(|row| row.verdict() != Verdict::Missed);
    Ok(complete && (quick || reached))
}
