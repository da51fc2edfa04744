//! The publisher against a real Kafka and a real log: what subscribers see, take-over, and contradictions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

mod content;
mod contradictions;
mod intruder;
mod shop;
mod takeover;
mod topics;
