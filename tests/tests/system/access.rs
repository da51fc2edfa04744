//! Who may do what: every route of the OpenAPI document, asked by nobody and by each role, against a literal table.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use tests::{
    answer::text_of,
    client::Client,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

/// Roles that a row lets in: nobody at all, customer, seller, analyst, admin.
const EVERYBODY: &str = "-csya";
const SIGNED_IN: &str = "csya";

/// Method, path as in the OpenAPI document, who may, and what whoever may is answered. Bodies are `{"nonsense": 1}`:
/// who may is told what is wrong with them (422), who may not hears no word about them.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, u16)] = &[
    ("POST",   "/api/v1/login",                           EVERYBODY, 422),
    ("POST",   "/api/v1/refresh",                         EVERYBODY, 422),
    ("POST",   "/api/v1/logout",                          EVERYBODY, 422),
    ("POST",   "/api/v1/registrations",                   EVERYBODY, 422),
    ("POST",   "/api/v1/email-verifications",             EVERYBODY, 422),
    ("POST",   "/api/v1/email-verifications/confirm",     EVERYBODY, 422),
    ("POST",   "/api/v1/password-resets",                 EVERYBODY, 422),
    ("POST",   "/api/v1/password-resets/confirm",         EVERYBODY, 422),
    ("PUT",    "/api/v1/profile/password",                SIGNED_IN, 422),
    ("GET",    "/api/v1/mails",                           "a",       200),
    ("GET",    "/api/v1/profile",                         SIGNED_IN, 200),
    ("PATCH",  "/api/v1/profile",                         SIGNED_IN, 422),
    ("GET",    "/api/v1/users",                           "a",       200),
    ("POST",   "/api/v1/users",                           "a",       422),
    ("GET",    "/api/v1/users/{id}",                      "a",       200),
    ("PATCH",  "/api/v1/users/{id}",                      "a",       422),
    ("POST",   "/api/v1/users/bulk-create",               "a",       422),
    ("POST",   "/api/v1/users/bulk-read",                 "a",       422),
    ("POST",   "/api/v1/users/bulk-update",               "a",       422),
    ("PUT",    "/api/v1/users/{id}/roles/{role}",         "a",       200),
    ("DELETE", "/api/v1/users/{id}/roles/{role}",         "a",       200),
    ("DELETE", "/api/v1/profile",                         SIGNED_IN, 415),
    ("POST",   "/api/v1/users/bulk-delete",               "a",       422),
    ("DELETE", "/api/v1/users/{id}",                      "a",       202),
    ("GET",    "/api/v1/account-closures",                "a",       200),
    ("GET",    "/api/v1/regions",                         EVERYBODY, 200),
    ("POST",   "/api/v1/regions",                         "a",       422),
    ("GET",    "/api/v1/regions/{id}",                    EVERYBODY, 200),
    ("PATCH",  "/api/v1/regions/{id}",                    "a",       422),
    ("POST",   "/api/v1/regions/{id}/disable",            "a",       200),
    ("POST",   "/api/v1/regions/{id}/enable",             "a",       200),
    ("GET",    "/api/v1/products",                        EVERYBODY, 200),
    ("POST",   "/api/v1/products",                        "a",       422),
    ("GET",    "/api/v1/products/{id}",                   EVERYBODY, 200),
    ("PATCH",  "/api/v1/products/{id}",                   "a",       422),
    ("GET",    "/api/v1/products/{id}/stock",             EVERYBODY, 200),
    ("PUT",    "/api/v1/products/{id}/stock",             "a",       422),
    ("POST",   "/api/v1/products/{id}/stock/receipts",    "a",       422),
    ("POST",   "/api/v1/products/{id}/stock/adjustments", "a",       422),
    ("GET",    "/api/v1/orders",                          "ca",      200),
    ("POST",   "/api/v1/orders",                          "c",       422),
    ("GET",    "/api/v1/orders/{id}",                     "ca",      200),
    ("POST",   "/api/v1/orders/{id}/cancel",              "ca",      422),
    ("GET",    "/api/v1/orders/{id}/timeline",            "cya",     200),
    ("GET",    "/api/v1/payments",                        "ca",      200),
    ("GET",    "/api/v1/payments/{id}",                   "ca",      200),
    ("GET",    "/api/v1/events",                          "ya",      200),
    ("GET",    "/api/v1/events/{position}",               "ya",      200),
    ("GET",    "/api/v1/subscriptions",                   "a",       200),
    ("DELETE", "/api/v1/products/{id}",                   "a",       204),
    ("POST",   "/api/registration",                       EVERYBODY, 422),
    ("POST",   "/api/login",                              EVERYBODY, 422),
    ("GET",    "/api/profile",                            SIGNED_IN, 200),
    ("GET",    "/api/products",                           EVERYBODY, 200),
    ("POST",   "/api/products",                           "sa",      422),
    ("POST",   "/api/orders/create",                      "c",       422),
    ("GET",    "/health/live",                            EVERYBODY, 200),
    ("GET",    "/health/ready",                           EVERYBODY, 200),
    ("GET",    "/openapi.json",                           EVERYBODY, 200),
    // the last row: nobody's token counts behind it
    ("POST",   "/api/v1/logout/everywhere",               SIGNED_IN, 204),
];

/// What the ids of the paths stand for: things of `customer@example.com`, so that the customer of the table owns them.
struct Things {
    region: String,
    product: String,
    order: String,
    payment: String,
    user: String,
}

