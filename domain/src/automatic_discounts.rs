//! Automatic discounts: which discounts the market, or a shop, gives in a region without a code, so that an order finds them
//! where it is decided, without asking a read model. A list for each: no seller fills another's, and an order looks at those
//! of the shops that it buys from.
//!
//! Written in the unit of work that makes, changes or deletes such a discount. There are few: one that has ended leaves
//! the list when the next is listed. Its stream id is the [`AutomaticDiscountsId`](crate::ids::AutomaticDiscountsId).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decider, impl_aggregate, impl_domain_event},
    ids::DiscountId,
};

/// Aggregate type of such lists in the log.
pub const TYPE: &str = "automatic_discounts";

/// The most discounts that the market, or a shop, may give in a region without a code at a time: each is looked at for every
/// order there.
pub const MAX_AUTOMATIC: usize = 20;

/// What happened to the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum AutomaticDiscountsEvent {
    /// A discount is given by itself.
    DiscountListed {
        /// Which.
        discount_id: DiscountId,
        /// Until when.
        ends_at: Option<DateTime<Utc>>,
    },
    /// It is not any more.
    DiscountUnlisted {
        /// Which.
        discount_id: DiscountId,
    },
}

impl_domain_event!(AutomaticDiscountsEvent {
    DiscountListed,
    DiscountUnlisted
});

/// The discounts that are given by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomaticDiscounts {
    listed: BTreeMap<DiscountId, Option<DateTime<Utc>>>,
}

impl AutomaticDiscounts {
    /// Which they are; some may have ended.
    pub fn ids(&self) -> impl Iterator<Item = DiscountId> {
        self.listed.keys().copied()
    }
}

/// What can be asked of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutomaticDiscountsCommand {
    /// Give a discount by itself. Those that have ended leave.
    ListDiscount {
        /// Which.
        discount_id: DiscountId,
        /// Until when.
        ends_at: Option<DateTime<Utc>>,
        /// What time it is.
        now: DateTime<Utc>,
    },
    /// Do not any more.
    UnlistDiscount {
        /// Which.
        discount_id: DiscountId,
    },
}

/// Why the list refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AutomaticDiscountsError {
    /// More than [`MAX_AUTOMATIC`].
    #[error("at most {MAX_AUTOMATIC} discounts without a code are given in a region at a time")]
    TooMany,
}

impl_aggregate!(
    AutomaticDiscounts,
    TYPE,
    AutomaticDiscountsCommand,
    AutomaticDiscountsEvent,
    AutomaticDiscountsError
);

impl Decider for AutomaticDiscounts {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = AutomaticDiscountsEvent::CATALOGUE;

    fn decide(
        &self,
        command: AutomaticDiscountsCommand,
    ) -> Result<Vec<AutomaticDiscountsEvent>, AutomaticDiscountsError> {
        let unlisted = |discount_id| AutomaticDiscountsEvent::DiscountUnlisted { discount_id };
        match command {
            AutomaticDiscountsCommand::ListDiscount {
                discount_id,
                ends_at,
                now,
            } => {
                let over = |(id, ends_at): (&DiscountId, &Option<DateTime<Utc>>)| {
                    let over = *id != discount_id && ends_at.is_some_and(|at| at <= now);
                    over.then(|| unlisted(*id))
                };
                let mut events: Vec<_> = self.listed.iter().filter_map(over).collect();
                match self.listed.get(&discount_id) {
                    Some(until) if *until == ends_at => return Ok(events),
                    None if self.listed.len() - events.len() >= MAX_AUTOMATIC => {
                        return Err(AutomaticDiscountsError::TooMany);
                    }
                    Some(_) | None => {}
                }
                events.push(AutomaticDiscountsEvent::DiscountListed {
                    discount_id,
                    ends_at,
                });
                Ok(events)
            }
            AutomaticDiscountsCommand::UnlistDiscount { discount_id } => {
                let listed = self.listed.contains_key(&discount_id);
                Ok(listed.then(|| unlisted(discount_id)).into_iter().collect())
            }
        }
    }

    fn evolve(&mut self, event: &AutomaticDiscountsEvent) {
        match event {
            AutomaticDiscountsEvent::DiscountListed {
                discount_id,
                ends_at,
            } => {
                self.listed.insert(*discount_id, *ends_at);
            }
            AutomaticDiscountsEvent::DiscountUnlisted { discount_id } => {
                self.listed.remove(discount_id);
            }
        }
    }

    fn weight(&self) -> usize {
        self.listed.len() * 2 * size_of::<(DiscountId, Option<DateTime<Utc>>)>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;
    use crate::testing::{DISCOUNT, at, given, when};

    fn other(number: u128) -> DiscountId {
        DiscountId(Uuid::from_u128(number))
    }

    fn list(discount_id: DiscountId, ends_at: Option<i64>, now: i64) -> AutomaticDiscountsCommand {
        AutomaticDiscountsCommand::ListDiscount {
            discount_id,
            ends_at: ends_at.map(at),
            now: at(now),
        }
    }

    fn listed(discount_id: DiscountId, ends_at: Option<i64>) -> AutomaticDiscountsEvent {
        AutomaticDiscountsEvent::DiscountListed {
            discount_id,
            ends_at: ends_at.map(at),
        }
    }

    #[test]
    fn a_discount_is_listed_once_and_until_it_is_unlisted() {
        let history = when::<AutomaticDiscounts>(&[], list(DISCOUNT, Some(9), 0)).unwrap();
        assert_eq!(history, [listed(DISCOUNT, Some(9))]);
        let again = when::<AutomaticDiscounts>(&history, list(DISCOUNT, Some(9), 0));
        assert_eq!(again, Ok(vec![]));
        let longer = when::<AutomaticDiscounts>(&history, list(DISCOUNT, None, 0));
        assert_eq!(longer, Ok(vec![listed(DISCOUNT, None)]));
        let unlist = AutomaticDiscountsCommand::UnlistDiscount {
            discount_id: DISCOUNT,
        };
        let gone = when::<AutomaticDiscounts>(&history, unlist.clone()).unwrap();
        let history = [history, gone].concat();
        assert_eq!(given::<AutomaticDiscounts>(&history).ids().count(), 0);
        assert_eq!(when::<AutomaticDiscounts>(&history, unlist), Ok(vec![]));
    }

    #[test]
    fn those_that_have_ended_make_room_for_the_next() {
        let all = 0..MAX_AUTOMATIC as u128;
        let full: Vec<_> = all.map(|number| listed(other(number), Some(9))).collect();
        assert_eq!(
            when::<AutomaticDiscounts>(&full, list(DISCOUNT, None, 8)),
            Err(AutomaticDiscountsError::TooMany)
        );
        let after = when::<AutomaticDiscounts>(&full, list(DISCOUNT, None, 9)).unwrap();
        let list = given::<AutomaticDiscounts>(&[full, after].concat());
        assert_eq!(list.ids().collect::<Vec<_>>(), [DISCOUNT]);
    }
}
