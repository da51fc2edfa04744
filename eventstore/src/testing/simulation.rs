//! A simulated world for the production code: a server in memory that fails, delays, reorders and forgets to answer, and
//! processes on it that stand still and die. A seed repeats a history.
//!
//! What is simulated is only what PostgreSQL does: [`crate::EventLog`] with its sequencer and its feed, the
//! subscriptions, and whoever uses them, are the code that runs in production. Time is Tokio's paused clock, so hours
//! pass in milliseconds; it must be a runtime of one thread.
//!
//! Not simulated: SQL, a synchronous standby (what is committed is safe at once), a restore to an older log, Kafka.
//!
//! - [`World`] is the server; [`Process`] is a client of it, with a log and subscriptions of its own.
//! - [`Weather`] says how often what goes wrong.
//! - [`histories`] runs a test for thousands of seeds.
//! - [`assert_log_is_sound`], [`assert_stock_adds_up`] and [`assert_remembers`] hold at the end of each.

pub use self::{
    checks::{assert_log_is_sound, assert_remembers, assert_stock_adds_up, replay},
    contents::UNSTORABLE,
    histories::{Histories, histories},
    process::{Process, World},
    random::Random,
    rows::{ParkedRow, Rows, SimTransaction, SubscriptionRow},
    server::Table,
    weather::{Fault, Weather},
};

mod checks;
mod contents;
mod histories;
mod process;
mod random;
mod rows;
mod server;
mod store;
mod weather;
