//! How soon what was committed is known elsewhere, at 300 orders/s with everything running: by a read-committed
//! consumer, in a read model, by a client of the stock feed, and at the payment gateway once the payment is due.
//!
//! All times are of one machine's clock. An event's commit is its `recorded_at`, which the database sets under the lock
//! of the log before it writes and commits: the commit itself is a little later, so the figures are not flattering.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use tests::server::Server;
use tokio::task::JoinHandle;

use crate::{
    consumer::{Consumed, Consumer},
    env::{Env, Outcome, median},
    listener::Listener,
    load::{Load, Pace, Plan, Report, Until, percentile},
    market::{self, Market, PATIENCE},
    report::{Bound, Figure, Row},
};

const KAFKA: &str = "latency-kafka";
const VIEW: &str = "latency-view";
const FEED: &str = "latency-stock-feed";
const GATEWAY: &str = "latency-gateway";

/// Orders per second.
const RATE: f64 = 300.0;
/// How long the load lasts behind its warm-up.
const SECONDS: f64 = 60.0;
const WARM_UP: f64 = 5.0;
/// Enough that an order which falls due finds one free: at this rate all are busy only if answers take most of a second.
const CONNECTIONS: usize = 256;
/// The read model that is looked at.
const ORDERS_VIEW: &str = "orders_v3";
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(2);

/// Milliseconds that something took, in order.
struct Delays(Vec<f64>);

impl Delays {
    fn new(mut milliseconds: Vec<f64>) -> Self {
        milliseconds.sort_by(f64::total_cmp);
        Self(milliseconds)
    }

    fn at(&self, share: f64) -> f64 {
        percentile(&self.0, share).unwrap_or(f64::NAN)
    }

    fn described(&self) -> String {
        format!(
            "{} measured: {:.1} ms (p50), {:.1} ms (p99), {:.0} ms at worst.",
            self.0.len(),
            self.at(0.50),
            self.at(0.99),
            self.at(1.0)
        )
    }
}

/// The rows of this file, all four of one run.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    let rows_of_this = [KAFKA, VIEW, FEED, GATEWAY];
    if !rows_of_this.into_iter().any(|row| env.wants(row)) {
        return Ok(Vec::new());
    }
    let market = Market::open(env.quick).await?;
    let server = market.serve_all().await?;
    let mut passes = Vec::new();
    for _ in 0..env.passes() {
        passes.push(observe(env, &market, &server).await?);
    }
    market::stop(server).await?;
    market.close().await;
    Ok(rows(&passes))
}

/// What one pass showed.
struct Seen {
    kafka: Delays,
    view: Delays,
    feed: Delays,
    gateway: Delays,
    load: Report,
}

async fn observe(env: &Env, market: &Market, server: &Server) -> Outcome<Seen> {
    let before = market.head().await;
    let consumer = Consumer::start(&env.brokers, &market.shop.prefix, before).await?;
    let watch = Watch::start(market, before).await?;
    let listener = Listener::start(server).await;
    let plan = Plan {
        warm_up: WARM_UP,
        lines: 3,
        connections: CONNECTIONS,
        ..market.plan(
            server,
            Pace::PerSecond(RATE),
            Until::Seconds(if env.quick { 3.0 } else { SECONDS }),
        )
    };
    let load = Load::run(&plan).await?;
    if !env.quick && load.per_second() < 0.98 * RATE {
        return Err(format!("only {:.0} orders/s were placed", load.per_second()).into());
    }
    market.settled(None).await?;
    let head = market.head().await;
    let came = consumer
        .until(usize::try_from(head - before)?, PATIENCE)
        .await?;
    let looks = watch.end(head).await?;
    // a stream of its own begins with the load: what was measured is after the warm-up
    let since = measured_since(market.pool(), before).await?;
    Ok(Seen {
        kafka: Delays::new(
            came.iter()
                .filter(|it| it.position > since)
                .map(Consumed::delay_ms)
                .collect(),
        ),
        view: view_delays(market.pool(), since, &looks).await?,
        feed: Delays::new(listener.end(market.pool(), since).await?),
        gateway: gateway_delays(market.pool(), since).await?,
        load,
    })
}

