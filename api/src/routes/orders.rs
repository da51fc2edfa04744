//! Orders: customers place, read, change, cancel and delete their own; admins do so with all and ship them, and sellers
//! ship what is theirs. Another's order is not found, and for its customer neither is a deleted one.
//!
//! Placing is answered from what was committed, not from a read model: the answer is the order as it is.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use commands::{
    Versioned,
    orders::{CancelOrder, NewOrder, OrderItem, Progress},
};
use domain::{
    ids::{OrderId, RegionId, UserId},
    order::{OrderNumber, OrderStatus, PaymentStatus, PlacedOrder},
};
use garde::Validate;
use identity::Permission;
use projections::{
    View,
    orders::{OrderFilter, OrderSort},
    page::{Page, Span},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub use self::body::OrderBody;
use self::body::{Snapshot, listed, opened};
use super::{
    body::{stored_id, unknown_region},
    list::{self, PageBody},
};
use crate::{
    answer::Answer,
    auth::{Allowed, CancelOrders, PlaceOrder, ReadOrders},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition, OptionalBody, Query},
    fields::{Checked, Object, input},
    openapi::parts::{
        Behind, ById, MayNotOrder, Missing, NotBefore, NotDone, NotMoved, NotOrdered, OnlyIf,
        Repeatable, Stale, Unplaced,
    },
    problem::Kind,
    state::App,
};

pub(super) mod body;
mod bulk;
mod changes;
pub(super) mod quote;
mod shipping;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_orders, place))
        .routes(routes!(read, changes::update, changes::delete))
        .routes(routes!(cancel))
        .merge(shipping::router())
        .merge(bulk::router())
        .merge(quote::router())
}

/// Most items in one request: more than the lines an order may have, since products may be named twice.
const MAX_ITEMS: usize = 1_000;
/// Most discount codes in one request.
pub(super) const MAX_CODES: usize = domain::cart::MAX_CODES;

/// An order to be placed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderInput {
    /// What is bought, of one region. A product that is named twice becomes one line.
    #[garde(length(min = 1, max = MAX_ITEMS), dive)]
    #[schema(min_items = 1, max_items = 1000)]
    #[schema(value_type = Vec<ItemInput>)]
    items: Vec<Object<ItemInput>>,
    /// Where it is bought; that of the first product when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    region_id: Option<input::RegionId>,
    /// Who it is for; the customer's own name when absent.
    #[garde(dive)]
    #[serde(default)]
    customer_name: Option<input::PersonName>,
    /// Where it goes; the customer's own address when absent, and then it may be missing until the order is shipped.
    #[garde(dive)]
    #[serde(default)]
    shipping_address: Option<input::PostalAddress>,
    /// The country that it goes to; where it is given, it must be the region's.
    #[garde(dive)]
    #[serde(default)]
    shipping_country: Option<input::CountryCode>,
    /// How it is to be paid; `default` when absent.
    #[garde(dive)]
    #[serde(default)]
    payment_method: Option<input::PaymentMethod>,
    /// Codes of discounts that are to be used; those without a code are used anyway. A code that brings nothing is refused.
    #[garde(length(max = MAX_CODES), dive)]
    #[serde(default)]
    #[schema(max_items = 10, value_type = Vec<String>)]
    discount_codes: Vec<input::DiscountCode>,
    /// The `order_total` that the customer was shown and accepts, in minor units: where the order costs anything else, nothing
    /// is ordered.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    expected_total: Option<input::Integer>,
}

/// So many pieces of a product.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemInput {
    /// Which product.
    #[garde(dive)]
    #[schema(value_type = Uuid)]
    pub(super) product_id: input::ProductId,
    /// How many pieces.
    #[garde(dive)]
    pub(super) quantity: input::Quantity,
}

/// Why an order is cancelled.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelInput {
    /// Why, as a code: it stays in the history of the order, where no name belongs.
    #[garde(dive)]
    #[serde(default)]
    reason: Option<input::CancelReason>,
}

/// Which orders, in which order. All filters must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderQuery {
    /// With this number.
    order_number: Option<i64>,
    /// Of this customer; others than oneself need the permission to read any order.
    #[param(value_type = Option<Uuid>)]
    customer_id: Option<UserId>,
    /// Of this region.
    #[param(value_type = Option<Uuid>)]
    region_id: Option<RegionId>,
    /// In this status.
    #[param(value_type = Option<String>)]
    status: Option<OrderStatus>,
    /// In this payment status.
    #[param(value_type = Option<String>)]
    payment_status: Option<PaymentStatus>,
    /// Placed then or later.
    #[serde(rename = "created_at[gte]")]
    created_at_gte: Option<DateTime<Utc>>,
    /// Placed then or earlier.
    #[serde(rename = "created_at[lte]")]
    created_at_lte: Option<DateTime<Utc>>,
    /// With at least this total, in minor units.
    #[serde(rename = "total[gte]")]
    total_gte: Option<i64>,
    /// With at most this total, in minor units.
    #[serde(rename = "total[lte]")]
    total_lte: Option<i64>,
    /// With those that were deleted; needs the permission to read any order.
    include_deleted: Option<bool>,
    /// `created_at` or `total`, with a `-` in front for the other direction; `-created_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn location(id: OrderId) -> String {
    format!("/api/v1/orders/{id}")
}

