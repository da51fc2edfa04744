//! On what it was measured: machine, versions, settings; and the document that says so above the table.

use std::{fmt::Write, process::Command};

use sqlx::{Connection, PgConnection};

use crate::{
    env::{Env, Outcome},
    market,
    plain::POOL,
    report::{Row, explanations, table},
};

/// What a whole run writes.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/BENCHMARKS.md");

const INTRODUCTION: &str = "# Benchmarks

Written by `make bench`; do not edit. Where a figure stands next to a baseline, both were measured in this run, in passes
that take turns, and are the medians of their passes; times and sizes have a bound of their own instead, and are medians
too unless their row says otherwise. PostgreSQL and Kafka are real, and so are fsync and synchronous_commit. Servers,
load and what is measured share the machine.

A missed floor is a defect. An aim is where to stop for now.
";

const QUICK: &str =
    "**A quick run: it shows that the rows can be measured, its figures mean nothing.**\n";

const BASELINE: &str = "\"Plain\" is a program as the documentation of cqrs-es and postgres-es shows it
([`tests/bench/plain.rs`](../tests/bench/plain.rs)): the same order and inventory events on postgres-es's own table, order
placed and stock reserved one after the other, again on conflict.
";

/// See the module.
pub(crate) struct Machine {
    lines: Vec<(&'static str, String)>,
    quick: bool,
}

impl Machine {
    /// Looks around. Refuses where the database does not wait for its disk: such figures would mean nothing.
    pub(crate) async fn look(env: &Env) -> Outcome<Self> {
        let mut connection = PgConnection::connect(&env.database_url).await?;
        for durable in ["fsync", "synchronous_commit", "full_page_writes"] {
            if setting(&mut connection, durable).await? == "off" {
                return Err(format!("{durable} is off: nothing to be measured here").into());
            }
        }
        let mut postgres = Vec::new();
        for name in [
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "wal_sync_method",
            "shared_buffers",
            "max_wal_size",
            "checkpoint_timeout",
        ] {
            postgres.push(format!("{name} {}", setting(&mut connection, name).await?));
        }
        let cores = std::thread::available_parallelism()?;
        let lines = vec![
            (
                "date",
                chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
            ),
            (
                "source",
                output("git", &["describe", "--always", "--dirty"]),
            ),
            (
                "processor",
                format!("{}, {cores} cores", line_of("/proc/cpuinfo", "model name")),
            ),
            ("memory", line_of("/proc/meminfo", "MemTotal")),
            ("system", output("uname", &["-srm"])),
            ("rustc", output("rustc", &["--version"])),
            (
                "PostgreSQL",
                setting(&mut connection, "server_version").await?,
            ),
            (
                "Kafka",
                std::env::var("SOUK_BENCH_KAFKA_VERSION")
                    .unwrap_or_else(|_| "the one that the environment names".into()),
            ),
            ("PostgreSQL's settings", postgres.join(", ")),
            (
                "passes",
                format!(
                    "{} of {} s each, ours and the baseline in turn, unless a row says otherwise",
                    env.passes(),
                    env.pass().as_secs_f64()
                ),
            ),
            (
                "at the store",
                format!("plain: a pool of {POOL}; ours: one connection that appends, a pool of 8 beside it"),
            ),
            ("servers", market::described()),
            (
                "Kafka's settings",
                "one node, KRaft, as shipped but for a heap of 512 MB (scripts/kafka.sh), unless the environment names it"
                    .into(),
            ),
            (
                "batches",
                "ours: all that waits, up to 512 units of work in one append".into(),
            ),
        ];
        connection.close().await?;
        Ok(Self {
            lines,
            quick: env.quick,
        })
    }

    /// The whole document.
    pub(crate) fn document(&self, rows: &[Row]) -> String {
        let mut settings = String::new();
        for (name, value) in &self.lines {
            // writing into a string cannot fail
            let _ = writeln!(settings, "| {name} | {value} |");
        }
        let quick = if self.quick { QUICK } else { "" };
        format!(
            "{INTRODUCTION}{quick}\n{}\n## What the rows do\n\n{BASELINE}\n{}\n## Measured on\n\n| | |\n| --- | --- |\n{settings}",
            table(rows),
            explanations(rows),
        )
    }
}

async fn setting(connection: &mut PgConnection, name: &str) -> Outcome<String> {
    Ok(sqlx::query_scalar("select current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await?)
}

/// What a command prints; "unknown" where it cannot be run.
fn output(program: &str, arguments: &[&str]) -> String {
    let printed = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let text = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

/// The value of the first line of this name in one of Linux's descriptions of itself.
fn line_of(file: &str, name: &str) -> String {
    std::fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_once(':'))
        .map_or_else(|| "unknown".into(), |(_, value)| value.trim().to_owned())
}
