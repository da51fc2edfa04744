//! Carts, discounts and checking out over HTTP: what is shown, what is paid, and who gets the last use of a code.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, new_order, new_product, tally},
    shop::Shop,
};

use crate::{erasure::user_id, stalls::Stalls};

async fn cart(client: &Client) -> String {
    format!("/api/v1/carts/{}", client.region("USD").await)
}

async fn put(client: &Client, product: &str, quantity: u64) -> Answer {
    let path = format!("{}/items", cart(client).await);
    let item = json!({"product_id": product, "quantity": quantity});
    client.post(&path, &item).await
}

async fn use_codes(client: &Client, codes: &[&str]) -> Answer {
    let path = format!("{}/codes", cart(client).await);
    let codes = json!({"discount_codes": codes});
    client.put(&path, &codes).send().await
}

/// Orders at the total that the cart shows, unless the body names one.
async fn check_out(client: &Client, body: &Value) -> Answer {
    let path = cart(client).await;
    let mut body = body.clone();
    if body.get("expected_total").is_none() {
        let shown = client.get(&path).await.expect(200).json();
        body["expected_total"] = shown["order_total"]["amount"].clone();
    }
    client.post(&format!("{path}/checkout"), &body).await
}

/// A discount of the market in the United States.
async fn give(admin: &Client, discount: Value) -> String {
    let mut body = json!({
        "region_id": admin.region("USD").await, "title": "A discount",
        "value": {"kind": "percentage", "basis_points": 1_000},
    });
    for (name, value) in discount.as_object().unwrap() {
        body[name] = value.clone();
    }
    let given = admin.post("/api/v1/discounts", &body).await;
    given.expect(201).id()
}

