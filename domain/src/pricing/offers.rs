//! Which discounts an order gets: the one stacking rule.
//!
//! No line is discounted twice. The discount that takes the most off goes first and takes the lines that it covers; of the
//! lines that are left the next one does the same, until none takes anything off. Of two that take the same off, the one
//! that was made first (by its id) goes first. A minimum is compared with all that is bought of what the discount covers,
//! before any discount. What a discount takes off is spread over its lines by largest remainder.

use serde::{Deserialize, Serialize};

use super::PricedItem;
use crate::{
    discount::{DiscountScope, DiscountValue, NotDue},
    ids::{DiscountId, ShopId},
    money::allocate,
    text::{DiscountCode, Title},
};

/// A discount that is to be had for an order, where the order has what it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Which discount.
    pub discount_id: DiscountId,
    /// Its name.
    pub title: Title,
    /// What was typed in for it.
    pub code: Option<DiscountCode>,
    /// Whose products it covers; anybody's where there is none.
    pub shop_id: Option<ShopId>,
    /// How much it takes off.
    pub value: DiscountValue,
    /// What is bought of what it covers must be worth so many minor units.
    pub minimum: i64,
    /// Which of these products it covers.
    pub scope: DiscountScope,
}

/// A discount as an order has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedDiscount {
    /// Which.
    pub discount_id: DiscountId,
    /// Its name, as it was.
    pub title: Title,
    /// What was typed in for it; absent where it was given by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<DiscountCode>,
    /// Minor units that it took off.
    pub amount: i64,
}

/// Whether what is of that shop (of any, where there is none) and of that scope has the item in it.
pub(crate) fn covers(shop_id: Option<ShopId>, scope: &DiscountScope, item: &PricedItem) -> bool {
    let of_shop = shop_id.is_none() || shop_id == item.shop_id;
    of_shop && scope.covers(item.product_id, item.category_id)
}

impl Offer {
    fn covers(&self, item: &PricedItem) -> bool {
        covers(self.shop_id, &self.scope, item)
    }

    /// Refused where nothing of it is bought, or too little.
    pub fn check(&self, items: &[PricedItem]) -> Result<(), NotDue> {
        let mut covered = items.iter().filter(|item| self.covers(item)).peekable();
        if covered.peek().is_none() {
            return Err(NotDue::NothingCovered);
        }
        // an amount beyond 64 bits is refused elsewhere; for a minimum it is enough
        let worth = covered.fold(0_i64, |sum, item| sum.saturating_add(item.worth()));
        if worth < self.minimum {
            return Err(NotDue::BelowMinimum);
        }
        Ok(())
    }
}

impl PricedItem {
    fn worth(&self) -> i64 {
        let pieces = i64::from(self.quantity);
        self.unit_price.amount.saturating_mul(pieces)
    }
}

/// What is taken off each line, and by which discount.
pub(super) struct Given {
    /// Per line: minor units, and which discount took them.
    pub(super) lines: Vec<(i64, Option<DiscountId>)>,
    /// In the order in which they were given.
    pub(super) discounts: Vec<AppliedDiscount>,
}

/// An offer, and what of the order is left for it.
struct Candidate<'a> {
    offer: &'a Offer,
    /// The lines that it covers, that are worth something, and that no other has taken: their indexes, in order.
    open: Vec<usize>,
    /// What it takes off them.
    takes: i64,
}

impl<'a> Candidate<'a> {
    /// None where the offer is not to be had. What it covers is looked up here, once for each line.
    fn of(offer: &'a Offer, items: &[PricedItem], amounts: &[i64]) -> Option<Self> {
        offer.check(items).ok()?;
        let lines = items.iter().zip(amounts).enumerate();
        let open = lines.filter(|(_, (item, amount))| **amount > 0 && offer.covers(item));
        let mut candidate = Self {
            offer,
            open: open.map(|(line, _)| line).collect(),
            takes: 0,
        };
        candidate.weigh(amounts);
        Some(candidate)
    }

    fn weigh(&mut self, amounts: &[i64]) {
        // fits: the sum of all amounts was found to before
        let worth = self.open.iter().map(|line| amounts[*line]).sum();
        self.takes = self.offer.value.off(worth);
    }

    /// Leaves to another what that has taken.
    fn yield_taken(&mut self, lines: &[(i64, Option<DiscountId>)], amounts: &[i64]) {
        let before = self.open.len();
        self.open.retain(|line| lines[*line].1.is_none());
        if self.open.len() < before {
            self.weigh(amounts);
        }
    }
}

/// Gives the offers to the items, whose worth is `amounts`, by the rule of this module.
pub(super) fn give(items: &[PricedItem], amounts: &[i64], offers: &[Offer]) -> Given {
    let mut given = Given {
        lines: vec![(0, None); items.len()],
        discounts: vec![],
    };
    let mut left: Vec<Candidate<'_>> = offers
        .iter()
        .filter_map(|offer| Candidate::of(offer, items, amounts))
        .collect();
    // of equals the first is the best
    left.sort_by_key(|candidate| candidate.offer.discount_id);
    left.dedup_by_key(|candidate| candidate.offer.discount_id);
    while let Some(index) = best(&left) {
        let Candidate { offer, open, takes } = left.remove(index);
        let weights: Vec<i64> = open.iter().map(|line| amounts[*line]).collect();
        // cannot fail: something is taken, so that something has weight
        let Ok(shares) = allocate(takes, &weights) else {
            break;
        };
        for (line, share) in open.into_iter().zip(shares) {
            given.lines[line] = (share, Some(offer.discount_id));
        }
        for candidate in &mut left {
            candidate.yield_taken(&given.lines, amounts);
        }
        given.discounts.push(AppliedDiscount {
            discount_id: offer.discount_id,
            title: offer.title.clone(),
            code: offer.code.clone(),
            amount: takes,
        });
    }
    given
}

/// The candidate that takes the most off, the first of equals; none where none takes anything.
fn best(candidates: &[Candidate<'_>]) -> Option<usize> {
    let mut best = None;
    let mut most = 0;
    for (index, candidate) in candidates.iter().enumerate() {
        if candidate.takes > most {
            (best, most) = (Some(index), candidate.takes);
        }
    }
    best
}
