//! The kinds of products, with what is told of each: read by everybody, and changed by nobody but a new version of the
//! program.

use domain::kinds::{self, Attribute, Kind, Rule};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{answer::Answer, error::ApiError, fields, problem, state::App};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list_kinds))
}

/// All kinds of products.
#[derive(Serialize, ToSchema)]
pub struct KindList {
    /// The kinds.
    items: Vec<KindBody>,
}

/// A kind of products.
#[derive(Serialize, ToSchema)]
pub struct KindBody {
    /// Its name, for `kind` of a product.
    kind: &'static str,
    /// What is of this kind.
    summary: &'static str,
    /// What is told of its products.
    attributes: Vec<AttributeBody>,
    /// JSON Schema of `attributes` of such a product.
    #[schema(value_type = Object)]
    schema: Value,
}

/// Something that is told of the products of a kind.
#[derive(Serialize, ToSchema)]
pub struct AttributeBody {
    /// Its name in `attributes`.
    #[schema(example = "size")]
    name: &'static str,
    /// What it tells, with its unit.
    summary: &'static str,
    /// Whether every product of the kind must have it.
    required: bool,
    /// `string`, `integer` or `boolean`.
    #[serde(rename = "type")]
    #[schema(example = "string")]
    value_type: &'static str,
    /// The values that it may have, where they are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<&'static [&'static str]>,
    /// The smallest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<i64>,
    /// The largest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<i64>,
}

impl From<&Attribute> for AttributeBody {
    fn from(attribute: &Attribute) -> Self {
        let (value_type, choices, minimum, maximum) = match attribute.rule {
            Rule::Line => ("string", None, None, None),
            Rule::OneOf(choices) => ("string", Some(choices), None, None),
            Rule::Whole { least, most } => ("integer", None, Some(least), Some(most)),
            Rule::YesOrNo => ("boolean", None, None, None),
        };
        Self {
            name: attribute.name,
            summary: attribute.summary,
            required: attribute.required,
            value_type,
            choices,
            minimum,
            maximum,
        }
    }
}

fn body(kind: &Kind) -> Result<KindBody, ApiError> {
    let schema = serde_json::to_value(fields::attributes_schema(kind)).map_err(|error| {
        tracing::error!(%error, "a schema is no JSON");
        problem::Kind::Internal
    })?;
    Ok(KindBody {
        kind: kind.name,
        summary: kind.summary,
        attributes: kind.attributes.iter().map(Into::into).collect(),
        schema,
    })
}

/// List kinds
///
/// Each with its attributes, their rules and a JSON Schema.
#[utoipa::path(get, path = "/api/v1/kinds", operation_id = "listKinds", tag = "products",
    responses((status = 200, body = KindList)))]
async fn list_kinds() -> Result<Answer<KindList>, ApiError> {
    let kinds = kinds::ALL.iter().copied();
    let items = kinds.map(body).collect::<Result<_, _>>()?;
    Ok(Answer::ok(KindList { items }))
}
