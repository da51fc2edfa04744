//! Sellers: a shop from its opening to its end, what its owner may do and nobody else, and the products of every kind that
//! it offers.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE, new_product},
    eventually,
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

const SHOPS: &str = "/api/v1/shops";
const PRODUCTS: &str = "/api/v1/products";

/// A seller with their shop.
struct Seller {
    client: Client,
    shop_id: String,
    path: String,
}

impl Seller {
    /// A customer who opens a shop.
    async fn new(shop: &Shop, server: &Server, title: &str) -> Self {
        Self::of(shop.customer(server).await, title).await
    }

    async fn of(client: Client, title: &str) -> Self {
        let opened = client.post(SHOPS, &json!({"title": title})).await;
        let shop_id = opened.expect(201).id();
        let path = format!("{SHOPS}/{shop_id}");
        Self {
            client,
            shop_id,
            path,
        }
    }

    /// Body of a product of the shop in the United States.
    async fn offer(&self) -> Value {
        let sku = Uuid::new_v4().simple().to_string();
        let region = self.client.region("USD").await;
        let mut body = new_product(&region, &sku, (1_000, "USD"), 10);
        body["shop_id"] = json!(self.shop_id);
        body
    }

    async fn product(&self) -> String {
        let offered = self.client.post(PRODUCTS, &self.offer().await).await;
        offered.expect(201).id()
    }
}

async fn close(client: &Client, path: &str) -> Answer {
    client.ask(Method::DELETE, path).send().await
}

/// What the pages of a list hold under that name.
async fn listed(client: &Client, path: &str, position: &str, name: &str) -> BTreeSet<String> {
    let ask = client.ask(Method::GET, path).min_position(position);
    let page = ask.send().await.expect(200).json();
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|item| text_of(&item[name])).collect()
}

/// The pointers of what is wrong with a body.
fn pointers(answer: &Answer) -> BTreeSet<String> {
    let document = answer.problem_of(422, "validation");
    let errors = document["errors"].as_array().expect("a list").iter();
    errors.map(|error| text_of(&error["pointer"])).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_customer_opens_a_shop_sells_and_closes_it() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let owner = shop.customer(&server).await;
    let opened = owner
        .ask(Method::POST, SHOPS)
        .json(&json!({"title": "Hats of Hà Nội", "description": "Hats."}))
        .key("my first shop")
        .send()
        .await
        .expect(201);
    assert_eq!(opened.json()["status"], "open");
    let again = owner
        .ask(Method::POST, SHOPS)
        .json(&json!({"title": "Hats of Hà Nội", "description": "Hats."}))
        .key("my first shop")
        .send()
        .await
        .expect(201);
    assert_eq!(again.id(), opened.id(), "asked twice, opened once");

    // the very next requests may do what sellers do, and read what was written
    let path = format!("{SHOPS}/{}", opened.id());
    let read = owner.anonymous().ask(Method::GET, &path);
    let read = read.min_position(&opened.position()).send().await;
    assert_eq!(read.expect(200).json()["title"], "Hats of Hà Nội");
    let seller = Seller {
        client: owner,
        shop_id: opened.id(),
        path,
    };
    let product = seller.product().await;
    let product_path = format!("{PRODUCTS}/{product}");
    let cheaper = json!({"price": {"amount": 900, "currency": "USD"}});
    let changed = seller.client.patch(&product_path, &cheaper).send().await;
    let changed = changed.expect(200);
    assert_eq!(changed.json()["shop_id"], json!(seller.shop_id));
    seller.client.restock(&product, 5).await;
    let described = json!({"description": "Hats, and a coat."});
    let described = seller.client.patch(&seller.path, &described).send().await;
    let stale = seller
        .client
        .patch(&seller.path, &json!({"title": "Late"}))
        .if_match("\"1\"")
        .send()
        .await;
    assert_eq!(described.expect(200).etag(), "\"2\"");
    stale.problem_of(412, "precondition-failed");

    let customer = shop.customer(&server).await;
    let before = customer.place(&[(&product, 2)], "test_succeeds").await;
    let closed = close(&seller.client, &seller.path).await.expect(204);
    let _ = close(&seller.client, &seller.path).await.expect(204);
    let refused = customer.order(&[(&product, 1)]).await;
    let refused = refused.problem_of(409, "shop-not-open");
    assert_eq!(refused["product_id"], json!(product));
    let seller_refused = seller.client.patch(&product_path, &cheaper).send().await;
    seller_refused.problem_of(409, "shop-not-open");
    let offer = seller.offer().await;
    let refused = seller.client.post(PRODUCTS, &offer).await;
    refused.problem_of(409, "shop-not-open");
    // an admin cannot offer anything there either
    let refused = shop.admin(&server).await.post(PRODUCTS, &offer).await;
    refused.problem_of(409, "shop-not-open");
    customer.wait_until_paid(&before).await;

    // neither the shop nor its products are shown any more, but the shop to its owner
    let at = |path: &str| {
        let anonymous = customer.anonymous();
        anonymous
            .ask(Method::GET, path)
            .min_position(&closed.position())
    };
    for path in [&seller.path, &product_path] {
        at(path).send().await.problem_of(404, "not-found");
    }
    let all = format!("{PRODUCTS}?shop_id={}", seller.shop_id);
    let page = at(&all).send().await.expect(200).json();
    assert_eq!(page["items"], json!([]));
    let own = seller.client.get(&seller.path).await.expect(200).json();
    assert_eq!(own["status"], "closed");
    shop.close().await;
}

