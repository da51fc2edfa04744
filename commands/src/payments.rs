//! Commands on payments: each moves the payment, its order and the order's stock in one unit of work, so that the
//! three never disagree. The payment saga calls them with what the gateway said; nothing here talks to a gateway.
//!
//! Money that came is always recorded, also when the order was cancelled meanwhile: then it is given back.

mod refunds;

use domain::{
    ids::{OrderId, PaymentId},
    money::Money,
    order::{Order, OrderCommand, OrderEvent, OrderStatus, PlacedOrder},
    payment::{Payment, PaymentCommand, PaymentError, StartPayment},
    text::{PaymentMethod, Reason, Reference},
};
use eventstore::{
    event::Cause,
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use crate::{
    failure::{Failure, refuse},
    gateway::{Charge, ChargeKey},
    orders::{give_back, move_order, placed, stop_payment},
    request::{Commands, Request},
};

/// An attempt to pay an order, as it was committed before the gateway hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Of which order.
    pub order_id: OrderId,
    /// Names it, here and at the gateway.
    pub key: ChargeKey,
    /// How much.
    pub amount: Money,
    /// By which method.
    pub method: PaymentMethod,
}

impl Attempt {
    /// What the gateway is asked to capture.
    pub fn charge(&self) -> Charge {
        Charge {
            key: self.key,
            amount: self.amount,
            method: self.method.clone(),
        }
    }
}

/// What there is to do for the payment of an order now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextCall {
    /// Nothing: it is decided, or its order has ended.
    None,
    /// This attempt was just begun: charge it.
    Charge(Attempt),
    /// The outcome of this attempt is not known: ask, and charge it where the gateway does not know it.
    Ask(Attempt),
    /// The outcome of this attempt is not known and it is not wanted any more: ask, and void it unless it is decided.
    Void {
        /// The attempt.
        attempt: Attempt,
        /// Whether it was reported as stuck.
        stuck: bool,
    },
}

impl Commands {
    /// Begins the next attempt to pay where one is due, and tells what to call the gateway for. The attempt and its
    /// amount are committed before the gateway is called, on the stream that a cancellation decides on.
    pub async fn advance_payment(
        &self,
        cause: Cause,
        order_id: OrderId,
    ) -> Result<Committed<NextCall>, Failure> {
        self.commit(Request::new(cause), streams(order_id), move |work| {
            if let Some(payment) = work.state::<Payment>(PaymentId::of(order_id))?.started() {
                if payment.awaiting {
                    let key = ChargeKey {
                        payment_id: payment.payment_id,
                        attempt: payment.attempt,
                    };
                    let (amount, method) = (payment.amount, payment.method.clone());
                    let attempt = Attempt {
                        order_id,
                        key,
                        amount,
                        method,
                    };
                    let stuck = payment.stuck.is_some();
                    let void = payment.void_requested;
                    return Ok(if void {
                        NextCall::Void { attempt, stuck }
                    } else {
                        NextCall::Ask(attempt)
                    });
                }
                if payment.ended.is_some() || payment.void_requested {
                    return Ok(NextCall::None);
                }
            }
            begin_attempt(work, order_id)
        })
        .await
    }

    /// The gateway captured the money: the order is paid and its stock sold, or, where it was cancelled meanwhile, the
    /// stock goes back and the money is to be given back.
    pub async fn confirm_payment(
        &self,
        cause: Cause,
        attempt: &Attempt,
        reference: Reference,
        amount: Money,
    ) -> Result<Committed<()>, Failure> {
        let Attempt { order_id, key, .. } = *attempt;
        self.commit(Request::new(cause), streams(order_id), move |work| {
            let reference = reference.clone();
            let capture = PaymentCommand::RecordCapture {
                attempt: key.attempt,
                reference,
                amount,
            };
            work.execute::<Payment>(key.payment_id, capture)?;
            let confirm = OrderCommand::ConfirmPayment {
                payment_id: key.payment_id,
                amount,
            };
            let events = move_order(work, order_id, confirm, <[_]>::to_vec)?;
            for event in &events {
                stop_payment(work, order_id, event)?;
            }
            if let [OrderEvent::OrderPaid { amount, .. }] = events[..]
                && placed(work, order_id)?.status == OrderStatus::Cancelled
            {
                let reason = Reason::lossy("the order was cancelled before the money came");
                give_back(work, order_id, "cancelled", amount, &reason)?;
            }
            Ok(())
        })
        .await
    }

    /// The gateway declined: tried again as long as the payment's window is open, otherwise the order is unpaid and
    /// its stock released.
    pub async fn decline_payment(
        &self,
        cause: Cause,
        attempt: &Attempt,
        reference: Option<Reference>,
        reason: Reason,
    ) -> Result<Committed<()>, Failure> {
        let Attempt {
            order_id,
            key: ChargeKey {
                payment_id,
                attempt,
            },
            ..
        } = *attempt;
        self.commit(Request::new(cause), streams(order_id), move |work| {
            let (reference, reason) = (reference.clone(), reason.clone());
            let decline = PaymentCommand::RecordDecline {
                attempt,
                reference,
                reason: reason.clone(),
            };
            work.execute::<Payment>(payment_id, decline)?;
            let payment = work.state::<Payment>(payment_id)?.started();
            let last =
                payment.is_none_or(|payment| payment.deadline_ms == 0 || payment.void_requested);
            end_or_wait(
                work,
                order_id,
                OrderCommand::DeclinePayment {
                    payment_id,
                    attempt,
                    reason,
                    last,
                },
            )
        })
        .await
    }