#[tokio::test]
async fn a_cart_is_filled_shown_and_ordered() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 5).await, admin.product(300, 5).await);
    let customer = shop.customer(&server).await;
    let path = cart(&customer).await;
    let empty = customer.get(&path).await.expect(200).json();
    assert_eq!(
        (&empty["items"], &empty["can_be_ordered"]),
        (&json!([]), &json!(false))
    );
    let _ = put(&customer, &tea, 1).await.expect(200);
    let _ = put(&customer, &cup, 9).await.expect(200);
    let added = put(&customer, &tea, 1).await.expect(200);
    let items = added.json()["items"].clone();
    assert_eq!(
        (&items[0]["quantity"], &items[1]["quantity"]),
        (&json!(2), &json!(9))
    );
    assert_eq!(items[1]["problem"], "insufficient_stock");
    assert_eq!(items[1]["available"], 5);
    assert_eq!(added.json()["can_be_ordered"], false);
    let fewer = customer.put(&format!("{path}/items/{cup}"), &json!({"quantity": 1}));
    let shown = fewer.send().await.expect(200);
    let body = shown.json();
    assert_eq!(
        (&body["can_be_ordered"], &body["price_changed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(customer.get(&path).await.expect(200).json(), body);
    // it reserves nothing, and is listed
    assert_eq!(customer.stock_at(&tea, &shown.position()).await, [5, 0, 0]);
    let list = customer.ask(Method::GET, "/api/v1/carts");
    let list = list
        .min_position(&shown.position())
        .send()
        .await
        .expect(200);
    assert_eq!(list.json()["items"][0]["pieces"], 3);
    let other = shop.customer(&server).await;
    let others = other.get(&path).await.expect(200).json();
    assert_eq!(others["items"], json!([]), "each customer has their own");

    let total = body["order_total"]["amount"].clone();
    let accepted = json!({"expected_total": total});
    let ordered = check_out(&customer, &accepted).await.expect(201);
    let order = ordered.json();
    assert_eq!(order["order_total"]["amount"], total);
    assert_eq!(order["subtotal"]["amount"], 2_300);
    let read = customer.ask(Method::GET, &format!("/api/v1/orders/{}", ordered.id()));
    let read = read
        .min_position(&ordered.position())
        .send()
        .await
        .expect(200);
    assert_eq!(read.json(), order);
    assert_eq!(
        customer.stock_at(&tea, &ordered.position()).await,
        [3, 2, 0]
    );
    let after = customer.get(&path).await.expect(200).json();
    assert_eq!(after["items"], json!([]));
    let again = check_out(&customer, &accepted).await;
    again.problem_of(409, "cart-empty");
    shop.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_item_is_said_of_the_field_that_names_it() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 5).await;
    let vietnam = admin.region("VND").await;
    let coffee = admin.product_in(&vietnam, (50_000, "VND"), 5).await;
    let customer = shop.customer(&server).await;
    let _ = put(&customer, &tea, 1_000_000).await.expect(200);
    for (product, pointer) in [(&tea, "/quantity"), (&coffee, "/product_id")] {
        let refused = put(&customer, product, 1).await;
        let problem = refused.problem_of(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{refused}");
    }
    let path = format!("{}/items/{coffee}", cart(&customer).await);
    let refused = customer.put(&path, &json!({"quantity": 1})).send().await;
    let problem = refused.problem_of(400, "invalid-parameter");
    assert_eq!(problem["errors"][0]["parameter"], "product_id");
    shop.close().await;
}

/// Edge case 31, over HTTP.
#[tokio::test]
async fn a_price_that_changed_since_the_cart_is_told_and_paid_by_who_accepts_it() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let before = put(&customer, &tea, 1).await.expect(200).json();
    let before = before["order_total"]["amount"].clone();
    let dearer = json!({"price": {"amount": 1_200, "currency": "USD"}});
    let path = format!("/api/v1/products/{tea}");
    let _ = admin.patch(&path, &dearer).send().await.expect(200);
    let shown = customer
        .get(&cart(&customer).await)
        .await
        .expect(200)
        .json();
    assert_eq!(shown["price_changed"], true);
    let refused = check_out(&customer, &json!({"expected_total": before})).await;
    let problem = refused.problem_of(409, "price-changed");
    assert_eq!(problem["order_total"], shown["order_total"]);
    let difference = &problem["differences"][0];
    assert_eq!(difference["what"], "unit_price");
    assert_eq!(difference["product_id"], json!(tea));
    assert_eq!(
        (
            &difference["price_when_added"]["amount"],
            &difference["unit_price"]["amount"]
        ),
        (&json!(1_000), &json!(1_200))
    );
    let accepted = json!({"expected_total": problem["order_total"]["amount"]});
    let _ = check_out(&customer, &accepted).await.expect(201);
    shop.close().await;
}

/// The parts of the total that are told to be another than was shown, by name.
fn parts(problem: &Value) -> BTreeMap<String, Value> {
    let differences = problem["differences"].as_array().expect("a list").iter();
    differences
        .map(|part| (text_of(&part["what"]), part["now"]["amount"].clone()))
        .collect()
}

fn named<const N: usize>(parts: [(&str, Value); N]) -> BTreeMap<String, Value> {
    let parts = parts.map(|(name, amount)| (name.to_owned(), amount));
    parts.into_iter().collect()
}

#[tokio::test]
async fn a_tax_that_changed_since_the_cart_was_shown_is_named() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let shown = put(&customer, &tea, 1).await.expect(200).json();
    let region = format!("/api/v1/regions/{}", admin.region("USD").await);
    let taxed = json!({"tax_rate": 2_000, "prices_include_tax": false});
    let _ = admin.patch(&region, &taxed).send().await.expect(200);
    let body = json!({"expected_total": shown["order_total"]["amount"]});
    let problem = check_out(&customer, &body).await;
    let problem = problem.problem_of(409, "price-changed");
    assert_eq!(problem["order_total"]["amount"], 1_200);
    let expected = [("tax", json!(200)), ("discount", json!(0))];
    assert_eq!(parts(&problem), named(expected));
    let accepted = json!({"expected_total": 1_200});
    let _ = check_out(&customer, &accepted).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn an_automatic_discount_that_ended_since_the_cart_was_shown_is_named() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 5).await;
    let discount = give(&admin, json!({})).await;
    let customer = shop.customer(&server).await;
    let shown = put(&customer, &tea, 1).await.expect(200).json();
    assert_eq!(shown["discount"]["amount"], 100);
    let path = format!("/api/v1/discounts/{discount}");
    let ended = json!({"ends_at": "2020-01-01T00:00:00Z"});
    let _ = admin.patch(&path, &ended).send().await.expect(200);
    let body = json!({"expected_total": shown["order_total"]["amount"]});
    let problem = check_out(&customer, &body).await;
    let problem = problem.problem_of(409, "price-changed");
    let now = customer.get(&cart(&customer).await).await;
    let now = now.expect(200).json();
    assert_eq!(problem["order_total"], now["order_total"]);
    let expected = [
        ("tax", now["tax"]["amount"].clone()),
        ("discount", json!(0)),
    ];
    assert_eq!(parts(&problem), named(expected));
    shop.close().await;
}

