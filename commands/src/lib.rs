//! The commands of Souk: what can be done to regions, categories, shops, products, stock, discounts, carts, orders and
//! payments, and the saga that drives payments.
//!
//! - [`Commands`] has one method per use case. Each reads what it needs from the log, lets the aggregates decide and
//!   commits one unit of work: an order, its payment and its stock never disagree.
//! - [`saga`] starts the payment of an order after its delay, asks the gateway, and ends the order paid or unpaid.
//! - [`gateway`] is the port to whoever moves the money, with a fake one behind it.
//!
//! Guaranteed: a refusal stores nothing; a command that is satisfied already changes nothing; personal data is sealed
//! before anything is decided. Used by the HTTP routes and the seed.

mod absent;
pub mod carts;
pub mod categories;
pub mod discounts;
mod failure;
pub mod gateway;
pub mod inventory;
mod manager;
pub mod orders;
pub mod payment_methods;
pub mod payments;
pub mod products;
pub mod regions;
mod request;
pub mod saga;
pub mod shops;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    failure::{Failure, PriceDifference, Shortage},
    manager::Manager,
    request::{CommandSettings, Commands, Request, Versioned},
};
