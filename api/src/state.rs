//! What every handler can reach.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use aws_lc_rs::hmac;
use axum::extract::FromRef;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::ids::PaymentId;
use eventstore::subscription::Subscriptions;
use identity::{Identity, Principal};

use crate::{
    error::ApiError,
    extract::RequestLimits,
    idempotency::{Idempotency, derived_key},
    limits::Limits,
    problem::Kind,
    profiles::Profiles,
    services::Services,
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
    client_secrets: hmac::Key,
    addresses: hmac::Key,
}

impl App {
    /// The state over these parts.
    pub fn new(services: Services, subscriptions: Subscriptions) -> Self {
        let secret = services.derivation_secret();
        Self(Arc::new(Inner {
            idempotency: Idempotency::new(secret, services.earlier_derivation_secrets()),
            profiles: Profiles::new(services.identity.clone()),
            limits: Limits::new(&services.config.limits),
            client_secrets: derived_key(secret, "client secret of a payment"),
            addresses: derived_key(secret, "known network address"),
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

    /// A network address as it is kept: nobody reads it back without the secret.
    pub fn address_digest(&self, address: IpAddr) -> [u8; 32] {
        let tag = hmac::sign(&self.addresses, address.to_string().as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref()); // HMAC-SHA-256 has 32 bytes
        digest
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
