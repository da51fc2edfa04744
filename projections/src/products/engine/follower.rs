//! Keeps the index as the read model is: follows products, their stock and shops, reads the rows of what has changed, and
//! writes them as they are, not what the events say. One process leads, as with every subscription.
//!
//! What makes that right, whoever comes late:
//! - A row is read together with the position of its read model, in one statement, once that is behind the event. The
//!   position is the version of the document, and the engine refuses an earlier one (`external_gte`): of two writes the
//!   later state wins, in whatever order they come.
//! - How far the index is stands in the index itself, in a document whose version begins with the epoch of the lease.
//!   Whoever takes the lease writes it first: from then on whoever led before is refused. The checkpoint in the database is
//!   a copy for operators.
//! - An index that is gone, that does not say how far it is, or that says an event which the log does not hold (it is of
//!   another database, or the log was restored to an older state) is made anew, and filled from the first event on. That
//!   takes each product once: what was read is of the end of the log, and so holds the events behind.
//!
//! A document that the engine refuses for what it is parks its product, which is tried again when it changes, and by whoever
//! leads next. Everything else passes and is tried again until it succeeds.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    inventory, product,
    shop::{self, Shop, ShopEvent},
};
use eventstore::{
    EventLog,
    event::RecordedEvent,
    position::{Head, Position},
    subscription::{self, HandleError, Lease, MAX_PARKED_KEYS, Subscriptions, WaitError, Worker},
};
use lru::LruCache;
use sqlx::Row;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::{
    client::{Client, Fault},
    document,
};
use crate::{
    products::queries::{COLUMNS, ProductView},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// Name of the subscription.
const NAME: &str = "product_search";
/// Most events at once.
const BATCH_EVENTS: usize = 2_000;
/// Batches that are not full begin this far apart: what is written is found a second later anyway, and a product that is
/// sold ten times meanwhile is written once.
const GATHERING: Duration = Duration::from_millis(200);
/// How often it is noted down how far the index is, where nothing was written.
const NOTING: Duration = Duration::from_millis(500);
/// How often it is noted down once more where nothing has happened: so it is found out that the index is gone.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long the read model may take to get to an event, before that is said.
const READ_MODEL_PATIENCE: Duration = Duration::from_secs(30);
/// How long an engine that is away is waited for in silence …
const OUTAGE_PATIENCE: Duration = Duration::from_secs(40);
/// … being asked so often.
const LOOK: Duration = Duration::from_secs(1);
/// Most rows that are read at once.
const ROWS: usize = 1_000;
/// From so many bytes on a request is sent.
const REQUEST_BYTES: usize = 2 * 1024 * 1024;
/// Most products of which it is remembered what was written.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// The version of how far the index is: the epoch, then the position in so many bits.
const POSITION_BITS: u32 = 40;

/// See the module.
pub struct Follower {
    log: EventLog,
    read_models: ReadModels,
    subscriptions: Subscriptions,
    client: Arc<Client>,
    /// What was written in the epoch `led`.
    written: LruCache<Uuid, Written>,
    led: Option<i64>,
    /// Products that the engine has refused.
    parked: BTreeMap<Uuid, Position>,
    /// Those of them that are still to be tried once more.
    again: BTreeMap<Uuid, Position>,
    noted: Option<(Head, Instant)>,
}

/// What is known of a document that was written in this epoch.
struct Written {
    /// Every event of the product up to here is in it.
    as_of: Position,
    digest: u64,
}

/// Products as the read model had them at one moment.
struct Rows {
    as_of: Position,
    /// The epoch of this subscription at that moment.
    epoch: i64,
    products: Vec<ProductView>,
}

/// What the events of a batch change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    /// With the position of the last change.
    products: BTreeMap<Uuid, Position>,
    /// Those of which all products may have changed.
    shops: BTreeMap<Uuid, Position>,
}

