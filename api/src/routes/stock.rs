//! Stock of a product: a resource of its own, with an ETag of its own, so that selling does not disturb who edits the
//! product. Receipts and adjustments add up whoever makes them at once; setting the number needs `If-Match`.

use axum::{extract::State, http::StatusCode};
use commands::{
    Failure, Manager, Request, Versioned,
    inventory::{StockChange, StockLevel},
};
use domain::{
    ids::{OperationId, ProductId},
    inventory::Inventory,
    text::Reason,
};
use eventstore::unit::Committed;
use garde::Validate;
use identity::Permission;
use projections::products::StockView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::products::on_sale;
use crate::{
    answer::Answer,
    auth::{AdjustStock, Allowed},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition},
    fields::{Checked, input},
    idempotency::Attempt,
    openapi::parts::{
        Behind, ById, Missing, NotBefore, NotDone, NotForSale, OnlyIf, Repeatable, ShopNotOpen,
        Stale, Unconditional, Unplaced,
    },
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(read, set))
        .routes(routes!(receive))
        .routes(routes!(adjust))
        .routes(routes!(set_threshold))
}

/// How many pieces of a product there are.
#[derive(Serialize, ToSchema)]
pub struct StockBody {
    /// Of which product.
    #[schema(value_type = Uuid)]
    product_id: ProductId,
    /// Pieces that can be ordered; below zero where more is promised than is there.
    #[schema(example = 12)]
    available: i64,
    /// Pieces put aside for orders that are not paid yet.
    #[schema(example = 3)]
    reserved: i64,
    /// Pieces sold and not returned.
    #[schema(example = 40)]
    sold: i64,
    /// From how many pieces that can be ordered down the stock is low; 5 where nobody has set it, 0: never.
    #[schema(example = 5)]
    threshold: u32,
    /// Whether none can be ordered.
    sold_out: bool,
    /// Whether no more than `threshold` can be ordered; then few are left, or none.
    low_stock: bool,
    /// Whether more is promised than is there.
    oversold: bool,
}

impl StockBody {
    pub(crate) fn from_view(product_id: ProductId, stock: &StockView) -> Self {
        Self {
            product_id,
            available: stock.available,
            reserved: stock.reserved,
            sold: stock.sold,
            threshold: stock.threshold,
            sold_out: stock.is_sold_out(),
            low_stock: stock.is_low(),
            oversold: stock.is_oversold(),
        }
    }

    /// What "few" and "none" mean is the read model's to say, here as there.
    fn from_level(product_id: ProductId, level: StockLevel) -> Self {
        let StockLevel {
            available,
            reserved,
            sold,
            low_stock_threshold: threshold,
            received: _,
        } = level;
        let view = StockView {
            available,
            reserved,
            sold,
            threshold,
            sequence: 0,
            updated_at: None,
        };
        Self::from_view(product_id, &view)
    }
}

/// Pieces that came in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptInput {
    /// How many.
    #[garde(dive)]
    quantity: input::Quantity,
    /// Why.
    #[garde(dive)]
    #[serde(default)]
    reason: Option<input::Reason>,
}

/// A correction by a difference.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentInput {
    /// By how many pieces, up or down.
    #[garde(dive)]
    #[schema(value_type = i64, example = -2)]
    delta: input::Pieces,
    /// Why.
    #[garde(dive)]
    #[serde(default)]
    reason: Option<input::Reason>,
}

/// When the stock of a product is low.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdInput {
    /// From how many pieces down; 0: never.
    #[garde(dive)]
    threshold: input::Threshold,
}

/// The number of pieces as it was counted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockInput {
    /// How many can be ordered from now on. It may be less than what is promised already.
    #[garde(dive)]
    #[schema(value_type = i64, example = 10)]
    available: input::Pieces,
    /// Why.
    #[garde(dive)]
    #[serde(default)]
    reason: Option<input::Reason>,
}

/// Read the stock of a product
#[utoipa::path(get, path = "/api/v1/products/{id}/stock", operation_id = "readStock", tag = "stock", params(ById, NotBefore),
    responses((status = 200, body = StockBody, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    Id(id): Id<ProductId>,
    position: MinPosition,
) -> Result<Answer<StockBody>, ApiError> {
    let product = on_sale(&app, id, position).await?;
    Ok(Answer::ok(StockBody::from_view(id, &product.stock)).version(product.stock.sequence))
}

/// Take pieces in
///
/// Demands the permission to adjust stock, or that the product is of a shop of one's own.
#[utoipa::path(post, path = "/api/v1/products/{id}/stock/receipts", operation_id = "receiveStock", tag = "stock", security(("bearer" = [])),
    request_body = ReceiptInput, params(ById, OnlyIf, Repeatable),
    responses(
        (status = 200, body = StockBody, headers(("ETag"), ("Souk-Position"))),
        Missing, NotForSale, Stale, NotDone,
    ))]
async fn receive(
    State(app): State<App>,
    who: Allowed<AdjustStock>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
    body: Body<ReceiptInput>,
) -> Result<Answer<StockBody>, ApiError> {
    let ReceiptInput { quantity, reason } = body.value;
    let (quantity, reason) = (quantity.take(), reason.map(Checked::take));
    let by = app.manager(&who, Permission::AdjustStock)?;
    let commands = app.commands.clone();
    change(
        &app,
        &who,
        &call,
        &body.raw,
        ("ReceiveStock", by, id, reason),
        move |request, change| async move {
            commands
                .receive_stock(request, change, quantity, expected.version())
                .await
        },
    )
    .await
}

