//! Discounts: who gives them, changes them and takes them back, and what is told of them to whom. What they take off is
//! `checkout`'s.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, new_order, new_product},
    server::Server,
    shop::Shop,
};
use uuid::Uuid;

const DISCOUNTS: &str = "/api/v1/discounts";

/// A seller with an open shop.
async fn seller(shop: &Shop, server: &Server) -> (Client, String) {
    let seller = shop.customer(server).await;
    let opened = seller
        .post("/api/v1/shops", &json!({"title": "A shop"}))
        .await;
    (seller, opened.expect(201).id())
}

fn tenth(region: &str, code: Option<&str>) -> Value {
    json!({
        "region_id": region, "code": code, "title": "A tenth off",
        "value": {"kind": "percentage", "basis_points": 1_000},
    })
}

fn path_of(discount: &str) -> String {
    format!("{DISCOUNTS}/{discount}")
}

/// The discount as it is read once that position is there.
async fn read_at(client: &Client, discount: &str, position: &str) -> Answer {
    let ask = client.ask(Method::GET, &path_of(discount));
    ask.min_position(position).send().await
}

/// The titles of a list, in its order, page by page.
async fn titles(client: &Client, query: &str, position: &str) -> Vec<String> {
    let (mut titles, mut cursor) = (vec![], String::new());
    loop {
        let path = format!("{DISCOUNTS}?limit=2&{query}{cursor}");
        let ask = client.ask(Method::GET, &path).min_position(position);
        let page = ask.send().await.expect(200).json();
        let items = page["items"].as_array().expect("a list").iter();
        titles.extend(items.map(|discount| text_of(&discount["title"])));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return titles,
        }
    }
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
async fn an_admin_gives_a_discount_changes_it_and_takes_it_back() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let product = admin.product(1_000, 5).await;
    let body = json!({
        "region_id": region, "code": "tet-2026", "title": "Tết",
        "value": {"kind": "amount", "amount": 500, "currency": "USD"},
        "minimum": {"amount": 2_000, "currency": "USD"},
        "scope": {"product_ids": [product]},
        "starts_at": "2026-01-01T07:00:00+07:00", "ends_at": "2036-01-01T00:00:00.25Z",
        "max_uses": 100, "max_uses_per_customer": 1,
    });
    let give = async || {
        let ask = admin.ask(Method::POST, DISCOUNTS).json(&body);
        ask.key("the first discount").send().await.expect(201)
    };
    let (given, again) = (give().await, give().await);
    assert_eq!(again.id(), given.id(), "asked twice, given once");
    assert_eq!(
        (given.etag(), again.etag()),
        ("\"1\"".into(), "\"1\"".into())
    );
    let mut expected = json!({
        "discount_id": given.id(), "region_id": region, "currency": "USD", "shop_id": null, "code": "TET-2026",
        "title": "Tết", "value": {"kind": "amount", "amount": 500, "currency": "USD", "decimal": "5.00"},
        "minimum": {"amount": 2_000, "currency": "USD", "decimal": "20.00"},
        "scope": {"product_ids": [product], "category_ids": []},
        "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2036-01-01T00:00:00.250Z",
        "max_uses": 100, "max_uses_per_customer": 1, "used": 0, "deleted": false,
    });
    for answer in [&given, &again] {
        assert_eq!(answer.json(), expected);
    }
    let read = read_at(&admin, &given.id(), &given.position())
        .await
        .expect(200);
    let mut shown = read.json();
    let times = ["created_at", "updated_at"].map(|name| shown[name].take());
    assert!(times[0].is_string() && times[0] == times[1], "{read}");
    for name in ["created_at", "updated_at"] {
        shown.as_object_mut().expect("an object").remove(name);
    }
    assert_eq!(shown, expected);

    let path = path_of(&given.id());
    let wish = json!({
        "title": "Tết, longer", "value": {"kind": "percentage", "basis_points": 1_250}, "minimum": null, "scope": null,
        "starts_at": null, "ends_at": null, "max_uses": null, "max_uses_per_customer": 3,
    });
    let stale = admin.patch(&path, &wish).if_match("\"7\"").send().await;
    stale.problem_of(412, "precondition-failed");
    assert_eq!(stale.etag(), "\"1\"");
    let changed = admin
        .patch(&path, &wish)
        .if_match(&read.etag())
        .send()
        .await;
    let changed = changed.expect(200);
    for (name, value) in [
        ("title", json!("Tết, longer")),
        (
            "value",
            json!({"kind": "percentage", "basis_points": 1_250}),
        ),
        (
            "minimum",
            json!({"amount": 0, "currency": "USD", "decimal": "0.00"}),
        ),
        ("scope", json!({"product_ids": [], "category_ids": []})),
        ("starts_at", Value::Null),
        ("ends_at", Value::Null),
        ("max_uses", Value::Null),
        ("max_uses_per_customer", json!(3)),
    ] {
        expected[name] = value;
    }
    assert_eq!((changed.json(), changed.etag()), (expected, "\"2\"".into()));
    let nothing = admin.patch(&path, &json!({})).send().await.expect(200);
    assert_eq!(nothing.etag(), "\"2\"", "nothing has changed");

    // taken in the region while it is there, and free again afterwards
    let other = tenth(&region, Some("TET-2026"));
    let refused = admin.post(DISCOUNTS, &other).await;
    refused.problem_of(409, "taken");
    let elsewhere = tenth(&admin.region("VND").await, Some("TET-2026"));
    let _ = admin.post(DISCOUNTS, &elsewhere).await.expect(201);
    let stale = admin
        .ask(Method::DELETE, &path)
        .if_match("\"1\"")
        .send()
        .await;
    stale.problem_of(412, "precondition-failed");
    let delete = admin.ask(Method::DELETE, &path).if_match("\"2\"");
    let deleted = delete.send().await.expect(204);
    let _ = admin.ask(Method::DELETE, &path).send().await.expect(204);
    let gone = read_at(&admin, &given.id(), &deleted.position()).await;
    gone.problem_of(404, "not-found");
    let gone = admin.patch(&path, &wish).send().await;
    gone.problem_of(404, "not-found");
    let _ = admin.post(DISCOUNTS, &other).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn discounts_are_filtered_sorted_and_paged() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = json!({
        "title": "A region", "country": "XX", "currency": "USD", "tax_rate": 0, "prices_include_tax": true,
    });
    let region = admin.post("/api/v1/regions", &region).await;
    let region = region.expect(201).id();
    let give = async |code: Option<&str>, title: &str, ends_at: Value, starts_at: Value| {
        let mut body = tenth(&region, code);
        body["title"] = json!(title);
        body["ends_at"] = ends_at;
        body["starts_at"] = starts_at;
        admin.post(DISCOUNTS, &body).await.expect(201)
    };
    let (none, past, future) = (
        Value::Null,
        json!("2020-01-01T00:00:00Z"),
        json!("2100-01-01T00:00:00Z"),
    );
    give(Some("now"), "b now", future.clone(), past.clone()).await;
    give(Some("over"), "c over", past, none.clone()).await;
    give(Some("later"), "d later", none.clone(), future).await;
    let given = give(None, "a given", none.clone(), none.clone()).await;
    let gone = give(Some("gone"), "e gone", none.clone(), none).await;
    let path = path_of(&gone.id());
    let last = admin.ask(Method::DELETE, &path).send().await.expect(204);
    let mut elsewhere = tenth(&admin.region("VND").await, Some("now"));
    elsewhere["title"] = json!("f elsewhere");
    let elsewhere = admin.post(DISCOUNTS, &elsewhere).await.expect(201);

    let here = format!("region_id={region}");
    for (query, expected) in [
        ("sort=title", vec!["a given", "b now", "c over", "d later"]),
        ("sort=-title", vec!["d later", "c over", "b now", "a given"]),
        ("", vec!["a given", "d later", "c over", "b now"]),
        (
            "sort=ends_at",
            vec!["c over", "b now", "d later", "a given"],
        ),
        ("active=true&sort=title", vec!["a given", "b now"]),
        ("active=false&sort=title", vec!["c over", "d later"]),
        ("automatic=true", vec!["a given"]),
        ("automatic=false&active=true", vec!["b now"]),
        ("code=Now", vec!["b now"]),
        ("code=nothing", vec![]),
        (
            "include_deleted=true&sort=title",
            vec!["a given", "b now", "c over", "d later", "e gone"],
        ),
    ] {
        let found = titles(&admin, &format!("{here}&{query}"), &last.position()).await;
        assert_eq!(found, expected, "{query}");
    }
    let everywhere = titles(&admin, "code=now&sort=title", &elsewhere.position()).await;
    assert_eq!(everywhere, ["b now", "f elsewhere"]);
    let of_no_shop = format!("shop_id={}", Uuid::new_v4());
    assert!(
        titles(&admin, &of_no_shop, &given.position())
            .await
            .is_empty()
    );
    shop.close().await;
}

