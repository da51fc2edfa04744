//! Texts and numbers of commands, parsed once at the edge and trusted from then on.
//!
//! Each type holds only values that keep its rule; serde goes through the same parser, so a stored value that
//! breaks the rule is noticed when it is read. All Unicode is kept as it came in.

use std::{fmt, num::NonZeroU32, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text or number was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct Invalid {
    /// What was to be parsed, for instance `sku`.
    pub what: &'static str,
    /// The rule it broke, completing "must be".
    pub rule: &'static str,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $what:literal, $rule:literal, $parse:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the text by the rule of this type.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                let parse: fn(&str) -> Option<Arc<str>> = $parse;
                parse(text).map(Self).ok_or(Invalid { what: $what, rule: $rule })
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    )+};
}

texts! {
    /// A seller's own number of a product.
    Sku = "sku", "1 to 64 letters, digits, dots, underscores or hyphens", |text| code(text, 64);
    /// What products of a kind go by, such as `clothing`.
    KindName = "kind", "1 to 64 letters, digits, dots, underscores or hyphens", |text| code(text, 64);
    /// What a customer types in to get a discount, kept in upper case.
    DiscountCode = "code", "3 to 32 letters, digits, underscores or hyphens", |text| {
        ((3..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)))
        .then(|| text.to_ascii_uppercase().into())
    };
    /// A name shown in lists: trimmed, one line.
    Title = "title", "1 to 200 characters without control characters", |text| line(text, 200);
    /// A long text: line breaks and tabs are its only control characters. May be empty.
    Description = "description", "at most 10000 characters without control characters other than line breaks and tabs",
        |text| {
            (chars_at_most(text, 10_000) && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')))
                .then(|| text.into())
        };
    /// Why something was done, in somebody's words: trimmed, one line.
    Reason = "reason", "1 to 500 characters without control characters", |text| line(text, REASON_CHARS);
    /// Two letters of ISO 3166-1, kept in upper case. Only the shape is checked: the list changes too often.
    CountryCode = "country", "a two-letter country code", |text| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()))
            .then(|| text.to_ascii_uppercase().into())
    };
    /// How an order is to be paid, by the gateway's name for it, such as `pm_card_visa`.
    PaymentMethod = "payment_method", "1 to 64 letters, digits, dots, underscores or hyphens", |text| code(text, 64);
    /// What a gateway calls a charge, a void or a refund.
    Reference = "reference", "1 to 255 visible ASCII characters", |text| {
        ((1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.into())
    };
    /// Where a picture is: an absolute http or https address.
    ImageUrl = "image_url", "an http or https address of at most 2048 characters", |text| {
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next()?;
        (chars_at_most(text, 2048)
            && (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
            && host.chars().any(char::is_alphanumeric)
            && !text.contains(|c: char| c.is_control() || c.is_whitespace() || "<>\"\\^`{|}".contains(c)))
        .then(|| text.into())
    };
}

/// Longest reason, in characters.
const REASON_CHARS: usize = 500;

impl Reason {
    /// Makes a reason of any text, for what a gateway or the program itself says: control characters become
    /// spaces, the end is cut off, and nothing becomes `unspecified`.
    pub fn lossy(text: &str) -> Self {
        let clean: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let cut: String = clean.trim().chars().take(REASON_CHARS).collect();
        let cut = cut.trim_end();
        Self(if cut.is_empty() { "unspecified" } else { cut }.into())
    }
}

/// One to `most` letters, digits, dots, underscores and hyphens of ASCII.
fn code(text: &str, most: usize) -> Option<Arc<str>> {
    ((1..=most).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)))
    .then(|| text.into())
}

/// A trimmed text of one to `most` characters, none of them control characters.
fn line(text: &str, most: usize) -> Option<Arc<str>> {
    let text = text.trim();
    (!text.is_empty() && chars_at_most(text, most) && !text.contains(char::is_control))
        .then(|| text.into())
}

/// Whether the text has at most `most` characters, without counting on beyond.
fn chars_at_most(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_none()
}

/// A number of pieces: 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Quantity(NonZeroU32);

impl Quantity {
    /// The most pieces one line or one change of stock may have.
    pub const MAX: u32 = 1_000_000;

