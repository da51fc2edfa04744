//! Who may do what, against literal tables: every route of the OpenAPI document, asked by nobody and by each role, with a
//! token that has expired, with API keys of every kind; and every route with an id in it, asked by a stranger.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::Client,
    feed,
    jwt::Jwt,
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

use crate::{
    erasure::user_id,
    stalls::{Stalls, make_seller},
};

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
    ("GET",    "/.well-known/jwks.json",                  EVERYBODY, 200),
    ("GET",    "/api/v1/api-keys",                        SIGNED_IN, 200),
    ("POST",   "/api/v1/api-keys",                        SIGNED_IN, 422),
    ("DELETE", "/api/v1/api-keys/{id}",                   SIGNED_IN, 404), // there is none with that id
    ("GET",    "/api/v1/regions",                         EVERYBODY, 200),
    ("POST",   "/api/v1/regions",                         "a",       422),
    ("GET",    "/api/v1/regions/{id}",                    EVERYBODY, 200),
    ("PATCH",  "/api/v1/regions/{id}",                    "a",       422),
    ("DELETE", "/api/v1/regions/{id}",                    "a",       204),
    ("POST",   "/api/v1/regions/{id}/disable",            "a",       200),
    ("POST",   "/api/v1/regions/{id}/enable",             "a",       200),
    ("GET",    "/api/v1/categories",                      EVERYBODY, 200),
    ("POST",   "/api/v1/categories",                      "a",       422),
    ("GET",    "/api/v1/categories/{id}",                 EVERYBODY, 200),
    ("PATCH",  "/api/v1/categories/{id}",                 "a",       422),
    ("DELETE", "/api/v1/categories/{id}",                 "a",       204),
    ("GET",    "/api/v1/kinds",                           EVERYBODY, 200),
    ("GET",    "/api/v1/shops",                           EVERYBODY, 200),
    ("POST",   "/api/v1/shops",                           "c",       422),
    ("GET",    "/api/v1/shops/{id}",                      EVERYBODY, 200),
    ("PATCH",  "/api/v1/shops/{id}",                      "csa",     422), // before it is asked whose it is
    ("POST",   "/api/v1/shops/{id}/approve",              "a",       200),
    ("DELETE", "/api/v1/shops/{id}",                      "a",       204), // the shop is somebody else's
    ("GET",    "/api/v1/products",                        EVERYBODY, 200),
    ("POST",   "/api/v1/products",                        "sa",      422),
    ("GET",    "/api/v1/products/{id}",                   EVERYBODY, 200),
    ("PATCH",  "/api/v1/products/{id}",                   "sa",      422),
    ("GET",    "/api/v1/products/{id}/stock",             EVERYBODY, 200),
    ("PUT",    "/api/v1/products/{id}/stock",             "sa",      422),
    ("POST",   "/api/v1/products/{id}/stock/receipts",    "sa",      422),
    ("POST",   "/api/v1/products/{id}/stock/adjustments", "sa",      422),
    ("PUT",    "/api/v1/products/{id}/stock/threshold",   "sa",      422),
    ("GET",    "/api/v1/stock/feed",                      EVERYBODY, 400), // see `ask`
    ("GET",    "/api/v1/discounts",                       "a",       200), // sellers name one of their shops
    ("POST",   "/api/v1/discounts",                       "sa",      422),
    ("GET",    "/api/v1/discounts/{id}",                  "sa",      200),
    ("PATCH",  "/api/v1/discounts/{id}",                  "sa",      422),
    ("DELETE", "/api/v1/discounts/{id}",                  "sa",      204),
    ("GET",    "/api/v1/orders",                          "ca",      200),
    ("POST",   "/api/v1/orders",                          "c",       422),
    ("GET",    "/api/v1/orders/{id}",                     "ca",      200),
    ("PATCH",  "/api/v1/orders/{id}",                     "ca",      422),
    ("POST",   "/api/v1/orders/{id}/cancel",              "ca",      422),
    ("GET",    "/api/v1/orders/{id}/timeline",            "cya",     200),
    ("POST",   "/api/v1/orders/quote",                    "c",       422),
    ("GET",    "/api/v1/carts",                           "c",       200),
    ("GET",    "/api/v1/carts/{id}",                      "c",       200),
    ("POST",   "/api/v1/carts/{id}/items",                "c",       422),
    ("PUT",    "/api/v1/carts/{id}/items/{product_id}",   "c",       422),
    ("DELETE", "/api/v1/carts/{id}/items/{product_id}",   "c",       200),
    ("PUT",    "/api/v1/carts/{id}/codes",                "c",       422),
    ("POST",   "/api/v1/carts/{id}/checkout",             "c",       422),
    ("DELETE", "/api/v1/carts/{id}",                      "c",       200),
    ("POST",   "/api/v1/orders/bulk-create",              "c",       422),
    ("POST",   "/api/v1/orders/bulk-read",                "ca",      422),
    ("POST",   "/api/v1/orders/bulk-update",              "ca",      422),
    ("POST",   "/api/v1/orders/{id}/shipments",           "sa",      422),
    ("POST",   "/api/v1/orders/{id}/deliver",             "sa",      412), // the version is another one
    ("GET",    "/api/v1/shops/{id}/orders",               "sa",      200),
    ("GET",    "/api/v1/shops/{id}/orders/{order_id}",    "sa",      200),
    ("GET",    "/api/v1/payments",                        "ca",      200),
    ("GET",    "/api/v1/payments/{id}",                   "ca",      200),
    ("GET",    "/api/v1/events",                          "ya",      200),
    ("GET",    "/api/v1/events/{position}",               "ya",      200),
    ("GET",    "/api/v1/subscriptions",                   "a",       200),
    ("DELETE", "/api/v1/orders/{id}",                     "ca",      204),
    ("DELETE", "/api/v1/products/{id}",                   "a",       204), // the product is of no shop
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

