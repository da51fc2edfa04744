#![allow(clippy::unwrap_used, clippy::expect_used)]
use domain::{
    money::Currency,
    text::{Quantity, Sku},
};
use identity::{Role, Roles};
use serde_json::from_str;

use super::*;

fn read<T: Field>(json: &str) -> Result<T, String> {
    from_str::<Checked<T>>(json)
        .unwrap()
        .0
        .map_err(Cow::into_owned)
}

#[test]
fn what_is_wrong_is_said_in_words_whatever_the_json_is() {
    assert_eq!(read::<Sku>("\"TEE-01\"").unwrap().as_str(), "TEE-01");
    for bad in ["5", "null", "[]", "{}", "true"] {
        assert_eq!(read::<Sku>(bad).unwrap_err(), "must be a string", "{bad}");
    }
    assert!(
        read::<Sku>("\"a b\"")
            .unwrap_err()
            .contains("1 to 64 letters")
    );
}

#[test]
fn a_quantity_is_a_whole_number_in_range() {
    assert_eq!(read::<Quantity>("3").unwrap().get(), 3);
    for bad in [
        "0",
        "-1",
        "1.5",
        "1e400",
        "1000001",
        "99999999999999999999",
        "\"3\"",
        "null",
    ] {
        // 1e400 is not even a number for serde_json: the body is then refused as a whole
        if let Ok(checked) = from_str::<Checked<Quantity>>(bad) {
            assert!(checked.0.unwrap_err().contains("1 to 1000000"), "{bad}");
        }
    }
}

#[test]
fn a_price_is_parsed_by_its_digits() {
    let usd = Currency::parse("USD").unwrap();
    let vnd = Currency::parse("VND").unwrap();
    let price = |json: &str| read::<ExactNumber>(json).unwrap();
    assert_eq!(price("25.99").in_currency(usd).unwrap().amount, 2599);
    assert_eq!(price("0.1").in_currency(usd).unwrap().amount, 10);
    assert_eq!(
        price("90071992547409.93").in_currency(usd).unwrap().amount,
        9_007_199_254_740_993
    );
    for bad in ["25.999", "1e3", "99999999999999999999"] {
        assert!(price(bad).in_currency(usd).is_err(), "{bad}");
    }
    assert!(price("25.5").in_currency(vnd).is_err());
    for bad in ["-1", "\"25.99\"", "null", "{}"] {
        assert!(read::<ExactNumber>(bad).is_err(), "{bad}");
    }
}

#[test]
fn roles_are_a_list_of_known_names() {
    assert_eq!(read::<Roles>("[]").unwrap(), Roles::NONE);
    let both = Roles::from(Role::Customer).with(Role::Admin);
    assert_eq!(
        read::<Roles>(r#"["admin","customer","admin"]"#).unwrap(),
        both
    );
    for bad in [
        "null",
        "{}",
        "\"admin\"",
        "[1]",
        "[null]",
        r#"["Admin"]"#,
        r#"["admin","root"]"#,
    ] {
        assert!(
            read::<Roles>(bad).unwrap_err().contains("customer, seller"),
            "{bad}"
        );
    }
}

#[test]
fn null_is_not_the_same_as_nothing_where_that_matters() {
    #[derive(Deserialize)]
    struct Patch {
        #[serde(default)]
        image_url: Change<Checked<Sku>>,
    }
    let change = |json: &str| from_str::<Patch>(json).unwrap().image_url;
    assert!(matches!(change("{}"), Change::Keep));
    assert!(matches!(change(r#"{"image_url":null}"#), Change::Clear));
    assert!(matches!(change(r#"{"image_url":"x"}"#), Change::Set(_)));
    assert!(garde::Validate::validate(&change(r#"{"image_url":"x"}"#)).is_ok());
    assert!(garde::Validate::validate(&change(r#"{"image_url":"x y"}"#)).is_err());
}
