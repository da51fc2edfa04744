//! A log and topics of its own for each test, and a publisher that runs as in a server.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    ids::{OperationId, ProductId},
    inventory::{Inventory, InventoryCommand, InventoryError},
    text::Quantity,
};
use eventstore::{
    EventLog,
    event::{Cause, RecordedEvent},
    position::Head,
    stream::StreamRef,
    subscription::{State, Subscriptions},
    testing::{TestDatabase, eventually},
    unit::Unit,
};
use projections::publisher::{Publisher, PublisherSettings, SUBSCRIPTION_NAME, progress::Progress};
use uuid::Uuid;

use crate::topics::{Record, Topics};

/// Brokers and database are shared with other tests that run.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Different from the default, so that it shows where it is not taken.
pub const PARTITIONS: i32 = 3;

pub struct Shop {
    pub db: TestDatabase,
    pub log: EventLog,
    pub settings: PublisherSettings,
    pub topics: Topics,
}

impl Shop {
    pub async fn open() -> Self {
        let db = TestDatabase::create().await;
        let log = db.open_log().await;
        let prefix = format!("test-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let brokers = std::env::var("KAFKA_BROKERS")
            .expect("KAFKA_BROKERS names the Kafka for tests; `make test` sets it");
        let settings = PublisherSettings {
            prefix: prefix.clone(),
            partitions: PARTITIONS,
            ..PublisherSettings::new(&brokers)
        };
        Self {
            db,
            log,
            settings,
            topics: Topics::new(&brokers, &prefix),
        }
    }

    /// A server with a publisher only.
    pub async fn publish(&self) -> Subscriptions {
        publish(&self.log, &self.settings).await
    }

    pub async fn close(self) {
        self.log.close().await;
        self.topics.delete().await;
        self.db.drop_database().await;
    }

    /// Waits until everything is published, and fails unless the topics hold exactly the log.
    pub async fn expect_all_published(&self, by: &Subscriptions) {
        let head = self.log.head().await.unwrap();
        if let Err(error) = by
            .wait_for(SUBSCRIPTION_NAME, head.position, PATIENCE)
            .await
        {
            panic!("{error}: {:?}", by.statuses());
        }
        self.expect_topics_equal_log().await;
    }

    /// How far it came, as Kafka has it.
    pub async fn progress(&self) -> Progress {
        let record = self.topics.read_progress().await.pop().unwrap();
        serde_json::from_str(&record.value).unwrap()
    }

    pub async fn expect_topics_equal_log(&self) {
        let events = events(&self.log).await;
        assert_same(&self.topics.read().await, &events, &self.settings);
    }
}

pub async fn publish(log: &EventLog, settings: &PublisherSettings) -> Subscriptions {
    let subscriptions = Subscriptions::new(log.clone());
    let publisher = Publisher::new(log.clone(), settings.clone());
    subscriptions.spawn_worker(publisher).await;
    subscriptions
}

/// Waits until the publisher has stopped, and returns why.
pub async fn stopped(subscriptions: &Subscriptions) -> String {
    eventually("the publisher stops", PATIENCE, async || {
        match state(subscriptions) {
            State::Stopped(reason) => Some(reason),
            _ => None,
        }
    })
    .await
}

pub fn state(subscriptions: &Subscriptions) -> State {
    let (_, status) = subscriptions.statuses().pop().unwrap();
    status.state
}

/// All events of a log.
pub async fn events(log: &EventLog) -> Vec<Arc<RecordedEvent>> {
    log.feed().read_after(Head::EMPTY, 1_000_000).await.unwrap()
}

/// Appends one event.
pub async fn receive(log: &EventLog, product: ProductId) -> Head {
    receive_many(log, &[product], 1).await
}

/// Appends `times` events for each product, in one unit.
pub async fn receive_many(log: &EventLog, products: &[ProductId], times: usize) -> Head {
    let cause = Cause {
        correlation_id: Uuid::new_v4().to_string(),
        causation_id: Uuid::new_v4().to_string(),
        actor: "seed".into(),
        command: "ReceiveStock".into(),
    };
    let streams = products
        .iter()
        .map(StreamRef::of::<Inventory>)
        .collect::<Vec<_>>();
    let commands: Vec<_> = (0..times)
        .flat_map(|_| products)
        .map(|product| InventoryCommand::ReceiveStock {
            product_id: *product,
            operation_id: OperationId(Uuid::new_v4()),
            quantity: Quantity::parse(1).unwrap(),
            reason: None,
        })
        .collect();
    let products: Vec<_> = (0..times).flat_map(|_| products).copied().collect();
    let unit = Unit::<(), InventoryError>::new(cause, streams, move |work| {
        for (product, command) in products.iter().zip(&commands) {
            work.execute::<Inventory>(product, command.clone())?;
        }
        Ok(())
    });
    log.execute(unit).await.unwrap().head
}

pub fn new_products(count: usize) -> Vec<ProductId> {
    (0..count).map(|_| ProductId(Uuid::new_v4())).collect()
}

/// Fails unless the records are the events: each once, in order per key, with content and headers of the log.
pub fn assert_same(
    records: &[Record],
    events: &[Arc<RecordedEvent>],
    settings: &PublisherSettings,
) {
    let mut by_position = BTreeMap::new();
    let mut last = BTreeMap::new();
    let mut partitions = BTreeMap::new();
    for record in records {
        let position: i64 = record.headers["ce_position"].parse().unwrap();
        let twice = by_position.insert(position, record);
        assert!(twice.is_none(), "position {position} is published twice");
        let before = last.insert((&record.topic, record.partition), position);
        assert!(before < Some(position), "out of order: {record:?}");
        let partition = partitions.insert((&record.topic, &record.key), record.partition);
        assert!(
            partition.is_none_or(|partition| partition == record.partition),
            "one key, two partitions: {record:?}"
        );
    }
    assert_eq!(
        records.len(),
        events.len(),
        "as many records as events: {:?} of {:?}",
        by_position.keys().collect::<Vec<_>>(),
        events.len()
    );
    for event in events {
        let record = by_position[&event.position.0];
        assert_eq!(record.topic, settings.topic(&event.aggregate_type));
        assert_eq!(record.key, *event.aggregate_id);
        assert_eq!(record.value, *event.payload);
        assert_eq!(record.timestamp_ms, event.recorded_at.timestamp_millis());
        assert_eq!(record.headers, expected_headers(event));
    }
}

fn expected_headers(event: &RecordedEvent) -> BTreeMap<String, String> {
    let time = event.recorded_at.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let kind = format!("souk.{}.{}", event.aggregate_type, event.event_type);
    let cause = |key| event.metadata_value(key).unwrap_or_default();
    [
        ("ce_specversion", "1.0".into()),
        ("ce_id", event.event_id.to_string()),
        ("ce_source", "/souk".into()),
        ("ce_type", kind),
        ("ce_time", time.to_string()),
        ("ce_subject", event.aggregate_id.to_string()),
        ("content-type", "application/json".into()),
        ("ce_eventversion", event.event_version.to_string()),
        ("ce_position", event.position.to_string()),
        ("ce_sequence", event.sequence.to_string()),
        ("ce_correlationid", cause("correlation_id")),
        ("ce_causationid", cause("causation_id")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
