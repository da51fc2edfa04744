#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body as HttpBody,
    extract::FromRef,
    http::{Request, StatusCode},
    response::Response,
    routing::{get, post},
};
use domain::ids::OrderId;
use eventstore::position::{Head, Position};
use futures::stream;
use garde::Validate;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use super::*;
use crate::fields::{Object, input};

#[derive(Clone)]
struct State;

impl FromRef<State> for RequestLimits {
    fn from_ref(_: &State) -> Self {
        Self {
            max_body: 4_096,
            timeout: Duration::from_secs(2),
        }
    }
}

#[derive(Debug, Default, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Parcel {
    #[garde(dive)]
    title: Option<input::Title>,
    #[garde(length(max = 2), dive)]
    #[serde(default)]
    items: Vec<Object<Item>>,
}

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Item {
    #[garde(dive)]
    quantity: input::Quantity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<u32>,
    #[serde(rename = "price[gte]")]
    price_gte: Option<i64>,
}

fn routes() -> Router {
    Router::new()
        .route(
            "/parcels",
            post(async |body: Body<Parcel>| body.value.items.len().to_string()),
        )
        .route(
            "/optional",
            post(async |body: OptionalBody<Parcel>| body.0.items.len().to_string()),
        )
        .route(
            "/orders/{id}",
            get(async |Id(id): Id<OrderId>| id.to_string()),
        )
        .route(
            "/list",
            get(async |Query(filter): Query<Filter>| {
                format!("{:?} {:?}", filter.limit, filter.price_gte)
            }),
        )
        .route(
            "/key",
            get(async |ClientKey(key): ClientKey| format!("{key:?}")),
        )
        .route("/match", get(async |tag: IfMatch| format!("{tag:?}")))
        .route(
            "/position",
            get(async |MinPosition(head): MinPosition| format!("{}", head.is_some())),
        )
        .with_state(State)
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn post_raw(path: &str, content_type: Option<&str>, body: HttpBody) -> (StatusCode, String) {
    let mut request = Request::post(path);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let response = routes().oneshot(request.body(body).unwrap()).await.unwrap();
    (response.status(), text(response).await)
}

async fn post_json(body: impl Into<HttpBody>) -> (StatusCode, Value) {
    let (status, text) = post_raw("/parcels", Some("application/json"), body.into()).await;
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// Slug of the problem, and where the first error is.
fn refusal(document: &Value) -> (&str, Option<&str>) {
    let slug = document["type"]
        .as_str()
        .unwrap()
        .strip_prefix("/problems/")
        .unwrap();
    (slug, document["errors"][0]["pointer"].as_str())
}

#[tokio::test]
async fn a_body_that_keeps_the_rules_gets_through() {
    for body in [
        r#"{"title":"Áo dài 👘","items":[{"quantity":1}]}"#,
        "\n {\"items\" : [{\"quantity\":2}]} \n",
    ] {
        assert_eq!(post_json(body).await, (StatusCode::OK, json!(1)), "{body}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let deep = format!("{{\"title\":{}{}}}", "[".repeat(2_000), "]".repeat(2_000));
    let bad: [&[u8]; 9] = [
        b"",
        b"{",
        b"{\"items\":[]} {}",
        b"\xff\xfe",
        b"{\"title\":\"\xff\"}",
        b"{\"title\":\"a\0b\"}",
        b"{\"title\":\"\\ud800\"}",
        b"{\"items\":[{\"quantity\":1e999}]}",
        deep.as_bytes(),
    ];
    for body in bad {
        let (status, document) = post_json(body.to_vec()).await;
        assert_eq!(
            status,
            StatusCode::BAD_REQUEST,
            "{}",
            String::from_utf8_lossy(body)
        );
        assert_eq!(refusal(&document), ("malformed-json", None));
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_pointed_at() {
    for (body, pointer) in [
        ("[]", ""),
        ("null", ""),
        ("\"text\"", ""),
        (r#"{"items":{}}"#, "/items"),
        (r#"{"items":[[1]]}"#, "/items/0"),
        (r#"{"items":[null]}"#, "/items/0"),
        (r#"{"items":[{"quantity":1},{}]}"#, "/items/1/quantity"),
        (r#"{"items":[{"quantity":1,"x":2}]}"#, "/items/0/x"),
        (r#"{"a/b~c":1}"#, "/a~1b~0c"),
        (r#"{"items":[],"items":[]}"#, "/items"),
        (r#"{"items":[{"quantity":0}]}"#, "/items/0/quantity"),
        (r#"{"items":[{"quantity":-1}]}"#, "/items/0/quantity"),
        (r#"{"items":[{"quantity":1.5}]}"#, "/items/0/quantity"),
        (r#"{"items":[{"quantity":"1"}]}"#, "/items/0/quantity"),
        (
            r#"{"items":[{"quantity":18446744073709551616}]}"#,
            "/items/0/quantity",
        ),
        (
            r#"{"items":[{"quantity":1},{"quantity":1},{"quantity":1}]}"#,
            "/items",
        ),
        (r#"{"title":""}"#, "/title"),
        (r#"{"title":{}}"#, "/title"),
    ] {
        let (status, document) = post_json(body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(
            refusal(&document),
            ("validation", Some(pointer)),
            "{body}: {document}"
        );
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let (_, document) = post_json(r#"{"title":7,"items":[{"quantity":0},{"quantity":"x"}]}"#).await;
    let pointers: Vec<&str> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        ["/items/0/quantity", "/items/1/quantity", "/title"]
    );
}

#[tokio::test]
async fn nul_is_refused_however_it_is_written() {
    for (body, accepted) in [
        (r#"{"title":"a\u0000"}"#, false),
        (r#"{"title":"a\\\u0000"}"#, false),
        (r#"{"title":"a\\u0000"}"#, true), // a backslash and five characters
    ] {
        let (status, _) = post_json(body).await;
        assert_eq!(status == StatusCode::OK, accepted, "{body}");
    }
}

#[tokio::test]
async fn bodies_are_json_in_utf8() {
    for (content_type, accepted) in [
        (Some("application/json"), true),
        (Some("Application/JSON; charset=UTF-8"), true),
        (Some("application/json; charset=\"utf-8\""), true),
        (Some("application/json;charset=latin1"), false),
        (Some("text/plain"), false),
        (Some("application/x-www-form-urlencoded"), false),
        (None, false),
    ] {
        let (status, _) = post_raw("/parcels", content_type, "{}".into()).await;
        let expected = if accepted {
            StatusCode::OK
        } else {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        };
        assert_eq!(status, expected, "{content_type:?}");
    }
}

#[tokio::test]
async fn a_body_is_bounded_whether_it_says_its_size_or_not() {
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(5_000));
    let (status, document) = post_json(large.clone()).await;
    assert_eq!(
        (status, refusal(&document).0),
        (StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large")
    );
    let chunks = large
        .into_bytes()
        .chunks(100)
        .map(|chunk| Ok::<_, Infallible>(chunk.to_vec()))
        .collect::<Vec<_>>();
    let streamed = HttpBody::from_stream(stream::iter(chunks));
    assert_eq!(post_json(streamed).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let stalled = HttpBody::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>());
    let (status, document) = post_json(stalled).await;
    assert_eq!(
        (status, refusal(&document).0),
        (StatusCode::REQUEST_TIMEOUT, "request-timeout")
    );
}

#[tokio::test]
async fn a_body_may_be_left_out_where_that_is_said() {
    assert_eq!(
        post_raw("/optional", None, HttpBody::empty()).await,
        (StatusCode::OK, "0".into())
    );
    let (status, _) = post_raw(
        "/optional",
        Some("application/json"),
        r#"{"items":[{"quantity":1}]}"#.into(),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        post_raw("/optional", None, "{}".into()).await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let (status, _) = post_raw("/optional", Some("application/json"), r#"{"x":1}"#.into()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn fetch(path: &str, headers: &[(&str, &[u8])]) -> (StatusCode, String) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = routes()
        .oneshot(request.body(HttpBody::empty()).unwrap())
        .await
        .unwrap();
    (response.status(), text(response).await)
}

#[tokio::test]
async fn what_is_no_id_is_not_found() {
    let id = Uuid::from_u128(7);
    assert_eq!(
        fetch(&format!("/orders/{id}"), &[]).await,
        (StatusCode::OK, id.to_string())
    );
    for bad in ["7", "nope", "%FF", "%00", "..%2f", "'%20or%201=1"] {
        assert_eq!(
            fetch(&format!("/orders/{bad}"), &[]).await.0,
            StatusCode::NOT_FOUND,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_query_is_read_strictly() {
    assert_eq!(fetch("/list", &[]).await.1, "None None");
    assert_eq!(
        fetch("/list?limit=5&price%5Bgte%5D=-7", &[]).await.1,
        "Some(5) Some(-7)"
    );
    assert_eq!(fetch("/list?price[gte]=7", &[]).await.1, "None Some(7)");
    for (query, parameter) in [
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=-1", "limit"),
        ("limit=99999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("Limit=1", "Limit"),
        ("price=7", "price"),
        ("price[gte]=7.5", "price[gte]"),
        ("%00=1", "\0"),
    ] {
        let (status, body) = fetch(&format!("/list?{query}"), &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            document["errors"][0]["parameter"], parameter,
            "{query}: {document}"
        );
    }
}

#[tokio::test]
async fn an_idempotency_key_is_short_and_printable() {
    assert_eq!(fetch("/key", &[]).await.1, "None");
    assert_eq!(
        fetch("/key", &[("idempotency-key", b"a b/7")]).await.1,
        "Some(\"a b/7\")"
    );
    let (longest, too_long) = ("x".repeat(255), "x".repeat(256));
    assert_eq!(
        fetch("/key", &[("idempotency-key", longest.as_bytes())])
            .await
            .0,
        StatusCode::OK
    );
    let bad: [&[(&str, &[u8])]; 4] = [
        &[("idempotency-key", b"")],
        &[("idempotency-key", too_long.as_bytes())],
        &[("idempotency-key", b"caf\xc3\xa9")],
        &[("idempotency-key", b"a"), ("idempotency-key", b"b")],
    ];
    for headers in bad {
        assert_eq!(
            fetch("/key", headers).await.0,
            StatusCode::BAD_REQUEST,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn if_match_names_one_version() {
    for (tag, expected) in [
        ("\"12\"", "Version(12)"),
        ("*", "Any"),
        ("\"abc\"", "Version(-1)"),
        ("\"-1\"", "Version(-1)"),
        ("W/\"12\"", "Version(-1)"),
    ] {
        assert_eq!(
            fetch("/match", &[("if-match", tag.as_bytes())]).await.1,
            expected,
            "{tag}"
        );
    }
    assert_eq!(fetch("/match", &[]).await.1, "Absent");
    for bad in ["12", "\"1\", \"2\"", "", "\""] {
        assert_eq!(
            fetch("/match", &[("if-match", bad.as_bytes())]).await.0,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_least_position_is_a_token_of_ours() {
    let head = Head {
        position: Position(5),
        event_id: Uuid::from_u128(1),
    }
    .to_string();
    assert_eq!(
        fetch("/position", &[("souk-min-position", head.as_bytes())])
            .await
            .1,
        "true"
    );
    assert_eq!(fetch("/position", &[]).await.1, "false");
    for bad in ["5", "", "AAAA"] {
        assert_eq!(
            fetch("/position", &[("souk-min-position", bad.as_bytes())])
                .await
                .0,
            StatusCode::BAD_REQUEST
        );
    }
}
