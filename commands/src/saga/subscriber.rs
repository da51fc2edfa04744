//! The half of the saga that follows the log and keeps the timers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::{
    ids::OrderId,
    order::{self, Order},
    payment::{self, Payment},
};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use tokio::sync::Notify;

use super::{
    NAME, SagaSettings,
    react::{Fact, Reaction, TimerId, react},
    timers::{ArmedTimer, ArmsTimers},
};

/// A timer that is due this soon after its event wakes the runner of this process.
const SOON: Duration = Duration::from_millis(250);
/// Delays are settings; a longer one than this (in days) would not fit the calendar.
const LONGEST_DELAY: TimeDelta = TimeDelta::days(36_500);

/// See [`crate::saga`].
pub struct PaymentSaga {
    settings: SagaSettings,
    armed: Arc<Notify>,
}

impl PaymentSaga {
    pub(super) const fn new(settings: SagaSettings, armed: Arc<Notify>) -> Self {
        Self { settings, armed }
    }

    fn reactions(&self, event: &RecordedEvent) -> Result<Vec<Reaction>, HandleError> {
        if &*event.aggregate_type == order::TYPE {
            let decoded = event.decode::<Order>()?;
            let order_id: OrderId = event.aggregate_id.parse().map_err(|_| {
                HandleError::Poison(format!(
                    "{:?} is not the id of an order",
                    event.aggregate_id
                ))
            })?;
            return Ok(react(&self.settings, Fact::Order(order_id, &decoded)));
        }
        let decoded = event.decode::<Payment>()?;
        Ok(react(&self.settings, Fact::Payment(&decoded)))
    }
}

impl<Tx: ArmsTimers> Subscriber<Tx> for PaymentSaga {
    fn name(&self) -> &str {
        NAME
    }

    fn reads(&self) -> &'static [&'static str] {
        &[order::TYPE, payment::TYPE]
    }

    /// Nothing is parked: an order whose payment was skipped would wait for ever.
    fn key(&self, _event: &RecordedEvent) -> Option<String> {
        None
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        tx: &mut Tx,
    ) -> Result<(), HandleError> {
        // of each timer only the last reaction of the batch counts
        let mut last: BTreeMap<TimerId, (Reaction, &RecordedEvent)> = BTreeMap::new();
        for event in events {
            for reaction in self.reactions(event)? {
                let (Reaction::Arm(timer, _) | Reaction::Disarm(timer)) = reaction;
                last.insert(timer, (reaction, event));
            }
        }
        let (mut armed, mut disarmed, mut soon) = (Vec::new(), Vec::new(), false);
        for (reaction, event) in last.into_values() {
            match reaction {
                Reaction::Arm(timer, after) => {
                    soon |= after <= SOON;
                    armed.push(armed_timer(timer, after, event));
                }
                Reaction::Disarm(timer) => disarmed.push(timer),
            }
        }
        tx.disarm(&disarmed).await?;
        tx.arm(&armed).await?;
        if soon {
            // the commit follows at once; the runner looks a few times in short order
            self.armed.notify_one();
        }
        Ok(())
    }
}

fn armed_timer(timer: TimerId, after: Duration, event: &RecordedEvent) -> ArmedTimer {
    let after = TimeDelta::from_std(after).map_or(LONGEST_DELAY, |after| after.min(LONGEST_DELAY));
    ArmedTimer {
        timer,
        due_at: event.recorded_at + after,
        cause: event.event_id,
        correlation: event
            .metadata_value("correlation_id")
            .unwrap_or_else(|| event.event_id.to_string()),
    }
}
