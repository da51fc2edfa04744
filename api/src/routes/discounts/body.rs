//! A discount in requests and answers. What is wrong with fields together (a share beside an amount, an end before the
//! start, two currencies) is told with pointers, beside what is wrong with each of them.

use chrono::{DateTime, Utc};
use commands::discounts::{DiscountChanges, NewDiscount};
use domain::{
    discount::{DiscountDetails, DiscountRules, DiscountScope, DiscountValue, MAX_SCOPE},
    ids::{CategoryId, DiscountId, ProductId, RegionId, ShopId},
    money::{Currency, Money},
};
use garde::{Path, Report, Validate};
use projections::discounts::DiscountView;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{Change, Checked, DiscountKind, Given, Object, input},
    routes::body::{MoneyBody, PriceInput},
};

/// A discount.
#[derive(Serialize, ToSchema)]
pub(super) struct DiscountBody {
    /// Which.
    #[schema(value_type = Uuid)]
    discount_id: DiscountId,
    /// Where it is given.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// What its amounts are in: the region's currency.
    #[schema(example = "USD")]
    currency: &'static str,
    /// Whose products it covers and no others; null where it is the market's own.
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// What is to be typed in; null where it is given by itself.
    #[schema(example = "WELCOME10")]
    code: Option<String>,
    /// Its name, as customers read it.
    #[schema(example = "Welcome")]
    title: String,
    /// How much it takes off.
    value: ValueBody,
    /// What must be bought of what it covers, before any discount.
    minimum: MoneyBody,
    /// What it covers.
    scope: ScopeBody,
    /// From when on it is given; null: from the beginning.
    starts_at: Option<DateTime<Utc>>,
    /// Until when it is given; null: for good.
    ends_at: Option<DateTime<Utc>>,
    /// How many orders may use it; null: any number.
    #[schema(minimum = 1)]
    max_uses: Option<u32>,
    /// How many orders of one customer may use it; null: any number.
    #[schema(minimum = 1)]
    max_uses_per_customer: Option<u32>,
    /// How many orders use it. Uses do not change its ETag.
    used: u64,
    /// Whether it was deleted.
    deleted: bool,
}

/// How much a discount takes off.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ValueBody {
    /// A share of what it covers.
    Percentage {
        /// Hundredths of a percent: 1250 is 12.5 %.
        #[schema(example = 1250)]
        basis_points: u16,
    },
    /// So much, or all of what it covers where that is worth less.
    Amount {
        /// Whole minor units: cents of USD, dong of VND.
        #[schema(example = 500)]
        amount: i64,
        /// The currency, by its ISO 4217 code.
        #[schema(example = "USD")]
        currency: &'static str,
        /// The same as a decimal number, with all its digits.
        #[schema(example = "5.00")]
        decimal: String,
    },
}

impl ValueBody {
    fn of(value: DiscountValue, currency: Currency) -> Self {
        match value {
            DiscountValue::Percentage { basis_points } => Self::Percentage {
                basis_points: basis_points.basis_points(),
            },
            DiscountValue::Amount { amount } => Self::Amount {
                amount,
                currency: currency.code(),
                decimal: Money::new(amount, currency).to_decimal_string(),
            },
        }
    }
}

/// What a discount covers, within its region and its shop: these products, and what is in these categories; everything,
/// where both are empty.
#[derive(Serialize, ToSchema)]
struct ScopeBody {
    /// These products.
    #[schema(value_type = Vec<Uuid>)]
    product_ids: Vec<ProductId>,
    /// What is in these categories.
    #[schema(value_type = Vec<Uuid>)]
    category_ids: Vec<CategoryId>,
}

/// A discount with its times.
#[derive(Serialize, ToSchema)]
pub(super) struct ListedDiscount {
    /// What it is.
    #[serde(flatten)]
    discount: DiscountBody,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it last changed, its uses apart.
    updated_at: DateTime<Utc>,
}

