//! The rows measured at the store, in this process: placing orders through the production path.

use std::sync::Arc;

use crate::{
    env::{Env, Outcome, in_turn},
    plain::Plain,
    report::{Bound, Figure, Row},
    shop::{PLENTY, Shop},
};

/// How many products orders spread over.
const PRODUCTS: usize = 1_000;

/// An arrangement of the first three rows.
struct Arrangement {
    name: &'static str,
    what: &'static str,
    explanation: &'static str,
    in_flight: usize,
    products: usize,
    bound: Bound,
}

const ARRANGEMENTS: [Arrangement; 3] = [
    Arrangement {
        name: "store-32",
        what: "place order at the store, 32 in flight over 1,000 products",
        explanation: "Orders of one line through `Commands::place_order` in this process: order and stock events and the \
            idempotency key in one unit of work, against plain in the same arrangement.",
        in_flight: 32,
        products: PRODUCTS,
        bound: Bound::AtLeast {
            floor: 4.0,
            aim: 8.0,
        },
    },
    Arrangement {
        name: "store-256",
        what: "same, 256 in flight",
        explanation: "The same with 256 orders in flight, plain too (its pool has 32 connections).",
        in_flight: 256,
        products: PRODUCTS,
        bound: Bound::AtLeast {
            floor: 6.0,
            aim: 15.0,
        },
    },
    Arrangement {
        name: "store-hot",
        what: "same, all on one product, 256 in flight",
        explanation: "All orders are for one product, a new one for each pass; plain the same.",
        in_flight: 256,
        products: 1,
        bound: Bound::AtLeast {
            floor: 120.0,
            aim: 300.0,
        },
    },
];

/// Measures the rows that are wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for arrangement in &ARRANGEMENTS {
        if env.wants(arrangement.name) {
            rows.push(against_plain(env, arrangement).await?);
        }
    }
    Ok(rows)
}

async fn against_plain(env: &Env, arrangement: &Arrangement) -> Outcome<Row> {
    let database = env.fresh_database().await;
    let shop = Arc::new(Shop::open(&database, arrangement.products, PLENTY).await?);
    let plain = Plain::open(arrangement.products).await?;
    let (baseline, ours) = in_turn(
        env,
        async || plain.pass(arrangement.in_flight, env.pass()).await,
        async || {
            let pass = shop
                .pass(&shop.products, arrangement.in_flight, env.pass(), u64::MAX)
                .await?;
            Ok(pass.rate())
        },
    )
    .await?;
    plain.close().await;
    shop.log.close().await;
    database.drop_database().await;
    Ok(Row {
        name: arrangement.name,
        what: arrangement.what,
        measured: Figure::new(ours, "orders/s"),
        baseline: Some(Figure::new(baseline, "orders/s")),
        bound: arrangement.bound,
        explanation: arrangement.explanation,
        notes: Vec::new(),
    })
}
