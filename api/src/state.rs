//! What every handler can reach.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use aws_lc_rs::hmac;
use axum::extract::FromRef;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use commands::Manager;
use domain::ids::PaymentId;
use eventstore::subscription::Subscriptions;
use identity::{AddressDigest, AddressDigests, Identity, Permission, Principal};
use projections::products::engine::SearchEngine;

use crate::{
    error::ApiError,
    extract::RequestLimits,
    idempotency::{Idempotency, derived_key},
    limits::Limits,
    problem::{Kind, Problem},
    profiles::Profiles,
    services::Services,
    shared::{Shared, products::ProductCache},
    stock_feed::StockFeed,
};

/// The state of the routes. Cheap to clone; gives [`Services`] and what HTTP adds to it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What is behind an [`App`].
pub struct Inner {
    services: Services,
    /// The subscriptions of this process.
    pub subscriptions: Subscriptions,
    /// Keys of repeated requests.
    pub idempotency: Idempotency,
    /// Names and addresses for orders that do not give their own.
    pub profiles: Profiles,
    /// How often one may try.
    pub limits: Limits,
    /// Changes of stock as they happen.
    pub stock_feed: StockFeed,
    /// What servers share, where they share a Redis.
    pub shared: Option<Shared>,
    /// What searches products, where it is not PostgreSQL.
    pub search: Option<SearchEngine>,
    /// Products as they were read last, where servers share a Redis.
    pub(crate) products: Option<ProductCache>,
    client_secrets: hmac::Key,
    addresses: hmac::Key,
    /// Of the secrets of before: what was kept under them is known again.
    earlier_addresses: Vec<hmac::Key>,
}

impl App {
    /// The state over these parts.
    pub fn new(
        services: Services,
        subscriptions: Subscriptions,
        shared: Option<Shared>,
        search: Option<SearchEngine>,
    ) -> Self {
        let secret = services.derivation_secret();
        let earlier = services.earlier_derivation_secrets();
        let addresses = |secret| derived_key(secret, "known network address");
        Self(Arc::new(Inner {
            idempotency: Idempotency::new(secret, earlier),
            profiles: Profiles::new(services.identity.clone()),
            limits: Limits::new(&services.config.limits, shared.as_ref().map(Shared::tries)),
            products: shared.as_ref().map(Shared::products),
            shared,
            search,
            stock_feed: StockFeed::new(
                services.log.clone(),
                services.config.http.stock_feed_clients.get(),
            ),
            client_secrets: derived_key(secret, "client secret of a payment"),
            addresses: addresses(secret),
            earlier_addresses: earlier.iter().map(addresses).collect(),
            subscriptions,
            services,
        }))
    }

    /// Refuses the order of somebody whose e-mail address is not verified, where that is demanded.
    pub fn assure_may_order(&self, who: &Principal) -> Result<(), ApiError> {
        if who.verified || self.config.identity.unverified_may_order {
            Ok(())
        } else {
            Err(Kind::EmailNotVerified.into())
        }
    }

    /// In whose name somebody manages products, stock or shops: everybody's, where they may do so with `all`, otherwise a
    /// seller's own. Where selling is switched off no seller changes anything.
    pub fn manager(&self, who: &Principal, all: Permission) -> Result<Manager, ApiError> {
        if who.can(all) {
            return Ok(Manager::Market);
        }
        self.assure_selling()?;
        Ok(Manager::Seller(who.user_id))
    }

    /// Refuses where selling is switched off.
    pub fn assure_selling(&self) -> Result<(), ApiError> {
        if self.config.selling.sellers {
            return Ok(());
        }
        Err(Problem::new(Kind::Forbidden)
            .detail("selling is switched off here")
            .into())
    }

    /// A network address as it is kept, and as it was kept before the master key was exchanged: nobody reads it back
    /// without the secret.
    pub fn address_digests(&self, address: IpAddr) -> AddressDigests {
        let text = address.to_string();
        let digest = |key: &hmac::Key| -> AddressDigest {
            let mut digest = [0; 32];
            digest.copy_from_slice(hmac::sign(key, text.as_bytes()).as_ref()); // HMAC-SHA-256 has 32 bytes
            digest
        };
        AddressDigests {
            present: digest(&self.addresses),
            earlier: self.earlier_addresses.iter().map(digest).collect(),
        }
    }

    /// The client secret of a payment: it names the payment and proves that this server gave it out.
    pub fn client_secret(&self, payment_id: PaymentId) -> String {
        let tag = hmac::sign(&self.client_secrets, payment_id.as_uuid().as_bytes());
        format!(
            "{payment_id}_secret_{}",
            URL_SAFE_NO_PAD.encode(tag.as_ref())
        )
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Deref for Inner {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

impl FromRef<App> for Identity {
    fn from_ref(app: &App) -> Self {
        app.identity.clone()
    }
}

impl FromRef<App> for RequestLimits {
    fn from_ref(app: &App) -> Self {
        let http = &app.config.http;
        Self {
            max_body: http.max_body.bytes(),
            timeout: http.request_timeout,
        }
    }
}
