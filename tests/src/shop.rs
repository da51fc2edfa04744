//! A shop of its own per test: database, topics and secrets that nobody else has, and server processes on them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use eventstore::testing::{TestDatabase, eventually};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use crate::{
    client::{Client, PATIENCE},
    engine::Index,
    history::{self, Event},
    server::{Server, command},
    topics::Topics,
};

/// Password of the people that `souk seed` makes.
pub const DEMO_PASSWORD: &str = "souk-demo";

/// Few, so that each topic is read quickly; more than one, so that partitioning shows.
const PARTITIONS: &str = "2";

/// How to open a shop; see [`Shop`].
#[derive(Default)]
pub struct Opening {
    settings: BTreeMap<String, String>,
    kafka: Option<String>,
    postgres: Option<PgConnectOptions>,
}

impl Opening {
    /// Sets a variable for all processes of the shop.
    #[must_use]
    pub fn set(mut self, variable: &str, value: &str) -> Self {
        self.settings.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// Publishes to the Kafka of `KAFKA_BROKERS`.
    #[must_use]
    pub fn with_kafka(self) -> Self {
        self.with_kafka_at(&brokers())
    }

    /// Publishes to these brokers.
    #[must_use]
    pub fn with_kafka_at(mut self, brokers: &str) -> Self {
        self.kafka = Some(brokers.to_owned());
        self
    }

    /// Its processes share this Redis, under keys of their own. They wait for it longer than others do, since the machine
    /// may be busy.
    #[must_use]
    pub fn with_redis_at(self, url: &str) -> Self {
        self.set("SOUK_REDIS_URL", url)
            .set("SOUK_REDIS_TIMEOUT", "2s")
    }

    /// Its products are searched by the engine at this address, in an index of their own. Its processes wait for it longer
    /// than others do, since the machine may be busy.
    #[must_use]
    pub fn with_engine_at(self, url: &str) -> Self {
        self.set("SOUK_SEARCH_URL", url)
            .set("SOUK_SEARCH_TIMEOUT", "5s")
    }

    /// Has its database on another server than that of `DATABASE_URL`.
    #[must_use]
    pub fn on_postgres(mut self, server: PgConnectOptions) -> Self {
        self.postgres = Some(server);
        self
    }

    /// Makes the database, migrates and seeds it by the server's own commands.
    pub async fn open(self) -> Shop {
        let database = match self.postgres {
            Some(server) => TestDatabase::create_on(server).await,
            None => TestDatabase::create().await,
        };
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .connect_with(database.options())
            .await
            .expect("connects");
        let prefix = format!("test-{}", Uuid::new_v4().simple());
        let folder = std::env::temp_dir().join(&prefix);
        std::fs::create_dir_all(&folder).expect("a folder for output");
        let mut settings = BTreeMap::from([("DATABASE_URL".to_owned(), database.url())]);
        for (variable, value) in BASE_SETTINGS {
            settings.insert((*variable).to_owned(), (*value).to_owned());
        }
        settings.insert(
            "SOUK_MASTER_KEY".into(),
            STANDARD.encode([Uuid::new_v4().into_bytes(); 2].concat()),
        );
        settings.insert(
            "SOUK_JWT_SECRET".into(),
            format!("{}{}", Uuid::new_v4(), Uuid::new_v4()),
        );
        settings.insert("SOUK_KAFKA_PREFIX".into(), prefix.clone());
        settings.insert("SOUK_REDIS_PREFIX".into(), prefix.clone());
        settings.insert("SOUK_SEARCH_PREFIX".into(), prefix.clone());
        if let Some(brokers) = self.kafka {
            settings.insert("KAFKA_BROKERS".into(), brokers);
        }
        settings.extend(self.settings);
        let shop = Shop {
            database,
            pool,
            prefix,
            folder,
            settings,
            servers: AtomicU32::new(0),
            has_topics: AtomicBool::new(false),
            has_index: AtomicBool::new(false),
        };
        shop.run(&["migrate"]).await;
        shop.run(&["seed"]).await;
        shop
    }
}

/// What every process of every shop is told: cheap passwords, small pools, a free port.
const BASE_SETTINGS: &[(&str, &str)] = &[
    ("SOUK_ADDR", "127.0.0.1:0"),
    ("SOUK_DEMO", "true"),
    ("SOUK_BCRYPT_COST", "4"),
    ("SOUK_POOL_SIZE", "6"),
    ("SOUK_KAFKA_PARTITIONS", PARTITIONS),
    ("SOUK_PAYMENT_DELAY", "1h"), // a test that is about payments says when
    ("SOUK_RATE_LIMITS", "false"), // all clients of a test come from one address
    ("SOUK_LOG", "info"),
];

/// The Kafka of the tests.
pub fn brokers() -> String {
    std::env::var("KAFKA_BROKERS")
        .expect("KAFKA_BROKERS names the Kafka for tests; `make test` sets it")
}

/// A shop: a seeded database of its own, its topics, and the settings that its processes share.
pub struct Shop {
    database: TestDatabase,
    /// For looking at tables.
    pub pool: PgPool,
    /// First part of its topics' names, of its keys in Redis, and of its index.
    pub prefix: String,
    folder: PathBuf,
    settings: BTreeMap<String, String>,
    servers: AtomicU32,
    /// Whether a test looked at its topics, so that they are to be removed.
    has_topics: AtomicBool,
    /// The same of its index.
    has_index: AtomicBool,
}

impl Shop {
    /// A shop with the usual settings and without Kafka, whose orders are not paid within a test.
    pub async fn open() -> Self {
        Self::opening().open().await
    }