    /// The gateway confirmed that no money moves any more: the order ends without having been paid, and its stock is
    /// released.
    pub async fn void_payment(
        &self,
        cause: Cause,
        attempt: &Attempt,
        reference: Option<Reference>,
    ) -> Result<Committed<()>, Failure> {
        let Attempt {
            order_id,
            key: ChargeKey { payment_id, .. },
            ..
        } = *attempt;
        self.commit(Request::new(cause), streams(order_id), move |work| {
            work.execute::<Payment>(
                payment_id,
                PaymentCommand::RecordVoid {
                    reference: reference.clone(),
                },
            )?;
            let reason = Reason::lossy("the payment was voided");
            end_or_wait(work, order_id, OrderCommand::GiveUpPayment { reason })
        })
        .await
    }

    /// The attempt is not wanted any more: whoever asks the gateway next voids it. Changes nothing where the outcome is
    /// known.
    pub async fn request_void(
        &self,
        cause: Cause,
        order_id: OrderId,
        reason: Reason,
    ) -> Result<Committed<()>, Failure> {
        self.commit(Request::new(cause), streams(order_id), move |work| {
            void_if_awaited(work, order_id, &reason)
        })
        .await
    }

    /// The window of the payment is over: where an answer is awaited the attempt is to be voided, otherwise the order
    /// is unpaid and its stock released.
    pub async fn close_payment_window(
        &self,
        cause: Cause,
        order_id: OrderId,
    ) -> Result<Committed<()>, Failure> {
        self.commit(Request::new(cause), streams(order_id), move |work| {
            let reason = Reason::lossy("the time to pay was over");
            if placed(work, order_id)?.outcome_pending {
                return void_if_awaited(work, order_id, &reason);
            }
            end_or_wait(work, order_id, OrderCommand::GiveUpPayment { reason })
        })
        .await
    }

    /// The gateway does not tell what became of the attempt: somebody must look. Said once until it answers.
    pub async fn report_stuck(
        &self,
        cause: Cause,
        order_id: OrderId,
        asked: u32,
        reason: Reason,
    ) -> Result<Committed<()>, Failure> {
        let payment_id = PaymentId::of(order_id);
        self.commit(
            Request::new(cause),
            vec![StreamRef::of::<Payment>(payment_id)],
            move |work| {
                work.execute::<Payment>(
                    payment_id,
                    PaymentCommand::ReportStuck {
                        asked,
                        reason: reason.clone(),
                    },
                )?;
                Ok(())
            },
        )
        .await
    }
}

fn streams(order_id: OrderId) -> Vec<StreamRef> {
    vec![
        StreamRef::of::<Order>(order_id),
        StreamRef::of::<Payment>(PaymentId::of(order_id)),
    ]
}

fn begin_attempt(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
) -> Result<NextCall, Halt<Failure>> {
    let order = placed(work, order_id)?;
    if order.status != OrderStatus::Pending {
        return Ok(NextCall::None);
    }
    let start = next_attempt(order);
    let attempt = Attempt {
        order_id,
        key: ChargeKey {
            payment_id: start.payment_id,
            attempt: start.attempt,
        },
        amount: start.amount,
        method: start.method.clone(),
    };
    let ChargeKey {
        payment_id,
        attempt: number,
    } = attempt.key;
    work.execute::<Payment>(payment_id, PaymentCommand::StartPayment(start))?;
    move_order(
        work,
        order_id,
        OrderCommand::StartPayment {
            payment_id,
            attempt: number,
        },
        |_| (),
    )?;
    Ok(NextCall::Charge(attempt))
}

fn next_attempt(order: &PlacedOrder) -> StartPayment {
    StartPayment {
        payment_id: PaymentId::of(order.order_id),
        order_id: order.order_id,
        customer_id: order.customer_id,
        amount: order.money(order.total),
        method: order.payment_method.clone(),
        attempt: order.attempt.saturating_add(1),
        deadline_ms: order.payment_window_ms,
    }
}

fn end_or_wait(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    command: OrderCommand,
) -> Result<(), Halt<Failure>> {
    for event in &move_order(work, order_id, command, <[_]>::to_vec)? {
        stop_payment(work, order_id, event)?;
    }
    Ok(())
}

fn void_if_awaited(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    reason: &Reason,
) -> Result<(), Halt<Failure>> {
    let payment_id = PaymentId::of(order_id);
    let payment = work.state::<Payment>(payment_id)?;
    let awaited = payment
        .started()
        .ok_or_else(|| refuse(PaymentError::NotFound))?
        .awaiting;
    if awaited {
        work.execute::<Payment>(
            payment_id,
            PaymentCommand::RequestVoid {
                reason: reason.clone(),
            },
        )?;
    }
    Ok(())
}
