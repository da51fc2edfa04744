//! The stock feed: every change, in order, without gaps, whichever process has made it and however often a client comes
//! back.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{number_of, text_of},
    client::{Client, PATIENCE, stock_of},
    eventually,
    feed::{Feed, PATH, Told},
    history::Event,
    shop::Shop,
};

/// All changes of stock that the log holds behind a position, as the feed is to tell them: product, sequence.
fn of_log(events: &[Event], after: i64) -> Vec<(String, i64)> {
    let of_inventories = events
        .iter()
        .filter(|event| event.aggregate_type == "inventory" && event.position > after);
    of_inventories
        .map(|event| (event.aggregate_id.clone(), event.sequence))
        .collect()
}

fn of_feed(told: &[Told]) -> Vec<(String, i64)> {
    let place = |told: &Told| {
        let data = &told.data;
        (text_of(&data["product_id"]), number_of(&data["sequence"]))
    };
    told.iter().map(place).collect()
}

/// The numbers add up after every change, and the last one of each product is what its stock is.
async fn assert_numbers_are_true(client: &Client, told: &[Told]) {
    let mut last: BTreeMap<String, &Value> = BTreeMap::new();
    for Told { data, .. } in told {
        let [available, ..] = stock_of(data);
        assert_eq!(data["sold_out"], available <= 0, "{data}");
        let low = available <= number_of(&data["threshold"]);
        assert_eq!(data["low_stock"], low, "{data}");
        last.insert(text_of(&data["product_id"]), data);
    }
    for (product, data) in last {
        client.wait_for_stock(&product, stock_of(data)).await;
    }
}

/// Orders at one process, is paid there, cancels and restocks at the other.
async fn trade(shop: &Shop, here: &tests::server::Server, there: &tests::server::Server) -> String {
    let (admin, customer) = (shop.admin(there).await, shop.customer(here).await);
    let product = admin.product(100, 10).await;
    let other = admin.product(100, 3).await;
    let order = customer.order(&[(&product, 6), (&other, 1)]).await;
    let order = order.expect(201).id();
    admin.restock(&product, 2).await;
    let cancel = customer.at(&there.address);
    let path = format!("/api/v1/orders/{order}/cancel");
    let cancelled = cancel.post(&path, &json!({"reason": "changed_mind"})).await;
    assert!((200..300).contains(&cancelled.status), "{cancelled}");
    let _ = customer.order(&[(&product, 12)]).await.expect(201);
    product
}

#[tokio::test]
async fn every_change_of_stock_is_told_in_order_whichever_process_has_made_it() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let before = shop.head().await;
    let mut feeds = [
        Feed::open(&one.address, "", None).await,
        Feed::open(&two.address, "", None).await,
    ];
    for (here, there) in [(&one, &two), (&two, &one)] {
        trade(&shop, here, there).await;
    }
    let expected = of_log(&shop.events().await, before);
    assert!(expected.len() > 20, "{expected:?}");
    for feed in &mut feeds {
        let told = feed.changes(expected.len()).await;
        assert_eq!(of_feed(&told), expected);
        assert_numbers_are_true(&shop.client(&one), &told).await;
    }
    shop.close().await;
}

