//! Problem documents (RFC 9457): the one shape of every answer that is not a success, and the list of their types.
//!
//! A type is a relative URI `/problems/<slug>`, which the server answers with its explanation. Slugs and statuses are
//! part of the API: they never change; titles and details may. [`crate::error`] decides which error is which type.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Where the types are explained.
pub const TYPES_PATH: &str = "/problems/";

/// Media type of problem documents.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $slug:literal, $status:ident, $title:literal;)+) => {
        /// The types of problems. Each one's documentation is what its URI answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Kind {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Last part of the type's URI.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug,)+ }
            }

            /// The type's URI, relative to the server.
            pub const fn uri(self) -> &'static str {
                match self { $(Self::$kind => concat!("/problems/", $slug),)+ }
            }

            /// The status of answers of this type.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)+ }
            }

            /// What it is, in a few words; the same in every answer.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)+ }
            }

            /// What it means and what a client can do about it.
            pub fn explanation(self) -> String {
                let lines: &[&str] = match self { $(Self::$kind => &[$($doc),+],)+ };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }
        }
    };
}

kinds! {
    /// The body is not JSON: not UTF-8, cut off, nested too deeply, or followed by something else. Send valid JSON.
    MalformedJson = "malformed-json", BAD_REQUEST, "The body is not valid JSON";
    /// A part of the address or a header cannot be read, or is not known. `errors` names each one.
    InvalidParameter = "invalid-parameter", BAD_REQUEST, "A parameter is not valid";
    /// The body is JSON, but not what is asked for. `errors` lists what is wrong, each with a JSON pointer.
    Validation = "validation", UNPROCESSABLE_ENTITY, "The body is not valid";
    /// Bodies are sent as `application/json`.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be application/json";
    /// The body is larger than this server accepts.
    PayloadTooLarge = "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The request did not arrive in time. Send it again.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The request took too long to arrive";
    /// There is no access token, or it is not valid, expired or revoked. Log in and send `Authorization: Bearer <token>`.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "Log in first";
    /// The e-mail address or the password is wrong; which of them is told to nobody.
    WrongCredentials = "wrong-credentials", UNAUTHORIZED, "Wrong e-mail address or password";
    /// The one-time code is wrong, or it has expired, was used, or was tried too often; which of them, and whether there is
    /// such an account, is told to nobody. Ask for another code.
    CodeRefused = "code-refused", UNPROCESSABLE_ENTITY, "The code is refused";
    /// The refresh token is unknown, or it has expired, was used before, or its session was ended. Log in again.
    SessionOver = "session-over", UNAUTHORIZED, "The session is over";
    /// That was tried too often: from this address, or for this account. Try again after `Retry-After`; `RateLimit` says in
    /// every answer what is left.
    TooManyTries = "too-many-tries", TOO_MANY_REQUESTS, "Too many tries";
    /// The access token or the API key is valid, but this is not allowed: by no role, not by the scopes of the key, or not
    /// with an API key at all.
    Forbidden = "forbidden", FORBIDDEN, "Not allowed";
    /// Whoever orders here first confirms their e-mail address: ask for a code at `/api/v1/email-verifications`, and send
    /// it to `/api/v1/email-verifications/confirm`.
    EmailNotVerified = "email-not-verified", FORBIDDEN, "Confirm your e-mail address first";
    /// There is nothing at this address, or nothing that you may see.
    NotFound = "not-found", NOT_FOUND, "Not found";
    /// The address exists, the method does not; `Allow` lists those that do.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// Fewer pieces can be had than were asked for. Nothing was ordered and nothing was charged. `product_id` names
    /// the product, `available` how many are left.
    InsufficientStock = "insufficient_stock", CONFLICT, "Not enough in stock";
    /// What is already there does not allow it. `detail` says what.
    Conflict = "conflict", CONFLICT, "In conflict with what is there";
    /// The order cannot make this move. `order_status` and `payment_status` say where it is, `allowed` which statuses it
    /// can get to.
    IllegalMove = "illegal-move", CONFLICT, "The order cannot make this move";
    /// A product of the order cannot be ordered: it does not exist, or not any more. `product_id` names it.
    NotOnSale = "not-on-sale", CONFLICT, "A product is not on sale";
    /// The shop sells nothing: it waits for an admin's approval, or it was closed. Where a product of an order is meant,
    /// `product_id` names it.
    ShopNotOpen = "shop-not-open", CONFLICT, "The shop is not open";
    /// A discount that was asked for by its code is not to be had. `code` names it, `reason` says why: `unknown`,
    /// `not_started`, `ended`, `used_up`, `used_up_by_customer`, `nothing_covered` or `below_minimum`. Nothing was ordered.
    DiscountNotDue = "discount-not-due", CONFLICT, "The discount is not to be had";
    /// What was to be ordered costs something else than was shown. Nothing was ordered, or changed. `order_total` is what it
    /// costs now, `differences` lists what it is made of that is another than was shown, each by its name in `what`:
    /// `unit_price`, `tax`, `discount`. Who accepts that sends it again with `expected_total`.
    PriceChanged = "price-changed", CONFLICT, "The price has changed";
    /// There is nothing in the cart that could be ordered.
    CartEmpty = "cart-empty", CONFLICT, "The cart is empty";
    /// The region serves its own country only, and the order goes to another one.
    CountryOutsideRegion = "country-outside-region", CONFLICT, "The region does not serve that country";
    /// The region takes no orders and no products at the moment.
    RegionDisabled = "region-disabled", CONFLICT, "The region is disabled";
    /// Something that must be unique belongs to something else: the sku or the discount code in its region,
    /// the default region of a currency, the title of a category.
    Taken = "taken", CONFLICT, "Taken already";
    /// The e-mail address belongs to an account already. Log in, or choose another one.
    EmailTaken = "email-taken", CONFLICT, "The e-mail address is taken";
    /// Nobody could manage users any more. Make somebody else an admin first.
    LastAdmin = "last-admin", CONFLICT, "The last admin stays";
    /// The thing was changed since you read it: `If-Match` does not fit. Read it again and decide anew.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "Changed in the meantime";
    /// This change needs an `If-Match` header with the `ETag` of what you have read.
    PreconditionRequired = "precondition-required", PRECONDITION_REQUIRED, "If-Match is required";
    /// The Idempotency-Key was used before, with another body. Use a new key for another request.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request";
    /// A request with this Idempotency-Key is being worked on. Repeat it in a moment.
    IdempotencyKeyInUse = "idempotency-key-in-use", CONFLICT, "A request with this Idempotency-Key is under way";
    /// The log does not hold the event that `Souk-Min-Position` or `Last-Event-ID` names: the log was restored to an older state, or the
    /// position is of another server. Forget the position, and look whether the change is there.
    PositionUnknown = "position-unknown", CONFLICT, "The position is not known";
    /// Too much has happened since the event that `Last-Event-ID` names. Read the stock afresh, and follow it from now on,
    /// without that header.
    PositionTooOld = "position-too-old", GONE, "The position is too far back";
    /// The read model has not got to the position of `Souk-Min-Position` in time. Ask again after `Retry-After`.
    ReadModelBehind = "read-model-behind", SERVICE_UNAVAILABLE, "The read model is behind";
    /// Something about this very row could not be handled: it lags behind until an operator has looked at it.
    ReadModelDegraded = "read-model-degraded", SERVICE_UNAVAILABLE, "The read model is degraded here";
    /// Too much is waiting to be done. Nothing was changed. Try again after `Retry-After`.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Overloaded";
    /// Something that the server needs does not answer. Nothing was changed. Try again after `Retry-After`.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available at the moment";
    /// The request was not got to in time and was dropped. Nothing was changed. Try again after `Retry-After`.
    DeadlinePassed = "deadline-passed", SERVICE_UNAVAILABLE, "Not got to in time";
    /// The connection to the database was lost while the change was committed, and it is not known yet whether it took
    /// place. Repeat the request with the same Idempotency-Key; without one, look first.
    OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, "The outcome is not known yet";
    /// A newer version of the server has written what this one cannot read. Ask again: another instance may answer.
    NewerVersion = "newer-version", SERVICE_UNAVAILABLE, "Written by a newer version";
    /// A defect of the server. The `x-request-id` of the answer helps to find it in the logs.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong";
}

