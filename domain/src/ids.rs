//! Identities: one newtype over [`Uuid`] per kind of thing, so that an order's id never lands where a product's
//! belongs. Ids are made outside (v7) and come in with commands; ids of what follows from an order are derived
//! from it (v5), so that whoever repeats a step names the same thing again.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Namespace of all derived ids (RFC 9562, version 5). A stored id depends on it: it never changes.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x5a3d_9c1e_7b42_4f0a_9e6d_20c5_81f3_b764);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The plain uuid.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )+};
}

ids! {
    /// A region: a market with its own products, currency and tax.
    RegionId,
    /// A product. Its inventory's stream has the same id.
    ProductId,
    /// A category of products.
    CategoryId,
    /// A seller's shop.
    ShopId,
    /// A discount.
    DiscountId,
    /// The record of what one customer has used of one discount, see [`RedemptionsId::of`].
    RedemptionsId,
    /// The discounts that the market, or a shop, gives in a region without a code, see [`AutomaticDiscountsId::of`].
    AutomaticDiscountsId,
    /// The cart of a customer in a region, see [`CartId::of`].
    CartId,
    /// An order.
    OrderId,
    /// The payment of an order, see [`PaymentId::of`].
    PaymentId,
    /// A refund, whole or partial, see [`RefundId::of`].
    RefundId,
    /// A shipment of some lines of an order; makes shipping repeatable.
    ShipmentId,
    /// A user of any role.
    UserId,
    /// One change of stock, so that a repeated request changes it once.
    OperationId,
}

/// The uuid v5 of `kind:of:detail` in [`NAMESPACE`].
fn derived(kind: &str, of: impl fmt::Display, detail: impl fmt::Display) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{kind}:{of}:{detail}").as_bytes())
}

impl RedemptionsId {
    /// The one record of that discount and that customer.
    pub fn of(discount: DiscountId, customer: UserId) -> Self {
        Self(derived("redemptions", discount, customer))
    }
}

impl AutomaticDiscountsId {
    /// The one list of that shop in that region; the market's where there is none.
    pub fn of(region: RegionId, shop: Option<ShopId>) -> Self {
        let shop = shop.map(|shop| shop.to_string()).unwrap_or_default();
        Self(derived("automatic-discounts", region, shop))
    }
}

impl CartId {
    /// The one cart of that customer in that region.
    pub fn of(customer: UserId, region: RegionId) -> Self {
        Self(derived("cart", customer, region))
    }
}

impl PaymentId {
    /// The one payment of an order: every attempt is made under this id.
    pub fn of(order: OrderId) -> Self {
        Self(derived("payment", order, ""))
    }
}

impl RefundId {
    /// The refund that `reason` (for instance `cancelled`) leads to: one per order and reason.
    pub fn of(order: OrderId, reason: &str) -> Self {
        Self(derived("refund", order, reason))
    }
}

impl OperationId {
    /// The change of stock that `reason` (for instance `cancelled`) leads to: one per order and reason.
    pub fn of(order: OrderId, reason: &str) -> Self {
        Self(derived("operation", order, reason))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const ORDER: OrderId = OrderId(Uuid::from_u128(7));

    #[test]
    fn derived_ids_are_stable_and_apart() {
        // frozen: these ids are stored
        assert_eq!(PaymentId::of(ORDER), PaymentId::of(ORDER));
        assert_eq!(
            PaymentId::of(ORDER).to_string(),
            "041078ca-8242-5798-8680-e7fd886f0a1e"
        );
        assert_eq!(PaymentId::of(ORDER).0.get_version_num(), 5);
        assert_ne!(
            PaymentId::of(ORDER),
            PaymentId::of(OrderId(Uuid::from_u128(8)))
        );
        let (discount, customer) = (DiscountId(ORDER.0), UserId(Uuid::from_u128(8)));
        assert_eq!(
            RedemptionsId::of(discount, customer).to_string(),
            "bbb86c54-be04-5dd2-b3ba-200451d16872"
        );
        assert_eq!(
            CartId::of(customer, RegionId(ORDER.0)).to_string(),
            "3eec2ba6-4550-542f-a91c-d9477caabbb6"
        );
        assert_ne!(
            RefundId::of(ORDER, "cancelled"),
            RefundId::of(ORDER, "returned")
        );
        assert_ne!(
            RefundId::of(ORDER, "cancelled").0,
            OperationId::of(ORDER, "cancelled").0
        );
    }

    #[test]
    fn an_id_is_a_plain_string_in_json_and_text() {
        let text = "00000000-0000-0000-0000-000000000007";
        assert_eq!(
            serde_json::to_string(&ORDER).unwrap(),
            format!("\"{text}\"")
        );
        assert_eq!(
            serde_json::from_str::<OrderId>(&format!("\"{text}\"")).unwrap(),
            ORDER
        );
        assert_eq!(text.parse::<OrderId>().unwrap(), ORDER);
        assert_eq!(ORDER.to_string(), text);
        assert!("7".parse::<OrderId>().is_err());
    }
}
