//! The simple client contract, as a client written against it long ago would find it: messages byte for byte.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE},
    eventually,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

/// Fails unless the object has these members and no other.
fn assert_members(value: &Value, expected: &[&str]) {
    let members: BTreeSet<&str> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(members, expected.iter().copied().collect(), "{value}");
}

fn succeeded(answer: &Answer, message: &str) -> Value {
    assert!((200..300).contains(&answer.status), "{answer}");
    let body = answer.json();
    assert_eq!(body["message"], message, "{answer}");
    body
}

/// Logs in by the contract, and uses its token as it is given.
async fn log_in(client: &Client, email: &str) -> Client {
    let answer = client
        .post(
            "/api/login",
            &json!({"email": email, "password": DEMO_PASSWORD}),
        )
        .await;
    let body = succeeded(&answer, "Login jwt generated");
    assert_members(&body, &["message", "token"]);
    let token = text_of(&body["token"]);
    client.with_token(
        token
            .strip_prefix("Bearer ")
            .expect("the token begins with Bearer"),
    )
}

fn product(name: &str, price: &str, currency: &str) -> String {
    format!(
        r#"{{"name":"{name}","description":"For two","price":{price},"currency":"{currency}","stock":5}}"#
    )
}

async fn create(client: &Client, body: String) -> Answer {
    let ask = client
        .ask(Method::POST, "/api/products")
        .header("content-type", "application/json");
    ask.body(body).send().await
}

#[tokio::test]
async fn a_person_registers_logs_in_and_reads_their_profile() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let client = shop.client(&server);
    let email = "Mai.Nguyen@example.com";
    let form = json!({"name": "Nguyễn Thị Mai", "email": email, "password": DEMO_PASSWORD});
    let registered = succeeded(
        &client.post("/api/registration", &form).await,
        "Registration was successfully",
    );
    assert_members(&registered, &["message", "data"]);
    assert_members(&registered["data"], &["name", "email", "role"]);
    assert_eq!(registered["data"]["name"], "Nguyễn Thị Mai");
    assert_eq!(registered["data"]["role"], "user");
    assert!(text_of(&registered["data"]["email"]).eq_ignore_ascii_case(email));

    let again = client.post("/api/registration", &form).await;
    again.problem_of(409, "email-taken");

    let person = log_in(&client, email).await;
    let profile = succeeded(&person.get("/api/profile").await, "user Profile");
    assert_members(&profile, &["message", "details"]);
    assert_members(&profile["details"], &["id", "name", "email", "role"]);
    assert_eq!(profile["details"]["name"], "Nguyễn Thị Mai");
    assert_eq!(profile["details"]["role"], "user");
    assert_eq!(profile["details"]["email"], "mai.nguyen@example.com");
    assert!(Uuid::parse_str(&text_of(&profile["details"]["id"])).is_ok());
    client.get("/api/profile").await.problem(401);

    for (email, password) in [
        (email, "a wrong password"),
        ("nobody@example.com", DEMO_PASSWORD),
    ] {
        let body = json!({"email": email, "password": password});
        for path in ["/api/login", "/api/v1/login"] {
            client
                .post(path, &body)
                .await
                .problem_of(401, "wrong-credentials");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn the_address_shown_is_the_one_of_registration_wherever_mail_goes() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let person = log_in(&shop.client(&server), "customer@example.com").await;
    for contact_email in [json!("elsewhere@example.com"), Value::Null] {
        let patch = json!({"contact_email": contact_email});
        let changed = person
            .ask(Method::PATCH, "/api/v1/profile")
            .json(&patch)
            .send()
            .await
            .expect(200);
        assert_eq!(changed.json()["contact_email"], contact_email);
        let profile = succeeded(&person.get("/api/profile").await, "user Profile");
        assert_eq!(profile["details"]["email"], "customer@example.com");
    }
    shop.close().await;
}

#[tokio::test]
async fn the_role_shown_is_user_or_the_strongest_one() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    for (who, role) in [
        ("customer", "user"),
        ("admin", "admin"),
        ("seller", "seller"),
        ("analyst", "analyst"),
        ("both", "admin"),
    ] {
        let person = log_in(&shop.client(&server), &format!("{who}@example.com")).await;
        let profile = succeeded(&person.get("/api/profile").await, "user Profile");
        assert_eq!(profile["details"]["role"], role, "{who}");
    }
    shop.close().await;
}

#[tokio::test]
async fn prices_are_json_numbers_that_never_go_through_a_float() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let seller = log_in(&shop.client(&server), "seller@example.com").await;
    for (price, currency, told) in [
        ("25.99", "USD", "25.99"),
        ("25.9", "USD", "25.90"),
        ("7", "USD", "7.00"),
        ("0.1", "SGD", "0.10"),
        ("250000", "VND", "250000"),
        ("200000000.00", "USD", "200000000.00"), // the highest
    ] {
        let created = create(&seller, product("Teapot", price, currency)).await;
        let body = succeeded(&created, "Product created");
        assert_members(&body, &["message", "data"]);
        assert_members(
            &body["data"],
            &["id", "name", "description", "price", "currency", "stock"],
        );
        let digits = format!("\"price\":{told}");
        let text: String = created
            .text()
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        assert!(
            text.contains(&format!("{digits},")) || text.contains(&format!("{digits}}}")),
            "{price}: {created}"
        );
        assert_eq!(
            (&body["data"]["currency"], &body["data"]["stock"]),
            (&json!(currency), &json!(5))
        );
        // it went to the region that is the default of its currency
        let id = text_of(&body["data"]["id"]);
        let region = eventually("the product can be read", PATIENCE, || async {
            let answer = seller.get(&format!("/api/v1/products/{id}")).await;
            (answer.status == 200).then(|| text_of(&answer.json()["region_id"]))
        })
        .await;
        assert_eq!(region, seller.region(currency).await);
    }
    let list = seller.get("/api/products").await;
    let text: String = list.text().split_whitespace().collect();
    for told in ["25.99", "25.90", "7.00", "0.10", "250000", "200000000.00"] {
        assert!(
            text.contains(&format!("\"price\":{told},")),
            "{told}: {list}"
        );
    }
    let before = shop.head().await;
    for (price, currency) in [
        ("25.999", "USD"),
        ("0.5", "VND"),
        ("-1", "USD"),
        ("\"25.99\"", "USD"),
        ("1e2000", "USD"),
        ("99999999999999999999", "USD"),
        ("null", "USD"),
        ("25.99", "XYZ"), // no region has it
        ("25.99", "usd dollars"),
    ] {
        let refused = create(&seller, product("Teapot", price, currency)).await;
        assert!(
            (400..500).contains(&refused.status),
            "{price} {currency}: {refused}"
        );
        refused.any_problem();
    }
    assert_eq!(shop.head().await, before, "nothing is stored");
    shop.close().await;
}

