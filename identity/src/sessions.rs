//! Sessions: the tables of refresh tokens, valid and spent. A log-in begins a session; each use of its refresh token
//! replaces the token by the next one of the same family.
//!
//! Guarantees: a token is good once. One that is used again ends its session, whoever uses it, because it was copied
//! (RFC 9700, 4.14.2); but within [`SessionSettings::grace`] the same successor is given out again, so that two tabs
//! that refresh at once, or a client whose answer was lost, stay logged in. All that changes sessions of one person
//! holds the person's credential, so that no token outlives the end of its session. Times are the database's.
//! Used by [`crate::accounts`] alone.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use domain::ids::UserId;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::{credentials, removal};

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// Life of a refresh token. Each use begins it anew, so a session ends this long after its last use.
    pub lifetime: Duration,
    /// How long the successor of a spent token is given out again.
    pub grace: Duration,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(24 * 30),
            grace: Duration::from_secs(10),
        }
    }
}

/// A refresh token: the id of its row, and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    id: Uuid,
    expires_at: DateTime<Utc>,
}

impl RefreshToken {
    /// What the client sends to stay logged in.
    pub fn text(&self) -> String {
        self.id.to_string()
    }

    /// When it ends, unless it is used before.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A session that was begun or continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Whose it is.
    pub(crate) user_id: UserId,
    /// Which: the family of its refresh tokens.
    pub(crate) id: Uuid,
    /// The epoch of the person's access tokens.
    pub(crate) epoch: i32,
    /// What continues it.
    pub(crate) refresh_token: RefreshToken,
}

/// What came of a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// The session goes on.
    Continued(Session),
    /// There is no such token, or not any more.
    Unknown,
    /// It was used before: the session is over for everybody.
    Reused {
        /// Whose session it was.
        user_id: UserId,
    },
}

/// Begins a session for somebody whose credential is held.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    user_id: UserId,
    epoch: i32,
    settings: SessionSettings,
) -> Result<Session, sqlx::Error> {
    let id = Uuid::new_v4();
    let refresh_token = issue(connection, user_id, id, Uuid::new_v4(), settings).await?;
    Ok(Session {
        user_id,
        id,
        epoch,
        refresh_token,
    })
}

/// Replaces a token that was found by its successor.
pub(crate) async fn rotate(
    mut transaction: Transaction<'static, Postgres>,
    token: Uuid,
    found: Found,
    settings: SessionSettings,
) -> Result<Rotation, sqlx::Error> {
    let Found { user_id, family_id } = found;
    let Some(epoch) = credentials::hold(&mut transaction, user_id).await? else {
        return Ok(Rotation::Unknown);
    };
    let spent: Option<DateTime<Utc>> = sqlx::query_scalar(
        "delete from refresh_tokens where id = $1 and expires_at > clock_timestamp() returning expires_at",
    )
    .bind(token)
    .fetch_optional(&mut *transaction)
    .await?;
    let refresh_token = if let Some(expires_at) = spent {
        let successor = Uuid::new_v4();
        spend(
            &mut transaction,
            token,
            user_id,
            family_id,
            successor,
            expires_at,
        )
        .await?;
        issue(&mut transaction, user_id, family_id, successor, settings).await?
    } else {
        match successor_again(&mut transaction, token, settings.grace).await? {
            Earlier::Expired => return Ok(Rotation::Unknown),
            Earlier::Again(refresh_token) => refresh_token,
            Earlier::TooLate => {
                end_family(&mut transaction, family_id).await?;
                transaction.commit().await?;
                return Ok(Rotation::Reused { user_id });
            }
        }
    };
    transaction.commit().await?;
    Ok(Rotation::Continued(Session {
        user_id,
        id: family_id,
        epoch,
        refresh_token,
    }))
}

/// Ends the session that the token is of, also where it was spent. Nothing happens where it is unknown.
pub(crate) async fn end(pool: &PgPool, token: Uuid) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    if let Some(Found { user_id, family_id }) = find(&mut transaction, token).await?
        && credentials::hold(&mut transaction, user_id)
            .await?
            .is_some()
    {
        end_family(&mut transaction, family_id).await?;
    }
    transaction.commit().await
}

