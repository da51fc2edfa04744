//! Clients that go on while things fail: they order, cancel, change stock and read, look at every answer, and keep a
//! record of what was acknowledged.
//!
//! Whoever gets no answer, or a 503, asks again with the same key, at whatever process is there. Every answer must be a
//! success, a refusal that fits, or a 503 problem document with `Retry-After`, and must come within the deadline.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, number_of, text_of},
    client::{Ask, Client, new_order, stock_of},
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    record::{Change, Placed, Record, Wish},
    seed::Choices,
};

/// The longest that an answer may take: `SOUK_REQUEST_TIMEOUT` and 20 seconds, as docs/API.md promises, and what a loaded
/// machine may need to say so.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30 + 3);
/// How long a client waits before it asks again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long undecided requests are asked again once everything works.
const SETTLING: Duration = Duration::from_mins(2);
/// Acknowledged orders that are asked for again by their key at the end, per client.
const REPLAYED: usize = 20;

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

/// What the clients of a scenario accept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether processes die, so that a connection to one may break. Never otherwise.
    pub(crate) may_break: bool,
    /// The longest that an answer may take: [`DEADLINE`], and as long as a process stands still.
    pub(crate) deadline: Duration,
    /// How many pauses are made between two actions: for scenarios that take long.
    pub(crate) pause: Duration,
}

impl Rules {
    /// Processes live, and answer in time.
    pub(crate) const STRICT: Self = Self {
        may_break: false,
        deadline: DEADLINE,
        pause: Duration::from_millis(20),
    };
    /// Processes die.
    pub(crate) const DEATHS: Self = Self {
        may_break: true,
        ..Self::STRICT
    };
}

/// The running clients of a scenario.
pub(crate) struct Load {
    /// Of which scenario, to be told apart in what is printed.
    scenario: &'static str,
    actors: JoinSet<Actor>,
    stop: watch::Sender<bool>,
    heard: watch::Sender<u64>,
}

impl Load {
    pub(crate) fn start(
        scenario: &'static str,
        choices: impl Fn(usize) -> Choices,
        customers: &[Client],
        admin: &Client,
        products: &[String],
        doors: &watch::Receiver<Vec<Option<String>>>,
        rules: Rules,
    ) -> Self {
        let (stop, heard) = (watch::Sender::new(false), watch::Sender::new(0));
        let mut actors = JoinSet::new();
        for (number, customer) in customers.iter().enumerate() {
            let actor = Actor {
                customer: customer.clone(),
                admin: admin.clone(),
                products: products.to_vec(),
                doors: doors.clone(),
                rules,
                choices: choices(number),
                stop: stop.subscribe(),
                heard: heard.clone(),
                record: Record::default(),
                position: None,
            };
            actors.spawn(actor.run());
        }
        Self {
            scenario,
            actors,
            stop,
            heard,
        }
    }

    /// Waits until the clients have heard so many more successes. Fails when one of them failed.
    pub(crate) async fn successes(&mut self, count: u64) {
        let mut heard = self.heard.subscribe();
        let enough = *heard.borrow() + count;
        let waiting = tokio::time::timeout(
            crate::world::PATIENCE,
            heard.wait_for(|so_far| *so_far >= enough),
        );
        tokio::select! {
            waited = waiting => drop(waited.expect("clients get on").expect("clients are there")),
            ended = self.actors.join_next() => match ended {
                Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
                _ => panic!("a client has stopped by itself"),
            },
        }
    }

