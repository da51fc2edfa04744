//! Searching by OpenSearch or Elasticsearch, where one is configured: the same questions, the same answers, taken off the
//! database.
//!
//! Nothing depends on it. A subscription of its own ([`Follower`]) keeps an index of what products are found by. A list
//! with a text asks the index for ids, page by page, and reads the rows from the read model, where filters and text are
//! compared once more: what is shown is as true as any list, and what was changed within the last seconds may not be
//! found yet ([`SearchEngine::products`]). Where the engine is away, or has not heard of what happened some seconds ago,
//! PostgreSQL searches, as it does for whoever names a position. An outage is one line in the log, and costs the requests
//! that meet it one `SOUK_SEARCH_TIMEOUT`.
//!
//! Only what OpenSearch 2 and Elasticsearch 7.10 and later have in common is used.

mod client;
mod document;
mod follower;
mod index;
mod pages;
mod query;
mod watch;

use std::{sync::Arc, time::Duration};

use eventstore::{EventLog, subscription::Subscriptions};
use reqwest::Url;
use tokio::task::AbortHandle;

use self::{client::Client, watch::Watched};
pub use self::{follower::Follower, watch::EngineState};
use crate::read_models::ReadModels;

/// Longest prefix of an index, in characters: a name may have 255 bytes.
const MAX_PREFIX: usize = 100;

/// Where the engine is and how it is asked.
#[derive(Clone)]
pub struct SearchSettings {
    base: Url,
    prefix: String,
    timeout: Duration,
}

/// Why there are no such settings. The address itself is not told, since it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSearchSettings {
    /// Not an address of one.
    #[error("must be like https://user:password@search.example.com:9200")]
    Address,
    /// No index may be called so.
    #[error(
        "must be 1 to {MAX_PREFIX} small letters, digits, - and _, the first of them a letter or a digit"
    )]
    Prefix,
    /// Nothing answers at once.
    #[error("must be longer than 0s")]
    Timeout,
}

impl SearchSettings {
    /// The engine at this address; the names of its indexes begin with `prefix`; a search may take `timeout`.
    pub fn new(
        address: &str,
        prefix: &str,
        timeout: Duration,
    ) -> Result<Self, InvalidSearchSettings> {
        let base = Url::parse(address).map_err(|_| InvalidSearchSettings::Address)?;
        let fits = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && base.query().is_none()
            && base.fragment().is_none();
        if !fits {
            return Err(InvalidSearchSettings::Address);
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = prefix.len() <= MAX_PREFIX
            && prefix.starts_with(plain)
            && prefix.chars().all(|c| plain(c) || matches!(c, '-' | '_'));
        if !fits {
            return Err(InvalidSearchSettings::Prefix);
        }
        if timeout.is_zero() {
            return Err(InvalidSearchSettings::Timeout);
        }
        Ok(Self {
            base,
            prefix: prefix.to_owned(),
            timeout,
        })
    }
}

/// The client could not be made, for want of the system's certificates.
#[derive(Debug, thiserror::Error)]
#[error("the client of the search engine: {0}")]
pub struct EngineNotStarted(reqwest::Error);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct SearchEngine {
    client: Arc<Client>,
    watched: Arc<Watched>,
    _watching: Arc<Task>,
}

/// A task that ends with whoever holds this.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SearchEngine {
    /// Asks nothing of it yet: it may be away.
    pub fn start(settings: &SearchSettings, log: EventLog) -> Result<Self, EngineNotStarted> {
        let client = Arc::new(Client::new(settings).map_err(EngineNotStarted)?);
        let watched = Arc::<Watched>::default();
        let watching = tokio::spawn(watch::watch(client.clone(), watched.clone(), log));
        Ok(Self {
            client,
            watched,
            _watching: Arc::new(Task(watching.abort_handle())),
        })
    }

    /// What may be expected of it.
    pub fn state(&self) -> EngineState {
        self.watched.state()
    }

    /// Keeps its index, once it is spawned among the subscriptions.
    pub fn follower(
        &self,
        log: EventLog,
        read_models: ReadModels,
        subscriptions: Subscriptions,
    ) -> Follower {
        Follower::new(self.client.clone(), log, read_models, subscriptions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_has_an_address_of_the_web_a_plain_prefix_and_time_to_answer() {
        let settings = |address: &str, prefix: &str, millis: u64| {
            SearchSettings::new(address, prefix, Duration::from_millis(millis)).map(|_| ())
        };
        for good in [
            "http://127.0.0.1:9200",
            "https://search.example.com",
            "https://user:p%40ss@search.example.com:9200/engine/",
        ] {
            assert_eq!(settings(good, "souk", 500), Ok(()), "{good}");
        }
        for bad in [
            "",
            "search:9200",
            "redis://127.0.0.1",
            "http://",
            "https://search.example.com/?pretty",
            "https://search.example.com/#x",
        ] {
            let refused = Err(InvalidSearchSettings::Address);
            assert_eq!(settings(bad, "souk", 500), refused, "{bad}");
        }
        let long = "x".repeat(MAX_PREFIX + 1);
        for bad in [
            "", "Souk", "_souk", "-souk", "so uk", "so/uk", "söuk", "*", &long,
        ] {
            let refused = Err(InvalidSearchSettings::Prefix);
            assert_eq!(settings("http://search", bad, 500), refused, "{bad}");
        }
        assert_eq!(settings("http://search", "2-souk_x", 1), Ok(()));
        let refused = Err(InvalidSearchSettings::Timeout);
        assert_eq!(settings("http://search", "souk", 0), refused);
    }
}
