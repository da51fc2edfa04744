//! The types of the domain and of identity as fields: how each is read, and its schema.

use std::borrow::Cow;

use domain::{
    ids::{CategoryId, OrderId, ProductId, RegionId, ShopId, UserId},
    money::{Currency, TaxRate},
    pricing::MAX_LINES,
    text::{
        CountryCode, Description, DiscountCode, ImageUrl, PaymentMethod, Quantity, Reason, Sku,
        Title,
    },
};
use identity::{
    Email, Password, PersonName, PhoneNumber, PostalAddress, Role, Roles, phone::MAX_PHONE_CHARS,
    postal_address::MAX_ADDRESS_CHARS,
};
use serde_json::Value;
use utoipa::openapi::{
    KnownFormat, ObjectBuilder, SchemaFormat, Type,
    schema::{ArrayBuilder, Schema},
};

use super::Field;

type Read<T> = Result<T, Cow<'static, str>>;

/// What is said where a text is needed and something else came.
const NOT_A_STRING: &str = "must be a string";

fn string(kind: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(kind))
}

/// Fields that are texts: name, parser of a `&str`, schema.
macro_rules! texts {
    ($($name:ident: $parse:expr, $schema:expr;)+) => {$(
        impl Field for $name {
            type Wire = Value;

            const NAME: &'static str = stringify!($name);

            fn read(wire: Value) -> Read<Self> {
                let text = wire.as_str().ok_or(NOT_A_STRING)?;
                let parse: fn(&str) -> Read<Self> = $parse;
                parse(text)
            }

            fn schema() -> Schema {
                $schema.build().into()
            }
        }
    )+};
}

/// What the parser said, as a text.
fn said<T>(parsed: Result<T, impl ToString>) -> Read<T> {
    parsed.map_err(|error| error.to_string().into())
}

texts! {
    Sku: |text| said(Self::parse(text)),
        string("A seller's own number of a product, unique in its region.")
            .pattern(Some("^[A-Za-z0-9._-]{1,64}$")).examples(["TEE-01"]);
    Title: |text| said(Self::parse(text)),
        string("One line without control characters.").min_length(Some(1)).max_length(Some(200)).examples(["Áo dài"]);
    Description: |text| said(Self::parse(text)),
        string("May have line breaks.").max_length(Some(10_000));
    Reason: |text| said(Self::parse(text)),
        string("Why, in one line.").min_length(Some(1)).max_length(Some(500));
    DiscountCode: |text| said(Self::parse(text)),
        string("What is typed in to get a discount, in upper or lower case.")
            .pattern(Some("^[A-Za-z0-9_-]{3,32}$")).examples(["WELCOME10"]);
    CountryCode: |text| said(Self::parse(text)),
        string("Two letters of ISO 3166-1.").pattern(Some("^[A-Za-z]{2}$")).examples(["VN"]);
    PaymentMethod: |text| said(Self::parse(text)),
        string("How it is to be paid, by the gateway's name for it. `default` when absent.")
            .pattern(Some("^[A-Za-z0-9._-]{1,64}$")).examples(["default"]);
    ImageUrl: |text| said(Self::parse(text)),
        string("An http or https address.").max_length(Some(2048)).format(Some(SchemaFormat::Custom("uri".into())));
    Currency: |text| said(Self::parse(text)),
        string("A code of ISO 4217.").pattern(Some("^[A-Za-z]{3}$")).examples(["USD"]);
    Email: |text| said(text.parse()),
        string("An e-mail address.").max_length(Some(254)).format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)));
    Password: |text| said(text.parse()),
        string("At least 8 characters and at most 72 bytes of UTF-8, in Unicode's form NFC; longer ones are refused, never cut off.").min_length(Some(8)).max_length(Some(72))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)));
    PersonName: |text| said(text.parse()),
        string("A name, in any script.").min_length(Some(1)).max_length(Some(200)).examples(["Nguyễn Văn A"]);
    PhoneNumber: |text| said(text.parse()),
        string("Digits, blanks and -(). with a + in front or not.").min_length(Some(3)).max_length(Some(MAX_PHONE_CHARS))
            .examples(["+84 28 3822 1234"]);
    PostalAddress: |text| said(text.parse()),
        string("As one writes it on a parcel; may have line breaks.").min_length(Some(1)).max_length(Some(MAX_ADDRESS_CHARS));
    String: |text| Ok(text.to_owned()), ObjectBuilder::new().schema_type(Type::String);
    RegionId: |text| text.parse().map_err(|_| NOT_A_UUID.into()), uuid();
    CategoryId: |text| text.parse().map_err(|_| NOT_A_UUID.into()), uuid();
    ShopId: |text| text.parse().map_err(|_| NOT_A_UUID.into()), uuid();
    ProductId: |text| text.parse().map_err(|_| NOT_A_UUID.into()), uuid();
    UserId: |text| text.parse().map_err(|_| NOT_A_UUID.into()), uuid();
    OrderId: |text| text.parse().map_err(|_| NOT_A_UUID.into()), uuid();
}

/// What is said where an id is not one.
const NOT_A_UUID: &str = "must be a UUID";

fn uuid() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}

fn integer(least: Option<f64>, most: Option<f64>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(least)
        .maximum(most)
}

impl Field for Quantity {
    type Wire = Value;

