//! What shoppers type to find products: words that are wanted, phrases in quotes, and words behind a minus that are not.
//!
//! Any text is taken that has a word in it. Nothing of it is syntax to PostgreSQL: a `tsquery` is put together of the
//! words alone, which are letters and digits.

use std::collections::HashMap;

use super::words::words;

/// Longest text, in characters: as long as a title.
const MAX_CHARS: usize = 200;
/// From so many characters on the last word may go on ("teleph"). Shorter ones begin half of all words.
const MIN_PREFIX_CHARS: usize = 3;
/// What stands behind a word in a `tsquery` that may go on.
const BEGINNING: &str = ":*";

/// Why a text is nothing to search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSearch {
    /// Longer than anybody types.
    #[error("must have at most {MAX_CHARS} characters")]
    TooLong,
    /// Neither a letter nor a digit, or only behind a minus.
    #[error("must have a word to look for: letters or digits that are not behind a minus")]
    NoWord,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText {
    terms: Vec<Term>,
    wanted: String,
    /// The same without beginnings of words, where that is something else.
    wanted_whole: Option<String>,
    unwanted: Option<String>,
}

/// Words that stand beside each other: one, a phrase, or what is written together ("t-shirt").
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    words: Vec<String>,
    unwanted: bool,
    quoted: bool,
}

/// The same as others have to know it: who has no `tsquery` asks by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phrase<'t> {
    /// One at the least.
    pub(super) words: &'t [String],
    /// Must not be there.
    pub(super) unwanted: bool,
    /// Whether the last word may be the beginning of one.
    pub(super) open: bool,
}

impl SearchText {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Result<Self, InvalidSearch> {
        if text.chars().nth(MAX_CHARS).is_some() {
            return Err(InvalidSearch::TooLong);
        }
        Self::read(text).ok_or(InvalidSearch::NoWord)
    }

    /// Reads what was typed, or what [`Self::respelled`] has made of it, however long; none where nothing is wanted.
    pub(super) fn read(text: &str) -> Option<Self> {
        let terms = terms(&text.replace(['“', '”', '„'], "\""));
        let wanted = queries(&terms, false, true);
        if wanted.is_empty() {
            return None;
        }
        let open = wanted.last().is_some_and(|query| query.contains(BEGINNING));
        let unwanted = queries(&terms, true, false);
        Some(Self {
            wanted: wanted.join(" & "),
            wanted_whole: open.then(|| queries(&terms, false, false).join(" & ")),
            unwanted: (!unwanted.is_empty()).then(|| unwanted.join(" | ")),
            terms,
        })
    }

    /// Whether it is meant to the letter, because some of it stands in quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.terms.iter().any(|term| term.quoted && !term.unwanted)
    }

    /// The `tsquery` that products must match: the last word may go on.
    pub(super) fn wanted(&self) -> &str {
        &self.wanted
    }

    /// The one of whole words only.
    pub(super) fn wanted_whole(&self) -> &str {
        self.wanted_whole.as_deref().unwrap_or(&self.wanted)
    }

    /// Whether the last word may go on.
    pub(super) const fn is_open(&self) -> bool {
        self.wanted_whole.is_some()
    }

    /// The one that they must not match.
    pub(super) fn unwanted(&self) -> Option<&str> {
        self.unwanted.as_deref()
    }

    /// All that it is made of.
    pub(super) fn phrases(&self) -> impl Iterator<Item = Phrase<'_>> {
        self.terms.iter().enumerate().map(|(index, term)| {
            let may_go_on = term.words.last().is_some_and(|word| may_go_on(word));
            Phrase {
                words: &term.words,
                unwanted: term.unwanted,
                open: index + 1 == self.terms.len() && term.is_open() && may_go_on,
            }
        })
    }

    /// Each word that is wanted, with the `tsquery` of products that have it.
    pub(super) fn wanted_words(&self) -> Vec<(&str, String)> {
        let mut words = Vec::new();
        for (index, term) in self.terms.iter().enumerate() {
            let open = index + 1 == self.terms.len() && term.is_open();
            for (place, word) in term.words.iter().enumerate() {
                let open = open && place + 1 == term.words.len();
                if !term.unwanted {
                    words.push((word.as_str(), query_of(word, open)));
                }
            }
        }
        words
    }

    /// The same text with these words in place of others, to be read again.
    pub(super) fn respelled(&self, words: &HashMap<String, String>) -> String {
        let term = |term: &Term| {
            // what is not wanted is left as it is
            let other = |word| words.get(word).filter(|_| !term.unwanted);
            let words = term.words.iter();
            let words: Vec<_> = words
                .map(|word| other(word).unwrap_or(word).as_str())
                .collect();
            let minus = if term.unwanted { "-" } else { "" };
            format!("{minus}{}", words.join("-"))
        };
        let terms: Vec<String> = self.terms.iter().map(term).collect();
        terms.join(" ")
    }
}

