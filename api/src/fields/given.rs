//! Fields of changes that may be left out, but not be `null`: what they tell of is always there. Taken for nothing, a `null`
//! would be answered as if it had taken something away. Where it does take something away: [`super::Change`].

use garde::{Path, Report, rules::length::simple::Simple};
use serde::{Deserialize, Deserializer};

use super::Checked;

/// A field that is given or not.
#[derive(Debug, Default)]
pub enum Given<T> {
    /// Not given.
    #[default]
    Absent,
    /// `null`, which is refused together with all else that is wrong with a body.
    Null,
    /// A value.
    Value(T),
}

impl<T> Given<T> {
    /// The value, where there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// A look at it.
    pub const fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

impl<T> Given<Checked<T>> {
    /// The value, where there is one.
    ///
    /// # Panics
    /// As [`Checked::take`].
    pub fn take(self) -> Option<T> {
        self.value().map(Checked::take)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

impl<T: garde::Validate<Context = ()>> garde::Validate for Given<T> {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        match self {
            Self::Absent => {}
            Self::Null => report.append(
                parent(),
                garde::Error::new("must not be null: what is to stay is left out"),
            ),
            Self::Value(value) => value.validate_into(context, parent, report),
        }
    }
}

/// So that a list has its bounds where it is given.
impl<T: Simple> Simple for Given<T> {
    fn validate_length(&self, min: usize, max: usize) -> Result<(), garde::Error> {
        self.as_ref()
            .map_or(Ok(()), |value| value.validate_length(min, max))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use garde::Validate;
    use serde_json::{Value, json};

    use super::*;
    use crate::fields::input;

    #[derive(Debug, Default, Deserialize, Validate)]
    #[serde(default)]
    struct Patch {
        #[garde(dive)]
        title: Given<input::Title>,
        #[garde(length(min = 1, max = 2), dive)]
        ids: Given<Vec<input::ProductId>>,
    }

    /// Where it is wrong, by name.
    fn wrong(body: Value) -> Vec<String> {
        let patch: Patch = serde_json::from_value(body).unwrap();
        let report = patch.validate().err();
        let report = report.iter().flat_map(Report::iter);
        let mut wrong: Vec<String> = report.map(|(path, _)| path.to_string()).collect();
        wrong.sort_unstable();
        wrong
    }

    #[test]
    fn what_is_left_out_stays_and_null_is_refused() {
        assert!(wrong(json!({})).is_empty());
        assert_eq!(wrong(json!({"title": null, "ids": null})), ["ids", "title"]);
        let patch: Patch = serde_json::from_value(json!({"title": "A hat"})).unwrap();
        assert!(patch.ids.value().is_none());
        assert_eq!(patch.title.take().unwrap().as_str(), "A hat");
    }

    #[test]
    fn what_is_given_keeps_the_rules_of_its_field() {
        let id = "00000000-0000-0000-0000-000000000001";
        assert!(wrong(json!({"title": "A hat", "ids": [id, id]})).is_empty());
        assert_eq!(wrong(json!({"title": 7, "ids": []})), ["ids", "title"]);
        assert_eq!(wrong(json!({"ids": [id, id, id]})), ["ids"]);
        assert_eq!(wrong(json!({"ids": [id, "x"]})), ["ids[1]"]);
    }
}