/// Ends all sessions of somebody whose credential is held, and the life of their access tokens.
pub(crate) async fn end_all(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from refresh_tokens where user_id = $1")
        .bind(Uuid::from(user_id))
        .execute(&mut *connection)
        .await?;
    credentials::begin_epoch(connection, user_id).await
}

/// Removes every trace of somebody's sessions.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    for table in ["refresh_tokens", "spent_refresh_tokens"] {
        sqlx::query(&format!("delete from {table} where user_id = $1"))
            .bind(Uuid::from(user_id))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Removes tokens that have expired, valid and spent ones. Returns how many.
pub(crate) async fn remove_expired(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let valid = removal::remove(pool, "refresh_tokens", "expires_at", Duration::ZERO).await?;
    let spent = removal::remove(pool, "spent_refresh_tokens", "expires_at", Duration::ZERO).await?;
    Ok(valid + spent)
}

/// Whose a token is, and which session it is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Whose.
    pub(crate) user_id: UserId,
    family_id: Uuid,
}

/// Looks for a token among the valid and the spent ones.
pub(crate) async fn find(
    connection: &mut PgConnection,
    token: Uuid,
) -> Result<Option<Found>, sqlx::Error> {
    let row: Option<(Uuid, Uuid)> = sqlx::query_as(
        "select user_id, family_id from refresh_tokens where id = $1
         union all select user_id, family_id from spent_refresh_tokens where id = $1 limit 1",
    )
    .bind(token)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(user_id, family_id)| Found {
        user_id: user_id.into(),
        family_id,
    }))
}

async fn issue(
    connection: &mut PgConnection,
    user_id: UserId,
    family_id: Uuid,
    id: Uuid,
    settings: SessionSettings,
) -> Result<RefreshToken, sqlx::Error> {
    let expires_at = sqlx::query_scalar(
        "insert into refresh_tokens (id, user_id, family_id, expires_at)
         values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) returning expires_at",
    )
    .bind(id)
    .bind(Uuid::from(user_id))
    .bind(family_id)
    .bind(settings.lifetime.as_secs_f64())
    .fetch_one(connection)
    .await?;
    Ok(RefreshToken { id, expires_at })
}

async fn spend(
    connection: &mut PgConnection,
    token: Uuid,
    user_id: UserId,
    family_id: Uuid,
    successor: Uuid,
    expires_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into spent_refresh_tokens (id, user_id, family_id, successor, expires_at)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(token)
    .bind(Uuid::from(user_id))
    .bind(family_id)
    .bind(successor)
    .bind(expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// What there is for a token that is not valid.
enum Earlier {
    /// It was never spent: it has expired.
    Expired,
    /// It was spent a moment ago.
    Again(RefreshToken),
    /// It was spent long ago, or its successor was used already.
    TooLate,
}

async fn successor_again(
    connection: &mut PgConnection,
    token: Uuid,
    grace: Duration,
) -> Result<Earlier, sqlx::Error> {
    let row: Option<(Uuid, bool, Option<DateTime<Utc>>)> = sqlx::query_as(
        "select spent.successor, spent.spent_at > clock_timestamp() - make_interval(secs => $2), valid.expires_at
         from spent_refresh_tokens spent
         left join refresh_tokens valid on valid.id = spent.successor and valid.expires_at > clock_timestamp()
         where spent.id = $1",
    )
    .bind(token)
    .bind(grace.as_secs_f64())
    .fetch_optional(connection)
    .await?;
    Ok(match row {
        None => Earlier::Expired,
        Some((id, true, Some(expires_at))) => Earlier::Again(RefreshToken { id, expires_at }),
        Some(_) => Earlier::TooLate,
    })
}

async fn end_family(connection: &mut PgConnection, family_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from refresh_tokens where family_id = $1")
        .bind(family_id)
        .execute(connection)
        .await?;
    Ok(())
}
