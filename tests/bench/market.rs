//! A shop for measurements: a database and topics of its own, 1,000 products with plenty of stock, customers with
//! tokens, all made over HTTP as clients would.
//!
//! Customers and products are made by a server of all parts, which is stopped then: what is measured is a process that
//! was started with a full shop.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use sqlx::PgPool;
use tests::{client::Client, server::Server, shop::Shop};

use crate::load::{Pace, Plan, Until};

/// As many as the rows at the store have.
const PRODUCTS: usize = 1_000;
/// The most that one delivery may bring.
const DELIVERY: u64 = 1_000_000;
/// Each brings a token of their own, and their name is sealed with a key of their own.
const CUSTOMERS: usize = 200;
/// Requests at once while it is made.
const AT_ONCE: usize = 32;
/// Connections of the load.
pub(crate) const CONNECTIONS: usize = 64;

/// What differs from the defaults of a server: everything that measurements depend on is a default or stands here.
const SETTINGS: &[(&str, &str)] = &[
    ("SOUK_POOL_SIZE", "16"),
    ("SOUK_KAFKA_PARTITIONS", "6"),
    ("SOUK_TOKEN_TTL", "12h"), // measurements take longer than the 15 minutes of a log-in
    ("SOUK_PAYMENT_DELAY", "1s"),
];

/// See the module.
pub(crate) struct Market {
    /// Its database, topics and servers.
    pub(crate) shop: Shop,
    tokens: Vec<String>,
    products: Vec<String>,
}

impl Market {
    /// Opens one. `quick` makes it small.
    pub(crate) async fn open(quick: bool) -> Self {
        let opening = SETTINGS
            .iter()
            .fold(Shop::opening().with_kafka(), |opening, (variable, value)| opening.set(variable, value));
        let shop = opening.open().await;
        let server = shop.serve_with(&[("SOUK_ROLES", "api,projectors")]).await;
        shop.caught_up(&server).await;
        let (products, customers) = if quick { (20, 4) } else { (PRODUCTS, CUSTOMERS) };
        let products = make_products(&shop.admin(&server).await, products).await;
        let tokens = stream::iter(0..customers)
            .map(|_| async { shop.customer(&server).await.token().to_owned() })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        stop(server).await;
        Self { shop, tokens, products }
    }

    /// A server of these parts, such as `api,saga`, that is ready.
    pub(crate) async fn serve(&self, parts: &str) -> Server {
        self.shop.serve_with(&[("SOUK_ROLES", parts)]).await
    }

    /// A load on this server, on as many connections as all rows have, of one line per order as the rows at the store.
    pub(crate) fn plan(&self, server: &Server, pace: Pace, until: Until) -> Plan {
        Plan {
            authority: self.shop.client(server).authority().to_owned(),
            tokens: self.tokens.clone(),
            products: self.products.clone(),
            lines: 1,
            connections: CONNECTIONS,
            pace,
            warm_up: 0.0,
            until,
            seed: 1,
        }
    }

    /// Its database, for looking at tables.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.shop.pool
    }

    /// Orders in the log.
    pub(crate) async fn orders(&self) -> u64 {
        self.count("select count(*) from events where aggregate_type = 'order' and event_type = 'OrderPlaced'")
            .await
    }

    /// Orders that have been paid for, as the log tells it.
    pub(crate) async fn paid(&self) -> u64 {
        self.count("select count(*) from events where aggregate_type = 'order' and event_type = 'OrderPaid'")
            .await
    }

    /// A number that the database tells.
    pub(crate) async fn count(&self, sql: &'static str) -> u64 {
        let count: i64 = sqlx::query_scalar(sql)
            .fetch_one(self.pool())
            .await
            .expect("the database answers");
        u64::try_from(count).expect("a count")
    }

    /// Waits until nothing is to be paid any more and every subscription of these has handled the whole log. Returns
    /// how long that took.
    pub(crate) async fn settled(&self, patience: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let open: bool = sqlx::query_scalar(
                "select exists (select from timers) or exists (select from subscriptions s \
                    where s.position < (select max(position) from events))",
            )
            .fetch_one(self.pool())
            .await
            .expect("the database answers");
            if !open {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < patience, "not settled within {patience:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Removes all of it.
    pub(crate) async fn close(self) {
        self.shop.discard().await;
    }
}

/// Stops a server that must end well.
pub(crate) async fn stop(server: Server) {
    let status = server.stop().await;
    assert!(status.success(), "the server ended with {status}");
}

async fn make_products(admin: &Client, count: usize) -> Vec<String> {
    let region = admin.region("USD").await;
    let made = stream::iter(0..count)
        .map(|_| admin.product_in(&region, (1_999, "USD"), DELIVERY))
        .buffer_unordered(AT_ONCE);
    made.collect().await
}
