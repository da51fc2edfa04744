//! Bad input of every kind: a 4xx problem document each time, never a 5xx, and nothing is stored. And all other
//! Unicode comes back as it went in.

use std::collections::BTreeSet;

use domain::product::MAX_PRICE;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE, new_order},
    eventually,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

/// A route that takes a body, with one that is fine and who may send it.
struct Route {
    method: Method,
    path: String,
    body: Value,
    who: Client,
}

impl Route {
    fn new(method: Method, path: &str, who: &Client, body: Value) -> Self {
        Self {
            method,
            path: path.to_owned(),
            body,
            who: who.clone(),
        }
    }

    async fn send(&self, content_type: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
        let mut ask = self.who.ask(self.method.clone(), &self.path).body(body);
        if let Some(content_type) = content_type {
            ask = ask.header("content-type", content_type);
        }
        if self.path.ends_with("/stock") {
            ask = ask.if_match(&self.who.get(&self.path).await.etag());
        }
        ask.send_or_say().await
    }

    /// Method and path as in the OpenAPI document.
    fn template(&self) -> String {
        let segments = self.path.split('/').map(|segment| {
            let is_id = Uuid::parse_str(segment).is_ok();
            if is_id { "{id}" } else { segment }
        });
        let path: Vec<&str> = segments.collect();
        format!("{} {}", self.method, path.join("/"))
    }

    /// What is told of this body, which is well-formed and not always of any effect.
    fn is_answered(&self, answer: &Answer) -> bool {
        // the code is no code that was sent to anybody
        let tries_a_code = self.path.ends_with("/confirm");
        match answer.status {
            422 => tries_a_code && answer.json()["type"] == "/problems/code-refused",
            // a cart is ordered once
            409 => matches!(
                answer.kind().as_deref(),
                Some("cart-empty" | "price-changed")
            ),
            status => !tries_a_code && (200..300).contains(&status),
        }
    }

    /// What is told where a field is broken.
    fn refusals(&self) -> &'static [u16] {
        // any text may be tried as a password or a token; all else is refused as what it says
        if self.path.ends_with("/login") || self.path.ends_with("/refresh") {
            &[400, 401, 422]
        } else {
            &[400, 422]
        }
    }

    /// Whether a broken body is fine here: whoever logs out with whatever text is logged out, and a discount whose scope
    /// names nothing covers everything.
    fn takes(&self, body: &Value) -> bool {
        let text = &body["refresh_token"];
        let logs_out = self.path.ends_with("/logout");
        logs_out && text.is_string() && *text != self.body["refresh_token"]
            || body["scope"] == json!({})
    }
}

