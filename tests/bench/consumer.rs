//! A read-committed consumer of all topics of a shop, on a thread of its own: notes when each event came.

use std::{thread::JoinHandle, time::Duration};

use chrono::{DateTime, Utc};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use tokio_util::sync::CancellationToken;

use crate::{env::Outcome, latency::milliseconds};

/// How long one poll waits for a message; it returns as soon as there is one.
const POLL: Duration = Duration::from_millis(100);
/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumed {
    /// Where it stands in the log.
    pub(crate) position: i64,
    recorded_at: DateTime<Utc>,
    came_at: DateTime<Utc>,
}

impl Consumed {
    /// From its commit to its coming.
    pub(crate) fn delay_ms(&self) -> f64 {
        milliseconds(self.recorded_at, self.came_at)
    }
}

/// A consumer that reads.
pub(crate) struct Consumer {
    stop: CancellationToken,
    enough: tokio::sync::watch::Receiver<usize>,
    thread: JoinHandle<Outcome<Vec<Consumed>>>,
}

impl Consumer {
    /// Starts one at the present end of each topic whose name begins with the prefix. What is published after this
    /// returns is read, and noted where it stands behind `after` in the log: a commit is answered before consumers see
    /// what it ended, so the present end may have the last events before still to come.
    pub(crate) async fn start(brokers: &str, prefix: &str, after: i64) -> Outcome<Self> {
        let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (count, enough) = tokio::sync::watch::channel(0);
        let consumer = tokio::task::spawn_blocking(move || assigned(&brokers, &prefix)).await??;
        let thread = std::thread::spawn(move || {
            let mut all = Vec::new();
            while !stopped.is_cancelled() {
                match consumer.poll(POLL) {
                    None => {}
                    Some(Ok(message)) => {
                        let came = consumed(&message, Utc::now())?;
                        if came.position > after {
                            all.push(came);
                            count.send_replace(all.len());
                        }
                    }
                    Some(Err(KafkaError::MessageConsumption(error))) => {
                        eprintln!("consumer: {error}");
                    } // passes
                    Some(Err(error)) => return Err(error.into()),
                }
            }
            Ok(all)
        });
        Ok(Self {
            stop,
            enough,
            thread,
        })
    }

    /// Waits until so many events came, and returns all of them.
    pub(crate) async fn until(
        mut self,
        count: usize,
        patience: Duration,
    ) -> Outcome<Vec<Consumed>> {
        let enough = tokio::time::timeout(patience, self.enough.wait_for(|came| *came >= count))
            .await
            .is_ok();
        let came = *self.enough.borrow();
        self.stop.cancel();
        let all = tokio::task::spawn_blocking(move || self.thread.join())
            .await?
            .map_err(|_| "the consumer panicked")??;
        if !enough || all.len() != count {
            return Err(format!("{came} of {count} events came").into());
        }
        Ok(all)
    }
}

/// A consumer that stands at the end of all partitions.
fn assigned(brokers: &str, prefix: &str) -> Outcome<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{prefix}-latency"))
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let mut partitions = TopicPartitionList::new();
    let start = format!("{prefix}.");
    let progress = format!("{prefix}.progress");
    for topic in metadata
        .topics()
        .iter()
        .filter(|topic| topic.name().starts_with(&start) && topic.name() != progress)
    {
        for partition in topic.partitions() {
            // an offset, not `End`, which would be resolved at some later time
            let (_, end) = consumer.fetch_watermarks(topic.name(), partition.id(), PATIENCE)?;
            partitions.add_partition_offset(topic.name(), partition.id(), Offset::Offset(end))?;
        }
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}

fn consumed(message: &BorrowedMessage<'_>, came_at: DateTime<Utc>) -> Outcome<Consumed> {
    let header = |name: &str| -> Outcome<&str> {
        let headers = message.headers().ok_or("a message without headers")?;
        let found = headers
            .iter()
            .find(|header| header.key == name)
            .and_then(|header| header.value);
        Ok(std::str::from_utf8(
            found.ok_or_else(|| format!("no {name}"))?,
        )?)
    };
    Ok(Consumed {
        position: header("ce_position")?.parse()?,
        recorded_at: header("ce_time")?.parse()?,
        came_at,
    })
}
