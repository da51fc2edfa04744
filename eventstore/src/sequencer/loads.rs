//! Streams on their way into memory.

use std::collections::{BTreeMap, HashSet};

use tokio::time::Instant;

use super::{Sequencer, Unit, outcome::fail_units};
use crate::{
    append::bounded,
    cache::CachedStream,
    stream::{StreamId, StreamRef},
    unit::{Failure, Settlement},
};

/// What a finished load brings.
pub(super) struct Loaded {
    wanted: Vec<StreamId>,
    result: Result<Vec<(StreamId, CachedStream)>, sqlx::Error>,
}

impl Sequencer {
    /// Of the ready units those whose streams are here, up to `limit`; loads are started for the others.
    pub(super) fn take_loaded(&mut self, limit: usize) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut missing: BTreeMap<StreamId, StreamRef> = BTreeMap::new();
        let now = Instant::now().into_std();
        while units.len() < limit {
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

    /// Whether the stream's state is at hand. That of a stream just made is: there is none.
    pub(super) fn present(&mut self, stream: &StreamRef) -> bool {
        if self.cache.touch(&stream.id) {
            let typed_here = self
                .cache
                .peek(&stream.id)
                .is_some_and(|s| s.state.is_typed());
            return typed_here || !stream.is_typed();
        }
        stream.fresh
    }

    /// Takes streams that were just made for empty, for one decision.
    pub(super) fn assume_new(&mut self, streams: &[StreamRef]) {
        for stream in streams.iter().filter(|stream| stream.fresh) {
            if self.cache.peek(&stream.id).is_none() {
                let empty = CachedStream::empty((stream.kind.empty)());
                self.cache.insert(stream.id.clone(), empty);
            }
        }
    }

    /// The decision wrote nothing: whether the streams are new was not put to the proof, so nobody else may rely on it.
    pub(super) fn assume_nothing(&mut self, streams: &[StreamRef]) {
        for stream in streams.iter().filter(|stream| stream.fresh) {
            let unwritten = |cached: &CachedStream| cached.sequence == 0;
            if self.cache.peek(&stream.id).is_some_and(unwritten) {
                self.cache.remove(&stream.id);
            }
        }
    }

    pub(super) fn start_load(&mut self, mut streams: Vec<StreamRef>) {
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

    pub(super) fn accept_load(&mut self, loaded: Loaded) {
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
                    if !stale.contains(&id) && self.is_better_than_here(&id) {
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

    /// Whether a state just loaded is worth more than what is in memory: not where that is ahead of what is stored.
    fn is_better_than_here(&self, id: &StreamId) -> bool {
        self.cache
            .peek(id)
            .is_none_or(|here| !here.state.is_typed() && here.batch <= self.committed_batch)
    }

    /// Loads what the units need and has been forgotten, and waits for it. Units whose load fails are answered.
    pub(super) async fn load_now(&mut self, units: Vec<Unit>) -> Vec<Unit> {
        let mut absent = Vec::new();
        for unit in &units {
            absent.extend(
                unit.streams()
                    .iter()
                    .filter(|stream| !self.present(stream))
                    .cloned(),
            );
        }
        match bounded(self.store.load(&absent)).await {
            Ok(streams) => {
                for (id, stream) in streams {
                    self.cache.insert(id, stream);
                }
                units
            }
            Err(error) => {
                fail_units(units, &Failure::Unavailable(error.to_string()));
                Vec::new()
            }
        }
    }
}