/// What no API key does, whatever its scopes and whoever made it; and beside it all that is for [`SIGNED_IN`].
#[rustfmt::skip]
const IN_PERSON: &[(&str, &str)] = &[
    ("POST",   "/api/v1/users"),
    ("PATCH",  "/api/v1/users/{id}"),
    ("DELETE", "/api/v1/users/{id}"),
    ("POST",   "/api/v1/users/bulk-create"),
    ("POST",   "/api/v1/users/bulk-update"),
    ("POST",   "/api/v1/users/bulk-delete"),
    ("PUT",    "/api/v1/users/{id}/roles/{role}"),
    ("DELETE", "/api/v1/users/{id}/roles/{role}"),
    ("GET",    "/api/v1/mails"),
];

/// What is open to everybody and shows more to some: a token that is not valid is refused there, not passed over.
const SHOWS_MORE: &[(&str, &str)] = &[("GET", "/api/v1/shops"), ("GET", "/api/v1/shops/{id}")];

/// Whose the thing is that an id in a path names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Somebody's: whoever else may ask there for their own is told that it does not exist.
    Own,
    /// Nobody's own: everybody's who may ask there.
    Shared,
    /// A seller's: whoever sells nothing may not ask there at all, and another seller is told that it does not exist, as
    /// `shipping` and `discounts` show.
    Sellers,
}

const OWN: Whose = Whose::Own;
const SHARED: Whose = Whose::Shared;
const SELLERS: Whose = Whose::Sellers;