impl Changes {
    fn of(events: &[Arc<RecordedEvent>]) -> Self {
        let mut changes = Self::default();
        for event in events {
            // what is not named by a uuid is in no read model
            let Ok(id) = Uuid::try_parse(&event.aggregate_id) else {
                continue;
            };
            match &*event.aggregate_type {
                // a product and its inventory have the same id
                product::TYPE | inventory::TYPE => {
                    changes.products.insert(id, event.position);
                }
                shop::TYPE if changes_products(event) => {
                    changes.shops.insert(id, event.position);
                }
                _ => {}
            }
        }
        changes
    }

    fn is_empty(&self) -> bool {
        self.products.is_empty() && self.shops.is_empty()
    }
}

/// Whether an event of a shop changes what is shown of its products. One that cannot be read may.
fn changes_products(event: &RecordedEvent) -> bool {
    match event.decode::<Shop>() {
        Ok(
            ShopEvent::ShopRequested { .. }
            | ShopEvent::ShopOpened { .. }
            | ShopEvent::ShopDetailsChanged { .. },
        ) => false,
        Ok(ShopEvent::ShopClosed {}) | Err(_) => true,
    }
}

impl From<Fault> for HandleError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict => Self::Fenced,
            passing => Self::Passing(passing.to_string()),
        }
    }
}

impl From<QueryError> for HandleError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Database(error) => error.into(),
            other => Self::Passing(other.to_string()),
        }
    }
}

impl Follower {
    pub(super) fn new(
        client: Arc<Client>,
        log: EventLog,
        read_models: ReadModels,
        subscriptions: Subscriptions,
    ) -> Self {
        Self {
            log,
            read_models,
            subscriptions,
            client,
            written: LruCache::new(REMEMBERED),
            led: None,
            parked: BTreeMap::new(),
            again: BTreeMap::new(),
            noted: None,
        }
    }

    /// How far the index is, where it is of this log.
    async fn progress(&self) -> Result<Option<Head>, HandleError> {
        let until = Instant::now() + OUTAGE_PATIENCE;
        let told = loop {
            match self.client.progress().await {
                // an outage is not to be a line in the log for each try
                Err(Fault::Away(_)) if Instant::now() < until => sleep(LOOK).await,
                Err(Fault::NoIndex) => break None,
                told => break told?,
            }
        };
        let Some(head) = told else {
            return Ok(None);
        };
        if self.log.holds(head).await? {
            return Ok(Some(head));
        }
        tracing::warn!("the search index was made from another history");
        Ok(None)
    }

    /// Notes down how far the index is, for itself and for operators.
    async fn note(&mut self, lease: &Lease, head: Head) -> Result<(), HandleError> {
        let version = (lease.epoch << POSITION_BITS) + head.position.0;
        self.client.note(head, version).await?;
        let copied = sqlx::query(
            "update subscriptions set position = $3, event_id = $4, updated_at = clock_timestamp() \
             where name = $1 and epoch = $2",
        )
        .bind(&lease.name)
        .bind(lease.epoch)
        .bind(head.position.0)
        .bind(head.event_id)
        .execute(self.log.background_pool())
        .await?;
        if copied.rows_affected() == 0 {
            return Err(HandleError::Fenced);
        }
        self.noted = Some((head, Instant::now()));
        Ok(())
    }

    /// Whether that needs not be noted down now.
    fn is_noted(&self, head: Head) -> bool {
        self.noted.is_some_and(|(noted, since)| {
            let lasts = if noted == head { RENEWAL } else { NOTING };
            since.elapsed() < lasts
        })
    }

    /// The schema that queries go to, once it has got to an event.
    async fn schema_at(&self, position: Position) -> Result<Schema, HandleError> {
        let schema = self.read_models.schema(View::Products).await?;
        let there = self
            .subscriptions
            .wait_for(schema.as_str(), position, READ_MODEL_PATIENCE);
        match there.await {
            Ok(()) => Ok(schema),
            Err(WaitError::Database(error)) => Err(error.into()),
            Err(error @ WaitError::TooSlow) => Err(HandleError::Passing(error.to_string())),
        }
    }

