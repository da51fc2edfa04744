//! The decisions of a payment, one function per command.

use super::{
    FactKind, PaymentCommand, PaymentEnd, PaymentError, PaymentEvent, RefundOutcome, StartPayment,
    StartedPayment,
};
use crate::{
    ids::RefundId,
    money::Money,
    text::{Reason, Reference},
};

type Decision = Result<Vec<PaymentEvent>, PaymentError>;

/// The first attempt.
pub(super) fn start(wished: StartPayment) -> Decision {
    if wished.amount.amount < 0 {
        return Err(PaymentError::NegativeAmount);
    }
    if wished.attempt != 1 {
        return Err(PaymentError::WrongAttempt { expected: 1 });
    }
    let deadline_ms = wished.deadline_ms;
    Ok(vec![started(wished, deadline_ms)])
}

fn started(wished: StartPayment, deadline_ms: u64) -> PaymentEvent {
    PaymentEvent::PaymentStarted {
        payment_id: wished.payment_id,
        order_id: wished.order_id,
        customer_id: wished.customer_id,
        amount: wished.amount,
        method: wished.method,
        attempt: wished.attempt,
        deadline_ms,
    }
}

impl StartedPayment {
    pub(super) fn decide(&self, command: PaymentCommand) -> Decision {
        use PaymentCommand as C;
        match command {
            C::StartPayment(wished) => self.start_again(wished),
            C::RecordCapture {
                attempt,
                reference,
                amount,
            } => self.record_capture(attempt, reference, amount),
            C::RecordDecline {
                attempt,
                reference,
                reason,
            } => self.record_decline(attempt, reference, reason),
            C::RequestVoid { reason } => self.request_void(reason),
            C::RecordVoid { reference } => self.record_void(reference),
            C::ReportStuck { asked, reason } => Ok(self.report_stuck(asked, reason)),
            C::ExpirePayment => self.expire(),
            C::RequestRefund {
                refund_id,
                amount,
                reason,
            } => self.request_refund(refund_id, amount, reason),
            C::RecordRefund {
                refund_id,
                reference,
            } => self.record_refund(refund_id, reference),
            C::RecordRefundFailure { refund_id, reason } => {
                self.record_refund_failure(refund_id, reason)
            }
        }
    }

    fn start_again(&self, wished: StartPayment) -> Decision {
        let same = (wished.payment_id, wished.order_id, wished.customer_id)
            == (self.payment_id, self.order_id, self.customer_id);
        if !same {
            return Err(PaymentError::OtherOrder {
                order_id: self.order_id,
            });
        }
        if wished.amount != self.amount {
            return Err(PaymentError::AmountDiffers {
                expected: self.amount,
                given: wished.amount,
            });
        }
        if (1..=self.attempt).contains(&wished.attempt) {
            return Ok(vec![]);
        }
        self.check_not_captured()?;
        if self.ended.is_some() || self.void_requested {
            return Err(PaymentError::Closed);
        }
        if self.awaiting {
            return Err(PaymentError::OutcomePending);
        }
        let expected = self.attempt.saturating_add(1);
        if wished.attempt != expected {
            return Err(PaymentError::WrongAttempt { expected });
        }
        Ok(vec![started(wished, self.deadline_ms)])
    }

    fn record_capture(&self, attempt: u32, reference: Reference, amount: Money) -> Decision {
        self.check_attempt(attempt)?;
        if let Some((first, captured)) = self.captured() {
            return match (*first == reference, captured == amount) {
                (true, true) => Ok(vec![]),
                (true, false) => Err(PaymentError::AmountDiffers {
                    expected: captured,
                    given: amount,
                }),
                (false, _) => Err(PaymentError::AlreadyCaptured {
                    reference: first.clone(),
                }),
            };
        }
        if self.ended == Some(PaymentEnd::Voided) {
            return Err(PaymentError::Closed);
        }
        if amount != self.amount {
            return Err(PaymentError::AmountDiffers {
                expected: self.amount,
                given: amount,
            });
        }
        Ok(vec![PaymentEvent::PaymentCaptured {
            order_id: self.order_id,
            reference,
            amount,
            attempt,
        }])
    }