#[tokio::test]
async fn a_shop_waits_for_approval_where_that_is_set() {
    let shop = Shop::opening()
        .set("SOUK_SHOP_APPROVAL", "true")
        .open()
        .await;
    let server = shop.serve().await;
    let seller = Seller::new(&shop, &server, "Coats").await;
    let owner = &seller.client;
    let admin = shop.admin(&server).await;
    let asked = owner.patch(&seller.path, &json!({"title": "Coats and hats"}));
    let position = asked.send().await.expect(200).position();
    let profile = owner.get("/api/v1/profile").await.expect(200).json();
    assert_eq!(profile["roles"], json!(["customer"]), "no seller yet");
    owner
        .post(PRODUCTS, &seller.offer().await)
        .await
        .problem_of(403, "forbidden");

    // it is seen by its owner and by admins alone
    let read = async |client: &Client| {
        let ask = client.ask(Method::GET, &seller.path);
        ask.min_position(&position).send().await
    };
    for other in [owner.anonymous(), shop.customer(&server).await] {
        read(&other).await.problem_of(404, "not-found");
    }
    for may in [owner, &admin] {
        let answer = read(may).await.expect(200);
        assert_eq!(answer.json()["status"], "requested");
    }
    let waiting = format!("{SHOPS}?status=requested");
    let own = format!(
        "{waiting}&owner_id={}",
        text_of(&read(owner).await.json()["owner_id"])
    );
    for (who, path) in [(&admin, &waiting), (&admin, &own), (owner, &own)] {
        let found = listed(who, path, &position, "shop_id").await;
        assert_eq!(found, set(&[&seller.shop_id]), "{path}");
    }
    for (who, path) in [(owner, &waiting), (&owner.anonymous(), &own)] {
        who.get(path).await.problem_of(403, "forbidden");
    }
    let open = listed(owner, SHOPS, &position, "shop_id").await;
    assert!(!open.contains(&seller.shop_id));

    let approve = format!("{}/approve", seller.path);
    let approve = async |who: &Client| who.ask(Method::POST, &approve).send().await;
    approve(owner).await.problem_of(403, "forbidden");
    for _ in 0..2 {
        let approved = approve(&admin).await.expect(200);
        assert_eq!(approved.json()["status"], "open");
    }
    let profile = owner.get("/api/v1/profile").await.expect(200).json();
    assert_eq!(profile["roles"], json!(["customer", "seller"]));
    seller.product().await;
    let _ = close(owner, &seller.path).await.expect(204);
    approve(&admin).await.problem_of(409, "shop-not-open");
    shop.close().await;
}

