//! Which region things belong to: half of them to the first one, three tenths to the last and two to the other,
//! interleaved, so that a small shop has some of each. How many there are and which is the n-th can be said without
//! going through them.

/// The regions of ten things in a row, as indexes of the places.
const PATTERN: [usize; 10] = [0, 2, 0, 1, 0, 2, 0, 2, 0, 1];
const ROUND: u64 = PATTERN.len() as u64;

/// The place of the thing of this number.
pub(super) const fn place_of(number: u64) -> usize {
    PATTERN[(number % ROUND) as usize]
}

/// How many of so many things are of this place.
pub(super) fn count_in(place: usize, among: u64) -> u64 {
    let rest = (among % ROUND) as usize;
    among / ROUND * of_pattern(place, PATTERN.len()) + of_pattern(place, rest)
}

/// The number of the n-th thing of this place, counted from zero.
pub(super) fn nth_in(place: usize, n: u64) -> u64 {
    let each = of_pattern(place, PATTERN.len());
    let within = (0..PATTERN.len())
        .filter(|at| PATTERN[*at] == place)
        .nth((n % each) as usize);
    // there is one: the remainder is less than how many there are
    n / each * ROUND + within.unwrap_or_default() as u64
}

/// What place a thing has among those of its own place, counted from zero.
pub(super) fn rank_of(number: u64) -> u64 {
    count_in(place_of(number), number)
}

fn of_pattern(place: usize, first: usize) -> u64 {
    PATTERN[..first].iter().filter(|it| **it == place).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::scale::words::PLACES;

    #[test]
    fn counting_agrees_with_going_through_them() {
        let mut counts = [0; PLACES.len()];
        for number in 0..1_234 {
            for (place, count) in counts.iter().enumerate() {
                assert_eq!(count_in(place, number), *count);
            }
            let place = place_of(number);
            assert_eq!(rank_of(number), counts[place]);
            assert_eq!(nth_in(place, counts[place]), number);
            counts[place] += 1;
        }
        assert!(counts.iter().all(|count| *count > 200));
    }
}
