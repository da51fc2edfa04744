//! Streams: which one, and the state of its aggregate behind a type-erased handle, so that one sequencer and one
//! cache serve aggregates of every type.

use std::{any::Any, fmt, hash::Hash, sync::Arc};

use domain::aggregate::Decider;
use smol_str::SmolStr;

use crate::event::{Unreadable, decode};

/// Names one stream of events: the type of the aggregate and its id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// Kind of the aggregate, for instance `order`.
    pub aggregate_type: SmolStr,
    /// Which aggregate.
    pub aggregate_id: Arc<str>,
}

impl StreamId {
    /// The stream of the aggregate `A` with this id.
    pub fn of<A: Decider>(id: impl fmt::Display) -> Self {
        Self {
            aggregate_type: SmolStr::new_static(A::TYPE),
            aggregate_id: id.to_string().into(),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A stream that a unit of work reads or writes, and how to make its state.
#[derive(Clone, Debug)]
pub struct StreamRef {
    pub(crate) id: StreamId,
    pub(crate) kind: StreamKind,
    /// The caller just made this id: nothing to load. When that turns out wrong the append refuses, and the stream
    /// is loaded after all.
    pub(crate) fresh: bool,
}

impl StreamRef {
    /// The stream of aggregate `A` with this id.
    pub fn of<A: Decider>(id: impl fmt::Display) -> Self {
        Self {
            id: StreamId::of::<A>(id),
            kind: StreamKind::of::<A>(),
            fresh: false,
        }
    }

    /// Like [`Self::of`], for an id that was just made at random, so that nothing needs to be loaded.
    pub fn fresh<A: Decider>(id: impl fmt::Display) -> Self {
        Self {
            fresh: true,
            ..Self::of::<A>(id)
        }
    }

    /// A stream of which only the last sequence matters: events are appended to it as they are.
    pub(crate) fn sequence_only(aggregate_type: &str, aggregate_id: &str) -> Self {
        Self {
            id: StreamId {
                aggregate_type: aggregate_type.into(),
                aggregate_id: aggregate_id.into(),
            },
            kind: StreamKind {
                state_version: 0,
                empty: || Box::new(SequenceOnly),
                restore: |_| None,
            },
            fresh: false,
        }
    }
}

impl StreamRef {
    /// Which stream.
    pub const fn id(&self) -> &StreamId {
        &self.id
    }

    /// Whether its state is wanted, not just its last sequence.
    pub(crate) fn is_typed(&self) -> bool {
        (self.kind.empty)().is_typed()
    }
}

/// How to make the state of a stream of one aggregate type.
#[derive(Clone, Copy)]
pub(crate) struct StreamKind {
    pub(crate) state_version: i32,
    pub(crate) empty: fn() -> Box<dyn StreamState>,
    pub(crate) restore: fn(&str) -> Option<Box<dyn StreamState>>,
}

impl fmt::Debug for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKind(v{})", self.state_version)
    }
}

impl StreamKind {
    fn of<A: Decider>() -> Self {
        Self {
            state_version: A::STATE_VERSION,
            empty: || Box::new(Typed(A::default())),
            restore: |json| Some(Box::new(Typed(serde_json::from_str::<A>(json).ok()?))),
        }
    }
}

/// The state of one stream. `Any` gives the typed aggregate back.
pub(crate) trait StreamState: Any + Send {
    /// Applies a stored event.
    fn apply_stored(
        &mut self,
        event_type: &str,
        event_version: &str,
        payload: &str,
    ) -> Result<(), Unreadable>;
    /// A copy, for a second command on the same stream within one unit.
    fn duplicate(&self) -> Box<dyn StreamState>;
    /// About how many bytes of memory the state holds.
    fn weight(&self) -> usize;
    /// The state as JSON for a snapshot; `None` when this kind has none.
    fn snapshot(&self) -> Option<String>;
    /// Version of that JSON.
    fn state_version(&self) -> i32;
    /// False for a state that stands for a sequence alone.
    fn is_typed(&self) -> bool {
        true
    }
}

/// The state of an aggregate of type `A`.
pub(crate) struct Typed<A>(pub(crate) A);

impl<A: Decider> StreamState for Typed<A> {
    fn apply_stored(
        &mut self,
        event_type: &str,
        event_version: &str,
        payload: &str,
    ) -> Result<(), Unreadable> {
        self.0
            .evolve(&decode::<A>(event_type, event_version, payload)?);
        Ok(())
    }

    fn duplicate(&self) -> Box<dyn StreamState> {
        Box::new(Self(self.0.clone()))
    }

    fn weight(&self) -> usize {
        size_of::<A>() + self.0.weight()
    }

    fn snapshot(&self) -> Option<String> {
        serde_json::to_string(&self.0).ok()
    }

    fn state_version(&self) -> i32 {
        A::STATE_VERSION
    }
}

/// Stands for a stream of which only the sequence is known.
pub(crate) struct SequenceOnly;

impl StreamState for SequenceOnly {
    fn apply_stored(&mut self, _: &str, _: &str, _: &str) -> Result<(), Unreadable> {
        Ok(())
    }

    fn duplicate(&self) -> Box<dyn StreamState> {
        Box::new(Self)
    }

    fn weight(&self) -> usize {
        0
    }

    fn snapshot(&self) -> Option<String> {
        None
    }

    fn state_version(&self) -> i32 {
        0
    }

    fn is_typed(&self) -> bool {
        false
    }
}

/// The typed aggregate behind an erased state, if it is one of type `A`.
pub(crate) fn typed<A: Decider>(state: &dyn StreamState) -> Option<&A> {
    (state as &dyn Any)
        .downcast_ref::<Typed<A>>()
        .map(|typed| &typed.0)
}

/// Like [`typed`], to apply an event.
pub(crate) fn typed_mut<A: Decider>(state: &mut dyn StreamState) -> Option<&mut A> {
    (state as &mut dyn Any)
        .downcast_mut::<Typed<A>>()
        .map(|typed| &mut typed.0)
}
