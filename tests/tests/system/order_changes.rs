//! Orders that are changed and deleted: what is bought, who gets it, and who still sees what is gone.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE, new_order},
    eventually,
    history::count,
    shop::Shop,
};

use crate::payment::{charges, refunds};

async fn change(client: &Client, order: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/orders/{order}");
    client.patch(&path, body).send().await
}

async fn delete(client: &Client, order: &str) -> Answer {
    let path = format!("/api/v1/orders/{order}");
    client.ask(Method::DELETE, &path).send().await
}

/// The order as the read model has it behind this answer.
async fn read_after(client: &Client, order: &str, answer: &Answer) -> Answer {
    let path = format!("/api/v1/orders/{order}");
    let ask = client.ask(Method::GET, &path);
    ask.min_position(&answer.position()).send().await
}

#[tokio::test]
async fn an_order_is_changed_in_one_step_and_read_as_it_was_answered() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 5).await, admin.product(300, 5).await);
    let customer = shop.customer(&server).await;
    let placed = customer.order(&[(&tea, 2)]).await.expect(201);
    let order = placed.id();
    let wished = json!({
        "customer_name": "Trần Văn Bình", "shipping_address": "1 Tràng Tiền, Hà Nội",
        "items": new_order(&[(&cup, 1), (&tea, 1)])["items"],
    });
    let answer = change(&customer, &order, &wished).await.expect(200);
    let changed = answer.json();
    assert_eq!(changed["subtotal"]["amount"], 1_300);
    assert_eq!(changed["customer_name"], "Trần Văn Bình");
    assert_eq!(changed["shipping_address"], "1 Tràng Tiền, Hà Nội");
    assert_eq!(
        (&changed["next_statuses"], &changed["next_payment_statuses"]),
        (
            &json!(["processing", "cancelled"]),
            &json!(["paid", "failed", "unpaid"])
        )
    );
    let read = read_after(&customer, &order, &answer).await.expect(200);
    assert_eq!(read.json(), changed);
    assert_eq!(
        (read.etag(), answer.etag()),
        (answer.etag(), "\"3\"".into())
    );
    let position = answer.position();
    assert_eq!(customer.stock_at(&tea, &position).await, [4, 1, 0]);
    assert_eq!(customer.stock_at(&cup, &position).await, [4, 1, 0]);

    // a stale version changes nothing; the same again neither
    let path = format!("/api/v1/orders/{order}");
    let stale = customer.patch(&path, &wished).if_match("\"1\"").send();
    stale.await.problem_of(412, "precondition-failed");
    let again = customer
        .patch(&path, &wished)
        .if_match("\"3\"")
        .send()
        .await;
    assert_eq!(again.expect(200).etag(), "\"3\"");

    // the story tells it, and to whom it is told names stay sealed
    let path = format!("/api/v1/orders/{order}/timeline");
    let story = customer.ask(Method::GET, &path).min_position(&position);
    let story = story.send().await.expect(200);
    assert!(story.text().contains("OrderItemsChanged"), "{story}");
    assert!(story.text().contains("OrderContactChanged"), "{story}");
    assert!(!story.text().contains("Bình"), "{story}");
    let opened = admin.get(&path).await.expect(200);
    assert!(opened.text().contains("Trần Văn Bình"), "{opened}");
    shop.close().await;
}

#[tokio::test]
async fn two_lines_of_the_same_product_are_summed_before_the_check() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let tea = shop.admin(&server).await.product(1_000, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&tea, 1)]).await.expect(201).id();
    let too_many = change(&customer, &order, &new_order(&[(&tea, 2), (&tea, 2)])).await;
    too_many.problem_of(409, "insufficient_stock");
    let problem = too_many.json();
    let shortages = json!([{"product_id": tea, "requested": 4, "available": 3}]);
    assert_eq!(problem["shortages"], shortages);
    let all = change(&customer, &order, &new_order(&[(&tea, 2), (&tea, 1)])).await;
    let all = all.expect(200).json();
    let items = &all["items"];
    assert_eq!(items.as_array().map(Vec::len), Some(1));
    assert_eq!(items[0]["quantity"], 3);
    shop.close().await;
}

#[tokio::test]
async fn of_several_products_all_or_none_and_the_short_one_is_named() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 9).await, admin.product(300, 1).await);
    let customer = shop.customer(&server).await;
    let placed = customer.order(&[(&tea, 1)]).await.expect(201);
    let order = placed.id();
    let head = shop.head().await;
    let refused = change(&customer, &order, &new_order(&[(&tea, 5), (&cup, 2)])).await;
    refused.problem_of(409, "insufficient_stock");
    let problem = refused.json();
    assert_eq!(problem["shortages"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&problem["product_id"], &problem["available"]),
        (&json!(cup), &json!(1))
    );
    assert_eq!(shop.head().await, head, "nothing is stored");
    let position = placed.position();
    assert_eq!(customer.stock_at(&tea, &position).await, [8, 1, 0]);
    shop.close().await;
}

