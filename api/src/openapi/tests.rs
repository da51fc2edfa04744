#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

fn document() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

/// Method and path of every operation, with the operation.
fn all() -> BTreeMap<(String, String), Value> {
    let mut all = BTreeMap::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.insert((path.clone(), method.to_uppercase()), operation.clone());
        }
    }
    all
}

/// Everything that needs no token.
const OPEN: &[(&str, &str)] = &[
    ("/.well-known/jwks.json", "GET"),
    ("/api/login", "POST"),
    ("/api/products", "GET"),
    ("/api/registration", "POST"),
    ("/api/v1/categories", "GET"),
    ("/api/v1/categories/{id}", "GET"),
    ("/api/v1/email-verifications", "POST"),
    ("/api/v1/email-verifications/confirm", "POST"),
    ("/api/v1/kinds", "GET"),
    ("/api/v1/login", "POST"),
    ("/api/v1/logout", "POST"),
    ("/api/v1/password-resets", "POST"),
    ("/api/v1/password-resets/confirm", "POST"),
    ("/api/v1/products", "GET"),
    ("/api/v1/products/{id}", "GET"),
    ("/api/v1/products/{id}/stock", "GET"),
    ("/api/v1/refresh", "POST"),
    ("/api/v1/regions", "GET"),
    ("/api/v1/regions/{id}", "GET"),
    ("/api/v1/registrations", "POST"),
    ("/api/v1/shops", "GET"),
    ("/api/v1/shops/{id}", "GET"),
    ("/api/v1/stock/feed", "GET"),
    ("/health/live", "GET"),
    ("/health/ready", "GET"),
];

/// Everything that demands one.
const GUARDED: &[(&str, &str)] = &[
    ("/api/orders/create", "POST"),
    ("/api/products", "POST"),
    ("/api/profile", "GET"),
    ("/api/v1/account-closures", "GET"),
    ("/api/v1/api-keys", "GET"),
    ("/api/v1/api-keys", "POST"),
    ("/api/v1/api-keys/{id}", "DELETE"),
    ("/api/v1/carts", "GET"),
    ("/api/v1/carts/{id}", "DELETE"),
    ("/api/v1/carts/{id}", "GET"),
    ("/api/v1/carts/{id}/checkout", "POST"),
    ("/api/v1/carts/{id}/codes", "PUT"),
    ("/api/v1/carts/{id}/items", "POST"),
    ("/api/v1/carts/{id}/items/{product_id}", "DELETE"),
    ("/api/v1/carts/{id}/items/{product_id}", "PUT"),
    ("/api/v1/categories", "POST"),
    ("/api/v1/categories/{id}", "DELETE"),
    ("/api/v1/categories/{id}", "PATCH"),
    ("/api/v1/discounts", "GET"),
    ("/api/v1/discounts", "POST"),
    ("/api/v1/discounts/{id}", "DELETE"),
    ("/api/v1/discounts/{id}", "GET"),
    ("/api/v1/discounts/{id}", "PATCH"),
    ("/api/v1/events", "GET"),
    ("/api/v1/events/{position}", "GET"),
    ("/api/v1/logout/everywhere", "POST"),
    ("/api/v1/mails", "GET"),
    ("/api/v1/orders", "GET"),
    ("/api/v1/orders", "POST"),
    ("/api/v1/orders/bulk-create", "POST"),
    ("/api/v1/orders/bulk-read", "POST"),
    ("/api/v1/orders/bulk-update", "POST"),
    ("/api/v1/orders/quote", "POST"),
    ("/api/v1/orders/{id}", "DELETE"),
    ("/api/v1/orders/{id}", "GET"),
    ("/api/v1/orders/{id}", "PATCH"),
    ("/api/v1/orders/{id}/cancel", "POST"),
    ("/api/v1/orders/{id}/deliver", "POST"),
    ("/api/v1/orders/{id}/shipments", "POST"),
    ("/api/v1/orders/{id}/timeline", "GET"),
    ("/api/v1/payments", "GET"),
    ("/api/v1/payments/{id}", "GET"),
    ("/api/v1/products", "POST"),
    ("/api/v1/products/{id}", "DELETE"),
    ("/api/v1/products/{id}", "PATCH"),
    ("/api/v1/products/{id}/stock", "PUT"),
    ("/api/v1/products/{id}/stock/adjustments", "POST"),
    ("/api/v1/products/{id}/stock/receipts", "POST"),
    ("/api/v1/products/{id}/stock/threshold", "PUT"),
    ("/api/v1/profile", "DELETE"),
    ("/api/v1/profile", "GET"),
    ("/api/v1/profile", "PATCH"),
    ("/api/v1/profile/password", "PUT"),
    ("/api/v1/regions", "POST"),
    ("/api/v1/regions/{id}", "DELETE"),
    ("/api/v1/regions/{id}", "PATCH"),
    ("/api/v1/regions/{id}/disable", "POST"),
    ("/api/v1/regions/{id}/enable", "POST"),
    ("/api/v1/shops", "POST"),
    ("/api/v1/shops/{id}", "DELETE"),
    ("/api/v1/shops/{id}", "PATCH"),
    ("/api/v1/shops/{id}/approve", "POST"),
    ("/api/v1/shops/{id}/orders", "GET"),
    ("/api/v1/shops/{id}/orders/{order_id}", "GET"),
    ("/api/v1/subscriptions", "GET"),
    ("/api/v1/users", "GET"),
    ("/api/v1/users", "POST"),
    ("/api/v1/users/bulk-create", "POST"),
    ("/api/v1/users/bulk-delete", "POST"),
    ("/api/v1/users/bulk-read", "POST"),
    ("/api/v1/users/bulk-update", "POST"),
    ("/api/v1/users/{id}", "DELETE"),
    ("/api/v1/users/{id}", "GET"),
    ("/api/v1/users/{id}", "PATCH"),
    ("/api/v1/users/{id}/roles/{role}", "DELETE"),
    ("/api/v1/users/{id}/roles/{role}", "PUT"),
];