/// Edge case 32, over HTTP.
#[tokio::test]
async fn a_product_that_was_deleted_blocks_the_checkout_with_the_reason() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 5).await, admin.product(300, 5).await);
    let customer = shop.customer(&server).await;
    let _ = put(&customer, &tea, 1).await.expect(200);
    let _ = put(&customer, &cup, 1).await.expect(200);
    let path = format!("/api/v1/products/{tea}");
    let _ = admin.ask(Method::DELETE, &path).send().await.expect(204);
    let shown = customer
        .get(&cart(&customer).await)
        .await
        .expect(200)
        .json();
    assert_eq!(shown["items"][0]["problem"], "not_on_sale");
    assert_eq!(shown["can_be_ordered"], false);
    let refused = check_out(&customer, &json!({})).await;
    let problem = refused.problem_of(409, "not-on-sale");
    assert_eq!(problem["product_id"], json!(tea));
    let item = format!("{}/items/{tea}", cart(&customer).await);
    let _ = customer.ask(Method::DELETE, &item).send().await.expect(200);
    let _ = check_out(&customer, &json!({})).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn what_a_shop_that_was_closed_sold_blocks_the_checkout_with_the_reason() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let owner = shop.customer(&server).await;
    let hats = json!({"title": "Hats"});
    let hats = owner.post("/api/v1/shops", &hats).await.expect(201).id();
    let region = owner.region("USD").await;
    let mut hat = new_product(&region, "HAT", (1_000, "USD"), 5);
    hat["shop_id"] = json!(hats);
    let hat = owner.post("/api/v1/products", &hat).await.expect(201).id();
    let tea = shop.admin(&server).await.product(300, 5).await;
    let tenth = json!({
        "region_id": region, "shop_id": hats, "code": "HATS", "title": "A tenth off hats",
        "value": {"kind": "percentage", "basis_points": 1_000},
    });
    let _ = owner.post("/api/v1/discounts", &tenth).await.expect(201);
    let customer = shop.customer(&server).await;
    for product in [&hat, &tea] {
        let _ = put(&customer, product, 1).await.expect(200);
    }
    let shown = use_codes(&customer, &["HATS"]).await.expect(200).json();
    assert_eq!(shown["discount"]["amount"], 100);
    let closing = owner.ask(Method::DELETE, &format!("/api/v1/shops/{hats}"));
    let closed = closing.send().await;
    assert!(closed.status < 300, "{closed}");

    let path = cart(&customer).await;
    let shown = customer.get(&path).await.expect(200).json();
    assert_eq!(shown["items"][0]["problem"], "shop_not_open");
    assert_eq!(shown["items"][0]["unit_price"], Value::Null);
    assert_eq!(shown["items"][1]["problem"], Value::Null);
    assert_eq!(shown["can_be_ordered"], false);
    assert_eq!(shown["subtotal"]["amount"], 300);
    assert_eq!(shown["discount"]["amount"], 0);
    let refused = json!([{"code": "HATS", "reason": "nothing_covered"}]);
    assert_eq!(shown["refused_codes"], refused);
    let again = put(&customer, &hat, 1).await;
    let refusals = [again, check_out(&customer, &json!({})).await];
    for refused in refusals {
        let problem = refused.problem_of(409, "shop-not-open");
        assert_eq!(problem["product_id"], json!(hat));
    }
    let item = format!("{path}/items/{hat}");
    let _ = customer.ask(Method::DELETE, &item).send().await.expect(200);
    let refused = check_out(&customer, &json!({})).await;
    refused.problem_of(409, "discount-not-due");
    let _ = use_codes(&customer, &[]).await.expect(200);
    let _ = check_out(&customer, &json!({})).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn a_discount_of_a_category_is_of_what_is_in_it_at_the_time() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let pots = json!({"title": "Pots of a test"});
    let pots = admin.post("/api/v1/categories", &pots).await;
    let pots = pots.expect(201).id();
    let (pot, cup) = (admin.product(1_000, 9).await, admin.product(300, 9).await);
    let sort = async |product: &str, category: Value| {
        let path = format!("/api/v1/products/{product}");
        let body = json!({"category_id": category});
        let _ = admin.patch(&path, &body).send().await.expect(200);
    };
    sort(&pot, json!(pots)).await;
    let discount = give(&admin, json!({"scope": {"category_ids": [pots]}})).await;
    let customer = shop.customer(&server).await;
    let ordered = async || {
        let placed = customer.order(&[(&pot, 1), (&cup, 1)]).await;
        placed.expect(201).json()
    };
    let order = ordered().await;
    assert_eq!(order["discount"]["amount"], 100);
    assert_eq!(order["items"][0]["discount_id"], json!(discount));
    assert_eq!(order["items"][1]["discount_id"], Value::Null);
    sort(&pot, Value::Null).await;
    assert_eq!(ordered().await["discounts"], json!([]));
    sort(&cup, json!(pots)).await;
    assert_eq!(ordered().await["discount"]["amount"], 30);
    shop.close().await;
}

