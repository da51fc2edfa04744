//! The event store against a real PostgreSQL, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod log;
mod lost_connections;
mod postgres_es;
mod stock;
mod subscriptions;
mod vault;
