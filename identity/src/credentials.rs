//! How a person signs in: the table `credentials`. Knows nothing of [`crate::users`] but the id.

use domain::ids::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{email::Email, hashing::PasswordHash};

/// What a log-in is checked against.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// Who signs in with it.
    pub(crate) user_id: UserId,
    /// Their password, hashed.
    pub(crate) password_hash: PasswordHash,
}

/// Adds a credential. False, and nothing added, when the user name is taken; a registration of the same name that is
/// under way elsewhere is waited for.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    user_id: UserId,
    user_name: &Email,
    password_hash: &PasswordHash,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "insert into credentials (user_id, user_name, password_hash) values ($1, $2, $3)
         on conflict (user_name) do nothing",
    )
    .bind(Uuid::from(user_id))
    .bind(user_name.as_str())
    .bind(&password_hash.0)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The credential with that user name.
pub(crate) async fn find(
    pool: &PgPool,
    user_name: &Email,
) -> Result<Option<Credential>, sqlx::Error> {
    let row: Option<(Uuid, String)> =
        sqlx::query_as("select user_id, password_hash from credentials where user_name = $1")
            .bind(user_name.as_str())
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(user_id, hash)| Credential {
        user_id: user_id.into(),
        password_hash: PasswordHash(hash),
    }))
}

/// Puts a new hash of the same password in the place of the old one; nothing happens when the password was changed
/// meanwhile.
pub(crate) async fn replace_hash(
    pool: &PgPool,
    old: &Credential,
    new: &PasswordHash,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update credentials set password_hash = $3 where user_id = $1 and password_hash = $2",
    )
    .bind(Uuid::from(old.user_id))
    .bind(&old.password_hash.0)
    .bind(&new.0)
    .execute(pool)
    .await?;
    Ok(())
}
