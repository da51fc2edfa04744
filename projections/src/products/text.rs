//! What shoppers type to find products: words that are wanted, phrases in quotes, and words behind a minus that are not.
//!
//! Any text is taken that has a word in it. Nothing of it is syntax to PostgreSQL: a `tsquery` is put together of the
//! words alone, which are letters and digits.

use super::words::words;

/// Longest text, in characters: as long as a title.
const MAX_CHARS: usize = 200;
/// From so many characters on the last word may go on ("teleph"). Shorter ones begin half of all words.
const MIN_PREFIX_CHARS: usize = 3;

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
    wanted: String,
    unwanted: Option<String>,
    plain: String,
    quoted: bool,
}

/// Words that stand beside each other: one, a phrase, or what is written together ("t-shirt").
struct Term {
    words: Vec<String>,
    unwanted: bool,
    quoted: bool,
}

impl SearchText {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Result<Self, InvalidSearch> {
        if text.chars().nth(MAX_CHARS).is_some() {
            return Err(InvalidSearch::TooLong);
        }
        let terms = terms(&text.replace(['“', '”', '„'], "\""));
        // only the very last word is still being typed
        let last = terms.len().saturating_sub(1);
        let (mut wanted, mut unwanted, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        let mut quoted = false;
        for (index, term) in terms.into_iter().enumerate() {
            if term.unwanted {
                unwanted.push(term.query(false));
            } else {
                quoted |= term.quoted;
                wanted.push(term.query(index == last && !term.quoted));
                plain.extend(term.words);
            }
        }
        if wanted.is_empty() {
            return Err(InvalidSearch::NoWord);
        }
        Ok(Self {
            wanted: wanted.join(" & "),
            unwanted: (!unwanted.is_empty()).then(|| unwanted.join(" | ")),
            plain: plain.join(" "),
            quoted,
        })
    }

    /// Whether it is meant to the letter, because some of it stands in quotes.
    pub(super) const fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// The `tsquery` that products must match.
    pub(super) fn wanted(&self) -> &str {
        &self.wanted
    }

    /// The one that they must not match.
    pub(super) fn unwanted(&self) -> Option<&str> {
        self.unwanted.as_deref()
    }

    /// The words that are wanted, for titles that are spelled alike.
    pub(super) fn plain(&self) -> &str {
        &self.plain
    }
}

impl Term {
    /// As part of a `tsquery`.
    fn query(&self, open: bool) -> String {
        let last = self.words.len() - 1;
        let word = |(index, word): (usize, &String)| {
            let open = open && index == last && word.chars().count() >= MIN_PREFIX_CHARS;
            format!("'{word}'{}", if open { ":*" } else { "" })
        };
        let words: Vec<String> = self.words.iter().enumerate().map(word).collect();
        format!("({})", words.join(" <-> "))
    }
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
        for (text, wanted, plain) in [
            ("Áo dài", "('ao') & ('dai':*)", "ao dai"),
            ("  red,  Dress! ", "('red') & ('dress':*)", "red dress"),
            ("t-shirt XL", "('t' <-> 'shirt') & ('xl')", "t shirt xl"),
            (
                "TEE-01-blue",
                "('tee' <-> '01' <-> 'blue':*)",
                "tee 01 blue",
            ),
            ("\"red dress\"", "('red' <-> 'dress')", "red dress"),
            (
                "“red dress” silk",
                "('red' <-> 'dress') & ('silk':*)",
                "red dress silk",
            ),
            (
                "silk \"red dress",
                "('silk') & ('red' <-> 'dress')",
                "silk red dress",
            ),
            ("red\"dress\"", "('red') & ('dress')", "red dress"),
            ("it's :* & | ! <-> ( \\ %", "('its':*)", "its"),
        ] {
            let parsed = SearchText::parse(text).unwrap();
            assert_eq!((&*parsed.wanted, &*parsed.plain), (wanted, plain), "{text}");
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
