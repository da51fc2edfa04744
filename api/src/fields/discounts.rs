//! What a discount is asked for with: how it takes something off, how much, how often and when.

use std::{borrow::Cow, num::NonZeroU32};

use chrono::{DateTime, Utc};
use domain::discount::Percentage;
use serde_json::Value;
use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type, schema::Schema};

use super::Field;

type Read<T> = Result<T, Cow<'static, str>>;

/// How a discount takes something off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscountKind {
    /// A share.
    Percentage,
    /// So much.
    Amount,
}

impl DiscountKind {
    const ALL: [Self; 2] = [Self::Percentage, Self::Amount];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Percentage => "percentage",
            Self::Amount => "amount",
        }
    }
}

impl Field for DiscountKind {
    type Wire = Value;

    const NAME: &'static str = "DiscountKind";

    fn read(wire: Value) -> Read<Self> {
        let mut known = Self::ALL.into_iter();
        known
            .find(|kind| wire.as_str() == Some(kind.as_str()))
            .ok_or_else(|| "must be percentage or amount".into())
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.map(Self::as_str)))
            .examples(["percentage"])
            .build()
            .into()
    }
}

impl Field for Percentage {
    type Wire = Value;

    const NAME: &'static str = "Percentage";

    fn read(wire: Value) -> Read<Self> {
        let basis_points = wire.as_u64().and_then(|points| u32::try_from(points).ok());
        Self::from_basis_points(basis_points.unwrap_or(0))
            .map_err(|_| "must be a whole number from 1 to 10000".into())
    }

    fn schema() -> Schema {
        whole_number(1.0, 10_000.0)
            .description(Some("In basis points: 1250 is 12.5 %."))
            .examples([1_250])
            .build()
            .into()
    }
}

/// How often something may be used.
impl Field for NonZeroU32 {
    type Wire = Value;

    const NAME: &'static str = "UseLimit";

    fn read(wire: Value) -> Read<Self> {
        wire.as_u64()
            .and_then(|uses| u32::try_from(uses).ok())
            .and_then(Self::new)
            .ok_or_else(|| format!("must be a whole number from 1 to {}", u32::MAX).into())
    }

    fn schema() -> Schema {
        whole_number(1.0, f64::from(u32::MAX))
            .examples([100])
            .build()
            .into()
    }
}

/// The end of the year 9999, in seconds since 1970: what is later is no time that every program reads.
const LAST_SECOND: i64 = 253_402_300_799;

/// A moment, to the microsecond: what the database keeps of it.
impl Field for DateTime<Utc> {
    type Wire = Value;

    const NAME: &'static str = "Timestamp";

    fn read(wire: Value) -> Read<Self> {
        let time = wire
            .as_str()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        time.filter(|time| (0..=LAST_SECOND).contains(&time.timestamp()))
            .and_then(|time| Self::from_timestamp_micros(time.timestamp_micros()))
            .ok_or_else(|| {
                "must be a time of RFC 3339 from 1970 to 9999, such as 2026-11-27T00:00:00Z".into()
            })
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A time of RFC 3339, kept to the microsecond."))
            .examples(["2026-11-27T00:00:00Z"])
            .build()
            .into()
    }
}

fn whole_number(least: f64, most: f64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(least))
        .maximum(Some(most))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_above_nothing_and_at_most_all() {
        for good in [1, 1_250, 10_000] {
            let share = Percentage::read(json!(good)).unwrap();
            assert_eq!(share.basis_points(), good);
        }
        for bad in [json!(0), json!(10_001), json!(-1), json!(12.5), json!("10")] {
            assert!(Percentage::read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_is_at_least_one() {
        assert_eq!(NonZeroU32::read(json!(1)), Ok(NonZeroU32::MIN));
        assert_eq!(NonZeroU32::read(json!(u32::MAX)), Ok(NonZeroU32::MAX));
        for bad in [
            json!(0),
            json!(-1),
            json!(1.5),
            json!(4_294_967_296_u64),
            json!("1"),
        ] {
            assert!(NonZeroU32::read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_kept_as_the_database_keeps_it() {
        let time = DateTime::<Utc>::read(json!("2026-11-27T07:00:00.1234567+07:00")).unwrap();
        assert_eq!(time.to_rfc3339(), "2026-11-27T00:00:00.123456+00:00");
        for bad in [
            json!("2026-11-27"),
            json!("2026-11-27T00:00:00"),
            json!("2026-13-27T00:00:00Z"),
            json!("1969-12-31T23:59:59Z"),
            json!("9999-12-31T23:59:59-00:01"),
            json!("now"),
            json!(""),
            json!(1_700_000_000),
            json!(null),
        ] {
            assert!(DateTime::<Utc>::read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_discount_is_of_a_known_kind() {
        for kind in DiscountKind::ALL {
            assert_eq!(DiscountKind::read(json!(kind.as_str())), Ok(kind));
        }
        for bad in [json!("Percentage"), json!(""), json!(1), json!(null)] {
            assert!(DiscountKind::read(bad.clone()).is_err(), "{bad}");
        }
    }
}
