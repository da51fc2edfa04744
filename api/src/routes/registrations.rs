//! Registration, and proof that an e-mail address is one's own. Nobody is told here whether an address has an account:
//! not by what is answered, and not by how long it takes.

use axum::{extract::State, http::StatusCode, middleware};
use garde::Validate;
use identity::{Email, Purpose};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    answer::Answer,
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
        .routes(routes!(register))
        .routes(routes!(request_verification))
        .routes(routes!(verify_email))
        .route_layer(middleware::from_fn(limits::tell))
}

/// Somebody who wants an account.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationInput {
    /// Their name.
    #[garde(dive)]
    pub(super) name: input::PersonName,
    /// The address to log in with.
    #[garde(dive)]
    pub(super) email: input::Email,
    /// The password to log in with.
    #[garde(dive)]
    pub(super) password: input::Password,
}

/// An address that a code is sent to.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressInput {
    /// The address that one logs in with.
    #[garde(dive)]
    pub(super) email: input::Email,
}

/// An address with the code that was sent to it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerificationInput {
    /// The address that one logs in with.
    #[garde(dive)]
    email: input::Email,
    /// The code from the mail. Blanks do not count.
    #[garde(dive)]
    #[schema(value_type = String, example = "01234567")]
    code: input::Text,
}

/// What follows comes by mail.
#[derive(Serialize, ToSchema)]
pub struct MailFollows {
    /// What to do next.
    #[schema(example = "look into your mail")]
    message: &'static str,
}

/// The same answer for everybody: 202.
pub(super) fn mail_follows() -> Answer<MailFollows> {
    let message = "look into your mail";
    Answer::ok(MailFollows { message }).status(StatusCode::ACCEPTED)
}

/// Counts a code that is asked for or tried. By account only together with where it comes from: others must not be able
/// to use up what its owner is allowed.
pub(super) async fn count_code(caller: &Caller, email: &Email) -> Result<(), ApiError> {
    caller.spend(Policy::Codes).await?;
    let policy = Policy::CodesOfAccount;
    caller.spend_on(policy, email.as_str()).await
}

/// Has a code sent, if anybody has the address.
pub(super) async fn send_code(
    app: &App,
    caller: &Caller,
    purpose: Purpose,
    email: Email,
) -> Result<Answer<MailFollows>, ApiError> {
    let (codes, from) = (app.codes.clone(), caller.digests());
    call::to_its_end(async move { codes.request(purpose, &email, &from).await }).await??;
    Ok(mail_follows())
}

/// Register
///
/// Makes the account of a customer and sends a code to confirm the address. For an address that has an account already
/// the answer is the same; that account stays as it is, and its owner is told by mail.
#[utoipa::path(post, path = "/api/v1/registrations", operation_id = "register", tag = "accounts", request_body = RegistrationInput,
    responses((status = 202, body = MailFollows), TriedTooOften))]
async fn register(
    State(app): State<App>,
    caller: Caller,
    body: Body<RegistrationInput>,
) -> Result<Answer<MailFollows>, ApiError> {
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
    let (codes, from) = (app.codes.clone(), caller.digests());
    call::to_its_end(async move { codes.register(name, email, password, &from).await }).await??;
    Ok(mail_follows())
}

/// Ask for a code to confirm an address
///
/// The answer is the same whether or not anybody has the address, and whether or not a mail is sent. A new code takes
/// the place of the one before that was asked for from the same network address, and of no other.
#[utoipa::path(post, path = "/api/v1/email-verifications", operation_id = "requestEmailVerification", tag = "accounts",
    request_body = AddressInput,
    responses((status = 202, body = MailFollows), TriedTooOften))]
async fn request_verification(
    State(app): State<App>,
    caller: Caller,
    body: Body<AddressInput>,
) -> Result<Answer<MailFollows>, ApiError> {
    let email = body.value.email.take();
    count_code(&caller, &email).await?;
    send_code(&app, &caller, Purpose::VerifyEmail, email).await
}

/// Confirm an address
///
/// A code is good once, for 15 minutes and five tries from where it was asked for; from all other network addresses
/// together it may be tried five times as well. Whatever is wrong with it, the answer is the same.
#[utoipa::path(post, path = "/api/v1/email-verifications/confirm", operation_id = "verifyEmail", tag = "accounts",
    request_body = VerificationInput,
    responses((status = 204), CodeNotTaken, TriedTooOften))]
async fn verify_email(
    State(app): State<App>,
    caller: Caller,
    body: Body<VerificationInput>,
) -> Result<Answer<()>, ApiError> {
    let (email, code) = (body.value.email.take(), body.value.code.take());
    count_code(&caller, &email).await?;
    let (codes, from) = (app.codes.clone(), caller.digests());
    call::to_its_end(async move { codes.verify_email(&email, &code, &from.present).await })
        .await??;
    Ok(Answer::no_content())
}
