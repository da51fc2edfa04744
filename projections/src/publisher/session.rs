//! One life of the transactional producer: from fencing all others to the first thing that goes wrong.
//!
//! Every fault ends the session, and the next one begins by fencing and by reading what is committed. So whatever became
//! of a transaction whose end is unknown, it is known before the next one begins.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use eventstore::{event::RecordedEvent, position::Head, subscription::HandleError};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{
    PublisherSettings, client,
    client::{Deliveries, Tally},
    fault::{by_code, fault},
    message::headers,
    partition::partition_of,
    progress::Progress,
    topics::{Topics, progress_end},
};

/// Most bytes of payload in one transaction: it must be over well within the transaction's timeout.
const TRANSACTION_BYTES: usize = 16 * 1024 * 1024;
/// Brokers answer a commit before its markers are written. A transaction that begins before that is turned away, and
/// librdkafka comes back only after 20 ms or more: waiting this long first is quicker.
const MARKERS: Duration = Duration::from_millis(10);
/// How long becoming the one producer may take: as long as brokers may need to end the transaction of the one before.
const INIT_PATIENCE: Duration = Duration::from_secs(15);
/// How long messages may take to be stored; librdkafka itself gives up a little earlier.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(10);
/// How long a commit is tried.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);
/// How long an abort is tried: a courtesy to consumers, who would wait for the timeout otherwise.
const ABORT_PATIENCE: Duration = Duration::from_secs(3);
/// How long one call of librdkafka may block: the pace at which it is noticed that nobody waits any more.
const SLICE: Duration = Duration::from_millis(500);
/// How often the partitions of the topics are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Marks the progress among the numbers of topics.
const PROGRESS: usize = usize::MAX;

/// See the module.
pub(super) struct Session {
    producer: BaseProducer<Deliveries>,
    settings: Arc<PublisherSettings>,
    progress_topic: String,
    topics: Topics,
    head: Head,
    checked: Instant,
    /// When the next transaction is to begin at the earliest.
    earliest: Instant,
    abandoned: Arc<AtomicBool>,
}

impl Session {
    /// Fences all others, reads the progress and checks the topics against it.
    pub(super) fn open(
        settings: Arc<PublisherSettings>,
        abandoned: Arc<AtomicBool>,
    ) -> Result<Self, HandleError> {
        settings
            .validate()
            .map_err(|error| HandleError::Stopped(error.to_string()))?;
        let producer: BaseProducer<Deliveries> = client::producer(&settings)
            .create_with_context(Deliveries::default())
            .map_err(|error| fault("starting the producer", &error))?;
        init_transactions(&producer, &abandoned)?;
        // whatever others had begun is over now: what is committed is final
        let end = progress_end(&settings, producer.client())?;
        let progress = Progress::read(&settings, end)?;
        let head = progress.head();
        let topics = Topics::new(settings.clone(), progress.topics);
        topics.check_partitions(producer.client())?;
        topics.check_ends(producer.client())?;
        let progress_topic = settings.progress_topic();
        Ok(Self {
            producer,
            settings,
            progress_topic,
            topics,
            head,
            checked: Instant::now(),
            earliest: Instant::now(),
            abandoned,
        })
    }

    /// The last event that is published.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// When the next transaction can begin.
    pub(super) fn earliest(&self) -> Instant {
        self.earliest
    }

    /// Publishes events that follow the head, in as many transactions as their size asks for.
    pub(super) fn publish(
        mut self,
        mut events: &[Arc<RecordedEvent>],
    ) -> Result<Self, HandleError> {
        if self.checked.elapsed() > CHECK_INTERVAL {
            self.topics.check_partitions(self.producer.client())?;
            self.checked = Instant::now();
        }
        while !events.is_empty() {
            let (now, later) = events.split_at(transaction_length(events));
            self.transaction(now)?;
            events = later;
        }
        Ok(self)
    }

