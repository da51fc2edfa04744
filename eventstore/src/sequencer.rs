//! The sequencer: the one task of a process that decides.
//!
//! It decides the units that wait, one after the other in memory, each against the state that the last one left,
//! appends what they drafted as one batch (see `append`), answers, and takes the next. One batch at a time is on its way
//! to the database; what arrives meanwhile is decided ahead on top of it and sent, as the next batch, the moment it is
//! committed. When it is not, all that was decided ahead is decided again, from what is stored.
//!
//! Guarantees, each with a test in `tests/`:
//! - a unit is committed whole or not at all, on exactly the state that it was decided on;
//! - a refusal or a no-op, too, is answered only once it is known to rest on the head of the log;
//! - one unit that the database refuses is answered alone, the rest of its batch commits;
//! - where the connection breaks in a commit, the outcome is found out before anything else is answered;
//! - the lock of the log is never held across a round trip, except for one round after [`MISSES_BEFORE_LOCK`]
//!   misses in a row, so that no process starves.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use self::{batch::Plan, outcome::Answers};
use crate::{
    append::{AppendError, Appended},
    cache::StreamCache,
    feed::Feed,
    position::Head,
    snapshots::Snapshot,
    store::{Session, Store},
    stream::StreamId,
    unit::{AnyUnit, Failure},
};

mod batch;
mod loads;
mod outcome;
mod rules;

/// Most units in one batch.
const MAX_UNITS_PER_BATCH: usize = 512;
/// With so many units waiting for loads, no more are taken from the queue, which is bounded itself.
const MAX_WAITING: usize = 4_096;
/// After a miss, states are copied before a batch changes them for so long, to go back to at the next miss.
const CONTENDED_FOR: Duration = Duration::from_secs(10);
/// After so many misses in a row (another process moved the head) the lock is taken before deciding.
const MISSES_BEFORE_LOCK: u32 = 3;

type Unit = Box<dyn AnyUnit>;

/// See the module.
pub(crate) struct Sequencer {
    store: Arc<dyn Store>,
    queue: mpsc::Receiver<Unit>,
    /// Nothing more comes from the queue.
    closed: bool,
    feed: Arc<Feed>,
    snapshots: mpsc::Sender<Snapshot>,
    cache: StreamCache,
    head: Head,
    writer: Option<Box<dyn Session>>,
    ready: VecDeque<Unit>,
    /// Units that wait for streams being loaded.
    waiting: Vec<Unit>,
    /// Streams being loaded; true once a commit has touched the stream, which makes the load stale.
    loading: HashMap<StreamId, bool>,
    loads: (
        mpsc::UnboundedSender<loads::Loaded>,
        mpsc::UnboundedReceiver<loads::Loaded>,
    ),
    /// How many batches were begun.
    batches: u64,
    /// Number of the last batch that was committed. Streams with a higher one in the cache are ahead of what is stored.
    committed_batch: u64,
    misses: u32,
    /// Another process moved the head not long ago.
    contended_until: Option<Instant>,
}

