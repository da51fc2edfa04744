//! The events of a discount.

use serde::{Deserialize, Serialize};

use super::DiscountRules;
use crate::{
    aggregate::impl_domain_event,
    ids::{DiscountId, OrderId, RegionId, ShopId},
    money::Currency,
    text::DiscountCode,
};

/// What happened to a discount. Amounts are minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum DiscountEvent {
    /// A discount was made.
    DiscountCreated {
        /// Which.
        discount_id: DiscountId,
        /// Where it is given.
        region_id: RegionId,
        /// What its amounts are in.
        currency: Currency,
        /// Who gives it; the market, where there is none.
        shop_id: Option<ShopId>,
        /// What has to be typed in; given by itself where there is none.
        code: Option<DiscountCode>,
        /// Everything that can be changed of it.
        rules: DiscountRules,
    },
    /// It is given by other rules; all of them as they are now.
    DiscountChanged {
        /// All rules.
        rules: DiscountRules,
    },
    /// It is given no more.
    DiscountDeleted {},
    /// An order uses it.
    DiscountUsed {
        /// Which order.
        order_id: OrderId,
    },
    /// An order does not use it any more: it was called off, or changed.
    DiscountUseReturned {
        /// Which order.
        order_id: OrderId,
    },
}

impl_domain_event!(DiscountEvent {
    DiscountCreated,
    DiscountChanged,
    DiscountDeleted,
    DiscountUsed,
    DiscountUseReturned,
});
