//! The OpenAPI 3.1 document: generated from the handlers, then completed with what holds for all of them (refusals
//! for lack of a token, for bad input, for what passes), so that no handler has to repeat it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::{
    OpenApi,
    openapi::{
        AllOfBuilder, Components, ContentBuilder, HeaderBuilder, ObjectBuilder,
        OpenApi as Document, Ref, RefOr, Response, ResponseBuilder, Schema, Type,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    fields,
    problem::{FieldError, Kind, ProblemDocument},
    router,
};

pub mod parts;

/// Name of the one way to say who one is.
pub const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Souk",
        description = "Event-sourced e-commerce backend. Commands are answered with `Souk-Position`; a query that is sent \
            that value as `Souk-Min-Position` sees what the command did. Errors are problem documents (RFC 9457); \
            their types are listed at `/problems`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    components(schemas(ProblemDocument, FieldError)),
    tags(
        (name = "log-in", description = "Access tokens."),
        (name = "accounts", description = "Registration, confirmed e-mail addresses, forgotten passwords."),
        (name = "api keys", description = "What programs send instead of an access token."),
        (name = "profile", description = "What one is to the shop, and where one is reached."),
        (name = "users", description = "Everybody's accounts, for admins; one or many at once."),
        (name = "regions", description = "Markets: a currency and a tax rule each."),
        (name = "categories", description = "What products are grouped by."),
        (name = "shops", description = "Sellers' places in the market."),
        (name = "products", description = "The catalogue."),
        (name = "stock", description = "How many pieces of a product there are."),
        (name = "discounts", description = "What is taken off prices, by code or by itself."),
        (name = "carts", description = "What a customer means to buy, priced afresh."),
        (name = "orders", description = "Placing, reading and cancelling orders."),
        (name = "payments", description = "Payments, with what the gateway said."),
        (name = "history", description = "The event log."),
        (name = "operations", description = "How the server runs."),
        (name = "simple contract", description = "A small API for simple clients, beside `/api/v1`."),
    ),
)]
struct Base;

/// The document without its paths.
pub(crate) fn base() -> Document {
    let mut document = Base::openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    document
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    document
}

/// The whole document.
pub fn openapi() -> Document {
    let mut document = router::documented().split_for_parts().1;
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            complete(operation);
        }
    }
    tell_kinds(&mut document);
    document
}

/// The bodies that tell kind and attributes of a product.
const OF_A_KIND: [&str; 3] = ["ProductInput", "ProductPatch", "ProductBody"];

/// Says of those bodies which attributes go with which kind.
fn tell_kinds(document: &mut Document) {
    let components = document.components.get_or_insert_with(Components::new);
    let schema = fields::schema_by_kind();
    components
        .schemas
        .insert("AttributesByKind".to_owned(), schema.into());
    for name in OF_A_KIND {
        if let Some(body) = components.schemas.remove(name) {
            let both = AllOfBuilder::new()
                .item(body)
                .item(Ref::from_schema_name("AttributesByKind"));
            let both = Schema::AllOf(both.build());
            components.schemas.insert(name.to_owned(), both.into());
        }
    }
}

/// The operations of a path.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// Adds the refusals that hold for every operation of its kind.
fn complete(operation: &mut Operation) {
    use Kind as K;
    // a parameter that is not known is refused everywhere
    let mut kinds = vec![K::Internal, K::Unavailable, K::InvalidParameter];
    if operation
        .security
        .as_ref()
        .is_some_and(|security| !security.is_empty())
    {
        kinds.extend([K::Unauthenticated, K::Forbidden]);
    }
    if operation.request_body.is_some() {
        kinds.extend([
            K::MalformedJson,
            K::RequestTimeout,
            K::PayloadTooLarge,
            K::UnsupportedMediaType,
            K::Validation,
        ]);
    }
    if takes(operation, "Idempotency-Key") {
        kinds.push(K::IdempotencyKeyReused);
    }
    let mut titles: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for kind in kinds {
        titles
            .entry(kind.status().as_str().to_owned())
            .or_default()
            .push(kind.title());
    }
    let responses = &mut operation.responses.responses;
    for (status, titles) in titles {
        responses
            .entry(status)
            .or_insert_with(|| problem_response(&titles.join("; ")).into());
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            describe(status, response);
        }
    }
}

/// Whether the operation takes that parameter.
fn takes(operation: &Operation, name: &str) -> bool {
    operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == name))
}

/// Every response is described and has the id of its request.
fn describe(status: &str, response: &mut Response) {
    if response.description.is_empty() {
        let reason = status
            .parse()
            .ok()
            .and_then(|status: StatusCode| status.canonical_reason());
        reason
            .unwrap_or(status)
            .clone_into(&mut response.description);
    }
    let schema = ObjectBuilder::new().schema_type(Type::String);
    let header = HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some("Id of the request, in logs and events."))
        .build();
    response
        .headers
        .entry("x-request-id".to_owned())
        .or_insert_with(|| header.into());
}

pub(crate) fn problem_response(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build()
}

#[cfg(test)]
mod tests;
