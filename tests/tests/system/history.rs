//! The history as analysts read it, and what it never tells: who the customers are.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{number_of, text_of},
    client::{PATIENCE, new_order},
    eventually,
    history::assert_topics_equal_log,
    shop::Shop,
};

/// All events that match, page by page.
async fn read_all(client: &tests::client::Client, query: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = client
            .get(&format!("/api/v1/events?limit=7&after={after}{query}"))
            .await
            .expect(200)
            .json();
        let items = page["items"].as_array().expect("a list");
        let Some(last) = items.last() else {
            return events;
        };
        after = number_of(&last["position"]);
        events.extend(items.iter().cloned());
    }
}

#[tokio::test]
async fn an_analyst_reads_the_whole_log_by_position_type_and_aggregate() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 2)]).await.expect(201).id();
    customer.wait_until_paid(&order).await;
    let analyst = shop.demo_user(&server, "analyst").await;
    let events = shop.events().await;

    let read = read_all(&analyst, "").await;
    assert_eq!(read.len(), events.len());
    for (told, event) in read.iter().zip(&events) {
        assert_eq!(number_of(&told["position"]), event.position);
        assert_eq!(told["event_id"], event.event_id.to_string());
        assert_eq!(told["aggregate_type"], event.aggregate_type.as_str());
        assert_eq!(told["aggregate_id"], event.aggregate_id.as_str());
        assert_eq!(told["event_type"], event.event_type.as_str());
        assert_eq!(number_of(&told["sequence"]), event.sequence);
        assert_eq!(told["payload"], event.content());
    }
    let placed = read_all(&analyst, "&type=OrderPlaced").await;
    assert_eq!(placed.len(), 1);
    let one = analyst
        .get(&format!("/api/v1/events/{}", placed[0]["position"]))
        .await
        .expect(200)
        .json();
    assert_eq!(one["event_id"], placed[0]["event_id"]);
    let of_order = read_all(&analyst, &format!("&aggregate=order/{order}")).await;
    let told: Vec<String> = of_order
        .iter()
        .map(|event| text_of(&event["event_type"]))
        .collect();
    assert_eq!(told, ["OrderPlaced", "OrderPaymentStarted", "OrderPaid"]);
    analyst.get("/api/v1/events/999999").await.problem(404);
    customer.get("/api/v1/events").await.problem(403);
    shop.client(&server)
        .get("/api/v1/events")
        .await
        .problem(401);
    shop.close().await;
}

#[tokio::test]
async fn the_command_line_prints_the_same_log() {
    let shop = Shop::open().await;
    let events = shop.events().await;
    let printed = shop.run(&["events", "--limit", "1000"]).await;
    let lines: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect();
    assert_eq!(lines.len(), events.len());
    for (line, event) in lines.iter().zip(&events) {
        assert_eq!(number_of(&line["position"]), event.position);
        assert_eq!(line["payload"], event.content());
    }
    shop.close().await;
}

/// A name and an address that nothing else contains.
const NAME: &str = "Zyxwvut Quetzalcoatl";
const ADDRESS: &str = "Geheimweg 4711, 99999 Nirgendwo";
const SECRETS: [&str; 4] = ["Zyxwvut", "Quetzalcoatl", "Geheimweg", "Nirgendwo"];

#[tokio::test]
async fn names_and_addresses_stay_sealed_in_log_views_snapshots_topics_and_server_logs() {
    let shop = Shop::opening()
        .with_kafka()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("SOUK_LOG", "debug,rdkafka=info,librdkafka=info")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 100).await;
    let customer = shop
        .client(&server)
        .register(NAME, "zq@example.com", "a long password")
        .await;
    let mut body = new_order(&[(&product, 1)]);
    body["customer_name"] = json!(NAME);
    body["shipping_address"] = json!(ADDRESS);
    let placed = customer
        .ask(Method::POST, "/api/v1/orders")
        .json(&body)
        .key("sealed")
        .send()
        .await
        .expect(201);
    let order = placed.id();
    // refused ones leave nothing either
    let mut refused = body.clone();
    refused["items"][0]["quantity"] = json!(500);
    customer.post("/api/v1/orders", &refused).await.problem(409);
    refused["surplus"] = json!(ADDRESS);
    customer.post("/api/v1/orders", &refused).await.problem(422);
    customer.wait_until_paid(&order).await;

    // the customer and an admin read them in the clear
    let own = customer.read_order(&order).await;
    assert_eq!(
        (&own["customer_name"], &own["shipping_address"]),
        (&json!(NAME), &json!(ADDRESS))
    );
    let admin = shop.admin(&server).await;
    assert_eq!(admin.read_order(&order).await["shipping_address"], ADDRESS);
    // the history does not tell them to analysts
    let analyst = shop.demo_user(&server, "analyst").await;
    for path in [
        format!("/api/v1/orders/{order}/timeline"),
        "/api/v1/events?limit=200&type=OrderPlaced".to_owned(),
    ] {
        let told = eventually("the order is told", PATIENCE, || async {
            let answer = analyst.get(&path).await.expect(200);
            answer.text().contains("OrderPlaced").then_some(answer)
        })
        .await;
        assert_no_secret(told.text(), &path);
    }

    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    for record in &records {
        assert_no_secret(&format!("{record:?}"), "a topic");
    }
    assert_tables_hold_no_secret(&shop).await;
    let output = server.output();
    assert!(output.contains("DEBUG"), "the server logs at length");
    assert_no_secret(&output, "the server's log");
    shop.close().await;
}

fn assert_no_secret(text: &str, place: &str) {
    for secret in SECRETS {
        assert!(
            !text.to_lowercase().contains(&secret.to_lowercase()),
            "{secret} stands in {place}"
        );
    }
}

/// Looks at every row of every table but the two of identity, which hold what people are called.
async fn assert_tables_hold_no_secret(shop: &Shop) {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables \
         where schemaname not in ('pg_catalog', 'information_schema') and tablename not in ('users', 'credentials')",
    )
    .fetch_all(&shop.pool)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        for secret in SECRETS {
            let found: i64 = sqlx::query_scalar(&format!(
                "select count(*) from {table} t where t::text ilike '%' || $1 || '%'"
            ))
            .bind(secret)
            .fetch_one(&shop.pool)
            .await
            .unwrap();
            assert_eq!(found, 0, "{secret} stands in {table}");
        }
    }
}
