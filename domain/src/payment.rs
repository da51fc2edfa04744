//! Payment: the money of one order, as the gateway tells of it.
//!
//! Its state is derived from what the gateway said, never set by hand. What was said is keyed by reference and kind:
//! said again it changes nothing. Guaranteed: no more is given back than was captured, whatever a repeated or late
//! message says; a decline never undoes a capture; money that moved is recorded unless the gateway had confirmed
//! before that it never will (void). An attempt is only begun when the outcome of the one before is known.
//!
//! | command | pending | failed | voiding | stuck | captured | voided | expired |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | `StartPayment`, next attempt | refused | pending | refused | refused | refused | refused | refused |
//! | `RecordCapture` | captured | captured | captured | captured | · | refused | captured |
//! | `RecordDecline` | failed | · | failed | failed | · | · | · |
//! | `RequestVoid` | voiding | voiding | · | stuck | refused | · | · |
//! | `RecordVoid` | voided | voided | voided | voided | refused | · | · |
//! | `ReportStuck` | stuck | · | stuck | · | · | · | · |
//! | `ExpirePayment` | refused | expired | refused | refused | · | · | · |
//! | `RequestRefund` | refused | refused | refused | refused | by amount | refused | refused |
//!
//! A dot is a command that changes nothing. A payment that failed after a void was requested begins no new attempt.
//! Its stream id is [`PaymentId::of`](crate::ids::PaymentId::of) the order. The payment saga in the commands crate drives it.

mod command;
mod decide;
mod event;
mod state;

pub use self::{
    command::{PaymentCommand, PaymentError, StartPayment},
    event::PaymentEvent,
    state::{
        Fact, FactKind, Payment, PaymentEnd, PaymentState, RefundOutcome, RequestedRefund,
        StartedPayment,
    },
};
use crate::aggregate::{Decider, impl_aggregate};

/// Aggregate type of payments in the log.
pub const TYPE: &str = "payment";

impl_aggregate!(Payment, TYPE, PaymentCommand, PaymentEvent, PaymentError);

impl Decider for Payment {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = PaymentEvent::CATALOGUE;

    fn decide(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentError> {
        match (command, self.started()) {
            (PaymentCommand::StartPayment(wished), None) => decide::start(wished),
            (_, None) => Err(PaymentError::NotFound),
            (command, Some(payment)) => payment.decide(command),
        }
    }

    fn evolve(&mut self, event: &PaymentEvent) {
        self.take(event);
    }

    fn weight(&self) -> usize {
        self.started().map_or(0, StartedPayment::heap)
    }
}

#[cfg(test)]
mod tests;
