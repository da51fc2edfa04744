//! Reads committed messages of a topic from given offsets to the end there is.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use eventstore::subscription::HandleError;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use super::{
    PublisherSettings,
    client::{self, Logging},
    fault::fault,
};

/// How long the next message, or the end, may let wait.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
const DOING: &str = "reading what was published";

/// Whether to read on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// There may be more to see.
    GoOn,
    /// That was all that had to be known.
    Enough,
}

/// A consumer without a group.
pub(super) struct Reader {
    consumer: BaseConsumer<Logging>,
}

impl Reader {
    pub(super) fn open(settings: &PublisherSettings) -> Result<Self, HandleError> {
        let consumer = client::consumer(settings)
            .create_with_context(Logging)
            .map_err(|error| fault(DOING, &error))?;
        Ok(Self { consumer })
    }

    /// Shows key and value of each committed message of `topic` from the given offsets (partition, offset) on, until all
    /// these partitions are at their end or `see` has seen enough.
    pub(super) fn read(
        &self,
        topic: &str,
        from: &[(i32, i64)],
        mut see: impl FnMut(Option<&[u8]>, Option<&[u8]>) -> Seen,
    ) -> Result<(), HandleError> {
        let mut assignment = TopicPartitionList::with_capacity(from.len());
        for (partition, offset) in from {
            assignment
                .add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(|error| fault(DOING, &error))?;
        }
        self.consumer
            .assign(&assignment)
            .map_err(|error| fault(DOING, &error))?;
        let mut open: HashSet<i32> = from.iter().map(|(partition, _)| *partition).collect();
        let mut patient_until = Instant::now() + PATIENCE;
        let mut in_the_way = None;
        while !open.is_empty() {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    if see(message.key(), message.payload()) == Seen::Enough {
                        return Ok(());
                    }
                    patient_until = Instant::now() + PATIENCE;
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                // most of these pass by themselves
                Some(Err(error)) => in_the_way = Some(error),
                None => {}
            }
            if Instant::now() >= patient_until {
                return Err(in_the_way.map_or_else(
                    || {
                        HandleError::Passing(format!(
                            "{DOING}: the end of topic {topic} is not told"
                        ))
                    },
                    |error| fault(DOING, &error),
                ));
            }
        }
        Ok(())
    }
}