#[tokio::test]
async fn what_is_of_another_seller_or_of_the_market_is_not_theirs_to_change() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let seller = Seller::new(&shop, &server, "Theirs").await;
    let other = Seller::new(&shop, &server, "Another's").await;
    let products = [seller.product().await, admin.product(100, 5).await];
    for product in &products {
        let path = format!("{PRODUCTS}/{product}");
        let stock = format!("{path}/stock");
        let change = json!({"title": "Mine now"});
        for ask in [
            other.client.patch(&path, &change),
            other.client.ask(Method::DELETE, &path),
            other
                .client
                .ask(Method::POST, &format!("{stock}/receipts"))
                .json(&json!({"quantity": 1})),
            other
                .client
                .ask(Method::POST, &format!("{stock}/adjustments"))
                .json(&json!({"delta": -1})),
            other
                .client
                .put(&stock, &json!({"available": 0}))
                .if_match("\"1\""),
        ] {
            ask.send().await.problem_of(403, "forbidden");
        }
    }
    let change = json!({"title": "Mine now"});
    let answer = other.client.patch(&seller.path, &change).send().await;
    answer.problem_of(403, "forbidden");
    let answer = close(&other.client, &seller.path).await;
    answer.problem_of(403, "forbidden");
    let offer = seller.offer().await;
    let answer = other.client.post(PRODUCTS, &offer).await;
    answer.problem_of(403, "forbidden");
    let mut of_nobody = offer.clone();
    of_nobody["shop_id"] = Value::Null;
    let answer = other.client.post(PRODUCTS, &of_nobody).await;
    answer.problem_of(403, "forbidden");
    // who is no seller at all does not come that far
    let customer = shop.customer(&server).await;
    let answer = customer.post(PRODUCTS, &offer).await;
    answer.problem_of(403, "forbidden");

    // an admin manages everything
    let path = format!("{PRODUCTS}/{}", products[0]);
    let _ = admin.patch(&path, &change).send().await.expect(200);
    let _ = admin.post(PRODUCTS, &offer).await.expect(201);
    let _ = admin.patch(&seller.path, &change).send().await.expect(200);
    let _ = close(&admin, &seller.path).await.expect(204);
    shop.close().await;
}

#[tokio::test]
async fn where_selling_is_switched_off_nobody_opens_a_shop_and_sellers_change_nothing() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let seller = Seller::new(&shop, &server, "Before").await;
    let product = seller.product().await;
    let off = shop.serve_with(&[("SOUK_SELLERS", "false")]).await;
    let there = seller.client.at(&off.address);
    let offer = seller.offer().await;
    let product_path = format!("{PRODUCTS}/{product}");
    let simple =
        json!({"name": "Pot", "description": "", "price": 25.99, "currency": "USD", "stock": 3});
    for ask in [
        there
            .ask(Method::POST, SHOPS)
            .json(&json!({"title": "After"})),
        there.ask(Method::POST, PRODUCTS).json(&offer),
        there.ask(Method::POST, "/api/products").json(&simple),
        there.patch(&product_path, &json!({"title": "After"})),
        there.ask(Method::DELETE, &product_path),
        there
            .ask(Method::POST, &format!("{product_path}/stock/receipts"))
            .json(&json!({"quantity": 1})),
        there.patch(&seller.path, &json!({"title": "After"})),
        there.ask(Method::DELETE, &seller.path),
    ] {
        ask.send().await.problem_of(403, "forbidden");
    }
    // what was offered before is sold on, and admins manage it
    let customer = shop.customer(&server).await.at(&off.address);
    let _ = customer.order(&[(&product, 1)]).await.expect(201);
    let admin = shop.admin(&off).await;
    let _ = close(&admin, &product_path).await.expect(204);
    shop.close().await;
}

#[tokio::test]
async fn the_simple_contract_sells_from_the_oldest_open_shop_of_a_seller() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let body =
        json!({"name": "Pot", "description": "", "price": 25.99, "currency": "USD", "stock": 3});
    let shop_of = async |client: &Client| {
        let created = client.post("/api/products", &body).await.expect(201);
        let path = format!("{PRODUCTS}/{}", text_of(&created.json()["data"]["id"]));
        let ask = client.ask(Method::GET, &path);
        let read = ask.min_position(&created.position()).send().await;
        read.expect(200).json()["shop_id"].clone()
    };
    let admin = shop.admin(&server).await;
    assert_eq!(shop_of(&admin).await, Value::Null, "the market's own");
    let first = Seller::new(&shop, &server, "First").await;
    let second = Seller::of(first.client.clone(), "Second").await;
    assert_eq!(shop_of(&first.client).await, json!(first.shop_id));
    let _ = close(&first.client, &first.path).await.expect(204);
    assert_eq!(shop_of(&first.client).await, json!(second.shop_id));
    let _ = close(&first.client, &second.path).await.expect(204);
    let refused = first.client.post("/api/products", &body).await;
    refused.problem_of(403, "forbidden");
    let customer = shop.customer(&server).await;
    let refused = customer.post("/api/products", &body).await;
    refused.problem_of(403, "forbidden");
    shop.close().await;
}

