//! Ids and names in paths. What is none names nothing, so the answer is 404.

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
        let params = params(parts, state).await?;
        nth(&params, 0).map(Self)
    }
}

/// Both parameters of a path that has two.
#[derive(Clone, Copy, Debug)]
pub struct IdAnd<T, U>(pub T, pub U);

impl<T, U, S> FromRequestParts<S> for IdAnd<T, U>
where
    T: FromStr,
    U: FromStr,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = params(parts, state).await?;
        Ok(Self(nth(&params, 0)?, nth(&params, 1)?))
    }
}

async fn params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, ApiError> {
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Kind::NotFound.into())
}

fn nth<T: FromStr>(params: &RawPathParams, index: usize) -> Result<T, ApiError> {
    let text = params.iter().nth(index).map(|(_, text)| text);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Kind::NotFound.into())
}
