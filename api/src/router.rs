//! All routes under one roof: ids for requests, spans for logs, problems for panics, unknown paths and methods.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower_http::{
    catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer, trace::TraceLayer,
};
use tracing::Span;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    config::Part,
    docs,
    error::ApiError,
    openapi,
    problem::Kind,
    queries::{self, WithoutQuery},
    request_id::{self, RequestId},
    routes,
    state::App,
    unread,
};

/// Every route that the OpenAPI document describes.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(routes::api())
        .merge(routes::health::router())
}

/// What a process serves: all of it where it runs the API, otherwise health alone.
pub fn router(app: App) -> Router {
    let (routes, document) = if app.config.parts.runs(Part::Api) {
        let (routes, document) = documented().split_for_parts();
        let routes = routes
            .merge(docs::router())
            .route("/", get(async || Redirect::temporary("/docs/")));
        (routes, document)
    } else {
        routes::health::router().split_for_parts()
    };
    let without = WithoutQuery::of(&document);
    let no_query = middleware::from_fn(move |request, next| {
        queries::refuse_unknown(without.clone(), request, next)
    });
    let http = &app.config.http;
    let patience = Patience {
        query: http.request_timeout.saturating_add(http.read_wait),
        command: http.request_timeout.saturating_add(DECIDED_PATIENCE),
        hashing: routes::users::MOST_HASHING,
    };
    let bounded = middleware::from_fn(move |request, next| answer_in_time(patience, request, next));
    framed(routes.layer(no_query).layer(bounded)).with_state(app)
}

/// How long a command may take beyond its deadline until its client is told that the outcome is not known: longer than
/// the log takes to commit, or to find out what became of a commit.
const DECIDED_PATIENCE: Duration = Duration::from_secs(20);

/// How long a client waits at most.
#[derive(Clone, Copy)]
struct Patience {
    query: Duration,
    command: Duration,
    /// How much longer where the passwords of many are hashed.
    hashing: Duration,
}

/// Whatever hangs (a database that accepts and does not answer) is given up. A command runs on a task of its own and
/// goes on: only its client is told that it is not known what becomes of it.
async fn answer_in_time(patience: Patience, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let hashes_many = route.is_some_and(|route| route.as_str() == routes::users::CREATE);
    let (patience, kind) = if request.method().is_safe() {
        (patience.query, Kind::Unavailable)
    } else if hashes_many {
        let command = patience.command.saturating_add(patience.hashing);
        (command, Kind::OutcomeUnknown)
    } else {
        (patience.command, Kind::OutcomeUnknown)
    };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::from(kind).into_response(),
    }
}

/// The same frame around any routes; innermost first.
pub(crate) fn framed<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(log_response)
        .on_failure(());
    routes
        .fallback(async || ApiError::from(Kind::NotFound))
        .method_not_allowed_fallback(async || ApiError::from(Kind::MethodNotAllowed))
        // answers may be personal: nothing between here and the client keeps them
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(unread::discard))
        .layer(trace)
        .layer(middleware::from_fn(request_id::assign))
}

/// The route as a template: paths and queries may be personal.
fn span(request: &Request) -> Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", |route| route.as_str());
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .map_or("", RequestId::as_str);
    tracing::info_span!("request", method = %request.method(), route, request_id)
}

fn log_response(response: &Response, latency: Duration, _: &Span) {
    let (status, latency_us) = (response.status().as_u16(), latency.as_micros() as u64);
    if response.status().is_server_error() {
        tracing::warn!(status, latency_us, "answered");
    } else {
        tracing::debug!(status, latency_us, "answered");
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
fn panicked(reason: Box<dyn Any + Send + 'static>) -> Response {
    let reason = reason
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| reason.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown");
    tracing::error!(reason, "a handler panicked");
    ApiError::Panicked.into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use axum::{
        body::{Body, to_bytes},
        http::StatusCode,
        routing::post,
    };
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, path: &str) -> (Response<()>, Value) {
        let routes = Router::new()
            .route("/panic", get(async || -> &'static str { panic!("oh") }))
            .route("/things", post(async || "done"));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-request-id", "r-1");
        let response = framed(routes)
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (
            Response::from_parts(parts, ()),
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    #[tokio::test]
    async fn unknown_paths_methods_and_panics_are_problems() {
        for (method, path, status, slug) in [
            ("GET", "/nowhere", StatusCode::NOT_FOUND, "not-found"),
            (
                "GET",
                "/things",
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
            ),
            (
                "GET",
                "/panic",
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
            ),
        ] {
            let (response, document) = ask(method, path).await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
            assert_eq!(document["type"], format!("/problems/{slug}"));
            assert_eq!(response.headers()["x-request-id"], "r-1");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_that_hangs_is_given_up_and_of_a_command_it_is_said_that_nothing_is_known() {
        let slow = async || {
            tokio::time::sleep(Duration::from_secs(20)).await;
            "done"
        };
        let hanging = async || -> &'static str { std::future::pending().await };
        let patience = Patience {
            query: Duration::from_secs(15),
            command: Duration::from_secs(30),
            hashing: Duration::from_secs(30),
        };
        let slower = async || {
            tokio::time::sleep(Duration::from_secs(50)).await;
            "done"
        };
        let bounded =
            middleware::from_fn(move |request, next| answer_in_time(patience, request, next));
        let app = Router::new()
            .route("/slow", get(slow).post(slow))
            .route("/hanging", post(hanging))
            .route("/slower", post(slower))
            .route(routes::users::CREATE, post(slower))
            .layer(bounded);
        for (method, path, kind) in [
            ("GET", "/slow", Some("/problems/unavailable")),
            ("POST", "/slow", None),
            ("POST", "/hanging", Some("/problems/outcome-unknown")),
            ("POST", "/slower", Some("/problems/outcome-unknown")),
            ("POST", routes::users::CREATE, None),
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            let expected = kind.map_or(StatusCode::OK, |_| StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.status(), expected, "{method} {path}");
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let document: Value = serde_json::from_slice(&body).unwrap_or_default();
            assert_eq!(document["type"].as_str(), kind, "{method} {path}");
        }
    }

    #[test]
    fn many_users_are_made_where_it_says() {
        let (_, document) = documented().split_for_parts();
        assert!(document.paths.paths.contains_key(routes::users::CREATE));
    }

    #[tokio::test]
    async fn a_method_that_is_not_allowed_says_which_are() {
        let (response, _) = ask("DELETE", "/things").await;
        assert_eq!(response.headers()[header::ALLOW], "POST");
    }

    #[tokio::test]
    async fn every_answer_has_the_headers_of_the_frame() {
        let (response, _) = ask("POST", "/things").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-request-id"], "r-1");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