impl From<DiscountDetails> for DiscountBody {
    fn from(discount: DiscountDetails) -> Self {
        let (rules, currency) = (discount.rules, discount.currency);
        Self {
            discount_id: discount.discount_id,
            region_id: discount.region_id,
            currency: currency.code(),
            shop_id: discount.shop_id,
            code: discount.code.map(|code| code.to_string()),
            title: rules.title.to_string(),
            value: ValueBody::of(rules.value, currency),
            minimum: MoneyBody::of(rules.minimum, currency),
            scope: ScopeBody {
                product_ids: rules.scope.product_ids.into_iter().collect(),
                category_ids: rules.scope.category_ids.into_iter().collect(),
            },
            starts_at: rules.starts_at,
            ends_at: rules.ends_at,
            max_uses: rules.max_uses.map(Into::into),
            max_uses_per_customer: rules.max_uses_per_customer.map(Into::into),
            used: discount.used,
            deleted: discount.deleted,
        }
    }
}

impl From<DiscountView> for ListedDiscount {
    fn from(view: DiscountView) -> Self {
        Self {
            discount: view.details.into(),
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// How much a discount is to take off.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueInput {
    /// `percentage`: a share of what it covers. `amount`: so much, or all of what it covers where that is worth less.
    #[garde(dive)]
    kind: input::DiscountKind,
    /// The share in hundredths of a percent, for `percentage`: 1250 is 12.5 %.
    #[garde(dive)]
    #[serde(default)]
    basis_points: Option<input::Percentage>,
    /// Whole minor units above zero, for `amount`: cents of USD, dong of VND.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, example = 500)]
    amount: Option<input::Integer>,
    /// Their currency, for `amount`: that of the region.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "USD")]
    currency: Option<input::Currency>,
}

/// What a discount is to cover, within its region and its shop: these products, and what is in these categories; everything,
/// where none is named. At most 200 of both.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeInput {
    /// These products.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Vec<Uuid>, max_items = 200)]
    product_ids: Vec<input::ProductId>,
    /// What is in these categories.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Vec<Uuid>, max_items = 200)]
    category_ids: Vec<input::CategoryId>,
}

impl ScopeInput {
    fn take(self) -> DiscountScope {
        DiscountScope {
            product_ids: self.product_ids.into_iter().map(Checked::take).collect(),
            category_ids: self.category_ids.into_iter().map(Checked::take).collect(),
        }
    }
}

/// A discount to be given.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscountInput {
    /// Where it is to be given.
    #[garde(dive)]
    #[schema(value_type = Uuid)]
    region_id: input::RegionId,
    /// Whose products it is to cover and no others: a shop that is open, and one's own unless one manages all. Without one
    /// it is the market's own.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<input::ShopId>,
    /// What is to be typed in, unique in the region, for good. Without one it is given by itself.
    #[garde(dive)]
    #[serde(default)]
    code: Option<input::DiscountCode>,
    /// Its name, as customers read it.
    #[garde(dive)]
    title: input::Title,
    /// How much it takes off.
    #[garde(dive)]
    #[schema(value_type = ValueInput)]
    value: Object<ValueInput>,
    /// What must be bought of what it covers, before any discount; nothing in particular when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<PriceInput>)]
    minimum: Option<Object<PriceInput>>,
    /// What it covers; everything when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<ScopeInput>)]
    scope: Option<Object<ScopeInput>>,
    /// From when on it is given; at once when absent.
    #[garde(dive)]
    #[serde(default)]
    starts_at: Option<input::Timestamp>,
    /// Until when it is given; for good when absent.
    #[garde(dive)]
    #[serde(default)]
    ends_at: Option<input::Timestamp>,
    /// How many orders may use it; any number when absent.
    #[garde(dive)]
    #[serde(default)]
    max_uses: Option<input::UseLimit>,
    /// How many orders of one customer may use it; any number when absent.
    #[garde(dive)]
    #[serde(default)]
    max_uses_per_customer: Option<input::UseLimit>,
}

