//! The business rules of Souk, as pure functions of state and command.
//!
//! Nothing here does IO, reads a clock or draws a random number: time, ids, prices and tax rates come in with the
//! command. Each aggregate is one module, always in the same order: names, events, state, commands, errors,
//! decide, evolve, tests. The event store appends what `decide` returns and rebuilds state with `evolve`.

pub mod aggregate;
pub mod automatic_discounts;
pub mod cart;
pub mod category;
pub mod discount;
pub mod ids;
pub mod inventory;
pub mod kinds;
pub mod money;
pub mod order;
pub mod payment;
pub mod pricing;
pub mod product;
pub mod redemptions;
pub mod region;
pub mod sealed;
pub mod shop;
pub mod text;

#[cfg(test)]
mod event_json;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
