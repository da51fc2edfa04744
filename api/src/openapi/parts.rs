//! Parameters and refusals that many operations share, named in `#[utoipa::path]` by these types.

use std::collections::BTreeMap;

use utoipa::{
    IntoParams, IntoResponses,
    openapi::{
        KnownFormat, ObjectBuilder, RefOr, Required, Response, SchemaFormat, Type,
        path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
        schema::{AdditionalProperties, Schema},
    },
};

use super::problem_response;
use crate::problem::Kind;

macro_rules! headers {
    ($($(#[$doc:meta])* $name:ident = $header:literal, $description:literal;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![
                    ParameterBuilder::new()
                        .name($header)
                        .parameter_in(ParameterIn::Header)
                        .required(Required::False)
                        .description(Some($description))
                        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                        .build(),
                ]
            }
        }
    )+};
}

headers! {
    /// `Idempotency-Key`.
    Repeatable = "Idempotency-Key",
        "1 to 255 printable ASCII characters that name this request: repeated with them, it is done once.";
    /// `Souk-Min-Position`.
    NotBefore = "Souk-Min-Position",
        "A `Souk-Position` that a command was answered with: the answer includes what that command did.";
    /// `If-Match`.
    OnlyIf = "If-Match",
        "The `ETag` of what the change was decided on; 412 when it has changed since.";
    /// `Last-Event-ID`.
    FollowOn = "Last-Event-ID",
        "The `id` of the event that was received last: what has happened behind it comes first.";
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $parameter:literal;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                let uuid = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
                vec![
                    ParameterBuilder::new()
                        .name($parameter)
                        .parameter_in(ParameterIn::Path)
                        .required(Required::True)
                        .schema(Some(uuid))
                        .build(),
                ]
            }
        }
    )+};
}

ids! {
    /// The id in the path.
    ById = "id";
    /// The id of an order in a path that names something else first.
    OrderById = "order_id";
    /// The id of a product in a path that names something else first.
    ProductById = "product_id";
}

/// `attributes[name]=value` in a query.
pub struct ByAttributes;

impl IntoParams for ByAttributes {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let value: Schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .build()
            .into();
        let values = ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(value))));
        vec![
            ParameterBuilder::new()
                .name("attributes")
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .style(Some(ParameterStyle::DeepObject))
                .explode(Some(true))
                .description(Some(
                    "With these attributes of their `kind`, which must be given: `attributes[size]=M`.",
                ))
                .schema(Some(values))
                .build(),
        ]
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = [$first:ident $(, $other:ident)*];)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let titles = [Kind::$first.title() $(, Kind::$other.title())*].join("; ");
                let status = Kind::$first.status().as_str().to_owned();
                BTreeMap::from([(status, problem_response(&titles).into())])
            }
        }
    )+};
}

refusals! {
    /// 404.
    Missing = [NotFound];
    /// 401 of a log-in.
    NotLoggedIn = [WrongCredentials];
    /// 401 of a refresh token.
    NotRefreshed = [SessionOver];
    /// 422 of a one-time code.
    CodeNotTaken = [CodeRefused, Validation];
    /// 403 of an order.
    MayNotOrder = [Forbidden, EmailNotVerified];
    /// 429.
    TriedTooOften = [TooManyTries];
    /// 409 of a query.
    Unplaced = [PositionUnknown];
    /// 410 of a feed.
    TooOld = [PositionTooOld];
    /// 503 of a feed.
    NotFollowed = [Overloaded, Unavailable];
    /// 503 of a query.
    Behind = [ReadModelBehind, ReadModelDegraded, Unavailable];
    /// 409 of a command that may carry a key.
    InUse = [IdempotencyKeyInUse];
    /// 401 of a token that is not valid, where none is needed.
    BadToken = [Unauthenticated];
    /// 403 of a list that shows more to some.
    NotShown = [Forbidden];
    /// 409 of what belongs to a shop.
    ShopNotOpen = [ShopNotOpen];
    /// 409 of what belongs to a shop, by a command that may carry a key.
    NotForSale = [ShopNotOpen, IdempotencyKeyInUse];
    /// 409 of something that must be unique.
    Taken = [Taken, IdempotencyKeyInUse, RegionDisabled];
    /// 409 of a category.
    TitleTaken = [Taken, IdempotencyKeyInUse];
    /// 409 of a new product.
    NotOffered = [Taken, IdempotencyKeyInUse, RegionDisabled, ShopNotOpen];
    /// 409 of a new discount.
    NotGiven = [Taken, Conflict, IdempotencyKeyInUse, RegionDisabled, ShopNotOpen];
    /// 409 of a change of a discount.
    NotGivenAnew = [ShopNotOpen, Conflict];
    /// 409 of an API key.
    TooManyKeys = [Conflict];
    /// 409 of a registration.
    AddressTaken = [EmailTaken];
    /// 409 of a change of users.
    AdminStays = [LastAdmin];
    /// 409 of a change of many users.
    NotChanged = [Conflict, LastAdmin];
    /// 503 of new users.
    NotHashed = [DeadlinePassed, Unavailable];
    /// 409 of an order.
    NotOrdered = [
        InsufficientStock, NotOnSale, ShopNotOpen, RegionDisabled, CountryOutsideRegion, DiscountNotDue, PriceChanged, CartEmpty,
        IdempotencyKeyInUse,
        Conflict
    ];
    /// 409 of a move of an order.
    NotMoved = [IllegalMove];
    /// 409 of a change of an order.
    NotChangedOrder = [IllegalMove, InsufficientStock, NotOnSale, ShopNotOpen, RegionDisabled, PriceChanged, Conflict];
    /// 409 of a change of many orders.
    NotChangedOrders = [IllegalMove, InsufficientStock, NotOnSale, ShopNotOpen, RegionDisabled, PriceChanged, Conflict];
    /// 409 of a shipment.
    NotShipped = [IllegalMove, Conflict, IdempotencyKeyInUse];
    /// 412.
    Stale = [PreconditionFailed];
    /// 428.
    Unconditional = [PreconditionRequired];
    /// 503 of a command.
    NotDone = [Overloaded, Unavailable, DeadlinePassed, OutcomeUnknown, NewerVersion];
}
