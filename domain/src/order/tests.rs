//! Every command in every state of an order, and what the events carry.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use uuid::Uuid;

use super::*;
use crate::{
    discount::{DiscountScope, DiscountValue},
    ids::{DiscountId, PaymentId, ProductId, RefundId, RegionId, ShipmentId, UserId},
    money::Money,
    pricing::{Offer, PricedItem, PricingError},
    region::RegionTerms,
    sealed::Sealed,
    testing::{
        CUSTOMER, ORDER, OTHER_ORDER, OTHER_PRODUCT, OTHER_REFUND, OTHER_SHIPMENT, PRODUCT, REFUND,
        REGION, SHIPMENT, assert_text, currency, given, history, outcomes, pieces, rate, reason,
        sku, title, usd, when,
    },
    text::PaymentMethod,
};

/// Three pieces at 10.00 and one at 5.50, with 10 % on top: 33.00 and 6.05.
const TOTAL: i64 = 3905;

fn terms() -> RegionTerms {
    RegionTerms {
        region_id: REGION,
        currency: currency("USD"),
        tax_rate: rate(1000),
        prices_include_tax: false,
    }
}

fn items() -> Vec<PricedItem> {
    let item = |product_id, name: &str, quantity, cents| PricedItem {
        product_id,
        region_id: REGION,
        shop_id: None,
        category_id: None,
        sku: sku(name),
        title: title(name),
        quantity: pieces(quantity),
        unit_price: usd(cents),
    };
    vec![
        item(PRODUCT, "tee", 3, 1000),
        item(OTHER_PRODUCT, "cap", 1, 550),
    ]
}

fn place(items: Vec<PricedItem>) -> OrderCommand {
    OrderCommand::PlaceOrder(PlaceOrder {
        order_id: ORDER,
        number: OrderNumber(100_001),
        customer_id: CUSTOMER,
        customer_name: Sealed::new("name"),
        shipping_address: Sealed::new("address"),
        terms: terms(),
        payment_method: PaymentMethod::parse("pm_card_visa").unwrap(),
        items,
        offers: vec![],
        payment_delay_ms: 60_000,
        payment_window_ms: 1_800_000,
    })
}

fn payment() -> PaymentId {
    PaymentId::of(ORDER)
}

fn start(attempt: u32) -> OrderCommand {
    OrderCommand::StartPayment {
        payment_id: payment(),
        attempt,
    }
}

fn confirm(amount: Money) -> OrderCommand {
    OrderCommand::ConfirmPayment {
        payment_id: payment(),
        amount,
    }
}

fn decline(attempt: u32, last: bool) -> OrderCommand {
    OrderCommand::DeclinePayment {
        payment_id: payment(),
        attempt,
        reason: reason("card declined"),
        last,
    }
}

fn give_up() -> OrderCommand {
    OrderCommand::GiveUpPayment {
        reason: reason("deadline passed"),
    }
}

fn cancel() -> OrderCommand {
    OrderCommand::CancelOrder {
        reason: reason("changed my mind"),
        requested_by: Some(CUSTOMER),
    }
}

fn contact(name: &str) -> OrderCommand {
    OrderCommand::ChangeContact(ContactChange {
        customer_name: Some(Sealed::new(name)),
        shipping_address: None,
    })
}

/// Two caps in place of shirts and cap: 12.10.
fn caps() -> Vec<PricedItem> {
    vec![PricedItem {
        quantity: pieces(2),
        ..items().remove(1)
    }]
}

fn buy(items: Vec<PricedItem>) -> OrderCommand {
    OrderCommand::ChangeItems {
        items,
        offers: vec![],
    }
}

fn hide() -> OrderCommand {
    OrderCommand::HideOrder {
        reason: reason("deleted"),
        requested_by: Some(CUSTOMER),
    }
}

fn ship(shipment_id: ShipmentId, lines: &[(u32, u64)]) -> OrderCommand {
    let lines = lines
        .iter()
        .map(|(line, quantity)| ShipLine {
            line: *line,
            quantity: pieces(*quantity),
        })
        .collect();
    OrderCommand::ShipItems { shipment_id, lines }
}

fn ship_all() -> OrderCommand {
    ship(SHIPMENT, &[(1, 3), (2, 1)])
}

fn refund(refund_id: RefundId, amount: Money) -> OrderCommand {
    OrderCommand::RecordRefund { refund_id, amount }
}

