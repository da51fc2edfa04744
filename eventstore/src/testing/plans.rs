//! Query plans: what a test of a list asks of each of its filters and sorts. No sequential scan, and a page costs few
//! blocks however many rows there are.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use sqlx::{Execute, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::page::{Direction, Limits, PageRequest, Sort, SortKey, SortValue};

/// Most blocks of 8 KB that a page of 20 may touch. All rows of the smallest table in such a test take several times
/// that.
const MOST_BLOCKS: i64 = 400;

/// Runs the query under EXPLAIN; panics where it scans a table or touches many blocks.
pub async fn assert_served_by_indexes(
    what: &str,
    query: QueryBuilder<'_, Postgres>,
    connection: &mut PgConnection,
) {
    assert_served_within(what, MOST_BLOCKS, query, connection).await;
}

/// The same for a query that has to look at more than a page.
pub async fn assert_served_within(
    what: &str,
    most_blocks: i64,
    mut query: QueryBuilder<'_, Postgres>,
    connection: &mut PgConnection,
) {
    let mut query = query.build();
    let arguments = query.take_arguments().unwrap().unwrap();
    let explain = format!("explain (analyze, buffers, format json) {}", query.sql());
    let plan: serde_json::Value = sqlx::query_scalar_with(&explain, arguments)
        .fetch_one(connection)
        .await
        .unwrap();
    let top = &plan[0]["Plan"];
    let blocks =
        ["Shared Hit Blocks", "Shared Read Blocks"].map(|kind| top[kind].as_i64().unwrap());
    let plan = serde_json::to_string_pretty(&plan).unwrap();
    assert!(!plan.contains("Seq Scan"), "{what} scans a table: {plan}");
    assert!(
        blocks.iter().sum::<i64>() <= most_blocks,
        "{what} touches {blocks:?} blocks: {plan}"
    );
}

/// A first page and one from the middle, both ways.
pub fn pages<K: SortKey>(key: K, middle: &SortValue) -> Vec<PageRequest<K>> {
    let mut pages = vec![];
    for direction in [Direction::Asc, Direction::Desc] {
        let sort = Sort { key, direction };
        let first = PageRequest::new(Limits::STANDARD, sort, Some(20), None).unwrap();
        let mut next = first.clone();
        next.after = Some((middle.clone(), Uuid::nil()));
        pages.extend([first, next]);
    }
    pages
}
