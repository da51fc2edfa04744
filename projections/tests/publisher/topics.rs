//! A subscriber that knows nothing of the publisher: reads the topics of a prefix to their ends, read-committed.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};

use crate::shop::PATIENCE;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: String,
    pub headers: BTreeMap<String, String>,
    pub timestamp_ms: i64,
}

#[derive(Clone)]
pub struct Topics {
    brokers: String,
    prefix: String,
}

impl Topics {
    pub fn new(brokers: &str, prefix: &str) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: format!("{prefix}."),
        }
    }

    /// All committed records of all topics of events, by topic, partition and offset.
    pub async fn read(&self) -> Vec<Record> {
        let this = self.clone();
        let read =
            tokio::task::spawn_blocking(move || this.read_to_end(|name| !this.is_progress(name)));
        read.await.unwrap()
    }

    /// All that is kept of the progress.
    pub async fn read_progress(&self) -> Vec<Record> {
        let this = self.clone();
        let read =
            tokio::task::spawn_blocking(move || this.read_to_end(|name| this.is_progress(name)));
        read.await.unwrap()
    }

    /// The progress of any generation; a foreign type named so has another topic.
    fn is_progress(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.prefix);
        rest.is_some_and(|rest| rest == "progress" || rest.starts_with("progress.g"))
    }

    fn read_to_end(&self, wanted: impl Fn(&str) -> bool) -> Vec<Record> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "tests")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        for (name, partitions) in self.names(&consumer) {
            for partition in 0..partitions {
                if wanted(&name) {
                    assignment
                        .add_partition_offset(&name, partition as i32, Offset::Beginning)
                        .unwrap();
                }
            }
        }
        consumer.assign(&assignment).unwrap();
        let mut open = assignment.count();
        let mut records = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while open > 0 {
            assert!(Instant::now() < deadline, "the topics have no end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => eprintln!("{error}"),
                None => {}
            }
        }
        records.sort_by(|a, b| {
            (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset))
        });
        records
    }

    fn names(&self, consumer: &BaseConsumer) -> Vec<(String, usize)> {
        let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
        let ours = |name: &&str| name.starts_with(&self.prefix);
        let mut seen = HashSet::new();
        metadata
            .topics()
            .iter()
            .filter(|topic| ours(&topic.name()) && seen.insert(topic.name()))
            .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
            .collect()
    }

    /// Names and numbers of partitions of all topics, the progress included.
    pub fn all(&self) -> BTreeMap<String, usize> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap();
        self.names(&consumer).into_iter().collect()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap()
    }

    /// Makes a topic as somebody else would.
    pub async fn create(&self, name: &str, partitions: i32) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let results = self.admin().create_topics([&new], &options).await.unwrap();
        expect_ok(results);
    }

    /// Deletes one topic.
    pub async fn delete_one(&self, name: &str) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let results = self.admin().delete_topics(&[name], &options).await.unwrap();
        expect_ok(results);
        eventually_gone(self, name).await;
    }

    /// Gives a topic more partitions.
    pub async fn grow(&self, name: &str, partitions: usize) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let new = NewPartitions::new(name, partitions);
        let results = self
            .admin()
            .create_partitions([&new], &options)
            .await
            .unwrap();
        expect_ok(results);
    }

    /// Deletes all.
    pub async fn delete(&self) {
        let names: Vec<_> = self.all().into_keys().collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            let _ = self
                .admin()
                .delete_topics(&names, &AdminOptions::new())
                .await;
        }
    }
}

fn expect_ok(results: Vec<TopicResult>) {
    for result in results {
        assert!(result.is_ok(), "{result:?}");
    }
}

async fn eventually_gone(topics: &Topics, name: &str) {
    eventstore::testing::eventually("the topic is gone", PATIENCE, async || {
        (!topics.all().contains_key(name)).then_some(())
    })
    .await;
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), text(header.value)))
            .collect()
    });
    Record {
        topic: message.topic().into(),
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        value: text(message.payload()),
        headers,
        timestamp_ms: message.timestamp().to_millis().unwrap(),
    }
}
