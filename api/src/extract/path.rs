//! Ids in paths. What is no id names nothing, so the answer is 404.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};

use crate::{error::ApiError, problem::Kind};

/// The first parameter of the path.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<T, S> FromRequestParts<S> for Id<T>
where
    T: FromStr,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let not_found = || ApiError::from(Kind::NotFound);
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| not_found())?;
        let (_, text) = params.iter().next().ok_or_else(not_found)?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}