    /// Asks the clients to stop, and waits until they know the fate of all that they asked for. Everything must work
    /// again by now.
    pub(crate) async fn finish(mut self) -> Record {
        self.stop.send_replace(true);
        let mut record = Record::default();
        while let Some(ended) = self.actors.join_next().await {
            match ended {
                Ok(actor) => record = record.joined(actor.record),
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
        eprintln!(
            "chaos: {}: {} orders placed, {} refused, {} changes of stock; longest wait {} ms; {:?}",
            self.scenario,
            record.placed.len(),
            record.refused.len(),
            record.changed.len(),
            record.longest_ms,
            record.tally
        );
        record
    }
}

/// One client: a customer, who is also the admin that changes stock.
struct Actor {
    customer: Client,
    admin: Client,
    products: Vec<String>,
    doors: watch::Receiver<Vec<Option<String>>>,
    rules: Rules,
    choices: Choices,
    stop: watch::Receiver<bool>,
    heard: watch::Sender<u64>,
    record: Record,
    /// Token of the last order that was acknowledged, and its id.
    position: Option<(String, String)>,
}

/// What became of a request that is asked again until it is decided.
enum Fate {
    Done(Answer),
    Refused,
    /// It was told that nothing was changed, and does not ask again: the log must not know of it.
    GivenUp,
    Open,
}

/// Problems that say that nothing was changed.
const NOTHING_CHANGED: [&str; 3] = ["unavailable", "overloaded", "deadline-passed"];
/// How often in a hundred somebody who is told so gives up.
const GIVES_UP: u64 = 15;

impl Actor {
    async fn run(mut self) -> Self {
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

    fn order(&self, wish: &Wish) -> Ask {
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

    fn changing(&self, change: &Change) -> Ask {
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

    /// Asks until it is decided, at whatever process is there, or until the client is asked to stop.
    async fn insist(&mut self, ask: impl Fn(&Self) -> Ask, key: &str) -> Fate {
        let mut may_be_done = false;
        loop {
            let answer = self.hear(&ask).await;
            let kind = answer.as_ref().and_then(Answer::kind).unwrap_or_default();
            if !NOTHING_CHANGED.contains(&kind.as_str()) {
                may_be_done = true;
            } else if !may_be_done && self.choices.percent(GIVES_UP) {
                return Fate::GivenUp;
            }
            match answer {
                Some(answer) if (200..300).contains(&answer.status) => {
                    self.heard.send_modify(|count| *count += 1);
                    return Fate::Done(answer);
                }
                Some(answer) if answer.status == 409 => match answer.kind().as_deref() {
                    Some("insufficient_stock") => return Fate::Refused,
                    Some("idempotency-key-in-use") if !key.is_empty() => {}
                    _ => panic!("nothing here conflicts: {answer}"),
                },
                Some(answer) => assert_eq!(answer.status, 503, "{answer}"),
                None => {}
            }
            if *self.stop.borrow() {
                return Fate::Open;
            }
            tokio::time::sleep(PAUSE).await; // before the same is asked again
        }
    }

    /// Asks once, and looks at how it was answered. None where there was no answer, because a process died.
    async fn hear(&mut self, ask: impl Fn(&Self) -> Ask) -> Option<Answer> {
        self.go_to_a_door().await;
        let begun = Instant::now();
        let answer = ask(self).try_send().await;
        let waited = begun.elapsed();
        self.record.longest_ms = self.record.longest_ms.max(waited.as_millis());
        assert!(waited <= self.rules.deadline, "{answer:?} after {waited:?}");
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                assert!(self.rules.may_break, "no process died, but: {error:?}");
                *self.record.tally.entry("nothing".into()).or_default() += 1;
                return None;
            }
        };
        let kind = answer
            .kind()
            .filter(|_| answer.status >= 400)
            .unwrap_or_default();
        let heard = format!("{} {kind}", answer.status);
        *self
            .record
            .tally
            .entry(heard.trim_end().to_owned())
            .or_default() += 1;
        if answer.status >= 400 {
            answer.any_problem();
        }
        assert!(answer.status < 500 || answer.status == 503, "{answer}");
        if answer.status == 503 {
            let after = answer
                .header("retry-after")
                .and_then(|text| text.parse::<u64>().ok());
            assert!(
                after.is_some_and(|seconds| seconds > 0),
                "without Retry-After: {answer}"
            );
        }
        Some(answer)
    }

    /// Chooses a process that takes requests, once there is one.
    async fn go_to_a_door(&mut self) {
        let is_open = |doors: &Vec<Option<String>>| doors.iter().any(Option::is_some);
        let doors =
            tokio::time::timeout(crate::world::PATIENCE, self.doors.wait_for(is_open)).await;
        let open: Vec<String> = doors
            .expect("a process comes back")
            .expect("the world is there")
            .iter()
            .flatten()
            .cloned()
            .collect();
        let address = &self.choices.of(&open);
        (self.customer, self.admin) = (self.customer.at(address), self.admin.at(address));
    }

    /// Asks again for all whose fate is not known, and for some of what is known: one key, one order.
    async fn settle(&mut self) {
        for wish in std::mem::take(&mut self.record.open) {
            match self.decided(|actor| actor.order(&wish)).await {
                Some(answer) => {
                    let order = answer.id();
                    assert_is_what_was_wished(&wish, &answer.json());
                    self.record.placed.push(Placed {
                        wish,
                        order,
                        cancelled: false,
                        cancel_asked: false,
                    });
                }
                None => self.record.refused.push(wish),
            }
        }
        for change in std::mem::take(&mut self.record.changing) {
            let done = self.decided(|actor| actor.changing(&change)).await;
            assert!(done.is_some(), "{change:?} was refused");
            self.record.changed.push(change);
        }
        let replayed: Vec<Placed> = self
            .record
            .placed
            .iter()
            .rev()
            .take(REPLAYED)
            .cloned()
            .collect();
        for placed in replayed {
            let again = self.decided(|actor| actor.order(&placed.wish)).await;
            let again = again.unwrap_or_else(|| panic!("{placed:?} is refused now"));
            assert_eq!(again.id(), placed.order, "one key, two orders: {again}");
            assert_eq!(
                again.header("idempotency-replayed"),
                Some("true"),
                "{again}"
            );
        }
    }

    /// The answer to a request once everything works: a success, or none where it was refused.
    async fn decided(&mut self, ask: impl Fn(&Self) -> Ask) -> Option<Answer> {
        let until = Instant::now() + SETTLING;
        loop {
            match self.hear(&ask).await {
                Some(answer) if (200..300).contains(&answer.status) => return Some(answer),
                Some(answer) if answer.kind().as_deref() == Some("insufficient_stock") => {
                    return None;
                }
                other => assert!(
                    Instant::now() < until,
                    "everything should work by now: {other:?}"
                ),
            }
            tokio::time::sleep(PAUSE).await; // before the same is asked again
        }
    }
}

fn assert_is_what_was_wished(wish: &Wish, order: &Value) {
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