fn after(commands: impl IntoIterator<Item = OrderCommand>) -> Vec<OrderEvent> {
    history::<Order>(&[], [place(items())].into_iter().chain(commands))
}

fn paid() -> Vec<OrderEvent> {
    after([start(1), confirm(usd(TOTAL))])
}

fn partly_shipped() -> Vec<OrderEvent> {
    history::<Order>(&paid(), [ship(SHIPMENT, &[(1, 2)])])
}

fn line(number: u32, quantity: u64) -> LineQuantity {
    let product_id = if number == 1 { PRODUCT } else { OTHER_PRODUCT };
    LineQuantity {
        line: number,
        product_id,
        quantity: pieces(quantity),
    }
}

fn stock(product_id: ProductId, quantity: u64) -> StockLine {
    StockLine {
        product_id,
        quantity: pieces(quantity),
    }
}

fn statuses(history: &[OrderEvent]) -> (OrderStatus, PaymentStatus) {
    let order = given::<Order>(history);
    let order = order.placed().unwrap();
    (order.status, order.payment_status)
}

fn states() -> Vec<(&'static str, Vec<OrderEvent>)> {
    vec![
        ("unknown", vec![]),
        ("new", after([])),
        ("changed", after([buy(caps()), contact("another name")])),
        ("asked", after([start(1)])),
        ("cancelling", after([start(1), cancel()])),
        ("declined", after([start(1), decline(1, false)])),
        (
            "asked-again",
            after([start(1), decline(1, false), start(2)]),
        ),
        ("paid", paid()),
        (
            "part-refunded",
            history::<Order>(&paid(), [refund(REFUND, usd(5))]),
        ),
        (
            "refunded",
            history::<Order>(&paid(), [refund(REFUND, usd(TOTAL))]),
        ),
        ("partly-shipped", partly_shipped()),
        (
            "rest-cancelled",
            history::<Order>(&partly_shipped(), [cancel()]),
        ),
        ("shipped", history::<Order>(&paid(), [ship_all()])),
        (
            "delivered",
            history::<Order>(&paid(), [ship_all(), OrderCommand::DeliverOrder]),
        ),
        ("unpaid", after([start(1), decline(1, true)])),
        ("cancelled", after([cancel()])),
        ("cancelled-paid", history::<Order>(&paid(), [cancel()])),
        (
            "cancelled-refunded",
            history::<Order>(&paid(), [cancel(), refund(REFUND, usd(TOTAL))]),
        ),
        ("paid-late", after([cancel(), confirm(usd(TOTAL))])),
        ("hidden", after([hide()])),
        ("hidden-cancelling", after([start(1), hide()])),
    ]
}

#[test]
fn every_command_in_every_state() {
    let other_payment = PaymentId::of(OTHER_ORDER);
    let commands = [
        ("PlaceOrder, the same", place(items())),
        ("PlaceOrder, other items", place(items()[..1].to_vec())),
        ("StartPayment 1", start(1)),
        ("StartPayment 2", start(2)),
        ("StartPayment 4", start(4)),
        (
            "StartPayment of another",
            OrderCommand::StartPayment {
                payment_id: other_payment,
                attempt: 1,
            },
        ),
        ("ConfirmPayment", confirm(usd(TOTAL))),
        ("ConfirmPayment, another amount", confirm(usd(TOTAL - 1))),
        (
            "ConfirmPayment, another currency",
            confirm(Money::new(TOTAL, currency("SGD"))),
        ),
        (
            "ConfirmPayment of another",
            OrderCommand::ConfirmPayment {
                payment_id: other_payment,
                amount: usd(TOTAL),
            },
        ),
        ("DeclinePayment 1", decline(1, false)),
        ("DeclinePayment 1, last", decline(1, true)),
        ("DeclinePayment 2", decline(2, false)),
        ("DeclinePayment 2, last", decline(2, true)),
        ("GiveUpPayment", give_up()),
        ("CancelOrder", cancel()),
        ("ChangeContact", contact("another name")),
        ("ChangeContact, nothing", contact("name")),
        ("ChangeItems", buy(caps())),
        ("ChangeItems, the same", buy(items())),
        ("ChangeItems, nothing", buy(vec![])),
        ("HideOrder", hide()),
        ("ShipItems, one piece", ship(OTHER_SHIPMENT, &[(1, 1)])),
        (
            "ShipItems, everything",
            ship(OTHER_SHIPMENT, &[(1, 3), (2, 1)]),
        ),
        (
            "ShipItems, the first shipment again",
            ship(SHIPMENT, &[(1, 2)]),
        ),
        ("ShipItems, nothing", ship(OTHER_SHIPMENT, &[])),
        ("ShipItems, no such line", ship(OTHER_SHIPMENT, &[(3, 1)])),
        ("DeliverOrder", OrderCommand::DeliverOrder),
        ("RecordRefund, a part", refund(OTHER_REFUND, usd(5))),
        ("RecordRefund, all", refund(OTHER_REFUND, usd(TOTAL))),
        ("RecordRefund, the first again", refund(REFUND, usd(5))),
        ("RecordRefund, nothing", refund(OTHER_REFUND, usd(0))),
        (
            "RecordRefund, another currency",
            refund(OTHER_REFUND, Money::new(1, currency("SGD"))),
        ),
    ];
    assert_text(
        &outcomes::<Order>(&states(), &commands),
        include_str!("moves.txt"),
    );
}

