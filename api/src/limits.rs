//! How often one may try to log in, to register, to continue a session, to ask for codes. A limit is so many at once and
//! as many again within a time (a leaky bucket, GCRA); whoever is beyond it is told when to come again (429,
//! `Retry-After`), and every answer says what is left (`RateLimit`, draft-ietf-httpapi-ratelimit-headers-10).
//!
//! Nobody can lock an owner out of where they have logged in before: log-ins to an account are limited per address, and
//! beside that for all addresses together that the account was never used from. One such address alone is stopped long
//! before that, so it takes many to keep the owner from logging in at a new address.
//!
//! Each process counts for itself, in memory that is bounded: what is counted goes by a keyed hash into one of
//! `SLOTS` slots, so a flood of addresses takes no more memory than there is, at the price that two callers in some
//! ten thousands share a slot. Where servers share a Redis they count together there as well ([`crate::shared::tries`]),
//! and the stricter of both decides: without Redis, or with one that has lost what it had, a process still allows
//! nobody more than the limit. A try that is refused is counted nowhere: what this process refuses is not asked of all, and what
//! all servers together refuse is given back here.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use tokio::time::Instant;

use crate::{
    config::{Limit, LimitsConfig},
    error::ApiError,
    problem::{Kind, Problem},
    shared::tries::{SharedTries, Verdict},
};

/// How many callers each limit can tell apart.
const SLOTS: u64 = 1 << 16;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Log-ins from one address.
    LogIn,
    /// Log-ins from one address to one account; passwords that are tried with one person's access token.
    LogInToAccount,
    /// Log-ins from one address to one account that was never used from there.
    LogInByStranger,
    /// Log-ins to one account from all addresses that it was never used from.
    LogInByStrangers,
    /// Registrations from one address.
    Registration,
    /// Sessions continued from one address.
    Refresh,
    /// Sessions of one person continued.
    RefreshOfAccount,
    /// One-time codes asked for or tried from one address.
    Codes,
    /// One-time codes asked for or tried from one address for one account, registrations included.
    CodesOfAccount,
}

impl Policy {
    const ALL: [Self; 9] = [
        Self::LogIn,
        Self::LogInToAccount,
        Self::LogInByStranger,
        Self::LogInByStrangers,
        Self::Registration,
        Self::Refresh,
        Self::RefreshOfAccount,
        Self::Codes,
        Self::CodesOfAccount,
    ];

    /// Its name in headers.
    const fn name(self) -> &'static str {
        match self {
            Self::LogIn => "log-in",
            Self::LogInToAccount => "log-in-account",
            Self::LogInByStranger => "log-in-stranger",
            Self::LogInByStrangers => "log-in-strangers",
            Self::Registration => "registration",
            Self::Refresh => "refresh",
            Self::RefreshOfAccount => "refresh-account",
            Self::Codes => "codes",
            Self::CodesOfAccount => "codes-account",
        }
    }

    fn limit(self, config: &LimitsConfig) -> Limit {
        match self {
            Self::LogIn => config.limit_log_in,
            Self::LogInToAccount => config.limit_log_in_account,
            Self::LogInByStranger => config.limit_log_in_stranger,
            Self::LogInByStrangers => config.limit_log_in_strangers,
            Self::Registration => config.limit_registration,
            Self::Refresh => config.limit_refresh,
            Self::RefreshOfAccount => config.limit_refresh_account,
            Self::Codes => config.limit_codes,
            Self::CodesOfAccount => config.limit_codes_account,
        }
    }
}

/// One limit with what was counted.
struct Bucket {
    limit: Limit,
    /// The time in which one try is given again.
    each: Duration,
    /// By slot, the moment at which all of them are given again.
    full: Mutex<HashMap<u64, Instant>>,
}

impl Bucket {
    fn new(limit: Limit) -> Self {
        Self {
            limit,
            // as many as may be in a second are a microsecond apart
            each: limit.within / limit.burst.get(),
            full: Mutex::default(),
        }
    }

