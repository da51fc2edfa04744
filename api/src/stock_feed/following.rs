//! One client of the feed: what it is sent, in which order, and how it ends.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::response::sse::Event;
use domain::ids::{ProductId, RegionId};
use eventstore::position::Head;
use futures::stream::{self, Stream};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep_until},
};

use super::{Change, Handout, Levels, Seat, StockFeed};

/// Events that a client who catches up reads at once.
const CATCH_UP_EVENTS: usize = 500;
/// After so long without a word the client is told that there was nothing, and how far that is true.
const QUIET: Duration = Duration::from_secs(15);
/// How long a client is asked to wait before it comes back.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

/// Which changes a client wants; all of what is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one of these products, in order; of all where there are none.
    pub product_ids: Vec<ProductId>,
    /// Of products of this region.
    pub region_id: Option<RegionId>,
}

impl Filter {
    fn fits(&self, change: &Change) -> bool {
        let wanted = &self.product_ids;
        (wanted.is_empty() || wanted.binary_search(&change.product_id).is_ok())
            && (self.region_id.is_none() || self.region_id == change.region_id)
    }
}

/// Why a client is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    TooSlow,
    Interrupted,
    Stopping,
}

/// See the module.
pub struct Following {
    feed: StockFeed,
    seat: Seat,
    filter: Filter,
    /// All up to here was looked at.
    at: Head,
    /// While it reads from the log by itself: the numbers that it needs for it.
    catching_up: Option<Levels>,
    ready: VecDeque<Event>,
    quiet_until: Instant,
    over: bool,
}

impl Following {
    pub(super) fn new(feed: StockFeed, seat: Seat, after: Option<Head>, filter: Filter) -> Self {
        let at = after.unwrap_or(seat.place);
        let behind = at.position < seat.place.position;
        let catching_up = behind.then(|| Levels::of_few(feed.0.log.clone()));
        // at once: whoever is cut off before anything has happened knows where to go on
        let hello = Event::default()
            .retry(COME_BACK_AFTER)
            .id(at.to_string())
            .comment("following");
        Self {
            feed,
            seat,
            filter,
            at,
            catching_up,
            ready: VecDeque::from([hello]),
            quiet_until: Instant::now() + QUIET,
            over: false,
        }
    }

    /// What the client is sent, until it goes away or is let go.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut this| async move {
            let event = this.next().await?;
            Some((Ok(event), this))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        let stopping = self.feed.0.stopping.clone();
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            // what is cut off is not sent, and `at` has not moved
            let done = tokio::select! {
                biased;
                () = stopping.cancelled() => Err(Farewell::Stopping),
                done = self.go_on() => done,
            };
            if let Err(farewell) = done {
                self.over = true;
                self.ready.push_back(farewell.event());
            }
        }
    }

    /// Gets ready what comes next.
    async fn go_on(&mut self) -> Result<(), Farewell> {
        if self.catching_up.is_some() {
            return self.catch_up().await;
        }
        tokio::select! {
            biased;
            handout = self.seat.handouts.recv() => match handout {
                Ok(Handout::Batch(batch)) => {
                    self.take(&batch.changes, batch.reached);
                    Ok(())
                }
                Ok(Handout::Interrupted) | Err(RecvError::Closed) => Err(Farewell::Interrupted),
                Err(RecvError::Lagged(_)) => Err(Farewell::TooSlow),
            },
            () = sleep_until(self.quiet_until) => {
                // also moves the id of a client to whom nothing of interest has happened
                let alive = Event::default().id(self.at.to_string()).comment("alive");
                self.say(alive);
                Ok(())
            }
        }
    }

    /// Reads from the log up to where the follower was when this client began to listen.
    async fn catch_up(&mut self) -> Result<(), Farewell> {
        let Some(levels) = &mut self.catching_up else {
            return Ok(());
        };
        let (shared, at) = (&self.feed.0, self.at);
        let read = async {
            // few at once; a client that does not read what it is sent keeps no other waiting
            let _turn = shared.catching_up.acquire().await.ok()?;
            let events = shared.log.feed().read_after(at, CATCH_UP_EVENTS).await;
            let events = events.ok()?;
            let changes = levels.changes(&events).await.ok()?;
            Some((changes, events.last()?.head()))
        };
        let (changes, reached) = tokio::time::timeout(super::BATCH_PATIENCE, read)
            .await
            .ok()
            .flatten()
            .ok_or(Farewell::Interrupted)?;
        self.take(&changes, reached);
        if self.at.position >= self.seat.place.position {
            self.catching_up = None;
        }
        Ok(())
    }

    /// Takes in the changes up to an event, but for those that the client has.
    fn take(&mut self, changes: &[Change], reached: Head) {
        for change in changes {
            if change.head.position > self.at.position && self.filter.fits(change) {
                let event = Event::default()
                    .event("stock")
                    .id(change.head.to_string())
                    .data(&change.data);
                self.say(event);
            }
        }
        if reached.position > self.at.position {
            self.at = reached;
        }
    }

    fn say(&mut self, event: Event) {
        self.ready.push_back(event);
        self.quiet_until = Instant::now() + QUIET;
    }
}

impl Farewell {
    /// Without an id, so that the client comes back with the one that it got last.
    fn event(self) -> Event {
        let reason = match self {
            Self::TooSlow => r#"{"reason":"too_slow"}"#,
            Self::Interrupted => r#"{"reason":"interrupted"}"#,
            Self::Stopping => r#"{"reason":"stopping"}"#,
        };
        Event::default().event("reconnect").data(reason)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use eventstore::position::Position;
    use uuid::Uuid;

    use super::*;

    fn change(product: u128, region: u128) -> Change {
        Change {
            head: Head {
                position: Position(1),
                event_id: Uuid::from_u128(1),
            },
            product_id: ProductId(Uuid::from_u128(product)),
            region_id: Some(RegionId(Uuid::from_u128(region))),
            data: "{}".into(),
        }
    }

    #[test]
    fn all_of_a_filter_must_fit() {
        let all = Filter::default();
        let products = Filter {
            product_ids: [1, 3].map(|id| ProductId(Uuid::from_u128(id))).to_vec(),
            region_id: None,
        };
        let both = Filter {
            region_id: Some(RegionId(Uuid::from_u128(9))),
            ..products.clone()
        };
        let fitting = |filter: &Filter| -> Vec<(u128, u128)> {
            let some = [(1, 8), (1, 9), (2, 9), (3, 9)];
            some.into_iter()
                .filter(|(product, region)| filter.fits(&change(*product, *region)))
                .collect()
        };
        assert_eq!(fitting(&all), [(1, 8), (1, 9), (2, 9), (3, 9)]);
        assert_eq!(fitting(&products), [(1, 8), (1, 9), (3, 9)]);
        assert_eq!(fitting(&both), [(1, 9), (3, 9)]);
    }
}
