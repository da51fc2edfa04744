//! Placing orders over HTTP: a server of the role `api` alone, then one of all parts on the same cores.

use std::time::Instant;

use chrono::Utc;

use crate::{
    env::{Env, Outcome, median},
    lag::Lags,
    load::{Load, Pace, Plan, Report, Until},
    market::{self, Market},
    process,
    report::{Bound, Figure, Row},
};

const API: &str = "http-api";
const API_P99: &str = "http-api-p99";
const ALL: &str = "http-all";
const ALL_LAG: &str = "http-all-lag";
const ALL_PAID: &str = "http-all-paid";

/// Seconds of load before a pass is measured.
const WARM_UP: f64 = 2.0;
/// How long the load on a server of all parts lasts.
const ALL_SECONDS: f64 = 60.0;

/// The rows of this file that are wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    if [API, API_P99].into_iter().any(|row| env.wants(row)) {
        rows.extend(api(env).await?);
    }
    if [ALL, ALL_LAG, ALL_PAID]
        .into_iter()
        .any(|row| env.wants(row))
    {
        rows.extend(all(env).await?);
    }
    Ok(rows)
}

/// What a pass of load on one server came to.
struct Pass {
    report: Report,
    /// Cores that the server took.
    server_cores: f64,
}

/// A closed load of so many seconds behind its warm-up.
async fn pass(market: &Market, server: &tests::server::Server, seconds: f64) -> Outcome<Pass> {
    let plan = Plan {
        warm_up: WARM_UP,
        ..market.plan(server, Pace::Closed, Until::Seconds(seconds))
    };
    let (begun, cpu_before) = (Instant::now(), process::cpu_seconds(server.pid())?);
    let report = Load::run(&plan).await?;
    let cpu = process::cpu_seconds(server.pid())? - cpu_before;
    Ok(Pass {
        report,
        server_cores: cpu / begun.elapsed().as_secs_f64(),
    })
}

/// The role `api` alone.
async fn api(env: &Env) -> Outcome<Vec<Row>> {
    let market = Market::open(env.quick).await?;
    let server = market.serve("api").await;
    let (mut plain, mut passes) = (vec![env.plain_32().await?], Vec::new());
    for _ in 0..env.passes() {
        passes.push(pass(&market, &server, env.pass().as_secs_f64()).await?);
        plain.push(env.plain_32().await?);
    }
    let placed: u64 = passes.iter().map(|pass| pass.report.placed).sum();
    all_in_log(&market, placed).await?;
    market::stop(server).await?;
    market.close().await;

    let of = |figure: fn(&Pass) -> f64| median(&mut passes.iter().map(figure).collect::<Vec<_>>());
    let note = passes.iter().map(|pass| {
        format!(
            "A pass: {:.0} orders/s. {} The server took {:.2} cores.",
            pass.report.per_second(),
            pass.report.described(),
            pass.server_cores
        )
    });
    let throughput = Row {
        name: API,
        what: "POST /api/v1/orders, JWT, idempotency key, 64 connections, server in the role `api`",
        measured: Figure::new(of(|pass| pass.report.per_second()), "orders/s"),
        baseline: Some(Figure::new(median(&mut plain), "orders/s")),
        bound: Bound::AtLeast {
            floor: 2.5,
            aim: 4.0,
        },
        explanation: "Orders of one line over 1,000 products from 200 customers, by a process of its own on 64 keep-alive \
            connections that each send the next order once the last one is answered; against plain at the store, 32 in \
            flight. Every order that was answered 201 is in the log, and no other answer came.",
        held_by: "processor time: HTTP, JSON, tokens and sealed names come to what the store takes.",
        notes: note.collect(),
    };
    let p99 = Row {
        name: API_P99,
        what: "the same, p99 of the answers",
        measured: Figure::new(of(|pass| pass.report.p99_ms), "ms"),
        baseline: None,
        // the issue names no aim apart from the floor: half of it
        bound: Bound::Within {
            floor: 60.0,
            aim: 30.0,
        },
        explanation: "How long 99 of 100 of these answers took at most, with the machine at its limit.",
        held_by: "64 orders at once wait for each other's commits.",
        notes: Vec::new(),
    };
    Ok(vec![throughput, p99])
}

