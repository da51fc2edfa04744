//! Deciding: units become a batch.

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;
use uuid::Uuid;

use super::{MAX_UNITS_PER_BATCH, Sequencer, Unit, rules::WithinBatch};
use crate::{
    append::Batch,
    cache::CachedStream,
    snapshots::{Snapshot, snapshot_due},
    stream::StreamId,
    unit::{Decision, Drafted, Failure, Settlement},
};

/// A batch is full once it holds this many events …
const MAX_EVENTS_PER_BATCH: usize = 5_000;
/// … or this many bytes of JSON.
const MAX_BYTES_PER_BATCH: usize = 8 * 1024 * 1024;
/// States that weigh more, in bytes, are not copied to go back to: they are loaded again.
const MAX_COPIED_STATE: usize = 16 * 1024;

/// Cached streams that run ahead of what is stored, with the state before the batch where it was kept.
type Touched = HashMap<StreamId, Option<CachedStream>>;

/// A batch as decided: what to append, whom to answer, what to keep once it is committed.
pub(super) struct Plan {
    /// Number of the batch.
    pub(super) number: u64,
    pub(super) batch: Arc<Batch>,
    pub(super) members: Vec<Member>,
    pub(super) touched: Touched,
    /// States worth keeping, as the batch leaves them.
    pub(super) snapshots: Vec<Snapshot>,
}

/// A unit of a batch, decided.
pub(super) struct Member {
    pub(super) unit: Unit,
    /// Number of events in the batch up to and including this unit's.
    pub(super) end: usize,
    pub(super) appended: usize,
    /// 1-based indexes of its claims.
    pub(super) claims: Vec<i64>,
    /// Set when the unit is answered with a failure that rests on this batch.
    pub(super) failure: Option<Failure>,
}

/// A batch that units are still added to.
pub(super) struct OpenBatch {
    number: u64,
    batch: Batch,
    members: Vec<Member>,
    touched: Touched,
    rules: WithinBatch,
    /// Units that can only be decided after this batch.
    later: Vec<Unit>,
}

impl OpenBatch {
    /// Whether nothing more is to be added.
    pub(super) fn is_full(&self) -> bool {
        self.members.len() >= MAX_UNITS_PER_BATCH
            || self.batch.len() >= MAX_EVENTS_PER_BATCH
            || self.batch.bytes() >= MAX_BYTES_PER_BATCH
    }

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

impl Sequencer {
    pub(super) fn open(&mut self) -> OpenBatch {
        self.batches += 1;
        OpenBatch {
            number: self.batches,
            batch: Batch::default(),
            members: Vec::new(),
            touched: HashMap::new(),
            rules: WithinBatch::default(),
            later: Vec::new(),
        }
    }

    /// The batch as it is to be appended; none where no unit is in it. States worth keeping are taken now: at the commit
    /// the next batch may have gone on from them.
    pub(super) fn close(&mut self, open: OpenBatch) -> Option<Plan> {
        self.put_back(open.later);
        if open.members.is_empty() {
            return None;
        }
        let snapshot = |stream: &StreamId| {
            let cached = self.cache.peek(stream)?;
            snapshot_due(cached)
                .then(|| Snapshot::of(stream, cached))
                .flatten()
        };
        let snapshots = open.touched.keys().filter_map(snapshot).collect();
        Some(Plan {
            number: open.number,
            batch: Arc::new(open.batch),
            members: open.members,
            touched: open.touched,
            snapshots,
        })
    }

    /// Decides these units alone.
    pub(super) fn decide_alone(&mut self, units: Vec<Unit>) -> Option<Plan> {
        let mut open = self.open();
        self.decide(&mut open, units);
        self.close(open)
    }

    /// Decides what waits and has its streams in memory, as far as the batch has room.
    pub(super) fn decide_ready(&mut self, open: &mut OpenBatch) {
        let room = MAX_UNITS_PER_BATCH.saturating_sub(open.members.len());
        let units = self.take_loaded(room);
        self.decide(open, units);
    }

    /// Decides units in turn, each on the state that the one before has left in the cache.
    fn decide(&mut self, open: &mut OpenBatch, units: Vec<Unit>) {
        let mut missing = Vec::new();
        for mut unit in units {
            if open.is_full() {
                open.later.push(unit);
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
            self.assume_new(unit.streams());
            let decision = unit.decide(&self.cache);
            if !matches!(&decision, Decision::Accepted(drafted) if !drafted.events.is_empty()) {
                self.assume_nothing(unit.streams());
            }
            match decision {
                Decision::Accepted(drafted) if open.rules.must_wait(unit.key(), &drafted) => {
                    self.assume_nothing(unit.streams());
                    open.later.push(unit);
                }
                Decision::Accepted(drafted) => self.draft(open, unit, drafted),
                Decision::Refused => open.push_without_events(unit, None),
                Decision::Missing(streams) => {
                    unit.require(&streams);
                    missing.extend(streams);
                    self.waiting.push(unit);
                }
                Decision::Failed(failure) => unit.settle(Settlement::Failed(failure)),
            }
        }
        self.start_load(missing);
    }

    /// Takes an accepted unit into the batch and into the cached states.
    fn draft(&mut self, open: &mut OpenBatch, unit: Unit, drafted: Drafted) {
        if let Some(failure) = open.rules.taken_claim(&drafted.claims) {
            self.assume_nothing(unit.streams());
            return open.push_without_events(unit, Some(failure));
        }
        open.rules.admit(unit.key(), &drafted);
        let appended = drafted.events.len();
        let metadata: Arc<str> = if appended == 0 {
            open.batch.vouch();
            Arc::default()
        } else {
            unit.cause().to_json().into()
        };
        for event in drafted.events {
            let event_id = Uuid::now_v7();
            if !open.touched.contains_key(&event.stream) {
                let before = self.state_to_go_back_to(&event.stream);
                open.touched.insert(event.stream.clone(), before);
            }
            if let Some(cached) = self.cache.peek_mut(&event.stream) {
                cached.sequence = event.sequence;
                cached.event_id = event_id;
                cached.batch = open.number;
                if let Err(error) = event.apply(cached.state.as_mut()) {
                    cached.unreadable.get_or_insert(error);
                }
            }
            open.batch.push_event(event_id, event, &metadata);
        }
        let claims = drafted
            .claims
            .iter()
            .map(|claim| open.batch.push_claim(claim))
            .collect();
        for (scope, value) in &drafted.releases {
            open.batch.push_release(scope, value);
        }
        if let Some(key) = unit.key() {
            open.batch.push_key(key);
        }
        open.members.push(Member {
            unit,
            end: open.batch.len(),
            appended,
            claims,
            failure: None,
        });
    }

    /// A copy of the state before the batch, while other processes write too: at a miss it is caught up instead of
    /// loaded.
    fn state_to_go_back_to(&self, stream: &StreamId) -> Option<CachedStream> {
        let contended = self
            .contended_until
            .is_some_and(|until| Instant::now() < until);
        let stored = |cached: &&CachedStream| contended && cached.sequence > 0;
        let cached = self.cache.peek(stream).filter(stored)?;
        (cached.weight() <= MAX_COPIED_STATE).then(|| cached.duplicate())
    }
}