/// What is to change of a discount; what is absent stays. Region, shop and code never change.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscountPatch {
    /// Its name, as customers read it.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::Title)]
    title: Given<input::Title>,
    /// How much it takes off.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = ValueInput)]
    value: Given<Object<ValueInput>>,
    /// What must be bought of what it covers, before any discount; null: nothing in particular.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<PriceInput>)]
    minimum: Change<Object<PriceInput>>,
    /// What it covers, all of it; null: everything.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<ScopeInput>)]
    scope: Change<Object<ScopeInput>>,
    /// From when on it is given; null: from the beginning.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    starts_at: Change<input::Timestamp>,
    /// Until when it is given; null: for good.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    ends_at: Change<input::Timestamp>,
    /// How many orders may use it; null: any number. Where more do already, none may any more.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    max_uses: Change<input::UseLimit>,
    /// How many orders of one customer may use it; null: any number.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    max_uses_per_customer: Change<input::UseLimit>,
}

/// Where in the body, and what is wrong there.
type Unfit = (Vec<&'static str>, String);

/// A body whose fields fit each other.
#[derive(Debug)]
pub(super) struct Fitting<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fitting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T: Validate<Context = ()> + TellsDiscount> Validate for Fitting<T> {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        self.0.validate_into(context, parent, report);
        for (path, problem) in self.0.told().unfit() {
            let path = path.iter().fold(parent(), |path, part| path.join(*part));
            report.append(path, garde::Error::new(problem));
        }
    }
}

/// A body that tells of a discount.
pub(super) trait TellsDiscount {
    /// What of it must fit together.
    fn told(&self) -> Told<'_>;

    /// Where the body states the currency of amounts: the first place, as there is one currency only.
    fn currency_at(&self) -> &'static str {
        match self.told().value {
            Some(value) if value.currency.is_some() => "/value/currency",
            _ => "/minimum/currency",
        }
    }
}

/// Those fields that must fit together, where they are given.
pub(super) struct Told<'b> {
    value: Option<&'b ValueInput>,
    minimum: Option<&'b PriceInput>,
    scope: Option<&'b ScopeInput>,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
}

impl Told<'_> {
    fn unfit(&self) -> Vec<Unfit> {
        let value = self.value.map(ValueInput::read);
        let mut unfit = value.and_then(Result::err).unwrap_or_default();
        let mut tell = |path: &[&'static str], problem: &str| {
            unfit.push((path.to_vec(), problem.to_owned()));
        };
        let minimum = self.minimum.and_then(PriceInput::money);
        if minimum.is_some_and(|minimum| minimum.amount < 0) {
            tell(&["minimum", "amount"], "must not be below zero");
        }
        if let (Some(one), Some(other)) = (self.value.and_then(ValueInput::currency), minimum)
            && one != other.currency
        {
            tell(&["minimum", "currency"], "must be that of the value");
        }
        if let (Some(starts_at), Some(ends_at)) = (self.starts_at, self.ends_at)
            && ends_at <= starts_at
        {
            tell(&["ends_at"], "must be after starts_at");
        }
        let named = |scope: &ScopeInput| scope.product_ids.len() + scope.category_ids.len();
        if self.scope.is_some_and(|scope| named(scope) > MAX_SCOPE) {
            let problem = format!("must name at most {MAX_SCOPE} products and categories");
            tell(&["scope"], &problem);
        }
        unfit
    }

    /// What the amounts are stated in.
    fn currency(&self) -> Option<Currency> {
        let minimum = self.minimum.and_then(PriceInput::money);
        let of_value = self.value.and_then(ValueInput::currency);
        of_value.or(minimum.map(|minimum| minimum.currency))
    }
}

impl ValueInput {
    fn currency(&self) -> Option<Currency> {
        self.currency.as_ref()?.ok().copied()
    }

    /// The value; none where a field of its own is wrong, which tells so itself.
    fn read(&self) -> Result<Option<DiscountValue>, Vec<Unfit>> {
        let mut unfit: Vec<Unfit> = Vec::new();
        let mut tell = |field, problem: &str| unfit.push((vec!["value", field], problem.into()));
        let value = match self.kind.ok() {
            None => None,
            Some(DiscountKind::Percentage) => {
                if self.amount.is_some() {
                    tell("amount", "is for the kind amount only");
                }
                if self.currency.is_some() {
                    tell("currency", "is for the kind amount only");
                }
                if self.basis_points.is_none() {
                    tell("basis_points", "is required");
                }
                let share = self.basis_points.as_ref().and_then(Checked::ok).copied();
                share.map(|basis_points| DiscountValue::Percentage { basis_points })
            }
            Some(DiscountKind::Amount) => {
                if self.basis_points.is_some() {
                    tell("basis_points", "is for the kind percentage only");
                }
                if self.currency.is_none() {
                    tell("currency", "is required");
                }
                if self.amount.is_none() {
                    tell("amount", "is required");
                }
                let amount = self.amount.as_ref().and_then(Checked::ok).copied();
                if amount.is_some_and(|amount| amount <= 0) {
                    tell("amount", "must be above zero");
                }
                amount.map(|amount| DiscountValue::Amount { amount })
            }
        };
        if unfit.is_empty() {
            Ok(value)
        } else {
            Err(unfit)
        }
    }

