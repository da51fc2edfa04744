//! Personal values in events: already encrypted when they get here, and never opened here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An encrypted personal value (a name, an address). The event store seals it before a decision and opens it when
/// somebody with the right to reads it; between the two it is only carried. Its `Debug` shows nothing, so that
/// neither logs nor failing tests print it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Wraps what the event store has sealed.
    pub fn new(ciphertext: impl Into<String>) -> Self {
        Self(ciphertext.into())
    }

    /// The sealed text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was sealed: an empty text stays empty, since decisions depend on whether there is one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        assert_eq!(format!("{:?}", Sealed::new("secret")), "Sealed(..)");
    }
}
