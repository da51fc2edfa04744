//! How a person signs in: the table `credentials`. Knows nothing of [`crate::users`] but the id.

use std::collections::{HashMap, HashSet};

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
    /// The epoch of their access tokens. Another password begins another one.
    epoch: i32,
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

/// Adds credentials, all by one statement, with addresses that whoever runs the shop knows: they count as verified.
/// Returns those whose user name was free; the others are not added.
pub(crate) async fn insert_all(
    connection: &mut PgConnection,
    credentials: &[(UserId, &Email, &PasswordHash)],
) -> Result<HashSet<UserId>, sqlx::Error> {
    let (mut ids, mut names, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for (id, name, hash) in credentials {
        ids.push(Uuid::from(*id));
        names.push(name.as_str());
        hashes.push(hash.0.as_str());
    }
    // in the order of the names, so that two of these never wait for each other
    let added: Vec<Uuid> = sqlx::query_scalar(
        "insert into credentials (user_id, user_name, password_hash, verified_at)
         select user_id, user_name, password_hash, clock_timestamp()
         from unnest($1::uuid[], $2::text[], $3::text[]) as new (user_id, user_name, password_hash)
         order by user_name
         on conflict (user_name) do nothing
         returning user_id",
    )
    .bind(ids)
    .bind(names)
    .bind(hashes)
    .fetch_all(connection)
    .await?;
    Ok(added.into_iter().map(UserId::from).collect())
}

/// Which of these user names are taken.
pub(crate) async fn taken(
    pool: &PgPool,
    user_names: &[&Email],
) -> Result<HashSet<String>, sqlx::Error> {
    let names: Vec<&str> = user_names.iter().map(|name| name.as_str()).collect();
    let taken: Vec<String> =
        sqlx::query_scalar("select user_name from credentials where user_name = any($1)")
            .bind(names)
            .fetch_all(pool)
            .await?;
    Ok(taken.into_iter().collect())
}

/// Who signs in with these user names; those that nobody has are left out.
pub(crate) async fn owners(
    pool: &PgPool,
    user_names: &[&Email],
) -> Result<HashMap<String, UserId>, sqlx::Error> {
    let names: Vec<&str> = user_names.iter().map(|name| name.as_str()).collect();
    let owners: Vec<(String, Uuid)> =
        sqlx::query_as("select user_name, user_id from credentials where user_name = any($1)")
            .bind(names)
            .fetch_all(pool)
            .await?;
    let owner = |(name, id): (String, Uuid)| (name, UserId::from(id));
    Ok(owners.into_iter().map(owner).collect())
}

/// The credential with that user name.
pub(crate) async fn find(
    pool: &PgPool,
    user_name: &Email,
) -> Result<Option<Credential>, sqlx::Error> {
    let row: Option<(Uuid, String, i32)> = sqlx::query_as(
        "select user_id, password_hash, session_epoch from credentials where user_name = $1",
    )
    .bind(user_name.as_str())
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(user_id, hash, epoch)| Credential {
        user_id: user_id.into(),
        password_hash: PasswordHash(hash),
        epoch,
    }))
}

/// The credential of that person.
pub(crate) async fn of(pool: &PgPool, user_id: UserId) -> Result<Option<Credential>, sqlx::Error> {
    let row: Option<(String, i32)> =
        sqlx::query_as("select password_hash, session_epoch from credentials where user_id = $1")
            .bind(Uuid::from(user_id))
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(hash, epoch)| Credential {
        user_id,
        password_hash: PasswordHash(hash),
        epoch,
    }))
}

/// What that person signs in with; none where they cannot any more.
pub(crate) async fn user_name(
    pool: &PgPool,
    user_id: UserId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("select user_name from credentials where user_id = $1")
        .bind(Uuid::from(user_id))
        .fetch_optional(pool)
        .await
}

/// What of a credential an access token is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Access tokens of another epoch are of before the last log-out everywhere.
    pub(crate) epoch: i32,
    /// Whether mail to the user name is known to reach the person.
    pub(crate) verified: bool,
}

/// What the person's access tokens are held against now; none where they cannot sign in any more.
pub(crate) async fn access(pool: &PgPool, user_id: UserId) -> Result<Option<Access>, sqlx::Error> {
    let row: Option<(i32, bool)> = sqlx::query_as(
        "select session_epoch, verified_at is not null from credentials where user_id = $1",
    )
    .bind(Uuid::from(user_id))
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(epoch, verified)| Access { epoch, verified }))
}

/// Holds the credential until the transaction ends: what begins, continues or ends sessions of one person happens one
/// after the other. Returns the epoch; none where the person cannot sign in any more.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar("select session_epoch from credentials where user_id = $1 for update")
        .bind(Uuid::from(user_id))
        .fetch_optional(connection)
        .await
}

/// The same for several people, always in the same order.
pub(crate) async fn hold_all(
    connection: &mut PgConnection,
    user_ids: &[UserId],
) -> Result<(), sqlx::Error> {
    let user_ids: Vec<Uuid> = user_ids.iter().map(|id| id.0).collect();
    sqlx::query(
        "select user_id from credentials where user_id = any($1) order by user_id for update",
    )
    .bind(user_ids)
    .execute(connection)
    .await?;
    Ok(())
}

/// The same for one, only where the password is still the one that was verified: in the same epoch it is, though its
/// hash may have been made anew by another log-in; and so it is where the hash is the same, though all sessions have ended.
pub(crate) async fn hold_verified(
    connection: &mut PgConnection,
    verified: &Credential,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "select session_epoch from credentials
         where user_id = $1 and (session_epoch = $2 or password_hash = $3) for update",
    )
    .bind(Uuid::from(verified.user_id))
    .bind(verified.epoch)
    .bind(&verified.password_hash.0)
    .fetch_optional(connection)
    .await
}

/// Begins the next epoch: access tokens of before are refused from now on.
pub(crate) async fn begin_epoch(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("update credentials set session_epoch = session_epoch + 1 where user_id = $1")
        .bind(Uuid::from(user_id))
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes that mail to the user name reaches the person, whose credential is held. Returns whether that is news; none
/// where it is not their user name, or not any more.
pub(crate) async fn verify(
    connection: &mut PgConnection,
    user_id: UserId,
    user_name: &Email,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar(
        "update credentials c set verified_at = coalesce(c.verified_at, clock_timestamp())
         from credentials before
         where c.user_id = $1 and c.user_name = $2 and before.user_id = c.user_id
         returning before.verified_at is null",
    )
    .bind(Uuid::from(user_id))
    .bind(user_name.as_str())
    .fetch_optional(connection)
    .await
}

/// Puts the hash of another password in the place of the old one, for somebody whose credential is held. Whoever calls it
/// ends all sessions, too, and so begins another epoch: by that it is seen that the password is another one.
pub(crate) async fn set_password(
    connection: &mut PgConnection,
    user_id: UserId,
    hash: &PasswordHash,
) -> Result<(), sqlx::Error> {
    sqlx::query("update credentials set password_hash = $2 where user_id = $1")
        .bind(Uuid::from(user_id))
        .bind(&hash.0)
        .execute(connection)
        .await?;
    Ok(())
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

/// Takes a credential away: the person cannot sign in any more.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from credentials where user_id = $1")
        .bind(Uuid::from(user_id))
        .execute(connection)
        .await?;
    Ok(())
}
