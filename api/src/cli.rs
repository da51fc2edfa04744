//! The command line of the `souk` binary: one module per command, settings from flags and the environment.
//!
//! What a command is asked for goes to standard output, everything else to standard error. A failure is one line
//! there and exit code 1; a command line that makes no sense, or lacks a setting, is 2.

use std::{io, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use eventstore::{
    EventLog, LogSettings, position::Position, sealing::SealError, subscription::HandleError,
};
use sqlx::ConnectOptions;

use crate::{
    config::{Config, ConfigError, DatabaseConfig, SecretsConfig},
    logging::LoggingError,
    seed::SeedError,
    services::StartError,
};

mod erasures;
mod events;
mod keys;
mod mails;
mod migrate;
mod openapi;
mod projections;
mod seed;
mod serve;
mod table;
mod welcome;

pub use migrate::migrate;

/// Pooled connections of a command that is not a server.
const POOL_SIZE: u32 = 4;
/// What such a command keeps of aggregate states.
const CACHE_BYTES: usize = 1024 * 1024;
/// What PostgreSQL says of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// An event-sourced backend for shops: HTTP in front, PostgreSQL behind, every event on Kafka.
#[derive(Parser)]
#[command(name = "souk", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and run the parts behind it, until SIGINT or SIGTERM
    Serve(Box<Config>),
    /// Bring the database to the version of this program; safe to run by several at once
    Migrate(DatabaseConfig),
    /// Make demo users, regions and products (demo mode only), a large shop if asked to; run again it adds nothing
    Seed(Box<Seed>),
    /// Print the event log as JSON lines
    Events(Events),
    /// Print the mails that were written as JSON lines, the newest first
    Mails(Box<MailsCommand>),
    /// Look after the subscriptions: read models, payment saga and publisher
    Projections(Projections),
    /// Look after the keys of people's personal data
    Keys(Keys),
    /// Whose data was erased: to be kept apart from backups, and applied to one that was restored
    Erasures(Erasures),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Args)]
struct Seed {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    what: seed::SeedArgs,
}

#[derive(Args)]
struct Events {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    what: events::EventsArgs,
}

#[derive(Args)]
struct MailsCommand {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
    #[command(flatten)]
    what: mails::MailsArgs,
}

#[derive(Args)]
struct Projections {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(subcommand)]
    command: projections::ProjectionsCommand,
}

#[derive(Args)]
struct Keys {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
    #[command(subcommand)]
    command: keys::KeysCommand,
}

#[derive(Args)]
struct Erasures {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(subcommand)]
    command: erasures::ErasuresCommand,
}

/// Why a command failed. Its message is what the user is told.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A setting is missing or not fit for use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server does not start, or ended by itself.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Logging cannot be set up.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The database cannot be reached.
    #[error("the database cannot be reached: {0}")]
    Unreachable(sqlx::Error),
    /// The tables are not there.
    #[error("the database is not migrated: run `souk migrate` first")]
    NotMigrated,
    /// The database refuses something else.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// The database could not be brought to this version.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// What was sealed could not be opened.
    #[error("personal data cannot be opened: {0}")]
    Sealed(#[from] SealError),
    /// The demo data could not be made.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// Somebody wanted it to stop.
    #[error("stopped before it was done; the same command goes on from there")]
    Stopped,
    /// An event that is not JSON: the database makes sure of it, so its disk is damaged.
    #[error("the event at position {position} is not JSON: {error}")]
    NotJson {
        /// Where it stands.
        position: Position,
        /// What the parser said.
        error: serde_json::Error,
    },
    /// Nothing of that name is parked.
    #[error("{key:?} is not parked in {name:?}; `souk projections parked` lists what is")]
    NotParked {
        /// Name of the subscription.
        name: String,
        /// The key.
        key: String,
    },
    /// No read model has a subscription of that name.
    #[error("{name:?} is not a read model whose keys can be tried again; there are: {known}")]
    UnknownView {
        /// The name given.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The events of a parked key could not be handled this time either; the key stays parked.
    #[error("still not possible, the key stays parked: {0}")]
    Retry(#[from] HandleError),
    /// Some of people's keys are not wrapped by the master key.
    #[error(
        "still wrapped by another master key: {0}. Run it again once no server wraps with that key, or name it in \
         SOUK_PREVIOUS_MASTER_KEYS"
    )]
    KeysLeft(String),
    /// What was exported cannot be read.
    #[error("the erasures cannot be read: {0}")]
    Erasures(String),
    /// Writing the output failed.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The runtime could not be started.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database)
                if database.code().as_deref() == Some(UNDEFINED_TABLE) =>
            {
                Self::NotMigrated
            }
            _ => Self::Database(error),
        }
    }
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    // ends here with code 2, or with 0 after help was asked for
    let cli = Cli::parse();
    match runtime().and_then(|runtime| runtime.block_on(run(cli.command))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // one line, whatever a database or library has put into its message
            let line: Vec<String> = failure
                .to_string()
                .lines()
                .map(|part| part.trim().to_owned())
                .collect();
            eprintln!("souk: {}", line.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(config) => serve::run(*config).await,
        Command::Migrate(database) => migrate::run(&database).await,
        Command::Seed(command) => {
            let Seed { config, what } = *command;
            seed::run(config, what).await
        }
        Command::Events(Events { database, what }) => {
            let log = open(&database).await?;
            let done = events::run(&log, what).await;
            log.close().await;
            done
        }
        Command::Mails(command) => {
            let MailsCommand {
                database,
                secrets,
                what,
            } = *command;
            let master_keys = secrets.master_keys()?;
            let log = open(&database).await?;
            let done = mails::run(&log, master_keys, what).await;
            log.close().await;
            done
        }
        Command::Projections(Projections { database, command }) => {
            let log = open(&database).await?;
            let done = projections::run(&log, command).await;
            log.close().await;
            done
        }
        Command::Keys(Keys {
            database,
            secrets,
            command,
        }) => {
            let masters = secrets.master_keys()?;
            let log = open(&database).await?;
            let done = keys::run(&log, masters, command).await;
            log.close().await;
            done
        }
        Command::Erasures(Erasures { database, command }) => {
            let log = open(&database).await?;
            let done = erasures::run(&log, command).await;
            log.close().await;
            done
        }
        Command::Openapi => openapi::run(),
    }
}

/// One connection, made at once: the pool would try for seconds and then not say what is wrong.
async fn reach(database: &DatabaseConfig) -> Result<(), Failure> {
    let connection = database
        .connect_options()?
        .connect()
        .await
        .map_err(Failure::Unreachable)?;
    sqlx::Connection::close(connection)
        .await
        .map_err(Failure::Unreachable)
}

/// Opens the log for a command that only looks, or does little.
async fn open(database: &DatabaseConfig) -> Result<EventLog, Failure> {
    reach(database).await?;
    let settings = LogSettings {
        pool_size: POOL_SIZE,
        cache_bytes: CACHE_BYTES,
        ..database.log_settings()?
    };
    Ok(EventLog::open(settings).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }

    #[test]
    fn a_table_that_is_not_there_means_that_the_database_is_not_migrated() {
        assert!(Failure::NotMigrated.to_string().contains("souk migrate"));
        assert!(matches!(
            Failure::from(sqlx::Error::PoolTimedOut),
            Failure::Database(_)
        ));
    }
}
