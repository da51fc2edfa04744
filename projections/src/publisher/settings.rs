//! What a publisher is told, and the names that follow from it.

use std::fmt;

use eventstore::subscription::HandleError;
use uuid::Uuid;

/// Longest prefix; with the longest type and generation it stays within Kafka's 249 characters.
const MAX_PREFIX: usize = 100;
/// Longest part of an aggregate type that is kept in a topic's name.
const MAX_TYPE: usize = 100;
/// Aggregate type whose topic would be the publisher's own.
const PROGRESS: &str = "progress";

/// How and where to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct PublisherSettings {
    /// Addresses to begin with, `host:port,host:port`.
    pub brokers: String,
    /// First part of all names.
    pub prefix: String,
    /// Partitions of new topics; those that exist keep theirs.
    pub partitions: i32,
    /// Replicas of new topics; -1 leaves it to the brokers.
    pub replication: i32,
    /// Generation of the topics, from 1. A higher one begins with the first event, on topics of its own.
    pub generation: u32,
    /// More properties of librdkafka, for instance of SASL. What exactly-once rests on cannot be changed by them.
    pub properties: Vec<(String, String)>,
}

/// Without the values of the properties, which may be secret.
impl fmt::Debug for PublisherSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherSettings")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("generation", &self.generation)
            .field(
                "properties",
                &self
                    .properties
                    .iter()
                    .map(|(key, _)| key)
                    .collect::<Vec<_>>(),
            )
            .finish()
    }
}

/// Settings that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Nowhere to connect to.
    #[error("no Kafka brokers are given")]
    NoBrokers,
    /// Topics could not be named so.
    #[error(
        "the Kafka prefix {0:?} is not 1 to {MAX_PREFIX} characters of a-z, A-Z, 0-9, '.', '_' and '-'"
    )]
    Prefix(String),
    /// A topic has one partition or more.
    #[error("{0} is not a number of partitions")]
    Partitions(i32),
    /// A topic has one replica or more, or as many as the brokers say.
    #[error("{0} is not a number of replicas")]
    Replication(i32),
    /// Generations are counted from 1.
    #[error("generations are counted from 1")]
    Generation,
}

impl PublisherSettings {
    /// The first generation of `souk.*` topics with 6 partitions each, replicated as the brokers say.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: "souk".into(),
            partitions: 6,
            replication: -1,
            generation: 1,
            properties: Vec::new(),
        }
    }

    /// Whether they can work, as far as can be told without asking Kafka.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        if self
            .brokers
            .split(',')
            .all(|broker| broker.trim().is_empty())
        {
            return Err(InvalidSettings::NoBrokers);
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.prefix.is_empty()
            || self.prefix.len() > MAX_PREFIX
            || !self.prefix.chars().all(legal)
        {
            return Err(InvalidSettings::Prefix(self.prefix.clone()));
        }
        if self.partitions < 1 {
            return Err(InvalidSettings::Partitions(self.partitions));
        }
        if self.replication != -1 && self.replication < 1 {
            return Err(InvalidSettings::Replication(self.replication));
        }
        if self.generation < 1 {
            return Err(InvalidSettings::Generation);
        }
        Ok(())
    }

    /// Topic of the events of an aggregate type.
    pub fn topic(&self, aggregate_type: &str) -> String {
        topic_name(&self.prefix, self.generation, aggregate_type)
    }

    /// The compacted topic that holds the progress of this generation.
    pub fn progress_topic(&self) -> String {
        with_generation(&format!("{}.{PROGRESS}", self.prefix), self.generation)
    }

    /// The one transactional id, whatever the process and the generation: it is what fences.
    pub fn transactional_id(&self) -> String {
        format!("{}-publisher", self.prefix)
    }

    /// Log and topics contradict each other: what only an operator can decide.
    pub(super) fn contradiction(&self, what: &str) -> HandleError {
        HandleError::Stopped(format!(
            "{what}; restore what is missing, or start a new topic generation (SOUK_KAFKA_GENERATION={})",
            self.generation.saturating_add(1)
        ))
    }
}

