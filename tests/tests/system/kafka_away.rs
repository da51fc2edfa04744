//! A shop without Kafka, and one whose Kafka comes late: all else works, and nothing is missing in the end.

use eventstore::testing::Proxy;
use tests::{
    history::assert_topics_equal_log,
    shop::{Shop, brokers},
};

#[tokio::test]
async fn without_brokers_the_server_runs_all_else_and_says_so() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    customer.wait_until_paid(&order).await;
    let ready = customer.anonymous().get("/health/ready").await.expect(200);
    assert!(ready.text().to_lowercase().contains("kafka"), "{ready}");
    assert!(
        ready.text().contains("not configured") || ready.text().contains("not_configured"),
        "{ready}"
    );
    assert!(
        server.output().contains("Kafka"),
        "said at the start as well"
    );

    // given brokers later, it publishes what happened before
    assert!(server.stop().await.success());
    let _server = shop.serve_with(&[("KAFKA_BROKERS", &brokers())]).await;
    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    shop.close().await;
}

#[tokio::test]
async fn with_brokers_that_are_away_at_first_it_serves_and_catches_up_later() {
    let target = tokio::net::lookup_host(brokers().split(',').next().unwrap())
        .await
        .unwrap()
        .next()
        .unwrap();
    let way = Proxy::start(target).await;
    way.refuse(true);
    let address = way.address().to_string();
    let shop = Shop::opening()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("KAFKA_BROKERS", &address)
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&product, 1)]).await.expect(201).id();
    customer.wait_until_paid(&order).await;
    let _ = customer.anonymous().get("/health/live").await.expect(200);

    way.refuse(false);
    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    assert!(server.stop().await.success());
    shop.close().await;
}
