//! Who makes a request, and whether they may: stated by the handler's arguments.
//!
//! `Allowed<PlaceOrder>` means: a valid access token, and a role that may place orders. Without a token the answer is
//! 401, without the permission 403. What counts are the roles that the person has now, give or take two seconds.
//!
//! An API key does what its scopes name and nothing else. What needs no permission but somebody who is logged in, and
//! what could make a key grant more than it does (passwords, roles, accounts, other keys), is done in person.

use std::marker::PhantomData;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use domain::ids::UserId;
use identity::{AuthenticateError, Identity, Means, Permission, Principal};

use crate::{
    error::ApiError,
    problem::{Kind, Problem},
};

/// What a handler demands: any of these permissions.
pub trait Policy: Send + Sync + 'static {
    /// One of them is enough; none demands but a valid token.
    const ANY_OF: &'static [Permission];
    /// Whether it is done with an access token only, never with an API key.
    const IN_PERSON: bool = false;
}

macro_rules! policies {
    (@) => { false };
    (@ in_person) => { true };
    ($($(#[$doc:meta])* $name:ident = [$($permission:ident),*] $($how:ident)?;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Policy for $name {
            const ANY_OF: &'static [Permission] = &[$(Permission::$permission),*];
            const IN_PERSON: bool = policies!(@ $($how)?);
        }
    )+};
}

policies! {
    /// Whoever is logged in.
    SignedIn = [] in_person;
    /// Place an order in one's own name.
    PlaceOrder = [PlaceOrder];
    /// Read one's own orders, or all.
    ReadOrders = [ReadOwnOrders, ReadAnyOrder];
    /// Cancel one's own orders, or any.
    CancelOrders = [CancelOwnOrder, CancelAnyOrder];
    /// Change and delete one's own orders, or any.
    ChangeOrders = [ChangeOwnOrder, ChangeAnyOrder];
    /// Ship the lines of one's own shops, or any.
    ShipOrders = [ShipOwnShopOrders, ShipAnyOrder];
    /// Read what of orders is one's own shops', or any.
    ReadShopOrders = [ReadOwnShopOrders, ReadAnyOrder];
    /// Read the story of one's own orders, or of any.
    ReadTimelines = [ReadOwnOrders, ReadAnyOrder, ReadHistory];
    /// Open, change, enable and disable regions.
    ManageRegions = [ManageRegions];
    /// Make, rename and delete categories.
    ManageCategories = [ManageCategories];
    /// Open a shop, or ask for it.
    OpenShop = [OpenShop];
    /// Change and close one's own shops, or any; whoever waits for approval is no seller yet.
    ManageShop = [OpenShop, ManageOwnShop, ManageShops];
    /// Approve of shops.
    ApproveShops = [ManageShops];
    /// Create, change and delete the products of one's own shops, or any.
    ManageProducts = [ManageOwnShop, ManageProducts];
    /// See, make, change and delete the discounts of one's own shops, or any.
    ManageDiscounts = [ManageOwnShop, ManageDiscounts];
    /// Create a product by the simple client contract.
    CreateContractProduct = [CreateContractProduct];
    /// Receive, adjust and set the stock of products of one's own shops, or of any.
    AdjustStock = [ManageOwnShop, AdjustStock];
    /// Read one's own payments, or all.
    ReadPayments = [ReadOwnOrders, ReadPayments];
    /// Read the event log.
    ReadHistory = [ReadHistory];
    /// Create, change and delete anybody's account, grant and revoke roles: what gives access is given in person.
    ManageUsers = [ManageUsers] in_person;
    /// Read anybody's account.
    ReadUsers = [ManageUsers];
    /// See how the server runs.
    ReadOperations = [ReadOperations];
    /// Read the mails that were written: without a mail server they hold codes, and codes give access.
    ReadOutbox = [ReadOutbox] in_person;
}

/// Somebody who may do what `P` demands.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<P> {
    /// Who.
    pub principal: Principal,
    policy: PhantomData<P>,
}

impl<P> std::ops::Deref for Allowed<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<P> Allowed<P> {
    /// Whether what belongs to `owner` may be seen: it is one's own, or one may see `all`.
    pub fn may_see(&self, all: Permission, owner: UserId) -> bool {
        self.principal.user_id == owner || self.principal.can(all)
    }

    /// Whether an order of that customer may be read, with name and address: it is one's own and one may read those, or
    /// one may read any. Who changes orders need not be one of these: an API key may be good for that alone.
    pub fn may_read_order_of(&self, customer: UserId) -> bool {
        let own = self.principal.user_id == customer;
        self.principal.can(Permission::ReadAnyOrder)
            || own && self.principal.can(Permission::ReadOwnOrders)
    }

    /// Whose things are listed: everybody's or those of the one who is asked for, where one may see `all`; otherwise
    /// one's own.
    pub fn whose(
        &self,
        all: Permission,
        asked: Option<UserId>,
    ) -> Result<Option<UserId>, ApiError> {
        let own = self.principal.user_id;
        match asked {
            asked if self.principal.can(all) => Ok(asked),
            Some(other) if other != own => Err(Kind::Forbidden.into()),
            _ => Ok(Some(own)),
        }
    }
}

impl<P, S> FromRequestParts<S> for Allowed<P>
where
    P: Policy,
    S: Send + Sync,
    Identity: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let principal = authenticate(parts, &Identity::from_ref(state)).await?;
        if P::IN_PERSON && matches!(principal.means, Means::ApiKey(_)) {
            return Err(Problem::new(Kind::Forbidden)
                .detail("this is not done with an API key: log in")
                .into());
        }
        let allowed = P::ANY_OF.is_empty()
            || P::ANY_OF
                .iter()
                .any(|permission| principal.can(*permission));
        if !allowed {
            return Err(Kind::Forbidden.into());
        }
        Ok(Self {
            principal,
            policy: PhantomData,
        })
    }
}

/// Who speaks, where somebody does. A token that is not valid is refused, not passed over.
#[derive(Clone, Copy, Debug)]
pub struct Anyone(pub Option<Principal>);

impl Anyone {
    /// Whether there is somebody who may do that.
    pub fn can(&self, permission: Permission) -> bool {
        self.0.is_some_and(|principal| principal.can(permission))
    }
}

impl<S> FromRequestParts<S> for Anyone
where
    S: Send + Sync,
    Identity: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match authenticate(parts, &Identity::from_ref(state)).await {
            Ok(principal) => Ok(Self(Some(principal))),
            Err(ApiError::Token(None)) => Ok(Self(None)),
            Err(other) => Err(other),
        }
    }
}

async fn authenticate(parts: &Parts, identity: &Identity) -> Result<Principal, ApiError> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(ApiError::Token(None)),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(ApiError::Token(Some(identity::TokenError::Malformed))),
    };
    // the scheme is case-insensitive (RFC 9110, 11.1)
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(ApiError::Token(Some(identity::TokenError::Malformed)))?;
    identity
        .authenticate(token)
        .await
        .map_err(|error| match error {
            AuthenticateError::Token(error) => ApiError::Token(Some(error)),
            AuthenticateError::Fault(fault) => fault.into(),
        })
}

#[cfg(test)]
mod tests;
