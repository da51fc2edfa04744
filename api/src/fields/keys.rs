//! What an API key is asked for with: the names of permissions, and how long it is to live.

use std::{borrow::Cow, time::Duration};

use identity::Permission;
use serde_json::Value;
use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type, schema::Schema};

use super::Field;

impl Field for Permission {
    type Wire = Value;

    const NAME: &'static str = "Permission";

    fn read(wire: Value) -> Result<Self, Cow<'static, str>> {
        wire.as_str()
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|known| known.as_str()).collect();
                format!("must be one of {}", names.join(", ")).into()
            })
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Something that not everybody may do."))
            .enum_values(Some(Self::ALL.iter().map(|known| known.as_str())))
            .build()
            .into()
    }
}

/// How long something is to live, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(pub Duration);

/// The longest lifetime: ten years.
const MOST_SECONDS: u32 = 10 * 365 * 24 * 60 * 60;

impl Field for Lifetime {
    type Wire = Value;

    const NAME: &'static str = "Lifetime";

    fn read(wire: Value) -> Result<Self, Cow<'static, str>> {
        wire.as_u64()
            .filter(|seconds| (1..=u64::from(MOST_SECONDS)).contains(seconds))
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| {
                format!("must be a whole number of seconds from 1 to {MOST_SECONDS}").into()
            })
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .description(Some("Seconds."))
            .minimum(Some(1.0))
            .maximum(Some(f64::from(MOST_SECONDS)))
            .examples([7_776_000])
            .build()
            .into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scope_is_the_name_of_a_permission() {
        assert_eq!(
            Permission::read(json!("place_order")),
            Ok(Permission::PlaceOrder)
        );
        for bad in [
            json!("PlaceOrder"),
            json!(""),
            json!("*"),
            json!(1),
            json!(null),
        ] {
            let told = Permission::read(bad).unwrap_err();
            assert!(told.contains("place_order"), "{told}");
        }
    }

    #[test]
    fn a_lifetime_is_a_whole_number_of_seconds() {
        assert_eq!(
            Lifetime::read(json!(60)),
            Ok(Lifetime(Duration::from_mins(1)))
        );
        assert!(Lifetime::read(json!(MOST_SECONDS)).is_ok());
        for bad in [
            json!(0),
            json!(-1),
            json!(1.5),
            json!("60"),
            json!(MOST_SECONDS + 1),
        ] {
            assert!(Lifetime::read(bad.clone()).is_err(), "{bad}");
        }
    }
}
