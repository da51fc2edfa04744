//! API keys over HTTP: shown once, within their scopes and within what their maker may, and ended.

use std::time::Duration;

use eventstore::testing::eventually;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE},
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

/// How long what one process did may stay unknown to another, with room for a loaded machine.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// Makes a key.
async fn make(maker: &Client, scopes: &[&str]) -> Value {
    let body = json!({"name": "of a test", "scopes": scopes});
    let made = maker.post("/api/v1/api-keys", &body).await.expect(201);
    let location = format!("/api/v1/api-keys/{}", text_of(&made.json()["api_key_id"]));
    assert_eq!(made.header("location"), Some(location.as_str()));
    made.json()
}

fn with(client: &Client, key: &Value) -> Client {
    client.with_token(&text_of(&key["api_key"]))
}

async fn revoke(who: &Client, key: &Value) -> Answer {
    let path = format!("/api/v1/api-keys/{}", text_of(&key["api_key_id"]));
    who.ask(Method::DELETE, &path).send().await
}

async fn listed(who: &Client) -> Vec<Value> {
    let list = who.get("/api/v1/api-keys").await.expect(200).json();
    list["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_key_is_shown_once_used_listed_and_revoked() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let customer = shop.demo_user(&server, "customer").await;
    let key = make(&customer, &["read_own_orders", "read_own_orders"]).await;
    let text = text_of(&key["api_key"]);
    assert_eq!(text.len(), 57);
    assert_eq!(&text[5..13], key["prefix"].as_str().unwrap());
    assert_eq!(key["scopes"], json!(["read_own_orders"]));
    assert_eq!(
        (&key["expires_at"], &key["last_used_at"], &key["revoked_at"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );

    let program = with(&customer, &key);
    let _ = program.get("/api/v1/orders").await.expect(200);
    let used = eventually("its use is noted", PATIENCE, || async {
        let used = listed(&customer).await.pop()?;
        used["last_used_at"].is_string().then_some(used)
    })
    .await;
    assert!(used.get("api_key").is_none(), "never again: {used}");
    assert_eq!(used["api_key_id"], key["api_key_id"]);

    assert_eq!(revoke(&customer, &key).await.status, 204);
    let refused = program.get("/api/v1/orders").await;
    refused.problem_of(401, "unauthenticated");
    assert!(refused.header("www-authenticate").is_some());
    assert_eq!(revoke(&customer, &key).await.status, 204, "again");
    assert!(listed(&customer).await[0]["revoked_at"].is_string());

    // neither in the database nor in what the server prints
    let secret = &text[14..];
    let stored: Vec<String> = sqlx::query_scalar("select api_keys::text from api_keys")
        .fetch_all(&shop.pool)
        .await
        .unwrap();
    assert_eq!(stored.len(), 1);
    assert!(!stored[0].contains(secret) && !server.output().contains(secret));
    shop.close().await;
}

#[tokio::test]
async fn a_key_does_what_its_scopes_name_and_nothing_else() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(500, 3).await;
    let customer = shop.demo_user(&server, "customer").await;
    let reader = with(&customer, &make(&customer, &["read_own_orders"]).await);
    let buyer = with(&customer, &make(&customer, &["place_order"]).await);

    let placed = buyer.order(&[(&product, 1)]).await.expect(201);
    assert_nameless(&placed);
    let order = placed.id();
    buyer
        .get("/api/v1/orders")
        .await
        .problem_of(403, "forbidden");
    assert_eq!(reader.read_order(&order).await["order_id"], order.as_str());
    let refused = reader.order(&[(&product, 1)]).await;
    refused.problem_of(403, "forbidden");
    let cancel = format!("/api/v1/orders/{order}/cancel");
    for program in [&reader, &buyer] {
        let refused = program.post(&cancel, &json!({})).await;
        refused.problem_of(403, "forbidden");
    }
    for (owner, scope) in [
        (&customer, "cancel_own_order"),
        (&admin, "cancel_any_order"),
    ] {
        let program = with(owner, &make(owner, &[scope]).await);
        let cancelled = program.post(&cancel, &json!({})).await.expect(200);
        assert_nameless(&cancelled);
    }
    // an admin's key for one thing is no admin
    let clerk = with(&admin, &make(&admin, &["adjust_stock"]).await);
    clerk.restock(&product, 5).await;
    let region = json!({"title": "A", "country": "XX", "currency": "CHF", "tax_rate": 0});
    let refused = clerk.post("/api/v1/regions", &region).await;
    refused.problem_of(403, "forbidden");
    shop.close().await;
}

/// An order as it is shown to whoever may change it and not read it.
fn assert_nameless(answer: &Answer) {
    let order = answer.json();
    assert!(order["status"].is_string(), "{answer}");
    assert_eq!(
        (&order["customer_name"], &order["shipping_address"]),
        (&Value::Null, &Value::Null),
        "{answer}"
    );
}

#[tokio::test]
async fn what_gives_access_is_done_in_person() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let both = shop.demo_user(&server, "both").await;
    let all = make(&both, &["manage_users", "read_own_orders"]).await;
    let program = with(&both, &all);
    let _ = program.get("/api/v1/orders").await.expect(200);
    let id = text_of(&all["api_key_id"]);
    let new = json!({"name": "another", "scopes": []});
    let answers = [
        program.post("/api/v1/api-keys", &new).await,
        program.get("/api/v1/api-keys").await,
        program
            .ask(Method::DELETE, &format!("/api/v1/api-keys/{id}"))
            .send()
            .await,
        program.post("/api/v1/logout/everywhere", &json!({})).await,
        program.get("/api/profile").await,
    ];
    for answer in answers {
        let problem = answer.problem_of(403, "forbidden");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("API key"), "{answer}");
    }
    assert_eq!(listed(&both).await.len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_key_grants_no_more_than_its_maker_has_now() {
    let shop = Shop::open().await;
    let (server, other) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&server).await;
    let both = shop.demo_user(&server, "both").await;
    let key = make(&both, &["read_history", "read_own_orders"]).await;
    let (here, there) = (with(&both, &key), with(&both, &key).at(&other.address));
    for program in [&here, &there] {
        let _ = program.get("/api/v1/events").await.expect(200);
    }
    let both_id = text_of(&key["user_id"]);
    let role = format!("/api/v1/users/{both_id}/roles/admin");
    let revoked = admin.ask(Method::DELETE, &role).send().await;
    assert!((200..300).contains(&revoked.status), "{revoked}");
    for program in [&here, &there] {
        eventually("the key lost what its maker lost", KNOWN_WITHIN, || async {
            (program.get("/api/v1/events").await.status == 403).then_some(())
        })
        .await;
        let _ = program.get("/api/v1/orders").await.expect(200);
    }
    let granted = admin.ask(Method::PUT, &role).send().await;
    assert!((200..300).contains(&granted.status), "{granted}");
    eventually("and has it again", KNOWN_WITHIN, || async {
        (there.get("/api/v1/events").await.status == 200).then_some(())
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_scope_that_one_has_not_or_that_is_none_is_refused() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let customer = shop.demo_user(&server, "customer").await;
    let ask = async |body: Value| customer.post("/api/v1/api-keys", &body).await;
    let own = "read_own_orders";
    for (body, pointer, detail) in [
        (
            json!({"name": "a", "scopes": [own, "manage_users"]}),
            "/scopes/1",
            "manage_users",
        ),
        (
            json!({"name": "a", "scopes": [own, own, "everything"]}),
            "/scopes/2",
            "must be one of",
        ),
        (
            json!({"name": "a", "scopes": [7]}),
            "/scopes/0",
            "must be one of",
        ),
        (json!({"name": "", "scopes": []}), "/name", "1 to 200"),
        (json!({"name": "a"}), "/scopes", "required"),
        (
            json!({"name": "a", "scopes": [], "expires_in": 0}),
            "/expires_in",
            "seconds",
        ),
        (
            json!({"name": "a", "scopes": [], "expires_in": 1e10}),
            "/expires_in",
            "seconds",
        ),
    ] {
        let answer = ask(body).await;
        let problem = answer.problem_of(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{answer}");
        let told = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(told.contains(detail), "{answer}");
    }
    assert!(listed(&customer).await.is_empty());
    let scopeless = ask(json!({"name": "a", "scopes": []})).await.expect(201);
    let scopeless = with(&customer, &scopeless.json());
    let _ = scopeless.get("/api/v1/products").await.expect(200);
    scopeless
        .get("/api/v1/orders")
        .await
        .problem_of(403, "forbidden");
    shop.close().await;
}

#[tokio::test]
async fn another_s_key_is_neither_seen_nor_revoked_but_by_an_admin() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let customer = shop.demo_user(&server, "customer").await;
    let key = make(&customer, &["read_own_orders"]).await;
    let owner = text_of(&key["user_id"]);
    let list = format!("/api/v1/api-keys?user_id={owner}");

    let stranger = shop.customer(&server).await;
    assert!(listed(&stranger).await.is_empty());
    stranger.get(&list).await.problem_of(403, "forbidden");
    revoke(&stranger, &key).await.problem_of(404, "not-found");
    let _ = with(&customer, &key)
        .get("/api/v1/orders")
        .await
        .expect(200);

    let admin = shop.admin(&server).await;
    assert!(listed(&admin).await.is_empty(), "one's own by default");
    let seen = admin.get(&list).await.expect(200).json();
    assert_eq!(seen["items"][0]["api_key_id"], key["api_key_id"]);
    assert_eq!(revoke(&admin, &key).await.status, 204);
    let refused = with(&customer, &key).get("/api/v1/orders").await;
    refused.problem_of(401, "unauthenticated");
    let unknown = json!({"api_key_id": Uuid::new_v4()});
    revoke(&admin, &unknown).await.problem_of(404, "not-found");
    shop.close().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_every_process_within_seconds() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let customer = shop.demo_user(&one, "customer").await;
    let key = make(&customer, &["read_own_orders"]).await;
    let there = with(&customer, &key).at(&two.address);
    let _ = there.get("/api/v1/orders").await.expect(200);
    assert_eq!(revoke(&customer, &key).await.status, 204);
    eventually("the other process knows", KNOWN_WITHIN, || async {
        (there.get("/api/v1/orders").await.status == 401).then_some(())
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_key_ends_with_its_time_and_not_with_sessions() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let customer = shop.demo_user(&server, "customer").await;
    let lasting = make(&customer, &["read_own_orders"]).await;
    let brief = json!({"name": "brief", "scopes": ["read_own_orders"], "expires_in": 1});
    let brief = customer.post("/api/v1/api-keys", &brief).await.expect(201);
    let brief = brief.json();
    assert!(brief["expires_at"].is_string());
    let everywhere = customer.post("/api/v1/logout/everywhere", &json!({})).await;
    assert_eq!(everywhere.status, 204);
    customer
        .get("/api/v1/orders")
        .await
        .problem_of(401, "unauthenticated");
    let program = with(&customer, &lasting);
    let _ = program.get("/api/v1/orders").await.expect(200);
    eventually("the brief one has ended", KNOWN_WITHIN, || async {
        let answer = with(&customer, &brief).get("/api/v1/orders").await;
        (answer.status == 401).then_some(())
    })
    .await;
    let _ = program.get("/api/v1/orders").await.expect(200);
    let again = shop.client(&server);
    let again = again.log_in("customer@example.com", DEMO_PASSWORD).await;
    assert_eq!(listed(&again).await.len(), 2);
    shop.close().await;
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let customer = shop.demo_user(&server, "customer").await;
    let key = make(&customer, &["read_own_orders"]).await;
    let text = text_of(&key["api_key"]);
    let prefix = key["prefix"].as_str().unwrap();
    for bad in [
        "souk_".to_owned(),
        format!("souk_{prefix}"),
        format!("souk_{prefix}_"),
        format!("souk_{prefix}_{}", "A".repeat(43)),
        format!("{text}A"),
        text[..56].to_owned(),
        text.to_uppercase(),
        format!("souk_{}_{}", "a".repeat(8), &text[14..]),
        format!("souk_' or 1=1 --_{}", &text[14..]),
        format!("souk_{}", "A".repeat(10_000)),
    ] {
        let answer = customer.with_token(&bad).get("/api/v1/orders").await;
        answer.problem_of(401, "unauthenticated");
    }
    // a key is sent in one way
    let ask = customer.anonymous().ask(Method::GET, "/api/v1/orders");
    let answer = ask.header("x-api-key", &text).send().await;
    answer.problem_of(401, "unauthenticated");
    shop.close().await;
}
