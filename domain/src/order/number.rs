//! The number of an order, as people say it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Apart from the order's id, which is for programs: digits only, counted up. Numbers are never given twice; some are never
/// given, and a later order may have a smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderNumber(pub i64);

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