    /// Writes these products as they are.
    async fn write_products(
        &mut self,
        lease: &Lease,
        schema: &Schema,
        changed: &BTreeMap<Uuid, Position>,
    ) -> Result<(), HandleError> {
        let is_due = |(id, position): (&Uuid, &Position)| {
            let written = self.written.peek(id);
            let is_written = written.is_some_and(|written| written.as_of >= *position);
            (!is_written).then_some(*id)
        };
        let due: Vec<Uuid> = changed.iter().filter_map(is_due).collect();
        for ids in due.chunks(ROWS) {
            let rows = rows(&self.log, schema, ids).await?;
            if rows.epoch != lease.epoch {
                return Err(HandleError::Fenced);
            }
            let last = ids.iter().filter_map(|id| changed.get(id)).max();
            if last.is_some_and(|last| rows.as_of < *last) {
                let reason = "queries have gone over to a read model that is not there yet";
                return Err(HandleError::Passing(reason.into()));
            }
            self.write_rows(rows, changed).await?;
        }
        Ok(())
    }

    async fn write_rows(
        &mut self,
        rows: Rows,
        changed: &BTreeMap<Uuid, Position>,
    ) -> Result<(), HandleError> {
        let as_of = rows.as_of;
        let mut request = Request::default();
        for product in &rows.products {
            let id = product.product_id.0;
            let document = document::of(product);
            let digest = digest(&document);
            match self.written.get_mut(&id) {
                // most sales change nothing that is in it
                Some(written) if written.digest == digest => written.as_of = as_of,
                _ => request.add(id, as_of, digest, &document),
            }
            if request.lines.len() >= REQUEST_BYTES {
                self.send(std::mem::take(&mut request), as_of, changed)
                    .await?;
            }
        }
        self.send(request, as_of, changed).await
    }

    async fn send(
        &mut self,
        request: Request,
        as_of: Position,
        changed: &BTreeMap<Uuid, Position>,
    ) -> Result<(), HandleError> {
        let Request { lines, documents } = request;
        if documents.is_empty() {
            return Ok(());
        }
        // until it has answered it is not known what the engine holds
        for (id, _) in &documents {
            self.written.pop(id);
        }
        let refused: BTreeMap<usize, String> =
            self.client.write(lines).await?.into_iter().collect();
        for (number, (id, digest)) in documents.into_iter().enumerate() {
            if let Some(reason) = refused.get(&number) {
                let position = changed.get(&id).copied().unwrap_or(as_of);
                self.park(id, position, reason).await?;
                continue;
            }
            self.written.put(id, Written { as_of, digest });
            if self.parked.remove(&id).is_some() {
                let pool = self.log.background_pool();
                subscription::discard(pool, NAME, &id.to_string()).await?;
            }
        }
        Ok(())
    }

    /// Notes down a product that the engine refuses, so that somebody looks at it.
    async fn park(
        &mut self,
        id: Uuid,
        position: Position,
        reason: &str,
    ) -> Result<(), HandleError> {
        let known = self.parked.get(&id).copied();
        if known.is_none() && self.parked.len() as i64 >= MAX_PARKED_KEYS {
            return Err(HandleError::Passing(format!(
                "the search engine has refused {MAX_PARKED_KEYS} products, and now {id}: {reason}"
            )));
        }
        // one row for each, since what is written is not the event
        let position = known.unwrap_or(position);
        tracing::error!(subscription = NAME, key = %id, reason, "the search engine refuses a product: key parked");
        sqlx::query(
            "insert into parked_events (subscription, key, position, error) values ($1, $2, $3, $4) \
             on conflict (subscription, key, position) do update set error = excluded.error",
        )
        .bind(NAME)
        .bind(id.to_string())
        .bind(position.0)
        .bind(reason)
        .execute(self.log.background_pool())
        .await?;
        self.parked.insert(id, position);
        Ok(())
    }

