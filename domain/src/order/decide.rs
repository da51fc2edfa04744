//! The decisions of an order, one function per command.

use std::collections::BTreeMap;

use super::{
    ContactChange, LineQuantity, OrderCommand, OrderError, OrderEvent, OrderStatus, PaymentStatus,
    PlaceOrder, PlacedOrder, ShipLine,
};
use crate::{
    ids::{PaymentId, RefundId, ShipmentId, UserId},
    money::Money,
    pricing::{Offer, PricedItem, price_lines},
    sealed::Sealed,
    text::{Quantity, Reason},
};

type Decision = Result<Vec<OrderEvent>, OrderError>;

pub(super) fn place(wished: PlaceOrder) -> Decision {
    let priced = price_lines(&wished.terms, &wished.items, &wished.offers)?;
    Ok(vec![OrderEvent::OrderPlaced {
        order_id: wished.order_id,
        number: Some(wished.number),
        customer_id: wished.customer_id,
        customer_name: wished.customer_name,
        shipping_address: wished.shipping_address,
        region_id: wished.terms.region_id,
        currency: wished.terms.currency,
        tax_rate: wished.terms.tax_rate,
        prices_include_tax: wished.terms.prices_include_tax,
        payment_method: wished.payment_method,
        lines: priced.lines,
        subtotal: priced.subtotal,
        discount: priced.discount,
        discounts: priced.discounts,
        tax: priced.tax,
        total: priced.total,
        payment_delay_ms: wished.payment_delay_ms,
        payment_window_ms: wished.payment_window_ms,
    }])
}

impl PlacedOrder {
    /// The same order placed again is satisfied, whatever was changed in it since. A value sealed again is another text, its
    /// number was drawn anew, and delays are settings: they make it no other order.
    pub(super) fn place_again(&self, wished: &PlaceOrder) -> Decision {
        let lines = price_lines(&wished.terms, &wished.items, &wished.offers)?.lines;
        let same = (self.order_id, self.customer_id, self.terms)
            == (wished.order_id, wished.customer_id, wished.terms)
            && self.payment_method == wished.payment_method
            && self.lines_as_placed() == lines;
        if same {
            Ok(vec![])
        } else {
            Err(OrderError::AlreadyExists)
        }
    }

    pub(super) fn decide(&self, command: OrderCommand) -> Decision {
        let illegal = self.illegal(command.name());
        match command {
            OrderCommand::PlaceOrder(wished) => self.place_again(&wished),
            OrderCommand::StartPayment {
                payment_id,
                attempt,
            } => self.start_payment(payment_id, attempt, illegal),
            OrderCommand::ConfirmPayment { payment_id, amount } => {
                self.confirm_payment(payment_id, amount)
            }
            OrderCommand::DeclinePayment {
                payment_id,
                attempt,
                reason,
                last,
            } => self.decline_payment(payment_id, attempt, reason, last, illegal),
            OrderCommand::GiveUpPayment { reason } => Ok(self.unpaid(reason)),
            OrderCommand::CancelOrder {
                reason,
                requested_by,
            } => self.cancel(reason, requested_by),
            OrderCommand::ChangeContact(change) => self.change_contact(change, illegal),
            OrderCommand::ChangeItems { items, offers } => {
                self.change_items(&items, &offers, illegal)
            }
            OrderCommand::HideOrder {
                reason,
                requested_by,
            } => self.hide(reason, requested_by, illegal),
            OrderCommand::ShipItems { shipment_id, lines } => {
                self.ship(shipment_id, &lines, illegal)
            }
            OrderCommand::DeliverOrder => match self.status {
                OrderStatus::Shipped => Ok(vec![OrderEvent::OrderDelivered {}]),
                OrderStatus::Delivered => Ok(vec![]),
                _ => Err(illegal),
            },
            OrderCommand::RecordRefund { refund_id, amount } => {
                self.record_refund(refund_id, amount)
            }
        }
    }

    fn illegal(&self, command: &'static str) -> OrderError {
        OrderError::IllegalMove {
            from: self.status,
            payment: self.payment_status,
            command,
            allowed: self.next_statuses(),
        }
    }

    /// An order has one payment, whose id derives from its own; another one's money goes back to where it came from.
    fn check_payment(&self, payment_id: PaymentId) -> Result<(), OrderError> {
        let expected = PaymentId::of(self.order_id);
        if payment_id == expected {
            Ok(())
        } else {
            Err(OrderError::OtherPayment { expected })
        }
    }

