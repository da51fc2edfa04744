//! How librdkafka is configured: what can be tuned, and what exactly-once rests on.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::KafkaError,
    producer::{BaseProducer, DeliveryResult, Producer, ProducerContext},
};

use super::PublisherSettings;

/// After this long without a word from the publisher, brokers abort its transaction.
const TRANSACTION_TIMEOUT_MS: &str = "10000";
/// A message that is not delivered after this long fails its transaction, while there is time left to abort it.
const MESSAGE_TIMEOUT_MS: &str = "8000";
/// Largest message: events of ours are far smaller, a foreign program's need not be.
pub(super) const MAX_MESSAGE_BYTES: &str = "16777216";

/// Pause of waiting for deliveries. `commit_transaction` would wait in steps of 100 ms, whatever arrives.
const PAUSE: Duration = Duration::from_micros(250);

/// The transactional producer. The order says what the operator's properties can change and what they cannot.
pub(super) fn producer(settings: &PublisherSettings) -> ClientConfig {
    let mut config = with_properties(settings, &[("compression.type", "lz4"), ("linger.ms", "0")]);
    config
        .set("transactional.id", settings.transactional_id())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
        .set("message.timeout.ms", MESSAGE_TIMEOUT_MS)
        .set("message.max.bytes", MAX_MESSAGE_BYTES);
    config
}

/// A consumer of committed messages that belongs to no group: partitions are assigned to it, offsets are not stored. The
/// name of a group is only needed to be a consumer at all.
pub(super) fn consumer(settings: &PublisherSettings) -> ClientConfig {
    // the end of a partition is told with a fetch that found nothing: that must not take long
    let mut config = with_properties(settings, &[("fetch.wait.max.ms", "10")]);
    config
        .set("group.id", settings.transactional_id())
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest");
    config
}

/// A client that asks about topics and creates them.
pub(super) fn admin(settings: &PublisherSettings) -> ClientConfig {
    with_properties(settings, &[])
}

/// Takes the reports that there are, or pauses where there are none. `poll` does not return before its time is over, and
/// what is left of a millisecond counts as nothing: given one, it would ask without a pause, on a core of its own.
pub(super) fn serve<C: ProducerContext>(producer: &BaseProducer<C>) {
    let before = producer.in_flight_count();
    producer.poll(Duration::ZERO);
    if producer.in_flight_count() == before {
        std::thread::sleep(PAUSE);
    }
}

fn with_properties(settings: &PublisherSettings, tunable: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    // a broker that is back is found again soon
    config
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.keepalive.enable", "true");
    for (key, value) in tunable {
        config.set(*key, *value);
    }
    for (key, value) in &settings.properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", settings.transactional_id())
        // topics come from us or not at all
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Takes what librdkafka has to say into our logs. What matters comes back as errors of calls, too, and is told there.
pub(super) struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, "librdkafka: {message}");
            }
            _ => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "librdkafka: {reason}");
    }
}

impl ConsumerContext for Logging {}

/// What is known of the messages of a transaction: gathered while the producer is polled.
#[derive(Default)]
pub(super) struct Deliveries {
    tally: Mutex<Tally>,
}

/// What was delivered since the last look.
#[derive(Default)]
pub(super) struct Tally {
    /// First and last offset by topic (as the message was marked) and partition.
    pub(super) offsets: HashMap<(usize, i32), (i64, i64)>,
    /// The first failure.
    pub(super) failure: Option<KafkaError>,
}

impl Deliveries {
    /// Takes the tally and begins a new one.
    pub(super) fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally())
    }

    /// Whether some message failed.
    pub(super) fn failed(&self) -> bool {
        self.tally().failure.is_some()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // nothing panics while holding it
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logging.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// Says which topic: a number of the session's.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, topic: usize) {
        let mut tally = self.tally();
        match result {
            // the offset of a message that was sent twice and stored once is not known
            Ok(message) if message.offset() < 0 => {}
            Ok(message) => {
                let offset = message.offset();
                let range = tally
                    .offsets
                    .entry((topic, message.partition()))
                    .or_insert((offset, offset));
                *range = (range.0.min(offset), range.1.max(offset));
            }
            Err((error, _)) => {
                tally.failure.get_or_insert_with(|| error.clone());
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::expect_used)]

    use std::time::Instant;

    use rdkafka::producer::BaseRecord;

    use super::*;

    /// Processor time that this thread has had, as Linux tells it.
    fn cpu_time() -> Duration {
        let line = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux");
        let nanoseconds = line.split_whitespace().next().expect("three numbers");
        Duration::from_nanos(nanoseconds.parse().expect("a number"))
    }

    #[test]
    fn waiting_for_a_delivery_keeps_no_core_busy() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1"); // nobody listens
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries::default())
            .expect("a producer");
        let record = BaseRecord::<str, str, usize>::with_opaque_to("topic", 0).payload("event");
        assert!(producer.send(record).is_ok());
        let (begun, cpu_before) = (Instant::now(), cpu_time());
        while begun.elapsed() < Duration::from_millis(300) {
            serve(&producer);
        }
        let (waited, cpu) = (begun.elapsed(), cpu_time().saturating_sub(cpu_before));
        assert!(cpu < waited / 2, "{cpu:?} of {waited:?}");
        producer.purge(rdkafka::producer::PurgeConfig::default().queue());
    }
}
