//! Shipping: which pieces are on their way, and that an order arrived. Admins ship any order, a seller the lines of their
//! own shops; to a seller who has no line in it, an order does not exist.

use axum::{extract::State, http::StatusCode};
use commands::{Failure, Manager, orders::ShipOrder};
use domain::{
    ids::{OrderId, ShipmentId},
    order::{OrderError, ShipLine},
};
use garde::Validate;
use identity::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{OrderBody, body::Snapshot, stored};
use crate::{
    answer::Answer,
    auth::{Allowed, ShipOrders},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch},
    fields::{Object, input},
    idempotency::Attempt,
    openapi::parts::{ById, Missing, NotDone, NotMoved, NotShipped, OnlyIf, Repeatable, Stale},
    problem::{FieldError, Kind, Problem},
    routes::shop_orders::{ShopOrderBody, shops_of_seller},
    state::App,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(ship))
        .routes(routes!(deliver))
}

/// Most lines in one request: more than an order has, since one may be named twice.
const MAX_SHIPPED: usize = 1_000;

/// Pieces that are handed to a carrier.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShipmentInput {
    /// Which pieces; all that are left, of a seller's lines for a seller, when absent.
    #[garde(length(min = 1, max = MAX_SHIPPED), dive)]
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000, value_type = Option<Vec<ShippedPieces>>)]
    lines: Option<Vec<Object<ShippedPieces>>>,
}

/// So many pieces of a line.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShippedPieces {
    /// Number of the line, as the order shows it.
    #[garde(dive)]
    #[schema(value_type = u32, minimum = 1, example = 1)]
    line: input::LineNumber,
    /// How many pieces of it.
    #[garde(dive)]
    quantity: input::Quantity,
}

/// The order as whoever ships it may see it: whole, or what of it is a seller's.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum SeenOrder {
    /// All of it.
    Whole(Box<OrderBody>),
    /// The lines of a seller's shops.
    Part(Box<ShopOrderBody>),
}

/// Ship an order, or some pieces of it
///
/// A paid order becomes `partly_shipped`, and `shipped` with its last piece. The same request sent again with its
/// Idempotency-Key is one shipment. Demands the permission to ship any order, or the orders of one's own shops: then lines
/// of others do not exist.
#[utoipa::path(post, path = "/api/v1/orders/{id}/shipments", operation_id = "shipOrder", tag = "orders", security(("bearer" = [])),
    request_body = ShipmentInput, params(ById, OnlyIf, Repeatable),
    responses(
        (status = 200, body = SeenOrder, headers(("ETag"), ("Souk-Position"))),
        Missing, NotShipped, Stale, NotDone,
    ))]
async fn ship(
    State(app): State<App>,
    who: Allowed<ShipOrders>,
    Id(order_id): Id<OrderId>,
    expected: IfMatch,
    call: Call,
    body: Body<ShipmentInput>,
) -> Result<Answer<SeenOrder>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let shipment_id = attempt
        .as_ref()
        .map_or_else(Uuid::now_v7, Attempt::derived_id);
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::OK.as_u16(), order_id));
    let lines = body.value.lines.map(|lines| {
        let pieces = |Object(pieces): Object<ShippedPieces>| ShipLine {
            line: pieces.line.take().0,
            quantity: pieces.quantity.take(),
        };
        lines.into_iter().map(pieces).collect::<Vec<_>>()
    });
    let shipment = ShipOrder {
        order_id,
        shipment_id: ShipmentId(shipment_id),
        lines: lines.clone(),
        by: by(&who),
    };
    let request = call.request(&who, "ShipOrder", key);
    let commands = app.commands.clone();
    let shipping = async move {
        commands
            .ship_order(request, shipment, expected.version())
            .await
    };
    let shipped = run_once(&app.log, attempt, shipping)
        .await
        .map_err(|error| pointed_at(error, lines.as_deref()))?;
    let (order, sequence) = seen_by(&app, &who, order_id).await?;
    let answer = Answer::ok(order).version(sequence);
    Ok(match shipped {
        Outcome::Done(done) => answer.at(done.head),
        Outcome::Before(earlier) => answer.replayed(&earlier),
    })
}

/// Record that an order arrived
///
/// An order that is `shipped` becomes `delivered`. Said again, nothing happens. Demands the permission to ship any order, or
/// the orders of one's own shops, and then that every line is theirs.
#[utoipa::path(post, path = "/api/v1/orders/{id}/deliver", operation_id = "deliverOrder", tag = "orders", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses(
        (status = 200, body = SeenOrder, headers(("ETag"), ("Souk-Position"))),
        Missing, NotMoved, Stale, NotDone,
    ))]
