//! What may be done, and the one table of which role may do it. A handler asks a [`Principal`] for a [`Permission`];
//! nothing else in Souk decides by role. Whether a thing is one's own is the handler's to check.

use domain::ids::UserId;

use crate::roles::{Role, Roles};

/// Something that not everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read the orders that one placed, with their payments.
    ReadOwnOrders,
    /// Place an order in one's own name.
    PlaceOrder,
    /// Cancel an order that one placed.
    CancelOwnOrder,
    /// Read anybody's orders, with name and address.
    ReadAnyOrder,
    /// Cancel anybody's orders.
    CancelAnyOrder,
    /// Open, change, disable and enable regions.
    ManageRegions,
    /// Create, change and delete products that belong to no shop.
    ManageProducts,
    /// Create a product by the simple client contract (`POST /api/products`), which serves sellers too.
    CreateContractProduct,
    /// Receive, adjust and set stock.
    AdjustStock,
    /// Read anybody's payments.
    ReadPayments,
    /// Read the event log; personal data in it stays sealed.
    ReadHistory,
    /// Read personal data in the event log.
    ReadPersonalDataInHistory,
    /// See how the server runs: subscriptions, parked keys, readiness in detail.
    ReadOperations,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 13] = [
        Self::ReadOwnOrders,
        Self::PlaceOrder,
        Self::CancelOwnOrder,
        Self::ReadAnyOrder,
        Self::CancelAnyOrder,
        Self::ManageRegions,
        Self::ManageProducts,
        Self::CreateContractProduct,
        Self::AdjustStock,
        Self::ReadPayments,
        Self::ReadHistory,
        Self::ReadPersonalDataInHistory,
        Self::ReadOperations,
    ];
}

impl Role {
    /// The table: what each role may do. A person may do what any of their roles may.
    ///
    /// - An admin runs the shop but buys nothing; who does both has both roles.
    /// - A seller creates products by the simple client contract, which demands it. Products without a shop are
    ///   otherwise the admins' alone.
    /// - An analyst reads the whole history, but sees no personal data there or anywhere else.
    pub const fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::Customer => &[P::ReadOwnOrders, P::PlaceOrder, P::CancelOwnOrder],
            Self::Seller => &[P::CreateContractProduct],
            Self::Admin => &[
                P::ReadAnyOrder,
                P::CancelAnyOrder,
                P::ManageRegions,
                P::ManageProducts,
                P::CreateContractProduct,
                P::AdjustStock,
                P::ReadPayments,
                P::ReadHistory,
                P::ReadPersonalDataInHistory,
                P::ReadOperations,
            ],
            Self::Analyst => &[P::ReadHistory],
        }
    }
}

/// Who makes a request: the outcome of verifying an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user_id: UserId,
    /// The roles they had when the token was signed.
    pub roles: Roles,
}

impl Principal {
    /// Whether one of the roles allows it.
    pub fn can(&self, permission: Permission) -> bool {
        self.roles
            .iter()
            .any(|role| role.permissions().contains(&permission))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Permission as P, *};

    /// One row per permission: customer, seller, admin, analyst.
    const EXPECTED: [(P, [bool; 4]); 13] = {
        const Y: bool = true;
        const N: bool = false;
        [
            (P::ReadOwnOrders, [Y, N, N, N]),
            (P::PlaceOrder, [Y, N, N, N]),
            (P::CancelOwnOrder, [Y, N, N, N]),
            (P::ReadAnyOrder, [N, N, Y, N]),
            (P::CancelAnyOrder, [N, N, Y, N]),
            (P::ManageRegions, [N, N, Y, N]),
            (P::ManageProducts, [N, N, Y, N]),
            (P::CreateContractProduct, [N, Y, Y, N]),
            (P::AdjustStock, [N, N, Y, N]),
            (P::ReadPayments, [N, N, Y, N]),
            (P::ReadHistory, [N, N, Y, Y]),
            (P::ReadPersonalDataInHistory, [N, N, Y, N]),
            (P::ReadOperations, [N, N, Y, N]),
        ]
    };

    fn principal(roles: Roles) -> Principal {
        Principal {
            user_id: UserId::from(Uuid::nil()),
            roles,
        }
    }

    #[test]
    fn every_role_may_do_exactly_what_the_table_says() {
        assert_eq!(EXPECTED.map(|(permission, _)| permission), P::ALL);
        for (permission, row) in EXPECTED {
            for (role, expected) in [Role::Customer, Role::Seller, Role::Admin, Role::Analyst]
                .into_iter()
                .zip(row)
            {
                assert_eq!(
                    principal(role.into()).can(permission),
                    expected,
                    "{role} {permission:?}"
                );
            }
        }
    }

    #[test]
    fn a_person_may_do_what_any_of_their_roles_may() {
        for bits in 0..16_u8 {
            let roles: Roles = Role::ALL
                .into_iter()
                .enumerate()
                .filter(|(i, _)| bits >> i & 1 == 1)
                .map(|(_, role)| role)
                .collect();
            for (permission, row) in EXPECTED {
                let expected = (0..4).any(|i| bits >> i & 1 == 1 && row[i]);
                assert_eq!(
                    principal(roles).can(permission),
                    expected,
                    "{roles:?} {permission:?}"
                );
            }
        }
    }

    #[test]
    fn without_a_role_nothing_is_allowed() {
        assert!(
            P::ALL
                .into_iter()
                .all(|permission| !principal(Roles::NONE).can(permission))
        );
    }
}
