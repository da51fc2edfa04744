//! The routes, a file per resource. Each reads top to bottom: router, bodies, handlers; what a handler demands of the
//! caller stands in its arguments.

use utoipa_axum::router::OpenApiRouter;

use crate::state::App;

pub mod api_keys;
pub mod body;
pub mod carts;
pub mod categories;
pub mod closing;
pub mod discounts;
pub mod event_body;
pub mod events;
pub mod health;
pub mod jwks;
pub mod kinds;
pub mod list;
pub mod mails;
pub mod orders;
pub mod passwords;
pub mod payments;
pub mod products;
pub mod profile;
pub mod regions;
pub mod registrations;
pub mod sessions;
pub mod shop_orders;
pub mod shops;
pub mod simple;
pub mod stock;
pub mod stock_feed;
pub mod subscriptions;
pub mod timeline;
pub mod users;

/// Every route of the API proper.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .merge(sessions::router())
        .merge(registrations::router())
        .merge(passwords::router())
        .merge(api_keys::router())
        .merge(jwks::router())
        .merge(profile::router())
        .merge(users::router())
        .merge(closing::router())
        .merge(regions::router())
        .merge(categories::router())
        .merge(kinds::router())
        .merge(shops::router())
        .merge(products::router())
        .merge(stock::router())
        .merge(stock_feed::router())
        .merge(discounts::router())
        .merge(carts::router())
        .merge(orders::router())
        .merge(shop_orders::router())
        .merge(timeline::router())
        .merge(payments::router())
        .merge(events::router())
        .merge(subscriptions::router())
        .merge(mails::router())
        .merge(simple::router())
}
