//! The words of a text, as products are found by them: small letters without accents, so that "ao dai" finds "Áo dài".
//!
//! They are made here and not by the database's parser and dictionaries. Those go by the server's locale and by files
//! beside it, and a view is to be the same wherever it is built; and what is looked for goes through the same function
//! as what is stored.

use std::{collections::BTreeMap, fmt};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::rebuild::Field;

/// Longest word, in characters. More of it is not looked at, neither in products nor in what is looked for.
const MAX_WORD_CHARS: usize = 64;
/// Most places that are kept of a word (PostgreSQL documentation, "Limitations" of text search: less than 256).
const MAX_PLACES: usize = 255;
/// The last place that can be told from others (same source).
const LAST_PLACE: u16 = 16_383;
/// A place is a number of this many bits; the weight stands above.
const PLACE_BITS: u32 = 14;

/// The words of a text, in order. In a script without blanks each letter is one, with its marks: what is written together
/// is then found as what stands beside each other.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    // what the next letter is added to
    let mut open: Option<String> = None;
    for letter in plain(text).chars() {
        let is_mark = is_combining_mark(letter);
        if !letter.is_alphanumeric() && !is_mark {
            words.extend(open.take());
            continue;
        }
        let begins = !is_mark && (is_word(letter) || open.as_deref().is_some_and(ends_with_word));
        if begins {
            words.extend(open.take());
        }
        open.get_or_insert_default().push(letter);
    }
    words.extend(open);
    for word in &mut words {
        if let Some((end, _)) = word.char_indices().nth(MAX_WORD_CHARS) {
            word.truncate(end);
        }
    }
    words
}

/// Whether it is a word by itself, or what it ends with was, before the marks at its end.
fn ends_with_word(word: &str) -> bool {
    let last = word.chars().rev().find(|c| !is_combining_mark(*c));
    last.is_some_and(is_word)
}

/// Letters of scripts that do not put blanks between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese (Unicode
/// Standard, blocks of these names).
const fn is_word(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The text in small letters, without accents and without what is written inside of words only.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let letters = text
        .nfkd()
        .filter(|c| !is_dropped(*c))
        .flat_map(char::to_lowercase);
    for letter in letters {
        match letter {
            'đ' | 'ð' => plain.push('d'),
            'ħ' => plain.push('h'),
            'ı' => plain.push('i'),
            'ł' => plain.push('l'),
            'ø' => plain.push('o'),
            'ς' => plain.push('σ'),
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'þ' => plain.push_str("th"),
            other => plain.push(other),
        }
    }
    // what was taken apart and is no accent (Hangul) is put together again
    plain.nfc().collect()
}

/// Accents of Latin, Greek and Cyrillic letters; apostrophes ("women's" is found as "womens"); what is not seen.
/// Marks of other scripts are letters.
const fn is_dropped(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        | '\'' | '\u{2018}' | '\u{2019}' | '\u{2bc}'
        | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// How much a word counts, by where it stands: the classes of PostgreSQL's `setweight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Class D.
    Least = 0,
    /// Class C.
    Little = 1,
    /// Class B.
    Much = 2,
    /// Class A.
    Most = 3,
}

impl Weight {
    const fn class(place: u16) -> &'static str {
        match place >> PLACE_BITS {
            3 => "A",
            2 => "B",
            1 => "C",
            _ => "",
        }
    }
}

/// Words with their places and weights: a `tsvector`, shown as its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WordVector {
    /// Each place with its weight in the upper two bits.
    places: BTreeMap<String, Vec<u16>>,
    last: u16,
}

impl WordVector {
    /// Adds the words of one more text.
    pub(super) fn add(&mut self, text: &str, weight: Weight) {
        for word in words(text) {
            if self.last >= LAST_PLACE {
                return;
            }
            self.last += 1;
            let places = self.places.entry(word).or_default();
            if places.len() < MAX_PLACES {
                places.push(((weight as u16) << PLACE_BITS) | self.last);
            }
        }
        // no phrase goes from one text into the next
        self.last += 1;
    }
}

impl fmt::Display for WordVector {
    /// Words are letters and digits, so that nothing in them means anything to PostgreSQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, places) in &self.places {
            write!(f, "'{word}'")?;
            for (index, place) in places.iter().enumerate() {
                let separator = if index == 0 { ':' } else { ',' };
                let (number, class) = (place & LAST_PLACE, Weight::class(*place));
                write!(f, "{separator}{number}{class}")?;
            }
            f.write_str(" ")?;
        }
        Ok(())
    }
}

/// As `tsvectorrecv` of PostgreSQL reads it: words that end with a zero, each with its places.
impl Field for WordVector {
    fn put(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend([0; 4]);
        out.extend((self.places.len() as i32).to_be_bytes());
        for (word, places) in &self.places {
            out.extend_from_slice(word.as_bytes());
            out.push(0);
            out.extend((places.len() as u16).to_be_bytes());
            for place in places {
                out.extend(place.to_be_bytes());
            }
        }
        let length = (out.len() - begin - 4) as i32;
        out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_small_letters_and_digits_without_accents() {
        for (text, expected) in [
            ("Áo dài ĐỎ", "ao dai do"),
            ("Crème Brûlée, 2×", "creme brulee 2"),
            ("T-Shirt/XL (100% cotton)", "t shirt xl 100 cotton"),
            ("Women's Levi’s", "womens levis"),
            (
                "Straße Ærø Łódź Œuvre ISTANBUL İzmir ılık",
                "strasse aero lodz oeuvre istanbul izmir ilik",
            ),
            ("ΟΔΟΣ οδος", "οδοσ οδοσ"),
            (
                "한글 カメラ ｶﾒﾗ หมวก हिन्दी",
                "한글 カ メ ラ カ メ ラ ห ม ว ก हिन्दी",
            ),
            ("红色iPhone手机壳2个", "红 色 iphone 手 机 壳 2 个"),
            ("น้ำผึ้ง", "น้\u{e4d} า ผึ้ ง"),
            ("so\u{ad}fa\0bed \u{1F6CB}", "sofa bed"),
            ("…!?—", ""),
            ("", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
        assert_eq!(words(&"x".repeat(500)), ["x".repeat(MAX_WORD_CHARS)]);
    }

    #[test]
    fn words_of_words_are_the_same_words() {
        for text in ["Áo dài ĐỎ", "½ ℡ ﬁne", "한글", "İ ı ß"] {
            let once = words(text).join(" ");
            assert_eq!(words(&once).join(" "), once, "{text}");
        }
    }

    #[test]
    fn a_vector_has_the_places_and_the_weight_of_each_word() {
        let mut vector = WordVector::default();
        vector.add("Red Dress", Weight::Most);
        vector.add("A dress.", Weight::Least);
        assert_eq!(vector.to_string(), "'a':4 'dress':2A,5 'red':1A ");
    }

    #[test]
    fn a_vector_stays_within_what_postgresql_takes() {
        let mut vector = WordVector::default();
        vector.add(&"x ".repeat(5_000), Weight::Least);
        vector.add(&"y ".repeat(20_000), Weight::Most);
        assert!(
            vector
                .places
                .values()
                .all(|places| places.len() == MAX_PLACES)
        );
        assert_eq!(vector.last, LAST_PLACE);
    }
}