    fn full(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        // nothing panics while holding it; a poisoned one would still be consistent
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one try. Returns how many more are left, or how long until the next is given.
    fn spend(&self, slot: u64, now: Instant) -> Result<u32, Duration> {
        let room = self.each * self.limit.burst.get();
        let mut full = self.full();
        let before = full.get(&slot).copied().unwrap_or(now).max(now);
        let spent = before.duration_since(now) + self.each;
        let Some(left) = room.checked_sub(spent) else {
            return Err(spent.saturating_sub(room));
        };
        full.insert(slot, now + spent);
        let left = left.as_nanos() / self.each.as_nanos().max(1);
        Ok(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Takes back that one was counted.
    fn give_back(&self, slot: u64) {
        if let Some(full) = self.full().get_mut(&slot) {
            *full = full.checked_sub(self.each).unwrap_or(*full);
        }
    }
}

/// All limits, as they hold in this process.
pub struct Limits {
    /// In the order of [`Policy::ALL`]; none where trying is not limited.
    buckets: Option<[Bucket; Policy::ALL.len()]>,
    /// What all servers count together, where they share a Redis.
    shared: Option<SharedTries>,
    hasher: RandomState,
    trusted_proxies: Vec<IpNet>,
}

/// What one has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    policy: Policy,
    limit: Limit,
    /// How many more at once.
    remaining: u32,
    /// Until all are given again; where none is left, until the next is.
    reset: Duration,
}

impl Allowance {
    fn new(policy: Policy, limit: Limit, remaining: u32, reset: Duration) -> Self {
        Self {
            policy,
            limit,
            remaining,
            reset,
        }
    }

    /// After a try that was counted: what was spent is given again bit by bit.
    fn left(policy: Policy, limit: Limit, remaining: u32) -> Self {
        let spent = limit.burst.get().saturating_sub(remaining);
        let each = limit.within / limit.burst.get();
        Self::new(policy, limit, remaining, each * spent)
    }
}

impl Limits {
    /// The limits of these settings, counted together with other servers where that is possible.
    pub fn new(config: &LimitsConfig, shared: Option<SharedTries>) -> Self {
        let buckets = || Policy::ALL.map(|policy| Bucket::new(policy.limit(config)));
        Self {
            buckets: config.rate_limits.then(buckets),
            shared,
            hasher: RandomState::new(),
            trusted_proxies: config.trusted_proxies.clone(),
        }
    }

    /// Counts one try, at all servers where they count together. Returns what is left; none where trying is not limited.
    async fn spend(&self, policy: Policy, who: &str) -> Result<Option<Allowance>, Allowance> {
        let Some(buckets) = &self.buckets else {
            return Ok(None);
        };
        let bucket = &buckets[policy as usize];
        let (limit, slot) = (bucket.limit, self.hasher.hash_one(who) % SLOTS);
        let here = bucket
            .spend(slot, Instant::now())
            .map_err(|wait| Allowance::new(policy, limit, 0, wait))?;
        let everywhere = match &self.shared {
            Some(shared) => shared.spend(policy.name(), who, limit).await,
            None => None,
        };
        match everywhere {
            None => Ok(Some(Allowance::left(policy, limit, here))),
            Some(Verdict::Allowed { remaining }) => {
                let stricter = here.min(remaining);
                Ok(Some(Allowance::left(policy, limit, stricter)))
            }
            Some(Verdict::Refused { wait }) => {
                bucket.give_back(slot);
                Err(Allowance::new(policy, limit, 0, wait))
            }
        }
    }

    /// The address that a request comes from: the nearest that is not one of our proxies, each of which has added the
    /// one before it to `X-Forwarded-For`. Whatever is no address there ends the walk: what stands before it was not
    /// added by our proxies.
    pub fn client_address<'h>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'h HeaderValue>,
    ) -> IpAddr {
        let mut address = peer.to_canonical();
        let hops = forwarded_for
            .rev()
            .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops {
            if !self.is_trusted(address) {
                break;
            }
            match hop_address(hop) {
                Some(before) => address = before.to_canonical(),
                None => break,
            }
        }
        address
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// The address of one hop: alone, in brackets, or with the port that some proxies add.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let alone = || hop.parse::<IpAddr>().ok();
    let with_port = || Some(hop.parse::<SocketAddr>().ok()?.ip());
    let in_brackets = || {
        let inner = hop.strip_prefix('[')?.strip_suffix(']')?;
        Some(IpAddr::V6(inner.parse().ok()?))
    };
    alone().or_else(with_port).or_else(in_brackets)
}

/// What counts as one caller: an address of IPv4, or a network of IPv6, of which a customer has at least a /64.
pub fn caller_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

/// What the limits have said of one request: the tightest of them, for its answer's headers.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<Option<Allowance>>>);

impl Said {
    /// Counts one try, and refuses where it is one too many.
    pub async fn spend(&self, limits: &Limits, policy: Policy, who: &str) -> Result<(), ApiError> {
        let (allowance, refused) = match limits.spend(policy, who).await {
            Ok(None) => return Ok(()),
            Ok(Some(allowance)) => (allowance, false),
            Err(allowance) => (allowance, true),
        };
        let mut tightest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tightest.is_none_or(|tightest| allowance.remaining <= tightest.remaining) {
            *tightest = Some(allowance);
        }
        if refused {
            let after = HeaderValue::from(whole_seconds(allowance.reset));
            return Err(Problem::new(Kind::TooManyTries)
                .header(header::RETRY_AFTER, after)
                .into());
        }
        Ok(())
    }
}

/// A name, the quota and its window in seconds.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The name, what is left, and the seconds until it is given again.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Says in every answer of the routes that it is laid around what is left.
pub async fn tell(mut request: Request, next: Next) -> Response {
    let said = Said::default();
    request.extensions_mut().insert(said.clone());
    let mut response = next.run(request).await;
    let allowance = *said.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(allowance) = allowance {
        let name = allowance.policy.name();
        let Limit { burst, within } = allowance.limit;
        let policy = format!("\"{name}\";q={burst};w={}", within.as_secs());
        let left = format!(
            "\"{name}\";r={};t={}",
            allowance.remaining,
            whole_seconds(allowance.reset)
        );
        for (header, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(header, value);
            }
        }
    }
    response
}

/// Seconds, rounded up: whoever comes then does not come too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{net::Ipv4Addr, num::NonZeroU32};

