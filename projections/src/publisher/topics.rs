//! The topics of a generation: made by us with the configured partitions, and checked against the progress.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use eventstore::subscription::HandleError;
use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::Client,
    error::RDKafkaErrorCode as Code,
};
use tokio::runtime::Handle;

use super::{
    PublisherSettings,
    client::{self, Logging, MAX_MESSAGE_BYTES},
    fault::{by_code, fault},
    tail::{Reader, Seen},
};

/// How long a single question to Kafka may take.
const ASK_PATIENCE: Duration = Duration::from_secs(5);
/// How long a new topic may take to be known everywhere.
const CREATE_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for.
const CREATE_POLL: Duration = Duration::from_millis(20);

/// Events are kept for ever: the topics are a copy of the log.
const EVENTS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("max.message.bytes", MAX_MESSAGE_BYTES),
];
/// Only the last record counts. Segments are small, since the one that is written to is never compacted.
const PROGRESS: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("segment.bytes", "16777216")];

/// A topic and what its partitions hold at least.
pub(super) struct Topic {
    pub(super) name: String,
    /// By partition: the offset that its end must not be below.
    pub(super) ends: Vec<i64>,
}

/// The topics that hold events of this generation.
pub(super) struct Topics {
    settings: Arc<PublisherSettings>,
    all: Vec<Topic>,
    by_type: HashMap<String, usize>,
}

impl Topics {
    /// Those that the progress names.
    pub(super) fn new(settings: Arc<PublisherSettings>, ends: BTreeMap<String, Vec<i64>>) -> Self {
        let all = ends
            .into_iter()
            .map(|(name, ends)| Topic { name, ends })
            .collect();
        Self {
            settings,
            all,
            by_type: HashMap::new(),
        }
    }

    /// The number of the topic of an aggregate type. Made if this is the first event of the type.
    pub(super) fn number_of<C: ClientContext>(
        &mut self,
        client: &Client<C>,
        aggregate_type: &str,
    ) -> Result<usize, HandleError> {
        if let Some(number) = self.by_type.get(aggregate_type) {
            return Ok(*number);
        }
        let name = self.settings.topic(aggregate_type);
        let known = self.all.iter().position(|topic| topic.name == name);
        let number = if let Some(number) = known {
            number
        } else {
            let partitions = self.unused(client, &name)?;
            let ends = vec![0; partitions];
            self.all.push(Topic { name, ends });
            self.all.len() - 1
        };
        self.by_type.insert(aggregate_type.to_owned(), number);
        Ok(number)
    }

    /// The topic with this number.
    pub(super) fn get(&self, number: usize) -> Option<&Topic> {
        self.all.get(number)
    }

    /// Takes in what was delivered to a partition. Offsets only grow: if they do not, the topic is not the one it was.
    pub(super) fn delivered(
        &mut self,
        number: usize,
        partition: i32,
        (first, last): (i64, i64),
    ) -> Result<(), HandleError> {
        let Some(topic) = self.all.get_mut(number) else {
            return Ok(());
        };
        let Some(end) = usize::try_from(partition)
            .ok()
            .and_then(|p| topic.ends.get_mut(p))
        else {
            return Ok(());
        };
        if first < *end {
            return Err(self.settings.contradiction(&format!(
                "partition {partition} of topic {} goes on at offset {first}, although it held {end}",
                topic.name
            )));
        }
        *end = last + 1;
        Ok(())
    }

    /// The ends that the partitions will have at least, once so many messages more are committed.
    ///
    /// What the last transaction left in a partition is followed by its marker, and nobody else writes: so this is what
    /// the offsets will be, or less where something was aborted in between.
    pub(super) fn ends_with(
        &self,
        counts: &HashMap<(usize, i32), i64>,
    ) -> BTreeMap<String, Vec<i64>> {
        let end = |number: usize, partition: usize, end: i64| match counts
            .get(&(number, partition as i32))
        {
            Some(count) => end + i64::from(end > 0) + count,
            None => end,
        };
        let ends = |(number, topic): (usize, &Topic)| {
            let ends = topic.ends.iter().enumerate();
            ends.map(|(partition, held)| end(number, partition, *held))
                .collect()
        };
        self.all
            .iter()
            .enumerate()
            .map(|(number, topic)| (topic.name.clone(), ends((number, topic))))
            .collect()
    }

