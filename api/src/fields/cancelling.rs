//! Why an order is cancelled: one of a few codes. It becomes part of events, which are never erased, so it is nothing
//! that somebody could write a name into.

use std::borrow::Cow;

use domain::text::Reason;
use serde_json::Value;
use utoipa::openapi::{ObjectBuilder, Type, schema::Schema};

use super::Field;

/// Why an order is cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelReason {
    /// Nothing more is said.
    #[default]
    OnRequest,
    /// The customer thought better of it.
    ChangedMind,
    /// The customer meant something else, or nothing.
    OrderedByMistake,
    /// It costs less elsewhere.
    FoundCheaper,
    /// It does not come in time.
    TakesTooLong,
    /// It would go to the wrong place.
    WrongAddress,
    /// It cannot be paid as it should.
    PaymentProblem,
    /// It was ordered by somebody who must not.
    SuspectedFraud,
    /// It is not there after all.
    OutOfStock,
    /// None of these.
    Other,
}

impl CancelReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OnRequest,
        Self::ChangedMind,
        Self::OrderedByMistake,
        Self::FoundCheaper,
        Self::TakesTooLong,
        Self::WrongAddress,
        Self::PaymentProblem,
        Self::SuspectedFraud,
        Self::OutOfStock,
        Self::Other,
    ];

    /// Its code, in requests and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnRequest => "on_request",
            Self::ChangedMind => "changed_mind",
            Self::OrderedByMistake => "ordered_by_mistake",
            Self::FoundCheaper => "found_cheaper",
            Self::TakesTooLong => "takes_too_long",
            Self::WrongAddress => "wrong_address",
            Self::PaymentProblem => "payment_problem",
            Self::SuspectedFraud => "suspected_fraud",
            Self::OutOfStock => "out_of_stock",
            Self::Other => "other",
        }
    }
}

impl From<CancelReason> for Reason {
    fn from(reason: CancelReason) -> Self {
        Self::lossy(reason.as_str())
    }
}

impl Field for CancelReason {
    type Wire = Value;

    const NAME: &'static str = "CancelReason";

    fn read(wire: Value) -> Result<Self, Cow<'static, str>> {
        let mut known = Self::ALL.into_iter();
        known
            .find(|reason| wire.as_str() == Some(reason.as_str()))
            .ok_or_else(|| {
                let codes = Self::ALL.map(Self::as_str).join(", ");
                format!("must be one of {codes}").into()
            })
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "A code, since it stays in the history of the order. `on_request` when absent.",
            ))
            .enum_values(Some(Self::ALL.map(Self::as_str)))
            .examples(["changed_mind"])
            .build()
            .into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_is_a_code_and_comes_out_as_it_went_in() {
        for reason in CancelReason::ALL {
            assert_eq!(CancelReason::read(json!(reason.as_str())), Ok(reason));
            assert_eq!(Reason::from(reason).as_str(), reason.as_str());
        }
        for bad in [
            json!("for Quirinius"),
            json!("Changed_mind"),
            json!("other "),
            json!(""),
            json!(1),
            json!(null),
        ] {
            let told = CancelReason::read(bad).unwrap_err();
            assert!(told.contains("changed_mind"), "{told}");
            assert!(!told.contains("Quirinius"), "{told}");
        }
    }
}
