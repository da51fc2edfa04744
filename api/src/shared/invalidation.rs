//! Takes out of [`super::products`] what has changed: follows products, their stock and shops. One process leads, as with
//! every subscription; which begins at the end of the log with a generation of its own, so that nothing of before counts.
//! What it does to Redis, and why that is enough, is written there.
//!
//! While Redis is away it follows the log and does nothing else; the next generation begins when Redis is back. Where there is
//! a generation of somebody who took the lease later, this process was paused and overtaken: it ends its lead.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use domain::{
    inventory, product,
    shop::{self, Shop, ShopEvent},
};
use eventstore::{
    EventLog,
    event::RecordedEvent,
    position::{Head, Position},
    subscription::{HandleError, Lease, Worker},
};
use tokio::{
    sync::Mutex,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use uuid::Uuid;

use super::{
    link::Task,
    products::{Begun, FLOOR_LAG, ProductCache, Stretch},
};

/// Name of the subscription.
const NAME: &str = "product_cache";
/// How often a generation is renewed, or another one begun.
const RENEWAL: Duration = Duration::from_secs(1);
/// How long the database may take to say where the log ends, or to note the progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long ago the end of the log may have been looked up that a generation is renewed for having come to. Whoever was
/// paused since does not know what has happened.
const LATELY: Duration = Duration::from_secs(2);
/// How often the progress is noted while there is something to do. At the end of the log it is at once.
const NOTING: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Invalidation {
    log: EventLog,
    cache: ProductCache,
    progress: Arc<Mutex<Progress>>,
    renewing: Option<Task>,
    /// What the checkpoint says, and since when.
    noted: Option<(Head, Instant)>,
}

impl Invalidation {
    /// Of these products, by this log.
    pub(crate) fn new(log: EventLog, cache: ProductCache) -> Self {
        Self {
            log,
            cache,
            progress: Arc::default(),
            renewing: None,
            noted: None,
        }
    }

    /// Copies the progress to the checkpoint, for operators; nothing is read from there.
    async fn note(&mut self, lease: &Lease, head: Head) {
        let noted = sqlx::query(
            "update subscriptions set position = $3, event_id = $4, updated_at = clock_timestamp() \
             where name = $1 and epoch = $2",
        )
        .bind(&lease.name)
        .bind(lease.epoch)
        .bind(head.position.0)
        .bind(head.event_id)
        .execute(self.log.background_pool());
        if let Some(Err(error)) = in_time(noted).await {
            tracing::debug!(%error, "the progress was not noted");
        }
        self.noted = Some((head, Instant::now()));
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    timeout(PATIENCE, work).await.ok()
}

/// How far it has come, and in which generation.
#[derive(Default)]
struct Progress {
    /// None while there is none in Redis that can be relied on.
    generation: Option<String>,
    at: Head,
    floors: Floors,
    /// Of the lease.
    epoch: i64,
    /// Somebody else has taken it since.
    overtaken: bool,
}

impl Progress {
    async fn begin(&mut self, cache: &ProductCache) {
        let generation = Uuid::new_v4().simple().to_string();
        self.floors = Floors::beginning(self.at.position);
        let begun = cache.begin(&generation, self.epoch, self.at.position);
        let begun = begun.await;
        self.generation = (begun == Begun::Yes).then_some(generation);
        self.overtaken = begun == Begun::Overtaken;
    }

    /// Ends the lead where it is another's by now.
    fn assure_leads(&self) -> Result<(), HandleError> {
        if self.overtaken {
            Err(HandleError::Fenced)
        } else {
            Ok(())
        }
    }

    async fn renew(&mut self, cache: &ProductCache) {
        let (at, floor) = (self.at.position, self.floors.floor(Instant::now()));
        let goes_on = match &self.generation {
            Some(generation) => cache.renew(generation, at, floor).await,
            None => false,
        };
        if !goes_on {
            self.begin(cache).await;
        }
    }
}

/// Where it was when, as far back as is needed to tell where it was [`FLOOR_LAG`] ago.
#[derive(Default)]
struct Floors(VecDeque<(Instant, Position)>);

impl Floors {
    fn beginning(at: Position) -> Self {
        Self(VecDeque::from([(Instant::now(), at)]))
    }

    fn reached(&mut self, at: Position) {
        self.0.push_back((Instant::now(), at));
    }

    /// Marks of all events behind this position were made no longer ago than [`FLOOR_LAG`], or there are none.
    fn floor(&mut self, now: Instant) -> Position {
        let is_past = |(when, _): &(Instant, Position)| now.duration_since(*when) >= FLOOR_LAG;
        while self.0.get(1).is_some_and(is_past) {
            self.0.pop_front();
        }
        self.0.front().map_or(Position::START, |(_, at)| *at)
    }
}

/// What the events of a batch change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    /// With the position of the last change.
    products: BTreeMap<Uuid, Position>,
    /// All of a shop, or more than can be told: which products those are is not known here.
    unknown: bool,
}

impl Changes {
    fn of(events: &[Arc<RecordedEvent>]) -> Self {
        let mut changes = Self::default();
        for event in events {
            match &*event.aggregate_type {
                // a product and its inventory have the same id; what is not named by a uuid is read by nobody
                product::TYPE | inventory::TYPE => {
                    if let Ok(id) = Uuid::try_parse(&event.aggregate_id) {
                        changes.products.insert(id, event.position);
                    }
                }
                shop::TYPE => changes.unknown |= changes_products(event),
                _ => {}
            }
        }
        changes
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

impl Worker for Invalidation {
    fn name(&self) -> &str {
        NAME
    }

    async fn start(&mut self, lease: &Lease) -> Result<Head, HandleError> {
        self.renewing = None;
        let at = self.log.head().await?;
        {
            let mut progress = self.progress.lock().await;
            progress.at = at;
            progress.epoch = lease.epoch;
            progress.begin(&self.cache).await;
            progress.assure_leads()?;
        }
        self.note(lease, at).await;
        let renewing = keep_renewing(self.log.clone(), self.cache.clone(), self.progress.clone());
        self.renewing = Some(Task(tokio::spawn(renewing).abort_handle()));
        Ok(at)
    }

    async fn process(
        &mut self,
        lease: &Lease,
        after: Head,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), HandleError> {
        let Some(done) = events.last().map(|event| event.head()) else {
            return Ok(());
        };
        let changes = Changes::of(events);
        {
            let mut progress = self.progress.lock().await;
            let stretch = Stretch {
                after: after.position,
                to: done.position,
                floor: progress.floors.floor(Instant::now()),
            };
            let taken_out = match &progress.generation {
                Some(generation) if !changes.unknown => {
                    let products = &changes.products;
                    self.cache.take_out(generation, stretch, products).await
                }
                _ => false,
            };
            progress.at = done;
            progress.floors.reached(done.position);
            if !taken_out {
                progress.begin(&self.cache).await;
            }
            progress.assure_leads()?;
        }
        let is_due = |(_, when): (Head, Instant)| when.elapsed() >= NOTING;
        if self.noted.is_none_or(is_due) {
            self.note(lease, done).await;
        }
        Ok(())
    }

    async fn idle(&mut self, lease: &Lease, done: Head) -> Result<(), HandleError> {
        self.progress.lock().await.assure_leads()?;
        if self.noted.is_none_or(|(noted, _)| noted != done) {
            self.note(lease, done).await;
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.renewing = None;
        let generation = self.progress.lock().await.generation.take();
        if let Some(generation) = generation {
            self.cache.end(&generation).await;
        }
    }
}

/// Renews the generation as long as everything is taken out that was in the log a moment ago, and the log is still the one
/// that was followed; begins another one where Redis does not have it any more.
async fn keep_renewing(log: EventLog, cache: ProductCache, progress: Arc<Mutex<Progress>>) {
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<(Instant, Position)> = None;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let Some(Ok(head)) = in_time(log.head()).await else {
            continue;
        };
        let at = progress.lock().await.at;
        let current = before.is_some_and(|before| is_current(at.position, before, now));
        before = Some((now, head.position));
        if current && matches!(in_time(log.holds(at)).await, Some(Ok(true))) {
            progress.lock().await.renew(&cache).await;
        }
    }
}

/// Whether whoever has come to `at` has handled all that was in the log a moment ago, where it ended there then.
fn is_current(at: Position, (looked, end): (Instant, Position), now: Instant) -> bool {
    now.duration_since(looked) <= LATELY && at >= end
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_was_paused_does_not_know_whether_it_has_come_to_the_end() {
        let looked = Instant::now();
        let is_current = |at, seconds| {
            let now = looked + Duration::from_secs(seconds);
            is_current(Position(at), (looked, Position(10)), now)
        };
        assert!(is_current(10, 1) && is_current(11, 2));
        assert!(!is_current(9, 1), "something is to be handled yet");
        assert!(!is_current(10, 3), "it was long ago");
    }

    fn event(position: i64, aggregate_type: &str, id: &str, event_type: &str) -> RecordedEvent {
        RecordedEvent {
            position: Position(position),
            event_id: Uuid::from_u128(position as u128),
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            aggregate_type: aggregate_type.into(),
            aggregate_id: id.into(),
            sequence: 1,
            event_type: event_type.into(),
            event_version: "1.0".into(),
            payload: format!(r#"{{"type":"{event_type}"}}"#).into(),
            metadata: "{}".into(),
        }
    }

    fn changes(events: Vec<RecordedEvent>) -> Changes {
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        Changes::of(&events)
    }

    #[test]
    fn a_product_is_taken_out_up_to_the_last_event_of_it_or_of_its_stock() {
        let [one, two] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let found = changes(vec![
            event(7, product::TYPE, &one.to_string(), "ProductCreated"),
            event(8, inventory::TYPE, &two.to_string(), "StockReserved"),
            event(9, "order", &Uuid::from_u128(3).to_string(), "OrderPlaced"),
            event(10, inventory::TYPE, &one.to_string(), "StockReserved"),
            event(11, inventory::TYPE, "of another program", "StockReserved"),
        ]);
        let products = BTreeMap::from([(one, Position(10)), (two, Position(8))]);
        assert_eq!(
            found,
            Changes {
                products,
                unknown: false
            }
        );
    }

    #[test]
    fn a_shop_that_closes_and_whatever_cannot_be_read_of_shops_takes_out_all() {
        let shop = Uuid::from_u128(1).to_string();
        for event_type in ["ShopClosed", "ShopMoved"] {
            let found = changes(vec![event(1, shop::TYPE, &shop, event_type)]);
            assert!(found.unknown, "{event_type}");
        }
        assert!(!changes(vec![event(1, "order", &shop, "OrderPlaced")]).unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn the_floor_is_where_it_was_some_seconds_ago_and_no_further() {
        let second = Duration::from_secs(1);
        let mut floors = Floors::beginning(Position(10));
        assert_eq!(floors.floor(Instant::now()), Position(10));
        tokio::time::advance(second).await;
        floors.reached(Position(20));
        tokio::time::advance(second).await;
        floors.reached(Position(30));
        // what came behind 10 has its mark still; what came before never had one in this generation
        assert_eq!(floors.floor(Instant::now()), Position(10));
        tokio::time::advance(second).await;
        assert_eq!(floors.floor(Instant::now()), Position(20));
        tokio::time::advance(second * 60).await;
        assert_eq!(floors.floor(Instant::now()), Position(30));
        floors.reached(Position(40));
        assert_eq!(floors.floor(Instant::now()), Position(30));
    }
}
