//! What must hold at the end of every history.

use std::{collections::BTreeMap, time::Duration};

use commands::saga;
use domain::{
    aggregate::Decider,
    discount::Discount,
    ids::{OrderId, PaymentId, RedemptionsId},
    inventory::Inventory,
    order::{Order, OrderStatus, PaymentStatus, PlacedOrder},
    payment::{Payment, PaymentState, StartedPayment},
    redemptions::Redemptions,
};
use eventstore::{
    event::RecordedEvent,
    stream::StreamId,
    testing::simulation::{
        Random, SubscriptionRow, assert_log_is_sound, assert_remembers, assert_stock_adds_up,
        replay,
    },
};

use crate::{
    customers::Told,
    shop::{CUSTOMER, DISCOUNTS, PRODUCTS, STOCK, Shop, USES, product},
};

/// Longest that it takes, once nothing else goes wrong, until a payment about which the gateway is mute is said to be
/// stuck: the patience with its charge, that with its void, and the pauses between.
const STUCK_WITHIN: Duration = Duration::from_mins(3);
/// Which process is asked what it remembers is left to chance: so often that hardly one is left out.
const ASKED: u32 = 8;

pub(crate) fn all(shop: &Shop, told: &[Told]) {
    let events = shop.world.events();
    assert_log_is_sound(&events);
    assert_stock_adds_up(&events);
    let orders: BTreeMap<String, Order> = replay(&events);
    let payments: BTreeMap<String, Payment> = replay(&events);
    let stock: BTreeMap<String, Inventory> = replay(&events);
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
    discounts(&events, &orders);
    assert!(saga_is_at_the_end(shop), "the saga has read all");
}

fn saga_is_at_the_end(shop: &Shop) -> bool {
    shop.world.rows::<SubscriptionRow>()[saga::NAME].head == shop.world.head()
}

/// Waits until every payment that the gateway leaves open is said to be stuck, and the saga has read that.
pub(crate) async fn stuck_payments_show(shop: &Shop) {
    let all_show = || {
        let payments: BTreeMap<String, Payment> = replay(&shop.world.events());
        let mut started = payments.values().filter_map(Payment::started);
        started.all(|payment| !shop.is_stuck(payment.order_id) || is_stuck(payment))
    };
    let shown = async {
        while !(all_show() && saga_is_at_the_end(shop)) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let shown = tokio::time::timeout(STUCK_WITHIN, shown).await;
    assert!(shown.is_ok(), "a stuck payment does not show");
}

fn is_stuck(payment: &StartedPayment) -> bool {
    payment.state() == PaymentState::Stuck
}

/// What processes remember of products, orders and payments is what the log says.
pub(crate) async fn caches(shop: &Shop, told: &[Told], random: &mut Random) {
    for _ in 0..ASKED {
        let running = shop.any(random).await;
        let (world, log) = (&shop.world, running.commands.log());
        let orders = || told.iter().map(|told| told.order_id);
        assert_remembers::<Inventory>(world, log, (0..PRODUCTS).map(product)).await;
        assert_remembers::<Discount>(world, log, DISCOUNTS).await;
        assert_remembers::<Order>(world, log, orders()).await;
        assert_remembers::<Payment>(world, log, orders().map(PaymentId::of)).await;
    }
}

/// The gateway's book and the order tell the same. Where the gateway never answers, the payment is visibly stuck.
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
    let shows_as_stuck = payment.is_some_and(is_stuck);
    if shop.is_stuck(id) && order.status == OrderStatus::Pending {
        assert!(shows_as_stuck, "{id}: undecided and not seen, {payment:#?}");
        return;
    }
    assert!(!shows_as_stuck, "{id}: decided and stuck, {payment:#?}");
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

/// Of each discount as many uses are counted as there are orders that have it and were not called off, the same orders that
/// the customer's own record names, and at no time more than may be.
fn discounts(events: &[RecordedEvent], orders: &BTreeMap<String, Order>) {
    let redemptions: BTreeMap<String, Redemptions> = replay(events);
    for discount_id in DISCOUNTS {
        let mut discount = Discount::default();
        let used = |discount: &Discount| discount.details().map_or(0, |details| details.used);
        let stream = StreamId::of::<Discount>(discount_id);
        for event in events.iter().filter(|event| event.stream() == stream) {
            discount.evolve(&event.decode::<Discount>().unwrap());
            assert!(used(&discount) <= u64::from(USES), "{}", event.position);
        }
        let record = redemptions.get(&RedemptionsId::of(discount_id, CUSTOMER).to_string());
        let mut held = 0;
        for order in orders.values().filter_map(Order::placed) {
            let mut given = order.discounts.iter();
            let holds = order.status != OrderStatus::Cancelled
                && given.any(|given| given.discount_id == discount_id);
            let recorded = record.is_some_and(|record| record.is_used_by(order.order_id));
            assert_eq!(recorded, holds, "{}: {discount_id}", order.order_id);
            held += u64::from(holds);
        }
        assert_eq!(used(&discount), held, "{discount_id}");
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
