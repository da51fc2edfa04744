#![allow(clippy::unwrap_used)]
//! Given an event, the whole list of timers that follows; nothing follows from all others.

use domain::{
    ids::{PaymentId, RegionId, ShipmentId, UserId},
    money::{Currency, Money, TaxRate},
    sealed::Sealed,
    text::{PaymentMethod, Reason, Reference},
};
use uuid::Uuid;

use super::*;

fn order_id() -> OrderId {
    OrderId(Uuid::from_u128(7))
}

fn payment_id() -> PaymentId {
    PaymentId::of(order_id())
}

fn refund_id() -> RefundId {
    RefundId::of(order_id(), "cancelled")
}

fn reason() -> Reason {
    Reason::lossy("for a test")
}

fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::parse("USD").unwrap())
}

fn on_order(event: &OrderEvent) -> Vec<Reaction> {
    react(&SagaSettings::default(), Fact::Order(order_id(), event))
}

fn on_payment(event: &PaymentEvent) -> Vec<Reaction> {
    react(&SagaSettings::default(), Fact::Payment(event))
}

fn placed(total: i64, payment_delay_ms: u64) -> OrderEvent {
    OrderEvent::OrderPlaced {
        order_id: order_id(),
        number: None,
        customer_id: UserId(Uuid::from_u128(1)),
        customer_name: Sealed::new("name"),
        shipping_address: Sealed::new("address"),
        region_id: RegionId(Uuid::from_u128(2)),
        currency: Currency::parse("USD").unwrap(),
        tax_rate: TaxRate::ZERO,
        prices_include_tax: false,
        payment_method: PaymentMethod::parse("default").unwrap(),
        lines: vec![],
        subtotal: total,
        discount: 0,
        discounts: vec![],
        tax: 0,
        total,
        payment_delay_ms,
        payment_window_ms: 0,
    }
}

fn started(attempt: u32, deadline_ms: u64) -> PaymentEvent {
    PaymentEvent::PaymentStarted {
        payment_id: payment_id(),
        order_id: order_id(),
        customer_id: UserId(Uuid::from_u128(1)),
        amount: usd(100),
        method: PaymentMethod::parse("default").unwrap(),
        attempt,
        deadline_ms,
    }
}

fn arm(timer: TimerId, milliseconds: u64) -> Vec<Reaction> {
    vec![Reaction::Arm(timer, Duration::from_millis(milliseconds))]
}

fn both_disarmed() -> Vec<Reaction> {
    vec![
        Reaction::Disarm(TimerId::Payment(order_id())),
        Reaction::Disarm(TimerId::Window(order_id())),
    ]
}

#[test]
fn a_placed_order_is_paid_after_its_delay() {
    assert_eq!(
        on_order(&placed(100, 60_000)),
        arm(TimerId::Payment(order_id()), 60_000)
    );
    assert_eq!(
        on_order(&placed(100, 0)),
        arm(TimerId::Payment(order_id()), 0)
    );
}

#[test]
fn an_order_that_costs_nothing_needs_no_payment() {
    assert_eq!(on_order(&placed(0, 60_000)), vec![]);
}

#[test]
fn a_paid_order_needs_no_timer_any_more() {
    let paid = OrderEvent::OrderPaid {
        payment_id: payment_id(),
        amount: 100,
    };
    assert_eq!(on_order(&paid), both_disarmed());
}

#[test]
fn the_first_attempt_opens_the_window_if_there_is_one() {
    assert_eq!(
        on_payment(&started(1, 90_000)),
        arm(TimerId::Window(order_id()), 90_000)
    );
    assert_eq!(on_payment(&started(1, 0)), vec![]);
    assert_eq!(on_payment(&started(2, 90_000)), vec![]);
}

#[test]
fn a_declined_payment_is_tried_again_after_growing_pauses() {
    for (attempt, pause) in [(1, 2_000), (2, 4_000), (3, 8_000), (9, 60_000)] {
        let failed = OrderEvent::OrderPaymentFailed {
            payment_id: payment_id(),
            attempt,
            reason: reason(),
        };
        assert_eq!(
            on_order(&failed),
            arm(TimerId::Payment(order_id()), pause),
            "{attempt}"
        );
    }
}

