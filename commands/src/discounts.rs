//! Commands on discounts. A code is a claim in its region, given up when the discount is deleted; what is given without a
//! code is listed for its region and shop, in the same unit of work, so that every order finds it.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use domain::{
    automatic_discounts::{AutomaticDiscounts, AutomaticDiscountsCommand},
    category::Category,
    discount::{
        CreateDiscount, Discount, DiscountCommand, DiscountDetails, DiscountError, DiscountRules,
        DiscountScope, DiscountValue,
    },
    ids::{AutomaticDiscountsId, DiscountId, RegionId, ShopId},
    money::Currency,
    product::{Change, Product},
    region::Region,
    shop::Shop,
    text::{DiscountCode, Title},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use crate::{
    absent::Absent,
    failure::{Failure, refuse},
    manager::Manager,
    request::{Commands, Request, Versioned, expect_version},
};

/// A discount to be given. The id is made by the caller, at random or derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDiscount {
    /// Which.
    pub discount_id: DiscountId,
    /// Where it is given; that region must be enabled.
    pub region_id: RegionId,
    /// What its amounts were stated in; that must be the region's currency.
    pub currency: Option<Currency>,
    /// Who gives it, on their own products; the market where there is none. That shop must be open.
    pub shop_id: Option<ShopId>,
    /// What has to be typed in, unique in the region; given by itself where there is none.
    pub code: Option<DiscountCode>,
    /// By which rules.
    pub rules: DiscountRules,
}

/// What is to change of a discount; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscountChanges {
    /// What its amounts were stated in; that must be the discount's currency.
    pub currency: Option<Currency>,
    /// Its name.
    pub title: Option<Title>,
    /// How much it takes off.
    pub value: Option<DiscountValue>,
    /// What it covers.
    pub scope: Option<DiscountScope>,
    /// What must be bought of that, in minor units.
    pub minimum: Option<i64>,
    /// From when on it is given.
    pub starts_at: Change<DateTime<Utc>>,
    /// Until when.
    pub ends_at: Change<DateTime<Utc>>,
    /// How many orders may use it.
    pub max_uses: Change<NonZeroU32>,
    /// How many orders of one customer may.
    pub max_uses_per_customer: Change<NonZeroU32>,
}

impl DiscountChanges {
    fn made_to(&self, rules: &DiscountRules) -> DiscountRules {
        let changes = self.clone();
        DiscountRules {
            title: changes.title.unwrap_or_else(|| rules.title.clone()),
            value: changes.value.unwrap_or(rules.value),
            scope: changes.scope.unwrap_or_else(|| rules.scope.clone()),
            minimum: changes.minimum.unwrap_or(rules.minimum),
            starts_at: changes.starts_at.apply(rules.starts_at),
            ends_at: changes.ends_at.apply(rules.ends_at),
            max_uses: changes.max_uses.apply(rules.max_uses),
            max_uses_per_customer: changes
                .max_uses_per_customer
                .apply(rules.max_uses_per_customer),
        }
    }
}

/// Scope of the claim that makes a code unique in its region.
pub fn code_scope(region_id: RegionId) -> String {
    format!("discount-code:{region_id}")
}

impl Commands {
    /// Gives a discount; made again with the same content, it is the same one.
    pub async fn create_discount(
        &self,
        request: Request,
        by: Manager,
        discount: NewDiscount,
    ) -> Result<Committed<Versioned<DiscountDetails>>, Failure> {
        let id = discount.discount_id;
        let streams = vec![
            StreamRef::fresh::<Discount>(id),
            StreamRef::of::<Region>(discount.region_id),
        ];
        let now = Utc::now();
        self.commit(request, streams, move |work| {
            by.assure_manages(work, discount.shop_id)?;
            if let Some(shop_id) = discount.shop_id {
                work.state::<Shop>(shop_id)?.open().map_err(refuse)?;
            }
            let terms = work
                .state::<Region>(discount.region_id)?
                .terms()
                .map_err(refuse)?;
            check_currency(terms.currency, discount.currency)?;
            let NewDiscount {
                discount_id,
                region_id,
                currency: _,
                shop_id,
                code,
                rules,
            } = discount.clone();
            check_scope(work, region_id, shop_id, &rules.scope)?;
            let command = DiscountCommand::CreateDiscount(CreateDiscount {
                discount_id,
                region_id,
                currency: terms.currency,
                shop_id,
                code: code.clone(),
                rules,
            });
            if work.execute::<Discount>(id, command)? > 0 {
                match code {
                    Some(code) => work.claim(code_scope(region_id), code.as_str(), id),
                    None => list(work, id, now)?,
                }
            }
            discount_now(work, id)
        })
        .await
    }

