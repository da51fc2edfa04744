//! What a client reads: what it has written, which it must see by the position that it was told, and what there is.

use reqwest::Method;
use serde_json::Value;
use tests::{
    answer::{Answer, number_of, text_of},
    client::stock_of,
};

use super::{QUERY_DEADLINE, actor::Actor};
use crate::record::Wish;

/// Most acknowledged writings that a client remembers the positions of.
const REMEMBERED: usize = 8;

/// Something that was acknowledged.
#[derive(Clone, Debug)]
pub(super) enum Written {
    /// An order of this id was placed.
    Order(String),
    /// An order was called off; `done` where nothing was left to do (200).
    Cancellation { order: String, done: bool },
    /// The stock of a product was changed, and left at this level where that was told.
    Stock {
        product: String,
        level: Option<Level>,
    },
}

/// The stock of a product at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// How many changes led to it: its ETag.
    version: u64,
    /// Available, reserved and sold pieces.
    pieces: [i64; 3],
}

impl Level {
    /// That which an answer tells, which must be of this product.
    pub(super) fn of(answer: &Answer, product: &str) -> Self {
        let told = answer.json();
        assert_eq!(told["product_id"], product, "{answer}");
        let pieces = stock_of(&told);
        let [_, reserved, sold] = pieces;
        assert!(reserved >= 0 && sold >= 0, "{answer}");
        let version = answer.etag().trim_matches('"').parse();
        Self {
            version: version.unwrap_or_else(|_| panic!("{answer} has no version of ours")),
            pieces,
        }
    }
}

impl Actor {
    /// Keeps in mind what was acknowledged, to be read back by its position.
    pub(super) fn remember(&mut self, answer: &Answer, written: Written) {
        if self.written.len() == REMEMBERED {
            self.written.remove(0);
        }
        self.written.push((answer.position(), written));
    }

    /// What was acknowledged is seen by whoever names its position, or the wait is refused; it is never missing.
    pub(super) async fn read_own_writing(&mut self) {
        if self.written.is_empty() {
            return;
        }
        let (position, written) = self.choices.of(&self.written);
        let path = match &written {
            Written::Order(order) | Written::Cancellation { order, .. } => {
                format!("/api/v1/orders/{order}")
            }
            Written::Stock { product, .. } => format!("/api/v1/products/{product}/stock"),
        };
        let ask = |actor: &Self| {
            actor
                .customer
                .ask(Method::GET, &path)
                .min_position(&position)
        };
        let Some(answer) = self.hear(ask, QUERY_DEADLINE).await.answer else {
            return;
        };
        if answer.status == 503 {
            return;
        }
        assert_eq!(
            answer.status, 200,
            "acknowledged, and not there: {written:?}: {answer}"
        );
        match &written {
            Written::Order(order) => self.assert_is_order(order, &answer),
            Written::Cancellation { order, done } => {
                self.assert_is_order(order, &answer);
                assert_is_called_off(&answer.json(), *done);
            }
            Written::Stock { product, level } => {
                let now = Level::of(&answer, product);
                if let Some(then) = level {
                    assert!(
                        now.version >= then.version,
                        "{answer} is older than {then:?}"
                    );
                    assert!(
                        now.version > then.version || now == *then,
                        "{answer} is not {then:?}"
                    );
                }
            }
        }
    }

    /// Nothing here is shipped, so an order waits, is paid or is called off.
    fn assert_is_order(&self, order: &str, answer: &Answer) {
        let told = answer.json();
        assert_eq!(told["order_id"], order, "{answer}");
        let mut placed = self.record.placed.iter();
        let placed = placed.find(|placed| placed.order == order);
        assert_is_what_was_wished(&placed.expect("recorded").wish, &told);
        let status = text_of(&told["status"]);
        assert!(
            ["pending", "processing", "cancelled"].contains(&status.as_str()),
            "{answer}"
        );
    }

    /// Queries without a position: answered, or refused honestly.
    pub(super) async fn look_around(&mut self) {
        let product = self.choices.of(&self.products);
        let stock = format!("/api/v1/products/{product}/stock");
        let paths = [
            "/api/v1/orders?limit=20",
            "/api/v1/products",
            "/api/v1/payments?limit=20",
            stock.as_str(),
        ];
        let path = self.choices.of(&paths);
        let ask = |actor: &Self| actor.admin.ask(Method::GET, path);
        let Some(answer) = self.hear(ask, QUERY_DEADLINE).await.answer else {
            return;
        };
        if answer.status == 503 {
            return;
        }
        // a product that was just made may not be in the read model yet; those here were made before
        assert_eq!(answer.status, 200, "{answer}");
        if path == stock {
            let _ = Level::of(&answer, &product);
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

/// The order must be cancelled, or wait only for the gateway (docs/ORDER_STATES.md); `done` where nothing was left to
/// do, so that no money is kept either.
pub(super) fn assert_is_called_off(order: &Value, done: bool) {
    let is_cancelled = order["status"] == "cancelled";
    if done {
        let no_money = order["payment_status"] == "unpaid" || order["payment_status"] == "refunded";
        assert!(is_cancelled && no_money, "cancelled with 200: {order}");
    } else {
        let waits = order["status"] == "pending" && order["cancellation_requested"] == true;
        assert!(is_cancelled || waits, "cancelled with 202: {order}");
    }
}
