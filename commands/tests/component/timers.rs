//! What looking for due timers costs while many are armed.

use commands::saga::CLAIM_DUE;
use eventstore::testing::TestDatabase;
use sqlx::Connection;

/// Thirty thousand orders wait for their minute; the runner looks many times a second.
#[tokio::test]
async fn looking_for_due_timers_reads_those_that_are_due_and_not_all_that_are_armed() {
    let db = TestDatabase::create().await;
    let mut connection = db.connect().await;
    sqlx::query(
        "insert into timers (saga, key, kind, due_at, cause, correlation) \
         select 'payment', n::text, 'payment', clock_timestamp() + make_interval(hours => sign(n - 3)::int), \
             gen_random_uuid(), '' from generate_series(1, 30000) n",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    // as the runner's connections are set
    sqlx::query("set enable_seqscan = off")
        .execute(&mut connection)
        .await
        .unwrap();
    let mut tx = connection.begin().await.unwrap();
    let plan: Vec<String> =
        sqlx::query_scalar(&format!("explain (analyze, costs off) {CLAIM_DUE}"))
            .bind("payment")
            .bind(256_i64)
            .bind(30.0)
            .fetch_all(&mut *tx)
            .await
            .unwrap();
    tx.rollback().await.unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("Index Cond: ((saga = 'payment'::text) AND (due_at <="),
        "{plan}"
    );
    assert!(!plan.contains("Rows Removed by Filter"), "{plan}");
    db.drop_database().await;
}