/// Place an order
///
/// Stock is reserved at once, all or nothing; the payment is asked for after the payment delay. Demands the permission
/// to place orders.
#[utoipa::path(post, path = "/api/v1/orders", operation_id = "placeOrder", tag = "orders", security(("bearer" = [])),
    request_body = OrderInput, params(Repeatable),
    responses(
        (status = 201, body = OrderBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        NotOrdered, MayNotOrder, NotDone,
    ))]
async fn place(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    call: Call,
    body: Body<OrderInput>,
) -> Result<Answer<OrderBody>, ApiError> {
    app.assure_may_order(&who)?;
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let order = new_order(&app, who.user_id, body.value).await?;
    let (order_id, name, address) = (
        order.order_id,
        order.customer_name.clone(),
        order.shipping_address.clone(),
    );
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), order_id));
    let request = call.request(&who, "PlaceOrder", key);
    let commands = app.commands.clone();
    let command = async move { commands.place_order(request, order).await };
    let placed = run_once(&app.log, attempt, command)
        .await
        .map_err(unknown_region)?;
    answered_order(&app, &who, placed, name, address).await
}

/// The order that was just placed, or that was placed before with the same key.
pub(super) async fn answered_order<P>(
    app: &App,
    who: &Allowed<P>,
    placed: Outcome<Versioned<PlacedOrder>>,
    name: String,
    address: String,
) -> Result<Answer<OrderBody>, ApiError> {
    match placed {
        Outcome::Done(done) => {
            let (order_id, sequence) = (done.output.state.order_id, done.output.sequence);
            let order = Snapshot::just_placed(done.output, done.recorded_at);
            let body = if who.may_read_order_of(who.user_id) {
                order.into_body(Some(name), Some(address))
            } else {
                order.into_body(None, None)
            };
            Ok(Answer::ok(body)
                .version(sequence)
                .at(done.head)
                .created(&location(order_id)))
        }
        Outcome::Before(earlier) => {
            let id = stored_id(&earlier.resource)?;
            let (body, sequence) = stored(app, who, id).await?;
            Ok(Answer::ok(body)
                .version(sequence)
                .created(&location(id))
                .replayed(&earlier))
        }
    }
}

async fn new_order(
    app: &App,
    customer_id: UserId,
    input: OrderInput,
) -> Result<NewOrder, ApiError> {
    let (customer_name, shipping_address) = contact(
        app,
        customer_id,
        input.customer_name,
        input.shipping_address,
    )
    .await?;
    Ok(NewOrder {
        order_id: OrderId(Uuid::now_v7()),
        customer_id,
        customer_name,
        shipping_address,
        shipping_country: input.shipping_country.map(Checked::take),
        region_id: input.region_id.map(Checked::take),
        payment_method: input.payment_method.map(Checked::take),
        items: order_items(input.items),
        codes: input
            .discount_codes
            .into_iter()
            .map(Checked::take)
            .collect(),
        expected_total: input.expected_total.map(Checked::take),
    })
}

/// What is bought.
fn order_items(items: Vec<Object<ItemInput>>) -> Vec<OrderItem> {
    let item = |Object(item): Object<ItemInput>| OrderItem {
        product_id: item.product_id.take(),
        quantity: item.quantity.take(),
    };
    items.into_iter().map(item).collect()
}

/// Who an order is for and where it goes: by default as the customer's profile says.
pub(super) async fn contact(
    app: &App,
    customer_id: UserId,
    name: Option<input::PersonName>,
    address: Option<input::PostalAddress>,
) -> Result<(String, String), ApiError> {
    let name = name.map(|name| name.take().as_str().to_owned());
    let address = address.map(|address| address.take().as_str().to_owned());
    Ok(match (name, address) {
        (Some(name), Some(address)) => (name, address),
        (name, address) => {
            let profile = app.profiles.of(customer_id).await?;
            (
                name.unwrap_or_else(|| profile.name.clone()),
                address.unwrap_or_else(|| profile.address.clone()),
            )
        }
    })
}

/// Whether an order is there for whoever asks: a deleted one is not for its customer.
fn shown<P>(who: &Allowed<P>, customer_id: UserId, deleted: bool) -> bool {
    !deleted || who.user_id != customer_id || who.can(Permission::ReadAnyOrder)
}

/// The order as the log has it, and its version; without name and address where they may not read it who changed it.
async fn stored<P>(app: &App, who: &Allowed<P>, id: OrderId) -> Result<(OrderBody, i64), ApiError> {
    let order = Snapshot::from_log(&app.log, id)
        .await?
        .ok_or(Kind::NotFound)?;
    if !shown(who, order.customer_id(), order.is_deleted()) {
        return Err(Kind::NotFound.into());
    }
    let sequence = order.sequence();
    let body = if who.may_read_order_of(order.customer_id()) {
        opened(&app.vault, order).await?
    } else {
        order.into_body(None, None)
    };
    Ok((body, sequence))
}

