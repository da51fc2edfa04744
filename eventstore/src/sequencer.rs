//! The sequencer: the one task of a process that decides.
//!
//! It takes all units that wait, decides one after the other in memory, each against the state that the last one left,
//! appends what they drafted as one batch (see `append`), answers, and takes the next. One batch at a time: when it
//! fails, just its units are decided again, from what is stored.
//!
//! Guarantees, each with a test in `tests/`:
//! - a unit is committed whole or not at all, on exactly the state that it was decided on;
//! - a refusal or a no-op, too, is answered only once it is known to rest on the head of the log;
//! - one unit that the database refuses is answered alone, the rest of its batch commits;
//! - where the connection breaks in a commit, the outcome is found out before anything else is decided;
//! - the lock of the log is never held across a round trip, except for one round after [`MISSES_BEFORE_LOCK`]
//!   misses in a row, so that no process starves.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use self::{outcome::fail_units, rules::WithinBatch};
use crate::{
    append::{AppendError, Batch, bounded},
    cache::{CachedStream, StreamCache},
    feed::Feed,
    position::Head,
    snapshots::Snapshot,
    store::{LoadedStreams, Session, Store},
    stream::{StreamId, StreamRef},
    unit::{AnyUnit, Decision, Drafted, Failure, Settlement},
};

mod outcome;
mod rules;

/// Most units in one batch.
const MAX_UNITS_PER_BATCH: usize = 512;
/// With so many units waiting for loads, no more are taken from the queue, which is bounded itself.
const MAX_WAITING: usize = 4_096;
/// After a miss, states are copied before a batch changes them for so long, to go back to at the next miss …
const CONTENDED_FOR: Duration = Duration::from_secs(10);
/// … but for those that weigh more, in bytes: they are loaded again.
const MAX_COPIED_STATE: usize = 16 * 1024;
/// A batch is closed once it holds this many events …
const MAX_EVENTS_PER_BATCH: usize = 5_000;
/// … or this many bytes of JSON.
const MAX_BYTES_PER_BATCH: usize = 8 * 1024 * 1024;
/// After so many misses in a row (another process moved the head) the lock is taken before deciding.
const MISSES_BEFORE_LOCK: u32 = 3;

type Unit = Box<dyn AnyUnit>;

/// What a finished load brings.
struct Loaded {
    wanted: Vec<StreamId>,
    result: Result<LoadedStreams, sqlx::Error>,
}

/// A batch as decided: what to append, whom to answer, which cached streams run ahead of what is stored.
#[derive(Default)]
struct Plan {
    batch: Batch,
    members: Vec<Member>,
    /// With the state before the batch, where it was kept.
    touched: HashMap<StreamId, Option<CachedStream>>,
}

impl Plan {
    /// A unit that appends nothing, but whose answer rests on this batch.
    fn push_without_events(&mut self, unit: Unit, failure: Option<Failure>) {
        self.members.push(Member {
            unit,
            end: self.batch.len(),
            appended: 0,
            claims: Vec::new(),
            failure,
        });
    }
}

/// A unit of the batch at hand, decided.
struct Member {
    unit: Unit,
    /// Number of events in the batch up to and including this unit's.
    end: usize,
    appended: usize,
    /// 1-based indexes of its claims.
    claims: Vec<i64>,
    /// Set when the unit is answered with a failure that rests on this batch.
    failure: Option<Failure>,
}

/// See the module.
pub(crate) struct Sequencer {
    store: Arc<dyn Store>,
    queue: mpsc::Receiver<Unit>,
    feed: Arc<Feed>,
    snapshots: mpsc::Sender<Snapshot>,
    cache: StreamCache,
    head: Head,
    writer: Option<Box<dyn Session>>,
    ready: VecDeque<Unit>,
    /// Units that wait for streams being loaded.
    waiting: Vec<Unit>,
    /// Streams being loaded; true once a commit has touched the stream, which makes the load stale.
    loading: HashMap<StreamId, bool>,
    loads: (
        mpsc::UnboundedSender<Loaded>,
        mpsc::UnboundedReceiver<Loaded>,
    ),
    misses: u32,
    /// Another process moved the head not long ago.
    contended_until: Option<Instant>,
}

