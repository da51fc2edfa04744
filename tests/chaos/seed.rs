//! The seed of a scenario: all of its choices come from it, so that a run can be repeated. How the machine schedules
//! threads and processes is not chosen, so a repetition makes the same choices at nearly the same moments.

use std::{
    env,
    hash::{BuildHasher, RandomState},
};

/// The number that a scenario's choices follow from. Named again when the scenario fails.
pub(crate) struct Seed {
    pub(crate) scenario: &'static str,
    number: u64,
}

impl Seed {
    /// That of `SOUK_CHAOS_SEED`, or a new one.
    pub(crate) fn of(scenario: &'static str) -> Self {
        let number = match env::var("SOUK_CHAOS_SEED") {
            Ok(text) => text.parse().expect("SOUK_CHAOS_SEED is a whole number"),
            Err(_) => RandomState::new().hash_one(scenario) >> 1,
        };
        let this = Self { scenario, number };
        eprintln!("chaos: {this}");
        this
    }

    /// The choices of one actor of the scenario: they do not depend on what the others do meanwhile.
    pub(crate) fn choices(&self, actor: &str) -> Choices {
        let words = [self.scenario, "/", actor].concat();
        let start = words.bytes().fold(self.number, |state, byte| {
            mixed(state ^ u64::from(byte)).wrapping_add(STEP)
        });
        Choices(start)
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { scenario, number } = self;
        write!(f, "{scenario}, SOUK_CHAOS_SEED={number}")
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("chaos: failed: {self}");
        }
    }
}

/// How often processes are killed.
pub(crate) fn rounds() -> u64 {
    env::var("SOUK_CHAOS_ROUNDS").map_or(20, |text| {
        text.parse().expect("SOUK_CHAOS_ROUNDS is a whole number")
    })
}

/// Whether faults last as long as they do in `make chaos`.
pub(crate) fn long() -> bool {
    env::var("SOUK_CHAOS_LONG").is_ok_and(|text| text == "1")
}

/// A stream of choices (splitmix64: as short as a generator can be, and good enough for choosing).
pub(crate) struct Choices(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number from 0 to `count` - 1.
    pub(crate) fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Yes, so many times out of a hundred.
    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of these.
    pub(crate) fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }

    /// A key that nobody else has.
    pub(crate) fn key(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

fn mixed(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