#[test]
fn every_route_is_described_and_says_whether_it_needs_a_token() {
    let key = |(path, method): &(&str, &str)| ((*path).to_owned(), (*method).to_owned());
    let expected: BTreeSet<_> = OPEN.iter().chain(GUARDED).map(key).collect();
    let all = all();
    assert_eq!(all.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (route, operation) in &all {
        let guarded = GUARDED.iter().map(key).any(|known| known == *route);
        assert_eq!(operation["security"][0].is_object(), guarded, "{route:?}");
        let responses = operation["responses"].as_object().unwrap();
        for status in ["401", "403"] {
            assert!(!guarded || responses.contains_key(status), "{route:?}");
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_a_summary() {
    let all = all();
    let names: BTreeSet<&str> = all
        .values()
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), all.len());
    for (route, operation) in &all {
        assert!(
            operation["summary"]
                .as_str()
                .is_some_and(|summary| !summary.is_empty()),
            "{route:?}"
        );
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{route:?}");
    }
}

#[test]
fn every_response_is_described_and_every_refusal_is_a_problem() {
    for (route, operation) in all() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                response["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{route:?} {status}"
            );
            let refused = !status.starts_with('2');
            if refused && route.0 != "/health/ready" {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{route:?} {status}");
            }
        }
    }
}

#[test]
fn a_command_that_creates_can_be_repeated() {
    // repeated, what makes accounts is refused: the address is taken
    let exempt = [
        "/api/v1/login",
        "/api/login",
        "/api/registration",
        "/api/v1/api-keys",
        "/api/v1/users",
        "/api/v1/users/bulk-create",
    ];
    for ((path, method), operation) in all() {
        let creates = operation["responses"]["201"].is_object();
        if method != "POST" || !creates || exempt.contains(&path.as_str()) {
            continue;
        }
        let parameters = operation["parameters"].as_array().unwrap();
        assert!(
            parameters
                .iter()
                .any(|parameter| parameter["name"] == "Idempotency-Key"),
            "{path}"
        );
    }
}

#[test]
fn bodies_of_products_show_the_attributes_of_each_kind() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for name in OF_A_KIND {
        let reference = &schemas[name]["allOf"][1]["$ref"];
        assert_eq!(reference, "#/components/schemas/AttributesByKind", "{name}");
    }
    let choices = schemas["AttributesByKind"]["oneOf"].as_array().unwrap();
    for kind in domain::kinds::ALL {
        assert!(
            choices.iter().any(|choice| choice["title"] == kind.name),
            "{}",
            kind.name
        );
    }
}

#[test]
fn every_type_of_problem_is_listed() {
    let document = document();
    let listed = document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
        .as_array()
        .unwrap();
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.uri()).collect();
    assert_eq!(
        listed
            .iter()
            .map(|uri| uri.as_str().unwrap())
            .collect::<Vec<_>>(),
        kinds
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(target) if name == "$ref" => {
                            found.insert(target);
                        }
                        other => references(other, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn the_document_is_of_version_3_1() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
}
