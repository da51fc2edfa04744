//! Sessions of `/api/v1`: e-mail and password against a short-lived access token and a refresh token, which is good for
//! the next two; and the ways to end a session.

use axum::{extract::State, middleware};
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use garde::Validate;
use identity::{LoggedIn, Roles, TokenKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    answer::Answer,
    auth::{Allowed, SignedIn},
    call,
    error::ApiError,
    extract::{Body, Caller},
    fields::input,
    limits::{self, Policy},
    openapi::parts::{NotLoggedIn, NotRefreshed, TriedTooOften},
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(log_out_everywhere))
        .route_layer(middleware::from_fn(limits::tell))
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

/// A refresh token.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The last one that was given out.
    #[garde(dive)]
    #[schema(value_type = String, example = "7b0f3c52-4f0e-4d5e-9a3b-0c9f0a6d8e11")]
    refresh_token: input::Text,
}

/// A session, begun or continued.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// To be sent as `Authorization: Bearer <access_token>`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    expires_in: u64,
    /// When the access token expires.
    expires_at: DateTime<Utc>,
    /// Good once, for the next two tokens. One that is used a second time ends the session; only within ten seconds the
    /// same successor is given out again.
    #[schema(example = "7b0f3c52-4f0e-4d5e-9a3b-0c9f0a6d8e11")]
    refresh_token: Option<String>,
    /// When the session ends, unless it is continued before.
    refresh_expires_at: Option<DateTime<Utc>>,
    /// Who logged in.
    user: SignedInUser,
}

impl From<LoggedIn> for Session {
    fn from(logged_in: LoggedIn) -> Self {
        let LoggedIn {
            user,
            access_token,
            refresh_token,
        } = logged_in;
        Self {
            access_token: access_token.as_str().to_owned(),
            token_type: "Bearer",
            expires_in: access_token.lifetime().as_secs(),
            expires_at: access_token.expires_at(),
            refresh_expires_at: refresh_token
                .as_ref()
                .map(identity::RefreshToken::expires_at),
            refresh_token: refresh_token.map(|token| token.text()),
            user: SignedInUser {
                user_id: user.id,
                name: user.name,
                roles: user.roles,
            },
        }
    }
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
    responses((status = 200, body = Session), NotLoggedIn, TriedTooOften))]
async fn log_in(
    State(app): State<App>,
    caller: Caller,
    body: Body<Credentials>,
) -> Result<Answer<Session>, ApiError> {
    let logged_in = within_limits(&app, &caller, body.value, TokenKind::Api).await?;
    Ok(Answer::ok(logged_in.into()))
}

/// Logs somebody in, unless that was tried too often.
pub(super) async fn within_limits(
    app: &App,
    caller: &Caller,
    credentials: Credentials,
    kind: TokenKind,
) -> Result<LoggedIn, ApiError> {
    let (email, password) = (credentials.email.take(), credentials.password.take());
    caller.spend(Policy::LogIn).await?;
    caller.spend_on(Policy::LogInToAccount, &email).await?;
    let from = caller.digests();
    if !app.identity.knows_address(&email, &from).await? {
        // first what stops one address alone, so that it takes many to use up what all strangers have together
        caller.spend_on(Policy::LogInByStranger, &email).await?;
        let policy = Policy::LogInByStrangers;
        caller.spend_anywhere(policy, &email).await?;
    }
    let identity = app.identity.clone();
    call::to_its_end(async move {
        let logged_in = identity.log_in(&email, &password, kind).await?;
        identity
            .remember_address(logged_in.user.id, &from.present)
            .await?;
        Ok(logged_in)
    })
    .await?
}

/// Continue a session
///
/// Exchanges the refresh token for its successor and a new access token. Whoever gets no answer repeats the request
/// within ten seconds.
#[utoipa::path(post, path = "/api/v1/refresh", operation_id = "refresh", tag = "log-in", request_body = Refresh,
    responses((status = 200, body = Session), NotRefreshed, TriedTooOften))]
async fn refresh(
    State(app): State<App>,
    caller: Caller,
    body: Body<Refresh>,
) -> Result<Answer<Session>, ApiError> {
    caller.spend(Policy::Refresh).await?;
    let (identity, token) = (app.identity.clone(), body.value.refresh_token.take());
    let logged_in = call::to_its_end(async move {
        let within_limit = async |who: Uuid| {
            let account = who.to_string();
            let policy = Policy::RefreshOfAccount;
            caller.spend_anywhere(policy, &account).await
        };
        identity.refresh(&token, within_limit).await
    })
    .await??;
    Ok(Answer::ok(logged_in.into()))
}

/// Log out
///
/// Ends the session of the refresh token; an access token of it lives on until it expires. A token that is not known is
/// answered alike.
#[utoipa::path(post, path = "/api/v1/logout", operation_id = "logOut", tag = "log-in", request_body = Refresh,
    responses((status = 204)))]
async fn log_out(State(app): State<App>, body: Body<Refresh>) -> Result<Answer<()>, ApiError> {
    let (identity, token) = (app.identity.clone(), body.value.refresh_token.take());
    call::to_its_end(async move { identity.log_out(&token).await }).await??;
    Ok(Answer::no_content())
}

/// Log out everywhere
///
/// Ends all of one's sessions, those of the simple client contract included, and all access tokens.
#[utoipa::path(post, path = "/api/v1/logout/everywhere", operation_id = "logOutEverywhere", tag = "log-in", security(("bearer" = [])),
    responses((status = 204)))]
async fn log_out_everywhere(
    State(app): State<App>,
    who: Allowed<SignedIn>,
) -> Result<Answer<()>, ApiError> {
    let (identity, user_id) = (app.identity.clone(), who.user_id);
    call::to_its_end(async move { identity.log_out_everywhere(user_id).await }).await??;
    Ok(Answer::no_content())
}
