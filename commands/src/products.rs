//! Commands on products. A sku is a claim in its region, given up when the product is deleted.

use domain::{
    category::Category,
    ids::{CategoryId, OperationId, ProductId, RegionId, ShopId},
    inventory::{Inventory, InventoryCommand},
    kinds::Specification,
    money::Money,
    product::{Change, Product, ProductChanges, ProductCommand, ProductDetails, ProductError},
    region::Region,
    shop::Shop,
    text::{Description, ImageUrl, Quantity, Sku, Title},
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
    /// Whose it is; the market's where there is none. That shop must be open.
    pub shop_id: Option<ShopId>,
    /// What it is grouped by; that category must be shown.
    pub category_id: Option<CategoryId>,
    /// Its kind, with what is told of that.
    pub specification: Option<Specification>,
    /// Pieces that are there from the start, if any.
    pub stock: Option<Quantity>,
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
        by: Manager,
        product: NewProduct,
    ) -> Result<Committed<Versioned<ProductDetails>>, Failure> {
        let id = product.product_id;
        let streams = vec![
            StreamRef::fresh::<Product>(id),
            StreamRef::fresh::<Inventory>(id),
            StreamRef::of::<Region>(product.region_id),
        ];
        self.commit(request, streams, move |work| {
            by.assure_manages(work, product.shop_id)?;
            if let Some(shop_id) = product.shop_id {
                work.state::<Shop>(shop_id)?.open().map_err(refuse)?;
            }
            assure_shown(work, product.category_id)?;
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
                shop_id,
                category_id,
                specification,
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
                shop_id,
                category_id,
                specification,
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
        by: Manager,
        id: ProductId,
        changes: ProductChanges,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<ProductDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Product>(id)], move |work| {
            let shop_id = work
                .state::<Product>(id)?
                .on_sale()
                .map_err(refuse)?
                .shop_id;
            by.assure_manages(work, shop_id)?;
            if let Change::Set(category_id) = changes.category_id {
                assure_shown(work, Some(category_id))?;
            }
            check_version::<Product>(work, id, expected)?;
            work.execute::<Product>(id, ProductCommand::UpdateProduct(changes.clone()))?;
            product_now(work, id)
        })
        .await
    }

    /// Sells and shows it no more. Its sku is free again; orders that hold it are not touched.
    pub async fn delete_product(
        &self,
        request: Request,
        by: Manager,
        id: ProductId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<ProductDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Product>(id)], move |work| {
            let product = product_now(work, id)?.state;
            by.assure_manages(work, product.shop_id)?;
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

fn assure_shown(
    work: &mut Work<'_, Failure>,
    category_id: Option<CategoryId>,
) -> Result<(), Halt<Failure>> {
    if let Some(category_id) = category_id {
        work.state::<Category>(category_id)?
            .shown()
            .map_err(refuse)?;
    }
    Ok(())
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
