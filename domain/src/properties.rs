//! What holds for any history of any commands, aggregate by aggregate.
//!
//! For every history: a command that was accepted adds nothing when it is sent again at once; events and state come
//! back from their JSON as they went in; the state rebuilt from the events is the state that decided. Events in any
//! order, also one that no decision would produce, never make `evolve` or `decide` panic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeMap, fmt::Debug};

use proptest::{collection::vec, option, prelude::*, sample::select};
use uuid::Uuid;

use crate::{
    aggregate::Decider,
    ids::{OrderId, PaymentId, ProductId, RefundId, ShipmentId},
    inventory::{Inventory, InventoryCommand},
    money::Money,
    order::{
        Order, OrderCommand, OrderEvent, OrderStatus, PaymentStatus, PlaceOrder, PlacedOrder,
        ShipLine, StockEffect, StockLine,
    },
    payment::{Payment, PaymentCommand, PaymentState, StartPayment},
    pricing::PricedItem,
    product::{Change, Product, ProductCommand},
    region::{Region, RegionCommand, RegionTerms},
    sealed::Sealed,
    testing::{
        CUSTOMER, ORDER, OTHER_ORDER, PRODUCT, REGION, currency, operation, pieces, rate, reason,
        sku, title, usd,
    },
    text::{CountryCode, Description, ImageUrl, PaymentMethod, Reference},
};

/// Modest, so that the whole file runs in seconds without optimisation.
const CASES: u32 = 192;
const LONGEST_HISTORY: usize = 40;

/// Sends the commands one after the other, checks what holds for every aggregate and, after each, what `invariant`
/// says of the states before and after. Returns the events.
fn run<A>(commands: Vec<A::Command>, invariant: impl Fn(&A, &A)) -> Vec<A::Event>
where
    A: Decider<Error: PartialEq + Debug, Command: Debug> + PartialEq + Debug,
{
    let mut state = A::default();
    let mut told = vec![];
    for command in commands {
        let Ok(events) = state.decide(command.clone()) else {
            continue;
        };
        let before = state.clone();
        for event in &events {
            let json = serde_json::to_string(event).unwrap();
            assert_eq!(serde_json::from_str::<A::Event>(&json).unwrap(), *event);
            state.evolve(event);
        }
        told.extend(events);
        let again = state.decide(command.clone()).unwrap_or_default();
        assert!(again.is_empty(), "{command:?} again leads to {again:?}");
        let snapshot = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<A>(&snapshot).unwrap(), state);
        invariant(&before, &state);
    }
    let mut rebuilt = A::default();
    told.iter().for_each(|event| rebuilt.evolve(event));
    assert_eq!(rebuilt, state);
    told
}

/// Events in an order that no decision produced, each followed by a command: nothing panics.
fn survives<A>(commands: &[A::Command], events: Vec<A::Event>)
where
    A: Decider,
{
    let mut state = A::default();
    for (event, command) in events.iter().zip(commands.iter().cycle()) {
        state.evolve(event);
        let _ = state.decide(command.clone());
        let _ = state.weight();
    }
}

/// Commands, and the events that they lead to in another order, some twice.
fn jumbled<A>(
    commands: impl Strategy<Value = Vec<A::Command>>,
) -> impl Strategy<Value = (Vec<A::Command>, Vec<A::Event>)>
where
    A: Decider<Error: PartialEq + Debug, Command: Debug> + PartialEq + Debug,
{
    commands.prop_flat_map(|commands| {
        let told = run::<A>(commands.clone(), |_, _| ());
        let twice = [told.clone(), told].concat();
        (Just(commands), Just(twice).prop_shuffle())
    })
}

fn many<C: Debug>(command: impl Strategy<Value = C>) -> impl Strategy<Value = Vec<C>> {
    vec(command, 1..LONGEST_HISTORY)
}

fn region_command() -> impl Strategy<Value = RegionCommand> {
    let name = || select(vec![title("North"), title("South")]);
    let country = || {
        select(vec![
            CountryCode::parse("VN").unwrap(),
            CountryCode::parse("SG").unwrap(),
        ])
    };
    let tax = || select(vec![rate(0), rate(1000)]);
    prop_oneof![
        (name(), country(), tax(), any::<bool>(), any::<bool>()).prop_map(
            |(title, country, tax_rate, inside, default)| {
                RegionCommand::OpenRegion {
                    region_id: REGION,
                    title,
                    country,
                    currency: currency("VND"),
                    tax_rate,
                    prices_include_tax: inside,
                    default_for_currency: default,
                }
            }
        ),
        (
            option::of(name()),
            option::of(country()),
            option::of(tax()),
            any::<Option<bool>>(),
            any::<Option<bool>>()
        )
            .prop_map(
                |(title, country, tax_rate, prices_include_tax, default_for_currency)| {
                    RegionCommand::ChangeRegion {
                        title,
                        country,
                        tax_rate,
                        prices_include_tax,
                        default_for_currency,
                    }
                }
            ),
        Just(RegionCommand::DisableRegion),
        Just(RegionCommand::EnableRegion),
    ]
}