async fn routes(shop: &Shop, server: &tests::server::Server) -> Vec<Route> {
    let admin = shop.admin(server).await;
    let customer = shop.customer(server).await;
    let anonymous = shop.client(server);
    let region = admin.region("USD").await;
    let product = admin.product(1_000, 1_000).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    let changed = customer.order(&[(&product, 1)]).await.expect(201).id();
    let mut change = new_order(&[(&product, 2)]);
    change["customer_name"] = json!("Somebody");
    change["shipping_address"] = json!("1 Long Street");
    let v1 = |path: &str| format!("/api/v1/{path}");
    let stock = format!("/api/v1/products/{product}/stock");
    let cart = format!("/api/v1/carts/{region}");
    // what costs nothing is paid at once
    let free = admin.product(0, 10).await;
    let paid = customer.place(&[(&free, 3)], "default").await;
    let mut full_order = new_order(&[(&product, 2)]);
    full_order["customer_name"] = json!("Somebody");
    full_order["shipping_address"] = json!("1 Long Street");
    full_order["payment_method"] = json!("default");
    full_order["region_id"] = json!(region);
    let category = json!({"title": "Things"});
    let category = admin.post("/api/v1/categories", &category).await;
    let category = category.expect(201).id();
    let seller = shop.customer(server).await;
    let new_shop = json!({"title": "A shop", "description": "Of things."});
    let opened = seller.post("/api/v1/shops", &new_shop).await.expect(201);
    let opened = opened.id();
    let chair = json!({"material": "oak", "width_mm": 500, "depth_mm": 500, "height_mm": 900, "needs_assembly": false});
    let new_product = json!({
        "region_id": region, "sku": "BAD-INPUT", "title": "A thing", "description": "To be had.",
        "image_url": "https://example.com/a.png", "price": {"amount": 1_234, "currency": "USD"}, "stock": 3,
        "shop_id": opened, "category_id": category, "kind": "furniture", "attributes": chair,
    });
    let changed_product = json!({
        "title": "Another thing", "description": "Better.", "price": {"amount": 1_300, "currency": "USD"},
        "category_id": category, "kind": "clothing", "attributes": {"size": "M", "colour": "red"},
    });
    let new_region = json!({
        "title": "A region", "country": "XX", "currency": "CHF", "tax_rate": 810, "prices_include_tax": true,
        "default_for_currency": false,
    });
    let reason = "counted again";
    let mut routes = routes_of_accounts(shop, server).await;
    routes.extend(routes_of_discounts(&seller, &opened, &category).await);
    routes.extend([
        Route::new(
            Method::POST,
            &v1("login"),
            &anonymous,
            json!({"email": "admin@example.com", "password": DEMO_PASSWORD}),
        ),
        Route::new(Method::POST, &v1("regions"), &admin, new_region),
        Route::new(
            Method::PATCH,
            &v1(&format!("regions/{region}")),
            &admin,
            json!({
                "title": "America", "country": "US", "tax_rate": 500, "prices_include_tax": false,
                "default_for_currency": true,
            }),
        ),
        Route::new(
            Method::POST,
            &v1("categories"),
            &admin,
            json!({"title": "Other things"}),
        ),
        Route::new(
            Method::PATCH,
            &v1(&format!("categories/{category}")),
            &admin,
            json!({"title": "Better things"}),
        ),
        Route::new(Method::POST, &v1("shops"), &seller, new_shop),
        Route::new(
            Method::PATCH,
            &v1(&format!("shops/{opened}")),
            &seller,
            json!({"title": "A better shop", "description": "Of better things."}),
        ),
        Route::new(Method::POST, &v1("products"), &seller, new_product),
        Route::new(
            Method::PATCH,
            &v1(&format!("products/{product}")),
            &admin,
            changed_product,
        ),
        Route::new(
            Method::POST,
            &format!("{stock}/receipts"),
            &admin,
            json!({"quantity": 5, "reason": reason}),
        ),
        Route::new(
            Method::POST,
            &format!("{stock}/adjustments"),
            &admin,
            json!({"delta": -5, "reason": reason}),
        ),
        Route::new(
            Method::PUT,
            &stock,
            &admin,
            json!({"available": 900, "reason": reason}),
        ),
        Route::new(
            Method::PUT,
            &format!("{stock}/threshold"),
            &admin,
            json!({"threshold": 7}),
        ),
        Route::new(Method::POST, &v1("orders"), &customer, full_order),
        Route::new(
            Method::PATCH,
            &v1(&format!("orders/{changed}")),
            &customer,
            change,
        ),
        Route::new(
            Method::POST,
            &v1(&format!("orders/{order}/cancel")),
            &customer,
            json!({"reason": "changed_mind"}),
        ),
        Route::new(
            Method::POST,
            &v1(&format!("orders/{paid}/shipments")),
            &admin,
            json!({"lines": [{"line": 1, "quantity": 1}]}),
        ),
        Route::new(
            Method::POST,
            &v1("orders/quote"),
            &customer,
            json!({"items": [{"product_id": product, "quantity": 1}], "discount_codes": []}),
        ),
        Route::new(
            Method::POST,
            &format!("{cart}/items"),
            &customer,
            json!({"product_id": product, "quantity": 1}),
        ),
        Route::new(
            Method::PUT,
            &format!("{cart}/items/{product}"),
            &customer,
            json!({"quantity": 1}),
        ),
        Route::new(
            Method::PUT,
            &format!("{cart}/codes"),
            &customer,
            json!({"discount_codes": []}),
        ),
        Route::new(
            Method::POST,
            &format!("{cart}/checkout"),
            &customer,
            json!({"customer_name": "Anybody", "shipping_address": "Anywhere", "payment_method": "test_succeeds", "expected_total": 0}),
        ),
        Route::new(
            Method::POST,
            &v1("orders/bulk-create"),
            &customer,
            json!({"orders": [new_order(&[(&product, 1)]), new_order(&[(&product, 2)])]}),
        ),
        Route::new(
            Method::POST,
            &v1("orders/bulk-read"),
            &customer,
            json!({"ids": [order, changed]}),
        ),
        Route::new(
            Method::POST,
            &v1("orders/bulk-update"),
            &customer,
            json!({"orders": [
                {
                    "order_id": changed, "customer_name": "Anybody", "shipping_address": "2 Long Street",
                    "items": [{"product_id": product, "quantity": 3}],
                },
            ]}),
        ),
        Route::new(
            Method::POST,
            "/api/registration",
            &anonymous,
            json!({"name": "Somebody", "email": "somebody@example.com", "password": DEMO_PASSWORD}),
        ),
        Route::new(
            Method::POST,
            "/api/login",
            &anonymous,
            json!({"email": "admin@example.com", "password": DEMO_PASSWORD}),
        ),
        Route::new(
            Method::POST,
            "/api/products",
            &admin,
            json!({"name": "Pot", "description": "For tea.", "price": 25.99, "currency": "USD", "stock": 3}),
        ),
        Route::new(
            Method::POST,
            "/api/orders/create",
            &customer,
            json!({"items": [{"productId": product, "quantity": 1}]}),
        ),
    ]);
    routes
}

