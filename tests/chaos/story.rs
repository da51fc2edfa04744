//! What the log tells of each order: its placing, its money, its end.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::{
    answer::{number_of, text_of},
    history::Event,
};

/// One order, as its events and those of its payment tell it. Counts, so that "once" can be checked.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// Product and pieces, sorted.
    pub(crate) items: Vec<(String, u64)>,
    /// Payment method.
    pub(crate) method: String,
    /// What is to be paid.
    pub(crate) total: i64,
    /// How often it was placed, paid, called off without money, and cancelled.
    pub(crate) placed: u32,
    pub(crate) paid: u32,
    pub(crate) unpaid: u32,
    pub(crate) cancelled: u32,
    /// Whether it is to be cancelled as soon as the gateway has answered.
    pub(crate) cancellation_requested: bool,
    /// What its customer was given back, by the order's own account.
    pub(crate) refunded: i64,
    pub(crate) payment: PaymentStory,
}

/// Its payment.
#[derive(Debug, Default)]
pub(crate) struct PaymentStory {
    /// The payment's id; empty where none was started.
    pub(crate) id: String,
    /// Reference and amount of each capture.
    pub(crate) captures: Vec<(String, i64)>,
    /// Refund ids and amounts that are asked for.
    pub(crate) refunds_asked: BTreeMap<String, i64>,
    /// Refund ids and amounts that were given.
    pub(crate) refunds_given: BTreeMap<String, i64>,
    /// Whether it was reported that the gateway does not answer, and has not since.
    pub(crate) stuck: bool,
}

impl Story {
    /// Whether nothing follows by itself any more: money taken or not, and given back where that is owed; or visibly
    /// stuck.
    pub(crate) fn is_settled(&self) -> bool {
        if self.payment.stuck {
            return true;
        }
        let owes = self.payment.refunds_asked.len() > self.payment.refunds_given.len();
        let told: i64 = self.payment.refunds_given.values().sum();
        !owes && told == self.refunded && (self.paid > 0 || self.unpaid > 0 || self.cancelled > 0)
    }
}

/// The stories of all orders, by order id.
pub(crate) fn stories(events: &[Event]) -> BTreeMap<String, Story> {
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    for event in events {
        match event.aggregate_type.as_str() {
            "order" => {
                let story = stories.entry(event.aggregate_id.clone()).or_default();
                tell_order(story, &event.event_type, &event.content());
            }
            "payment" => {
                let content = event.content();
                let story = stories.entry(text_of(&content["order_id"])).or_default();
                story.payment.id.clone_from(&event.aggregate_id);
                tell_payment(&mut story.payment, &event.event_type, &content);
            }
            _ => {}
        }
    }
    stories
}

fn tell_order(story: &mut Story, event_type: &str, content: &Value) {
    match event_type {
        "OrderPlaced" => {
            story.placed += 1;
            story.total = number_of(&content["total"]);
            story.method = text_of(&content["payment_method"]);
            let lines = content["lines"].as_array().expect("lines");
            story.items = lines
                .iter()
                .map(|line| {
                    let pieces = number_of(&line["quantity"]);
                    (text_of(&line["product_id"]), pieces as u64)
                })
                .collect();
            story.items.sort_unstable();
        }
        "OrderPaid" => story.paid += 1,
        "OrderUnpaid" => story.unpaid += 1,
        "OrderCancelled" => story.cancelled += 1,
        "OrderCancellationRequested" => story.cancellation_requested = true,
        "OrderRefunded" => story.refunded += number_of(&content["amount"]),
        _ => {}
    }
}

fn tell_payment(payment: &mut PaymentStory, event_type: &str, content: &Value) {
    let amount = || number_of(&content["amount"]["amount"]);
    match event_type {
        "PaymentCaptured" => {
            payment
                .captures
                .push((text_of(&content["reference"]), amount()));
            payment.stuck = false;
        }
        "PaymentDeclined" | "PaymentVoided" => payment.stuck = false,
        "PaymentStuck" => payment.stuck = true,
        "RefundRequested" => {
            let id = text_of(&content["refund_id"]);
            payment.refunds_asked.insert(id, amount());
        }
        "RefundSucceeded" => {
            let id = text_of(&content["refund_id"]);
            let before = payment.refunds_given.insert(id, amount());
            assert_eq!(before, None, "refunded twice: {content}");
        }
        _ => {}
    }
}