impl Term {
    /// Whether its last word may go on, where it is the last of all.
    const fn is_open(&self) -> bool {
        !self.quoted && !self.unwanted
    }

    /// As part of a `tsquery`.
    fn query(&self, open: bool) -> String {
        let last = self.words.len() - 1;
        let words = self.words.iter().enumerate();
        let words: Vec<String> = words
            .map(|(index, word)| query_of(word, open && index == last))
            .collect();
        format!("({})", words.join(" <-> "))
    }
}

/// The `tsquery` of each term, once: the planner would take what is said twice for twice as rare.
fn queries(terms: &[Term], unwanted: bool, open: bool) -> Vec<String> {
    let mut queries = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    let asked = terms.iter().enumerate();
    for (index, term) in asked.filter(|(_, term)| term.unwanted == unwanted) {
        // only the very last word is still being typed
        let open = open && index + 1 == terms.len() && term.is_open();
        let query = term.query(open);
        let begins = |word: &&str| matches!(&*term.words, [begun] if word.starts_with(begun));
        let is_begun = query.contains(BEGINNING) && words.iter().any(begins);
        let is_said = is_begun || queries.contains(&query);
        words.extend(term.words.iter().map(String::as_str));
        if !is_said {
            queries.push(query);
        }
    }
    queries
}

/// A word as part of a `tsquery`, whole or as the beginning of one.
fn query_of(word: &str, open: bool) -> String {
    let open = open && may_go_on(word);
    format!("'{word}'{}", if open { BEGINNING } else { "" })
}

fn may_go_on(word: &str) -> bool {
    word.chars().nth(MIN_PREFIX_CHARS - 1).is_some()
}

