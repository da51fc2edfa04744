//! Commands on orders, and the one way in which an order moves: with its stock, in the same unit of work.
//!
//! Placing, changing, cancelling and shipping are here; what the payment does to an order is in [`crate::payments`].

mod bulk;
mod cancel;
mod change;
mod checkout;
mod discounts;
mod numbers;
mod place;
mod quote;
mod ship;

use domain::{
    aggregate::Decider,
    ids::{OperationId, OrderId, UserId},
    inventory::{Inventory, InventoryCommand, InventoryError},
    order::{
        DiscountEffect, Order, OrderCommand, OrderError, OrderEvent, PlacedOrder, StockEffect,
        StockLine,
    },
};
use eventstore::unit::{Halt, Work};

pub use self::{
    bulk::MAX_BULK_ITEMS,
    cancel::{CancelOrder, Cancellation, Progress},
    change::{ChangeOrder, DeleteOrder},
    checkout::CheckOut,
    place::{NewOrder, OrderItem},
    quote::{CodeNotDue, Quote, QuoteRequest},
    ship::ShipOrder,
};
pub(crate) use self::{
    cancel::{give_back, stop_payment},
    discounts::{Buyer, NamedDiscount},
    numbers::OrderNumbers,
    place::{few_codes, priced},
    quote::quoted,
};
use crate::{
    absent::Absent,
    failure::{Failure, Shortage, pieces_left, refuse},
    request::Versioned,
};

/// Lets the order decide and writes what that means for stock and for discounts beside it. Returns what `see` makes of the
/// order's new events.
pub(crate) fn move_order<R>(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    command: OrderCommand,
    see: impl FnOnce(&[OrderEvent]) -> R,
) -> Result<R, Halt<Failure>> {
    let (effects, seen) = work.execute_seeing::<Order, _>(order_id, command, |order, events| {
        (effects(order, events), see(events))
    })?;
    for (stock, discounts) in &effects {
        move_stock(work, order_id, stock)?;
        discounts::count(work, order_id, discounts)?;
    }
    Ok(seen)
}

/// Each event's effect depends on the state that it finds.
fn effects(order: &Order, events: &[OrderEvent]) -> Vec<(StockEffect, DiscountEffect)> {
    let effect = |order: &Order, event: &OrderEvent| {
        (order.stock_effect(event), order.discount_effect(event))
    };
    if let [only] = events {
        return vec![effect(order, only)];
    }
    let mut order = order.clone();
    let each = |event| {
        let effect = effect(&order, event);
        order.evolve(event);
        effect
    };
    events.iter().map(each).collect()
}

fn move_stock(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    effect: &StockEffect,
) -> Result<(), Halt<Failure>> {
    match effect {
        StockEffect::None => Ok(()),
        StockEffect::Reserve(lines) => reserve(work, order_id, lines),
        StockEffect::Sell(lines) => each(work, lines, |line| InventoryCommand::SellStock {
            product_id: line.product_id,
            order_id,
        }),
        StockEffect::Release(lines) => release(work, order_id, lines),
        StockEffect::Change { from, to } => {
            let kept = |line: &&StockLine| to.iter().any(|now| now.product_id == line.product_id);
            let dropped: Vec<StockLine> = from.iter().filter(|line| !kept(line)).copied().collect();
            release(work, order_id, &dropped)?;
            // what is reserved already is reserved anew with its new quantity
            reserve(work, order_id, to)
        }
        StockEffect::Return(lines) => each(work, lines, |line| InventoryCommand::ReturnStock {
            product_id: line.product_id,
            order_id,
            operation_id: OperationId::of(order_id, "cancelled"),
            quantity: line.quantity,
        }),
    }
}

fn release(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    lines: &[StockLine],
) -> Result<(), Halt<Failure>> {
    each(work, lines, |line| InventoryCommand::ReleaseStock {
        product_id: line.product_id,
        order_id,
    })
}

/// All or nothing, and the refusal names all that is short.
fn reserve(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    lines: &[StockLine],
) -> Result<(), Halt<Failure>> {
    let mut shortages = Vec::new();
    for &StockLine {
        product_id,
        quantity,
    } in lines
    {
        let reserve = InventoryCommand::ReserveStock {
            product_id,
            order_id,
            quantity,
        };
        match work.execute::<Inventory>(product_id, reserve) {
            Ok(_) => {}
            Err(Halt::Refused(Failure::Inventory(InventoryError::InsufficientStock {
                requested,
                available,
            }))) => {
                shortages.push(Shortage {
                    product_id,
                    requested,
                    available: pieces_left(available),
                });
            }
            Err(other) => return Err(other),
        }
    }
    if shortages.is_empty() {
        Ok(())
    } else {
        Err(Halt::Refused(Failure::InsufficientStock { shortages }))
    }
}

fn each(
    work: &mut Work<'_, Failure>,
    lines: &[StockLine],
    command: impl Fn(&StockLine) -> InventoryCommand,
) -> Result<(), Halt<Failure>> {
    let mut absent = Absent::default();
    for line in lines {
        absent.note(work.execute::<Inventory>(line.product_id, command(line)))?;
    }
    absent.check()
}

/// The order; refused where there is none.
pub(crate) fn placed<'a>(
    work: &'a mut Work<'_, Failure>,
    order_id: OrderId,
) -> Result<&'a PlacedOrder, Halt<Failure>> {
    work.state::<Order>(order_id)?
        .placed()
        .ok_or_else(|| refuse(OrderError::NotFound))
}

/// The order; for whoever may only see their own, as if there was none where it is another's or deleted.
fn seen_by(order: &Order, only_of: Option<UserId>) -> Result<&PlacedOrder, Failure> {
    let seen = |order: &&PlacedOrder| {
        only_of.is_none_or(|customer| customer == order.customer_id && !order.hidden)
    };
    let order = order.placed().filter(seen);
    order.ok_or_else(|| OrderError::NotFound.into())
}

/// The order as this unit leaves it.
fn order_now(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
) -> Result<Versioned<PlacedOrder>, Halt<Failure>> {
    let state = placed(work, order_id)?.clone();
    Ok(Versioned {
        state,
        sequence: work.sequence::<Order>(order_id)?,
    })
}
