//! A unit of work: one decision over any number of streams, committed whole or not at all.
//!
//! A unit names the streams that it reads and writes, and a closure that decides. The closure is pure, synchronous and
//! repeatable (`Fn`): the sequencer calls it again whenever what it rested on turns out to be stale, so ids, prices and
//! times that must stay the same are made outside it. It may ask for streams that it did not name: it is then called
//! again once they are loaded.

use std::{marker::PhantomData, panic::AssertUnwindSafe, time::Instant};

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use domain::aggregate::Decider;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    cache::StreamCache,
    event::{Cause, Unreadable},
    position::Head,
    stream::{StreamId, StreamRef, StreamState, typed, typed_mut},
};

/// Largest event that is accepted, in bytes of JSON.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Most events that one unit may append.
pub const MAX_EVENTS_PER_UNIT: usize = 10_000;

/// The committed outcome of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the decision returned.
    pub output: T,
    /// The unit's last event; the head it rests on when it appended nothing.
    pub head: Head,
    /// When it was committed, by the database's clock; none where it appended nothing.
    pub recorded_at: Option<DateTime<Utc>>,
    /// How many events it appended.
    pub appended: usize,
}

/// Why a unit was not committed. Nothing of it is stored, except where noted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The domain said no, on the current state of the log.
    #[error(transparent)]
    Refused(E),
    /// The idempotency key was used before: see `EventLog::stored_answer`.
    #[error("the idempotency key was used before")]
    KeyTaken,
    /// Something that must be unique belongs to another stream.
    #[error("{scope} {value:?} is taken")]
    ClaimTaken {
        /// What must be unique, for instance `sku:<region>`.
        scope: String,
        /// The value wanted.
        value: String,
    },
    /// The database (or a named limit) does not accept the content.
    #[error("not acceptable: {0}")]
    Unacceptable(String),
    /// A stream holds events that this binary cannot read.
    #[error(transparent)]
    Unreadable(Unreadable),
    /// The deadline passed before the decision.
    #[error("the deadline passed before the command was decided")]
    DeadlinePassed,
    /// Too many commands are waiting.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The database could not be reached; nothing was stored.
    #[error("the event log is not available: {0}")]
    Unavailable(String),
    /// The connection was lost in the commit and it is not known yet whether it took place.
    #[error("the outcome is not known yet; retry with the same key")]
    OutcomeUnknown,
}

/// How a decision ends without an output.
#[derive(Debug)]
pub enum Halt<E> {
    /// Refused for a reason of the domain.
    Refused(E),
    /// A stream must be loaded first; the sequencer sees to it and decides again.
    Missing,
    /// A named limit of the log is exceeded.
    Unacceptable(String),
}

impl<E> From<E> for Halt<E> {
    fn from(error: E) -> Self {
        Self::Refused(error)
    }
}

/// An Idempotency-Key and what a repetition is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Digest of principal, method, route and key.
    pub id: Uuid,
    /// Keyed digest of the canonical body.
    pub fingerprint: Vec<u8>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Id of the resource that was made.
    pub resource: String,
}

