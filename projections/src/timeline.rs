//! The timeline of an order: every event of its order, its payment and the inventories that names it, with its cause.
//!
//! The view only notes which positions belong to which order; the events are read from the log itself, so nothing is
//! copied and sealed fields stay as sealed as they are there.

mod fold;

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{
    aggregate::Decider,
    ids::OrderId,
    inventory::Inventory,
    order::{self, Order},
    payment::{self, Payment},
};
use eventstore::{
    event::{EVENT_COLUMNS, RecordedEvent, Unreadable},
    position::Position,
    subscription::{HandleError, Subscriber},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{PgConnection, Postgres, QueryBuilder, postgres::PgRow};
use uuid::Uuid;

pub(crate) use self::fold::TimelineFold;
use crate::{
    decode::{EventRef, stream_id},
    page::{Page, PageRequest, SortKey, SortKind, SortValue},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// An event in the story of an order. The cause is as the metadata of the event tells it; a program that writes other
/// metadata leaves it empty.
#[derive(Clone, Debug)]
pub struct TimelineEntry {
    /// Place in the log.
    pub position: Position,
    /// Id of the event.
    pub event_id: Uuid,
    /// When it was committed.
    pub recorded_at: DateTime<Utc>,
    /// Kind of the aggregate.
    pub aggregate_type: String,
    /// Which aggregate.
    pub aggregate_id: String,
    /// Place in the aggregate's stream.
    pub sequence: i64,
    /// Name of the event.
    pub event_type: String,
    /// Version of its shape.
    pub event_version: String,
    /// Who acted.
    pub actor: Option<String>,
    /// The command that it came of.
    pub command: Option<String>,
    /// The event or request that led to the command.
    pub causation_id: Option<String>,
    /// What all that follows from one request shares.
    pub correlation_id: Option<String>,
    /// The event, personal fields sealed.
    pub payload: Box<RawValue>,
}

impl TimelineEntry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let event = RecordedEvent::from_row(row)?;
        // an object of string to string, unless a program beside us wrote something else
        let mut cause: HashMap<String, String> =
            serde_json::from_str(&event.metadata).unwrap_or_default();
        let payload = RawValue::from_string(event.payload.to_string());
        Ok(Self {
            position: event.position,
            event_id: event.event_id,
            recorded_at: event.recorded_at,
            aggregate_type: event.aggregate_type.to_string(),
            aggregate_id: event.aggregate_id.to_string(),
            sequence: event.sequence,
            event_type: event.event_type.to_string(),
            event_version: event.event_version.to_string(),
            actor: cause.remove("actor"),
            command: cause.remove("command"),
            causation_id: cause.remove("causation_id"),
            correlation_id: cause.remove("correlation_id"),
            payload: payload.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        })
    }
}

/// What a timeline is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineSort {
    /// The order of the log.
    Position,
}

impl SortKey for TimelineSort {
    const ALL: &'static [Self] = &[Self::Position];

    fn name(self) -> &'static str {
        "position"
    }

    fn columns(self) -> [&'static str; 2] {
        // the second decides nothing, since all rows are of one order
        ["position", "order_id"]
    }

    fn kind(self) -> SortKind {
        SortKind::Integer
    }
}

impl ReadModels {
    /// The story of an order in the order of the log; empty for an order that is not known.
    pub async fn timeline(
        &self,
        order_id: OrderId,
        page: &PageRequest<TimelineSort>,
    ) -> Result<Page<TimelineEntry>, QueryError> {
        let schema = self.schema(View::Timeline).await?;
        let rows = list(&schema, order_id, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let entries = rows
            .iter()
            .map(TimelineEntry::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(entries, |entry| {
            (SortValue::Integer(entry.position.0), order_id.0)
        }))
    }
}

pub(crate) fn list<'q>(
    schema: &Schema,
    order_id: OrderId,
    page: &PageRequest<TimelineSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(format!(
        "select {EVENT_COLUMNS} from {schema}.timeline t join events using (position) where t.order_id = "
    ));
    sql.push_bind(order_id.0);
    page.push_to(&mut sql, "t");
    sql
}

/// Projects the timelines.
pub struct TimelineProjector {
    schema: Schema,
}

impl TimelineProjector {
    /// Into the schema of this version.
    pub fn new() -> Self {
        Self::within(View::Timeline.schema())
    }

    /// Into this schema.
    pub(crate) fn within(schema: Schema) -> Self {
        Self { schema }
    }
}

impl Default for TimelineProjector {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriber for TimelineProjector {
    fn name(&self) -> &str {
        self.schema.as_str()
    }

    fn reads(&self) -> &'static [&'static str] {
        View::Timeline.reads()
    }

    /// The order; of an event whose order cannot be made out, its stream.
    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(key_of(&event.into()))
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let mut order_ids = Vec::with_capacity(events.len());
        let mut positions = Vec::with_capacity(events.len());
        for event in events {
            if let Some(order_id) = order_of(&(&**event).into())? {
                order_ids.push(order_id);
                positions.push(event.position.0);
            }
        }
        if positions.is_empty() {
            return Ok(());
        }
        sqlx::query(&format!(
            "insert into {}.timeline (order_id, position) select * from unnest($1::uuid[], $2::bigint[]) \
             on conflict do nothing",
            self.schema
        ))
        .bind(order_ids)
        .bind(positions)
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// Events of a newer binary may name their order in another way: they are left to one.
fn check_known(event: &EventRef<'_>) -> Result<(), Unreadable> {
    let (name, version) = (event.event_type, event.event_version);
    let known = match event.aggregate_type {
        order::TYPE => Order::reads(name, version),
        payment::TYPE => Payment::reads(name, version),
        _ => Inventory::reads(name, version),
    };
    if known {
        return Ok(());
    }
    Err(Unreadable::Newer {
        event_type: event.event_type.to_string(),
        event_version: event.event_version.to_string(),
    })
}

/// The order; of an event whose order cannot be made out, its stream.
fn key_of(event: &EventRef<'_>) -> String {
    match named_order(event) {
        Ok(Some(order_id)) => order_id.to_string(),
        Ok(None) | Err(_) => format!("{}/{}", event.aggregate_type, event.aggregate_id),
    }
}

/// The order that an event belongs to, if any; of events that this binary knows.
fn order_of(event: &EventRef<'_>) -> Result<Option<Uuid>, HandleError> {
    check_known(event)?;
    named_order(event)
}

/// Nothing else of the payload is read, so that an event which no other view can make sense of still shows up here.
fn named_order(event: &EventRef<'_>) -> Result<Option<Uuid>, HandleError> {
    #[derive(Deserialize)]
    struct Named {
        order_id: Option<Uuid>,
    }
    if event.aggregate_type == order::TYPE {
        return stream_id(event).map(Some);
    }
    let named: Named = serde_json::from_str(event.payload).map_err(|error| {
        HandleError::Poison(format!("{} names no order: {error}", event.event_type))
    })?;
    Ok(named.order_id)
}