#[tokio::test]
async fn sellers_give_discounts_of_their_own_open_shops_and_see_no_others() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let (owner, own_shop) = seller(&shop, &server).await;
    let (other, other_shop) = seller(&shop, &server).await;
    let mut body = tenth(&region, Some("OURS"));
    body["shop_id"] = json!(own_shop);
    let given = owner.post(DISCOUNTS, &body).await.expect(201);
    assert_eq!(given.json()["shop_id"], json!(own_shop));
    let of_market = admin
        .post(DISCOUNTS, &tenth(&region, None))
        .await
        .expect(201);
    let position = of_market.position();

    // neither another's nor the market's can be given
    for wished in [tenth(&region, None), body.clone()] {
        other
            .post(DISCOUNTS, &wished)
            .await
            .problem_of(403, "forbidden");
    }
    // what one may not see does not exist, however one asks
    let wish = json!({"title": "Mine now"});
    for (who, discount) in [(&other, given.id()), (&owner, of_market.id())] {
        let path = path_of(&discount);
        read_at(who, &discount, &position)
            .await
            .problem_of(404, "not-found");
        let changed = who.patch(&path, &wish).send().await;
        changed.problem_of(404, "not-found");
        let deleted = who.ask(Method::DELETE, &path).send().await;
        deleted.problem_of(404, "not-found");
    }
    for query in ["", &format!("?shop_id={own_shop}"), "?code=OURS"] {
        let refused = other.get(&format!("{DISCOUNTS}{query}")).await;
        refused.problem_of(403, "forbidden");
    }
    for stranger in [
        shop.customer(&server).await,
        shop.demo_user(&server, "analyst").await,
    ] {
        for path in [DISCOUNTS.to_owned(), path_of(&given.id())] {
            stranger.get(&path).await.problem_of(403, "forbidden");
        }
    }
    let of_shop = |shop_id: &str| format!("shop_id={shop_id}");
    assert_eq!(
        titles(&owner, &of_shop(&own_shop), &position).await,
        ["A tenth off"]
    );
    assert!(
        titles(&other, &of_shop(&other_shop), &position)
            .await
            .is_empty()
    );
    let read = read_at(&owner, &given.id(), &position).await.expect(200);
    assert_eq!(read.json()["code"], "OURS");
    let path = path_of(&given.id());
    let _ = owner.patch(&path, &wish).send().await.expect(200);
    let _ = admin.patch(&path, &wish).send().await.expect(200);

    // a shop that is closed gives nothing more, and what it gave can be cleared away
    let own_path = format!("/api/v1/shops/{own_shop}");
    let _ = owner
        .ask(Method::DELETE, &own_path)
        .send()
        .await
        .expect(204);
    let refused = owner.post(DISCOUNTS, &body).await;
    refused.problem_of(409, "shop-not-open");
    let refused = owner.patch(&path, &json!({"title": "Late"})).send().await;
    refused.problem_of(409, "shop-not-open");
    let _ = owner.ask(Method::DELETE, &path).send().await.expect(204);
    shop.close().await;
}

