//! One client: what it does, and what it expects to be told.

use reqwest::Method;
use serde_json::json;
use tests::{
    answer::Answer,
    client::{Ask, Client, new_order},
};
use tokio::sync::watch;

use super::{
    Doors, Rules,
    asking::Fate,
    reading::{Level, Written, assert_is_called_off, assert_is_what_was_wished},
};
use crate::{
    record::{Change, Placed, Record, Wish},
    seed::Choices,
};

/// How orders are paid: mostly well.
const METHODS: [&str; 12] = [
    "default",
    "default",
    "default",
    "default",
    "default",
    "test_succeeds",
    "test_succeeds",
    "test_declined",
    "test_declined_then_succeeds",
    "test_times_out_then_succeeds",
    "test_voids_after_silence",
    "test_never_answers",
];

/// One client: a customer, who is also the admin that changes stock.
pub(super) struct Actor {
    pub(super) customer: Client,
    pub(super) admin: Client,
    pub(super) products: Vec<String>,
    pub(super) doors: watch::Receiver<Doors>,
    pub(super) rules: Rules,
    pub(super) choices: Choices,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) heard: watch::Sender<u64>,
    pub(super) record: Record,
    /// What was acknowledged lately, each with the token of its position.
    pub(super) written: Vec<(String, Written)>,
}

impl Actor {
    /// Acts until it is asked to stop, and settles what is open.
    pub(super) async fn run(mut self) -> Self {
        while !*self.stop.borrow() {
            match self.choices.below(100) {
                0..55 => self.place().await,
                55..70 => self.cancel().await,
                70..80 => self.change_stock().await,
                80..92 => self.read_own_writing().await,
                _ => self.look_around().await,
            }
            tokio::time::sleep(self.rules.pause).await; // a pace, not a wait for anything
        }
        self.settle().await;
        self
    }

    async fn place(&mut self) {
        let wish = self.wish();
        match self.insist(|actor| actor.order(&wish), &wish.key).await {
            Fate::Done(answer) => self.acknowledged(wish, &answer),
            Fate::Refused => self.record.refused.push(wish),
            Fate::GivenUp => {}
            Fate::Open => self.record.open.push(wish),
        }
    }

    fn wish(&mut self) -> Wish {
        let mut items: Vec<(String, u64)> = Vec::new();
        for _ in 0..self.choices.between(1, 3) {
            let product = self.choices.of(&self.products);
            if items.iter().all(|(known, _)| *known != product) {
                items.push((product, self.choices.between(1, 5)));
            }
        }
        Wish {
            key: self.choices.key(),
            items,
            method: self.choices.of(&METHODS),
        }
    }

    pub(super) fn order(&self, wish: &Wish) -> Ask {
        let items: Vec<(&str, u64)> = wish
            .items
            .iter()
            .map(|(id, pieces)| (id.as_str(), *pieces))
            .collect();
        let mut body = new_order(&items);
        body["payment_method"] = json!(wish.method);
        self.customer
            .ask(Method::POST, "/api/v1/orders")
            .json(&body)
            .key(&wish.key)
    }

    /// The answer must be this very order; told for the first time, as it was placed.
    fn acknowledged(&mut self, wish: Wish, answer: &Answer) {
        let told = answer.json();
        assert_is_what_was_wished(&wish, &told);
        if !is_replayed(answer) {
            let is_new = told["status"] == "pending" && told["payment_status"] == "awaiting";
            assert!(is_new, "{answer}");
        }
        let order = answer.id();
        self.remember(answer, Written::Order(order.clone()));
        self.record.placed.push(Placed {
            wish,
            order,
            cancelled: false,
            cancel_asked: false,
        });
    }

    async fn cancel(&mut self) {
        if self.record.placed.is_empty() {
            return;
        }
        // rather a late one: those are not paid yet
        let count = self.record.placed.len() as u64;
        let number = (count - 1 - self.choices.below(count.min(6))) as usize;
        let order = self.record.placed[number].order.clone();
        let path = format!("/api/v1/orders/{order}/cancel");
        let body = json!({"reason": "other"});
        let fate = self
            .insist(
                |actor| actor.customer.ask(Method::POST, &path).json(&body),
                "",
            )
            .await;
        match fate {
            Fate::Done(answer) => {
                let told = answer.json();
                assert_eq!(told["order_id"], order.as_str(), "{answer}");
                let done = answer.status == 200;
                assert_is_called_off(&told, done);
                let placed = &mut self.record.placed[number];
                assert_is_what_was_wished(&placed.wish, &told);
                (placed.cancelled, placed.cancel_asked) = (true, true);
                self.remember(&answer, Written::Cancellation { order, done });
            }
            Fate::GivenUp => {}
            Fate::Refused => panic!("cancelling {order} was refused: nothing here is shipped"),
            Fate::Open => self.record.placed[number].cancel_asked = true,
        }
    }

    async fn change_stock(&mut self) {
        let correction = self.choices.percent(40);
        let pieces = if correction {
            // mostly up, so that corrections seldom take away what was promised
            self.choices.between(0, 7) as i64 - 3
        } else {
            self.choices.between(1, 5) as i64
        };
        if pieces == 0 {
            return;
        }
        let change = Change {
            key: self.choices.key(),
            product: self.choices.of(&self.products),
            pieces,
            correction,
        };
        match self
            .insist(|actor| actor.changing(&change), &change.key)
            .await
        {
            Fate::Done(answer) => {
                let level = Level::of(&answer, &change.product);
                let stock = Written::Stock {
                    product: change.product.clone(),
                    // a repeated answer tells the level of now, not that of its position
                    level: (!is_replayed(&answer)).then_some(level),
                };
                self.remember(&answer, stock);
                self.record.changed.push(change);
            }
            Fate::Refused => panic!("{change:?} was refused"),
            Fate::GivenUp => {}
            Fate::Open => self.record.changing.push(change),
        }
    }

    pub(super) fn changing(&self, change: &Change) -> Ask {
        let (what, body) = if change.correction {
            ("adjustments", json!({"delta": change.pieces}))
        } else {
            ("receipts", json!({"quantity": change.pieces}))
        };
        let path = format!("/api/v1/products/{}/stock/{what}", change.product);
        self.admin
            .ask(Method::POST, &path)
            .json(&body)
            .key(&change.key)
    }
}

/// Whether it was done before, and is only told again.
fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed").is_some()
}
