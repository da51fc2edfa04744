//! The two status fields of an order: how far its goods are, and how far its money is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far the goods are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Placed, stock reserved, payment not decided.
    Pending,
    /// Paid, nothing shipped.
    Processing,
    /// Some pieces shipped.
    PartlyShipped,
    /// All pieces shipped that are going to be.
    Shipped,
    /// Arrived. Final.
    Delivered,
    /// Called off before anything shipped. Final.
    Cancelled,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::PartlyShipped,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
    ];

    /// The statuses that an order of so many pieces, whose money is that far, can get to next; `cancelling`: it is to be
    /// cancelled once the outcome of its payment is known.
    pub fn next(self, payment: PaymentStatus, pieces: u64, cancelling: bool) -> Vec<Self> {
        match self {
            Self::Pending if cancelling => vec![Self::Cancelled],
            Self::Pending => vec![Self::Processing, Self::Cancelled],
            // what was paid back is not shipped
            Self::Processing if payment == PaymentStatus::Refunded => vec![Self::Cancelled],
            Self::Processing if pieces == 1 => vec![Self::Shipped, Self::Cancelled],
            Self::Processing => vec![Self::PartlyShipped, Self::Shipped, Self::Cancelled],
            Self::PartlyShipped => vec![Self::Shipped],
            Self::Shipped => vec![Self::Delivered],
            Self::Delivered | Self::Cancelled => vec![],
        }
    }

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::PartlyShipped => "partly_shipped",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far the money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing decided yet.
    Awaiting,
    /// All of it was captured.
    Paid,
    /// Declined; may be tried again until the deadline.
    Failed,
    /// No money came, and none is asked for any more. A capture that arrives all the same makes it paid.
    Unpaid,
    /// Some of it was given back.
    PartiallyRefunded,
    /// All of it was given back. Final.
    Refunded,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Awaiting,
        Self::Paid,
        Self::Failed,
        Self::Unpaid,
        Self::PartiallyRefunded,
        Self::Refunded,
    ];

    /// The statuses that the payment of an order of this total, in minor units, can get to next; `cancelling` as for
    /// [`OrderStatus::next`].
    pub fn next(self, total: i64, cancelling: bool) -> Vec<Self> {
        match self {
            Self::Awaiting | Self::Failed if cancelling => vec![Self::Paid, Self::Unpaid],
            Self::Awaiting => vec![Self::Paid, Self::Failed, Self::Unpaid],
            Self::Failed => vec![Self::Awaiting, Self::Paid, Self::Unpaid],
            // money that comes too late is recorded, and given back
            Self::Unpaid => vec![Self::Paid],
            // of nothing nothing can be given back, and of the smallest amount no part
            Self::Paid if total == 0 => vec![],
            Self::Paid if total == 1 => vec![Self::Refunded],
            Self::Paid => vec![Self::PartiallyRefunded, Self::Refunded],
            Self::PartiallyRefunded => vec![Self::Refunded],
            Self::Refunded => vec![],
        }
    }

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Awaiting => "awaiting",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Unpaid => "unpaid",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }
}

impl fmt::Display for PaymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_status_is_named_alike_in_json_and_text() {
        for status in OrderStatus::ALL {
            assert_eq!(
                serde_json::to_string(&status).unwrap(),
                format!("\"{status}\"")
            );
        }
        for status in PaymentStatus::ALL {
            assert_eq!(
                serde_json::to_string(&status).unwrap(),
                format!("\"{status}\"")
            );
        }
    }
}
