//! Discounts: sellers manage those of their own shops, admins all. Nobody else sees them, and none of their codes: what a
//! discount takes off is shown where something is priced.

mod body;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use commands::{
    Failure, Versioned,
    discounts::{DiscountChanges, NewDiscount},
};
use domain::{
    category::CategoryError,
    discount::{Discount, DiscountDetails, DiscountError},
    ids::{DiscountId, RegionId, ShopId},
    text::DiscountCode,
};
use eventstore::unit::Committed;
use identity::Permission;
use projections::{
    View,
    discounts::{DiscountFilter, DiscountSort},
    page::Page,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::body::{
    DiscountBody, DiscountInput, DiscountPatch, Fitting, ListedDiscount, TellsDiscount,
};
use super::{
    body::{invalid, stored_id, unknown_reference},
    list::{self, PageBody},
    shop_orders::owner_of,
};
use crate::{
    answer::Answer,
    auth::{Allowed, ManageDiscounts},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition, Query},
    openapi::parts::{
        Behind, ById, Missing, NotBefore, NotDone, NotGiven, NotGivenAnew, OnlyIf, Repeatable,
        Stale, Unplaced,
    },
    problem::{Kind, Problem},
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_discounts, create))
        .routes(routes!(read, update, delete))
}

/// Which discounts, in which order. All filters must fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiscountQuery {
    /// Of this region.
    #[param(value_type = Option<Uuid>)]
    region_id: Option<RegionId>,
    /// Of this shop. Sellers name one of their own.
    #[param(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// With this code, in upper or lower case.
    #[param(value_type = Option<String>)]
    code: Option<DiscountCode>,
    /// Whether they are given without a code.
    automatic: Option<bool>,
    /// Whether they are given now: they have begun, have not ended, are not used up and were not deleted.
    active: Option<bool>,
    /// With those that were deleted.
    include_deleted: Option<bool>,
    /// `created_at`, `title` or `ends_at`, with a `-` in front for the other direction; `-created_at` when absent. What does
    /// not end comes last by `ends_at`.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Whether the discounts of that shop, or those of the market where there is none, are theirs to see.
async fn may_see(
    app: &App,
    who: &Allowed<ManageDiscounts>,
    shop_id: Option<ShopId>,
) -> Result<bool, ApiError> {
    if who.can(Permission::ManageDiscounts) {
        return Ok(true);
    }
    match shop_id {
        Some(shop_id) => Ok(owner_of(app, shop_id).await? == Some(who.user_id)),
        None => Ok(false),
    }
}

/// What is not theirs to change does not exist for sellers: they do not see it, either.
fn hidden(error: ApiError) -> ApiError {
    match error {
        ApiError::Command(Failure::NotYours) => Kind::NotFound.into(),
        other => other,
    }
}

/// Points at what in the body names something that does not exist, or states another currency than the region's.
fn in_body(error: ApiError, currency_at: &str) -> ApiError {
    match error {
        ApiError::Command(
            Failure::NotFound { what: "category" } | Failure::Category(CategoryError::Deleted),
        ) => invalid("/scope/category_ids", "a category does not exist"),
        ApiError::Command(Failure::Discount(error @ DiscountError::CurrencyDiffers { .. })) => {
            invalid(currency_at, &error.to_string())
        }
        other => unknown_reference(other),
    }
}

fn answered(done: Committed<Versioned<DiscountDetails>>) -> Answer<DiscountBody> {
    Answer::ok(done.output.state.into())
        .version(done.output.sequence)
        .at(done.head)
}

fn location(id: DiscountId) -> String {
    format!("/api/v1/discounts/{id}")
}

/// List discounts
///
/// Demands the permission to manage discounts, or that `shop_id` names a shop of one's own.
#[utoipa::path(get, path = "/api/v1/discounts", operation_id = "listDiscounts", tag = "discounts", security(("bearer" = [])),
    params(DiscountQuery, NotBefore),
    responses((status = 200, body = PageBody<ListedDiscount>, headers(("Link"))), Unplaced, Behind))]
async fn list_discounts(
    State(app): State<App>,
    who: Allowed<ManageDiscounts>,
    Query(query): Query<DiscountQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<ListedDiscount>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(DiscountSort::CreatedAt, sort, query.limit, cursor)?;
    if !may_see(&app, &who, query.shop_id).await? {
        return Err(Problem::new(Kind::Forbidden)
            .detail("shop_id must name a shop of your own")
            .into());
    }
    let filter = DiscountFilter {
        region_id: query.region_id,
        shop_id: query.shop_id,
        code: query.code,
        automatic: query.automatic,
        active: query.active,
        include_deleted: query.include_deleted.unwrap_or_default(),
    };
    app.caught_up(View::Discounts, position).await?;
    let Page { items, next } = app.read_models.discounts(&filter, &page).await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(list::page(&uri, Page { items, next }))
}