#[test]
fn every_state_shows_where_it_is_and_where_it_can_go() {
    let mut text = String::new();
    for (name, told) in &states()[1..] {
        let (status, payment) = statuses(told);
        let order = given::<Order>(told);
        let next = order
            .next_statuses()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let stock = format!("{:?}", order.stock_if_cancelled());
        let stock = stock.split('(').next().unwrap().to_lowercase();
        let next_payments = order.placed().unwrap().next_payment_statuses();
        let next_payments = next_payments
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        writeln!(
            text,
            "{name}: {status}, {payment}; next: {next}; of the money: {next_payments}; cancelling: {stock}"
        )
        .unwrap();
    }
    let expected = "
new: pending, awaiting; next: processing, cancelled; of the money: paid, failed, unpaid; cancelling: release
changed: pending, awaiting; next: processing, cancelled; of the money: paid, failed, unpaid; cancelling: release
asked: pending, awaiting; next: processing, cancelled; of the money: paid, failed, unpaid; cancelling: none
cancelling: pending, awaiting; next: cancelled; of the money: paid, unpaid; cancelling: none
declined: pending, failed; next: processing, cancelled; of the money: awaiting, paid, unpaid; cancelling: release
asked-again: pending, awaiting; next: processing, cancelled; of the money: paid, failed, unpaid; cancelling: none
paid: processing, paid; next: partly_shipped, shipped, cancelled; of the money: partially_refunded, refunded; cancelling: return
part-refunded: processing, partially_refunded; next: partly_shipped, shipped, cancelled; of the money: refunded; cancelling: return
refunded: processing, refunded; next: cancelled; of the money: ; cancelling: return
partly-shipped: partly_shipped, paid; next: shipped; of the money: partially_refunded, refunded; cancelling: return
rest-cancelled: shipped, paid; next: delivered; of the money: partially_refunded, refunded; cancelling: none
shipped: shipped, paid; next: delivered; of the money: partially_refunded, refunded; cancelling: none
delivered: delivered, paid; next: ; of the money: partially_refunded, refunded; cancelling: none
unpaid: cancelled, unpaid; next: ; of the money: paid; cancelling: none
cancelled: cancelled, unpaid; next: ; of the money: paid; cancelling: none
cancelled-paid: cancelled, paid; next: ; of the money: partially_refunded, refunded; cancelling: none
cancelled-refunded: cancelled, refunded; next: ; of the money: ; cancelling: none
paid-late: cancelled, paid; next: ; of the money: partially_refunded, refunded; cancelling: none
hidden: cancelled, unpaid; next: ; of the money: paid; cancelling: none
hidden-cancelling: pending, awaiting; next: cancelled; of the money: paid, unpaid; cancelling: none
";
    assert_text(&text, expected);
    assert_eq!(Order::default().next_statuses(), [OrderStatus::Pending]);
}

#[test]
fn an_order_without_an_address_is_shipped_once_it_has_one() {
    let mut nowhere = place(items());
    if let OrderCommand::PlaceOrder(order) = &mut nowhere {
        order.shipping_address = Sealed::new("");
    }
    let ship = ship(SHIPMENT, &[(1, 1)]);
    let paid = history::<Order>(&[], [nowhere, confirm(usd(TOTAL))]);
    assert_eq!(
        when::<Order>(&paid, ship.clone()),
        Err(OrderError::NoAddress)
    );
    let address = OrderCommand::ChangeContact(ContactChange {
        customer_name: None,
        shipping_address: Some(Sealed::new("address")),
    });
    let addressed = history::<Order>(&paid, [address]);
    assert_eq!(when::<Order>(&addressed, ship).unwrap().len(), 1);
}

