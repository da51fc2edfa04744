//! The events of a product.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::impl_domain_event,
    ids::{CategoryId, ProductId, RegionId, ShopId},
    kinds::Specification,
    money::Money,
    text::{Description, ImageUrl, Sku, Title},
};

/// What happened to a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ProductEvent {
    /// A product was put on sale.
    ProductCreated {
        /// Which.
        product_id: ProductId,
        /// Where it is sold.
        region_id: RegionId,
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
    },
    /// It is a shop's, for good. Follows at once on its creation; without it the product is nobody's but the market's.
    ProductOfferedByShop {
        /// Which shop.
        shop_id: ShopId,
    },
    /// It is in another category, or in none.
    ProductCategorised {
        /// Its category from now on.
        category_id: Option<CategoryId>,
    },
    /// It is of a kind with such attributes, or of none.
    ProductSpecified {
        /// All of its kind and attributes from now on.
        specification: Option<Specification>,
    },
    /// How it is described changed; all such fields as they are now.
    ProductDetailsChanged {
        /// Its name.
        title: Title,
        /// What it is.
        description: Description,
        /// Its picture.
        image_url: Option<ImageUrl>,
    },
    /// Its price changed.
    ProductPriceChanged {
        /// Price of one piece from now on.
        price: Money,
        /// Price until now.
        previous: Money,
    },
    /// It is no longer sold or shown.
    ProductDeleted {},
}

impl_domain_event!(ProductEvent {
    ProductCreated,
    ProductOfferedByShop,
    ProductCategorised,
    ProductSpecified,
    ProductDetailsChanged,
    ProductPriceChanged,
    ProductDeleted
});
