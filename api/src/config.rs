//! Settings of the server and the command line: one struct per concern, each readable from flags and from the
//! environment (clap). Parsed once at start and trusted from then on; secrets are never printed.
//!
//! | variable | default | what |
//! | --- | --- | --- |
//! | `DATABASE_URL` | required | the PostgreSQL database |
//! | `SOUK_POOL_SIZE` | `16` | most pooled connections of one process |
//! | `SOUK_CACHE` | `64MiB` | memory for aggregate states |
//! | `SOUK_EXPIRY_INTERVAL` | `30m` | how often expired refresh tokens and codes, old mails and idempotency keys are removed |
//! | `SOUK_ADDR` | `127.0.0.1:8080` | where HTTP is served |
//! | `PORT` | | alone, it means `0.0.0.0:PORT`, as hosting services want it |
//! | `SOUK_REQUEST_TIMEOUT` | `10s` | after this a command that was not decided is dropped |
//! | `SOUK_READ_WAIT` | `5s` | how long a query waits for the position that it names |
//! | `SOUK_SHUTDOWN_TIMEOUT` | `20s` | how long requests under way may take at a stop |
//! | `SOUK_MAX_BODY` | `1MiB` | largest request body |
//! | `SOUK_BULK_LIMIT` | `100` | most elements of a bulk request |
//! | `SOUK_STOCK_FEED_CLIENTS` | `1000` | most clients that follow the stock at once |
//! | `SOUK_DEMO` | `false` | demo mode: seeding, test payment methods, secrets made by the server |
//! | `SOUK_STATE_DIR` | `.local/run/secrets` | where demo mode keeps the secrets that it makes |
//! | `SOUK_JWT_SECRET` | required, but in demo mode | signs access tokens; at least 32 bytes |
//! | `SOUK_JWT_KEYS` | none | a PEM file of Ed25519 private keys: signs access tokens with the first instead, takes those of any |
//! | `SOUK_JWT_PREVIOUS_SECRETS` | none | secrets, with commas between, whose access tokens are taken too |
//! | `SOUK_MASTER_KEY` | required, but in demo mode | wraps people's keys; 32 bytes in base64 |
//! | `SOUK_PREVIOUS_MASTER_KEYS` | none | master keys that still unwrap what they have wrapped |
//! | `SOUK_TOKEN_TTL` | `15m` | life of an access token |
//! | `SOUK_REFRESH_TTL` | `30d` | how long after its last use a session ends |
//! | `SOUK_SIMPLE_TOKEN_TTL` | `24h` | the same for the simple client contract |
//! | `SOUK_BCRYPT_COST` | `12` | bcrypt's cost |
//! | `SOUK_UNVERIFIED_MAY_ORDER` | `true` | whether somebody may order whose e-mail address is not verified |
//! | `SOUK_SMTP_URL` | none | the mail server; without it mails are kept to be read |
//! | `SOUK_MAIL_FROM` | required with `SOUK_SMTP_URL` | who mails come from |
//! | `SOUK_RATE_LIMITS` | `true` | whether trying is limited at all; each limit is so many at once, and as many again within a time |
//! | `SOUK_LIMIT_LOG_IN` | `30/1m` | log-ins from one address |
//! | `SOUK_LIMIT_LOG_IN_ACCOUNT` | `10/5m` | log-ins from one address to one account |
//! | `SOUK_LIMIT_LOG_IN_STRANGER` | `5/1h` | log-ins from one address to one account that was never used from there |
//! | `SOUK_LIMIT_LOG_IN_STRANGERS` | `50/1h` | log-ins to one account from all addresses that it was never used from |
//! | `SOUK_LIMIT_REGISTRATION` | `20/10m` | registrations from one address |
//! | `SOUK_LIMIT_REFRESH` | `120/1m` | sessions continued from one address |
//! | `SOUK_LIMIT_REFRESH_ACCOUNT` | `60/1m` | sessions of one person continued |
//! | `SOUK_LIMIT_CODES` | `20/10m` | one-time codes asked for or tried from one address |
//! | `SOUK_LIMIT_CODES_ACCOUNT` | `10/30m` | one-time codes asked for or tried from one address for one account, registrations included |
//! | `SOUK_TRUSTED_PROXIES` | none | addresses or networks of the proxies in front, whose `X-Forwarded-For` is believed |
//! | `SOUK_PAYMENT_DELAY` | `60s` | from the order to its payment |
//! | `SOUK_PAYMENT_WINDOW` | `0s` | how long a declined payment may be tried again |
//! | `SOUK_TEST_PAYMENT_METHODS` | as `SOUK_DEMO` | whether methods that choose their outcome are accepted |
//! | `SOUK_GATEWAY_TIMEOUT` | `10s` | how long one call of the payment gateway may take |
//! | `SOUK_GATEWAY_RETRY` | `2s` | first pause before the gateway is asked again; doubled each time |
//! | `SOUK_GATEWAY_PATIENCE` | `5m` | how long the gateway may not answer before the charge is voided |
//! | `SOUK_ERASURE_GRACE` | `1m` | how long after an account was closed its data is kept at the least; outside demo mode no shorter than `SOUK_REQUEST_TIMEOUT` and 22 s |
//! | `SOUK_FULFILMENT_TIME` | `14d` | how long after its payment, or its last shipment, an order counts as open where nobody records more |
//! | `SOUK_SELLERS` | `true` | whether customers may open shops and sell; at `false` sellers change nothing |
//! | `SOUK_SHOP_APPROVAL` | `false` | whether a new shop waits until an admin approves of it |
//! | `SOUK_ROLES` | all | which parts this process runs: `api`, `projectors`, `saga`, `publisher` |
//! | `KAFKA_BROKERS` | none | without it all runs but the publisher |
//! | `SOUK_KAFKA_PREFIX` | `souk` | first part of topic names |
//! | `SOUK_KAFKA_PARTITIONS` | `6` | partitions of a topic; never changes within a generation |
//! | `SOUK_KAFKA_REPLICATION` | `-1` | replicas of a topic; -1 is the brokers' default |
//! | `SOUK_KAFKA_GENERATION` | `1` | generation of the topics |
//! | `SOUK_REDIS_URL` | none | a Redis in which several servers share limits and reads of products |
//! | `SOUK_REDIS_PREFIX` | `souk` | first part of its keys; databases are told apart by what comes next |
//! | `SOUK_REDIS_TIMEOUT` | `50ms` | how long a request waits for Redis before it goes on without |
//! | `SOUK_SEARCH_URL` | none | an OpenSearch or Elasticsearch that searches products; without it PostgreSQL does |
//! | `SOUK_SEARCH_PREFIX` | `souk` | first part of the name of its index; another one for each database |
//! | `SOUK_SEARCH_TIMEOUT` | `500ms` | how long a request waits for it before PostgreSQL searches |
//! | `SOUK_LOG` | `info` | filter of the logs, as of `tracing_subscriber::EnvFilter` |
//! | `SOUK_LOG_FORMAT` | `text` | `text` or `json` |
//!
//! `KAFKA_BROKERS`, `SOUK_REDIS_URL`, `SOUK_SEARCH_URL`, `SOUK_SMTP_URL` and the secrets count as not set where they are set and empty.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use commands::saga::SagaSettings;
use eventstore::LogSettings;
use identity::{HashingSettings, SessionSettings, TokenSettings};
use projections::{products::engine::InvalidSearchSettings, publisher::PublisherSettings};
use sqlx::postgres::PgConnectOptions;

