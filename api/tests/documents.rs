//! What README and docs say of the code, held against the code: tables, links, and the names of tests. Needs no servers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use api::{problem::Kind, seed};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is a folder of the workspace")
        .to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables in a text, cell by cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect()
}

/// README and everything in docs.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs");
    let mut paths: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    paths.push(root().join("README.md"));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths
}

#[test]
fn the_readme_lists_every_endpoint_and_no_other() {
    let document: Value = serde_json::to_value(api::openapi()).unwrap();
    let mut served = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            if ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                served.insert(format!("{method} {path}"));
            }
        }
    }
    let readme = read("README.md");
    let listed: Vec<String> = rows(&readme)
        .iter()
        .filter(|row| row.len() == 4 && row[1].starts_with("`/"))
        .map(|row| format!("{} {}", row[0], row[1].trim_matches('`')))
        .collect();
    let set: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(set.len(), listed.len(), "an endpoint is listed twice");
    assert_eq!(set, served);
}

#[test]
fn the_readme_names_the_demo_users() {
    let readme = read("README.md");
    assert!(readme.contains(&format!("The password is `{}`", seed::PASSWORD)));
    for (_, email, roles) in seed::USERS {
        let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let row = format!("| {email} | {} |", roles.join(" and "));
        assert!(readme.contains(&row), "{row}");
    }
    let (region, product) = seed::first_order();
    assert!(readme.contains(&format!("REGION={region}")));
    assert!(readme.contains(&format!("COFFEE={product}")));
}

#[test]
fn the_notes_on_the_api_explain_every_type_of_problem() {
    let notes = read("docs/API.md");
    let (_, table) = notes
        .split_once("| type | status | what it means |\n| --- | --- | --- |\n")
        .expect("the table of problems");
    let listed: Vec<&str> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    let row = |kind: &Kind| {
        let status = kind.status().as_u16();
        format!("| `{}` | {status} | {} |", kind.slug(), kind.explanation())
    };
    assert_eq!(listed, Kind::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_tables_of_moves_are_those_of_the_code() {
    let document = read("docs/ORDER_STATES.md");
    for file in ["order.rs", "payment.rs", "inventory.rs"] {
        let source = read(Path::new("domain/src").join(file));
        let table: Vec<&str> = source
            .lines()
            .filter_map(|line| line.strip_prefix("//! "))
            .filter(|line| line.starts_with('|'))
            .collect();
        assert!(table.len() > 5, "{file} has a table");
        assert!(document.contains(&table.join("\n")), "{file}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !section.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let known = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .map(anchor);
                assert!(
                    known.into_iter().any(|name| name == section),
                    "{}: {link}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn a_kind_of_products_is_named_in_its_own_file_alone() {
    // a new kind is a file beside the others and a line in their list: whatever names one elsewhere would have to be
    // changed with it. Tests may name kinds, and so may demo data.
    let kinds = root().join("domain/src/kinds");
    for path in sources() {
        let exempt = path.starts_with(&kinds)
            || path.ends_with("seed/market.rs")
            || path.ends_with("seed/scale/words.rs")
            || path.ends_with("tests.rs")
            || path.ends_with("testing.rs")
            || path.ends_with("plans.rs");
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for kind in domain::kinds::ALL {
            let named = code.contains(&format!("{:?}", kind.name));
            assert!(exempt || !named, "{} names {}", path.display(), kind.name);
        }
    }
}

/// The sources of all crates, tests in folders of their own apart.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = [
        "api",
        "commands",
        "domain",
        "eventstore",
        "identity",
        "projections",
    ]
    .map(|name| root().join(name).join("src"))
    .to_vec();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(path);
            }
        }
    }
    assert!(sources.len() > 100, "{}", sources.len());
    sources
}

/// The name that a heading is linked by.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches(['#', ' '])
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn the_tests_that_the_architecture_names_are_there() {
    let architecture = read("docs/ARCHITECTURE.md");
    let sources = test_sources();
    let mut named = 0;
    for (before, after) in architecture
        .match_indices("::")
        .map(|(at, _)| architecture.split_at(at))
    {
        let name: String = after[2..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        // types and methods have shorter names, or capitals
        if name.matches('_').count() < 3
            || !before.ends_with(|c: char| c.is_alphanumeric() || c == '…')
        {
            continue;
        }
        named += 1;
        assert!(sources.contains(&format!("fn {name}(")), "{name}");
    }
    assert!(named > 10, "{named}");
}

/// The text of all tests.
fn test_sources() -> String {
    let mut folders: Vec<PathBuf> = [
        "api",
        "commands",
        "eventstore",
        "identity",
        "projections",
        "tests",
    ]
    .map(|name| root().join(name).join("tests"))
    .to_vec();
    let units = sources();
    let units = units.iter().map(|path| fs::read_to_string(path).unwrap());
    let mut text: String = units.collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}
