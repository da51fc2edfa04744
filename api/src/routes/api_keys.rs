//! API keys: made, listed and revoked by whom they speak for, in person; admins see and revoke those of others.

use axum::{extract::State, http::Uri};
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use garde::Validate;
use identity::{ApiKey, CreateApiKeyError, NewApiKey, Permission, Principal, TokenError};
use projections::page::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::list::{self, PageBody};
use crate::{
    answer::Answer,
    auth::{Allowed, SignedIn},
    call,
    error::ApiError,
    extract::{Body, Id, Query},
    fields::{Checked, input},
    openapi::parts::{ById, Missing, TooManyKeys},
    problem::{FieldError, Kind, Problem},
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_keys, create))
        .routes(routes!(revoke))
}

/// An API key to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyInput {
    /// What it is for, in one's own words.
    #[garde(dive)]
    #[schema(example = "warehouse scanner")]
    name: input::Title,
    /// What it may do: some of what its maker may. None is a key that does no more than somebody without one.
    #[garde(dive)]
    #[schema(example = json!(["read_own_orders"]))]
    scopes: Vec<input::Permission>,
    /// In how many seconds it ends by itself; never when absent.
    #[garde(dive)]
    #[serde(default)]
    expires_in: Option<input::Lifetime>,
}

/// An API key.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyBody {
    /// Which.
    api_key_id: Uuid,
    /// Who made it, and for whom it speaks.
    #[schema(value_type = Uuid)]
    user_id: UserId,
    /// What it is for.
    name: String,
    /// The part of the key behind `souk_`, by which it is recognised.
    #[schema(example = "q7f2mk4x")]
    prefix: String,
    /// What it may do, as long as its maker may.
    #[schema(example = json!(["read_own_orders"]))]
    scopes: Vec<&'static str>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends by itself.
    expires_at: Option<DateTime<Utc>>,
    /// When it was last used, give or take a minute.
    last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
}

/// An API key that was made now.
#[derive(Serialize, ToSchema)]
pub struct NewApiKeyBody {
    /// The key itself, to be sent as `Authorization: Bearer <api_key>`. It is shown this once.
    #[schema(example = "souk_q7f2mk4x_Jm1dTX5n0t8…")]
    api_key: String,
    /// What is seen of it from now on.
    #[serde(flatten)]
    seen: ApiKeyBody,
}

impl From<ApiKey> for ApiKeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            api_key_id: key.id,
            user_id: key.user_id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes.iter().map(Permission::as_str).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// Whose API keys.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApiKeyQuery {
    /// Of this person; others than oneself need the permission to manage users.
    #[param(value_type = Option<Uuid>)]
    user_id: Option<UserId>,
}

/// Make an API key
///
/// For a program that acts in one's name. The key is shown once, so there is nothing to repeat a request for: one whose
/// answer was lost is revoked. Demands an access token, since a key makes no keys.
#[utoipa::path(post, path = "/api/v1/api-keys", operation_id = "createApiKey", tag = "api keys", security(("bearer" = [])), request_body = ApiKeyInput,
    responses((status = 201, body = NewApiKeyBody, headers(("Location"))), TooManyKeys))]
async fn create(
    State(app): State<App>,
    who: Allowed<SignedIn>,
    body: Body<ApiKeyInput>,
) -> Result<Answer<NewApiKeyBody>, ApiError> {
    let scopes: Vec<Permission> = body.value.scopes.into_iter().map(Checked::take).collect();
    refuse_what_one_may_not(&who, &scopes)?;
    let new = NewApiKey {
        name: body.value.name.take(),
        scopes: scopes.into_iter().collect(),
        lifetime: body.value.expires_in.map(|lifetime| lifetime.take().0),
    };
    let (identity, user_id) = (app.identity.clone(), who.user_id);
    let made = call::to_its_end(async move { identity.api_keys().create(user_id, &new).await });
    let (key, text) = made.await?.map_err(refused)?;
    let location = format!("/api/v1/api-keys/{}", key.id);
    let body = NewApiKeyBody {
        api_key: text.as_str().to_owned(),
        seen: key.into(),
    };
    Ok(Answer::ok(body).created(&location))
}

/// A key would grant no more than its maker may anyway; but whoever asks for more is mistaken.
fn refuse_what_one_may_not(who: &Principal, scopes: &[Permission]) -> Result<(), ApiError> {
    let errors: Vec<FieldError> = scopes
        .iter()
        .enumerate()
        .filter(|(_, scope)| !who.can(**scope))
        .map(|(at, scope)| {
            let detail = format!("you do not have the permission {scope} yourself");
            FieldError::at(format!("/scopes/{at}"), detail)
        })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::new(Kind::Validation).errors(errors).into())
    }
}

fn refused(error: CreateApiKeyError) -> ApiError {
    match error {
        CreateApiKeyError::TooMany => Problem::new(Kind::Conflict)
            .detail(error.to_string())
            .into(),
        CreateApiKeyError::Gone => ApiError::Token(Some(TokenError::Revoked)),
        CreateApiKeyError::Fault(fault) => fault.into(),
    }
}

/// List API keys
///
/// One's own, the newest first; the last of those that were revoked or have expired among them. Demands an access
/// token.
#[utoipa::path(get, path = "/api/v1/api-keys", operation_id = "listApiKeys", tag = "api keys", security(("bearer" = [])),
    params(ApiKeyQuery),
    responses((status = 200, body = PageBody<ApiKeyBody>)))]
async fn list_keys(
    State(app): State<App>,
    who: Allowed<SignedIn>,
    Query(query): Query<ApiKeyQuery>,
    uri: Uri,
) -> Result<Answer<PageBody<ApiKeyBody>>, ApiError> {
    let owner = query.user_id.unwrap_or(who.user_id);
    if !who.may_see(Permission::ManageUsers, owner) {
        return Err(Kind::Forbidden.into());
    }
    let keys = app.identity.api_keys().of(owner).await?;
    let items = keys.into_iter().map(Into::into).collect();
    Ok(list::page(&uri, Page { items, next: None }))
}

/// Revoke an API key
///
/// At once in this process, within two seconds in others. Another's is not found, except with the permission to manage
/// users. Demands an access token.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", operation_id = "revokeApiKey", tag = "api keys", security(("bearer" = [])),
    params(ById),
    responses((status = 204), Missing))]
async fn revoke(
    State(app): State<App>,
    who: Allowed<SignedIn>,
    Id(id): Id<Uuid>,
) -> Result<Answer<()>, ApiError> {
    let owner = (!who.can(Permission::ManageUsers)).then_some(who.user_id);
    let identity = app.identity.clone();
    let revoked = call::to_its_end(async move { identity.api_keys().revoke(id, owner).await });
    if revoked.await?? {
        Ok(Answer::no_content())
    } else {
        Err(Kind::NotFound.into())
    }
}
