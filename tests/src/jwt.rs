//! Access tokens made by hand, as whoever holds the secret could, and as whoever does not might try.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// A token in its parts, to be changed and signed anew.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// What it is signed with, and how.
    pub header: Value,
    /// What it says.
    pub claims: Value,
}

impl Jwt {
    /// The parts of a token.
    pub fn of(token: &str) -> Self {
        let mut parts = token.split('.').map(|part| {
            let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&json).unwrap_or(Value::Null)
        });
        let (header, claims) = (parts.next(), parts.next());
        Self {
            header: header.expect("a header"),
            claims: claims.expect("claims"),
        }
    }

    /// With another member of the header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// With another claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// With a time claim so many seconds from now.
    #[must_use]
    pub fn time(self, name: &str, seconds_from_now: i64) -> Self {
        self.claim(name, chrono::Utc::now().timestamp() + seconds_from_now)
    }

    /// Signed with HMAC-SHA-256, whatever the header says.
    pub fn hs256(&self, secret: &[u8]) -> String {
        self.hmac(hmac::HMAC_SHA256, secret)
    }

    /// Signed with an HMAC, whatever the header says.
    pub fn hmac(&self, algorithm: hmac::Algorithm, secret: &[u8]) -> String {
        let message = self.message();
        let signature = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// With this for a signature.
    pub fn signed(&self, signature: &str) -> String {
        format!("{}.{signature}", self.message())
    }

    fn message(&self) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }
}