/// The routes about people and how they sign in. What ends an account or its sessions is done by somebody of its own.
async fn routes_of_accounts(shop: &Shop, server: &tests::server::Server) -> Vec<Route> {
    let admin = shop.admin(server).await;
    let anonymous = shop.client(server);
    let customer = shop.customer(server).await;
    let id_of = async |who: &Client| {
        let profile = who.get("/api/v1/profile").await.expect(200).json();
        text_of(&profile["user_id"])
    };
    let (other, closed) = (
        id_of(&shop.customer(server).await).await,
        id_of(&shop.customer(server).await).await,
    );
    let log_in = json!({"email": "customer@example.com", "password": DEMO_PASSWORD});
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let session = anonymous.post("/api/v1/login", &log_in).await.expect(200);
        sessions.push(session.json()["refresh_token"].clone());
    }
    let email = |name: &str| format!("{name}@example.com");
    let person = |name: &str| {
        json!({
            "name": "Somebody", "email": email(name), "password": DEMO_PASSWORD, "phone": "+84 28 3822 1234",
            "address": "1 Long Street", "roles": ["customer"],
        })
    };
    let profile = json!({
        "name": "Another", "contact_email": email("contact"), "phone": "12345", "address": "2 Long Street",
    });
    let mut user = profile.clone();
    user["roles"] = json!(["seller"]);
    let mut changed = user.clone();
    changed["user_id"] = json!(other);
    let code = json!({"email": email("nobody"), "code": "01234567"});
    let mut reset = code.clone();
    reset["password"] = json!("another one");
    let v1 = |path: &str| format!("/api/v1/{path}");
    let post =
        |path: &str, who: &Client, body: Value| Route::new(Method::POST, &v1(path), who, body);
    let patch =
        |path: &str, who: &Client, body: Value| Route::new(Method::PATCH, &v1(path), who, body);
    let registration =
        json!({"name": "Somebody", "email": email("new"), "password": DEMO_PASSWORD});
    let address = json!({"email": email("nobody")});
    let passwords = json!({"current_password": DEMO_PASSWORD, "new_password": "another one"});
    let key = json!({"name": "A scanner", "scopes": ["read_own_orders"], "expires_in": 3_600});
    let users = json!({"users": [person("one"), person("two")]});
    vec![
        post("refresh", &anonymous, json!({"refresh_token": sessions[0]})),
        post("logout", &anonymous, json!({"refresh_token": sessions[1]})),
        post("registrations", &anonymous, registration),
        post("email-verifications", &anonymous, address.clone()),
        post("email-verifications/confirm", &anonymous, code),
        post("password-resets", &anonymous, address),
        post("password-resets/confirm", &anonymous, reset),
        patch("profile", &customer, profile),
        post("api-keys", &customer, key),
        Route::new(
            Method::PUT,
            &v1("profile/password"),
            &shop.customer(server).await,
            passwords,
        ),
        Route::new(
            Method::DELETE,
            &v1("profile"),
            &shop.customer(server).await,
            json!({"password": DEMO_PASSWORD, "cancel_open_orders": true}),
        ),
        post("users", &admin, person("user")),
        patch(&format!("users/{other}"), &admin, user),
        post("users/bulk-create", &admin, users),
        post("users/bulk-read", &admin, json!({"ids": [other]})),
        post("users/bulk-update", &admin, json!({"users": [changed]})),
        post(
            "users/bulk-delete",
            &admin,
            json!({"ids": [closed], "cancel_open_orders": true}),
        ),
    ]
}

/// The routes about discounts of a shop.
async fn routes_of_discounts(seller: &Client, shop_id: &str, category: &str) -> [Route; 2] {
    const DISCOUNTS: &str = "/api/v1/discounts";
    let rules = json!({
        "title": "A discount", "value": {"kind": "percentage", "basis_points": 1_250},
        "minimum": {"amount": 1_000, "currency": "USD"}, "scope": {"category_ids": [category]},
        "starts_at": "2026-11-27T00:00:00Z", "ends_at": "2026-11-30T00:00:00Z", "max_uses": 100,
        "max_uses_per_customer": 1,
    });
    let mut discount = rules.clone();
    discount["region_id"] = json!(seller.region("USD").await);
    discount["shop_id"] = json!(shop_id);
    let given = seller.post(DISCOUNTS, &discount).await.expect(201).id();
    discount["code"] = json!("BAD-INPUT");
    let mut changed = rules;
    changed["value"] = json!({"kind": "amount", "amount": 500, "currency": "USD"});
    [
        Route::new(Method::POST, DISCOUNTS, seller, discount),
        Route::new(
            Method::PATCH,
            &format!("{DISCOUNTS}/{given}"),
            seller,
            changed,
        ),
    ]
}

const JSON: Option<&str> = Some("application/json");

/// What tells that something was stored.
async fn stored(shop: &Shop) -> (i64, i64, i64, i64, String, i64, i64, i64) {
    sqlx::query_as(
        "select (select coalesce(max(position), 0) from events), (select count(*) from users), \
                (select sum(version) from users)::bigint, (select count(*) from idempotency_keys), \
                (select md5(string_agg(user_id || password_hash || session_epoch, ',' order by user_id)) from credentials), \
                (select count(*) from api_keys), (select count(*) from account_closures), \
                (select count(*) from code_requests) + (select count(*) from mails)",
    )
    .fetch_one(&shop.pool)
    .await
    .unwrap()
}

