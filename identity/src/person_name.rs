//! The name of a person, parsed. Any script, any order of names; only what no name holds is refused. Used at the edge
//! (registration, profile) and by [`crate::users`].

use std::{fmt, str::FromStr};

/// Most characters (Unicode scalar values) of a name.
pub const MAX_NAME_CHARS: usize = 200;

/// A name of 1 to [`MAX_NAME_CHARS`] characters, without control characters and without surrounding blanks.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = InvalidPersonName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidPersonName::Empty);
        }
        if text.chars().nth(MAX_NAME_CHARS).is_some() {
            return Err(InvalidPersonName::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPersonName::ControlCharacter);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(..)") // personal: not for logs
    }
}

/// Why a text is not a person's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPersonName {
    /// Nothing but blanks.
    #[error("a name cannot be empty")]
    Empty,
    /// More than [`MAX_NAME_CHARS`].
    #[error("a name has at most {MAX_NAME_CHARS} characters")]
    TooLong,
    /// A line break, NUL or the like.
    #[error("a name cannot contain control characters")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_every_script_are_taken_as_they_are() {
        for name in [
            "Nguyễn Thị Mai",
            "李小龍",
            "محمد علي",
            "O’Brien-Smith, Jr.",
            "🦊",
            "X",
        ] {
            assert_eq!(name.parse::<PersonName>().unwrap().as_str(), name);
        }
        assert_eq!("  Mai  ".parse::<PersonName>().unwrap().as_str(), "Mai");
    }

    #[test]
    fn the_length_is_counted_in_characters() {
        assert!("ế".repeat(200).parse::<PersonName>().is_ok());
        assert_eq!(
            "ế".repeat(201).parse::<PersonName>(),
            Err(InvalidPersonName::TooLong)
        );
    }

    #[test]
    fn empty_names_and_control_characters_are_refused() {
        assert_eq!("".parse::<PersonName>(), Err(InvalidPersonName::Empty));
        assert_eq!(" \t\n".parse::<PersonName>(), Err(InvalidPersonName::Empty));
        for name in [
            "Mai\0",
            "Mai\r\nbcc: all",
            "M\u{1b}[31mai",
            "Mai\u{85}Nguyen",
        ] {
            assert_eq!(
                name.parse::<PersonName>(),
                Err(InvalidPersonName::ControlCharacter),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_name_is_not_in_debug_output() {
        assert_eq!(
            format!("{:?}", "Mai".parse::<PersonName>().unwrap()),
            "PersonName(..)"
        );
    }
}
