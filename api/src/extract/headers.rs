//! Headers with a meaning of ours: `Idempotency-Key`, `If-Match`, `Souk-Min-Position`, `Last-Event-ID`.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, header, request::Parts},
};
use eventstore::position::Head;

use crate::error::{ApiError, bad_header};

/// Names a request, so that it can be repeated without being done twice.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The least position that a query is answered from.
pub const MIN_POSITION: HeaderName = HeaderName::from_static("souk-min-position");
/// The position of what a command did.
pub const POSITION: HeaderName = HeaderName::from_static("souk-position");
/// Says that an answer is that of an earlier request with the same key.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The event of a feed that a client got last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Most characters of an Idempotency-Key.
const MAX_KEY_CHARS: usize = 255;

/// The text of a header that comes at most once.
fn single<'p>(parts: &'p Parts, name: &HeaderName) -> Result<Option<&'p str>, ApiError> {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(bad_header(name, "must be printable ASCII")),
        },
        (Some(_), Some(_)) => Err(bad_header(name, "must not come twice")),
    }
}

/// The client's own Idempotency-Key, if it sends one: 1 to 255 printable characters of ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for ClientKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(key) = single(parts, &IDEMPOTENCY_KEY)? else {
            return Ok(Self(None));
        };
        let printable = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(1..=MAX_KEY_CHARS).contains(&key.len()) || !printable {
            return Err(bad_header(
                &IDEMPOTENCY_KEY,
                "must be 1 to 255 printable ASCII characters",
            ));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

/// The version that a change was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// No header: any version.
    Absent,
    /// `*`: any version of something that is there.
    Any,
    /// This version. A tag that is none of ours is a version that never comes.
    Version(i64),
}

/// A version that no aggregate ever has.
const NEVER: i64 = -1;

impl IfMatch {
    /// The version, where one is named.
    pub fn version(self) -> Option<i64> {
        match self {
            Self::Version(version) => Some(version),
            Self::Absent | Self::Any => None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(tag) = single(parts, &header::IF_MATCH)? else {
            return Ok(Self::Absent);
        };
        if tag == "*" {
            return Ok(Self::Any);
        }
        // If-Match compares strongly (RFC 9110, 13.1.1), so a weak tag never matches
        if tag.starts_with("W/\"") {
            return Ok(Self::Version(NEVER));
        }
        let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        match opaque {
            Some(opaque) if !opaque.contains('"') => {
                let version = opaque.parse().ok().filter(|version| *version >= 0);
                Ok(Self::Version(version.unwrap_or(NEVER)))
            }
            _ => Err(bad_header(
                &header::IF_MATCH,
                "must be one entity tag, as in the ETag of what was read",
            )),
        }
    }
}

/// The position that a query is to be answered from at least, where the client names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinPosition(pub Option<Head>);

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(token) = single(parts, &MIN_POSITION)? else {
            return Ok(Self(None));
        };
        let head = token.parse().map_err(|_| {
            bad_header(
                &MIN_POSITION,
                "must be a Souk-Position that a command was answered with",
            )
        })?;
        Ok(Self(Some(head)))
    }
}

/// The event of a feed behind which a client goes on, where it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastEventId(pub Option<Head>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(token) = single(parts, &LAST_EVENT_ID)? else {
            return Ok(Self(None));
        };
        let head = token
            .parse()
            .map_err(|_| bad_header(&LAST_EVENT_ID, "must be the id of an event of this feed"))?;
        Ok(Self(Some(head)))
    }
}
