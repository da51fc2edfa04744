//! How far the publisher came: a record in Kafka, written in the transaction of the messages that it speaks of.

use std::collections::BTreeMap;

use eventstore::{
    position::{Head, Position},
    subscription::HandleError,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    PublisherSettings,
    tail::{Reader, Seen},
};

/// Version of the record's shape.
const VERSION: u32 = 1;
/// How many offsets before the end the search for the last record begins; if there is only what aborted transactions
/// left behind, it begins so many times further back.
const FIRST_STRIDE: i64 = 64;
const STRIDE_FACTOR: i64 = 32;

/// The record, as JSON; its key is the generation. The last committed one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Version of this shape.
    pub version: u32,
    /// Generation of the topics.
    pub generation: u32,
    /// The last position that is published; 0 for none.
    pub position: i64,
    /// The event at that position; nil for none.
    pub event_id: Uuid,
    /// For each topic and each of its partitions, in order: an offset that its end must not be below.
    pub topics: BTreeMap<String, Vec<i64>>,
}

impl Progress {
    /// Nothing is published yet.
    pub fn none(generation: u32) -> Self {
        Self {
            version: VERSION,
            generation,
            position: 0,
            event_id: Uuid::nil(),
            topics: BTreeMap::new(),
        }
    }

    /// The last event that is published.
    pub fn head(&self) -> Head {
        Head {
            position: Position(self.position),
            event_id: self.event_id,
        }
    }

    /// The key of the record.
    pub fn key(&self) -> String {
        self.generation.to_string()
    }

    /// Reads the last committed record, of a progress topic that ends at `end`.
    ///
    /// From near the end, not from the beginning: compaction has not caught up with what was written lately, and the last
    /// record is always among that.
    pub(super) fn read(settings: &PublisherSettings, end: i64) -> Result<Self, HandleError> {
        let topic = settings.progress_topic();
        let none = Self::none(settings.generation);
        if end == 0 {
            return Ok(none);
        }
        let reader = Reader::open(settings)?;
        let mut stride = FIRST_STRIDE;
        loop {
            let from = (end - stride).max(0);
            let mut last = None;
            reader.read(&topic, &[(0, from)], |key, value| {
                if key == Some(none.key().as_bytes()) {
                    last = value.map(<[u8]>::to_vec);
                }
                Seen::GoOn
            })?;
            if let Some(record) = last {
                return none.parse(settings, &record);
            }
            if from == 0 {
                return Ok(none);
            }
            stride = stride.saturating_mul(STRIDE_FACTOR);
        }
    }

    fn parse(&self, settings: &PublisherSettings, record: &[u8]) -> Result<Self, HandleError> {
        let unreadable = |why: &dyn std::fmt::Display| {
            settings.contradiction(&format!(
                "the last record of topic {} is not ours: {why}",
                settings.progress_topic()
            ))
        };
        let progress: Self = serde_json::from_slice(record).map_err(|error| unreadable(&error))?;
        if progress.version != VERSION {
            return Err(unreadable(&format!(
                "version {}, not {VERSION}",
                progress.version
            )));
        }
        if progress.generation != self.generation {
            return Err(unreadable(&format!(
                "generation {}, not {}",
                progress.generation, self.generation
            )));
        }
        Ok(progress)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(record: &str) -> Result<Progress, HandleError> {
        Progress::none(2).parse(&PublisherSettings::new("k:9092"), record.as_bytes())
    }

    #[test]
    fn the_record_reads_back_as_it_was_written() {
        let progress = Progress {
            position: 7,
            event_id: Uuid::from_u128(7),
            topics: BTreeMap::from([("souk.order.g2".to_owned(), vec![3, 0, 4])]),
            ..Progress::none(2)
        };
        let record = serde_json::to_string(&progress).unwrap();
        assert_eq!(
            record,
            r#"{"version":1,"generation":2,"position":7,"event_id":"00000000-0000-0000-0000-000000000007","topics":{"souk.order.g2":[3,0,4]}}"#
        );
        assert_eq!(parse(&record).unwrap(), progress);
    }

    #[test]
    fn a_record_that_is_not_ours_asks_for_an_operator() {
        let ours = serde_json::to_string(&Progress::none(2)).unwrap();
        for record in [
            "",
            "{}",
            &ours.replace("\"version\":1", "\"version\":9"),
            &ours.replace("\"generation\":2", "\"generation\":1"),
        ] {
            assert!(
                matches!(parse(record), Err(HandleError::Stopped(_))),
                "{record}"
            );
        }
    }
}
