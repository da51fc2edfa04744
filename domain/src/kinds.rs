//! Product kinds: what is told of a product beside its name and price depends on what it is. Each kind is one file that
//! names its attributes and their rules, and one entry in [`ALL`]; nothing else in Souk knows any kind by name.
//!
//! Attributes are checked when they come in, against the kind as it is today; what is stored stays as it was taken. The
//! API shows a JSON Schema of each kind, made from this list, and products can be filtered by every attribute.

mod clothing;
mod electronics;
mod furniture;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::{KindName, Title};

/// Every kind. A new one is a file beside these and a line here.
pub const ALL: &[&Kind] = &[&clothing::KIND, &electronics::KIND, &furniture::KIND];

/// What the products of a kind have in common.
#[derive(Debug)]
pub struct Kind {
    /// Its name in the API and in the log; never changes.
    pub name: &'static str,
    /// What is of this kind.
    pub summary: &'static str,
    /// What is told of its products.
    pub attributes: &'static [Attribute],
}

/// Something that is told of every product of a kind.
#[derive(Debug)]
pub struct Attribute {
    /// Its name in the API and in the log; never changes.
    pub name: &'static str,
    /// What it tells, with its unit.
    pub summary: &'static str,
    /// Whether every product must have it.
    pub required: bool,
    /// Which values it may have.
    pub rule: Rule,
}

/// Which values an attribute may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A text of one line.
    Line,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Whole {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// Yes or no.
    YesOrNo,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Yes or no.
    YesOrNo(bool),
    /// A whole number.
    Whole(i64),
    /// A text.
    Text(Title),
}

/// What is told of a product: its kind, and the attributes that go with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specification {
    /// Its kind.
    kind: KindName,
    /// By name.
    attributes: BTreeMap<String, AttributeValue>,
}

/// Why an attribute was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{attribute} {problem}")]
pub struct UnfitAttribute {
    /// Its name.
    pub attribute: String,
    /// What is wrong with it, for instance `must be one of S, M, L`.
    pub problem: String,
}

impl Kind {
    /// The kind of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|kind| kind.name == name)
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// The specification of a product of this kind, or everything that is wrong with it. A value is absent where what
    /// was given is neither text, whole number nor truth value.
    pub fn specify(
        &self,
        given: impl IntoIterator<Item = (String, Option<AttributeValue>)>,
    ) -> Result<Specification, Vec<UnfitAttribute>> {
        let (mut attributes, mut unfit) = (BTreeMap::new(), Vec::new());
        for (name, value) in given {
            match (self.attribute(&name), value) {
                (None, _) => unfit.push(UnfitAttribute {
                    problem: format!("is not an attribute of {}", self.name),
                    attribute: name,
                }),
                (Some(attribute), Some(value)) if attribute.rule.allows(&value) => {
                    attributes.insert(name, value);
                }
                (Some(attribute), _) => unfit.push(UnfitAttribute {
                    problem: attribute.rule.to_string(),
                    attribute: name,
                }),
            }
        }
        let told = |name: &str| {
            attributes.contains_key(name) || unfit.iter().any(|unfit| unfit.attribute == name)
        };
        let missing = self.attributes.iter();
        let missing = missing.filter(|attribute| attribute.required && !told(attribute.name));
        let missing: Vec<_> = missing
            .map(|attribute| UnfitAttribute {
                attribute: attribute.name.to_owned(),
                problem: "is missing".to_owned(),
            })
            .collect();
        unfit.extend(missing);
        // the name of a kind is one, as a test shows
        match KindName::parse(self.name) {
            Ok(kind) if unfit.is_empty() => Ok(Specification { kind, attributes }),
            _ => Err(unfit),
        }
    }
}

impl Rule {
    /// The value that a text stands for, as in a query; nothing where the rule allows none like it.
    pub fn parse(self, text: &str) -> Option<AttributeValue> {
        let value = match self {
            Self::Line | Self::OneOf(_) => Title::parse(text).ok().map(AttributeValue::Text),
            Self::Whole { .. } => text.parse().ok().map(AttributeValue::Whole),
            Self::YesOrNo => text.parse().ok().map(AttributeValue::YesOrNo),
        };
        value.filter(|value| self.allows(value))
    }

    /// Whether the value keeps the rule.
    pub fn allows(self, value: &AttributeValue) -> bool {
        match (self, value) {
            (Self::Line, AttributeValue::Text(_)) | (Self::YesOrNo, AttributeValue::YesOrNo(_)) => {
                true
            }
            (Self::OneOf(choices), AttributeValue::Text(text)) => choices.contains(&text.as_str()),
            (Self::Whole { least, most }, AttributeValue::Whole(number)) => {
                (least..=most).contains(number)
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line => f.write_str("must be a text of 1 to 200 characters on one line"),
            Self::OneOf(choices) => write!(f, "must be one of {}", choices.join(", ")),
            Self::Whole { least, most } => {
                write!(f, "must be a whole number from {least} to {most}")
            }
            Self::YesOrNo => f.write_str("must be true or false"),
        }
    }
}

impl Specification {
    /// The kind's name.
    pub const fn kind(&self) -> &KindName {
        &self.kind
    }