pub use self::{
    limits::{InvalidLimit, Limit, LimitsConfig},
    mail::MailConfig,
    redis::RedisConfig,
    search::SearchConfig,
    secrets::{Secrets, SecretsConfig},
    values::{ByteSize, Secret},
};

mod limits;
mod mail;
mod redis;
mod search;
mod secrets;
mod token_keys;
mod values;

/// Why the settings do not make a server.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a database address. The address itself is not told, since it may hold a password.
    #[error("DATABASE_URL must be like postgres://user:password@host:5432/database")]
    DatabaseUrl,
    /// A secret is missing.
    #[error(
        "{variable} is not set. Outside demo mode (SOUK_DEMO=true) the server makes no secrets of its own: {hint}"
    )]
    MissingSecret {
        /// Name of its variable.
        variable: &'static str,
        /// How to make one.
        hint: &'static str,
    },
    /// A secret is not fit for use.
    #[error("{variable}: {reason}")]
    UnfitSecret {
        /// Name of its variable.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file with the keys of access tokens cannot be read.
    #[error("SOUK_JWT_KEYS {path}: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not the address of a mail server. The address itself is not told, since it may hold a password.
    #[error(
        "SOUK_SMTP_URL must be like smtps://user:password@host or smtp://user:password@host:587?tls=required"
    )]
    SmtpUrl,
    /// Not the address of a Redis. The address itself is not told, since it may hold a password.
    #[error(
        "SOUK_REDIS_URL must be like redis://:password@host:6379 or rediss://:password@host:6379"
    )]
    RedisUrl,
    /// Nothing can be asked so to search products. The address itself is not told, since it may hold a password.
    #[error("{variable} {reason}")]
    Search {
        /// Name of the variable.
        variable: &'static str,
        /// What is wrong with it.
        reason: InvalidSearchSettings,
    },
    /// Mails could be sent, but from nobody.
    #[error(
        "SOUK_MAIL_FROM must be an address such as Souk <shop@example.com>, since SOUK_SMTP_URL is set"
    )]
    MailFrom,
    /// A request could have an effect after the data of whoever sent it was erased.
    #[error(
        "SOUK_ERASURE_GRACE is {grace}, which is shorter than a request may take: outside demo mode (SOUK_DEMO=true) it must be {least} at the least"
    )]
    ShortGrace {
        /// What it is.
        grace: humantime::Duration,
        /// What it must be.
        least: humantime::Duration,
    },
    /// The folder for the secrets of demo mode cannot be used.
    #[error("SOUK_STATE_DIR {path}: {source}")]
    StateDir {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// All settings of a server.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The database and the log in it.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// HTTP.
    #[command(flatten)]
    pub http: HttpConfig,
    /// Demo mode and secrets.
    #[command(flatten)]
    pub secrets: SecretsConfig,
    /// Log-in.
    #[command(flatten)]
    pub identity: IdentityConfig,
    /// How often one may try.
    #[command(flatten)]
    pub limits: LimitsConfig,
    /// Mail.
    #[command(flatten)]
    pub mail: MailConfig,
    /// Payments.
    #[command(flatten)]
    pub payment: PaymentConfig,
    /// Closed accounts.
    #[command(flatten)]
    pub closing: ClosingConfig,
    /// Sellers and their shops.
    #[command(flatten)]
    pub selling: SellingConfig,
    /// Which parts run here.
    #[command(flatten)]
    pub parts: PartsConfig,
    /// Kafka.
    #[command(flatten)]
    pub kafka: KafkaConfig,
    /// What several servers share.
    #[command(flatten)]
    pub redis: RedisConfig,
    /// What searches products.
    #[command(flatten)]
    pub search: SearchConfig,
    /// The server's own logs.
    #[command(flatten)]
    pub logging: LoggingConfig,
}

