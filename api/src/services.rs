//! What a server is made of below HTTP: the log, the vault of people's keys, identity. Opened once per process from
//! the settings, by [`crate::Application`] and by commands of the command line that work without HTTP.

use std::{io, net::SocketAddr, sync::Arc};

use eventstore::{EventLog, sealing::Vault};
use identity::{AccessTokens, CostNotAllowed, Identity, PasswordHasher, WeakSecret};

use crate::config::{Config, ConfigError, Secrets};

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
    /// bcrypt's cost is out of range.
    #[error("SOUK_BCRYPT_COST: {0}")]
    BcryptCost(#[from] CostNotAllowed),
    /// The secret of access tokens is too short.
    #[error("SOUK_JWT_SECRET: {0}")]
    WeakSecret(#[from] WeakSecret),
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
    /// Users, log-in, tokens.
    pub identity: Identity,
}

/// What PostgreSQL says of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

impl Services {
    /// Connects to the database, which must be migrated.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let secrets = config.secrets.secrets()?;
        let log = EventLog::open(config.database.log_settings()?)
            .await
            .map_err(explain)?;
        let (vault, identity) = match Self::beside(&config, &log, secrets) {
            Ok(parts) => parts,
            Err(error) => {
                log.close().await;
                return Err(error);
            }
        };
        Ok(Self {
            config: Arc::new(config),
            log,
            vault,
            identity,
        })
    }

    fn beside(
        config: &Config,
        log: &EventLog,
        secrets: Secrets,
    ) -> Result<(Vault, Identity), StartError> {
        let vault = Vault::new(log.pool().clone(), secrets.master_key);
        let hasher = PasswordHasher::new(&config.identity.hashing_settings())?;
        let tokens = AccessTokens::new(
            secrets.jwt_secret.expose().as_bytes(),
            config.identity.token_settings(),
        )?;
        Ok((vault, Identity::new(log.pool().clone(), hasher, tokens)))
    }

    /// Answers what the log has accepted, and ends it.
    pub async fn close(&self) {
        self.log.close().await;
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