    use super::*;

    fn limits(all: &str, proxies: &[&str]) -> Limits {
        Limits::new(&config(all, proxies), None)
    }

    fn config(all: &str, proxies: &[&str]) -> LimitsConfig {
        let limit: Limit = all.parse().unwrap();
        LimitsConfig {
            rate_limits: true,
            limit_log_in: limit,
            limit_log_in_account: limit,
            limit_log_in_stranger: limit,
            limit_log_in_strangers: limit,
            limit_registration: limit,
            limit_refresh: limit,
            limit_refresh_account: limit,
            limit_codes: limit,
            limit_codes_account: limit,
            trusted_proxies: proxies.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    fn caller(last: u8) -> String {
        address(last).to_string()
    }

    #[tokio::test]
    async fn so_many_are_allowed_and_the_next_one_is_told_when() {
        let limits = limits("3/30s", &[]);
        for remaining in [2, 1, 0] {
            let left = limits.spend(Policy::LogIn, &caller(1)).await;
            let left = left.unwrap().unwrap();
            assert_eq!(left.remaining, remaining);
            let spent = 3 - remaining;
            assert_eq!(left.reset, Duration::from_secs(u64::from(10 * spent)));
        }
        let refused = limits.spend(Policy::LogIn, &caller(1)).await.unwrap_err();
        let wait = refused.reset;
        assert!(
            wait <= Duration::from_secs(10) && wait > Duration::from_secs(9),
            "{wait:?}"
        );
        assert!(
            limits.spend(Policy::LogIn, &caller(2)).await.is_ok(),
            "another caller"
        );
        assert!(
            limits.spend(Policy::Refresh, &caller(1)).await.is_ok(),
            "another limit"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn tries_are_given_again_bit_by_bit_and_what_is_given_back_at_once() {
        let bucket = Bucket::new("3/30s".parse().unwrap());
        let second = Duration::from_secs(1);
        let start = Instant::now();
        for left in [2, 1, 0] {
            assert_eq!(bucket.spend(7, start), Ok(left));
        }
        assert_eq!(bucket.spend(7, start + 4 * second), Err(6 * second));
        assert_eq!(bucket.spend(7, start + 10 * second), Ok(0));
        bucket.give_back(7);
        assert_eq!(bucket.spend(7, start + 10 * second), Ok(0));
        assert_eq!(bucket.spend(7, start + 100 * second), Ok(2));
        bucket.give_back(7);
        bucket.give_back(8);
        assert_eq!(bucket.spend(7, start + 100 * second), Ok(2));
    }

    #[tokio::test]
    async fn limits_that_are_turned_off_limit_nothing() {
        let mut limits = limits("1/1h", &[]);
        limits.buckets = None;
        for _ in 0..10 {
            let left = limits.spend(Policy::LogIn, &caller(1)).await;
            assert_eq!(left, Ok(None));
        }
    }

    #[tokio::test]
    async fn a_flood_of_callers_takes_no_more_memory_than_there_is() {
        let limits = limits("1/1h", &[]);
        for caller in 0..200_000_u32 {
            let _ = limits.spend(Policy::LogIn, &caller.to_string()).await;
        }
        let kept = limits.buckets.as_ref().unwrap()[Policy::LogIn as usize]
            .full()
            .len();
        assert!(kept as u64 <= SLOTS, "{kept}");
    }

    #[tokio::test]
    async fn every_policy_has_its_own_bucket_and_name() {
        let limits = limits("1/1h", &[]);
        for (index, policy) in Policy::ALL.into_iter().enumerate() {
            assert_eq!(policy as usize, index);
            let left = limits.spend(policy, "x").await.unwrap().unwrap();
            assert_eq!(left.policy, policy);
            let again = limits.spend(policy, "x").await;
            assert!(again.is_err(), "{}", policy.name());
        }
    }

    #[tokio::test]
    async fn a_limit_that_makes_no_quota_shifts_no_other() {
        let mut config = config("1/1h", &[]);
        config.limit_log_in = Limit {
            burst: NonZeroU32::MAX,
            within: Duration::from_nanos(1),
        };
        let limits = Limits::new(&config, None);
        assert!(limits.spend(Policy::LogIn, "x").await.is_ok());
        for policy in &Policy::ALL[1..] {
            assert!(limits.spend(*policy, "x").await.is_ok());
            let again = limits.spend(*policy, "x").await;
            assert!(again.is_err(), "{}", policy.name());
        }
    }

    /// What a chain of proxies that ends in one of ours says.
    fn walked(hops: &[&[u8]]) -> IpAddr {
        let values: Vec<_> = hops
            .iter()
            .map(|hops| HeaderValue::from_bytes(hops).unwrap())
            .collect();
        let proxy = "10.0.0.1".parse().unwrap();
        limits("1/1h", &["10.0.0.0/8"]).client_address(proxy, values.iter())
    }

    #[test]
    fn bytes_that_are_no_text_end_the_walk() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(walked(&[b"192.0.2.1", b"\xff"]), proxy);
        assert_eq!(walked(&[b"192.0.2.1, \xc3\xa4"]), proxy);
        assert_eq!(
            walked(&[b"192.0.2.1, \xff, 10.0.0.2"]),
            walked(&[b"10.0.0.2"])
        );
        assert_eq!(
            walked(&[b"\xff, 192.0.2.1"]),
            address(1),
            "what our proxy added counts"
        );
        assert_eq!(walked(&[b"192.0.2.1, "]), proxy, "nothing is no address");
    }

    #[test]
    fn a_hop_may_have_a_port() {
        assert_eq!(walked(&[b"192.0.2.1:4711"]), address(1));
        assert_eq!(walked(&[b"192.0.2.1:4711, 10.0.0.2:80"]), address(1));
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for hop in [&b"2001:db8::1"[..], b"[2001:db8::1]", b"[2001:db8::1]:4711"] {
            assert_eq!(walked(&[hop]), v6);
        }
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        for hop in [
            &b"[192.0.2.1]"[..],
            b"192.0.2.1:",
            b"192.0.2.1:99999",
            b"[2001:db8::1",
        ] {
            assert_eq!(walked(&[hop]), proxy);
        }
    }

    #[test]
    fn only_our_proxies_are_believed() {
        let ours = limits("1/1h", &["10.0.0.0/8"]);
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let of = |limits: &Limits, peer: IpAddr, hops: &[&'static str]| {
            let values: Vec<_> = hops
                .iter()
                .map(|hops| HeaderValue::from_static(hops))
                .collect();
            limits.client_address(peer, values.iter())
        };
        assert_eq!(
            of(&ours, address(7), &["192.0.2.1"]),
            address(7),
            "not a proxy"
        );
        assert_eq!(of(&ours, proxy, &["192.0.2.1"]), address(1));
        assert_eq!(
            of(
                &ours,
                proxy,
                &["203.0.113.9, 192.0.2.1", "192.0.2.2, 10.0.0.2"]
            ),
            address(2),
            "what is before the first stranger may be made up"
        );
        assert_eq!(of(&ours, proxy, &[]), proxy);
        assert_eq!(of(&ours, proxy, &["nonsense"]), proxy);
        assert_eq!(
            of(&limits("1/1h", &[]), proxy, &["192.0.2.1"]),
            proxy,
            "without a setting nobody is believed"
        );
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(of(&ours, mapped, &["192.0.2.1"]), address(1));
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let [one, same, other] = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"]
            .map(|text| caller_of(text.parse().unwrap()));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(caller_of(address(3)), address(3));
    }
}
