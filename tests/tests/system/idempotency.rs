//! Idempotency keys: one order per key, whoever asks where and how often.

use std::collections::HashSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    client::{Ask, Client, PATIENCE, new_order, tally},
    eventually,
    history::streams,
    shop::Shop,
};
use tokio::io::AsyncWriteExt;

fn order_with_key(client: &Client, body: &Value, key: &str) -> Ask {
    client
        .ask(Method::POST, "/api/v1/orders")
        .json(body)
        .key(key)
}

#[tokio::test]
async fn a_double_click_with_one_key_is_one_order_answered_alike() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let body = new_order(&[(&product, 1)]);
    let first = order_with_key(&customer, &body, "click")
        .send()
        .await
        .expect(201);
    let head = shop.head().await;
    let second = order_with_key(&customer, &body, "click")
        .send()
        .await
        .expect(201);
    assert_eq!(second.id(), first.id());
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(shop.head().await, head, "nothing more is stored");
    // without a key each request is an order of its own
    let (third, fourth) = (
        customer.order(&[(&product, 1)]).await,
        customer.order(&[(&product, 1)]).await,
    );
    assert_ne!(third.expect(201).id(), fourth.expect(201).id());
    shop.close().await;
}

#[tokio::test]
async fn a_key_again_with_another_body_is_refused() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let _ = order_with_key(&customer, &new_order(&[(&product, 1)]), "k")
        .send()
        .await
        .expect(201);
    let head = shop.head().await;
    let other = order_with_key(&customer, &new_order(&[(&product, 2)]), "k")
        .send()
        .await;
    other.problem_of(422, "idempotency-key-reused");
    assert_eq!(shop.head().await, head);
    // the same words in another order and with other blanks are the same body
    let text = format!("{{ \"items\" : [ {{\"quantity\":1 , \"product_id\":\"{product}\"}} ] }}");
    let same = customer
        .ask(Method::POST, "/api/v1/orders")
        .header("content-type", "application/json")
        .body(text);
    assert_eq!(
        same.key("k")
            .send()
            .await
            .expect(201)
            .header("idempotency-replayed"),
        Some("true")
    );
    // another person's key of the same name is another key
    let stranger = shop.customer(&server).await;
    let _ = order_with_key(&stranger, &new_order(&[(&product, 2)]), "k")
        .send()
        .await
        .expect(201);
    shop.close().await;
}

#[tokio::test]
async fn a_key_that_is_sent_many_times_at_once_makes_one_order_also_over_processes() {
    let shop = Shop::open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let product = shop.admin(&one).await.product(100, 100).await;
    let customer = shop.customer(&one).await;
    let there = customer.at(&two.address);
    let body = new_order(&[(&product, 1)]);
    for round in 0..5 {
        let key = format!("round-{round}");
        let asks = (0..8)
            .flat_map(|_| [&customer, &there])
            .map(|client| order_with_key(client, &body, &key).send());
        let answers = join_all(asks).await;
        let made: HashSet<String> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .map(Answer::id)
            .collect();
        assert_eq!(made.len(), 1, "{:?}", tally(&answers));
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.problem_of(409, "idempotency-key-in-use");
        }
        let replayed = order_with_key(&there, &body, &key).send().await.expect(201);
        assert!(made.contains(&replayed.id()));
    }
    assert_eq!(streams(&shop.events().await, "order").len(), 5);
    shop.close().await;
}

#[tokio::test]
async fn a_refusal_does_not_use_a_key_up() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 0).await;
    let customer = shop.customer(&server).await;
    let body = new_order(&[(&product, 1)]);
    order_with_key(&customer, &body, "k")
        .send()
        .await
        .problem_of(409, "insufficient_stock");
    admin.restock(&product, 1).await;
    let _ = order_with_key(&customer, &body, "k")
        .send()
        .await
        .expect(201);
    shop.close().await;
}

#[tokio::test]
async fn a_key_is_answered_with_what_it_led_to_also_when_the_request_would_now_be_refused() {
    let shop = Shop::open().await;
    let (server, other) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 1).await;
    let customer = shop.customer(&server).await;
    let body = new_order(&[(&product, 1)]);
    let first = order_with_key(&customer, &body, "last")
        .send()
        .await
        .expect(201);
    // the only piece is gone: to this very order
    for client in [&customer, &customer.at(&other.address)] {
        let again = order_with_key(client, &body, "last")
            .send()
            .await
            .expect(201);
        assert_eq!(again.id(), first.id());
    }
    let other = order_with_key(&customer, &new_order(&[(&product, 2)]), "last")
        .send()
        .await;
    other.problem_of(422, "idempotency-key-reused");
    let path = format!("/api/v1/products/{product}");
    let _ = admin.ask(Method::DELETE, &path).send().await.expect(204);
    let again = order_with_key(&customer, &body, "last")
        .send()
        .await
        .expect(201);
    assert_eq!(again.id(), first.id());
    shop.close().await;
}

#[tokio::test]
async fn a_key_survives_a_restart() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let body = new_order(&[(&product, 1)]);
    let first = order_with_key(&customer, &body, "k")
        .send()
        .await
        .expect(201);
    server.kill_9().await;
    let server = shop.serve().await;
    let again = order_with_key(&customer.at(&server.address), &body, "k")
        .send()
        .await
        .expect(201);
    assert_eq!(again.id(), first.id());
    shop.close().await;
}

#[tokio::test]
async fn restocking_twice_with_one_key_restocks_once() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 0).await;
    let path = format!("/api/v1/products/{product}/stock/receipts");
    let mut last = String::new();
    for _ in 0..3 {
        let answer = admin
            .ask(Method::POST, &path)
            .json(&json!({"quantity": 5}))
            .key("delivery-1")
            .send()
            .await;
        assert!((200..300).contains(&answer.status), "{answer}");
        last = answer.position();
    }
    assert_eq!(admin.stock_at(&product, &last).await, [5, 0, 0]);
    shop.close().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_nothing_that_was_begun() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 100).await;
    let customer = shop.customer(&server).await;
    let body = new_order(&[(&product, 1)]).to_string();
    for number in 0..20 {
        let request = format!(
            "POST /api/v1/orders HTTP/1.1\r\nhost: souk\r\nauthorization: Bearer {}\r\nidempotency-key: hang-up-{number}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            customer.token(),
            body.len()
        );
        let mut connection = tokio::net::TcpStream::connect(customer.authority())
            .await
            .unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
        // gone without reading the answer, at another moment each time
        if number % 2 == 0 {
            tokio::task::yield_now().await;
        }
        drop(connection);
    }
    // asked again with its key, each is there once: done before, or done now where the server never read it
    let body = new_order(&[(&product, 1)]);
    for number in 0..20 {
        let key = format!("hang-up-{number}");
        eventually("the key is no longer in use", PATIENCE, || async {
            let answer = order_with_key(&customer, &body, &key).send().await;
            (answer.status == 201).then_some(())
        })
        .await;
    }
    let events = shop.events().await;
    assert_eq!(streams(&events, "order").len(), 20);
    let reserved = events
        .iter()
        .filter(|event| event.event_type == "StockReserved")
        .count();
    assert_eq!(reserved, 20, "no order without its stock");
    shop.close().await;
}
