//! What several resources show alike.

use commands::Failure;
use domain::{
    category::CategoryError,
    money::{Currency, Money},
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    error::ApiError,
    fields::input,
    problem::{FieldError, Kind, Problem},
};

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MoneyBody {
    /// Whole minor units: cents of USD, dong of VND.
    #[schema(example = 2599)]
    amount: i64,
    /// The currency, by its ISO 4217 code.
    #[schema(example = "USD")]
    currency: &'static str,
    /// The same as a decimal number, with all its digits.
    #[schema(example = "25.99")]
    decimal: String,
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self {
            amount: money.amount,
            currency: money.currency.code(),
            decimal: money.to_decimal_string(),
        }
    }
}

impl MoneyBody {
    /// An amount of minor units.
    pub fn of(amount: i64, currency: Currency) -> Self {
        Money::new(amount, currency).into()
    }
}

/// An amount of money that somebody asks for.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceInput {
    /// Whole minor units: cents of USD, dong of VND. Not negative; the price of a product at most 20,000,000,000.
    #[garde(dive)]
    #[schema(value_type = i64, minimum = 0, example = 2599)]
    amount: input::Integer,
    /// The currency, by its ISO 4217 code: that of the region.
    #[garde(dive)]
    #[schema(value_type = String, example = "USD")]
    currency: input::Currency,
}

impl PriceInput {
    /// The amount, where both fields are right: for what is held against other fields before the body is taken.
    pub fn money(&self) -> Option<Money> {
        Some(Money::new(*self.amount.ok()?, *self.currency.ok()?))
    }

    /// The amount.
    pub fn take(self) -> Money {
        Money::new(self.amount.take(), self.currency.take())
    }
}

/// The id that an idempotency key led to, as it was stored.
pub fn stored_id<T: std::str::FromStr>(resource: &str) -> Result<T, ApiError> {
    resource.parse().map_err(|_| {
        tracing::error!(resource, "an idempotency key names what is no id");
        Kind::Internal.into()
    })
}

/// A body that names a region that does not exist is at fault, not the address that it was sent to.
pub fn unknown_region(error: ApiError) -> ApiError {
    match error {
        ApiError::Command(Failure::NotFound { what: "region" }) => {
            invalid("/region_id", "the region does not exist")
        }
        other => other,
    }
}

/// The same of a body that names a region, a shop or a category.
pub fn unknown_reference(error: ApiError) -> ApiError {
    match error {
        ApiError::Command(Failure::NotFound { what: "shop" }) => {
            invalid("/shop_id", "the shop does not exist")
        }
        ApiError::Command(
            Failure::NotFound { what: "category" } | Failure::Category(CategoryError::Deleted),
        ) => invalid("/category_id", "the category does not exist"),
        other => unknown_region(other),
    }
}

/// A body that is wrong there.
pub fn invalid(pointer: &str, detail: &str) -> ApiError {
    let errors = vec![FieldError::at(pointer, detail)];
    Problem::new(Kind::Validation).errors(errors).into()
}
