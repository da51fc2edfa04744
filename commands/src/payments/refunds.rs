//! Giving money back: what is to be asked of the gateway, and recording what it said.

use domain::{
    ids::{OrderId, PaymentId, RefundId},
    order::{Order, OrderCommand},
    payment::{Payment, PaymentCommand, PaymentError, RefundOutcome},
    text::{Reason, Reference},
};
use eventstore::{event::Cause, stream::StreamRef, unit::Committed};

use super::streams;
use crate::{
    failure::{Failure, refuse},
    gateway::Refund,
    request::{Commands, Request},
};

impl Commands {
    /// What to ask of the gateway for a refund that was requested; nothing where it is done.
    pub async fn refund_due(
        &self,
        cause: Cause,
        order_id: OrderId,
        refund_id: RefundId,
    ) -> Result<Committed<Option<Refund>>, Failure> {
        let payment_id = PaymentId::of(order_id);
        self.commit(
            Request::new(cause),
            vec![StreamRef::of::<Payment>(payment_id)],
            move |work| {
                let payment = work.state::<Payment>(payment_id)?.started();
                let payment = payment.ok_or_else(|| refuse(PaymentError::NotFound))?;
                let requested = payment
                    .refunds
                    .get(&refund_id)
                    .ok_or_else(|| refuse(PaymentError::UnknownRefund))?;
                if requested.outcome == RefundOutcome::Succeeded {
                    return Ok(None);
                }
                // a refund is only ever requested of what was captured
                let (charge, _) = payment
                    .captured()
                    .ok_or_else(|| refuse(PaymentError::UnknownRefund))?;
                Ok(Some(Refund {
                    refund_id,
                    charge: charge.clone(),
                    amount: requested.amount,
                }))
            },
        )
        .await
    }

    /// The gateway gave the money back.
    pub async fn record_refund(
        &self,
        cause: Cause,
        order_id: OrderId,
        refund_id: RefundId,
        reference: Reference,
    ) -> Result<Committed<()>, Failure> {
        let payment_id = PaymentId::of(order_id);
        self.commit(Request::new(cause), streams(order_id), move |work| {
            let record = PaymentCommand::RecordRefund {
                refund_id,
                reference: reference.clone(),
            };
            work.execute::<Payment>(payment_id, record)?;
            let payment = work.state::<Payment>(payment_id)?.started();
            let refund = payment.and_then(|payment| payment.refunds.get(&refund_id));
            let amount = refund
                .ok_or_else(|| refuse(PaymentError::UnknownRefund))?
                .amount;
            work.execute::<Order>(order_id, OrderCommand::RecordRefund { refund_id, amount })?;
            Ok(())
        })
        .await
    }

    /// The gateway did not give the money back: recorded once, for whoever must hear of it, and tried again.
    pub async fn record_refund_failure(
        &self,
        cause: Cause,
        order_id: OrderId,
        refund_id: RefundId,
        reason: Reason,
    ) -> Result<Committed<()>, Failure> {
        let payment_id = PaymentId::of(order_id);
        self.commit(
            Request::new(cause),
            vec![StreamRef::of::<Payment>(payment_id)],
            move |work| {
                let failure = PaymentCommand::RecordRefundFailure {
                    refund_id,
                    reason: reason.clone(),
                };
                work.execute::<Payment>(payment_id, failure)?;
                Ok(())
            },
        )
        .await
    }
}
