//! `souk seed --scale`: how fast a large demo shop comes into being, by the command itself on an empty database.

use std::time::Instant;

use sqlx::PgPool;
use tests::shop::Shop;

use crate::{
    env::{Env, Outcome, in_turn},
    report::{Bound, Figure, Row, number},
};

const NAME: &str = "seed-scale";

/// Measures the row, if it is wanted.
#[allow(clippy::cast_precision_loss)] // far below 2^52
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let count = env.sized(50_000, 300);
    let mut notes = vec![format!(
        "{} products, customers and orders each.",
        number(count as f64)
    )];
    let (plain, ours) = in_turn(
        env,
        async || env.plain_32().await,
        async || {
            let (rate, note) = pass(count).await?;
            notes.push(note);
            Ok(rate)
        },
    )
    .await?;
    Ok(vec![Row {
        name: NAME,
        what: "orders of `souk seed --scale`, 1 to 5 lines each, by customers with a key each",
        measured: Figure::new(ours, "orders/s"),
        baseline: Some(Figure::new(plain, "orders/s")),
        bound: Bound::AtLeast {
            floor: 2.0,
            aim: 4.0,
        },
        explanation: "The command makes a shop in a database of its own: sellers, shops, products with attributes and stock, \
            customers, orders of 1.9 lines on average over products of very different popularity. Counted are the orders, \
            from the first in the log to the last, by the database's clock; against plain at the store, 32 in flight, one \
            line each.",
        held_by: "processor time: an order of 1.9 lines is 2.9 events, its customer has a key that is made first, and what \
            is there already is looked up.",
        notes,
    }])
}

/// Orders per second, and what else was seen.
#[allow(clippy::cast_precision_loss)] // far below 2^52
async fn pass(count: usize) -> Outcome<(f64, String)> {
    let shop = Shop::opening().set("SOUK_POOL_SIZE", "16").open().await;
    let begun = Instant::now();
    shop.run(&["seed", "--scale", &count.to_string()]).await;
    let whole = begun.elapsed().as_secs_f64();
    let (orders, seconds) = placed(&shop.pool).await?;
    if usize::try_from(orders)? != count {
        return Err(format!("{orders} orders of {count} were placed").into());
    }
    let head = shop.head().await;
    shop.discard().await;
    let note = format!(
        "A pass: the whole took {} s, {} things and {} events a second.",
        number(whole),
        number(3.0 * count as f64 / whole),
        number(head as f64 / whole)
    );
    Ok((count as f64 / seconds, note))
}

/// How many orders the log has, and the seconds from the first to the last.
async fn placed(pool: &PgPool) -> Outcome<(i64, f64)> {
    let row = sqlx::query_as(
        "select count(*), extract(epoch from max(recorded_at) - min(recorded_at))::float8
         from events where event_type = 'OrderPlaced'",
    );
    Ok(row.fetch_one(pool).await?)
}