/// The last position of the warm-up.
async fn measured_since(pool: &PgPool, before: i64) -> Outcome<i64> {
    let sql = "select max(position) from events where position > $1 and recorded_at < \
        (select recorded_at from events where position = $1 + 1) + make_interval(secs => $2)";
    Ok(sqlx::query_scalar(sql)
        .bind(before)
        .bind(WARM_UP)
        .fetch_one(pool)
        .await?)
}

/// Each new checkpoint, and when it was seen first.
type Looks = Vec<(i64, DateTime<Utc>)>;

/// Looks at the checkpoint of the read model again and again, on a connection of its own.
struct Watch {
    /// Where the looking ends.
    until: Arc<AtomicI64>,
    task: JoinHandle<Outcome<Looks>>,
}

impl Watch {
    async fn start(market: &Market, from: i64) -> Outcome<Self> {
        let mut connection = PgConnection::connect(&market.shop.database_url()).await?;
        let until = Arc::new(AtomicI64::new(i64::MAX));
        let end = until.clone();
        let task = tokio::spawn(async move {
            let (mut looks, mut last) = (Vec::new(), from);
            let mut ticks = tokio::time::interval(LOOK);
            while last < end.load(Ordering::Relaxed) {
                ticks.tick().await;
                let at: i64 =
                    sqlx::query_scalar("select position from subscriptions where name = $1")
                        .bind(ORDERS_VIEW)
                        .fetch_one(&mut connection)
                        .await?;
                if at > last {
                    looks.push((at, Utc::now()));
                    last = at;
                }
            }
            Ok(looks)
        });
        Ok(Self { until, task })
    }

    /// Ends when this position was seen. Returns each new checkpoint with the time at which it was seen first.
    async fn end(self, head: i64) -> Outcome<Looks> {
        self.until.store(head, Ordering::Relaxed);
        tokio::time::timeout(PATIENCE, self.task).await??
    }
}

/// From the commit of each order event to the first look that found the read model there.
async fn view_delays(pool: &PgPool, since: i64, looks: &[(i64, DateTime<Utc>)]) -> Outcome<Delays> {
    let events: Vec<(i64, DateTime<Utc>)> = sqlx::query_as(
        "select position, recorded_at from events where position > $1 and aggregate_type = 'order' order by position",
    )
    .bind(since)
    .fetch_all(pool)
    .await?;
    let mut delays = Vec::with_capacity(events.len());
    for (position, recorded_at) in events {
        let next = looks.partition_point(|(at, _)| *at < position);
        let (_, seen_at) = looks.get(next).ok_or("the view was watched to the end")?;
        delays.push(milliseconds(recorded_at, *seen_at));
    }
    Ok(Delays::new(delays))
}

/// From the moment each order's payment was due to the gateway's entry in its book.
async fn gateway_delays(pool: &PgPool, since: i64) -> Outcome<Delays> {
    let orders: HashMap<String, DateTime<Utc>> = sqlx::query_as::<_, (String, DateTime<Utc>)>(
        "select aggregate_id, recorded_at + make_interval(secs => (payload->>'payment_delay_ms')::float8 / 1000) \
         from events where position > $1 and event_type = 'OrderPlaced'",
    )
    .bind(since)
    .fetch_all(pool)
    .await?
    .into_iter()
    .collect();
    let asked: Vec<(String, DateTime<Utc>)> = sqlx::query_as(
        "select e.payload->>'order_id', g.entered_at from events e \
         join fake_gateway_charges g on g.key = (e.payload->>'payment_id') || '-1' \
         where e.position > $1 and e.event_type = 'PaymentStarted'",
    )
    .bind(since)
    .fetch_all(pool)
    .await?;
    let delays: Vec<f64> = asked
        .iter()
        .filter_map(|(order, entered_at)| Some(milliseconds(*orders.get(order)?, *entered_at)))
        .collect();
    if delays.len() != orders.len() {
        return Err(format!(
            "the gateway was asked for {} of {} orders",
            delays.len(),
            orders.len()
        )
        .into());
    }
    Ok(Delays::new(delays))
}