#[tokio::test]
async fn a_scope_names_what_the_discount_can_cover() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let (owner, own_shop) = seller(&shop, &server).await;
    let sku = Uuid::new_v4().simple().to_string();
    let mut own = new_product(&region, &sku, (1_000, "USD"), 5);
    own["shop_id"] = json!(own_shop);
    let own = owner.post("/api/v1/products", &own).await.expect(201).id();
    let of_market = admin.product(1_000, 5).await;
    let category = json!({"title": "Of discounts"});
    let category = admin.post("/api/v1/categories", &category).await;
    let category = category.expect(201).id();

    let nothing = Uuid::new_v4().to_string();
    let elsewhere = admin.region("VND").await;
    let with = |scope: Value, region: &str| {
        let mut body = tenth(region, None);
        body["shop_id"] = json!(own_shop);
        body["scope"] = scope;
        body
    };
    let fits = json!({"product_ids": [own, own], "category_ids": [category]});
    let given = owner.post(DISCOUNTS, &with(fits.clone(), &region)).await;
    let given = given.expect(201);
    let once = json!({"product_ids": [own], "category_ids": [category]});
    assert_eq!(given.json()["scope"], once);
    for (scope, region, pointer) in [
        (
            json!({"product_ids": [of_market]}),
            &region,
            "/scope/product_ids",
        ),
        (
            json!({"product_ids": [nothing]}),
            &region,
            "/scope/product_ids",
        ),
        (fits, &elsewhere, "/scope/product_ids"),
        (
            json!({"category_ids": [nothing]}),
            &region,
            "/scope/category_ids",
        ),
    ] {
        let refused = owner.post(DISCOUNTS, &with(scope.clone(), region)).await;
        assert_eq!(pointers(&refused), set(&[pointer]), "{refused}");
        if *region == text_of(&given.json()["region_id"]) {
            let wished = json!({"scope": scope});
            let refused = owner.patch(&path_of(&given.id()), &wished).send().await;
            assert_eq!(pointers(&refused), set(&[pointer]), "{refused}");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn all_that_is_wrong_with_a_body_is_told_at_once() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let head = shop.head().await;
    let wrong = json!({
        "region_id": region, "code": "x", "title": "", "value": {"kind": "amount", "amount": 0, "basis_points": 5},
        "minimum": {"amount": -1, "currency": "USD"}, "scope": {"product_ids": ["x"]},
        "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z", "max_uses": 0,
        "max_uses_per_customer": 1.5,
    });
    let refused = admin.post(DISCOUNTS, &wrong).await;
    let expected = [
        "/code",
        "/title",
        "/value/amount",
        "/value/basis_points",
        "/value/currency",
        "/minimum/amount",
        "/scope/product_ids/0",
        "/ends_at",
        "/max_uses",
        "/max_uses_per_customer",
    ];
    assert_eq!(pointers(&refused), set(&expected));
    let dong = json!({"amount": 1, "currency": "VND"});
    let of_value = json!({"kind": "amount", "amount": 1, "currency": "VND"});
    for (members, pointer) in [
        (json!({"minimum": dong}), "/minimum/currency"),
        (json!({"value": of_value}), "/value/currency"),
        (
            json!({"value": of_value, "minimum": dong}),
            "/value/currency",
        ),
        (json!({"region_id": Uuid::new_v4()}), "/region_id"),
        (json!({"shop_id": Uuid::new_v4()}), "/shop_id"),
    ] {
        let mut body = tenth(&region, None);
        let members = members.as_object().expect("members").clone();
        body.as_object_mut().expect("an object").extend(members);
        let refused = admin.post(DISCOUNTS, &body).await;
        assert_eq!(pointers(&refused), set(&[pointer]), "{refused}");
    }
    assert_eq!(shop.head().await, head, "nothing is stored");

    let ending = json!({"ends_at": "2026-01-02T00:00:00Z"});
    let mut body = tenth(&region, None);
    body["starts_at"] = json!("2026-01-02T00:00:00Z");
    let given = admin.post(DISCOUNTS, &body).await.expect(201);
    let path = path_of(&given.id());
    for (wish, pointer) in [
        (ending, "/ends_at"),
        (json!({"code": "OTHER"}), "/code"),
        (json!({"minimum": dong}), "/minimum/currency"),
        (json!({"value": of_value}), "/value/currency"),
    ] {
        let refused = admin.patch(&path, &wish).send().await;
        assert_eq!(pointers(&refused), set(&[pointer]), "{refused}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_discount_that_is_used_counts_and_keeps_its_version() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let product = admin.product(1_000, 5).await;
    let mut body = tenth(&region, None);
    body["scope"] = json!({"product_ids": [product]});
    let given = admin.post(DISCOUNTS, &body).await.expect(201);
    let customer = shop.customer(&server).await;
    let order = customer
        .post("/api/v1/orders", &new_order(&[(&product, 1)]))
        .await;
    let order = order.expect(201);
    let used = read_at(&admin, &given.id(), &order.position())
        .await
        .expect(200);
    assert_eq!(
        (&used.json()["used"], used.etag()),
        (&json!(1), given.etag())
    );
    assert_eq!(used.json()["updated_at"], used.json()["created_at"]);

    let longer = json!({"max_uses": 1});
    let changed = admin.patch(&path_of(&given.id()), &longer);
    let changed = changed.if_match(&given.etag()).send().await.expect(200);
    assert_eq!(
        (&changed.json()["used"], changed.etag()),
        (&json!(1), "\"2\"".into())
    );
    let active = format!("active=true&automatic=true&region_id={region}");
    let position = changed.position();
    assert!(
        titles(&admin, &active, &position).await.is_empty(),
        "used up"
    );
    let cancel = format!("/api/v1/orders/{}/cancel", order.id());
    let cancelled = customer.post(&cancel, &json!({})).await;
    let position = cancelled.expect(200).position();
    assert_eq!(titles(&admin, &active, &position).await, ["A tenth off"]);
    shop.close().await;
}
