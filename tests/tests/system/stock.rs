//! Stock under concurrency: never more than is there, whoever asks where and in which order.

use std::collections::BTreeMap;

use futures::{StreamExt, future::join_all, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, number_of},
    client::{Client, stock_of, tally},
    shop::Shop,
};

const BUYERS: usize = 200;
const PIECES: u64 = 10;

/// So many new customers, spread over the servers.
async fn buyers(shop: &Shop, servers: &[&tests::server::Server]) -> Vec<Client> {
    let buyer = |number: usize| shop.customer(servers[number % servers.len()]);
    stream::iter(0..BUYERS)
        .map(buyer)
        .buffered(16)
        .collect()
        .await
}

/// All of them ask for one piece at once.
async fn rush(buyers: &[Client], product: &str) -> Vec<Answer> {
    let item = [(product, 1)];
    join_all(buyers.iter().map(|buyer| buyer.order(&item))).await
}

fn ten_of_two_hundred() -> BTreeMap<String, usize> {
    BTreeMap::from([
        ("201".to_owned(), PIECES as usize),
        (
            "409 insufficient_stock".to_owned(),
            BUYERS - PIECES as usize,
        ),
    ])
}

#[tokio::test]
async fn of_200_buyers_of_10_pieces_exactly_10_get_one_and_190_a_clear_refusal() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(1_000, PIECES).await;
    let buyers = buyers(&shop, &[&server]).await;
    let before = shop.head().await;
    let answers = rush(&buyers, &product).await;
    assert_eq!(tally(&answers), ten_of_two_hundred());
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        let problem = answer.problem_of(409, "insufficient_stock");
        assert_eq!(problem["product_id"], product.as_str());
        assert_eq!(problem["available"], 0);
    }
    assert_eq!(
        shop.head().await - before,
        2 * PIECES as i64 + 1,
        "an order and a reservation each, once that the stock has run low, nothing else"
    );
    buyers[0].wait_for_stock(&product, [0, 10, 0]).await;
    shop.close().await;
}

#[tokio::test]
async fn of_200_buyers_at_two_server_processes_exactly_10_get_one() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let product = shop.admin(&one).await.product(1_000, PIECES).await;
    let buyers = buyers(&shop, &[&one, &two]).await;
    let answers = rush(&buyers, &product).await;
    assert_eq!(tally(&answers), ten_of_two_hundred());
    for server in [&one, &two] {
        shop.client(server)
            .wait_for_stock(&product, [0, 10, 0])
            .await;
    }
    shop.close().await;
}

#[tokio::test]
async fn the_next_request_sees_what_another_process_has_restocked() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&one).await;
    let product = admin.product(1_000, 0).await;
    let customer = shop.customer(&two).await;
    for _ in 0..20 {
        customer
            .order(&[(&product, 1)])
            .await
            .problem_of(409, "insufficient_stock");
        admin.restock(&product, 1).await;
        // straight away: nothing is waited for between the restock's answer and this
        let _ = customer.order(&[(&product, 1)]).await.expect(201);
    }
    shop.close().await;
}

#[tokio::test]
async fn an_order_of_several_products_of_which_one_is_short_reserves_nothing_and_names_it() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (plenty, short) = (admin.product(100, 100).await, admin.product(100, 2).await);
    let customer = shop.customer(&server).await;
    let before = shop.head().await;
    let refused = customer.order(&[(&plenty, 5), (&short, 3)]).await;
    let problem = refused.problem_of(409, "insufficient_stock");
    assert_eq!(problem["product_id"], short.as_str());
    assert_eq!(problem["available"], 2);
    assert_eq!(shop.head().await, before, "nothing is stored");
    let _ = customer
        .order(&[(&plenty, 100), (&short, 2)])
        .await
        .expect(201);
    shop.close().await;
}

#[tokio::test]
async fn orders_over_the_same_products_in_opposite_order_all_come_through() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&one).await;
    let (a, b) = (admin.product(100, 40).await, admin.product(100, 40).await);
    let (here, there) = (shop.customer(&one).await, shop.customer(&two).await);
    let (forth, back) = (
        [(a.as_str(), 1), (b.as_str(), 1)],
        [(b.as_str(), 1), (a.as_str(), 1)],
    );
    let orders = (0..20).flat_map(|_| [here.order(&forth), there.order(&back)]);
    let answers = join_all(orders).await;
    assert_eq!(tally(&answers), BTreeMap::from([("201".to_owned(), 40)]));
    here.wait_for_stock(&a, [0, 40, 0]).await;
    here.wait_for_stock(&b, [0, 40, 0]).await;
    shop.close().await;
}

#[tokio::test]
async fn two_lines_of_the_same_product_count_together() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 5).await;
    let customer = shop.customer(&server).await;
    let refused = customer.order(&[(&product, 3), (&product, 3)]).await;
    assert_eq!(
        refused.problem_of(409, "insufficient_stock")["available"],
        5
    );
    let placed = customer
        .order(&[(&product, 3), (&product, 2)])
        .await
        .expect(201);
    assert_eq!(
        customer.stock_at(&product, &placed.position()).await,
        [0, 5, 0]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_buyers_own_reservation_never_blocks_the_buyer() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 3).await;
    let customer = shop.customer(&server).await;
    // takes all there is: paying for it must not ask for it once more
    let order = customer.order(&[(&product, 3)]).await.expect(201).id();
    customer.wait_until_paid(&order).await;
    customer.wait_for_stock(&product, [0, 0, 3]).await;
    shop.close().await;
}

