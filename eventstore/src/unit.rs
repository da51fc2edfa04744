//! A unit of work: one decision over any number of streams, committed whole or not at all.
//!
//! A unit names the streams that it reads and writes, and a closure that decides. The closure is pure, synchronous and
//! repeatable (`Fn`): the sequencer calls it again whenever what it rested on turns out to be stale, so ids, prices and
//! times that must stay the same are made outside it. It may ask for streams that it did not name: it is then called
//! again once they are loaded.

use std::{marker::PhantomData, time::Instant};

use chrono::{DateTime, Utc};
use domain::aggregate::Decider;
use uuid::Uuid;

use self::draft::Draft;
pub(crate) use self::{
    draft::{Claim, DraftEvent, Drafted, StoredEvent},
    pending::{AnyUnit, Decision, Failure, Pending, Settlement},
};
use crate::{
    event::{Cause, Unreadable},
    position::Head,
    stream::{StreamId, StreamRef},
};

mod draft;
mod pending;

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
    /// A defect of ours: the decision panicked, or asks for what cannot be.
    #[error("a defect: {0}")]
    Defect(&'static str),
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
        self.state_of(id)
    }

    fn state_of<A: Decider>(&mut self, id: StreamId) -> Result<&A, Halt<E>> {
        self.draft
            .overlay_if_drafted(&id)
            .map_err(Halt::Unacceptable)?;
        if self.draft.current::<A>(&id).is_none() {
            self.draft.miss(StreamRef {
                id,
                ..StreamRef::of::<A>("")
            });
            return Err(Halt::Missing);
        }
        self.draft.current::<A>(&id).ok_or(Halt::Missing)
    }

    /// How many events the stream has, those drafted here included.
    pub fn sequence<A: Decider>(&mut self, id: impl std::fmt::Display) -> Result<i64, Halt<E>> {
        let id = StreamId::of::<A>(id);
        self.state_of::<A>(id.clone())?;
        Ok(self.draft.next_sequence(&id) - 1)
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
        self.execute_seeing::<A, _>(id, command, |_, events| events.len())
    }

    /// The same; returns what `see` makes of the state that the command met and of the events that it yields.
    pub fn execute_seeing<A: Decider, R>(
        &mut self,
        id: impl std::fmt::Display,
        command: A::Command,
        see: impl FnOnce(&A, &[A::Event]) -> R,
    ) -> Result<R, Halt<E>>
    where
        E: From<A::Error>,
    {
        let stream = StreamId::of::<A>(id);
        let state = self.state_of::<A>(stream.clone())?;
        let events = state
            .decide(command)
            .map_err(|error| Halt::Refused(error.into()))?;
        let seen = see(state, &events);
        for event in events {
            self.draft
                .push::<A>(&stream, event)
                .map_err(Halt::Unacceptable)?;
        }
        Ok(seen)
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
        if !self.draft.holds(&stream.id) {
            self.draft.miss(stream.clone());
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
