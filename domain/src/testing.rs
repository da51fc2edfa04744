//! Given, when, then: how the tests of this crate tell a history, give a command and compare what follows.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::{Debug, Write};

use chrono::{DateTime, Utc};
use cqrs_es::{DomainEvent, test::TestFramework};
use uuid::Uuid;

use crate::{
    aggregate::Decider,
    discount::{DiscountRules, DiscountScope, DiscountValue, Percentage},
    ids::{
        CategoryId, DiscountId, OperationId, OrderId, ProductId, RefundId, RegionId, ShipmentId,
        ShopId, UserId,
    },
    kinds::{AttributeValue, Kind, Specification},
    money::{Currency, Money, TaxRate},
    text::{Quantity, Reason, Sku, Title},
};

/// The state after `history`.
pub(crate) fn given<A: Decider>(history: &[A::Event]) -> A {
    let mut state = A::default();
    for event in history {
        state.evolve(event);
    }
    state
}

/// What `command` leads to after `history`, run through cqrs-es's own test framework and compared with the pure
/// decision.
pub(crate) fn when<A>(history: &[A::Event], command: A::Command) -> Result<Vec<A::Event>, A::Error>
where
    A: Decider<Error: PartialEq>,
{
    let decided = given::<A>(history).decide(command.clone());
    let framework = TestFramework::<A>::with(()).given(history.to_vec());
    assert_eq!(framework.when(command).inspect_result(), decided);
    decided
}

/// What each command leads to in each state, as text: per command, the outcomes and the states that have them. An
/// outcome is the types of the events, `-` for none, or `!` and the name of the error.
pub(crate) fn outcomes<A>(
    states: &[(&str, Vec<A::Event>)],
    commands: &[(&str, A::Command)],
) -> String
where
    A: Decider<Error: PartialEq + Debug>,
{
    let mut text = String::new();
    for (command_name, command) in commands {
        let mut by_outcome: Vec<(String, Vec<&str>)> = vec![];
        for (state_name, history) in states {
            let outcome = outcome(&when::<A>(history, command.clone()));
            match by_outcome.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, states)) => states.push(state_name),
                None => by_outcome.push((outcome, vec![state_name])),
            }
        }
        writeln!(text, "{command_name}").unwrap();
        for (outcome, states) in by_outcome {
            writeln!(text, "  {outcome}: {}", states.join(", ")).unwrap();
        }
    }
    text
}

fn outcome<E: DomainEvent, R: Debug>(result: &Result<Vec<E>, R>) -> String {
    match result {
        Ok(events) if events.is_empty() => "-".into(),
        Ok(events) => events
            .iter()
            .map(E::event_type)
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => {
            let name: String = format!("{error:?}")
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            format!("!{name}")
        }
    }
}

/// The events of `first` followed by those that `commands` lead to, each of which must be accepted.
pub(crate) fn history<A>(
    first: &[A::Event],
    commands: impl IntoIterator<Item = A::Command>,
) -> Vec<A::Event>
where
    A: Decider<Error: Debug, Command: Debug>,
{
    let mut history = first.to_vec();
    let mut state = given::<A>(&history);
    for command in commands {
        let events = state
            .decide(command.clone())
            .unwrap_or_else(|error| panic!("{command:?} is refused: {error}"));
        assert!(!events.is_empty(), "{command:?} changes nothing");
        for event in &events {
            state.evolve(event);
        }
        history.extend(events);
    }
    history
}

/// Asserts that two texts are equal, line by line, so that a difference in a long one is found.
pub(crate) fn assert_text(actual: &str, expected: &str) {
    let lines = |text: &str| {
        text.trim()
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(actual), lines(expected), "actual:\n{actual}");
}

pub(crate) const REGION: RegionId = RegionId(Uuid::from_u128(0x1001));
pub(crate) const PRODUCT: ProductId = ProductId(Uuid::from_u128(0x2001));
pub(crate) const CATEGORY: CategoryId = CategoryId(Uuid::from_u128(0x8001));
pub(crate) const SHOP: ShopId = ShopId(Uuid::from_u128(0x9001));
pub(crate) const DISCOUNT: DiscountId = DiscountId(Uuid::from_u128(0xa001));
pub(crate) const OTHER_PRODUCT: ProductId = ProductId(Uuid::from_u128(0x2002));
pub(crate) const ORDER: OrderId = OrderId(Uuid::from_u128(0x3001));
pub(crate) const OTHER_ORDER: OrderId = OrderId(Uuid::from_u128(0x3002));
pub(crate) const CUSTOMER: UserId = UserId(Uuid::from_u128(0x4001));
pub(crate) const SHIPMENT: ShipmentId = ShipmentId(Uuid::from_u128(0x5001));
pub(crate) const OTHER_SHIPMENT: ShipmentId = ShipmentId(Uuid::from_u128(0x5002));
pub(crate) const REFUND: RefundId = RefundId(Uuid::from_u128(0x6001));
pub(crate) const OTHER_REFUND: RefundId = RefundId(Uuid::from_u128(0x6002));

pub(crate) fn operation(number: u128) -> OperationId {
    OperationId(Uuid::from_u128(0x7000 + number))
}

/// So many seconds after the beginning of 1970.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// A discount of so many basis points, on everything, for everybody, for ever.
pub(crate) fn percent(basis_points: u32) -> DiscountRules {
    let basis_points = Percentage::from_basis_points(basis_points).unwrap();
    rules(DiscountValue::Percentage { basis_points })
}

/// The same, of so many minor units.
pub(crate) fn off(amount: i64) -> DiscountRules {
    rules(DiscountValue::Amount { amount })
}

fn rules(value: DiscountValue) -> DiscountRules {
    DiscountRules {
        title: title("Tết"),
        value,
        scope: DiscountScope::default(),
        minimum: 0,
        starts_at: None,
        ends_at: None,
        max_uses: None,
        max_uses_per_customer: None,
    }
}

pub(crate) fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

pub(crate) fn usd(cents: i64) -> Money {
    Money::new(cents, currency("USD"))
}

pub(crate) fn rate(basis_points: u32) -> TaxRate {
    TaxRate::from_basis_points(basis_points).unwrap()
}

pub(crate) fn pieces(number: u64) -> Quantity {
    Quantity::parse(number).unwrap()
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

pub(crate) fn title(text: &str) -> Title {
    Title::parse(text).unwrap()
}

pub(crate) fn reason(text: &str) -> Reason {
    Reason::parse(text).unwrap()
}

/// A red piece of clothing of that size.
pub(crate) fn clothing(size: &str) -> Specification {
    let text = |text| Some(AttributeValue::Text(title(text)));
    let given = [("size", size), ("colour", "red")];
    let given = given.map(|(name, value)| (name.to_owned(), text(value)));
    Kind::find("clothing").unwrap().specify(given).unwrap()
}
