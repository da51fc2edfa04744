//! What may be done, and the one table of which role may do it. A handler asks a [`Principal`] for a [`Permission`];
//! nothing else in Souk decides by role. Whether a thing is one's own is the handler's to check.

use std::{fmt, str::FromStr};

use domain::ids::UserId;
use uuid::Uuid;

use crate::roles::{Role, Roles};

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Something that not everybody may do. Its name is also the scope of an API key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Permission {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in scopes and in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

permissions! {
    /// Read the orders that one placed, with their payments.
    ReadOwnOrders = "read_own_orders",
    /// Place an order in one's own name.
    PlaceOrder = "place_order",
    /// Cancel an order that one placed.
    CancelOwnOrder = "cancel_own_order",
    /// Change an order that one placed: name, address and items; and delete it, which cancels it where it still can be.
    ChangeOwnOrder = "change_own_order",
    /// Read anybody's orders, with name and address.
    ReadAnyOrder = "read_any_order",
    /// Cancel anybody's orders.
    CancelAnyOrder = "cancel_any_order",
    /// Change and delete anybody's orders.
    ChangeAnyOrder = "change_any_order",
    /// Read the orders that hold things of one's own shops: these lines, and where a paid order goes.
    ReadOwnShopOrders = "read_own_shop_orders",
    /// Ship the lines of one's own shops, and say that orders that hold nothing else arrived.
    ShipOwnShopOrders = "ship_own_shop_orders",
    /// Ship anybody's orders, and say that they arrived.
    ShipAnyOrder = "ship_any_order",
    /// Open, change, disable and enable regions.
    ManageRegions = "manage_regions",
    /// Make, rename and delete categories.
    ManageCategories = "manage_categories",
    /// Open a shop in one's own name, or ask for it, and change or give up what one asked for.
    OpenShop = "open_shop",
    /// Change and close one's own shops, and manage their products, stock and discounts.
    ManageOwnShop = "manage_own_shop",
    /// Approve, change and close anybody's shop, and see those that are not open.
    ManageShops = "manage_shops",
    /// Create, change and delete any product, of whatever shop or of none.
    ManageProducts = "manage_products",
    /// See, make, change and delete any discount, of whatever shop or of none.
    ManageDiscounts = "manage_discounts",
    /// Create a product by the simple client contract (`POST /api/products`), which serves sellers too.
    CreateContractProduct = "create_contract_product",
    /// Receive, adjust and set the stock of any product.
    AdjustStock = "adjust_stock",
    /// Read anybody's payments.
    ReadPayments = "read_payments",
    /// Read the event log; personal data in it stays sealed.
    ReadHistory = "read_history",
    /// Read personal data in the event log.
    ReadPersonalDataInHistory = "read_personal_data_in_history",
    /// See how the server runs: subscriptions, parked keys, readiness in detail.
    ReadOperations = "read_operations",
    /// Create, read, change and delete anybody's account, grant and revoke roles.
    ManageUsers = "manage_users",
    /// Read the mails that were not sent because no mail server is configured.
    ReadOutbox = "read_outbox",
}

impl Permission {
    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.iter().copied();
        all.find(|permission| permission.as_str() == text)
            .ok_or(UnknownPermission)
    }
}

/// The text names no permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such permission")]
pub struct UnknownPermission;

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u64);

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether the permission is in the set.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of this set is in the other one.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The permissions of the set, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let mut all = Permission::ALL.iter().copied();
        std::iter::from_fn(move || all.find(|permission| self.contains(*permission)))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |bits, permission| bits | permission.bit()),
        )
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Role {
    /// The table: what each role may do. A person may do what any of their roles may.
    ///
    /// - An admin runs the shop but buys nothing; who does both has both roles.
    /// - A seller manages their own shops, and creates products by the simple client contract, which demands it.
    ///   Products without a shop are the admins' alone.
    /// - Whoever opens a shop is a customer, who becomes a seller by it.
    /// - An analyst reads the whole history, but sees no personal data there or anywhere else.
    pub const fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::Customer => &[
                P::ReadOwnOrders,
                P::PlaceOrder,
                P::CancelOwnOrder,
                P::ChangeOwnOrder,
                P::OpenShop,
            ],
            Self::Seller => &[
                P::ReadOwnShopOrders,
                P::ShipOwnShopOrders,
                P::ManageOwnShop,
                P::CreateContractProduct,
            ],
            Self::Admin => &[
                P::ReadAnyOrder,
                P::CancelAnyOrder,
                P::ChangeAnyOrder,
                P::ShipAnyOrder,
                P::ManageRegions,
                P::ManageCategories,
                P::ManageShops,
                P::ManageProducts,
                P::ManageDiscounts,
                P::CreateContractProduct,
                P::AdjustStock,
                P::ReadPayments,
                P::ReadHistory,
                P::ReadPersonalDataInHistory,
                P::ReadOperations,
                P::ManageUsers,
                P::ReadOutbox,
            ],
            Self::Analyst => &[P::ReadHistory],
        }
    }
}