    async fn load_parked(&mut self) -> Result<(), HandleError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select key, min(position) from parked_events where subscription = $1 group by key",
        )
        .bind(NAME)
        .fetch_all(self.log.background_pool())
        .await?;
        let known = rows.into_iter().filter_map(|(key, position)| {
            let id = Uuid::try_parse(&key).ok()?;
            Some((id, Position(position)))
        });
        self.parked = known.collect();
        self.again.clone_from(&self.parked);
        Ok(())
    }

    /// All products of a shop, some at a time.
    async fn write_shop(
        &mut self,
        lease: &Lease,
        schema: &Schema,
        shop: Uuid,
        position: Position,
    ) -> Result<(), HandleError> {
        // by the index of a shop's newest products
        let sql = schema.sql(
            "select product_id, created_at from {schema}.products \
             where shop_id = $1 and (created_at, product_id) > ($2, $3) order by created_at, product_id limit $4",
        );
        let mut after = (DateTime::<Utc>::UNIX_EPOCH, Uuid::nil());
        loop {
            let page: Vec<(Uuid, DateTime<Utc>)> = sqlx::query_as(&sql)
                .bind(shop)
                .bind(after.0)
                .bind(after.1)
                .bind(ROWS as i64)
                .fetch_all(self.log.background_pool())
                .await?;
            let Some((id, created_at)) = page.last() else {
                return Ok(());
            };
            after = (*created_at, *id);
            let changed = page.iter().map(|(id, _)| (*id, position)).collect();
            self.write_products(lease, schema, &changed).await?;
        }
    }
}

/// Documents to be written, as lines of the bulk interface.
#[derive(Default)]
struct Request {
    lines: Vec<u8>,
    documents: Vec<(Uuid, u64)>,
}

impl Request {
    fn add(&mut self, id: Uuid, as_of: Position, digest: u64, document: &[u8]) {
        let action = format!(
            "{{\"index\":{{\"_id\":\"{id}\",\"version\":{as_of},\"version_type\":\"external_gte\"}}}}\n"
        );
        self.lines.extend_from_slice(action.as_bytes());
        self.lines.extend_from_slice(document);
        self.lines.push(b'\n');
        self.documents.push((id, digest));
    }
}

fn digest(document: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    document.hash(&mut hasher);
    hasher.finish()
}

/// Those of the products that have a row, with the position that belongs to them: one statement, so one moment, and a read
/// model commits with its checkpoint. The epoch is of the same moment: whoever reads for a lease that was lost finds out.
async fn rows(log: &EventLog, schema: &Schema, ids: &[Uuid]) -> Result<Rows, sqlx::Error> {
    // by the keys of the tables
    let sql = schema.sql(
        "select seen.as_of, seen.epoch, p.product_id is not null as is_there, {columns} \
         from (select coalesce((select position from subscriptions where name = $2), 0) as as_of, \
                      coalesce((select epoch from subscriptions where name = $3), 0) as epoch) seen \
         left join ({schema}.products p join {schema}.stock s on s.product_id = p.product_id) on p.product_id = any($1)",
    );
    let found = sqlx::query(&sql.replace("{columns}", COLUMNS))
        .bind(ids)
        .bind(schema.as_str())
        .bind(NAME)
        .fetch_all(log.background_pool())
        .await?;
    let first = found.first().ok_or(sqlx::Error::RowNotFound)?;
    let mut rows = Rows {
        as_of: Position(first.try_get("as_of")?),
        epoch: first.try_get("epoch")?,
        products: Vec::with_capacity(found.len()),
    };
    for row in &found {
        if row.try_get("is_there")? {
            rows.products.push(ProductView::from_row(row)?);
        }
    }
    Ok(rows)
}

impl Worker for Follower {
    fn name(&self) -> &str {
        NAME
    }

    fn batch_events(&self) -> usize {
        BATCH_EVENTS
    }

    async fn start(&mut self, lease: &Lease) -> Result<Head, HandleError> {
        if self.led != Some(lease.epoch) {
            self.written.clear();
            self.led = Some(lease.epoch);
        }
        self.load_parked().await?;
        let head = if let Some(head) = self.progress().await? {
            head
        } else {
            let index = &self.client.names().index;
            tracing::info!(index, "the search index is made anew");
            self.written.clear();
            self.client.create().await?;
            Head::EMPTY
        };
        self.note(lease, head).await?;
        Ok(head)
    }