    /// Changes what is given and keeps the rest. Orders that use it keep what they have. `expected` is the revision that
    /// the caller decided on.
    pub async fn change_discount(
        &self,
        request: Request,
        by: Manager,
        id: DiscountId,
        changes: DiscountChanges,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<DiscountDetails>>, Failure> {
        let now = Utc::now();
        self.commit(request, vec![StreamRef::of::<Discount>(id)], move |work| {
            let discount = work.state::<Discount>(id)?.shown().map_err(refuse)?.clone();
            by.assure_manages(work, discount.shop_id)?;
            expect_version(discount.revision, expected)?;
            check_currency(discount.currency, changes.currency)?;
            if let Some(scope) = &changes.scope {
                check_scope(work, discount.region_id, discount.shop_id, scope)?;
            }
            let rules = changes.made_to(&discount.rules);
            let events = work.execute::<Discount>(id, DiscountCommand::ChangeDiscount { rules })?;
            if events > 0 && discount.code.is_none() {
                list(work, id, now)?;
            }
            discount_now(work, id)
        })
        .await
    }

    /// Gives it no more. Its code is free again; orders that use it keep what they have.
    pub async fn delete_discount(
        &self,
        request: Request,
        by: Manager,
        id: DiscountId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<DiscountDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Discount>(id)], move |work| {
            let discount = discount_now(work, id)?.state;
            match discount.shop_id {
                // what is of a closed shop can be cleared away
                Some(shop_id) => by.assure_owns(work, shop_id)?,
                None => by.assure_manages(work, None)?,
            }
            if discount.deleted {
                return discount_now(work, id);
            }
            expect_version(discount.revision, expected)?;
            work.execute::<Discount>(id, DiscountCommand::DeleteDiscount)?;
            if let Some(code) = &discount.code {
                work.release(code_scope(discount.region_id), code.as_str());
            } else {
                let unlist = AutomaticDiscountsCommand::UnlistDiscount { discount_id: id };
                let listed = AutomaticDiscountsId::of(discount.region_id, discount.shop_id);
                work.execute::<AutomaticDiscounts>(listed, unlist)?;
            }
            discount_now(work, id)
        })
        .await
    }
}

/// Has a discount given by itself, until it ends.
fn list(
    work: &mut Work<'_, Failure>,
    id: DiscountId,
    now: DateTime<Utc>,
) -> Result<(), Halt<Failure>> {
    let discount = discount_now(work, id)?.state;
    let list = AutomaticDiscountsCommand::ListDiscount {
        discount_id: id,
        ends_at: discount.rules.ends_at,
        now,
    };
    let listed = AutomaticDiscountsId::of(discount.region_id, discount.shop_id);
    work.execute::<AutomaticDiscounts>(listed, list)?;
    Ok(())
}

fn check_currency(expected: Currency, stated: Option<Currency>) -> Result<(), Halt<Failure>> {
    match stated {
        Some(given) if given != expected => {
            Err(refuse(DiscountError::CurrencyDiffers { expected, given }))
        }
        _ => Ok(()),
    }
}

/// What is named must be there and of the discount's region and shop: what it could never cover is a mistake.
fn check_scope(
    work: &mut Work<'_, Failure>,
    region_id: RegionId,
    shop_id: Option<ShopId>,
    scope: &DiscountScope,
) -> Result<(), Halt<Failure>> {
    let mut absent = Absent::default();
    for product_id in &scope.product_ids {
        let Some(product) = absent.note(work.state::<Product>(product_id))? else {
            continue;
        };
        let covered = product.on_sale().is_ok_and(|product| {
            product.region_id == region_id && (shop_id.is_none() || product.shop_id == shop_id)
        });
        if !covered {
            let product_id = *product_id;
            return Err(refuse(Failure::NotCovered { product_id }));
        }
    }
    for category_id in &scope.category_ids {
        if let Some(category) = absent.note(work.state::<Category>(category_id))? {
            category.shown().map_err(refuse)?;
        }
    }
    absent.check()
}

/// The discount as this unit leaves it; its version is its revision, which uses do not change.
fn discount_now(
    work: &mut Work<'_, Failure>,
    id: DiscountId,
) -> Result<Versioned<DiscountDetails>, Halt<Failure>> {
    let state = work
        .state::<Discount>(id)?
        .details()
        .cloned()
        .ok_or_else(|| refuse(DiscountError::NotFound))?;
    Ok(Versioned {
        sequence: state.revision,
        state,
    })
}