type DecideFn<T, E> = Box<dyn Fn(&mut Work<'_, E>) -> Result<T, Halt<E>> + Send>;

/// One decision to be committed; see the module.
pub struct Unit<T, E> {
    streams: Vec<StreamRef>,
    cause: Cause,
    key: Option<IdempotencyKey>,
    deadline: Option<Instant>,
    decide: DecideFn<T, E>,
}

impl<T, E> Unit<T, E> {
    /// A unit over `streams`, decided by `decide`.
    pub fn new(
        cause: Cause,
        streams: Vec<StreamRef>,
        decide: impl Fn(&mut Work<'_, E>) -> Result<T, Halt<E>> + Send + 'static,
    ) -> Self {
        Self {
            streams,
            cause,
            key: None,
            deadline: None,
            decide: Box::new(decide),
        }
    }

    /// Commits this key with the events; where it was used before, nothing is committed.
    #[must_use]
    pub fn with_key(mut self, key: Option<IdempotencyKey>) -> Self {
        self.key = key;
        self
    }

    /// After this moment the unit is no longer decided.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }
}

/// What a decision works with: the states of streams, and the events that it drafts.
pub struct Work<'a, E> {
    draft: Draft<'a>,
    error: PhantomData<fn() -> E>,
}

impl<E> Work<'_, E> {
    /// The state of an aggregate as the commands of this unit have left it; the empty state where it has no events.
    pub fn state<A: Decider>(&mut self, id: impl std::fmt::Display) -> Result<&A, Halt<E>> {
        let id = StreamId::of::<A>(id);
        self.draft
            .overlay_if_drafted(&id)
            .map_err(Halt::Unacceptable)?;
        if self.draft.current::<A>(&id).is_none() {
            self.draft.missing.push(StreamRef {
                id,
                ..StreamRef::of::<A>("")
            });
            return Err(Halt::Missing);
        }
        self.draft.current::<A>(&id).ok_or(Halt::Missing)
    }

    /// How many events the stream has, those drafted here included.
    pub fn sequence<A: Decider>(&mut self, id: impl std::fmt::Display) -> Result<i64, Halt<E>> {
        let id = id.to_string();
        self.state::<A>(&id)?;
        Ok(self.draft.next_sequence(&StreamId::of::<A>(&id)) - 1)
    }

    /// Lets the aggregate decide on the command and drafts what it yields. Returns the number of events.
    pub fn execute<A: Decider>(
        &mut self,
        id: impl std::fmt::Display,
        command: A::Command,
    ) -> Result<usize, Halt<E>>
    where
        E: From<A::Error>,
    {
        let id = id.to_string();
        let events = self
            .state::<A>(&id)?
            .decide(command)
            .map_err(|error| Halt::Refused(error.into()))?;
        let count = events.len();
        let stream = StreamId::of::<A>(&id);
        for event in events {
            self.draft
                .push::<A>(&stream, event)
                .map_err(Halt::Unacceptable)?;
        }
        Ok(count)
    }

    /// Makes `value` in `scope` belong to `owner`; refused at the commit where it belongs to another.
    pub fn claim(
        &mut self,
        scope: impl Into<String>,
        value: impl Into<String>,
        owner: impl std::fmt::Display,
    ) {
        self.draft.claims.push(Claim {
            scope: scope.into(),
            value: value.into(),
            owner: owner.to_string(),
        });
    }

    /// Gives up a claim.
    pub fn release(&mut self, scope: impl Into<String>, value: impl Into<String>) {
        self.draft.releases.push((scope.into(), value.into()));
    }

    /// Appends an event as it is, if the stream has exactly `sequence - 1` events; `false` otherwise.
    pub(crate) fn append_stored(
        &mut self,
        stream: &StreamRef,
        sequence: i64,
        event: StoredEvent,
    ) -> Result<bool, Halt<E>> {
        if self.draft.cache.peek(&stream.id).is_none() {
            self.draft.missing.push(stream.clone());
            return Err(Halt::Missing);
        }
        if self.draft.next_sequence(&stream.id) != sequence {
            return Ok(false);
        }
        self.draft
            .push_stored(stream.id.clone(), event)
            .map_err(Halt::Unacceptable)?;
        Ok(true)
    }
}

/// An event in its stored form, for programs that bring their own serialisation.
pub(crate) struct StoredEvent {
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    pub(crate) payload: String,
    /// Metadata of its own instead of the unit's cause.
    pub(crate) metadata: Option<String>,
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
    events: Vec<DraftEvent>,
    /// States of streams that this unit has written and then looked at again.
    overlays: Vec<(StreamId, Box<dyn StreamState>)>,
    claims: Vec<Claim>,
    releases: Vec<(String, String)>,
    missing: Vec<StreamRef>,
}

