//! For tests of this and other crates (feature `testing`): a database of their own on the real server, and a simulated
//! world.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

pub use self::proxy::Proxy;
use crate::{EventLog, LogSettings};

pub mod plans;
mod proxy;
pub mod simulation;

/// A migrated database on the server of `DATABASE_URL`; dropped with [`Self::drop_database`], or by the server's end.
pub struct TestDatabase {
    server: PgConnectOptions,
    name: String,
}

impl TestDatabase {
    /// Creates and migrates it on the server of `DATABASE_URL`.
    ///
    /// # Panics
    /// When `DATABASE_URL` is not set or the server does not answer: a test without its database must not pass.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub async fn create() -> Self {
        let url = std::env::var("DATABASE_URL")
            .expect("DATABASE_URL names the server for tests; `make test` sets it");
        Self::create_on(PgConnectOptions::from_str(&url).expect("DATABASE_URL is a Postgres URL"))
            .await
    }

    /// The same on another server, for a test that breaks its server.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub async fn create_on(server: PgConnectOptions) -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut connection = server.connect().await.expect("the test server answers");
        sqlx::query(&format!("create database {name}"))
            .execute(&mut connection)
            .await
            .expect("created");
        connection.close().await.expect("closed");
        let this = Self { server, name };
        let mut connection = this.connect().await;
        sqlx::migrate!("../migrations")
            .run(&mut connection)
            .await
            .expect("migrated");
        connection.close().await.expect("closed");
        this
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// How to connect to it through a proxy of its own.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub async fn behind_proxy(&self) -> (Proxy, PgConnectOptions) {
        let target = (self.server.get_host(), self.server.get_port());
        let target = tokio::net::lookup_host(target)
            .await
            .expect("resolves")
            .next()
            .expect("an address");
        let proxy = Proxy::start(target).await;
        let options = self
            .options()
            .host("127.0.0.1")
            .port(proxy.address().port());
        (proxy, options)
    }

    /// A URL that names it.
    pub fn url(&self) -> String {
        self.options().to_url_lossy().to_string()
    }

    /// A connection to it.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub async fn connect(&self) -> PgConnection {
        self.options()
            .connect()
            .await
            .expect("the test database answers")
    }

    /// Opens its log, as a process of its own would.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub async fn open_log(&self) -> EventLog {
        let settings = LogSettings {
            pool_size: 8,
            ..LogSettings::new(self.options())
        };
        EventLog::open(settings).await.expect("the log opens")
    }

    /// Drops it, whoever is still connected.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub async fn drop_database(self) {
        let mut connection = self
            .server
            .connect()
            .await
            .expect("the test server answers");
        sqlx::query(&format!(
            "drop database if exists {} with (force)",
            self.name
        ))
        .execute(&mut connection)
        .await
        .expect("dropped");
    }
}

/// Asks again and again until the answer is `Some`, for at most `patience`.
///
/// # Panics
/// When the time is over.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