/// Every route with something in its path, whose it is, and a body that would be accepted.
#[rustfmt::skip]
const THINGS: &[(&str, &str, Whose, &str)] = &[
    ("GET",    "/api/v1/users/{id}",                      SHARED, ""),
    ("PATCH",  "/api/v1/users/{id}",                      SHARED, ""),
    ("DELETE", "/api/v1/users/{id}",                      SHARED, ""),
    ("PUT",    "/api/v1/users/{id}/roles/{role}",         SHARED, ""),
    ("DELETE", "/api/v1/users/{id}/roles/{role}",         SHARED, ""),
    ("DELETE", "/api/v1/api-keys/{id}",                   OWN,    ""),
    ("GET",    "/api/v1/regions/{id}",                    SHARED, ""),
    ("PATCH",  "/api/v1/regions/{id}",                    SHARED, ""),
    ("DELETE", "/api/v1/regions/{id}",                    SHARED, ""),
    ("POST",   "/api/v1/regions/{id}/disable",            SHARED, ""),
    ("POST",   "/api/v1/regions/{id}/enable",             SHARED, ""),
    ("GET",    "/api/v1/categories/{id}",                 SHARED, ""),
    ("PATCH",  "/api/v1/categories/{id}",                 SHARED, ""),
    ("DELETE", "/api/v1/categories/{id}",                 SHARED, ""),
    ("GET",    "/api/v1/shops/{id}",                      SHARED, ""),
    ("PATCH",  "/api/v1/shops/{id}",                      SHARED, ""),
    ("POST",   "/api/v1/shops/{id}/approve",              SHARED, ""),
    ("DELETE", "/api/v1/shops/{id}",                      SHARED, ""),
    ("GET",    "/api/v1/products/{id}",                   SHARED, ""),
    ("PATCH",  "/api/v1/products/{id}",                   SHARED, ""),
    ("DELETE", "/api/v1/products/{id}",                   SHARED, ""),
    ("GET",    "/api/v1/products/{id}/stock",             SHARED, ""),
    ("PUT",    "/api/v1/products/{id}/stock",             SHARED, ""),
    ("POST",   "/api/v1/products/{id}/stock/receipts",    SHARED, ""),
    ("POST",   "/api/v1/products/{id}/stock/adjustments", SHARED, ""),
    ("PUT",    "/api/v1/products/{id}/stock/threshold",   SHARED, ""),
    ("GET",    "/api/v1/discounts/{id}",                  SELLERS, ""),
    ("PATCH",  "/api/v1/discounts/{id}",                  SELLERS, ""),
    ("DELETE", "/api/v1/discounts/{id}",                  SELLERS, ""),
    ("GET",    "/api/v1/orders/{id}",                     OWN,    ""),
    ("PATCH",  "/api/v1/orders/{id}",                     OWN,    "{}"),
    ("DELETE", "/api/v1/orders/{id}",                     OWN,    ""),
    ("POST",   "/api/v1/orders/{id}/cancel",              OWN,    "{}"),
    ("GET",    "/api/v1/orders/{id}/timeline",            OWN,    ""),
    ("POST",   "/api/v1/orders/{id}/shipments",           SELLERS, ""),
    ("POST",   "/api/v1/orders/{id}/deliver",             SELLERS, ""),
    ("GET",    "/api/v1/shops/{id}/orders",               SELLERS, ""),
    ("GET",    "/api/v1/shops/{id}/orders/{order_id}",    SELLERS, ""),
    // the id is that of a region: whose cart it is, says who asks; see `checkout`
    ("GET",    "/api/v1/carts/{id}",                      SHARED, ""),
    ("POST",   "/api/v1/carts/{id}/items",                SHARED, ""),
    ("PUT",    "/api/v1/carts/{id}/items/{product_id}",   SHARED, ""),
    ("DELETE", "/api/v1/carts/{id}/items/{product_id}",   SHARED, ""),
    ("PUT",    "/api/v1/carts/{id}/codes",                SHARED, ""),
    ("POST",   "/api/v1/carts/{id}/checkout",             SHARED, ""),
    ("DELETE", "/api/v1/carts/{id}",                      SHARED, ""),
    ("GET",    "/api/v1/payments/{id}",                   OWN,    ""),
    ("GET",    "/api/v1/events/{position}",               SHARED, ""),
];

/// Lists of what is one's own.
const LISTS: &[&str] = &[
    "/api/v1/orders",
    "/api/v1/carts",
    "/api/v1/payments",
    "/api/v1/api-keys",
];

/// What the ids of the paths stand for: things of `customer@example.com`, so that the customer of the table owns them, and
/// the shop of `seller@example.com` that the order was bought in and that gives the discount. The other shop is somebody else's, who is a seller by
/// it, and the product is of no shop.
struct Things {
    region: String,
    /// One in which nothing is.
    empty_region: String,
    category: String,
    shop: String,
    stall: String,
    product: String,
    discount: String,
    order: String,
    /// One that costs nothing: once it is deleted nothing is left to do.
    free_order: String,
    payment: String,
    user: String,
    api_key: String,
}

