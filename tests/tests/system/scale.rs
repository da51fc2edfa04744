//! A large demo shop by `souk seed --scale`: made once, whole however often it is stopped, and sound as any other.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
};

use serde_json::Value;
use tests::{
    answer::{number_of, text_of},
    client::{Client, PATIENCE, stock_of},
    eventually,
    server::{command, signal},
    shop::{DEMO_PASSWORD, Shop},
};
use tokio::io::{AsyncBufReadExt, BufReader};

/// All that a list has, page by page.
async fn all(client: &Client, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}?limit=200{cursor}")).await;
        let page = page.expect(200).json();
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Runs the command, and returns what it says.
async fn seed(shop: &Shop, arguments: &[&str]) -> String {
    let output = shop
        .try_run(&[], &[&["seed"][..], arguments].concat())
        .await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

async fn count(shop: &Shop, event_type: &str) -> i64 {
    sqlx::query_scalar("select count(*) from events where event_type = $1")
        .bind(event_type)
        .fetch_one(&shop.pool)
        .await
        .expect("readable")
}

async fn accounts(shop: &Shop) -> i64 {
    sqlx::query_scalar("select count(*) from users")
        .fetch_one(&shop.pool)
        .await
        .expect("readable")
}

/// The pieces that orders have of each product.
fn ordered(orders: &[Value]) -> BTreeMap<String, i64> {
    let mut pieces = BTreeMap::new();
    for line in orders
        .iter()
        .flat_map(|order| order["items"].as_array().expect("lines"))
    {
        *pieces.entry(text_of(&line["product_id"])).or_insert(0) += number_of(&line["quantity"]);
    }
    pieces
}

#[tokio::test]
async fn a_large_shop_is_made_once_and_its_stock_adds_up() {
    let shop = Shop::open().await;
    let said = seed(&shop, &["--scale", "300"]).await;
    for part in ["products", "customers", "orders"] {
        assert!(
            said.contains(&format!("souk: {part}: 300 made, in ")),
            "{said}"
        );
    }
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (products, orders) = (
        all(&admin, "/api/v1/products").await,
        all(&admin, "/api/v1/orders").await,
    );
    let users = all(&admin, "/api/v1/users").await;
    let ours: Vec<&Value> = products
        .iter()
        .filter(|product| text_of(&product["sku"]).starts_with("D1-"))
        .collect();
    assert_eq!((ours.len(), orders.len()), (300, 300));
    let reserved = ordered(&orders);
    for product in &ours {
        let id = text_of(&product["product_id"]);
        let [available, held, sold] = stock_of(&product["stock"]);
        assert_eq!(
            (held, sold),
            (reserved.get(&id).copied().unwrap_or(0), 0),
            "{product}"
        );
        assert!(available >= 0, "{product}");
    }
    // the simple client contract lists them by the hundred, and by the thousand where that is asked for
    for (query, listed) in [("", 100), ("?limit=1000", products.len())] {
        let answer = shop
            .client(&server)
            .get(&format!("/api/products{query}"))
            .await
            .expect(200);
        assert_eq!(answer.json()["data"].as_array().map(Vec::len), Some(listed));
        assert_eq!(answer.header("link").is_some(), listed < products.len());
    }
    let regions: BTreeSet<String> = orders.iter().map(|it| text_of(&it["region_id"])).collect();
    assert_eq!(regions.len(), 3);
    let people: BTreeMap<String, &Value> = users
        .iter()
        .map(|user| (text_of(&user["user_id"]), user))
        .collect();
    for order in &orders {
        let buyer = people[&text_of(&order["customer_id"])];
        assert_eq!(order["customer_name"], buyer["name"]);
        assert_eq!(order["shipping_address"], buyer["address"]);
    }
    let first = shop
        .client(&server)
        .log_in("customer-1-1@example.com", DEMO_PASSWORD)
        .await;
    let own = all(&first, "/api/v1/orders").await;
    assert!(!own.is_empty() && own.len() < 300, "{}", own.len());

    let (head, people) = (shop.head().await, accounts(&shop).await);
    let said = seed(&shop, &["--scale", "300"]).await;
    for part in ["products", "customers", "orders"] {
        let told = format!("souk: {part}: 0 made, 300 there already, in ");
        assert!(said.contains(&told), "{said}");
    }
    assert_eq!((shop.head().await, accounts(&shop).await), (head, people));

    // a larger one adds what is missing, two at once make each thing once, and another seed another shop beside it
    let larger = ["--scale", "330"];
    tokio::join!(seed(&shop, &larger), seed(&shop, &larger));
    assert_eq!(count(&shop, "OrderPlaced").await, 330);
    assert_eq!(accounts(&shop).await, people + 30);
    let said = seed(
        &shop,
        &["--scale", "20", "--orders", "7", "--random-seed", "2"],
    )
    .await;
    assert!(said.contains("souk: orders: 7 made, in "), "{said}");
    assert_eq!(count(&shop, "OrderPlaced").await, 337);
    shop.close().await;
}

#[tokio::test]
async fn a_run_that_is_interrupted_goes_on_where_it_stopped() {
    let shop = Shop::open().await;
    let arguments = ["seed", "--scale", "50", "--orders", "100000"];
    let mut child = command(&shop.settings_with(&[]), &arguments)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut lines = Vec::new();
    while let Some(line) = said.next_line().await.expect("readable") {
        lines.push(line);
        if lines
            .last()
            .is_some_and(|line| line == "souk: orders: 0 of 100,000")
        {
            break;
        }
    }
    eventually("some orders are placed", PATIENCE, || async {
        (count(&shop, "OrderPlaced").await > 0).then_some(())
    })
    .await;
    signal(child.id().expect("not waited for"), "INT").await;
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    let ended = ended.expect("it ends in time").expect("our child");
    while let Some(line) = said.next_line().await.expect("readable") {
        lines.push(line);
    }
    assert_eq!(ended.code(), Some(1), "{lines:?}");
    let last = lines.last().expect("a line");
    assert!(
        last.starts_with("souk: stopped before it was done"),
        "{lines:?}"
    );
    let placed = count(&shop, "OrderPlaced").await;
    assert!((1..100_000).contains(&placed), "{placed}");

    let orders = (placed + 30).to_string();
    let said = seed(&shop, &["--scale", "50", "--orders", &orders]).await;
    assert!(said.contains("souk: orders: 30 made, "), "{said}");
    assert!(
        said.contains("souk: products: 0 made, 50 there already"),
        "{said}"
    );
    assert_eq!(count(&shop, "OrderPlaced").await, placed + 30);
    shop.close().await;
}

#[tokio::test]
async fn a_large_shop_is_refused_outside_demo_mode_and_so_is_one_that_makes_no_sense() {
    let shop = Shop::open().await;
    let (head, people) = (shop.head().await, accounts(&shop).await);
    for (demo, arguments, code, told) in [
        ("false", ["--scale", "5"], 1, "SOUK_DEMO"),
        ("true", ["--scale", "0"], 2, "--scale"),
        ("true", ["--orders", "5"], 2, "--scale"),
    ] {
        let arguments = [&["seed"][..], &arguments].concat();
        let output = shop.try_run(&[("SOUK_DEMO", demo)], &arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
    assert_eq!((shop.head().await, accounts(&shop).await), (head, people));
    shop.close().await;
}
