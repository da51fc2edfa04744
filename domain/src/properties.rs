//! What holds for any history of any commands, aggregate by aggregate.
//!
//! For every history: a command that was accepted adds nothing when it is sent again at once; events and state come
//! back from their JSON as they went in; the state rebuilt from the events is the state that decided. Events in any
//! order, also one that no decision would produce, never make `evolve` or `decide` panic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod commands;
mod shelves;

use std::{collections::BTreeSet, fmt::Debug, num::NonZeroU32};

use proptest::prelude::*;

use self::{
    commands::{
        automatic_discounts_command, cart_command, category_command, discount_command,
        discount_rules, inventory_command, many, order_commands, payment_commands, product_command,
        redemptions_command, region_command, shop_command, use_of_discount,
    },
    shelves::Shelves,
};
use crate::{
    aggregate::Decider,
    automatic_discounts::AutomaticDiscounts,
    cart::Cart,
    category::Category,
    discount::{CreateDiscount, Discount, DiscountCommand},
    inventory::{Inventory, InventoryEvent, StockMove, is_low},
    order::{Order, OrderCommand, OrderLine, OrderStatus, PaymentStatus, PlacedOrder},
    payment::{Payment, PaymentState},
    pricing::MAX_LINES,
    product::Product,
    redemptions::{Redemptions, RedemptionsCommand},
    region::Region,
    shop::{Shop, ShopError},
    testing::{CUSTOMER, DISCOUNT, REGION, currency, given},
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
    for event in &told {
        rebuilt.evolve(event);
    }
    assert_eq!(rebuilt, state);
    told
}

/// Events in an order that no decision produced, each followed by a command: nothing panics.
fn survives<A>(commands: &[A::Command], events: &[A::Event])
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

/// Once pieces have gone it is known whether the stock is low, and while it is not low nobody is left to believe it.
fn low_stock_is_told(before: &Inventory, after: &Inventory) {
    let low = is_low(after.available(), after.low_stock_threshold());
    if after.available() < before.available() {
        assert_eq!(after.is_told_low(), low);
    }
    assert!(low || !after.is_told_low());
}

/// The numbers are the sum of what the events say that they change.
fn moves_lead_to(told: &[InventoryEvent], numbers: &Inventory) {
    let mut sum = StockMove::default();
    for event in told {
        let moved = event.moves();
        sum.available += moved.available;
        sum.reserved += moved.reserved;
        sum.sold += moved.sold;
        assert!(event.available().is_none_or(|told| told == sum.available));
    }
    let expected = StockMove {
        available: numbers.available(),
        reserved: numbers.reserved(),
        sold: numbers.sold(),
    };
    assert_eq!(sum, expected);
}

/// Each is told once, and not again before the other was.
fn low_and_recovered_alternate(told: &[InventoryEvent]) {
    let mut low = false;
    for event in told {
        let tells_low = match event {
            InventoryEvent::StockRanLow {
                available,
                threshold,
                ..
            } => {
                assert!(is_low(*available, *threshold));
                true
            }
            InventoryEvent::StockRecovered { .. } => false,
            _ => continue,
        };
        assert_ne!(low, tells_low, "{told:?}");
        low = tells_low;
    }
}

fn amounts_add_up(order: &PlacedOrder) {
    let sum = |amount: fn(&OrderLine) -> i64| order.lines.iter().map(amount).sum::<i64>();
    assert_eq!(sum(|line| line.gross), order.total);
    assert_eq!(sum(|line| line.tax), order.tax);
    assert_eq!(sum(|line| line.discount), order.discount);
    assert_eq!(sum(|line| line.net + line.tax - line.gross), 0);
    let discounts = order.discounts.iter().map(|discount| discount.amount);
    assert_eq!(discounts.sum::<i64>(), order.discount);
    let on_top = if order.terms.prices_include_tax {
        0
    } else {
        order.tax
    };
    assert_eq!(order.subtotal - order.discount + on_top, order.total);
    assert_eq!(order.refunds.values().sum::<i64>(), order.refunded);
    assert!((0..=order.paid.unwrap_or(0)).contains(&order.refunded));
}