impl Config {
    /// Whether this is a demo: everything in it is made to be tried, nothing to be kept secret.
    pub fn demo(&self) -> bool {
        self.secrets.demo
    }

    /// Whether payment methods that choose their own outcome are accepted.
    pub fn test_payment_methods(&self) -> bool {
        self.payment.test_payment_methods.unwrap_or(self.demo())
    }

    /// Refuses a grace that a request of somebody whose account was just closed may outlast: what it stores of them could
    /// then come after the erasure. In a demo that is what one may want to see quickly.
    pub fn assure_erasures_come_last(&self) -> Result<(), ConfigError> {
        let grace = self.closing.erasure_grace;
        let least = self.http.request_timeout.saturating_add(AFTERMATH);
        if self.demo() || grace >= least {
            return Ok(());
        }
        Err(ConfigError::ShortGrace {
            grace: grace.into(),
            least: least.into(),
        })
    }
}

/// How long beyond its deadline a request of somebody whose account was just closed may have an effect: their token is
/// refused two seconds later at the latest, and what was decided is committed or given up within twenty.
const AFTERMATH: Duration = Duration::from_secs(22);

/// The database and the log in it.
#[derive(Args, Clone, Debug)]
pub struct DatabaseConfig {
    /// The PostgreSQL database, as postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Secret,

