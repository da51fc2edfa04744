//! Regions: everybody reads them, admins manage them.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use commands::{
    Versioned,
    regions::{NewRegion, RegionChanges},
};
use domain::{
    ids::RegionId,
    money::Currency,
    region::{Region, RegionDetails},
};
use eventstore::unit::Committed;
use garde::Validate;
use projections::{
    View,
    page::{Direction, Limits, Page, Sort},
    regions::{RegionFilter, RegionSort, RegionView},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    body::stored_id,
    list::{self, PageBody},
};
use crate::{
    answer::Answer,
    auth::{Allowed, ManageRegions},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition, Query},
    fields::{Checked, Given, input},
    openapi::parts::{
        Behind, ById, Missing, NotBefore, NotDone, OnlyIf, Repeatable, Stale, Taken, Unplaced,
    },
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_regions, open))
        .routes(routes!(read, change, delete))
        .routes(routes!(enable))
        .routes(routes!(disable))
}

/// A region.
#[derive(Serialize, ToSchema)]
pub struct RegionBody {
    /// Which.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// Its name.
    #[schema(example = "Vietnam")]
    title: String,
    /// Where it is, by ISO 3166-1.
    #[schema(example = "VN")]
    country: String,
    /// What all its prices are in, for good.
    #[schema(example = "VND")]
    currency: &'static str,
    /// Rate of its sales tax in basis points.
    #[schema(example = 1000)]
    tax_rate: u32,
    /// Whether its prices contain the tax.
    prices_include_tax: bool,
    /// Whether a product that names only a currency lands here.
    default_for_currency: bool,
    /// Whether it takes new orders and products.
    enabled: bool,
}

impl From<RegionDetails> for RegionBody {
    fn from(region: RegionDetails) -> Self {
        Self {
            region_id: region.region_id,
            title: region.title.to_string(),
            country: region.country.to_string(),
            currency: region.currency.code(),
            tax_rate: region.tax_rate.basis_points(),
            prices_include_tax: region.prices_include_tax,
            default_for_currency: region.default_for_currency,
            enabled: region.enabled,
        }
    }
}

/// A region in the list.
#[derive(Serialize, ToSchema)]
pub struct ListedRegion {
    /// What it is.
    #[serde(flatten)]
    region: RegionBody,
    /// When it was opened.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<RegionView> for ListedRegion {
    fn from(view: RegionView) -> Self {
        Self {
            region: view.details.into(),
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// Which regions, in which order. All filters must fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RegionQuery {
    /// With prices in this currency.
    #[param(value_type = Option<String>)]
    currency: Option<Currency>,
    /// Whether they take orders and products; both when absent.
    enabled: Option<bool>,
    /// `title` or `created_at`, with a `-` in front for the other direction; `title` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A region to be opened.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionInput {
    /// Its name.
    #[garde(dive)]
    title: input::Title,
    /// Where it is.
    #[garde(dive)]
    country: input::CountryCode,
    /// What all its prices will be in, for good.
    #[garde(dive)]
    currency: input::Currency,
    /// Rate of its sales tax.
    #[garde(dive)]
    tax_rate: input::TaxRate,
    /// Whether its prices contain the tax; false when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    prices_include_tax: Option<input::Boolean>,
    /// Whether a product that names only a currency lands here; false when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    default_for_currency: Option<input::Boolean>,
}

/// What is to change of a region; what is absent stays. The currency never changes.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionPatch {
    /// Its name.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::Title)]
    title: Given<input::Title>,
    /// Where it is.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::CountryCode)]
    country: Given<input::CountryCode>,
    /// Rate of its sales tax; orders that are placed keep theirs.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::TaxRate)]
    tax_rate: Given<input::TaxRate>,
    /// Whether its prices contain the tax.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = bool)]
    prices_include_tax: Given<input::Boolean>,
    /// Whether a product that names only a currency lands here.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = bool)]
    default_for_currency: Given<input::Boolean>,
}

fn answered(done: Committed<Versioned<RegionDetails>>) -> Answer<RegionBody> {
    Answer::ok(done.output.state.into())
        .version(done.output.sequence)
        .at(done.head)
}

/// List regions
///
/// The disabled ones too, unless `enabled` says which; without the deleted ones.
#[utoipa::path(get, path = "/api/v1/regions", operation_id = "listRegions", tag = "regions",
    params(RegionQuery, NotBefore),
    responses((status = 200, body = PageBody<ListedRegion>, headers(("Link"))), Unplaced, Behind))]
async fn list_regions(
    State(app): State<App>,
    Query(query): Query<RegionQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<ListedRegion>>, ApiError> {
    let by_title = Sort {
        key: RegionSort::Title,
        direction: Direction::Asc,
    };
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::request(Limits::STANDARD, by_title, sort, query.limit, cursor)?;
    let filter = RegionFilter {
        currency: query.currency,
        enabled: query.enabled,
    };
    app.caught_up(View::Regions, position).await?;
    let Page { items, next } = app.read_models.regions(&filter, &page).await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(list::page(&uri, Page { items, next }))
}

/// Open a region
///
/// Demands the permission to manage regions.
#[utoipa::path(post, path = "/api/v1/regions", operation_id = "openRegion", tag = "regions", security(("bearer" = [])), request_body = RegionInput,
    params(Repeatable),
    responses(
        (status = 201, body = RegionBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        Taken, NotDone,
    ))]