impl Roles {
    /// What somebody of these roles may do.
    pub fn permissions(self) -> Permissions {
        self.iter().flat_map(Role::permissions).copied().collect()
    }
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// An access token of that session.
    Session(Uuid),
    /// An access token of the simple client contract, which has no sessions.
    Contract,
    /// That API key.
    ApiKey(Uuid),
}

/// Who makes a request, and what they may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user_id: UserId,
    /// What they may do: what their roles allow, and of that no more than the scopes of their API key.
    pub permissions: Permissions,
    /// Whether mail to the address that they log in with is known to reach them.
    pub verified: bool,
    /// How they proved who they are.
    pub means: Means,
}

impl Principal {
    /// Whether they may do it.
    pub const fn can(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Permission as P, *};

    /// One row per permission: customer, seller, admin, analyst.
    const EXPECTED: [(P, [bool; 4]); 25] = {
        const Y: bool = true;
        const N: bool = false;
        [
            (P::ReadOwnOrders, [Y, N, N, N]),
            (P::PlaceOrder, [Y, N, N, N]),
            (P::CancelOwnOrder, [Y, N, N, N]),
            (P::ChangeOwnOrder, [Y, N, N, N]),
            (P::ReadAnyOrder, [N, N, Y, N]),
            (P::CancelAnyOrder, [N, N, Y, N]),
            (P::ChangeAnyOrder, [N, N, Y, N]),
            (P::ReadOwnShopOrders, [N, Y, N, N]),
            (P::ShipOwnShopOrders, [N, Y, N, N]),
            (P::ShipAnyOrder, [N, N, Y, N]),
            (P::ManageRegions, [N, N, Y, N]),
            (P::ManageCategories, [N, N, Y, N]),
            (P::OpenShop, [Y, N, N, N]),
            (P::ManageOwnShop, [N, Y, N, N]),
            (P::ManageShops, [N, N, Y, N]),
            (P::ManageProducts, [N, N, Y, N]),
            (P::ManageDiscounts, [N, N, Y, N]),
            (P::CreateContractProduct, [N, Y, Y, N]),
            (P::AdjustStock, [N, N, Y, N]),
            (P::ReadPayments, [N, N, Y, N]),
            (P::ReadHistory, [N, N, Y, Y]),
            (P::ReadPersonalDataInHistory, [N, N, Y, N]),
            (P::ReadOperations, [N, N, Y, N]),
            (P::ManageUsers, [N, N, Y, N]),
            (P::ReadOutbox, [N, N, Y, N]),
        ]
    };

    fn principal(roles: Roles) -> Principal {
        Principal {
            user_id: UserId::from(Uuid::nil()),
            permissions: roles.permissions(),
            verified: false,
            means: Means::Contract,
        }
    }

    #[test]
    fn every_role_may_do_exactly_what_the_table_says() {
        assert_eq!(EXPECTED.map(|(permission, _)| permission), *P::ALL);
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
        let nobody = principal(Roles::NONE);
        assert!(P::ALL.iter().all(|permission| !nobody.can(*permission)));
    }

    #[test]
    fn a_permission_has_a_name_of_its_own_that_reads_back() {
        for permission in P::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
        }
        assert_eq!("manage".parse::<P>(), Err(UnknownPermission));
        assert!(P::ALL.len() <= 64, "a set of them is 64 bits");
    }

    #[test]
    fn a_set_of_permissions_is_cut_down_by_another() {
        let both: Permissions = [P::PlaceOrder, P::ReadHistory].into_iter().collect();
        let one = Permissions::from_iter([P::ReadHistory]);
        assert_eq!(both.and(one), one);
        assert!(one.is_within(both) && !both.is_within(one) && Permissions::NONE.is_within(one));
        assert!(both.iter().eq([P::PlaceOrder, P::ReadHistory]));
    }
}
