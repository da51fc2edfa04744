//! Many orders at once. Each request is one transaction: when one element is refused nothing is done, and it is named by a
//! pointer into the body. Answers hold every record in the order of the request.

use std::collections::HashMap;

use axum::{extract::State, http::StatusCode};
use commands::{
    Failure,
    orders::{ChangeOrder, MAX_BULK_ITEMS},
};
use domain::ids::{OrderId, UserId};
use garde::Validate;
use identity::Permission;
use projections::{View, orders::OrderView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    ItemInput, MAX_ITEMS, OrderBody, OrderInput,
    body::{Snapshot, listed},
    new_order, order_items, shown, stored,
};
use crate::{
    answer::Answer,
    auth::{Allowed, ChangeOrders, PlaceOrder, ReadOrders},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, MinPosition},
    fields::{Checked, Given, Object, input},
    openapi::parts::{
        Behind, MayNotOrder, NotBefore, NotChangedOrders, NotDone, NotOrdered, Repeatable, Unplaced,
    },
    problem::{FieldError, Kind, Problem},
    routes::{
        body::{stored_id, unknown_region},
        users::within_limit,
    },
    state::App,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(create))
        .routes(routes!(read))
        .routes(routes!(update))
}

/// Orders to be placed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrders {
    /// One or more, up to the limit of the server (`SOUK_BULK_LIMIT`), with at most 1,000 items in all.
    #[garde(length(min = 1), dive)]
    #[schema(min_items = 1, value_type = Vec<OrderInput>)]
    orders: Vec<Object<OrderInput>>,
}

/// Orders to be read.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderIds {
    /// One or more, up to the limit of the server (`SOUK_BULK_LIMIT`), each once.
    #[garde(length(min = 1), dive)]
    #[schema(min_items = 1, value_type = Vec<Uuid>)]
    ids: Vec<input::OrderId>,
}

/// Orders to be changed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedOrders {
    /// One or more, up to the limit of the server (`SOUK_BULK_LIMIT`), each once.
    #[garde(length(min = 1), dive)]
    #[schema(min_items = 1, value_type = Vec<ChangedOrder>)]
    orders: Vec<Object<ChangedOrder>>,
}

/// What is to change of one of many orders; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedOrder {
    /// Of which.
    #[garde(dive)]
    #[schema(value_type = Uuid)]
    order_id: input::OrderId,
    /// The version that the change was decided on; any when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<input::Integer>,
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
    /// What is bought from now on: the whole list, as where a single order is changed. At most 1,000 in all orders.
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

impl ChangedOrder {
    /// The change, and the version that it was decided on.
    fn take(self, only_of: Option<UserId>) -> (ChangeOrder, Option<i64>) {
        let (name, address) = (self.customer_name.take(), self.shipping_address.take());
        let change = ChangeOrder {
            order_id: self.order_id.take(),
            customer_name: name.map(|name| name.as_str().to_owned()),
            shipping_address: address.map(|address| address.as_str().to_owned()),
            items: self.items.value().map(order_items),
            expected_total: self.expected_total.take(),
            only_of,
        };
        (change, self.version.take())
    }
}

/// Many orders.
#[derive(Serialize, ToSchema)]
pub(super) struct Orders {
    /// In the order of the request.
    items: Vec<OrderBody>,
}

/// Orders that were found, and those that were not.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundOrders {
    /// Those that are there, in the order of the request.
    items: Vec<OrderBody>,
    /// Those that are not, or not for you to see.
    missing: Vec<MissingOrder>,
}

/// An id of which there is no order.
#[derive(Serialize, ToSchema)]
pub(super) struct MissingOrder {
    /// Where in the request, as a JSON pointer.
    #[schema(example = "/ids/3")]
    pointer: String,
    /// The id.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
}

/// Place many orders
///
/// All or none, the stock of all of them included: what one takes the next one does not find. The one that cannot be placed
/// is named. Demands the permission to place orders.
#[utoipa::path(post, path = "/api/v1/orders/bulk-create", operation_id = "placeOrders", tag = "orders", security(("bearer" = [])),
    request_body = NewOrders, params(Repeatable),
    responses(
        (status = 201, body = Orders, headers(("Souk-Position"))),
        NotOrdered, MayNotOrder, NotDone,
    ))]
