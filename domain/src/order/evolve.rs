//! How an order's state follows from its events. Nothing here refuses: what is in the log happened.

use std::collections::{BTreeMap, BTreeSet};

use super::{AppliedDiscount, OrderEvent, OrderStatus, PaymentStatus, PlacedOrder};
use crate::{ids::RefundId, order::OrderLine, region::RegionTerms};

impl PlacedOrder {
    /// The order that `OrderPlaced` makes; nothing from any other event.
    pub(super) fn from_event(event: &OrderEvent) -> Option<Self> {
        let OrderEvent::OrderPlaced {
            order_id,
            number,
            customer_id,
            customer_name,
            shipping_address,
            region_id,
            currency,
            tax_rate,
            prices_include_tax,
            payment_method,
            lines,
            subtotal,
            discount,
            discounts,
            tax,
            total,
            payment_delay_ms,
            payment_window_ms,
        } = event
        else {
            return None;
        };
        Some(Self {
            order_id: *order_id,
            number: *number,
            customer_id: *customer_id,
            customer_name: customer_name.clone(),
            shipping_address: shipping_address.clone(),
            terms: RegionTerms {
                region_id: *region_id,
                currency: *currency,
                tax_rate: *tax_rate,
                prices_include_tax: *prices_include_tax,
            },
            payment_method: payment_method.clone(),
            lines: lines.clone(),
            placed_lines: None,
            shipped: BTreeMap::new(),
            shipments: BTreeSet::new(),
            subtotal: *subtotal,
            discount: *discount,
            discounts: discounts.clone(),
            tax: *tax,
            total: *total,
            payment_delay_ms: *payment_delay_ms,
            payment_window_ms: *payment_window_ms,
            status: OrderStatus::Pending,
            payment_status: PaymentStatus::Awaiting,
            payment_id: None,
            attempt: 0,
            outcome_pending: false,
            cancellation: None,
            hidden: false,
            paid: None,
            refunded: 0,
            refunds: BTreeMap::new(),
        })
    }

    pub(super) fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::OrderPlaced { .. } => {}
            OrderEvent::OrderPaymentStarted {
                payment_id,
                attempt,
            } => {
                self.payment_id = Some(*payment_id);
                self.attempt = *attempt;
                self.outcome_pending = true;
                self.payment_status = PaymentStatus::Awaiting;
            }
            OrderEvent::OrderPaid { payment_id, amount } => {
                self.payment_id = Some(*payment_id);
                self.outcome_pending = false;
                self.paid = Some(*amount);
                self.payment_status = PaymentStatus::Paid;
                // money that comes after the end does not bring the order back
                if self.status == OrderStatus::Pending {
                    self.status = OrderStatus::Processing;
                }
            }
            OrderEvent::OrderPaymentFailed { .. } => {
                self.outcome_pending = false;
                self.payment_status = PaymentStatus::Failed;
            }
            OrderEvent::OrderCancellationRequested { reason, .. } => {
                self.cancellation = Some(reason.clone());
            }
            OrderEvent::OrderUnpaid { .. } | OrderEvent::OrderCancelled { .. } => self.end(),
            OrderEvent::OrderRemainderCancelled { .. } => self.status = OrderStatus::Shipped,
            OrderEvent::OrderContactChanged {
                customer_name,
                shipping_address,
            } => {
                if let Some(name) = customer_name {
                    self.customer_name = name.clone();
                }
                if let Some(address) = shipping_address {
                    self.shipping_address = address.clone();
                }
            }
            OrderEvent::OrderItemsChanged {
                lines,
                subtotal,
                discount,
                discounts,
                tax,
                total,
            } => {
                let before = std::mem::replace(&mut self.lines, lines.clone());
                self.placed_lines.get_or_insert(before);
                (self.subtotal, self.discount) = (*subtotal, *discount);
                self.discounts.clone_from(discounts);
                (self.tax, self.total) = (*tax, *total);
            }
            OrderEvent::OrderHidden {} => self.hidden = true,
            OrderEvent::OrderItemsShipped {
                shipment_id,
                lines,
                complete,
            } => {
                self.shipments.insert(*shipment_id);
                for line in lines {
                    let shipped = self.shipped.entry(line.line).or_default();
                    *shipped = shipped.saturating_add(line.quantity.get());
                }
                self.status = if *complete {
                    OrderStatus::Shipped
                } else {
                    OrderStatus::PartlyShipped
                };
            }
            OrderEvent::OrderDelivered {} => self.status = OrderStatus::Delivered,
            OrderEvent::OrderRefunded {
                refund_id,
                amount,
                refunded_total,
                complete,
            } => {
                self.refunds.insert(*refund_id, *amount);
                self.refunded = *refunded_total;
                self.payment_status = if *complete {
                    PaymentStatus::Refunded
                } else {
                    PaymentStatus::PartiallyRefunded
                };
            }
        }
    }

    /// Called off: nothing is awaited any more, and where no money came none will be asked for.
    fn end(&mut self) {
        self.status = OrderStatus::Cancelled;
        self.outcome_pending = false;
        if self.paid.is_none() {
            self.payment_status = PaymentStatus::Unpaid;
        }
    }

    /// Approximate bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        let line = |line: &OrderLine| {
            size_of::<OrderLine>() + line.sku.as_str().len() + line.title.as_str().len()
        };
        let discount = |discount: &AppliedDiscount| {
            size_of::<AppliedDiscount>() + discount.title.as_str().len()
        };
        self.customer_name.as_str().len()
            + self.shipping_address.as_str().len()
            + self.payment_method.as_str().len()
            + self
                .cancellation
                .as_ref()
                .map_or(0, |reason| reason.as_str().len())
            + self.lines.iter().map(line).sum::<usize>()
            + self.placed_lines.iter().flatten().map(line).sum::<usize>()
            + self.discounts.iter().map(discount).sum::<usize>()
            + self.shipped.len() * 16
            + (self.shipments.len() + self.refunds.len()) * 2 * size_of::<RefundId>()
    }
}
