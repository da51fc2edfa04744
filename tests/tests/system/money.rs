//! Money as clients see it: totals of lines, rounding, tax that stays, currencies without decimals.

use serde_json::{Value, json};
use tests::{
    answer::{number_of, text_of},
    client::Client,
    shop::Shop,
};
use uuid::Uuid;

/// Opens a region, and returns its id.
async fn region(admin: &Client, currency: &str, tax_rate: u32, prices_include_tax: bool) -> String {
    let body = json!({
        "title": "A region", "country": "XX", "currency": currency, "tax_rate": tax_rate,
        "prices_include_tax": prices_include_tax,
    });
    admin.post("/api/v1/regions", &body).await.expect(201).id()
}

/// Minor units of an amount of an order.
fn minor(order: &Value, name: &str) -> i64 {
    number_of(&order[name]["amount"])
}

#[tokio::test]
async fn tax_is_rounded_half_up_per_line_and_lines_add_up_to_the_total() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = region(&admin, "USD", 825, false).await;
    // 8.25 % of 0.06 is 0.00495, of 0.18 is 0.01485, of 10.00 is 0.825: each line rounds by itself
    let lines = [(6, 1, 0), (6, 3, 1), (1_000, 1, 83), (1_999, 3, 495)];
    let mut items = Vec::new();
    for (price, quantity, _) in &lines {
        items.push((
            admin.product_in(&region, (*price, "USD"), 10).await,
            *quantity,
        ));
    }
    let items: Vec<(&str, u64)> = items
        .iter()
        .map(|(id, quantity)| (id.as_str(), *quantity))
        .collect();
    let customer = shop.customer(&server).await;
    let order = customer.order(&items).await.expect(201).json();
    let told = order["items"].as_array().expect("lines");
    assert_eq!(told.len(), lines.len());
    for ((_, _, tax), line) in lines.iter().zip(told) {
        assert_eq!(minor(line, "tax"), *tax, "{line}");
    }
    let sum = |name: &str| told.iter().map(|line| minor(line, name)).sum::<i64>();
    assert_eq!(minor(&order, "subtotal"), 6 + 18 + 1_000 + 5_997);
    assert_eq!(minor(&order, "tax"), sum("tax"));
    assert_eq!(
        minor(&order, "order_total"),
        minor(&order, "subtotal") + minor(&order, "tax")
    );
    assert_eq!(minor(&order, "order_total"), sum("total"));
    shop.close().await;
}

#[tokio::test]
async fn where_prices_include_tax_the_total_is_the_sum_of_prices() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = region(&admin, "EUR", 1_900, true).await;
    let product = admin.product_in(&region, (11_900, "EUR"), 10).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 2)]).await.expect(201).json();
    assert_eq!(
        (minor(&order, "order_total"), minor(&order, "tax")),
        (23_800, 3_800)
    );
    shop.close().await;
}

#[tokio::test]
async fn an_order_keeps_its_tax_rate_when_the_region_changes_its_own() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = region(&admin, "USD", 1_000, false).await;
    let product = admin.product_in(&region, (1_000, "USD"), 10).await;
    let customer = shop.customer(&server).await;
    let before = customer.order(&[(&product, 1)]).await.expect(201);
    let _ = admin
        .patch(
            &format!("/api/v1/regions/{region}"),
            &json!({"tax_rate": 2_000}),
        )
        .send()
        .await
        .expect(200);
    let after = customer.order(&[(&product, 1)]).await.expect(201).json();
    let before = customer.read_order(&before.id()).await;
    assert_eq!(
        (minor(&before, "tax"), number_of(&before["tax_rate"])),
        (100, 1_000)
    );
    assert_eq!(
        (minor(&after, "tax"), number_of(&after["tax_rate"])),
        (200, 2_000)
    );
    shop.close().await;
}

#[tokio::test]
async fn an_order_keeps_its_prices_when_the_product_changes_its_own() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(1_000, 10).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).json();
    let _ = admin
        .patch(
            &format!("/api/v1/products/{product}"),
            &json!({"price": {"amount": 9_900, "currency": "USD"}}),
        )
        .send()
        .await
        .expect(200);
    assert_eq!(
        customer.read_order(&text_of(&order["order_id"])).await["order_total"],
        order["order_total"]
    );
    shop.close().await;
}

#[tokio::test]
async fn dong_have_no_decimals_neither_in_nor_out() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let vietnam = admin.region("VND").await;
    let product = admin.product_in(&vietnam, (250_000, "VND"), 10).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 3)]).await.expect(201).json();
    assert_eq!(minor(&order, "subtotal"), 750_000);
    assert_eq!(minor(&order, "tax"), 75_000, "10 % in the demo's Vietnam");
    assert_eq!(order["order_total"]["decimal"], "825000");
    let sku = Uuid::new_v4().simple().to_string();
    let dollars = tests::client::new_product(&vietnam, &sku, (25_000_050, "USD"), 1);
    admin.post("/api/v1/products", &dollars).await.problem(422);
    shop.close().await;
}