    /// Most pooled connections of this process
    #[arg(long, env = "SOUK_POOL_SIZE", default_value = "16", value_name = "N")]
    pub pool_size: NonZeroU32,

    /// Memory for aggregate states
    #[arg(
        long,
        env = "SOUK_CACHE",
        default_value = "64MiB",
        value_name = "BYTES"
    )]
    pub cache: ByteSize,

    /// How often expired refresh tokens and codes, old mails and idempotency keys are removed, by one of all processes
    #[arg(long, env = "SOUK_EXPIRY_INTERVAL", default_value = "30m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub expiry_interval: Duration,
}

impl DatabaseConfig {
    /// How to connect.
    pub fn connect_options(&self) -> Result<PgConnectOptions, ConfigError> {
        let url = self.database_url.expose();
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ConfigError::DatabaseUrl);
        }
        PgConnectOptions::from_str(url).map_err(|_| ConfigError::DatabaseUrl)
    }

    /// How to open the log.
    pub fn log_settings(&self) -> Result<LogSettings, ConfigError> {
        Ok(LogSettings {
            database: self.connect_options()?,
            pool_size: self.pool_size.get(),
            cache_bytes: self.cache.bytes(),
        })
    }
}

/// How HTTP is served.
#[derive(Args, Clone, Debug)]
pub struct HttpConfig {
    /// Where HTTP is served [default: 127.0.0.1:8080]
    #[arg(long, env = "SOUK_ADDR", value_name = "ADDRESS")]
    pub addr: Option<SocketAddr>,

    /// Serves on this port of all addresses, unless --addr says otherwise
    #[arg(long, env = "PORT", value_name = "PORT")]
    pub port: Option<u16>,

    /// After this a command that was not decided is dropped
    #[arg(long, env = "SOUK_REQUEST_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub request_timeout: Duration,

    /// How long a query waits for the position that it names
    #[arg(long, env = "SOUK_READ_WAIT", default_value = "5s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub read_wait: Duration,

    /// How long requests under way may take at a stop
    #[arg(long, env = "SOUK_SHUTDOWN_TIMEOUT", default_value = "20s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub shutdown_timeout: Duration,

    /// Largest request body
    #[arg(
        long,
        env = "SOUK_MAX_BODY",
        default_value = "1MiB",
        value_name = "BYTES"
    )]
    pub max_body: ByteSize,

    /// Most elements of a bulk request
    #[arg(long, env = "SOUK_BULK_LIMIT", default_value = "100", value_name = "N")]
    pub bulk_limit: NonZeroUsize,

    /// Most clients of the stock feed at once
    #[arg(
        long,
        env = "SOUK_STOCK_FEED_CLIENTS",
        default_value = "1000",
        value_name = "N"
    )]
    pub stock_feed_clients: NonZeroUsize,
}

/// Where HTTP is served when nothing says where.
const DEFAULT_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl HttpConfig {
    /// Where to listen.
    pub fn listen_addr(&self) -> SocketAddr {
        match (self.addr, self.port) {
            (Some(addr), _) => addr,
            (None, Some(port)) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            (None, None) => DEFAULT_ADDR,
        }
    }
}