#[tokio::test]
async fn items_are_changed_at_the_total_that_the_customer_names_or_not_at_all() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 9).await, admin.product(300, 9).await);
    let customer = shop.customer(&server).await;
    let placed = customer.order(&[(&tea, 1)]).await.expect(201);
    let order = placed.id();
    let dearer = json!({"price": {"amount": 1_200, "currency": "USD"}});
    let path = format!("/api/v1/products/{tea}");
    let _ = admin.patch(&path, &dearer).send().await.expect(200);
    let head = shop.head().await;
    let mut wished = new_order(&[(&tea, 1), (&cup, 1)]);
    wished["customer_name"] = json!("Somebody else");
    wished["expected_total"] = json!(1);
    let refused = change(&customer, &order, &wished).await;
    let problem = refused.problem_of(409, "price-changed");
    let difference = &problem["differences"][0];
    assert_eq!(difference["product_id"], json!(tea));
    assert_eq!(
        (
            &difference["price_when_added"]["amount"],
            &difference["unit_price"]["amount"]
        ),
        (&json!(1_000), &json!(1_200)),
        "what it cost when it was ordered"
    );
    let parts = problem["differences"].as_array().expect("a list").iter();
    let parts: Vec<_> = parts.map(|part| text_of(&part["what"])).collect();
    assert_eq!(parts, ["unit_price", "tax", "discount"]);
    assert!(
        problem["differences"][1].get("before").is_none(),
        "other pieces"
    );
    assert_eq!(shop.head().await, head, "nothing is stored");

    wished["expected_total"] = problem["order_total"]["amount"].clone();
    let changed = change(&customer, &order, &wished).await.expect(200).json();
    assert_eq!(changed["order_total"], problem["order_total"]);
    assert_eq!(changed["subtotal"]["amount"], 1_500);
    let name = json!({"customer_name": "Me", "expected_total": 1});
    let refused = change(&customer, &order, &name).await;
    let problem = refused.problem_of(409, "price-changed");
    assert_eq!(problem["differences"], json!([]), "it costs what it did");
    wished["expected_total"] = json!("a lot");
    let refused = change(&customer, &order, &wished).await;
    refused.problem_of(422, "validation");
    shop.close().await;
}

#[tokio::test]
async fn the_buyers_own_reservation_never_blocks_the_buyer() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let tea = shop.admin(&server).await.product(1_000, 4).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&tea, 3)]).await.expect(201).id();
    let all = change(&customer, &order, &new_order(&[(&tea, 4)])).await;
    let position = all.expect(200).position();
    assert_eq!(customer.stock_at(&tea, &position).await, [0, 4, 0]);
    let beyond = change(&customer, &order, &new_order(&[(&tea, 5)])).await;
    beyond.problem_of(409, "insufficient_stock");
    let fewer = change(&customer, &order, &new_order(&[(&tea, 1)])).await;
    let position = fewer.expect(200).position();
    assert_eq!(customer.stock_at(&tea, &position).await, [3, 1, 0]);
    shop.close().await;
}

#[tokio::test]
async fn a_product_that_was_deleted_is_not_added_and_past_orders_stay_unchanged() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 9).await, admin.product(300, 9).await);
    let customer = shop.customer(&server).await;
    let placed = customer.order(&[(&tea, 1)]).await.expect(201);
    let order = placed.id();
    let gone = delete_product(&admin, &cup).await;
    let refused = change(&customer, &order, &new_order(&[(&tea, 1), (&cup, 1)])).await;
    refused.problem_of(409, "not-on-sale");
    assert_eq!(refused.json()["product_id"], cup.as_str());
    delete_product(&admin, &tea).await;
    let read = read_after(&customer, &order, &gone).await.expect(200);
    assert_eq!(read.json()["items"], placed.json()["items"]);
    shop.close().await;
}

async fn delete_product(admin: &Client, product: &str) -> Answer {
    let path = format!("/api/v1/products/{product}");
    let answer = admin.ask(Method::DELETE, &path).send().await;
    assert_eq!(answer.status, 204, "{answer}");
    answer
}

#[tokio::test]
async fn in_a_region_that_was_disabled_nothing_is_added_and_orders_finish() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "3s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = json!({
        "title": "A region", "country": "XX", "currency": "CHF", "tax_rate": 810, "prices_include_tax": true,
    });
    let region = admin
        .post("/api/v1/regions", &region)
        .await
        .expect(201)
        .id();
    let tea = admin.product_in(&region, (100, "CHF"), 9).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&tea, 1)], "test_succeeds").await;
    let disable = format!("/api/v1/regions/{region}/disable");
    let _ = admin.ask(Method::POST, &disable).send().await.expect(200);
    let refused = change(&customer, &order, &new_order(&[(&tea, 2)])).await;
    refused.problem_of(409, "region-disabled");
    let address = json!({"shipping_address": "1 Tràng Tiền, Hà Nội"});
    let _ = change(&customer, &order, &address).await.expect(200);
    customer.wait_until_paid(&order).await;
    shop.close().await;
}

