//! A database of its own for each test, on the server that `DATABASE_URL` names, dropped when the test ends, also when
//! it fails. It holds the tables of this crate and no others.

use std::{env, str::FromStr};

use futures::FutureExt;
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

/// The migrations that this crate lives on.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0002_identity.sql"),
    include_str!("../../../migrations/0006_sessions.sql"),
    include_str!("../../../migrations/0007_codes_and_mail.sql"),
    include_str!("../../../migrations/0008_users.sql"),
    include_str!("../../../migrations/0009_api_keys.sql"),
    include_str!("../../../migrations/0010_erasure.sql"),
    include_str!("../../../migrations/0011_known_addresses.sql"),
    include_str!("../../../migrations/0012_codes_of_askers.sql"),
    include_str!("../../../migrations/0013_no_statistics_of_people.sql"),
    include_str!("../../../migrations/0014_old_requests.sql"),
];

/// Runs the test on a fresh database through a pool of at most that many connections.
pub(crate) async fn with_database<F: Future<Output = ()>>(
    connections: u32,
    test: impl FnOnce(PgPool) -> F,
) {
    let url = env::var("DATABASE_URL")
        .expect("DATABASE_URL names no PostgreSQL server: `make test` starts one and sets it");
    let server = PgConnectOptions::from_str(&url).expect("DATABASE_URL is a PostgreSQL address");
    let name = format!("identity_test_{}", Uuid::new_v4().simple());
    execute(&server, &format!("create database {name}")).await;

    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .connect_with(server.clone().database(&name))
        .await
        .expect("the new database answers");
    for migration in MIGRATIONS.iter().copied() {
        sqlx::raw_sql(migration)
            .execute(&pool)
            .await
            .expect("the migration applies");
    }

    let outcome = std::panic::AssertUnwindSafe(test(pool.clone()))
        .catch_unwind()
        .await;
    pool.close().await;
    execute(&server, &format!("drop database {name} with (force)")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn execute(server: &PgConnectOptions, sql: &str) {
    let mut connection = PgConnection::connect_with(server)
        .await
        .expect("the server of DATABASE_URL answers");
    sqlx::raw_sql(sql)
        .execute(&mut connection)
        .await
        .expect(sql);
    connection.close().await.expect("the connection closes");
}
