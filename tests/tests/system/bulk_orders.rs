//! Many orders at once over HTTP: one transaction each, answered in the order of the request, the one at fault named.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::text_of,
    client::{Client, new_order},
    shop::Shop,
};
use uuid::Uuid;

const CREATE: &str = "/api/v1/orders/bulk-create";
const READ: &str = "/api/v1/orders/bulk-read";
const UPDATE: &str = "/api/v1/orders/bulk-update";

fn orders(orders: &[&[(&str, u64)]]) -> Value {
    let orders: Vec<Value> = orders.iter().map(|items| new_order(items)).collect();
    json!({"orders": orders})
}

fn ids_of(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().expect("items");
    items
        .iter()
        .map(|order| text_of(&order["order_id"]))
        .collect()
}

async fn placed(client: &Client, product: &str, count: usize) -> Vec<String> {
    let one: &[(&str, u64)] = &[(product, 1)];
    let answer = client
        .post(CREATE, &orders(&vec![one; count]))
        .await
        .expect(201);
    ids_of(&answer.json())
}

#[tokio::test]
async fn orders_are_placed_together_or_not_at_all() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 5).await, admin.product(300, 5).await);
    let customer = shop.customer(&server).await;
    let before = shop.head().await;

    let short = orders(&[&[(&tea, 3)], &[(&cup, 1), (&tea, 3)]]);
    let refused = customer.post(CREATE, &short).await;
    let told = refused.problem_of(409, "insufficient_stock");
    assert_eq!(told["errors"][0]["pointer"], "/orders/1");
    assert_eq!(
        told["shortages"][0]["available"], 2,
        "what the first one left"
    );
    let nothing = Uuid::new_v4().to_string();
    let unknown = orders(&[&[(&tea, 1)], &[(&cup, 1)], &[(&nothing, 1)]]);
    let told = customer
        .post(CREATE, &unknown)
        .await
        .problem_of(409, "not-on-sale");
    assert_eq!(told["errors"][0]["pointer"], "/orders/2");
    let mut nowhere = orders(&[&[(&tea, 1)], &[(&cup, 1)]]);
    nowhere["orders"][1]["region_id"] = json!(nothing);
    let told = customer
        .post(CREATE, &nowhere)
        .await
        .problem_of(422, "validation");
    assert_eq!(told["errors"][0]["pointer"], "/orders/1/region_id");
    let mut wrong = orders(&[&[(&tea, 1)], &[(&cup, 0)]]);
    wrong["orders"][0]["payment_method"] = json!("a method");
    let told = customer
        .post(CREATE, &wrong)
        .await
        .problem_of(422, "validation");
    let pointers: Vec<&Value> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["pointer"])
        .collect();
    assert_eq!(
        pointers,
        ["/orders/0/payment_method", "/orders/1/items/0/quantity"]
    );
    assert_eq!(shop.head().await, before, "nothing is stored");

    let mut together = orders(&[&[(&tea, 3)], &[(&cup, 1), (&tea, 2)]]);
    together["orders"][1]["customer_name"] = json!("Trần Văn Bình");
    let answer = customer.post(CREATE, &together).await.expect(201);
    let body = answer.json();
    let totals = [0, 1].map(|order| body["items"][order]["subtotal"]["amount"].clone());
    assert_eq!(totals, [3_000, 2_300], "in the order of the request");
    let names = [0, 1].map(|order| body["items"][order]["customer_name"].clone());
    assert_eq!(names, ["Test Buyer", "Trần Văn Bình"]);
    assert_eq!(customer.stock_at(&tea, &answer.position()).await, [0, 5, 0]);
    shop.close().await;
}

#[tokio::test]
async fn a_request_for_many_orders_that_is_repeated_with_its_key_is_done_once() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(1_000, 5).await;
    let customer = shop.customer(&server).await;
    let wished = orders(&[&[(&product, 1)], &[(&product, 2)]]);
    let ask = |body: &Value| customer.ask(Method::POST, CREATE).json(body).key("both");
    let first = ask(&wished).send().await.expect(201);
    let head = shop.head().await;
    let again = ask(&wished).send().await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(
        (again.position(), again.json()),
        (first.position(), first.json())
    );
    let other = ask(&orders(&[&[(&product, 1)]])).send().await;
    other.problem_of(422, "idempotency-key-reused");
    // one that was deleted since is not shown any more
    let ids = ids_of(&first.json());
    let delete = customer.ask(Method::DELETE, &format!("/api/v1/orders/{}", ids[0]));
    let _ = delete.send().await.expect(204);
    let again = ask(&wished).send().await.expect(201);
    assert_eq!(ids_of(&again.json()), [ids[1].clone()]);
    // cancelled and deleted in one step
    assert!(shop.head().await > head);
    shop.close().await;
}

