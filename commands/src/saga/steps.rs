//! What is done when a timer fires: look at the streams, call the gateway, commit what it said.
//!
//! Every step can be repeated at any point: the first thing that it does is to find out what there is to do.

use std::{future::Future, sync::Arc, time::Duration};

use domain::{
    ids::{OrderId, RefundId},
    payment::PaymentError,
    text::Reason,
};
use eventstore::event::Cause;
use uuid::Uuid;

use super::{ACTOR, SagaSettings, react::TimerId, timers::ClaimedTimer};
use crate::{
    failure::Failure,
    gateway::{ChargeStatus, GatewayError, PaymentGateway, RefundStatus},
    payments::{Attempt, NextCall},
    request::Commands,
};

/// First pause after a failure of ours (the database, an overloaded log); doubled each time …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What becomes of a timer that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What it stood for is committed.
    Done,
    /// It is to fire again.
    Later {
        /// After this long.
        pause: Duration,
        /// Whether it is because the gateway gave no answer.
        unanswered: bool,
    },
}

/// Carries out timers.
#[derive(Clone)]
pub(super) struct Steps {
    pub(super) commands: Commands,
    pub(super) gateway: Arc<dyn PaymentGateway>,
    pub(super) settings: SagaSettings,
}

impl Steps {
    /// Does what the timer stands for. A failure never ends it: it fires again.
    pub(super) async fn run(&self, claimed: &ClaimedTimer) -> Outcome {
        let done = match claimed.timer {
            TimerId::Payment(order_id) => self.pay(claimed, order_id).await,
            TimerId::Window(order_id) => self.close_window(claimed, order_id).await,
            TimerId::Refund(order_id, refund_id) => self.refund(claimed, order_id, refund_id).await,
        };
        match done {
            Ok(outcome) => outcome,
            Err(failure) if failure.is_passing() => {
                tracing::warn!(timer = %claimed.timer, %failure, "trying again");
                let pause = FIRST_PAUSE
                    .saturating_mul(2_u32.saturating_pow(claimed.attempts))
                    .min(LONGEST_PAUSE);
                Outcome::Later {
                    pause,
                    unanswered: false,
                }
            }
            Err(failure) => {
                tracing::error!(timer = %claimed.timer, %failure, "refused; somebody must look");
                Outcome::Later {
                    pause: self.settings.longest_retry,
                    unanswered: false,
                }
            }
        }
    }

    async fn pay(&self, claimed: &ClaimedTimer, order_id: OrderId) -> Result<Outcome, Failure> {
        let next = self
            .commands
            .advance_payment(claimed.cause("StartPayment"), order_id)
            .await?;
        // what follows was caused by the attempt where it was begun just now
        let because = if next.appended > 0 {
            next.head.event_id
        } else {
            claimed.cause
        };
        match next.output {
            NextCall::None => Ok(Outcome::Done),
            NextCall::Charge(attempt) => {
                let answer = self.bounded(self.gateway.charge(attempt.charge())).await;
                self.take(claimed, because, attempt, answer).await
            }
            NextCall::Ask(attempt) => {
                let mut answer = self.bounded(self.gateway.ask(attempt.key)).await;
                if answer == Ok(ChargeStatus::NotFound) {
                    // it was begun, but the gateway never heard of it
                    answer = self.bounded(self.gateway.charge(attempt.charge())).await;
                }
                self.take(claimed, because, attempt, answer).await
            }
            NextCall::Void { attempt, stuck } => self.void(claimed, because, attempt, stuck).await,
        }
    }

    /// Commits what the gateway said of an attempt that is wanted. Out of patience, the attempt is voided.
    async fn take(
        &self,
        claimed: &ClaimedTimer,
        because: Uuid,
        attempt: Attempt,
        answer: Result<ChargeStatus, GatewayError>,
    ) -> Result<Outcome, Failure> {
        let Some(said) = self.record(claimed, because, &attempt, answer).await? else {
            return Ok(Outcome::Done);
        };
        if !self.out_of_patience(claimed) {
            return Ok(self.ask_later(claimed, false));
        }
        let cause = claimed.caused_by(because, "RequestVoid");
        let requested = self
            .commands
            .request_void(cause, attempt.order_id, Reason::lossy(&said))
            .await?;
        let because = if requested.appended > 0 {
            requested.head.event_id
        } else {
            because
        };
        self.void(claimed, because, attempt, false).await
    }

    /// First asks, then voids what is still open. Where neither is answered and patience is at its end, somebody must
    /// look; the gateway is asked on.
    async fn void(
        &self,
        claimed: &ClaimedTimer,
        because: Uuid,
        attempt: Attempt,
        stuck: bool,
    ) -> Result<Outcome, Failure> {
        let answer = self.bounded(self.gateway.ask(attempt.key)).await;
        if self
            .record(claimed, because, &attempt, answer)
            .await?
            .is_none()
        {
            return Ok(Outcome::Done);
        }
        let answer = self.bounded(self.gateway.void(attempt.key)).await;
        let Some(said) = self.record(claimed, because, &attempt, answer).await? else {
            return Ok(Outcome::Done);
        };
        let give_up = self.out_of_patience(claimed);
        if give_up && !stuck {
            let cause = claimed.caused_by(because, "ReportStuck");
            let asked = claimed.attempts.saturating_add(1);
            self.commands
                .report_stuck(cause, attempt.order_id, asked, Reason::lossy(&said))
                .await?;
        }
        Ok(self.ask_later(claimed, stuck || give_up))
    }

