//! What the server says once it listens: where to go next. In demo mode also the demo log-ins, and three lines of curl
//! that log in, list products and place an order when they are pasted into a shell.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use crate::seed;

/// What the text depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Demo mode.
    pub(super) demo: bool,
    /// Whether Kafka is configured.
    pub(super) kafka: bool,
    /// Whether a mail server is configured.
    pub(super) smtp: bool,
    /// From the order to its payment.
    pub(super) delay: Duration,
}

/// The text.
pub(super) fn text(addr: SocketAddr, facts: Facts) -> String {
    let url = format!("http://{}", reachable(addr));
    let mut text = format!(
        "\nSouk listens on {addr}\n\n  docs        {url}/docs/\n  readiness   {url}/health/ready\n"
    );
    if !facts.kafka {
        text.push_str(
            "  Kafka       not configured (KAFKA_BROKERS): nothing is published until it is\n",
        );
    }
    if !facts.smtp {
        text.push_str("  mails       not sent (SOUK_SMTP_URL): read them with `souk mails`\n");
    }
    if facts.demo {
        demo(&mut text, &url, facts.delay);
    }
    text.push('\n');
    text
}

fn demo(text: &mut String, url: &str, delay: Duration) {
    let addresses: Vec<&str> = seed::USERS.iter().map(|(_, email, _)| *email).collect();
    let (region, product) = seed::first_order();
    let password = seed::PASSWORD;
    let delay = humantime::format_duration(delay);
    // writing into a String cannot fail
    let _ = write!(
        text,
        r#"  log-ins     {addresses}, password {password}

Log in, look at the products of Vietnam, place an order. It is paid {delay} later:

TOKEN=$(curl -s {url}/api/v1/login -H 'Content-Type: application/json' -d '{{"email":"customer@example.com","password":"{password}"}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -s '{url}/api/v1/products?region_id={region}'
curl -s {url}/api/v1/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"items":[{{"product_id":"{product}","quantity":2}}]}}'
"#,
        addresses = addresses.join(", "),
    );
}

/// The address as a client on this machine would write it: a server on all addresses is reached on the loopback one.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port()))
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port()))
        }
        _ => addr,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts(demo: bool) -> Facts {
        Facts {
            demo,
            kafka: true,
            smtp: true,
            delay: Duration::from_mins(1),
        }
    }

    #[test]
    fn demo_mode_names_every_log_in_and_an_order_to_place() {
        let text = text("127.0.0.1:8080".parse().unwrap(), facts(true));
        for (_, email, _) in seed::USERS {
            assert!(text.contains(email), "{email}");
        }
        assert!(text.contains("It is paid 1m later"), "{text}");
        assert_eq!(
            text.lines().filter(|line| line.contains("curl -s")).count(),
            3
        );
        assert!(text.contains(&seed::first_order().1.to_string()));
    }

    #[test]
    fn outside_demo_mode_nothing_is_said_of_log_ins() {
        let text = text("127.0.0.1:8080".parse().unwrap(), facts(false));
        assert!(
            !text.contains(seed::PASSWORD) && !text.contains("curl"),
            "{text}"
        );
        assert!(text.contains("http://127.0.0.1:8080/docs/"));
    }

    #[test]
    fn a_server_on_all_addresses_is_reached_on_this_machine() {
        for (listens, reached) in [
            ("0.0.0.0:9000", "http://127.0.0.1:9000/docs/"),
            ("[::]:9000", "http://[::1]:9000/docs/"),
        ] {
            assert!(
                text(listens.parse().unwrap(), facts(false)).contains(reached),
                "{listens}"
            );
        }
    }

    #[test]
    fn a_server_without_kafka_says_so() {
        let facts = Facts {
            kafka: false,
            ..facts(false)
        };
        assert!(text("127.0.0.1:8080".parse().unwrap(), facts).contains("not configured"));
    }

    #[test]
    fn a_server_without_a_mail_server_says_where_mails_are_read() {
        let facts = Facts {
            smtp: false,
            ..facts(false)
        };
        assert!(text("127.0.0.1:8080".parse().unwrap(), facts).contains("`souk mails`"));
    }
}
