//! A unit on its way through the sequencer: how it decided, how it ended, and who waits for the answer.

use std::{marker::PhantomData, panic::AssertUnwindSafe, time::Instant};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{
    Committed, ExecuteError, Halt, IdempotencyKey, Unit, Work,
    draft::{Draft, Drafted},
};
use crate::{
    cache::StreamCache,
    event::{Cause, Unreadable},
    position::Head,
    stream::StreamRef,
};

/// How the decision of a unit ended.
pub(crate) enum Decision {
    /// It is accepted, with this to append (perhaps nothing).
    Accepted(Drafted),
    /// It said no. To be answered only once what it rests on is known to be the current head.
    Refused,
    /// These streams are needed.
    Missing(Vec<StreamRef>),
    /// It cannot be accepted as it is; answered alone.
    Failed(Failure),
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
    Defect(&'static str),
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
            Failure::Defect(what) => Self::Defect(what),
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
        let mut work = Work {
            draft: Draft::new(cache),
            error: PhantomData,
        };
        // a decision that panics must not take the sequencer, and with it the shop, along; it has changed nothing but
        // its own draft
        let decided = std::panic::catch_unwind(AssertUnwindSafe(|| (self.unit.decide)(&mut work)));
        let Ok(result) = decided else {
            return Decision::Failed(Failure::Defect("the decision panicked"));
        };
        let (drafted, missing) = work.draft.finish();
        match result {
            // a closure that swallowed a `Missing` decided on too little: load and ask again
            _ if !missing.is_empty() => Decision::Missing(missing),
            Ok(output) => {
                self.verdict = Some(Ok(output));
                Decision::Accepted(drafted)
            }
            Err(Halt::Refused(error)) => {
                self.verdict = Some(Err(error));
                Decision::Refused
            }
            Err(Halt::Unacceptable(reason)) => Decision::Failed(Failure::Unacceptable(reason)),
            Err(Halt::Missing) => Decision::Failed(Failure::Defect(
                "the decision asks for a stream of another type",
            )),
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
