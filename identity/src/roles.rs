//! The roles a person can have, and sets of them: one person can be customer and admin at once. What a role may do is
//! in [`crate::permissions`] alone. Stored in `users.roles`, carried in access tokens.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a person is to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Buys.
    Customer,
    /// Sells products.
    Seller,
    /// Runs the shop.
    Admin,
    /// Replays the history.
    Analyst,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Customer, Self::Seller, Self::Admin, Self::Analyst];

    /// Its name in the database, in tokens and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Seller => "seller",
            Self::Admin => "admin",
            Self::Analyst => "analyst",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such role: the roles are customer, seller, admin and analyst")]
pub struct UnknownRole;

/// A set of roles; may be empty, and then allows nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);

    /// This set and one role more.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    /// Whether the role is in the set.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// The roles of the set, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL
            .into_iter()
            .filter(move |role| self.contains(*role))
    }

    /// The roles by name. A name that this binary does not know, because a newer one wrote it, grants nothing here.
    pub(crate) fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names
            .into_iter()
            .filter_map(|name| name.parse().ok())
            .collect()
    }

    /// The one role that the simple client contract shows: `user` for a customer, otherwise the strongest of
    /// `admin`, `seller` and `analyst`.
    pub fn strongest_for_contract(self) -> &'static str {
        [Role::Admin, Role::Seller, Role::Analyst]
            .into_iter()
            .find(|role| self.contains(*role))
            .map_or("user", Role::as_str)
    }
}

impl From<Role> for Roles {
    fn from(role: Role) -> Self {
        Self::NONE.with(role)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// A list of names. A name that this binary does not know grants nothing: this is how tokens are read. A request that
/// grants roles is read as a list of [`Role`], which refuses such a name.
impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> de::Visitor<'de> for Names {
            type Value = Roles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of role names")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<Roles, A::Error> {
                let mut roles = Roles::NONE;
                while let Some(name) = names.next_element::<String>()? {
                    roles = name.parse().map_or(roles, |role| roles.with(role));
                }
                Ok(roles)
            }
        }
        deserializer.deserialize_seq(Names)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let both = Roles::from(Role::Customer)
            .with(Role::Admin)
            .with(Role::Admin);
        assert!(both.contains(Role::Customer) && both.contains(Role::Admin));
        assert!(!both.contains(Role::Seller) && !both.contains(Role::Analyst));
        assert_eq!(
            both.iter().collect::<Vec<_>>(),
            [Role::Customer, Role::Admin]
        );
        assert_eq!(Role::ALL.into_iter().collect::<Roles>().iter().count(), 4);
        assert_eq!(Roles::NONE.iter().count(), 0);
    }

    #[test]
    fn the_contract_shows_user_for_a_customer_and_else_the_strongest_role() {
        let roles = |roles: &[Role]| {
            roles
                .iter()
                .copied()
                .collect::<Roles>()
                .strongest_for_contract()
        };
        assert_eq!(roles(&[]), "user");
        assert_eq!(roles(&[Role::Customer]), "user");
        assert_eq!(roles(&[Role::Customer, Role::Analyst]), "analyst");
        assert_eq!(roles(&[Role::Analyst, Role::Seller]), "seller");
        assert_eq!(roles(&[Role::Customer, Role::Seller]), "seller");
        assert_eq!(roles(&[Role::Customer, Role::Admin]), "admin");
        assert_eq!(roles(&Role::ALL), "admin");
    }

    #[test]
    fn roles_are_a_list_of_names_in_json() {
        let both = Roles::from(Role::Admin).with(Role::Customer);
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(json, r#"["customer","admin"]"#);
        assert_eq!(serde_json::from_str::<Roles>(&json).unwrap(), both);
        assert!(serde_json::from_str::<Roles>(r#""admin""#).is_err());
        assert!(serde_json::from_str::<Roles>("[1]").is_err());
    }

    #[test]
    fn a_role_of_a_newer_version_grants_nothing() {
        assert_eq!(
            serde_json::from_str::<Roles>(r#"["auditor","customer"]"#).unwrap(),
            Role::Customer.into()
        );
        assert_eq!(Roles::from_names(["auditor"]), Roles::NONE);
        assert_eq!("auditor".parse::<Role>(), Err(UnknownRole));
        assert!(serde_json::from_str::<Role>(r#""auditor""#).is_err());
    }

    #[test]
    fn every_role_is_called_the_same_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
    }
}
