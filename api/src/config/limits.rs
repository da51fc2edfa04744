//! How often one may try: settings of the limits on log-in and what is like it. See [`crate::limits`].

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use clap::{ArgAction, Args, builder::BoolishValueParser};
use ipnet::IpNet;

/// So many at once, and as many again within a time: written as `10/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many at once.
    pub burst: NonZeroU32,
    /// In which time all of them are given again, one after the other.
    pub within: Duration,
}

/// Most at once: as many in a second are still a microsecond apart.
const MOST: u32 = 1_000_000;
/// The longest time.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// The text is not a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 1 to 1000000 and a time from 1s to a year, such as 10/1m")]
pub struct InvalidLimit;

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (burst, within) = text.split_once('/').ok_or(InvalidLimit)?;
        let burst: NonZeroU32 = burst.trim().parse().map_err(|_| InvalidLimit)?;
        let within = humantime::parse_duration(within.trim()).map_err(|_| InvalidLimit)?;
        if burst.get() > MOST || !(Duration::from_secs(1)..=LONGEST).contains(&within) {
            return Err(InvalidLimit);
        }
        Ok(Self { burst, within })
    }
}

/// How often one may try.
#[derive(Args, Clone, Debug)]
pub struct LimitsConfig {
    /// Whether trying is limited at all
    #[arg(
        long,
        env = "SOUK_RATE_LIMITS",
        default_value = "true",
        value_name = "BOOL",
        action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub rate_limits: bool,

    /// Log-ins from one address
    #[arg(
        long,
        env = "SOUK_LIMIT_LOG_IN",
        default_value = "30/1m",
        value_name = "LIMIT"
    )]
    pub limit_log_in: Limit,

    /// Log-ins from one address to one account
    #[arg(
        long,
        env = "SOUK_LIMIT_LOG_IN_ACCOUNT",
        default_value = "10/5m",
        value_name = "LIMIT"
    )]
    pub limit_log_in_account: Limit,

    /// Log-ins from one address to one account that was never used from there
    #[arg(
        long,
        env = "SOUK_LIMIT_LOG_IN_STRANGER",
        default_value = "5/1h",
        value_name = "LIMIT"
    )]
    pub limit_log_in_stranger: Limit,

    /// Log-ins to one account from all addresses together that it was never used from
    #[arg(
        long,
        env = "SOUK_LIMIT_LOG_IN_STRANGERS",
        default_value = "50/1h",
        value_name = "LIMIT"
    )]
    pub limit_log_in_strangers: Limit,

    /// Registrations from one address
    #[arg(
        long,
        env = "SOUK_LIMIT_REGISTRATION",
        default_value = "20/10m",
        value_name = "LIMIT"
    )]
    pub limit_registration: Limit,

    /// Sessions continued from one address
    #[arg(
        long,
        env = "SOUK_LIMIT_REFRESH",
        default_value = "120/1m",
        value_name = "LIMIT"
    )]
    pub limit_refresh: Limit,

    /// Sessions of one person continued
    #[arg(
        long,
        env = "SOUK_LIMIT_REFRESH_ACCOUNT",
        default_value = "60/1m",
        value_name = "LIMIT"
    )]
    pub limit_refresh_account: Limit,

    /// One-time codes asked for or tried from one address
    #[arg(
        long,
        env = "SOUK_LIMIT_CODES",
        default_value = "20/10m",
        value_name = "LIMIT"
    )]
    pub limit_codes: Limit,

    /// One-time codes asked for or tried from one address for one account, registrations included
    #[arg(
        long,
        env = "SOUK_LIMIT_CODES_ACCOUNT",
        default_value = "10/30m",
        value_name = "LIMIT"
    )]
    pub limit_codes_account: Limit,

    /// Addresses or networks of the proxies in front, whose X-Forwarded-For is believed
    #[arg(
        long,
        env = "SOUK_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network,
        value_name = "NETWORKS"
    )]
    pub trusted_proxies: Vec<IpNet>,
}

/// A network such as `10.0.0.0/8`, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| "must be an address or a network such as 10.0.0.0/8".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_limit_is_a_number_and_a_time() {
        let limit: Limit = "10/1m".parse().unwrap();
        assert_eq!(
            (limit.burst.get(), limit.within),
            (10, Duration::from_mins(1))
        );
        assert!("1000000/1s".parse::<Limit>().is_ok());
        for bad in [
            "",
            "10",
            "0/1m",
            "10/0s",
            "10/",
            "/1m",
            "-1/1m",
            "10/1x",
            "10/1ms",
            "1000001/1s",
            "4294967295/1s",
            "1/10000years",
        ] {
            assert_eq!(bad.parse::<Limit>(), Err(InvalidLimit), "{bad}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        assert_eq!(network("10.0.0.0/8").unwrap().prefix_len(), 8);
        assert_eq!(network(" 127.0.0.1 ").unwrap().prefix_len(), 32);
        assert_eq!(network("::1").unwrap().prefix_len(), 128);
        assert!(network("proxy.example.com").is_err());
    }
}
