//! Many orders in one unit of work: all are placed, or changed, or none, and a refusal names the one that is at fault.

use std::collections::BTreeSet;

use domain::{
    ids::{ProductId, RegionId},
    inventory::Inventory,
    order::{Order, PlacedOrder},
    product::Product,
    region::Region,
    shop::Shop,
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::{
    change::{ChangeOrder, SealedChange},
    place::{NewOrder, SealedOrder},
};
use crate::{
    failure::Failure,
    request::{CommandSettings, Commands, Request, Versioned},
};

/// Most items that orders placed together may have in all, and most orders that are changed together. Each is a stream to be
/// read and an event or two to be written in one decision, for which everybody else's decisions wait: with so many a third
/// of a second in a debug build, the commit included.
pub const MAX_BULK_ITEMS: usize = 1_000;

impl Commands {
    /// Places orders, each as [`Commands::place_order`] would, in this order: what one takes off the shelf the next one
    /// does not find there. A refusal is a [`Failure::Element`].
    pub async fn place_orders(
        &self,
        request: Request,
        orders: Vec<NewOrder>,
    ) -> Result<Committed<Vec<Versioned<PlacedOrder>>>, Failure> {
        let items: usize = orders.iter().map(|order| order.items.len()).sum();
        if items > MAX_BULK_ITEMS {
            let reason = format!("more than {MAX_BULK_ITEMS} items in all");
            return Err(Failure::Unacceptable(reason));
        }
        let mut sealed = Vec::with_capacity(orders.len());
        for (index, order) in orders.into_iter().enumerate() {
            let order = self.seal(order).await;
            sealed.push(order.map_err(|failure| failure.of_element(index))?);
        }
        let streams = streams_of(&sealed);
        let settings = self.settings();
        self.commit(request, streams, move |work| {
            let placed = place_all(work, &sealed, settings);
            if let Err(Halt::Missing) = placed {
                ask_for_shops(work, &sealed)?;
            }
            placed
        })
        .await
    }

    /// Changes orders, each as [`Commands::change_order`] would, and only where it has the version that is given with it. A
    /// refusal is a [`Failure::Element`].
    pub async fn change_orders(
        &self,
        request: Request,
        changes: Vec<(ChangeOrder, Option<i64>)>,
    ) -> Result<Committed<Vec<Versioned<PlacedOrder>>>, Failure> {
        if changes.len() > MAX_BULK_ITEMS {
            let reason = format!("more than {MAX_BULK_ITEMS} orders");
            return Err(Failure::Unacceptable(reason));
        }
        let mut sealed = Vec::with_capacity(changes.len());
        for (index, (change, expected)) in changes.into_iter().enumerate() {
            let change = self.seal_change(change).await;
            let change = change.map_err(|failure| failure.of_element(index))?;
            sealed.push((change, expected));
        }
        let streams = sealed
            .iter()
            .flat_map(|(change, _)| change.streams())
            .collect();
        self.commit(request, streams, move |work| {
            let change = |(index, (change, expected)): (usize, &(SealedChange, Option<i64>))| {
                let made = change.make(work, *expected);
                made.map_err(|halt| of_element(index, halt))
            };
            sealed.iter().enumerate().map(change).collect()
        })
        .await
    }
}

fn of_element(index: usize, halt: Halt<Failure>) -> Halt<Failure> {
    match halt {
        Halt::Refused(failure) => Halt::Refused(failure.of_element(index)),
        other => other,
    }
}

/// What all of them read and write, each named once.
fn streams_of(orders: &[SealedOrder]) -> Vec<StreamRef> {
    let products: BTreeSet<ProductId> = orders
        .iter()
        .flat_map(|order| order.products.iter().copied())
        .collect();
    let regions: BTreeSet<RegionId> = orders
        .iter()
        .filter_map(|order| order.order.region_id)
        .collect();
    let mut streams: Vec<StreamRef> = orders
        .iter()
        .map(|order| StreamRef::fresh::<Order>(order.order.order_id))
        .collect();
    streams.extend(regions.iter().map(StreamRef::of::<Region>));
    streams.extend(products.iter().map(StreamRef::of::<Product>));
    streams.extend(products.iter().map(StreamRef::of::<Inventory>));
    streams
}

fn place_all(
    work: &mut Work<'_, Failure>,
    orders: &[SealedOrder],
    settings: CommandSettings,
) -> Result<Vec<Versioned<PlacedOrder>>, Halt<Failure>> {
    let place = |(index, order): (usize, &SealedOrder)| {
        let placed = order.place(work, settings);
        placed.map_err(|halt| of_element(index, halt))
    };
    orders.iter().enumerate().map(place).collect()
}

/// Whose shops the products are is known only from the products. Asked for where they are met, each shop would be loaded
/// after the one before; so all of them are asked for at once.
fn ask_for_shops(
    work: &mut Work<'_, Failure>,
    orders: &[SealedOrder],
) -> Result<(), Halt<Failure>> {
    for product_id in orders.iter().flat_map(|order| &order.products) {
        let shop_id = match work.state::<Product>(product_id) {
            Ok(product) => product.on_sale().ok().and_then(|product| product.shop_id),
            Err(Halt::Missing) => None,
            Err(other) => return Err(other),
        };
        // noted by the unit, which has all of them loaded
        if let Some(shop_id) = shop_id
            && let Err(other @ (Halt::Refused(_) | Halt::Unacceptable(_))) =
                work.state::<Shop>(shop_id)
        {
            return Err(other);
        }
    }
    Ok(())
}