/// What is wrong with one part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The part of the body, as a JSON pointer (RFC 6901); the empty pointer is the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/items/0/quantity")]
    pub pointer: Option<String>,
    /// The parameter or header, where it is not the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    pub parameter: Option<String>,
    /// What is wrong with it.
    #[schema(example = "must be a whole number from 1 to 1000000")]
    pub detail: String,
}

impl FieldError {
    /// Something wrong at `pointer` of the body.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            detail: detail.into(),
        }
    }

    /// Something wrong with a parameter or header.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.into()),
            detail: detail.into(),
        }
    }
}

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: Option<String>,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Seconds after which a client may try again what could not be served.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    /// A problem of this type.
    pub fn new(kind: Kind) -> Self {
        let mut headers = Vec::new();
        if kind.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.push((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            members: Map::new(),
            headers,
        }
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Says what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says which parts of the request are wrong.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Says that all of it is about this part of the body: its pointers begin there, and where it has none, it points there.
    #[must_use]
    pub fn within(mut self, part: &str) -> Self {
        for error in &mut self.errors {
            if let Some(pointer) = &mut error.pointer {
                pointer.insert_str(0, part);
            }
        }
        if self.errors.is_empty() {
            let detail = self.detail.as_deref().unwrap_or(self.kind.title());
            self.errors.push(FieldError::at(part, detail));
        }
        self
    }

    /// Adds a member of its type's own.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A problem document (RFC 9457). Some types have further members; `/problems/<slug>` explains each type.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Which type of problem, as a URI relative to the server. Programs decide by this.
    #[serde(rename = "type")]
    #[schema(schema_with = kind_schema)]
    kind: &'static str,
    /// What that type is, in a few words.
    #[schema(example = "Not enough in stock")]
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 409)]
    status: u16,
    /// What happened this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Which parts of the request are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Members of the type's own.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

