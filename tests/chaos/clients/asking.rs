//! How a client asks: at whatever process is there, again and again with the same key, with a look at every answer.

use std::time::{Duration, Instant};

use tests::{answer::Answer, client::Ask};

use super::{COMMAND_DEADLINE, Door, Doors, actor::Actor, reading::assert_is_what_was_wished};
use crate::{record::Placed, world::PATIENCE};

/// How long a client waits before it asks again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long undecided requests are asked again once everything works.
const SETTLING: Duration = Duration::from_mins(2);
/// Acknowledged orders that are asked for again by their key at the end, per client.
const REPLAYED: usize = 20;
/// Problems that say that nothing was changed.
const NOTHING_CHANGED: [&str; 3] = ["unavailable", "overloaded", "deadline-passed"];
/// How often in a hundred somebody who is told so gives up.
const GIVES_UP: u64 = 15;

/// What became of a request that is asked again until it is decided.
pub(super) enum Fate {
    Done(Answer),
    Refused,
    /// It was told that nothing was changed, and does not ask again: the log must not know of it.
    GivenUp,
    Open,
}

/// What was heard at a door.
pub(super) struct Heard {
    /// None where there was no answer, because a process died.
    pub(super) answer: Option<Answer>,
    /// Whether the door stayed open meanwhile: otherwise its process may have stood still.
    door_stayed_open: bool,
}

impl Actor {
    /// Asks until it is decided, at whatever process is there, or until the client is asked to stop.
    pub(super) async fn insist(&mut self, ask: impl Fn(&Self) -> Ask, key: &str) -> Fate {
        let mut may_be_done = false;
        let mut undisturbed = Instant::now();
        loop {
            let heard = self.hear(&ask, COMMAND_DEADLINE).await;
            if !heard.door_stayed_open {
                undisturbed = Instant::now();
            }
            let (took, answer) = (undisturbed.elapsed(), heard.answer);
            assert!(
                self.rules.decided_within.is_none_or(|most| took <= most),
                "no process that was asked stood still, but after {took:?}: {answer:?}"
            );
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

    /// Asks once, and looks at how it was answered.
    pub(super) async fn hear(&mut self, ask: impl Fn(&Self) -> Ask, deadline: Duration) -> Heard {
        let door = self.go_to_a_door().await;
        let begun = Instant::now();
        let answer = ask(self).try_send().await;
        let waited = begun.elapsed();
        let door_stayed_open = self.doors.borrow().contains(&Some(door));
        self.record.longest_ms = self.record.longest_ms.max(waited.as_millis());
        let most = if door_stayed_open {
            deadline
        } else {
            deadline + self.rules.standing_still
        };
        assert!(waited <= most, "{answer:?} after {waited:?}, not {most:?}");
        let answer = match answer {
            Ok(answer) => {
                self.look_at(&answer);
                Some(answer)
            }
            Err(error) => {
                assert!(self.rules.may_break, "no process died, but: {error:?}");
                *self.record.tally.entry("nothing".into()).or_default() += 1;
                None
            }
        };
        Heard {
            answer,
            door_stayed_open,
        }
    }

    /// Whatever was asked for, it must be answered like this.
    fn look_at(&mut self, answer: &Answer) {
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
    }

    /// Chooses a process that takes requests, once there is one.
    async fn go_to_a_door(&mut self) -> Door {
        let is_open = |doors: &Doors| doors.iter().any(Option::is_some);
        let doors = tokio::time::timeout(PATIENCE, self.doors.wait_for(is_open)).await;
        let open: Vec<Door> = doors
            .expect("a process comes back")
            .expect("the world is there")
            .iter()
            .flatten()
            .cloned()
            .collect();
        let door = self.choices.of(&open);
        self.customer = self.customer.at(&door.address);
        self.admin = self.admin.at(&door.address);
        door
    }

    /// Asks again for all whose fate is not known, and for some of what is known: one key, one order.
    pub(super) async fn settle(&mut self) {
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
            match self.hear(&ask, COMMAND_DEADLINE).await.answer {
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
