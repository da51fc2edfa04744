//! Every command in every state of a payment, and what the events carry.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use super::*;
use crate::{
    ids::{PaymentId, RefundId},
    money::Money,
    testing::{
        CUSTOMER, ORDER, OTHER_ORDER, OTHER_REFUND, REFUND, assert_text, currency, given, history,
        outcomes, reason, usd, when,
    },
    text::{PaymentMethod, Reference},
};

const TOTAL: i64 = 3905;

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn attempt(attempt: u32) -> StartPayment {
    StartPayment {
        payment_id: PaymentId::of(ORDER),
        order_id: ORDER,
        customer_id: CUSTOMER,
        amount: usd(TOTAL),
        method: PaymentMethod::parse("pm_card_visa").unwrap(),
        attempt,
        deadline_ms: 1_800_000,
    }
}

fn start(number: u32) -> PaymentCommand {
    PaymentCommand::StartPayment(attempt(number))
}

fn capture(attempt: u32, name: &str, amount: Money) -> PaymentCommand {
    PaymentCommand::RecordCapture {
        attempt,
        reference: reference(name),
        amount,
    }
}

fn decline(attempt: u32, name: Option<&str>) -> PaymentCommand {
    PaymentCommand::RecordDecline {
        attempt,
        reference: name.map(reference),
        reason: reason("card declined"),
    }
}

fn void() -> PaymentCommand {
    PaymentCommand::RequestVoid {
        reason: reason("no answer"),
    }
}

fn voided() -> PaymentCommand {
    PaymentCommand::RecordVoid {
        reference: Some(reference("v_1")),
    }
}

fn stuck() -> PaymentCommand {
    PaymentCommand::ReportStuck {
        asked: 5,
        reason: reason("timeout"),
    }
}

fn refund(refund_id: RefundId, amount: Money) -> PaymentCommand {
    PaymentCommand::RequestRefund {
        refund_id,
        amount,
        reason: reason("cancelled"),
    }
}

fn refunded(refund_id: RefundId) -> PaymentCommand {
    PaymentCommand::RecordRefund {
        refund_id,
        reference: reference("re_1"),
    }
}

fn refund_failed(refund_id: RefundId) -> PaymentCommand {
    PaymentCommand::RecordRefundFailure {
        refund_id,
        reason: reason("try later"),
    }
}

fn after(commands: impl IntoIterator<Item = PaymentCommand>) -> Vec<PaymentEvent> {
    history::<Payment>(&[], [start(1)].into_iter().chain(commands))
}

fn captured() -> Vec<PaymentEvent> {
    after([capture(1, "ch_1", usd(TOTAL))])
}

fn states() -> Vec<(&'static str, Vec<PaymentEvent>)> {
    let captured_and = |commands: Vec<PaymentCommand>| history::<Payment>(&captured(), commands);
    vec![
        ("unknown", vec![]),
        ("pending", after([])),
        ("failed", after([decline(1, Some("ch_1"))])),
        ("pending-again", after([decline(1, Some("ch_1")), start(2)])),
        ("voiding", after([void()])),
        ("voiding-after-decline", after([decline(1, None), void()])),
        (
            "declined-after-void-request",
            after([void(), decline(1, None)]),
        ),
        ("stuck", after([stuck()])),
        ("stuck-voiding", after([void(), stuck()])),
        ("captured", captured()),
        ("voided", after([void(), voided()])),
        (
            "expired",
            after([decline(1, None), PaymentCommand::ExpirePayment]),
        ),
        ("refund-pending", captured_and(vec![refund(REFUND, usd(5))])),
        (
            "refund-failed",
            captured_and(vec![refund(REFUND, usd(5)), refund_failed(REFUND)]),
        ),
        (
            "part-refunded",
            captured_and(vec![refund(REFUND, usd(5)), refunded(REFUND)]),
        ),
        (
            "refunded",
            captured_and(vec![refund(REFUND, usd(TOTAL)), refunded(REFUND)]),
        ),
    ]
}

