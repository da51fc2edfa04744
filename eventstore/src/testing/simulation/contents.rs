//! The log as the simulated server stores it: what `append_events` does, and what is read.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    server::{ClaimId, Server, Write},
    weather::{says, violates},
};
use crate::{
    append::{Appended, Batch},
    event::RecordedEvent,
    feed::FeedError,
    load::{Assembly, StoredSnapshot, StreamEvent, distinct},
    position::Head,
    store::LoadedStreams,
    stream::StreamRef,
};

/// Content that the server refuses to store, as PostgreSQL refuses some characters.
pub const UNSTORABLE: &str = "unstorable";

/// What a batch wants to write.
#[derive(Clone)]
pub(super) struct Wanted {
    /// When they were recorded is not known yet.
    pub(super) events: Vec<RecordedEvent>,
    pub(super) keys: Vec<Uuid>,
    /// With their owners.
    claims: Vec<(ClaimId, String)>,
    releases: Vec<ClaimId>,
}

impl Wanted {
    pub(super) fn of(batch: &Batch, expected: Head) -> Self {
        let claims = batch
            .claim_scopes
            .iter()
            .zip(&batch.claim_values)
            .zip(&batch.claim_owners);
        let releases = batch.release_scopes.iter().zip(&batch.release_values);
        Self {
            events: batch.recorded(expected, DateTime::UNIX_EPOCH),
            keys: batch.key_ids.clone(),
            claims: claims
                .map(|((scope, value), owner)| ((scope.clone(), value.clone()), owner.clone()))
                .collect(),
            releases: releases
                .map(|(scope, value)| (scope.clone(), value.clone()))
                .collect(),
        }
    }
}

impl Server {
    pub(super) fn head(&self) -> Head {
        self.log.last().map_or(Head::EMPTY, RecordedEvent::head)
    }

    pub(super) fn read_after(
        &self,
        after: Head,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, FeedError> {
        let done = usize::try_from(after.position.0).unwrap_or_default();
        let standing = done.checked_sub(1).map(|last| self.log.get(last));
        match standing {
            Some(event) if event.map(RecordedEvent::head) != Some(after) => {
                Err(FeedError::Diverged { after })
            }
            _ => Ok(self.log[done..].iter().take(limit).cloned().collect()),
        }
    }

    /// What `append_events` does, in the same order.
    pub(super) fn append(
        &mut self,
        wanted: &Wanted,
        expected: Head,
    ) -> Result<(Appended, Write), sqlx::Error> {
        let nothing: Write = Box::new(|_| {});
        if self.head() != expected {
            return Ok((Appended::Moved, nothing));
        }
        let used = |id: &&Uuid| self.keys.contains_key(*id);
        let keys: Vec<Uuid> = wanted.keys.iter().filter(used).copied().collect();
        let claims = self.taken_claims(wanted);
        if !keys.is_empty() || !claims.is_empty() {
            return Ok((Appended::Taken { keys, claims }, nothing));
        }
        self.check_constraints(wanted)?;
        let last = self.log.last().map(|event| event.recorded_at);
        let recorded_at = last.map_or(self.now(), |last| last.max(self.now()));
        let wanted = wanted.clone();
        let write: Write = Box::new(move |server| server.store(wanted, recorded_at));
        let appended = Appended::Written {
            recorded_at: Some(recorded_at),
        };
        Ok((appended, write))
    }

    /// Indexes from 1 of claims that belong to another owner.
    fn taken_claims(&self, wanted: &Wanted) -> Vec<i64> {
        let taken = |(claim, owner): &(ClaimId, String)| {
            let holder = self.claims.get(claim);
            holder.is_some_and(|holder| holder != owner) && !wanted.releases.contains(claim)
        };
        let claims = wanted.claims.iter().enumerate();
        claims
            .filter(|(_, claim)| taken(claim))
            .map(|(index, _)| index as i64 + 1)
            .collect()
    }

    fn check_constraints(&self, wanted: &Wanted) -> Result<(), sqlx::Error> {
        for event in &wanted.events {
            if event.payload.contains(UNSTORABLE) {
                return Err(says("22P05"));
            }
            let stored = self.streams.get(&event.stream()).map_or(0, Vec::len) as i64;
            if event.sequence <= stored {
                return Err(violates("23505", Some("events_pkey")));
            }
        }
        let mut keys = wanted.keys.clone();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(violates("23505", Some("idempotency_keys_pkey")));
        }
        Ok(())
    }

    fn store(&mut self, wanted: Wanted, recorded_at: DateTime<Utc>) {
        self.keys
            .extend(wanted.keys.into_iter().map(|id| (id, recorded_at)));
        for claim in &wanted.releases {
            self.claims.remove(claim);
        }
        for (claim, owner) in wanted.claims {
            self.claims.entry(claim).or_insert(owner);
        }
        for mut event in wanted.events {
            event.recorded_at = recorded_at;
            let stream = self.streams.entry(event.stream()).or_default();
            stream.push(self.log.len());
            self.log.push(event);
        }
    }

    /// Committed states, put together by the code that does it for PostgreSQL.
    pub(super) fn load(&self, streams: &[StreamRef]) -> LoadedStreams {
        let streams = distinct(streams);
        let mut assembly = Assembly::new(&streams);
        for stream in &streams {
            if let Some((sequence, event_id, state_version, state)) =
                self.snapshots.get(&stream.id).filter(|_| stream.is_typed())
            {
                let snapshot = StoredSnapshot {
                    sequence: *sequence,
                    event_id: *event_id,
                    state_version: *state_version,
                    state,
                };
                assembly.restore(&stream.id, &snapshot);
            }
            let after = assembly.wanted_after(stream);
            let places = self.streams.get(&stream.id).map_or(&[][..], Vec::as_slice);
            for event in places.iter().map(|place| &self.log[*place]) {
                if after.is_none_or(|after| event.sequence > after) {
                    let event = StreamEvent {
                        sequence: event.sequence,
                        event_id: event.event_id,
                        event_type: &event.event_type,
                        event_version: &event.event_version,
                        payload: &event.payload,
                    };
                    assembly.apply(&stream.id, &event);
                }
            }
        }
        assembly.finish()
    }
}