#[tokio::test]
async fn what_is_too_much_for_one_request_is_told_so() {
    let shop = Shop::opening().set("SOUK_BULK_LIMIT", "3").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(0, 1_000_000).await;
    let customer = shop.customer(&server).await;
    let one: &[(&str, u64)] = &[(&product, 1)];
    let id = Uuid::new_v4().to_string();
    let changes: Vec<Value> = (0..4)
        .map(|_| json!({"order_id": Uuid::new_v4()}))
        .collect();
    let ids: Vec<Uuid> = (0..4).map(|_| Uuid::new_v4()).collect();
    let before = shop.head().await;
    for (path, body, pointer) in [
        (CREATE, orders(&[one; 4]), "/orders"),
        (CREATE, json!({"orders": []}), "/orders"),
        (READ, json!({"ids": ids}), "/ids"),
        (READ, json!({"ids": []}), "/ids"),
        (READ, json!({"ids": [id, Uuid::new_v4(), id]}), "/ids/2"),
        (UPDATE, json!({"orders": changes}), "/orders"),
        (
            UPDATE,
            json!({"orders": [{"order_id": id}, {"order_id": id}]}),
            "/orders/1/order_id",
        ),
    ] {
        let told = customer
            .post(path, &body)
            .await
            .problem_of(422, "validation");
        assert_eq!(told["errors"][0]["pointer"], pointer, "{path} {body}");
    }
    // few orders, but more items than one decision may take
    let many: Vec<(&str, u64)> = vec![(&product, 1); 500];
    let change = |items: &[(&str, u64)]| {
        let mut change = new_order(items);
        change["order_id"] = json!(Uuid::new_v4());
        change
    };
    let changes = json!({"orders": [change(&many), change(&many), change(one)]});
    let told = customer.post(UPDATE, &changes).await;
    let told = told.problem_of(422, "validation");
    assert_eq!(told["errors"][0]["pointer"], "/orders");
    let told = customer.post(CREATE, &orders(&[&many, &many, one])).await;
    let told = told.problem_of(422, "validation");
    assert_eq!(told["errors"][0]["pointer"], "/orders");
    assert_eq!(shop.head().await, before, "nothing is stored");
    let most = customer
        .post(CREATE, &orders(&[&many, &many]))
        .await
        .expect(201);
    assert_eq!(most.json()["items"][1]["items"][0]["quantity"], 500);
    shop.close().await;
}

#[tokio::test]
async fn many_orders_are_read_at_once_and_those_that_are_not_there_are_named() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(1_000, 50).await;
    let (customer, other) = (shop.customer(&server).await, shop.customer(&server).await);
    let own = placed(&customer, &product, 2).await;
    let one: &[(&str, u64)] = &[(&product, 1)];
    let last = other.post(CREATE, &orders(&[one])).await.expect(201);
    let others = ids_of(&last.json()).remove(0);
    let nothing = Uuid::new_v4().to_string();
    let body = json!({"ids": [own[1], others, nothing, own[0]]});
    let ask = |client: &Client| {
        let ask = client.ask(Method::POST, READ).json(&body);
        ask.min_position(&last.position()).send()
    };
    let read = ask(&customer).await.expect(200).json();
    assert_eq!(ids_of(&read), [own[1].clone(), own[0].clone()]);
    assert_eq!(read["items"][0]["customer_name"], "Test Buyer");
    assert_eq!(
        read["missing"],
        json!([
            {"pointer": "/ids/1", "order_id": others},
            {"pointer": "/ids/2", "order_id": nothing},
        ])
    );
    let all = ask(&admin).await.expect(200).json();
    assert_eq!(ids_of(&all), [own[1].clone(), others, own[0].clone()]);
    shop.close().await;
}

