//! Limits that hold for all servers together: the leaky bucket of [`crate::limits`] as one script in Redis, which is
//! atomic there, by the clock of Redis, so that those of the servers may differ.
//!
//! Who tries is kept as a keyed digest: neither addresses nor accounts can be read from Redis. A bucket expires when it is
//! full again.

use std::{sync::LazyLock, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use redis::Script;

use super::link::Link;
use crate::config::Limit;

/// What is kept is the moment, in microseconds, at which the bucket is full again. One that is further away than any try
/// can have moved it was set by another clock, and is taken for the furthest.
static SPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local room = each * burst
local full = tonumber(redis.call('GET', KEYS[1]) or now)
full = math.min(math.max(full, now), now + room)
local wait = full + each - room - now
if wait > 0 then return {0, wait} end
full = full + each
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return {1, math.floor((room - (full - now)) / each)}
",
    )
});

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was counted; so many more at once are left.
    Allowed {
        /// How many.
        remaining: u32,
    },
    /// It was one too many, and not counted.
    Refused {
        /// Until the next is given.
        wait: Duration,
    },
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct SharedTries {
    link: Link,
    prefix: String,
    digests: hmac::Key,
}

impl SharedTries {
    pub(super) fn new(link: Link, prefix: &str, digests: hmac::Key) -> Self {
        Self {
            link,
            prefix: format!("{prefix}:tries"),
            digests,
        }
    }

    /// Counts one try. None where Redis is away: nobody knows then whether it was counted there.
    pub async fn spend(&self, policy: &str, who: &str, limit: Limit) -> Option<Verdict> {
        let each = limit.within.as_micros() / u128::from(limit.burst.get());
        let mut script = SPEND.key(self.key(policy, who));
        // no more than a year, which fits
        script.arg(each.max(1) as u64).arg(limit.burst.get());
        let (allowed, number): (u8, u64) = self.link.run(&script).await?;
        Some(if allowed == 1 {
            let remaining = u32::try_from(number).unwrap_or(u32::MAX);
            Verdict::Allowed { remaining }
        } else {
            let wait = Duration::from_micros(number);
            Verdict::Refused { wait }
        })
    }

    fn key(&self, policy: &str, who: &str) -> String {
        let tag = hmac::sign(&self.digests, format!("{policy}\0{who}").as_bytes());
        let digest = URL_SAFE_NO_PAD.encode(tag.as_ref());
        format!("{}:{policy}:{digest}", self.prefix)
    }
}