    fn transaction(&mut self, events: &[Arc<RecordedEvent>]) -> Result<(), HandleError> {
        let Some(head) = events.last().map(|event| event.head()) else {
            return Ok(());
        };
        let numbers = events
            .iter()
            .map(|event| {
                self.topics
                    .number_of(self.producer.client(), &event.aggregate_type)
            })
            .collect::<Result<Vec<_>, _>>()?;
        std::thread::sleep(self.earliest.saturating_duration_since(Instant::now()));
        self.producer
            .begin_transaction()
            .map_err(|error| self.fault("beginning a transaction", &error))?;
        self.send_all(events, &numbers, head)
            .and_then(|()| self.commit())
            .inspect_err(|error| self.abort(error))?;
        self.earliest = Instant::now() + MARKERS;
        self.head = head;
        Ok(())
    }

    /// Sends the events and the progress after them, all in one go, and waits until they are stored.
    fn send_all(
        &mut self,
        events: &[Arc<RecordedEvent>],
        numbers: &[usize],
        head: Head,
    ) -> Result<(), HandleError> {
        let mut counts = HashMap::new();
        for (event, number) in events.iter().zip(numbers) {
            let partition = self.send_event(event, *number)?;
            *counts.entry((*number, partition)).or_default() += 1;
        }
        self.send_progress(head, &counts)?;
        for ((number, partition), range) in self.delivered()?.offsets {
            self.topics.delivered(number, partition, range)?;
        }
        Ok(())
    }

    fn send_progress(
        &self,
        head: Head,
        counts: &HashMap<(usize, i32), i64>,
    ) -> Result<(), HandleError> {
        let progress = Progress {
            position: head.position.0,
            event_id: head.event_id,
            topics: self.topics.ends_with(counts),
            ..Progress::none(self.settings.generation)
        };
        let value = serde_json::to_string(&progress).map_err(|error| {
            HandleError::Stopped(format!("the progress cannot be written: {error}"))
        })?;
        self.send(
            BaseRecord::with_opaque_to(&self.progress_topic, PROGRESS)
                .partition(0)
                .key(progress.key().as_str())
                .payload(value.as_str()),
        )
    }

    /// Returns the partition.
    fn send_event(&self, event: &RecordedEvent, number: usize) -> Result<i32, HandleError> {
        let Some(topic) = self.topics.get(number) else {
            return Err(HandleError::Passing(format!(
                "no topic has the number {number}"
            )));
        };
        let partition = partition_of(event.aggregate_id.as_bytes(), topic.ends.len());
        let record = BaseRecord::with_opaque_to(&topic.name, number)
            .partition(partition)
            .key(&*event.aggregate_id)
            .payload(&*event.payload)
            .timestamp(event.recorded_at.timestamp_millis())
            .headers(headers(event));
        self.send(record).map_err(|error| match error {
            // which one is worth knowing, since it will not go away
            HandleError::Stopped(reason) => HandleError::Stopped(format!(
                "the event at position {}: {reason}",
                event.position
            )),
            other => other,
        })?;
        Ok(partition)
    }

