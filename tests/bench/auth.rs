//! What it costs to find out who makes a request and what they may do: by an access token of either algorithm, and by an
//! API key.

use std::{hint::black_box, time::Instant};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::text::Title;
use identity::{
    AccessTokens, HashingSettings, Identity, NewApiKey, PasswordHasher, Permission,
    SessionSettings, TokenKeys, TokenKind, TokenSettings,
};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{
    env::{Env, Outcome, median},
    report::{Bound, Figure, Row, number},
};

const TOKEN: &str = "auth-verify";
const ED25519: &str = "auth-verify-ed25519";
const API_KEY: &str = "auth-verify-key";

/// Requests of a pass.
const REQUESTS: usize = 200_000;
/// Tokens that are verified for the first time in a pass.
const NEW_TOKENS: usize = 500;
/// People of whom nothing is known yet.
const STRANGERS: usize = 300;

const EMAIL: &str = "mai@example.com";
const PASSWORD: &str = "a long password";

/// The rows that are wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if ![TOKEN, ED25519, API_KEY].iter().any(|row| env.wants(row)) {
        return Ok(Vec::new());
    }
    let database = env.fresh_database().await;
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_with(database.options())
        .await?;
    let rows = measure(env, &pool).await;
    pool.close().await;
    database.drop_database().await;
    rows
}

async fn measure(env: &Env, pool: &PgPool) -> Outcome<Vec<Row>> {
    let hs256 = identity(pool, secret()?)?;
    let ed25519 = identity(pool, TokenKeys::ed25519(&key_pair()?)?)?;
    let mai = hs256
        .register(
            "Mai".parse()?,
            EMAIL.parse()?,
            PASSWORD.parse()?,
            &[1; 32].into(),
        )
        .await?;
    let mut rows = Vec::new();
    if env.wants(TOKEN) {
        let token = log_in(&hs256).await?;
        let costs = Costs::of(env, &hs256, &token).await?;
        let stranger = strangers(env, &hs256, &identity(pool, secret()?)?).await?;
        let note = format!(
            "The token is verified each time; of the person is known what the last two seconds said. Where nothing is, they \
            are read from the database, which took {} µs in the median: at most every two seconds for each person.",
            number(stranger)
        );
        rows.push(row(
            TOKEN,
            "find out who sends a token signed with a secret",
            &costs,
            note,
        ));
    }
    if env.wants(ED25519) {
        let token = log_in(&ed25519).await?;
        let costs = Costs::of(env, &ed25519, &token).await?;
        let first = first_time(env, &ed25519).await?;
        let note = format!(
            "A token is verified when it comes for the first time, which took {} µs in the median, and remembered.",
            number(first)
        );
        rows.push(row(
            ED25519,
            "find out who sends a token signed with Ed25519",
            &costs,
            note,
        ));
    }
    if env.wants(API_KEY) {
        let new = NewApiKey {
            name: Title::parse("a benchmark")?,
            scopes: [Permission::PlaceOrder].into_iter().collect(),
            lifetime: None,
        };
        let (_, key) = hs256.api_keys().create(mai.id, &new).await?;
        let costs = Costs::of(env, &hs256, key.as_str()).await?;
        let note = "Its digest is made each time; of key and person is known what the last two seconds said.";
        rows.push(row(
            API_KEY,
            "find out who sends an API key",
            &costs,
            note.into(),
        ));
    }
    Ok(rows)
}

fn identity(pool: &PgPool, keys: TokenKeys) -> Outcome<Identity> {
    let hasher = PasswordHasher::new(&HashingSettings {
        cost: 4, // log-ins are not what is measured
        ..HashingSettings::default()
    })?;
    let tokens = AccessTokens::with_keys(keys, TokenSettings::default());
    let sessions = SessionSettings::default();
    Ok(Identity::new(pool.clone(), hasher, tokens, sessions))
}

fn secret() -> Outcome<TokenKeys> {
    let secret = b"a secret of benchmarks, 32 bytes and more";
    Ok(TokenKeys::hs256(secret, &[])?)
}

fn key_pair() -> Outcome<String> {
    let der = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
    let der = STANDARD.encode(der);
    Ok(format!(
        "-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"
    ))
}

async fn log_in(identity: &Identity) -> Outcome<String> {
    let logged_in = identity.log_in(EMAIL, PASSWORD, TokenKind::Api).await?;
    Ok(logged_in.access_token.as_str().to_owned())
}

/// Microseconds of a request.
struct Costs {
    median: f64,
    p99: f64,
}

impl Costs {
    /// Medians of several passes of one request after the other.
    async fn of(env: &Env, identity: &Identity, bearer: &str) -> Outcome<Self> {
        identity.authenticate(bearer).await?; // so that the person is known
        let (mut medians, mut p99s) = (Vec::new(), Vec::new());
        for _ in 0..env.passes() {
            let mut took = Vec::with_capacity(env.sized(REQUESTS, 1_000));
            for _ in 0..took.capacity() {
                took.push(microseconds_of(identity, bearer).await?);
            }
            took.sort_by(f64::total_cmp);
            medians.push(took[took.len() / 2]);
            p99s.push(took[took.len() * 99 / 100]);
        }
        Ok(Self {
            median: median(&mut medians),
            p99: median(&mut p99s),
        })
    }
}

/// Microseconds of a person whom this process has not heard of, in the median.
async fn strangers(env: &Env, makes: &Identity, asks: &Identity) -> Outcome<f64> {
    let mut took = Vec::new();
    for number in 0..env.sized(STRANGERS, 10) {
        let email = format!("stranger.{number}@example.com");
        makes
            .register(
                "A stranger".parse()?,
                email.parse()?,
                PASSWORD.parse()?,
                &[1; 32].into(),
            )
            .await?;
        let logged_in = makes.log_in(&email, PASSWORD, TokenKind::Api).await?;
        took.push(microseconds_of(asks, logged_in.access_token.as_str()).await?);
    }
    Ok(median(&mut took))
}

/// Microseconds of a token that was never seen, in the median.
async fn first_time(env: &Env, identity: &Identity) -> Outcome<f64> {
    let mut took = Vec::new();
    for _ in 0..env.sized(NEW_TOKENS, 10) {
        let token = log_in(identity).await?;
        took.push(microseconds_of(identity, &token).await?);
    }
    Ok(median(&mut took))
}

async fn microseconds_of(identity: &Identity, bearer: &str) -> Outcome<f64> {
    let begun = Instant::now();
    let principal = identity.authenticate(black_box(bearer)).await?;
    let may = black_box(principal.can(Permission::PlaceOrder));
    let took = begun.elapsed();
    if may {
        Ok(took.as_secs_f64() * 1e6)
    } else {
        Err("the customer may not order".into())
    }
}

fn row(name: &'static str, what: &'static str, costs: &Costs, note: String) -> Row {
    Row {
        name,
        what,
        measured: Figure::new(costs.p99, "µs"),
        baseline: None,
        bound: Bound::Within {
            floor: 20.0,
            aim: 10.0,
        },
        explanation: "The 99th percentile of 200,000 requests, one after the other on one thread, from the text behind \
            `Authorization: Bearer` to the answer whether its sender may place an order.",
        held_by: "parsing JSON and base64, and a digest.",
        notes: vec![
            format!("In the median it took {} µs.", number(costs.median)),
            note,
        ],
    }
}