    /// The attributes by name.
    pub const fn attributes(&self) -> &BTreeMap<String, AttributeValue> {
        &self.attributes
    }

    /// Approximate bytes on the heap.
    pub fn heap(&self) -> usize {
        let texts = self.attributes.iter().map(|(name, value)| {
            name.len()
                + size_of::<(String, AttributeValue)>()
                + match value {
                    AttributeValue::Text(text) => text.as_str().len(),
                    AttributeValue::YesOrNo(_) | AttributeValue::Whole(_) => 0,
                }
        });
        self.kind.as_str().len() + texts.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::BTreeSet;

    use super::*;

    fn text(text: &str) -> AttributeValue {
        AttributeValue::Text(Title::parse(text).unwrap())
    }

    fn specify(
        kind: &str,
        given: &[(&str, Option<AttributeValue>)],
    ) -> Result<Specification, Vec<String>> {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let taken = Kind::find(kind).expect(kind).specify(given);
        taken.map_err(|unfit| unfit.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn kinds_and_attributes_have_names_that_fit_and_are_each_others() {
        let names: BTreeSet<&str> = ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), ALL.len());
        for kind in ALL {
            assert_eq!(KindName::parse(kind.name).unwrap().as_str(), kind.name);
            assert!(!kind.attributes.is_empty() && !kind.summary.is_empty());
            let names: BTreeSet<&str> = kind.attributes.iter().map(|each| each.name).collect();
            assert_eq!(names.len(), kind.attributes.len(), "{}", kind.name);
            for attribute in kind.attributes {
                let plain = |c: char| c.is_ascii_lowercase() || c == '_';
                assert!(attribute.name.chars().all(plain), "{}", attribute.name);
                if let Rule::OneOf(choices) = attribute.rule {
                    assert!(choices.len() > 1);
                    for choice in choices {
                        assert_eq!(Title::parse(choice).unwrap().as_str(), *choice);
                    }
                }
            }
        }
    }

    #[test]
    fn a_specification_holds_what_fits_its_kind() {
        let shirt = specify(
            "clothing",
            &[
                ("size", Some(text("M"))),
                ("colour", Some(text("đỏ"))),
                ("material", Some(text("cotton"))),
            ],
        );
        let shirt = shirt.unwrap();
        assert_eq!(shirt.kind().as_str(), "clothing");
        assert_eq!(
            serde_json::to_string(&shirt).unwrap(),
            r#"{"kind":"clothing","attributes":{"colour":"đỏ","material":"cotton","size":"M"}}"#
        );
        assert!(shirt.heap() > 20);
    }

    #[test]
    fn everything_that_does_not_fit_is_named() {
        let wrong = specify(
            "electronics",
            &[
                ("brand", None),
                ("warranty_months", Some(AttributeValue::Whole(-1))),
                ("rechargeable", Some(text("yes"))),
                ("size", Some(text("M"))),
            ],
        );
        assert_eq!(
            wrong.unwrap_err(),
            [
                "brand must be a text of 1 to 200 characters on one line",
                "warranty_months must be a whole number from 0 to 120",
                "rechargeable must be true or false",
                "size is not an attribute of electronics",
            ]
        );
        assert_eq!(
            specify("clothing", &[("size", Some(text("enormous")))]).unwrap_err(),
            [
                "size must be one of XXS, XS, S, M, L, XL, XXL, one size",
                "colour is missing",
            ]
        );
    }

    #[test]
    fn a_value_is_read_from_a_text_by_its_rule() {
        let rule = |kind: &str, attribute: &str| {
            Kind::find(kind).unwrap().attribute(attribute).unwrap().rule
        };
        assert_eq!(rule("clothing", "size").parse("M"), Some(text("M")));
        assert_eq!(rule("clothing", "size").parse("enormous"), None);
        assert_eq!(rule("clothing", "colour").parse("7"), Some(text("7")));
        assert_eq!(rule("clothing", "colour").parse(""), None);
        let months = rule("electronics", "warranty_months");
        assert_eq!(months.parse("24"), Some(AttributeValue::Whole(24)));
        assert_eq!(months.parse("121"), None);
        assert_eq!(months.parse("two"), None);
        let rechargeable = rule("electronics", "rechargeable");
        assert_eq!(
            rechargeable.parse("true"),
            Some(AttributeValue::YesOrNo(true))
        );
        assert_eq!(rechargeable.parse("1"), None);
    }

    #[test]
    fn a_number_a_text_and_a_truth_value_are_told_apart_in_json() {
        for (json, value) in [
            ("true", AttributeValue::YesOrNo(true)),
            ("7", AttributeValue::Whole(7)),
            ("\"7\"", text("7")),
        ] {
            assert_eq!(serde_json::from_str::<AttributeValue>(json).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
        for bad in ["1.5", "null", "[]", "{}", "9223372036854775808", "\"\""] {
            assert!(
                serde_json::from_str::<AttributeValue>(bad).is_err(),
                "{bad}"
            );
        }
    }
}
