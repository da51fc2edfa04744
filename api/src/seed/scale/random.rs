//! Chance that can be repeated: what is drawn for a thing depends on the seed, on what it is and on its number, and on
//! nothing else, so that it is drawn again alike in another run, in whatever order and however many there are.

use domain::ids::NAMESPACE;
use uuid::{Builder, Uuid};

/// What things are made; each draws for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Seller,
    Shop,
    Customer,
    Product,
    Order,
}

impl Thing {
    /// Part of stored ids: never changes.
    const fn name(self) -> &'static str {
        match self {
            Self::Seller => "seller",
            Self::Shop => "shop",
            Self::Customer => "customer",
            Self::Product => "product",
            Self::Order => "order",
        }
    }

    /// The id of the thing of this number: the same in every run with this seed. Things of higher numbers have greater
    /// ids, so that indexes are filled from their end, as they are by the ids of a shop that runs (RFC 9562, version 8).
    pub(super) fn id(self, seed: u64, number: u64) -> Uuid {
        let name = format!("demo-scale:{}:{seed}", self.name());
        let mut bytes = *Uuid::new_v5(&NAMESPACE, name.as_bytes()).as_bytes();
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// `SplitMix64`: small, and as good as needed here.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Random {
    /// What is drawn for the thing of this number.
    pub(super) const fn of(thing: Thing, seed: u64, number: u64) -> Self {
        let of_things = mixed(seed.wrapping_add(STEP.wrapping_mul(thing as u64 + 1)));
        Self(mixed(of_things.wrapping_add(number)))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// Leaves out what another draw of the same thing has begun with.
    pub(super) const fn skip(&mut self) {
        self.0 = self.0.rotate_left(32);
    }

    /// From 0 to below 1.
    #[allow(clippy::cast_precision_loss)] // 53 bits are what it holds
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to below `bound`, each alike; 0 where that is 0.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True so many times of a hundred.
    pub(super) const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these, each alike.
    pub(super) const fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// How far from the middle, in standard deviations: about normal, and never beyond six.
    pub(super) fn deviation(&mut self) -> f64 {
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }

    /// From 0 to below `bound`, as people choose among things by their fame: the second is chosen half as often as the
    /// first, the hundredth a hundredth as often (Zipf's law).
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(super) fn popular(&mut self, bound: u64) -> u64 {
        let drawn = (self.fraction() * (bound as f64 + 1.0).ln()).exp() as u64;
        drawn.clamp(1, bound.max(1)) - 1
    }

    /// From 0 to below `bound`, the first ones more often, but none never: a tenth gets a third.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(super) fn faithful(&mut self, bound: u64) -> u64 {
        let drawn = (self.fraction().powi(2) * bound as f64) as u64;
        drawn.min(bound.saturating_sub(1))
    }
}

/// How much of all choices among `bound` things falls on that one, by [`Random::popular`].
#[allow(clippy::cast_precision_loss)] // far below 2^52
pub(super) fn popularity(one: u64, bound: u64) -> f64 {
    let one = one as f64 + 1.0;
    ((one + 1.0) / one).ln() / (bound as f64 + 1.0).ln()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ALL: [Thing; 5] = [
        Thing::Seller,
        Thing::Shop,
        Thing::Customer,
        Thing::Product,
        Thing::Order,
    ];

    #[test]
    fn ids_are_the_same_for_good_grow_with_the_number_and_are_nobody_elses() {
        // frozen: an interrupted run goes on by them
        let order = Thing::Order.id(1, 4_711);
        assert_eq!(order.to_string(), "9dd7050f-2753-85ea-8000-000000001267");
        assert_eq!(order.get_version_num(), 8);
        let mut ids = HashSet::new();
        for thing in ALL {
            for seed in [0, 1, u64::MAX] {
                let of = |number| thing.id(seed, number);
                assert!(of(9) < of(10) && of(10).to_string() < of(1_000_000).to_string());
                ids.extend([of(0), of(1), of(2)]);
            }
        }
        assert_eq!(ids.len(), ALL.len() * 3 * 3);
    }

    #[test]
    fn what_is_drawn_depends_on_seed_thing_and_number_alone() {
        let mut first = HashSet::new();
        for thing in ALL {
            for seed in 0..10 {
                for number in 0..10 {
                    let (mut one, mut again) = (
                        Random::of(thing, seed, number),
                        Random::of(thing, seed, number),
                    );
                    let drawn = [one.next(), one.next()];
                    assert_eq!([again.next(), again.next()], drawn);
                    first.insert(drawn[0]);
                }
            }
        }
        assert_eq!(first.len(), 5 * 10 * 10);
    }

    #[test]
    fn what_is_popular_is_chosen_as_often_as_is_said() {
        let mut counts = [0_u32; 1_000];
        for number in 0..100_000 {
            let mut random = Random::of(Thing::Order, 1, number);
            counts[random.popular(1_000) as usize] += 1;
        }
        assert!(counts.iter().all(|count| *count > 0));
        for one in [0, 1, 9] {
            let expected = popularity(one, 1_000) * 100_000.0;
            let seen = f64::from(counts[one as usize]);
            assert!(
                (seen / expected - 1.0).abs() < 0.15,
                "{one}: {seen} of {expected}"
            );
        }
        let all: f64 = (0..1_000).map(|one| popularity(one, 1_000)).sum();
        assert!((all - 1.0).abs() < 1e-9);
    }

    #[test]
    fn everything_that_is_drawn_is_within_its_bounds() {
        for number in 0..10_000 {
            let mut random = Random::of(Thing::Product, 7, number);
            assert!((0.0..1.0).contains(&random.fraction()));
            assert!(random.deviation().abs() <= 6.0);
            for bound in [1, 2, 7] {
                assert!(random.below(bound) < bound);
                assert!(random.popular(bound) < bound);
                assert!(random.faithful(bound) < bound);
            }
            assert_eq!(
                (random.below(0), random.popular(0), random.faithful(0)),
                (0, 0, 0)
            );
            assert!(random.chance(100) && !random.chance(0));
            assert!([3, 4].contains(&random.pick(&[3, 4])));
        }
    }
}
