//! Regions, products and lists: what must be unique is, and lists stay whole while they are read.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{number_of, text_of},
    client::{Client, new_product, tally},
    shop::Shop,
};

#[tokio::test]
async fn a_sku_belongs_to_one_product_of_a_region_however_many_ask_at_once() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let here = shop.admin(&one).await;
    let there = here.at(&two.address);
    let region = here.region("USD").await;
    let body = new_product(&region, "ONLY-ONE", (100, "USD"), 1);
    let asks = (0..6).flat_map(|_| {
        [
            here.post("/api/v1/products", &body),
            there.post("/api/v1/products", &body),
        ]
    });
    let answers = join_all(asks).await;
    let created: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert_eq!(created.len(), 1, "{:?}", tally(&answers));
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.problem_of(409, "taken");
    }
    // in another region it is another sku, and after a deletion it is free again
    let elsewhere = here.region("SGD").await;
    let _ = here
        .post(
            "/api/v1/products",
            &new_product(&elsewhere, "ONLY-ONE", (100, "SGD"), 1),
        )
        .await
        .expect(201);
    let path = format!("/api/v1/products/{}", created[0].id());
    let _ = here.ask(Method::DELETE, &path).send().await.expect(204);
    let _ = there.post("/api/v1/products", &body).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn a_currency_has_one_default_region() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let first = format!("/api/v1/regions/{}", admin.region("USD").await);
    let region = |default: bool| {
        json!({
            "title": "Elsewhere", "country": "US", "currency": "USD", "tax_rate": 0, "default_for_currency": default,
        })
    };
    admin
        .post("/api/v1/regions", &region(true))
        .await
        .problem_of(409, "taken");
    let second = admin
        .post("/api/v1/regions", &region(false))
        .await
        .expect(201)
        .id();
    let path = format!("/api/v1/regions/{second}");
    let claim = json!({"default_for_currency": true});
    admin
        .patch(&path, &claim)
        .send()
        .await
        .problem_of(409, "taken");
    let _ = admin
        .patch(&first, &json!({"default_for_currency": false}))
        .send()
        .await
        .expect(200);
    let _ = admin.patch(&path, &claim).send().await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn a_disabled_region_takes_no_orders_and_existing_ones_finish() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "2s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let region = admin.region("USD").await;
    let customer = shop.customer(&server).await;
    let before = customer.order(&[(&product, 1)]).await.expect(201).id();
    let switch = async |to: &str| {
        let _ = admin
            .ask(Method::POST, &format!("/api/v1/regions/{region}/{to}"))
            .send()
            .await
            .expect(200);
    };
    switch("disable").await;
    customer
        .order(&[(&product, 1)])
        .await
        .problem_of(409, "region-disabled");
    customer.wait_until_paid(&before).await;
    switch("enable").await;
    let _ = customer.order(&[(&product, 1)]).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn a_deleted_region_is_shown_no_more_takes_nothing_new_and_finishes_its_orders() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "2s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let region = admin.region("USD").await;
    let path = format!("/api/v1/regions/{region}");
    let customer = shop.customer(&server).await;
    let before = customer.order(&[(&product, 1)]).await.expect(201).id();
    let stale = admin.ask(Method::DELETE, &path).if_match("\"7\"");
    stale.send().await.problem_of(412, "precondition-failed");
    let delete = async || admin.ask(Method::DELETE, &path).send().await.expect(204);
    let deleted = delete().await;
    let _ = delete().await;
    let read = async |path: &str| {
        let ask = admin.ask(Method::GET, path);
        ask.min_position(&deleted.position()).send().await
    };
    read(&path).await.problem_of(404, "not-found");
    let listed = read("/api/v1/regions?currency=USD").await.expect(200);
    assert_eq!(listed.json()["items"], json!([]));
    for (to, status, kind) in [
        (format!("{path}/enable"), 404, "not-found"),
        (format!("{path}/disable"), 404, "not-found"),
    ] {
        let answer = admin.ask(Method::POST, &to).send().await;
        answer.problem_of(status, kind);
    }
    let change = admin.patch(&path, &json!({"title": "Back"}));
    change.send().await.problem_of(404, "not-found");
    customer
        .order(&[(&product, 1)])
        .await
        .problem_of(409, "region-disabled");
    let item = json!({"product_id": product, "quantity": 1});
    let cart = format!("/api/v1/carts/{region}");
    let added = customer.post(&format!("{cart}/items"), &item).await;
    assert_eq!(added.expect(200).json()["can_be_ordered"], false);
    let checkout = format!("{cart}/checkout");
    let refused = customer
        .post(&checkout, &json!({"expected_total": 0}))
        .await;
    refused.problem_of(409, "region-disabled");
    customer.wait_until_paid(&before).await;
    let _ = customer.read_order(&before).await;
    shop.close().await;
}

