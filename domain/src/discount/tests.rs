#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::{
    CATEGORY, DISCOUNT, ORDER, OTHER_ORDER, OTHER_PRODUCT, PRODUCT, REGION, assert_text, at,
    currency, given, off, outcomes, percent, when,
};

fn create(rules: DiscountRules) -> CreateDiscount {
    CreateDiscount {
        discount_id: DISCOUNT,
        region_id: REGION,
        currency: currency("USD"),
        shop_id: None,
        code: Some(DiscountCode::parse("TET").unwrap()),
        rules,
    }
}

fn once(rules: DiscountRules) -> DiscountRules {
    DiscountRules {
        max_uses: NonZeroU32::new(1),
        ..rules
    }
}

fn created(rules: DiscountRules) -> Vec<DiscountEvent> {
    when::<Discount>(&[], DiscountCommand::CreateDiscount(create(rules))).unwrap()
}

fn used(order_id: OrderId) -> DiscountEvent {
    DiscountEvent::DiscountUsed { order_id }
}

#[test]
fn every_command_in_every_state() {
    let states = [
        ("unknown", vec![]),
        ("given", created(once(percent(1000)))),
        (
            "used up",
            [created(once(percent(1000))), vec![used(ORDER)]].concat(),
        ),
        (
            "deleted",
            [
                created(once(percent(1000))),
                vec![DiscountEvent::DiscountDeleted {}],
            ]
            .concat(),
        ),
    ];
    let change = |rules| DiscountCommand::ChangeDiscount { rules };
    let commands = [
        (
            "CreateDiscount, the same",
            DiscountCommand::CreateDiscount(create(once(percent(1000)))),
        ),
        (
            "CreateDiscount, another",
            DiscountCommand::CreateDiscount(create(off(500))),
        ),
        ("ChangeDiscount", change(off(500))),
        ("ChangeDiscount, to the same", change(once(percent(1000)))),
        ("ChangeDiscount, to nothing", change(off(0))),
        ("DeleteDiscount", DiscountCommand::DeleteDiscount),
        (
            "CountUse",
            DiscountCommand::CountUse {
                order_id: OTHER_ORDER,
            },
        ),
        ("ReturnUse", DiscountCommand::ReturnUse { order_id: ORDER }),
    ];
    assert_text(
        &outcomes::<Discount>(&states, &commands),
        "
CreateDiscount, the same
  DiscountCreated: unknown
  -: given, used up
  !Deleted: deleted
CreateDiscount, another
  DiscountCreated: unknown
  !AlreadyExists: given, used up
  !Deleted: deleted
ChangeDiscount
  !NotFound: unknown
  DiscountChanged: given, used up
  !Deleted: deleted
ChangeDiscount, to the same
  !NotFound: unknown
  -: given, used up
  !Deleted: deleted
ChangeDiscount, to nothing
  !NotFound: unknown
  !Rules: given, used up
  !Deleted: deleted
DeleteDiscount
  !NotFound: unknown
  DiscountDeleted: given, used up
  -: deleted
CountUse
  !NotFound: unknown
  DiscountUsed: given
  !UsedUp: used up
  !Deleted: deleted
ReturnUse
  !NotFound: unknown
  DiscountUseReturned: given, used up, deleted
",
    );
}

#[test]
fn rules_that_make_no_discount_are_refused() {
    let named = |number: u128| crate::ids::ProductId(uuid::Uuid::from_u128(number));
    let with = |change: fn(&mut DiscountRules)| {
        let mut rules = percent(1000);
        change(&mut rules);
        rules
    };
    let mut wide = percent(1000);
    wide.scope.product_ids = (0..=MAX_SCOPE as u128).map(named).collect();
    for (rules, refusal) in [
        (off(0), RulesError::NothingOff),
        (off(-1), RulesError::NothingOff),
        (
            with(|rules| rules.minimum = -1),
            RulesError::NegativeMinimum,
        ),
        (
            with(|rules| (rules.starts_at, rules.ends_at) = (Some(at(5)), Some(at(5)))),
            RulesError::EndsBeforeStart,
        ),
        (wide, RulesError::ScopeTooLarge),
    ] {
        let refused = when::<Discount>(&[], DiscountCommand::CreateDiscount(create(rules)));
        assert_eq!(refused, Err(DiscountError::Rules(refusal)));
    }
    for basis_points in [0, 10_001, u32::MAX] {
        assert!(Percentage::from_basis_points(basis_points).is_err());
    }
}

#[test]
fn it_is_given_within_its_window_in_its_region_and_until_it_is_used_up() {
    let rules = DiscountRules {
        starts_at: Some(at(10)),
        ends_at: Some(at(20)),
        ..once(percent(1000))
    };
    let discount = given::<Discount>(&created(rules));
    let given = |seconds| discount.due(REGION, at(seconds)).map(|_| ());
    assert_eq!(given(9), Err(NotDue::NotStarted));
    assert_eq!(given(10), Ok(()));
    assert_eq!(given(19), Ok(()));
    assert_eq!(given(20), Err(NotDue::Ended));
    let elsewhere = RegionId(uuid::Uuid::from_u128(1));
    assert_eq!(discount.due(elsewhere, at(10)), Err(NotDue::Unknown));
    let is_used_up = |discount: &Discount| discount.due(REGION, at(10)).unwrap().is_used_up();
    let mut after = discount.clone();
    assert!(!is_used_up(&after));
    after.evolve(&used(ORDER));
    assert!(is_used_up(&after));
    after.evolve(&DiscountEvent::DiscountUseReturned { order_id: ORDER });
    assert!(!is_used_up(&after));
    after.evolve(&DiscountEvent::DiscountDeleted {});
    assert_eq!(after.due(REGION, at(10)), Err(NotDue::Unknown));
}

#[test]
fn uses_do_not_change_the_version_that_somebody_decides_on() {
    let history = [created(percent(1000)), vec![used(ORDER), used(OTHER_ORDER)]].concat();
    let discount = given::<Discount>(&history);
    let details = discount.details().unwrap();
    assert_eq!((details.revision, details.used), (1, 2));
    let changed = when::<Discount>(&history, DiscountCommand::ChangeDiscount { rules: off(1) });
    let discount = given::<Discount>(&[history, changed.unwrap()].concat());
    assert_eq!(discount.details().unwrap().revision, 2);
}

#[test]
fn a_share_is_rounded_half_up_and_an_amount_takes_no_more_than_there_is() {
    let share = |basis_points| DiscountValue::Percentage {
        basis_points: Percentage::from_basis_points(basis_points).unwrap(),
    };
    for (value, sum, taken) in [
        (share(1000), 999, 100),
        (share(1000), 994, 99),
        (share(5000), 1, 1),
        (share(10_000), i64::MAX, i64::MAX),
        (DiscountValue::Amount { amount: 500 }, 499, 499),
        (DiscountValue::Amount { amount: 500 }, 501, 500),
        (DiscountValue::Amount { amount: 500 }, -1, 0),
    ] {
        assert_eq!(value.off(sum), taken, "{value:?} of {sum}");
    }
}

#[test]
fn a_scope_names_products_or_categories_or_everything() {
    let everything = DiscountScope::default();
    assert!(everything.covers(PRODUCT, None));
    let named = DiscountScope {
        product_ids: [PRODUCT].into(),
        category_ids: [CATEGORY].into(),
    };
    assert!(named.covers(PRODUCT, None));
    assert!(named.covers(OTHER_PRODUCT, Some(CATEGORY)));
    assert!(!named.covers(OTHER_PRODUCT, None));
}