/// Collects what was not refused as it should be, so that one run shows all.
#[derive(Default)]
struct Refusals(Vec<String>);

impl Refusals {
    fn check(&mut self, case: &str, answer: &Answer, statuses: &[u16]) {
        let is_problem = answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/problem+json"));
        let names_its_status = serde_json::from_slice::<Value>(&answer.body)
            .is_ok_and(|it| it["status"] == answer.status);
        if !statuses.contains(&answer.status) || !is_problem || !names_its_status {
            let shown: String = answer.to_string().chars().take(300).collect();
            self.0.push(format!("{case}: {shown}"));
        }
    }

    fn assert_none(self) {
        assert!(self.0.is_empty(), "{} cases: {:#?}", self.0.len(), self.0);
    }
}

/// Texts that are no JSON body of any route.
fn broken_texts() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes();
    vec![
        ("nothing", vec![]),
        ("blanks", b"   ".to_vec()),
        ("a word", b"nope".to_vec()),
        ("cut off", b"{\"a\": 1".to_vec()),
        ("single quotes", b"{'a': 1}".to_vec()),
        ("a comma too many", b"{\"a\": 1,}".to_vec()),
        ("two bodies", b"{} {}".to_vec()),
        ("a bare NUL", b"{\"a\": \"\0\"}".to_vec()),
        ("an UTF-8 that is none", b"{\"a\": \"\xff\xfe\"}".to_vec()),
        ("an overlong UTF-8", b"{\"a\": \"\xc0\x80\"}".to_vec()),
        (
            "UTF-16",
            "{\"a\": 1}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        ("half a surrogate", br#"{"a": "\ud800"}"#.to_vec()),
        ("an array", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("a string", b"\"x\"".to_vec()),
        ("a number", b"1".to_vec()),
        ("NaN", b"{\"a\": NaN}".to_vec()),
        ("deep arrays", nested(100_000)),
        (
            "deep objects",
            ["{\"a\":".repeat(100_000), "1".into(), "}".repeat(100_000)]
                .concat()
                .into_bytes(),
        ),
    ]
}

/// The body with one field changed for the worse, one case each.
fn broken_fields(body: &Value) -> Vec<(String, Value)> {
    let mut cases = vec![];
    let mut with = |case: String, field: &str, value: Value| {
        let mut broken = body.clone();
        broken[field] = value;
        cases.push((case, broken));
    };
    with("an unknown field".into(), "surplus", json!(1));
    with("an unknown field with NUL".into(), "surplus", json!("\0"));
    for (field, good) in body.as_object().expect("an object") {
        let mut wrong = vec![json!({"x": 1}), json!([[]]), json!([1])];
        match good {
            Value::String(_) => {
                wrong.extend([json!(7.5), json!(true), json!("a\0b"), json!("\u{7}")]);
            }
            Value::Bool(_) => wrong.extend([json!("true"), json!(1)]),
            Value::Number(_) => {
                wrong.extend([
                    json!("seven"),
                    json!(true),
                    json!(1e300),
                    json!(f64::from(i32::MAX) * 1e15),
                ]);
                wrong.push(json!(0.123_456));
            }
            _ => wrong.extend([json!("x"), json!(7), json!(true), json!({})]),
        }
        for value in wrong {
            with(format!("{field} = {value}"), field, value);
        }
    }
    cases
}

/// The body with a `null` in it that its schema does not take, at whatever depth, one case each; and where it is.
fn nulls(document: &Value, schema: &Value, body: &Value) -> Vec<(String, Value)> {
    let schema = followed(document, schema).0;
    let inner: Vec<(String, &Value)> = match body {
        Value::Object(members) => {
            let members = members.keys();
            members
                .map(|name| (name.clone(), &schema["properties"][name]))
                .collect()
        }
        Value::Array(elements) => (0..elements.len())
            .map(|index| (index.to_string(), &schema["items"]))
            .collect(),
        _ => vec![],
    };
    let mut cases = vec![];
    for (name, schema) in inner {
        let at = format!("/{name}");
        let mut with = |pointer: &str, value: Value| {
            let mut broken = body.clone();
            *broken.pointer_mut(&at).expect("is there") = value;
            cases.push((format!("{at}{pointer}"), broken));
        };
        if !followed(document, schema).1 {
            with("", Value::Null);
        }
        for (pointer, value) in nulls(document, schema, body.pointer(&at).expect("is there")) {
            with(&pointer, value);
        }
    }
    cases
}

/// What a schema of the OpenAPI document refers to, and whether it takes `null`.
fn followed<'d>(document: &'d Value, schema: &'d Value) -> (&'d Value, bool) {
    if let Some(reference) = schema["$ref"].as_str() {
        let named = document.pointer(reference.trim_start_matches('#'));
        return followed(document, named.expect("a schema of the document"));
    }
    if let Some(all) = schema["allOf"].as_array() {
        return followed(document, &all[0]);
    }
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(choices) = schema["oneOf"].as_array() {
        let other = choices.iter().find(|choice| !is_null(choice));
        let other = other.expect("more than null");
        return (followed(document, other).0, choices.iter().any(is_null));
    }
    let types = schema["type"].as_array();
    let takes_null = types.is_some_and(|types| types.contains(&json!("null")));
    (schema, takes_null)
}