    /// The value.
    ///
    /// # Panics
    /// As [`Checked::take`], where the body did not come as a [`Fitting`] one.
    fn take(&self) -> DiscountValue {
        match self.read() {
            Ok(Some(value)) => value,
            _ => unreachable!("`Fitting` refuses bodies whose value is none"),
        }
    }
}

impl TellsDiscount for DiscountInput {
    fn told(&self) -> Told<'_> {
        Told {
            value: Some(&self.value.0),
            minimum: self.minimum.as_ref().map(|Object(minimum)| minimum),
            scope: self.scope.as_ref().map(|Object(scope)| scope),
            starts_at: self.starts_at.as_ref().and_then(Checked::ok).copied(),
            ends_at: self.ends_at.as_ref().and_then(Checked::ok).copied(),
        }
    }
}

impl TellsDiscount for DiscountPatch {
    fn told(&self) -> Told<'_> {
        Told {
            value: self.value.as_ref().map(|Object(value)| value),
            minimum: set(&self.minimum).map(|Object(minimum)| minimum),
            scope: set(&self.scope).map(|Object(scope)| scope),
            starts_at: set(&self.starts_at).and_then(Checked::ok).copied(),
            ends_at: set(&self.ends_at).and_then(Checked::ok).copied(),
        }
    }
}

/// What a change sets, where it sets something.
fn set<T>(change: &Change<T>) -> Option<&T> {
    match change {
        Change::Set(value) => Some(value),
        Change::Keep | Change::Clear => None,
    }
}

/// What becomes of a field of which there is always something: nothing leaves it, and null is the same as `absent`.
fn changed<T, U>(change: Change<Object<T>>, absent: U, take: fn(T) -> U) -> Option<U> {
    match change {
        Change::Keep => None,
        Change::Clear => Some(absent),
        Change::Set(Object(value)) => Some(take(value)),
    }
}

impl DiscountInput {
    /// The discount, under this id.
    pub(super) fn take(self, discount_id: DiscountId) -> NewDiscount {
        let currency = self.told().currency();
        let rules = DiscountRules {
            title: self.title.take(),
            value: self.value.0.take(),
            scope: self
                .scope
                .map_or_else(DiscountScope::default, |Object(scope)| scope.take()),
            minimum: self
                .minimum
                .map_or(0, |Object(minimum)| minimum.take().amount),
            starts_at: self.starts_at.map(Checked::take),
            ends_at: self.ends_at.map(Checked::take),
            max_uses: self.max_uses.map(Checked::take),
            max_uses_per_customer: self.max_uses_per_customer.map(Checked::take),
        };
        NewDiscount {
            discount_id,
            region_id: self.region_id.take(),
            currency,
            shop_id: self.shop_id.map(Checked::take),
            code: self.code.map(Checked::take),
            rules,
        }
    }
}

impl DiscountPatch {
    /// The changes.
    pub(super) fn take(self) -> DiscountChanges {
        DiscountChanges {
            currency: self.told().currency(),
            title: self.title.take(),
            value: self.value.value().map(|Object(value)| value.take()),
            scope: changed(self.scope, DiscountScope::default(), ScopeInput::take),
            minimum: changed(self.minimum, 0, |minimum| minimum.take().amount),
            starts_at: self.starts_at.take(),
            ends_at: self.ends_at.take(),
            max_uses: self.max_uses.take(),
            max_uses_per_customer: self.max_uses_per_customer.take(),
        }
    }
}

#[cfg(test)]
mod tests;
