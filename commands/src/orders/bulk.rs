//! Many orders in one unit of work: all are placed, or changed, or none, and a refusal names the one that is at fault.

use std::collections::BTreeMap;

use domain::order::PlacedOrder;
use eventstore::{
    stream::{StreamId, StreamRef},
    unit::{Committed, Halt, Work},
};

use super::{
    change::{ChangeOrder, SealedChange},
    place::{NewOrder, SealedOrder},
};
use crate::{
    absent::Absent,
    failure::{Failure, refuse},
    request::{CommandSettings, Commands, Request, Versioned},
};

/// Most items that orders placed or changed together may have in all, those that a change drops counted apart, and most orders
/// that are changed together. Each is a stream to be read and an event or two to be written in one decision, for which everybody else's decisions wait: with so many a third
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
        let streams = once_each(sealed.iter().flat_map(SealedOrder::streams));
        let settings = self.settings();
        self.commit(request, streams, move |work| {
            place_all(work, &sealed, settings)
        })
        .await
    }

    /// Changes orders, each as [`Commands::change_order`] would, in this order, and only where it has the version that is given
    /// with it: stock that one gives back the next one finds. A refusal is a [`Failure::Element`].
    pub async fn change_orders(
        &self,
        request: Request,
        changes: Vec<(ChangeOrder, Option<i64>)>,
    ) -> Result<Committed<Vec<Versioned<PlacedOrder>>>, Failure> {
        if changes.len() > MAX_BULK_ITEMS {
            let reason = format!("more than {MAX_BULK_ITEMS} orders");
            return Err(Failure::Unacceptable(reason));
        }
        let items = changes
            .iter()
            .filter_map(|(change, _)| change.items.as_ref());
        if items.map(Vec::len).sum::<usize>() > MAX_BULK_ITEMS {
            let reason = format!("more than {MAX_BULK_ITEMS} items in all");
            return Err(Failure::Unacceptable(reason));
        }
        let mut sealed = Vec::with_capacity(changes.len());
        for (index, (change, expected)) in changes.into_iter().enumerate() {
            let change = self.seal_change(change).await;
            let change = change.map_err(|failure| failure.of_element(index))?;
            sealed.push((change, expected));
        }
        let streams = once_each(sealed.iter().flat_map(|(change, _)| change.streams()));
        self.commit(request, streams, move |work| change_all(work, &sealed))
            .await
    }
}

fn of_element(index: usize, halt: Halt<Failure>) -> Halt<Failure> {
    match halt {
        Halt::Refused(failure) => Halt::Refused(failure.of_element(index)),
        other => other,
    }
}

/// Those that several of them read are named once.
fn once_each(streams: impl Iterator<Item = StreamRef>) -> Vec<StreamRef> {
    let named = streams.map(|stream| (stream.id().clone(), stream));
    let named: BTreeMap<StreamId, StreamRef> = named.collect();
    named.into_values().collect()
}

fn change_all(
    work: &mut Work<'_, Failure>,
    changes: &[(SealedChange, Option<i64>)],
) -> Result<Vec<Versioned<PlacedOrder>>, Halt<Failure>> {
    assure_few_held(work, changes)?;
    let mut all = Vec::with_capacity(changes.len());
    let mut absent = Absent::default();
    for (index, (change, expected)) in changes.iter().enumerate() {
        let made = if absent.is_any() {
            // made in vain: it is only asked what it needs, so that what all of them need is loaded at once
            change.prepare(work).map(|()| None)
        } else {
            change.make(work, *expected).map(Some)
        };
        let made = made.map_err(|halt| of_element(index, halt));
        all.extend(absent.note(made)?.flatten());
    }
    absent.check()?;
    Ok(all)
}

/// What the orders hold is given up line by line, which is as much work as taking it.
fn assure_few_held(
    work: &mut Work<'_, Failure>,
    changes: &[(SealedChange, Option<i64>)],
) -> Result<(), Halt<Failure>> {
    let mut held = 0;
    for (change, _) in changes {
        held += change.lines_held(work)?;
    }
    if held > MAX_BULK_ITEMS {
        let reason = format!("the orders hold more than {MAX_BULK_ITEMS} items in all");
        return Err(refuse(Failure::Unacceptable(reason)));
    }
    Ok(())
}

fn place_all(
    work: &mut Work<'_, Failure>,
    orders: &[SealedOrder],
    settings: CommandSettings,
) -> Result<Vec<Versioned<PlacedOrder>>, Halt<Failure>> {
    let mut all = Vec::with_capacity(orders.len());
    let mut absent = Absent::default();
    for (index, order) in orders.iter().enumerate() {
        let placed = if absent.is_any() {
            // placed in vain: it is only asked what it needs, so that what all of them need is loaded at once
            order.prepare(work).map(|_| None)
        } else {
            order.place(work, settings).map(Some)
        };
        let placed = placed.map_err(|halt| of_element(index, halt));
        all.extend(absent.note(placed)?.flatten());
    }
    absent.check()?;
    Ok(all)
}
