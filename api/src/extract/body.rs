//! JSON bodies: bounded in size, depth and time, checked as a whole, and refused with all that is wrong.

use std::time::Duration;

use axum::{
    extract::{FromRef, FromRequest, Request},
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::{
    error::ApiError,
    fields::Object,
    problem::{FieldError, Kind, Problem},
};

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Largest body, in bytes.
    pub max_body: usize,
    /// How long a body may take to arrive, and a command to be decided.
    pub timeout: Duration,
}

/// A JSON body that keeps all the rules of its fields.
#[derive(Debug)]
pub struct Body<T> {
    /// What it says.
    pub value: T,
    /// The bytes as they came, for the fingerprint of an idempotent request.
    pub raw: Bytes,
}

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned + garde::Validate<Context = ()>,
    S: Send + Sync,
    RequestLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        check_media_type(request.headers())?;
        let raw = read(request, RequestLimits::from_ref(state)).await?;
        let value = parse(&raw)?;
        Ok(Self { value, raw })
    }
}

/// A body that may be left out.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<T, S> FromRequest<S> for OptionalBody<T>
where
    T: DeserializeOwned + garde::Validate<Context = ()> + Default,
    S: Send + Sync,
    RequestLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = check_media_type(request.headers());
        let raw = read(request, RequestLimits::from_ref(state)).await?;
        if raw.is_empty() {
            return Ok(Self(T::default()));
        }
        media_type?;
        parse(&raw).map(Self)
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let fits = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let mut parts = value.split(';').map(str::trim);
            let json = parts
                .next()
                .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
            // JSON is UTF-8 (RFC 8259, 8.1), whatever else is claimed
            let utf8 = parts
                .filter_map(|part| part.split_once('='))
                .all(|(name, value)| {
                    !name.eq_ignore_ascii_case("charset")
                        || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
                });
            json && utf8
        });
    if fits {
        Ok(())
    } else {
        Err(Kind::UnsupportedMediaType.into())
    }
}

async fn read(request: Request, limits: RequestLimits) -> Result<Bytes, ApiError> {
    let too_large = || {
        ApiError::from(
            Problem::new(Kind::PayloadTooLarge)
                .detail(format!("at most {} bytes are accepted", limits.max_body)),
        )
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limits.max_body) {
        return Err(too_large());
    }
    let reading = async {
        let mut stream = request.into_body().into_data_stream();
        let mut body = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| {
                ApiError::from(Problem::new(Kind::MalformedJson).detail("the body was cut off"))
            })?;
            if body.len() + chunk.len() > limits.max_body {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(limits.timeout, reading)
        .await
        .unwrap_or_else(|_| Err(Kind::RequestTimeout.into()))
}

fn parse<T>(raw: &[u8]) -> Result<T, ApiError>
where
    T: DeserializeOwned + garde::Validate<Context = ()>,
{
    if holds_nul(raw) {
        // PostgreSQL holds no such text, and no field of ours has a use for it
        return Err(Problem::new(Kind::Validation)
            .detail("the character NUL is not accepted")
            .into());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let Object(value) = serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer)
        .map_err(|error| {
            let pointer = pointer(error.path().iter());
            refusal(error.inner(), pointer)
        })?;
    deserializer
        .end()
        .map_err(|error| refusal(&error, String::new()))?;
    value.validate().map_err(|report| {
        let errors = report
            .iter()
            .map(|(path, error)| FieldError::at(path_pointer(path), error.message()))
            .collect();
        Problem::new(Kind::Validation).errors(errors)
    })?;
    Ok(value)
}

fn refusal(error: &serde_json::Error, pointer: String) -> ApiError {
    let detail = error.to_string();
    match error.classify() {
        Category::Data => {
            // where it is in the text helps nobody who has a pointer
            let detail = detail.split(" at line ").next().unwrap_or_default();
            let error =
                member_error(&pointer, detail).unwrap_or_else(|| FieldError::at(pointer, detail));
            Problem::new(Kind::Validation).errors(vec![error]).into()
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(Kind::MalformedJson).detail(detail).into()
        }
    }
}

/// Serde tells which member of an object is missing or comes twice in words only; a pointer is better.
fn member_error(object: &str, detail: &str) -> Option<FieldError> {
    let (name, detail) = if let Some(name) = detail.strip_prefix("missing field `") {
        (name, "is required")
    } else {
        (
            detail.strip_prefix("duplicate field `")?,
            "must not come twice",
        )
    };
    let mut pointer = object.to_owned();
    push(&mut pointer, name.strip_suffix('`')?);
    Some(FieldError::at(pointer, detail))
}

/// Whether the JSON text holds the escape of NUL: an odd number of backslashes before `u0000`. A bare NUL is no JSON.
fn holds_nul(raw: &[u8]) -> bool {
    let escape = b"\\u0000";
    raw.windows(escape.len()).enumerate().any(|(at, window)| {
        window == escape
            && raw[..at]
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count()
                % 2
                == 0
    })
}

/// The JSON pointer (RFC 6901) of a path.
fn pointer<'p>(segments: impl Iterator<Item = &'p Segment>) -> String {
    let mut pointer = String::new();
    for segment in segments {
        let part = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        push(&mut pointer, &part);
    }
    pointer
}

/// The same of a path of garde, which writes `items[0].quantity`. Names of our fields hold none of its marks.
fn path_pointer(path: &garde::Path) -> String {
    let mut pointer = String::new();
    for part in path.to_string().split(['.', '[']) {
        if !part.is_empty() {
            push(&mut pointer, part.trim_end_matches(']'));
        }
    }
    pointer
}

fn push(pointer: &mut String, part: &str) {
    pointer.push('/');
    pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
}
