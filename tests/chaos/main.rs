//! `make chaos`, and a shorter form of it in `make test`: real server processes under load, while processes, the
//! database, the network and Kafka fail. One file per family of faults.
//!
//! Every scenario has the same frame: a [`world`] of its own, [`clients`] that go on ordering, cancelling, correcting
//! stock and reading and keep their own record of what was acknowledged, faults at moments that a [`seed`] chooses, and
//! at the end all of the [`checks`].
//!
//! | variable | default | what |
//! | --- | --- | --- |
//! | `SOUK_CHAOS_SEED` | a new one | repeats the choices of a run; printed by each scenario |
//! | `SOUK_CHAOS_ROUNDS` | 20 | how often processes are killed |
//! | `SOUK_CHAOS_LONG` | | set to `1`: Kafka away for a minute, processes that stand still for up to 30 s, more rounds |

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checks;
mod clients;
mod disk;
mod kafka;
mod kill;
mod network;
mod pause;
mod postgres;
mod record;
mod seed;
mod standby;
mod story;
mod takeover;
mod world;
