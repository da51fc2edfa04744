//! Rebuilding the orders view from the log, next to copying the same rows out and throwing them away.

use std::time::Instant;

use eventstore::{EventLog, subscription::Subscriptions};
use futures::TryStreamExt;
use projections::{
    View, migrate_views,
    orders::OrdersProjector,
    rebuild::{Settings, differences, discard, rebuild},
};

use crate::{
    env::{Env, Outcome, in_turn, median},
    history::fill,
    market::PATIENCE,
    report::{Bound, Figure, Row, number},
    shop::{PLENTY, Shop},
    store::PRODUCTS,
};

const NAME: &str = "rebuild";

/// Events in the log, of which three in seven are of orders.
const EVENTS: usize = 1_000_000;

/// The columns and rows that a rebuild reads; nothing is sorted and no index is used.
const ROWS: &str = "copy (select position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version, \
     payload from events where aggregate_type = 'order') to stdout";

/// The row, where it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let database = env.fresh_database().await;
    let shop = Shop::open(&database, PRODUCTS, PLENTY).await?;
    fill(&shop, env.sized(EVENTS, 5_000)).await?;
    shop.log.close().await;
    let log = database.open_log().await;
    migrate_views(log.pool()).await?;
    let (mut texts, mut binaries) = (Vec::new(), Vec::new());
    let copied = async || {
        let text = copy_out(&log, ROWS).await?;
        let binary = copy_out(&log, &format!("{ROWS} (format binary)")).await?;
        texts.push(text);
        binaries.push(binary);
        Ok(text.max(binary))
    };
    let mut number_of = 0;
    let rebuilt = async || {
        number_of += 1;
        rebuild_orders(&log, number_of).await
    };
    let (copied, rebuilt) = in_turn(env, copied, rebuilt).await?;
    let (live, events) = follow(&log).await?;
    log.close().await;
    database.drop_database().await;
    Ok(vec![Row {
        name: NAME,
        what: "rebuild of the orders view from the log",
        measured: Figure::new(rebuilt, "events/s"),
        baseline: Some(Figure::new(copied, "events/s")),
        bound: Bound::AtLeast {
            floor: 0.12,
            aim: 0.35,
        },
        explanation: "Orders with their lines and states are built from a log of 1,000,000 events into a schema beside the \
            live one, from the first event until keys and indexes are made, statistics are taken and all is on disk; against \
            COPY of just the events that were read, as text or binary, whichever is faster, thrown away as it arrives. \
            Nothing else runs meanwhile.",
        held_by: "processor time: reading, folding, writing and the indexes share two cores.",
        notes: vec![
            format!("{events} events of orders."),
            format!(
                "COPY as text: {} events/s, binary: {}.",
                number(median(&mut texts)),
                number(median(&mut binaries))
            ),
            format!(
                "The projector that follows the log takes {} events of orders/s.",
                number(live)
            ),
        ],
    }])
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn rate(events: u64, begun: Instant) -> f64 {
    events as f64 / begun.elapsed().as_secs_f64()
}

/// Rows per second of a copy that goes nowhere.
async fn copy_out(log: &EventLog, statement: &str) -> Outcome<f64> {
    let mut connection = log.pool().acquire().await?;
    let begun = Instant::now();
    let mut messages = connection.copy_out_raw(statement).await?;
    let mut rows = 0;
    while messages.try_next().await?.is_some() {
        rows += 1;
    }
    Ok(rate(rows, begun))
}

/// Events per second of a rebuild, which is removed again.
async fn rebuild_orders(log: &EventLog, number: u32) -> Outcome<f64> {
    let schema = View::Orders.beside(number);
    let begun = Instant::now();
    let rebuilt = rebuild(log, View::Orders, &schema, Settings::default()).await?;
    let rate = rate(rebuilt.events, begun);
    discard(log.pool(), &schema).await?;
    sqlx::raw_sql("checkpoint").execute(log.pool()).await?;
    Ok(rate)
}

/// Events of orders per second that the live view takes, and how many there are; it must be what a rebuild makes.
async fn follow(log: &EventLog) -> Outcome<(f64, u64)> {
    let following = Subscriptions::new(log.clone());
    let head = log.head().await?;
    let begun = Instant::now();
    following.spawn(OrdersProjector::new()).await;
    let live = View::Orders.schema();
    following
        .wait_for(live.as_str(), head.position, 10 * PATIENCE)
        .await?;
    let seconds = begun.elapsed();
    following.close().await;
    let schema = View::Orders.beside(0);
    let rebuilt = rebuild(log, View::Orders, &schema, Settings::default()).await?;
    let found = differences(log.pool(), View::Orders, &live, &schema, 3).await?;
    if !found.is_empty() {
        return Err(format!("the rebuilt view is another one: {found:?}").into());
    }
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    Ok((
        rebuilt.events as f64 / seconds.as_secs_f64(),
        rebuilt.events,
    ))
}
