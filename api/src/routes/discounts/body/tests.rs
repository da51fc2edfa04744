#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;

fn discount(value: &Value) -> Value {
    json!({"region_id": DiscountId::from(uuid::Uuid::nil()), "title": "Tết", "value": value})
}

fn with(members: Value) -> Value {
    let mut body = discount(&json!({"kind": "percentage", "basis_points": 1_000}));
    let Value::Object(members) = members else {
        panic!("members");
    };
    body.as_object_mut().unwrap().extend(members);
    body
}

/// What is wrong with the body: path and words.
fn wrong<T>(body: Value) -> Vec<String>
where
    T: for<'de> Deserialize<'de> + Validate<Context = ()> + TellsDiscount,
{
    let told: Fitting<T> = serde_json::from_value(body).unwrap();
    let report = told.validate().err();
    let report = report.iter().flat_map(Report::iter);
    report
        .map(|(path, error)| format!("{path}: {error}"))
        .collect()
}

#[test]
fn all_that_does_not_fit_is_told_with_its_place() {
    let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
    let many: Vec<_> = (0..201).map(uuid::Uuid::from_u128).collect();
    for (body, expected) in [
        (
            discount(&json!({"kind": "percentage"})),
            vec!["value.basis_points: is required"],
        ),
        (
            discount(&json!({"kind": "amount"})),
            vec!["value.amount: is required", "value.currency: is required"],
        ),
        (
            discount(
                &json!({"kind": "percentage", "basis_points": 1, "amount": 5, "currency": "USD"}),
            ),
            vec![
                "value.amount: is for the kind amount only",
                "value.currency: is for the kind amount only",
            ],
        ),
        (
            discount(&json!({"kind": "amount", "amount": 0, "currency": "USD", "basis_points": 1})),
            vec![
                "value.amount: must be above zero",
                "value.basis_points: is for the kind percentage only",
            ],
        ),
        (
            discount(&json!({"kind": "gift", "basis_points": 0})),
            vec![
                "value.basis_points: must be a whole number from 1 to 10000",
                "value.kind: must be percentage or amount",
            ],
        ),
        (
            with(
                json!({"value": {"kind": "amount", "amount": 5, "currency": "VND"}, "minimum": usd(-1)}),
            ),
            vec![
                "minimum.amount: must not be below zero",
                "minimum.currency: must be that of the value",
            ],
        ),
        (
            with(json!({
                "starts_at": "2026-11-27T00:00:00Z", "ends_at": "2026-11-27T07:00:00+07:00", "max_uses": 0,
                "scope": {"product_ids": many, "category_ids": ["x"]},
            })),
            vec![
                "ends_at: must be after starts_at",
                "max_uses: must be a whole number from 1 to 4294967295",
                "scope.category_ids[0]: must be a UUID",
                "scope: must name at most 200 products and categories",
            ],
        ),
        (
            with(json!({"minimum": usd(0), "code": "a b"})),
            vec!["code: code must be 3 to 32 letters, digits, underscores or hyphens"],
        ),
    ] {
        let (mut told, mut expected) = (wrong::<DiscountInput>(body.clone()), expected);
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "{body}");
    }
    let patch =
        json!({"value": {"kind": "amount", "amount": 1}, "ends_at": null, "starts_at": "soon"});
    let mut told = wrong::<DiscountPatch>(patch);
    told.sort_unstable();
    assert!(told[0].starts_with("starts_at: must be a time"), "{told:?}");
    assert_eq!(told[1..], ["value.currency: is required".to_owned()]);
    let mut told = wrong::<DiscountPatch>(json!({"title": null, "value": null}));
    told.sort_unstable();
    let refused = "must not be null: what is to stay is left out";
    assert_eq!(
        told,
        [format!("title: {refused}"), format!("value: {refused}")]
    );
}

fn patch(body: Value) -> DiscountChanges {
    let Fitting(patch): Fitting<DiscountPatch> = serde_json::from_value(body).unwrap();
    patch.take()
}

#[test]
fn what_is_absent_stays_and_null_takes_away() {
    use domain::product::Change as C;
    assert_eq!(patch(json!({})), DiscountChanges::default());
    let cleared = patch(json!({
        "minimum": null, "scope": null, "starts_at": null, "ends_at": null,
        "max_uses": null, "max_uses_per_customer": null,
    }));
    let expected = DiscountChanges {
        scope: Some(DiscountScope::default()),
        minimum: Some(0),
        starts_at: C::Clear,
        ends_at: C::Clear,
        max_uses: C::Clear,
        max_uses_per_customer: C::Clear,
        ..DiscountChanges::default()
    };
    assert_eq!(cleared, expected);
    let set = patch(json!({"minimum": {"amount": 5, "currency": "usd"}, "max_uses": 3}));
    assert_eq!(
        (set.minimum, set.currency),
        (Some(5), Currency::parse("USD").ok())
    );
    assert_eq!(set.max_uses, C::Set(std::num::NonZeroU32::new(3).unwrap()));
}

#[test]
fn what_comes_out_is_what_went_in() {
    let scope = json!({"product_ids": [uuid::Uuid::from_u128(1)], "category_ids": []});
    let body = json!({
        "region_id": uuid::Uuid::from_u128(2), "shop_id": uuid::Uuid::from_u128(3), "code": "tet-2026", "title": "Tết",
        "value": {"kind": "amount", "amount": 500, "currency": "USD"}, "minimum": {"amount": 2_000, "currency": "USD"},
        "scope": scope, "starts_at": "2026-11-27T00:00:00.5Z", "max_uses": 100,
    });
    let Fitting(input): Fitting<DiscountInput> = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(input.currency_at(), "/value/currency");
    let new = input.take(DiscountId(uuid::Uuid::from_u128(4)));
    let shown = DiscountBody::from(DiscountDetails {
        discount_id: new.discount_id,
        region_id: new.region_id,
        currency: new.currency.unwrap(),
        shop_id: new.shop_id,
        code: new.code,
        rules: new.rules,
        used: 7,
        revision: 1,
        deleted: false,
    });
    let shown = serde_json::to_value(shown).unwrap();
    for name in ["region_id", "shop_id", "title", "scope", "max_uses"] {
        assert_eq!(shown[name], body[name], "{name}");
    }
    assert_eq!(shown["code"], "TET-2026");
    assert_eq!(shown["starts_at"], "2026-11-27T00:00:00.500Z");
    assert_eq!(
        (&shown["ends_at"], &shown["used"]),
        (&Value::Null, &json!(7))
    );
    assert_eq!(
        shown["value"],
        json!({"kind": "amount", "amount": 500, "currency": "USD", "decimal": "5.00"})
    );
    assert_eq!(
        shown["minimum"],
        json!({"amount": 2_000, "currency": "USD", "decimal": "20.00"})
    );
}
