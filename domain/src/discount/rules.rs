//! What a discount takes off, of what, when and how often: everything of it that can be changed.

use std::{collections::BTreeSet, num::NonZeroU32};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{CategoryId, ProductId},
    money::portion,
    text::Title,
};

/// The most products and categories together that a discount may name.
pub const MAX_SCOPE: usize = 200;

/// A share in basis points (hundredths of a percent): 1 to 10 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Percentage(u16);

impl Percentage {
    const WHOLE: u16 = 10_000;

    /// So many basis points.
    pub fn from_basis_points(basis_points: u32) -> Result<Self, RulesError> {
        u16::try_from(basis_points)
            .ok()
            .filter(|points| (1..=Self::WHOLE).contains(points))
            .map(Self)
            .ok_or(RulesError::PercentageOutOfRange)
    }

    /// The basis points.
    pub const fn basis_points(self) -> u16 {
        self.0
    }
}

impl TryFrom<u32> for Percentage {
    type Error = RulesError;

    fn try_from(basis_points: u32) -> Result<Self, RulesError> {
        Self::from_basis_points(basis_points)
    }
}

impl From<Percentage> for u32 {
    fn from(percentage: Percentage) -> Self {
        percentage.0.into()
    }
}

/// How much a discount takes off what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DiscountValue {
    /// A share of it, rounded half up.
    Percentage {
        /// Which share.
        basis_points: Percentage,
    },
    /// So much, or all of it where it is worth less.
    Amount {
        /// Minor units of the discount's currency, above zero.
        amount: i64,
    },
}

impl DiscountValue {
    /// What it takes off `sum` minor units: never more than that.
    pub fn off(self, sum: i64) -> i64 {
        let sum = sum.max(0);
        match self {
            Self::Percentage { basis_points } => {
                portion(sum, basis_points.0.into(), Percentage::WHOLE.into())
            }
            Self::Amount { amount } => amount.clamp(0, sum),
        }
    }
}

/// What a discount covers, within its region and its shop: the named products and what is in the named categories; all,
/// where nothing is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscountScope {
    /// These products.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub product_ids: BTreeSet<ProductId>,
    /// What is in these categories.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub category_ids: BTreeSet<CategoryId>,
}

impl DiscountScope {
    /// Whether a product is covered that is in that category.
    pub fn covers(&self, product_id: ProductId, category_id: Option<CategoryId>) -> bool {
        let all = self.product_ids.is_empty() && self.category_ids.is_empty();
        all || self.product_ids.contains(&product_id)
            || category_id.is_some_and(|category_id| self.category_ids.contains(&category_id))
    }
}

/// The rules by which a discount is given. Amounts are minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscountRules {
    /// Its name, as customers read it.
    pub title: Title,
    /// How much it takes off.
    pub value: DiscountValue,
    /// What it covers.
    pub scope: DiscountScope,
    /// What is bought of what it covers must be worth so much, before any discount; zero: anything.
    pub minimum: i64,
    /// From when on it is given.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when it is given; then no more.
    pub ends_at: Option<DateTime<Utc>>,
    /// How many orders may use it.
    pub max_uses: Option<NonZeroU32>,
    /// How many orders of one customer may use it.
    pub max_uses_per_customer: Option<NonZeroU32>,
}

/// Why rules make no discount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A share of nothing, or of more than all.
    #[error("a percentage must be 1 to 10000 basis points")]
    PercentageOutOfRange,
    /// Nothing is taken off, or something is added.
    #[error("the amount of a discount must be above zero")]
    NothingOff,
    /// Less than nothing.
    #[error("the minimum must not be below zero")]
    NegativeMinimum,
    /// It would never be given.
    #[error("a discount must end after it starts")]
    EndsBeforeStart,
    /// More than [`MAX_SCOPE`].
    #[error("a discount names at most {MAX_SCOPE} products and categories")]
    ScopeTooLarge,
}

impl DiscountRules {
    /// Refuses what makes no discount.
    pub fn check(&self) -> Result<(), RulesError> {
        if matches!(self.value, DiscountValue::Amount { amount } if amount <= 0) {
            return Err(RulesError::NothingOff);
        }
        if self.minimum < 0 {
            return Err(RulesError::NegativeMinimum);
        }
        if let (Some(starts_at), Some(ends_at)) = (self.starts_at, self.ends_at)
            && ends_at <= starts_at
        {
            return Err(RulesError::EndsBeforeStart);
        }
        if self.named() > MAX_SCOPE {
            return Err(RulesError::ScopeTooLarge);
        }
        Ok(())
    }

    fn named(&self) -> usize {
        self.scope.product_ids.len() + self.scope.category_ids.len()
    }

    /// Approximate bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        self.title.as_str().len() + self.named() * 2 * size_of::<ProductId>()
    }
}
