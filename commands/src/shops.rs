//! Commands on shops. Whoever opens one becomes its seller; that is told by `ShopOpened`, which others act upon.

use domain::{
    ids::{ShopId, UserId},
    shop::{Shop, ShopCommand, ShopDetails, ShopError},
    text::{Description, Title},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use crate::{
    failure::{Failure, refuse},
    manager::Manager,
    request::{Commands, Request, Versioned, check_version},
};

/// A shop to be opened. The id is made by the caller, at random or derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShop {
    /// Which.
    pub shop_id: ShopId,
    /// Whose, for good.
    pub owner_id: UserId,
    /// Its name.
    pub title: Title,
    /// What it is about.
    pub description: Description,
    /// Whether an admin has to approve before it sells.
    pub needs_approval: bool,
}

/// What is to change of a shop; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShopChanges {
    /// Its name.
    pub title: Option<Title>,
    /// What it is about.
    pub description: Option<Description>,
}

impl Commands {
    /// Opens a shop, or asks for it where it has to be approved.
    pub async fn open_shop(
        &self,
        request: Request,
        shop: NewShop,
    ) -> Result<Committed<Versioned<ShopDetails>>, Failure> {
        let id = shop.shop_id;
        self.commit(request, vec![StreamRef::fresh::<Shop>(id)], move |work| {
            let NewShop {
                shop_id,
                owner_id,
                title,
                description,
                needs_approval,
            } = shop.clone();
            let command = ShopCommand::OpenShop {
                shop_id,
                owner_id,
                title,
                description,
                needs_approval,
            };
            work.execute::<Shop>(id, command)?;
            shop_now(work, id)
        })
        .await
    }

    /// Lets a shop sell that was asked for.
    pub async fn approve_shop(
        &self,
        request: Request,
        id: ShopId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<ShopDetails>>, Failure> {
        self.manage_shop(
            request,
            Manager::Market,
            id,
            expected,
            ShopCommand::ApproveShop,
        )
        .await
    }

    /// Changes what is given and keeps the rest.
    pub async fn change_shop(
        &self,
        request: Request,
        by: Manager,
        id: ShopId,
        changes: ShopChanges,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<ShopDetails>>, Failure> {
        let ShopChanges { title, description } = changes;
        let command = ShopCommand::ChangeShop { title, description };
        self.manage_shop(request, by, id, expected, command).await
    }

    /// Closes a shop for good: its products can no longer be ordered, orders that were placed are finished. Its discounts
    /// stay as they are: they cover nothing any more, and no order reads its lists of them.
    pub async fn close_shop(
        &self,
        request: Request,
        by: Manager,
        id: ShopId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<ShopDetails>>, Failure> {
        self.manage_shop(request, by, id, expected, ShopCommand::CloseShop)
            .await
    }

    async fn manage_shop(
        &self,
        request: Request,
        by: Manager,
        id: ShopId,
        expected: Option<i64>,
        command: ShopCommand,
    ) -> Result<Committed<Versioned<ShopDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Shop>(id)], move |work| {
            by.assure_owns(work, id)?;
            check_version::<Shop>(work, id, expected)?;
            work.execute::<Shop>(id, command.clone())?;
            shop_now(work, id)
        })
        .await
    }
}

fn shop_now(
    work: &mut Work<'_, Failure>,
    id: ShopId,
) -> Result<Versioned<ShopDetails>, Halt<Failure>> {
    let state = work
        .state::<Shop>(id)?
        .details()
        .cloned()
        .ok_or_else(|| refuse(ShopError::NotFound))?;
    Ok(Versioned {
        state,
        sequence: work.sequence::<Shop>(id)?,
    })
}