    async fn process(
        &mut self,
        lease: &Lease,
        _after: Head,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), HandleError> {
        let begun = Instant::now();
        let Some(done) = events.last().map(|event| event.head()) else {
            return Ok(());
        };
        let mut changes = Changes::of(events);
        for (id, position) in std::mem::take(&mut self.again) {
            changes.products.entry(id).or_insert(position);
        }
        if changes.is_empty() {
            if !self.is_noted(done) {
                self.note(lease, done).await?;
            }
            return Ok(());
        }
        let schema = self.schema_at(done.position).await?;
        self.write_products(lease, &schema, &changes.products)
            .await?;
        for (shop, position) in changes.shops {
            self.write_shop(lease, &schema, shop, position).await?;
        }
        self.note(lease, done).await?;
        if events.len() < BATCH_EVENTS {
            sleep_until(begun + GATHERING).await;
        }
        Ok(())
    }

    async fn idle(&mut self, lease: &Lease, done: Head) -> Result<(), HandleError> {
        if self.is_noted(done) {
            return Ok(());
        }
        self.note(lease, done).await
    }

    async fn stop(&mut self) {
        self.written.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(
        position: i64,
        aggregate_type: &str,
        id: &str,
        event_type: &str,
    ) -> Arc<RecordedEvent> {
        Arc::new(RecordedEvent {
            position: Position(position),
            event_id: Uuid::from_u128(position as u128),
            recorded_at: DateTime::UNIX_EPOCH,
            aggregate_type: aggregate_type.into(),
            aggregate_id: id.into(),
            sequence: 1,
            event_type: event_type.into(),
            event_version: "1.0".into(),
            payload: format!(r#"{{"type":"{event_type}"}}"#).into(),
            metadata: "{}".into(),
        })
    }

    #[test]
    fn a_product_changes_with_itself_and_its_stock_and_all_of_a_shop_when_it_closes() {
        let [one, two, shop] = [1, 2, 3].map(Uuid::from_u128);
        let [one_id, two_id, shop_id] = [one, two, shop].map(|id| id.to_string());
        let changes = Changes::of(&[
            event(7, product::TYPE, &one_id, "ProductCreated"),
            event(8, inventory::TYPE, &two_id, "StockReserved"),
            event(9, "order", &shop_id, "OrderPlaced"),
            event(10, inventory::TYPE, &one_id, "StockReserved"),
            event(11, inventory::TYPE, "of another program", "StockReserved"),
            event(12, shop::TYPE, &shop_id, "ShopClosed"),
        ]);
        let products = BTreeMap::from([(one, Position(10)), (two, Position(8))]);
        let shops = BTreeMap::from([(shop, Position(12))]);
        assert_eq!(changes, Changes { products, shops });
        // what cannot be read of a shop may have closed it
        let unread = Changes::of(&[event(1, shop::TYPE, &shop_id, "ShopMoved")]);
        assert_eq!(unread.shops.len(), 1);
        assert!(Changes::of(&[event(1, "order", &shop_id, "OrderPlaced")]).is_empty());
    }

    #[test]
    fn a_request_names_the_version_of_each_document() {
        let mut request = Request::default();
        let document = br#"{"product_id":"1"}"#;
        request.add(Uuid::from_u128(1), Position(42), digest(document), document);
        let lines = String::from_utf8(request.lines).unwrap();
        assert_eq!(
            lines,
            "{\"index\":{\"_id\":\"00000000-0000-0000-0000-000000000001\",\"version\":42,\"version_type\":\"external_gte\"}}\n\
             {\"product_id\":\"1\"}\n"
        );
    }

    #[test]
    fn whoever_takes_the_lease_is_later_than_all_before() {
        let version = |epoch: i64, position: i64| (epoch << POSITION_BITS) + position;
        assert!(version(2, 0) > version(1, (1 << POSITION_BITS) - 1));
        assert!(version(1, 5) > version(1, 4));
    }
}
