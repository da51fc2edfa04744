//! What the whole-system tests stand on: the real server as processes, a client, and readers of the log and of Kafka.
//!
//! - [`shop`]: a database, topics and secrets of its own per test; any number of server processes on them.
//! - [`server`]: one such process: started, paused, stopped, killed.
//! - [`client`] and [`answer`]: HTTP as any client would do it. [`feed`]: the stock feed. [`jwt`]: access tokens made by hand.
//! - [`own`]: a PostgreSQL, a Kafka and a Redis of its own for a test that breaks them.
//! - [`engine`]: the search engine, looked into.
//! - [`smtp`]: a mail server that keeps what it is sent.
//! - [`topics`] and [`history`]: what Kafka and the log hold, and that both agree.
//!
//! Nothing waits for a fixed time: everything is waited for with a bound. The tests themselves are in `tests/system`,
//! one file per subject, in one executable, so that it is linked once and the subjects run side by side. The scenarios in
//! `chaos` and the benchmark in `bench` stand on the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)] // a failed arrangement fails the test

pub mod answer;
pub mod client;
pub mod engine;
pub mod feed;
pub mod history;
pub mod jwt;
pub mod own;
pub mod server;
pub mod shop;
pub mod smtp;
pub mod topics;

pub use eventstore::testing::eventually;