/// Fails unless the log holds as many orders as were acknowledged.
async fn all_in_log(market: &Market, placed: u64) -> Outcome<()> {
    let orders = market.orders().await?;
    if orders == placed {
        Ok(())
    } else {
        Err(format!("{placed} orders were acknowledged and the log holds {orders}").into())
    }
}

/// What a server of all parts did.
struct AllPass {
    pass: Pass,
    lags: Lags,
    /// Orders paid per second while the load lasted.
    paid_per_second: f64,
    /// From the end of the load until all was paid and every subscription had the whole log.
    catching_up: f64,
}

/// All parts, with Kafka.
async fn all(env: &Env) -> Outcome<Vec<Row>> {
    let (mut plain, mut passes) = (vec![env.plain_32().await?], Vec::new());
    for _ in 0..env.passes() {
        passes.push(all_pass(env).await?);
        plain.push(env.plain_32().await?);
    }
    let of =
        |figure: fn(&AllPass) -> f64| median(&mut passes.iter().map(figure).collect::<Vec<_>>());
    let notes = passes.iter().map(|all| {
        format!(
            "A pass: {:.0} orders/s, meanwhile {:.0} paid/s. {} The server took {:.2} cores.",
            all.pass.report.per_second(),
            all.paid_per_second,
            all.pass.report.described(),
            all.pass.server_cores
        )
    });
    Ok(vec![
        Row {
            name: ALL,
            what: "same, with saga (delay 1 s), all read models, publisher and Kafka, for 60 s",
            measured: Figure::new(of(|all| all.pass.report.per_second()), "orders/s"),
            baseline: Some(Figure::new(median(&mut plain), "orders/s")),
            bound: Bound::AtLeast {
                floor: 0.6,
                aim: 1.5,
            },
            explanation: "One server of all parts, with the database and Kafka on the same cores, and the load of \
                `http-api` for 60 s; a fresh database for each pass. At the end the log holds every acknowledged order, \
                and all of them are paid.",
            held_by: "processor time: an order that is placed, paid and sold is some nine events in four units of work, and \
                every event is folded into read models, looked at by the saga and published, on two cores with PostgreSQL \
                and Kafka.",
            notes: notes.collect(),
        },
        Row {
            name: ALL_LAG,
            what: "same, how old the oldest event is that a subscription has not handled, at worst",
            measured: Figure::new(of(|all| all.lags.worst_seconds()), "s"),
            baseline: None,
            bound: Bound::Within {
                floor: 10.0,
                aim: 1.0,
            },
            explanation: "Sampled four times a second for every subscription (read models, saga, publisher) while the load \
                lasts; a lag that grows from its first half to its second fails the row. The bounds in seconds are ours.",
            held_by: "processor time, as above.",
            notes: passes.iter().map(|all| all.lags.described()).collect(),
        },
        Row {
            name: ALL_PAID,
            what: "same, from the end of the load until every order is paid and nothing lags",
            measured: Figure::new(of(|all| all.catching_up), "s"),
            baseline: None,
            bound: Bound::Within {
                floor: 15.0,
                aim: 3.0,
            },
            explanation: "The last order's payment is due 1 s after it. The bounds are ours here too.",
            held_by: "that second, and what had gathered before it.",
            notes: Vec::new(),
        },
    ])
}

async fn all_pass(env: &Env) -> Outcome<AllPass> {
    let market = Market::open(env.quick).await?;
    let server = market.serve_all().await?;
    let before = market.orders().await?;
    let seconds = if env.quick { 2.0 } else { ALL_SECONDS };
    let sampling = Lags::sample(market.pool());
    let (begun, begun_at) = (Instant::now(), Utc::now());
    let pass = pass(&market, &server, seconds).await?;
    let (ended, ended_at, lasted) = (Instant::now(), Utc::now(), begun.elapsed());
    let lags = sampling.end().await?.bounded()?;
    market.settled(None).await?;
    let catching_up = ended.elapsed().as_secs_f64();
    let paid = market.paid_between(begun_at, ended_at).await?;
    let orders = before + pass.report.placed;
    all_in_log(&market, orders).await?;
    let paid_in_the_end = market.paid().await?;
    if paid_in_the_end != orders {
        return Err(format!("{paid_in_the_end} of {orders} orders were paid").into());
    }
    market::stop(server).await?;
    market.close().await;
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let paid_per_second = paid as f64 / lasted.as_secs_f64();
    Ok(AllPass {
        pass,
        lags,
        paid_per_second,
        catching_up,
    })
}
