//! The second half of a round: acting on what the database said of a batch.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{
    CONTENDED_FOR, Sequencer, Unit,
    batch::{Member, Plan},
};
use crate::{
    append::{AppendError, Appended, Batch, bounded, connect},
    feed::FeedError,
    position::Head,
    store::Session,
    unit::{Failure, Settlement},
};

/// Most events that are read to catch up with another process; behind by more, the cache is dropped.
const MAX_GAP: usize = 5_000;
/// How long callers wait while the outcome of a lost commit is being found out.
const RESOLVE_FOR: Duration = Duration::from_secs(8);
/// Pause between two attempts to find it out.
const RESOLVE_PAUSE: Duration = Duration::from_millis(100);

/// What is owed once a batch is stored.
pub(super) struct Answers {
    plan: Plan,
    /// The head that the batch was appended to.
    before: Head,
    recorded_at: Option<DateTime<Utc>>,
}

impl Sequencer {
    pub(super) async fn conclude(
        &mut self,
        plan: Plan,
        appended: Result<Appended, AppendError>,
        session: i32,
    ) {
        match appended {
            Ok(Appended::Written { recorded_at }) => self.committed(plan, recorded_at),
            Ok(Appended::Moved) => {
                self.misses += 1;
                self.contended_until = Some(Instant::now() + CONTENDED_FOR);
                self.decide_again(plan);
                self.catch_up_or_fail().await;
            }
            Ok(Appended::Taken { keys, claims }) => self.settle_taken(plan, &keys, &claims),
            Err(AppendError::BadBatch(error)) => self.isolate(plan, &error).await,
            Err(AppendError::Unavailable(reason)) => self.fail(plan, &Failure::Unavailable(reason)),
            Err(AppendError::OutcomeUnknown(reason)) => {
                tracing::warn!(%reason, "connection lost in a commit; finding out its outcome");
                self.resolve(plan, session).await;
            }
        }
    }

    /// The batch is stored: takes note, and answers.
    fn committed(&mut self, plan: Plan, recorded_at: Option<DateTime<Utc>>) {
        let answers = self.advance(plan, recorded_at);
        self.answer(answers);
    }

    /// Takes note that a batch is stored, and hands over its snapshots. Everybody is to be answered.
    pub(super) fn advance(
        &mut self,
        mut plan: Plan,
        recorded_at: Option<DateTime<Utc>>,
    ) -> Answers {
        self.misses = 0;
        self.committed_batch = plan.number;
        let before = self.head;
        self.head = plan.batch.head_after(before, plan.batch.len());
        for stream in plan.touched.keys() {
            if let Some(stale) = self.loading.get_mut(stream) {
                *stale = true;
            }
        }
        for snapshot in plan.snapshots.drain(..) {
            let (stream, sequence) = (snapshot.stream.clone(), snapshot.sequence);
            if self.snapshots.try_send(snapshot).is_ok()
                && let Some(cached) = self.cache.peek_mut(&stream)
            {
                cached.snapshot_at = sequence;
            }
        }
        Answers {
            plan,
            before,
            recorded_at,
        }
    }

    /// Answers everybody and wakes the readers.
    pub(super) fn answer(&mut self, answers: Answers) {
        let Answers {
            plan,
            before,
            recorded_at,
        } = answers;
        for member in plan.members {
            let settlement = match member.failure {
                Some(failure) => Settlement::Failed(failure),
                // units of the batch behind this one may have changed what it saw: it stands where it was decided
                None => Settlement::Final {
                    head: plan.batch.head_after(before, member.end),
                    recorded_at: recorded_at.filter(|_| member.appended > 0),
                    appended: member.appended,
                },
            };
            member.unit.settle(settlement);
        }
        if let Some(recorded_at) = recorded_at {
            self.feed
                .publish_committed(plan.batch.recorded(before, recorded_at));
        }
        for stream in plan.touched.keys() {
            self.cache.reweigh(stream);
        }
        self.shrink_cache();
    }

