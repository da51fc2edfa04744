//! What one decision drafts, before it is known whether it is accepted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

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

/// What a unit has drafted for one stream.
#[derive(Default)]
struct Written {
    /// Where its events stand among all of the unit's.
    events: Vec<usize>,
    /// The state as they leave it, once the unit has looked at the stream again.
    overlay: Option<Box<dyn StreamState>>,
}

/// What the decision of one unit has drafted so far. Whatever is asked of a stream takes the same time however many streams
/// and events the unit has: everybody else's decisions wait meanwhile.
pub(crate) struct Draft<'a> {
    cache: &'a StreamCache,
    events: Vec<DraftEvent>,
    written: HashMap<StreamId, Written>,
    pub(super) claims: Vec<Claim>,
    pub(super) releases: Vec<(String, String)>,
    /// Each once, in an order that does not depend on chance.
    missing: BTreeMap<StreamId, StreamRef>,
}

impl<'a> Draft<'a> {
    /// Nothing drafted yet, on the states in `cache`.
    pub(super) fn new(cache: &'a StreamCache) -> Self {
        Self {
            cache,
            events: Vec::new(),
            written: HashMap::new(),
            claims: Vec::new(),
            releases: Vec::new(),
            missing: BTreeMap::new(),
        }
    }

    /// What was drafted, and the streams that were missing.
    pub(super) fn finish(self) -> (Drafted, Vec<StreamRef>) {
        let drafted = Drafted {
            events: self.events,
            claims: self.claims,
            releases: self.releases,
        };
        (drafted, self.missing.into_values().collect())
    }

    /// Notes that the stream must be loaded.
    pub(super) fn miss(&mut self, stream: StreamRef) {
        self.missing.entry(stream.id.clone()).or_insert(stream);
    }

    /// Whether the state of the stream is at hand.
    pub(super) fn holds(&self, id: &StreamId) -> bool {
        self.cache.peek(id).is_some()
    }

    pub(super) fn current<A: Decider>(&self, id: &StreamId) -> Option<&A> {
        let written = self.written.get(id);
        match written.and_then(|written| written.overlay.as_ref()) {
            Some(state) => typed::<A>(state.as_ref()),
            None => typed::<A>(self.cache.peek(id)?.state.as_ref()),
        }
    }

    /// A second command on a stream must see the events of the first; the cached state stays untouched until the
    /// whole unit is accepted, so it is copied. Units rarely command one stream twice.
    pub(super) fn overlay_if_drafted(&mut self, id: &StreamId) -> Result<(), String> {
        let Some(written) = self.written.get_mut(id) else {
            return Ok(());
        };
        if written.overlay.is_some() {
            return Ok(());
        }
        if let Some(cached) = self.cache.peek(id) {
            let mut state = cached.state.duplicate();
            for index in &written.events {
                self.events[*index]
                    .apply(state.as_mut())
                    .map_err(|error| error.to_string())?;
            }
            written.overlay = Some(state);
        }
        Ok(())
    }

    pub(super) fn next_sequence(&self, id: &StreamId) -> i64 {
        let committed = self.cache.peek(id).map_or(0, |cached| cached.sequence);
        let drafted = self.written.get(id);
        committed + drafted.map_or(0, |written| written.events.len()) as i64 + 1
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
        let written = self.written.entry(event.stream.clone()).or_default();
        if let Some(state) = &mut written.overlay {
            event
                .apply(state.as_mut())
                .map_err(|error| error.to_string())?;
        }
        written.events.push(self.events.len());
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
