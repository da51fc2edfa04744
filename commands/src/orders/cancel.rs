//! Cancelling an order: one unit of work over the order, its payment and its stock.
//!
//! Before the gateway was asked, the order is cancelled at once and no charge follows. While the outcome is not known,
//! the cancellation is noted and the payment voided; whatever the gateway then says, the order ends cancelled. Once
//! paid, the stock goes back and the money is given back through the gateway.

use domain::{
    ids::{OrderId, PaymentId, RefundId, UserId},
    order::{Order, OrderCommand, OrderEvent, PlacedOrder},
    payment::{Payment, PaymentCommand, RefundOutcome},
    text::Reason,
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::{move_order, order_now, placed, seen_by};
use crate::{
    failure::Failure,
    request::{Commands, Request, Versioned, check_version},
};

/// What is to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelOrder {
    /// Which order.
    pub order_id: OrderId,
    /// Why.
    pub reason: Reason,
    /// Who asks.
    pub requested_by: Option<UserId>,
    /// When given, orders of other customers and deleted ones are treated as if they did not exist.
    pub only_of: Option<UserId>,
}

/// Whether anything is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is done: no money moves.
    Done,
    /// The payment is being voided or given back; the order tells when that is done.
    Accepted,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// The order as it is now.
    pub order: Versioned<PlacedOrder>,
    /// Whether anything is left to do.
    pub progress: Progress,
}

impl Commands {
    /// Cancels what was not shipped. Cancelled again, nothing happens.
    pub async fn cancel_order(
        &self,
        request: Request,
        cancel: CancelOrder,
        expected: Option<i64>,
    ) -> Result<Committed<Cancellation>, Failure> {
        let order_id = cancel.order_id;
        let streams = vec![
            StreamRef::of::<Order>(order_id),
            StreamRef::of::<Payment>(PaymentId::of(order_id)),
        ];
        self.commit(request, streams, move |work| {
            seen_by(work.state::<Order>(order_id)?, cancel.only_of).map_err(Halt::Refused)?;
            check_version::<Order>(work, order_id, expected)?;
            let CancelOrder {
                reason,
                requested_by,
                ..
            } = cancel.clone();
            let events = move_order(
                work,
                order_id,
                OrderCommand::CancelOrder {
                    reason,
                    requested_by,
                },
                <[_]>::to_vec,
            )?;
            for event in &events {
                stop_payment(work, order_id, event)?;
            }
            let order = order_now(work, order_id)?;
            let progress = progress(work, &order.state)?;
            Ok(Cancellation { order, progress })
        })
        .await
    }
}

/// What the end of an order means for its payment: a refund, a void, or that nothing more is tried.
pub(crate) fn stop_payment(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    event: &OrderEvent,
) -> Result<(), Halt<Failure>> {
    match event {
        OrderEvent::OrderCancellationRequested { reason, .. } => {
            let void = PaymentCommand::RequestVoid {
                reason: reason.clone(),
            };
            work.execute::<Payment>(PaymentId::of(order_id), void)?;
            Ok(())
        }
        OrderEvent::OrderUnpaid { .. } => try_no_more(work, order_id),
        OrderEvent::OrderCancelled { reason, refund, .. } => {
            try_no_more(work, order_id)?;
            give_back(work, order_id, "cancelled", *refund, reason)
        }
        OrderEvent::OrderRemainderCancelled { reason, refund, .. } => {
            give_back(work, order_id, "remainder", *refund, reason)
        }
        _ => Ok(()),
    }
}

/// After a decline no attempt follows. Changes nothing where money came or a void was confirmed, and refuses while an
/// answer is awaited: money could still move.
fn try_no_more(work: &mut Work<'_, Failure>, order_id: OrderId) -> Result<(), Halt<Failure>> {
    let payment_id = PaymentId::of(order_id);
    if work.state::<Payment>(payment_id)?.started().is_some() {
        work.execute::<Payment>(payment_id, PaymentCommand::ExpirePayment)?;
    }
    Ok(())
}

/// Requests the refund of so many minor units, where there is anything to give back. `kind` names the refund: one of
/// each per order.
pub(crate) fn give_back(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    kind: &str,
    amount: i64,
    reason: &Reason,
) -> Result<(), Halt<Failure>> {
    if amount == 0 {
        return Ok(());
    }
    let amount = placed(work, order_id)?.money(amount);
    let refund_id = RefundId::of(order_id, kind);
    let refund = PaymentCommand::RequestRefund {
        refund_id,
        amount,
        reason: reason.clone(),
    };
    work.execute::<Payment>(PaymentId::of(order_id), refund)?;
    Ok(())
}

/// Whether money is still to be voided or given back.
pub(super) fn progress(
    work: &mut Work<'_, Failure>,
    order: &PlacedOrder,
) -> Result<Progress, Halt<Failure>> {
    let payment = work
        .state::<Payment>(PaymentId::of(order.order_id))?
        .started();
    let owed = payment.is_some_and(|payment| {
        payment
            .refunds
            .values()
            .any(|refund| refund.outcome != RefundOutcome::Succeeded)
    });
    Ok(if order.outcome_pending || owed {
        Progress::Accepted
    } else {
        Progress::Done
    })
}
