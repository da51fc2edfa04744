//! What every command comes with, and the one way in which handlers commit.

use std::time::{Duration, Instant};

use domain::aggregate::Decider;
use eventstore::{
    EventLog,
    event::Cause,
    sealing::Vault,
    stream::StreamRef,
    unit::{Committed, Halt, IdempotencyKey, Unit, Work},
};

use crate::{failure::Failure, orders::OrderNumbers, payment_methods::PaymentMethods};

/// What orders freeze when they are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandSettings {
    /// From placing an order to the start of its payment.
    pub payment_delay: Duration,
    /// How long a payment may be tried again, from its first start. Zero: the first answer of the gateway is final.
    pub payment_window: Duration,
    /// Which payment methods orders may name.
    pub payment_methods: PaymentMethods,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            payment_delay: Duration::from_mins(1),
            payment_window: Duration::ZERO,
            payment_methods: PaymentMethods::RealOnly,
        }
    }
}

/// Who asks, and on what terms; the same for every command.
#[derive(Clone, Debug)]
pub struct Request {
    /// Stored with the events.
    pub cause: Cause,
    /// Commits with the events; used before, nothing is committed.
    pub key: Option<IdempotencyKey>,
    /// After this moment the command is no longer decided.
    pub deadline: Option<Instant>,
}

impl Request {
    /// A request without key or deadline.
    pub const fn new(cause: Cause) -> Self {
        Self {
            cause,
            key: None,
            deadline: None,
        }
    }
}

/// The state of an aggregate after a command, and its version: what an ETag is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The state.
    pub state: T,
    /// Number of events in its stream.
    pub sequence: i64,
}

/// The commands of Souk, one method per use case; cheap to clone. Each builds one unit of work and commits it.
#[derive(Clone)]
pub struct Commands {
    log: EventLog,
    vault: Vault,
    settings: CommandSettings,
    order_numbers: OrderNumbers,
}

impl Commands {
    /// Commands on this log; personal data is sealed by `vault`.
    pub fn new(log: EventLog, vault: Vault, settings: CommandSettings) -> Self {
        Self {
            order_numbers: OrderNumbers::of(log.pool().clone()),
            log,
            vault,
            settings,
        }
    }

    /// The log they commit to.
    pub const fn log(&self) -> &EventLog {
        &self.log
    }

    pub(crate) const fn vault(&self) -> &Vault {
        &self.vault
    }

    pub(crate) const fn order_numbers(&self) -> &OrderNumbers {
        &self.order_numbers
    }

    /// Has these numbers given out first, where there is no database to take them from.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_order_numbers(mut self, numbers: std::ops::Range<i64>) -> Self {
        self.order_numbers = self.order_numbers.beginning_with(numbers);
        self
    }

    pub(crate) const fn settings(&self) -> CommandSettings {
        self.settings
    }

    /// Decides and commits one unit of work.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        request: Request,
        streams: Vec<StreamRef>,
        decide: impl Fn(&mut Work<'_, Failure>) -> Result<T, Halt<Failure>> + Send + 'static,
    ) -> Result<Committed<T>, Failure> {
        let unit = Unit::new(request.cause, streams, decide)
            .with_key(request.key)
            .with_deadline(request.deadline);
        Ok(self.log.execute(unit).await?)
    }
}

/// Refuses unless the aggregate has the version that the caller decided on, where it named one.
pub(crate) fn check_version<A: Decider>(
    work: &mut Work<'_, Failure>,
    id: impl std::fmt::Display,
    expected: Option<i64>,
) -> Result<(), Halt<Failure>> {
    expect_version(work.sequence::<A>(id)?, expected)
}

/// The same for something that has a version of its own.
pub(crate) fn expect_version(current: i64, expected: Option<i64>) -> Result<(), Halt<Failure>> {
    match expected {
        Some(expected) if expected != current => {
            Err(Halt::Refused(Failure::PreconditionFailed { current }))
        }
        _ => Ok(()),
    }
}