/// From one time to another; negative where the second was first.
pub(crate) fn milliseconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    let micros = (to - from).num_microseconds().unwrap_or(i64::MAX);
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let milliseconds = micros as f64 / 1_000.0;
    milliseconds
}

fn rows(passes: &[Seen]) -> Vec<Row> {
    let p99 = |delays: fn(&Seen) -> &Delays| {
        let mut of_each: Vec<f64> = passes.iter().map(|seen| delays(seen).at(0.99)).collect();
        Figure::new(median(&mut of_each), "ms")
    };
    let described =
        |delays: fn(&Seen) -> &Delays| passes.iter().map(move |seen| delays(seen).described());
    let loads = passes.iter().map(|seen| {
        let rate = seen.load.per_second();
        format!("At {rate:.0} orders/s: {}", seen.load.described())
    });
    vec![
        Row {
            name: KAFKA,
            what: "commit → read-committed consumer, at 300 orders/s, everything running, p99",
            measured: p99(|seen| &seen.kafka),
            baseline: None,
            bound: Bound::Within {
                floor: 150.0,
                aim: 50.0,
            },
            explanation: "Orders of 1 to 3 lines fall due at a fixed rate for 60 s, whatever the answers do; their payments \
                follow after 1 s. A consumer on a thread of its own reads all topics; counted is every event, from its \
                `recorded_at` in the log until the consumer has it.",
            held_by: "a transaction takes some 30 ms here, and what is written meanwhile waits for the next: brokers take the \
                requests of one connection one after the other, librdkafka sends one for each of the 18 partitions that \
                the shop's three busy topics have, and the markers of the one before need 10 ms.",
            notes: described(|seen| &seen.kafka).chain(loads).collect(),
        },
        Row {
            name: VIEW,
            what: "commit → read model, same load, p99",
            measured: p99(|seen| &seen.view),
            baseline: None,
            bound: Bound::Within {
                floor: 100.0,
                aim: 25.0,
            },
            explanation: "A connection of its own looks at the checkpoint of the orders view every 2 ms, which commits \
                with its rows; counted is every event of an order, from its `recorded_at` until a look finds it handled.",
            held_by: "batches begin 10 ms apart; the rest is the wait for a core and for the batch's commit.",
            notes: described(|seen| &seen.view).collect(),
        },
        Row {
            name: FEED,
            what: "commit → client of the stock feed, same load, p99",
            measured: p99(|seen| &seen.feed),
            baseline: None,
            bound: Bound::Within {
                floor: 250.0,
                aim: 50.0,
            },
            explanation: "A client in the process of the benchmark follows all stock by server-sent events; counted is every \
                event of an inventory, from its `recorded_at` until the client has it, and that all came once and in order.",
            held_by: "batches begin 10 ms apart; the rest is the wait for a core.",
            notes: described(|seen| &seen.feed).collect(),
        },
        Row {
            name: GATEWAY,
            what: "timer due → gateway asked, same load, p99",
            measured: p99(|seen| &seen.gateway),
            baseline: None,
            bound: Bound::Within {
                floor: 1_000.0,
                aim: 100.0,
            },
            explanation: "From the order's `recorded_at` plus the delay that it froze until the fake gateway enters the charge \
                into its book: claiming the timer, deciding and committing the attempt are in it.",
            held_by: "the table of timers is looked at every 10 ms; the rest is the wait for a core and a commit.",
            notes: described(|seen| &seen.gateway).collect(),
        },
    ]
}