#[test]
fn an_order_freezes_prices_tax_and_totals() {
    let line = |line, product_id, name: &str, quantity, unit_price, net, tax| OrderLine {
        line,
        product_id,
        shop_id: None,
        sku: sku(name),
        title: title(name),
        quantity: pieces(quantity),
        unit_price,
        discount: 0,
        discount_id: None,
        net,
        tax,
        gross: net + tax,
    };
    let expected = OrderEvent::OrderPlaced {
        order_id: ORDER,
        number: Some(OrderNumber(100_001)),
        customer_id: CUSTOMER,
        customer_name: Sealed::new("name"),
        shipping_address: Sealed::new("address"),
        region_id: REGION,
        currency: currency("USD"),
        tax_rate: rate(1000),
        prices_include_tax: false,
        payment_method: PaymentMethod::parse("pm_card_visa").unwrap(),
        lines: vec![
            line(1, PRODUCT, "tee", 3, 1000, 3000, 300),
            line(2, OTHER_PRODUCT, "cap", 1, 550, 550, 55),
        ],
        subtotal: 3550,
        discount: 0,
        discounts: vec![],
        tax: 355,
        total: TOTAL,
        payment_delay_ms: 60_000,
        payment_window_ms: 1_800_000,
    };
    assert_eq!(when::<Order>(&[], place(items())), Ok(vec![expected]));
}

/// So many minor units off everything.
fn offer(number: u128, amount: i64) -> Offer {
    Offer {
        discount_id: discount(number),
        title: title("Tết"),
        code: None,
        shop_id: None,
        value: DiscountValue::Amount { amount },
        minimum: 0,
        scope: DiscountScope::default(),
    }
}

fn discount(number: u128) -> DiscountId {
    DiscountId(Uuid::from_u128(number))
}

fn place_with(offers: Vec<Offer>) -> OrderCommand {
    match place(items()) {
        OrderCommand::PlaceOrder(wished) => {
            OrderCommand::PlaceOrder(PlaceOrder { offers, ..wished })
        }
        _ => unreachable!("it is placed"),
    }
}

#[test]
fn an_order_names_the_discounts_that_it_has_and_what_is_due_is_less() {
    let placed = when::<Order>(&[], place_with(vec![offer(1, 355), offer(2, 10)])).unwrap();
    let state = given::<Order>(&placed);
    let order = state.placed().unwrap();
    assert_eq!((order.subtotal, order.discount), (3550, 355));
    assert_eq!((order.tax, order.total), (320, 3515));
    let discounts: Vec<_> = order.discounts.iter().collect();
    assert_eq!(
        discounts.len(),
        1,
        "one for each line, and the other takes less"
    );
    assert_eq!(
        (discounts[0].discount_id, discounts[0].amount),
        (discount(1), 355)
    );
    let again = when::<Order>(&placed, place_with(vec![offer(1, 355), offer(2, 10)]));
    assert_eq!(again, Ok(vec![]));
    let other = when::<Order>(&placed, place_with(vec![]));
    assert_eq!(other, Err(OrderError::AlreadyExists));
}

#[test]
fn a_discount_is_used_from_when_the_order_has_it_until_it_is_called_off() {
    let uses = |used: &[u128], returned: &[u128]| DiscountEffect {
        used: used.iter().copied().map(discount).collect(),
        returned: returned.iter().copied().map(discount).collect(),
    };
    let placed = when::<Order>(&[], place_with(vec![offer(1, 355)])).unwrap();
    let effect = Order::default().discount_effect(&placed[0]);
    assert_eq!(effect, uses(&[1], &[]));
    let change = OrderCommand::ChangeItems {
        items: caps(),
        offers: vec![offer(2, 10)],
    };
    let changed = when::<Order>(&placed, change).unwrap();
    let effect = given::<Order>(&placed).discount_effect(&changed[0]);
    assert_eq!(effect, uses(&[2], &[1]));
    for end in [cancel(), give_up()] {
        let ended = when::<Order>(&placed, end).unwrap();
        let state = given::<Order>(&placed);
        assert_eq!(state.discount_effect(&ended[0]), uses(&[], &[1]));
        let over = given::<Order>(&[placed.clone(), ended.clone()].concat());
        assert_eq!(over.discount_effect(&ended[0]), uses(&[], &[]), "once");
    }
    let total = given::<Order>(&placed).placed().unwrap().total;
    let part = [start(1), confirm(usd(total)), ship(SHIPMENT, &[(1, 1)])];
    let part = history::<Order>(&placed, part);
    let rest = when::<Order>(&part, cancel()).unwrap();
    let effect = given::<Order>(&part).discount_effect(&rest[0]);
    assert_eq!(effect, uses(&[], &[]), "part of it was shipped");
}

