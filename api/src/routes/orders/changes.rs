//! Changing orders until they are shipped, and deleting them: customers their own, admins any.

use axum::{extract::State, http::StatusCode};
use commands::orders::{ChangeOrder, DeleteOrder, Progress};
use domain::ids::OrderId;
use garde::Validate;
use identity::Permission;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ItemInput, MAX_ITEMS, OrderBody, order_items, stored};
use crate::{
    answer::Answer,
    auth::{Allowed, ChangeOrders},
    call::{Call, run},
    error::ApiError,
    extract::{Body, Id, IfMatch},
    fields::{Given, Object, input},
    openapi::parts::{ById, Missing, NotChangedOrder, NotDone, NotMoved, OnlyIf, Stale},
    problem::Kind,
    state::App,
};

/// What is to change of an order, all of it or nothing; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderPatch {
    /// Who it is for.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::PersonName)]
    customer_name: Given<input::PersonName>,
    /// Where it goes.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::PostalAddress)]
    shipping_address: Given<input::PostalAddress>,
    /// What is bought from now on: the whole list. Prices are those of today, the tax stays that of when it was placed.
    #[garde(length(min = 1, max = MAX_ITEMS), dive)]
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<ItemInput>)]
    items: Given<Vec<Object<ItemInput>>>,
    /// The `order_total` that the customer was shown for these items and accepts, in minor units: where the order comes to cost
    /// anything else, nothing is changed.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = i64)]
    expected_total: Given<input::Integer>,
}

/// Change an order
///
/// Name and address until something is shipped, items until the payment is started. Stock is reserved for the difference
/// only, all or nothing; an order that comes to cost nothing is paid at once. Where it comes to cost anything else than
/// `expected_total`, nothing is changed. Demands the permission to change one's own
/// orders, or any.
#[utoipa::path(patch, path = "/api/v1/orders/{id}", operation_id = "updateOrder", tag = "orders", security(("bearer" = [])),
    request_body = OrderPatch, params(ById, OnlyIf),
    responses(
        (status = 200, body = OrderBody, headers(("ETag"), ("Souk-Position"))),
        Missing, NotChangedOrder, Stale, NotDone,
    ))]
pub(super) async fn update(
    State(app): State<App>,
    who: Allowed<ChangeOrders>,
    Id(order_id): Id<OrderId>,
    expected: IfMatch,
    call: Call,
    body: Body<OrderPatch>,
) -> Result<Answer<OrderBody>, ApiError> {
    let OrderPatch {
        customer_name,
        shipping_address,
        items,
        expected_total,
    } = body.value;
    let any = who.can(Permission::ChangeAnyOrder);
    let change = ChangeOrder {
        order_id,
        customer_name: customer_name.take().map(|name| name.as_str().to_owned()),
        shipping_address: shipping_address
            .take()
            .map(|address| address.as_str().to_owned()),
        items: items.value().map(order_items),
        expected_total: expected_total.take(),
        only_of: (!any).then_some(who.user_id),
    };
    let request = call.request(&who, "UpdateOrder", None);
    let commands = app.commands.clone();
    let done = run(async move {
        commands
            .change_order(request, change, expected.version())
            .await
    })
    .await?;
    // it is done: where it cannot be read back, the client must not hear that nothing was changed
    let (body, sequence) = stored(&app, &who, order_id).await.map_err(|error| {
        tracing::warn!(?error, "a changed order cannot be read back");
        ApiError::from(Kind::OutcomeUnknown)
    })?;
    Ok(Answer::ok(body).version(sequence).at(done.head))
}

/// Delete an order
///
/// Its customer does not see it any more; history keeps it, and whoever reads any order. One that can still be cancelled
/// is. 204 when nothing is left to do; 202 when its payment must first be voided or given back. Goods on their way are
/// waited for: until they are delivered the order stays. Demands the permission to change one's own orders, or any.
#[utoipa::path(delete, path = "/api/v1/orders/{id}", operation_id = "deleteOrder", tag = "orders", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses(
        (status = 204, description = "Deleted, now or before", headers(("Souk-Position"))),
        (status = 202, description = "Deleted; the payment is being voided or given back", headers(("Souk-Position"))),
        Missing, NotMoved, Stale, NotDone,
    ))]
pub(super) async fn delete(
    State(app): State<App>,
    who: Allowed<ChangeOrders>,
    Id(order_id): Id<OrderId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<()>, ApiError> {
    let any = who.can(Permission::ChangeAnyOrder);
    let delete = DeleteOrder {
        order_id,
        requested_by: Some(who.user_id),
        only_of: (!any).then_some(who.user_id),
    };
    let request = call.request(&who, "DeleteOrder", None);
    let commands = app.commands.clone();
    let deleted = run(async move {
        commands
            .delete_order(request, delete, expected.version())
            .await
    })
    .await?;
    let status = match deleted.output {
        Progress::Done => StatusCode::NO_CONTENT,
        Progress::Accepted => StatusCode::ACCEPTED,
    };
    Ok(Answer::no_content().status(status).at(deleted.head))
}