impl Things {
    async fn make(shop: &Shop, server: &tests::server::Server) -> Self {
        let admin = shop.admin(server).await;
        let region = json!({
            "title": "A region", "country": "XX", "currency": "CHF", "tax_rate": 810, "prices_include_tax": true,
        });
        let region = admin
            .post("/api/v1/regions", &region)
            .await
            .expect(201)
            .id();
        let product = admin.product_in(&region, (100, "CHF"), 10).await;
        let owner = shop.demo_user(server, "customer").await;
        let order = owner.place(&[(&product, 1)], "test_succeeds").await;
        let payment = text_of(&owner.wait_until_paid(&order).await["payment_id"]);
        let user = json!({"name": "Somebody", "email": "somebody@example.com", "password": DEMO_PASSWORD});
        let user = admin.post("/api/v1/users", &user).await.expect(201).id();
        Self {
            region,
            product,
            order,
            payment,
            user,
        }
    }

    fn path(&self, template: &str) -> String {
        let id = match template {
            path if path.starts_with("/api/v1/regions") => &self.region,
            path if path.starts_with("/api/v1/products") => &self.product,
            path if path.starts_with("/api/v1/orders") => &self.order,
            path if path.starts_with("/api/v1/users") => &self.user,
            _ => &self.payment,
        };
        template
            .replace("{id}", id)
            .replace("{position}", "1")
            .replace("{role}", "seller")
    }
}

async fn ask(client: &Client, method: &str, path: &str) -> tests::answer::Answer {
    let ask = client.ask(Method::from_bytes(method.as_bytes()).unwrap(), path);
    match method {
        "GET" | "DELETE" => ask.send().await,
        // without a body where there is none to be sent
        _ if path.ends_with("able") => ask.send().await,
        _ => {
            ask.json(&json!({"nonsense": 1}))
                .if_match("\"1\"")
                .send()
                .await
        }
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_names_and_nobody_else() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let things = Things::make(&shop, &server).await;
    let anonymous = shop.client(&server);
    let mut callers = vec![('-', "nobody", anonymous.clone())];
    for (letter, who) in [
        ('c', "customer"),
        ('s', "seller"),
        ('y', "analyst"),
        ('a', "admin"),
    ] {
        callers.push((letter, who, shop.demo_user(&server, who).await));
    }
    let mut wrong = Vec::new();
    for (method, template, may, granted) in TABLE {
        let path = things.path(template);
        for (letter, who, client) in &callers {
            let expected = match (may.contains(*letter), letter) {
                (true, _) => *granted,
                (false, '-') => 401,
                (false, _) => 403,
            };
            let answer = ask(client, method, &path).await;
            if answer.status != expected {
                wrong.push(format!(
                    "{who}: {method} {template}: {expected} expected, {}",
                    answer.status
                ));
            } else if expected >= 400 {
                answer.any_problem();
            }
            if expected == 401 && answer.header("www-authenticate").is_none() {
                wrong.push(format!("{method} {template}: 401 without WWW-Authenticate"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    shop.close().await;
}

#[tokio::test]
async fn every_route_of_the_openapi_document_has_a_row() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let document = shop
        .client(&server)
        .get("/openapi.json")
        .await
        .expect(200)
        .json();
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in ["get", "put", "post", "delete", "patch"] {
            if item.get(method).is_some() {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    // the document does not list itself
    let rows = TABLE
        .iter()
        .filter(|row| row.1 != "/openapi.json" || routes.contains("GET /openapi.json"));
    let rows: BTreeSet<String> = rows
        .map(|(method, path, ..)| format!("{method} {path}"))
        .collect();
    let missing: Vec<_> = routes.difference(&rows).collect();
    let surplus: Vec<_> = rows.difference(&routes).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "without a row: {missing:?}, without a route: {surplus:?}"
    );
    shop.close().await;
}

#[tokio::test]
async fn what_belongs_to_another_customer_does_not_exist() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let things = Things::make(&shop, &server).await;
    let stranger = shop.customer(&server).await;
    let nothing = Uuid::new_v4().to_string();
    let templates = [
        "/api/v1/orders/ID",
        "/api/v1/orders/ID/timeline",
        "/api/v1/orders/ID/cancel",
        "/api/v1/payments/ID",
    ];
    for template in templates {
        let id = if template.contains("payments") {
            &things.payment
        } else {
            &things.order
        };
        let ask = async |id: &str| {
            let path = template.replace("ID", id);
            if template.ends_with("cancel") {
                stranger.post(&path, &json!({})).await
            } else {
                stranger.get(&path).await
            }
        };
        let (theirs, absent) = (ask(id).await, ask(&nothing).await);
        theirs.problem_of(404, "not-found");
        let masked = |answer: &tests::answer::Answer, id: &str| answer.text().replace(id, "ID");
        assert_eq!(
            masked(&theirs, id),
            masked(&absent, &nothing),
            "the two cannot be told apart"
        );
    }
    for list in ["/api/v1/orders", "/api/v1/payments"] {
        let page = stranger.get(list).await.expect(200).json();
        assert_eq!(page["items"], json!([]), "{list}");
    }
    let owner = shop.demo_user(&server, "customer").await;
    assert_eq!(
        owner.read_order(&things.order).await["status"],
        "processing",
        "the stranger cancelled nothing"
    );
    shop.close().await;
}
