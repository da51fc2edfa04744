//! Log-in of `/api/v1`: e-mail and password against a short-lived access token.

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use garde::Validate;
use identity::{Roles, TokenKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    answer::Answer, error::ApiError, extract::Body, fields::input, openapi::parts::NotLoggedIn,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(log_in))
}

/// Who wants to log in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The e-mail address.
    #[garde(dive)]
    #[schema(value_type = String, example = "customer@example.com")]
    pub(super) email: input::Text,
    /// The password.
    #[garde(dive)]
    #[schema(value_type = String, format = "password", example = "souk-demo")]
    pub(super) password: input::Text,
}

/// An access token.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// To be sent as `Authorization: Bearer <access_token>`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until it expires.
    #[schema(example = 900)]
    expires_in: u64,
    /// When it expires.
    expires_at: DateTime<Utc>,
    /// Who logged in.
    user: SignedInUser,
}

/// A user who logged in.
#[derive(Serialize, ToSchema)]
pub struct SignedInUser {
    /// Which.
    #[schema(value_type = Uuid)]
    user_id: UserId,
    /// Their name.
    name: String,
    /// What they are to the shop.
    #[schema(value_type = Vec<String>, example = json!(["customer"]))]
    roles: Roles,
}

/// Log in
///
/// A wrong password and an unknown address are answered alike.
#[utoipa::path(post, path = "/api/v1/login", operation_id = "logIn", tag = "log-in", request_body = Credentials,
    responses((status = 200, body = Session), NotLoggedIn))]
async fn log_in(
    State(app): State<App>,
    body: Body<Credentials>,
) -> Result<Answer<Session>, ApiError> {
    let Credentials { email, password } = body.value;
    let (user, token) = app
        .identity
        .log_in(&email.take(), &password.take(), TokenKind::Api)
        .await?;
    Ok(Answer::ok(Session {
        access_token: token.as_str().to_owned(),
        token_type: "Bearer",
        expires_in: token.lifetime().as_secs(),
        expires_at: token.expires_at(),
        user: SignedInUser {
            user_id: user.id,
            name: user.name,
            roles: user.roles,
        },
    }))
}