/// How people log in.
#[derive(Args, Clone, Debug)]
pub struct IdentityConfig {
    /// Life of an access token
    #[arg(long, env = "SOUK_TOKEN_TTL", default_value = "15m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub token_ttl: Duration,

    /// How long after its last use a session ends: the life of a refresh token
    #[arg(long, env = "SOUK_REFRESH_TTL", default_value = "30d", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub refresh_ttl: Duration,

    /// Life of an access token of the simple client contract
    #[arg(long, env = "SOUK_SIMPLE_TOKEN_TTL", default_value = "24h", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub simple_token_ttl: Duration,

    /// Cost of bcrypt: each step doubles the time of a log-in
    #[arg(long, env = "SOUK_BCRYPT_COST", default_value = "12", value_name = "COST", value_parser = clap::value_parser!(u32).range(4..=31))]
    pub bcrypt_cost: u32,

    /// Whether somebody may order whose e-mail address is not verified
    #[arg(
        long,
        env = "SOUK_UNVERIFIED_MAY_ORDER",
        value_name = "BOOL",
        default_value = "true",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub unverified_may_order: bool,
}

impl IdentityConfig {
    /// What access tokens say and how long they live.
    pub fn token_settings(&self) -> TokenSettings {
        TokenSettings {
            lifetime: self.token_ttl,
            contract_lifetime: self.simple_token_ttl,
            ..TokenSettings::default()
        }
    }

    /// How long sessions last.
    pub fn session_settings(&self) -> SessionSettings {
        SessionSettings {
            lifetime: self.refresh_ttl,
            ..SessionSettings::default()
        }
    }

    /// How passwords are hashed.
    pub fn hashing_settings(&self) -> HashingSettings {
        HashingSettings {
            cost: self.bcrypt_cost,
            ..HashingSettings::default()
        }
    }
}

/// When and how payments are asked for. Frozen into each order when it is placed.
#[derive(Args, Clone, Debug)]
pub struct PaymentConfig {
    /// From the order to its payment, down to 0s
    #[arg(long, env = "SOUK_PAYMENT_DELAY", default_value = "60s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub payment_delay: Duration,

    /// How long a declined payment may be tried again; at 0s the first answer is final
    #[arg(long, env = "SOUK_PAYMENT_WINDOW", default_value = "0s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub payment_window: Duration,

    /// Accept payment methods that choose their own outcome [default: as in demo mode]
    #[arg(
        long,
        env = "SOUK_TEST_PAYMENT_METHODS",
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub test_payment_methods: Option<bool>,

    /// How long one call of the payment gateway may take
    #[arg(long, env = "SOUK_GATEWAY_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub gateway_timeout: Duration,

    /// First pause before the gateway is asked again; doubled each time
    #[arg(long, env = "SOUK_GATEWAY_RETRY", default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub gateway_retry: Duration,

    /// How long the gateway may not answer before the charge is voided
    #[arg(long, env = "SOUK_GATEWAY_PATIENCE", default_value = "5m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub gateway_patience: Duration,
}

impl PaymentConfig {
    /// How the saga deals with a gateway that declines or does not answer.
    pub fn saga_settings(&self) -> SagaSettings {
        let defaults = SagaSettings::default();
        SagaSettings {
            gateway_retry: self.gateway_retry,
            longest_retry: defaults.longest_retry.max(self.gateway_retry),
            gateway_patience: self.gateway_patience,
            gateway_timeout: self.gateway_timeout,
            claim: defaults.claim,
        }
    }
}

/// When the data of people whose accounts were closed is erased.
#[derive(Args, Clone, Debug)]
pub struct ClosingConfig {
    /// How long after an account was closed its data is kept at the least: 22 s longer than any process gives a request
    #[arg(long, env = "SOUK_ERASURE_GRACE", default_value = "1m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub erasure_grace: Duration,

