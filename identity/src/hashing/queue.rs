//! Who waits to be hashed, and how long that will take. Whoever cannot be served in time is told at once, instead of
//! holding a connection for as long as it takes to find out.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// How much the last piece of work counts in the mean: an eighth, as in RFC 6298 for the round trips of TCP.
const WEIGHT: u64 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: AtomicU32,
    /// The mean of what a piece of work takes, in microseconds; 0 while nothing was done yet.
    mean_micros: AtomicU64,
}

/// A place in the queue, left when this is dropped.
pub(super) struct Waiting<'a>(&'a Queue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

impl Queue {
    /// A place in the queue, unless those that wait already are more than so many at once will do in so long.
    pub(super) fn enter(&self, at_once: NonZeroUsize, max_wait: Duration) -> Option<Waiting<'_>> {
        let before = self.waiting.fetch_add(1, Relaxed);
        let waiting = Waiting(self);
        let mean = Duration::from_micros(self.mean_micros.load(Relaxed));
        let turns = before / u32::try_from(at_once.get()).unwrap_or(u32::MAX);
        (mean.saturating_mul(turns) <= max_wait).then_some(waiting)
    }

    /// A piece of work took so long. Two at the same time may count as one: it is an estimate.
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mean = match self.mean_micros.load(Relaxed) {
            0 => took,
            mean => mean - mean / WEIGHT + took / WEIGHT,
        };
        self.mean_micros.store(mean, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn enter(queue: &Queue, at_once: usize) -> Option<Waiting<'_>> {
        queue.enter(NonZeroUsize::new(at_once).unwrap(), SECOND)
    }

    #[test]
    fn all_may_wait_while_nobody_knows_how_long_it_takes() {
        let queue = Queue::default();
        let waiting: Vec<_> = (0..1_000).map_while(|_| enter(&queue, 1)).collect();
        assert_eq!(waiting.len(), 1_000);
    }

    #[test]
    fn no_more_wait_than_are_served_in_time() {
        let queue = Queue::default();
        queue.note(SECOND / 4);
        for (at_once, served) in [(1, 5), (2, 10)] {
            let waiting: Vec<_> = (0..100).map_while(|_| enter(&queue, at_once)).collect();
            assert_eq!(waiting.len(), served, "{at_once} at once");
            assert!(enter(&queue, at_once).is_none(), "and it stays so");
            drop(waiting);
            assert!(enter(&queue, at_once).is_some(), "until somebody has left");
        }
    }

    #[test]
    fn the_mean_follows_what_was_seen_lately() {
        let queue = Queue::default();
        queue.note(SECOND);
        let of_first = queue.mean_micros.load(Relaxed);
        (0..100).for_each(|_| queue.note(SECOND / 100));
        let mean = Duration::from_micros(queue.mean_micros.load(Relaxed));
        assert_eq!(of_first, 1_000_000);
        assert!(mean < SECOND / 50 && mean >= SECOND / 100, "{mean:?}");
    }
}