    /// Hands a message to librdkafka; waits where its queue is full.
    fn send(&self, mut record: BaseRecord<'_, str, str, usize>) -> Result<(), HandleError> {
        let deadline = Instant::now() + DELIVERY_PATIENCE;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    client::serve(&self.producer);
                    record = back;
                }
                Err((error, _)) => return Err(self.fault("sending", &error)),
            }
        }
    }

    /// Waits until all that was sent is stored.
    fn delivered(&self) -> Result<Tally, HandleError> {
        let deadline = Instant::now() + DELIVERY_PATIENCE;
        while self.producer.in_flight_count() > 0 && !self.producer.context().failed() {
            client::serve(&self.producer);
            if self.abandoned.load(Ordering::Relaxed) {
                return Err(abandoned());
            }
            if Instant::now() > deadline {
                return Err(HandleError::Passing(format!(
                    "Kafka has not stored the messages within {} s",
                    DELIVERY_PATIENCE.as_secs()
                )));
            }
        }
        let tally = self.producer.context().take();
        match &tally.failure {
            Some(error) => Err(self.fault("publishing", error)),
            None => Ok(tally),
        }
    }

    /// Commits; again and again while librdkafka says that this may help. If the end stays unknown the next session
    /// finds it out.
    fn commit(&self) -> Result<(), HandleError> {
        let deadline = Instant::now() + COMMIT_PATIENCE;
        loop {
            match self.producer.commit_transaction(SLICE) {
                Ok(()) => return Ok(()),
                Err(error)
                    if may_help(&error) && Instant::now() < deadline && !self.is_abandoned() => {}
                Err(error) => return Err(self.fault("committing", &error)),
            }
        }
    }

    /// Aborts what went wrong, if the producer still can.
    fn abort(&self, reason: &HandleError) {
        if matches!(reason, HandleError::Fenced) || self.producer.client().fatal_error().is_some() {
            return;
        }
        let deadline = Instant::now() + ABORT_PATIENCE;
        loop {
            match self.producer.abort_transaction(SLICE) {
                Err(error)
                    if may_help(&error) && Instant::now() < deadline && !self.is_abandoned() =>
                {
                    // it waits for reports of the messages that it threw away, and they come by polling
                    client::serve(&self.producer);
                }
                Err(error) => {
                    return tracing::debug!(%error, "the transaction is left to its timeout");
                }
                Ok(()) => return,
            }
        }
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// What an error means; if the producer is done for, its own reason counts and not what it led to.
    fn fault(&self, doing: &str, error: &KafkaError) -> HandleError {
        match self.producer.client().fatal_error() {
            Some((code, reason)) => by_code(doing, code, &reason),
            None => fault(doing, error),
        }
    }
}

/// Becomes the one producer of the transactional id: all others are fenced, what they had begun is aborted or, where the
/// commit was decided already, committed.
fn init_transactions(
    producer: &BaseProducer<Deliveries>,
    stop: &AtomicBool,
) -> Result<(), HandleError> {
    let deadline = Instant::now() + INIT_PATIENCE;
    loop {
        let Err(error) = producer.init_transactions(SLICE) else {
            return Ok(());
        };
        producer.poll(Duration::ZERO);
        if stop.load(Ordering::Relaxed) {
            return Err(abandoned());
        }
        if !may_help(&error) || Instant::now() > deadline {
            return Err(fault("becoming the one producer", &error));
        }
    }
}

/// Whether calling again may help.
fn may_help(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        KafkaError::Flush(_) => true,
        _ => false,
    }
}

fn abandoned() -> HandleError {
    HandleError::Passing("nobody waits for it any more".into())
}

/// How many of the events, one at least, go into the next transaction.
fn transaction_length(events: &[Arc<RecordedEvent>]) -> usize {
    let mut bytes = 0;
    let fitting = events.iter().take_while(|event| {
        bytes += event.payload.len();
        bytes <= TRANSACTION_BYTES
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use eventstore::position::Position;
    use uuid::Uuid;

    use super::*;

    fn event(bytes: usize) -> Arc<RecordedEvent> {
        Arc::new(RecordedEvent {
            position: Position(1),
            event_id: Uuid::nil(),
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            aggregate_type: "order".into(),
            aggregate_id: "1".into(),
            sequence: 1,
            event_type: "OrderPlaced".into(),
            event_version: "1.0".into(),
            payload: "x".repeat(bytes).into(),
            metadata: "{}".into(),
        })
    }

    #[test]
    fn a_transaction_takes_what_fits_and_one_event_at_least() {
        let third = TRANSACTION_BYTES / 3;
        let events = [third, third, third, third, 10, TRANSACTION_BYTES + 1, 10].map(event);
        assert_eq!(transaction_length(&events), 3);
        assert_eq!(transaction_length(&events[3..]), 2);
        assert_eq!(transaction_length(&events[5..]), 1);
        assert_eq!(transaction_length(&events[6..]), 1);
    }
}
