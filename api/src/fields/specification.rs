//! Kind and attributes of a product in a body. The two are checked together, against the list of kinds in the domain:
//! whatever is wrong is told with a pointer of its own, beside what else is wrong with the body.

use std::borrow::Cow;

use domain::{
    kinds::{self, Attribute, AttributeValue, Kind, Rule, Specification},
    product,
};
use garde::{Path, Report};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::openapi::{
    ObjectBuilder, OneOfBuilder, RefOr, Type,
    schema::{AdditionalProperties, Object, Schema},
};

use super::{Change, Checked, Field};

/// The kind of a product, by its name.
pub type KindField = &'static Kind;

impl Field for KindField {
    type Wire = Value;

    const NAME: &'static str = "KindName";

    fn read(wire: Value) -> Result<Self, Cow<'static, str>> {
        let name = wire.as_str().ok_or("must be a string")?;
        Kind::find(name).ok_or_else(|| {
            let names: Vec<&str> = kinds::ALL.iter().map(|kind| kind.name).collect();
            format!("must be one of {}", names.join(", ")).into()
        })
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(kinds::ALL.iter().map(|kind| kind.name)))
            .build()
            .into()
    }
}

/// Attributes by name, not yet held against a kind. A value that is neither text, whole number nor truth value is none.
#[derive(Clone, Debug)]
pub struct Attributes(Vec<(String, Option<AttributeValue>)>);

impl Field for Attributes {
    type Wire = Value;

    const NAME: &'static str = "Attributes";

    fn read(wire: Value) -> Result<Self, Cow<'static, str>> {
        let Value::Object(members) = wire else {
            return Err("must be an object".into());
        };
        let members = members.into_iter();
        Ok(Self(
            members
                .map(|(name, value)| (name, serde_json::from_value(value).ok()))
                .collect(),
        ))
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "What is told of a product of its kind: see `GET /api/v1/kinds`.",
            ))
            .build()
            .into()
    }
}

/// A body that tells kind and attributes of a product.
pub trait Specifies {
    /// Its kind.
    fn kind(&self) -> &Change<Checked<KindField>>;

    /// Its attributes.
    fn attributes(&self) -> &Change<Checked<Attributes>>;

    /// What is to become of kind and attributes.
    ///
    /// # Panics
    /// As [`Checked::take`], where the body did not come as a [`Specified`] one.
    fn specification(&self) -> product::Change<Specification> {
        match specification(self.kind(), self.attributes()) {
            Ok(change) => change,
            Err(_) => unreachable!("`Specified` refuses bodies whose attributes do not fit"),
        }
    }
}

/// A body whose kind and attributes fit each other.
#[derive(Debug)]
pub struct Specified<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Specified<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T: garde::Validate<Context = ()> + Specifies> garde::Validate for Specified<T> {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        self.0.validate_into(context, parent, report);
        if let Err(unfit) = specification(self.0.kind(), self.0.attributes()) {
            for (path, problem) in unfit {
                let path = path.iter().fold(parent(), |path, part| path.join(&**part));
                report.append(path, garde::Error::new(problem));
            }
        }
    }
}

/// Where in the body, and what is wrong there.
type Unfit = (Vec<String>, String);

/// Both are set together, or taken away together. What is wrong with one of them alone is told by its field.
fn specification(
    kind: &Change<Checked<KindField>>,
    attributes: &Change<Checked<Attributes>>,
) -> Result<product::Change<Specification>, Vec<Unfit>> {
    let given = match attributes {
        Change::Keep | Change::Clear => None,
        Change::Set(Checked(Ok(given))) => Some(given.0.clone()),
        Change::Set(Checked(Err(_))) => return Ok(product::Change::Keep),
    };
    match (kind, given) {
        (Change::Set(Checked(Ok(kind))), given) => kind
            .specify(given.unwrap_or_default())
            .map(product::Change::Set)
            .map_err(|unfit| unfit.into_iter().map(placed).collect()),
        (Change::Set(Checked(Err(_))), _) | (Change::Keep, None) => Ok(product::Change::Keep),
        (Change::Clear, None) => Ok(product::Change::Clear),
        (Change::Keep | Change::Clear, Some(given)) if given.is_empty() => Ok(match kind {
            Change::Clear => product::Change::Clear,
            Change::Keep | Change::Set(_) => product::Change::Keep,
        }),
        (Change::Keep | Change::Clear, Some(_)) => Err(vec![(
            vec!["kind".to_owned()],
            "must be given together with attributes".to_owned(),
        )]),
    }
}

/// At the attribute; a name that the paths of garde cannot hold is told in words.
fn placed(unfit: kinds::UnfitAttribute) -> Unfit {
    let attributes = "attributes".to_owned();
    if unfit.attribute.is_empty() || unfit.attribute.contains(['.', '[', ']']) {
        return (vec![attributes], unfit.to_string());
    }
    (vec![attributes, unfit.attribute], unfit.problem)
}

/// The JSON Schema of the attributes of a kind.
pub fn attributes_schema(kind: &Kind) -> Object {
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    for attribute in kind.attributes {
        object = object.property(attribute.name, value_schema(attribute));
        if attribute.required {
            object = object.required(attribute.name);
        }
    }
    object.build()
}

