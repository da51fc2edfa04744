//! What one decision drafts, before it is known whether it is accepted.

use std::sync::Arc;

use cqrs_es::DomainEvent;
use domain::aggregate::Decider;
use smol_str::SmolStr;

use super::{MAX_EVENT_BYTES, MAX_EVENTS_PER_UNIT};
use crate::{
    cache::StreamCache,
    event::Unreadable,
    stream::{StreamId, StreamRef, StreamState, typed, typed_mut},
};

/// An event in its stored form, for programs that bring their own serialisation.
pub(crate) struct StoredEvent {
    pub(crate) event_type: SmolStr,
    pub(crate) event_version: SmolStr,
    pub(crate) payload: Arc<str>,
    /// Metadata of its own instead of the unit's cause.
    pub(crate) metadata: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) scope: String,
    pub(crate) value: String,
    pub(crate) owner: String,
}

/// An event that a unit wants to append.
pub(crate) struct DraftEvent {
    pub(crate) stream: StreamId,
    pub(crate) sequence: i64,
    pub(crate) stored: StoredEvent,
    /// Applies the typed event; none where the event came in its stored form.
    apply: Option<ApplyFn>,
}

type ApplyFn = Box<dyn Fn(&mut dyn StreamState) + Send>;

impl DraftEvent {
    /// Applies the event to the state of its stream.
    pub(crate) fn apply(&self, state: &mut dyn StreamState) -> Result<(), Unreadable> {
        match &self.apply {
            Some(apply) => {
                apply(state);
                Ok(())
            }
            None => state.apply_stored(
                &self.stored.event_type,
                &self.stored.event_version,
                &self.stored.payload,
            ),
        }
    }
}

/// What the decision of one unit has drafted so far.
pub(crate) struct Draft<'a> {
    cache: &'a StreamCache,
    /// The streams that the unit names.
    named: &'a [StreamRef],
    events: Vec<DraftEvent>,
    /// States of streams that this unit has written and then looked at again.
    overlays: Vec<(StreamId, Box<dyn StreamState>)>,
    pub(super) claims: Vec<Claim>,
    pub(super) releases: Vec<(String, String)>,
    pub(super) missing: Vec<StreamRef>,
}

impl<'a> Draft<'a> {
    /// Nothing drafted yet, on the states in `cache`.
    pub(super) fn new(cache: &'a StreamCache, named: &'a [StreamRef]) -> Self {
        Self {
            cache,
            named,
            events: Vec::new(),
            overlays: Vec::new(),
            claims: Vec::new(),
            releases: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// What was drafted, and the streams that were missing.
    pub(super) fn finish(self) -> (Drafted, Vec<StreamRef>) {
        let drafted = Drafted {
            events: self.events,
            claims: self.claims,
            releases: self.releases,
        };
        (drafted, self.missing)
    }

    /// The stream of the aggregate `A` with this id: mostly one that the unit names, whose id is there to be shared.
    pub(super) fn stream<A: Decider>(&self, id: &str) -> StreamId {
        let named = self.named.iter().map(|stream| &stream.id);
        let same =
            |named: &&StreamId| &*named.aggregate_id == id && named.aggregate_type == A::TYPE;
        named
            .into_iter()
            .find(same)
            .cloned()
            .unwrap_or_else(|| StreamId::of::<A>(id))
    }

    /// Whether the state of the stream is at hand.
    pub(super) fn holds(&self, id: &StreamId) -> bool {
        self.cache.peek(id).is_some()
    }

    pub(super) fn current<A: Decider>(&self, id: &StreamId) -> Option<&A> {
        match self.overlays.iter().find(|(stream, _)| stream == id) {
            Some((_, state)) => typed::<A>(state.as_ref()),
            None => typed::<A>(self.cache.peek(id)?.state.as_ref()),
        }
    }

    /// A second command on a stream must see the events of the first; the cached state stays untouched until the
    /// whole unit is accepted, so it is copied. Units rarely command one stream twice.
    pub(super) fn overlay_if_drafted(&mut self, id: &StreamId) -> Result<(), String> {
        if self.overlays.iter().any(|(stream, _)| stream == id)
            || !self.events.iter().any(|e| e.stream == *id)
        {
            return Ok(());
        }
        if let Some(cached) = self.cache.peek(id) {
            let mut state = cached.state.duplicate();
            for event in self.events.iter().filter(|event| event.stream == *id) {
                event
                    .apply(state.as_mut())
                    .map_err(|error| error.to_string())?;
            }
            self.overlays.push((id.clone(), state));
        }
        Ok(())
    }

    pub(super) fn next_sequence(&self, id: &StreamId) -> i64 {
        let committed = self.cache.peek(id).map_or(0, |cached| cached.sequence);
        committed
            + self
                .events
                .iter()
                .filter(|event| event.stream == *id)
                .count() as i64
            + 1
    }

    pub(super) fn push<A: Decider>(
        &mut self,
        stream: &StreamId,
        event: A::Event,
    ) -> Result<(), String> {
        let stored = StoredEvent {
            event_type: event.event_type().into(),
            event_version: event.event_version().into(),
            payload: serde_json::to_string(&event)
                .map_err(|error| error.to_string())?
                .into(),
            metadata: None,
        };
        let apply = Box::new(move |state: &mut dyn StreamState| {
            if let Some(aggregate) = typed_mut::<A>(state) {
                aggregate.evolve(&event);
            }
        });
        self.push_event(stream.clone(), stored, Some(apply))
    }

    pub(super) fn push_stored(
        &mut self,
        stream: StreamId,
        stored: StoredEvent,
    ) -> Result<(), String> {
        self.push_event(stream, stored, None)
    }

    fn push_event(
        &mut self,
        stream: StreamId,
        stored: StoredEvent,
        apply: Option<ApplyFn>,
    ) -> Result<(), String> {
        if stored.payload.len() > MAX_EVENT_BYTES {
            return Err(format!(
                "an event of {} bytes exceeds {MAX_EVENT_BYTES}",
                stored.payload.len()
            ));
        }
        if self.events.len() >= MAX_EVENTS_PER_UNIT {
            return Err(format!(
                "more than {MAX_EVENTS_PER_UNIT} events in one command"
            ));
        }
        let event = DraftEvent {
            sequence: self.next_sequence(&stream),
            stream,
            stored,
            apply,
        };
        if let Some((_, state)) = self.overlays.iter_mut().find(|(id, _)| *id == event.stream) {
            event
                .apply(state.as_mut())
                .map_err(|error| error.to_string())?;
        }
        self.events.push(event);
        Ok(())
    }
}

/// What a unit adds to a batch.
pub(crate) struct Drafted {
    pub(crate) events: Vec<DraftEvent>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) releases: Vec<(String, String)>,
}
