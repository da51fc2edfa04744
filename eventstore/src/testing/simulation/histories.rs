//! Runs one history after the other, each with a seed and a runtime of its own, over all cores.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

/// Repeats the history with this seed alone, and says what happens in it.
const SEED: &str = "SOUK_SIMULATION_SEED";
/// Runs so many histories instead of the usual number.
const COUNT: &str = "SOUK_SIMULATION_HISTORIES";
/// No history takes longer, by its own clock.
const LONGEST: Duration = Duration::from_hours(2);

/// A history that takes longer by everybody's clock goes round in circles without time passing in it: then all ends.
const STUCK: Duration = Duration::from_secs(30);

/// What was run.
#[derive(Clone, Copy, Debug)]
pub struct Histories {
    /// How many histories.
    pub count: u64,
    /// How long that took.
    pub took: Duration,
}

/// Runs `history` with seeds from 0 up, `usual_count` of them unless the environment wants another number or just one
/// seed.
///
/// # Panics
/// Where a history panics, with its seed.
pub fn histories<F: Future<Output = ()>>(
    name: &str,
    usual_count: u64,
    history: impl Fn(u64) -> F + Sync,
) -> Histories {
    let began = Instant::now();
    let (first, count) = match (number(SEED), number(COUNT)) {
        (Some(seed), _) => (seed, 1),
        (None, count) => (0, count.unwrap_or(usual_count)),
    };
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let run_all = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let (ended, waits) = mpsc::channel::<()>();
            let name = name.to_owned();
            std::thread::spawn(move || {
                if waits.recv_timeout(STUCK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    eprintln!(
                        "{name}: seed {seed} goes round in circles; {SEED}={seed} repeats it"
                    );
                    std::process::abort();
                }
            });
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&history, seed)));
            drop(ended);
            if outcome.is_err() {
                failed.store(true, Ordering::Relaxed);
                eprintln!("seed {seed} failed; {SEED}={seed} repeats it");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(run_all);
        }
    });
    assert!(
        !failed.load(Ordering::Relaxed),
        "{name}: a history failed; its seed is above"
    );
    let took = began.elapsed();
    eprintln!("{name}: {count} histories in {took:?}");
    Histories { count, took }
}

/// Whether one history is repeated alone.
pub(super) fn is_one_alone() -> bool {
    std::env::var_os(SEED).is_some()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    #[allow(clippy::expect_used)]
    Some(text.parse().expect("a number in the environment"))
}

fn run<F: Future<Output = ()>>(history: impl Fn(u64) -> F, seed: u64) {
    #[allow(clippy::expect_used)]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    runtime.block_on(async {
        let ended = tokio::time::timeout(LONGEST, history(seed)).await;
        assert!(ended.is_ok(), "the history does not come to an end");
    });
}