#[tokio::test]
async fn null_is_refused_where_it_says_nothing_and_is_pointed_at() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let routes = routes(&shop, &server).await;
    let document = shop.client(&server).get("/openapi.json").await;
    let document = document.expect(200).json();
    let before = stored(&shop).await;
    let mut refusals = Refusals::default();
    let mut tried = 0;
    for route in &routes {
        let template = route.template();
        let (method, path) = template.split_once(' ').expect("a method and a path");
        let path = match path {
            "/api/v1/carts/{id}/items/{id}" => "/api/v1/carts/{id}/items/{product_id}",
            path => path,
        };
        let operation = &document["paths"][path][method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{template}");
        for (place, body) in nulls(&document, schema, &route.body) {
            let case = format!("{template} with null at {place}");
            let answer = route.send(JSON, body.to_string()).await;
            refusals.check(&case, &answer, &[422]);
            let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let pointer = told["errors"][0]["pointer"].as_str().unwrap_or_default();
            // what is wrong in a list of plain texts is told of the list
            if pointer.is_empty() || !place.starts_with(pointer) {
                refusals.0.push(format!("{case}: {answer}"));
            }
            tried += 1;
        }
    }
    refusals.assert_none();
    assert!(tried > 100, "{tried} cases only");
    assert_eq!(stored(&shop).await, before, "nothing is stored");
    shop.close().await;
}

#[tokio::test]
async fn bad_bodies_of_every_kind_are_refused_on_every_route_and_store_nothing() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let routes = routes(&shop, &server).await;
    let before = stored(&shop).await;
    let mut refusals = Refusals::default();
    for route in &routes {
        let name = |case: &str| format!("{} {} with {case}", route.method, route.path);
        let fine = route.body.to_string();
        for (case, text) in broken_texts() {
            // where a body may be left out, none at all is fine
            if text.is_empty() && route.path.ends_with("/cancel") {
                continue;
            }
            refusals.check(&name(case), &route.send(JSON, text).await, &[400, 422]);
        }
        for (case, body) in broken_fields(&route.body) {
            if route.takes(&body) {
                continue;
            }
            refusals.check(
                &name(&case),
                &route.send(JSON, body.to_string()).await,
                route.refusals(),
            );
        }
        for content_type in [
            None,
            Some("text/plain"),
            Some("application/xml"),
            Some("application/x-www-form-urlencoded"),
            Some("x"),
        ] {
            refusals.check(
                &name(&format!("{content_type:?}")),
                &route.send(content_type, fine.clone()).await,
                &[415],
            );
        }
        let charset = Some("application/json; charset=utf-16");
        refusals.check(
            &name("UTF-16 announced"),
            &route.send(charset, fine.clone()).await,
            &[415],
        );
        let twice = fine.replacen('{', &format!("{{{},", member(&route.body)), 1);
        refusals.check(
            &name("a field twice"),
            &route.send(JSON, twice).await,
            &[400, 422],
        );
    }
    refusals.assert_none();
    assert_eq!(stored(&shop).await, before, "nothing is stored");

    // the bodies that were broken are fine as they are, so each case was refused for what was wrong with it
    for route in &routes {
        let answer = eventually("the version read is the current one", PATIENCE, || async {
            let answer = route.send(JSON, route.body.to_string()).await;
            (answer.status != 412).then_some(answer)
        })
        .await;
        assert!(
            route.is_answered(&answer),
            "{} {}: {answer}",
            route.method,
            route.path
        );
    }
    shop.close().await;
}

#[tokio::test]
async fn every_route_with_a_body_is_tried_with_bad_ones() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let tried: BTreeSet<String> = routes(&shop, &server)
        .await
        .iter()
        .map(Route::template)
        .collect();
    let document = shop
        .client(&server)
        .get("/openapi.json")
        .await
        .expect(200)
        .json();
    let mut with_body = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if operation.get("requestBody").is_some() {
                // an id is an id, whatever of
                let path = path.replace("{product_id}", "{id}");
                with_body.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert_eq!(tried, with_body);
    shop.close().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_so_and_the_next_request_is_served() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let routes = routes(&shop, &server).await;
    let before = stored(&shop).await;
    let mut refusals = Refusals::default();
    for route in &routes {
        let name = |case: &str| format!("{} {} with {case}", route.method, route.path);
        for megabytes in [2, 5] {
            let large = format!(
                "{{\"surplus\": \"{}\"}}",
                "x".repeat(megabytes * 1024 * 1024)
            );
            let answer = route.send(JSON, large).await;
            refusals.check(&name(&format!("{megabytes} megabytes")), &answer, &[413]);
            // on the same connection, if it is still there
            refusals.check(
                &name("nothing but a brace"),
                &route.send(JSON, "{").await,
                &[400],
            );
        }
    }
    refusals.assert_none();
    assert_eq!(stored(&shop).await, before, "nothing is stored");
    shop.close().await;
}