#[tokio::test]
async fn who_comes_back_with_the_last_id_misses_nothing_at_any_process() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let before = shop.head().await;
    let mut feed = Feed::open(&one.address, "", None).await;
    trade(&shop, &one, &two).await;
    let mut told = feed.changes(5).await;
    // away, while more happens; then at the other process, which has no other client
    let last = feed.last_id().to_owned();
    drop(feed);
    let product = trade(&shop, &two, &one).await;
    let threshold = format!("/api/v1/products/{product}/stock/threshold");
    let admin = shop.admin(&one).await;
    for pieces in [3, 0, 7] {
        let set = admin.put(&threshold, &json!({"threshold": pieces}));
        let _ = set.send().await.expect(200);
    }
    let mut feed = Feed::open(&two.address, "", Some(&last)).await;
    trade(&shop, &one, &two).await;
    let expected = of_log(&shop.events().await, before);
    told.extend(feed.changes(expected.len() - told.len()).await);
    assert_eq!(of_feed(&told), expected);
    // again from the very first id, while others listen
    let first = told[0].id.clone().unwrap();
    let mut again = Feed::open(&two.address, "", Some(&first)).await;
    assert_eq!(again.changes(told.len() - 1).await, told[1..]);
    for change in &told {
        let low = number_of(&change.data["available"]) <= number_of(&change.data["threshold"])
            && number_of(&change.data["threshold"]) > 0;
        assert_eq!(change.data["low_stock"], low, "{change:?}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_client_hears_of_the_products_and_the_region_that_it_names() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (usd, sgd) = (admin.region("USD").await, admin.region("SGD").await);
    let a = admin.product_in(&usd, (100, "USD"), 1).await;
    let b = admin.product_in(&usd, (100, "USD"), 1).await;
    let c = admin.product_in(&sgd, (100, "SGD"), 1).await;
    let products = format!("?product_id={c}&product_id={a}");
    let both = format!("{products}&region_id={usd}");
    let mut feeds = [
        (
            Feed::open(&server.address, &products, None).await,
            vec![&a, &c],
        ),
        (
            Feed::open(&server.address, &format!("?region_id={usd}"), None).await,
            vec![&a, &b],
        ),
        (Feed::open(&server.address, &both, None).await, vec![&a]),
    ];
    for _ in 0..2 {
        for product in [&a, &b, &c] {
            admin.restock(product, 1).await;
        }
    }
    for (feed, wanted) in &mut feeds {
        let expected: Vec<(String, i64)> = (2..4)
            .flat_map(|sequence| wanted.iter().map(move |id| ((*id).clone(), sequence)))
            .collect();
        assert_eq!(of_feed(&feed.changes(expected.len()).await), expected);
    }
    shop.close().await;
}

#[tokio::test]
async fn ids_that_are_none_or_of_another_log_are_refused() {
    let (shop, elsewhere) = (Shop::open().await, Shop::open().await);
    let (server, other) = (shop.serve().await, elsewhere.serve().await);
    let admin = elsewhere.admin(&other).await;
    let product = admin.product(100, 1).await;
    let foreign = admin.restock(&product, 1).await;
    let client = shop.client(&server);
    let with = |id: &str| {
        client
            .ask(Method::GET, PATH)
            .header("last-event-id", id)
            .send()
    };
    with("7").await.problem_of(400, "invalid-parameter");
    with(&foreign).await.problem_of(409, "position-unknown");
    let more = "product_id=00000000-0000-0000-0000-000000000001&".repeat(101);
    let too_many = format!("{PATH}?{}", more.trim_end_matches('&'));
    let refused = client.get(&too_many).await;
    refused.problem_of(400, "invalid-parameter");
    elsewhere.close().await;
    shop.close().await;
}

#[tokio::test]
async fn clients_are_bounded_and_one_that_leaves_makes_room() {
    let shop = Shop::opening()
        .set("SOUK_STOCK_FEED_CLIENTS", "2")
        .open()
        .await;
    let server = shop.serve().await;
    let one = Feed::open(&server.address, "", None).await;
    let mut two = Feed::open(&server.address, "", None).await;
    let client = shop.client(&server);
    let full = client.get(PATH).await;
    full.problem_of(503, "overloaded");
    assert_eq!(full.header("retry-after"), Some("1"));
    drop(one);
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 1).await;
    // the server finds that a client has gone when there is something to tell it
    eventually("there is room again", PATIENCE, || async {
        admin.restock(&product, 1).await;
        let ask = client.ask(Method::HEAD, PATH);
        (ask.send().await.status == 200).then_some(())
    })
    .await;
    assert_eq!(two.changes(1).await[0].data["sequence"], 1);
    shop.close().await;
}

#[tokio::test]
async fn a_server_that_stops_sends_its_clients_away_and_does_not_wait_for_them() {
    let shop = Shop::open().await;
    let (server, other) = (shop.serve().await, shop.serve().await);
    let mut feed = Feed::open(&server.address, "", None).await;
    let product = shop.admin(&server).await.product(100, 1).await;
    assert_eq!(feed.changes(1).await[0].data["sequence"], 1);
    let begun = std::time::Instant::now();
    server.ask_to_stop().await;
    let farewell = feed.next().await.expect("a last word");
    assert_eq!(
        (farewell.event.as_str(), &farewell.data),
        ("reconnect", &json!({"reason": "stopping"}))
    );
    assert_eq!(feed.next().await, None, "the feed is over");
    let mut server = server;
    assert!(server.ended().await.success());
    // far less than the grace for requests under way
    assert!(begun.elapsed() < Duration::from_secs(10));
    let mut feed = Feed::open(&other.address, "", Some(feed.last_id())).await;
    shop.admin(&other).await.restock(&product, 1).await;
    assert_eq!(feed.changes(1).await[0].data["sequence"], 2);
    shop.close().await;
}
