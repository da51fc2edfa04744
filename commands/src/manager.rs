//! In whose name products, stock and shops are managed.

use domain::{
    ids::{ShopId, UserId},
    shop::{Shop, ShopError},
};
use eventstore::unit::{Halt, Work};

use crate::failure::{Failure, refuse};

/// Who manages something that belongs to a shop, or to the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// Whoever may manage everything.
    Market,
    /// A seller: what belongs to their own open shops, and nothing else.
    Seller(UserId),
}

impl Manager {
    /// Refuses unless the things of that shop, or those of the market where there is none, are theirs to manage.
    pub(crate) fn assure_manages(
        self,
        work: &mut Work<'_, Failure>,
        shop_id: Option<ShopId>,
    ) -> Result<(), Halt<Failure>> {
        match (self, shop_id) {
            (Self::Market, _) => Ok(()),
            (Self::Seller(_), None) => Err(refuse(Failure::NotYours)),
            (Self::Seller(_), Some(shop_id)) => {
                self.assure_owns(work, shop_id)?;
                work.state::<Shop>(shop_id)?.open().map_err(refuse)?;
                Ok(())
            }
        }
    }

    /// Refuses unless the shop, in whatever status, is theirs to manage.
    pub(crate) fn assure_owns(
        self,
        work: &mut Work<'_, Failure>,
        shop_id: ShopId,
    ) -> Result<(), Halt<Failure>> {
        let shop = work.state::<Shop>(shop_id)?;
        let shop = shop.details().ok_or_else(|| refuse(ShopError::NotFound))?;
        match self {
            Self::Seller(seller) if seller != shop.owner_id => Err(refuse(Failure::NotYours)),
            Self::Seller(_) | Self::Market => Ok(()),
        }
    }
}
