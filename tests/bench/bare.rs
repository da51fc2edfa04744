//! "Bare": the rows of the store's second line once more, from one connection, in batches of the same size, with no
//! application: what the database itself allows for this kind of row. How far ours is from it is the cost of deciding.

use std::{cell::RefCell, collections::VecDeque, sync::Arc, time::Instant};

use eventstore::{position::Position, testing::TestDatabase};
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use crate::{
    env::{Env, Outcome, in_turn, median},
    report::{Bound, Figure, Row, number},
    shop::{PLENTY, Pass, Shop},
    store::{IN_FLIGHT, PRODUCTS, load_in_process},
};

const NAME: &str = "store-bare";

/// Events and keys in one statement: one round trip and one commit, as an append of ours has.
const INSERT: &str = "with appended as (
        insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                            position, event_id, recorded_at)
            select e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version, e.payload::json,
                   e.metadata::json, e.position, e.event_id, clock_timestamp()
            from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                        $8::bigint[], $9::uuid[])
                as e (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                      position, event_id))
    insert into idempotency_keys (id, fingerprint, status, resource, position, recorded_at)
        select k.id, k.fingerprint, k.status, k.resource, k.position, clock_timestamp()
        from unnest($10::uuid[], $11::bytea[], $12::smallint[], $13::text[], $14::bigint[])
            as k (id, fingerprint, status, resource, position)";

/// The rows of some orders, by column.
#[derive(Default)]
struct Batch {
    aggregate_types: Vec<String>,
    aggregate_ids: Vec<String>,
    sequences: Vec<i64>,
    event_types: Vec<String>,
    event_versions: Vec<String>,
    payloads: Vec<String>,
    metadatas: Vec<String>,
    positions: Vec<i64>,
    event_ids: Vec<Uuid>,
    key_ids: Vec<Uuid>,
    key_fingerprints: Vec<Vec<u8>>,
    key_statuses: Vec<i16>,
    key_resources: Vec<String>,
    key_positions: Vec<i64>,
}

/// What a pass of ours wrote: the rows after the first position, up to the second.
type Written = (Position, Position);

/// Measures the row, if it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let database = env.fresh_database().await;
    let shop = Arc::new(Shop::open(&database, PRODUCTS, PLENTY).await?);
    let copy = env.fresh_database().await;
    let mut connection = copy.connect().await;
    // each pass of bare takes the rows of the oldest pass of ours that it has not had; one is ahead
    let (_, ahead) = pass(env, &shop).await?;
    let written = RefCell::new(VecDeque::from([ahead]));
    let sizes = RefCell::new(Vec::new());
    let processors = RefCell::new(Vec::new());
    let (baseline, ours) = in_turn(
        env,
        async || {
            let next = written.borrow_mut().pop_front();
            let rows = next.ok_or("nothing written that bare could repeat")?;
            let (rate, batch_size) = repeat(shop.log.pool(), rows, &mut connection).await?;
            sizes.borrow_mut().push(batch_size);
            Ok(rate)
        },
        async || {
            let (pass, rows) = pass(env, &shop).await?;
            written.borrow_mut().push_back(rows);
            processors.borrow_mut().push(pass.processors);
            Ok(pass.rate())
        },
    )
    .await?;
    drop(connection);
    shop.log.close().await;
    drop_both(database, copy).await;
    Ok(vec![Row {
        name: NAME,
        what: "the rows of the second line against \"bare\"",
        measured: Figure::new(ours, "orders/s"),
        baseline: Some(Figure::new(baseline, "orders/s")),
        bound: Bound::AtLeast {
            floor: 0.6,
            aim: 0.9,
        },
        explanation: "The events and keys that a pass of `store-256` wrote are inserted once more into an empty log, by \
            one connection that has them ready, one statement and one commit for each append of ours; it takes no lock, \
            compares no head and decides nothing.",
        held_by: "deciding and the load share the two cores with the database; beside that, an append takes the lock of \
            the log, compares the head and looks for keys that are taken.",
        notes: vec![
            format!(
                "A batch was {} orders.",
                number(median(&mut sizes.into_inner()))
            ),
            load_in_process(&mut processors.into_inner()),
        ],
    }])
}

