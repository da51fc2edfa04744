//! Payments, with what the gateway said: customers read those of their orders, admins all.

use axum::{extract::State, http::Uri};
use chrono::{DateTime, Utc};
use domain::{
    ids::{OrderId, PaymentId, RefundId, UserId},
    payment::{FactKind, PaymentState, RefundOutcome},
};
use identity::Permission;
use projections::{
    View,
    page::{Page, Span},
    payments::{PaymentFilter, PaymentSort, PaymentView},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::MoneyBody,
    list::{self, PageBody},
};
use crate::{
    answer::Answer,
    auth::{Allowed, ReadPayments},
    error::ApiError,
    extract::{Id, MinPosition, Query},
    openapi::parts::{Behind, ById, Missing, NotBefore, Unplaced},
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_payments))
        .routes(routes!(read))
}

/// A payment.
#[derive(Serialize, ToSchema)]
pub struct PaymentBody {
    /// Which.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    /// Of which order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Of whom.
    #[schema(value_type = Uuid)]
    customer_id: UserId,
    /// How much is to be captured.
    amount: MoneyBody,
    /// Method of the last attempt.
    #[schema(example = "default")]
    payment_method: String,
    /// `pending`, `failed`, `captured`, `voiding`, `voided`, `stuck`, `expired`, `partially_refunded` or `refunded`.
    #[schema(value_type = String, example = "captured")]
    status: PaymentState,
    /// Number of the last attempt, from 1.
    attempt: i64,
    /// Until when it may be tried again.
    deadline_at: DateTime<Utc>,
    /// How much came.
    captured: Option<MoneyBody>,
    /// When it came.
    captured_at: Option<DateTime<Utc>>,
    /// How much went back.
    refunded: MoneyBody,
    /// What was said last of a decline, a void or a silence of the gateway.
    reason: Option<String>,
    /// What the gateway said, in order.
    ledger: Vec<LedgerEntry>,
    /// What is to be or was given back.
    refunds: Vec<RefundBody>,
    /// When the first attempt began.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

/// Something the gateway said.
#[derive(Serialize, ToSchema)]
pub struct LedgerEntry {
    /// The gateway's name for it.
    reference: String,
    /// `captured`, `declined`, `voided` or `refunded`.
    #[schema(value_type = String, example = "captured")]
    kind: FactKind,
    /// How much money it moved.
    amount: Option<MoneyBody>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
}

/// A refund.
#[derive(Serialize, ToSchema)]
pub struct RefundBody {
    /// Which.
    #[schema(value_type = Uuid)]
    refund_id: RefundId,
    /// How much.
    amount: MoneyBody,
    /// Why.
    reason: String,
    /// `pending`, `failed` or `succeeded`.
    #[schema(value_type = String, example = "succeeded")]
    outcome: RefundOutcome,
    /// What the gateway said when it refused.
    failure: Option<String>,
    /// When it was asked for.
    requested_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<PaymentView> for PaymentBody {
    fn from(view: PaymentView) -> Self {
        let currency = view.amount.currency;
        let money = |amount| MoneyBody::of(amount, currency);
        let ledger = view.ledger.into_iter().map(|entry| LedgerEntry {
            reference: entry.reference,
            kind: entry.kind,
            amount: entry.amount.map(money),
            recorded_at: entry.recorded_at,
        });
        let refunds = view.refunds.into_iter().map(|refund| RefundBody {
            refund_id: refund.refund_id,
            amount: money(refund.amount),
            reason: refund.reason,
            outcome: refund.outcome,
            failure: refund.failure,
            requested_at: refund.requested_at,
            updated_at: refund.updated_at,
        });
        Self {
            payment_id: view.payment_id,
            order_id: view.order_id,
            customer_id: view.customer_id,
            amount: view.amount.into(),
            payment_method: view.method,
            status: view.status,
            attempt: view.attempt,
            deadline_at: view.deadline_at,
            captured: view.captured.map(money),
            captured_at: view.captured_at,
            refunded: money(view.refunded),
            reason: view.reason,
            ledger: ledger.collect(),
            refunds: refunds.collect(),
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// Which payments, in which order. All filters must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PaymentQuery {
    /// In this status, for instance `stuck`.
    #[param(value_type = Option<String>)]
    status: Option<PaymentState>,
    /// Of this order.
    #[param(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Of this customer; others than oneself need the permission to read all payments.
    #[param(value_type = Option<Uuid>)]
    customer_id: Option<UserId>,
    /// Begun then or later.
    #[serde(rename = "created_at[gte]")]
    created_at_gte: Option<DateTime<Utc>>,
    /// Begun then or earlier.
    #[serde(rename = "created_at[lte]")]
    created_at_lte: Option<DateTime<Utc>>,
    /// `created_at`, with a `-` in front for newest first, which it is when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List payments
///
/// Customers see those of their orders. Demands the permission to read one's own orders, or all payments.
#[utoipa::path(get, path = "/api/v1/payments", operation_id = "listPayments", tag = "payments", security(("bearer" = [])),
    params(PaymentQuery, NotBefore),
    responses((status = 200, body = PageBody<PaymentBody>, headers(("Link"))), Unplaced, Behind))]
async fn list_payments(
    State(app): State<App>,
    who: Allowed<ReadPayments>,
    Query(query): Query<PaymentQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<PaymentBody>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(PaymentSort::CreatedAt, sort, query.limit, cursor)?;
    let filter = PaymentFilter {
        status: query.status,
        order_id: query.order_id,
        customer_id: who.whose(Permission::ReadPayments, query.customer_id)?,
        created_at: Span {
            gte: query.created_at_gte,
            lte: query.created_at_lte,
        },
    };
    app.caught_up(View::Payments, position).await?;
    let Page { items, next } = app.read_models.payments(&filter, &page).await?;
    Ok(list::page(
        &uri,
        Page {
            items: items.into_iter().map(Into::into).collect(),
            next,
        },
    ))
}

/// Read a payment
///
/// Another's is not found. Demands the permission to read one's own orders, or all payments.
#[utoipa::path(get, path = "/api/v1/payments/{id}", operation_id = "readPayment", tag = "payments", security(("bearer" = [])),
    params(ById, NotBefore),
    responses((status = 200, body = PaymentBody, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    who: Allowed<ReadPayments>,
    Id(id): Id<PaymentId>,
    position: MinPosition,
) -> Result<Answer<PaymentBody>, ApiError> {
    app.caught_up_on(View::Payments, id, position).await?;
    let payment = app.read_models.payment(id).await?;
    let payment = payment
        .filter(|payment| who.may_see(Permission::ReadPayments, payment.customer_id))
        .ok_or(Kind::NotFound)?;
    let sequence = payment.sequence;
    Ok(Answer::ok(payment.into()).version(sequence))
}
