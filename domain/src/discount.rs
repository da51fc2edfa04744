//! Discount: so much off what it covers, for who has its code, or for everybody.
//!
//! A discount belongs to a region, and where a shop gives it to that shop: it covers nothing else. It counts its uses, one
//! for each order that it takes something off and that was not called off; the count is decided on in the unit of work that
//! places the order, so that the limit holds whoever orders at the same time. That a customer's order counts once is kept
//! by the customer's [`Redemptions`](crate::redemptions), beside which every use is written. What a discount takes off is
//! [`pricing`](crate::pricing)'s.
//!
//! Its stream id is the [`DiscountId`]. That a code is unique in its region is kept by a unique key in the append, since it
//! spans streams.

mod event;
mod rules;

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::{
    event::DiscountEvent,
    rules::{DiscountRules, DiscountScope, DiscountValue, MAX_SCOPE, Percentage, RulesError},
};
use crate::{
    aggregate::{Decider, impl_aggregate},
    ids::{DiscountId, OrderId, RegionId, ShopId},
    money::Currency,
    pricing::{Offer, PricedItem, covers},
    text::DiscountCode,
};

/// Aggregate type of discounts in the log.
pub const TYPE: &str = "discount";

/// A discount as its events tell; empty until it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    created: Option<DiscountDetails>,
}

/// A discount that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscountDetails {
    /// Which.
    pub discount_id: DiscountId,
    /// Where it is given.
    pub region_id: RegionId,
    /// What its amounts are in.
    pub currency: Currency,
    /// Who gives it, on their own products only; the market, where there is none.
    pub shop_id: Option<ShopId>,
    /// What has to be typed in; given by itself where there is none.
    pub code: Option<DiscountCode>,
    /// Everything that can be changed of it.
    pub rules: DiscountRules,
    /// How many orders use it.
    pub used: u64,
    /// How often it was made, changed or deleted: the version that somebody decides on who changes it. Uses do not count.
    pub revision: i64,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl Discount {
    /// The discount, once made, also when it was deleted since.
    pub const fn details(&self) -> Option<&DiscountDetails> {
        self.created.as_ref()
    }

    /// The discount, when it was not deleted.
    pub fn shown(&self) -> Result<&DiscountDetails, DiscountError> {
        match &self.created {
            None => Err(DiscountError::NotFound),
            Some(discount) if discount.deleted => Err(DiscountError::Deleted),
            Some(discount) => Ok(discount),
        }
    }

    /// The discount, where it is given in that region at that moment. Whether it is used up is another question: an order
    /// that uses it already needs no further use.
    pub fn due(&self, region_id: RegionId, now: DateTime<Utc>) -> Result<&DiscountDetails, NotDue> {
        let discount = self.shown().map_err(|_| NotDue::Unknown)?;
        let rules = &discount.rules;
        if discount.region_id != region_id {
            return Err(NotDue::Unknown);
        }
        if rules.starts_at.is_some_and(|starts_at| now < starts_at) {
            return Err(NotDue::NotStarted);
        }
        if rules.ends_at.is_some_and(|ends_at| ends_at <= now) {
            return Err(NotDue::Ended);
        }
        Ok(discount)
    }
}

impl DiscountDetails {
    /// What it offers to whoever may have it.
    pub fn offered(&self) -> Offer {
        let rules = &self.rules;
        Offer {
            discount_id: self.discount_id,
            title: rules.title.clone(),
            code: self.code.clone(),
            shop_id: self.shop_id,
            value: rules.value,
            minimum: rules.minimum,
            scope: rules.scope.clone(),
        }
    }

    /// Whether it covers something of these items. Cheaper than to offer it.
    pub fn covers_any(&self, items: &[PricedItem]) -> bool {
        let rules = &self.rules;
        items
            .iter()
            .any(|item| covers(self.shop_id, &rules.scope, item))
    }

    /// Whether as many orders use it as may.
    pub fn is_used_up(&self) -> bool {
        let max_uses = self.rules.max_uses.map(NonZeroU32::get);
        max_uses.is_some_and(|max_uses| self.used >= u64::from(max_uses))
    }
}

/// Why a discount is not to be had for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotDue {
    /// There is none of that code in the region.
    #[error("there is no such discount")]
    Unknown,
    /// Its time has not come.
    #[error("the discount has not begun")]
    NotStarted,
    /// Its time is over.
    #[error("the discount has ended")]
    Ended,
    /// As many orders use it as may.
    #[error("the discount is used up")]
    UsedUp,
    /// The customer has used it as often as one may.
    #[error("you have used the discount as often as one may")]
    UsedUpByCustomer,
    /// Nothing that is bought is covered by it.
    #[error("the discount covers nothing of what is bought")]
    NothingCovered,
    /// What is bought of what it covers is worth too little.
    #[error("what is bought does not reach the discount's minimum")]
    BelowMinimum,
}

impl NotDue {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Unknown,
        Self::NotStarted,
        Self::Ended,
        Self::UsedUp,
        Self::UsedUpByCustomer,
        Self::NothingCovered,
        Self::BelowMinimum,
    ];

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotStarted => "not_started",
            Self::Ended => "ended",
            Self::UsedUp => "used_up",
            Self::UsedUpByCustomer => "used_up_by_customer",
            Self::NothingCovered => "nothing_covered",
            Self::BelowMinimum => "below_minimum",
        }
    }
}