fn product_command() -> impl Strategy<Value = ProductCommand> {
    let name = || select(vec![title("Tee"), title("Cap")]);
    let text = || {
        select(vec![
            Description::parse("").unwrap(),
            Description::parse("A\nB").unwrap(),
        ])
    };
    let image = || Just(ImageUrl::parse("https://x/1").unwrap());
    let price = || {
        select(vec![
            usd(0),
            usd(2599),
            usd(-1),
            Money::new(1, currency("SGD")),
        ])
    };
    let change = prop_oneof![
        Just(Change::Keep),
        Just(Change::Clear),
        image().prop_map(Change::Set)
    ];
    prop_oneof![
        1 => (name(), text(), option::of(image()), price()).prop_map(|(title, description, image_url, price)| {
            ProductCommand::CreateProduct {
                product_id: PRODUCT,
                region_id: REGION,
                region_currency: currency("USD"),
                sku: sku("TEE-1"),
                title,
                description,
                image_url,
                price,
            }
        }),
        4 => (option::of(name()), option::of(text()), change, option::of(price())).prop_map(
            |(title, description, image_url, price)| ProductCommand::UpdateProduct { title, description, image_url, price }
        ),
        1 => Just(ProductCommand::DeleteProduct),
    ]
}

fn inventory_command() -> impl Strategy<Value = InventoryCommand> {
    use InventoryCommand as C;
    let product_id = PRODUCT;
    let operation_id = || (0_u128..100).prop_map(operation);
    let order_id = || (0_u128..5).prop_map(|number| OrderId(Uuid::from_u128(number)));
    let quantity = || (1_u64..20).prop_map(pieces);
    let delta = prop_oneof![8 => -30_i64..30, 1 => any::<i64>()];
    prop_oneof![
        2 => (operation_id(), quantity()).prop_map(move |(operation_id, quantity)| {
            C::ReceiveStock { product_id, operation_id, quantity, reason: None }
        }),
        1 => (operation_id(), delta.clone()).prop_map(move |(operation_id, delta)| {
            C::AdjustStock { product_id, operation_id, delta, reason: None }
        }),
        1 => (operation_id(), delta).prop_map(move |(operation_id, available)| {
            C::SetStock { product_id, operation_id, available, reason: None }
        }),
        3 => (order_id(), quantity())
            .prop_map(move |(order_id, quantity)| C::ReserveStock { product_id, order_id, quantity }),
        1 => order_id().prop_map(move |order_id| C::ReleaseStock { product_id, order_id }),
        2 => order_id().prop_map(move |order_id| C::SellStock { product_id, order_id }),
        1 => (order_id(), operation_id(), quantity()).prop_map(move |(order_id, operation_id, quantity)| {
            C::ReturnStock { product_id, order_id, operation_id, quantity }
        }),
    ]
}

fn place_order() -> impl Strategy<Value = OrderCommand> {
    let item = |product: u128, quantity, cents| PricedItem {
        product_id: ProductId(Uuid::from_u128(product)),
        region_id: REGION,
        sku: sku("TEE-1"),
        title: title("Tee"),
        quantity: pieces(quantity),
        unit_price: usd(cents),
    };
    let items = vec(
        (0_u128..3, 1_u64..4, Just(999_i64)).prop_map(move |(p, q, c)| item(p, q, c)),
        1..4,
    );
    (items, any::<bool>()).prop_map(|(items, prices_include_tax)| {
        OrderCommand::PlaceOrder(PlaceOrder {
            order_id: ORDER,
            customer_id: CUSTOMER,
            customer_name: Sealed::new("name"),
            shipping_address: Sealed::new("address"),
            terms: RegionTerms {
                region_id: REGION,
                currency: currency("USD"),
                tax_rate: rate(825),
                prices_include_tax,
            },
            payment_method: PaymentMethod::parse("pm_card_visa").unwrap(),
            items,
            payment_delay_ms: 60_000,
            payment_window_ms: 1_800_000,
        })
    })
}

