//! The HTTP side of Souk: routes, errors, settings, the OpenAPI document, and what starts and stops a server.
//!
//! [`Application::build`] makes a server from a [`config::Config`]; the `souk` binary and the tests start it in the
//! same way. [`Services`] is the part below HTTP, which the command line uses as well.
//!
//! - [`config`], [`logging`], [`services`], [`application`], [`state`]: a server and its parts.
//! - [`router`] puts the [`routes`] together, in a frame ([`request_id`], [`unread`]), and refuses `queries` that say nothing; [`mod@openapi`] describes them; [`docs`] shows the description.
//! - [`error`] says which [`problem`] each error is answered with.
//! - [`extract`], [`fields`], [`auth`], [`call`]: what handlers take. [`answer`]: what they give.
//! - [`limits`]: how often one may try. [`shared`]: what several servers share in Redis.
//! - [`idempotency`] and [`consistency`]: doing once what is asked twice, reading what one has written.

pub mod answer;
pub mod application;
pub mod auth;
pub mod call;
pub mod cli;
mod closing;
pub mod config;
pub mod consistency;
pub mod docs;
pub mod error;
mod expiry;
pub mod extract;
pub mod fields;
pub mod idempotency;
pub mod limits;
pub mod logging;
mod mailing;
pub mod openapi;
pub mod problem;
pub mod profiles;
mod queries;
pub mod request_id;
pub mod router;
pub mod routes;
pub mod seed;
mod sellers;
pub mod services;
pub mod shared;
pub mod state;
pub mod stock_feed;
pub mod unread;

pub use application::Application;
pub use openapi::openapi;
pub use services::{Services, StartError};
