//! An answer of the server, with the assertions that nearly every test makes.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A whole answer. Panics name the request, so that a failing table of cases says which case it was.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Method and path that were asked for.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it came.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("answers are UTF-8")
    }

    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("answer headers are ASCII"))
    }

    /// Fails unless the answer has this status.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Fails unless the answer is a problem document (RFC 9457) with this status. Returns the document.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        self.any_problem()
    }

    /// Fails unless the answer is a problem document of this status and kind, such as `insufficient_stock`.
    pub fn problem_of(&self, status: u16, kind: &str) -> Value {
        let document = self.problem(status);
        let told = self.kind().unwrap_or_default();
        assert_eq!(told, kind, "{self}");
        document
    }

    /// The last part of the problem's type.
    pub fn kind(&self) -> Option<String> {
        let document: Value = serde_json::from_slice(&self.body).ok()?;
        Some(document["type"].as_str()?.rsplit('/').next()?.to_owned())
    }

    /// Fails unless the answer is a problem document whose status is the answer's. Returns the document.
    pub fn any_problem(&self) -> Value {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(
            kind.starts_with("application/problem+json"),
            "{self} is {kind:?}"
        );
        let document = self.json();
        assert_eq!(document["status"], self.status, "{self}");
        assert!(
            document["type"]
                .as_str()
                .is_some_and(|kind| !kind.is_empty()),
            "{self} has no type"
        );
        assert!(
            document["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{self} has no title"
        );
        document
    }

    /// The position token of a command.
    pub fn position(&self) -> String {
        self.header("souk-position")
            .unwrap_or_else(|| panic!("{self} has no Souk-Position"))
            .to_owned()
    }

    /// The entity tag, with its quotes.
    pub fn etag(&self) -> String {
        self.header("etag")
            .unwrap_or_else(|| panic!("{self} has no ETag"))
            .to_owned()
    }

    /// The id of what was made: the last part of its Location.
    pub fn id(&self) -> String {
        let location = self
            .header("location")
            .unwrap_or_else(|| panic!("{self} has no Location"));
        location.rsplit('/').next().unwrap_or_default().to_owned()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let short: String = body.chars().take(1_500).collect();
        write!(f, "{} answered {} {short}", self.request, self.status)
    }
}

/// The text in a JSON string.
pub fn text_of(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a string"))
        .to_owned()
}

/// The whole number in a JSON number.
pub fn number_of(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("{value} is not a whole number"))
}
