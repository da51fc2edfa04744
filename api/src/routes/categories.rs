//! Categories: everybody reads them, admins manage them.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use commands::Versioned;
use domain::{
    category::{Category, CategoryDetails},
    ids::CategoryId,
    text::Title,
};
use eventstore::unit::Committed;
use garde::Validate;
use projections::{
    View,
    categories::{CategoryFilter, CategorySort, CategoryView},
    page::{Direction, Limits, Page, Sort},
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
    auth::{Allowed, ManageCategories},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition, Query},
    fields::input,
    openapi::parts::{
        Behind, ById, Missing, NotBefore, NotDone, OnlyIf, Repeatable, Stale, TitleTaken, Unplaced,
    },
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_categories, create))
        .routes(routes!(read, rename, delete))
}

/// A category.
#[derive(Serialize, ToSchema)]
pub struct CategoryBody {
    /// Which.
    #[schema(value_type = Uuid)]
    category_id: CategoryId,
    /// Its name, unique among categories.
    #[schema(example = "Shirts")]
    title: String,
}

/// A category in the list.
#[derive(Serialize, ToSchema)]
pub struct ListedCategory {
    /// What it is.
    #[serde(flatten)]
    category: CategoryBody,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<CategoryDetails> for CategoryBody {
    fn from(category: CategoryDetails) -> Self {
        Self {
            category_id: category.category_id,
            title: category.title.to_string(),
        }
    }
}

impl From<CategoryView> for ListedCategory {
    fn from(view: CategoryView) -> Self {
        Self {
            category: view.details.into(),
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// Which categories, in which order. All filters must fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CategoryQuery {
    /// Of exactly this title.
    #[param(value_type = Option<String>)]
    title: Option<Title>,
    /// `title` or `created_at`, with a `-` in front for the other direction; `title` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A category to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoryInput {
    /// Its name; none other of the categories may have it, however it is spelled.
    #[garde(dive)]
    title: input::Title,
}

/// What is to change of a category.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoryPatch {
    /// Its name.
    #[garde(dive)]
    title: input::Title,
}

fn answered(done: Committed<Versioned<CategoryDetails>>) -> Answer<CategoryBody> {
    Answer::ok(done.output.state.into())
        .version(done.output.sequence)
        .at(done.head)
}

fn location(id: CategoryId) -> String {
    format!("/api/v1/categories/{id}")
}

/// List categories
///
/// Without the deleted ones.
#[utoipa::path(get, path = "/api/v1/categories", operation_id = "listCategories", tag = "categories",
    params(CategoryQuery, NotBefore),
    responses((status = 200, body = PageBody<ListedCategory>, headers(("Link"))), Unplaced, Behind))]
async fn list_categories(
    State(app): State<App>,
    Query(query): Query<CategoryQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<ListedCategory>>, ApiError> {
    let by_title = Sort {
        key: CategorySort::Title,
        direction: Direction::Asc,
    };
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::request(Limits::STANDARD, by_title, sort, query.limit, cursor)?;
    let filter = CategoryFilter { title: query.title };
    app.caught_up(View::Categories, position).await?;
    let Page { items, next } = app.read_models.categories(&filter, &page).await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(list::page(&uri, Page { items, next }))
}

/// Make a category
///
/// Demands the permission to manage categories.
#[utoipa::path(post, path = "/api/v1/categories", operation_id = "createCategory", tag = "categories", security(("bearer" = [])),
    request_body = CategoryInput, params(Repeatable),
    responses(
        (status = 201, body = CategoryBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        TitleTaken, NotDone,
    ))]
async fn create(
    State(app): State<App>,
    who: Allowed<ManageCategories>,
    call: Call,
    body: Body<CategoryInput>,
) -> Result<Answer<CategoryBody>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let category_id = CategoryId(Uuid::now_v7());
    let title = body.value.title.take();
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), category_id));
    let request = call.request(&who, "CreateCategory", key);
    let commands = app.commands.clone();
    let command = async move { commands.create_category(request, category_id, title).await };
    match run_once(&app.log, attempt, command).await? {
        Outcome::Done(done) => Ok(answered(done).created(&location(category_id))),
        Outcome::Before(earlier) => {
            let id: CategoryId = stored_id(&earlier.resource)?;
            let (category, sequence) = app.log.load::<Category>(id).await?;
            let details = category.details().cloned().ok_or(Kind::NotFound)?;
            let answer = Answer::ok(details.into())
                .version(sequence)
                .created(&location(id));
            Ok(answer.replayed(&earlier))
        }
    }
}

/// Read a category
#[utoipa::path(get, path = "/api/v1/categories/{id}", operation_id = "readCategory", tag = "categories",
    params(ById, NotBefore),
    responses((status = 200, body = ListedCategory, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    Id(id): Id<CategoryId>,
    position: MinPosition,
) -> Result<Answer<ListedCategory>, ApiError> {
    app.caught_up_on(View::Categories, id, position).await?;
    let category = app.read_models.category(id).await?;
    let category = category.filter(|category| !category.details.deleted);
    let category = category.ok_or(Kind::NotFound)?;
    let sequence = category.sequence;
    Ok(Answer::ok(category.into()).version(sequence))
}

/// Rename a category
///
/// Demands the permission to manage categories.
#[utoipa::path(patch, path = "/api/v1/categories/{id}", operation_id = "renameCategory", tag = "categories", security(("bearer" = [])),
    request_body = CategoryPatch, params(ById, OnlyIf),
    responses(
        (status = 200, body = CategoryBody, headers(("ETag"), ("Souk-Position"))),
        Missing, TitleTaken, Stale, NotDone,
    ))]
async fn rename(
    State(app): State<App>,
    who: Allowed<ManageCategories>,
    Id(id): Id<CategoryId>,
    expected: IfMatch,
    call: Call,
    body: Body<CategoryPatch>,
) -> Result<Answer<CategoryBody>, ApiError> {
    let title = body.value.title.take();
    let request = call.request(&who, "RenameCategory", None);
    let commands = app.commands.clone();
    let renamed = run(async move {
        commands
            .rename_category(request, id, title, expected.version())
            .await
    })
    .await?;
    Ok(answered(renamed))
}

/// Delete a category
///
/// It is shown no more and takes no new products; those that are in it stay as they are. Its title is free again. Demands
/// the permission to manage categories.
#[utoipa::path(delete, path = "/api/v1/categories/{id}", operation_id = "deleteCategory", tag = "categories", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses((status = 204, description = "Deleted, now or before", headers(("Souk-Position"))), Missing, Stale, NotDone))]
async fn delete(
    State(app): State<App>,
    who: Allowed<ManageCategories>,
    Id(id): Id<CategoryId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<()>, ApiError> {
    let request = call.request(&who, "DeleteCategory", None);
    let commands = app.commands.clone();
    let deleted = run(async move {
        commands
            .delete_category(request, id, expected.version())
            .await
    })
    .await?;
    Ok(Answer::no_content().at(deleted.head))
}