impl Sequencer {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        queue: mpsc::Receiver<Unit>,
        feed: Arc<Feed>,
        snapshots: mpsc::Sender<Snapshot>,
        cache_bytes: usize,
        head: Head,
    ) -> Self {
        Self {
            store,
            queue,
            feed,
            snapshots,
            cache: StreamCache::new(cache_bytes),
            head,
            writer: None,
            ready: VecDeque::new(),
            waiting: Vec::new(),
            loading: HashMap::new(),
            loads: mpsc::unbounded_channel(),
            misses: 0,
            contended_until: None,
        }
    }

    /// Runs until every sender of the queue is gone and all that was accepted is answered.
    pub(crate) async fn run(mut self) {
        while self.gather().await {
            let units = self.take_loaded();
            if !units.is_empty() {
                self.round(units).await;
            }
            self.cache.shrink();
        }
    }

    /// Waits until there is something to do and takes all that has arrived. False at the end.
    async fn gather(&mut self) -> bool {
        if self.ready.is_empty() {
            tokio::select! {
                // loads first: whoever waits for them came before who is still in the queue
                biased;
                loaded = self.loads.1.recv(), if !self.loading.is_empty() => {
                    if let Some(loaded) = loaded { self.accept_load(loaded); }
                }
                unit = self.queue.recv(), if self.waiting.len() < MAX_WAITING => match unit {
                    Some(unit) => self.ready.push_back(unit),
                    None if self.loading.is_empty() => return false,
                    // closed, but units still wait for their loads
                    None => match self.loads.1.recv().await {
                        Some(loaded) => self.accept_load(loaded),
                        None => return false,
                    },
                },
            }
        }
        while let Ok(loaded) = self.loads.1.try_recv() {
            self.accept_load(loaded);
        }
        while self.ready.len() < MAX_UNITS_PER_BATCH && self.waiting.len() < MAX_WAITING {
            match self.queue.try_recv() {
                Ok(unit) => self.ready.push_back(unit),
                Err(_) => break,
            }
        }
        true
    }

    /// Of the ready units those whose streams are here, up to a batch; loads are started for the others.
    fn take_loaded(&mut self) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut missing: HashMap<StreamId, StreamRef> = HashMap::new();
        let now = Instant::now().into_std();
        while units.len() < MAX_UNITS_PER_BATCH {
            let Some(unit) = self.ready.pop_front() else {
                break;
            };
            if unit.deadline().is_some_and(|deadline| deadline <= now) {
                unit.settle(Settlement::Failed(Failure::DeadlinePassed));
                continue;
            }
            let mut absent = false;
            for stream in unit.streams() {
                if !self.present(stream) {
                    absent = true;
                    missing.insert(stream.id.clone(), stream.clone());
                }
            }
            if absent {
                self.waiting.push(unit);
            } else {
                units.push(unit);
            }
        }
        self.start_load(missing.into_values().collect());
        units
    }

    /// Whether the stream's state is at hand; a stream just made is made to be.
    fn present(&mut self, stream: &StreamRef) -> bool {
        if self.cache.touch(&stream.id) {
            let typed_here = self
                .cache
                .peek(&stream.id)
                .is_some_and(|s| s.state.is_typed());
            return typed_here || !stream.is_typed();
        }
        if stream.fresh {
            self.cache.insert(
                stream.id.clone(),
                CachedStream::empty((stream.kind.empty)()),
            );
        }
        stream.fresh
    }

    fn start_load(&mut self, mut streams: Vec<StreamRef>) {
        streams.retain(|stream| !self.loading.contains_key(&stream.id));
        if streams.is_empty() {
            return;
        }
        let wanted: Vec<StreamId> = streams.iter().map(|stream| stream.id.clone()).collect();
        self.loading
            .extend(wanted.iter().cloned().map(|id| (id, false)));
        let (store, done) = (self.store.clone(), self.loads.0.clone());
        tokio::spawn(async move {
            let result = bounded(store.load(&streams)).await;
            // the receiver lives as long as the sequencer; at its end nobody waits for the load
            let _ = done.send(Loaded { wanted, result });
        });
    }

    fn accept_load(&mut self, loaded: Loaded) {
        let mut stale = HashSet::new();
        for id in loaded.wanted {
            if self.loading.remove(&id) == Some(true) {
                stale.insert(id);
            }
        }
        match loaded.result {
            Ok(streams) => {
                for (id, stream) in streams {
                    // stale ones are asked for again by the units that need them
                    let better = self
                        .cache
                        .peek(&id)
                        .is_none_or(|here| !here.state.is_typed());
                    if better && !stale.contains(&id) {
                        self.cache.insert(id, stream);
                    }
                }
                self.ready.extend(self.waiting.drain(..));
            }
            Err(error) => {
                let failure = Failure::Unavailable(error.to_string());
                fail_units(self.waiting.drain(..), &failure);
            }
        }
    }

    /// One round: decide, append, answer. What must be decided again goes back to the front of the queue.
    async fn round(&mut self, units: Vec<Unit>) {
        if self.misses >= MISSES_BEFORE_LOCK {
            return self.locked_round(units).await;
        }
        let plan = self.decide(units);
        if plan.members.is_empty() {
            return;
        }
        let mut writer = match self.take_writer().await {
            Ok(writer) => writer,
            Err(reason) => return self.fail(plan, &Failure::Unavailable(reason)),
        };
        let appended = plan.batch.append_or_verify(self.head, &mut *writer).await;
        let session = writer.number();
        if matches!(appended, Ok(_) | Err(AppendError::BadBatch(_))) {
            self.writer = Some(writer);
        }
        self.conclude(plan, appended, session).await;
    }

    /// Decides the units in turn, each on the state that the one before has left in the cache.
    fn decide(&mut self, units: Vec<Unit>) -> Plan {
        let mut plan = Plan::default();
        let mut rules = WithinBatch::default();
        let mut missing = Vec::new();
        let mut later = Vec::new();
        for mut unit in units {
            if plan.batch.len() >= MAX_EVENTS_PER_BATCH || plan.batch.bytes() >= MAX_BYTES_PER_BATCH
            {
                later.push(unit);
                continue;
            }
            let unreadable = unit
                .streams()
                .iter()
                .find_map(|stream| self.cache.peek(&stream.id)?.unreadable.clone());
            if let Some(unreadable) = unreadable {
                unit.settle(Settlement::Failed(Failure::Unreadable(unreadable)));
                continue;
            }
            match unit.decide(&self.cache) {
                Decision::Accepted(drafted) if rules.must_wait(unit.key(), &drafted) => {
                    later.push(unit);
                }
                Decision::Accepted(drafted) => self.draft(&mut plan, &mut rules, unit, drafted),
                Decision::Refused => plan.push_without_events(unit, None),
                Decision::Missing(streams) => {
                    unit.require(&streams);
                    missing.extend(streams);
                    self.waiting.push(unit);
                }
                Decision::Failed(failure) => unit.settle(Settlement::Failed(failure)),
            }
        }
        self.start_load(missing);
        self.put_back(later);
        plan
    }

    /// Puts units to the front of those that wait to be decided, in their order.
    fn put_back(&mut self, units: Vec<Unit>) {
        for unit in units.into_iter().rev() {
            self.ready.push_front(unit);
        }
    }

    /// A copy of the state as stored, while other processes write too: at a miss it is caught up instead of loaded.
    fn state_to_go_back_to(&self, stream: &StreamId) -> Option<CachedStream> {
        let contended = self
            .contended_until
            .is_some_and(|until| Instant::now() < until);
        let cached = self.cache.peek(stream).filter(|_| contended)?;
        (cached.weight() <= MAX_COPIED_STATE).then(|| cached.duplicate())
    }

    /// Takes an accepted unit into the batch and into the cached states.
    fn draft(&mut self, plan: &mut Plan, rules: &mut WithinBatch, unit: Unit, drafted: Drafted) {
        if let Some(failure) = rules.taken_claim(&drafted.claims) {
            return plan.push_without_events(unit, Some(failure));
        }
        rules.admit(unit.key(), &drafted);
        let appended = drafted.events.len();
        let metadata = if appended == 0 {
            String::new()
        } else {
            unit.cause().to_json()
        };
        for event in drafted.events {
            let event_id = Uuid::now_v7();
            if !plan.touched.contains_key(&event.stream) {
                let before = self.state_to_go_back_to(&event.stream);
                plan.touched.insert(event.stream.clone(), before);
            }
            if let Some(cached) = self.cache.peek_mut(&event.stream) {
                cached.sequence = event.sequence;
                cached.event_id = event_id;
                if let Err(error) = event.apply(cached.state.as_mut()) {
                    cached.unreadable.get_or_insert(error);
                }
            }
            plan.batch.push_event(event_id, event, &metadata);
        }
        let claims = drafted
            .claims
            .iter()
            .map(|claim| plan.batch.push_claim(claim))
            .collect();
        for (scope, value) in &drafted.releases {
            plan.batch.push_release(scope, value);
        }
        if let Some(key) = unit.key() {
            plan.batch.push_key(key);
        }
        plan.members.push(Member {
            unit,
            end: plan.batch.len(),
            appended,
            claims,
            failure: None,
        });
    }
}