impl Sequencer {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        queue: mpsc::Receiver<Unit>,
        feed: Arc<Feed>,
        snapshots: mpsc::Sender<Snapshot>,
        cache_bytes: usize,
        head: Head,
    ) -> Self {
        Self {
            store,
            queue,
            closed: false,
            feed,
            snapshots,
            cache: StreamCache::new(cache_bytes),
            head,
            writer: None,
            ready: VecDeque::new(),
            waiting: Vec::new(),
            loading: HashMap::new(),
            loads: mpsc::unbounded_channel(),
            batches: 0,
            committed_batch: 0,
            misses: 0,
            contended_until: None,
        }
    }

    /// Runs until every sender of the queue is gone and all that was accepted is answered.
    pub(crate) async fn run(mut self) {
        while self.gather().await {
            let units = self.take_loaded(MAX_UNITS_PER_BATCH);
            if self.misses >= MISSES_BEFORE_LOCK {
                self.locked_round(units).await;
            } else {
                let mut next = self.decide_alone(units).map(|plan| (plan, None));
                while let Some((plan, owed)) = next {
                    next = self.round(plan, owed).await;
                }
            }
            self.shrink_cache();
        }
    }

    /// Evicts what is too much, but nothing that a unit waits for more beside.
    fn shrink_cache(&mut self) {
        let streams = self.waiting.iter().flat_map(|unit| unit.streams());
        let needed = streams.map(|stream| &stream.id);
        self.cache.shrink(self.committed_batch, needed);
    }

    /// Waits until there is something to decide and takes in all that has arrived. False at the end.
    async fn gather(&mut self) -> bool {
        while self.ready.is_empty() {
            if self.closed && self.loading.is_empty() {
                return false;
            }
            self.hear().await;
        }
        self.take_in();
        true
    }

    /// Waits for a unit or a load and takes in all that has arrived; for ever when nothing can come any more.
    async fn hear(&mut self) {
        tokio::select! {
            // loads first: whoever waits for them came before who is still in the queue
            biased;
            loaded = self.loads.1.recv(), if !self.loading.is_empty() => {
                if let Some(loaded) = loaded { self.accept_load(loaded); }
            }
            unit = self.queue.recv(), if !self.closed && self.waiting.len() < MAX_WAITING => match unit {
                Some(unit) => self.ready.push_back(unit),
                None => self.closed = true,
            },
            else => std::future::pending().await,
        }
        self.take_in();
    }

    /// Takes in what has arrived, up to a batch.
    fn take_in(&mut self) {
        while let Ok(loaded) = self.loads.1.try_recv() {
            self.accept_load(loaded);
        }
        while self.ready.len() < MAX_UNITS_PER_BATCH && self.waiting.len() < MAX_WAITING {
            match self.queue.try_recv() {
                Ok(unit) => self.ready.push_back(unit),
                Err(_) => break,
            }
        }
    }

    /// Sends a batch on its way, then gives the answers that are owed for the one before, and decides ahead what arrives
    /// meanwhile. Returns what was decided ahead, to be appended next, with the answers that are owed now. What must be
    /// decided again goes back to the front of the queue.
    async fn round(
        &mut self,
        plan: Plan,
        mut owed: Option<Answers>,
    ) -> Option<(Plan, Option<Answers>)> {
        if self.writer.is_none()
            && let Some(owed) = owed.take()
        {
            // connecting may take long
            self.answer(owed);
        }
        let mut writer = match self.take_writer().await {
            Ok(writer) => writer,
            Err(reason) => {
                self.fail(plan, &Failure::Unavailable(reason));
                return None;
            }
        };
        let session = writer.number();
        let (batch, expected) = (plan.batch.clone(), self.head);
        let mut appending = Box::pin(async move {
            let appended = batch.append_or_verify(expected, &mut *writer).await;
            (appended, writer)
        });
        let sent = futures::poll!(&mut appending);
        if let Some(owed) = owed {
            self.answer(owed);
        }
        let mut ahead = self.open();
        let (appended, writer) = match sent {
            Poll::Ready(done) => done,
            Poll::Pending => loop {
                tokio::select! {
                    biased;
                    done = &mut appending => break done,
                    () = self.hear(), if !ahead.is_full() => self.decide_ready(&mut ahead),
                }
            },
        };
        self.keep_writer(writer, &appended);
        if let Ok(Appended::Written { recorded_at }) = appended {
            let answers = self.advance(plan, recorded_at);
            self.take_in();
            self.decide_ready(&mut ahead);
            if let Some(next) = self.close(ahead) {
                return Some((next, Some(answers)));
            }
            self.answer(answers);
            return None;
        }
        // it rests on a batch that is not there
        if let Some(ahead) = self.close(ahead) {
            self.decide_again(ahead);
        }
        self.conclude(plan, appended, session).await;
        None
    }

    /// Appends a batch while nothing else is decided.
    async fn append_alone(&mut self, plan: Plan) {
        let mut writer = match self.take_writer().await {
            Ok(writer) => writer,
            Err(reason) => return self.fail(plan, &Failure::Unavailable(reason)),
        };
        let session = writer.number();
        let appended = plan.batch.append_or_verify(self.head, &mut *writer).await;
        self.keep_writer(writer, &appended);
        self.conclude(plan, appended, session).await;
    }

    /// A session that may be broken, or still at work, is not used again.
    fn keep_writer(&mut self, writer: Box<dyn Session>, appended: &Result<Appended, AppendError>) {
        if matches!(appended, Ok(_) | Err(AppendError::BadBatch(_))) {
            self.writer = Some(writer);
        }
    }

    /// Puts units to the front of those that wait to be decided, in their order.
    fn put_back(&mut self, units: Vec<Unit>) {
        for unit in units.into_iter().rev() {
            self.ready.push_front(unit);
        }
    }
}
