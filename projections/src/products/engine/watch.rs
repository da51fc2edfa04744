//! Whether the engine is there, and how old what it finds may be. Looked at in the background, once a second, and said once
//! in the log when it changes; a request never waits for an engine that is known to be away.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use eventstore::{EventLog, position::Head};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::client::{Client, Fault};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What has happened longer ago is in the index, or PostgreSQL searches.
const MAX_AGE_SECONDS: f64 = 5.0;
/// How long the database may take to tell.
const PATIENCE: Duration = Duration::from_secs(1);
/// Requests that have waited in vain keep those that follow from it for a second at first, doubled each time …
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// … up to that, until it has served for so long.
const STEADY: Duration = Duration::from_secs(10);

/// What may be expected of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// It searches.
    Serving,
    /// It answers, but the index is still being made, or has not heard of what happened some seconds ago.
    Behind,
    /// It does not answer.
    Away,
}

/// What is known of it; none before the first look.
#[derive(Default)]
pub(super) struct Watched {
    state: Mutex<Option<EngineState>>,
    lost: Notify,
}

impl Watched {
    pub(super) fn state(&self) -> EngineState {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unwrap_or(EngineState::Away)
    }

    /// A request has waited in vain.
    pub(super) fn lose(&self, reason: &str) {
        self.set(EngineState::Away, reason);
        self.lost.notify_one();
    }

    fn set(&self, state: EngineState, reason: &str) {
        {
            let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if *known == Some(state) {
                return;
            }
            *known = Some(state);
        }
        match state {
            EngineState::Serving => tracing::info!("the search engine is there: it searches"),
            EngineState::Behind => {
                tracing::info!(reason, "the search index is behind: PostgreSQL searches");
            }
            EngineState::Away => {
                tracing::warn!(reason, "the search engine is away: PostgreSQL searches");
            }
        }
    }
}

/// Looks at it for good.
pub(super) async fn watch(client: Arc<Client>, watched: Arc<Watched>, log: EventLog) {
    let mut pause = LOOK;
    let mut serving_since: Option<Instant> = None;
    loop {
        let (state, reason) = look(&client, &log).await;
        watched.set(state, &reason);
        serving_since = match state {
            EngineState::Serving => serving_since.or_else(|| Some(Instant::now())),
            EngineState::Behind | EngineState::Away => None,
        };
        tokio::select! {
            () = sleep(LOOK) => {}
            () = watched.lost.notified() => {
                let steady = serving_since.take().is_some_and(|since| since.elapsed() >= STEADY);
                pause = if steady { LOOK } else { (pause * 2).min(LONGEST_PAUSE) };
                sleep(pause).await;
            }
        }
    }
}

async fn look(client: &Client, log: &EventLog) -> (EngineState, String) {
    let head = match client.progress().await {
        Ok(Some(head)) => head,
        Ok(None) | Err(Fault::NoIndex) => {
            return (EngineState::Behind, "the index is not made yet".into());
        }
        Err(fault) => return (EngineState::Away, fault.to_string()),
    };
    let behind = |reason: &str| (EngineState::Behind, reason.to_owned());
    match timeout(PATIENCE, age(log, head)).await {
        Ok(Ok(Some(seconds))) if seconds <= MAX_AGE_SECONDS => {
            (EngineState::Serving, String::new())
        }
        Ok(Ok(Some(_))) => behind("it does not hold what happened some seconds ago"),
        Ok(Ok(None)) => behind("it was made from another history"),
        Ok(Err(_)) | Err(_) => behind("the database does not tell how far the log is"),
    }
}

/// How long ago the first event happened that is not in an index of this head. None where the log does not hold that head.
async fn age(log: &EventLog, head: Head) -> Result<Option<f64>, sqlx::Error> {
    // by positions, of which there is an index
    let (holds, seconds): (bool, f64) = sqlx::query_as(
        "select $1 = 0 or exists (select from events where position = $1 and event_id = $2), \
                coalesce((select extract(epoch from clock_timestamp() - recorded_at)::float8 \
                          from events where position = $1 + 1), 0)",
    )
    .bind(head.position.0)
    .bind(head.event_id)
    .fetch_one(log.background_pool())
    .await?;
    Ok(holds.then_some(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_first_look_it_counts_as_away() {
        let watched = Watched::default();
        assert_eq!(watched.state(), EngineState::Away);
        watched.set(EngineState::Serving, "");
        assert_eq!(watched.state(), EngineState::Serving);
        watched.lose("no answer in time");
        assert_eq!(watched.state(), EngineState::Away);
    }
}
