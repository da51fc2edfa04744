//! Registration, log-in and profile of the simple client contract.

use axum::{extract::State, http::StatusCode, middleware};
use domain::ids::UserId;
use identity::{TokenError, TokenKind};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    answer::Answer,
    auth::{Allowed, SignedIn},
    error::ApiError,
    extract::{Body, Caller},
    limits::{self, Policy},
    openapi::parts::{AddressTaken, NotLoggedIn, TriedTooOften},
    routes::{
        registrations::RegistrationInput,
        sessions::{Credentials, within_limits},
    },
    state::App,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(profile))
        .route_layer(middleware::from_fn(limits::tell))
}

/// An account was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    #[schema(example = "Registration was successfully")]
    message: &'static str,
    data: Account,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    name: String,
    email: String,
    /// `user` for a customer, otherwise the strongest of `admin`, `seller` and `analyst`.
    #[schema(example = "user")]
    role: &'static str,
}

/// Somebody logged in.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    #[schema(example = "Login jwt generated")]
    message: &'static str,
    /// To be sent as `Authorization`, as it is.
    #[schema(example = "Bearer eyJhbGciOi…")]
    token: String,
}

/// A profile.
#[derive(Serialize, ToSchema)]
pub(crate) struct Profile {
    #[schema(example = "user Profile")]
    message: &'static str,
    details: Details,
}

/// Who somebody is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Details {
    #[schema(value_type = Uuid)]
    id: UserId,
    name: String,
    /// The address of registration, which one logs in with.
    #[schema(example = "customer@example.com")]
    email: String,
    /// `user` for a customer, otherwise the strongest of `admin`, `seller` and `analyst`.
    #[schema(example = "user")]
    role: &'static str,
}

/// Register (simple contract)
///
/// Makes the account of a customer, and sends a code to confirm the address. One that is taken is answered 409 here.
#[utoipa::path(post, path = "/api/registration", operation_id = "simpleRegister", tag = "simple contract", request_body = RegistrationInput,
    responses((status = 201, body = Registered), AddressTaken, TriedTooOften))]
async fn register(
    State(app): State<App>,
    caller: Caller,
    body: Body<RegistrationInput>,
) -> Result<Answer<Registered>, ApiError> {
    caller.spend(Policy::Registration).await?;
    let RegistrationInput {
        name,
        email,
        password,
    } = body.value;
    let (name, email, password) = (name.take(), email.take(), password.take());
    // a mail follows: as many to one mailbox as of codes
    let policy = Policy::CodesOfAccount;
    caller.spend_on(policy, email.as_str()).await?;
    let address = email.as_str().to_owned();
    let (identity, from) = (app.identity.clone(), caller.digests());
    // on a task of its own: an account that was begun is finished
    let registering =
        tokio::spawn(async move { identity.register(name, email, password, &from).await });
    let user = registering.await.map_err(|_| ApiError::Panicked)??;
    app.codes.ring(); // a code to verify the address was asked for with it
    let data = Account {
        name: user.name,
        email: address,
        role: user.roles.strongest_for_contract(),
    };
    let registered = Registered {
        message: "Registration was successfully",
        data,
    };
    Ok(Answer::ok(registered).status(StatusCode::CREATED))
}

/// Log in (simple contract)
///
/// A wrong password and an unknown address are answered alike.
#[utoipa::path(post, path = "/api/login", operation_id = "simpleLogIn", tag = "simple contract", request_body = Credentials,
    responses((status = 200, body = LoggedIn), NotLoggedIn, TriedTooOften))]
async fn log_in(
    State(app): State<App>,
    caller: Caller,
    body: Body<Credentials>,
) -> Result<Answer<LoggedIn>, ApiError> {
    let logged_in = within_limits(&app, &caller, body.value, TokenKind::Contract).await?;
    Ok(Answer::ok(LoggedIn {
        message: "Login jwt generated",
        token: format!("Bearer {}", logged_in.access_token.as_str()),
    }))
}

/// Read one's profile (simple contract)
#[utoipa::path(get, path = "/api/profile", operation_id = "simpleProfile", tag = "simple contract", security(("bearer" = [])),
    responses((status = 200, body = Profile)))]
async fn profile(
    State(app): State<App>,
    who: Allowed<SignedIn>,
) -> Result<Answer<Profile>, ApiError> {
    // a token outlives the user that it speaks for by a moment: then it speaks for nobody
    let gone = || ApiError::Token(Some(TokenError::Revoked));
    let user = app.identity.user(who.user_id).await?.ok_or_else(gone)?;
    let email = app.identity.user_name(who.user_id).await?;
    let details = Details {
        id: user.id,
        name: user.name,
        email: email.ok_or_else(gone)?,
        role: user.roles.strongest_for_contract(),
    };
    Ok(Answer::ok(Profile {
        message: "user Profile",
        details,
    }))
}