#[tokio::test]
async fn items_of_many_orders_are_changed_together_or_not_at_all() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (tea, cup) = (admin.product(1_000, 3).await, admin.product(300, 3).await);
    let customer = shop.customer(&server).await;
    let own = placed(&customer, &tea, 3).await;
    let to = |order: &str, items: &[(&str, u64)]| {
        let mut change = new_order(items);
        change["order_id"] = json!(order);
        change
    };
    let before = shop.head().await;
    let nothing = Uuid::new_v4().to_string();
    let mut dear = to(&own[1], &[(&cup, 1)]);
    dear["expected_total"] = json!(1);
    for (second, status, kind, pointer) in [
        (
            to(&own[1], &[(&tea, 4)]),
            409,
            "insufficient_stock",
            "/orders/1",
        ),
        (
            to(&own[1], &[(&nothing, 1)]),
            409,
            "not-on-sale",
            "/orders/1",
        ),
        (
            to(&own[1], &[(&cup, 0)]),
            422,
            "validation",
            "/orders/1/items/0/quantity",
        ),
        (to(&own[1], &[]), 422, "validation", "/orders/1/items"),
        (dear, 409, "price-changed", "/orders/1"),
    ] {
        let body = json!({"orders": [to(&own[0], &[(&cup, 2)]), second]});
        let told = customer.post(UPDATE, &body).await.problem_of(status, kind);
        assert_eq!(told["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(shop.head().await, before, "nothing is stored");

    let body = json!({"orders": [to(&own[0], &[(&cup, 2)]), to(&own[1], &[(&tea, 2)])]});
    let answer = customer.post(UPDATE, &body).await.expect(200);
    let changed = answer.json();
    let totals = [0, 1].map(|order| changed["items"][order]["subtotal"]["amount"].clone());
    assert_eq!(totals, [600, 2_000]);
    let stock = async |product: &str| customer.stock_at(product, &answer.position()).await;
    assert_eq!(stock(&tea).await, [0, 3, 0], "what the first one gave back");
    assert_eq!(stock(&cup).await, [1, 2, 0]);
    shop.close().await;
}

#[tokio::test]
async fn names_and_addresses_of_many_orders_are_changed_together_or_not_at_all() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(1_000, 50).await;
    let (customer, other) = (shop.customer(&server).await, shop.customer(&server).await);
    let own = placed(&customer, &product, 3).await;
    let others = placed(&other, &product, 1).await.remove(0);
    let to = |order: &str| json!({"order_id": order, "shipping_address": "1 Tràng Tiền, Hà Nội"});
    let before = shop.head().await;

    let mut stale = to(&own[1]);
    stale["version"] = json!(7);
    for (second, status, kind, pointer) in [
        (to(&others), 422, "validation", "/orders/1/order_id"),
        (
            to(&Uuid::new_v4().to_string()),
            422,
            "validation",
            "/orders/1/order_id",
        ),
        (stale, 409, "conflict", "/orders/1/version"),
    ] {
        let body = json!({"orders": [to(&own[0]), second]});
        let told = customer.post(UPDATE, &body).await.problem_of(status, kind);
        assert_eq!(told["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(shop.head().await, before, "nothing is stored");

    let mut first = to(&own[2]);
    first["customer_name"] = json!("Trần Văn Bình");
    first["version"] = json!(1);
    let body = json!({"orders": [first, to(&own[0])]});
    let answer = customer.post(UPDATE, &body).await.expect(200);
    let changed = answer.json();
    assert_eq!(ids_of(&changed), [own[2].clone(), own[0].clone()]);
    let names = [0, 1].map(|order| changed["items"][order]["customer_name"].clone());
    assert_eq!(names, ["Trần Văn Bình", "Test Buyer"]);
    let read = customer.ask(Method::GET, &format!("/api/v1/orders/{}", own[0]));
    let read = read
        .min_position(&answer.position())
        .send()
        .await
        .expect(200);
    assert_eq!(read.json()["shipping_address"], "1 Tràng Tiền, Hà Nội");

    // an admin changes anybody's, and nobody what was called off
    let both = json!({"orders": [to(&others), to(&own[1])]});
    let _ = admin.post(UPDATE, &both).await.expect(200);
    let cancel = format!("/api/v1/orders/{}/cancel", own[1]);
    let _ = customer.post(&cancel, &json!({})).await.expect(200);
    let mut late = to(&own[1]);
    late["shipping_address"] = json!("2 Tràng Tiền, Hà Nội");
    let late = json!({"orders": [to(&own[0]), late]});
    let told = customer
        .post(UPDATE, &late)
        .await
        .problem_of(409, "illegal-move");
    assert_eq!(told["errors"][0]["pointer"], "/orders/1");
    assert_eq!(told["order_status"], "cancelled");
    shop.close().await;
}
