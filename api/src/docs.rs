//! What people read in a browser: the docs page with its assets compiled in, the OpenAPI document that it shows, and
//! the explanation of every type of problem.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    Router,
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    error::ApiError,
    openapi::openapi,
    problem::{Kind, Problem},
    state::App,
};

/// Where the document is.
pub const OPENAPI_PATH: &str = "/openapi.json";

/// The document as text. It only depends on the binary.
static DOCUMENT: LazyLock<Result<String, serde_json::Error>> =
    LazyLock::new(|| openapi().to_json());

/// The routes for people.
pub fn router() -> Router<App> {
    let page = SwaggerUi::new("/docs").config(
        Config::from(OPENAPI_PATH)
            .try_it_out_enabled(true)
            .persist_authorization(false),
    );
    Router::new()
        .merge(Router::from(page))
        .route(OPENAPI_PATH, get(document))
        .route("/problems", get(problems))
        .route("/problems/{slug}", get(problem))
}

async fn document() -> Response {
    match &*DOCUMENT {
        Ok(document) => (
            [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )],
            document.as_str(),
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "the OpenAPI document cannot be written");
            Problem::new(Kind::Internal).into_response()
        }
    }
}

/// Every type of problem, as plain text.
async fn problems() -> String {
    let mut text = String::from("Types of problems (RFC 9457)\n");
    for kind in Kind::ALL {
        text.push('\n');
        explain(*kind, &mut text);
    }
    text
}

async fn problem(Path(slug): Path<String>) -> Result<String, ApiError> {
    let kind = Kind::ALL
        .iter()
        .find(|kind| kind.slug() == slug)
        .ok_or(Kind::NotFound)?;
    let mut text = String::new();
    explain(*kind, &mut text);
    Ok(text)
}

fn explain(kind: Kind, text: &mut String) {
    // writing into a string cannot fail
    let _ = writeln!(
        text,
        "{}\n{} {}\n{}",
        kind.uri(),
        kind.status().as_u16(),
        kind.title(),
        kind.explanation()
    );
}
