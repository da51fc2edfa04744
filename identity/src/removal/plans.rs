//! Tests of query plans: what is over, and what is due, is found by an index where nearly nothing is.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use eventstore::testing::{TestDatabase, plans::assert_served_by_indexes};
use sqlx::QueryBuilder;

use super::statement;
use crate::{codes::requests, mail};

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
    insert into code_requests (id, user_name, wish, asked_from, requested_at, due_at)
        select md5('r' || n)::uuid, 'user-' || n || '@example.com', 'verify_email', sha256(n::text::bytea),
               now() - interval '15 minutes' + (n - 10) * interval '1 minute', now() + (n - 10) * interval '1 minute'
        from generate_series(1, 20000) n;
    insert into one_time_codes (address, purpose, code, asked_from, tries_left, expires_at)
        select sha256(n::text::bytea), 'verify_email', 'code', 'asker', 5, now() + (n - 10) * interval '1 minute'
        from generate_series(1, 20000) n;
    analyze;
";

#[tokio::test]
async fn what_is_over_and_what_is_due_is_found_by_an_index() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql(ROWS).execute(&mut connection).await.unwrap();
    for (what, due) in [("mails", mail::DUE), ("requests", requests::DUE)] {
        let due = QueryBuilder::new(format!("{due} limit 32"));
        assert_served_by_indexes(what, due, &mut connection).await;
    }
    let days = |days: u64| Duration::from_hours(24 * days);
    for (table, column, age) in [
        ("refresh_tokens", "expires_at", Duration::ZERO),
        ("spent_refresh_tokens", "expires_at", Duration::ZERO),
        ("one_time_codes", "expires_at", Duration::ZERO),
        ("code_requests", "requested_at", Duration::from_mins(15)),
        ("known_addresses", "seen_at", days(90)),
        ("mails", "created_at", mail::KEPT),
    ] {
        let removal = QueryBuilder::new(statement(table, column, age));
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
