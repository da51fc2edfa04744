//! Closing accounts: one's own, and for admins anybody's, one or many at once; and what became of those that were closed.
//!
//! An account is closed at once, for good: nobody signs in, tokens and API keys are refused, and what was known of the
//! person is deleted. What is sealed for them in events stays readable until their last open order has ended; then its
//! key is destroyed, by a worker (`api/src/closing.rs`). So the answer is 202, always. What is done here is done in person, not with an
//! API key; and to close one's own account takes the password, since it cannot be undone.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    middleware,
};
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use garde::Validate;
use identity::{CloseOwnError, Closure, ClosureFilter, ClosureSort, UsersError};
use projections::page::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    list::{self, PageBody},
    users::{named, within_limit},
};
use crate::{
    answer::Answer,
    auth::{Allowed, ManageUsers, ReadUsers, SignedIn},
    call,
    error::ApiError,
    extract::{Body, Caller, Id, Query},
    fields::{Checked, input},
    limits::{self, Policy},
    openapi::parts::{AdminStays, ById, Missing, TriedTooOften},
    problem::{FieldError, Kind, Problem},
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(close_own))
        .route_layer(middleware::from_fn(limits::tell))
        .routes(routes!(close))
        .routes(routes!(close_many))
        .routes(routes!(list_closures))
}

/// An account that was closed.
#[derive(Serialize, ToSchema)]
pub struct AccountClosure {
    /// Whose it was.
    #[schema(value_type = Uuid)]
    user_id: UserId,
    /// `pending` as long as an order of theirs is open, and a moment beyond; then `erased`.
    #[schema(value_type = String, example = "pending")]
    state: ClosureState,
    /// Whether open orders are cancelled rather than finished.
    cancel_open_orders: bool,
    /// When it was closed.
    closed_at: DateTime<Utc>,
    /// When what was known of the person became unreadable everywhere.
    erased_at: Option<DateTime<Utc>>,
}

/// What became of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosureState {
    /// Closed; the key of the person's data is still needed.
    Pending,
    /// The key is gone.
    Erased,
}

impl From<Closure> for AccountClosure {
    fn from(closure: Closure) -> Self {
        Self {
            user_id: closure.user_id,
            state: match closure.erased_at {
                None => ClosureState::Pending,
                Some(_) => ClosureState::Erased,
            },
            cancel_open_orders: closure.cancel_orders,
            closed_at: closure.closed_at,
            erased_at: closure.erased_at,
        }
    }
}

/// Somebody who closes their own account.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseOwn {
    /// The password of the account, since this cannot be undone.
    #[garde(dive)]
    #[schema(value_type = String, format = "password", example = "souk-demo")]
    password: input::Text,
    /// Whether what was not shipped yet is cancelled; otherwise it is paid and delivered as it was ordered.
    #[garde(dive)]
    #[serde(default)]
    cancel_open_orders: Option<input::Boolean>,
}

/// Accounts to be closed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseMany {
    /// One or more, up to the limit of the server (`SOUK_BULK_LIMIT`), each once.
    #[garde(length(min = 1), dive)]
    #[schema(min_items = 1, value_type = Vec<Uuid>)]
    ids: Vec<input::UserId>,
    /// Whether what was not shipped yet is cancelled; otherwise it is paid and delivered as it was ordered.
    #[garde(dive)]
    #[serde(default)]
    cancel_open_orders: Option<input::Boolean>,
}

/// Accounts that were closed.
#[derive(Serialize, ToSchema)]
pub struct AccountClosures {
    /// In the order of the request.
    items: Vec<AccountClosure>,
}

/// How an account is closed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CloseQuery {
    /// Whether what was not shipped yet is cancelled; otherwise it is paid and delivered as it was ordered.
    #[serde(default)]
    cancel_open_orders: bool,
}

/// Which closed accounts, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClosureQuery {
    /// `pending` or `erased`.
    #[param(value_type = Option<String>, example = "pending")]
    state: Option<ClosureState>,
    /// `closed_at`, with a `-` in front for the newest first; `-closed_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The account as it is from now on.
fn accepted(closed: Vec<Closure>) -> Result<Answer<AccountClosure>, ApiError> {
    let closure = closed.into_iter().next().ok_or(Kind::Internal)?;
    Ok(Answer::ok(closure.into()).status(StatusCode::ACCEPTED))
}

/// Closes accounts, all or none, and forgets what this process keeps of them.
async fn close_all(
    app: &App,
    user_ids: Vec<UserId>,
    cancel_orders: bool,
) -> Result<Result<Vec<Closure>, UsersError>, ApiError> {
    let app = app.clone();
    call::to_its_end(async move {
        let closed = app.identity.close_accounts(&user_ids, cancel_orders).await;
        for user_id in &user_ids {
            app.profiles.forget(*user_id);
        }
        closed
    })
    .await
}