#[test]
fn a_discount_of_everything_leaves_nothing_to_pay() {
    let free = when::<Order>(&[], place_with(vec![offer(1, 3550)])).unwrap();
    let state = given::<Order>(&free);
    let order = state.placed().unwrap();
    assert_eq!((order.discount, order.tax, order.total), (3550, 0, 0));
    let paid = when::<Order>(&free, confirm(usd(0))).unwrap();
    let state = given::<Order>(&[free, paid].concat());
    assert_eq!(state.placed().unwrap().payment_status, PaymentStatus::Paid);
}

#[test]
fn the_same_product_twice_is_reserved_once_with_the_sum() {
    let twice = [items(), items()].concat();
    let placed = when::<Order>(&[], place(twice)).unwrap();
    let reserve = StockEffect::Reserve(vec![stock(PRODUCT, 6), stock(OTHER_PRODUCT, 2)]);
    assert_eq!(Order::default().stock_effect(&placed[0]), reserve);
}

#[test]
fn items_that_make_no_order_are_refused_with_the_reason() {
    assert_eq!(
        when::<Order>(&[], place(vec![])),
        Err(OrderError::Pricing(PricingError::Empty))
    );
    let elsewhere = PricedItem {
        region_id: RegionId(OTHER_ORDER.0),
        ..items().remove(1)
    };
    let mixed = PricingError::MixedRegions {
        product_id: OTHER_PRODUCT,
    };
    assert_eq!(
        when::<Order>(&[], place(vec![items().remove(0), elsewhere])),
        Err(mixed.into())
    );
}

#[test]
fn placing_again_with_values_sealed_anew_is_the_same_order() {
    let OrderCommand::PlaceOrder(mut again) = place(items()) else {
        unreachable!()
    };
    again.customer_name = Sealed::new("the same name, sealed again");
    again.payment_delay_ms = 0;
    assert_eq!(
        when::<Order>(&after([]), OrderCommand::PlaceOrder(again.clone())),
        Ok(vec![])
    );
    again.customer_id = UserId(OTHER_ORDER.0);
    let refused = Err(OrderError::AlreadyExists);
    assert_eq!(
        when::<Order>(&after([]), OrderCommand::PlaceOrder(again)),
        refused
    );
}

#[test]
fn an_illegal_move_names_the_legal_next_states() {
    let error = OrderError::IllegalMove {
        from: OrderStatus::Pending,
        payment: PaymentStatus::Awaiting,
        command: "DeliverOrder",
        allowed: vec![OrderStatus::Processing, OrderStatus::Cancelled],
    };
    assert_eq!(
        error.to_string(),
        "DeliverOrder is not possible for an order that is pending and awaiting"
    );
    assert_eq!(
        when::<Order>(&after([]), OrderCommand::DeliverOrder),
        Err(error)
    );
}

#[test]
fn a_payment_sells_the_stock_and_a_failed_one_keeps_it_reserved() {
    let asked = after([start(1)]);
    let order = given::<Order>(&asked);
    let failed = when::<Order>(&asked, decline(1, false)).unwrap();
    assert_eq!(order.stock_effect(&failed[0]), StockEffect::None);
    let unpaid = when::<Order>(&asked, decline(1, true)).unwrap();
    let reason = reason("card declined");
    assert_eq!(
        unpaid,
        [OrderEvent::OrderUnpaid {
            payment_id: Some(payment()),
            reason
        }]
    );
    let all = vec![stock(PRODUCT, 3), stock(OTHER_PRODUCT, 1)];
    assert_eq!(
        order.stock_effect(&unpaid[0]),
        StockEffect::Release(all.clone())
    );
    let paid = when::<Order>(&asked, confirm(usd(TOTAL))).unwrap();
    assert_eq!(
        paid,
        [OrderEvent::OrderPaid {
            payment_id: payment(),
            amount: TOTAL
        }]
    );
    assert_eq!(order.stock_effect(&paid[0]), StockEffect::Sell(all));
}

