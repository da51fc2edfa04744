//! States of streams held in memory, all as of one head of the log, within a bound.

use std::{collections::HashSet, num::NonZeroUsize};

use lru::LruCache;
use uuid::Uuid;

use crate::{
    event::{RecordedEvent, Unreadable},
    stream::{StreamId, StreamState},
};

/// The state of a stream after `sequence` events.
pub(crate) struct CachedStream {
    pub(crate) sequence: i64,
    /// Id of the event at that sequence; nil before the first.
    pub(crate) event_id: Uuid,
    pub(crate) state: Box<dyn StreamState>,
    /// Set when an event could not be read: commands on the stream are answered with it.
    pub(crate) unreadable: Option<Unreadable>,
    /// Sequence of the last snapshot that was written or loaded.
    pub(crate) snapshot_at: i64,
    /// Number of the last batch of this process that wrote it, 0 for none.
    pub(crate) batch: u64,
    weight: usize,
}

impl CachedStream {
    /// A stream without events.
    pub(crate) fn empty(state: Box<dyn StreamState>) -> Self {
        Self::new(0, Uuid::nil(), state, 0)
    }

    pub(crate) fn new(
        sequence: i64,
        event_id: Uuid,
        state: Box<dyn StreamState>,
        snapshot_at: i64,
    ) -> Self {
        let weight = state.weight();
        Self {
            sequence,
            event_id,
            state,
            unreadable: None,
            snapshot_at,
            batch: 0,
            weight,
        }
    }
}

impl CachedStream {
    /// The same once more, to go back to.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            sequence: self.sequence,
            event_id: self.event_id,
            state: self.state.duplicate(),
            unreadable: self.unreadable.clone(),
            snapshot_at: self.snapshot_at,
            batch: self.batch,
            weight: self.weight,
        }
    }

    /// About how many bytes its state held when it was last weighed.
    pub(crate) const fn weight(&self) -> usize {
        self.weight
    }
}

/// About what the bookkeeping of an entry costs beside its state, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 256;
/// Most entries, whatever they weigh.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// The bounded cache; the least recently used streams go first.
pub(crate) struct StreamCache {
    entries: LruCache<StreamId, CachedStream>,
    weight: usize,
    capacity_bytes: usize,
}

impl StreamCache {
    pub(crate) fn new(capacity_bytes: usize) -> Self {
        Self {
            entries: LruCache::unbounded(),
            weight: 0,
            capacity_bytes,
        }
    }

    /// The stream, without marking it as used.
    pub(crate) fn peek(&self, id: &StreamId) -> Option<&CachedStream> {
        self.entries.peek(id)
    }

    pub(crate) fn peek_mut(&mut self, id: &StreamId) -> Option<&mut CachedStream> {
        self.entries.peek_mut(id)
    }

    /// Marks the stream as used just now; false where it is not here.
    pub(crate) fn touch(&mut self, id: &StreamId) -> bool {
        self.entries.get(id).is_some()
    }

    pub(crate) fn insert(&mut self, id: StreamId, stream: CachedStream) {
        self.weight += stream.weight + ENTRY_OVERHEAD_BYTES;
        if let Some((_, old)) = self.entries.push(id, stream) {
            self.weight -= old.weight + ENTRY_OVERHEAD_BYTES;
        }
    }

    pub(crate) fn remove(&mut self, id: &StreamId) {
        if let Some(old) = self.entries.pop(id) {
            self.weight -= old.weight + ENTRY_OVERHEAD_BYTES;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }

    /// Weighs the stream again after its state changed.
    pub(crate) fn reweigh(&mut self, id: &StreamId) {
        if let Some(entry) = self.entries.peek_mut(id) {
            let weight = entry.state.weight();
            self.weight = self.weight - entry.weight + weight;
            entry.weight = weight;
        }
    }

    /// Whether it holds more than it should.
    pub(crate) fn is_too_large(&self) -> bool {
        self.weight > self.capacity_bytes || self.entries.len() > MAX_ENTRIES.get()
    }

    /// Evicts down to the bound, but nothing that a batch after `committed` wrote: loaded again it would be as it was
    /// before. Nor what somebody still needs: evicted before all that he needs is here, it never would be. Called between
    /// batches, so that no stream of the batch at hand can vanish.
    pub(crate) fn shrink<'a>(
        &mut self,
        committed: u64,
        needed: impl IntoIterator<Item = &'a StreamId>,
    ) {
        if !self.is_too_large() {
            return;
        }
        let needed: HashSet<&StreamId> = needed
            .into_iter()
            .inspect(|id| {
                self.touch(id);
            })
            .collect();
        while self.is_too_large() {
            match self.entries.peek_lru() {
                Some((id, oldest)) if oldest.batch <= committed && !needed.contains(id) => {}
                _ => return,
            }
            if let Some((_, old)) = self.entries.pop_lru() {
                self.weight -= old.weight + ENTRY_OVERHEAD_BYTES;
            }
        }
    }

    /// Applies an event that another process committed, if its stream is here and has not seen it yet.
    pub(crate) fn apply_recorded(&mut self, event: &RecordedEvent) {
        let id = event.stream();
        let Some(entry) = self.entries.peek_mut(&id) else {
            return;
        };
        if event.sequence <= entry.sequence {
            return;
        }
        if event.sequence != entry.sequence + 1 {
            self.remove(&id);
            return;
        }
        entry.sequence = event.sequence;
        entry.event_id = event.event_id;
        if let Err(error) =
            entry
                .state
                .apply_stored(&event.event_type, &event.event_version, &event.payload)
        {
            entry.unreadable.get_or_insert(error);
        }
        self.reweigh(&id);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::SequenceOnly;

    fn id(n: usize) -> StreamId {
        StreamId {
            aggregate_type: "t".into(),
            aggregate_id: n.to_string().into(),
        }
    }

    #[test]
    fn the_least_recently_used_streams_go_first() {
        let mut cache = StreamCache::new(ENTRY_OVERHEAD_BYTES * 2);
        for n in 0..3 {
            cache.insert(id(n), CachedStream::empty(Box::new(SequenceOnly)));
        }
        assert!(cache.touch(&id(0)));
        cache.shrink(0, []);
        assert_eq!(cache.len(), 2);
        assert!(
            cache.peek(&id(1)).is_none(),
            "the one not used longest is evicted"
        );
        assert!(cache.peek(&id(0)).is_some());
        cache.remove(&id(0));
        cache.remove(&id(0));
        assert_eq!(cache.weight, ENTRY_OVERHEAD_BYTES);
    }

    #[test]
    fn what_is_not_committed_yet_is_not_evicted() {
        let mut cache = StreamCache::new(0);
        for (n, batch) in [(0, 6), (1, 7)] {
            let mut stream = CachedStream::empty(Box::new(SequenceOnly));
            stream.batch = batch;
            cache.insert(id(n), stream);
        }
        cache.shrink(6, []);
        assert!(cache.peek(&id(0)).is_none());
        assert!(cache.peek(&id(1)).is_some(), "batch 7 is on its way");
        cache.shrink(7, []);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn what_is_still_needed_stays_whatever_the_bound() {
        let mut cache = StreamCache::new(0);
        for n in 0..3 {
            cache.insert(id(n), CachedStream::empty(Box::new(SequenceOnly)));
        }
        cache.shrink(0, [&id(0), &id(2)]);
        assert!(cache.peek(&id(1)).is_none());
        assert!(cache.peek(&id(0)).is_some() && cache.peek(&id(2)).is_some());
        cache.shrink(0, []);
        assert_eq!(cache.len(), 0);
    }
}
