//! What is known of subscriptions: in this process at once, of others by their checkpoints.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::ledger::Leases;
use crate::position::{Head, Position};

/// What a subscription of this process is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Another process leads.
    Standby,
    /// It leads and follows the log.
    Leading,
    /// Something that passes is in the way; it tries again.
    Retrying(String),
    /// It met an event of a newer binary and left the lease to one.
    HandedOver(String),
    /// An operator is needed.
    Stopped(String),
}

/// State and progress of a subscription of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// The last event that it is known to have handled.
    pub head: Head,
}

/// The statuses of all subscriptions of this process.
#[derive(Clone, Default)]
pub(super) struct Statuses {
    by_name: Arc<Mutex<HashMap<String, watch::Sender<Status>>>>,
}

impl Statuses {
    fn sender(&self, name: &str) -> watch::Sender<Status> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name
            .entry(name.to_owned())
            .or_insert_with(|| {
                watch::Sender::new(Status {
                    state: State::Standby,
                    head: Head::EMPTY,
                })
            })
            .clone()
    }

    pub(super) fn set_state(&self, name: &str, state: State) {
        self.sender(name).send_if_modified(|status| {
            let changed = status.state != state;
            status.state = state;
            changed
        });
    }

    /// Another process leads. That this one cannot read an event of a newer binary remains worth knowing.
    pub(super) fn set_standby(&self, name: &str) {
        self.sender(name).send_if_modified(|status| {
            let changed = !matches!(status.state, State::Standby | State::HandedOver(_));
            if changed {
                status.state = State::Standby;
            }
            changed
        });
    }

    pub(super) fn set_head(&self, name: &str, head: Head) {
        self.sender(name).send_modify(|status| status.head = head);
    }

    pub(super) fn all(&self) -> Vec<(String, Status)> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = by_name
            .iter()
            .map(|(name, status)| (name.clone(), status.borrow().clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn local(&self, name: &str) -> Option<watch::Receiver<Status>> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).map(watch::Sender::subscribe)
    }

    /// Waits until the subscription has handled everything up to `position`.
    pub(super) async fn wait_for(
        &self,
        leases: &dyn Leases,
        name: &str,
        position: Position,
        patience: Duration,
    ) -> Result<(), WaitError> {
        let deadline = Instant::now() + patience;
        loop {
            let mut local = self.local(name);
            if let Some(local) = &mut local
                && local.borrow_and_update().head.position >= position
            {
                return Ok(());
            }
            // another process may lead, or this one only just started
            let asked =
                tokio::time::timeout_at(deadline + ASK_PATIENCE, leases.checkpoint(name)).await;
            if asked
                .map_err(|_| WaitError::TooSlow)??
                .is_some_and(|at| at.position >= position)
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(WaitError::TooSlow);
            }
            match local {
                // woken by progress here, but looking at the table again from time to time
                Some(mut local) => {
                    let _ = tokio::time::timeout(ASK_INTERVAL, local.changed()).await;
                }
                None => tokio::time::sleep(ASK_INTERVAL).await,
            }
        }
    }
}

/// How often the checkpoint of another process is asked for while somebody waits.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// How long that may take beyond the patience of whoever waits: it is asked at least once.
const ASK_PATIENCE: Duration = Duration::from_secs(1);

/// Why waiting for a read model ended in vain.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// It did not get there in time.
    #[error("the read model has not got there in time")]
    TooSlow,
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A subscription as the database knows it, whichever process leads.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// The last position that it has handled.
    pub position: i64,
    /// How many take-overs there were.
    pub epoch: i64,
    /// Whether somebody leads now.
    pub led: bool,
    /// The process that leads, or led last.
    pub holder: Option<Uuid>,
    /// When the checkpoint last moved.
    pub updated_at: DateTime<Utc>,
}

/// All subscriptions, by name.
pub async fn checkpoints(pool: &PgPool) -> Result<Vec<Checkpoint>, sqlx::Error> {
    sqlx::query_as(
        "select name, position, epoch, lease_until > clock_timestamp() as led, holder, updated_at \
         from subscriptions order by name",
    )
    .fetch_all(pool)
    .await
}
