//! What is asked for by naming an e-mail address: the table `code_requests`. Asking adds a row, whoever has the address;
//! the worker of [`super`] claims, does and removes them.

use std::time::Duration;

use domain::ids::UserId;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::{email::Email, known_addresses::AddressDigests, mail::MailKind};

/// Most requests that are looked at in one go.
pub(super) const BATCH: i64 = 32;
/// How long a request waits that could not be worked off.
const PAUSE: Duration = Duration::from_secs(10);

/// Somebody's wish for a mail, as it is stored.
#[derive(FromRow)]
pub(super) struct Request {
    id: Uuid,
    /// The e-mail address.
    pub(super) user_name: String,
    /// The name of a [`MailKind`].
    pub(super) wish: String,
    /// The network address, digested with the key of now; empty where a version of before has asked.
    pub(super) asked_from: Vec<u8>,
    /// The same with the keys of before.
    pub(super) asked_from_earlier: Vec<Vec<u8>>,
}

/// Asks for a mail to whoever has the e-mail address.
pub(crate) async fn request(
    connection: &mut PgConnection,
    email: &Email,
    kind: MailKind,
    from: &AddressDigests,
) -> Result<(), sqlx::Error> {
    let earlier: Vec<&[u8]> = from.earlier.iter().map(<[u8; 32]>::as_slice).collect();
    sqlx::query(
        "insert into code_requests (id, user_name, wish, asked_from, asked_from_earlier)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(Uuid::now_v7())
    .bind(email.as_str())
    .bind(kind.as_str())
    .bind(from.present.as_slice())
    .bind(earlier)
    .execute(connection)
    .await?;
    Ok(())
}

/// Requests whose time has come, oldest first.
pub(crate) const DUE: &str =
    "select id, user_name, wish, asked_from, asked_from_earlier from code_requests
     where due_at <= statement_timestamp() order by due_at";

/// Some of the requests whose time has come, oldest first.
pub(super) async fn due(pool: &PgPool) -> Result<Vec<Request>, sqlx::Error> {
    sqlx::query_as(&format!("{DUE} limit {BATCH}"))
        .fetch_all(pool)
        .await
}

/// Takes all requests for the same. False where there are none that nobody else works on.
pub(super) async fn claim(
    connection: &mut PgConnection,
    request: &Request,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query(
        "delete from code_requests where id in
         (select id from code_requests where user_name = $1 and wish = $2 and asked_from = $3
          for update skip locked)",
    )
    .bind(&request.user_name)
    .bind(&request.wish)
    .bind(&request.asked_from)
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() > 0)
}

/// Has a request wait, so that others come before it.
pub(super) async fn postpone(pool: &PgPool, request: &Request) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update code_requests set due_at = clock_timestamp() + make_interval(secs => $2) where id = $1",
    )
    .bind(request.id)
    .bind(PAUSE.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes what was asked for by the address of somebody whose credential is held and still there.
pub(super) async fn forget(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from code_requests where user_name = (select user_name from credentials where user_id = $1)",
    )
    .bind(Uuid::from(user_id))
    .execute(connection)
    .await?;
    Ok(())
}