async fn create(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    call: Call,
    body: Body<NewOrders>,
) -> Result<Answer<Orders>, ApiError> {
    app.assure_may_order(&who)?;
    let inputs = body.value.orders;
    within_limit(&app, "/orders", inputs.len())?;
    within_item_limit(inputs.iter().map(|Object(order)| order.items.len()))?;
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let mut orders = Vec::with_capacity(inputs.len());
    for Object(input) in inputs {
        orders.push(new_order(&app, who.user_id, input).await?);
    }
    let contacts: Vec<_> = orders
        .iter()
        .map(|order| (order.customer_name.clone(), order.shipping_address.clone()))
        .collect();
    let ids: Vec<String> = orders
        .iter()
        .map(|order| order.order_id.to_string())
        .collect();
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), ids.join(SEPARATOR)));
    let request = call.request(&who, "PlaceOrders", key);
    let commands = app.commands.clone();
    let command = async move { commands.place_orders(request, orders).await };
    match run_once(&app.log, attempt, command).await.map_err(named)? {
        Outcome::Done(done) => {
            let may_read = who.may_read_order_of(who.user_id);
            let placed = done.output.into_iter().zip(contacts);
            let items = placed.map(|(order, (name, address))| {
                let order = Snapshot::just_placed(order, done.recorded_at);
                if may_read {
                    order.into_body(Some(name), Some(address))
                } else {
                    order.into_body(None, None)
                }
            });
            let items = items.collect();
            Ok(Answer::ok(Orders { items })
                .status(StatusCode::CREATED)
                .at(done.head))
        }
        Outcome::Before(earlier) => {
            let mut items = Vec::new();
            for id in earlier.resource.split(SEPARATOR) {
                match stored(&app, &who, stored_id(id)?).await {
                    Ok((order, _)) => items.push(order),
                    // deleted since
                    Err(ApiError::Request(problem)) if problem.kind() == Kind::NotFound => {}
                    Err(other) => return Err(other),
                }
            }
            Ok(Answer::ok(Orders { items }).replayed(&earlier))
        }
    }
}

/// Between the ids that an idempotency key led to.
const SEPARATOR: &str = ",";

/// Refuses more items in all than one unit of work holds.
fn within_item_limit(items: impl Iterator<Item = usize>) -> Result<(), ApiError> {
    let items: usize = items.sum();
    if items <= MAX_BULK_ITEMS {
        return Ok(());
    }
    let detail = format!("must have at most {MAX_BULK_ITEMS} items in all, has {items}");
    let errors = vec![FieldError::at("/orders", detail)];
    Err(Problem::new(Kind::Validation).errors(errors).into())
}

/// Says which of the orders is refused.
fn named(error: ApiError) -> ApiError {
    let ApiError::Command(Failure::Element { index, reason }) = error else {
        return error;
    };
    let problem = match *reason {
        Failure::NotFound { what: "order" } => Problem::new(Kind::Validation)
            .errors(vec![FieldError::at("/order_id", "there is no such order")]),
        // what `If-Match` is for a single one is a member here
        Failure::PreconditionFailed { current } => {
            Problem::new(Kind::Conflict).errors(vec![FieldError::at(
                "/version",
                format!("is {current} by now"),
            )])
        }
        reason => unknown_region(ApiError::Command(reason)).problem(),
    };
    problem.within(&format!("/orders/{index}")).into()
}

/// Change many orders
///
/// Names and addresses until something is shipped, items until the payment is started, as where a single order is changed; all or
/// none, and the one that cannot be changed is named. Stock that one gives back the next one finds. Demands the permission to
/// change one's own orders, or any; another's does not exist.
#[utoipa::path(post, path = "/api/v1/orders/bulk-update", operation_id = "updateOrders", tag = "orders", security(("bearer" = [])),
    request_body = ChangedOrders,
    responses(
        (status = 200, body = Orders, headers(("Souk-Position"))),
        NotChangedOrders, NotDone,
    ))]
async fn update(
    State(app): State<App>,
    who: Allowed<ChangeOrders>,
    call: Call,
    body: Body<ChangedOrders>,
) -> Result<Answer<Orders>, ApiError> {
    let changes = body.value.orders;
    within_limit(&app, "/orders", changes.len())?;
    let lists = changes
        .iter()
        .filter_map(|Object(change)| change.items.as_ref());
    within_item_limit(lists.map(Vec::len))?;
    let any = who.can(Permission::ChangeAnyOrder);
    let only_of = (!any).then_some(who.user_id);
    let changes: Vec<_> = changes
        .into_iter()
        .map(|Object(change)| change.take(only_of))
        .collect();
    let ids: Vec<OrderId> = changes.iter().map(|(change, _)| change.order_id).collect();
    each_once(&ids, |index| format!("/orders/{index}/order_id"))?;
    let request = call.request(&who, "UpdateOrders", None);
    let commands = app.commands.clone();
    let done = run(async move { commands.change_orders(request, changes).await })
        .await
        .map_err(named)?;
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        // it is done: where it cannot be read back, the client must not hear that nothing was changed
        let (order, _) = stored(&app, &who, id).await.map_err(|error| {
            tracing::warn!(?error, "a changed order cannot be read back");
            ApiError::from(Kind::OutcomeUnknown)
        })?;
        items.push(order);
    }
    Ok(Answer::ok(Orders { items }).at(done.head))
}

