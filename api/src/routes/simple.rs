//! The simple client contract: a small API for simple clients, beside `/api/v1` and over the same commands and read
//! models. Its names and messages are given and tested byte for byte; errors are problem documents as elsewhere.
//!
//! Not there yet: the webhook, which comes with Stripe.

use utoipa_axum::router::OpenApiRouter;

use crate::state::App;

mod accounts;
mod orders;
mod products;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .merge(accounts::router())
        .merge(products::router())
        .merge(orders::router())
}