    /// Takes states that ran ahead back to what is stored and puts the units back to the front, in their order.
    pub(super) fn decide_again(&mut self, plan: Plan) {
        let members = self.forget(plan);
        self.put_back(members.into_iter().map(|member| member.unit).collect());
    }

    /// Takes the states of the plan's streams back to what is stored, by the copy where there is one.
    fn forget(&mut self, plan: Plan) -> Vec<Member> {
        // in order: what is evicted first must not hang on the order of a hash map
        for (stream, before) in BTreeMap::from_iter(plan.touched) {
            match before {
                Some(before) => self.cache.insert(stream, before),
                None => self.cache.remove(&stream),
            }
        }
        plan.members
    }

    pub(super) fn fail(&mut self, plan: Plan, failure: &Failure) {
        let members = self.forget(plan);
        fail_units(members.into_iter().map(|member| member.unit), failure);
    }

    /// Units whose key or claim is taken are answered; the others are decided again.
    fn settle_taken(&mut self, plan: Plan, keys: &[uuid::Uuid], claims: &[i64]) {
        let claimed: Vec<(String, String)> = claims
            .iter()
            .filter_map(|index| plan.batch.claim(*index))
            .collect();
        let mut again = Vec::new();
        for member in self.forget(plan) {
            if member.unit.key().is_some_and(|key| keys.contains(&key.id)) {
                member.unit.settle(Settlement::Failed(Failure::KeyTaken));
            } else if let Some(at) = claims
                .iter()
                .position(|index| member.claims.contains(index))
            {
                let (scope, value) = claimed.get(at).cloned().unwrap_or_default();
                member
                    .unit
                    .settle(Settlement::Failed(Failure::ClaimTaken { scope, value }));
            } else {
                again.push(member.unit);
            }
        }
        self.put_back(again);
    }

    /// The database refuses something in the batch: halves are tried until the unit at fault stands alone.
    async fn isolate(&mut self, plan: Plan, error: &sqlx::Error) {
        let mut units: Vec<Unit> = self
            .forget(plan)
            .into_iter()
            .map(|member| member.unit)
            .collect();
        if units.len() == 1 {
            if let Some(mut unit) = units.pop() {
                // a stream that was taken for a new one, or a cached state that is stale: once more, from what is stored
                if is_stale_stream(error) && unit.reload() {
                    for stream in unit.streams() {
                        self.cache.remove(&stream.id);
                    }
                    self.ready.push_front(unit);
                } else {
                    // what the database says of its tables is for the log, not for the caller
                    tracing::warn!(%error, "the database does not accept a command");
                    let reason = "the database does not accept the content".into();
                    unit.settle(Settlement::Failed(Failure::Unacceptable(reason)));
                }
            }
            return;
        }
        let second = units.split_off(units.len() / 2);
        for half in [units, second] {
            let half = self.load_now(half).await;
            if let Some(plan) = self.decide_alone(half) {
                Box::pin(self.append_alone(plan)).await;
            }
        }
    }

    /// The connection broke in the commit. Nothing is decided or answered before it is known whether it took place;
    /// callers are told so when that takes too long.
    async fn resolve(&mut self, plan: Plan, session: i32) {
        let give_up = Instant::now() + RESOLVE_FOR;
        loop {
            match bounded(self.look_for(&plan.batch, session)).await {
                Ok(Some(recorded_at)) => return self.committed(plan, Some(recorded_at)),
                Ok(None) => {
                    self.decide_again(plan);
                    return self.catch_up_or_fail().await;
                }
                Err(error) if Instant::now() < give_up => {
                    tracing::debug!(%error, "the outcome of the commit is not known yet");
                    tokio::time::sleep(RESOLVE_PAUSE).await;
                }
                Err(_) => {
                    // whatever the outcome is, the next append sees it as a moved head
                    return self.fail(plan, &Failure::OutcomeUnknown);
                }
            }
        }
    }

