//! Query strings where there is nothing to ask for. Handlers that take parameters refuse those that they do not know; what
//! is sent to all others is refused here, in one place, so that nothing that a client means is left out without a word.
//!
//! Which operations take no parameters is read off the OpenAPI document. Pages for people are not in it: they take
//! whatever a browser sends.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn},
};

use crate::problem::{FieldError, Kind, Problem};

/// The operations of a document that take no query, by their path.
#[derive(Clone, Debug)]
pub(crate) struct WithoutQuery(Arc<HashMap<String, Vec<Method>>>);

impl WithoutQuery {
    /// Those of this document.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let paths = document.paths.paths.iter().map(|(path, item)| {
            let operations = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
                (Method::PATCH, &item.patch),
            ];
            let without = operations.into_iter().filter_map(|(method, operation)| {
                let operation = operation.as_ref()?;
                (!takes_query(operation)).then_some(method)
            });
            (path.clone(), without.collect())
        });
        Self(Arc::new(paths.collect()))
    }

    fn holds(&self, path: &str, method: &Method) -> bool {
        // a HEAD is answered by the handler of GET
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let methods = self.0.get(path);
        methods.is_some_and(|methods| methods.contains(method))
    }
}

fn takes_query(operation: &Operation) -> bool {
    operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
            RefOr::Ref(_) => false,
        })
}

/// Refuses parameters of operations that take none; each is named.
pub(crate) async fn refuse_unknown(
    without: WithoutQuery,
    request: Request,
    next: Next,
) -> Response {
    let names = unknown(&without, &request);
    if names.is_empty() {
        return next.run(request).await;
    }
    let errors = names
        .into_iter()
        .map(|name| FieldError::parameter(name, "is not a parameter of this call"));
    Problem::new(Kind::InvalidParameter)
        .errors(errors.collect())
        .into_response()
}

fn unknown(without: &WithoutQuery, request: &Request) -> BTreeSet<String> {
    let query = request.uri().query().unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>();
    let takes_none = route.is_some_and(|route| without.holds(route.as_str(), request.method()));
    if query.is_empty() || !takes_none {
        return BTreeSet::new();
    }
    form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::{
        Router,
        body::{Body, to_bytes},
        middleware,
        routing::get,
    };
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    fn document() -> OpenApi {
        let operation = |parameters: Value| json!({"responses": {}, "parameters": parameters});
        let parameter = |name: &str, place: &str| {
            let required = place == "path";
            json!([{"name": name, "in": place, "required": required}])
        };
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": "Things", "version": "1"},
            "paths": {
                "/things": {
                    "get": operation(parameter("limit", "query")),
                    "post": operation(parameter("idempotency-key", "header")),
                },
                "/things/{id}": {"get": operation(parameter("id", "path"))},
            },
        });
        serde_json::from_value(document).unwrap()
    }

    /// Status, and the parameters that are named.
    async fn ask(method: &str, path: &str) -> (u16, Vec<String>) {
        let without = WithoutQuery::of(&document());
        let layer = middleware::from_fn(move |request, next| {
            refuse_unknown(without.clone(), request, next)
        });
        let done = async || "done";
        let routes = Router::new()
            .route("/things", get(done).post(done))
            .route("/things/{id}", get(done))
            .route("/docs", get(done))
            .layer(layer);
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let errors = told["errors"].as_array().cloned().unwrap_or_default();
        let names = errors.iter().map(|error| {
            let name = error["parameter"].as_str().unwrap_or_default();
            name.to_owned()
        });
        (status, names.collect())
    }

    #[tokio::test]
    async fn what_takes_no_parameters_refuses_each_by_its_name() {
        for (method, path, names) in [
            ("GET", "/things/7?limit=1", json!(["limit"])),
            (
                "POST",
                "/things?b=1&a%5Bx%5D=2&b=3&=4",
                json!(["", "a[x]", "b"]),
            ),
            ("GET", "/things/7?%ff", json!(["\u{fffd}"])),
        ] {
            let (status, told) = ask(method, path).await;
            assert_eq!((status, json!(told)), (400, names), "{method} {path}");
        }
        assert_eq!(ask("HEAD", "/things/7?limit=1").await.0, 400);
    }

    #[tokio::test]
    async fn what_takes_some_and_what_is_not_described_is_left_alone() {
        for (method, path) in [
            ("GET", "/things?nonsense=1"),
            ("GET", "/things/7"),
            ("GET", "/things/7?"),
            ("POST", "/things?&"),
            ("GET", "/docs?page=1"),
        ] {
            assert_eq!(ask(method, path).await, (200, vec![]), "{method} {path}");
        }
    }
}