/// What is deleted stays deleted, and is not on its way to anybody.
fn hidden_for_good(before: &Order, after: &Order) {
    let hidden = |order: &Order| order.placed().is_some_and(|order| order.hidden);
    assert!(!hidden(before) || hidden(after));
    let status = after.placed().map(|order| order.status);
    let on_its_way = matches!(
        status,
        Some(OrderStatus::Processing | OrderStatus::PartlyShipped | OrderStatus::Shipped)
    );
    assert!(!hidden(after) || !on_its_way, "{status:?}");
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
    assert!(
        from.payment_status == to.payment_status
            || from.next_payment_statuses().contains(&to.payment_status),
        "{} to {}",
        from.payment_status,
        to.payment_status
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
    fn any_history_of_a_category(commands in many(category_command())) {
        run::<Category>(commands, |before, after| {
            let gone = |category: &Category| category.details().is_some_and(|details| details.deleted);
            assert!(!gone(before) || before == after, "what is deleted stays as it is");
        });
    }

    #[test]
    fn any_history_of_a_shop(commands in many(shop_command())) {
        run::<Shop>(commands, |before, after| {
            let closed = |shop: &Shop| shop.open() == Err(ShopError::Closed);
            assert!(!closed(before) || before == after, "what is closed stays as it is");
            assert!(after.details().is_none_or(|shop| shop.owner_id == CUSTOMER));
        });
    }

    #[test]
    fn any_history_of_a_discount(commands in many(discount_command())) {
        run::<Discount>(commands, |before, after| {
            let gone = |discount: &Discount| discount.details().is_some_and(|details| details.deleted);
            assert!(!gone(before) || before == after, "what is deleted stays as it is");
            assert!(after.details().is_none_or(|discount| discount.rules.check() == Ok(())));
        });
    }

    #[test]
    fn any_history_of_redemptions(commands in many(redemptions_command())) {
        run::<Redemptions>(commands, |_, _| ());
    }

    #[test]
    fn any_history_of_a_list_of_automatic_discounts(commands in many(automatic_discounts_command())) {
        run::<AutomaticDiscounts>(commands, |_, _| ());
    }

    #[test]
    fn any_history_of_a_cart(commands in many(cart_command())) {
        run::<Cart>(commands, |_, after| assert!(after.items().len() <= MAX_LINES));
    }

    /// However orders come and go, a discount that is counted beside redemptions is used by exactly those that have it.
    #[test]
    fn a_discount_counts_the_orders_that_redeem_it(
        rules in discount_rules(),
        uses in many(use_of_discount()),
    ) {
        let mut discount = Discount::default();
        let create = CreateDiscount {
            discount_id: DISCOUNT,
            region_id: REGION,
            currency: currency("USD"),
            shop_id: None,
            code: None,
            rules: rules.clone(),
        };
        let Ok(created) = discount.decide(DiscountCommand::CreateDiscount(create)) else {
            return Ok(());
        };
        for event in &created {
            discount.evolve(event);
        }
        let mut redemptions = Redemptions::default();
        let mut using = BTreeSet::new();
        for (order_id, begin) in uses {
            let (redeem, count) = if begin {
                let limit = rules.max_uses_per_customer;
                let (discount_id, customer_id) = (DISCOUNT, CUSTOMER);
                (
                    RedemptionsCommand::Redeem { discount_id, customer_id, order_id, limit },
                    DiscountCommand::CountUse { order_id },
                )
            } else {
                (
                    RedemptionsCommand::ReturnRedemption { order_id },
                    DiscountCommand::ReturnUse { order_id },
                )
            };
            let Ok(redeemed) = redemptions.decide(redeem) else { continue };
            if redeemed.is_empty() {
                continue;
            }
            let Ok(counted) = discount.decide(count) else { continue };
            for event in &redeemed {
                redemptions.evolve(event);
            }
            for event in &counted {
                discount.evolve(event);
            }
            if begin { using.insert(order_id) } else { using.remove(&order_id) };
            let used = discount.details().unwrap().used;
            prop_assert_eq!(used, using.len() as u64);
            let within = |most: Option<NonZeroU32>| most.is_none_or(|most| used <= u64::from(most.get()));
            prop_assert!(within(rules.max_uses) && within(rules.max_uses_per_customer));
        }
    }

    #[test]
    fn any_history_of_an_inventory(commands in many(inventory_command())) {
        let told = run::<Inventory>(commands, |before, after| {
            stock_adds_up(after);
            only_corrections_oversell(before, after);
            low_stock_is_told(before, after);
        });
        low_and_recovered_alternate(&told);
        moves_lead_to(&told, &given(&told));
    }

    #[test]
    fn any_history_of_an_order(commands in order_commands()) {
        run::<Order>(commands, |before, after| {
            moves_are_announced(before, after);
            hidden_for_good(before, after);
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
    fn any_history_of_a_payment(commands in payment_commands()) {
        run::<Payment>(commands, ledger_stands);
    }

    #[test]
    fn no_order_of_events_makes_an_aggregate_panic(
        region in jumbled::<Region>(many(region_command())),
        category in jumbled::<Category>(many(category_command())),
        shop in jumbled::<Shop>(many(shop_command())),
        product in jumbled::<Product>(many(product_command())),
        discount in jumbled::<Discount>(many(discount_command())),
        redemptions in jumbled::<Redemptions>(many(redemptions_command())),
        automatic in jumbled::<AutomaticDiscounts>(many(automatic_discounts_command())),
        cart in jumbled::<Cart>(many(cart_command())),
        inventory in jumbled::<Inventory>(many(inventory_command())),
        order in jumbled::<Order>(order_commands()),
        payment in jumbled::<Payment>(payment_commands()),
    ) {
        survives::<Region>(&region.0, &region.1);
        survives::<Category>(&category.0, &category.1);
        survives::<Shop>(&shop.0, &shop.1);
        survives::<Product>(&product.0, &product.1);
        survives::<Discount>(&discount.0, &discount.1);
        survives::<Redemptions>(&redemptions.0, &redemptions.1);
        survives::<AutomaticDiscounts>(&automatic.0, &automatic.1);
        survives::<Cart>(&cart.0, &cart.1);
        survives::<Inventory>(&inventory.0, &inventory.1);
        survives::<Order>(&order.0, &order.1);
        survives::<Payment>(&payment.0, &payment.1);
    }
}
