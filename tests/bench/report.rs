//! What a run of the benchmark says: rows, each a figure against a bound, and the table they make.

use std::fmt::{self, Write};

/// A number with its unit, as the table shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// How much.
    pub(crate) value: f64,
    /// Of what, for instance `orders/s`.
    pub(crate) unit: &'static str,
}

impl Figure {
    /// So much of that.
    pub(crate) const fn new(value: f64, unit: &'static str) -> Self {
        Self { value, unit }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", number(self.value), self.unit)
    }
}

/// What a row has to reach. Below the floor the run has failed; the aim is where to stop for now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// Measured / baseline, the more the better.
    AtLeast { floor: f64, aim: f64 },
    /// Measured / baseline, the less the better.
    AtMost { floor: f64, aim: f64 },
    /// The measured figure itself, in its unit, the less the better.
    Within { floor: f64, aim: f64 },
}

/// How a row did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As good as we want it for now.
    Aim,
    /// Good enough.
    Floor,
    /// Not good enough: the run has failed.
    Missed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aim => "aim reached",
            Self::Floor => "floor reached",
            Self::Missed => "MISSED",
        })
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it is called, for `make bench ROWS=…`.
    pub(crate) name: &'static str,
    /// What was measured, in a few words.
    pub(crate) what: &'static str,
    /// Ours.
    pub(crate) measured: Figure,
    /// What it is compared with, measured in the same run; none where the bound is absolute.
    pub(crate) baseline: Option<Figure>,
    /// What is wanted.
    pub(crate) bound: Bound,
    /// How it is measured, in a sentence or two: stands below the table.
    pub(crate) explanation: &'static str,
    /// What keeps it from its aim, as far as we know: told where the aim is missed.
    pub(crate) held_by: &'static str,
    /// What else was seen in this run, a sentence each.
    pub(crate) notes: Vec<String>,
}

impl Row {
    /// Measured / baseline, where there is one.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.baseline
            .map(|baseline| self.measured.value / baseline.value)
    }

    /// How it did. A ratio without a baseline, or of nothing, is a miss.
    pub(crate) fn verdict(&self) -> Verdict {
        let ratio = self.ratio().unwrap_or(f64::NAN);
        let (aim, floor) = match self.bound {
            Bound::AtLeast { floor, aim } => (ratio >= aim, ratio >= floor),
            Bound::AtMost { floor, aim } => (ratio <= aim, ratio <= floor),
            Bound::Within { floor, aim } => {
                (self.measured.value <= aim, self.measured.value <= floor)
            }
        };
        match (aim, floor) {
            (true, _) => Verdict::Aim,
            (false, true) => Verdict::Floor,
            (false, false) => Verdict::Missed,
        }
    }

    fn cells(&self) -> [String; 7] {
        let (floor, aim) = match self.bound {
            Bound::AtLeast { floor, aim } => (times("≥", floor), times("≥", aim)),
            Bound::AtMost { floor, aim } => (times("≤", floor), times("≤", aim)),
            Bound::Within { floor, aim } => {
                let unit = self.measured.unit;
                (format!("≤ {floor} {unit}"), format!("≤ {aim} {unit}"))
            }
        };
        [
            format!("{} (`{}`)", self.what, self.name),
            self.measured.to_string(),
            self.baseline
                .map_or_else(|| "–".into(), |baseline| baseline.to_string()),
            self.ratio()
                .map_or_else(|| "–".into(), |ratio| format!("{} ×", number(ratio))),
            floor,
            aim,
            self.verdict().to_string(),
        ]
    }
}

const HEADINGS: [&str; 7] = [
    "what", "measured", "baseline", "ratio", "floor", "aim", "verdict",
];

/// The table, in Markdown, its columns aligned so that it reads well on a terminal too.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let mut widths = [3; HEADINGS.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for (index, line) in lines.iter().enumerate() {
        push_line(&mut table, line, &widths);
        if index == 0 {
            push_line(&mut table, &widths.map(|width| "-".repeat(width)), &widths);
        }
    }
    table
}

fn push_line(table: &mut String, cells: &[String], widths: &[usize]) {
    for (cell, width) in cells.iter().zip(widths) {
        let padding = width.saturating_sub(cell.chars().count());
        table.push_str("| ");
        table.push_str(cell);
        table.push_str(&" ".repeat(padding + 1));
    }
    table.push_str("|\n");
}

/// What each row does, and what was seen in this run.
pub(crate) fn explanations(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        // writing into a string cannot fail
        let _ = write!(text, "- **`{}`** {}", row.name, row.explanation);
        for note in &row.notes {
            let _ = write!(text, " {note}");
        }
        if row.verdict() != Verdict::Aim {
            let _ = write!(text, " What holds it: {}", row.held_by);
        }
        text.push('\n');
    }
    text
}

fn times(sign: &str, bound: f64) -> String {
    format!("{sign} {bound} ×")
}

/// Three significant digits, and a comma between thousands.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => return thousands(value),
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn thousands(value: f64) -> String {
    let plain = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        grouped.insert(0, '-');
    }
    grouped
}
