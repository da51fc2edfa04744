//! What a client remembers of what it was told: the other side of the ledger that the checks compare the log with.

use std::collections::BTreeMap;

/// An order that somebody wishes to place, under a key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Idempotency key.
    pub(crate) key: String,
    /// Product and pieces; a product once.
    pub(crate) items: Vec<(String, u64)>,
    /// Payment method.
    pub(crate) method: &'static str,
}

/// An order that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// What was wished for.
    pub(crate) wish: Wish,
    /// Its id, as it was told.
    pub(crate) order: String,
    /// Whether a cancellation was acknowledged.
    pub(crate) cancelled: bool,
    /// Whether a cancellation may have been done: acknowledged, or asked for without a clear answer.
    pub(crate) cancel_asked: bool,
}

/// A change of stock, under a key of its own.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Idempotency key.
    pub(crate) key: String,
    /// Of which product.
    pub(crate) product: String,
    /// By how many pieces: a receipt, or a correction where `correction` is set.
    pub(crate) pieces: i64,
    /// Whether it is a correction.
    pub(crate) correction: bool,
}

/// What one client did and was told.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Acknowledged orders.
    pub(crate) placed: Vec<Placed>,
    /// Orders that were refused for want of stock.
    pub(crate) refused: Vec<Wish>,
    /// Orders whose fate was not known when the client was asked to stop.
    pub(crate) open: Vec<Wish>,
    /// Acknowledged changes of stock.
    pub(crate) changed: Vec<Change>,
    /// Changes of stock whose fate was not known when the client was asked to stop.
    pub(crate) changing: Vec<Change>,
    /// How often each answer was heard, such as `503 unavailable`; `nothing` where a connection broke.
    pub(crate) tally: BTreeMap<String, u64>,
    /// The longest wait for an answer, in milliseconds.
    pub(crate) longest_ms: u128,
}

impl Record {
    /// Both, as one.
    pub(crate) fn joined(mut self, other: Self) -> Self {
        self.placed.extend(other.placed);
        self.refused.extend(other.refused);
        self.open.extend(other.open);
        self.changed.extend(other.changed);
        self.changing.extend(other.changing);
        for (answer, count) in other.tally {
            *self.tally.entry(answer).or_default() += count;
        }
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self
    }
}
