//! Tests of query plans: what is over, and what is due, is found by an index where nearly nothing is.

#![allow(clippy::unwrap_used)]

use eventstore::testing::{TestDatabase, plans::assert_served_by_indexes};
use sqlx::QueryBuilder;

use super::statement;
use crate::mail;

const ROWS: &str = "
    insert into refresh_tokens (id, user_id, family_id, expires_at)
        select md5('t' || n)::uuid, md5('u' || n)::uuid, md5('f' || n)::uuid, now() + (n - 10) * interval '1 minute'
        from generate_series(1, 20000) n;
    insert into spent_refresh_tokens (id, user_id, family_id, successor, expires_at)
        select md5('t' || n)::uuid, md5('u' || n)::uuid, md5('f' || n)::uuid, md5('s' || n)::uuid,
               now() + (n - 10) * interval '1 minute'
        from generate_series(1, 20000) n;
    insert into credentials (user_id, user_name, password_hash)
        select md5('u' || n)::uuid, 'user-' || n || '@example.com', '$2b$04$' || repeat('x', 53)
        from generate_series(1, 20000) n;
    insert into known_addresses (user_id, address_digest, seen_at)
        select md5('u' || n)::uuid, sha256(n::text::bytea), now() - interval '90 days' + (n - 10) * interval '1 minute'
        from generate_series(1, 20000) n;
    insert into mails (id, user_id, kind, recipient, subject, body, created_at, next_attempt_at)
        select md5('m' || n)::uuid, md5('u' || n)::uuid, 'verify_email', 'sealed', 'sealed', 'sealed',
               now() - interval '7 days' + (n - 10) * interval '1 minute', now() + (n - 10) * interval '1 minute'
        from generate_series(1, 20000) n;
    analyze;
";

#[tokio::test]
async fn what_is_over_and_what_is_due_is_found_by_an_index() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql(ROWS).execute(&mut connection).await.unwrap();
    let mut due = QueryBuilder::new(mail::DUE);
    due.push(" limit ").push_bind(32_i64);
    assert_served_by_indexes("mails to be sent", due, &mut connection).await;
    for (table, column, age_secs) in [
        ("refresh_tokens", "expires_at", 0),
        ("spent_refresh_tokens", "expires_at", 0),
        ("known_addresses", "seen_at", 90 * 24 * 3600),
        ("mails", "created_at", mail::KEPT.as_secs()),
    ] {
        let removal = QueryBuilder::new(statement(table, column, age_secs));
        assert_served_by_indexes(table, removal, &mut connection).await;
        let left: i64 = sqlx::query_scalar(&format!("select count(*) from {table}"))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(left, 20_000 - 10, "{table}");
    }
    drop(connection);
    database.drop_database().await;
}