/// The first member of an object, as JSON.
fn member(body: &Value) -> String {
    let (name, value) = body
        .as_object()
        .and_then(|members| members.iter().next())
        .expect("has members");
    format!("\"{name}\":{value}")
}

#[tokio::test]
async fn quantities_that_are_none_are_refused() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(1_000, 10).await;
    let customer = shop.customer(&server).await;
    let before = stored(&shop).await;
    let mut refusals = Refusals::default();
    for quantity in [
        "0",
        "-1",
        "-0",
        "0.5",
        "1.5",
        "1000001",
        "4294967297",
        "18446744073709551617",
        "1e3000",
        "\"1\"",
        "null",
        "true",
    ] {
        let text = format!(r#"{{"items":[{{"product_id":"{product}","quantity":{quantity}}}]}}"#);
        let ask = customer
            .ask(Method::POST, "/api/v1/orders")
            .header("content-type", "application/json")
            .body(text);
        let answer = ask.key("bad").send().await;
        refusals.check(&format!("quantity {quantity}"), &answer, &[400, 422]);
        let text = format!(r#"{{"items":[{{"productId":"{product}","quantity":{quantity}}}]}}"#);
        let ask = customer
            .ask(Method::POST, "/api/orders/create")
            .header("content-type", "application/json")
            .body(text);
        refusals.check(
            &format!("contract, quantity {quantity}"),
            &ask.send().await,
            &[400, 422],
        );
    }
    for items in [
        "[]",
        "{}",
        "null",
        "[{}]",
        "[null]",
        r#"[{"product_id":"x","quantity":1}]"#,
        r#"[{"quantity":1}]"#,
    ] {
        let text = format!(r#"{{"items":{items}}}"#);
        let ask = customer
            .ask(Method::POST, "/api/v1/orders")
            .header("content-type", "application/json")
            .body(text);
        refusals.check(items, &ask.send().await, &[400, 422]);
    }
    let unknown = customer.order(&[(&Uuid::new_v4().to_string(), 1)]).await;
    refusals.check("an unknown product", &unknown, &[404, 409, 422]);
    let many: Vec<(&str, u64)> = (0..10_000).map(|_| (product.as_str(), 1)).collect();
    refusals.check(
        "ten thousand lines",
        &customer.order(&many).await,
        &[409, 413, 422],
    );
    refusals.assert_none();
    assert_eq!(stored(&shop).await, before, "nothing is stored");
    shop.close().await;
}

#[tokio::test]
async fn prices_that_make_totals_beyond_64_bits_are_refused() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let dearest = admin.product(MAX_PRICE, 1_000_000).await;
    let mut refusals = Refusals::default();
    let before = shop.head().await;
    for price in [MAX_PRICE + 1, i64::MAX / 10_000, i64::MAX] {
        let sku = Uuid::new_v4().simple().to_string();
        let body = tests::client::new_product(&region, &sku, (price, "USD"), 1);
        let created = admin.post("/api/v1/products", &body).await;
        let body = json!({"price": {"amount": price, "currency": "USD"}});
        let path = format!("/api/v1/products/{dearest}");
        let changed = admin.patch(&path, &body).send().await;
        for answer in [created, changed] {
            let problem = answer.problem_of(422, "validation");
            assert_eq!(problem["errors"][0]["pointer"], "/price/amount", "{answer}");
        }
    }
    for price in ["200000000.01", "90071992547409.93", "99999999999999999999"] {
        let text = format!(r#"{{"name":"Pot","price":{price},"currency":"USD"}}"#);
        let ask = admin.ask(Method::POST, "/api/products");
        let ask = ask.header("content-type", "application/json");
        let answer = ask.body(text).send().await;
        let problem = answer.problem_of(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], "/price", "{answer}");
    }
    for amount in ["9223372036854775808", "-1", "1e30", "0.5"] {
        let body = tests::client::new_product(&region, "too-dear", (4_711, "USD"), 1);
        let text = body.to_string().replace("4711", amount);
        let ask = admin
            .ask(Method::POST, "/api/v1/products")
            .header("content-type", "application/json");
        refusals.check(amount, &ask.body(text).send().await, &[400, 422]);
    }
    assert_eq!(shop.head().await, before, "nothing is stored");
    let customer = shop.customer(&server).await;
    let ordered = customer.order(&[(&dearest, 1_000_000)]).await.expect(201);
    assert_eq!(
        ordered.json()["subtotal"]["amount"],
        json!(MAX_PRICE * 1_000_000)
    );

    let product = admin.product(100, 10).await;
    let stock = format!("/api/v1/products/{product}/stock");
    for delta in [
        "1000000001",
        "-1000000001",
        "-9223372036854775808",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "1e19",
        "0.5",
    ] {
        let text = format!("{{\"delta\": {delta}}}");
        let ask = admin
            .ask(Method::POST, &format!("{stock}/adjustments"))
            .header("content-type", "application/json");
        refusals.check(
            &format!("delta {delta}"),
            &ask.body(text).send().await,
            &[400, 409, 422],
        );
    }
    refusals.assert_none();
    shop.close().await;
}

#[tokio::test]
async fn queries_and_paths_that_mean_nothing_are_refused() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let customer = shop.customer(&server).await;
    let mut refusals = Refusals::default();
    let lists = [
        "/api/v1/products",
        "/api/v1/regions",
        "/api/v1/categories",
        "/api/v1/shops",
        "/api/v1/orders",
        "/api/v1/carts",
        "/api/v1/discounts",
        "/api/v1/payments",
        "/api/v1/events",
        "/api/v1/users",
        "/api/v1/mails",
        "/api/v1/account-closures",
        "/api/v1/stock/feed",
        "/api/v1/shops/00000000-0000-0000-0000-000000000000/orders",
    ];
    let queries = [
        "nonsense=1",
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=x",
        "limit=",
        "limit=99999999999999999999",
        "limit=1&limit=2",
        "cursor=x",
        "cursor=%00",
        "cursor=e30",
        "after=-1",
        "after=x",
        "sort=nonsense",
        "status=nonsense",
        "region_id=x",
        "order_number=x",
        "created_at[gte]=yesterday",
        "total[gte]=x",
        "include_deleted=perhaps",
        "price[nonsense]=1",
        "type=%00",
        "in_stock=maybe",
        "shop_id=x",
        "category_id=x",
        "owner_id=x",
        "kind=nonsense",
        "kind=%00",
        "attributes[size]=M",
        "kind=clothing&attributes[size]=enormous",
        "kind=clothing&attributes[colour]=%00",
        "kind=clothing&attributes[nonsense]=1",
        "kind=clothing&attributes[size]=M&attributes[size]=L",
        "kind=electronics&attributes[warranty_months]=many",
        "kind=electronics&attributes[rechargeable]=1",
        "low_stock=maybe",
        "code=a%20b",
        "automatic=maybe",
        "active=maybe",
        "enabled=maybe",
        "currency=dollars",
        "title=%00",
        "title=",
        "q=",
        "q=%00",
        "q=...",
        "q=-red",
        "q=a&q=b",
        "sort=relevance",
        "q=a&sort=rank",
        "%ff=1",
    ];
    // carts are their customers' alone
    let who = |path: &str| {
        if path.contains("/carts") {
            &customer
        } else {
            &admin
        }
    };
    for list in lists {
        for query in queries {
            let answer = who(list).get(&format!("{list}?{query}")).await;
            refusals.check(&format!("{list}?{query}"), &answer, &[400, 422]);
        }
    }
    let no_id = [
        "x",
        "00000000",
        "00000000-0000-0000-0000-00000000000g",
        "%00",
        "%ff",
        "..%2f..",
        "1'--",
    ];
    for id in no_id {
        for path in [
            "products/ID",
            "products/ID/stock",
            "orders/ID",
            "orders/ID/timeline",
            "carts/ID",
            "shops/ID/orders",
            "shops/00000000-0000-0000-0000-000000000000/orders/ID",
            "payments/ID",
            "discounts/ID",
            "regions/ID",
            "categories/ID",
            "shops/ID",
            "events/ID",
            "users/ID",
        ] {
            let path = format!("/api/v1/{}", path.replace("ID", id));
            refusals.check(&path, &who(&path).get(&path).await, &[400, 404]);
        }
    }
    for position in ["-1", "0", "99999999999999999999", "1.5"] {
        let path = format!("/api/v1/events/{position}");
        refusals.check(&path, &admin.get(&path).await, &[400, 404]);
    }
    for path in [
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/nowhere",
        "/api/v2/orders",
        "//",
        "/api/v1/orders/",
    ] {
        refusals.check(path, &admin.get(path).await, &[404]);
    }
    for (method, path) in [
        (Method::DELETE, "/api/v1/orders"),
        (Method::PUT, "/api/v1/login"),
        (Method::PATCH, "/api/products"),
    ] {
        let answer = admin.ask(method, path).send().await;
        refusals.check(path, &answer, &[405]);
        assert!(answer.header("allow").is_some(), "{answer}");
    }
    let product = admin.product(100, 1).await;
    let stock = format!("/api/v1/products/{product}/stock");
    for tag in [
        "1",
        "\"",
        "\"1",
        "W/\"1\"",
        "\"x\"",
        "\"99999999999999999999\"",
        "\"1\", \"2\"",
    ] {
        let answer = admin
            .put(&stock, &json!({"available": 1}))
            .if_match(tag)
            .send()
            .await;
        refusals.check(&format!("If-Match: {tag}"), &answer, &[400, 412]);
    }
    for key in ["", " ", &"k".repeat(256), "k\u{e9}"] {
        let answer = customer
            .ask(Method::POST, "/api/v1/orders")
            .json(&new_order(&[(&product, 1)]))
            .key(key)
            .send()
            .await;
        refusals.check(&format!("Idempotency-Key: {key:?}"), &answer, &[400]);
    }
    refusals.assert_none();
    shop.close().await;
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused_by_every_call() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let customer = shop.customer(&server).await;
    let document = admin.get("/openapi.json").await.expect(200).json();
    let mut refusals = Refusals::default();
    for (template, item) in document["paths"].as_object().expect("paths") {
        let who = if template.contains("/carts") {
            &customer
        } else {
            &admin
        };
        // nothing that is there, so that nothing happens where it is not refused
        let segments = template.split('/').map(|segment| match segment {
            segment if segment.starts_with('{') => "00000000-0000-0000-0000-000000000000",
            segment => segment,
        });
        let path = segments.collect::<Vec<_>>().join("/");
        for method in item.as_object().expect("operations").keys() {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let case = format!("{method} {template}");
            let ask = who.ask(method, &format!("{path}?nonsense=1"));
            let answer = ask.json(&json!({})).send().await;
            refusals.check(&case, &answer, &[400]);
            let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if told["type"] != "/problems/invalid-parameter"
                || told["errors"][0]["parameter"] != "nonsense"
            {
                refusals.0.push(format!("{case}: {answer}"));
            }
        }
    }
    refusals.assert_none();
    shop.close().await;
}

