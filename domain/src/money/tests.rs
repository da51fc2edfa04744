//! Amounts are exact, rounding is half up, and what is spread adds up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

#[test]
fn the_currency_table_is_sorted_and_well_formed() {
    assert!(
        CURRENCIES.is_sorted_by(|a, b| a.0 < b.0),
        "binary search needs it"
    );
    for (code, exponent) in CURRENCIES {
        assert!(
            code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()),
            "{code}"
        );
        assert!([0, 2, 3, 4].contains(exponent), "{code}");
        assert_eq!(currency(code).code(), *code);
    }
}

#[test]
fn currencies_know_their_minor_digits() {
    for (code, exponent) in [
        ("VND", 0),
        ("JPY", 0),
        ("USD", 2),
        ("SGD", 2),
        ("KWD", 3),
        ("CLF", 4),
        ("eur", 2),
    ] {
        assert_eq!(currency(code).exponent(), exponent, "{code}");
    }
    for bad in ["", "US", "USDX", "XXX", "XAU", "HRK", "ÜSD", "US\0"] {
        assert_eq!(
            Currency::parse(bad),
            Err(MoneyError::UnknownCurrency),
            "{bad:?}"
        );
    }
}

#[test]
fn decimals_are_parsed_exactly() {
    let cases = [
        ("25.99", "USD", 2599),
        ("25.9", "USD", 2590),
        ("25", "USD", 2500),
        ("0.01", "USD", 1),
        ("0", "USD", 0),
        ("250000", "VND", 250_000),
        ("1.234", "KWD", 1234),
        ("92233720368547758.07", "USD", i64::MAX),
    ];
    for (text, code, amount) in cases {
        assert_eq!(
            Money::parse_decimal(text, currency(code)),
            Ok(Money::new(amount, currency(code))),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_a_plain_decimal_is_refused() {
    for bad in [
        "", ".", "1.", ".5", "-1", "+1", "1e3", "1E3", "1_000", "1,5", " 1", "1 ", "0x1", "NaN",
        "١", "1.2.3",
    ] {
        assert_eq!(
            Money::parse_decimal(bad, currency("USD")),
            Err(MoneyError::NotADecimal),
            "{bad:?}"
        );
    }
    let usd = currency("USD");
    let too_precise = Err(MoneyError::TooPrecise {
        currency: usd,
        allowed: 2,
    });
    assert_eq!(Money::parse_decimal("25.999", usd), too_precise);
    assert!(matches!(
        Money::parse_decimal("25.0", currency("VND")),
        Err(MoneyError::TooPrecise { allowed: 0, .. })
    ));
    assert_eq!(
        Money::parse_decimal("92233720368547758.08", usd),
        Err(MoneyError::TooLarge)
    );
    assert_eq!(
        Money::parse_decimal(&"9".repeat(400), usd),
        Err(MoneyError::TooLarge)
    );
}

#[test]
fn decimals_are_written_with_all_places() {
    let cases = [
        (2599, "USD", "25.99"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (0, "KWD", "0.000"),
        (250_000, "VND", "250000"),
        (-1, "VND", "-1"),
        (i64::MIN, "USD", "-92233720368547758.08"),
    ];
    for (amount, code, text) in cases {
        assert_eq!(Money::new(amount, currency(code)).to_decimal_string(), text);
    }
    assert_eq!(Money::new(2599, currency("USD")).to_string(), "25.99 USD");
}

#[test]
fn arithmetic_refuses_overflow_and_two_currencies() {
    let (usd, sgd) = (currency("USD"), currency("SGD"));
    let max = Money::new(i64::MAX, usd);
    let one = Money::new(1, usd);
    assert_eq!(one.checked_add(one), Ok(Money::new(2, usd)));
    assert_eq!(one.checked_sub(one), Ok(Money::zero(usd)));
    assert_eq!(one.checked_mul(7), Ok(Money::new(7, usd)));
    assert_eq!(max.checked_add(one), Err(MoneyError::TooLarge));
    assert_eq!(
        Money::new(i64::MIN, usd).checked_sub(one),
        Err(MoneyError::TooLarge)
    );
    assert_eq!(max.checked_mul(2), Err(MoneyError::TooLarge));
    let differ = Err(MoneyError::CurrenciesDiffer {
        left: usd,
        right: sgd,
    });
    assert_eq!(one.checked_add(Money::new(1, sgd)), differ);
    assert_eq!(one.checked_sub(Money::new(1, sgd)), differ);
}

#[test]
fn tax_is_rounded_half_up() {
    let rate = |basis_points| TaxRate::from_basis_points(basis_points).unwrap();
    let on = [
        (1000, 10, 1),
        (1000, 5, 1),
        (1000, 4, 0),
        (825, 1000, 83),
        (825, 10_000, 825),
        (0, 99, 0),
        (10_000, 7, 7),
    ];
    for (basis_points, net, tax) in on {
        assert_eq!(
            rate(basis_points).tax_on(net),
            tax,
            "{basis_points} bp on {net}"
        );
    }
    let within = [
        (1000, 110, 10),
        (1000, 108, 10),
        (900, 10_900, 900),
        (10_000, 3, 2),
        (0, 99, 0),
    ];
    for (basis_points, gross, tax) in within {
        assert_eq!(
            rate(basis_points).tax_within(gross),
            tax,
            "{basis_points} bp within {gross}"
        );
    }
    assert_eq!(rate(10_000).tax_on(i64::MAX), i64::MAX);
    assert_eq!(rate(10_000).tax_within(i64::MAX), i64::MAX / 2 + 1);
    assert_eq!(
        TaxRate::from_basis_points(10_001),
        Err(MoneyError::TaxRateOutOfRange)
    );
}

#[test]
fn money_is_amount_and_code_in_json() {
    let money = Money::new(2599, currency("USD"));
    let json = r#"{"amount":2599,"currency":"USD"}"#;
    assert_eq!(serde_json::to_string(&money).unwrap(), json);
    assert_eq!(serde_json::from_str::<Money>(json).unwrap(), money);
    assert!(serde_json::from_str::<Money>(r#"{"amount":25.99,"currency":"USD"}"#).is_err());
    assert!(serde_json::from_str::<Money>(r#"{"amount":1,"currency":"ABC"}"#).is_err());
    assert_eq!(
        serde_json::to_string(&TaxRate::from_basis_points(825).unwrap()).unwrap(),
        "825"
    );
    assert!(serde_json::from_str::<TaxRate>("10001").is_err());
}

#[test]
fn shares_go_to_the_largest_remainder_and_ties_to_the_earlier() {
    assert_eq!(allocate(100, &[1, 1, 1]).unwrap(), [34, 33, 33]);
    assert_eq!(allocate(10, &[0, 3, 0, 1]).unwrap(), [0, 8, 0, 2]);
    assert_eq!(allocate(2, &[1, 1, 1, 1]).unwrap(), [1, 1, 0, 0]);
    assert_eq!(allocate(-100, &[1, 1, 1]).unwrap(), [-34, -33, -33]);
    assert_eq!(allocate(0, &[]).unwrap(), [0; 0]);
    assert_eq!(allocate(0, &[0, 0]).unwrap(), [0, 0]);
    for (total, weights) in [(1, &[][..]), (1, &[0, 0]), (1, &[2, -1])] {
        assert_eq!(
            allocate(total, weights),
            Err(MoneyError::NothingToSpreadOver)
        );
    }
}

proptest! {
    #[test]
    fn shares_add_up_and_follow_the_weights(total: i64, weights in prop::collection::vec(0..=i64::MAX, 1..40)) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let shares = allocate(total, &weights).unwrap();
        prop_assert_eq!(shares.iter().map(|share| i128::from(*share)).sum::<i128>(), i128::from(total));
        let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        for (share, weight) in shares.iter().zip(&weights) {
            // each share is its exact proportion, rounded down or up
            let off = i128::from(*share) * sum - i128::from(total) * i128::from(*weight);
            prop_assert!(off.abs() < sum);
        }
    }

    #[test]
    fn decimals_come_back_as_they_went_in(amount in 0..=i64::MAX, index in 0..CURRENCIES.len()) {
        let money = Money::new(amount, currency(CURRENCIES[index].0));
        prop_assert_eq!(Money::parse_decimal(&money.to_decimal_string(), money.currency), Ok(money));
    }

    #[test]
    fn tax_is_the_nearest_amount(amount in 0..=i64::MAX, basis_points in 0_u32..=10_000) {
        let rate = TaxRate::from_basis_points(basis_points).unwrap();
        let bp = i128::from(basis_points);
        let on = 10_000 * i128::from(rate.tax_on(amount)) - i128::from(amount) * bp;
        prop_assert!(-5_000 < on && on <= 5_000);
        let within = (10_000 + bp) * i128::from(rate.tax_within(amount)) - i128::from(amount) * bp;
        prop_assert!(-(10_000 + bp) < 2 * within && 2 * within <= 10_000 + bp);
    }
}