#[test]
fn a_success_after_a_decline_pays_the_order() {
    let told = after([start(1), decline(1, false), confirm(usd(TOTAL))]);
    assert_eq!(
        statuses(&told),
        (OrderStatus::Processing, PaymentStatus::Paid)
    );
}

#[test]
fn a_decline_of_an_earlier_attempt_does_not_end_the_next() {
    let told = after([start(1), decline(1, false), start(2)]);
    assert_eq!(when::<Order>(&told, decline(1, true)), Ok(vec![]));
    assert_eq!(
        statuses(&told),
        (OrderStatus::Pending, PaymentStatus::Awaiting)
    );
}

#[test]
fn cancelling_before_payment_releases_the_stock_and_owes_nothing() {
    let told = after([]);
    let cancelled = when::<Order>(&told, cancel()).unwrap();
    let reason = reason("changed my mind");
    assert_eq!(
        cancelled,
        [OrderEvent::OrderCancelled {
            reason,
            lines: vec![line(1, 3), line(2, 1)],
            refund: 0
        }]
    );
    let release = StockEffect::Release(vec![stock(PRODUCT, 3), stock(OTHER_PRODUCT, 1)]);
    assert_eq!(given::<Order>(&told).stock_effect(&cancelled[0]), release);
    assert_eq!(given::<Order>(&told).stock_if_cancelled(), release);
}

#[test]
fn cancelling_a_paid_order_returns_the_stock_and_owes_what_is_left() {
    let told = history::<Order>(&paid(), [refund(REFUND, usd(905))]);
    let cancelled = when::<Order>(&told, cancel()).unwrap();
    let reason = reason("changed my mind");
    assert_eq!(
        cancelled,
        [OrderEvent::OrderCancelled {
            reason,
            lines: vec![line(1, 3), line(2, 1)],
            refund: 3000
        }]
    );
    let back = StockEffect::Return(vec![stock(PRODUCT, 3), stock(OTHER_PRODUCT, 1)]);
    assert_eq!(given::<Order>(&told).stock_effect(&cancelled[0]), back);
    assert_eq!(given::<Order>(&told).stock_if_cancelled(), back);
}

#[test]
fn a_cancel_that_raced_the_gateway_ends_with_its_outcome() {
    let told = after([start(1), cancel()]);
    let asked = reason("changed my mind");
    let lines = vec![line(1, 3), line(2, 1)];

    // the money came: it is recorded, and owed back at once
    let paid = OrderEvent::OrderPaid {
        payment_id: payment(),
        amount: TOTAL,
    };
    let owed = OrderEvent::OrderCancelled {
        reason: asked.clone(),
        lines: lines.clone(),
        refund: TOTAL,
    };
    assert_eq!(
        when::<Order>(&told, confirm(usd(TOTAL))),
        Ok(vec![paid.clone(), owed.clone()])
    );
    let mut order = given::<Order>(&told);
    let all = vec![stock(PRODUCT, 3), stock(OTHER_PRODUCT, 1)];
    assert_eq!(order.stock_effect(&paid), StockEffect::Sell(all.clone()));
    order.evolve(&paid);
    assert_eq!(order.stock_effect(&owed), StockEffect::Return(all.clone()));
    let refunded = history::<Order>(&told, [confirm(usd(TOTAL)), refund(REFUND, usd(TOTAL))]);
    assert_eq!(
        statuses(&refunded),
        (OrderStatus::Cancelled, PaymentStatus::Refunded)
    );

    // no money came: the reason is the one of whoever cancelled
    let cancelled = OrderEvent::OrderCancelled {
        reason: asked,
        lines,
        refund: 0,
    };
    for command in [decline(1, false), decline(1, true), give_up()] {
        assert_eq!(when::<Order>(&told, command), Ok(vec![cancelled.clone()]));
    }
    assert_eq!(
        given::<Order>(&told).stock_effect(&cancelled),
        StockEffect::Release(all)
    );
}

#[test]
fn a_late_success_is_recorded_and_leaves_a_cancelled_order_cancelled() {
    let told = after([cancel()]);
    let late = when::<Order>(&told, confirm(usd(TOTAL))).unwrap();
    assert_eq!(
        given::<Order>(&told).stock_effect(&late[0]),
        StockEffect::None
    );
    let told = history::<Order>(&told, [confirm(usd(TOTAL))]);
    assert_eq!(
        statuses(&told),
        (OrderStatus::Cancelled, PaymentStatus::Paid)
    );
    let told = history::<Order>(&told, [refund(REFUND, usd(TOTAL))]);
    assert_eq!(
        statuses(&told),
        (OrderStatus::Cancelled, PaymentStatus::Refunded)
    );
    assert_eq!(when::<Order>(&told, confirm(usd(TOTAL))), Ok(vec![]));
}