async fn deliver(
    State(app): State<App>,
    who: Allowed<ShipOrders>,
    Id(order_id): Id<OrderId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<SeenOrder>, ApiError> {
    let request = call.request(&who, "DeliverOrder", None);
    let (commands, by) = (app.commands.clone(), by(&who));
    let done = run(async move {
        commands
            .deliver_order(request, order_id, by, expected.version())
            .await
    })
    .await?;
    let (order, sequence) = seen_by(&app, &who, order_id).await?;
    Ok(Answer::ok(order).version(sequence).at(done.head))
}

fn by(who: &Allowed<ShipOrders>) -> Manager {
    if who.can(Permission::ShipAnyOrder) {
        Manager::Market
    } else {
        Manager::Seller(who.user_id)
    }
}

/// The order after it was shipped, and its version. It is done: where it cannot be read back, the client must not hear that
/// nothing was changed.
async fn seen_by(
    app: &App,
    who: &Allowed<ShipOrders>,
    order_id: OrderId,
) -> Result<(SeenOrder, i64), ApiError> {
    read_back(app, who, order_id).await.map_err(|error| {
        tracing::warn!(?error, "a shipped order cannot be read back");
        Kind::OutcomeUnknown.into()
    })
}

async fn read_back(
    app: &App,
    who: &Allowed<ShipOrders>,
    order_id: OrderId,
) -> Result<(SeenOrder, i64), ApiError> {
    if who.can(Permission::ShipAnyOrder) {
        let (order, sequence) = stored(app, who, order_id).await?;
        return Ok((SeenOrder::Whole(Box::new(order)), sequence));
    }
    let order = Snapshot::from_log(&app.log, order_id)
        .await?
        .ok_or(Kind::NotFound)?
        .into_view();
    let sequence = order.sequence;
    let shops = shops_of_seller(app, who.user_id, &order).await?;
    let may_read = who.can(Permission::ReadOwnShopOrders);
    let order = ShopOrderBody::of(&app.vault, order, &shops, may_read).await?;
    Ok((SeenOrder::Part(Box::new(order)), sequence))
}

/// Says which of the lines that were asked for is at fault.
fn pointed_at(error: ApiError, asked: Option<&[ShipLine]>) -> ApiError {
    let ApiError::Command(Failure::Order(refusal)) = &error else {
        return error;
    };
    let (line, member, kind) = match refusal {
        OrderError::UnknownLine { line } => (*line, "line", Kind::Validation),
        OrderError::OverShipped { line, .. } => (*line, "quantity", Kind::Conflict),
        _ => return error,
    };
    let named = asked
        .unwrap_or_default()
        .iter()
        .rposition(|ship| ship.line == line);
    let pointer = match named {
        Some(index) => format!("/lines/{index}/{member}"),
        None => "/lines".into(),
    };
    let detail = refusal.to_string();
    let problem = Problem::new(kind).errors(vec![FieldError::at(pointer, detail.clone())]);
    match refusal {
        OrderError::OverShipped { left, .. } => problem.detail(detail).member("left", *left).into(),
        _ => problem.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::{body::to_bytes, response::IntoResponse};
    use domain::text::Quantity;
    use serde_json::{Value, json};

    use super::*;

    async fn told(refusal: OrderError, asked: Option<&[ShipLine]>) -> (u16, Value) {
        let error = ApiError::Command(Failure::Order(refusal));
        let response = pointed_at(error, asked).into_response();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn the_line_at_fault_is_pointed_at() {
        let asked = [3, 1, 1].map(|line| ShipLine {
            line,
            quantity: Quantity::ONE,
        });
        let (status, unknown) = told(OrderError::UnknownLine { line: 3 }, Some(&asked)).await;
        assert_eq!(
            (status, &unknown["errors"][0]["pointer"]),
            (422, &json!("/lines/0/line"))
        );
        let over = OrderError::OverShipped {
            line: 1,
            requested: 2,
            left: 1,
        };
        let (status, over) = told(over, Some(&asked)).await;
        assert_eq!((status, &over["left"]), (409, &json!(1)));
        assert_eq!(over["errors"][0]["pointer"], "/lines/2/quantity");
        let (status, nothing) = told(OrderError::NothingToShip, None).await;
        assert_eq!((status, &nothing["errors"]), (409, &Value::Null));
    }
}
