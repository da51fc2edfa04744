//! A shop without Kafka, one whose Kafka comes late, and one whose topics tell of another log: all else works, nothing
//! is missing in the end, and nothing is published that contradicts what was.

use eventstore::testing::Proxy;
use tests::{
    client::PATIENCE,
    eventually,
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

#[tokio::test]
async fn topics_of_another_log_stop_the_publisher_until_an_operator_starts_a_new_generation() {
    let before = Shop::opening().with_kafka().open().await;
    let server = before.serve().await;
    let events = before.events().await;
    let records = before.topics().records(events.len()).await;
    assert!(server.stop().await.success());

    // the same topics, and a log that does not hold what they say: as after a restore
    let restored = Shop::opening()
        .with_kafka()
        .set("SOUK_KAFKA_PREFIX", &before.prefix)
        .open()
        .await;
    let server = restored.serve().await;
    let red = eventually("readiness is red", PATIENCE, || async {
        let ready = restored.client(&server).get("/health/ready").await;
        (ready.status == 503).then_some(ready)
    })
    .await;
    let publisher = red.json()["subscriptions"]
        .as_array()
        .and_then(|all| all.iter().find(|it| it["name"] == "publisher").cloned())
        .expect("listed");
    assert_eq!(publisher["state"], "stopped", "{red}");
    // it takes orders all the same
    let product = restored.admin(&server).await.product(100, 1).await;
    let _ = restored
        .customer(&server)
        .await
        .order(&[(&product, 1)])
        .await
        .expect(201);
    assert!(server.stop().await.success());
    let unchanged = before.topics().records(events.len()).await;
    assert_eq!(unchanged.len(), records.len(), "nothing was published");

    let server = restored.serve_with(&[("SOUK_KAFKA_GENERATION", "2")]).await;
    let events = restored.events().await;
    let mut records = before.topics().generation(2).records(events.len()).await;
    for record in &mut records {
        record.topic = record.topic.trim_end_matches(".g2").to_owned();
    }
    assert_topics_equal_log(&records, &events, &before.prefix);
    let _ = restored
        .client(&server)
        .get("/health/ready")
        .await
        .expect(200);
    restored.close().await;
    before.close().await;
}
