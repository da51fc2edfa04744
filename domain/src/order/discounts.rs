//! What an order's events mean for the discounts that it uses, so that whoever builds the unit of work counts them beside
//! the order's events.

use super::{AppliedDiscount, Order, OrderEvent, OrderStatus};
use crate::ids::DiscountId;

/// Which discounts an order begins to use, and which it uses no more, in the same unit of work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscountEffect {
    /// To be counted.
    pub used: Vec<DiscountId>,
    /// To be given back, so that others may have them.
    pub returned: Vec<DiscountId>,
}

impl Order {
    /// What `event` does to discounts when it happens in this state. With several events, ask for each before it is taken
    /// into the state. An order that is called off gives its discounts back; one of which part was shipped has had them.
    pub fn discount_effect(&self, event: &OrderEvent) -> DiscountEffect {
        let (before, after): (&[_], &[_]) = match (event, self.placed()) {
            (OrderEvent::OrderPlaced { discounts, .. }, None) => (&[], discounts),
            (OrderEvent::OrderItemsChanged { discounts, .. }, Some(order)) => {
                (&order.discounts, discounts)
            }
            (OrderEvent::OrderUnpaid { .. } | OrderEvent::OrderCancelled { .. }, Some(order))
                if order.status != OrderStatus::Cancelled =>
            {
                (&order.discounts, &[])
            }
            _ => return DiscountEffect::default(),
        };
        DiscountEffect {
            used: only_in(after, before),
            returned: only_in(before, after),
        }
    }
}

/// What is in the first list and not in the other.
fn only_in(discounts: &[AppliedDiscount], others: &[AppliedDiscount]) -> Vec<DiscountId> {
    let ids = discounts.iter().map(|discount| discount.discount_id);
    ids.filter(|id| others.iter().all(|other| other.discount_id != *id))
        .collect()
}