    fn record_decline(
        &self,
        attempt: u32,
        reference: Option<Reference>,
        reason: Reason,
    ) -> Decision {
        self.check_attempt(attempt)?;
        // one answer per attempt: a decline told again while a void is awaited does not stand for the void's answer
        let repeated = attempt <= self.declined
            || reference
                .as_ref()
                .is_some_and(|reference| self.knows(reference, FactKind::Declined));
        let decided = self.captured().is_some() || self.ended.is_some() || !self.awaiting;
        if repeated || decided || attempt < self.attempt {
            return Ok(vec![]);
        }
        Ok(vec![PaymentEvent::PaymentDeclined {
            order_id: self.order_id,
            reference,
            reason,
            attempt,
        }])
    }

    fn request_void(&self, reason: Reason) -> Decision {
        self.check_not_captured()?;
        if self.ended.is_some() || self.void_requested {
            return Ok(vec![]);
        }
        Ok(vec![PaymentEvent::PaymentVoidRequested {
            order_id: self.order_id,
            reason,
        }])
    }

    fn record_void(&self, reference: Option<Reference>) -> Decision {
        self.check_not_captured()?;
        if self.ended.is_some() {
            return Ok(vec![]);
        }
        Ok(vec![PaymentEvent::PaymentVoided {
            order_id: self.order_id,
            reference,
        }])
    }

    /// Said once until the gateway answers.
    fn report_stuck(&self, asked: u32, reason: Reason) -> Vec<PaymentEvent> {
        if !self.awaiting || self.stuck.is_some() {
            return vec![];
        }
        vec![PaymentEvent::PaymentStuck {
            order_id: self.order_id,
            asked,
            reason,
        }]
    }

    /// Only a decline that stands lets go: while an answer is awaited money may still move.
    fn expire(&self) -> Decision {
        if self.captured().is_some() || self.ended.is_some() {
            return Ok(vec![]);
        }
        if self.awaiting {
            return Err(PaymentError::OutcomePending);
        }
        Ok(vec![PaymentEvent::PaymentExpired {
            order_id: self.order_id,
        }])
    }

    fn request_refund(&self, refund_id: RefundId, amount: Money, reason: Reason) -> Decision {
        if let Some(known) = self.refunds.get(&refund_id) {
            let recorded = known.amount;
            return if recorded == amount {
                Ok(vec![])
            } else {
                Err(PaymentError::RefundDiffers { recorded })
            };
        }
        let refundable = self.refundable();
        let fits = amount.currency == refundable.currency
            && (1..=refundable.amount).contains(&amount.amount);
        if !fits {
            return Err(PaymentError::NotRefundable {
                requested: amount,
                refundable,
            });
        }
        Ok(vec![PaymentEvent::RefundRequested {
            order_id: self.order_id,
            refund_id,
            amount,
            reason,
        }])
    }

    /// Also after a failure: the gateway may have been asked again, or may have been wrong.
    fn record_refund(&self, refund_id: RefundId, reference: Reference) -> Decision {
        let refund = self
            .refunds
            .get(&refund_id)
            .ok_or(PaymentError::UnknownRefund)?;
        if refund.outcome == RefundOutcome::Succeeded {
            return Ok(vec![]);
        }
        let (order_id, amount) = (self.order_id, refund.amount);
        Ok(vec![PaymentEvent::RefundSucceeded {
            order_id,
            refund_id,
            reference,
            amount,
        }])
    }

    fn record_refund_failure(&self, refund_id: RefundId, reason: Reason) -> Decision {
        let refund = self
            .refunds
            .get(&refund_id)
            .ok_or(PaymentError::UnknownRefund)?;
        if refund.outcome != RefundOutcome::Pending {
            return Ok(vec![]);
        }
        Ok(vec![PaymentEvent::RefundFailed {
            order_id: self.order_id,
            refund_id,
            reason,
        }])
    }

    fn check_not_captured(&self) -> Result<(), PaymentError> {
        match self.captured() {
            Some((reference, _)) => Err(PaymentError::AlreadyCaptured {
                reference: reference.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The gateway can only speak of attempts that were made.
    fn check_attempt(&self, attempt: u32) -> Result<(), PaymentError> {
        if (1..=self.attempt).contains(&attempt) {
            Ok(())
        } else {
            Err(PaymentError::WrongAttempt {
                expected: self.attempt,
            })
        }
    }
}
