//! The event store: an append-only log in PostgreSQL, decided on by one sequencer per process and committed in groups.
//!
//! - [`EventLog`] opens the log, executes units of work over several streams, and reads.
//! - [`mod@unit`] is what a command handler builds: streams, a decision, an idempotency key.
//! - [`feed`] gives committed events in order; [`subscription`] runs what follows them.
//! - [`page`] is how lists are paged, wherever they are.
//! - [`sealing`] encrypts personal data before it gets into events.
//! - [`repository`] lets cqrs-es's `CqrsFramework` run on the log.
//!
//! Guarantees: positions are dense and in commit order; what is acknowledged is on disk; a unit is committed whole, on
//! the state it was decided on, or not at all. `sequencer` says how.

mod append;
mod cache;
pub mod event;
pub mod feed;
mod load;
mod log;
pub mod page;
pub mod position;
pub mod repository;
pub mod sealing;
mod sequencer;
mod snapshots;
mod store;
pub mod stream;
pub mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
pub mod unit;
mod wake;

pub use log::{EventLog, LoadError, Loaded, LogSettings, StoredAnswer};
