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
