//! How far it is: a bar where somebody watches, a line every few seconds where the output goes to a file or a pipe. On
//! standard error.

use std::{
    cell::Cell,
    fmt,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(3);
/// What a bar looks like.
const BAR: &str = "souk: {prefix} [{bar:40}] {human_pos} of {human_len}, {rate}, {eta} left";

/// Shows how far it is.
pub struct Progress {
    somebody_watches: bool,
}

impl Progress {
    /// On standard error, as fits what that is.
    pub fn new() -> Self {
        Self {
            somebody_watches: io::stderr().is_terminal(),
        }
    }

    /// Begins to show a part of the run, until what is returned is dropped.
    pub(super) fn begin(&self, what: &'static str, count: u64) -> Shown {
        let bar = self.somebody_watches.then(|| {
            let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(BAR);
            // the template is a good one, as a test shows
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.with_key("rate", rate));
            bar.with_prefix(what)
        });
        let now = Instant::now();
        let shown = Shown {
            what,
            count,
            bar,
            done: Cell::new(0),
            begun: now,
            last: Cell::new(now),
        };
        if shown.bar.is_none() && count > 0 {
            eprintln!("souk: {}", shown.line(Duration::ZERO));
        }
        shown
    }

    /// Says something in a line of its own, while nothing is shown.
    #[allow(clippy::unused_self)] // as the rest, to where progress goes
    pub(super) fn say(&self, what: &impl fmt::Display) {
        eprintln!("souk: {what}");
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A part of the run that is being shown.
pub(super) struct Shown {
    what: &'static str,
    count: u64,
    bar: Option<ProgressBar>,
    done: Cell<u64>,
    begun: Instant,
    last: Cell<Instant>,
}

impl Shown {
    /// So many more are done.
    pub(super) fn add(&self, more: u64) {
        self.done.set(self.done.get() + more);
        if let Some(bar) = &self.bar {
            bar.inc(more);
        } else if self.last.get().elapsed() >= PAUSE {
            self.last.set(Instant::now());
            eprintln!("souk: {}", self.line(self.begun.elapsed()));
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let (done, count) = (self.done.get(), self.count);
        let so_far = format!("{}: {} of {}", self.what, thousands(done), thousands(count));
        let rate = per_second(done, elapsed);
        if rate == 0 {
            return so_far;
        }
        let left = count.saturating_sub(done).div_ceil(rate);
        format!(
            "{so_far}, {}/s, {} s left",
            thousands(rate),
            thousands(left)
        )
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The speed so far, as lines tell it: the bar's own jumps where much is there already.
fn rate(state: &ProgressState, into: &mut dyn fmt::Write) {
    let rate = per_second(state.pos(), state.elapsed());
    // what cannot be written is not shown
    let _ = write!(into, "{}/s", thousands(rate));
}

/// How many a second that is; none where it took no time.
pub(super) fn per_second(count: u64, took: Duration) -> u64 {
    let milliseconds = took.as_millis().max(1);
    let rate = u128::from(count) * 1_000 / milliseconds;
    if took.is_zero() {
        0
    } else {
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// The number with a comma between thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let shown = Progress {
            somebody_watches: false,
        }
        .begin("orders", 20_000);
        assert_eq!(shown.line(Duration::ZERO), "orders: 0 of 20,000");
        shown.add(5_000);
        assert_eq!(
            shown.line(Duration::from_secs(2)),
            "orders: 5,000 of 20,000, 2,500/s, 6 s left"
        );
        shown.add(15_000);
        assert_eq!(
            shown.line(Duration::from_secs(5)),
            "orders: 20,000 of 20,000, 4,000/s, 0 s left"
        );
    }

    #[test]
    fn thousands_are_told_apart() {
        for (number, told) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), told);
        }
        assert_eq!(per_second(7, Duration::ZERO), 0);
        assert_eq!(per_second(7, Duration::from_nanos(1)), 7_000);
    }

    #[test]
    fn the_bar_is_one_that_can_be_drawn() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }
}
