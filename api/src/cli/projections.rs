//! `souk projections`: for operators. How far each subscription is, which keys a poison event parked, and what to do
//! about them: handle their events again, or give them up.

use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use eventstore::{
    EventLog,
    subscription::{self, Checkpoint, ParkedKey},
};
use projections::{View, views};

use super::{Failure, table};

/// What to do about subscriptions.
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum ProjectionsCommand {
    /// Show every subscription: how far it is, how far behind, who leads it, how many of its keys are parked
    Status,
    /// Show the parked keys, oldest first
    Parked,
    /// Handle the waiting events of a parked key again, in order; all of them or none
    Retry(ParkedArgs),
    /// Give up the waiting events of a parked key: they are never handled, and the key goes on with its next event
    Discard(ParkedArgs),
}

/// Names a parked key.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ParkedArgs {
    /// The subscription, as `souk projections parked` shows it
    name: String,
    /// The key, as `souk projections parked` shows it
    key: String,
}

/// Runs one of the commands and prints what came of it.
pub(super) async fn run(log: &EventLog, command: ProjectionsCommand) -> Result<(), Failure> {
    let text = match command {
        ProjectionsCommand::Status => status(log).await?,
        ProjectionsCommand::Parked => parked(log).await?,
        ProjectionsCommand::Retry(ParkedArgs { name, key }) => retry(log, &name, &key).await?,
        ProjectionsCommand::Discard(ParkedArgs { name, key }) => discard(log, &name, &key).await?,
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::Output)
}

async fn status(log: &EventLog) -> Result<String, Failure> {
    let checkpoints = subscription::checkpoints(log.pool()).await?;
    let parked = subscription::parked_keys(log.pool()).await?;
    // read last, so that no subscription is ahead of it
    let head = log.head().await?.position.0;
    let row = |checkpoint: &Checkpoint| {
        let parked = parked
            .iter()
            .filter(|key| key.subscription == checkpoint.name)
            .count();
        vec![
            checkpoint.name.clone(),
            checkpoint.position.to_string(),
            head.saturating_sub(checkpoint.position).max(0).to_string(),
            leader(checkpoint),
            parked.to_string(),
            time(checkpoint.updated_at),
        ]
    };
    let rows: Vec<Vec<String>> = checkpoints.iter().map(row).collect();
    let table = table::render(
        &["NAME", "POSITION", "LAG", "LEADER", "PARKED", "UPDATED"],
        &rows,
    );
    Ok(format!("{table}\nhead of the log: {head}\n"))
}

/// The process that leads, by the first digits of the number it gave itself at its start and logs there.
fn leader(checkpoint: &Checkpoint) -> String {
    match checkpoint.holder {
        Some(holder) if checkpoint.led => holder.simple().to_string().chars().take(8).collect(),
        _ => "nobody".into(),
    }
}

async fn parked(log: &EventLog) -> Result<String, Failure> {
    let keys = subscription::parked_keys(log.pool()).await?;
    if keys.is_empty() {
        return Ok("no keys are parked\n".into());
    }
    let row = |key: &ParkedKey| {
        vec![
            key.subscription.clone(),
            key.key.clone(),
            key.position.to_string(),
            key.events.to_string(),
            time(key.parked_at),
            key.error.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    Ok(table::render(
        &["NAME", "KEY", "POSITION", "EVENTS", "SINCE", "ERROR"],
        &rows,
    ))
}

async fn discard(log: &EventLog, name: &str, key: &str) -> Result<String, Failure> {
    // a read model may be named without its version; what is no read model may have left keys all the same
    let schema = name.parse().map(View::schema);
    let subscription = schema.as_ref().map_or(name, |schema| schema.as_str());
    match subscription::discard(log.pool(), subscription, key).await? {
        0 => Err(not_parked(name, key)),
        events => Ok(format!("gave up {events} event(s) of {key} in {name}\n")),
    }
}

fn not_parked(name: &str, key: &str) -> Failure {
    Failure::NotParked {
        name: name.to_owned(),
        key: key.to_owned(),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn retry(log: &EventLog, name: &str, key: &str) -> Result<String, Failure> {
    let view: View = name.parse().map_err(|_| Failure::UnknownView {
        name: name.to_owned(),
        known: known(),
    })?;
    match views::retry(log, view, key).await? {
        0 => Err(not_parked(name, key)),
        events => Ok(format!("handled {events} event(s) of {key} in {name}\n")),
    }
}

fn known() -> String {
    View::ALL.map(|view| view.schema().to_string()).join(", ")
}
