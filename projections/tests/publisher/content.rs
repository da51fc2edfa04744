//! What subscribers see.

use std::time::{Duration, Instant};

use domain::ids::ProductId;
use eventstore::subscription::{State, checkpoints};
use projections::publisher::{PublisherSettings, SUBSCRIPTION_NAME, topic_name};
use rdkafka::{
    ClientConfig, Message,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use uuid::Uuid;

use crate::shop::{
    PARTITIONS, PATIENCE, Shop, new_products, publish, receive, receive_many, state,
};

#[tokio::test]
async fn every_event_before_and_after_the_start_is_on_its_topic_once_and_in_order() {
    let shop = Shop::open().await;
    let products = new_products(20);
    receive_many(&shop.log, &products, 10).await;
    let publishing = shop.publish().await;
    for n in 0..200 {
        receive(&shop.log, products[n % products.len()]).await;
    }
    shop.expect_all_published(&publishing).await;
    let topics = shop.topics.all();
    assert_eq!(
        topics[&shop.settings.topic("inventory")],
        PARTITIONS as usize
    );
    assert_eq!(topics[&shop.settings.progress_topic()], 1);
    publishing.close().await;
    shop.close().await;
}

#[tokio::test]
async fn the_progress_and_its_copy_for_operators_say_how_far_it_came() {
    let shop = Shop::open().await;
    let publishing = shop.publish().await;
    let head = receive_many(&shop.log, &new_products(5), 3).await;
    shop.expect_all_published(&publishing).await;
    publishing.close().await;

    let progress = shop.progress().await;
    assert_eq!(progress.head(), head);
    assert_eq!(
        progress.topics[&shop.settings.topic("inventory")]
            .iter()
            .sum::<i64>(),
        15
    );
    let all = checkpoints(shop.log.pool()).await.unwrap();
    let copy = all
        .iter()
        .find(|checkpoint| checkpoint.name == SUBSCRIPTION_NAME)
        .unwrap();
    assert_eq!(copy.position, head.position.0);
    shop.close().await;
}

/// A program that writes to the same table by postgres-es: names that are no topics, ids that are no UUIDs, metadata that
/// is not ours, and events larger than any of ours.
#[tokio::test]
async fn events_of_foreign_programs_are_published_as_they_are() {
    let shop = Shop::open().await;
    let mut connection = shop.db.connect().await;
    let large = format!(r#"{{"Opened":"{}"}}"#, "x".repeat(3 * 1024 * 1024));
    let rows = [
        (
            "Bank Account",
            "DE-1 Größe",
            1,
            "Opened",
            r#"{"Opened": {"by":"Nguyễn 🙂"} }"#,
            r#"{"a":1}"#,
        ),
        (
            "Bank Account",
            "DE-1 Größe",
            2,
            "Closed",
            r#"{"Closed":null}"#,
            "{}",
        ),
        ("bank/account", "x", 1, "Opened", "{}", "[1]"),
        (
            "progress",
            "x",
            1,
            "Opened",
            "{}",
            r#"{"correlation_id":"c"}"#,
        ),
        ("inventory", "x", 1, "Opened", large.as_str(), "{}"),
    ];
    for (aggregate_type, id, sequence, event_type, payload, metadata) in rows {
        sqlx::query(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
             values ($1, $2, $3, $4, '7', $5::json, $6::json)",
        )
        .bind(aggregate_type)
        .bind(id)
        .bind(sequence)
        .bind(event_type)
        .bind(payload)
        .bind(metadata)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    let publishing = shop.publish().await;
    shop.expect_all_published(&publishing).await;
    publishing.close().await;
    shop.close().await;
}

#[tokio::test]
async fn a_new_generation_publishes_everything_anew_beside_the_old_one() {
    let shop = Shop::open().await;
    receive_many(&shop.log, &new_products(5), 3).await;
    let first = shop.publish().await;
    shop.expect_all_published(&first).await;
    first.close().await;

    let settings = PublisherSettings {
        generation: 2,
        ..shop.settings.clone()
    };
    let second = publish(&shop.log, &settings).await;
    let head = shop.log.head().await.unwrap();
    // its copy of the position is that of the first generation until it leads
    eventstore::testing::eventually("the second generation leads", PATIENCE, async || {
        (state(&second) == State::Leading).then_some(())
    })
    .await;
    second
        .wait_for(SUBSCRIPTION_NAME, head.position, PATIENCE)
        .await
        .unwrap();
    second.close().await;
    let records = shop.topics.read().await;
    let of = |generation| {
        let topic = topic_name(&shop.settings.prefix, generation, "inventory");
        records
            .iter()
            .filter(|record| record.topic == topic)
            .count()
    };
    assert_eq!((of(1), of(2)), (15, 15));
    shop.close().await;
}

/// Notes where librdkafka's own murmur2 put each key.
struct Placed(std::sync::Mutex<Vec<(String, i32)>>);

impl rdkafka::ClientContext for Placed {}

impl ProducerContext for Placed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        self.0.lock().unwrap().push((key, message.partition()));
    }
}

#[tokio::test]
async fn keys_are_where_other_clients_look_for_them() {
    let shop = Shop::open().await;
    let publishing = shop.publish().await;
    receive_many(&shop.log, &new_products(50), 1).await;
    shop.expect_all_published(&publishing).await;
    publishing.close().await;
    let records = shop.topics.read().await;

    let producer: BaseProducer<Placed> = ClientConfig::new()
        .set("bootstrap.servers", &shop.settings.brokers)
        .set("partitioner", "murmur2")
        .create_with_context(Placed(std::sync::Mutex::default()))
        .unwrap();
    for record in &records {
        let again = BaseRecord::to(&record.topic).key(&record.key).payload("");
        producer.send(again).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let placed = producer.context().0.lock().unwrap().clone();
    assert_eq!(placed.len(), 50);
    for (key, partition) in placed {
        let ours = records.iter().find(|record| record.key == key).unwrap();
        assert_eq!(ours.partition, partition, "{key}");
    }
    shop.close().await;
}

#[tokio::test]
async fn without_an_answer_from_kafka_it_tries_again_and_ends_when_it_is_told_to() {
    let shop = Shop::open().await;
    receive(&shop.log, ProductId(Uuid::new_v4())).await;
    // a port that nobody listens on
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let settings = PublisherSettings {
        brokers: nobody,
        ..shop.settings.clone()
    };
    let publishing = publish(&shop.log, &settings).await;
    eventstore::testing::eventually("it says so", PATIENCE, async || {
        matches!(state(&publishing), State::Retrying(_)).then_some(())
    })
    .await;
    let started = Instant::now();
    publishing.close().await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );

    // and with Kafka there it catches up
    let publishing = shop.publish().await;
    shop.expect_all_published(&publishing).await;
    publishing.close().await;
    shop.close().await;
}
