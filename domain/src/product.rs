//! Product: what a region sells, at which price; by a shop of its own or by the market itself.
//!
//! A price is never negative, at most [`MAX_PRICE`] and always in the region's currency. A deleted product is hidden for good; its history
//! and the orders that hold it stay. Its stream id is the [`ProductId`]; its stock is the inventory of the same id.
//! That a sku is unique in its region is kept by a unique key in the append, since it spans streams.

mod command;
mod event;

use serde::{Deserialize, Serialize};

pub use self::{
    command::{Change, ProductChanges, ProductCommand, ProductError},
    event::ProductEvent,
};
use crate::{
    aggregate::{Decider, impl_aggregate},
    ids::{CategoryId, ProductId, RegionId, ShopId},
    kinds::Specification,
    money::{Currency, Money},
    pricing::{MAX_LINES, PricedItem},
    text::{Description, ImageUrl, Quantity, Sku, Title},
};

/// Aggregate type of products in the log.
pub const TYPE: &str = "product";

/// The highest price of one piece, in minor units. The largest order that there can be, of the dearest products and taxed at
/// 100 %, still fits in 64 bits, so whatever is on sale can be ordered. Only asked of a price that is new: what was stored
/// before there was a highest stays as it is.
pub const MAX_PRICE: i64 = 20_000_000_000;

const _: () = {
    let pieces = MAX_LINES as i128 * Quantity::MAX as i128;
    assert!(2 * MAX_PRICE as i128 * pieces <= i64::MAX as i128);
};

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
    /// Whose it is; nobody's but the market's where there is none.
    pub shop_id: Option<ShopId>,
    /// What it is grouped by.
    pub category_id: Option<CategoryId>,
    /// Its kind, with what is told of that.
    pub specification: Option<Specification>,
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
            shop_id: product.shop_id,
            category_id: product.category_id,
            sku: product.sku.clone(),
            title: product.title.clone(),
            quantity,
            unit_price: product.price,
        })
    }
}

impl_aggregate!(Product, TYPE, ProductCommand, ProductEvent, ProductError);

impl Decider for Product {
    const STATE_VERSION: i32 = 2;
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
                shop_id,
                category_id,
                specification,
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
                    shop_id,
                    category_id,
                    specification,
                    deleted,
                })
            }
            ProductCommand::UpdateProduct(changes) => self.on_sale()?.changed(changes),
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
                    shop_id: None,
                    category_id: None,
                    specification: None,
                    deleted: false,
                });
            }
            (ProductEvent::ProductOfferedByShop { shop_id }, Some(product)) => {
                product.shop_id = Some(*shop_id);
            }
            (ProductEvent::ProductCategorised { category_id }, Some(product)) => {
                product.category_id = *category_id;
            }
            (ProductEvent::ProductSpecified { specification }, Some(product)) => {
                product.specification.clone_from(specification);
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
            let specification = product.specification.as_ref();
            product.sku.as_str().len()
                + product.title.as_str().len()
                + product.description.as_str().len()
                + image_url.map_or(0, |url| url.as_str().len())
                + specification.map_or(0, Specification::heap)
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
            None => Ok(wished.created()),
        }
    }
}

impl ProductDetails {
    /// The events that tell all of a new product.
    fn created(self) -> Vec<ProductEvent> {
        let mut events = vec![ProductEvent::ProductCreated {
            product_id: self.product_id,
            region_id: self.region_id,
            sku: self.sku,
            title: self.title,
            description: self.description,
            image_url: self.image_url,
            price: self.price,
        }];
        events.extend(
            self.shop_id
                .map(|shop_id| ProductEvent::ProductOfferedByShop { shop_id }),
        );
        let category_id = self.category_id;
        events.extend(category_id.map(|_| ProductEvent::ProductCategorised { category_id }));
        if self.specification.is_some() {
            let specification = self.specification;
            events.push(ProductEvent::ProductSpecified { specification });
        }
        events
    }

    fn changed(&self, changes: ProductChanges) -> Result<Vec<ProductEvent>, ProductError> {
        let mut events = vec![];
        let title = changes.title.unwrap_or_else(|| self.title.clone());
        let description = changes
            .description
            .unwrap_or_else(|| self.description.clone());
        let image_url = changes.image_url.apply(self.image_url.clone());
        if (&title, &description, &image_url) != (&self.title, &self.description, &self.image_url) {
            events.push(ProductEvent::ProductDetailsChanged {
                title,
                description,
                image_url,
            });
        }
        let (price, previous) = (changes.price.unwrap_or(self.price), self.price);
        if price != previous {
            check_price(price, previous.currency)?;
            events.push(ProductEvent::ProductPriceChanged { price, previous });
        }
        let category_id = changes.category_id.apply(self.category_id);
        if category_id != self.category_id {
            events.push(ProductEvent::ProductCategorised { category_id });
        }
        let specification = changes.specification.apply(self.specification.clone());
        if specification != self.specification {
            events.push(ProductEvent::ProductSpecified { specification });
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
    if price.amount > MAX_PRICE {
        return Err(ProductError::PriceTooHigh);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
