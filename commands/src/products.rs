//! Commands on products. A sku is a claim in its region, given up when the product is deleted.

use domain::{
    ids::{OperationId, ProductId, RegionId},
    inventory::{Inventory, InventoryCommand},
    money::Money,
    product::{Change, Product, ProductCommand, ProductDetails, ProductError},
    region::Region,
    text::{Description, ImageUrl, Quantity, Sku, Title},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use crate::{
    failure::{Failure, refuse},
    request::{Commands, Request, Versioned, check_version},
};

/// A product to be put on sale. The id is made by the caller, at random or derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProduct {
    /// Which.
    pub product_id: ProductId,
    /// Where it is sold; that region must be enabled.
    pub region_id: RegionId,
    /// The seller's number, unique in the region.
    pub sku: Sku,
    /// Its name.
    pub title: Title,
    /// What it is.
    pub description: Description,
    /// Its picture.
    pub image_url: Option<ImageUrl>,
    /// Price of one piece, in the region's currency.
    pub price: Money,
    /// Pieces that are there from the start, if any.
    pub stock: Option<Quantity>,
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
}

/// Scope of the claim that makes a sku unique in its region.
pub fn sku_scope(region_id: RegionId) -> String {
    format!("sku:{region_id}")
}

impl Commands {
    /// Puts a product on sale, with its first stock; created again with the same content, it is the same product.
    pub async fn create_product(
        &self,
        request: Request,
        product: NewProduct,
    ) -> Result<Committed<Versioned<ProductDetails>>, Failure> {
        let id = product.product_id;
        let streams = vec![
            StreamRef::fresh::<Product>(id),
            StreamRef::fresh::<Inventory>(id),
            StreamRef::of::<Region>(product.region_id),
        ];
        self.commit(request, streams, move |work| {
            let terms = work
                .state::<Region>(product.region_id)?
                .terms()
                .map_err(refuse)?;
            let NewProduct {
                product_id,
                region_id,
                sku,
                title,
                description,
                image_url,
                price,
                stock,
            } = product.clone();
            let scope = sku_scope(region_id);
            let claimed = sku.clone();
            let command = ProductCommand::CreateProduct {
                product_id,
                region_id,
                region_currency: terms.currency,
                sku,
                title,
                description,
                image_url,
                price,
            };
            if work.execute::<Product>(id, command)? > 0 {
                work.claim(scope, claimed.as_str(), id);
                if let Some(quantity) = stock {
                    work.execute::<Inventory>(id, first_stock(id, quantity))?;
                }
            }
            product_now(work, id)
        })
        .await
    }

    /// Changes what is given and keeps the rest.
    pub async fn update_product(
        &self,
        request: Request,
        id: ProductId,
        changes: ProductChanges,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<ProductDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Product>(id)], move |work| {
            work.state::<Product>(id)?.on_sale().map_err(refuse)?;
            check_version::<Product>(work, id, expected)?;
            let ProductChanges {
                title,
                description,
                image_url,
                price,
            } = changes.clone();
            work.execute::<Product>(
                id,
                ProductCommand::UpdateProduct {
                    title,
                    description,
                    image_url,
                    price,
                },
            )?;
            product_now(work, id)
        })
        .await
    }

    /// Sells and shows it no more. Its sku is free again; orders that hold it are not touched.
    pub async fn delete_product(
        &self,
        request: Request,
        id: ProductId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<ProductDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Product>(id)], move |work| {
            let product = product_now(work, id)?.state;
            if product.deleted {
                return product_now(work, id);
            }
            check_version::<Product>(work, id, expected)?;
            work.execute::<Product>(id, ProductCommand::DeleteProduct)?;
            work.release(sku_scope(product.region_id), product.sku.as_str());
            product_now(work, id)
        })
        .await
    }
}

/// The operation is named by the product: however often it is created, its first stock comes once.
fn first_stock(product_id: ProductId, quantity: Quantity) -> InventoryCommand {
    InventoryCommand::ReceiveStock {
        product_id,
        operation_id: OperationId(product_id.0),
        quantity,
        reason: None,
    }
}

fn product_now(
    work: &mut Work<'_, Failure>,
    id: ProductId,
) -> Result<Versioned<ProductDetails>, Halt<Failure>> {
    let state = work
        .state::<Product>(id)?
        .details()
        .cloned()
        .ok_or_else(|| refuse(ProductError::NotFound))?;
    Ok(Versioned {
        state,
        sequence: work.sequence::<Product>(id)?,
    })
}