#[tokio::test]
async fn stock_may_be_set_below_what_is_reserved_and_then_shows_as_negative() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 5).await;
    let customer = shop.customer(&server).await;
    let _ = customer.order(&[(&product, 4)]).await.expect(201);
    let path = format!("/api/v1/products/{product}/stock");
    // 4 are reserved and 1 is left: three pieces fewer than were thought to be there
    let adjusted = admin
        .post(
            &format!("{path}/adjustments"),
            &json!({"delta": -3, "reason": "counted"}),
        )
        .await;
    assert_eq!(adjusted.status, 200, "{adjusted}");
    let read = admin
        .ask(Method::GET, &path)
        .min_position(&adjusted.position())
        .send()
        .await
        .expect(200);
    assert_eq!(stock_of(&read.json()), [-2, 4, 0]);
    assert_eq!(read.json()["oversold"], true, "{read}");
    customer
        .order(&[(&product, 1)])
        .await
        .problem_of(409, "insufficient_stock");
    shop.close().await;
}

#[tokio::test]
async fn stock_is_low_by_a_threshold_of_the_products_own_and_that_is_told_once() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let customer = shop.customer(&server).await;
    let (product, other) = (admin.product(100, 10).await, admin.product(100, 10).await);
    let stock = format!("/api/v1/products/{product}/stock");
    let threshold = format!("{stock}/threshold");
    admin.wait_for_stock(&product, [10, 0, 0]).await;
    let read = admin.get(&stock).await.json();
    assert_eq!(
        (&read["threshold"], &read["low_stock"]),
        (&json!(5), &json!(false))
    );
    let set = |pieces: u32| admin.put(&threshold, &json!({"threshold": pieces}));
    let nine = set(9).send().await.expect(200);
    assert_eq!(
        (&nine.json()["threshold"], &nine.json()["low_stock"]),
        (&json!(9), &json!(false))
    );
    let stale = set(3).if_match("\"1\"").send().await;
    stale.problem_of(412, "precondition-failed");

    let _ = customer.order(&[(&product, 1)]).await.expect(201);
    let placed = customer.order(&[(&product, 1), (&other, 1)]).await;
    let low = list_of_low(&admin, &placed.expect(201).position(), &product).await;
    assert_eq!(low["stock"]["low_stock"], true, "{low}");
    assert_eq!(low["stock"]["sold_out"], false, "{low}");
    // who restocks is told once, and once that it is over
    admin.restock(&product, 2).await;
    let told: Vec<String> = shop
        .events()
        .await
        .into_iter()
        .filter(|event| event.aggregate_id == product && event.aggregate_type == "inventory")
        .map(|event| event.event_type)
        .collect();
    assert_eq!(
        told,
        [
            "StockReceived",
            "LowStockThresholdSet",
            "StockReserved",
            "StockRanLow",
            "StockReserved",
            "StockReceived",
            "StockRecovered"
        ]
    );
    let gone = customer.order(&[(&other, 9)]).await.expect(201).position();
    let sold_out = list_of_low(&admin, &gone, &other).await;
    assert_eq!(sold_out["stock"]["sold_out"], true, "{sold_out}");
    shop.close().await;
}

/// Of the low products the one, which is there, as it is listed; the list has none that are not low.
async fn list_of_low(admin: &Client, position: &str, product: &str) -> Value {
    let list = |low: bool| {
        admin
            .ask(
                Method::GET,
                &format!("/api/v1/products?low_stock={low}&limit=200"),
            )
            .min_position(position)
            .send()
    };
    let others = list(false).await.expect(200).json();
    let others = others["items"].as_array().unwrap();
    assert!(others.iter().all(|item| item["product_id"] != product));
    let low = list(true).await.expect(200).json();
    let mut low = low["items"].as_array().unwrap().iter();
    assert!(low.clone().all(|item| item["stock"]["low_stock"] == true));
    let found = low.find(|item| item["product_id"] == product);
    found.expect("is listed as low").clone()
}

#[tokio::test]
async fn relative_corrections_of_two_admins_add_up() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let here = shop.admin(&one).await;
    let there = here.at(&two.address);
    let product = here.product(100, 100).await;
    let path = format!("/api/v1/products/{product}/stock/adjustments");
    let (more, less) = (json!({"delta": 7}), json!({"delta": -3}));
    let changes = (0..10).flat_map(|_| [here.post(&path, &more), there.post(&path, &less)]);
    let answers = join_all(changes).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        tally(&answers)
    );
    here.wait_for_stock(&product, [140, 0, 0]).await;
    shop.close().await;
}

#[tokio::test]
async fn an_absolute_correction_needs_to_know_what_it_corrects() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let path = format!("/api/v1/products/{product}/stock");
    let to_20 = json!({"available": 20});
    admin
        .put(&path, &to_20)
        .send()
        .await
        .problem_of(428, "precondition-required");

    let placed = shop
        .customer(&server)
        .await
        .order(&[(&product, 1)])
        .await
        .expect(201);
    let read = admin
        .ask(Method::GET, &path)
        .min_position(&placed.position())
        .send()
        .await
        .expect(200);
    let seen = read.etag();
    let set = admin
        .put(&path, &to_20)
        .if_match(&seen)
        .send()
        .await
        .expect(200);
    assert_ne!(set.etag(), seen);
    // a second admin who read the same is told, instead of undoing what the first one did
    admin
        .put(&path, &json!({"available": 30}))
        .if_match(&seen)
        .send()
        .await
        .problem_of(412, "precondition-failed");
    let now = admin
        .ask(Method::GET, &path)
        .min_position(&set.position())
        .send()
        .await
        .expect(200);
    assert_eq!(number_of(&now.json()["available"]), 20);
    assert_eq!(
        now.etag(),
        set.etag(),
        "the answer to a change carries the tag that a read would"
    );
    shop.close().await;
}