/// Correct the stock by a difference
///
/// Two corrections at once add up. Demands the permission to adjust stock, or that the product is of a shop of one's own.
#[utoipa::path(post, path = "/api/v1/products/{id}/stock/adjustments", operation_id = "adjustStock", tag = "stock", security(("bearer" = [])),
    request_body = AdjustmentInput, params(ById, OnlyIf, Repeatable),
    responses(
        (status = 200, body = StockBody, headers(("ETag"), ("Souk-Position"))),
        Missing, NotForSale, Stale, NotDone,
    ))]
async fn adjust(
    State(app): State<App>,
    who: Allowed<AdjustStock>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
    body: Body<AdjustmentInput>,
) -> Result<Answer<StockBody>, ApiError> {
    let AdjustmentInput { delta, reason } = body.value;
    let (delta, reason) = (delta.take().0, reason.map(Checked::take));
    let by = app.manager(&who, Permission::AdjustStock)?;
    let commands = app.commands.clone();
    change(
        &app,
        &who,
        &call,
        &body.raw,
        ("AdjustStock", by, id, reason),
        move |request, change| async move {
            commands
                .adjust_stock(request, change, delta, expected.version())
                .await
        },
    )
    .await
}

/// A relative change: it may carry a key, and is named by it.
async fn change<F, Done>(
    app: &App,
    who: &Allowed<AdjustStock>,
    call: &Call,
    raw: &[u8],
    (command, by, product_id, reason): (&str, Manager, ProductId, Option<Reason>),
    execute: F,
) -> Result<Answer<StockBody>, ApiError>
where
    F: FnOnce(Request, StockChange) -> Done,
    Done: Future<Output = Result<Committed<Versioned<StockLevel>>, Failure>> + Send + 'static,
{
    let attempt = call.attempt(&app.idempotency, who, raw)?;
    let operation_id = OperationId(
        attempt
            .as_ref()
            .map_or_else(Uuid::now_v7, Attempt::derived_id),
    );
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::OK.as_u16(), product_id));
    let request = call.request(who, command, key);
    let changing = execute(
        request,
        StockChange {
            product_id,
            by,
            operation_id,
            reason,
        },
    );
    match run_once(&app.log, attempt, changing).await? {
        Outcome::Done(done) => Ok(answered(product_id, &done)),
        Outcome::Before(earlier) => {
            let (stock, sequence) = app.log.load::<Inventory>(product_id).await?;
            let body = StockBody::from_level(product_id, StockLevel::from(&stock));
            Ok(Answer::ok(body).version(sequence).replayed(&earlier))
        }
    }
}

/// Set the stock
///
/// Two such corrections at once would undo one another, so `If-Match` is required. Demands the permission to adjust
/// stock, or that the product is of a shop of one's own.
#[utoipa::path(put, path = "/api/v1/products/{id}/stock", operation_id = "setStock", tag = "stock", security(("bearer" = [])),
    request_body = StockInput, params(ById, OnlyIf),
    responses(
        (status = 200, body = StockBody, headers(("ETag"), ("Souk-Position"))),
        Missing, ShopNotOpen, Stale, Unconditional, NotDone,
    ))]
async fn set(
    State(app): State<App>,
    who: Allowed<AdjustStock>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
    body: Body<StockInput>,
) -> Result<Answer<StockBody>, ApiError> {
    let expected = expected.version().ok_or(Kind::PreconditionRequired)?;
    let StockInput { available, reason } = body.value;
    let available = available.take().0;
    let operation_id = OperationId(Uuid::now_v7());
    let change = StockChange {
        product_id: id,
        by: app.manager(&who, Permission::AdjustStock)?,
        operation_id,
        reason: reason.map(Checked::take),
    };
    let request = call.request(&who, "SetStock", None);
    let commands = app.commands.clone();
    let set = run(async move {
        commands
            .set_stock(request, change, available, expected)
            .await
    })
    .await?;
    Ok(answered(id, &set))
}

/// Say when stock is low
///
/// From so many pieces down that can be ordered the stock of the product is low, and whoever follows the events is told
/// once. Demands the permission to adjust stock, or that the product is of a shop of one's own.
#[utoipa::path(put, path = "/api/v1/products/{id}/stock/threshold", operation_id = "setStockThreshold", tag = "stock", security(("bearer" = [])),
    request_body = ThresholdInput, params(ById, OnlyIf),
    responses(
        (status = 200, body = StockBody, headers(("ETag"), ("Souk-Position"))),
        Missing, ShopNotOpen, Stale, NotDone,
    ))]
async fn set_threshold(
    State(app): State<App>,
    who: Allowed<AdjustStock>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
    body: Body<ThresholdInput>,
) -> Result<Answer<StockBody>, ApiError> {
    let threshold = body.value.threshold.take().0;
    let by = app.manager(&who, Permission::AdjustStock)?;
    let request = call.request(&who, "SetLowStockThreshold", None);
    let commands = app.commands.clone();
    let set = run(async move {
        commands
            .set_low_stock_threshold(request, id, by, threshold, expected.version())
            .await
    })
    .await?;
    Ok(answered(id, &set))
}

fn answered(product_id: ProductId, done: &Committed<Versioned<StockLevel>>) -> Answer<StockBody> {
    Answer::ok(StockBody::from_level(product_id, done.output.state))
        .version(done.output.sequence)
        .at(done.head)
}