async fn open(
    State(app): State<App>,
    who: Allowed<ManageRegions>,
    call: Call,
    body: Body<RegionInput>,
) -> Result<Answer<RegionBody>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let region_id = RegionId(Uuid::now_v7());
    let region = NewRegion {
        region_id,
        title: body.value.title.take(),
        country: body.value.country.take(),
        currency: body.value.currency.take(),
        tax_rate: body.value.tax_rate.take(),
        prices_include_tax: body.value.prices_include_tax.is_some_and(Checked::take),
        default_for_currency: body.value.default_for_currency.is_some_and(Checked::take),
    };
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), region_id));
    let request = call.request(&who, "OpenRegion", key);
    let commands = app.commands.clone();
    let command = async move { commands.open_region(request, region).await };
    match run_once(&app.log, attempt, command).await? {
        Outcome::Done(done) => Ok(answered(done).created(&format!("/api/v1/regions/{region_id}"))),
        Outcome::Before(earlier) => {
            let id: RegionId = stored_id(&earlier.resource)?;
            let (region, sequence) = app.log.load::<Region>(id).await?;
            let details = region.details().cloned().ok_or(Kind::NotFound)?;
            let answer = Answer::ok(details.into())
                .version(sequence)
                .created(&format!("/api/v1/regions/{id}"));
            Ok(answer.replayed(&earlier))
        }
    }
}

/// Read a region
#[utoipa::path(get, path = "/api/v1/regions/{id}", operation_id = "readRegion", tag = "regions",
    params(ById, NotBefore),
    responses((status = 200, body = ListedRegion, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    Id(id): Id<RegionId>,
    position: MinPosition,
) -> Result<Answer<ListedRegion>, ApiError> {
    app.caught_up_on(View::Regions, id, position).await?;
    let region = app.read_models.region(id).await?;
    let region = region.filter(|region| !region.details.deleted);
    let region = region.ok_or(Kind::NotFound)?;
    let sequence = region.sequence;
    Ok(Answer::ok(region.into()).version(sequence))
}

/// Change a region
///
/// Demands the permission to manage regions.
#[utoipa::path(patch, path = "/api/v1/regions/{id}", operation_id = "changeRegion", tag = "regions", security(("bearer" = [])), request_body = RegionPatch,
    params(ById, OnlyIf),
    responses(
        (status = 200, body = RegionBody, headers(("ETag"), ("Souk-Position"))),
        Missing, Taken, Stale, NotDone,
    ))]
async fn change(
    State(app): State<App>,
    who: Allowed<ManageRegions>,
    Id(id): Id<RegionId>,
    expected: IfMatch,
    call: Call,
    body: Body<RegionPatch>,
) -> Result<Answer<RegionBody>, ApiError> {
    let changes = RegionChanges {
        title: body.value.title.take(),
        country: body.value.country.take(),
        tax_rate: body.value.tax_rate.take(),
        prices_include_tax: body.value.prices_include_tax.take(),
        default_for_currency: body.value.default_for_currency.take(),
    };
    let request = call.request(&who, "ChangeRegion", None);
    let commands = app.commands.clone();
    let region = run(async move {
        commands
            .change_region(request, id, changes, expected.version())
            .await
    })
    .await?;
    Ok(answered(region))
}

/// Delete a region
///
/// It is shown no more, and takes no new orders and products, for good; orders that are placed are finished. Its currency may have
/// another default region. Demands the permission to manage regions.
#[utoipa::path(delete, path = "/api/v1/regions/{id}", operation_id = "deleteRegion", tag = "regions", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses((status = 204, description = "Deleted, now or before", headers(("Souk-Position"))), Missing, Stale, NotDone))]
async fn delete(
    State(app): State<App>,
    who: Allowed<ManageRegions>,
    Id(id): Id<RegionId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<()>, ApiError> {
    let request = call.request(&who, "DeleteRegion", None);
    let commands = app.commands.clone();
    let deleted = run(async move {
        commands
            .delete_region(request, id, expected.version())
            .await
    })
    .await?;
    Ok(Answer::no_content().at(deleted.head))
}

/// Enable a region
///
/// It takes orders and products again. Demands the permission to manage regions.
#[utoipa::path(post, path = "/api/v1/regions/{id}/enable", operation_id = "enableRegion", tag = "regions", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses(
        (status = 200, body = RegionBody, headers(("ETag"), ("Souk-Position"))),
        Missing, Stale, NotDone,
    ))]
async fn enable(
    State(app): State<App>,
    who: Allowed<ManageRegions>,
    Id(id): Id<RegionId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<RegionBody>, ApiError> {
    let request = call.request(&who, "EnableRegion", None);
    let commands = app.commands.clone();
    let enabled = run(async move {
        commands
            .enable_region(request, id, expected.version())
            .await
    })
    .await?;
    Ok(answered(enabled))
}

/// Disable a region
///
/// It takes no new orders and products; orders that are placed are finished. Demands the permission to manage regions.
#[utoipa::path(post, path = "/api/v1/regions/{id}/disable", operation_id = "disableRegion", tag = "regions", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses(
        (status = 200, body = RegionBody, headers(("ETag"), ("Souk-Position"))),
        Missing, Stale, NotDone,
    ))]
async fn disable(
    State(app): State<App>,
    who: Allowed<ManageRegions>,
    Id(id): Id<RegionId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<RegionBody>, ApiError> {
    let request = call.request(&who, "DisableRegion", None);
    let commands = app.commands.clone();
    let disabled = run(async move {
        commands
            .disable_region(request, id, expected.version())
            .await
    })
    .await?;
    Ok(answered(disabled))
}