#[tokio::test]
async fn products_are_created_by_admins_and_sellers_alone() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    for (who, status) in [
        ("admin", 2),
        ("seller", 2),
        ("both", 2),
        ("customer", 403),
        ("analyst", 403),
    ] {
        let person = log_in(&shop.client(&server), &format!("{who}@example.com")).await;
        let answer = create(&person, product("Teapot", "1", "USD")).await;
        assert!(
            answer.status == status || answer.status / 100 == status,
            "{who}: {answer}"
        );
    }
    create(&shop.client(&server), product("Teapot", "1", "USD"))
        .await
        .problem(401);
    shop.close().await;
}

#[tokio::test]
async fn the_product_list_goes_on_in_a_link_header() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let client = shop.client(&server);
    let whole = succeeded(&client.get("/api/products").await, "Product list");
    assert_members(&whole, &["message", "data"]);
    let whole: Vec<String> = whole["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| text_of(&p["id"]))
        .collect();
    assert!(
        whole.len() > 10 && whole.len() <= 100,
        "{} are seeded",
        whole.len()
    );

    let (mut ids, mut path) = (Vec::new(), "/api/products?limit=7".to_owned());
    loop {
        let answer = client.get(&path).await;
        let page = succeeded(&answer, "Product list");
        let items = page["data"].as_array().expect("a list");
        for item in items {
            assert_members(
                item,
                &["id", "name", "description", "price", "currency", "stock"],
            );
            ids.push(text_of(&item["id"]));
        }
        let Some(link) = answer.header("link") else {
            break;
        };
        assert_eq!(items.len(), 7);
        let (target, parameters) = link.split_once('>').expect("RFC 8288");
        assert!(parameters.contains("rel=\"next\""), "{link}");
        let target = target.strip_prefix('<').expect("RFC 8288");
        path = target
            .strip_prefix(&server.address)
            .unwrap_or(target)
            .to_owned();
    }
    assert_eq!(ids, whole, "each once, in the same order");
    let _ = client.get("/api/products?limit=1000").await.expect(200);
    for bad in [
        "limit=1001",
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=",
        "nonsense=1",
        "cursor=x",
    ] {
        client
            .get(&format!("/api/products?{bad}"))
            .await
            .problem(400);
    }
    shop.close().await;
}

#[tokio::test]
async fn an_order_answers_its_id_and_a_client_secret_and_gets_paid() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let seller = log_in(&shop.client(&server), "seller@example.com").await;
    let made = succeeded(
        &create(&seller, product("Teapot", "25.99", "USD")).await,
        "Product created",
    );
    let teapot = text_of(&made["data"]["id"]);
    let customer = log_in(&shop.client(&server), "customer@example.com").await;
    let body = json!({"items": [{"productId": teapot, "quantity": 2}]});
    let ordered = succeeded(
        &customer.post("/api/orders/create", &body).await,
        "Order created successfully",
    );
    assert_members(&ordered, &["message", "orderId", "clientSecret"]);
    let secret = text_of(&ordered["clientSecret"]);
    assert!(secret.contains("_secret_"), "{secret}");
    let order = text_of(&ordered["orderId"]);
    let paid = customer.wait_until_paid(&order).await;
    assert!(secret.starts_with(&text_of(&paid["payment_id"])));

    // a key is optional here, and kept where it is sent
    let ask = |key: &str| {
        customer
            .ask(Method::POST, "/api/orders/create")
            .json(&body)
            .key(key)
            .send()
    };
    let (first, second) = (ask("once").await, ask("once").await);
    assert_eq!(
        first.json()["orderId"],
        second.json()["orderId"],
        "{second}"
    );
    assert_eq!(
        first.json()["clientSecret"],
        second.json()["clientSecret"],
        "{second}"
    );
    shop.close().await;
}

#[tokio::test]
async fn products_of_two_regions_are_not_one_order() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let seller = log_in(&shop.client(&server), "seller@example.com").await;
    let mut items = Vec::new();
    for (price, currency) in [("1", "USD"), ("250000", "VND")] {
        let made = succeeded(
            &create(&seller, product("Teapot", price, currency)).await,
            "Product created",
        );
        items.push(json!({"productId": made["data"]["id"], "quantity": 1}));
    }
    let customer = log_in(&shop.client(&server), "customer@example.com").await;
    let before = shop.head().await;
    let refused = customer
        .post("/api/orders/create", &json!({"items": items}))
        .await;
    assert!(matches!(refused.status, 409 | 422), "{refused}");
    refused.any_problem();
    assert_eq!(shop.head().await, before);
    shop.close().await;
}
