//! A JSON number as it was written, so that it never goes through a float.

use std::borrow::Cow;

use domain::money::{Currency, Money};
use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, Type, schema::Schema};

use super::Field;

/// A JSON number by its digits. What it amounts to depends on a currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactNumber(String);

impl ExactNumber {
    /// The amount that it is in this currency, exactly.
    pub fn in_currency(&self, currency: Currency) -> Result<Money, domain::money::MoneyError> {
        Money::parse_decimal(&self.0, currency)
    }
}

impl Field for ExactNumber {
    type Wire = Box<RawValue>;

    const NAME: &'static str = "ExactNumber";

    fn read(wire: Box<RawValue>) -> Result<Self, Cow<'static, str>> {
        let text = wire.get();
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a number such as 25.99, not negative".into())
        }
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(0.0))
            .description(Some("A plain decimal number, parsed exactly."))
            .examples([serde_json::json!(25.99)])
            .build()
            .into()
    }
}