    /// How long after its payment, or its last shipment, an order counts as open where nobody records more
    #[arg(long, env = "SOUK_FULFILMENT_TIME", default_value = "14d", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub fulfilment_time: Duration,
}

/// Who sells.
#[derive(Args, Clone, Copy, Debug)]
pub struct SellingConfig {
    /// Whether customers may open shops and sell; without it sellers change nothing, and what they offer is sold on
    #[arg(
        long,
        env = "SOUK_SELLERS",
        value_name = "BOOL",
        default_value = "true",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub sellers: bool,

    /// Whether a new shop waits until an admin approves of it
    #[arg(
        long,
        env = "SOUK_SHOP_APPROVAL",
        value_name = "BOOL",
        default_value = "false",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub shop_approval: bool,
}

/// A part of the server that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Part {
    /// HTTP. Without it health and readiness are still served.
    Api,
    /// The read models.
    Projectors,
    /// What acts on events: the payment saga with its timers, what makes sellers of those who open shops, what ends
    /// closed accounts.
    Saga,
    /// The Kafka publisher.
    Publisher,
}

/// Which parts run here.
#[derive(Args, Clone, Debug)]
pub struct PartsConfig {
    /// Parts that this process runs; several processes may run the same ones
    #[arg(
        long,
        env = "SOUK_ROLES",
        value_delimiter = ',',
        default_value = "api,projectors,saga,publisher",
        value_name = "PARTS"
    )]
    pub roles: Vec<Part>,
}

impl PartsConfig {
    /// Whether this process runs that part.
    pub fn runs(&self, part: Part) -> bool {
        self.roles.contains(&part)
    }
}

/// Where events are published.
#[derive(Args, Clone, Debug)]
pub struct KafkaConfig {
    /// Kafka's addresses, as host:port,host:port; without them nothing is published until they are given
    #[arg(long, env = "KAFKA_BROKERS", value_name = "BROKERS")]
    pub kafka_brokers: Option<String>,

    /// First part of topic names
    #[arg(
        long,
        env = "SOUK_KAFKA_PREFIX",
        default_value = "souk",
        value_name = "PREFIX"
    )]
    pub kafka_prefix: String,

    /// Partitions of a topic; never changes within a generation
    #[arg(long, env = "SOUK_KAFKA_PARTITIONS", default_value = "6", value_name = "N", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub kafka_partitions: i32,

    /// Replicas of a topic; -1 is the brokers' default
    #[arg(long, env = "SOUK_KAFKA_REPLICATION", default_value = "-1", value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=100))]
    pub kafka_replication: i32,

    /// Generation of the topics: another one begins the topics anew
    #[arg(long, env = "SOUK_KAFKA_GENERATION", default_value = "1", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub kafka_generation: u32,
}

impl KafkaConfig {
    /// The addresses, where there are any.
    pub fn brokers(&self) -> Option<&str> {
        self.kafka_brokers
            .as_deref()
            .map(str::trim)
            .filter(|brokers| !brokers.is_empty())
    }

    /// How and where to publish, where there is anywhere.
    pub fn publisher_settings(&self) -> Option<PublisherSettings> {
        Some(PublisherSettings {
            prefix: self.kafka_prefix.clone(),
            partitions: self.kafka_partitions,
            replication: self.kafka_replication,
            generation: self.kafka_generation,
            ..PublisherSettings::new(self.brokers()?)
        })
    }
}

/// The server's own logs.
#[derive(Args, Clone, Debug)]
pub struct LoggingConfig {
    /// Filter of the logs, for instance info,eventstore=debug
    #[arg(
        long = "log",
        env = "SOUK_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub filter: String,

    /// Form of the logs
    #[arg(
        long = "log-format",
        env = "SOUK_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub format: LogFormat,
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

#[cfg(test)]
mod tests;