#[tokio::test]
async fn a_discount_that_has_not_begun_is_not_given_until_it_has() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 9).await;
    let later = json!("2099-01-01T00:00:00Z");
    let _ = give(&admin, json!({"starts_at": later})).await;
    let soon = give(&admin, json!({"code": "SOON", "starts_at": later})).await;
    let customer = shop.customer(&server).await;
    let _ = put(&customer, &tea, 1).await.expect(200);
    let shown = use_codes(&customer, &["soon"]).await.expect(200).json();
    assert_eq!(shown["discounts"], json!([]));
    let refused = json!([{"code": "SOON", "reason": "not_started"}]);
    assert_eq!(shown["refused_codes"], refused);
    let problem = check_out(&customer, &json!({})).await;
    let problem = problem.problem_of(409, "discount-not-due");
    assert_eq!(problem["reason"], "not_started");

    let begun = json!({"starts_at": "2026-01-01T00:00:00Z"});
    let path = format!("/api/v1/discounts/{soon}");
    let _ = admin.patch(&path, &begun).send().await.expect(200);
    let ordered = check_out(&customer, &json!({})).await.expect(201).json();
    assert_eq!(ordered["discount"]["amount"], 100);
    assert_eq!(ordered["discounts"][0]["discount_id"], json!(soon));
    shop.close().await;
}

