//! Loading a long stream that is not in memory: the first command on a product that was sold often.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use commands::{Manager, inventory::StockChange, orders::CancelOrder};
use domain::{
    ids::{OperationId, ProductId},
    inventory::{self, Inventory},
    text::{Quantity, Reason},
};
use eventstore::{EventLog, testing::TestDatabase};
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    env::{Env, Outcome, in_turn, median},
    report::{Bound, Figure, Row, number},
    shop::{PLENTY, Shop, request},
};

const NAME: &str = "store-cold";

/// Most events after a snapshot: with one more the next is written, for a state as small as this one.
const LONGEST_TAIL: i64 = 499;
/// Orders in flight while the stream grows.
const AT_ONCE: usize = 64;
/// Loads that one pass takes the median of.
const LOADS: usize = 5;

/// Measures the row, if it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let database = env.fresh_database().await;
    let Grown {
        shop,
        product_id,
        operation_id,
    } = grown(env, &database).await?;
    // nothing has been read since its start; an operation that it had leaves the stream as it is
    let begun = Instant::now();
    receive(&shop, product_id, operation_id).await?;
    let first_command = milliseconds(begun.elapsed());
    shop.log.close().await;
    let mut admin = database.connect().await;
    sqlx::raw_sql("create table kept as select * from aggregate_snapshots")
        .execute(&mut admin)
        .await?;
    let (tail, length) = tail(&mut admin, product_id).await?;
    let (without, with) = in_turn(
        env,
        async || {
            let mut connection = database.connect().await;
            sqlx::raw_sql("delete from aggregate_snapshots")
                .execute(&mut connection)
                .await?;
            let loaded = cold_load(&database, product_id, length).await?;
            sqlx::raw_sql("insert into aggregate_snapshots select * from kept")
                .execute(&mut connection)
                .await?;
            Ok(loaded)
        },
        async || cold_load(&database, product_id, length).await,
    )
    .await?;
    drop(admin);
    database.drop_database().await;
    Ok(vec![Row {
        name: NAME,
        what: "load a stream of 10,000 events cold",
        measured: Figure::new(with, "ms"),
        baseline: None,
        bound: Bound::Within {
            floor: 20.0,
            aim: 5.0,
        },
        explanation: "An inventory, grown by orders that were placed and cancelled, is loaded by a log that was just \
            opened: nothing is in its cache (the database has the pages in memory). The \
            snapshot is the one that the product wrote, as long ago as it can be.",
        held_by: "the state and the 499 events after it are formatted, sent and parsed.",
        notes: vec![format!(
            "The stream had {length} events, {tail} after the snapshot; without a snapshot it took {} ms. The first \
             command on it after a start took {} ms in all.",
            number(without),
            number(first_command)
        )],
    }])
}

/// A shop that was just opened, and its product with a long history.
struct Grown {
    shop: Shop,
    product_id: ProductId,
    /// The last change of its stock.
    operation_id: OperationId,
}

async fn grown(env: &Env, database: &TestDatabase) -> Outcome<Grown> {
    let shop = Arc::new(Shop::open(database, 1, PLENTY).await?);
    let product_id = shop.products[0];
    // two events each: reserved, released
    let orders = env.sized(5_000, 300);
    stream::iter(0..orders)
        .map(|turn| buy_and_cancel(&shop, turn, product_id))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let shop = Arc::into_inner(shop).ok_or("the shop is still in use")?;
    // closing waits for the snapshots
    let shop = shop.restarted(database).await;
    let (tail, _) = tail(&mut database.connect().await, product_id).await?;
    let mut operation_id = OperationId(Uuid::now_v7());
    for _ in tail..LONGEST_TAIL {
        operation_id = OperationId(Uuid::now_v7());
        receive(&shop, product_id, operation_id).await?;
    }
    Ok(Grown {
        shop: shop.restarted(database).await,
        product_id,
        operation_id,
    })
}

async fn buy_and_cancel(shop: &Shop, turn: usize, product_id: ProductId) -> Outcome<()> {
    let order_id = shop.place(turn, product_id).await?.ok_or("sold out")?;
    let cancel = CancelOrder {
        order_id,
        reason: Reason::parse("changed my mind")?,
        requested_by: None,
        only_of: None,
    };
    shop.commands
        .cancel_order(request("CancelOrder"), cancel, None)
        .await?;
    Ok(())
}

async fn receive(shop: &Shop, product_id: ProductId, operation_id: OperationId) -> Outcome<()> {
    let change = StockChange {
        product_id,
        by: Manager::Market,
        operation_id,
        reason: None,
    };
    shop.commands
        .receive_stock(request("ReceiveStock"), change, Quantity::parse(1)?, None)
        .await?;
    Ok(())
}

/// How many events the stream has after its snapshot, and in all.
async fn tail(connection: &mut PgConnection, product_id: ProductId) -> Outcome<(i64, i64)> {
    let (snapshot, length): (Option<i64>, i64) = sqlx::query_as(
        "select (select sequence from aggregate_snapshots where aggregate_type = $1 and aggregate_id = $2), \
                (select max(sequence) from events where aggregate_type = $1 and aggregate_id = $2)",
    )
    .bind(inventory::TYPE)
    .bind(product_id.to_string())
    .fetch_one(connection)
    .await?;
    let snapshot = snapshot.ok_or("a stream of that length has no snapshot")?;
    Ok((length - snapshot, length))
}

/// Milliseconds that a load takes after a start, with the stream's length checked.
async fn cold_load(database: &TestDatabase, product_id: ProductId, length: i64) -> Outcome<f64> {
    let mut loads = Vec::new();
    for _ in 0..LOADS {
        let log: EventLog = database.open_log().await;
        let begun = Instant::now();
        let (_, sequence) = log.load::<Inventory>(product_id).await?;
        loads.push(milliseconds(begun.elapsed()));
        log.close().await;
        if sequence != length {
            return Err(format!("{sequence} events were loaded, {length} are there").into());
        }
    }
    Ok(median(&mut loads))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