/// Create a discount
///
/// Demands the permission to manage discounts, or that it is of a shop of one's own.
#[utoipa::path(post, path = "/api/v1/discounts", operation_id = "createDiscount", tag = "discounts", security(("bearer" = [])),
    request_body = DiscountInput, params(Repeatable),
    responses(
        (status = 201, body = DiscountBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        NotGiven, NotDone,
    ))]
async fn create(
    State(app): State<App>,
    who: Allowed<ManageDiscounts>,
    call: Call,
    body: Body<Fitting<DiscountInput>>,
) -> Result<Answer<DiscountBody>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let by = app.manager(&who, Permission::ManageDiscounts)?;
    let discount_id = DiscountId(Uuid::now_v7());
    let input = body.value.0;
    let currency_at = input.currency_at();
    let discount: NewDiscount = input.take(discount_id);
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), discount_id));
    let request = call.request(&who, "CreateDiscount", key);
    let commands = app.commands.clone();
    let command = async move { commands.create_discount(request, by, discount).await };
    let created = run_once(&app.log, attempt, command)
        .await
        .map_err(|error| in_body(error, currency_at))?;
    match created {
        Outcome::Done(done) => Ok(answered(done).created(&location(discount_id))),
        Outcome::Before(earlier) => {
            let id: DiscountId = stored_id(&earlier.resource)?;
            let (discount, _) = app.log.load::<Discount>(id).await?;
            let details = discount.details().cloned().ok_or(Kind::NotFound)?;
            let revision = details.revision;
            let answer = Answer::ok(details.into())
                .version(revision)
                .created(&location(id));
            Ok(answer.replayed(&earlier))
        }
    }
}

/// Read a discount
///
/// Its ETag does not change when it is used. Demands the permission to manage discounts, or that it is of a shop of one's
/// own.
#[utoipa::path(get, path = "/api/v1/discounts/{id}", operation_id = "readDiscount", tag = "discounts", security(("bearer" = [])),
    params(ById, NotBefore),
    responses((status = 200, body = ListedDiscount, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    who: Allowed<ManageDiscounts>,
    Id(id): Id<DiscountId>,
    position: MinPosition,
) -> Result<Answer<ListedDiscount>, ApiError> {
    app.caught_up_on(View::Discounts, id, position).await?;
    let discount = app.read_models.discount(id).await?;
    let discount = discount.filter(|discount| !discount.details.deleted);
    let discount = discount.ok_or(Kind::NotFound)?;
    if !may_see(&app, &who, discount.details.shop_id).await? {
        return Err(Kind::NotFound.into());
    }
    let revision = discount.details.revision;
    Ok(Answer::ok(discount.into()).version(revision))
}

/// Change a discount
///
/// Orders that use it keep what they have. Demands the permission to manage discounts, or that it is of a shop of one's
/// own.
#[utoipa::path(patch, path = "/api/v1/discounts/{id}", operation_id = "updateDiscount", tag = "discounts", security(("bearer" = [])),
    request_body = DiscountPatch, params(ById, OnlyIf),
    responses(
        (status = 200, body = DiscountBody, headers(("ETag"), ("Souk-Position"))),
        Missing, NotGivenAnew, Stale, NotDone,
    ))]
async fn update(
    State(app): State<App>,
    who: Allowed<ManageDiscounts>,
    Id(id): Id<DiscountId>,
    expected: IfMatch,
    call: Call,
    body: Body<Fitting<DiscountPatch>>,
) -> Result<Answer<DiscountBody>, ApiError> {
    let by = app.manager(&who, Permission::ManageDiscounts)?;
    let patch = body.value.0;
    let currency_at = patch.currency_at();
    let changes: DiscountChanges = patch.take();
    let request = call.request(&who, "ChangeDiscount", None);
    let commands = app.commands.clone();
    let done = run(async move {
        commands
            .change_discount(request, by, id, changes, expected.version())
            .await
    })
    .await
    .map_err(|error| in_body(hidden(error), currency_at))?;
    Ok(answered(done))
}

/// Delete a discount
///
/// It is given no more, and its code is free again; orders that use it keep what they have. Demands the permission to manage
/// discounts, or that it is of a shop of one's own.
#[utoipa::path(delete, path = "/api/v1/discounts/{id}", operation_id = "deleteDiscount", tag = "discounts", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses((status = 204, description = "Deleted, now or before", headers(("Souk-Position"))), Missing, Stale, NotDone))]
async fn delete(
    State(app): State<App>,
    who: Allowed<ManageDiscounts>,
    Id(id): Id<DiscountId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<()>, ApiError> {
    let by = app.manager(&who, Permission::ManageDiscounts)?;
    let request = call.request(&who, "DeleteDiscount", None);
    let commands = app.commands.clone();
    let deleted = run(async move {
        commands
            .delete_discount(request, by, id, expected.version())
            .await
    })
    .await
    .map_err(hidden)?;
    Ok(Answer::no_content().at(deleted.head))
}
