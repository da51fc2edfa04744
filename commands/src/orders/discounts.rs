//! The discounts of an order: which are to be had for it, and the counting of those that it uses.
//!
//! Decided from the log in the order's own unit of work, so that the last use of a discount goes to exactly one of all who
//! want it at the same time.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    automatic_discounts::AutomaticDiscounts,
    cart::CartCode,
    discount::{Discount, DiscountCommand, NotDue},
    ids::{AutomaticDiscountsId, DiscountId, OrderId, RedemptionsId, RegionId, ShopId, UserId},
    order::DiscountEffect,
    pricing::{Offer, PricedItem},
    redemptions::{Redemptions, RedemptionsCommand},
    text::DiscountCode,
};
use eventstore::{
    stream::StreamRef,
    unit::{Halt, Work},
};

use super::placed;
use crate::{
    absent::Absent,
    discounts::code_scope,
    failure::{Failure, refuse},
    request::Commands,
};

/// A code as it was typed in, and the discount that it belongs to in the order's region, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedDiscount {
    pub(crate) code: DiscountCode,
    pub(crate) discount_id: Option<DiscountId>,
}

impl From<&CartCode> for NamedDiscount {
    fn from(code: &CartCode) -> Self {
        Self {
            code: code.code.clone(),
            discount_id: Some(code.discount_id),
        }
    }
}

/// Who buys where, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buyer {
    pub(crate) customer_id: UserId,
    pub(crate) region_id: RegionId,
    /// The order that may use a discount already; none where a price is only shown.
    pub(crate) order_id: Option<OrderId>,
    pub(crate) now: DateTime<Utc>,
}

/// The discounts that are to be had for some items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) offers: Vec<Offer>,
    /// The codes that bring nothing, and why.
    pub(super) refused: Vec<(DiscountCode, NotDue)>,
}

impl Commands {
    /// What the codes belong to. Looked up before the decision, which finds out whether that still holds.
    pub(crate) async fn named_discounts(
        &self,
        region_id: RegionId,
        codes: &[DiscountCode],
    ) -> Result<Vec<NamedDiscount>, Failure> {
        let scope = code_scope(region_id);
        let mut named = Vec::with_capacity(codes.len());
        for code in codes {
            let owner = self
                .log()
                .claim_owner(&scope, code.as_str())
                .await
                .map_err(|error| Failure::Unavailable(error.to_string()))?;
            named.push(NamedDiscount {
                code: code.clone(),
                discount_id: owner.and_then(|id| id.parse().ok()),
            });
        }
        Ok(named)
    }
}

/// What of the discounts is known to be read before anything is decided: the list of those that the market gives by
/// themselves, what the codes belong to, and what the customer has used of that. Whoever names a code means to use it.
pub(super) fn discount_streams(
    customer_id: UserId,
    region_id: Option<RegionId>,
    codes: &[NamedDiscount],
) -> Vec<StreamRef> {
    let listed = region_id.map(|region_id| AutomaticDiscountsId::of(region_id, None));
    let listed = listed.map(StreamRef::of::<AutomaticDiscounts>);
    let mut streams: Vec<StreamRef> = listed.into_iter().collect();
    for id in codes.iter().filter_map(|named| named.discount_id) {
        let redemptions = RedemptionsId::of(id, customer_id);
        streams.push(StreamRef::of::<Discount>(id));
        streams.push(StreamRef::of::<Redemptions>(redemptions));
    }
    streams
}

/// The discounts for these items: those that are given by themselves, and those of the codes.
pub(super) fn due(
    work: &mut Work<'_, Failure>,
    buyer: &Buyer,
    items: &[PricedItem],
    codes: &[NamedDiscount],
) -> Result<Due, Halt<Failure>> {
    let mut due = Due::default();
    let mut absent = Absent::default();
    let mut automatic: Vec<DiscountId> = Vec::new();
    let shops: BTreeSet<Option<ShopId>> = items.iter().map(|item| item.shop_id).collect();
    for shop_id in shops.into_iter().chain([None]) {
        let listed = AutomaticDiscountsId::of(buyer.region_id, shop_id);
        let listed = absent.note(work.state::<AutomaticDiscounts>(listed))?;
        automatic.extend(listed.into_iter().flat_map(AutomaticDiscounts::ids));
    }
    automatic.sort_unstable();
    automatic.dedup();
    for id in automatic {
        let offer = absent.note(offer(work, buyer, items, id))?;
        due.offers.extend(offer.and_then(Result::ok));
    }
    for NamedDiscount { code, discount_id } in codes {
        let offer = match discount_id {
            None => Ok(Err(NotDue::Unknown)),
            Some(id) => offer(work, buyer, items, *id),
        };
        match absent.note(offer)? {
            Some(Ok(offer)) => due.offers.push(offer),
            Some(Err(reason)) => due.refused.push((code.clone(), reason)),
            None => {}
        }
    }
    absent.check()?;
    Ok(due)
}

