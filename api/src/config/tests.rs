#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Args, Command, FromArgMatches, error::ErrorKind};

use super::*;

fn command() -> Command {
    Config::augment_args(Command::new("souk"))
}

/// The settings from these flags alone, whatever the environment of the test run.
fn config(flags: &[&str]) -> Result<Config, clap::Error> {
    let command = command().mut_args(|arg| arg.env(None::<&str>));
    let flags = ["souk", "--database-url", "postgres://souk@localhost/souk"]
        .iter()
        .chain(flags);
    Config::from_arg_matches(&command.try_get_matches_from(flags)?)
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let config = config(&[]).unwrap();
    assert_eq!(config.http.listen_addr(), "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.payment.payment_delay, Duration::from_mins(1));
    assert_eq!(config.payment.payment_window, Duration::ZERO);
    assert_eq!(config.http.max_body.bytes(), 1024 * 1024);
    assert_eq!(config.identity.token_ttl, Duration::from_mins(15));
    assert_eq!(config.identity.simple_token_ttl, Duration::from_hours(24));
    let sessions = config.identity.session_settings();
    assert_eq!(sessions.lifetime, Duration::from_hours(24 * 30));
    assert_eq!(sessions.grace, Duration::from_secs(10));
    assert_eq!(config.database.expiry_interval, Duration::from_mins(30));
    assert!(
        Part::value_variants()
            .iter()
            .all(|part| config.parts.runs(*part))
    );
    assert!(!config.demo() && !config.test_payment_methods());
    assert_eq!(config.kafka.brokers(), None);
    assert!(config.redis.client().unwrap().is_none());
    assert_eq!(config.redis.redis_timeout, Duration::from_millis(50));
    assert!(config.search.settings().unwrap().is_none());
    assert_eq!(config.search.search_timeout, Duration::from_millis(500));
    assert!(config.selling.sellers && !config.selling.shop_approval);
}

#[test]
fn a_port_alone_means_all_addresses_and_an_address_wins() {
    let listen = |flags: &[&str]| config(flags).unwrap().http.listen_addr().to_string();
    assert_eq!(listen(&["--port", "9000"]), "0.0.0.0:9000");
    assert_eq!(
        listen(&["--port", "9000", "--addr", "127.0.0.1:1"]),
        "127.0.0.1:1"
    );
}

#[test]
fn demo_mode_turns_test_payment_methods_on_unless_told_otherwise() {
    assert!(config(&["--demo"]).unwrap().test_payment_methods());
    assert!(config(&["--demo", "true"]).unwrap().demo());
    assert!(
        !config(&["--demo", "--test-payment-methods", "false"])
            .unwrap()
            .test_payment_methods()
    );
    assert!(
        config(&["--test-payment-methods"])
            .unwrap()
            .test_payment_methods()
    );
}

#[test]
fn parts_are_a_list() {
    let parts = config(&["--roles", "api,saga"]).unwrap().parts;
    assert!(parts.runs(Part::Api) && parts.runs(Part::Saga));
    assert!(!parts.runs(Part::Publisher) && !parts.runs(Part::Projectors));
    assert_eq!(
        config(&["--roles", "api,cook"]).unwrap_err().kind(),
        ErrorKind::InvalidValue
    );
}

#[test]
fn sizes_and_durations_have_units() {
    let config = config(&[
        "--cache",
        "2GiB",
        "--payment-delay",
        "0s",
        "--max-body",
        "64",
    ])
    .unwrap();
    assert_eq!(config.database.cache.bytes(), 2 << 30);
    assert_eq!(config.payment.payment_delay, Duration::ZERO);
    assert_eq!(config.http.max_body.bytes(), 64);
    for bad in ["", "MiB", "-1", "1.5MiB", "1MB", "99999999999GiB"] {
        assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
    }
}

#[test]
fn outside_demo_mode_a_server_without_secrets_does_not_start() {
    let refusal = config(&[]).unwrap().secrets.secrets().err().unwrap();
    assert!(
        matches!(
            refusal,
            ConfigError::MissingSecret {
                variable: "SOUK_JWT_SECRET",
                ..
            }
        ),
        "{refusal}"
    );
    let secret = "s".repeat(32);
    let refusal = config(&["--jwt-secret", &secret])
        .unwrap()
        .secrets
        .secrets()
        .err()
        .unwrap();
    assert!(
        matches!(
            refusal,
            ConfigError::MissingSecret {
                variable: "SOUK_MASTER_KEY",
                ..
            }
        ),
        "{refusal}"
    );
    let refusal = config(&["--jwt-secret", "short"])
        .unwrap()
        .secrets
        .secrets()
        .err()
        .unwrap();
    assert!(
        matches!(
            refusal,
            ConfigError::UnfitSecret {
                variable: "SOUK_JWT_SECRET",
                ..
            }
        ),
        "{refusal}"
    );
    let refusal = config(&["--jwt-secret", &secret, "--master-key", "c2hvcnQ="])
        .unwrap()
        .secrets
        .secrets();
    assert!(matches!(
        refusal.err().unwrap(),
        ConfigError::UnfitSecret {
            variable: "SOUK_MASTER_KEY",
            ..
        }
    ));
}

#[test]
fn outside_demo_mode_nothing_of_a_person_may_come_after_their_erasure() {
    let refusal = |flags: &[&str]| config(flags).unwrap().assure_erasures_come_last().err();
    assert!(refusal(&[]).is_none(), "the defaults fit each other");
    for short in [
        &["--erasure-grace", "31s"][..],
        &["--erasure-grace", "0s"],
        &["--request-timeout", "39s"],
    ] {
        let told = refusal(short).expect("it is too short").to_string();
        assert!(told.contains("SOUK_ERASURE_GRACE"), "{told}");
        assert!(refusal(&[short, &["--demo"]].concat()).is_none());
    }
    assert!(refusal(&["--erasure-grace", "32s"]).is_none());
    let never = [
        "--erasure-grace",
        "1000years",
        "--request-timeout",
        "500years",
    ];
    assert!(refusal(&never).is_none());
}

#[test]
fn demo_mode_makes_its_secrets_once() {
    let folder = std::env::temp_dir().join(format!("souk-secrets-{}", uuid::Uuid::new_v4()));
    let flags = ["--demo", "--state-dir", folder.to_str().unwrap()];
    let first = config(&flags).unwrap().secrets.secrets().unwrap();
    let second = config(&flags).unwrap().secrets.secrets().unwrap();
    assert_eq!(first.token_keys.id(), second.token_keys.id());
    assert_eq!(first.derivation_secret, second.derivation_secret);
    let made = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_ne!(made("jwt.secret"), made("master.key"));
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        2,
        "no drafts are left"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn earlier_master_keys_are_a_list_of_keys() {
    let key = |byte: u8| STANDARD.encode([byte; 32]);
    let keys = |previous: &str| {
        let flags = ["--master-key", &key(1), "--previous-master-keys", previous];
        config(&flags).unwrap().secrets.master_keys()
    };
    for good in [String::new(), key(2), format!("{}, {},", key(2), key(3))] {
        assert!(keys(&good).is_ok(), "{good}");
    }
    let refusal = keys(&format!("{},short", key(2))).unwrap_err();
    assert!(
        matches!(
            refusal,
            ConfigError::UnfitSecret {
                variable: "SOUK_PREVIOUS_MASTER_KEYS",
                ..
            }
        ),
        "{refusal}"
    );
    assert!(!refusal.to_string().contains("short"), "{refusal}");
}

#[test]
fn nothing_secret_is_printed() {
    let shown = format!("{:?}", config(&["--jwt-secret", "hush-hush"]).unwrap());
    assert!(
        !shown.contains("hush-hush") && !shown.contains("postgres://"),
        "{shown}"
    );
}

#[test]
fn a_bad_database_address_is_refused_without_telling_it() {
    let database = config(&[]).unwrap().database;
    assert!(database.connect_options().is_ok());
    for bad in ["", "mysql://souk:hush@localhost/souk", "postgres://["] {
        let database = DatabaseConfig {
            database_url: bad.parse().unwrap(),
            ..database.clone()
        };
        let refusal = database.connect_options().unwrap_err().to_string();
        assert!(!refusal.contains("hush"), "{refusal}");
    }
}

/// `.env.example` names every variable with its default, and none besides.
#[test]
fn the_example_of_the_environment_is_complete() {
    let example = include_str!("../../../.env.example");
    let listed: BTreeMap<&str, &str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    let mut expected = BTreeMap::new();
    for arg in command().get_arguments() {
        let name = arg.get_env().unwrap().to_str().unwrap().to_owned();
        let default = arg
            .get_default_values()
            .first()
            .map(|value| value.to_str().unwrap());
        expected.insert(name, default.map(ToOwned::to_owned));
    }
    let names = |map: Vec<&str>| map.join("\n");
    assert_eq!(
        names(listed.keys().copied().collect()),
        names(expected.keys().map(String::as_str).collect())
    );
    for (name, default) in expected {
        if let Some(default) = default {
            assert_eq!(listed[name.as_str()], default, "{name}");
        }
    }
}

/// The table at the head of this module, too.
#[test]
fn the_table_of_variables_is_complete() {
    let source = include_str!("../config.rs");
    for arg in command().get_arguments() {
        let name = arg.get_env().unwrap().to_str().unwrap();
        assert!(source.contains(&format!("//! | `{name}` |")), "{name}");
    }
}

#[test]
fn how_the_search_engine_is_asked_is_looked_at_and_its_address_not_told() {
    let settings = |arguments: &[&str]| config(arguments).unwrap().search.settings();
    let good = "https://user:a-password@search.example.com:9200";
    assert!(settings(&["--search-url", good]).unwrap().is_some());
    assert!(settings(&["--search-url", "  "]).unwrap().is_none());
    for (arguments, variable) in [
        (
            [
                "--search-url",
                "redis://:a-password@127.0.0.1",
                "--search-prefix",
                "souk",
            ],
            "SOUK_SEARCH_URL",
        ),
        (
            ["--search-url", good, "--search-prefix", "So/uk"],
            "SOUK_SEARCH_PREFIX",
        ),
        (
            ["--search-url", good, "--search-timeout", "0s"],
            "SOUK_SEARCH_TIMEOUT",
        ),
    ] {
        let Err(refusal) = settings(&arguments) else {
            panic!("{variable} was taken");
        };
        let said = refusal.to_string();
        assert!(said.starts_with(variable), "{said}");
        assert!(!said.contains("a-password"), "{said}");
    }
    let shown = format!("{:?}", config(&["--search-url", good]).unwrap().search);
    assert!(!shown.contains("a-password"), "{shown}");
}

#[test]
fn a_redis_is_given_some_time_to_answer() {
    let timeout = |text: &str| config(&["--redis-timeout", text]);
    let some = timeout("5ms").unwrap().redis.redis_timeout;
    assert_eq!(some, Duration::from_millis(5));
    for none in ["0s", "0ms", "-1s", "soon", ""] {
        assert!(timeout(none).is_err(), "{none}");
    }
}

#[test]
fn the_address_of_a_redis_is_looked_at_and_not_told() {
    let client = |url: &str| config(&["--redis-url", url]).unwrap().redis.client();
    for good in [
        "redis://127.0.0.1",
        "redis://:password@cache.example.com:6380/2",
        "rediss://user:password@cache.example.com",
    ] {
        assert!(client(good).unwrap().is_some(), "{good}");
    }
    assert!(client(" ").unwrap().is_none(), "empty is not set");
    for bad in [
        "cache.example.com",
        "http://:password@cache.example.com",
        "redis://:password@cache.example.com/x",
        "rediss://:password@cache.example.com/#insecure",
    ] {
        let refusal = client(bad).err().unwrap();
        assert!(matches!(refusal, ConfigError::RedisUrl), "{bad}");
        assert!(
            !refusal.to_string().contains(":password@cache"),
            "{refusal}"
        );
    }
}