#[tokio::test]
async fn whoever_opens_a_shop_is_made_a_seller_by_the_process_of_the_saga_too() {
    let shop = Shop::open().await;
    let api = shop
        .serve_with(&[("SOUK_ROLES", "api"), ("SOUK_SHOP_APPROVAL", "false")])
        .await;
    let seller = Seller::new(&shop, &api, "Mine").await;
    // as if the handler had not come so far
    let admin = shop.admin(&api).await;
    let profile = seller.client.get("/api/v1/profile").await.expect(200);
    let user_id = text_of(&profile.json()["user_id"]);
    let role = format!("/api/v1/users/{user_id}/roles/seller");
    let _ = close(&admin, &role).await.expect(200);
    let nonsense = json!({"nonsense": 1});
    let refused = seller.client.post(PRODUCTS, &nonsense).await;
    refused.problem_of(403, "forbidden");

    let saga = shop.serve_with(&[("SOUK_ROLES", "saga,projectors")]).await;
    eventually("the owner is a seller", PATIENCE, || async {
        let answer = seller.client.post(PRODUCTS, &nonsense).await;
        (answer.status == 422).then_some(())
    })
    .await;
    drop(saga);
    shop.close().await;
}

#[tokio::test]
async fn when_an_account_is_closed_its_shops_are_closed_too() {
    let shop = Shop::opening().set("SOUK_ERASURE_GRACE", "0s").open().await;
    let server = shop.serve().await;
    let seller = Seller::new(&shop, &server, "Ends").await;
    let product = seller.product().await;
    seller.client.restock(&product, 10_000).await;
    let customer = shop.customer(&server).await;
    let _ = customer.order(&[(&product, 1)]).await.expect(201);
    let answer = seller
        .client
        .ask(Method::DELETE, "/api/v1/profile")
        .json(&json!({"password": DEMO_PASSWORD, "cancel_open_orders": true}))
        .send()
        .await;
    assert!((200..300).contains(&answer.status), "{answer}");
    eventually("the shop is closed", PATIENCE, || async {
        let answer = customer.order(&[(&product, 1)]).await;
        (answer.kind()? == "shop-not-open").then_some(())
    })
    .await;
    let admin = shop.admin(&server).await;
    eventually("the shop is shown as closed", PATIENCE, || async {
        let read = admin.get(&seller.path).await.expect(200).json();
        (read["status"] == "closed").then_some(())
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn attributes_are_held_against_the_kind_and_found_by_filters() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let seller = Seller::new(&shop, &server, "Shirts").await;
    let client = &seller.client;
    let with = async |kind: Value, attributes: Value| {
        let mut body = seller.offer().await;
        body["kind"] = kind;
        body["attributes"] = attributes;
        client.post(PRODUCTS, &body).await
    };
    let shirt = json!({"size": "M", "colour": "đỏ"});
    for (kind, attributes, wrong) in [
        (json!("food"), json!({}), &["/kind"][..]),
        (Value::Null, shirt.clone(), &["/kind"]),
        (json!("clothing"), json!([]), &["/attributes"]),
        (
            json!("clothing"),
            json!({"size": "enormous", "watts": 5}),
            &[
                "/attributes/size",
                "/attributes/watts",
                "/attributes/colour",
            ],
        ),
        (
            json!("electronics"),
            json!({"brand": 7, "warranty_months": 1.5, "rechargeable": "yes"}),
            &[
                "/attributes/brand",
                "/attributes/warranty_months",
                "/attributes/rechargeable",
            ],
        ),
    ] {
        let answer = with(kind.clone(), attributes.clone()).await;
        assert_eq!(pointers(&answer), set(wrong), "{kind} {attributes}");
    }
    let made = with(json!("clothing"), shirt.clone()).await.expect(201);
    assert_eq!(made.json()["kind"], "clothing");
    assert_eq!(made.json()["attributes"], shirt);
    let chair = json!({
        "material": "oak", "width_mm": 500, "depth_mm": 500, "height_mm": 900, "needs_assembly": false,
    });
    let chair = with(json!("furniture"), chair).await.expect(201);
    let bare = seller.product().await;
    let position = client.restock(&bare, 1).await;
    let found = async |filter: &str| {
        let path = format!("{PRODUCTS}?shop_id={}&{filter}", seller.shop_id);
        listed(client, &path, &position, "product_id").await
    };
    for (filter, expected) in [
        ("sort=title", vec![&*made.id(), &*chair.id(), &*bare]),
        ("kind=clothing", vec![&*made.id()]),
        ("kind=electronics", vec![]),
        ("kind=clothing&attributes[size]=M", vec![&*made.id()]),
        ("kind=clothing&attributes[size]=L", vec![]),
        (
            "kind=clothing&attributes[size]=M&attributes[colour]=%C4%91%E1%BB%8F",
            vec![&*made.id()],
        ),
        (
            "kind=furniture&attributes[width_mm]=500&attributes[needs_assembly]=false",
            vec![&*chair.id()],
        ),
    ] {
        assert_eq!(found(filter).await, set(&expected), "{filter}");
    }

    // kind and attributes change together, and go together
    let path = format!("{PRODUCTS}/{}", made.id());
    let change = async |change: Value| client.patch(&path, &change).send().await;
    let alone = change(json!({"attributes": {"size": "L"}})).await;
    assert_eq!(pointers(&alone), set(&["/kind"]));
    let larger = json!({"kind": "clothing", "attributes": {"size": "L", "colour": "đỏ"}});
    let larger = change(larger).await.expect(200).json();
    assert_eq!(larger["attributes"]["size"], "L");
    let kept = change(json!({"title": "A shirt"})).await.expect(200).json();
    assert_eq!(kept["attributes"]["size"], "L");
    let none = change(json!({"kind": null})).await.expect(200).json();
    assert_eq!(
        (&none["kind"], &none["attributes"]),
        (&Value::Null, &json!({}))
    );
    shop.close().await;
}

#[tokio::test]
async fn the_kinds_are_listed_with_a_schema_each() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let list = shop.client(&server).get("/api/v1/kinds").await.expect(200);
    let list = list.json();
    let kinds = list["items"].as_array().expect("a list");
    assert!(kinds.len() >= 3);
    for kind in kinds {
        let schema = &kind["schema"];
        assert_eq!(schema["type"], "object", "{kind}");
        for attribute in kind["attributes"].as_array().expect("a list") {
            let described = &schema["properties"][text_of(&attribute["name"])];
            assert_eq!(described["type"], attribute["type"], "{attribute}");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn a_product_is_of_a_shop_and_a_category_that_are_there() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let title = json!({"title": "Shirts"});
    let made = admin.post("/api/v1/categories", &title).await.expect(201);
    let category = made.id();
    let path = format!("/api/v1/categories/{category}");
    // titles are one however they are spelled
    let taken = json!({"title": "SHIRTS"});
    let answer = admin.post("/api/v1/categories", &taken).await;
    answer.problem_of(409, "taken");
    let region = admin.region("USD").await;
    let product = |sku: &str| new_product(&region, sku, (100, "USD"), 1);
    let mut body = product("IN-A-CATEGORY");
    body["category_id"] = json!(category);
    let created = admin.post(PRODUCTS, &body).await.expect(201);
    let filter = format!("{PRODUCTS}?category_id={category}");
    let found = listed(&admin, &filter, &created.position(), "product_id").await;
    assert_eq!(found, set(&[&created.id()]));

    let renamed = admin.patch(&path, &json!({"title": "Shirts and more"}));
    let renamed = renamed.if_match(&made.etag()).send().await.expect(200);
    let stale = admin.patch(&path, &json!({"title": "Late"}));
    let stale = stale.if_match(&made.etag()).send().await;
    stale.problem_of(412, "precondition-failed");
    let read = admin.anonymous().ask(Method::GET, &path);
    let read = read.min_position(&renamed.position()).send().await;
    assert_eq!(read.expect(200).json()["title"], "Shirts and more");

    let deleted = close(&admin, &path).await.expect(204);
    let read = admin.ask(Method::GET, &path);
    let read = read.min_position(&deleted.position()).send().await;
    read.problem_of(404, "not-found");
    let all = listed(&admin, "/api/v1/categories", &deleted.position(), "title").await;
    assert!(!all.contains("Shirts and more"), "{all:?}");
    admin
        .patch(&path, &title)
        .send()
        .await
        .problem_of(404, "not-found");
    // its title is free again, and what was in it stays
    let _ = admin.post("/api/v1/categories", &taken).await.expect(201);
    let product_path = format!("{PRODUCTS}/{}", created.id());
    let kept = admin.get(&product_path).await.expect(200).json();
    assert_eq!(kept["category_id"], json!(category));
    let nowhere = json!({"category_id": category});
    let answer = admin.patch(&product_path, &nowhere).send().await;
    // the same as before is no change, but a category that is gone takes nothing
    assert_eq!(pointers(&answer), set(&["/category_id"]));
    let none = json!({"category_id": null});
    let answer = admin.patch(&product_path, &none).send().await.expect(200);
    assert_eq!(answer.json()["category_id"], Value::Null);

    for (member, pointer) in [
        ("category_id", "/category_id"),
        ("shop_id", "/shop_id"),
        ("region_id", "/region_id"),
    ] {
        let mut body = product("NOWHERE");
        body[member] = json!(Uuid::new_v4());
        let answer = admin.post(PRODUCTS, &body).await;
        assert_eq!(pointers(&answer), set(&[pointer]), "{member}");
    }
    shop.close().await;
}
