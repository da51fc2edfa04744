//! Placing an order by the simple client contract.
//!
//! `clientSecret` is what a payment form of the client will confirm the payment with. It is opaque: it names the
//! payment and proves that this server gave it out (an HMAC). The fake gateway needs no confirmation: the payment is
//! asked for after the payment delay, whatever the client does with the secret.

use axum::{extract::State, http::StatusCode};
use commands::orders::{NewOrder, OrderItem};
use domain::ids::{OrderId, PaymentId};
use eventstore::StoredAnswer;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    answer::Answer,
    auth::{Allowed, PlaceOrder},
    call::{Call, Outcome, run_once},
    error::ApiError,
    extract::Body,
    fields::{Object, input},
    openapi::parts::{MayNotOrder, NotDone, NotOrdered, Repeatable},
    routes::body::stored_id,
    state::App,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(create))
}

/// Most items in one request.
const MAX_ITEMS: usize = 1_000;

/// An order to be placed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimpleOrderInput {
    /// What is bought, of one region.
    #[garde(length(min = 1, max = MAX_ITEMS), dive)]
    #[schema(min_items = 1, max_items = 1000)]
    #[schema(value_type = Vec<SimpleItem>)]
    items: Vec<Object<SimpleItem>>,
}

/// So many pieces of a product.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    non_snake_case,
    reason = "the contract's own name, also in the pointers of refusals"
)]
pub(crate) struct SimpleItem {
    /// Which product.
    #[garde(dive)]
    #[schema(value_type = Uuid)]
    productId: input::ProductId,
    /// How many pieces.
    #[garde(dive)]
    quantity: input::Quantity,
}

/// An order was placed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SimpleOrderCreated {
    #[schema(example = "Order created successfully")]
    message: &'static str,
    /// Which; `/api/v1/orders/{orderId}` shows it.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Opaque: names the payment of the order, for a payment form to confirm it with.
    client_secret: String,
}

fn created(app: &App, order_id: OrderId) -> Answer<SimpleOrderCreated> {
    let client_secret = app.client_secret(PaymentId::of(order_id));
    let body = SimpleOrderCreated {
        message: "Order created successfully",
        order_id,
        client_secret,
    };
    Answer::ok(body).status(StatusCode::CREATED)
}

/// Place an order (simple contract)
///
/// For the signed-in customer, with the name and address of their profile. Without an Idempotency-Key two requests are
/// two orders.
#[utoipa::path(post, path = "/api/orders/create", operation_id = "simpleCreateOrder", tag = "simple contract", security(("bearer" = [])),
    request_body = SimpleOrderInput, params(Repeatable),
    responses((status = 201, body = SimpleOrderCreated, headers(("Souk-Position"))), NotOrdered, MayNotOrder, NotDone))]
async fn create(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    call: Call,
    body: Body<SimpleOrderInput>,
) -> Result<Answer<SimpleOrderCreated>, ApiError> {
    app.assure_may_order(&who)?;
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let profile = app.profiles.of(who.user_id).await?;
    let order_id = OrderId(Uuid::now_v7());
    let items = body.value.items.into_iter().map(|Object(item)| OrderItem {
        product_id: item.productId.take(),
        quantity: item.quantity.take(),
    });
    let order = NewOrder {
        order_id,
        customer_id: who.user_id,
        customer_name: profile.name.clone(),
        shipping_address: profile.address.clone(),
        shipping_country: None,
        region_id: None,
        payment_method: None,
        items: items.collect(),
        codes: vec![],
        expected_total: None,
    };
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), order_id));
    let request = call.request(&who, "PlaceOrder", key);
    let commands = app.commands.clone();
    let command = async move { commands.place_order(request, order).await };
    match run_once(&app.log, attempt, command).await? {
        Outcome::Done(done) => Ok(created(&app, order_id).at(done.head)),
        Outcome::Before(earlier) => replayed(&app, &earlier),
    }
}

fn replayed(app: &App, earlier: &StoredAnswer) -> Result<Answer<SimpleOrderCreated>, ApiError> {
    Ok(created(app, stored_id(&earlier.resource)?).replayed(earlier))
}