    /// One piece.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// Parses a number of pieces.
    pub fn parse(pieces: u64) -> Result<Self, Invalid> {
        u32::try_from(pieces)
            .ok()
            .filter(|pieces| *pieces <= Self::MAX)
            .and_then(NonZeroU32::new)
            .map(Self)
            .ok_or(Invalid {
                what: "quantity",
                rule: "a whole number from 1 to 1000000",
            })
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The sum, unless it is more than [`Quantity::MAX`].
    pub fn checked_add(self, other: Self) -> Result<Self, Invalid> {
        Self::parse(u64::from(self.get()) + u64::from(other.get()))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u64> for Quantity {
    type Error = Invalid;

    fn try_from(pieces: u64) -> Result<Self, Self::Error> {
        Self::parse(pieces)
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> Self {
        quantity.get().into()
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.get().into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_sku_has_a_narrow_alphabet() {
        assert_eq!(Sku::parse("TEE-01.b_2").unwrap().as_str(), "TEE-01.b_2");
        assert!(Sku::parse(&"x".repeat(64)).is_ok());
        for bad in ["", "a b", "a/b", "é", "a\0", &"x".repeat(65)] {
            assert!(Sku::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_discount_code_is_one_however_it_is_typed() {
        let code = DiscountCode::parse("tet-2026").unwrap();
        assert_eq!(code, DiscountCode::parse("TET-2026").unwrap());
        assert_eq!(code.as_str(), "TET-2026");
        for bad in ["", "ab", "a b c", "tết", "a.b", "a\0bc", &"x".repeat(33)] {
            assert!(DiscountCode::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_payment_method_and_a_reference_are_plain_ascii() {
        assert_eq!(
            PaymentMethod::parse("pm_card_visa").unwrap().as_str(),
            "pm_card_visa"
        );
        assert_eq!(Reference::parse("ch_1/a:b").unwrap().as_str(), "ch_1/a:b");
        for bad in ["", "a b", "é", "a\0", &"x".repeat(256)] {
            assert!(PaymentMethod::parse(bad).is_err(), "{bad:?}");
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_title_is_trimmed_and_counted_in_characters() {
        assert_eq!(Title::parse("  Áo dài 👘 ").unwrap().as_str(), "Áo dài 👘");
        assert!(Title::parse(&"ấ".repeat(200)).is_ok());
        for bad in ["", " \t ", "a\nb", "a\0b", "a\u{85}b", &"ấ".repeat(201)] {
            assert!(Title::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_description_keeps_line_breaks_and_all_languages() {
        for good in [
            "",
            "a\nb\tc\r\nd",
            "Tiếng Việt",
            "مرحبا",
            &"x".repeat(10_000),
        ] {
            assert_eq!(Description::parse(good).unwrap().as_str(), good);
        }
        for bad in ["a\0b", "a\u{1b}b", &"x".repeat(10_001)] {
            assert!(Description::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_image_url_is_http_with_a_host() {
        for good in [
            "https://cdn.example.com/a.png?b=1#c",
            "HTTP://x",
            "http://127.0.0.1:8080/a",
            "http://[::1]/a",
        ] {
            assert_eq!(ImageUrl::parse(good).unwrap().as_str(), good);
        }
        let long = format!("https://x/{}", "a".repeat(2048));
        for bad in [
            "",
            "ftp://x/a",
            "javascript:alert(1)",
            "//x/a",
            "https://",
            "https:///a",
            "http://a b/",
            &long,
        ] {
            assert!(ImageUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_country_has_two_letters_in_upper_case() {
        assert_eq!(CountryCode::parse("vn").unwrap().as_str(), "VN");
        for bad in ["", "V", "VNM", "V1", "ñ"] {
            assert!(CountryCode::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_lossy_reason_is_always_a_valid_one() {
        let cases = [
            "card_declined",
            "",
            "\0\n",
            " a\nb ",
            &"é".repeat(900),
            &format!("{} {}", "x".repeat(499), "y"),
        ];
        for text in cases {
            let reason = Reason::lossy(text);
            assert_eq!(Reason::parse(reason.as_str()).unwrap(), reason, "{text:?}");
        }
        assert_eq!(Reason::lossy("").as_str(), "unspecified");
        assert_eq!(Reason::lossy(" a\nb ").as_str(), "a b");
    }

    #[test]
    fn a_quantity_is_one_to_a_million() {
        assert_eq!(Quantity::parse(1).unwrap(), Quantity::ONE);
        assert_eq!(Quantity::parse(1_000_000).unwrap().get(), Quantity::MAX);
        for bad in [0, 1_000_001, u64::MAX] {
            assert!(Quantity::parse(bad).is_err(), "{bad}");
        }
        assert!(
            Quantity::parse(600_000)
                .unwrap()
                .checked_add(Quantity::parse(600_000).unwrap())
                .is_err()
        );
    }

    #[test]
    fn json_goes_through_the_parser() {
        assert_eq!(
            serde_json::to_string(&Sku::parse("a").unwrap()).unwrap(),
            "\"a\""
        );
        assert_eq!(serde_json::to_string(&Quantity::ONE).unwrap(), "1");
        assert!(serde_json::from_str::<Sku>("\"a b\"").is_err());
        for bad in ["0", "-1", "1.5", "1000001", "\"1\""] {
            assert!(serde_json::from_str::<Quantity>(bad).is_err(), "{bad}");
        }
        let error = serde_json::from_str::<Title>("\"\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("title must be 1 to 200 characters"),
            "{error}"
        );
    }
}