    async fn look_for(
        &mut self,
        batch: &Batch,
        session: i32,
    ) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let mut writer = connect(&*self.store).await?;
        let found = writer.find_committed(batch, self.head, session).await?;
        self.writer = Some(writer);
        Ok(found)
    }

    /// The writing session, connected if need be.
    pub(super) async fn take_writer(&mut self) -> Result<Box<dyn Session>, String> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => connect(&*self.store)
                .await
                .map_err(|error| error.to_string()),
        }
    }

    /// Reads what other processes appended; where that fails, whoever waits is answered.
    async fn catch_up_or_fail(&mut self) {
        let caught_up = match self.take_writer().await {
            Ok(mut writer) => {
                let caught_up = bounded(self.catch_up(&mut *writer)).await;
                let result = caught_up.map_err(|error| error.to_string());
                if result.is_ok() {
                    self.writer = Some(writer);
                }
                result
            }
            Err(reason) => Err(reason),
        };
        if let Err(reason) = caught_up {
            fail_units(self.ready.drain(..), &Failure::Unavailable(reason));
        }
    }

    /// Brings the cached streams to the head that there is.
    async fn catch_up(&mut self, session: &mut dyn Session) -> Result<(), sqlx::Error> {
        match session.read_after(self.head, MAX_GAP + 1).await {
            Ok(gap) if gap.len() <= MAX_GAP => {
                for event in &gap {
                    self.cache.apply_recorded(event);
                    if let Some(stale) = self.loading.get_mut(&event.stream()) {
                        *stale = true;
                    }
                }
                if let Some(last) = gap.last() {
                    self.head = last.head();
                }
                self.feed.publish(gap);
                return Ok(());
            }
            // too far behind to replay it here
            Ok(_) => {}
            Err(FeedError::Diverged { .. }) => {
                tracing::warn!(head = %self.head.position, "the log no longer holds the event at our head: starting afresh");
                self.feed.reset();
            }
            Err(FeedError::Database(error)) => return Err(error),
        }
        self.cache.clear();
        self.loading.values_mut().for_each(|stale| *stale = true);
        self.head = session.head().await?;
        self.feed.observe(self.head.position);
        Ok(())
    }

    /// A round under the lock, so that a process that keeps losing gets its turn. The timeouts of the writer bound how
    /// long a paused process can hold it.
    pub(super) async fn locked_round(&mut self, units: Vec<Unit>) {
        if units.is_empty() {
            return;
        }
        let mut writer = match self.take_writer().await {
            Ok(writer) => writer,
            Err(reason) => return fail_units(units, &Failure::Unavailable(reason)),
        };
        let session = writer.number();
        if let Err(error) = bounded(self.lock_and_catch_up(&mut *writer)).await {
            return fail_units(units, &Failure::Unavailable(error.to_string()));
        }
        let units = self.load_now(units).await;
        let Some(plan) = self.decide_alone(units) else {
            if bounded(writer.roll_back()).await.is_ok() {
                self.writer = Some(writer);
            }
            return;
        };
        let appended = plan.batch.append_or_verify(self.head, &mut *writer).await;
        let appended = match appended {
            Ok(appended) => bounded(writer.commit())
                .await
                .map(|()| appended)
                .map_err(AppendError::of),
            Err(error) => Err(error),
        };
        let usable = match &appended {
            Ok(_) => true,
            Err(AppendError::BadBatch(_)) => bounded(writer.roll_back()).await.is_ok(),
            // dropped, the session ends and its transaction with it
            Err(_) => false,
        };
        if usable {
            self.writer = Some(writer);
        }
        self.conclude(plan, appended, session).await;
    }

    async fn lock_and_catch_up(&mut self, session: &mut dyn Session) -> Result<(), sqlx::Error> {
        session.lock().await?;
        self.catch_up(session).await
    }
}

pub(super) fn fail_units(units: impl IntoIterator<Item = Unit>, failure: &Failure) {
    for unit in units {
        unit.settle(Settlement::Failed(failure.clone()));
    }
}

/// Another event stands at that place of the stream already.
fn is_stale_stream(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if database.constraint() == Some("events_pkey"))
}