/// A discount to be made. Its region and currency come from the Region aggregate, read in the same unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDiscount {
    /// Which.
    pub discount_id: DiscountId,
    /// Where it is given.
    pub region_id: RegionId,
    /// What its amounts are in: the region's currency.
    pub currency: Currency,
    /// Who gives it; the market, where there is none.
    pub shop_id: Option<ShopId>,
    /// What has to be typed in; given by itself where there is none.
    pub code: Option<DiscountCode>,
    /// Everything that can be changed of it.
    pub rules: DiscountRules,
}

/// What can be asked of a discount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscountCommand {
    /// Make a new one.
    CreateDiscount(CreateDiscount),
    /// Give it by other rules from now on; orders that use it keep what they have.
    ChangeDiscount {
        /// All rules, as they are to be.
        rules: DiscountRules,
    },
    /// Give it no more.
    DeleteDiscount,
    /// Count an order that uses it. Asked for only beside a redemption that is new, which is what makes it count once.
    CountUse {
        /// Which order.
        order_id: OrderId,
    },
    /// Count an order no more that was called off or no longer uses it. Asked for only beside a redemption that ends.
    ReturnUse {
        /// Which order.
        order_id: OrderId,
    },
}

/// Why a discount refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscountError {
    /// There is no such discount.
    #[error("the discount does not exist")]
    NotFound,
    /// It was deleted.
    #[error("the discount was deleted")]
    Deleted,
    /// The id is taken by another discount.
    #[error("the discount exists already")]
    AlreadyExists,
    /// Its rules make no discount.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Its amounts were stated in another currency than its region's.
    #[error("the discount's amounts are in {given}, its region's currency is {expected}")]
    CurrencyDiffers {
        /// The region's.
        expected: Currency,
        /// What they were stated in.
        given: Currency,
    },
    /// As many orders use it as may.
    #[error("the discount is used up")]
    UsedUp,
}

impl_aggregate!(
    Discount,
    TYPE,
    DiscountCommand,
    DiscountEvent,
    DiscountError
);

impl Decider for Discount {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = DiscountEvent::CATALOGUE;

    fn decide(&self, command: DiscountCommand) -> Result<Vec<DiscountEvent>, DiscountError> {
        match command {
            DiscountCommand::CreateDiscount(wished) => self.create(wished),
            DiscountCommand::ChangeDiscount { rules } => {
                let discount = self.shown()?;
                rules.check()?;
                if discount.rules == rules {
                    return Ok(vec![]);
                }
                Ok(vec![DiscountEvent::DiscountChanged { rules }])
            }
            DiscountCommand::DeleteDiscount => match &self.created {
                None => Err(DiscountError::NotFound),
                Some(discount) if discount.deleted => Ok(vec![]),
                Some(_) => Ok(vec![DiscountEvent::DiscountDeleted {}]),
            },
            DiscountCommand::CountUse { order_id } => {
                if self.shown()?.is_used_up() {
                    return Err(DiscountError::UsedUp);
                }
                Ok(vec![DiscountEvent::DiscountUsed { order_id }])
            }
            // also of one that was deleted: its count stays true
            DiscountCommand::ReturnUse { order_id } => match &self.created {
                None => Err(DiscountError::NotFound),
                Some(_) => Ok(vec![DiscountEvent::DiscountUseReturned { order_id }]),
            },
        }
    }

    fn evolve(&mut self, event: &DiscountEvent) {
        match (event, &mut self.created) {
            (
                DiscountEvent::DiscountCreated {
                    discount_id,
                    region_id,
                    currency,
                    shop_id,
                    code,
                    rules,
                },
                created,
            ) => {
                *created = Some(DiscountDetails {
                    discount_id: *discount_id,
                    region_id: *region_id,
                    currency: *currency,
                    shop_id: *shop_id,
                    code: code.clone(),
                    rules: rules.clone(),
                    used: 0,
                    revision: 1,
                    deleted: false,
                });
            }
            (DiscountEvent::DiscountChanged { rules }, Some(discount)) => {
                discount.rules = rules.clone();
                discount.revision = discount.revision.saturating_add(1);
            }
            (DiscountEvent::DiscountDeleted {}, Some(discount)) => {
                discount.deleted = true;
                discount.revision = discount.revision.saturating_add(1);
            }
            (DiscountEvent::DiscountUsed { .. }, Some(discount)) => {
                discount.used = discount.used.saturating_add(1);
            }
            (DiscountEvent::DiscountUseReturned { .. }, Some(discount)) => {
                discount.used = discount.used.saturating_sub(1);
            }
            (_, None) => {}
        }
    }

    fn weight(&self) -> usize {
        self.created.as_ref().map_or(0, |discount| {
            let code = discount.code.as_ref();
            discount.rules.heap() + code.map_or(0, |code| code.as_str().len())
        })
    }
}

impl Discount {
    fn create(&self, wished: CreateDiscount) -> Result<Vec<DiscountEvent>, DiscountError> {
        let CreateDiscount {
            discount_id,
            region_id,
            currency,
            shop_id,
            code,
            rules,
        } = wished;
        if let Some(discount) = &self.created {
            let same = (discount.discount_id, discount.region_id, discount.shop_id)
                == (discount_id, region_id, shop_id)
                && (discount.currency, &discount.code, &discount.rules)
                    == (currency, &code, &rules);
            return if discount.deleted {
                Err(DiscountError::Deleted)
            } else if same {
                Ok(vec![])
            } else {
                Err(DiscountError::AlreadyExists)
            };
        }
        rules.check()?;
        Ok(vec![DiscountEvent::DiscountCreated {
            discount_id,
            region_id,
            currency,
            shop_id,
            code,
            rules,
        }])
    }
}

#[cfg(test)]
mod tests;
