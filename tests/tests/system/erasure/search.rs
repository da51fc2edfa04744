//! Looking for somebody everywhere: what must not be found any more, and where it might be.

use std::{collections::BTreeSet, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use sqlx::PgPool;

pub(crate) const NAME: &str = "Quirinius Zyxwvutsch";
pub(crate) const EMAIL: &str = "quirinius.zyxwvutsch@nirgends.example";
/// Where mail goes, once he has changed his profile.
pub(super) const CONTACT_EMAIL: &str = "quirin@nirgends.example";
pub(super) const PHONE: &str = "+847771234509";
pub(super) const ADDRESS: &str = "Geheimweg 4711, 99998 Nirgendheim";
/// Of one order that goes to somebody else.
pub(super) const OTHER_NAME: &str = "Melchior Abcdefghij";
pub(super) const OTHER_ADDRESS: &str = "Packweg 815, 77777 Anderswo";

/// Parts of the above that nothing else contains.
const NEEDLES: [&str; 10] = [
    "Quirinius",
    "Zyxwvutsch",
    "nirgends.example",
    "847771234509",
    "Geheimweg",
    "Nirgendheim",
    "Melchior",
    "Abcdefghij",
    "Packweg 815",
    "Anderswo",
];

/// What every form of a needle that may hide it looks like: bare and as hexadecimal digits in small letters, and as the
/// middle of base64, wherever in it the needle begins.
pub(crate) struct Needles {
    small: Vec<String>,
    exact: Vec<String>,
}

impl Needles {
    pub(crate) fn new() -> Self {
        let (mut small, mut exact) = (Vec::new(), Vec::new());
        for needle in NEEDLES {
            let hex: String = needle
                .bytes()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            small.extend([needle.to_lowercase(), hex]);
            // as it is typed, and as user names are kept
            for bytes in [
                needle.as_bytes().to_vec(),
                needle.to_lowercase().into_bytes(),
            ] {
                for (before, tainted) in [(0, 0), (1, 2), (2, 3)] {
                    let shifted = [vec![0; before], bytes.clone()].concat();
                    let text = STANDARD.encode(&shifted);
                    // what depends on the needle alone: all whole characters within it
                    let whole = shifted.len() * 8 / 6;
                    exact.push(text[tainted..whole].to_owned());
                }
            }
        }
        Self { small, exact }
    }

    /// The first one that stands in the text.
    pub(crate) fn found_in(&self, text: &str) -> Option<&str> {
        let lower = text.to_lowercase();
        let small = self.small.iter().find(|needle| lower.contains(*needle));
        let found = small.or_else(|| self.exact.iter().find(|needle| text.contains(*needle)));
        found.map(String::as_str)
    }
}

/// Where the catalogue shows values of columns: what `analyze` has copied from them.
const STATISTICS: [&str; 3] = ["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"];

/// The tables, of whatever schema, and the statistics in which any form of a needle stands.
pub(crate) async fn tables_that_tell(pool: &PgPool) -> BTreeSet<String> {
    let mut tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', table_schema, table_name) from information_schema.tables
         where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(tables.len() > 25, "{tables:?}");
    tables.extend(STATISTICS.map(str::to_owned));
    let needles = Needles::new();
    let mut telling = BTreeSet::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(&format!("select t::text from {table} t"))
            .fetch_all(pool)
            .await
            .unwrap();
        if rows.iter().any(|row| needles.found_in(row).is_some()) {
            telling.insert(table);
        }
    }
    telling
}

/// The files of a folder in which any form of a needle stands.
pub(super) fn files_that_tell(folder: &Path) -> Vec<String> {
    let needles = Needles::new();
    let mut telling = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            telling.extend(files_that_tell(&path));
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        if let Some(needle) = needles.found_in(&text) {
            telling.push(format!("{needle} stands in {}", path.display()));
        }
    }
    telling
}

/// Has PostgreSQL gather its statistics, as it does by itself from time to time.
pub(super) async fn analyze(pool: &PgPool) {
    sqlx::query("analyze").execute(pool).await.unwrap();
    let gathered: i64 = sqlx::query_scalar(
        "select count(*) from pg_stats where tablename in ('users', 'credentials', 'events', 'orders')",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert!(gathered > 20, "{gathered}");
}

/// The tables that hold what people are called, what they call their keys, and what they have asked for by naming their
/// address; and the statistics by which people are found in a list.
pub(super) fn meant_to_tell() -> BTreeSet<String> {
    let tables = ["users", "credentials", "api_keys", "code_requests"];
    let mut meant: BTreeSet<String> = tables.map(|table| format!("public.{table}")).into();
    meant.insert("pg_stats".into());
    meant
}
