//! The whole system, as its users see it: real server processes on a real PostgreSQL and a real Kafka. One file per
//! subject; names are sentences. What the tests stand on is in the library of this package.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod api_keys;
mod bad_input;
mod bulk_orders;
mod catalogue;
mod checkout;
mod closing;
mod codes;
mod command_line;
mod contract;
mod crash;
mod discounts;
mod erasure;
mod faults;
mod flow;
mod history;
mod idempotency;
mod kafka_away;
mod limits;
mod mails;
mod money;
mod order_changes;
mod payment;
mod positions;
mod scale;
mod search;
mod search_engine;
mod sellers;
mod sessions;
mod sharing;
mod shipping;
mod stalls;
mod stock;
mod stock_feed;
mod tokens;
mod users;
