//! Building a read model from the log again, beside the one that is live, and comparing two of them.
//!
//! [`rebuild`] fills a schema of its own: tables first, keys and indexes last. Reading, folding and writing overlap;
//! each stretch of the log is read, and each batch of rows written, in a short transaction of its own, so that nothing
//! holds back the clean-up of the database. Memory is bounded by [`Settings`]. What an event means is the projector's
//! own code; only how rows are read and written differs.
//!
//! An event that cannot be read parks its key in the result, as the live view would. Where the database itself refuses
//! a row (a character that it does not store, a key that is there twice), the schema is built once more with the
//! projector's own statements, event by event where it must be, so that just the key at fault is parked.

mod careful;
mod copy;
mod differences;
mod fold;
mod layout;
mod read;
mod rows;
mod writer;

use std::time::Instant;

use eventstore::{
    EventLog,
    event::Unreadable,
    position::{Head, Position},
    subscription::HandleError,
};
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::sync::mpsc;

pub use self::differences::{CompareError, Difference, Found, differences};
pub(crate) use self::{
    copy::{CopyRows, Field},
    fold::Fold,
    rows::{Row, Rows},
    writer::{Closed, Writer},
};
use self::{
    fold::{Folded, fold_all},
    layout::Layout,
    read::{Until, read_all},
    writer::Target,
};
use crate::{
    carts::{CartsFold, CartsProjector},
    categories::CategoryView,
    discounts::DiscountView,
    one_row_each::{RowFold, RowProjector},
    orders::{OrdersFold, OrdersProjector},
    payments::{PaymentsFold, PaymentsProjector},
    products::{ProductsFold, ProductsProjector},
    regions::RegionView,
    shops::ShopView,
    timeline::{TimelineFold, TimelineProjector},
    views::{Schema, View},
};

/// Stretches that wait to be folded, beside the one that is being read and the one that is being folded.
const WAITING_STRETCHES: usize = 1;

/// How a view is rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The head to end at, which the log must hold. Without one: the end of the log, as it is when it is come near to.
    pub until: Option<Head>,
    /// Positions that are read at once, in one transaction.
    pub stretch: u32,
    /// Most rows of a table that are kept in memory between two stretches because events may still move them: some 300
    /// bytes each.
    pub rows_in_memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            until: None,
            stretch: 20_000,
            rows_in_memory: 200_000,
        }
    }
}

/// A view that was built from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Where it is.
    pub schema: Schema,
    /// The last event that is in it: a projector goes on behind this one.
    pub head: Head,
    /// How many events the view has read.
    pub events: u64,
    /// Keys that are left out, from the event on that could not be handled.
    pub parked: Vec<ParkedKey>,
}

/// A key that a rebuild left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedKey {
    /// The key of the view: an order, a product.
    pub key: String,
    /// Why its first event could not be handled.
    pub error: String,
    /// The events that are not in the view, in order.
    pub positions: Vec<Position>,
}

