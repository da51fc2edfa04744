//! Commands on stock. Relative changes add up whoever makes them at once; an absolute one names the version that it
//! was decided on.

use domain::{
    ids::{OperationId, ProductId},
    inventory::{Inventory, InventoryCommand},
    product::Product,
    text::{Quantity, Reason},
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

/// How many pieces of a product there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockLevel {
    /// Pieces that ever came in, corrections included: the sum of the other three.
    pub received: i64,
    /// Pieces that can be ordered; below zero only after a correction.
    pub available: i64,
    /// Pieces put aside for orders that are not paid yet.
    pub reserved: i64,
    /// Pieces sold and not returned.
    pub sold: i64,
    /// From how many pieces down the stock is low; zero: never.
    pub low_stock_threshold: u32,
}

impl From<&Inventory> for StockLevel {
    fn from(inventory: &Inventory) -> Self {
        Self {
            received: inventory.received(),
            available: inventory.available(),
            reserved: inventory.reserved(),
            sold: inventory.sold(),
            low_stock_threshold: inventory.low_stock_threshold(),
        }
    }
}

/// A change of stock: which, why, and the name under which it is taken once however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChange {
    /// Of which product; it must be on sale.
    pub product_id: ProductId,
    /// Who changes it; the product must be theirs to manage.
    pub by: Manager,
    /// Names the operation.
    pub operation_id: OperationId,
    /// Why.
    pub reason: Option<Reason>,
}

impl Commands {
    /// Takes pieces in.
    pub async fn receive_stock(
        &self,
        request: Request,
        change: StockChange,
        quantity: Quantity,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<StockLevel>>, Failure> {
        let StockChange {
            product_id,
            by,
            operation_id,
            reason,
        } = change;
        let command = InventoryCommand::ReceiveStock {
            product_id,
            operation_id,
            quantity,
            reason,
        };
        self.change_stock(request, product_id, by, command, expected)
            .await
    }

    /// Corrects the number by a difference.
    pub async fn adjust_stock(
        &self,
        request: Request,
        change: StockChange,
        delta: i64,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<StockLevel>>, Failure> {
        let StockChange {
            product_id,
            by,
            operation_id,
            reason,
        } = change;
        let command = InventoryCommand::AdjustStock {
            product_id,
            operation_id,
            delta,
            reason,
        };
        self.change_stock(request, product_id, by, command, expected)
            .await
    }

    /// Corrects the number so that this many pieces can be ordered. It may be less than what is promised already;
    /// that is recorded for whoever must hear of it. Needs the version that it was decided on, because two such
    /// corrections at once do not add up.
    pub async fn set_stock(
        &self,
        request: Request,
        change: StockChange,
        available: i64,
        expected: i64,
    ) -> Result<Committed<Versioned<StockLevel>>, Failure> {
        let StockChange {
            product_id,
            by,
            operation_id,
            reason,
        } = change;
        let command = InventoryCommand::SetStock {
            product_id,
            operation_id,
            available,
            reason,
        };
        self.change_stock(request, product_id, by, command, Some(expected))
            .await
    }

    /// Says from how many pieces down the stock is low; zero: never.
    pub async fn set_low_stock_threshold(
        &self,
        request: Request,
        product_id: ProductId,
        by: Manager,
        threshold: u32,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<StockLevel>>, Failure> {
        let command = InventoryCommand::SetLowStockThreshold {
            product_id,
            threshold,
        };
        self.change_stock(request, product_id, by, command, expected)
            .await
    }

    async fn change_stock(
        &self,
        request: Request,
        id: ProductId,
        by: Manager,
        command: InventoryCommand,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<StockLevel>>, Failure> {
        let streams = vec![StreamRef::of::<Product>(id), StreamRef::of::<Inventory>(id)];
        self.commit(request, streams, move |work| {
            let shop_id = work
                .state::<Product>(id)?
                .on_sale()
                .map_err(refuse)?
                .shop_id;
            by.assure_manages(work, shop_id)?;
            check_version::<Inventory>(work, id, expected)?;
            work.execute::<Inventory>(id, command.clone())?;
            stock_now(work, id)
        })
        .await
    }
}

fn stock_now(
    work: &mut Work<'_, Failure>,
    id: ProductId,
) -> Result<Versioned<StockLevel>, Halt<Failure>> {
    let state = StockLevel::from(work.state::<Inventory>(id)?);
    Ok(Versioned {
        state,
        sequence: work.sequence::<Inventory>(id)?,
    })
}
