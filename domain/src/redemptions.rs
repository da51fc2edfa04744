//! Redemptions: what one customer has used of one discount, one entry per order.
//!
//! It makes an order count once for the customer's limit and for the discount's own: a use that is new here is counted by
//! the [`Discount`](crate::discount), in the same unit of work. Its stream id is the
//! [`RedemptionsId`](crate::ids::RedemptionsId) of discount and customer.

use std::{collections::BTreeSet, num::NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decider, impl_aggregate, impl_domain_event},
    ids::{DiscountId, OrderId, UserId},
};

/// Aggregate type of redemptions in the log.
pub const TYPE: &str = "redemptions";

/// What happened to a customer's uses of a discount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RedemptionsEvent {
    /// An order of the customer uses the discount.
    DiscountRedeemed {
        /// Which discount.
        discount_id: DiscountId,
        /// Whose order.
        customer_id: UserId,
        /// Which order.
        order_id: OrderId,
    },
    /// The order does not use it any more, so that another may.
    RedemptionReturned {
        /// Which order.
        order_id: OrderId,
    },
}

impl_domain_event!(RedemptionsEvent {
    DiscountRedeemed,
    RedemptionReturned
});

/// The orders of a customer that use a discount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redemptions {
    orders: BTreeSet<OrderId>,
}

impl Redemptions {
    /// Whether that order uses it.
    pub fn is_used_by(&self, order_id: OrderId) -> bool {
        self.orders.contains(&order_id)
    }

    /// Whether as many orders use it as may.
    pub fn are_used_up(&self, limit: Option<NonZeroU32>) -> bool {
        limit.is_some_and(|limit| self.orders.len() >= limit.get() as usize)
    }
}

/// What can be asked of redemptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedemptionsCommand {
    /// Use the discount for an order.
    Redeem {
        /// Which discount.
        discount_id: DiscountId,
        /// Whose order.
        customer_id: UserId,
        /// Which order.
        order_id: OrderId,
        /// How many orders of one customer may.
        limit: Option<NonZeroU32>,
    },
    /// Use it for that order no more.
    ReturnRedemption {
        /// Which order.
        order_id: OrderId,
    },
}

/// Why redemptions refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedemptionsError {
    /// As many orders of the customer use it as may.
    #[error("the customer has used the discount as often as one may")]
    UsedUp,
}

impl_aggregate!(
    Redemptions,
    TYPE,
    RedemptionsCommand,
    RedemptionsEvent,
    RedemptionsError
);

impl Decider for Redemptions {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = RedemptionsEvent::CATALOGUE;

    fn decide(
        &self,
        command: RedemptionsCommand,
    ) -> Result<Vec<RedemptionsEvent>, RedemptionsError> {
        match command {
            RedemptionsCommand::Redeem { order_id, .. } if self.is_used_by(order_id) => Ok(vec![]),
            RedemptionsCommand::Redeem { limit, .. } if self.are_used_up(limit) => {
                Err(RedemptionsError::UsedUp)
            }
            RedemptionsCommand::Redeem {
                discount_id,
                customer_id,
                order_id,
                limit: _,
            } => Ok(vec![RedemptionsEvent::DiscountRedeemed {
                discount_id,
                customer_id,
                order_id,
            }]),
            RedemptionsCommand::ReturnRedemption { order_id } if self.is_used_by(order_id) => {
                Ok(vec![RedemptionsEvent::RedemptionReturned { order_id }])
            }
            RedemptionsCommand::ReturnRedemption { .. } => Ok(vec![]),
        }
    }

    fn evolve(&mut self, event: &RedemptionsEvent) {
        match event {
            RedemptionsEvent::DiscountRedeemed { order_id, .. } => self.orders.insert(*order_id),
            RedemptionsEvent::RedemptionReturned { order_id } => self.orders.remove(order_id),
        };
    }

    fn weight(&self) -> usize {
        self.orders.len() * 2 * size_of::<OrderId>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{CUSTOMER, DISCOUNT, ORDER, OTHER_ORDER, assert_text, outcomes, when};

    fn redeem(order_id: OrderId, limit: u32) -> RedemptionsCommand {
        RedemptionsCommand::Redeem {
            discount_id: DISCOUNT,
            customer_id: CUSTOMER,
            order_id,
            limit: NonZeroU32::new(limit),
        }
    }

    #[test]
    fn every_command_in_every_state() {
        let once = when::<Redemptions>(&[], redeem(ORDER, 1)).unwrap();
        let back = RedemptionsEvent::RedemptionReturned { order_id: ORDER };
        let states = [
            ("unused", vec![]),
            ("used", once.clone()),
            ("used and returned", [once, vec![back]].concat()),
        ];
        let return_it = |order_id| RedemptionsCommand::ReturnRedemption { order_id };
        let commands = [
            ("Redeem, the same order", redeem(ORDER, 1)),
            ("Redeem, another order", redeem(OTHER_ORDER, 1)),
            ("Redeem, of two", redeem(OTHER_ORDER, 2)),
            ("Redeem, without a limit", redeem(OTHER_ORDER, 0)),
            ("ReturnRedemption", return_it(ORDER)),
            ("ReturnRedemption, another order", return_it(OTHER_ORDER)),
        ];
        assert_text(
            &outcomes::<Redemptions>(&states, &commands),
            "
Redeem, the same order
  DiscountRedeemed: unused, used and returned
  -: used
Redeem, another order
  DiscountRedeemed: unused, used and returned
  !UsedUp: used
Redeem, of two
  DiscountRedeemed: unused, used, used and returned
Redeem, without a limit
  DiscountRedeemed: unused, used, used and returned
ReturnRedemption
  -: unused, used and returned
  RedemptionReturned: used
ReturnRedemption, another order
  -: unused, used, used and returned
",
        );
    }
}
