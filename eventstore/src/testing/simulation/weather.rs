//! What can go wrong on the way to the store and back, and how often in one history.

use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};

use super::Random;

/// How often, in a thousand calls, each fault happens. Drawn anew for each history, each fault apart, so that some
/// histories see much of one kind and nothing of the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// The server says that it cannot, and does nothing.
    refused: u64,
    /// The connection breaks before the request gets there.
    lost_request: u64,
    /// The connection breaks after the effect, before the answer is back.
    lost_answer: u64,
    /// No answer ever, with or without the effect.
    silent: u64,
    /// Request or answer take long.
    slow: u64,
    /// Ordinary calls take up to so many milliseconds.
    latency: u64,
    /// A notification gets lost.
    pub(super) lost_notification: u64,
    /// The server does not hear that a connection was closed.
    pub(super) half_open: u64,
}

/// Longest delay of a slow call: longer than every patience of ours.
const SLOWEST: Duration = Duration::from_secs(20);
/// What a server answers that cannot serve now: shutting down, crashed, starting up, too many connections, timeout of
/// a statement, disk full, deadlock, read-only standby.
const PASSING_CODES: [&str; 8] = [
    "57P01", "57P02", "57P03", "53300", "57014", "53100", "40P01", "25006",
];

impl Weather {
    /// One of a history.
    pub const fn draw(random: &mut Random) -> Self {
        const OFTEN: [u64; 4] = [0, 0, 5, 40];
        Self {
            refused: random.pick(&OFTEN),
            lost_request: random.pick(&OFTEN),
            lost_answer: random.pick(&OFTEN),
            silent: random.pick(&[0, 0, 2, 10]),
            slow: random.pick(&[0, 0, 5, 30]),
            latency: random.pick(&[0, 1, 3, 20]),
            lost_notification: random.pick(&[0, 0, 200, 1_000]),
            half_open: random.pick(&[0, 200]),
        }
    }

    /// Nothing goes wrong.
    pub const CALM: Self = Self {
        refused: 0,
        lost_request: 0,
        lost_answer: 0,
        silent: 0,
        slow: 0,
        latency: 1,
        lost_notification: 0,
        half_open: 0,
    };

    pub(super) fn fate(&self, random: &mut Random) -> Fate {
        let roll = random.below(1_000);
        let refused = self.refused;
        let lost_request = refused + self.lost_request;
        let lost_answer = lost_request + self.lost_answer;
        let silent = lost_answer + self.silent;
        let fault = if roll < refused {
            Fault::Refused(random.pick(&PASSING_CODES))
        } else if roll < lost_request {
            Fault::LostRequest
        } else if roll < lost_answer {
            Fault::LostAnswer
        } else if roll < silent {
            Fault::Silent {
                effect: random.in_thousand(500),
            }
        } else {
            Fault::None
        };
        let mut delay = || {
            if random.in_thousand(self.slow) {
                random.up_to(SLOWEST)
            } else {
                Duration::from_millis(random.below(self.latency + 1))
            }
        };
        Fate {
            fault,
            there: delay(),
            back: delay(),
        }
    }
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) fault: Fault,
    /// How long the request takes.
    pub(super) there: Duration,
    /// How long the answer takes.
    pub(super) back: Duration,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The server says no, with this SQLSTATE, and does nothing.
    Refused(&'static str),
    /// The connection breaks before the request gets there.
    LostRequest,
    /// The connection breaks after the effect.
    LostAnswer,
    /// There is never an answer.
    Silent {
        /// Whether it was done.
        effect: bool,
    },
}

/// The connection broke.
pub(super) fn broken() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
}

/// The server says no, by this code.
pub(super) fn says(code: &'static str) -> sqlx::Error {
    violates(code, None)
}

/// The server says no, because of this constraint.
pub(super) fn violates(code: &'static str, constraint: Option<&'static str>) -> sqlx::Error {
    sqlx::Error::Database(Box::new(Said { code, constraint }))
}

/// What a PostgreSQL server would say.
#[derive(Debug, thiserror::Error)]
#[error("simulated error {code}")]
struct Said {
    code: &'static str,
    constraint: Option<&'static str>,
}

impl DatabaseError for Said {
    fn message(&self) -> &'static str {
        "simulated"
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(self.code.into())
    }

    fn constraint(&self) -> Option<&str> {
        self.constraint
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