/// Commands for an order that was placed; `ConfirmPayment` mostly with what is due.
fn order_command(total: i64) -> impl Strategy<Value = OrderCommand> {
    use OrderCommand as C;
    let payment_id =
        || prop_oneof![9 => Just(PaymentId::of(ORDER)), 1 => Just(PaymentId::of(OTHER_ORDER))];
    let due = prop_oneof![5 => Just(usd(total)), 1 => Just(usd(total - 1))];
    let back = prop_oneof![4 => (0..=total / 2).prop_map(usd), 1 => Just(usd(total))];
    let shipment_id = (0_u128..6).prop_map(|number| ShipmentId(Uuid::from_u128(number)));
    let refund_id = (0_u128..6).prop_map(|number| RefundId(Uuid::from_u128(number)));
    let line = (1_u32..4, 1_u64..3).prop_map(|(line, quantity)| ShipLine {
        line,
        quantity: pieces(quantity),
    });
    prop_oneof![
        3 => (payment_id(), 1_u32..4).prop_map(|(payment_id, attempt)| C::StartPayment { payment_id, attempt }),
        3 => (payment_id(), due).prop_map(|(payment_id, amount)| C::ConfirmPayment { payment_id, amount }),
        2 => (payment_id(), 1_u32..4, prop::bool::weighted(0.2)).prop_map(|(payment_id, attempt, last)| {
            C::DeclinePayment { payment_id, attempt, reason: reason("declined"), last }
        }),
        1 => Just(C::GiveUpPayment { reason: reason("late") }),
        1 => Just(C::CancelOrder { reason: reason("no longer"), requested_by: None }),
        4 => (shipment_id, vec(line, 0..3)).prop_map(|(shipment_id, lines)| C::ShipItems { shipment_id, lines }),
        1 => Just(C::DeliverOrder),
        2 => (refund_id, back).prop_map(|(refund_id, amount)| C::RecordRefund { refund_id, amount }),
    ]
}

/// An order and what is asked of it, now and then with another attempt to place it.
fn order_commands() -> impl Strategy<Value = Vec<OrderCommand>> {
    place_order().prop_flat_map(|place| {
        let placed = Order::default().decide(place.clone()).unwrap();
        let [OrderEvent::OrderPlaced { total, .. }] = placed[..] else {
            panic!("placed")
        };
        let command = prop_oneof![20 => order_command(total), 1 => place_order()];
        vec(command, 0..LONGEST_HISTORY).prop_map(move |rest| [vec![place.clone()], rest].concat())
    })
}

fn payment_command() -> impl Strategy<Value = PaymentCommand> {
    use PaymentCommand as C;
    let reference =
        || (0..4).prop_map(|number| Reference::parse(&format!("ref_{number}")).unwrap());
    let refund_id = || (0_u128..4).prop_map(|number| RefundId(Uuid::from_u128(number)));
    let due = prop_oneof![5 => Just(usd(1000)), 1 => Just(usd(999))];
    prop_oneof![
        4 => (1_u32..4).prop_map(|attempt| C::StartPayment(StartPayment {
            payment_id: PaymentId::of(ORDER),
            order_id: ORDER,
            customer_id: CUSTOMER,
            amount: usd(1000),
            method: PaymentMethod::parse("pm_card_visa").unwrap(),
            attempt,
            deadline_ms: 1_800_000,
        })),
        2 => (1_u32..4, reference(), due)
            .prop_map(|(attempt, reference, amount)| C::RecordCapture { attempt, reference, amount }),
        3 => (1_u32..4, option::of(reference())).prop_map(|(attempt, reference)| {
            C::RecordDecline { attempt, reference, reason: reason("declined") }
        }),
        1 => Just(C::RequestVoid { reason: reason("no answer") }),
        1 => option::of(reference()).prop_map(|reference| C::RecordVoid { reference }),
        1 => (1_u32..9).prop_map(|asked| C::ReportStuck { asked, reason: reason("timeout") }),
        1 => Just(C::ExpirePayment),
        3 => (refund_id(), -1_i64..=1000).prop_map(|(refund_id, cents)| {
            C::RequestRefund { refund_id, amount: usd(cents), reason: reason("cancelled") }
        }),
        2 => (refund_id(), reference()).prop_map(|(refund_id, reference)| C::RecordRefund { refund_id, reference }),
        1 => refund_id().prop_map(|refund_id| C::RecordRefundFailure { refund_id, reason: reason("later") }),
    ]
}