#[tokio::test]
async fn tokens_that_are_none_are_refused() {
    let (shop, elsewhere) = (Shop::open().await, Shop::open().await);
    let (server, other) = (
        shop.serve_with(&[("SOUK_TOKEN_TTL", "1h")]).await,
        elsewhere.serve().await,
    );
    let good = shop.admin(&server).await;
    let foreign = elsewhere.admin(&other).await;
    let token = good.token().to_owned();
    let [head, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let bad = [
        "x".to_owned(),
        "a.b.c".into(),
        unsigned,
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        format!(
            "{head}.{claims}.{}",
            signature.chars().rev().collect::<String>()
        ),
        format!(
            "{head}.{}.{signature}",
            foreign.token().split('.').nth(1).unwrap()
        ),
        foreign.token().to_owned(),
        "x".repeat(7_000),
    ];
    let mut refusals = Refusals::default();
    for token in bad {
        let answer = good.with_token(&token).get("/api/v1/orders").await;
        refusals.check(&token, &answer, &[401]);
        assert!(answer.header("www-authenticate").is_some(), "{answer}");
    }
    for header in [
        "Bearer",
        "Bearer ",
        "Basic YWRtaW46YWRtaW4=",
        &token,
        "bearer\u{a0}x",
    ] {
        let answer = good
            .anonymous()
            .ask(Method::GET, "/api/v1/orders")
            .header("authorization", header)
            .send()
            .await;
        refusals.check(header, &answer, &[400, 401]);
    }
    refusals.assert_none();
    let _ = good.get("/api/v1/orders").await.expect(200);
    elsewhere.close().await;
    shop.close().await;
}

#[tokio::test]
async fn all_other_unicode_comes_back_as_it_went_in() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let texts = [
        "Tiếng Việt có dấu",
        "decomposed: e\u{301} o\u{302}\u{309}",
        "👘 👨‍👩‍👧‍👦 🏳️‍🌈 🇻🇳",
        "مرحبا بالعالم",
        "שלום \u{202b}rtl\u{202c} mark",
        "日本語 中文 한국어",
        "\u{10ffff}\u{1f980}𝔘𝔫𝔦",
        "quotes \" ' ` \\ / </script> %s {} $1 ; --",
        "\u{fffd}\u{feff}x",
    ];
    for text in texts {
        let sku = Uuid::new_v4().simple().to_string();
        let mut body = tests::client::new_product(&region, &sku, (100, "USD"), 10);
        body["title"] = json!(text);
        body["description"] = json!(format!("{text}\n\t{text}"));
        let created = admin.post("/api/v1/products", &body).await.expect(201);
        let path = format!("/api/v1/products/{}", created.id());
        let read = admin
            .ask(Method::GET, &path)
            .min_position(&created.position())
            .send()
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&read["title"], &read["description"]),
            (&body["title"], &body["description"])
        );

        let email = format!("{}@example.com", Uuid::new_v4().simple());
        let customer = shop
            .client(&server)
            .register(text, &email, DEMO_PASSWORD)
            .await;
        let profile = customer.get("/api/profile").await.expect(200).json();
        assert_eq!(text_of(&profile["details"]["name"]), text);
        let mut order = new_order(&[(&created.id(), 1)]);
        order["shipping_address"] = json!(format!("{text}\n{text}"));
        let placed = customer.post("/api/v1/orders", &order).await.expect(201);
        let read = customer.read_order(&placed.id()).await;
        assert_eq!(read["customer_name"], text, "from the profile");
        assert_eq!(read["shipping_address"], order["shipping_address"]);
    }
    shop.close().await;
}
