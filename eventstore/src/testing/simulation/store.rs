//! The simulated log, as the sequencer and the feed see it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::{
    contents::Wanted,
    process::Process,
    server::{Attempt, Server},
    weather::broken,
};
use crate::{
    append::{Appended, Batch},
    event::RecordedEvent,
    feed::FeedError,
    position::{Head, Position},
    snapshots::Snapshot,
    store::{Listener, LoadedStreams, Reply, Session, Store},
    stream::StreamRef,
};

/// Longest that a transaction of a session that appends may sit idle, as it is set in PostgreSQL.
const IDLE_LIMIT: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct SimStore {
    process: Process,
}

impl SimStore {
    pub(super) const fn new(process: Process) -> Self {
        Self { process }
    }
}

impl Store for SimStore {
    fn connect(&self) -> Reply<'_, Box<dyn Session>> {
        Box::pin(async {
            let connect = |server: &mut Server| Attempt::ok(server.open_session(IDLE_LIMIT));
            let number = self.process.call("connect", None, connect).await?;
            let process = self.process.clone();
            Ok(Box::new(SimSession { process, number }) as Box<dyn Session>)
        })
    }

    fn load<'a>(&'a self, streams: &'a [StreamRef]) -> Reply<'a, LoadedStreams> {
        let streams = streams.to_vec();
        Box::pin(self.process.call("load", None, move |server| {
            Attempt::ok(server.load(&streams))
        }))
    }

    fn read_after(
        &self,
        after: Head,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, FeedError>> {
        Box::pin(async move {
            self.process
                .call("read", None, move |server| {
                    Attempt::ok(server.read_after(after, limit))
                })
                .await?
        })
    }

    fn head(&self) -> Reply<'_, Head> {
        Box::pin(
            self.process
                .call("head", None, |server| Attempt::ok(server.head())),
        )
    }

    fn keep_snapshot<'a>(&'a self, snapshot: &'a Snapshot) -> Reply<'a, ()> {
        let stream = snapshot.stream.clone();
        let kept = (
            snapshot.sequence,
            snapshot.event_id,
            snapshot.state_version,
            snapshot.state.clone(),
        );
        Box::pin(self.process.call("snapshot", None, move |server| {
            let older = server
                .snapshots
                .get(&stream)
                .is_none_or(|(sequence, _, version, _)| kept.0 > *sequence || kept.2 != *version);
            if older {
                server.snapshots.insert(stream.clone(), kept.clone());
            }
            Attempt::ok(())
        }))
    }

    fn claim_owner<'a>(&'a self, scope: &'a str, value: &'a str) -> Reply<'a, Option<String>> {
        let claim = (scope.to_owned(), value.to_owned());
        Box::pin(self.process.call("claim", None, move |server| {
            Attempt::ok(server.claims.get(&claim).cloned())
        }))
    }

    fn notify(&self, position: Position) -> Reply<'_, ()> {
        Box::pin(self.process.call("notify", None, move |server| {
            if !server.random.in_thousand(server.weather.lost_notification) {
                server
                    .listeners
                    .retain(|listener| listener.send(position).is_ok());
            }
            Attempt::ok(())
        }))
    }

    fn listen(&self) -> Reply<'_, Box<dyn Listener>> {
        Box::pin(async {
            let listen = |server: &mut Server| {
                let (listener, told) = mpsc::unbounded_channel();
                server.listeners.push(listener);
                Attempt::ok(told)
            };
            let told = self.process.call("listen", None, listen).await?;
            Ok(Box::new(SimListener { told }) as Box<dyn Listener>)
        })
    }
}

struct SimListener {
    told: mpsc::UnboundedReceiver<Position>,
}

impl Listener for SimListener {
    fn next(&mut self) -> Reply<'_, Option<Position>> {
        Box::pin(async {
            match self.told.recv().await {
                Some(position) => Ok(Some(position)),
                None => Err(broken()),
            }
        })
    }
}

struct SimSession {
    process: Process,
    number: i32,
}

impl Drop for SimSession {
    fn drop(&mut self) {
        self.process.world().client_closes(self.number);
    }
}

impl Session for SimSession {
    fn number(&self) -> i32 {
        self.number
    }

    fn append<'a>(&'a mut self, batch: &'a Batch, expected: Head) -> Reply<'a, Appended> {
        let (number, wanted) = (self.number, Wanted::of(batch, expected));
        Box::pin(self.process.call("append", Some(number), move |server| {
            if let Some(holder) = server.log_lock_in_the_way_of(number) {
                return Attempt::Blocked(holder);
            }
            let (appended, write) = match server.append(&wanted, expected) {
                Ok(outcome) => outcome,
                Err(error) => return Attempt::Done(Err(error)),
            };
            if server.in_transaction(number) {
                server.write_later(number, write);
            } else {
                write(server);
            }
            Attempt::ok(appended)
        }))
    }

    fn head(&mut self) -> Reply<'_, Head> {
        Box::pin(self.process.call("head", Some(self.number), |server| {
            Attempt::ok(server.head())
        }))
    }

    /// No synchronous standby is simulated: what is committed is safe. That an answer waits for one is tested on a real
    /// server only (`chaos/standby`).
    fn safe_head(&mut self) -> Reply<'_, Head> {
        self.head()
    }

    fn read_after(
        &mut self,
        after: Head,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, FeedError>> {
        Box::pin(async move {
            self.process
                .call("read", Some(self.number), move |server| {
                    Attempt::ok(server.read_after(after, limit))
                })
                .await?
        })
    }

    fn lock(&mut self) -> Reply<'_, ()> {
        let number = self.number;
        Box::pin(async move {
            self.process
                .call("lock", Some(number), move |server| {
                    server.begin(number);
                    Attempt::ok(())
                })
                .await?;
            self.process
                .call("lock", Some(number), move |server| server.lock_log(number))
                .await
        })
    }

    fn commit(&mut self) -> Reply<'_, ()> {
        let number = self.number;
        Box::pin(self.process.call("commit", Some(number), move |server| {
            server.commit(number);
            Attempt::ok(())
        }))
    }

    fn roll_back(&mut self) -> Reply<'_, ()> {
        let number = self.number;
        Box::pin(self.process.call("roll back", Some(number), move |server| {
            server.roll_back(number);
            Attempt::ok(())
        }))
    }

    fn find_committed<'a>(
        &'a mut self,
        batch: &'a Batch,
        expected: Head,
        lost: i32,
    ) -> Reply<'a, Option<DateTime<Utc>>> {
        let (number, wanted) = (self.number, Wanted::of(batch, expected));
        Box::pin(self.process.call("find", Some(number), move |server| {
            server.end_session(lost);
            if let Some(holder) = server.log_lock_in_the_way_of(number) {
                return Attempt::Blocked(holder);
            }
            let next = usize::try_from(expected.position.0).unwrap_or_default();
            let ours = wanted.events.first().map(|event| event.event_id);
            let found = server
                .log
                .get(next)
                .filter(|event| Some(event.event_id) == ours)
                .map(|event| event.recorded_at);
            Attempt::ok(found)
        }))
    }
}
