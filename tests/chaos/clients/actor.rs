//! One client: what it does, and what it expects to be told.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, number_of, text_of},
    client::{Ask, Client, new_order, stock_of},
};
use tokio::sync::watch;

use super::{Rules, asking::Fate};
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
    pub(super) doors: watch::Receiver<Vec<Option<String>>>,
    pub(super) rules: Rules,
    pub(super) choices: Choices,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) heard: watch::Sender<u64>,
    pub(super) record: Record,
    /// Token of the last order that was acknowledged, and its id.
    pub(super) position: Option<(String, String)>,
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

    /// The answer must be this very order.
    fn acknowledged(&mut self, wish: Wish, answer: &Answer) {
        assert_is_what_was_wished(&wish, &answer.json());
        let order = answer.id();
        self.position = Some((answer.position(), order.clone()));
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
        let body = json!({"reason": "chaos"});
        let fate = self
            .insist(
                |actor| actor.customer.ask(Method::POST, &path).json(&body),
                "",
            )
            .await;
        match fate {
            Fate::Done(answer) => {
                assert_eq!(answer.json()["order_id"], order.as_str(), "{answer}");
                let placed = &mut self.record.placed[number];
                (placed.cancelled, placed.cancel_asked) = (true, true);
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
                assert_eq!(
                    answer.json()["product_id"],
                    change.product.as_str(),
                    "{answer}"
                );
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

    /// What was acknowledged is seen by whoever names its position, or the wait is refused; it is never missing.
    async fn read_own_writing(&mut self) {
        let Some((position, order)) = self.position.clone() else {
            return;
        };
        let path = format!("/api/v1/orders/{order}");
        let Some(answer) = self
            .hear(|actor| {
                actor
                    .customer
                    .ask(Method::GET, &path)
                    .min_position(&position)
            })
            .await
        else {
            return;
        };
        if answer.status != 503 {
            assert_eq!(
                answer.status, 200,
                "an acknowledged order is not there: {answer}"
            );
            let placed = self
                .record
                .placed
                .iter()
                .find(|placed| placed.order == order);
            assert_is_what_was_wished(&placed.expect("recorded").wish, &answer.json());
        }
    }

    /// Queries without a position: answered, or refused honestly.
    async fn look_around(&mut self) {
        let product = self.choices.of(&self.products);
        let paths = [
            "/api/v1/orders?limit=20".to_owned(),
            "/api/v1/products".to_owned(),
            "/api/v1/payments?limit=20".to_owned(),
            format!("/api/v1/products/{product}/stock"),
        ];
        let path = self.choices.of(&paths);
        let Some(answer) = self.hear(|actor| actor.admin.ask(Method::GET, &path)).await else {
            return;
        };
        if answer.status == 503 {
            return;
        }
        // a product that was just made may not be in the read model yet; those here were made before
        assert_eq!(answer.status, 200, "{answer}");
        if path.ends_with("/stock") {
            let [_, reserved, sold] = stock_of(&answer.json());
            assert!(reserved >= 0 && sold >= 0, "{answer}");
        }
    }
}

/// The order must have these items.
pub(super) fn assert_is_what_was_wished(wish: &Wish, order: &Value) {
    let mut told: Vec<(String, u64)> = order["items"]
        .as_array()
        .unwrap_or_else(|| panic!("no items in {order}"))
        .iter()
        .map(|line| {
            (
                text_of(&line["product_id"]),
                number_of(&line["quantity"]) as u64,
            )
        })
        .collect();
    told.sort_unstable();
    let mut wished = wish.items.clone();
    wished.sort_unstable();
    assert_eq!(told, wished, "{wish:?} became {order}");
}