fn value_schema(attribute: &Attribute) -> Object {
    let schema = ObjectBuilder::new().description(Some(attribute.summary));
    match attribute.rule {
        Rule::Line => schema
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(200)),
        Rule::OneOf(choices) => schema
            .schema_type(Type::String)
            .enum_values(Some(choices.iter().copied())),
        #[expect(clippy::cast_precision_loss, reason = "a schema's bounds are small")]
        Rule::Whole { least, most } => schema
            .schema_type(Type::Integer)
            .minimum(Some(least as f64))
            .maximum(Some(most as f64)),
        Rule::YesOrNo => schema.schema_type(Type::Boolean),
    }
    .build()
}

/// What a product's kind and attributes may be together: one schema for each kind, and one for a product of none.
pub fn schema_by_kind() -> Schema {
    let named = |name: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some([name.to_owned()]))
    };
    let none = ObjectBuilder::new()
        .schema_type(Type::Object)
        .title(Some("no kind"))
        .property("kind", ObjectBuilder::new().schema_type(Type::Null))
        .property(
            "attributes",
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .max_properties(Some(0)),
        );
    kinds::ALL
        .iter()
        .fold(OneOfBuilder::new(), |schemas, kind| {
            schemas.item(
                ObjectBuilder::new()
                    .schema_type(Type::Object)
                    .title(Some(kind.name))
                    .description(Some(kind.summary))
                    .property("kind", named(kind.name))
                    .property("attributes", attributes_schema(kind))
                    .required("kind")
                    .required("attributes"),
            )
        })
        .item(RefOr::T(Schema::Object(none.build())))
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use garde::Validate;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, Validate)]
    struct Told {
        #[garde(dive)]
        #[serde(default)]
        kind: Change<Checked<KindField>>,
        #[garde(dive)]
        #[serde(default)]
        attributes: Change<Checked<Attributes>>,
    }

    impl Specifies for Told {
        fn kind(&self) -> &Change<Checked<KindField>> {
            &self.kind
        }

        fn attributes(&self) -> &Change<Checked<Attributes>> {
            &self.attributes
        }
    }

    /// What is wrong with the body: path and words.
    fn wrong(body: &Value) -> Vec<String> {
        let told: Specified<Told> = serde_json::from_value(body.clone()).unwrap();
        let report = told.validate().err();
        let report = report.iter().flat_map(Report::iter);
        report
            .map(|(path, error)| format!("{path}: {error}"))
            .collect()
    }

    fn taken(body: &Value) -> product::Change<Specification> {
        assert_eq!(wrong(body), Vec::<String>::new(), "{body}");
        let told: Specified<Told> = serde_json::from_value(body.clone()).unwrap();
        told.0.specification()
    }

    #[test]
    fn kind_and_attributes_are_set_and_taken_away_together() {
        let shirt = json!({"kind": "clothing", "attributes": {"size": "M", "colour": " red "}});
        let product::Change::Set(shirt) = taken(&shirt) else {
            panic!("a shirt is clothing");
        };
        assert_eq!(
            serde_json::to_value(shirt).unwrap(),
            json!({"kind": "clothing", "attributes": {"colour": "red", "size": "M"}})
        );
        for nothing in [
            json!({}),
            json!({"attributes": {}}),
            json!({"attributes": null}),
        ] {
            assert_eq!(taken(&nothing), product::Change::Keep, "{nothing}");
        }
        for cleared in [
            json!({"kind": null}),
            json!({"kind": null, "attributes": {}}),
        ] {
            assert_eq!(taken(&cleared), product::Change::Clear, "{cleared}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        for (body, expected) in [
            (
                json!({"kind": "food"}),
                vec!["kind: must be one of clothing, electronics, furniture"],
            ),
            (json!({"kind": 7}), vec!["kind: must be a string"]),
            (
                json!({"attributes": {"size": "M"}}),
                vec!["kind: must be given together with attributes"],
            ),
            (
                json!({"kind": null, "attributes": {"size": "M"}}),
                vec!["kind: must be given together with attributes"],
            ),
            (
                json!({"kind": "clothing", "attributes": ["M"]}),
                vec!["attributes: must be an object"],
            ),
            (
                json!({"kind": "clothing"}),
                vec![
                    "attributes.size: is missing",
                    "attributes.colour: is missing",
                ],
            ),
            (
                json!({"kind": "clothing", "attributes": {"size": 7, "colour": {}, "a.b": 1, "watts": 5}}),
                vec![
                    "attributes: a.b is not an attribute of clothing",
                    "attributes.colour: must be a text of 1 to 200 characters on one line",
                    "attributes.size: must be one of XXS, XS, S, M, L, XL, XXL, one size",
                    "attributes.watts: is not an attribute of clothing",
                ],
            ),
        ] {
            let (mut told, mut expected) = (wrong(&body), expected);
            told.sort_unstable();
            expected.sort_unstable();
            assert_eq!(told, expected, "{body}");
        }
    }

    #[test]
    fn every_kind_has_a_schema_that_names_its_attributes() {
        let schema = serde_json::to_value(schema_by_kind()).unwrap();
        let choices = schema["oneOf"].as_array().unwrap();
        assert_eq!(choices.len(), kinds::ALL.len() + 1);
        for (kind, choice) in kinds::ALL.iter().zip(choices) {
            assert_eq!(choice["properties"]["kind"]["enum"], json!([kind.name]));
            let attributes = &choice["properties"]["attributes"];
            assert_eq!(attributes["additionalProperties"], json!(false));
            for attribute in kind.attributes {
                assert_eq!(
                    attributes["properties"][attribute.name]["description"],
                    attribute.summary
                );
                let required = attributes["required"].as_array();
                let required = required.is_some_and(|names| names.contains(&json!(attribute.name)));
                assert_eq!(required, attribute.required, "{}", attribute.name);
            }
        }
    }
}