/// The same for an order: a code that brings nothing is refused, since its customer counts on it. One that others outdo is
/// not: the order costs less than the customer thinks.
pub(super) fn offers(
    work: &mut Work<'_, Failure>,
    buyer: &Buyer,
    items: &[PricedItem],
    codes: &[NamedDiscount],
) -> Result<Vec<Offer>, Halt<Failure>> {
    let Due {
        offers,
        mut refused,
    } = due(work, buyer, items, codes)?;
    if refused.is_empty() {
        Ok(offers)
    } else {
        let (code, reason) = refused.swap_remove(0);
        Err(refuse(Failure::DiscountNotDue { code, reason }))
    }
}

/// What the discount offers to whoever buys these items. What they have used of it is looked up only where it covers
/// something of that, and somebody has to know: a list may hold many discounts, most of them of other things.
fn offer(
    work: &mut Work<'_, Failure>,
    buyer: &Buyer,
    items: &[PricedItem],
    id: DiscountId,
) -> Result<Result<Offer, NotDue>, Halt<Failure>> {
    let discount = match work.state::<Discount>(id)?.due(buyer.region_id, buyer.now) {
        Ok(discount) if discount.covers_any(items) => discount,
        Ok(_) => return Ok(Err(NotDue::NothingCovered)),
        Err(reason) => return Ok(Err(reason)),
    };
    let offer = discount.offered();
    let used_up = discount.is_used_up();
    let limit = discount.rules.max_uses_per_customer;
    let (in_use, used_up_by_customer) = match (buyer.order_id, limit) {
        (None, None) => (false, false),
        (order_id, limit) => {
            let redemptions = RedemptionsId::of(id, buyer.customer_id);
            let redemptions = work.state::<Redemptions>(redemptions)?;
            let in_use = order_id.is_some_and(|order_id| redemptions.is_used_by(order_id));
            (in_use, redemptions.are_used_up(limit))
        }
    };
    Ok(if used_up && !in_use {
        Err(NotDue::UsedUp)
    } else if used_up_by_customer && !in_use {
        Err(NotDue::UsedUpByCustomer)
    } else {
        offer.check(items).map(|()| offer)
    })
}

/// Counts what the order uses from now on and gives back what it does not use any more, once for each.
pub(super) fn count(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    effect: &DiscountEffect,
) -> Result<(), Halt<Failure>> {
    if *effect == DiscountEffect::default() {
        return Ok(());
    }
    let customer_id = placed(work, order_id)?.customer_id;
    let mut absent = Absent::default();
    let ids = effect.returned.iter().map(|id| (*id, false));
    for (id, begin) in ids.chain(effect.used.iter().map(|id| (*id, true))) {
        absent.note(count_one(work, order_id, customer_id, id, begin))?;
    }
    absent.check()
}

fn count_one(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    customer_id: UserId,
    discount_id: DiscountId,
    begin: bool,
) -> Result<(), Halt<Failure>> {
    let redemptions_id = RedemptionsId::of(discount_id, customer_id);
    // both are asked for, so that both are loaded at once
    let redemptions = work.state::<Redemptions>(redemptions_id).map(|_| ());
    let discount = work.state::<Discount>(discount_id)?;
    let limit = discount
        .details()
        .and_then(|discount| discount.rules.max_uses_per_customer);
    redemptions?;
    let (redeem, count) = if begin {
        let redeem = RedemptionsCommand::Redeem {
            discount_id,
            customer_id,
            order_id,
            limit,
        };
        (redeem, DiscountCommand::CountUse { order_id })
    } else {
        (
            RedemptionsCommand::ReturnRedemption { order_id },
            DiscountCommand::ReturnUse { order_id },
        )
    };
    if work.execute::<Redemptions>(redemptions_id, redeem)? > 0 {
        work.execute::<Discount>(discount_id, count)?;
    }
    Ok(())
}
