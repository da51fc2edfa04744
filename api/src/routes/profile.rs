//! The profile: what those who are signed in read and change of themselves. What they log in with is not changed here.

use axum::extract::State;
use garde::Validate;
use identity::{Refusal, RoleChange, TokenError, UserChanges, UsersError};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::users::{UserBody, answered, change_one};
use crate::{
    answer::Answer,
    auth::{Allowed, SignedIn},
    error::ApiError,
    extract::{Body, IfMatch},
    fields::{self, Given, input},
    openapi::parts::{OnlyIf, Stale},
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(read, change))
}

/// What is to change of one's profile; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePatch {
    /// One's name.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::PersonName)]
    name: Given<input::PersonName>,
    /// Where mail goes; null takes it away. The address to log in with stays as it is.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    contact_email: fields::Change<input::Email>,
    /// One's telephone number; null takes it away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: fields::Change<input::PhoneNumber>,
    /// Where parcels go when an order says nothing else; null takes it away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    address: fields::Change<input::PostalAddress>,
}

/// A token outlives the user that it speaks for by a moment: then it speaks for nobody.
fn gone() -> ApiError {
    ApiError::Token(Some(TokenError::Revoked))
}

/// Read one's profile
#[utoipa::path(get, path = "/api/v1/profile", operation_id = "readProfile", tag = "profile", security(("bearer" = [])),
    responses((status = 200, body = UserBody, headers(("ETag")))))]
async fn read(
    State(app): State<App>,
    who: Allowed<SignedIn>,
) -> Result<Answer<UserBody>, ApiError> {
    let user = app.identity.user(who.user_id).await?;
    Ok(answered(user.ok_or_else(gone)?))
}

/// Change one's profile
///
/// Orders that are placed from now on go by it. What one logs in with, and one's roles, are not changed here.
#[utoipa::path(patch, path = "/api/v1/profile", operation_id = "changeProfile", tag = "profile", security(("bearer" = [])),
    request_body = ProfilePatch, params(OnlyIf),
    responses((status = 200, body = UserBody, headers(("ETag"))), Stale))]
async fn change(
    State(app): State<App>,
    who: Allowed<SignedIn>,
    expected: IfMatch,
    body: Body<ProfilePatch>,
) -> Result<Answer<UserBody>, ApiError> {
    let patch = body.value;
    let changes = UserChanges {
        name: patch.name.take(),
        contact_email: patch.contact_email.take(),
        phone: patch.phone.take(),
        address: patch.address.take(),
        roles: RoleChange::Keep,
    };
    match change_one(&app, who.user_id, expected, changes).await {
        Err(ApiError::Users(UsersError::Refused(refused)))
            if refused == [(0, Refusal::Missing)] =>
        {
            Err(gone())
        }
        done => done.map(answered),
    }
}