fn stock_adds_up(stock: &Inventory) {
    assert_eq!(
        stock.available() + stock.reserved() + stock.sold(),
        stock.received()
    );
    assert!(stock.reserved() >= 0 && stock.sold() >= 0);
}

/// Only a correction takes `available` below zero, or further below.
fn only_corrections_oversell(before: &Inventory, after: &Inventory) {
    let corrected = before.received() != after.received();
    assert!(corrected || after.available() >= 0 || after.available() >= before.available());
}

fn amounts_add_up(order: &PlacedOrder) {
    let sum =
        |amount: fn(&crate::order::OrderLine) -> i64| order.lines.iter().map(amount).sum::<i64>();
    assert_eq!(sum(|line| line.gross), order.total);
    assert_eq!(sum(|line| line.tax), order.tax);
    assert_eq!(sum(|line| line.discount), order.discount);
    assert_eq!(sum(|line| line.net + line.tax - line.gross), 0);
    let on_top = if order.terms.prices_include_tax {
        0
    } else {
        order.tax
    };
    assert_eq!(order.subtotal - order.discount + on_top, order.total);
    let refunds: BTreeMap<_, _> = order.refunds.clone();
    assert_eq!(refunds.values().sum::<i64>(), order.refunded);
    assert!((0..=order.paid.unwrap_or(0)).contains(&order.refunded));
}

/// Each change of status is one that was announced as possible.
fn moves_are_announced(before: &Order, after: &Order) {
    let (Some(from), Some(to)) = (before.placed(), after.placed()) else {
        return;
    };
    // paid and cancelled in one decision, when the cancellation was waiting for the payment's outcome
    let reachable = before.next_statuses();
    assert!(
        from.status == to.status || reachable.contains(&to.status),
        "{} to {}",
        from.status,
        to.status
    );
    let is_final = matches!(from.status, OrderStatus::Cancelled | OrderStatus::Delivered);
    assert!(!is_final || from.status == to.status);
    assert!(
        from.payment_status != PaymentStatus::Refunded
            || to.payment_status == PaymentStatus::Refunded
    );
    assert!(from.paid.is_none() || from.paid == to.paid);
}

fn goods_follow_money(order: &PlacedOrder) {
    let shipped: u32 = order.shipped.values().sum();
    assert!(
        shipped == 0 || order.paid.is_some(),
        "nothing is shipped before it is paid"
    );
    for line in &order.lines {
        assert!(order.shipped_of(line.line) <= line.quantity.get());
    }
    match order.status {
        OrderStatus::Pending => assert!(order.paid.is_none()),
        OrderStatus::Cancelled => assert!(shipped == 0 && !order.outcome_pending),
        OrderStatus::Processing => assert!(shipped == 0 && order.paid.is_some()),
        OrderStatus::PartlyShipped => assert!(shipped > 0 && !order.unshipped().is_empty()),
        OrderStatus::Shipped | OrderStatus::Delivered => assert!(shipped > 0),
    }
}

/// The inventories of an order's products, moved by the order's events as the command handler moves them.
#[derive(Default)]
struct Shelves(BTreeMap<ProductId, Inventory>);

impl Shelves {
    const FULL: u64 = 1_000;

    fn move_by(&mut self, effect: StockEffect, step: u128) {
        use InventoryCommand as C;
        type Command = fn(StockLine, u128) -> InventoryCommand;
        let (lines, command): (_, Command) = match effect {
            StockEffect::None => return,
            StockEffect::Reserve(lines) => (lines, |line, _| C::ReserveStock {
                product_id: line.product_id,
                order_id: ORDER,
                quantity: line.quantity,
            }),
            StockEffect::Sell(lines) => (lines, |line, _| C::SellStock {
                product_id: line.product_id,
                order_id: ORDER,
            }),
            StockEffect::Release(lines) => (lines, |line, _| C::ReleaseStock {
                product_id: line.product_id,
                order_id: ORDER,
            }),
            StockEffect::Return(lines) => (lines, |line, step| C::ReturnStock {
                product_id: line.product_id,
                order_id: ORDER,
                operation_id: operation(step),
                quantity: line.quantity,
            }),
        };
        for line in lines {
            let shelf = self
                .0
                .entry(line.product_id)
                .or_insert_with(|| full(line.product_id));
            let events = shelf.decide(command(line, step)).unwrap();
            assert!(!events.is_empty());
            events.iter().for_each(|event| shelf.evolve(event));
        }
    }

