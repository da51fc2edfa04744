//! Tests of query plans: the list of closed accounts and the look for the next one, over many of them, are served by
//! indexes.

#![allow(clippy::unwrap_used)]

use eventstore::{
    page::SortValue,
    testing::{
        TestDatabase,
        plans::{assert_served_by_indexes, pages},
    },
};
use sqlx::QueryBuilder;

use super::{ClosureFilter, ClosureSort, list};

// nearly all of them are erased
const CLOSURES: &str = "
    insert into account_closures (person_id, closed_at, cancel_orders, look_at, erased_at)
        select md5('p' || n)::uuid, at, false, at, case when n % 500 <> 0 then at + interval '1 hour' end
        from (select n, timestamptz '2026-01-01' + n * interval '1 minute' as at from generate_series(1, 50000) n) t;
    analyze account_closures;
";

#[tokio::test]
async fn every_filter_of_closed_accounts_and_the_look_for_the_next_is_served_by_an_index() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql(CLOSURES)
        .execute(&mut connection)
        .await
        .unwrap();
    let middle = SortValue::Time("2026-01-15T00:00:00Z".parse().unwrap());
    for erased in [None, Some(true), Some(false)] {
        let filter = ClosureFilter { erased };
        for page in pages(ClosureSort::ClosedAt, &middle) {
            let what = format!("{filter:?} {page:?}");
            assert_served_by_indexes(&what, list(filter, &page), &mut connection).await;
        }
    }
    let next = QueryBuilder::new(super::NEXT);
    assert_served_by_indexes("the next one", next, &mut connection).await;
    drop(connection);
    database.drop_database().await;
}
