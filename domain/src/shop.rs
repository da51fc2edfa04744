//! Shop: a seller's place in the market, with products and discounts of its own.
//!
//! A shop that awaits approval, and one that was closed, sells nothing; orders that were placed are finished. Its owner
//! never changes, and a closed shop stays closed. Its stream id is the [`ShopId`].

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decider, impl_aggregate, impl_domain_event},
    ids::{ShopId, UserId},
    text::{Description, Title},
};

/// Aggregate type of shops in the log.
pub const TYPE: &str = "shop";

/// What happened to a shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ShopEvent {
    /// Somebody wants a shop; an admin has to approve of it.
    ShopRequested {
        /// Which.
        shop_id: ShopId,
        /// Whose.
        owner_id: UserId,
        /// Its name.
        title: Title,
        /// What it is about.
        description: Description,
    },
    /// It sells from now on, and its owner is a seller.
    ShopOpened {
        /// Which.
        shop_id: ShopId,
        /// Whose.
        owner_id: UserId,
        /// Its name.
        title: Title,
        /// What it is about.
        description: Description,
    },
    /// How it is described changed; all such fields as they are now.
    ShopDetailsChanged {
        /// Its name.
        title: Title,
        /// What it is about.
        description: Description,
    },
    /// It sells no more and is not shown.
    ShopClosed {},
}

impl_domain_event!(ShopEvent {
    ShopRequested,
    ShopOpened,
    ShopDetailsChanged,
    ShopClosed
});

/// Where a shop is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShopStatus {
    /// It waits for an admin.
    Requested,
    /// It sells.
    Open,
    /// It sells no more.
    Closed,
}

impl ShopStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Requested, Self::Open, Self::Closed];

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// The text names no status of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no status of a shop")]
pub struct UnknownShopStatus;

impl FromStr for ShopStatus {
    type Err = UnknownShopStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |status: &Self| status.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(UnknownShopStatus)
    }
}

/// A shop as its events tell; empty until somebody wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shop {
    known: Option<ShopDetails>,
}

/// A shop that is wanted or was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShopDetails {
    /// Which.
    pub shop_id: ShopId,
    /// Whose.
    pub owner_id: UserId,
    /// Its name.
    pub title: Title,
    /// What it is about.
    pub description: Description,
    /// Where it is in its life.
    pub status: ShopStatus,
}

impl Shop {
    /// The shop, in whatever status.
    pub const fn details(&self) -> Option<&ShopDetails> {
        self.known.as_ref()
    }

    /// The shop, when it sells.
    pub fn open(&self) -> Result<&ShopDetails, ShopError> {
        let shop = self.known.as_ref().ok_or(ShopError::NotFound)?;
        match shop.status {
            ShopStatus::Open => Ok(shop),
            ShopStatus::Requested => Err(ShopError::NotApproved),
            ShopStatus::Closed => Err(ShopError::Closed),
        }
    }
}

/// What can be asked of a shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShopCommand {
    /// Open one, or ask for it where an admin has to approve.
    OpenShop {
        /// Which.
        shop_id: ShopId,
        /// Whose.
        owner_id: UserId,
        /// Its name.
        title: Title,
        /// What it is about.
        description: Description,
        /// Whether an admin has to approve.
        needs_approval: bool,
    },
    /// Let it sell.
    ApproveShop,
    /// Change what is given and keep the rest.
    ChangeShop {
        /// Its name.
        title: Option<Title>,
        /// What it is about.
        description: Option<Description>,
    },
    /// Sell no more.
    CloseShop,
}

/// Why a shop refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShopError {
    /// There is no such shop.
    #[error("the shop does not exist")]
    NotFound,
    /// No admin has approved of it yet.
    #[error("the shop is not approved yet")]
    NotApproved,
    /// It was closed.
    #[error("the shop was closed")]
    Closed,
    /// The id is taken by another shop.
    #[error("the shop exists already")]
    AlreadyExists,
}

