//! Users and sign-in are two modules that could be served apart: what the sources of this crate say is read for that.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Tables of what people are.
const OF_USERS: &[&str] = &["users"];
/// Tables of how they sign in.
const OF_SIGN_IN: &[&str] = &[
    "credentials",
    "refresh_tokens",
    "spent_refresh_tokens",
    "one_time_codes",
    "code_requests",
    "mails",
    "api_keys",
    "known_addresses",
];
/// Tables of neither: what is left of closed accounts, and when jobs began.
const OF_NEITHER: &[&str] = &["account_closures", "scheduled_jobs"];
/// Words of how people sign in that no source about users has.
const SIGN_IN: &[&str] = &[
    "credential",
    "password",
    "bcrypt",
    "hasher",
    "session",
    "token",
    "codes",
];

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of this crate below `folder`, without its comments; tests are none of it.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            let code: Vec<&str> = text.lines().filter(is_code).collect();
            found.push((path, code.join("\n")));
        }
    }
    found
}

fn is_about_users(path: &Path) -> bool {
    let below = path.strip_prefix(crate_folder().join("src")).unwrap();
    below == Path::new("users.rs") || below.starts_with("users")
}

/// What stands between quotation marks.
fn texts(code: &str) -> Vec<String> {
    let code = code.replace("'\"'", "").replace("\\\"", "");
    let parts = code.split('"').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// The tables that a statement names: what follows these words.
fn tables(statement: &str) -> BTreeSet<String> {
    let words: Vec<&str> = statement
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let before = ["from", "join", "into", "update", "table", "truncate"];
    words
        .windows(2)
        .filter(|pair| before.contains(&pair[0]))
        .map(|pair| pair[1].to_owned())
        .collect()
}

fn names_any(tables: &BTreeSet<String>, of: &[&str]) -> bool {
    of.iter().any(|table| tables.contains(*table))
}

#[test]
fn no_statement_reads_or_writes_tables_of_both_modules() {
    let mut statements = 0;
    for (path, code) in sources(&crate_folder().join("src")) {
        for text in texts(&code) {
            let tables = tables(&text);
            let (users, sign_in) = (
                names_any(&tables, OF_USERS),
                names_any(&tables, OF_SIGN_IN) || names_any(&tables, OF_NEITHER),
            );
            let path = path.display();
            assert!(!(users && sign_in), "{path}: {text}");
            statements += usize::from(users || sign_in);
        }
    }
    assert!(statements > 40, "{statements} were found");
}

#[test]
fn each_module_names_tables_of_its_own_alone() {
    for (path, code) in sources(&crate_folder().join("src")) {
        let about_users = is_about_users(&path);
        for text in texts(&code) {
            let tables = tables(&text);
            let foreign = if about_users { OF_SIGN_IN } else { OF_USERS };
            assert!(!names_any(&tables, foreign), "{}: {text}", path.display());
        }
    }
}

#[test]
fn what_is_about_users_knows_nothing_of_how_they_sign_in() {
    let mut files = 0;
    for (path, code) in sources(&crate_folder().join("src")) {
        if !is_about_users(&path) {
            continue;
        }
        files += 1;
        let code = code.to_lowercase();
        for word in SIGN_IN {
            assert!(!code.contains(word), "{}: {word}", path.display());
        }
    }
    assert!(files >= 3, "{files} were found");
}

#[test]
fn every_table_of_people_is_of_one_module_and_listed() {
    let listed: BTreeSet<&str> = [OF_USERS, OF_SIGN_IN, OF_NEITHER]
        .concat()
        .into_iter()
        .collect();
    let header = fs::read_to_string(crate_folder().join("src/lib.rs")).unwrap();
    for table in [OF_USERS, OF_SIGN_IN].concat() {
        assert!(header.contains(&format!("`{table}`")), "{table}");
    }
    let mut created = BTreeSet::new();
    for entry in fs::read_dir(crate_folder().join("../migrations")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // the log, views and the saga are others'
        if ["0001", "0003", "0004", "0005", "0018"]
            .iter()
            .any(|other| name.starts_with(other))
        {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let Some(table) = line.strip_prefix("create table ") else {
                continue;
            };
            created.insert(table.split([' ', '(']).next().unwrap().to_owned());
        }
    }
    let created: BTreeSet<&str> = created.iter().map(String::as_str).collect();
    assert_eq!(created, listed);
}
