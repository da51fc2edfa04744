//! The payment saga: a while after an order was placed its payment is started, the gateway asked, and the order ends
//! paid, or unpaid with its stock released.
//!
//! - [`react`] is the pure core: which timers follow from an event.
//! - [`PaymentSaga`] follows the log and writes those timers in the transaction of its checkpoint.
//! - [`TimerRunner`] claims what is due and does it: begin the attempt (committed), call the gateway (outside of any
//!   lock), commit what it said. Any number of processes may run one.
//!
//! Guaranteed: nothing is charged twice, because an attempt has one key, and what to do is decided anew from the
//! streams whenever a timer fires. Nothing is forgotten, because a timer goes only after what it stood for is
//! committed. While the gateway does not tell what became of a charge, it is asked again with the same key; only its
//! answer (a capture, a decline, a confirmed void) ends the order, and one that never comes is reported as stuck. The
//! database's clock decides what is due, no process's.

mod react;
mod runner;
mod steps;
mod subscriber;
pub(crate) mod timers;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use self::timers::{PgTimers, Timers};
pub use self::{
    react::{Fact, Reaction, TimerId, react},
    runner::{RunningTimers, TimerRunner},
    subscriber::PaymentSaga,
    timers::{ArmedTimer, ArmsTimers, CLAIM_DUE},
};
use crate::{gateway::PaymentGateway, request::Commands};

/// Name of the saga's subscription.
pub const NAME: &str = "payment_saga";
/// Who acts, in the metadata of the events that the saga causes.
pub const ACTOR: &str = "saga:payment";

/// How the saga deals with a gateway that declines or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SagaSettings {
    /// First pause before the gateway is asked again; doubled each time …
    pub gateway_retry: Duration,
    /// … up to this, which is also how often a stuck payment is looked at.
    pub longest_retry: Duration,
    /// How long the gateway may leave it open what became of a charge before the charge is voided.
    pub gateway_patience: Duration,
    /// How long one call of the gateway may take.
    pub gateway_timeout: Duration,
    /// How long a runner has a timer to itself. It renews this while it works on it: so long after a crash, at most,
    /// another one takes the timer up.
    pub claim: Duration,
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self {
            gateway_retry: Duration::from_secs(2),
            longest_retry: Duration::from_mins(1),
            gateway_patience: Duration::from_mins(5),
            gateway_timeout: Duration::from_secs(10),
            claim: Duration::from_secs(8),
        }
    }
}

impl SagaSettings {
    /// The pause after the `attempts`-th attempt (from 0) in vain.
    fn pause(&self, attempts: u32) -> Duration {
        self.gateway_retry
            .saturating_mul(2_u32.saturating_pow(attempts))
            .min(self.longest_retry)
    }
}

/// The two halves of the saga. Subscriptions run the first, of which one is active among all processes; each process
/// that is to call the gateway spawns the second.
pub fn payment_saga(
    commands: Commands,
    gateway: Arc<dyn PaymentGateway>,
    settings: SagaSettings,
) -> (PaymentSaga, TimerRunner) {
    let timers = Arc::new(PgTimers::open(commands.log().pool()));
    payment_saga_on(timers, commands, gateway, settings)
}

/// The same, with the timers kept there.
pub(crate) fn payment_saga_on(
    timers: Arc<dyn Timers>,
    commands: Commands,
    gateway: Arc<dyn PaymentGateway>,
    settings: SagaSettings,
) -> (PaymentSaga, TimerRunner) {
    let armed = Arc::new(Notify::new());
    let saga = PaymentSaga::new(settings, armed.clone());
    let runner = TimerRunner::new(commands, gateway, settings, timers, armed);
    (saga, runner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = SagaSettings::default();
        let pauses = [0, 1, 4, 5, 40, u32::MAX].map(|attempts| settings.pause(attempts).as_secs());
        assert_eq!(pauses, [2, 4, 32, 60, 60, 60]);
    }
}