    /// Commits an answer that decides the attempt. Returns what was said where it does not.
    async fn record(
        &self,
        claimed: &ClaimedTimer,
        because: Uuid,
        attempt: &Attempt,
        answer: Result<ChargeStatus, GatewayError>,
    ) -> Result<Option<String>, Failure> {
        let cause = |command| claimed.caused_by(because, command);
        match answer {
            Ok(ChargeStatus::Captured { reference, amount }) => {
                let confirm = cause("ConfirmPayment");
                let confirmed = self
                    .commands
                    .confirm_payment(confirm, attempt, reference, amount)
                    .await;
                if let Err(failure) = confirmed {
                    if !failure.is_passing() {
                        // money moved and does not fit what was asked for: it must be seen
                        let asked = claimed.attempts.saturating_add(1);
                        let reason = Reason::lossy(&failure.to_string());
                        self.commands
                            .report_stuck(cause("ReportStuck"), attempt.order_id, asked, reason)
                            .await?;
                    }
                    return Err(failure);
                }
            }
            Ok(ChargeStatus::Declined { reference, reason }) => {
                self.commands
                    .decline_payment(cause("DeclinePayment"), attempt, reference, reason)
                    .await?;
            }
            Ok(ChargeStatus::Voided { reference }) => {
                match self
                    .commands
                    .void_payment(cause("VoidPayment"), attempt, reference)
                    .await
                {
                    // another runner heard of the capture first: it is decided
                    Ok(_) | Err(Failure::Payment(PaymentError::AlreadyCaptured { .. })) => {}
                    Err(failure) => return Err(failure),
                }
            }
            Ok(ChargeStatus::Pending) => return Ok(Some("the gateway has not decided yet".into())),
            Ok(ChargeStatus::NotFound) => {
                return Ok(Some("the gateway does not know the charge".into()));
            }
            Err(error) => return Ok(Some(error.to_string())),
        }
        Ok(None)
    }

    async fn close_window(
        &self,
        claimed: &ClaimedTimer,
        order_id: OrderId,
    ) -> Result<Outcome, Failure> {
        self.commands
            .close_payment_window(claimed.cause("ClosePaymentWindow"), order_id)
            .await?;
        Ok(Outcome::Done)
    }

    async fn refund(
        &self,
        claimed: &ClaimedTimer,
        order_id: OrderId,
        refund_id: RefundId,
    ) -> Result<Outcome, Failure> {
        let due = self
            .commands
            .refund_due(claimed.cause("RefundPayment"), order_id, refund_id)
            .await?;
        let Some(refund) = due.output else {
            return Ok(Outcome::Done);
        };
        match self.bounded(self.gateway.refund(refund)).await {
            Ok(RefundStatus::Refunded { reference }) => {
                let cause = claimed.cause("RecordRefund");
                self.commands
                    .record_refund(cause, order_id, refund_id, reference)
                    .await?;
                Ok(Outcome::Done)
            }
            Ok(RefundStatus::Refused { reason }) => {
                tracing::error!(%order_id, %refund_id, %reason, "the gateway refuses a refund; trying on");
                let cause = claimed.cause("RecordRefundFailure");
                self.commands
                    .record_refund_failure(cause, order_id, refund_id, reason)
                    .await?;
                Ok(Outcome::Later {
                    pause: self.settings.longest_retry,
                    unanswered: false,
                })
            }
            Ok(RefundStatus::Pending) | Err(_) => Ok(self.ask_later(claimed, false)),
        }
    }

    fn out_of_patience(&self, claimed: &ClaimedTimer) -> bool {
        claimed
            .unanswered
            .is_some_and(|unanswered| unanswered >= self.settings.gateway_patience)
    }

    fn ask_later(&self, claimed: &ClaimedTimer, slowly: bool) -> Outcome {
        let pause = if slowly {
            self.settings.longest_retry
        } else {
            self.settings.pause(claimed.attempts)
        };
        Outcome::Later {
            pause,
            unanswered: true,
        }
    }

    /// A call that does not come back in time is one without an answer.
    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, GatewayError>>,
    ) -> Result<T, GatewayError> {
        tokio::time::timeout(self.settings.gateway_timeout, call)
            .await
            .unwrap_or(Err(GatewayError::Timeout))
    }
}

impl ClaimedTimer {
    /// The cause of a command that follows from the event that armed the timer.
    fn cause(&self, command: &str) -> Cause {
        self.caused_by(self.cause, command)
    }

    fn caused_by(&self, event_id: Uuid, command: &str) -> Cause {
        Cause {
            correlation_id: self.correlation.clone(),
            causation_id: event_id.to_string(),
            actor: ACTOR.into(),
            command: command.into(),
        }
    }
}