/// Close one's account
///
/// At once and for good: nobody signs in any more, and all tokens and API keys end. Takes the password. Open orders are
/// finished, or cancelled where nothing was shipped and `cancel_open_orders` says so; when the last one has ended, name
/// and address in orders and in the event log become unreadable everywhere. The last admin cannot leave.
#[utoipa::path(delete, path = "/api/v1/profile", operation_id = "closeOwnAccount", tag = "profile", security(("bearer" = [])),
    request_body = CloseOwn,
    responses((status = 202, body = AccountClosure), AdminStays, TriedTooOften))]
async fn close_own(
    State(app): State<App>,
    who: Allowed<SignedIn>,
    caller: Caller,
    body: Body<CloseOwn>,
) -> Result<Answer<AccountClosure>, ApiError> {
    // a copied token must not be a way to try passwords, from however many addresses
    let account = who.user_id.to_string();
    let policy = Policy::LogInToAccount;
    caller.spend_anywhere(policy, &account).await?;
    let CloseOwn {
        password,
        cancel_open_orders,
    } = body.value;
    let (password, cancel) = (
        password.take(),
        cancel_open_orders.is_some_and(Checked::take),
    );
    let user_id = who.user_id;
    let closed = {
        let app = app.clone();
        call::to_its_end(async move {
            let closed = app.identity.close_own(user_id, &password, cancel).await;
            app.profiles.forget(user_id);
            closed
        })
        .await?
    };
    match closed {
        Ok(closed) => accepted(closed),
        Err(CloseOwnError::WrongPassword) => {
            let errors = vec![FieldError::at(
                "/password",
                "is not the password of the account",
            )];
            Err(Problem::new(Kind::Validation).errors(errors).into())
        }
        Err(CloseOwnError::Users(error)) => Err(error.into()),
    }
}

/// Close somebody's account
///
/// As if they did it themselves. Demands the permission to manage users.
#[utoipa::path(delete, path = "/api/v1/users/{id}", operation_id = "closeAccount", tag = "users", security(("bearer" = [])),
    params(ById, CloseQuery),
    responses((status = 202, body = AccountClosure), Missing, AdminStays))]
async fn close(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    Id(user_id): Id<UserId>,
    Query(query): Query<CloseQuery>,
) -> Result<Answer<AccountClosure>, ApiError> {
    accepted(close_all(&app, vec![user_id], query.cancel_open_orders).await??)
}

/// Close many accounts
///
/// All or none; the last admin stays. Demands the permission to manage users.
#[utoipa::path(post, path = "/api/v1/users/bulk-delete", operation_id = "closeAccounts", tag = "users", security(("bearer" = [])),
    request_body = CloseMany, responses((status = 202, body = AccountClosures), AdminStays))]
async fn close_many(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    body: Body<CloseMany>,
) -> Result<Answer<AccountClosures>, ApiError> {
    let CloseMany {
        ids,
        cancel_open_orders,
    } = body.value;
    within_limit(&app, "/ids", ids.len())?;
    let ids = ids.into_iter().map(Checked::take).collect();
    let cancel = cancel_open_orders.is_some_and(Checked::take);
    let closed = close_all(&app, ids, cancel).await?;
    let closed = closed.map_err(|error| named(error, |index| format!("/ids/{index}"), ""))?;
    let items = closed.into_iter().map(Into::into).collect();
    Ok(Answer::ok(AccountClosures { items }).status(StatusCode::ACCEPTED))
}

/// List closed accounts
///
/// Ids and times: nothing else is kept of them. Demands the permission to manage users.
#[utoipa::path(get, path = "/api/v1/account-closures", operation_id = "listAccountClosures", tag = "users", security(("bearer" = [])),
    params(ClosureQuery),
    responses((status = 200, body = PageBody<AccountClosure>, headers(("Link")))))]
async fn list_closures(
    State(app): State<App>,
    _: Allowed<ReadUsers>,
    Query(query): Query<ClosureQuery>,
    uri: Uri,
) -> Result<Answer<PageBody<AccountClosure>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(ClosureSort::ClosedAt, sort, query.limit, cursor)?;
    let filter = ClosureFilter {
        erased: query.state.map(|state| state == ClosureState::Erased),
    };
    let Page { items, next } = app.identity.closures(filter, &page).await?;
    Ok(list::page(
        &uri,
        Page {
            items: items.into_iter().map(Into::into).collect(),
            next,
        },
    ))
}
