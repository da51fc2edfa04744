//! The HTTP side of Souk: routes, errors, settings, the OpenAPI document, and what starts and stops a server.
//!
//! [`Application::build`] makes a server from a [`config::Config`]; the `souk` binary and the tests start it in the
//! same way. [`Services`] is the part below HTTP, which the command line uses as well.

pub mod application;
pub mod config;
pub mod logging;
pub mod services;

pub use application::Application;
pub use services::{Services, StartError};
