//! Redis, which several servers may share: where it is and how its keys begin. Used by `shared`.

use std::time::Duration;

use clap::Args;
use redis::Client;

use super::{ConfigError, Secret};

/// What several servers share.
#[derive(Args, Clone, Debug)]
pub struct RedisConfig {
    /// The Redis that servers share limits and reads of products in, as redis://:password@host:6379 or rediss://… for
    /// TLS; one server needs none
    #[arg(
        long,
        env = "SOUK_REDIS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub redis_url: Option<Secret>,

    /// First part of its keys; what comes next tells databases apart
    #[arg(
        long,
        env = "SOUK_REDIS_PREFIX",
        default_value = "souk",
        value_name = "PREFIX"
    )]
    pub redis_prefix: String,

    /// How long a request waits for Redis before it goes on without
    #[arg(long, env = "SOUK_REDIS_TIMEOUT", default_value = "50ms", value_name = "DURATION", value_parser = above_zero)]
    pub redis_timeout: Duration,
}

/// A time in which something can be answered.
fn above_zero(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("must be more than nothing".to_owned());
    }
    Ok(duration)
}

impl RedisConfig {
    /// How to connect, where there is a Redis.
    pub fn client(&self) -> Result<Option<Client>, ConfigError> {
        let url = self.redis_url.as_ref().map(|url| url.expose().trim());
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        // what stands behind a # turns the check of certificates off, which is not built in
        if url.contains('#') {
            return Err(ConfigError::RedisUrl);
        }
        let client = Client::open(url).map_err(|_| ConfigError::RedisUrl)?;
        Ok(Some(client))
    }
}