#[test]
fn what_is_bought_is_changed_at_todays_prices_under_the_terms_of_when_it_was_placed() {
    let told = after([]);
    let dearer = vec![
        PricedItem {
            unit_price: usd(700),
            ..caps().remove(0)
        },
        PricedItem {
            quantity: pieces(1),
            ..items().remove(0)
        },
    ];
    let changed = when::<Order>(&told, buy(dearer)).unwrap();
    let [
        OrderEvent::OrderItemsChanged {
            lines,
            subtotal,
            tax,
            total,
            discount: 0,
            discounts: _,
        },
    ] = &changed[..]
    else {
        panic!("{changed:?}")
    };
    assert_eq!((*subtotal, *tax, *total), (2400, 240, 2640));
    let bought: Vec<_> = lines
        .iter()
        .map(|line| (line.line, line.product_id, line.gross))
        .collect();
    assert_eq!(bought, [(1, OTHER_PRODUCT, 1540), (2, PRODUCT, 1100)]);
    let effect = StockEffect::Change {
        from: vec![stock(PRODUCT, 3), stock(OTHER_PRODUCT, 1)],
        to: vec![stock(OTHER_PRODUCT, 2), stock(PRODUCT, 1)],
    };
    assert_eq!(given::<Order>(&told).stock_effect(&changed[0]), effect);
    let elsewhere = PricedItem {
        region_id: RegionId(OTHER_ORDER.0),
        ..items().remove(1)
    };
    let mixed = PricingError::MixedRegions {
        product_id: OTHER_PRODUCT,
    };
    assert_eq!(
        when::<Order>(&told, buy(vec![elsewhere])),
        Err(mixed.into())
    );
}

#[test]
fn a_changed_order_is_paid_with_its_new_total_and_cancelled_with_its_new_lines() {
    let told = after([buy(caps()), start(1)]);
    let expected = usd(1210);
    assert_eq!(
        when::<Order>(&told, confirm(usd(TOTAL))),
        Err(OrderError::AmountDiffers {
            expected,
            given: usd(TOTAL)
        })
    );
    let told = history::<Order>(&told, [confirm(expected)]);
    let caps = stock(OTHER_PRODUCT, 2);
    let cancelled = when::<Order>(&told, cancel()).unwrap();
    assert_eq!(
        given::<Order>(&told).stock_effect(&cancelled[0]),
        StockEffect::Return(vec![caps])
    );
}

#[test]
fn a_changed_order_placed_again_is_still_the_same_order() {
    let told = after([buy(caps()), buy(items()[..1].to_vec())]);
    assert_eq!(when::<Order>(&told, place(items())), Ok(vec![]));
    assert_eq!(
        when::<Order>(&told, place(caps())),
        Err(OrderError::AlreadyExists)
    );
}

#[test]
fn only_what_differs_of_name_and_address_is_told() {
    let both = OrderCommand::ChangeContact(ContactChange {
        customer_name: Some(Sealed::new("name")),
        shipping_address: Some(Sealed::new("another address")),
    });
    let told = when::<Order>(&after([]), both).unwrap();
    let expected = OrderEvent::OrderContactChanged {
        customer_name: None,
        shipping_address: Some(Sealed::new("another address")),
    };
    assert_eq!(told, [expected]);
}

#[test]
fn hiding_a_paid_order_cancels_it_first_and_owes_the_money() {
    let told = when::<Order>(&paid(), hide()).unwrap();
    assert!(matches!(
        told[..],
        [
            OrderEvent::OrderCancelled { refund: TOTAL, .. },
            OrderEvent::OrderHidden {}
        ]
    ));
    let told = history::<Order>(&after([start(1), hide()]), [confirm(usd(TOTAL))]);
    assert_eq!(
        statuses(&told),
        (OrderStatus::Cancelled, PaymentStatus::Paid),
        "what was awaited is still taken in"
    );
    assert!(given::<Order>(&told).placed().unwrap().hidden);
}