impl Things {
    async fn make(shop: &Shop, server: &Server) -> Self {
        let admin = shop.admin(server).await;
        let region = json!({
            "title": "A region", "country": "XX", "currency": "CHF", "tax_rate": 810, "prices_include_tax": true,
        });
        let region = admin
            .post("/api/v1/regions", &region)
            .await
            .expect(201)
            .id();
        let empty_region =
            json!({"title": "Empty", "country": "XX", "currency": "CHF", "tax_rate": 0});
        let empty_region = admin.post("/api/v1/regions", &empty_region).await;
        let titled = json!({"title": "Of the table"});
        let category = admin.post("/api/v1/categories", &titled).await;
        let other = shop.customer(server).await;
        let opened = other.post("/api/v1/shops", &titled).await.expect(201);
        let product = admin.product_in(&region, (100, "CHF"), 10).await;
        let seller = shop.demo_user(server, "seller").await;
        let stalls = Stalls::beside(shop).await;
        let stall = stalls.open(&user_id(&seller).await).await;
        let bought = stalls.offer(&stall, &region, (100, "CHF"), 10).await;
        let discount = stalls.discount(&stall, &region).await;
        stalls.leave().await;
        let owner = shop.demo_user(server, "customer").await;
        let order = owner.place(&[(&bought, 1)], "test_succeeds").await;
        let gift = admin.product_in(&region, (0, "CHF"), 10).await;
        let free_order = owner.place(&[(&gift, 1)], "test_succeeds").await;
        let payment = text_of(&owner.wait_until_paid(&order).await["payment_id"]);
        let user =
            json!({"name": "Somebody", "email": "somebody@example.com", "password": DEMO_PASSWORD});
        let user = admin.post("/api/v1/users", &user).await.expect(201).id();
        let api_key = text_of(&make_key(&owner, &[]).await["api_key_id"]);
        Self {
            region,
            empty_region: empty_region.expect(201).id(),
            category: category.expect(201).id(),
            shop: opened.id(),
            stall,
            product,
            discount,
            order,
            free_order,
            payment,
            user,
            api_key,
        }
    }

    /// The id that the path is about.
    fn id(&self, template: &str) -> &str {
        match template {
            path if path.starts_with("/api/v1/regions") => &self.region,
            path if path.starts_with("/api/v1/carts") => &self.region,
            path if path.starts_with("/api/v1/categories") => &self.category,
            path if path.starts_with("/api/v1/shops/{id}/orders") => &self.stall,
            path if path.starts_with("/api/v1/shops") => &self.shop,
            path if path.starts_with("/api/v1/products") => &self.product,
            path if path.starts_with("/api/v1/discounts") => &self.discount,
            path if path.starts_with("/api/v1/orders") => &self.order,
            path if path.starts_with("/api/v1/users") => &self.user,
            path if path.starts_with("/api/v1/api-keys") => &self.api_key,
            _ => &self.payment,
        }
    }

    /// The path as the table asks for it.
    fn path(&self, method: &str, template: &str) -> String {
        match (method, template) {
            (_, "/api/v1/api-keys/{id}") => path(template, &Uuid::nil().to_string()),
            ("DELETE", "/api/v1/orders/{id}") => path(template, &self.free_order),
            ("DELETE", "/api/v1/regions/{id}") => path(template, &self.empty_region),
            _ => path(template, self.id(template))
                .replace("{order_id}", &self.order)
                .replace("{product_id}", &self.product),
        }
    }
}

fn path(template: &str, id: &str) -> String {
    template
        .replace("{id}", id)
        .replace("{position}", "1")
        .replace("{role}", "seller")
}

/// Makes an API key.
async fn make_key(maker: &Client, scopes: &[&str]) -> Value {
    let body = json!({"name": "of a test", "scopes": scopes});
    let made = maker.post("/api/v1/api-keys", &body).await.expect(201);
    made.json()
}