/// The topic of an aggregate type: `<prefix>.<type>`, from the second generation on with a suffix, `souk.order.g2`.
///
/// A type of Souk's own is a topic name as it is. Another program's may not be: then what Kafka does not take becomes
/// `-`, the name is cut to 100 characters, and 12 hexadecimal digits that identify the type are added, so that two types
/// never share a topic: `Bank Account` is `souk.Bank-Account-5c0a…`. The same goes for the dot, which parts our names, for
/// a type named `progress`, and for the empty one.
pub fn topic_name(prefix: &str, generation: u32, aggregate_type: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let as_it_is = !aggregate_type.is_empty()
        && aggregate_type.len() <= MAX_TYPE
        && aggregate_type != PROGRESS
        && aggregate_type.chars().all(plain);
    let name = if as_it_is {
        aggregate_type.to_owned()
    } else {
        let legal: String = aggregate_type
            .chars()
            .map(|c| if plain(c) { c } else { '-' })
            .take(MAX_TYPE)
            .collect();
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, aggregate_type.as_bytes())
            .simple()
            .to_string();
        format!("{legal}-{}", &digest[..12])
    };
    with_generation(&format!("{prefix}.{name}"), generation)
}

fn with_generation(name: &str, generation: u32) -> String {
    if generation == 1 {
        name.to_owned()
    } else {
        format!("{name}.g{generation}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_our_own_types_are_named_after_them() {
        assert_eq!(topic_name("souk", 1, "order"), "souk.order");
        assert_eq!(topic_name("shop.eu", 2, "order"), "shop.eu.order.g2");
        assert_eq!(
            PublisherSettings::new("k:9092").progress_topic(),
            "souk.progress"
        );
    }

    #[test]
    fn foreign_types_get_legal_names_of_their_own() {
        let types = [
            "Bank Account",
            "Bank/Account",
            "Konto–Größe",
            "",
            ".",
            "..",
            "progress",
            "order.g2",
            "đơn hàng",
        ];
        let mut names: Vec<_> = types
            .iter()
            .map(|foreign| topic_name("souk", 1, foreign))
            .collect();
        names.push(topic_name("souk", 2, "order"));
        names.push(topic_name("souk", 1, &"x".repeat(500)));
        names.push(topic_name("souk", u32::MAX, &"x".repeat(501)));
        for name in &names {
            assert!(name.len() <= 249, "{name}");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')),
                "{name}"
            );
            assert!(
                name.starts_with("souk.") && name != "souk.progress",
                "{name}"
            );
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let good = PublisherSettings::new("k:9092");
        assert_eq!(good.validate(), Ok(()));
        let prefix = |prefix: &str| PublisherSettings {
            prefix: prefix.into(),
            ..good.clone()
        };
        for bad in ["", "two words", "größe", &"x".repeat(101)] {
            assert_eq!(
                prefix(bad).validate(),
                Err(InvalidSettings::Prefix(bad.into()))
            );
        }
        assert_eq!(
            PublisherSettings::new(" , ").validate(),
            Err(InvalidSettings::NoBrokers)
        );
        assert_eq!(
            PublisherSettings {
                partitions: 0,
                ..good.clone()
            }
            .validate(),
            Err(InvalidSettings::Partitions(0))
        );
        assert_eq!(
            PublisherSettings {
                replication: 0,
                ..good.clone()
            }
            .validate(),
            Err(InvalidSettings::Replication(0))
        );
        assert_eq!(
            PublisherSettings {
                generation: 0,
                ..good
            }
            .validate(),
            Err(InvalidSettings::Generation)
        );
    }

    #[test]
    fn secrets_in_properties_are_not_shown() {
        let mut settings = PublisherSettings::new("k:9092");
        settings
            .properties
            .push(("sasl.password".into(), "hush".into()));
        let shown = format!("{settings:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
