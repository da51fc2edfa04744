//! Shipping an order, whole or piece by piece, and recording that it arrived.
//!
//! A seller ships the lines of their own shops, also of shops that were closed meanwhile, and no others: of another
//! seller's lines they hear only that the order has none of that number. An order that holds nothing of theirs does not
//! exist for them. What was paid for and not shipped is called off by [`super::CancelOrder`].

use std::collections::BTreeSet;

use domain::{
    ids::{OrderId, ShipmentId, ShopId, UserId},
    order::{LineQuantity, Order, OrderCommand, OrderError, PlacedOrder, ShipLine},
    shop::Shop,
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::{move_order, order_now, placed};
use crate::{
    failure::{Failure, refuse},
    manager::Manager,
    request::{Commands, Request, Versioned, check_version},
};

/// Pieces that are handed to a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShipOrder {
    /// Of which order.
    pub order_id: OrderId,
    /// Names the shipment: repeated, it is taken once.
    pub shipment_id: ShipmentId,
    /// Which pieces; all that are left of the lines that are theirs to ship when absent.
    pub lines: Option<Vec<ShipLine>>,
    /// Who ships.
    pub by: Manager,
}

impl Commands {
    /// Records that pieces are on their way. All of them, or none and a refusal that names a line.
    pub async fn ship_order(
        &self,
        request: Request,
        shipment: ShipOrder,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
        let order_id = shipment.order_id;
        let streams = vec![StreamRef::of::<Order>(order_id)];
        self.commit(request, streams, move |work| {
            let theirs = lines_of(work, order_id, shipment.by)?;
            check_version::<Order>(work, order_id, expected)?;
            let lines = match &shipment.lines {
                Some(lines) => of_these(lines, &theirs)?,
                None => all_left(placed(work, order_id)?, &theirs),
            };
            let ship = OrderCommand::ShipItems {
                shipment_id: shipment.shipment_id,
                lines,
            };
            move_order(work, order_id, ship, |_| ())?;
            order_now(work, order_id)
        })
        .await
    }

    /// Records that the order arrived. A seller may say so where every line of it is theirs. Said again, nothing happens.
    pub async fn deliver_order(
        &self,
        request: Request,
        order_id: OrderId,
        by: Manager,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
        let streams = vec![StreamRef::of::<Order>(order_id)];
        self.commit(request, streams, move |work| {
            let theirs = lines_of(work, order_id, by)?;
            if theirs.len() < placed(work, order_id)?.lines.len() {
                return Err(refuse(Failure::NotYours));
            }
            check_version::<Order>(work, order_id, expected)?;
            move_order(work, order_id, OrderCommand::DeliverOrder, |_| ())?;
            order_now(work, order_id)
        })
        .await
    }
}

/// The numbers of the lines that are theirs to ship. Refused, as if there were no such order, where none is.
fn lines_of(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
    by: Manager,
) -> Result<BTreeSet<u32>, Halt<Failure>> {
    let lines: Vec<(u32, Option<ShopId>)> = placed(work, order_id)?
        .lines
        .iter()
        .map(|line| (line.line, line.shop_id))
        .collect();
    let Manager::Seller(seller) = by else {
        return Ok(lines.into_iter().map(|(line, _)| line).collect());
    };
    let shops = lines.iter().filter_map(|(_, shop_id)| *shop_id).collect();
    let own = shops_of(work, shops, seller)?;
    let theirs: BTreeSet<u32> = lines
        .into_iter()
        .filter(|(_, shop_id)| shop_id.is_some_and(|shop_id| own.contains(&shop_id)))
        .map(|(line, _)| line)
        .collect();
    if theirs.is_empty() {
        return Err(refuse(OrderError::NotFound));
    }
    Ok(theirs)
}

/// Those of the shops that are the seller's, in whatever status.
fn shops_of(
    work: &mut Work<'_, Failure>,
    mut shops: BTreeSet<ShopId>,
    seller: UserId,
) -> Result<BTreeSet<ShopId>, Halt<Failure>> {
    let mut absent = None;
    shops.retain(|shop_id| match work.state::<Shop>(shop_id) {
        Ok(shop) => shop.details().is_some_and(|shop| shop.owner_id == seller),
        // noted by the unit: one that goes on has all that is absent loaded at once
        Err(halt) => {
            absent = Some(halt);
            false
        }
    });
    absent.map_or(Ok(shops), Err)
}

/// What is asked for, where all of it is theirs.
fn of_these(lines: &[ShipLine], theirs: &BTreeSet<u32>) -> Result<Vec<ShipLine>, Halt<Failure>> {
    match lines.iter().find(|ship| !theirs.contains(&ship.line)) {
        Some(other) => Err(refuse(OrderError::UnknownLine { line: other.line })),
        None => Ok(lines.to_vec()),
    }
}

fn all_left(order: &PlacedOrder, theirs: &BTreeSet<u32>) -> Vec<ShipLine> {
    let left = order.unshipped().into_iter();
    left.filter(|left| theirs.contains(&left.line))
        .map(|LineQuantity { line, quantity, .. }| ShipLine { line, quantity })
        .collect()
}