    fn start_payment(&self, payment_id: PaymentId, attempt: u32, illegal: OrderError) -> Decision {
        self.check_payment(payment_id)?;
        if (1..=self.attempt).contains(&attempt) {
            return Ok(vec![]);
        }
        if self.status != OrderStatus::Pending {
            return Err(illegal);
        }
        if self.outcome_pending {
            return Err(OrderError::OutcomePending);
        }
        let expected = self.attempt.saturating_add(1);
        if attempt != expected {
            return Err(OrderError::WrongAttempt { expected });
        }
        Ok(vec![OrderEvent::OrderPaymentStarted {
            payment_id,
            attempt,
        }])
    }

    /// Money that came is always recorded, also when the order was cancelled before: whoever asks gives it back.
    fn confirm_payment(&self, payment_id: PaymentId, given: Money) -> Decision {
        self.check_payment(payment_id)?;
        let expected = self.money(self.total);
        if given != expected {
            return Err(OrderError::AmountDiffers { expected, given });
        }
        if self.paid.is_some() {
            return Ok(vec![]);
        }
        let paid = OrderEvent::OrderPaid {
            payment_id,
            amount: given.amount,
        };
        let Some(reason) = &self.cancellation else {
            return Ok(vec![paid]);
        };
        let mut after = self.clone();
        after.evolve(&paid);
        Ok(vec![paid, after.cancelled(reason.clone())])
    }

    fn decline_payment(
        &self,
        payment_id: PaymentId,
        attempt: u32,
        reason: Reason,
        last: bool,
        illegal: OrderError,
    ) -> Decision {
        self.check_payment(payment_id)?;
        let decided = self.status != OrderStatus::Pending;
        if decided || (1..self.attempt).contains(&attempt) {
            // a decline that comes after the outcome, or after the next attempt began, changes nothing
            return Ok(vec![]);
        }
        if self.attempt == 0 {
            return Err(illegal);
        }
        if attempt != self.attempt {
            return Err(OrderError::WrongAttempt {
                expected: self.attempt,
            });
        }
        if last || self.cancellation.is_some() {
            return Ok(self.unpaid(reason));
        }
        if !self.outcome_pending {
            return Ok(vec![]);
        }
        Ok(vec![OrderEvent::OrderPaymentFailed {
            payment_id,
            attempt,
            reason,
        }])
    }

    /// The end of an order that no money came for; nothing, when it has ended or was paid.
    fn unpaid(&self, reason: Reason) -> Vec<OrderEvent> {
        if self.status != OrderStatus::Pending {
            return vec![];
        }
        match &self.cancellation {
            Some(asked) => vec![self.cancelled(asked.clone())],
            None => vec![OrderEvent::OrderUnpaid {
                payment_id: self.payment_id,
                reason,
            }],
        }
    }

    fn cancel(&self, reason: Reason, requested_by: Option<UserId>) -> Decision {
        match self.status {
            OrderStatus::Pending if self.cancellation.is_some() => Ok(vec![]),
            OrderStatus::Pending if self.outcome_pending => {
                Ok(vec![OrderEvent::OrderCancellationRequested {
                    reason,
                    requested_by,
                }])
            }
            OrderStatus::Pending | OrderStatus::Processing => Ok(vec![self.cancelled(reason)]),
            OrderStatus::PartlyShipped => Ok(vec![OrderEvent::OrderRemainderCancelled {
                reason,
                lines: self.unshipped(),
                refund: self.refund_of_unshipped(),
            }]),
            OrderStatus::Shipped | OrderStatus::Delivered => Err(OrderError::AlreadyShipped {
                from: self.status,
                payment: self.payment_status,
                allowed: self.next_statuses(),
            }),
            OrderStatus::Cancelled => Ok(vec![]),
        }
    }

    fn cancelled(&self, reason: Reason) -> OrderEvent {
        OrderEvent::OrderCancelled {
            reason,
            lines: self.unshipped(),
            refund: self.refundable(),
        }
    }

    fn change_contact(&self, change: ContactChange, illegal: OrderError) -> Decision {
        let other = |wished: Option<Sealed>, now: &Sealed| wished.filter(|wished| wished != now);
        let customer_name = other(change.customer_name, &self.customer_name);
        let shipping_address = other(change.shipping_address, &self.shipping_address);
        if customer_name.is_none() && shipping_address.is_none() {
            return Ok(vec![]);
        }
        let waits = matches!(self.status, OrderStatus::Pending | OrderStatus::Processing);
        if !waits || self.cancellation.is_some() {
            return Err(illegal);
        }
        Ok(vec![OrderEvent::OrderContactChanged {
            customer_name,
            shipping_address,
        }])
    }

