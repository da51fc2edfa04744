//! The store's second line while another session holds an old snapshot open, as a dump or a forgotten console does:
//! nothing that died since can be pruned, so whatever rewrites rows gets slower and slower. The log must not.

use std::{cell::RefCell, sync::Arc};

use sqlx::Connection;

use crate::{
    env::{Env, Outcome, in_turn},
    report::{Bound, Figure, Row},
    shop::{PLENTY, Shop},
    store::{IN_FLIGHT, PRODUCTS, load_in_process},
};

const NAME: &str = "store-old-snapshot";

/// The snapshot is held for so many passes; the last is the one that counts.
const HELD_FOR: usize = 3;

/// Measures the row, if it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let database = env.fresh_database().await;
    let shop = Arc::new(Shop::open(&database, PRODUCTS, PLENTY).await?);
    let processors = RefCell::new(Vec::new());
    let pass = async || -> Outcome<f64> {
        let pass = shop
            .pass(&shop.products, IN_FLIGHT, env.pass(), u64::MAX)
            .await?;
        processors.borrow_mut().push(pass.processors);
        Ok(pass.rate())
    };
    let mut holder = database.connect().await;
    pass().await?; // both sides find a log that is in use
    let (without, with) = in_turn(env, &pass, async || {
        let mut old = holder.begin().await?;
        sqlx::raw_sql(
            "set transaction isolation level repeatable read; select count(*) from events",
        )
        .execute(&mut *old)
        .await?;
        let mut last = 0.0;
        for _ in 0..HELD_FOR {
            last = pass().await?;
        }
        old.rollback().await?;
        Ok(last)
    })
    .await?;
    drop(holder);
    shop.log.close().await;
    database.drop_database().await;
    Ok(vec![Row {
        name: NAME,
        what: "the second line while another session holds an old snapshot open for 30 s",
        measured: Figure::new(with, "orders/s"),
        baseline: Some(Figure::new(without, "orders/s")),
        bound: Bound::AtLeast {
            floor: 0.8,
            aim: 1.0,
        },
        explanation: "`store-256` while a second session sits in a repeatable-read transaction that has read; it is held \
            for three passes, of which the last counts. The baseline is the same without it.",
        held_by: "nothing that is known: the log rewrites no row, so what is missing is noise.",
        notes: vec![load_in_process(&mut processors.borrow_mut())],
    }])
}
