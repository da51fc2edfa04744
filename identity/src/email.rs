//! An e-mail address, parsed and brought to one form. It is the user name of a credential, so two spellings of one
//! address must be equal: it is kept in lower case. Used at the edge (registration, log-in) and by [`crate::users`].

use std::{fmt, str::FromStr};

use garde::rules::email::parse_email;

/// Longest address, in bytes: the longest that fits a mail server's path (RFC 5321, 4.5.3.1.3, less the brackets).
pub const MAX_EMAIL_BYTES: usize = 254;

/// An e-mail address in lower case. Only ASCII: a name with other letters is written in its `xn--` form.
///
/// Strictly, the part before the `@` may distinguish case; no mail provider of note does, and people do not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// The address, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_ascii();
        if text.len() > MAX_EMAIL_BYTES {
            return Err(InvalidEmail::TooLong);
        }
        parse_email(text).map_err(|_| InvalidEmail::Malformed)?;
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)") // personal: not for logs
    }
}

/// Why a text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// More than [`MAX_EMAIL_BYTES`].
    #[error("an e-mail address has at most {MAX_EMAIL_BYTES} bytes")]
    TooLong,
    /// Not of the form `name@host`.
    #[error("not an e-mail address")]
    Malformed,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_kept_in_lower_case_without_surrounding_blanks() {
        let email: Email = " Mai.Nguyen+Shop@Example.COM\n".parse().unwrap();
        assert_eq!(email.as_str(), "mai.nguyen+shop@example.com");
        assert_eq!(email, "mai.nguyen+shop@example.com".parse().unwrap());
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "",
            "   ",
            "mai",
            "@example.com",
            "mai@",
            "mai@@example.com",
            "mai@exam ple.com",
            "mai@-example.com",
            "mai\0@example.com",
            "mai@example.com\r\nbcc: all@example.com",
            "mai@example.com,tom@example.com",
            "Mai <mai@example.com>",
            "Mäi@example.com",
        ] {
            assert_eq!(
                text.parse::<Email>(),
                Err(InvalidEmail::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn an_address_of_254_bytes_is_taken_and_one_of_255_is_not() {
        let address = |first_label: usize| {
            let label = |length| "a".repeat(length);
            format!(
                "{}@{}.{}.{}",
                label(64),
                label(first_label),
                label(63),
                label(63)
            )
        };
        assert_eq!(address(61).len(), MAX_EMAIL_BYTES);
        assert!(address(61).parse::<Email>().is_ok());
        assert_eq!(address(62).parse::<Email>(), Err(InvalidEmail::TooLong));
    }

    #[test]
    fn an_address_is_not_in_debug_output() {
        assert_eq!(
            format!("{:?}", "mai@example.com".parse::<Email>().unwrap()),
            "Email(..)"
        );
    }
}
