//! Query strings, strictly: a parameter that is not known, comes twice or does not parse is refused, so that a filter
//! with a spelling mistake never returns everything.

use std::collections::BTreeMap;

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

/// The same beside parameters `attributes[name]`, whose names are not known beforehand.
#[derive(Clone, Debug)]
pub struct QueryAndAttributes<T> {
    /// All other parameters.
    pub query: T,
    /// The attributes by name.
    pub attributes: BTreeMap<String, String>,
}

impl<T, S> FromRequestParts<S> for QueryAndAttributes<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse_attributes(parts.uri.query().unwrap_or_default())
    }
}

fn parse_attributes<T: DeserializeOwned>(query: &str) -> Result<QueryAndAttributes<T>, ApiError> {
    let mut attributes = BTreeMap::new();
    let mut others = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let attribute = name.strip_prefix("attributes[");
        let Some(attribute) = attribute.and_then(|rest| rest.strip_suffix(']')) else {
            others.append_pair(&name, &value);
            continue;
        };
        let before = attributes.insert(attribute.to_owned(), value.into_owned());
        if before.is_some() {
            let error = FieldError::parameter(name, "must not come twice");
            return Err(Problem::new(Kind::InvalidParameter)
                .errors(vec![error])
                .into());
        }
    }
    let query = parse(&others.finish())?;
    Ok(QueryAndAttributes { query, attributes })
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Known {
        kind: Option<String>,
    }

    #[test]
    fn attributes_stand_beside_what_else_is_asked_for() {
        let query = "attributes%5Bsize%5D=one%20size&kind=a%26b&attributes[colour]=%C4%91%E1%BB%8F";
        let parsed = parse_attributes::<Known>(query).unwrap();
        assert_eq!(parsed.query.kind.as_deref(), Some("a&b"));
        let attributes: Vec<_> = parsed.attributes.into_iter().collect();
        let expected = [("colour", "đỏ"), ("size", "one size")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(attributes, expected);
    }

    #[test]
    fn what_comes_twice_or_is_not_known_is_refused() {
        for bad in [
            "attributes[size]=M&attributes[size]=L",
            "attributes[size]=M&attributes=L",
            "attributes[size=M",
            "kind=a&kind=b",
            "kinds=a",
        ] {
            let problem = parse_attributes::<Known>(bad).unwrap_err().problem();
            assert_eq!(problem.kind(), Kind::InvalidParameter, "{bad}");
        }
    }
}
