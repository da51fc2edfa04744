//! Read models of one table with one row per aggregate, of things that are few: regions, categories, shops, discounts.
//! What such a view is, is said by its [`AggregateRow`]; projecting, rebuilding and reading a row are the same for all and
//! here. Rows are written one statement each, and once for all that a batch does to them; views with a row for every order
//! or customer have ways of their own.

use std::{collections::HashMap, marker::PhantomData, sync::Arc};

use domain::aggregate::{Decider, EventOf};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    decode::{Decoded, EventRef, decode, decode_all},
    read_models::{QueryError, ReadModels},
    rebuild::{Closed, Fold, Writer},
    views::{Schema, View},
};

/// A row of such a view.
pub(crate) trait AggregateRow: Clone + Send + Sync + Sized + 'static {
    /// Whose events it is made of.
    type Aggregate: Decider<Event: Send + Sync>;
    /// The view, whose one table has its name.
    const VIEW: View;
    /// The column of the aggregate's id.
    const KEY: &'static str;

    /// The row that the first event makes; nothing from any other.
    fn begun(decoded: &Decoded<EventOf<Self::Aggregate>>) -> Option<Self>;

    /// Takes an event that it has not taken yet.
    fn change(&mut self, decoded: &Decoded<EventOf<Self::Aggregate>>);

    /// How many events it has taken.
    fn sequence(&self) -> i64;

    /// Reads a row of the table.
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error>;

    /// Writes it as it is now.
    fn store(
        &self,
        schema: &Schema,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Takes an event into its row; one that was taken before changes nothing. One without a beginning (an operator gave up
/// on it) has no row to change.
fn fold<R: AggregateRow>(rows: &mut HashMap<Uuid, R>, decoded: &Decoded<EventOf<R::Aggregate>>) {
    match rows.get_mut(&decoded.id) {
        Some(row) if decoded.sequence <= row.sequence() => {}
        Some(row) => row.change(decoded),
        None => rows.extend(R::begun(decoded).map(|row| (decoded.id, row))),
    }
}

/// Projects such a view.
pub(crate) struct RowProjector<R> {
    schema: Schema,
    rows: PhantomData<fn() -> R>,
}

impl<R: AggregateRow> RowProjector<R> {
    /// Into the schema of this version.
    pub(crate) fn new() -> Self {
        Self::within(R::VIEW.schema())
    }

    /// Into this schema.
    pub(crate) fn within(schema: Schema) -> Self {
        let rows = PhantomData;
        Self { schema, rows }
    }

    async fn load(
        &self,
        ids: &[Uuid],
        connection: &mut PgConnection,
    ) -> Result<HashMap<Uuid, R>, sqlx::Error> {
        let (schema, table, key) = (&self.schema, R::VIEW, R::KEY);
        let sql = format!("select * from {schema}.{table} where {key} = any($1)");
        let rows = sqlx::query(&sql).bind(ids).fetch_all(connection).await?;
        let rows = rows.iter();
        rows.map(|row| Ok((row.try_get(R::KEY)?, R::from_row(row)?)))
            .collect()
    }
}

impl<R: AggregateRow> Subscriber for RowProjector<R> {
    fn name(&self) -> &str {
        self.schema.as_str()
    }

    fn reads(&self) -> &'static [&'static str] {
        R::VIEW.reads()
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        Some(event.aggregate_id.to_string())
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let decoded = decode_all::<R::Aggregate>(events.iter().map(|event| &**event))?;
        let ids: Vec<Uuid> = decoded.iter().map(|event| event.id).collect();
        let mut rows = self.load(&ids, tx).await?;
        for event in &decoded {
            fold(&mut rows, event);
        }
        for row in rows.values() {
            row.store(&self.schema, tx).await?;
        }
        Ok(())
    }
}

/// Rebuilds such a view: folded in memory, and written as the projector writes it.
pub(crate) struct RowFold<R> {
    schema: Schema,
    rows: HashMap<Uuid, R>,
}

impl<R: AggregateRow> Fold for RowFold<R> {
    type Event = Decoded<EventOf<R::Aggregate>>;

    /// There are few rows: no limit is needed.
    fn new(schema: &Schema, _limit: usize) -> Self {
        Self {
            schema: schema.clone(),
            rows: HashMap::new(),
        }
    }

    fn decode(event: &EventRef<'_>) -> Result<Self::Event, HandleError> {
        decode::<R::Aggregate>(event)
    }

    fn take(&mut self, events: Vec<Self::Event>, _writer: &Writer) -> Result<(), Closed> {
        for event in &events {
            fold(&mut self.rows, event);
        }
        Ok(())
    }

    fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        let rows = std::mem::take(&mut self.rows);
        let schema = self.schema.clone();
        writer.run(move |target| {
            Box::pin(async move {
                target.key(R::VIEW.name()).await?;
                for row in rows.values() {
                    row.store(&schema, &mut target.connection).await?;
                }
                Ok(())
            })
        })
    }
}

impl ReadModels {
    /// The row of that aggregate.
    pub(crate) async fn row<R: AggregateRow>(&self, id: Uuid) -> Result<Option<R>, QueryError> {
        let (schema, table, key) = (self.schema(R::VIEW).await?, R::VIEW, R::KEY);
        let sql = format!("select * from {schema}.{table} where {key} = $1");
        let row = sqlx::query(&sql)
            .bind(id)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.as_ref().map(R::from_row).transpose()?)
    }
}

/// A stored value that its type does not take.
pub(crate) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