    /// Whether all topics exist with the partitions that they had.
    pub(super) fn check_partitions<C: ClientContext>(
        &self,
        client: &Client<C>,
    ) -> Result<(), HandleError> {
        for topic in &self.all {
            let (expected, name) = (topic.ends.len(), &topic.name);
            match partitions(client, name)? {
                Some(found) if found == expected => {}
                Some(found) => {
                    return Err(self.settings.contradiction(&format!(
                        "topic {name} has {found} partitions, although it had {expected}"
                    )));
                }
                None => {
                    return Err(self
                        .settings
                        .contradiction(&format!("topic {name} is missing")));
                }
            }
        }
        Ok(())
    }

    /// Whether all partitions hold at least what they held.
    pub(super) fn check_ends<C: ClientContext>(
        &self,
        client: &Client<C>,
    ) -> Result<(), HandleError> {
        for topic in &self.all {
            for (partition, held) in topic.ends.iter().enumerate().filter(|(_, held)| **held > 0) {
                let end = end(client, &topic.name, partition as i32)?;
                if end < *held {
                    return Err(self.settings.contradiction(&format!(
                        "partition {partition} of topic {} ends at offset {end}, although it held {held}",
                        topic.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// A topic that nothing was published on, as far as the progress goes: made now, or found as an earlier attempt left
    /// it. If it holds messages after all, the progress is not the one that belongs to it.
    fn unused<C: ClientContext>(
        &self,
        client: &Client<C>,
        name: &str,
    ) -> Result<usize, HandleError> {
        let settings = &self.settings;
        let found = ensure(settings, client, name, settings.partitions, EVENTS)?;
        if let Found::Existing(partitions) = found {
            let mut filled = Vec::new();
            for partition in 0..partitions as i32 {
                if end(client, name, partition)? > 0 {
                    filled.push((partition, 0));
                }
            }
            let mut used = false;
            if !filled.is_empty() {
                Reader::open(settings)?.read(name, &filled, |_, _| {
                    used = true;
                    Seen::Enough
                })?;
            }
            if used {
                return Err(settings.contradiction(&format!(
                    "topic {name} holds messages, but topic {} does not speak of them",
                    settings.progress_topic()
                )));
            }
        }
        Ok(found.partitions())
    }
}

/// The end of the progress topic, which is made if need be.
pub(super) fn progress_end<C: ClientContext>(
    settings: &PublisherSettings,
    client: &Client<C>,
) -> Result<i64, HandleError> {
    let name = settings.progress_topic();
    let found = ensure(settings, client, &name, 1, PROGRESS)?;
    if found.partitions() != 1 {
        return Err(settings.contradiction(&format!(
            "topic {name} has {} partitions, not 1",
            found.partitions()
        )));
    }
    end(client, &name, 0)
}

/// A topic, with the number of its partitions.
#[derive(Clone, Copy)]
enum Found {
    /// Just made.
    New(usize),
    /// Was there.
    Existing(usize),
}

impl Found {
    fn partitions(self) -> usize {
        match self {
            Self::New(partitions) | Self::Existing(partitions) => partitions,
        }
    }
}

/// Makes the topic unless it is there, and sees to it that `client` knows it.
fn ensure<C: ClientContext>(
    settings: &PublisherSettings,
    client: &Client<C>,
    name: &str,
    new_partitions: i32,
    config: &[(&str, &str)],
) -> Result<Found, HandleError> {
    let doing = format!("making topic {name}");
    let admin: AdminClient<Logging> = client::admin(settings)
        .create_with_context(Logging)
        .map_err(|error| fault(&doing, &error))?;
    // asked first, since who may publish may not be allowed to make topics; and with a client of its own, because the
    // producer would remember that there is none
    let made = match partitions(admin.inner(), name)? {
        Some(_) => false,
        None => create(&admin, settings, name, new_partitions, config)?,
    };
    let deadline = Instant::now() + CREATE_PATIENCE;
    loop {
        match partitions(client, name)? {
            Some(count) if made => return Ok(Found::New(count)),
            Some(count) => return Ok(Found::Existing(count)),
            None if Instant::now() < deadline => std::thread::sleep(CREATE_POLL),
            None => {
                return Err(HandleError::Passing(format!(
                    "{doing}: it does not show up"
                )));
            }
        }
    }
}

/// Creates a topic; false if somebody else was faster.
fn create(
    admin: &AdminClient<Logging>,
    settings: &PublisherSettings,
    name: &str,
    partitions: i32,
    config: &[(&str, &str)],
) -> Result<bool, HandleError> {
    let doing = format!("making topic {name}");
    let topic = NewTopic {
        name,
        num_partitions: partitions,
        replication: TopicReplication::Fixed(settings.replication),
        config: config.to_vec(),
    };
    let options = AdminOptions::new()
        .operation_timeout(Some(CREATE_PATIENCE))
        .request_timeout(Some(CREATE_PATIENCE));
    // the answer comes on a thread of the client's; this one may be blocked
    let results = Handle::current().block_on(admin.create_topics([&topic], &options));
    match results.map_err(|error| fault(&doing, &error))?.pop() {
        Some(Ok(_)) => {
            tracing::info!(topic = name, partitions, "topic made");
            Ok(true)
        }
        Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, code))) => Err(by_code(&doing, code, &code.to_string())),
        None => Err(HandleError::Passing(format!("{doing}: no answer"))),
    }
}

/// How many partitions a topic has; none if it does not exist.
fn partitions<C: ClientContext>(
    client: &Client<C>,
    name: &str,
) -> Result<Option<usize>, HandleError> {
    let doing = format!("asking for topic {name}");
    let metadata = client
        .fetch_metadata(Some(name), ASK_PATIENCE)
        .map_err(|error| fault(&doing, &error))?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Ok(None);
    };
    match topic.error().map(Code::from) {
        None => Ok(Some(topic.partitions().len())),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
        Some(code) => Err(by_code(&doing, code, &code.to_string())),
    }
}

/// Where the committed messages of a partition end.
fn end<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Result<i64, HandleError> {
    let (_, end) = client
        .fetch_watermarks(topic, partition, ASK_PATIENCE)
        .map_err(|error| fault(&format!("asking for the end of topic {topic}"), &error))?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn offsets_only_grow() {
        let settings = Arc::new(PublisherSettings::new("k:9092"));
        let ends = BTreeMap::from([("souk.order".to_owned(), vec![5, 0])]);
        let mut topics = Topics::new(settings, ends);
        // between two transactions there is a marker, or more where some were aborted
        topics.delivered(0, 0, (6, 9)).unwrap();
        topics.delivered(0, 1, (0, 0)).unwrap();
        assert_eq!(topics.ends_with(&HashMap::new())["souk.order"], [10, 1]);
        assert!(matches!(
            topics.delivered(0, 0, (3, 12)),
            Err(HandleError::Stopped(_))
        ));
        assert_eq!(topics.ends_with(&HashMap::new())["souk.order"], [10, 1]);
    }

    #[test]
    fn the_progress_knows_the_ends_before_the_messages_are_stored() {
        let settings = Arc::new(PublisherSettings::new("k:9092"));
        let ends = BTreeMap::from([("souk.order".to_owned(), vec![5, 0, 3])]);
        let topics = Topics::new(settings, ends);
        // the marker at 5, messages at 6 and 7; messages at 0 to 2
        let counts = HashMap::from([((0, 0), 2), ((0, 1), 3)]);
        assert_eq!(topics.ends_with(&counts)["souk.order"], [8, 3, 3]);
    }
}
