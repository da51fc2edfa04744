//! What a server is made of below HTTP: the log, the vault of people's keys, commands, read models, identity. Opened
//! once per process from the settings, by [`crate::Application`] and by commands of the command line that work without HTTP.

use std::{io, net::SocketAddr, sync::Arc};

use commands::{CommandSettings, Commands, payment_methods::PaymentMethods};
use eventstore::{EventLog, sealing::Vault};
use identity::{
    AccessTokens, CodeSettings, Codes, HasherNotStarted, Identity, Mails, PasswordHasher,
};

use projections::{ReadModels, products::engine::EngineNotStarted, publisher::InvalidSettings};

use crate::{
    config::{Config, ConfigError, Secret, Secrets},
    idempotency::derived_key,
    shared::{Shared, database_identity},
};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is missing or not fit for use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be reached, or refuses.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables are not there.
    #[error("the database is not migrated: run `souk migrate` first")]
    NotMigrated,
    /// bcrypt's cost is out of range, or there are no threads for it.
    #[error("SOUK_BCRYPT_COST: {0}")]
    Hashing(#[from] HasherNotStarted),
    /// Events cannot be published so.
    #[error("Kafka: {0}")]
    Kafka(#[from] InvalidSettings),
    /// Nothing can be asked to search products.
    #[error(transparent)]
    Search(#[from] EngineNotStarted),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Serving ended without being asked to.
    #[error("serving HTTP: {0}")]
    Serve(io::Error),
}

/// What a server is made of below HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The settings it was made from.
    pub config: Arc<Config>,
    /// The event log.
    pub log: EventLog,
    /// The keys of people's personal data.
    pub vault: Vault,
    /// What can be done.
    pub commands: Commands,
    /// What can be asked.
    pub read_models: ReadModels,
    /// Users, log-in, tokens.
    pub identity: Identity,
    /// One-time codes by e-mail.
    pub codes: Codes,
    /// The mails that were written.
    pub mails: Mails,
    derivation_secret: Secret,
    earlier_derivation_secrets: Vec<Secret>,
}

/// What PostgreSQL says of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

impl Services {
    /// Connects to the database, which must be migrated.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let Secrets {
            token_keys,
            master_keys,
            derivation_secret,
            earlier_derivation_secrets,
        } = config.secrets.secrets()?;
        let hasher = PasswordHasher::new(&config.identity.hashing_settings())?;
        let tokens = AccessTokens::with_keys(token_keys, config.identity.token_settings());
        let sessions = config.identity.session_settings();
        let log = EventLog::open(config.database.log_settings()?)
            .await
            .map_err(explain)?;
        let vault = Vault::new(log.pool().clone(), master_keys);
        let settings = command_settings(&config);
        let identity = Identity::new(log.pool().clone(), hasher, tokens, sessions);
        let mails = Mails::new(log.pool().clone(), vault.clone());
        let codes = Codes::new(
            identity.clone(),
            mails.clone(),
            vault.clone(),
            derived_key(&derivation_secret, "one-time codes"),
            CodeSettings::default(),
        );
        Ok(Self {
            commands: Commands::new(log.clone(), vault.clone(), settings),
            read_models: ReadModels::new(log.pool().clone()),
            identity,
            codes,
            mails,
            config: Arc::new(config),
            log,
            vault,
            derivation_secret,
            earlier_derivation_secrets,
        })
    }

    /// What keys of a single purpose are derived from. The same in all processes and after a restart; another one once
    /// the master key was exchanged.
    pub(crate) fn derivation_secret(&self) -> &Secret {
        &self.derivation_secret
    }

    /// Those of before the master key was exchanged, as long as the settings name it.
    pub(crate) fn earlier_derivation_secrets(&self) -> &[Secret] {
        &self.earlier_derivation_secrets
    }

    /// What this database's servers share there.
    pub(crate) async fn shared(&self, redis: redis::Client) -> Result<Shared, StartError> {
        let database = database_identity(self.log.pool()).await.map_err(explain)?;
        let secret = &self.derivation_secret;
        Ok(Shared::start(redis, &self.config.redis, &database, secret))
    }

    /// Answers what the log has accepted, and ends it.
    pub async fn close(&self) {
        self.log.close().await;
    }
}

fn command_settings(config: &Config) -> CommandSettings {
    CommandSettings {
        payment_delay: config.payment.payment_delay,
        payment_window: config.payment.payment_window,
        payment_methods: if config.test_payment_methods() {
            PaymentMethods::WithTests
        } else {
            PaymentMethods::RealOnly
        },
    }
}

fn explain(error: sqlx::Error) -> StartError {
    match &error {
        sqlx::Error::Database(database) if database.code().as_deref() == Some(UNDEFINED_TABLE) => {
            StartError::NotMigrated
        }
        _ => StartError::Database(error),
    }
}
