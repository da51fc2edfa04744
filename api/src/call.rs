//! A request as a command sees it: who caused it, what it follows from, when it is too late; and how it is run.
//!
//! A command runs on a task of its own: a client that hangs up cancels nothing that was begun.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use axum::{
    extract::{FromRef, FromRequestParts, MatchedPath},
    http::{Method, request::Parts},
};
use commands::{Failure, Request};
use eventstore::{
    EventLog, StoredAnswer,
    event::Cause,
    unit::{Committed, IdempotencyKey},
};
use identity::Principal;

use crate::{
    error::ApiError,
    extract::{ClientKey, RequestLimits},
    idempotency::{Attempt, Idempotency, Scope},
    request_id::RequestId,
};

/// What a command needs to know of the request that it comes from.
#[derive(Clone, Debug)]
pub struct Call {
    request_id: RequestId,
    method: Method,
    route: String,
    path: String,
    client_key: Option<String>,
    deadline: Instant,
}

/// The furthest deadline: settings beyond it mean none that anybody would wait for.
const FOREVER: Duration = Duration::from_hours(24 * 365);

impl<S> FromRequestParts<S> for Call
where
    S: Send + Sync,
    RequestLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let ClientKey(client_key) = ClientKey::from_request_parts(parts, state).await?;
        let route = parts
            .extensions
            .get::<MatchedPath>()
            .map_or_else(|| parts.uri.path(), |route| route.as_str());
        Ok(Self {
            request_id: parts
                .extensions
                .get()
                .cloned()
                .unwrap_or_else(RequestId::new),
            method: parts.method.clone(),
            route: route.to_owned(),
            path: parts.uri.path().to_owned(),
            client_key,
            deadline: Instant::now() + RequestLimits::from_ref(state).timeout.min(FOREVER),
        })
    }
}

impl Call {
    /// The request of a command, in the name of somebody.
    pub fn request(&self, who: &Principal, command: &str, key: Option<IdempotencyKey>) -> Request {
        Request {
            cause: Cause {
                correlation_id: self.request_id.as_str().to_owned(),
                causation_id: self.request_id.as_str().to_owned(),
                actor: format!("user:{}", who.user_id),
                command: command.to_owned(),
            },
            key,
            deadline: Some(self.deadline),
        }
    }

    /// When it is too late to begin.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Begins what the client's key names, where it sent one.
    pub fn attempt(
        &self,
        idempotency: &Idempotency,
        who: &Principal,
        body: &[u8],
    ) -> Result<Option<Attempt>, ApiError> {
        let Some(key) = &self.client_key else {
            return Ok(None);
        };
        let scope = Scope {
            who: who.user_id,
            method: &self.method,
            route: &self.route,
            path: &self.path,
        };
        idempotency.begin(&scope, key, body).map(Some)
    }
}

/// What a command that may carry a key came to.
pub enum Outcome<T> {
    /// It was done now.
    Done(Committed<T>),
    /// It was done before.
    Before(StoredAnswer),
}

/// Does something to its end, whether or not the client waits for it.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|_| ApiError::Panicked)
}

/// Runs a command to its end.
pub async fn run<T: Send + 'static>(
    command: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(to_its_end(command).await??)
}

/// The same for a command that was begun with a key: the key stays in use until the command has ended.
pub async fn run_once<T: Send + 'static>(
    log: &EventLog,
    attempt: Option<Attempt>,
    command: impl Future<Output = Result<Committed<T>, Failure>> + Send + 'static,
) -> Result<Outcome<T>, ApiError> {
    let log = log.clone();
    to_its_end(async move {
        match (command.await, attempt) {
            (Ok(committed), _) => Ok(Outcome::Done(committed)),
            (Err(Failure::KeyTaken), Some(attempt)) => {
                Ok(Outcome::Before(attempt.earlier(&log).await?))
            }
            // what was done before may be refused now (the last piece is sold, to this very request)
            (Err(failure), Some(attempt)) if !failure.is_passing() => {
                match attempt.earlier_if_any(&log).await? {
                    Some(earlier) => Ok(Outcome::Before(earlier)),
                    None => Err(failure.into()),
                }
            }
            (Err(failure), _) => Err(failure.into()),
        }
    })
    .await?
}
