//! A subscriber that Souk knows nothing of: reads whole topics, read-committed, and hands out the records as they are.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
};

/// Brokers may be busy with the topics of other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// One record of a topic.
#[derive(Clone, Debug)]
pub struct Record {
    /// Topic it is in.
    pub topic: String,
    /// Partition of the topic.
    pub partition: i32,
    /// Place in the partition.
    pub offset: i64,
    /// Its key.
    pub key: String,
    /// Its value, as text.
    pub value: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its time in milliseconds.
    pub timestamp_ms: i64,
}

impl Record {
    /// The value of a header that must be there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("{self:?} has no header {name}"))
    }

    /// Where its event stands in the log.
    pub fn position(&self) -> i64 {
        self.header("ce_position").parse().expect("a number")
    }
}

/// The topics of one shop.
#[derive(Clone, Debug)]
pub struct Topics {
    brokers: String,
    prefix: String,
    generation: u32,
}

impl Topics {
    /// Topics whose names begin with `prefix.`
    pub fn new(brokers: &str, prefix: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            prefix: prefix.to_owned(),
            generation: 1,
        }
    }

    /// The topics of another generation.
    #[must_use]
    pub fn generation(self, generation: u32) -> Self {
        Self { generation, ..self }
    }

    /// Removes all of them, of whatever generation, and the record of the publisher's progress.
    pub async fn remove(&self) {
        let this = self.clone();
        let list = move || {
            let consumer: BaseConsumer = this.config().create().expect("a consumer");
            let metadata = consumer
                .fetch_metadata(None, PATIENCE)
                .expect("the brokers answer");
            let start = format!("{}.", this.prefix);
            let names = metadata
                .topics()
                .iter()
                .map(|topic| topic.name().to_owned());
            names
                .filter(|name| name.starts_with(&start))
                .collect::<Vec<_>>()
        };
        let names = tokio::task::spawn_blocking(list)
            .await
            .expect("listing does not panic");
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("a client");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            let removed = admin
                .delete_topics(&names, &AdminOptions::new())
                .await
                .expect("the brokers answer");
            assert!(removed.iter().all(Result::is_ok), "{removed:?}");
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Whether this is the name of a topic of events of our generation: `prefix.order`, later `prefix.order.g2`.
    fn is_ours(&self, name: &str) -> bool {
        let rest = name
            .strip_prefix(&self.prefix)
            .and_then(|rest| rest.strip_prefix('.'));
        let Some((kind, generation)) =
            rest.map(|rest| rest.split_once(".g").unwrap_or((rest, "1")))
        else {
            return false;
        };
        kind != "progress" && generation.parse() == Ok(self.generation)
    }

    /// Waits until there are `count` records, then returns all there are: in the order of each partition.
    pub async fn records(&self, count: usize) -> Vec<Record> {
        let this = self.clone();
        let read = move || {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let records = this.read_to_the_end(deadline);
                if records.len() >= count {
                    return records;
                }
                assert!(
                    Instant::now() < deadline,
                    "{} of {count} records on the topics",
                    records.len()
                );
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        tokio::task::spawn_blocking(read)
            .await
            .expect("reading does not panic")
    }

    /// Whether a transaction is open: something is there that a read-committed consumer does not get yet.
    pub async fn in_transaction(&self) -> bool {
        let this = self.clone();
        let ends = move |isolation: &str| -> Vec<i64> {
            let mut config = this.config();
            config.set("isolation.level", isolation);
            let consumer: BaseConsumer = config.create().expect("a consumer");
            let mut ends = Vec::new();
            for (name, count) in this.names(&consumer) {
                for partition in 0..count {
                    let (_, end) = consumer
                        .fetch_watermarks(&name, partition, PATIENCE)
                        .expect("the brokers answer");
                    ends.push(end);
                }
            }
            ends
        };
        let look = move || ends("read_committed") < ends("read_uncommitted");
        tokio::task::spawn_blocking(look)
            .await
            .expect("looking does not panic")
    }

    /// Names of the event topics that there are.
    fn names(&self, consumer: &BaseConsumer) -> Vec<(String, i32)> {
        let metadata = consumer
            .fetch_metadata(None, PATIENCE)
            .expect("the brokers answer");
        metadata
            .topics()
            .iter()
            .filter(|topic| self.is_ours(topic.name()))
            .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
            .collect()
    }

    fn read_to_the_end(&self, deadline: Instant) -> Vec<Record> {
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", format!("{}-reader", self.prefix))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .create()
            .expect("a consumer");
        let mut partitions = TopicPartitionList::new();
        let mut open = 0;
        for (name, count) in self.names(&consumer) {
            for partition in 0..count {
                partitions
                    .add_partition_offset(&name, partition, Offset::Beginning)
                    .expect("a valid offset");
                open += 1;
            }
        }
        consumer.assign(&partitions).expect("assigned");
        let mut records = Vec::new();
        let mut ended = 0;
        while ended < open {
            assert!(
                Instant::now() < deadline,
                "the topics were not read to their ends"
            );
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => eprintln!("reading topics: {error}"), // passes: bounded by the deadline
            }
        }
        records
    }
}

fn record(message: &impl Message) -> Record {
    let text = |bytes: Option<&[u8]>| {
        String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("UTF-8")
    };
    let mut headers = BTreeMap::new();
    if let Some(given) = message.headers() {
        for header in given.iter() {
            let before = headers.insert(header.key.to_owned(), text(header.value));
            assert!(before.is_none(), "header {} twice", header.key);
        }
    }
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        value: text(message.payload()),
        headers,
        timestamp_ms: message.timestamp().to_millis().expect("a time"),
    }
}
