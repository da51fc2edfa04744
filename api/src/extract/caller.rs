//! Where a request comes from, and how often it may: see [`crate::limits`].

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{header::HeaderName, request::Parts},
};

use identity::AddressDigests;

use crate::{
    error::ApiError,
    limits::{Policy, Said, caller_of},
    state::App,
};

/// Each proxy adds the address that it was asked from.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whoever asks, known by their address alone.
#[derive(Clone)]
pub struct Caller {
    app: App,
    /// An address of IPv4 or a network of IPv6.
    address: IpAddr,
    said: Said,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let hops: Vec<_> = parts.headers.get_all(FORWARDED_FOR).iter().collect();
        let address = app.limits.client_address(peer, hops.into_iter());
        Ok(Self {
            app: app.clone(),
            address: caller_of(address),
            said: parts.extensions.get().cloned().unwrap_or_default(),
        })
    }
}

impl Caller {
    /// Counts one try from this address.
    pub async fn spend(&self, policy: Policy) -> Result<(), ApiError> {
        self.count(policy, &self.address.to_string()).await
    }

    /// Counts one try from this address to this account.
    pub async fn spend_on(&self, policy: Policy, account: &str) -> Result<(), ApiError> {
        // no address has a zero byte in it
        let who = format!("{}\0{}", self.address, spelled(account));
        self.count(policy, &who).await
    }

    /// Counts one try to this account, from wherever it comes.
    pub async fn spend_anywhere(&self, policy: Policy, account: &str) -> Result<(), ApiError> {
        self.count(policy, &spelled(account)).await
    }

    async fn count(&self, policy: Policy, who: &str) -> Result<(), ApiError> {
        self.said.spend(&self.app.limits, policy, who).await
    }

    /// The address as keyed digests, to be kept and compared.
    pub fn digests(&self) -> AddressDigests {
        self.app.address_digests(self.address)
    }
}

/// One account in all spellings of its address; a text that is no address is an account of its own.
fn spelled(account: &str) -> String {
    account.trim().to_ascii_lowercase()
}