#[test]
fn shipping_in_parts_is_complete_with_the_last_piece() {
    let lines = |quantity| vec![line(1, quantity)];
    let first = OrderEvent::OrderItemsShipped {
        shipment_id: SHIPMENT,
        lines: lines(2),
        complete: false,
    };
    assert_eq!(
        when::<Order>(&paid(), ship(SHIPMENT, &[(1, 1), (1, 1)])),
        Ok(vec![first])
    );
    let told = partly_shipped();
    assert_eq!(
        given::<Order>(&told).placed().unwrap().unshipped(),
        [line(1, 1), line(2, 1)]
    );
    let rest = vec![line(1, 1), line(2, 1)];
    let last = OrderEvent::OrderItemsShipped {
        shipment_id: OTHER_SHIPMENT,
        lines: rest,
        complete: true,
    };
    assert_eq!(
        when::<Order>(&told, ship(OTHER_SHIPMENT, &[(2, 1), (1, 1)])),
        Ok(vec![last])
    );
    let over = OrderError::OverShipped {
        line: 1,
        requested: 2,
        left: 1,
    };
    assert_eq!(
        when::<Order>(&told, ship(OTHER_SHIPMENT, &[(1, 1), (1, 1)])),
        Err(over)
    );
}

#[test]
fn cancelling_after_part_was_shipped_cancels_only_the_rest() {
    let told = partly_shipped();
    let cancelled = when::<Order>(&told, cancel()).unwrap();
    // one of three shirts at 33.00 and the cap at 6.05
    let expected = OrderEvent::OrderRemainderCancelled {
        reason: reason("changed my mind"),
        lines: vec![line(1, 1), line(2, 1)],
        refund: 1100 + 605,
    };
    assert_eq!(cancelled, [expected]);
    let back = StockEffect::Return(vec![stock(PRODUCT, 1), stock(OTHER_PRODUCT, 1)]);
    assert_eq!(given::<Order>(&told).stock_effect(&cancelled[0]), back);
    let told = [told, cancelled].concat();
    assert_eq!(statuses(&told), (OrderStatus::Shipped, PaymentStatus::Paid));
}

#[test]
fn the_refund_of_the_rest_is_never_more_than_is_left() {
    let told = history::<Order>(&partly_shipped(), [refund(REFUND, usd(TOTAL - 100))]);
    let cancelled = when::<Order>(&told, cancel()).unwrap();
    assert!(matches!(
        cancelled[..],
        [OrderEvent::OrderRemainderCancelled { refund: 100, .. }]
    ));
}

#[test]
fn refunds_add_up_to_what_was_paid_and_no_further() {
    let refunded = |amount, refunded_total, complete| {
        let refund_id = if complete { OTHER_REFUND } else { REFUND };
        OrderEvent::OrderRefunded {
            refund_id,
            amount,
            refunded_total,
            complete,
        }
    };
    assert_eq!(
        when::<Order>(&paid(), refund(REFUND, usd(5))),
        Ok(vec![refunded(5, 5, false)])
    );
    let told = history::<Order>(&paid(), [refund(REFUND, usd(5))]);
    assert_eq!(statuses(&told).1, PaymentStatus::PartiallyRefunded);
    assert_eq!(
        when::<Order>(&told, refund(OTHER_REFUND, usd(3900))),
        Ok(vec![refunded(3900, TOTAL, true)])
    );
    let error = OrderError::NotRefundable {
        requested: usd(3901),
        refundable: usd(3900),
    };
    assert_eq!(
        when::<Order>(&told, refund(OTHER_REFUND, usd(3901))),
        Err(error)
    );
    let error = OrderError::RefundDiffers { recorded: usd(5) };
    assert_eq!(when::<Order>(&told, refund(REFUND, usd(6))), Err(error));
}

#[test]
fn an_order_of_nothing_to_pay_is_paid_without_asking() {
    let free: Vec<_> = items()
        .into_iter()
        .map(|item| PricedItem {
            unit_price: usd(0),
            ..item
        })
        .collect();
    let told = history::<Order>(&[], [place(free), confirm(usd(0))]);
    assert_eq!(
        statuses(&told),
        (OrderStatus::Processing, PaymentStatus::Paid)
    );
    assert!(matches!(
        when::<Order>(&told, cancel()).unwrap()[..],
        [OrderEvent::OrderCancelled { refund: 0, .. }]
    ));
}

#[test]
fn one_piece_cannot_be_partly_shipped() {
    let told = history::<Order>(&[], [place(items()[1..].to_vec()), confirm(usd(605))]);
    assert_eq!(
        given::<Order>(&told).next_statuses(),
        [OrderStatus::Shipped, OrderStatus::Cancelled]
    );
}
