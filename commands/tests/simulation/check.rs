//! What must hold at the end of every history.

use std::collections::BTreeMap;

use commands::saga;
use domain::{
    aggregate::Decider,
    ids::{OrderId, PaymentId},
    inventory::{self, Inventory},
    order::{self, Order, OrderStatus, PaymentStatus, PlacedOrder},
    payment::{self, Payment, StartedPayment},
};
use eventstore::{event::RecordedEvent, testing::simulation::SubscriptionRow};

use crate::{
    customers::Told,
    shop::{PRODUCTS, STOCK, Shop, product},
};

pub(crate) fn all(shop: &Shop, told: &[Told]) {
    let events = shop.world.events();
    let orders: BTreeMap<String, Order> = replay(&events, order::TYPE);
    let payments: BTreeMap<String, Payment> = replay(&events, payment::TYPE);
    let stock: BTreeMap<String, Inventory> = replay(&events, inventory::TYPE);
    for told in told {
        let order = orders
            .get(&told.order_id.to_string())
            .and_then(Order::placed);
        if let Some(placed) = told.placed {
            assert_eq!(order.is_some(), placed, "{}: acknowledged", told.order_id);
        }
        if let Some(order) = order {
            let payment = payments
                .get(&PaymentId::of(told.order_id).to_string())
                .and_then(Payment::started);
            money(shop, order, payment);
            decided_once(&events, told.order_id);
            if told.cancelled && !shop.is_stuck(told.order_id) {
                assert_eq!(order.status, OrderStatus::Cancelled, "{}", told.order_id);
            }
        }
    }
    shelves(&stock, &orders);
    let row = &shop.world.rows::<SubscriptionRow>()[saga::NAME];
    assert_eq!(row.head, shop.world.head(), "the saga has read all");
}

/// The states of all aggregates of one type.
fn replay<A: Decider>(events: &[RecordedEvent], of: &str) -> BTreeMap<String, A> {
    let mut states: BTreeMap<String, A> = BTreeMap::new();
    for event in events.iter().filter(|event| *event.aggregate_type == *of) {
        let state = states.entry(event.aggregate_id.to_string()).or_default();
        state.evolve(&event.decode::<A>().expect("readable"));
    }
    states
}

/// The gateway's book and the order tell the same.
fn money(shop: &Shop, order: &PlacedOrder, payment: Option<&StartedPayment>) {
    let id = order.order_id;
    let charges = shop
        .gateway
        .book(|book| book.captures_of(PaymentId::of(id)));
    assert!(charges.len() <= 1, "{id}: charged {charges:?}");
    let (captured, refunded) = charges.first().copied().unwrap_or_default();
    assert!(
        refunded <= captured,
        "{id}: more back than came: {charges:?}"
    );
    if shop.is_stuck(id) && order.status == OrderStatus::Pending {
        return;
    }
    match (order.status, order.payment_status) {
        (OrderStatus::Processing, PaymentStatus::Paid) => {
            assert_eq!((captured, refunded), (order.total, 0), "{id}: paid");
        }
        (OrderStatus::Cancelled, PaymentStatus::Unpaid) => {
            assert_eq!(captured, 0, "{id}: unpaid and charged, {payment:#?}");
        }
        (OrderStatus::Cancelled, PaymentStatus::Refunded) => {
            assert_eq!(
                (captured, refunded),
                (order.total, order.total),
                "{id}: given back"
            );
        }
        other => panic!("{id}: is left {other:?}, {payment:#?}"),
    }
}

/// An order is paid once, or found unpaid once.
fn decided_once(events: &[RecordedEvent], order_id: OrderId) {
    let id = order_id.to_string();
    for decision in ["OrderPlaced", "OrderPaid", "OrderUnpaid", "OrderCancelled"] {
        let times = events
            .iter()
            .filter(|event| *event.aggregate_id == *id && event.event_type == decision)
            .count();
        assert!(times <= 1, "{id}: {decision} {times} times");
    }
}

/// What is reserved is of orders that wait, what is sold of those that are paid; the rest is there.
fn shelves(stock: &BTreeMap<String, Inventory>, orders: &BTreeMap<String, Order>) {
    for product_id in (0..PRODUCTS).map(product) {
        let pieces = |status: OrderStatus| -> i64 {
            let of_status = orders.values().filter_map(Order::placed);
            of_status
                .filter(|order| order.status == status)
                .flat_map(|order| &order.lines)
                .filter(|line| line.product_id == product_id)
                .map(|line| i64::from(line.quantity))
                .sum()
        };
        let inventory = &stock[&product_id.to_string()];
        assert!(inventory.available() >= 0, "sold what was not there");
        assert_eq!(
            inventory.reserved(),
            pieces(OrderStatus::Pending),
            "reserved"
        );
        assert_eq!(inventory.sold(), pieces(OrderStatus::Processing), "sold");
        let sum = inventory.available() + inventory.reserved() + inventory.sold();
        assert_eq!(sum, STOCK as i64, "what came in is somewhere");
    }
}