async fn ask(client: &Client, method: &str, path: &str) -> Answer {
    let ask = client.ask(Method::from_bytes(method.as_bytes()).unwrap(), path);
    match method {
        // has no end; of whoever may it wants to know where to begin
        "GET" if path == feed::PATH => ask.header("last-event-id", "nonsense").send().await,
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
        let path = things.path(method, template);
        for (letter, who, client) in &callers {
            let expected = match (may.contains(*letter), letter) {
                (true, _) => *granted,
                (false, '-') => 401,
                (false, _) => 403,
            };
            let answer = ask(client, method, &path).await;
            note_what_is_wrong(&mut wrong, who, &answer, expected);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    shop.close().await;
}

fn note_what_is_wrong(wrong: &mut Vec<String>, who: &str, answer: &Answer, expected: u16) {
    let (request, status) = (&answer.request, answer.status);
    if status != expected {
        wrong.push(format!("{who}: {request}: {expected} expected, {status}"));
    } else if expected >= 400 {
        answer.any_problem();
    }
    if expected == 401 && answer.header("www-authenticate").is_none() {
        wrong.push(format!("{who}: {request}: 401 without WWW-Authenticate"));
    }
}

/// Every permission, by name.
async fn all_scopes(client: &Client) -> Vec<String> {
    let document = client.get("/openapi.json").await.expect(200).json();
    let names = &document["components"]["schemas"]["Permission"]["enum"];
    let names = names.as_array().expect("a schema of permissions");
    names.iter().map(text_of).collect()
}

#[tokio::test]
async fn a_token_that_expired_and_a_key_that_may_not_open_nothing_and_no_key_does_what_is_done_in_person()
 {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let things = Things::make(&shop, &server).await;
    // customer, seller and admin: whatever any role may
    let both = shop.demo_user(&server, "both").await;
    make_seller(&shop.admin(&server).await, &both).await;
    let secret = shop.setting("SOUK_JWT_SECRET").as_bytes();
    let expired = Jwt::of(both.token()).time("exp", -60).hs256(secret);
    let scopes = all_scopes(&both).await;
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let (all, none) = (make_key(&both, &scopes).await, make_key(&both, &[]).await);
    let revoked = make_key(&both, &scopes).await;
    let revoked_path = format!("/api/v1/api-keys/{}", text_of(&revoked["api_key_id"]));
    let revoking = both.ask(Method::DELETE, &revoked_path).send().await;
    assert_eq!(revoking.status, 204, "{revoking}");
    let with = |key: &Value| both.with_token(&text_of(&key["api_key"]));

    let mut wrong = Vec::new();
    for (method, template, may, granted) in TABLE {
        let path = things.path(method, template);
        let open = may.contains('-');
        let or_open = |status| if open { *granted } else { status };
        let open_to_bad = open && !SHOWS_MORE.contains(&(method, template));
        let refused = if open_to_bad { *granted } else { 401 };
        let in_person = *may == SIGNED_IN || IN_PERSON.contains(&(method, template));
        for (who, client, expected) in [
            ("an expired token", both.with_token(&expired), refused),
            ("a revoked key", with(&revoked), refused),
            ("a key without scopes", with(&none), or_open(403)),
            (
                "a key with all scopes",
                with(&all),
                if in_person { 403 } else { *granted },
            ),
        ] {
            let answer = ask(&client, method, &path).await;
            note_what_is_wrong(&mut wrong, who, &answer, expected);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    shop.close().await;
}

#[test]
fn the_tables_are_about_the_same_routes() {
    let in_table =
        |method: &str, path: &str| TABLE.iter().any(|row| (row.0, row.1) == (method, path));
    let with_id: BTreeSet<_> = TABLE
        .iter()
        .filter(|row| row.1.contains('{'))
        .map(|row| (row.0, row.1))
        .collect();
    let things: BTreeSet<_> = THINGS.iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(with_id, things, "every route with an id says whose it is");
    assert_eq!(things.len(), THINGS.len(), "once");
    for (method, path) in IN_PERSON.iter().chain(SHOWS_MORE) {
        assert!(in_table(method, path), "{method} {path}");
    }
    for path in LISTS {
        assert!(in_table("GET", path), "{path}");
    }
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
async fn what_belongs_to_somebody_else_does_not_exist() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let things = Things::make(&shop, &server).await;
    let stranger = shop.customer(&server).await;
    let nothing = Uuid::new_v4().to_string();
    for (method, template, _, body) in THINGS.iter().filter(|row| row.2 == OWN) {
        let ask = async |id: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let ask = stranger.ask(method, &path(template, id));
            let ask = match serde_json::from_str(body) {
                Ok(body) => ask.json(&body),
                Err(_) => ask,
            };
            ask.send().await
        };
        let id = things.id(template);
        let (theirs, absent) = (ask(id).await, ask(&nothing).await);
        theirs.problem_of(404, "not-found");
        let masked = |answer: &Answer, id: &str| answer.text().replace(id, "ID");
        assert_eq!(
            masked(&theirs, id),
            masked(&absent, &nothing),
            "{method} {template}: the two cannot be told apart"
        );
    }
    for list in LISTS {
        let page = stranger.get(list).await.expect(200).json();
        assert_eq!(page["items"], json!([]), "{list}");
    }
    let owner = shop.demo_user(&server, "customer").await;
    assert_eq!(
        owner.read_order(&things.order).await["status"],
        "processing",
        "the stranger cancelled nothing"
    );
    let keys = owner.get("/api/v1/api-keys").await.expect(200).json();
    assert_eq!(keys["items"][0]["revoked_at"], Value::Null, "nor revoked");
    shop.close().await;
}