impl_aggregate!(Shop, TYPE, ShopCommand, ShopEvent, ShopError);

impl Decider for Shop {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = ShopEvent::CATALOGUE;

    fn decide(&self, command: ShopCommand) -> Result<Vec<ShopEvent>, ShopError> {
        match (command, &self.known) {
            (
                ShopCommand::OpenShop {
                    shop_id,
                    owner_id,
                    title,
                    description,
                    needs_approval,
                },
                None,
            ) => Ok(vec![if needs_approval {
                ShopEvent::ShopRequested {
                    shop_id,
                    owner_id,
                    title,
                    description,
                }
            } else {
                ShopEvent::ShopOpened {
                    shop_id,
                    owner_id,
                    title,
                    description,
                }
            }]),
            (
                ShopCommand::OpenShop {
                    shop_id,
                    owner_id,
                    title,
                    description,
                    needs_approval: _,
                },
                Some(shop),
            ) => {
                let same = (shop.shop_id, shop.owner_id) == (shop_id, owner_id)
                    && (&shop.title, &shop.description) == (&title, &description);
                match shop.status {
                    ShopStatus::Closed => Err(ShopError::Closed),
                    _ if same => Ok(vec![]),
                    _ => Err(ShopError::AlreadyExists),
                }
            }
            (_, None) => Err(ShopError::NotFound),
            (ShopCommand::ApproveShop, Some(shop)) => shop.approve(),
            (ShopCommand::ChangeShop { title, description }, Some(shop)) => {
                shop.change(title, description)
            }
            (ShopCommand::CloseShop, Some(shop)) => Ok(match shop.status {
                ShopStatus::Closed => vec![],
                ShopStatus::Requested | ShopStatus::Open => vec![ShopEvent::ShopClosed {}],
            }),
        }
    }

    fn evolve(&mut self, event: &ShopEvent) {
        let known = |shop_id, owner_id, title: &Title, description: &Description, status| {
            Some(ShopDetails {
                shop_id,
                owner_id,
                title: title.clone(),
                description: description.clone(),
                status,
            })
        };
        match (event, &mut self.known) {
            (
                ShopEvent::ShopRequested {
                    shop_id,
                    owner_id,
                    title,
                    description,
                },
                shop,
            ) => {
                *shop = known(
                    *shop_id,
                    *owner_id,
                    title,
                    description,
                    ShopStatus::Requested,
                );
            }
            (
                ShopEvent::ShopOpened {
                    shop_id,
                    owner_id,
                    title,
                    description,
                },
                shop,
            ) => *shop = known(*shop_id, *owner_id, title, description, ShopStatus::Open),
            (ShopEvent::ShopDetailsChanged { title, description }, Some(shop)) => {
                shop.title = title.clone();
                shop.description = description.clone();
            }
            (ShopEvent::ShopClosed {}, Some(shop)) => shop.status = ShopStatus::Closed,
            (_, None) => {}
        }
    }

    fn weight(&self) -> usize {
        let texts =
            |shop: &ShopDetails| shop.title.as_str().len() + shop.description.as_str().len();
        self.known.as_ref().map_or(0, texts)
    }
}

impl ShopDetails {
    fn approve(&self) -> Result<Vec<ShopEvent>, ShopError> {
        match self.status {
            ShopStatus::Requested => Ok(vec![ShopEvent::ShopOpened {
                shop_id: self.shop_id,
                owner_id: self.owner_id,
                title: self.title.clone(),
                description: self.description.clone(),
            }]),
            ShopStatus::Open => Ok(vec![]),
            ShopStatus::Closed => Err(ShopError::Closed),
        }
    }

