//! A telephone number, parsed leniently: people write them in many ways, and whoever dials reads them. Used at the edge
//! (profile, users) and by [`crate::users`].

use std::{fmt, str::FromStr};

/// Fewest characters, and fewest digits: some countries' short numbers.
const MIN_CHARS: usize = 3;
/// Most characters: the 15 digits of E.164 with whatever people put between them.
pub const MAX_PHONE_CHARS: usize = 32;

/// A telephone number as it was written: 3 to [`MAX_PHONE_CHARS`] digits, blanks and `-().`, with a `+` in front or not.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PhoneNumber {
    type Err = InvalidPhoneNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let dialled = text.strip_prefix('+').unwrap_or(text);
        let digits = dialled.bytes().filter(u8::is_ascii_digit).count();
        let plain = dialled
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'(' | b')' | b'.'));
        if plain && digits >= MIN_CHARS && text.len() <= MAX_PHONE_CHARS {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPhoneNumber)
        }
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(..)") // personal: not for logs
    }
}

/// The text is not a telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a phone number has 3 to {MAX_PHONE_CHARS} characters: digits, blanks and -(). with a + in front or not"
)]
pub struct InvalidPhoneNumber;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_taken_as_people_write_them() {
        for text in [
            "113",
            "+84 28 3822 1234",
            "(028) 3822-1234",
            "+1.202.555.0143",
            "0901234567",
        ] {
            assert_eq!(text.parse::<PhoneNumber>().unwrap().as_str(), text);
        }
        assert_eq!(" 113\n".parse::<PhoneNumber>().unwrap().as_str(), "113");
    }

    #[test]
    fn what_nobody_can_dial_is_refused() {
        for text in [
            "",
            "12",
            "+12",
            "(-)",
            "12-",
            "++113",
            "11+3",
            "call me",
            "113;ext=4",
            "113\n114",
            "113\0",
            "１１３",
            &"1".repeat(33),
        ] {
            assert_eq!(
                text.parse::<PhoneNumber>(),
                Err(InvalidPhoneNumber),
                "{text:?}"
            );
        }
        assert!("1".repeat(32).parse::<PhoneNumber>().is_ok());
    }

    #[test]
    fn a_number_is_not_in_debug_output() {
        assert_eq!(
            format!("{:?}", "113".parse::<PhoneNumber>().unwrap()),
            "PhoneNumber(..)"
        );
    }
}