    /// What is pending is reserved, what is paid is sold, what is called off is on the shelf.
    fn agree_with(&self, order: &PlacedOrder) {
        for line in &order.lines {
            let ordered = i64::from(line.quantity);
            let shipped = i64::from(order.shipped_of(line.line));
            let (reserved, sold) = match order.status {
                OrderStatus::Pending => (ordered, 0),
                OrderStatus::Processing | OrderStatus::PartlyShipped => (0, ordered),
                OrderStatus::Shipped | OrderStatus::Delivered => (0, shipped),
                OrderStatus::Cancelled => (0, 0),
            };
            let shelf = &self.0[&line.product_id];
            assert_eq!(
                (shelf.reserved(), shelf.sold()),
                (reserved, sold),
                "{}",
                order.status
            );
        }
    }
}

fn full(product_id: ProductId) -> Inventory {
    let (operation_id, quantity) = (operation(0), pieces(Shelves::FULL));
    let mut shelf = Inventory::default();
    let events = shelf.decide(InventoryCommand::ReceiveStock {
        product_id,
        operation_id,
        quantity,
        reason: None,
    });
    events.unwrap().iter().for_each(|event| shelf.evolve(event));
    shelf
}

/// Money that came stays known, and no more goes back than came.
fn ledger_stands(before: &Payment, after: &Payment) {
    let Some(after) = after.started() else { return };
    let captured = after.captured().map_or(0, |(_, money)| money.amount);
    assert!((0..=captured).contains(&after.refunded()));
    assert!((0..=captured).contains(&after.refundable().amount));
    let Some(before) = before.started() else {
        return;
    };
    assert!(before.captured().is_none() || before.captured() == after.captured());
    assert!(before.refunded() <= after.refunded());
    assert!(after.ledger.starts_with(&before.ledger));
    if matches!(before.state(), PaymentState::Voided) {
        assert_eq!(after.state(), PaymentState::Voided);
    }
    assert_eq!(
        (before.amount, before.deadline_ms),
        (after.amount, after.deadline_ms)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_a_region(commands in many(region_command())) {
        run::<Region>(commands, |_, _| ());
    }

    #[test]
    fn any_history_of_a_product(commands in many(product_command())) {
        run::<Product>(commands, |_, after| {
            let price = after.details().map(|product| product.price);
            assert!(price.is_none_or(|price| price.amount >= 0 && price.currency == currency("USD")));
        });
    }

    #[test]
    fn any_history_of_an_inventory(commands in many(inventory_command())) {
        run::<Inventory>(commands, |before, after| {
            stock_adds_up(after);
            only_corrections_oversell(before, after);
        });
    }

    #[test]
    fn any_history_of_an_order(commands in order_commands()) {
        run::<Order>(commands, |before, after| {
            moves_are_announced(before, after);
            if let Some(order) = after.placed() {
                amounts_add_up(order);
                goods_follow_money(order);
            }
        });
    }

    #[test]
    fn stock_follows_any_history_of_an_order(commands in order_commands()) {
        let mut order = Order::default();
        let mut shelves = Shelves::default();
        for (command, step) in commands.into_iter().zip(1..) {
            let announced = order.stock_if_cancelled();
            let is_cancel = matches!(command, OrderCommand::CancelOrder { .. });
            let events = order.decide(command).unwrap_or_default();
            for event in &events {
                let effect = order.stock_effect(event);
                if is_cancel {
                    prop_assert_eq!(&effect, &announced);
                }
                shelves.move_by(effect, step);
                order.evolve(event);
            }
            if let Some(order) = order.placed() {
                shelves.agree_with(order);
            }
        }
    }

    #[test]
    fn any_history_of_a_payment(commands in many(payment_command())) {
        run::<Payment>(commands, ledger_stands);
    }

    #[test]
    fn no_order_of_events_makes_an_aggregate_panic(
        region in jumbled::<Region>(many(region_command())),
        product in jumbled::<Product>(many(product_command())),
        inventory in jumbled::<Inventory>(many(inventory_command())),
        order in jumbled::<Order>(order_commands()),
        payment in jumbled::<Payment>(many(payment_command())),
    ) {
        survives::<Region>(&region.0, region.1);
        survives::<Product>(&product.0, product.1);
        survives::<Inventory>(&inventory.0, inventory.1);
        survives::<Order>(&order.0, order.1);
        survives::<Payment>(&payment.0, payment.1);
    }
}