/// Edge case 39, over HTTP.
#[tokio::test]
async fn the_last_use_of_a_code_goes_to_one_of_many_buyers_and_comes_back_when_they_cancel() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&one).await;
    let tea = admin.product(1_000, 100).await;
    let discount = give(&admin, json!({"code": "LAST", "max_uses": 1})).await;
    let mut buyers = Vec::new();
    for number in 0..6 {
        let server = if number % 2 == 0 { &one } else { &two };
        let buyer = shop.customer(server).await;
        let _ = put(&buyer, &tea, 1).await.expect(200);
        let _ = use_codes(&buyer, &["last"]).await.expect(200);
        buyers.push(buyer);
    }
    let nothing = json!({});
    let answers = join_all(buyers.iter().map(|buyer| check_out(buyer, &nothing))).await;
    let told = tally(&answers);
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1,
        "{told:?}"
    );
    for lost in answers.iter().filter(|answer| answer.status != 201) {
        let problem = lost.problem_of(409, "discount-not-due");
        assert_eq!(
            (&problem["code"], &problem["reason"]),
            (&json!("LAST"), &json!("used_up"))
        );
    }
    let winner = answers
        .iter()
        .position(|answer| answer.status == 201)
        .unwrap();
    let (buyer, order) = (&buyers[winner], answers[winner].id());
    assert_eq!(answers[winner].json()["discount"]["amount"], 100);
    let cancel = format!("/api/v1/orders/{order}/cancel");
    let _ = buyer.post(&cancel, &json!({})).await.expect(200);
    let loser = &buyers[(winner + 1) % buyers.len()];
    let second = check_out(loser, &nothing).await.expect(201);
    let path = format!("/api/v1/discounts/{discount}");
    let read = admin
        .ask(Method::GET, &path)
        .min_position(&second.position());
    assert_eq!(read.send().await.expect(200).json()["used"], 1);
    shop.close().await;
}

#[tokio::test]
async fn a_quote_tells_the_total_that_the_order_then_has() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 5).await, admin.product(300, 5).await);
    let _ = give(&admin, json!({"scope": {"product_ids": [cup]}})).await;
    let fixed = json!({
        "code": "TEATIME", "value": {"kind": "amount", "amount": 250, "currency": "USD"},
        "minimum": {"amount": 1_000, "currency": "USD"},
    });
    let _ = give(&admin, fixed).await;
    let customer = shop.customer(&server).await;
    let mut wanted = new_order(&[(&tea, 1), (&cup, 2)]);
    wanted.as_object_mut().unwrap().remove("payment_method");
    wanted["discount_codes"] = json!(["teatime"]);
    let quote = customer
        .post("/api/v1/orders/quote", &wanted)
        .await
        .expect(200);
    let quote = quote.json();
    // the code takes more off all of it than a tenth off the cups
    assert_eq!(quote["discounts"].as_array().unwrap().len(), 1);
    assert_eq!(quote["discount"]["amount"], 250);
    wanted["expected_total"] = json!(1);
    let refused = customer.post("/api/v1/orders", &wanted).await;
    let problem = refused.problem_of(409, "price-changed");
    assert_eq!(problem["order_total"], quote["order_total"]);
    wanted["expected_total"] = quote["order_total"]["amount"].clone();
    let placed = customer.post("/api/v1/orders", &wanted).await.expect(201);
    let placed = placed.json();
    assert_eq!(placed["order_total"], quote["order_total"]);
    assert_eq!(placed["discounts"], quote["discounts"]);
    wanted["discount_codes"] = json!(["NOSUCH"]);
    let unknown = customer.post("/api/v1/orders", &wanted).await;
    let problem = unknown.problem_of(409, "discount-not-due");
    assert_eq!(problem["reason"], "unknown");
    shop.close().await;
}

#[tokio::test]
async fn a_checkout_with_a_key_is_one_order_however_often_it_is_sent() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let path = cart(&customer).await;
    let item = json!({"product_id": tea, "quantity": 1});
    for _ in 0..2 {
        let add = customer.ask(Method::POST, &format!("{path}/items"));
        let added = add.json(&item).key("add").send().await.expect(200);
        assert_eq!(added.json()["items"][0]["quantity"], 1);
    }
    let shown = customer.get(&path).await.expect(200).json();
    let accepted = json!({"expected_total": shown["order_total"]["amount"]});
    let order = async || {
        let ask = customer.ask(Method::POST, &format!("{path}/checkout"));
        ask.json(&accepted).key("order").send().await.expect(201)
    };
    let (first, second) = (order().await, order().await);
    assert_eq!(first.id(), second.id());
    assert_eq!(customer.stock_at(&tea, &first.position()).await, [4, 1, 0]);
    shop.close().await;
}

