//! Whoever opens a shop becomes a seller: follows `ShopOpened` and grants the role.
//!
//! At least once: the role is granted before the checkpoint moves, and granting it again changes nothing. The handlers that
//! open shops grant it as well, so that the next request may do what sellers do; what is guaranteed is guaranteed here.
//! An owner whose account is gone is passed over. Runs beside the saga; started by [`crate::Application`].

use std::sync::Arc;

use domain::{
    ids::UserId,
    shop::{self, Shop, ShopEvent},
};
use eventstore::{
    event::RecordedEvent,
    subscription::{HandleError, Subscriber},
};
use identity::{Fault, Identity, Refusal, Role, RoleChange, UserChange, UserChanges, UsersError};
use sqlx::PgConnection;

/// Name of the subscription.
const NAME: &str = "sellers";

/// See the module.
pub(crate) struct Sellers {
    identity: Identity,
}

impl Sellers {
    /// Grants through this.
    pub(crate) const fn new(identity: Identity) -> Self {
        Self { identity }
    }
}

/// Grants the role of a seller. Somebody who is not there, or not any more, is passed over.
pub(crate) async fn make_seller(identity: &Identity, user_id: UserId) -> Result<(), Fault> {
    let change = UserChange {
        user_id,
        version: None,
        changes: UserChanges {
            roles: RoleChange::Grant(Role::Seller),
            ..UserChanges::default()
        },
    };
    match identity.change_users(&[change]).await {
        // nothing is hashed, which alone has a deadline
        Ok(_) | Err(UsersError::DeadlinePassed) => Ok(()),
        Err(UsersError::Fault(fault)) => Err(fault),
        // one that is given no version and no name can be refused for nothing else
        Err(UsersError::Refused(refused)) => {
            debug_assert_eq!(refused, [(0, Refusal::Missing)]);
            tracing::info!(%user_id, "the owner of a shop has no account any more");
            Ok(())
        }
    }
}

impl Subscriber for Sellers {
    fn name(&self) -> &str {
        NAME
    }

    fn reads(&self) -> &'static [&'static str] {
        &[shop::TYPE]
    }

    /// Nothing is parked: an owner who was skipped could never sell.
    fn key(&self, _event: &RecordedEvent) -> Option<String> {
        None
    }

    async fn handle(
        &mut self,
        events: &[Arc<RecordedEvent>],
        _tx: &mut PgConnection,
    ) -> Result<(), HandleError> {
        for event in events {
            let ShopEvent::ShopOpened { owner_id, .. } = event.decode::<Shop>()? else {
                continue;
            };
            make_seller(&self.identity, owner_id)
                .await
                .map_err(|fault| HandleError::Passing(fault.to_string()))?;
        }
        Ok(())
    }
}
