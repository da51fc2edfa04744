//! `souk erasures`: whose accounts were closed and whose data was erased, as JSON lines, to be kept apart from backups;
//! and doing that again in a database that was restored to a time before it.
//!
//! A line holds ids and times, nothing else. Applied again, nothing happens.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
};

use chrono::{DateTime, Utc};
use domain::ids::UserId;
use eventstore::{EventLog, sealing};
use identity::{Closure, closing};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::Failure;

/// People that one statement reads.
const PAGE: i64 = 1_000;

/// What to do about erasures.
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum ErasuresCommand {
    /// Print whose accounts were closed, and whose data was erased, as JSON lines
    Export,
    /// Close those accounts and erase that data again, in a database that was restored; before it serves
    Apply(ApplyArgs),
}

/// Names what was exported.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// A file that `souk erasures export` has printed; - for standard input
    file: PathBuf,
}

/// A person whose account was closed, or who was erased.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
struct Line {
    person_id: Uuid,
    /// None where the person had no account, or it is not known any more.
    closed_at: Option<DateTime<Utc>>,
    cancel_orders: bool,
    /// None as long as an open order needs the data.
    erased_at: Option<DateTime<Utc>>,
}

/// Runs the command.
pub(super) async fn run(log: &EventLog, command: ErasuresCommand) -> Result<(), Failure> {
    match command {
        ErasuresCommand::Export => export(log.pool(), BufWriter::new(io::stdout())).await,
        ErasuresCommand::Apply(ApplyArgs { file }) => {
            let lines = if file.as_os_str() == "-" {
                parse(io::stdin().lock())
            } else {
                let opened = std::fs::File::open(&file);
                let opened = opened.map_err(|error| Failure::Erasures(error.to_string()))?;
                parse(BufReader::new(opened))
            };
            let (closed, erased) = apply(log.pool(), &lines?).await?;
            writeln!(
                io::stdout(),
                "{closed} account(s) closed, {erased} person(s) erased"
            )
            .map_err(Failure::Output)
        }
    }
}

async fn export(pool: &PgPool, mut out: impl Write) -> Result<(), Failure> {
    let mut after = Uuid::nil();
    loop {
        let lines: Vec<Line> = sqlx::query_as(
            "select person_id, c.closed_at, coalesce(c.cancel_orders, false) as cancel_orders,
                    coalesce(c.erased_at, e.erased_at) as erased_at
             from account_closures c full join erased_people e using (person_id)
             where person_id > $1 order by person_id limit $2",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        let Some(last) = lines.last() else { break };
        after = last.person_id;
        for line in &lines {
            serde_json::to_writer(&mut out, line).map_err(|error| Failure::Output(error.into()))?;
            out.write_all(b"\n").map_err(Failure::Output)?;
        }
    }
    out.flush().map_err(Failure::Output)
}

/// All lines, or what is wrong with the first that is none: a damaged file is refused whole.
fn parse(input: impl BufRead) -> Result<Vec<Line>, Failure> {
    let mut people: HashMap<Uuid, usize> = HashMap::new();
    let mut lines = Vec::new();
    for (line, number) in input.lines().zip(1..) {
        let wrong = |what: String| Failure::Erasures(format!("line {number}: {what}"));
        let line = line.map_err(|error| wrong(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        if let Some(before) = people.insert(line.person_id, number) {
            return Err(wrong(format!("the same person as in line {before}")));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Returns how many accounts were closed and how many people erased.
async fn apply(pool: &PgPool, lines: &[Line]) -> Result<(usize, usize), Failure> {
    let (mut closed, mut erased) = (0, 0);
    for line in lines {
        if line.erased_at.is_some() {
            sealing::erase(pool, line.person_id).await?;
            erased += 1;
        }
        // of somebody who was erased nothing may be left, whether or not it is known when the account was closed
        if let Some(closed_at) = line.closed_at.or(line.erased_at) {
            let closure = Closure {
                user_id: UserId(line.person_id),
                closed_at,
                cancel_orders: line.cancel_orders,
                erased_at: line.erased_at,
            };
            closing::close_again(pool, &closure).await?;
            closed += 1;
        }
    }
    closing::renew_statistics(pool).await?;
    Ok((closed, erased))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FIRST: &str = r#"{"person_id":"00000000-0000-0000-0000-000000000001","closed_at":"2026-11-21T10:00:00Z","cancel_orders":true,"erased_at":null}"#;

    #[test]
    fn a_line_reads_back_as_it_was_printed() {
        let second = FIRST
            .replace("0001\"", "0002\"")
            .replace("null", "\"2026-11-21T10:01:00Z\"");
        let text = format!("{FIRST}\n\n{second}\n");
        let lines = parse(text.as_bytes()).unwrap();
        let printed: Vec<String> = lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect();
        assert_eq!(printed, [FIRST, &second]);
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        for (text, line) in [
            (format!("{FIRST}\nnonsense\n"), "line 2"),
            (format!("{FIRST}\n{FIRST}\n"), "line 2"),
            (FIRST[..40].to_owned(), "line 1"),
            (FIRST.replace("cancel_orders", "cancel"), "line 1"),
        ] {
            let refused = parse(text.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains(line), "{refused}");
        }
    }
}