/// A string, one of the URIs of all types.
fn kind_schema() -> utoipa::openapi::schema::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .format(Some(utoipa::openapi::SchemaFormat::Custom(
            "uri-reference".into(),
        )))
        .enum_values(Some(Kind::ALL.iter().map(|kind| kind.uri())))
        .build()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let document = ProblemDocument {
            kind: self.kind.uri(),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            members: self.members,
        };
        // strings, numbers and lists of them always serialise; an empty body under the right status would still do
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, MEDIA_TYPE);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::HashSet;

    use axum::body::to_bytes;

    use super::*;

    async fn document(problem: Problem) -> (Response<()>, Value) {
        let (parts, body) = problem.into_response().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (
            Response::from_parts(parts, ()),
            serde_json::from_slice(&body).unwrap(),
        )
    }

    #[test]
    fn every_type_has_a_slug_of_its_own_and_an_explanation() {
        let slugs: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(kind.uri(), format!("{TYPES_PATH}{}", kind.slug()));
            assert!(kind.explanation().len() > 20, "{kind:?}");
            assert!(!kind.status().is_success());
        }
    }

    #[tokio::test]
    async fn a_problem_is_a_document_with_its_own_members() {
        let problem = Problem::new(Kind::InsufficientStock)
            .detail("2 are left")
            .member("available", 2);
        let (response, document) = document(problem).await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(
            document,
            serde_json::json!({
                "type": "/problems/insufficient_stock",
                "title": "Not enough in stock",
                "status": 409,
                "detail": "2 are left",
                "available": 2,
            })
        );
    }

    #[tokio::test]
    async fn what_may_be_tried_again_says_when() {
        for kind in Kind::ALL {
            let (response, _) = document(Problem::new(*kind)).await;
            let passing = kind.status() == StatusCode::SERVICE_UNAVAILABLE;
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                passing,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_an_element_is_pointed_at_from_the_whole() {
        let pointers = |problem: Problem| -> Vec<_> {
            let pointer = |error: FieldError| (error.pointer.unwrap(), error.detail);
            problem.errors.into_iter().map(pointer).collect()
        };
        let wrong = Problem::new(Kind::Validation)
            .errors(vec![
                FieldError::at("/items/0", "a"),
                FieldError::at("", "b"),
            ])
            .within("/orders/3");
        assert_eq!(
            pointers(wrong),
            [
                ("/orders/3/items/0".into(), "a".into()),
                ("/orders/3".into(), "b".into())
            ]
        );
        let short = Problem::new(Kind::InsufficientStock).detail("2 are left");
        assert_eq!(
            pointers(short.within("/orders/0")),
            [("/orders/0".into(), "2 are left".into())]
        );
        let plain = Problem::new(Kind::RegionDisabled).within("/orders/0");
        assert_eq!(
            pointers(plain),
            [("/orders/0".into(), Kind::RegionDisabled.title().into())]
        );
    }

    #[tokio::test]
    async fn errors_point_at_what_is_wrong() {
        let errors = vec![
            FieldError::at("/items/0/quantity", "too many"),
            FieldError::parameter("limit", "too large"),
        ];
        let (_, document) = document(Problem::new(Kind::Validation).errors(errors)).await;
        assert_eq!(
            document["errors"],
            serde_json::json!([
                {"pointer": "/items/0/quantity", "detail": "too many"},
                {"parameter": "limit", "detail": "too large"},
            ])
        );
    }
}
