//! Fields of request bodies: values that parse by the rules of the domain, and say in OpenAPI what those rules are.
//!
//! A [`Checked`] field takes whatever JSON is there and remembers what is wrong with it, so that one answer lists all
//! that is wrong with a body and not only the first. [`crate::extract::Body`] refuses bodies with any wrong field;
//! behind it, [`Checked::take`] gives the value.

use std::{borrow::Cow, fmt, marker::PhantomData};

use garde::{Path, Report};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

pub use self::{
    cancelling::CancelReason,
    discounts::DiscountKind,
    exact::ExactNumber,
    given::Given,
    keys::Lifetime,
    kinds::{FirstStock, LineNumber, Pieces, Threshold},
    specification::{
        Attributes, KindField, Specified, Specifies, attributes_schema, schema_by_kind,
    },
};

mod cancelling;
mod discounts;
mod exact;
mod given;
mod keys;
mod kinds;
mod specification;

/// A value that can stand in a body.
pub trait Field: Sized {
    /// What is read first: any JSON, or its text.
    type Wire: DeserializeOwned;

    /// Name of its schema in the OpenAPI document.
    const NAME: &'static str;

    /// The value, or what is wrong with it.
    fn read(wire: Self::Wire) -> Result<Self, Cow<'static, str>>;

    /// What it looks like, for the OpenAPI document.
    fn schema() -> Schema;
}

/// A field that was read, rightly or not.
pub struct Checked<T>(Result<T, Cow<'static, str>>);

impl<T> Checked<T> {
    /// The value, where the field is right: for what is held against other fields before the body is taken.
    pub fn ok(&self) -> Option<&T> {
        self.0.as_ref().ok()
    }

    /// The value.
    ///
    /// # Panics
    /// Where the field is wrong. Only for bodies that came through [`crate::extract::Body`], which refuses those.
    pub fn take(self) -> T {
        match self.0 {
            Ok(value) => value,
            Err(_) => unreachable!("`extract::Body` refuses bodies in which any field is wrong"),
        }
    }
}

/// Whether it could be read; never the value, which may be a password.
impl<T> fmt::Debug for Checked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_ok() {
            "Checked(ok)"
        } else {
            "Checked(wrong)"
        })
    }
}

impl<'de, T: Field> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::Wire::deserialize(deserializer).map(|wire| Self(T::read(wire)))
    }
}

impl<T> garde::Validate for Checked<T> {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        if let Err(reason) = &self.0 {
            report.append(parent(), garde::Error::new(reason));
        }
    }
}

impl<T: Field> PartialSchema for Checked<T> {
    fn schema() -> RefOr<Schema> {
        T::schema().into()
    }
}

impl<T: Field> ToSchema for Checked<T> {
    fn name() -> Cow<'static, str> {
        T::NAME.into()
    }
}

/// A JSON object. Serde on its own also takes a list for a struct, member by member, which is nothing that a client means.
#[derive(Debug, Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

impl<T: garde::Validate<Context = ()>> garde::Validate for Object<T> {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        self.0.validate_into(context, parent, report);
    }
}

/// The fields of bodies by name: what a body is declared with, and its OpenAPI schema made from.
pub mod input {
    use domain::{ids, money, text};

    use super::Checked;

    macro_rules! inputs {
        ($($name:ident = $value:ty;)+) => {$(
            #[doc = concat!("A field that is a [`", stringify!($value), "`].")]
            pub type $name = Checked<$value>;
        )+};
    }

    inputs! {
        Attributes = super::Attributes;
        Boolean = bool;
        CancelReason = super::CancelReason;
        CategoryId = ids::CategoryId;
        CountryCode = text::CountryCode;
        Currency = money::Currency;
        Description = text::Description;
        DiscountCode = text::DiscountCode;
        DiscountKind = super::DiscountKind;
        Email = identity::Email;
        ExactNumber = super::ExactNumber;
        FirstStock = super::FirstStock;
        ImageUrl = text::ImageUrl;
        Integer = i64;
        Kind = super::KindField;
        Lifetime = super::Lifetime;
        LineNumber = super::LineNumber;
        OrderId = ids::OrderId;
        Password = identity::Password;
        PaymentMethod = text::PaymentMethod;
        Percentage = domain::discount::Percentage;
        Permission = identity::Permission;
        PersonName = identity::PersonName;
        PhoneNumber = identity::PhoneNumber;
        Pieces = super::Pieces;
        PostalAddress = identity::PostalAddress;
        ProductId = ids::ProductId;
        Quantity = text::Quantity;
        Reason = text::Reason;
        RegionId = ids::RegionId;
        Roles = identity::Roles;
        ShopId = ids::ShopId;
        Sku = text::Sku;
        TaxRate = money::TaxRate;
        Text = String;
        Threshold = super::Threshold;
        Timestamp = chrono::DateTime<chrono::Utc>;
        Title = text::Title;
        UseLimit = std::num::NonZeroU32;
        UserId = ids::UserId;
    }
}

/// A field in which `null` is not the same as nothing: it takes away what is there.
#[derive(Debug, Default)]
pub enum Change<T> {
    /// Not given.
    #[default]
    Keep,
    /// `null`.
    Clear,
    /// A value.
    Set(T),
}

impl<T> Change<Checked<T>> {
    /// The change with its value.
    ///
    /// # Panics
    /// As [`Checked::take`].
    pub fn take(self) -> domain::product::Change<T> {
        match self {
            Self::Keep => domain::product::Change::Keep,
            Self::Clear => domain::product::Change::Clear,
            Self::Set(value) => domain::product::Change::Set(value.take()),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: garde::Validate<Context = ()>> garde::Validate for Change<T> {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        if let Self::Set(value) = self {
            value.validate_into(context, parent, report);
        }
    }
}

#[cfg(test)]
mod tests;
