//! The rows that events move, in memory while they move: a bounded number. Rows that were not moved for longest are
//! written when there are too many, and read again where an event asks for one of them after all. Most rows are
//! complete within a short stretch of the log, so that most are written once.

use std::{collections::HashMap, future::Future};

use eventstore::subscription::HandleError;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    copy::CopyRows,
    writer::{Closed, Writer},
};
use crate::views::Schema;

/// A row that events move. What moves it is its own; this is how it is read and written.
pub(crate) trait Row: Clone + Send + Sync + 'static {
    /// The table.
    const TABLE: &'static str;
    /// Its columns, as [`Self::push`] orders them.
    const COLUMNS: &'static str;

    /// Adds the row to those to be copied.
    fn push(&self, id: Uuid, rows: &mut CopyRows);

    /// Those of the rows that are in the table.
    fn load(
        schema: &Schema,
        ids: &[Uuid],
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<HashMap<Uuid, Self>, HandleError>> + Send;

    /// Writes rows that are in the table as they are now.
    fn update(
        schema: &Schema,
        rows: &HashMap<Uuid, Self>,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<(), HandleError>> + Send;
}

struct Slot<R> {
    row: R,
    /// Whether the table has an older one.
    stored: bool,
    /// Whether it was touched since it was read.
    changed: bool,
    /// When it was last touched, in steps of [`Rows::clock`].
    touched: u64,
}

/// See the module.
pub(crate) struct Rows<R> {
    schema: Schema,
    slots: HashMap<Uuid, Slot<R>>,
    limit: usize,
    /// Whether the table has rows that are not here.
    spilled: bool,
    clock: u64,
    copy: CopyRows,
}

impl<R: Row> Rows<R> {
    /// At most `limit` rows stay between two batches.
    pub(crate) fn new(schema: &Schema, limit: usize) -> Self {
        Self {
            schema: schema.clone(),
            slots: HashMap::new(),
            limit,
            spilled: false,
            clock: 0,
            copy: CopyRows::new(schema, R::TABLE, R::COLUMNS),
        }
    }

    /// Gets those of the rows that a batch may need and that are in the table only.
    pub(crate) fn fetch(
        &mut self,
        ids: impl Iterator<Item = Uuid>,
        writer: &Writer,
    ) -> Result<(), Closed> {
        if !self.spilled {
            return Ok(());
        }
        let mut missing: Vec<Uuid> = ids.filter(|id| !self.slots.contains_key(id)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let schema = self.schema.clone();
        let rows = writer.read(move |target| {
            Box::pin(async move {
                target.key(R::TABLE).await?;
                R::load(&schema, &missing, &mut target.connection).await
            })
        })?;
        let touched = self.clock;
        self.slots.extend(rows.into_iter().map(|(id, row)| {
            let slot = Slot {
                row,
                stored: true,
                changed: false,
                touched,
            };
            (id, slot)
        }));
        Ok(())
    }

    /// The row, to be moved.
    pub(crate) fn get_mut(&mut self, id: Uuid) -> Option<&mut R> {
        self.clock += 1;
        let slot = self.slots.get_mut(&id)?;
        slot.touched = self.clock;
        slot.changed = true;
        Some(&mut slot.row)
    }

    /// Takes in a row that is nowhere yet.
    pub(crate) fn insert(&mut self, id: Uuid, row: R) {
        self.clock += 1;
        let slot = Slot {
            row,
            stored: false,
            changed: true,
            touched: self.clock,
        };
        self.slots.insert(id, slot);
    }

    /// Where there are too many, writes the half that was not touched for longest and forgets it.
    pub(crate) fn shrink(&mut self, writer: &Writer) -> Result<(), Closed> {
        if self.slots.len() <= self.limit {
            return Ok(());
        }
        let mut ages: Vec<u64> = self.slots.values().map(|slot| slot.touched).collect();
        let surplus = ages.len() - self.limit / 2;
        let (_, last, _) = ages.select_nth_unstable(surplus - 1);
        let last = *last;
        self.spilled = true;
        self.write(|slot| slot.touched <= last, writer)
    }

    /// Writes all that is left.
    pub(crate) fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        self.write(|_| true, writer)
    }

    fn write(&mut self, which: impl Fn(&Slot<R>) -> bool, writer: &Writer) -> Result<(), Closed> {
        let mut written: Vec<(Uuid, Slot<R>)> =
            self.slots.extract_if(|_, slot| which(slot)).collect();
        // ids are made in the order of time: neighbours in the table are neighbours in its key
        written.sort_unstable_by_key(|(id, _)| *id);
        let mut updated = HashMap::new();
        for (id, slot) in written {
            if !slot.stored {
                slot.row.push(id, &mut self.copy);
                self.copy.send_full(writer)?;
            } else if slot.changed {
                updated.insert(id, slot.row);
            }
        }
        self.copy.send(writer)?;
        if updated.is_empty() {
            return Ok(());
        }
        let schema = self.schema.clone();
        writer.run(move |target| {
            Box::pin(async move { R::update(&schema, &updated, &mut target.connection).await })
        })
    }
}