#[test]
fn a_void_is_seen_to_at_once() {
    let requested = PaymentEvent::PaymentVoidRequested {
        order_id: order_id(),
        reason: reason(),
    };
    assert_eq!(on_payment(&requested), arm(TimerId::Payment(order_id()), 0));
}

#[test]
fn the_end_of_an_order_disarms_its_timers() {
    let unpaid = OrderEvent::OrderUnpaid {
        payment_id: None,
        reason: reason(),
    };
    let cancelled = OrderEvent::OrderCancelled {
        reason: reason(),
        lines: vec![],
        refund: 0,
    };
    assert_eq!(on_order(&unpaid), both_disarmed());
    assert_eq!(on_order(&cancelled), both_disarmed());
}

#[test]
fn a_refund_is_seen_to_at_once_and_once_done_no_more() {
    let timer = TimerId::Refund(order_id(), refund_id());
    let requested = PaymentEvent::RefundRequested {
        order_id: order_id(),
        refund_id: refund_id(),
        amount: usd(100),
        reason: reason(),
    };
    let succeeded = PaymentEvent::RefundSucceeded {
        order_id: order_id(),
        refund_id: refund_id(),
        reference: Reference::parse("re_1").unwrap(),
        amount: usd(100),
    };
    assert_eq!(on_payment(&requested), arm(timer, 0));
    assert_eq!(on_payment(&succeeded), vec![Reaction::Disarm(timer)]);
}

#[test]
fn nothing_follows_from_any_other_event() {
    let reference = || Reference::parse("ch_1").unwrap();
    let orders = [
        OrderEvent::OrderPaymentStarted {
            payment_id: payment_id(),
            attempt: 1,
        },
        // its payment is asked to be voided in the same unit of work
        OrderEvent::OrderCancellationRequested {
            reason: reason(),
            requested_by: None,
        },
        OrderEvent::OrderRemainderCancelled {
            reason: reason(),
            lines: vec![],
            refund: 5,
        },
        OrderEvent::OrderItemsShipped {
            shipment_id: ShipmentId(Uuid::from_u128(3)),
            lines: vec![],
            complete: true,
        },
        OrderEvent::OrderDelivered {},
        OrderEvent::OrderRefunded {
            refund_id: refund_id(),
            amount: 1,
            refunded_total: 1,
            complete: false,
        },
    ];
    for event in &orders {
        assert_eq!(on_order(event), vec![], "{event:?}");
    }
    let (order_id, refund_id, attempt) = (order_id(), refund_id(), 1);
    let payments = [
        PaymentEvent::PaymentCaptured {
            order_id,
            reference: reference(),
            amount: usd(1),
            attempt,
        },
        PaymentEvent::PaymentDeclined {
            order_id,
            reference: None,
            reason: reason(),
            attempt,
        },
        PaymentEvent::PaymentVoided {
            order_id,
            reference: None,
        },
        PaymentEvent::PaymentStuck {
            order_id,
            asked: 3,
            reason: reason(),
        },
        PaymentEvent::PaymentExpired { order_id },
        PaymentEvent::RefundFailed {
            order_id,
            refund_id,
            reason: reason(),
        },
    ];
    for event in &payments {
        assert_eq!(on_payment(event), vec![], "{event:?}");
    }
}

#[test]
fn a_timer_is_read_as_it_is_stored() {
    let (order, refund) = (order_id(), refund_id());
    for timer in [
        TimerId::Payment(order),
        TimerId::Window(order),
        TimerId::Refund(order, refund),
    ] {
        assert_eq!(TimerId::parse(timer.kind(), &timer.key()), Some(timer));
    }
    assert_eq!(
        TimerId::parse("of a newer version", &order.to_string()),
        None
    );
    assert_eq!(TimerId::parse("refund", &order.to_string()), None);
}