/// Why a view was not rebuilt. What was built of it is removed, unless the database could not be asked to.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The schema is there already.
    #[error("the schema {0} exists already")]
    Exists(Schema),
    /// A newer binary wrote to the log.
    #[error("at position {position}: {unreadable}")]
    Newer {
        /// Where.
        position: Position,
        /// What.
        unreadable: Unreadable,
    },
    /// It is not single events that are wrong.
    #[error("too many keys cannot be handled; the next is that of position {position}: {error}")]
    TooManyParked {
        /// Where it was given up.
        position: Position,
        /// Why that event could not be handled.
        error: String,
    },
    /// The log does not hold the event that was to be the last, or one that was read before.
    #[error("the log does not hold event {} at position {}", at.event_id, at.position)]
    Diverged {
        /// The event.
        at: Head,
    },
    /// What the database sent is not a copy of events.
    #[error("the database sent rows that are none")]
    Garbled,
    /// A view that must not skip events cannot handle one.
    #[error("{0}")]
    Handle(#[from] HandleError),
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Builds `view` into `schema`, which must not exist, from the first event on.
pub async fn rebuild(
    log: &EventLog,
    view: View,
    schema: &Schema,
    settings: Settings,
) -> Result<Rebuilt, RebuildError> {
    let options = log.background_pool().connect_options();
    let mut connection = layout::connect(&options).await?;
    if exists(schema, &mut connection).await? {
        return Err(RebuildError::Exists(schema.clone()));
    }
    let mut built = build(&options, view, schema, settings).await;
    if let Err(RebuildError::Handle(HandleError::Poison(reason))) = &built {
        tracing::warn!(%view, %schema, reason, "the database refuses a row; rebuilding event by event");
        drop_schema(schema, &mut connection).await?;
        built = build_carefully(log, &options, view, schema, settings).await;
    }
    match built {
        Ok(rebuilt) => {
            seal(&rebuilt, &mut connection).await?;
            connection.close().await?;
            Ok(rebuilt)
        }
        Err(error) => {
            if let Err(left) = drop_schema(schema, &mut connection).await {
                tracing::warn!(%schema, %left, "a rebuild that failed could not be removed");
            }
            Err(error)
        }
    }
}

/// Removes a rebuilt schema. One that queries go to is not removed.
pub async fn discard(pool: &PgPool, schema: &Schema) -> Result<(), DiscardError> {
    let mut connection = pool.acquire().await?;
    let live: bool =
        sqlx::query_scalar("select exists (select 1 from view_pointers where schema = $1)")
            .bind(schema.as_str())
            .fetch_one(&mut *connection)
            .await?;
    if live || View::ALL.iter().any(|view| view.schema() == *schema) {
        return Err(DiscardError::Live(schema.clone()));
    }
    Ok(drop_schema(schema, &mut connection).await?)
}

/// Why a schema was not removed.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// It is in use.
    #[error("the schema {0} is that of a live read model")]
    Live(Schema),
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Notes at the schema how far it was built. Waiting for this to be on disk is waiting for all that was written before
/// without waiting.
async fn seal(rebuilt: &Rebuilt, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (schema, head) = (&rebuilt.schema, rebuilt.head);
    let statement = format!(
        "set local synchronous_commit = on; \
         comment on schema {schema} is 'rebuilt from the log: up to position {}, event {}'",
        head.position, head.event_id
    );
    let mut tx = connection.begin().await?;
    sqlx::raw_sql(&statement).execute(&mut *tx).await?;
    tx.commit().await
}

async fn exists(schema: &Schema, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regnamespace($1) is not null")
        .bind(schema.as_str())
        .fetch_one(connection)
        .await
}

async fn drop_schema(schema: &Schema, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let statement = format!("drop schema if exists {schema} cascade");
    sqlx::raw_sql(&statement).execute(connection).await?;
    Ok(())
}

async fn build(
    options: &PgConnectOptions,
    view: View,
    schema: &Schema,
    settings: Settings,
) -> Result<Rebuilt, RebuildError> {
    match view {
        View::Regions => pipeline::<RowFold<RegionView>>(options, view, schema, settings).await,
        View::Categories => {
            pipeline::<RowFold<CategoryView>>(options, view, schema, settings).await
        }
        View::Shops => pipeline::<RowFold<ShopView>>(options, view, schema, settings).await,
        View::Products => pipeline::<ProductsFold>(options, view, schema, settings).await,
        View::Discounts => pipeline::<RowFold<DiscountView>>(options, view, schema, settings).await,
        View::Carts => pipeline::<CartsFold>(options, view, schema, settings).await,
        View::Orders => pipeline::<OrdersFold>(options, view, schema, settings).await,
        View::Payments => pipeline::<PaymentsFold>(options, view, schema, settings).await,
        View::Timeline => pipeline::<TimelineFold>(options, view, schema, settings).await,
    }
}

/// Reads, folds and writes, all three at once.
async fn pipeline<F: Fold>(
    options: &PgConnectOptions,
    view: View,
    schema: &Schema,
    settings: Settings,
) -> Result<Rebuilt, RebuildError> {
    let begun = Instant::now();
    let mut connection = layout::connect(options).await?;
    let target = Target {
        layout: Layout::create(view, schema, &mut connection).await?,
        connection,
    };
    let source = layout::connect(options).await?;
    let until = Until {
        head: settings.until,
        stretch: i64::from(settings.stretch.max(1)),
    };
    let (stretches, read_stretches) = mpsc::channel(WAITING_STRETCHES);
    let (writer, jobs) = Writer::new();
    let fold = F::new(schema, settings.rows_in_memory.max(1));
    // each ends when its neighbour does, also when this future is dropped
    let reading = tokio::spawn(read_all(source, view.reads(), until, stretches));
    let folding = tokio::task::spawn_blocking(move || fold_all::<F>(fold, read_stretches, &writer));
    let written = target.run(jobs).await;
    let (folded, read) = (joined(folding.await), joined(reading.await));
    let target = written?;
    let Folded { events, parked } = folded??;
    let head = read??;
    let filled = begun.elapsed();
    target.layout.finish(schema, options).await?;
    target.connection.close().await?;
    let indexed = begun.elapsed().saturating_sub(filled);
    tracing::info!(%view, %schema, events, ?filled, ?indexed, "read model rebuilt");
    Ok(Rebuilt {
        schema: schema.clone(),
        head,
        events,
        parked,
    })
}

/// What a task has returned. It panics where that one did, and nobody aborts it.
fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, RebuildError> {
    result.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => RebuildError::Handle(HandleError::Passing("shutting down".into())),
    })
}

async fn build_carefully(
    log: &EventLog,
    options: &PgConnectOptions,
    view: View,
    schema: &Schema,
    settings: Settings,
) -> Result<Rebuilt, RebuildError> {
    let mut connection = layout::connect(options).await?;
    let layout = Layout::create(view, schema, &mut connection).await?;
    layout.finish(schema, options).await?;
    let own = schema.clone();
    match view {
        View::Regions => {
            let projector = RowProjector::<RegionView>::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Categories => {
            let projector = RowProjector::<CategoryView>::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Shops => {
            let projector = RowProjector::<ShopView>::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Products => {
            let projector = ProductsProjector::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Discounts => {
            let projector = RowProjector::<DiscountView>::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Carts => {
            let projector = CartsProjector::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Orders => {
            let projector = OrdersProjector::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Payments => {
            let projector = PaymentsProjector::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
        View::Timeline => {
            let projector = TimelineProjector::within(own);
            careful::run(log, connection, projector, schema, settings).await
        }
    }
}