#[test]
fn every_command_in_every_state() {
    let another = PaymentCommand::StartPayment(StartPayment {
        order_id: OTHER_ORDER,
        ..attempt(2)
    });
    let another_amount = PaymentCommand::StartPayment(StartPayment {
        amount: usd(1),
        ..attempt(2)
    });
    let negative = PaymentCommand::StartPayment(StartPayment {
        amount: usd(-1),
        ..attempt(1)
    });
    let commands = [
        ("StartPayment 1", start(1)),
        ("StartPayment 2", start(2)),
        ("StartPayment 3", start(3)),
        ("StartPayment of another order", another),
        ("StartPayment, another amount", another_amount),
        ("StartPayment, negative amount", negative),
        ("RecordCapture ch_1", capture(1, "ch_1", usd(TOTAL))),
        ("RecordCapture ch_9", capture(1, "ch_9", usd(TOTAL))),
        (
            "RecordCapture ch_1, another amount",
            capture(1, "ch_1", usd(TOTAL - 1)),
        ),
        (
            "RecordCapture ch_1, another currency",
            capture(1, "ch_1", Money::new(TOTAL, currency("SGD"))),
        ),
        (
            "RecordCapture of an attempt never made",
            capture(3, "ch_1", usd(TOTAL)),
        ),
        ("RecordDecline 1", decline(1, Some("ch_1"))),
        ("RecordDecline 2", decline(2, Some("ch_2"))),
        (
            "RecordDecline 2 by a known reference",
            decline(2, Some("ch_1")),
        ),
        ("RecordDecline 1 without reference", decline(1, None)),
        ("RequestVoid", void()),
        ("RecordVoid", voided()),
        ("ReportStuck", stuck()),
        ("ExpirePayment", PaymentCommand::ExpirePayment),
        ("RequestRefund, the first again", refund(REFUND, usd(5))),
        ("RequestRefund, a part", refund(OTHER_REFUND, usd(10))),
        ("RequestRefund, all", refund(OTHER_REFUND, usd(TOTAL))),
        ("RequestRefund, nothing", refund(OTHER_REFUND, usd(0))),
        (
            "RequestRefund, another currency",
            refund(OTHER_REFUND, Money::new(1, currency("SGD"))),
        ),
        ("RecordRefund", refunded(REFUND)),
        ("RecordRefund, never requested", refunded(OTHER_REFUND)),
        ("RecordRefundFailure", refund_failed(REFUND)),
        (
            "RecordRefundFailure, never requested",
            refund_failed(OTHER_REFUND),
        ),
    ];
    assert_text(
        &outcomes::<Payment>(&states(), &commands),
        include_str!("moves.txt"),
    );
}

#[test]
fn the_state_is_derived_from_what_the_gateway_said() {
    let mut text = String::new();
    for (name, told) in &states()[1..] {
        let payment = given::<Payment>(told);
        let payment = payment.started().unwrap();
        let (state, refundable) = (payment.state(), payment.refundable());
        writeln!(text, "{name}: {state}, refundable {refundable}").unwrap();
    }
    let expected = "
pending: pending, refundable 0.00 USD
failed: failed, refundable 0.00 USD
pending-again: pending, refundable 0.00 USD
voiding: voiding, refundable 0.00 USD
voiding-after-decline: voiding, refundable 0.00 USD
declined-after-void-request: failed, refundable 0.00 USD
stuck: stuck, refundable 0.00 USD
stuck-voiding: stuck, refundable 0.00 USD
captured: captured, refundable 39.05 USD
voided: voided, refundable 0.00 USD
expired: expired, refundable 0.00 USD
refund-pending: captured, refundable 39.00 USD
refund-failed: captured, refundable 39.00 USD
part-refunded: partially_refunded, refundable 39.00 USD
refunded: refunded, refundable 0.00 USD
";
    assert_text(&text, expected);
    assert_eq!(Payment::default().started(), None);
}

