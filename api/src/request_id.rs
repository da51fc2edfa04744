//! Request ids: `x-request-id` as the client or a proxy sends it, or a new one. It is answered, logged, and stored as
//! the correlation id of all events that follow, so only plain short ids are taken; others are replaced.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

/// The header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a client.
const MAX_CHARS: usize = 64;

/// Id of a request: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new one.
    #[expect(
        clippy::new_without_default,
        reason = "a default that differs each time would mislead"
    )]
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        ((1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(plain))
            .then(|| Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Gives every request an id and answers with it.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let id = given
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::new);
    let value = HeaderValue::from_str(id.as_str());
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(value) = value {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_short_ids_are_taken_from_clients() {
        for good in [
            "a",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "req-1_2",
            &"x".repeat(64),
        ] {
            assert_eq!(
                RequestId::parse(good).as_ref().map(RequestId::as_str),
                Some(good)
            );
        }
        for bad in ["", "a b", "anna@example.com", "ü", "a\n", &"x".repeat(65)] {
            assert_eq!(RequestId::parse(bad), None, "{bad:?}");
        }
        assert!(RequestId::parse(RequestId::new().as_str()).is_some());
    }
}
