//! The mails that were written, for admins: what became of each; and where no mail server is configured, what it says.

use axum::{extract::State, http::Uri};
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use identity::Mail;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::list::{self, PageBody};
use crate::{
    answer::Answer,
    auth::{Allowed, ReadOutbox},
    error::ApiError,
    extract::Query,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list_mails))
}

/// Which mails.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MailQuery {
    /// `created_at`, with a `-` in front for the other direction; `-created_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A mail.
#[derive(Serialize, ToSchema)]
pub struct MailBody {
    /// Which.
    mail_id: Uuid,
    /// Whom it is to.
    #[schema(value_type = Uuid)]
    user_id: UserId,
    /// What it is about: `verify_email`, `reset_password` or `already_registered`.
    #[schema(example = "verify_email")]
    kind: String,
    /// The address it goes to; null where the person was erased, and where the mail does not open because the key of the
    /// person is wrapped by a master key that the server does not know.
    #[schema(example = "customer@example.com")]
    to: Option<String>,
    /// Its subject.
    subject: Option<String>,
    /// Its text; null where a mail server is configured: what it brings is for its recipient alone.
    body: Option<String>,
    /// When it was written. It is kept for a week.
    created_at: DateTime<Utc>,
    /// When the mail server took it.
    sent_at: Option<DateTime<Utc>>,
    /// When it was given up.
    failed_at: Option<DateTime<Utc>>,
    /// How often it was tried to send it.
    attempts: i32,
    /// What the last try met: `smtp-` and the number that the server said, `connection`, `timeout`, `tls`, `address`,
    /// `too-late`.
    #[schema(example = "smtp-451")]
    last_error: Option<String>,
}

/// List mails
///
/// The newest first. Demands the permission to read the outbox, and an access token.
#[utoipa::path(get, path = "/api/v1/mails", operation_id = "listMails", tag = "operations", security(("bearer" = [])), params(MailQuery),
    responses((status = 200, body = PageBody<MailBody>, headers(("Link")))))]
async fn list_mails(
    State(app): State<App>,
    _: Allowed<ReadOutbox>,
    Query(query): Query<MailQuery>,
    uri: Uri,
) -> Result<Answer<PageBody<MailBody>>, ApiError> {
    let page = list::newest_first(
        identity::MailSort::CreatedAt,
        query.sort.as_deref(),
        query.limit,
        query.cursor.as_deref(),
    )?;
    let mails = app.mails.list(&page).await?;
    let mut items = Vec::with_capacity(mails.items.len());
    for mail in mails.items {
        items.push(shown(&app, mail).await?);
    }
    let next = mails.next;
    Ok(list::page(&uri, projections::page::Page { items, next }))
}

async fn shown(app: &App, mail: Mail) -> Result<MailBody, ApiError> {
    let opened = app.mails.show(&mail).await?;
    let (to, subject, body) = opened.map_or((None, None, None), |opened| {
        (Some(opened.to), Some(opened.subject), Some(opened.body))
    });
    Ok(MailBody {
        mail_id: mail.id,
        user_id: mail.user_id,
        kind: mail.kind,
        to,
        subject,
        body: body.filter(|_| app.config.mail.server().is_none()),
        created_at: mail.created_at,
        sent_at: mail.sent_at,
        failed_at: mail.failed_at,
        attempts: mail.attempts,
        last_error: mail.last_error,
    })
}
