//! Rebuilds the timelines: nothing moves, so that rows are copied as they come.

use eventstore::subscription::HandleError;
use uuid::Uuid;

use super::{key_of, order_of};
use crate::{
    decode::EventRef,
    rebuild::{Closed, CopyRows, Fold, Writer},
    views::Schema,
};

/// See the module.
pub(crate) struct TimelineFold {
    entries: CopyRows,
}

impl Fold for TimelineFold {
    /// The order, if it names one, and its position.
    type Event = Option<(Uuid, i64)>;

    fn new(schema: &Schema, _limit: usize) -> Self {
        Self {
            entries: CopyRows::new(schema, "timeline", "order_id, position"),
        }
    }

    fn key(event: &EventRef<'_>) -> String {
        key_of(event)
    }

    fn decode(event: &EventRef<'_>) -> Result<Self::Event, HandleError> {
        Ok(order_of(event)?.map(|order_id| (order_id, event.position.0)))
    }

    fn take(&mut self, events: Vec<Self::Event>, writer: &Writer) -> Result<(), Closed> {
        for (order_id, position) in events.into_iter().flatten() {
            self.entries.push(&[&order_id, &position]);
        }
        self.entries.send_full(writer)
    }

    fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        self.entries.send(writer)
    }
}
