//! Product: what a region sells, at which price.
//!
//! A price is never negative and always in the region's currency. A deleted product is hidden for good; its history
//! and the orders that hold it stay. Its stream id is the [`ProductId`]; its stock is the inventory of the same id.
//! That a sku is unique in its region is kept by a unique key in the append, since it spans streams.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decider, impl_aggregate, impl_domain_event},
    ids::{ProductId, RegionId},
    money::{Currency, Money},
    pricing::PricedItem,
    text::{Description, ImageUrl, Quantity, Sku, Title},
};

/// Aggregate type of products in the log.
pub const TYPE: &str = "product";

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
    ProductDetailsChanged,
    ProductPriceChanged,
    ProductDeleted
});

/// A product as its events tell; empty until it is created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    created: Option<ProductDetails>,
}

/// A created product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductDetails {
    /// Which.
    pub product_id: ProductId,
    /// Where it is sold.
    pub region_id: RegionId,
    /// The seller's number.
    pub sku: Sku,
    /// Its name.
    pub title: Title,
    /// What it is.
    pub description: Description,
    /// Its picture.
    pub image_url: Option<ImageUrl>,
    /// Price of one piece.
    pub price: Money,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl Product {
    /// The product, once created, also when it was deleted since.
    pub const fn details(&self) -> Option<&ProductDetails> {
        self.created.as_ref()
    }

    /// The product, when it can be ordered or changed.
    pub fn on_sale(&self) -> Result<&ProductDetails, ProductError> {
        match &self.created {
            None => Err(ProductError::NotFound),
            Some(product) if product.deleted => Err(ProductError::Deleted),
            Some(product) => Ok(product),
        }
    }

    /// So many pieces of it at today's price, for an order; refused unless it is on sale.
    pub fn priced(&self, quantity: Quantity) -> Result<PricedItem, ProductError> {
        let product = self.on_sale()?;
        Ok(PricedItem {
            product_id: product.product_id,
            region_id: product.region_id,
            sku: product.sku.clone(),
            title: product.title.clone(),
            quantity,
            unit_price: product.price,
        })
    }
}

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
    },
    /// Change what is given and keep the rest.
    UpdateProduct {
        /// Its name.
        title: Option<Title>,
        /// What it is.
        description: Option<Description>,
        /// Its picture.
        image_url: Change<ImageUrl>,
        /// Price of one piece.
        price: Option<Money>,
    },
    /// Sell and show it no more.
    DeleteProduct,
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
    /// The price is not in the currency of the region.
    #[error("the price is in {given}, the region sells in {region}")]
    WrongCurrency {
        /// The region's currency.
        region: Currency,
        /// The price's currency.
        given: Currency,
    },
}

impl_aggregate!(Product, TYPE, ProductCommand, ProductEvent, ProductError);

impl Decider for Product {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = ProductEvent::CATALOGUE;

    fn decide(&self, command: ProductCommand) -> Result<Vec<ProductEvent>, ProductError> {
        match command {
            ProductCommand::CreateProduct {
                product_id,
                region_id,
                region_currency,
                sku,
                title,
                description,
                image_url,
                price,
            } => {
                check_price(price, region_currency)?;
                let deleted = false;
                self.create(ProductDetails {
                    product_id,
                    region_id,
                    sku,
                    title,
                    description,
                    image_url,
                    price,
                    deleted,
                })
            }
            ProductCommand::UpdateProduct {
                title,
                description,
                image_url,
                price,
            } => self.update(title, description, image_url, price),
            ProductCommand::DeleteProduct => match &self.created {
                None => Err(ProductError::NotFound),
                Some(product) if product.deleted => Ok(vec![]),
                Some(_) => Ok(vec![ProductEvent::ProductDeleted {}]),
            },
        }
    }

    fn evolve(&mut self, event: &ProductEvent) {
        match (event, &mut self.created) {
            (
                ProductEvent::ProductCreated {
                    product_id,
                    region_id,
                    sku,
                    title,
                    description,
                    image_url,
                    price,
                },
                created,
            ) => {
                *created = Some(ProductDetails {
                    product_id: *product_id,
                    region_id: *region_id,
                    sku: sku.clone(),
                    title: title.clone(),
                    description: description.clone(),
                    image_url: image_url.clone(),
                    price: *price,
                    deleted: false,
                });
            }
            (
                ProductEvent::ProductDetailsChanged {
                    title,
                    description,
                    image_url,
                },
                Some(product),
            ) => {
                product.title = title.clone();
                product.description = description.clone();
                product.image_url.clone_from(image_url);
            }
            (ProductEvent::ProductPriceChanged { price, previous: _ }, Some(product)) => {
                product.price = *price;
            }
            (ProductEvent::ProductDeleted {}, Some(product)) => product.deleted = true,
            (_, None) => {}
        }
    }

    fn weight(&self) -> usize {
        let texts = |product: &ProductDetails| {
            let image_url = product.image_url.as_ref();
            product.sku.as_str().len()
                + product.title.as_str().len()
                + product.description.as_str().len()
                + image_url.map_or(0, |url| url.as_str().len())
        };
        self.created.as_ref().map_or(0, texts)
    }
}

impl Product {
    fn create(&self, wished: ProductDetails) -> Result<Vec<ProductEvent>, ProductError> {
        match &self.created {
            Some(product) if *product == wished => Ok(vec![]),
            Some(product) if product.deleted => Err(ProductError::Deleted),
            Some(_) => Err(ProductError::AlreadyExists),
            None => Ok(vec![ProductEvent::ProductCreated {
                product_id: wished.product_id,
                region_id: wished.region_id,
                sku: wished.sku,
                title: wished.title,
                description: wished.description,
                image_url: wished.image_url,
                price: wished.price,
            }]),
        }
    }

    fn update(
        &self,
        title: Option<Title>,
        description: Option<Description>,
        image_url: Change<ImageUrl>,
        price: Option<Money>,
    ) -> Result<Vec<ProductEvent>, ProductError> {
        let product = self.on_sale()?;
        let title = title.unwrap_or_else(|| product.title.clone());
        let description = description.unwrap_or_else(|| product.description.clone());
        let image_url = match image_url {
            Change::Keep => product.image_url.clone(),
            Change::Clear => None,
            Change::Set(url) => Some(url),
        };
        let mut events = vec![];
        if (&title, &description, &image_url)
            != (&product.title, &product.description, &product.image_url)
        {
            events.push(ProductEvent::ProductDetailsChanged {
                title,
                description,
                image_url,
            });
        }
        if let Some(price) = price {
            check_price(price, product.price.currency)?;
            if price != product.price {
                events.push(ProductEvent::ProductPriceChanged {
                    price,
                    previous: product.price,
                });
            }
        }
        Ok(events)
    }
}

fn check_price(price: Money, region: Currency) -> Result<(), ProductError> {
    if price.currency != region {
        return Err(ProductError::WrongCurrency {
            region,
            given: price.currency,
        });
    }
    if price.amount < 0 {
        return Err(ProductError::NegativePrice);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
