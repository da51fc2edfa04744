//! A new password, parsed: of a length that bcrypt can take whole, without the one character that would weaken it.
//! Never printed. Used at the edge (registration) and by [`crate::hashing`].

use std::{fmt, str::FromStr};

use unicode_normalization::UnicodeNormalization;

/// Fewest characters of a password (NIST SP 800-63B, 5.1.1.2, which counts code points).
pub const MIN_PASSWORD_CHARS: usize = 8;
/// Most bytes of a password: bcrypt reads no more, and what it would silently cut off must not count as secret.
pub const MAX_PASSWORD_BYTES: usize = 72;

/// A password of [`MIN_PASSWORD_CHARS`] characters or more and at most [`MAX_PASSWORD_BYTES`] bytes of UTF-8, blanks and
/// all, in Unicode's form NFC (as in RFC 8265): keyboards spell an ế as one character or as three, and both are one
/// password. Both lengths are those of this form. Never a prefix of what was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for Password {
    type Err = InvalidPassword;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text: String = text.nfc().collect();
        if text.chars().count() < MIN_PASSWORD_CHARS {
            return Err(InvalidPassword::TooShort);
        }
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(InvalidPassword::TooLong { bytes: text.len() });
        }
        // bcrypt ends the password with NUL and repeats it, so that `x` and `x\0x` would open the same account
        if text.contains('\0') {
            return Err(InvalidPassword::Nul);
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why a text cannot be a password. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Fewer than [`MIN_PASSWORD_CHARS`].
    #[error("a password has at least {MIN_PASSWORD_CHARS} characters")]
    TooShort,
    /// More than [`MAX_PASSWORD_BYTES`]; it is refused, never truncated.
    #[error(
        "a password has at most {MAX_PASSWORD_BYTES} bytes, this one has {bytes} (a letter such as é or ế takes two or three)"
    )]
    TooLong {
        /// How many it had.
        bytes: usize,
    },
    /// It holds the character NUL.
    #[error("a password cannot contain the character NUL")]
    Nul,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn characters_are_counted_for_the_least_and_bytes_for_the_most_and_both_ends_are_taken() {
        for short in ["1234567", "ế".repeat(7).as_str(), "🦊🦊"] {
            assert_eq!(short.parse::<Password>(), Err(InvalidPassword::TooShort));
        }
        assert!("12345678".parse::<Password>().is_ok());
        assert!("🦊".repeat(8).parse::<Password>().is_ok());
        assert!("x".repeat(72).parse::<Password>().is_ok());
        assert_eq!(
            "x".repeat(73).parse::<Password>(),
            Err(InvalidPassword::TooLong { bytes: 73 })
        );
        assert!(
            "ế".repeat(24).parse::<Password>().is_ok(),
            "24 letters of 3 bytes"
        );
        assert_eq!(
            "ế".repeat(25).parse::<Password>(),
            Err(InvalidPassword::TooLong { bytes: 75 })
        );
    }

    #[test]
    fn one_password_in_two_spellings_is_one_and_is_measured_as_one() {
        let (composed, decomposed) = (
            "m\u{1ead}t kh\u{1ea9}u",
            "ma\u{323}\u{302}t kha\u{302}\u{309}u",
        );
        assert_ne!(composed, decomposed);
        assert_eq!(
            composed.parse::<Password>().unwrap(),
            decomposed.parse::<Password>().unwrap()
        );
        let letter = "e\u{302}\u{301}"; // an ế of 5 bytes
        assert!(letter.repeat(24).parse::<Password>().is_ok());
        assert_eq!(
            letter.repeat(25).parse::<Password>(),
            Err(InvalidPassword::TooLong { bytes: 75 })
        );
        assert_eq!(
            letter.repeat(7).parse::<Password>(),
            Err(InvalidPassword::TooShort)
        );
    }

    #[test]
    fn blanks_count_and_nul_is_refused() {
        assert_ne!(
            "  secret  ".parse::<Password>(),
            "secret    ".parse::<Password>()
        );
        assert_eq!(
            "abcdefgh\0abcdefgh".parse::<Password>(),
            Err(InvalidPassword::Nul)
        );
    }

    #[test]
    fn a_password_is_not_in_debug_output() {
        assert_eq!(
            format!("{:?}", "souk-demo".parse::<Password>().unwrap()),
            "Password(..)"
        );
    }

    #[test]
    fn the_refusal_of_a_long_password_says_why() {
        assert_eq!(
            InvalidPassword::TooLong { bytes: 75 }.to_string(),
            "a password has at most 72 bytes, this one has 75 (a letter such as é or ế takes two or three)"
        );
    }
}
