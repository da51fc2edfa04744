//! OpenSearch or Elasticsearch, which may search products: where it is and what its index is called. Used by
//! `projections::products::engine`.

use std::time::Duration;

use clap::Args;
use projections::products::engine::{InvalidSearchSettings, SearchSettings};

use super::{ConfigError, Secret};

/// What searches products.
#[derive(Args, Clone, Debug)]
pub struct SearchConfig {
    /// The OpenSearch or Elasticsearch that searches products, as https://user:password@host:9200; without one PostgreSQL
    /// does
    #[arg(
        long,
        env = "SOUK_SEARCH_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub search_url: Option<Secret>,

    /// First part of the name of its index: another one for each database
    #[arg(
        long,
        env = "SOUK_SEARCH_PREFIX",
        default_value = "souk",
        value_name = "PREFIX"
    )]
    pub search_prefix: String,

    /// How long a request waits for it before PostgreSQL searches
    #[arg(long, env = "SOUK_SEARCH_TIMEOUT", default_value = "500ms", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub search_timeout: Duration,
}

impl SearchConfig {
    /// How to ask it, where there is one.
    pub fn settings(&self) -> Result<Option<SearchSettings>, ConfigError> {
        let url = self.search_url.as_ref().map(|url| url.expose().trim());
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let settings = SearchSettings::new(url, &self.search_prefix, self.search_timeout);
        let refused = |reason: InvalidSearchSettings| ConfigError::Search {
            variable: match reason {
                InvalidSearchSettings::Address => "SOUK_SEARCH_URL",
                InvalidSearchSettings::Prefix => "SOUK_SEARCH_PREFIX",
                InvalidSearchSettings::Timeout => "SOUK_SEARCH_TIMEOUT",
            },
            reason,
        };
        settings.map(Some).map_err(refused)
    }
}
