//! Another password: by a code that was mailed for whoever has forgotten theirs, and by the old one for whoever knows it.
//! Either way all sessions and access tokens end.

use axum::{extract::State, middleware};
use garde::Validate;
use identity::Purpose;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::registrations::{AddressInput, MailFollows, count_code, send_code};
use crate::{
    answer::Answer,
    auth::{Allowed, SignedIn},
    call,
    error::ApiError,
    extract::{Body, Caller},
    fields::input,
    limits::{self, Policy},
    openapi::parts::{CodeNotTaken, TriedTooOften},
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(request_reset))
        .routes(routes!(reset_password))
        .routes(routes!(change_password))
        .route_layer(middleware::from_fn(limits::tell))
}

/// A new password, with the code that allows it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetInput {
    /// The address that one logs in with.
    #[garde(dive)]
    email: input::Email,
    /// The code from the mail. Blanks do not count.
    #[garde(dive)]
    #[schema(value_type = String, example = "01234567")]
    code: input::Text,
    /// The password to log in with from now on.
    #[garde(dive)]
    password: input::Password,
}

/// A new password, with the old one that allows it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChangeInput {
    /// The password until now.
    #[garde(dive)]
    #[schema(value_type = String, format = "password")]
    current_password: input::Text,
    /// The password to log in with from now on.
    #[garde(dive)]
    new_password: input::Password,
}

/// Ask for a code to choose a new password with
///
/// The answer is the same whether or not anybody has the address, and whether or not a mail is sent. A new code takes
/// the place of the one before that was asked for from the same network address, and of no other.
#[utoipa::path(post, path = "/api/v1/password-resets", operation_id = "requestPasswordReset", tag = "accounts",
    request_body = AddressInput,
    responses((status = 202, body = MailFollows), TriedTooOften))]
async fn request_reset(
    State(app): State<App>,
    caller: Caller,
    body: Body<AddressInput>,
) -> Result<Answer<MailFollows>, ApiError> {
    let email = body.value.email.take();
    count_code(&caller, &email).await?;
    send_code(&app, &caller, Purpose::ResetPassword, email).await
}

/// Choose a new password with a code
///
/// Ends all sessions and access tokens, and confirms the address. A code is good once, for 15 minutes and five tries from
/// where it was asked for; from all other network addresses together it may be tried five times as well. Whatever is
/// wrong with it, the answer is the same.
#[utoipa::path(post, path = "/api/v1/password-resets/confirm", operation_id = "resetPassword", tag = "accounts",
    request_body = PasswordResetInput,
    responses((status = 204), CodeNotTaken, TriedTooOften))]
async fn reset_password(
    State(app): State<App>,
    caller: Caller,
    body: Body<PasswordResetInput>,
) -> Result<Answer<()>, ApiError> {
    let PasswordResetInput {
        email,
        code,
        password,
    } = body.value;
    let (email, code, password) = (email.take(), code.take(), password.take());
    count_code(&caller, &email).await?;
    let (codes, identity, from) = (app.codes.clone(), app.identity.clone(), caller.digests());
    call::to_its_end(async move {
        let user_id = codes
            .reset_password(&email, &code, &password, &from.present)
            .await?;
        // whoever is kept out by strangers who try their password comes in this way
        identity.remember_address(user_id, &from.present).await?;
        Ok::<_, ApiError>(())
    })
    .await??;
    Ok(Answer::no_content())
}

/// Change one's password
///
/// Ends all of one's sessions and access tokens, this one included: log in anew. A current password that is wrong is
/// answered 422 and named by its pointer. Demands an access token.
#[utoipa::path(put, path = "/api/v1/profile/password", operation_id = "changePassword", tag = "profile", security(("bearer" = [])),
    request_body = PasswordChangeInput,
    responses((status = 204), TriedTooOften))]
async fn change_password(
    State(app): State<App>,
    who: Allowed<SignedIn>,
    caller: Caller,
    body: Body<PasswordChangeInput>,
) -> Result<Answer<()>, ApiError> {
    let PasswordChangeInput {
        current_password,
        new_password,
    } = body.value;
    let (current, new) = (current_password.take(), new_password.take());
    let user_id = who.user_id;
    // whoever found a token must not find the password by it, from however many addresses
    let account = user_id.to_string();
    let policy = Policy::LogInToAccount;
    caller.spend_anywhere(policy, &account).await?;
    let identity = app.identity.clone();
    call::to_its_end(async move { identity.change_password(user_id, &current, &new).await })
        .await??;
    Ok(Answer::no_content())
}