#[tokio::test]
async fn the_new_total_is_charged_and_then_the_items_stay() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "3s").open().await;
    let server = shop.serve().await;
    let tea = shop.admin(&server).await.product(1_000, 9).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&tea, 1)], "test_succeeds").await;
    let changed = change(&customer, &order, &new_order(&[(&tea, 4)])).await;
    let total = changed.expect(200).json()["order_total"]["amount"].clone();
    let paid = customer.wait_until_paid(&order).await;
    assert_eq!(paid["order_total"]["amount"], total);
    assert_eq!(
        paid["next_payment_statuses"],
        json!(["partially_refunded", "refunded"])
    );
    let taken: i64 = sqlx::query_scalar("select amount from fake_gateway_charges")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(json!(taken), total);
    let late = change(&customer, &order, &new_order(&[(&tea, 5)])).await;
    late.problem_of(409, "illegal-move");
    let address = json!({"shipping_address": "1 Tràng Tiền, Hà Nội"});
    let _ = change(&customer, &order, &address).await.expect(200);
    customer.wait_for_stock(&tea, [5, 0, 4]).await;
    shop.close().await;
}

#[tokio::test]
async fn a_deleted_order_is_gone_for_its_customer_and_marked_for_admins() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 9).await;
    let customer = shop.customer(&server).await;
    let kept = customer.order(&[(&tea, 1)]).await.expect(201).id();
    let order = customer.order(&[(&tea, 2)]).await.expect(201).id();
    let gone = delete(&customer, &order).await;
    assert_eq!((gone.status, gone.text()), (204, ""));
    read_after(&customer, &order, &gone)
        .await
        .problem_of(404, "not-found");
    let refusals = [
        change(&customer, &order, &json!({"customer_name": "Me"})).await,
        customer
            .post(&format!("/api/v1/orders/{order}/cancel"), &json!({}))
            .await,
        customer
            .get(&format!("/api/v1/orders/{order}/timeline"))
            .await,
    ];
    for refusal in refusals {
        refusal.problem_of(404, "not-found");
    }
    let again = delete(&customer, &order).await;
    assert_eq!(again.status, 204, "deleted, now or before");
    let list = customer.get("/api/v1/orders").await.expect(200).json();
    assert_eq!(ids_of(&list).join(","), kept);
    let asked = customer.get("/api/v1/orders?include_deleted=true").await;
    asked.problem_of(403, "forbidden");

    let seen = read_after(&admin, &order, &gone).await.expect(200).json();
    assert_eq!(
        (&seen["deleted"], &seen["status"]),
        (&json!(true), &json!("cancelled"))
    );
    let list = admin.get("/api/v1/orders").await.expect(200).json();
    assert!(!ids_of(&list).contains(&order));
    let path = "/api/v1/orders?include_deleted=true&sort=created_at";
    let list = admin.get(path).await.expect(200).json();
    assert_eq!(ids_of(&list), [kept, order.clone()]);
    let path = format!("/api/v1/orders/{order}/timeline");
    let story = admin.ask(Method::GET, &path).min_position(&gone.position());
    let story = story.send().await.expect(200);
    assert!(story.text().contains("OrderHidden"), "{story}");
    assert_eq!(customer.stock_at(&tea, &gone.position()).await, [8, 1, 0]);
    shop.close().await;
}

fn ids_of(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .map(|order| text_of(&order["order_id"]))
        .collect()
}

#[tokio::test]
async fn a_paid_order_that_is_deleted_gets_202_and_its_money_back() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let tea = admin.product(1_000, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&tea, 2)], "test_succeeds").await;
    customer.wait_until_paid(&order).await;
    let gone = delete(&customer, &order).await;
    assert_eq!((gone.status, gone.text()), (202, ""));
    let seen = admin.wait_for_payment(&order, "refunded").await;
    assert_eq!(seen["deleted"], true);
    assert_eq!((charges(&shop).await, refunds(&shop).await), (1, 1));
    customer.wait_for_stock(&tea, [3, 0, 0]).await;
    eventually("nothing is left to do", PATIENCE, || async {
        (delete(&customer, &order).await.status == 204).then_some(())
    })
    .await;
    assert_eq!(count(&shop.events().await, &order, "OrderHidden"), 1);
    shop.close().await;
}

#[tokio::test]
async fn keys_change_and_delete_what_their_scopes_allow() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let tea = shop.admin(&server).await.product(1_000, 3).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&tea, 1)]).await.expect(201).id();
    let with = async |scope: &str| {
        let body = json!({"name": "of a test", "scopes": [scope]});
        let made = customer.post("/api/v1/api-keys", &body).await.expect(201);
        customer.with_token(&text_of(&made.json()["api_key"]))
    };
    let name = json!({"customer_name": "Somebody"});
    let canceller = with("cancel_own_order").await;
    change(&canceller, &order, &name)
        .await
        .problem_of(403, "forbidden");
    delete(&canceller, &order)
        .await
        .problem_of(403, "forbidden");
    let changer = with("change_own_order").await;
    let nameless = change(&changer, &order, &name).await.expect(200).json();
    assert_eq!(nameless["customer_name"], Value::Null, "it may not read");
    assert_eq!(delete(&changer, &order).await.status, 204);
    shop.close().await;
}
