//! Answers: a JSON body with the headers that tell where it stands (`Souk-Position`, `ETag`, `Location`).

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use eventstore::{StoredAnswer, position::Head};
use serde::Serialize;

use crate::{
    error::{ApiError, entity_tag},
    extract::{POSITION, REPLAYED},
    problem::Kind,
};

/// A successful answer.
#[derive(Debug)]
pub struct Answer<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: T,
}

impl<T> Answer<T> {
    /// 200 with this body.
    pub fn ok(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
        }
    }

    /// 201: what was made is found at `location` from now on.
    #[must_use]
    pub fn created(self, location: &str) -> Self {
        self.status(StatusCode::CREATED)
            .header(header::LOCATION, location)
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Says where the log stands after the command.
    #[must_use]
    pub fn at(self, head: Head) -> Self {
        self.header(POSITION, &head.to_string())
    }

    /// Says which version this is.
    #[must_use]
    pub fn version(mut self, sequence: i64) -> Self {
        self.headers.insert(header::ETAG, entity_tag(sequence));
        self
    }

    /// Says that the request was done before, with the status and position of then.
    #[must_use]
    pub fn replayed(self, earlier: &StoredAnswer) -> Self {
        let status = StatusCode::from_u16(earlier.status).unwrap_or(self.status);
        self.status(status)
            .at(earlier.head)
            .header(REPLAYED, "true")
    }

    /// With a header. Values that no header can have are left out; ours are ids, numbers and paths.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl Answer<()> {
    /// 204.
    pub fn no_content() -> Self {
        Self::ok(()).status(StatusCode::NO_CONTENT)
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        // what has nothing to say has no body
        if size_of::<T>() == 0 {
            return (self.status, self.headers).into_response();
        }
        match serde_json::to_vec(&self.body) {
            Ok(body) => {
                let mut response = (self.status, self.headers, body).into_response();
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written");
                ApiError::from(Kind::Internal).into_response()
            }
        }
    }
}
