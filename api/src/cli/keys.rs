//! `souk keys`: exchanging the master key that wraps people's keys, while servers run.

use std::io::{self, Write};

use eventstore::{
    EventLog,
    sealing::{MasterKeys, Vault},
};

use super::Failure;

/// What to do about people's keys.
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum KeysCommand {
    /// Wrap people's keys by SOUK_MASTER_KEY that one of SOUK_PREVIOUS_MASTER_KEYS has wrapped; events stay as they are
    Rewrap,
}

/// Runs the command and prints what came of it.
pub(super) async fn run(
    log: &EventLog,
    masters: MasterKeys,
    command: KeysCommand,
) -> Result<(), Failure> {
    match command {
        KeysCommand::Rewrap => rewrap(log, masters).await,
    }
}

async fn rewrap(log: &EventLog, masters: MasterKeys) -> Result<(), Failure> {
    let vault = Vault::new(log.pool().clone(), masters);
    let rewrapped = vault.rewrap().await?;
    writeln!(io::stdout(), "{} key(s) wrapped anew", rewrapped.keys).map_err(Failure::Output)?;
    if rewrapped.left.is_empty() {
        return Ok(());
    }
    let left: Vec<String> = rewrapped
        .left
        .iter()
        .map(|(id, keys)| format!("{keys} by {id}"))
        .collect();
    Err(Failure::KeysLeft(left.join(", ")))
}
