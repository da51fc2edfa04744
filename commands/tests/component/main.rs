//! The commands and the payment saga on a real PostgreSQL: one database per test.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bulk;
mod cancelling;
mod carts;
mod catalogue;
mod changing;
mod discounts;
mod interrupted;
mod paying;
mod placing;
mod sellers;
mod shipping;
mod shop;
mod timers;
mod unanswered;
