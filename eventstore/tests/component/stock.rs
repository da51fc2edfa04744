//! Units of work on one inventory: the simplest aggregate that can refuse.

use domain::{
    ids::{OperationId, OrderId, ProductId},
    inventory::{Inventory, InventoryCommand, InventoryError},
    text::Quantity,
};
use eventstore::{event::Cause, stream::StreamRef, unit::Unit};
use uuid::Uuid;

pub(crate) type Stock = Unit<(), InventoryError>;

pub(crate) fn new_product() -> ProductId {
    ProductId(Uuid::new_v4())
}

pub(crate) fn new_order() -> OrderId {
    OrderId(Uuid::now_v7())
}

/// The command that takes in so many pieces.
pub(crate) fn receipt(product_id: ProductId, pieces: u64) -> InventoryCommand {
    InventoryCommand::ReceiveStock {
        product_id,
        operation_id: OperationId(Uuid::new_v4()),
        quantity: Quantity::parse(pieces).unwrap(),
        reason: None,
    }
}

/// A unit of one command on one inventory.
pub(crate) fn on_inventory(product: ProductId, command: InventoryCommand) -> Stock {
    let cause = Cause {
        correlation_id: "test".into(),
        command: "Test".into(),
        ..Cause::default()
    };
    Unit::new(
        cause,
        vec![StreamRef::of::<Inventory>(product)],
        move |work| {
            work.execute::<Inventory>(product, command.clone())?;
            Ok(())
        },
    )
}

/// A unit that takes in so many pieces.
pub(crate) fn receive(product: ProductId, pieces: u64) -> Stock {
    on_inventory(product, receipt(product, pieces))
}

/// A unit that puts one piece aside for an order.
pub(crate) fn reserve(product_id: ProductId, order_id: OrderId) -> Stock {
    let quantity = Quantity::parse(1).unwrap();
    let command = InventoryCommand::ReserveStock {
        product_id,
        order_id,
        quantity,
    };
    on_inventory(product_id, command)
}
