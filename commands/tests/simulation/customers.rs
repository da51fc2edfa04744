//! Customers that order, change, cancel and delete, and remember what they were told.

use std::time::Duration;

use commands::{
    Failure,
    orders::{CancelOrder, ChangeOrder, DeleteOrder, NewOrder, OrderItem},
};
use domain::{
    discount::NotDue,
    ids::OrderId,
    text::{DiscountCode, Quantity, Reason},
};
use eventstore::testing::simulation::Random;

use crate::shop::{CODE, CUSTOMER, PRODUCTS, Shop, product, request};

/// What a customer was told of an order.
pub(crate) struct Told {
    pub(crate) order_id: OrderId,
    /// None where it is not known.
    pub(crate) placed: Option<bool>,
    /// Whether a cancellation was acknowledged.
    pub(crate) cancelled: bool,
}

pub(crate) async fn order_and_cancel(shop: &Shop, random: &mut Random) -> Vec<Told> {
    let customers = (0..3).map(|_| one_customer(shop, random.fork()));
    let told = futures::future::join_all(customers).await;
    told.into_iter().flatten().collect()
}

async fn one_customer(shop: &Shop, mut random: Random) -> Vec<Told> {
    let mut told = Vec::new();
    for _ in 0..4 {
        tokio::time::sleep(random.up_to(Duration::from_secs(8))).await;
        told.push(order(shop, &mut random).await);
        if random.in_thousand(400) {
            tokio::time::sleep(random.up_to(Duration::from_secs(15))).await;
            let which = random.below(told.len() as u64) as usize;
            cancel(shop, &mut random, &mut told[which]).await;
        }
        if random.in_thousand(300) {
            let which = random.below(told.len() as u64) as usize;
            change(shop, &mut random, &told[which]).await;
        }
        if random.in_thousand(100) {
            let which = random.below(told.len() as u64) as usize;
            delete(shop, &mut random, &mut told[which]).await;
        }
    }
    told
}

/// A few pieces of one or two products.
fn some_items(random: &mut Random) -> Vec<OrderItem> {
    let items = (0..=random.below(2)).map(|_| OrderItem {
        product_id: product(random.below(PRODUCTS)),
        quantity: Quantity::parse(1 + random.below(2)).unwrap(),
    });
    items.collect()
}

pub(crate) fn new_order(order_id: OrderId, random: &mut Random) -> NewOrder {
    NewOrder {
        order_id,
        customer_id: CUSTOMER,
        customer_name: "A".into(),
        shipping_address: "B".into(),
        shipping_country: None,
        region_id: None,
        payment_method: None,
        items: some_items(random),
        codes: vec![],
        expected_total: None,
    }
}

async fn order(shop: &Shop, random: &mut Random) -> Told {
    let order_id = OrderId(random.uuid());
    let mut order = new_order(order_id, random);
    if random.in_thousand(500) {
        order.codes.push(DiscountCode::parse(CODE).unwrap());
    }
    let running = shop.any(random).await;
    let answer = running.commands.place_order(request(), order).await;
    let placed = match answer {
        _ if !running.process.is_alive() => None,
        Ok(_) => Some(true),
        Err(Failure::OutcomeUnknown) => None,
        Err(
            Failure::InsufficientStock { .. }
            | Failure::Unavailable(_)
            | Failure::DiscountNotDue {
                reason: NotDue::UsedUp,
                ..
            },
        ) => Some(false),
        Err(failure) => panic!("{failure:?}"),
    };
    Told {
        order_id,
        placed,
        cancelled: false,
    }
}

async fn cancel(shop: &Shop, random: &mut Random, told: &mut Told) {
    let cancel = CancelOrder {
        order_id: told.order_id,
        reason: Reason::lossy("changed my mind"),
        requested_by: None,
        only_of: None,
    };
    let running = shop.any(random).await;
    let answer = running.commands.cancel_order(request(), cancel, None).await;
    match answer {
        _ if !running.process.is_alive() => {}
        Ok(_) => told.cancelled = true,
        // perhaps not heard, or it has ended unpaid before
        Err(Failure::OutcomeUnknown | Failure::Unavailable(_) | Failure::Order(_)) => {}
        Err(Failure::NotFound { .. }) => {
            assert_ne!(
                told.placed,
                Some(true),
                "an order that was acknowledged is not found"
            );
        }
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Other things are to be bought: all of them or none, and none once the payment was started.
async fn change(shop: &Shop, random: &mut Random, told: &Told) {
    let change = ChangeOrder {
        order_id: told.order_id,
        customer_name: None,
        shipping_address: None,
        items: Some(some_items(random)),
        expected_total: None,
        only_of: None,
    };
    let running = shop.any(random).await;
    let answer = running.commands.change_order(request(), change, None).await;
    match answer {
        _ if !running.process.is_alive() => {}
        Ok(_)
        | Err(
            Failure::OutcomeUnknown
            | Failure::Unavailable(_)
            | Failure::Order(_)
            | Failure::InsufficientStock { .. },
        ) => {}
        Err(Failure::NotFound { .. }) => assert_ne!(told.placed, Some(true), "not found"),
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Nothing is shipped here: whatever is deleted is cancelled.
async fn delete(shop: &Shop, random: &mut Random, told: &mut Told) {
    let delete = DeleteOrder {
        order_id: told.order_id,
        requested_by: None,
        only_of: None,
    };
    let running = shop.any(random).await;
    let answer = running.commands.delete_order(request(), delete, None).await;
    match answer {
        _ if !running.process.is_alive() => {}
        Ok(_) => told.cancelled = true,
        Err(Failure::OutcomeUnknown | Failure::Unavailable(_)) => {}
        Err(Failure::NotFound { .. }) => assert_ne!(told.placed, Some(true), "not found"),
        Err(failure) => panic!("{failure:?}"),
    }
}
