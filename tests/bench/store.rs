//! Placing orders at the store, in this process, through the production path, against "plain" in the same arrangement.

use std::{sync::Arc, time::Duration};

use domain::inventory::Inventory;

use crate::{
    env::{Env, Outcome, in_turn, median},
    plain::Plain,
    report::{Bound, Figure, Row, number},
    shop::{PLENTY, Shop},
};

/// How many products orders spread over.
pub(crate) const PRODUCTS: usize = 1_000;
/// Orders in flight in the second line, which other rows go by.
pub(crate) const IN_FLIGHT: usize = 256;

/// An arrangement of the first three rows.
struct Arrangement {
    name: &'static str,
    what: &'static str,
    explanation: &'static str,
    held_by: &'static str,
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
        held_by: "at most 32 orders share a commit, and a commit waits for the disk.",
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
        held_by: "processor time: some 20 µs per order are PostgreSQL's own for the rows and their indexes, some 26 µs \
            are ours and the load's, on two cores.",
        in_flight: IN_FLIGHT,
        products: PRODUCTS,
        bound: Bound::AtLeast {
            floor: 6.0,
            aim: 15.0,
        },
    },
    Arrangement {
        name: "store-hot",
        what: "same, all on one product, 256 in flight",
        explanation: "All orders are for one product, a new one for each pass; plain the same. The more of it is sold the \
            slower plain gets, because it reads the whole stream for each order.",
        held_by: "processor time, as in `store-256`.",
        in_flight: IN_FLIGHT,
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

/// What the load took of the machine. It cannot be told apart: it draws a product and two ids, and calls.
pub(crate) fn load_in_process(processors: &mut [f64]) -> String {
    format!(
        "The load runs in this process, with what is measured: together they took {} cores.",
        number(median(processors))
    )
}

async fn against_plain(env: &Env, arrangement: &Arrangement) -> Outcome<Row> {
    let database = env.fresh_database().await;
    let shop = Arc::new(Shop::open(&database, PRODUCTS, PLENTY).await?);
    let plain = Plain::open(PRODUCTS).await?;
    let mut processors = Vec::new();
    let (baseline, ours) = in_turn(
        env,
        async || {
            let products = plain.some(arrangement.products).await?;
            plain
                .pass(&products, arrangement.in_flight, env.pass())
                .await
        },
        async || {
            let products = if arrangement.products == PRODUCTS {
                shop.products.clone()
            } else {
                shop.stock_up(arrangement.products, PLENTY).await?
            };
            let pass = shop
                .pass(&products, arrangement.in_flight, env.pass(), u64::MAX)
                .await?;
            processors.push(pass.processors);
            Ok(pass.rate())
        },
    )
    .await?;
    let mut notes = vec![load_in_process(&mut processors)];
    if arrangement.products == 1 {
        notes.push(sells_exactly_what_is_there(env, &shop).await?);
    }
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
        held_by: arrangement.held_by,
        notes,
    })
}

/// A product with less stock than there is demand: exactly as many orders are accepted, and as many stand in the log.
async fn sells_exactly_what_is_there(env: &Env, shop: &Arc<Shop>) -> Outcome<String> {
    let stock = env.sized(20_000, 300) as u64;
    let products = shop.stock_up(1, stock).await?;
    let pass = shop
        .pass(&products, IN_FLIGHT, Duration::MAX, stock * 5 / 4)
        .await?;
    let (inventory, _) = shop.log.load::<Inventory>(products[0]).await?;
    let left = (inventory.available(), inventory.reserved());
    if pass.placed != stock || left != (0, stock.cast_signed()) {
        return Err(format!(
            "of {stock} pieces {} were sold: {left:?} are available and reserved",
            pass.placed
        )
        .into());
    }
    Ok(format!(
        "Of a product with {stock} pieces exactly {} were sold to {} buyers at the same pace, {} were told that it is \
         sold out.",
        pass.placed,
        pass.placed + pass.sold_out,
        pass.sold_out
    ))
}