/// Read many orders
///
/// Ids of which there is no order, or only one of somebody else, are named; the others are answered. Demands the
/// permission to read one's own orders, or any.
#[utoipa::path(post, path = "/api/v1/orders/bulk-read", operation_id = "readOrders", tag = "orders", security(("bearer" = [])),
    request_body = OrderIds, params(NotBefore),
    responses((status = 200, body = FoundOrders), Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    who: Allowed<ReadOrders>,
    position: MinPosition,
    body: Body<OrderIds>,
) -> Result<Answer<FoundOrders>, ApiError> {
    let ids: Vec<OrderId> = body.value.ids.into_iter().map(Checked::take).collect();
    within_limit(&app, "/ids", ids.len())?;
    each_once(&ids, |index| format!("/ids/{index}"))?;
    app.caught_up(View::Orders, position).await?;
    let mut found: HashMap<OrderId, OrderView> = app
        .read_models
        .orders_by_id(&ids)
        .await?
        .into_iter()
        .filter(|order| who.may_see(Permission::ReadAnyOrder, order.customer_id))
        .filter(|order| shown(&who, order.customer_id, order.deleted))
        .map(|order| (order.order_id, order))
        .collect();
    // one query for the keys of all their customers
    app.vault
        .prepare(
            found
                .values()
                .flat_map(|order| [&order.customer_name, &order.shipping_address]),
        )
        .await?;
    let (mut items, mut missing) = (Vec::new(), Vec::new());
    for (index, order_id) in ids.into_iter().enumerate() {
        match found.remove(&order_id) {
            Some(order) => items.push(listed(&app.vault, order.into()).await?),
            None => missing.push(MissingOrder {
                pointer: format!("/ids/{index}"),
                order_id,
            }),
        }
    }
    Ok(Answer::ok(FoundOrders { items, missing }))
}

/// Refuses a list in which an order comes twice, and points at each that came before.
fn each_once(ids: &[OrderId], pointer: impl Fn(usize) -> String) -> Result<(), ApiError> {
    let mut first = HashMap::new();
    let mut errors = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        match first.get(id) {
            Some(earlier) => {
                let detail = format!("is the same as {}", pointer(*earlier));
                errors.push(FieldError::at(pointer(index), detail));
            }
            None => {
                first.insert(id, index);
            }
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::new(Kind::Validation).errors(errors).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::{body::to_bytes, response::IntoResponse};
    use commands::Shortage;
    use domain::{ids::ProductId, order::OrderError, pricing::PricingError, text::Quantity};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    async fn told(error: ApiError) -> (u16, Value) {
        let response = error.into_response();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn of_element(index: usize, reason: Failure) -> ApiError {
        let reason = Box::new(reason);
        named(ApiError::Command(Failure::Element { index, reason }))
    }

    #[tokio::test]
    async fn the_order_that_is_refused_is_named_with_the_reason_of_a_single_one() {
        let shortages = vec![Shortage {
            product_id: ProductId(Uuid::nil()),
            requested: Quantity::ONE,
            available: 0,
        }];
        let (status, short) = told(of_element(3, Failure::InsufficientStock { shortages })).await;
        assert_eq!(status, 409);
        assert_eq!(short["type"], "/problems/insufficient_stock");
        assert_eq!(short["errors"][0]["pointer"], "/orders/3");
        assert_eq!(short["available"], 0);

        let empty = Failure::Order(OrderError::Pricing(PricingError::TooManyLines));
        let (status, long) = told(of_element(0, empty)).await;
        assert_eq!(
            (status, &long["errors"][0]["pointer"]),
            (422, &json!("/orders/0/items"))
        );

        let unknown = Failure::NotFound { what: "order" };
        let (status, unknown) = told(of_element(2, unknown)).await;
        assert_eq!(status, 422);
        assert_eq!(unknown["errors"][0]["pointer"], "/orders/2/order_id");

        let stale = Failure::PreconditionFailed { current: 3 };
        let (status, stale) = told(of_element(2, stale)).await;
        assert_eq!(
            (status, &stale["errors"][0]),
            (
                409,
                &json!({"pointer": "/orders/2/version", "detail": "is 3 by now"})
            )
        );

        let nowhere = Failure::NotFound { what: "region" };
        let (status, nowhere) = told(of_element(1, nowhere)).await;
        assert_eq!(status, 422);
        assert_eq!(nowhere["errors"][0]["pointer"], "/orders/1/region_id");
    }

    #[tokio::test]
    async fn what_is_nobody_s_fault_names_nobody() {
        let (status, late) = told(named(Failure::DeadlinePassed.into())).await;
        assert_eq!(
            (status, &late["type"]),
            (503, &json!("/problems/deadline-passed"))
        );
    }

    #[tokio::test]
    async fn an_order_that_comes_twice_is_pointed_at() {
        let ids: Vec<OrderId> = [1, 2, 1, 1].map(|id| OrderId(Uuid::from_u128(id))).into();
        assert!(each_once(&ids[..2], |index| format!("/ids/{index}")).is_ok());
        let refused = each_once(&ids, |index| format!("/ids/{index}")).unwrap_err();
        let (status, told) = told(refused).await;
        assert_eq!(status, 422);
        assert_eq!(
            told["errors"],
            json!([
                {"pointer": "/ids/2", "detail": "is the same as /ids/0"},
                {"pointer": "/ids/3", "detail": "is the same as /ids/0"},
            ])
        );
    }
}