async fn drop_both(database: TestDatabase, copy: TestDatabase) {
    database.drop_database().await;
    copy.drop_database().await;
}

async fn pass(env: &Env, shop: &Arc<Shop>) -> Outcome<(Pass, Written)> {
    let before = shop.log.head().await?.position;
    let pass = shop
        .pass(&shop.products, IN_FLIGHT, env.pass(), u64::MAX)
        .await?;
    Ok((pass, (before, shop.log.head().await?.position)))
}

/// Orders per second, and orders per batch.
#[allow(clippy::cast_precision_loss)] // far below 2^52
async fn repeat(
    source: &PgPool,
    written: Written,
    connection: &mut PgConnection,
) -> Outcome<(f64, f64)> {
    let batches = read_batches(source, written).await?;
    let orders = batches
        .iter()
        .map(|batch| batch.key_ids.len())
        .sum::<usize>() as f64;
    let begun = Instant::now();
    for batch in &batches {
        batch.insert(connection).await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok((orders / seconds, orders / batches.len() as f64))
}

/// Reads back what was written, append by append.
async fn read_batches(source: &PgPool, written: Written) -> Outcome<Vec<Batch>> {
    // every append has a time of its own
    let ends: Vec<i64> = sqlx::query_scalar(
        "select max(position) from events where position > $1 and position <= $2 group by recorded_at order by 1",
    )
    .bind(written.0.0)
    .bind(written.1.0)
    .fetch_all(source)
    .await?;
    let mut batches = Vec::with_capacity(ends.len());
    let mut after = written.0.0;
    for end in ends {
        let mut batch = Batch::default();
        // a key stands at the last event of its order
        let keys = sqlx::query(
            "select id, fingerprint, status, resource, position from idempotency_keys \
             where position > $1 and position <= $2 order by position",
        )
        .bind(after)
        .bind(end)
        .fetch_all(source)
        .await?;
        for key in &keys {
            batch.push_key(key)?;
        }
        let events = sqlx::query(
            "select aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text as payload, \
                 metadata::text as metadata, position, event_id \
             from events where position > $1 and position <= $2 order by position",
        )
        .bind(after)
        .bind(end)
        .fetch_all(source)
        .await?;
        for event in &events {
            batch.push_event(event)?;
        }
        after = end;
        batches.push(batch);
    }
    Ok(batches)
}

impl Batch {
    fn push_event(&mut self, row: &sqlx::postgres::PgRow) -> Result<(), sqlx::Error> {
        self.aggregate_types.push(row.try_get("aggregate_type")?);
        self.aggregate_ids.push(row.try_get("aggregate_id")?);
        self.sequences.push(row.try_get("sequence")?);
        self.event_types.push(row.try_get("event_type")?);
        self.event_versions.push(row.try_get("event_version")?);
        self.payloads.push(row.try_get("payload")?);
        self.metadatas.push(row.try_get("metadata")?);
        self.positions.push(row.try_get("position")?);
        self.event_ids.push(row.try_get("event_id")?);
        Ok(())
    }

    fn push_key(&mut self, row: &sqlx::postgres::PgRow) -> Result<(), sqlx::Error> {
        self.key_ids.push(row.try_get("id")?);
        self.key_fingerprints.push(row.try_get("fingerprint")?);
        self.key_statuses.push(row.try_get("status")?);
        self.key_resources.push(row.try_get("resource")?);
        self.key_positions.push(row.try_get("position")?);
        Ok(())
    }

    async fn insert(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(INSERT)
            .bind(&self.aggregate_types)
            .bind(&self.aggregate_ids)
            .bind(&self.sequences)
            .bind(&self.event_types)
            .bind(&self.event_versions)
            .bind(&self.payloads)
            .bind(&self.metadatas)
            .bind(&self.positions)
            .bind(&self.event_ids)
            .bind(&self.key_ids)
            .bind(&self.key_fingerprints)
            .bind(&self.key_statuses)
            .bind(&self.key_resources)
            .bind(&self.key_positions)
            .execute(connection)
            .await?;
        Ok(())
    }
}