    fn change(
        &self,
        title: Option<Title>,
        description: Option<Description>,
    ) -> Result<Vec<ShopEvent>, ShopError> {
        if self.status == ShopStatus::Closed {
            return Err(ShopError::Closed);
        }
        let title = title.unwrap_or_else(|| self.title.clone());
        let description = description.unwrap_or_else(|| self.description.clone());
        if (&title, &description) == (&self.title, &self.description) {
            return Ok(vec![]);
        }
        Ok(vec![ShopEvent::ShopDetailsChanged { title, description }])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{CUSTOMER, SHOP, assert_text, given, outcomes, title, when};

    fn description(text: &str) -> Description {
        Description::parse(text).unwrap()
    }

    fn open(name: &str, needs_approval: bool) -> ShopCommand {
        ShopCommand::OpenShop {
            shop_id: SHOP,
            owner_id: CUSTOMER,
            title: title(name),
            description: description("Hats"),
            needs_approval,
        }
    }

    fn rename(name: &str) -> ShopCommand {
        ShopCommand::ChangeShop {
            title: Some(title(name)),
            description: None,
        }
    }

    fn requested() -> Vec<ShopEvent> {
        when::<Shop>(&[], open("Hats", true)).unwrap()
    }

    fn opened() -> Vec<ShopEvent> {
        when::<Shop>(&[], open("Hats", false)).unwrap()
    }

    #[test]
    fn every_command_in_every_state() {
        let states = [
            ("unknown", vec![]),
            ("requested", requested()),
            ("open", opened()),
            (
                "closed",
                [opened(), vec![ShopEvent::ShopClosed {}]].concat(),
            ),
        ];
        let commands = [
            ("OpenShop", open("Hats", false)),
            ("OpenShop, to be approved", open("Hats", true)),
            ("OpenShop, another", open("Coats", false)),
            ("ApproveShop", ShopCommand::ApproveShop),
            ("ChangeShop", rename("Coats")),
            ("ChangeShop, the same", rename("Hats")),
            ("CloseShop", ShopCommand::CloseShop),
        ];
        assert_text(
            &outcomes::<Shop>(&states, &commands),
            "
OpenShop
  ShopOpened: unknown
  -: requested, open
  !Closed: closed
OpenShop, to be approved
  ShopRequested: unknown
  -: requested, open
  !Closed: closed
OpenShop, another
  ShopOpened: unknown
  !AlreadyExists: requested, open
  !Closed: closed
ApproveShop
  !NotFound: unknown
  ShopOpened: requested
  -: open
  !Closed: closed
ChangeShop
  !NotFound: unknown
  ShopDetailsChanged: requested, open
  !Closed: closed
ChangeShop, the same
  !NotFound: unknown
  -: requested, open
  !Closed: closed
CloseShop
  !NotFound: unknown
  ShopClosed: requested, open
  -: closed
",
        );
    }

    #[test]
    fn only_an_open_shop_sells() {
        assert_eq!(given::<Shop>(&[]).open(), Err(ShopError::NotFound));
        assert_eq!(
            given::<Shop>(&requested()).open(),
            Err(ShopError::NotApproved)
        );
        let approved = when::<Shop>(&requested(), ShopCommand::ApproveShop).unwrap();
        let history = [requested(), approved].concat();
        let shop = given::<Shop>(&history);
        assert_eq!(shop.open().unwrap().owner_id, CUSTOMER);
        let closed = when::<Shop>(&history, ShopCommand::CloseShop).unwrap();
        let state = given::<Shop>(&[history, closed].concat());
        assert_eq!(state.open(), Err(ShopError::Closed));
    }

    #[test]
    fn a_shop_may_be_described_anew_before_it_is_approved() {
        let renamed = when::<Shop>(&requested(), rename("Coats")).unwrap();
        let history = [requested(), renamed].concat();
        let approved = when::<Shop>(&history, ShopCommand::ApproveShop).unwrap();
        let shop = given::<Shop>(&[history, approved].concat());
        assert_eq!(shop.open().unwrap().title, title("Coats"));
        assert_eq!(shop.open().unwrap().description, description("Hats"));
    }
}
