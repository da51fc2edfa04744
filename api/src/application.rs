//! A server from its settings to its end. The binary and the tests start it in the same way; the tests on port 0.
//!
//! A stop loses nothing that was acknowledged: no new connections, requests under way are finished (up to
//! `SOUK_SHUTDOWN_TIMEOUT`) and clients of the stock feed are sent away, then the timers of the saga end and the subscriptions give up their leases, then the log
//! answers what it has accepted.

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::{Router, serve::ListenerExt};
use commands::{
    gateway::{FakeGateway, PaymentGateway},
    saga::{RunningTimers, payment_saga},
};
use eventstore::subscription::Subscriptions;
use projections::{
    products::engine::SearchEngine,
    promotion::promote,
    publisher::{Publisher, PublisherSettings},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    closing,
    config::{Config, Part},
    expiry,
    mailing::{self, Mailing, Sender},
    router::router,
    sellers::Sellers,
    services::{Services, StartError},
    shared::{Invalidation, Shared},
    state::App,
    stock_feed::StockFeed,
};

/// A server that listens and is ready to serve.
pub struct Application {
    services: Services,
    subscriptions: Subscriptions,
    promoting: Option<JoinHandle<()>>,
    timers: Option<RunningTimers>,
    closing: Option<JoinHandle<()>>,
    expiry: JoinHandle<()>,
    mailing: Mailing,
    stock_feed: StockFeed,
    listener: TcpListener,
    router: Router,
}

impl Application {
    /// Connects, starts the parts that this process runs, and listens. The database must be migrated.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        Self::start(config, None).await
    }

    /// The same with another payment gateway than the fake one.
    pub async fn build_with(
        config: Config,
        gateway: Arc<dyn PaymentGateway>,
    ) -> Result<Self, StartError> {
        Self::start(config, Some(gateway)).await
    }

    async fn start(
        config: Config,
        gateway: Option<Arc<dyn PaymentGateway>>,
    ) -> Result<Self, StartError> {
        // everything that can be refused is looked at before anything runs
        config.assure_erasures_come_last()?;
        let publisher = publisher_settings(&config)?;
        let redis = config.redis.client()?;
        let search = config.search.settings()?;
        let sender = Sender::new(&config.mail)?;
        let addr = config.http.listen_addr();
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|source| StartError::Listen { addr, source })?;
        let services = Services::open(config).await?;
        let subscriptions = Subscriptions::new(services.log.clone());
        let shared = match redis {
            Some(client) => Some(services.shared(client).await?),
            None => None,
        };
        let search = search.map(|settings| SearchEngine::start(&settings, services.log.clone()));
        let search = search.transpose()?;
        let mut promoting = None;
        if services.config.parts.runs(Part::Projectors) {
            start_projectors(&services, &subscriptions, shared.as_ref(), search.as_ref()).await;
            promoting = Some(tokio::spawn(promote(services.log.clone())));
        }
        let (timers, closing) = if services.config.parts.runs(Part::Saga) {
            let timers = start_saga(&services, &subscriptions, gateway).await;
            subscriptions
                .spawn(Sellers::new(services.identity.clone()))
                .await;
            let closing = closing::run(services.clone(), subscriptions.clone());
            (Some(timers), Some(tokio::spawn(closing)))
        } else {
            (None, None)
        };
        if let Some(settings) = publisher {
            subscriptions
                .spawn_worker(Publisher::new(services.log.clone(), settings))
                .await;
        }
        let app = App::new(services.clone(), subscriptions.clone(), shared, search);
        let stock_feed = app.stock_feed.clone();
        let router = router(app);
        let interval = services.config.database.expiry_interval;
        let expiry = tokio::spawn(expiry::every(interval, services.clone()));
        let mailing = mailing::start(&services, sender);
        Ok(Self {
            services,
            subscriptions,
            promoting,
            timers,
            closing,
            expiry,
            mailing,
            stock_feed,
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

    /// What follows the log in this process.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// Serves until `stop` is ready, then ends in order.
    pub async fn run_until(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        let Self {
            services,
            subscriptions,
            promoting,
            timers,
            closing,
            expiry,
            mailing,
            stock_feed,
            listener,
            router,
        } = self;
        let patience = services.config.http.shutdown_timeout;
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let listener = listener.tap_io(send_at_once);
        let serving = axum::serve(
            listener,
            router.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(async move {
            stop.await;
            stock_feed.close();
            stopped.cancel();
        });
        let served = tokio::select! {
            served = serving => served.map_err(StartError::Serve),
            () = async { stopping.cancelled().await; tokio::time::sleep(patience).await } => {
                tracing::warn!(?patience, "requests under way are cut off");
                Ok(())
            }
        };
        tracing::info!("stopping");
        expiry.abort();
        for worker in [promoting, closing].into_iter().flatten() {
            worker.abort();
        }
        mailing.close().await;
        if let Some(timers) = timers {
            timers.close().await;
        }
        subscriptions.close().await;
        services.close().await;
        served
    }
}

/// An answer is small and whole: nothing is gained by waiting for more to send with it.
fn send_at_once(connection: &mut TcpStream) {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}

/// How to publish, where this process does and has anywhere to publish to.
fn publisher_settings(config: &Config) -> Result<Option<PublisherSettings>, StartError> {
    if !config.parts.runs(Part::Publisher) {
        return Ok(None);
    }
    let settings = config.kafka.publisher_settings();
    if let Some(settings) = &settings {
        settings.validate()?;
    } else {
        tracing::warn!("KAFKA_BROKERS is not set: nothing is published until it is");
    }
    Ok(settings)
}

/// The read models, and what keeps others as they are.
async fn start_projectors(
    services: &Services,
    subscriptions: &Subscriptions,
    shared: Option<&Shared>,
    search: Option<&SearchEngine>,
) {
    projections::spawn_all(subscriptions).await;
    let log = || services.log.clone();
    if let Some(shared) = shared {
        let invalidation = Invalidation::new(log(), shared.products());
        subscriptions.spawn_worker(invalidation).await;
    }
    if let Some(search) = search {
        let read_models = services.read_models.clone();
        let follower = search.follower(log(), read_models, subscriptions.clone());
        subscriptions.spawn_worker(follower).await;
    }
}

async fn start_saga(
    services: &Services,
    subscriptions: &Subscriptions,
    gateway: Option<Arc<dyn PaymentGateway>>,
) -> RunningTimers {
    let gateway = gateway.unwrap_or_else(|| Arc::new(FakeGateway::new(services.log.pool())));
    let settings = services.config.payment.saga_settings();
    let (saga, timers) = payment_saga(services.commands.clone(), gateway, settings);
    subscriptions.spawn(saga).await;
    timers.spawn()
}