/// List orders
///
/// Customers see their own, but for those that they deleted. Demands the permission to read one's own orders, or any.
#[utoipa::path(get, path = "/api/v1/orders", operation_id = "listOrders", tag = "orders", security(("bearer" = [])),
    params(OrderQuery, NotBefore),
    responses((status = 200, body = PageBody<OrderBody>, headers(("Link"))), Unplaced, Behind))]
async fn list_orders(
    State(app): State<App>,
    who: Allowed<ReadOrders>,
    Query(query): Query<OrderQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<OrderBody>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(OrderSort::CreatedAt, sort, query.limit, cursor)?;
    let include_deleted = query.include_deleted.unwrap_or_default();
    if include_deleted && !who.can(Permission::ReadAnyOrder) {
        return Err(Kind::Forbidden.into());
    }
    let filter = OrderFilter {
        include_deleted,
        number: query.order_number.map(OrderNumber),
        customer_id: who.whose(Permission::ReadAnyOrder, query.customer_id)?,
        region_id: query.region_id,
        status: query.status,
        payment_status: query.payment_status,
        created_at: Span {
            gte: query.created_at_gte,
            lte: query.created_at_lte,
        },
        total: Span {
            gte: query.total_gte,
            lte: query.total_lte,
        },
    };
    app.caught_up(View::Orders, position).await?;
    let Page { items, next } = app.read_models.orders(&filter, &page).await?;
    // one query for the keys of all customers on the page
    app.vault
        .prepare(
            items
                .iter()
                .flat_map(|order| [&order.customer_name, &order.shipping_address]),
        )
        .await?;
    let mut bodies = Vec::with_capacity(items.len());
    for order in items {
        bodies.push(listed(&app.vault, order.into()).await?);
    }
    Ok(list::page(
        &uri,
        Page {
            items: bodies,
            next,
        },
    ))
}

/// Read an order
///
/// Another's is not found. Demands the permission to read one's own orders, or any.
#[utoipa::path(get, path = "/api/v1/orders/{id}", operation_id = "readOrder", tag = "orders", security(("bearer" = [])),
    params(ById, NotBefore),
    responses((status = 200, body = OrderBody, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    who: Allowed<ReadOrders>,
    Id(id): Id<OrderId>,
    position: MinPosition,
) -> Result<Answer<OrderBody>, ApiError> {
    app.caught_up_on(View::Orders, id, position).await?;
    let order = app.read_models.order(id).await?;
    let order = order
        .filter(|order| who.may_see(Permission::ReadAnyOrder, order.customer_id))
        .filter(|order| shown(&who, order.customer_id, order.deleted))
        .ok_or(Kind::NotFound)?;
    let sequence = order.sequence;
    Ok(Answer::ok(opened(&app.vault, order.into()).await?).version(sequence))
}

/// Cancel an order
///
/// 200 when it is cancelled and nothing is left to do; 202 when its payment must first be voided or given back. An
/// order that was shipped cannot be cancelled, of one that was shipped in part only the rest is. Demands the permission
/// to cancel one's own orders, or any.
#[utoipa::path(post, path = "/api/v1/orders/{id}/cancel", operation_id = "cancelOrder", tag = "orders", security(("bearer" = [])),
    request_body = Option<CancelInput>, params(ById, OnlyIf),
    responses(
        (status = 200, body = OrderBody, headers(("ETag"), ("Souk-Position"))),
        (status = 202, body = OrderBody, description = "The payment is being voided or given back", headers(("ETag"), ("Souk-Position"))),
        Missing, NotMoved, Stale, NotDone,
    ))]
async fn cancel(
    State(app): State<App>,
    who: Allowed<CancelOrders>,
    Id(order_id): Id<OrderId>,
    expected: IfMatch,
    call: Call,
    OptionalBody(input): OptionalBody<CancelInput>,
) -> Result<Answer<OrderBody>, ApiError> {
    let any = who.can(Permission::CancelAnyOrder);
    let cancel = CancelOrder {
        order_id,
        reason: input.reason.map(Checked::take).unwrap_or_default().into(),
        requested_by: Some(who.user_id),
        only_of: (!any).then_some(who.user_id),
    };
    let request = call.request(&who, "CancelOrder", None);
    let commands = app.commands.clone();
    let done = run(async move {
        commands
            .cancel_order(request, cancel, expected.version())
            .await
    })
    .await?;
    let status = match done.output.progress {
        Progress::Done => StatusCode::OK,
        Progress::Accepted => StatusCode::ACCEPTED,
    };
    // it is done: where it cannot be read back, the client must not hear that nothing was changed
    let (body, sequence) = stored(&app, &who, order_id).await.map_err(|error| {
        tracing::warn!(?error, "a cancelled order cannot be read back");
        ApiError::from(Kind::OutcomeUnknown)
    })?;
    Ok(Answer::ok(body)
        .status(status)
        .version(sequence)
        .at(done.head))
}
