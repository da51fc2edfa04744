//! Read models: what queries are answered from, projected from the event log.
//!
//! - One module per read model: its projector (a `Subscriber`) and its queries. [`regions`], [`categories`], [`shops`],
//!   [`products`], [`discounts`], [`carts`], [`orders`], [`payments`], [`timeline`].
//! - [`views`] lists them, makes their schemas and runs them; [`read_models`] is the handle that queries go through;
//!   [`promotion`] has queries go to those of a new version.
//! - [`rebuild`] builds a view from the log again, beside the live one, and compares two of them.
//! - [`page`] is how lists are paged.
//! - [`publisher`] is no read model: it carries the events to Kafka.
//!
//! Guarantees: a view and its checkpoint commit together, so each event is taken exactly once; every value written is
//! a result of the history (set, never added to what is there without the sequence that proves it is next); personal
//! data stays sealed; an event that cannot be read parks its own key and nothing else.

pub mod carts;
pub mod categories;
mod decode;
pub mod discounts;
mod one_row_each;
pub mod orders;
pub mod payments;
#[cfg(test)]
mod plans;
pub mod products;
pub mod promotion;
pub mod publisher;
pub mod read_models;
pub mod rebuild;
pub mod regions;
pub mod shops;
pub mod timeline;
pub mod views;

pub use eventstore::page;
pub use read_models::{QueryError, ReadModels};
pub use views::{View, migrate_views, spawn_all};
