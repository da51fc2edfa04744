//! What can be asked of a product, and why it refuses.

use crate::{
    ids::{CategoryId, ProductId, RegionId, ShopId},
    kinds::Specification,
    money::{Currency, Money},
    text::{Description, ImageUrl, Sku, Title},
};

/// What to do with a value that may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Take it away.
    Clear,
    /// Make it this.
    Set(T),
}

impl<T> Change<T> {
    /// What becomes of `now`.
    pub fn apply(self, now: Option<T>) -> Option<T> {
        match self {
            Self::Keep => now,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// What can be asked of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductCommand {
    /// Put a new one on sale.
    CreateProduct {
        /// Which.
        product_id: ProductId,
        /// Where it is sold.
        region_id: RegionId,
        /// The currency of that region, which the price must be in.
        region_currency: Currency,
        /// The seller's number.
        sku: Sku,
        /// Its name.
        title: Title,
        /// What it is.
        description: Description,
        /// Its picture.
        image_url: Option<ImageUrl>,
        /// Price of one piece.
        price: Money,
        /// Whose it is.
        shop_id: Option<ShopId>,
        /// What it is grouped by.
        category_id: Option<CategoryId>,
        /// Its kind, with what is told of that.
        specification: Option<Specification>,
    },
    /// Change what is given and keep the rest.
    UpdateProduct(ProductChanges),
    /// Sell and show it no more.
    DeleteProduct,
}

/// What is to change of a product; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductChanges {
    /// Its name.
    pub title: Option<Title>,
    /// What it is.
    pub description: Option<Description>,
    /// Its picture.
    pub image_url: Change<ImageUrl>,
    /// Price of one piece; placed orders keep theirs.
    pub price: Option<Money>,
    /// What it is grouped by.
    pub category_id: Change<CategoryId>,
    /// Its kind, with what is told of that.
    pub specification: Change<Specification>,
}

/// Why a product refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// There is no such product.
    #[error("the product does not exist")]
    NotFound,
    /// It was deleted.
    #[error("the product was deleted")]
    Deleted,
    /// The id is taken by another product.
    #[error("the product exists already")]
    AlreadyExists,
    /// A price below zero.
    #[error("the price must not be negative")]
    NegativePrice,
    /// A price above [`super::MAX_PRICE`].
    #[error("the price must be at most {} minor units", super::MAX_PRICE)]
    PriceTooHigh,
    /// The price is not in the currency of the region.
    #[error("the price is in {given}, the region sells in {region}")]
    WrongCurrency {
        /// The region's currency.
        region: Currency,
        /// The price's currency.
        given: Currency,
    },
}
