//! Another producer with the publisher's transactional id: a process that should not run any more, or not yet.

use std::sync::Arc;

use eventstore::event::RecordedEvent;
use projections::publisher::{PublisherSettings, progress::Progress};
use rdkafka::{
    ClientConfig,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::shop::PATIENCE;

#[derive(Clone)]
pub struct Intruder(Arc<BaseProducer>);

impl Intruder {
    /// Fences whoever publishes now, and begins a transaction.
    pub async fn open(settings: &PublisherSettings) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &settings.brokers)
            .set("transactional.id", settings.transactional_id())
            .set("partitioner", "murmur2");
        let opened = tokio::task::spawn_blocking(move || {
            let producer: BaseProducer = config.create().unwrap();
            producer.init_transactions(PATIENCE).unwrap();
            producer.begin_transaction().unwrap();
            Self(Arc::new(producer))
        });
        opened.await.unwrap()
    }

    /// Writes to every partition of a topic, so that it is stored but not committed.
    pub async fn write_garbage(&self, topic: &str) {
        let (this, topic) = (self.clone(), topic.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            for key in 0..30 {
                let key = key.to_string();
                let record = BaseRecord::to(&topic).key(&key).payload("garbage");
                this.0.send(record).map_err(|(error, _)| error).unwrap();
            }
            this.0.flush(PATIENCE).unwrap();
        });
        written.await.unwrap();
    }

    /// Writes an event and the progress after it, as a publisher would that has come this far.
    pub async fn write_event(
        &self,
        settings: &PublisherSettings,
        event: &RecordedEvent,
        progress: &Progress,
    ) {
        let (this, settings, event, mut progress) = (
            self.clone(),
            settings.clone(),
            event.clone(),
            progress.clone(),
        );
        progress.position = event.position.0;
        progress.event_id = event.event_id;
        let written = tokio::task::spawn_blocking(move || {
            let position = event.position.to_string();
            let header = Header {
                key: "ce_position",
                value: Some(&position),
            };
            let topic = settings.topic(&event.aggregate_type);
            let record = BaseRecord::to(&topic)
                .key(&*event.aggregate_id)
                .payload(&*event.payload)
                .headers(OwnedHeaders::new().insert(header));
            this.0.send(record).map_err(|(error, _)| error).unwrap();
            let (topic, key) = (settings.progress_topic(), progress.key());
            let value = serde_json::to_string(&progress).unwrap();
            let record = BaseRecord::to(&topic)
                .partition(0)
                .key(&key)
                .payload(&value);
            this.0.send(record).map_err(|(error, _)| error).unwrap();
            this.0.flush(PATIENCE).unwrap();
        });
        written.await.unwrap();
    }

    /// Tries to commit it after all.
    pub async fn commit(&self) -> Result<(), KafkaError> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.0.commit_transaction(PATIENCE))
            .await
            .unwrap()
    }
}