/// Edge case 46, the customer's side; what a seller sees of it: `shipping`.
#[tokio::test]
async fn one_order_over_several_shops_is_grouped_by_shop_and_has_the_discount_of_one_on_its_lines()
{
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let (mai, binh) = (shop.customer(&server).await, shop.customer(&server).await);
    let stalls = Stalls::beside(&shop).await;
    let hats = stalls.open(&user_id(&mai).await).await;
    let coats = stalls.open(&user_id(&binh).await).await;
    let hat = stalls.offer(&hats, &region, (1_000, "USD"), 5).await;
    let coat = stalls.offer(&coats, &region, (5_000, "USD"), 5).await;
    stalls.leave().await;
    let customer = shop.customer(&server).await;
    // given without a code, on the shop's own products
    let of_hats =
        json!({"shop_id": hats, "value": {"kind": "amount", "amount": 100, "currency": "USD"}});
    let of_hats = give(&admin, of_hats).await;
    for product in [&hat, &coat] {
        let _ = put(&customer, product, 1).await.expect(200);
    }
    let ordered = check_out(&customer, &json!({})).await.expect(201);
    let order = ordered.json();
    assert_eq!(order["discounts"].as_array().map(Vec::len), Some(1));
    assert_eq!(order["items"][0]["discount_id"], json!(of_hats));
    assert_eq!(order["items"][0]["discount"]["amount"], 100);
    assert_eq!(order["items"][1]["discount"]["amount"], 0);
    let groups = order["shops"].clone();
    let shops: Vec<String> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| text_of(&group["shop_id"]))
        .collect();
    assert_eq!(shops, [hats.clone(), coats.clone()]);
    assert_eq!(
        (&groups[0]["lines"], &groups[1]["lines"]),
        (&json!([1]), &json!([2]))
    );
    shop.close().await;
}

/// Row 33 for carts: nothing is ordered where the region is disabled, and a cart there can be looked at and emptied.
#[tokio::test]
async fn a_cart_of_a_disabled_region_is_shown_and_emptied_and_not_ordered() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let path = cart(&customer).await;
    let _ = put(&customer, &tea, 1).await.expect(200);
    let disable = path.replace("/carts/", "/regions/") + "/disable";
    let _ = admin.ask(Method::POST, &disable).send().await.expect(200);
    let shown = customer.get(&path).await.expect(200).json();
    assert_eq!(shown["items"][0]["quantity"], 1);
    assert_eq!(shown["can_be_ordered"], false);
    let order = json!({"expected_total": shown["order_total"]["amount"]});
    let refused = customer.post(&format!("{path}/checkout"), &order).await;
    refused.problem_of(409, "region-disabled");
    let _ = customer.ask(Method::DELETE, &path).send().await.expect(200);
    shop.close().await;
}

/// Edge case 47.
#[tokio::test]
async fn orders_have_numbers_for_people_that_no_two_orders_share() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let tea = shop.admin(&one).await.product(1_000, 500).await;
    let (mai, binh) = (shop.customer(&one).await, shop.customer(&two).await);
    let placed = join_all((0..120).map(|turn| {
        let customer = if turn % 2 == 0 { &mai } else { &binh };
        let order = new_order(&[(&tea, 1)]);
        async move { customer.post("/api/v1/orders", &order).await.expect(201) }
    }))
    .await;
    let number = |answer: &Answer| text_of(&answer.json()["order_number"]);
    let numbers: BTreeSet<String> = placed.iter().map(number).collect();
    assert_eq!(numbers.len(), placed.len());
    let digits = |number: &String| number.len() >= 6 && number.parse::<u64>().is_ok();
    assert!(numbers.iter().all(digits), "{numbers:?}");
    let wanted = &placed[0];
    let path = format!("/api/v1/orders?order_number={}", number(wanted));
    let found = mai.ask(Method::GET, &path).min_position(&wanted.position());
    let found = found.send().await.expect(200).json();
    assert_eq!(found["items"][0]["order_id"], wanted.json()["order_id"]);
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    let others = binh
        .ask(Method::GET, &path)
        .min_position(&wanted.position());
    let others = others.send().await.expect(200).json();
    assert_eq!(others["items"], json!([]), "another's order is not found");
    shop.close().await;
}
