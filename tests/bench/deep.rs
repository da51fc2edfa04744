//! What an order costs when the log is long: the store's second line on a log of five million events, against the same
//! on one of a hundred thousand.

use std::{cell::RefCell, sync::Arc};

use eventstore::testing::TestDatabase;

use crate::{
    env::{Env, Outcome, in_turn},
    history::fill,
    report::{Bound, Figure, Row, number},
    shop::{PLENTY, Pass, Shop},
    store::{IN_FLIGHT, PRODUCTS, load_in_process},
};

const NAME: &str = "store-deep";

/// Measures the row, if it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let (short, long) = (env.sized(100_000, 1_000), env.sized(5_000_000, 20_000));
    let (short_database, short_shop) = shop_with_history(env, short).await?;
    let (long_database, long_shop) = shop_with_history(env, long).await?;
    let processors = RefCell::new(Vec::new());
    let pass = async |shop: &Arc<Shop>| -> Outcome<f64> {
        let pass = pass(env, shop).await?;
        processors.borrow_mut().push(pass.processors);
        Ok(1e6 / pass.rate())
    };
    let (baseline, ours) = in_turn(
        env,
        async || pass(&short_shop).await,
        async || pass(&long_shop).await,
    )
    .await?;
    let length = long_shop.log.head().await?.position.0;
    for (database, shop) in [(short_database, short_shop), (long_database, long_shop)] {
        shop.log.close().await;
        database.drop_database().await;
    }
    Ok(vec![Row {
        name: NAME,
        what: "cost per order at 5,000,000 events in the log against at 100,000",
        measured: Figure::new(ours, "µs"),
        baseline: Some(Figure::new(baseline, "µs")),
        bound: Bound::AtMost {
            floor: 1.3,
            aim: 1.05,
        },
        explanation: "`store-256` on a log with a history: orders that were placed, paid and sold of the very products \
            that are ordered now, with their payments and idempotency keys, written in bulk from the events of one such \
            order. A first pass, in which the streams are loaded, does not count.",
        held_by: "the indexes of a long log do not fit into PostgreSQL's 128 MB of shared buffers.",
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        notes: vec![
            format!("At the end the long log had {} events.", number(length as f64)),
            load_in_process(&mut processors.borrow_mut()),
        ],
    }])
}

async fn shop_with_history(env: &Env, events: usize) -> Outcome<(TestDatabase, Arc<Shop>)> {
    let database = env.fresh_database().await;
    let shop = Shop::open(&database, PRODUCTS, PLENTY).await?;
    fill(&shop, events).await?;
    let shop = Arc::new(shop.restarted(&database).await);
    pass(env, &shop).await?;
    Ok((database, shop))
}

async fn pass(env: &Env, shop: &Arc<Shop>) -> Outcome<Pass> {
    shop.pass(&shop.products, IN_FLIGHT, env.pass(), u64::MAX)
        .await
}