    /// The terms stay those that the order froze; prices and discounts are those of today.
    fn change_items(
        &self,
        items: &[PricedItem],
        offers: &[Offer],
        illegal: OrderError,
    ) -> Decision {
        let priced = price_lines(&self.terms, items, offers)?;
        if self.lines == priced.lines {
            return Ok(vec![]);
        }
        if self.status != OrderStatus::Pending {
            return Err(illegal);
        }
        if self.attempt > 0 {
            return Err(OrderError::PaymentStarted {
                payment: self.payment_status,
                allowed: self.next_statuses(),
            });
        }
        Ok(vec![OrderEvent::OrderItemsChanged {
            lines: priced.lines,
            subtotal: priced.subtotal,
            discount: priced.discount,
            discounts: priced.discounts,
            tax: priced.tax,
            total: priced.total,
        }])
    }

    /// Goods that are on their way are not hidden: somebody waits for them.
    fn hide(&self, reason: Reason, requested_by: Option<UserId>, illegal: OrderError) -> Decision {
        if self.hidden {
            return Ok(vec![]);
        }
        let mut events = match self.status {
            OrderStatus::Pending | OrderStatus::Processing => self.cancel(reason, requested_by)?,
            OrderStatus::Delivered | OrderStatus::Cancelled => vec![],
            OrderStatus::PartlyShipped | OrderStatus::Shipped => return Err(illegal),
        };
        events.push(OrderEvent::OrderHidden {});
        Ok(events)
    }

    fn ship(&self, shipment_id: ShipmentId, lines: &[ShipLine], illegal: OrderError) -> Decision {
        if self.shipments.contains(&shipment_id) {
            return Ok(vec![]);
        }
        let shippable = matches!(
            self.status,
            OrderStatus::Processing | OrderStatus::PartlyShipped
        ) && matches!(
            self.payment_status,
            PaymentStatus::Paid | PaymentStatus::PartiallyRefunded
        );
        if !shippable {
            return Err(illegal);
        }
        if self.shipping_address.is_empty() {
            return Err(OrderError::NoAddress);
        }
        let mut wished: BTreeMap<u32, u64> = BTreeMap::new();
        for ship in lines {
            // cannot overflow: each is at most a million and a list has fewer than 2^44 elements
            *wished.entry(ship.line).or_default() += u64::from(ship.quantity.get());
        }
        let lines = wished
            .into_iter()
            .map(|(line, requested)| self.shipped_line(line, requested))
            .collect::<Result<Vec<_>, _>>()?;
        if lines.is_empty() {
            return Err(OrderError::NothingToShip);
        }
        let pieces = |lines: &[LineQuantity]| {
            lines
                .iter()
                .map(|line| u64::from(line.quantity.get()))
                .sum::<u64>()
        };
        let complete = pieces(&lines) == pieces(&self.unshipped());
        Ok(vec![OrderEvent::OrderItemsShipped {
            shipment_id,
            lines,
            complete,
        }])
    }

    fn shipped_line(&self, number: u32, requested: u64) -> Result<LineQuantity, OrderError> {
        let line = self
            .lines
            .iter()
            .find(|line| line.line == number)
            .ok_or(OrderError::UnknownLine { line: number })?;
        let left = line.quantity.get().saturating_sub(self.shipped_of(number));
        let over = OrderError::OverShipped {
            line: number,
            requested,
            left,
        };
        if requested > u64::from(left) {
            return Err(over);
        }
        // cannot fail: between one and the line's quantity
        let quantity = Quantity::parse(requested).map_err(|_| over)?;
        Ok(LineQuantity {
            line: number,
            product_id: line.product_id,
            quantity,
        })
    }

    fn record_refund(&self, refund_id: RefundId, amount: Money) -> Decision {
        if let Some(recorded) = self.refunds.get(&refund_id) {
            let recorded = self.money(*recorded);
            return if recorded == amount {
                Ok(vec![])
            } else {
                Err(OrderError::RefundDiffers { recorded })
            };
        }
        let refundable = self.money(self.refundable());
        let fits = amount.currency == refundable.currency
            && (1..=refundable.amount).contains(&amount.amount);
        if !fits {
            return Err(OrderError::NotRefundable {
                requested: amount,
                refundable,
            });
        }
        // cannot saturate: at most what was paid
        let refunded_total = self.refunded.saturating_add(amount.amount);
        let complete = amount == refundable;
        Ok(vec![OrderEvent::OrderRefunded {
            refund_id,
            amount: amount.amount,
            refunded_total,
            complete,
        }])
    }
}
