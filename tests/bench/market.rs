//! A shop for measurements: a database and topics of its own, 1,000 products with plenty of stock, customers with
//! tokens, all made over HTTP as clients would.
//!
//! Customers and products are made by a server of all parts, which is stopped then: what is measured is a process that
//! was started with a full shop.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use commands::saga;
use futures::{StreamExt, stream};
use projections::publisher;
use sqlx::PgPool;
use tests::{client::Client, server::Server, shop::Shop};

use crate::{
    env::Outcome,
    load::{Load, Pace, Plan, Until},
};

/// As many as the rows at the store have.
const PRODUCTS: usize = 1_000;
/// The most that one delivery may bring.
const DELIVERY: u64 = 1_000_000;
/// Each brings a token of their own, and their name is sealed with a key of their own.
const CUSTOMERS: usize = 200;
/// Requests at once while it is made.
const AT_ONCE: usize = 32;
/// How long what follows by itself may take until the measurement has failed altogether.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);
/// Orders after which a server of all parts runs as it will.
const FIRST_ORDERS: u64 = 100;
/// Connections of the load.
pub(crate) const CONNECTIONS: usize = 64;

/// What differs from the defaults of a server: everything that measurements depend on is a default or stands here.
const SETTINGS: &[(&str, &str)] = &[
    ("SOUK_POOL_SIZE", "16"),
    ("SOUK_KAFKA_PARTITIONS", "6"),
    ("SOUK_TOKEN_TTL", "12h"), // measurements take longer than the 15 minutes of a log-in
    ("SOUK_PAYMENT_DELAY", "1s"),
];

/// How its servers are set up.
pub(crate) fn described() -> String {
    let settings: Vec<String> = SETTINGS
        .iter()
        .map(|(variable, value)| format!("{variable}={value}"))
        .collect();
    format!(
        "release build, {}, all else as by default; {CONNECTIONS} connections of the load unless a row says otherwise",
        settings.join(" ")
    )
}

/// See the module.
pub(crate) struct Market {
    /// Its database, topics and servers.
    pub(crate) shop: Shop,
    tokens: Vec<String>,
    products: Vec<String>,
}

impl Market {
    /// Opens one. `quick` makes it small.
    pub(crate) async fn open(quick: bool) -> Outcome<Self> {
        let opening = SETTINGS.iter().fold(
            Shop::opening().with_kafka(),
            |opening, (variable, value)| opening.set(variable, value),
        );
        let shop = opening.open().await;
        let server = shop.serve_with(&[("SOUK_ROLES", "api,projectors")]).await;
        shop.caught_up(&server).await;
        let (products, customers) = if quick {
            (20, 4)
        } else {
            (PRODUCTS, CUSTOMERS)
        };
        let products = make_products(&shop.admin(&server).await, products).await;
        let tokens = stream::iter(0..customers)
            .map(|_| async { shop.customer(&server).await.token().to_owned() })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        stop(server).await?;
        Ok(Self {
            shop,
            tokens,
            products,
        })
    }

    /// A server of these parts, such as `api,saga`, that is ready.
    pub(crate) async fn serve(&self, parts: &str) -> Server {
        self.shop.serve_with(&[("SOUK_ROLES", parts)]).await
    }

    /// A server of all parts, once each of them has done its share of a few orders: they lead, and the topics are made.
    pub(crate) async fn serve_all(&self) -> Outcome<Server> {
        let server = self.serve("api,projectors,saga,publisher").await;
        Load::run(&self.plan(&server, Pace::Closed, Until::Orders(FIRST_ORDERS))).await?;
        for part in [saga::NAME, publisher::SUBSCRIPTION_NAME] {
            self.settled(Some(part)).await?;
        }
        self.settled(None).await?;
        Ok(server)
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
    pub(crate) async fn orders(&self) -> Outcome<u64> {
        self.events("OrderPlaced").await
    }

    /// Orders that are paid, as the log tells it.
    pub(crate) async fn paid(&self) -> Outcome<u64> {
        self.events("OrderPaid").await
    }

    /// Orders that were paid between two moments.
    pub(crate) async fn paid_between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Outcome<u64> {
        let count: i64 = sqlx::query_scalar(
            "select count(*) from events where event_type = 'OrderPaid' and recorded_at between $1 and $2",
        )
        .bind(from)
        .bind(to)
        .fetch_one(self.pool())
        .await?;
        Ok(u64::try_from(count)?)
    }

    async fn events(&self, event_type: &str) -> Outcome<u64> {
        let count: i64 = sqlx::query_scalar("select count(*) from events where event_type = $1")
            .bind(event_type)
            .fetch_one(self.pool())
            .await?;
        Ok(u64::try_from(count)?)
    }

    /// Waits until no timer is left and this subscription, or every one that ever ran, has handled the whole log.
    /// Returns how long that took.
    pub(crate) async fn settled(&self, only: Option<&str>) -> Outcome<Duration> {
        let begun = Instant::now();
        while self.is_open(only).await? {
            if begun.elapsed() > PATIENCE {
                return Err(format!("not settled within {PATIENCE:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(begun.elapsed())
    }

    async fn is_open(&self, only: Option<&str>) -> Outcome<bool> {
        // one that never ran has no row: whoever names it waits for it
        let sql = "select exists (select from timers) \
            or coalesce((select min(position) from subscriptions where name = $1 or $1 is null), 0) \
                < (select max(position) from events)";
        Ok(sqlx::query_scalar(sql)
            .bind(only)
            .fetch_one(self.pool())
            .await?)
    }

    /// The last position of the log.
    pub(crate) async fn head(&self) -> i64 {
        self.shop.head().await
    }

    /// Removes all of it.
    pub(crate) async fn close(self) {
        self.shop.topics(); // looked at, so that they go with it
        self.shop.discard().await;
    }
}

/// Stops a server that must end well.
pub(crate) async fn stop(server: Server) -> Outcome<()> {
    let status = server.stop().await;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the server ended with {status}").into())
    }
}

async fn make_products(admin: &Client, count: usize) -> Vec<String> {
    let region = admin.region("USD").await;
    let made = stream::iter(0..count)
        .map(|_| admin.product_in(&region, (1_999, "USD"), DELIVERY))
        .buffer_unordered(AT_ONCE);
    made.collect().await
}
