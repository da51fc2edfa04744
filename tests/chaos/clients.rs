//! Clients that go on while things fail: they order, cancel, change stock and read, look at every answer, and keep a
//! record of what was acknowledged.
//!
//! Whoever gets no answer, or a 503, asks again with the same key, at whatever process is there. Every answer must be a
//! success, a refusal that fits, or a 503 problem document with `Retry-After`, and must come within the deadline. What was
//! acknowledged is read back by its position, and must be seen.

use std::time::{Duration, Instant};

use tests::client::Client;
use tokio::{sync::watch, task::JoinSet};

use self::actor::Actor;
use crate::{record::Record, seed::Choices};

mod actor;
mod asking;
mod reading;

/// The longest that the answer to a command may take: `SOUK_REQUEST_TIMEOUT` and 20 seconds, as docs/API.md promises, and
/// what a loaded machine may need to say so.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10 + 20 + 3);
/// The same for a query: `SOUK_REQUEST_TIMEOUT` and `SOUK_READ_WAIT`.
const QUERY_DEADLINE: Duration = Duration::from_secs(10 + 5 + 3);

/// The way to a process that takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    /// Of the process.
    pub(crate) address: String,
    /// Since when it has been open: a door that was closed in between is another one.
    pub(crate) since: Instant,
}

/// Those of all processes, by number; none where nobody is led to it.
pub(crate) type Doors = Vec<Option<Door>>;

/// What the clients of a scenario accept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether processes die, so that a connection to one may break. Never otherwise.
    pub(crate) may_break: bool,
    /// How long a process may stand still. An answer may take so much longer where its door was closed meanwhile, and
    /// nowhere else.
    pub(crate) standing_still: Duration,
    /// The longest until a command is done or refused, however often it is asked for, where every door that was asked at
    /// stayed open.
    pub(crate) decided_within: Option<Duration>,
    /// The pace: how long each client rests between two actions.
    pub(crate) pause: Duration,
}

impl Rules {
    /// Processes live, and answer in time.
    pub(crate) const STRICT: Self = Self {
        may_break: false,
        standing_still: Duration::ZERO,
        decided_within: None,
        pause: Duration::from_millis(20),
    };
    /// Processes die.
    pub(crate) const DEATHS: Self = Self {
        may_break: true,
        ..Self::STRICT
    };
}

/// The running clients of a scenario.
pub(crate) struct Load {
    /// Of which scenario, to be told apart in what is printed.
    scenario: &'static str,
    actors: JoinSet<Actor>,
    stop: watch::Sender<bool>,
    heard: watch::Sender<u64>,
}

impl Load {
    pub(crate) fn start(
        scenario: &'static str,
        choices: impl Fn(usize) -> Choices,
        customers: &[Client],
        admin: &Client,
        products: &[String],
        doors: &watch::Receiver<Doors>,
        rules: Rules,
    ) -> Self {
        let (stop, heard) = (watch::Sender::new(false), watch::Sender::new(0));
        let mut actors = JoinSet::new();
        for (number, customer) in customers.iter().enumerate() {
            let actor = Actor {
                customer: customer.clone(),
                admin: admin.clone(),
                products: products.to_vec(),
                doors: doors.clone(),
                rules,
                choices: choices(number),
                stop: stop.subscribe(),
                heard: heard.clone(),
                record: Record::default(),
                written: Vec::new(),
            };
            actors.spawn(actor.run());
        }
        Self {
            scenario,
            actors,
            stop,
            heard,
        }
    }

    /// How many successes the clients have heard so far.
    pub(crate) fn heard(&self) -> u64 {
        *self.heard.borrow()
    }

    /// Waits until the clients have heard so many more successes. Fails when one of them failed.
    pub(crate) async fn successes(&mut self, count: u64) {
        let mut heard = self.heard.subscribe();
        let enough = self.heard() + count;
        let waiting = tokio::time::timeout(
            crate::world::PATIENCE,
            heard.wait_for(|so_far| *so_far >= enough),
        );
        tokio::select! {
            waited = waiting => drop(waited.expect("clients get on").expect("clients are there")),
            ended = self.actors.join_next() => match ended {
                Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
                _ => panic!("a client has stopped by itself"),
            },
        }
    }

    /// Asks the clients to stop, and waits until they know the fate of all that they asked for. Everything must work
    /// again by now.
    pub(crate) async fn finish(mut self) -> Record {
        self.stop.send_replace(true);
        let mut record = Record::default();
        while let Some(ended) = self.actors.join_next().await {
            match ended {
                Ok(actor) => record = record.joined(actor.record),
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
        eprintln!(
            "chaos: {}: {} orders placed, {} refused, {} changes of stock; longest wait {} ms; {:?}",
            self.scenario,
            record.placed.len(),
            record.refused.len(),
            record.changed.len(),
            record.longest_ms,
            record.tally
        );
        record
    }
}