#[test]
fn the_first_attempt_freezes_amount_and_deadline() {
    let expected = |attempt, method: &str| PaymentEvent::PaymentStarted {
        payment_id: PaymentId::of(ORDER),
        order_id: ORDER,
        customer_id: CUSTOMER,
        amount: usd(TOTAL),
        method: PaymentMethod::parse(method).unwrap(),
        attempt,
        deadline_ms: 1_800_000,
    };
    assert_eq!(
        when::<Payment>(&[], start(1)),
        Ok(vec![expected(1, "pm_card_visa")])
    );
    let method = PaymentMethod::parse("pm_other").unwrap();
    let second = StartPayment {
        method,
        deadline_ms: 1,
        ..attempt(2)
    };
    let told = after([decline(1, None)]);
    assert_eq!(
        when::<Payment>(&told, PaymentCommand::StartPayment(second)),
        Ok(vec![expected(2, "pm_other")])
    );
}

#[test]
fn the_same_reference_with_another_amount_is_refused() {
    let error = PaymentError::AmountDiffers {
        expected: usd(TOTAL),
        given: usd(1),
    };
    assert_eq!(
        when::<Payment>(&captured(), capture(1, "ch_1", usd(1))),
        Err(error)
    );
}

#[test]
fn a_second_capture_is_refused_and_names_the_first() {
    let error = PaymentError::AlreadyCaptured {
        reference: reference("ch_1"),
    };
    assert_eq!(
        when::<Payment>(&captured(), capture(1, "ch_2", usd(TOTAL))),
        Err(error)
    );
}

#[test]
fn failed_after_succeeded_changes_nothing() {
    assert_eq!(
        when::<Payment>(&captured(), decline(1, Some("ch_1"))),
        Ok(vec![])
    );
    assert_eq!(
        when::<Payment>(&captured(), PaymentCommand::ExpirePayment),
        Ok(vec![])
    );
}

#[test]
fn a_late_capture_of_an_earlier_attempt_is_recorded() {
    let told = after([decline(1, None), start(2)]);
    let expected = PaymentEvent::PaymentCaptured {
        order_id: ORDER,
        reference: reference("ch_1"),
        amount: usd(TOTAL),
        attempt: 1,
    };
    assert_eq!(
        when::<Payment>(&told, capture(1, "ch_1", usd(TOTAL))),
        Ok(vec![expected])
    );
}

#[test]
fn an_answer_ends_being_stuck() {
    for answer in [capture(1, "ch_1", usd(TOTAL)), decline(1, None), voided()] {
        let told = history::<Payment>(&after([void(), stuck()]), [answer]);
        assert_eq!(given::<Payment>(&told).started().unwrap().stuck, None);
    }
}

#[test]
fn requested_refunds_never_exceed_what_was_captured() {
    let told = history::<Payment>(&captured(), [refund(REFUND, usd(3000))]);
    let error = PaymentError::NotRefundable {
        requested: usd(906),
        refundable: usd(905),
    };
    assert_eq!(
        when::<Payment>(&told, refund(OTHER_REFUND, usd(906))),
        Err(error)
    );
    // a failed refund may be tried again: its amount stays set aside
    let told = history::<Payment>(&told, [refund_failed(REFUND)]);
    assert!(when::<Payment>(&told, refund(OTHER_REFUND, usd(906))).is_err());
    let told = history::<Payment>(
        &told,
        [
            refund(OTHER_REFUND, usd(905)),
            refunded(OTHER_REFUND),
            refunded(REFUND),
        ],
    );
    assert_eq!(
        given::<Payment>(&told).started().unwrap().state(),
        PaymentState::Refunded
    );
    assert_eq!(given::<Payment>(&told).started().unwrap().refunded(), TOTAL);
}

#[test]
fn a_payment_of_nothing_is_captured_and_not_refunded() {
    let free = PaymentCommand::StartPayment(StartPayment {
        amount: usd(0),
        ..attempt(1)
    });
    let told = history::<Payment>(&[], [free, capture(1, "ch_1", usd(0))]);
    assert_eq!(
        given::<Payment>(&told).started().unwrap().state(),
        PaymentState::Captured
    );
}