#[tokio::test]
async fn a_change_on_an_old_version_is_refused_and_selling_does_not_disturb_it() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let path = format!("/api/v1/products/{product}");
    let position = admin.restock(&product, 1).await;
    let seen = admin
        .ask(Method::GET, &path)
        .min_position(&position)
        .send()
        .await
        .expect(200)
        .etag();
    let _ = shop
        .customer(&server)
        .await
        .order(&[(&product, 1)])
        .await
        .expect(201);
    let title = json!({"title": "Better"});
    let changed = admin
        .patch(&path, &title)
        .if_match(&seen)
        .send()
        .await
        .expect(200);
    assert_ne!(changed.etag(), seen);
    let late = json!({"title": "Worse"});
    admin
        .patch(&path, &late)
        .if_match(&seen)
        .send()
        .await
        .problem_of(412, "precondition-failed");
    // the same again changes nothing, whichever version it is then
    let again = admin
        .patch(&path, &title)
        .if_match(&changed.etag())
        .send()
        .await
        .expect(200);
    assert_eq!(again.etag(), changed.etag());
    shop.close().await;
}

/// Ids of all pages of a list. Calls `between` after each page.
async fn read_all(client: &Client, path: &str, id: &str, between: impl AsyncFn()) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), path.to_owned());
    loop {
        let answer = client.get(&next).await.expect(200);
        let page = answer.json();
        ids.extend(
            page["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|item| text_of(&item[id])),
        );
        between().await;
        let Some(link) = answer.header("link") else {
            assert_eq!(page["next_cursor"], Value::Null);
            return ids;
        };
        next = link
            .trim_start_matches('<')
            .split('>')
            .next()
            .expect("RFC 8288")
            .to_owned();
    }
}

#[tokio::test]
async fn a_list_that_grows_while_it_is_read_shows_each_row_once_and_misses_none() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 1_000).await;
    let customer = shop.customer(&server).await;
    let mut placed = BTreeSet::new();
    let mut position = String::new();
    for quantity in 1..=15 {
        let answer = customer
            .order(&[(&product, quantity % 5 + 1)])
            .await
            .expect(201);
        position = answer.position();
        placed.insert(answer.id());
    }
    let _ = customer
        .ask(Method::GET, "/api/v1/orders")
        .min_position(&position)
        .send()
        .await
        .expect(200);
    for sort in ["created_at", "-created_at", "total", "-total"] {
        let path = format!("/api/v1/orders?limit=4&sort={sort}&total[lte]=1000000");
        let grow = async || drop(customer.order(&[(&product, 3)]).await.expect(201));
        let read = read_all(&customer, &path, "order_id", grow).await;
        let unique: BTreeSet<String> = read.iter().cloned().collect();
        assert_eq!(unique.len(), read.len(), "{sort}: no order twice");
        assert!(placed.is_subset(&unique), "{sort}: none is missing");
    }
    shop.close().await;
}

#[tokio::test]
async fn filters_of_orders_leave_exactly_what_fits() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(1_000, 100).await;
    let (one, two) = (shop.customer(&server).await, shop.customer(&server).await);
    let paid = one.place(&[(&product, 1)], "test_succeeds").await;
    let unpaid = one.place(&[(&product, 2)], "test_declined").await;
    let other = two.place(&[(&product, 3)], "test_succeeds").await;
    one.wait_until_paid(&paid).await;
    one.wait_for_payment(&unpaid, "unpaid").await;
    let others = two.wait_until_paid(&other).await;
    let region = admin.region("USD").await;
    let total = number_of(&others["order_total"]["amount"]);
    let customer = text_of(&others["customer_id"]);
    for (filter, expected) in [
        ("payment_status=paid".to_owned(), vec![&paid, &other]),
        ("payment_status=unpaid".into(), vec![&unpaid]),
        ("status=cancelled".into(), vec![&unpaid]),
        ("status=processing&sort=total".into(), vec![&paid, &other]),
        (format!("customer_id={customer}"), vec![&other]),
        (format!("total[gte]={total}"), vec![&other]),
        (format!("total[lte]={}", total - 1), vec![&paid, &unpaid]),
        (
            format!("region_id={region}&payment_status=paid&total[gte]={total}"),
            vec![&other],
        ),
        ("created_at[lte]=2020-01-01T00:00:00Z".into(), vec![]),
    ] {
        let read = read_all(
            &admin,
            &format!("/api/v1/orders?{filter}"),
            "order_id",
            async || {},
        )
        .await;
        let read: BTreeSet<&String> = read.iter().collect();
        assert_eq!(read, expected.into_iter().collect(), "{filter}");
    }
    // a customer's own are all that they get, whatever they ask for
    assert_eq!(
        read_all(&one, "/api/v1/orders", "order_id", async || {})
            .await
            .len(),
        2
    );
    one.get(&format!("/api/v1/orders?customer_id={customer}"))
        .await
        .problem(403);
    shop.close().await;
}
