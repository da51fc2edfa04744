//! A server from its settings to its end. The binary and the tests start it in the same way; the tests on port 0.
//!
//! A stop loses nothing that was acknowledged: no new connections, requests under way are finished (up to
//! `SOUK_SHUTDOWN_TIMEOUT`), then the subscriptions give up their leases, then the log answers what it has accepted.

use std::{future::Future, net::SocketAddr};

use axum::{Router, routing::get};
use eventstore::subscription::Subscriptions;
use tokio::net::TcpListener;

use crate::{
    config::Config,
    services::{Services, StartError},
};

/// A server that listens and is ready to serve.
pub struct Application {
    services: Services,
    subscriptions: Subscriptions,
    listener: TcpListener,
    router: Router,
}

impl Application {
    /// Connects, starts the parts that this process runs, and listens. The database must be migrated.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        let addr = config.http.listen_addr();
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|source| StartError::Listen { addr, source })?;
        let services = Services::open(config).await?;
        let subscriptions = Subscriptions::new(services.log.clone());
        let router = Router::new().route("/health/live", get(async || "ok"));
        Ok(Self {
            services,
            subscriptions,
            listener,
            router,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What the server is made of below HTTP.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Serves until `stop` is ready, then ends in order.
    pub async fn run_until(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        let Self {
            services,
            subscriptions,
            listener,
            router,
        } = self;
        let patience = services.config.http.shutdown_timeout;
        let stopping = tokio_util::sync::CancellationToken::new();
        let stopped = stopping.clone();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            stop.await;
            stopped.cancel();
        });
        let served = tokio::select! {
            served = serving => served.map_err(StartError::Serve),
            () = async { stopping.cancelled().await; tokio::time::sleep(patience).await } => {
                tracing::warn!(?patience, "requests under way are cut off");
                Ok(())
            }
        };
        subscriptions.close().await;
        services.close().await;
        served
    }
}
