//! What several servers share in Redis, where one is configured: how often somebody has tried ([`tries`]), and products
//! as they were read last ([`products`]).
//!
//! Nothing depends on it. Where Redis is away, does not answer within `SOUK_REDIS_TIMEOUT` or refuses, requests go on
//! without: limits count per process, products come from the read model. What is kept there is lost without harm, holds
//! no personal data, and expires by itself. An outage is one line in the log.
//!
//! Keys begin with the configured prefix and the identity of the database, so that several may share a Redis.

mod invalidation;
mod link;
pub mod products;
pub mod tries;

use std::sync::Arc;

use aws_lc_rs::hmac;
use redis::Client;
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) use self::invalidation::Invalidation;
use self::{link::Link, products::ProductCache, tries::SharedTries};
use crate::{
    config::{RedisConfig, Secret},
    idempotency::derived_key,
};

/// Tells a database from all others: by its log, and from a copy of that in the same cluster by what PostgreSQL calls it.
pub(crate) async fn database_identity(pool: &PgPool) -> Result<String, sqlx::Error> {
    let (log, database): (Uuid, i64) = sqlx::query_as(
        "select i.id, d.oid::bigint from log_identity i, pg_database d where d.datname = current_database()",
    )
    .fetch_one(pool)
    .await?;
    Ok(format!("{}-{database}", log.simple()))
}

/// What servers share. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    link: Link,
    prefix: Arc<str>,
    digests: hmac::Key,
}

impl Shared {
    /// Connects by and by, and again whenever the connection is lost. Keys name the database that they belong to, and hold
    /// digests under a key of this secret.
    pub fn start(client: Client, config: &RedisConfig, database: &str, secret: &Secret) -> Self {
        let prefix: Arc<str> = format!("{}:{database}", config.redis_prefix).into();
        Self {
            link: Link::start(client, &prefix, config.redis_timeout),
            prefix,
            digests: derived_key(secret, "tries that servers share"),
        }
    }

    /// Whether Redis answers.
    pub fn is_there(&self) -> bool {
        self.link.is_there()
    }

    /// How often somebody has tried, at all servers.
    pub fn tries(&self) -> SharedTries {
        SharedTries::new(self.link.clone(), &self.prefix, self.digests.clone())
    }

    /// Products as they were read last.
    pub fn products(&self) -> ProductCache {
        ProductCache::new(self.link.clone(), &self.prefix)
    }
}