impl Draft<'_> {
    fn current<A: Decider>(&self, id: &StreamId) -> Option<&A> {
        match self.overlays.iter().find(|(stream, _)| stream == id) {
            Some((_, state)) => typed::<A>(state.as_ref()),
            None => typed::<A>(self.cache.peek(id)?.state.as_ref()),
        }
    }

    /// A second command on a stream must see the events of the first; the cached state stays untouched until the
    /// whole unit is accepted, so it is copied. Units rarely command one stream twice.
    fn overlay_if_drafted(&mut self, id: &StreamId) -> Result<(), String> {
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

    fn next_sequence(&self, id: &StreamId) -> i64 {
        let committed = self.cache.peek(id).map_or(0, |cached| cached.sequence);
        committed
            + self
                .events
                .iter()
                .filter(|event| event.stream == *id)
                .count() as i64
            + 1
    }

    fn push<A: Decider>(&mut self, stream: &StreamId, event: A::Event) -> Result<(), String> {
        let stored = StoredEvent {
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: serde_json::to_string(&event).map_err(|error| error.to_string())?,
            metadata: None,
        };
        let apply = Box::new(move |state: &mut dyn StreamState| {
            if let Some(aggregate) = typed_mut::<A>(state) {
                aggregate.evolve(&event);
            }
        });
        self.push_event(stream.clone(), stored, Some(apply))
    }

    fn push_stored(&mut self, stream: StreamId, stored: StoredEvent) -> Result<(), String> {
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

/// How the decision of a unit ended.
pub(crate) enum Decision {
    /// It is accepted, with this to append (perhaps nothing).
    Accepted(Drafted),
    /// It said no. To be answered only once what it rests on is known to be the current head.
    Refused,
    /// These streams are needed.
    Missing(Vec<StreamRef>),
    /// A limit of the log is exceeded; answered alone.
    Unacceptable(String),
}

/// The fate of a unit, as the sequencer tells it.
pub(crate) enum Settlement {
    /// What it decided last (an output or a refusal) stands.
    Final {
        head: Head,
        recorded_at: Option<DateTime<Utc>>,
        appended: usize,
    },
    /// It failed for a reason outside the domain.
    Failed(Failure),
}

/// [`ExecuteError`] without the domain's error.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    KeyTaken,
    ClaimTaken { scope: String, value: String },
    Unacceptable(String),
    Unreadable(Unreadable),
    DeadlinePassed,
    Unavailable(String),
    OutcomeUnknown,
}

impl<E> From<Failure> for ExecuteError<E> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::KeyTaken => Self::KeyTaken,
            Failure::ClaimTaken { scope, value } => Self::ClaimTaken { scope, value },
            Failure::Unacceptable(reason) => Self::Unacceptable(reason),
            Failure::Unreadable(unreadable) => Self::Unreadable(unreadable),
            Failure::DeadlinePassed => Self::DeadlinePassed,
            Failure::Unavailable(reason) => Self::Unavailable(reason),
            Failure::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

/// The answer that a caller waits for.
pub(crate) type Answer<T, E> = Result<Committed<T>, ExecuteError<E>>;

/// A unit as the sequencer handles it, whatever its types.
pub(crate) trait AnyUnit: Send {
    fn streams(&self) -> &[StreamRef];
    /// Adds streams that the decision turned out to need.
    fn require(&mut self, streams: &[StreamRef]);
    /// Has every stream loaded before the next decision, those taken for new ones too. False the second time.
    fn reload(&mut self) -> bool;
    fn cause(&self) -> &Cause;
    fn key(&self) -> Option<&IdempotencyKey>;
    fn deadline(&self) -> Option<Instant>;
    fn decide(&mut self, cache: &StreamCache) -> Decision;
    fn settle(self: Box<Self>, settlement: Settlement);
}

/// A unit and the caller that waits for it.
pub(crate) struct Pending<T, E> {
    unit: Unit<T, E>,
    verdict: Option<Result<T, E>>,
    reloaded: bool,
    caller: oneshot::Sender<Answer<T, E>>,
}

impl<T, E> Pending<T, E> {
    pub(crate) fn new(unit: Unit<T, E>) -> (Self, oneshot::Receiver<Answer<T, E>>) {
        let (caller, answer) = oneshot::channel();
        (
            Self {
                unit,
                verdict: None,
                reloaded: false,
                caller,
            },
            answer,
        )
    }
}

impl<T: Send, E: Send> AnyUnit for Pending<T, E> {
    fn streams(&self) -> &[StreamRef] {
        &self.unit.streams
    }

    fn require(&mut self, streams: &[StreamRef]) {
        self.unit.streams.extend_from_slice(streams);
    }

    fn reload(&mut self) -> bool {
        for stream in &mut self.unit.streams {
            stream.fresh = false;
        }
        !std::mem::replace(&mut self.reloaded, true)
    }

    fn cause(&self) -> &Cause {
        &self.unit.cause
    }

    fn key(&self) -> Option<&IdempotencyKey> {
        self.unit.key.as_ref()
    }

    fn deadline(&self) -> Option<Instant> {
        self.unit.deadline
    }

    fn decide(&mut self, cache: &StreamCache) -> Decision {
        let draft = Draft {
            cache,
            events: Vec::new(),
            overlays: Vec::new(),
            claims: Vec::new(),
            releases: Vec::new(),
            missing: Vec::new(),
        };
        let mut work = Work {
            draft,
            error: PhantomData,
        };
        // a decision that panics must not take the sequencer, and with it the shop, along; it has changed nothing but
        // its own draft
        let decided = std::panic::catch_unwind(AssertUnwindSafe(|| (self.unit.decide)(&mut work)));
        let result =
            decided.unwrap_or_else(|_| Err(Halt::Unacceptable("the decision panicked".into())));
        let Draft {
            events,
            claims,
            releases,
            missing,
            ..
        } = work.draft;
        match result {
            // a closure that swallowed a `Missing` decided on too little: load and ask again
            _ if !missing.is_empty() => Decision::Missing(missing),
            Ok(output) => {
                self.verdict = Some(Ok(output));
                Decision::Accepted(Drafted {
                    events,
                    claims,
                    releases,
                })
            }
            Err(Halt::Refused(error)) => {
                self.verdict = Some(Err(error));
                Decision::Refused
            }
            Err(Halt::Unacceptable(reason)) => Decision::Unacceptable(reason),
            Err(Halt::Missing) => {
                Decision::Unacceptable("the decision asks for a stream of another type".into())
            }
        }
    }

    fn settle(self: Box<Self>, settlement: Settlement) {
        let answer = match (settlement, self.verdict) {
            (
                Settlement::Final {
                    head,
                    recorded_at,
                    appended,
                },
                Some(Ok(output)),
            ) => Ok(Committed {
                output,
                head,
                recorded_at,
                appended,
            }),
            (Settlement::Final { .. }, Some(Err(error))) => Err(ExecuteError::Refused(error)),
            (Settlement::Final { .. }, None) => Err(ExecuteError::Unavailable(
                "the command was not decided".into(),
            )),
            (Settlement::Failed(failure), _) => Err(failure.into()),
        };
        // a caller that has gone away cancels nothing; its answer is just not heard
        let _ = self.caller.send(answer);
    }
}
