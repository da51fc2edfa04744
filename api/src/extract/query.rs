//! Query strings, strictly: a parameter that is not known, comes twice or does not parse is refused, so that a filter
//! with a spelling mistake never returns everything.

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::de::DeserializeOwned;

use crate::{
    error::ApiError,
    problem::{FieldError, Kind, Problem},
};

/// A query string as `T`, which denies unknown fields.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let deserializer = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.into_inner().to_string();
        let twice = detail
            .strip_prefix("duplicate field `")
            .and_then(|rest| rest.strip_suffix('`'));
        let error = match twice {
            Some(name) => FieldError::parameter(name, "must not come twice"),
            None => FieldError::parameter(path, detail),
        };
        Problem::new(Kind::InvalidParameter)
            .errors(vec![error])
            .into()
    })
}
