//! Measures how fast a backlog is published, next to a bare idempotent producer with the same messages in the same run:
//!
//! `cargo run --release -p projections --example publish_backlog [events]`, with `DATABASE_URL` and `KAFKA_BROKERS`.
//! Then, live: how long after its commit an event can be read by a subscriber.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    ids::{OperationId, ProductId},
    inventory::{Inventory, InventoryCommand, InventoryError},
    text::{Quantity, Reason},
};
use eventstore::{
    EventLog,
    event::{Cause, RecordedEvent},
    position::Head,
    stream::StreamRef,
    subscription::Subscriptions,
    testing::TestDatabase,
    unit::Unit,
};
use projections::publisher::{Publisher, PublisherSettings, SUBSCRIPTION_NAME};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_mins(10);
const PRODUCTS: usize = 500;

#[tokio::main]
async fn main() {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(100_000, |count| count.parse().unwrap());
    let brokers = std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names the Kafka");
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let products: Vec<_> = (0..PRODUCTS).map(|_| ProductId(Uuid::now_v7())).collect();
    while log.head().await.unwrap().position.0 < count as i64 {
        append(&log, &products).await;
    }
    let events = log.feed().read_after(Head::EMPTY, count * 2).await.unwrap();
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    println!(
        "{} events of {} bytes on average",
        events.len(),
        bytes / events.len()
    );

    let prefix = format!("bench-{}", &Uuid::new_v4().simple().to_string()[..12]);
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .create()
        .unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let bare = format!("{prefix}.bare");
    let topic = NewTopic::new(&bare, 6, TopicReplication::Fixed(-1));
    admin.create_topics([&topic], &options).await.unwrap();

    let settings = PublisherSettings {
        prefix: prefix.clone(),
        ..PublisherSettings::new(&brokers)
    };
    let ours = backlog(&log, &settings, &events).await;
    let baseline = baseline(&brokers, &bare, events.clone()).await;
    println!("bare producer   {baseline:>9.0} events/s");
    println!(
        "publisher       {ours:>9.0} events/s, {:.2} of the bare producer",
        ours / baseline
    );
    live(&log, &settings, &products).await;

    let names = [
        bare.as_str(),
        &settings.topic("inventory"),
        &settings.progress_topic(),
    ];
    admin
        .delete_topics(&names, &AdminOptions::new())
        .await
        .unwrap();
    log.close().await;
    db.drop_database().await;
}

/// Events per second from the first transaction to the last.
async fn backlog(
    log: &EventLog,
    settings: &PublisherSettings,
    events: &[Arc<RecordedEvent>],
) -> f64 {
    let publishing = Subscriptions::new(log.clone());
    publishing
        .spawn_worker(Publisher::new(log.clone(), settings.clone()))
        .await;
    let begun = Instant::now();
    publishing
        .wait_for(SUBSCRIPTION_NAME, events[0].position, PATIENCE)
        .await
        .unwrap();
    let starting = begun.elapsed();
    // the first transaction is in the time of the start
    let first = publishing.statuses()[0].1.head.position;
    let last = events[events.len() - 1].position;
    let started = Instant::now();
    publishing
        .wait_for(SUBSCRIPTION_NAME, last, PATIENCE)
        .await
        .unwrap();
    let rate = (last.0 - first.0) as f64 / started.elapsed().as_secs_f64();
    println!(
        "start and first transaction took {} ms",
        starting.as_millis()
    );
    publishing.close().await;
    rate
}

/// The same messages from an idempotent producer that has nothing else to do.
async fn baseline(brokers: &str, topic: &str, events: Vec<Arc<RecordedEvent>>) -> f64 {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2");
    let topic = topic.to_owned();
    let rate = tokio::task::spawn_blocking(move || {
        let producer: BaseProducer = config.create().unwrap();
        producer
            .client()
            .fetch_metadata(Some(&topic), PATIENCE)
            .unwrap();
        let started = Instant::now();
        for event in &events {
            let header = Header {
                key: "ce_id",
                value: Some(event.event_id.as_bytes()),
            };
            let mut record = BaseRecord::to(&topic)
                .key(&*event.aggregate_id)
                .payload(&*event.payload)
                .headers(OwnedHeaders::new().insert(header));
            while let Err((error, back)) = producer.send(record) {
                assert!(matches!(error, KafkaError::MessageProduction(_)), "{error}");
                producer.poll(Duration::from_millis(1));
                record = back;
            }
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        events.len() as f64 / started.elapsed().as_secs_f64()
    });
    rate.await.unwrap()
}

/// From the commit of one event to the moment when a subscriber has it.
async fn live(log: &EventLog, settings: &PublisherSettings, products: &[ProductId]) {
    let publishing = Subscriptions::new(log.clone());
    publishing
        .spawn_worker(Publisher::new(log.clone(), settings.clone()))
        .await;
    let head = log.head().await.unwrap();
    publishing
        .wait_for(SUBSCRIPTION_NAME, head.position, PATIENCE)
        .await
        .unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let consumer = subscriber(&settings.brokers, &settings.topic("inventory"));
    let listening = std::thread::spawn(move || {
        while !sender.is_closed() {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                let _ = sender.send((message.key().unwrap().to_vec(), Instant::now()));
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut delays = Vec::new();
    for product in &products[..200] {
        receive(log, &[*product]).await;
        let committed = Instant::now();
        let (key, at) = receiver.recv().await.unwrap();
        assert_eq!(key, product.to_string().as_bytes());
        delays.push(at.saturating_duration_since(committed));
    }
    delays.sort();
    println!(
        "live            p50 {:?}, p99 {:?}",
        delays[100], delays[198]
    );
    drop(receiver);
    listening.join().unwrap();
    publishing.close().await;
}

fn subscriber(brokers: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..6 {
        assignment
            .add_partition_offset(topic, partition, Offset::End)
            .unwrap();
    }
    consumer.assign(&assignment).unwrap();
    consumer
}

/// Ten units of 500 events.
async fn append(log: &EventLog, products: &[ProductId]) {
    let units = (0..10).map(|_| receive(log, products));
    futures::future::join_all(units).await;
}

async fn receive(log: &EventLog, products: &[ProductId]) {
    let cause = Cause {
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: Uuid::now_v7().to_string(),
        actor: "seed".into(),
        command: "ReceiveStock".into(),
    };
    let streams = products.iter().map(StreamRef::of::<Inventory>).collect();
    let commands: Vec<_> = products
        .iter()
        .map(|product| InventoryCommand::ReceiveStock {
            product_id: *product,
            operation_id: OperationId(Uuid::now_v7()),
            quantity: Quantity::parse(1).unwrap(),
            reason: Some(Reason::parse("a delivery of the usual size that came in time").unwrap()),
        })
        .collect();
    let products = products.to_vec();
    let unit = Unit::<(), InventoryError>::new(cause, streams, move |work| {
        for (product, command) in products.iter().zip(&commands) {
            work.execute::<Inventory>(product, command.clone())?;
        }
        Ok(())
    });
    log.execute(unit).await.unwrap();
}
