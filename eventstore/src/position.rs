//! Where an event stands in the log, and what the end of the log is.
//!
//! A position alone proves nothing: after a failover or a restore the same position may hold another event. What
//! travels (checkpoints, cached heads, clients' tokens) therefore names the event too: a [`Head`].

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Place of an event in the log: 1 for the first, without gaps, in commit order. 0 is "before the first".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub i64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// The position `count` events further on.
    #[must_use]
    pub fn plus(self, count: usize) -> Self {
        Self(self.0 + count as i64)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position together with the event that stands there: proof of a place in one particular history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// The position.
    pub position: Position,
    /// Id of the event at that position; nil at [`Position::START`].
    pub event_id: Uuid,
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Self = Self {
        position: Position::START,
        event_id: Uuid::nil(),
    };
}

/// The opaque token form, as in the headers `Souk-Position` and `Souk-Min-Position`.
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.position.0.to_be_bytes());
        bytes[8..].copy_from_slice(self.event_id.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The text is not a position token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position token")]
pub struct InvalidToken;

impl FromStr for Head {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken)?;
        let bytes: [u8; 24] = bytes.try_into().map_err(|_| InvalidToken)?;
        let (position, event_id) = bytes.split_at(8);
        let position = i64::from_be_bytes(position.try_into().map_err(|_| InvalidToken)?);
        let event_id = Uuid::from_slice(event_id).map_err(|_| InvalidToken)?;
        if position < 0 || (position == 0) != event_id.is_nil() {
            return Err(InvalidToken);
        }
        Ok(Self {
            position: Position(position),
            event_id,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_reads_back_as_the_head_it_names() {
        let head = Head {
            position: Position(42),
            event_id: Uuid::from_u128(7),
        };
        assert_eq!(head.to_string().parse::<Head>(), Ok(head));
        assert_eq!(Head::EMPTY.to_string().parse::<Head>(), Ok(Head::EMPTY));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "42", "AAAA", "%%%", &"A".repeat(500)] {
            assert_eq!(text.parse::<Head>(), Err(InvalidToken), "{text}");
        }
        let negative = Head {
            position: Position(-1),
            event_id: Uuid::from_u128(7),
        };
        assert_eq!(negative.to_string().parse::<Head>(), Err(InvalidToken));
    }
}