/// Those that have a word in them.
fn terms(text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let positive = rest.strip_prefix('-');
        let body = positive.unwrap_or(rest);
        let quote = body.strip_prefix('"');
        let (inside, behind) = match quote {
            // one that is not closed goes to the end
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => body.split_at(
                body.find(|c: char| c.is_whitespace() || c == '"')
                    .unwrap_or(body.len()),
            ),
        };
        let words = words(inside);
        if !words.is_empty() {
            terms.push(Term {
                words,
                unwanted: positive.is_some(),
                quoted: quote.is_some(),
            });
        }
        rest = behind.trim_start();
    }
    terms
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_wanted_all_and_the_last_one_may_go_on() {
        for (text, wanted, respelled) in [
            ("Áo dài", "('ao') & ('dai':*)", "ao dai"),
            ("  red,  Dress! ", "('red') & ('dress':*)", "red dress"),
            ("t-shirt XL", "('t' <-> 'shirt') & ('xl')", "t-shirt xl"),
            (
                "TEE-01-blue",
                "('tee' <-> '01' <-> 'blue':*)",
                "tee-01-blue",
            ),
            ("\"red dress\"", "('red' <-> 'dress')", "red-dress"),
            (
                "“red dress” silk",
                "('red' <-> 'dress') & ('silk':*)",
                "red-dress silk",
            ),
            (
                "silk \"red dress",
                "('silk') & ('red' <-> 'dress')",
                "silk red-dress",
            ),
            ("red\"dress\"", "('red') & ('dress')", "red dress"),
            ("it's :* & | ! <-> ( \\ %", "('its':*)", "its"),
            // once is enough
            (
                "red red-wine red",
                "('red') & ('red' <-> 'wine')",
                "red red-wine red",
            ),
            ("silk shirt shi", "('silk') & ('shirt')", "silk shirt shi"),
            ("shirt s", "('shirt') & ('s')", "shirt s"),
        ] {
            let parsed = SearchText::parse(text).unwrap();
            assert_eq!(parsed.wanted, wanted, "{text}");
            assert_eq!(parsed.respelled(&HashMap::new()), respelled, "{text}");
            assert_eq!(parsed.unwanted, None, "{text}");
            assert_eq!(parsed.is_quoted(), text.contains(['"', '“']), "{text}");
        }
    }

    #[test]
    fn what_is_behind_a_minus_is_not_wanted() {
        for (text, wanted, unwanted) in [
            ("dress -red", "('dress')", "('red')"),
            (
                "-red dress -\"made of silk\"",
                "('dress')",
                "('red') | ('made' <-> 'of' <-> 'silk')",
            ),
            ("dress -t-shirt", "('dress')", "('t' <-> 'shirt')"),
        ] {
            let parsed = SearchText::parse(text).unwrap();
            assert_eq!(parsed.wanted, wanted, "{text}");
            assert_eq!(parsed.unwanted.as_deref(), Some(unwanted), "{text}");
        }
        let apart = SearchText::parse("table - lamp -").unwrap();
        assert_eq!(apart.wanted, "('table') & ('lamp':*)");
    }

    #[test]
    fn a_respelled_text_means_the_same_with_other_words() {
        let text = SearchText::parse("t-shrit -\"of silk\" redd").unwrap();
        let known = [("shrit", "shirt"), ("redd", "red"), ("silk", "sulk")];
        let known = known.map(|(word, other)| (word.to_owned(), other.to_owned()));
        let respelled = text.respelled(&HashMap::from(known));
        assert_eq!(respelled, "t-shirt -of-silk red");
        let read = SearchText::read(&respelled).unwrap();
        assert_eq!(read.wanted, "('t' <-> 'shirt') & ('red':*)");
        let words = [("t", "'t'"), ("shirt", "'shirt'"), ("red", "'red':*")];
        let words = words.map(|(word, query)| (word, query.to_owned()));
        assert_eq!(read.wanted_words(), words);
    }

    #[test]
    fn a_text_without_a_word_to_look_for_is_refused() {
        for text in [
            "",
            " ",
            "\0",
            "…?!",
            "-",
            "-red",
            "-\"red dress\" -x",
            "\"\"",
            "\u{301}",
        ] {
            assert_eq!(
                SearchText::parse(text),
                Err(InvalidSearch::NoWord),
                "{text:?}"
            );
        }
        assert!(SearchText::parse(&"đ".repeat(MAX_CHARS)).is_ok());
        let long = "đ".repeat(MAX_CHARS + 1);
        assert_eq!(SearchText::parse(&long), Err(InvalidSearch::TooLong));
    }

    proptest! {
        #[test]
        fn no_text_becomes_syntax(text in "\\PC{0,60}") {
            if let Ok(parsed) = SearchText::parse(&text) {
                for query in [Some(&parsed.wanted), parsed.unwanted.as_ref()].into_iter().flatten() {
                    let syntax = ["('", "')", "':*)", "' <-> '", " & ", " | "];
                    let mut words = query.clone();
                    for part in syntax {
                        words = words.replace(part, " ");
                    }
                    prop_assert!(!words.contains(|c: char| c.is_ascii_punctuation() || c.is_control()), "{query}");
                }
            }
        }
    }
}
