//! The read models on a real database: events go in through the log, rows come out of the queries.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod carts;
mod catalogue;
mod closed_shops;
mod discounts;
mod history;
mod orders;
mod pages;
mod parked;
mod payments;
mod rebuild;
mod running;
mod search;
mod shop;
mod shop_orders;
mod timeline;