    const NAME: &'static str = "Quantity";

    fn read(wire: Value) -> Read<Self> {
        // what is no whole number, or too large for one, is out of range as well
        said(Self::parse(wire.as_u64().unwrap_or(0)))
    }

    fn schema() -> Schema {
        integer(Some(1.0), Some(f64::from(Self::MAX)))
            .examples([2])
            .build()
            .into()
    }
}

/// The most lines that an order has.
const MOST_LINES: u32 = MAX_LINES as u32;

/// Number of a line of an order, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineNumber(pub u32);

impl Field for LineNumber {
    type Wire = Value;

    const NAME: &'static str = "LineNumber";

    fn read(wire: Value) -> Read<Self> {
        wire.as_u64()
            .and_then(|line| u32::try_from(line).ok())
            .filter(|line| (1..=MOST_LINES).contains(line))
            .map(Self)
            .ok_or_else(|| format!("must be a whole number from 1 to {MOST_LINES}").into())
    }

    fn schema() -> Schema {
        integer(Some(1.0), Some(f64::from(MOST_LINES)))
            .examples([1])
            .build()
            .into()
    }
}

/// Pieces of a new product: none, or a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstStock(Option<Quantity>);

impl FirstStock {
    /// The pieces, where there are any.
    pub const fn pieces(self) -> Option<Quantity> {
        self.0
    }
}

impl Field for FirstStock {
    type Wire = Value;

    const NAME: &'static str = "FirstStock";

    fn read(wire: Value) -> Read<Self> {
        match wire.as_u64() {
            Some(0) => Ok(Self(None)),
            pieces => match Quantity::parse(pieces.unwrap_or(0)) {
                Ok(quantity) => Ok(Self(Some(quantity))),
                Err(_) => Err(format!("must be a whole number from 0 to {}", Quantity::MAX).into()),
            },
        }
    }

    fn schema() -> Schema {
        integer(Some(0.0), Some(f64::from(Quantity::MAX)))
            .examples([10])
            .build()
            .into()
    }
}

/// From so many pieces down the stock is low; zero: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(pub u32);

impl Field for Threshold {
    type Wire = Value;

    const NAME: &'static str = "Threshold";

    fn read(wire: Value) -> Read<Self> {
        let pieces = wire.as_u64().and_then(|pieces| u32::try_from(pieces).ok());
        match pieces {
            Some(pieces) if pieces <= Quantity::MAX => Ok(Self(pieces)),
            _ => Err(format!("must be a whole number from 0 to {}", Quantity::MAX).into()),
        }
    }

    fn schema() -> Schema {
        integer(Some(0.0), Some(f64::from(Quantity::MAX)))
            .examples([3])
            .build()
            .into()
    }
}

impl Field for TaxRate {
    type Wire = Value;

    const NAME: &'static str = "TaxRate";

    fn read(wire: Value) -> Read<Self> {
        let basis_points = wire.as_u64().and_then(|rate| u32::try_from(rate).ok());
        said(Self::from_basis_points(basis_points.unwrap_or(u32::MAX)))
    }

    fn schema() -> Schema {
        integer(Some(0.0), Some(10_000.0))
            .description(Some("In basis points: 825 is 8.25 %."))
            .examples([825])
            .build()
            .into()
    }
}

impl Field for Roles {
    type Wire = Value;

    const NAME: &'static str = "Roles";

    fn read(wire: Value) -> Read<Self> {
        let role = |name: &Value| name.as_str()?.parse::<Role>().ok();
        wire.as_array()
            .and_then(|names| names.iter().map(role).collect())
            .ok_or_else(|| "must be a list of customer, seller, admin and analyst".into())
    }

    fn schema() -> Schema {
        let names = Role::ALL.map(Role::as_str);
        let role = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names));
        ArrayBuilder::new()
            .items(role)
            .examples([["customer"]])
            .build()
            .into()
    }
}

/// A whole number of 64 bits: minor units of a currency.
impl Field for i64 {
    type Wire = Value;

    const NAME: &'static str = "Integer";

    fn read(wire: Value) -> Read<Self> {
        wire.as_i64()
            .ok_or_else(|| "must be a whole number of at most 64 bits".into())
    }

    fn schema() -> Schema {
        integer(None, None).build().into()
    }
}

/// A number of pieces that a stock is corrected by or to; it may be below zero.
#[derive(Clone, Copy, Debug)]
pub struct Pieces(pub i64);

/// The most pieces that a stock is corrected by or to.
const MOST_PIECES: i32 = 1_000_000_000;

impl Field for Pieces {
    type Wire = Value;

    const NAME: &'static str = "Pieces";

    fn read(wire: Value) -> Read<Self> {
        let most = i64::from(MOST_PIECES);
        wire.as_i64()
            .filter(|pieces| (-most..=most).contains(pieces))
            .map(Self)
            .ok_or_else(|| format!("must be a whole number from -{most} to {most}").into())
    }

    fn schema() -> Schema {
        let most = f64::from(MOST_PIECES);
        integer(Some(-most), Some(most)).build().into()
    }
}

impl Field for bool {
    type Wire = Value;

    const NAME: &'static str = "Boolean";

    fn read(wire: Value) -> Read<Self> {
        wire.as_bool().ok_or_else(|| "must be true or false".into())
    }

    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .build()
            .into()
    }
}