    /// A shop with settings to be chosen.
    pub fn opening() -> Opening {
        Opening::default()
    }

    /// Starts a server process, and waits until the read models hold what was there before.
    pub async fn serve(&self) -> Server {
        let server = self.serve_with(&[]).await;
        self.caught_up(&server).await;
        server
    }

    /// Waits until the read models hold what the log holds now, as this process sees them.
    pub async fn caught_up(&self, server: &Server) {
        let client = self.client(server);
        eventually("the read models have caught up", PATIENCE, || async {
            let ready = client.get("/health/ready").await.json();
            let mut views = ready["subscriptions"]
                .as_array()?
                .iter()
                .filter(|it| it["name"].as_str().is_some_and(|name| name.contains("_v")))
                .peekable();
            views.peek()?;
            views.all(|view| view["lag"] == 0).then_some(())
        })
        .await;
    }

    /// Starts a server process with some settings of its own.
    pub async fn serve_with(&self, settings: &[(&str, &str)]) -> Server {
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        let output = self.folder.join(format!("server-{number}.txt"));
        Server::start(&self.settings_with(settings), output).await
    }

    /// The settings of a process.
    pub fn settings_with(&self, own: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut settings = self.settings.clone();
        settings.extend(
            own.iter()
                .map(|(variable, value)| ((*variable).to_owned(), (*value).to_owned())),
        );
        settings.insert("SOUK_STATE_DIR".into(), self.folder.display().to_string());
        settings.into_iter().collect()
    }

    /// What its processes are told by that variable.
    pub fn setting(&self, variable: &str) -> &str {
        let value = self.settings.get(variable);
        value.unwrap_or_else(|| panic!("{variable} is not set"))
    }

    /// Runs a command of the command line to its end, and returns how it ended and what it printed.
    pub async fn try_run(&self, own: &[(&str, &str)], arguments: &[&str]) -> std::process::Output {
        let mut command = command(&self.settings_with(own), arguments);
        command.output().await.expect("the command runs")
    }

    /// Runs a command of the command line that must succeed, and returns what it printed.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(&[], arguments).await;
        let (told, failed) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "souk {arguments:?}: {} {failed}",
            output.status
        );
        told.into_owned()
    }

    /// A client of this server who is not logged in.
    pub fn client(&self, server: &Server) -> Client {
        Client::new(&server.address)
    }

    /// One of the demo users, such as `admin@example.com`, logged in.
    pub async fn demo_user(&self, server: &Server, name: &str) -> Client {
        self.client(server)
            .log_in(&format!("{name}@example.com"), DEMO_PASSWORD)
            .await
    }

    /// The admin of the demo, logged in.
    pub async fn admin(&self, server: &Server) -> Client {
        self.demo_user(server, "admin").await
    }

    /// A new customer, registered and logged in.
    pub async fn customer(&self, server: &Server) -> Client {
        let email = format!("{}@example.com", Uuid::new_v4().simple());
        self.client(server)
            .register("Test Buyer", &email, DEMO_PASSWORD)
            .await
    }

    /// The whole log.
    pub async fn events(&self) -> Vec<Event> {
        history::events(&self.pool).await
    }

    /// The last position of the log.
    pub async fn head(&self) -> i64 {
        history::head(&self.pool).await
    }

    /// Its topics.
    pub fn topics(&self) -> Topics {
        self.has_topics.store(true, Ordering::Relaxed);
        let brokers = self
            .settings
            .get("KAFKA_BROKERS")
            .map_or_else(brokers, Clone::clone);
        Topics::new(&brokers, &self.prefix)
    }

    /// What the search engine has of it.
    pub fn index(&self) -> Index {
        self.has_index.store(true, Ordering::Relaxed);
        Index::of(self.setting("SOUK_SEARCH_PREFIX"))
    }

    /// Where its processes put their output.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A URL of its database.
    pub fn database_url(&self) -> String {
        self.database.url()
    }

    /// Its database, for a proxy in front of it.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Fails unless the log is sound, stock adds up and nothing was paid twice. Then removes the shop's data. A test
    /// that fails keeps them.
    pub async fn close(self) {
        let events = self.events().await;
        history::assert_log_is_sound(&events);
        history::assert_stock_adds_up(&events);
        history::assert_orders_are_paid_at_most_once(&events);
        history::assert_discounts_add_up(&events);
        self.discard().await;
    }

    /// Removes the shop's data, whatever they are.
    pub async fn discard(self) {
        if self.has_topics.load(Ordering::Relaxed) {
            self.topics().remove().await;
        }
        self.pool.close().await;
        let index = self.has_index.load(Ordering::Relaxed).then(|| self.index());
        self.database.drop_database().await;
        // without the database no process that still runs makes it again
        if let Some(index) = index {
            index.remove().await;
        }
        std::fs::remove_dir_all(&self.folder).expect("removed");
    }
}
