//! Where parcels go: a text as one writes it on a parcel, of some lines. Used at the edge (orders, profile, users) and by
//! [`crate::users`].

use std::{fmt, str::FromStr};

/// Most characters (Unicode scalar values) of an address.
pub const MAX_ADDRESS_CHARS: usize = 1_000;

/// An address of 1 to [`MAX_ADDRESS_CHARS`] characters without surrounding blanks; line breaks are its only control
/// characters.
#[derive(Clone, PartialEq, Eq)]
pub struct PostalAddress(String);

impl PostalAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PostalAddress {
    type Err = InvalidPostalAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().nth(MAX_ADDRESS_CHARS).is_none();
        let plain = text
            .chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r'));
        if fits && plain {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPostalAddress)
        }
    }
}

impl fmt::Debug for PostalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostalAddress(..)") // personal: not for logs
    }
}

/// The text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {MAX_ADDRESS_CHARS} characters without control characters other than line breaks"
)]
pub struct InvalidPostalAddress;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_may_have_lines_and_no_other_control_characters() {
        let address: PostalAddress = " 1 Lê Lợi\r\nHuế\n".parse().unwrap();
        assert_eq!(address.as_str(), "1 Lê Lợi\r\nHuế");
        assert!("ế".repeat(1_000).parse::<PostalAddress>().is_ok());
        for bad in ["", " \n ", "a\0b", "a\u{1b}b", &"x".repeat(1_001)] {
            assert_eq!(
                bad.parse::<PostalAddress>(),
                Err(InvalidPostalAddress),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn an_address_is_not_in_debug_output() {
        assert_eq!(
            format!("{:?}", "1 Lê Lợi".parse::<PostalAddress>().unwrap()),
            "PostalAddress(..)"
        );
    }
}
