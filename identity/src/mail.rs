//! Mails: the table `mails`. A mail is written in the transaction of what it tells of, and sent afterwards, at least
//! once; where no mail server is configured it stays and can be read.
//!
//! Recipient, subject and text are sealed with the key of the person, bound to this mail, and opened only to be sent or
//! shown; whoever is erased takes theirs along. Whoever sends claims a mail for a while, so that several processes share
//! the work and a mail of one that died is sent by another. Who sends is not known here: see [`Mails`].

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{ids::UserId, sealed::Sealed};
use eventstore::{
    page::{Page, PageRequest, SortKey, SortKind, SortValue},
    sealing::{PersonKey, SealError, Vault},
};
use sqlx::{FromRow, PgConnection, PgPool, QueryBuilder, Row, postgres::PgRow};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::removal;

pub(crate) mod texts;

/// How long a mail is kept, sent or not.
pub const KEPT: Duration = Duration::from_hours(24 * 7);
/// How long a claim lasts. Whoever has not sent the mail by then has died.
pub const CLAIM: Duration = Duration::from_mins(2);
/// The pause after the first attempt that failed; doubled with each.
pub const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause between two attempts.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// A code to prove that the address is one's own.
    VerifyEmail,
    /// A code to choose a new password with.
    ResetPassword,
    /// Somebody has tried to register an address that has an account.
    AlreadyRegistered,
}

impl MailKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::AlreadyRegistered,
    ];

    /// Its name in the table and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::AlreadyRegistered => "already_registered",
        }
    }
}

/// A mail to be written.
#[derive(Clone)]
pub struct Letter {
    /// What it is about.
    pub kind: MailKind,
    /// The address it goes to.
    pub to: String,
    /// Its subject: one line.
    pub subject: String,
    /// Its text.
    pub body: String,
    /// How long it is of any use; none: always.
    pub useful_for: Option<Duration>,
}

/// The kind only: the rest is personal, and a code is secret.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The mails that are due, oldest first, and held; those that somebody else holds are passed over.
pub(crate) const DUE: &str = "select id from mails
     where sent_at is null and failed_at is null and next_attempt_at <= statement_timestamp()
     order by next_attempt_at for update skip locked";

/// Where sealed parts of a mail stand.
fn place(id: Uuid) -> String {
    format!("mail/{}", id.simple())
}

/// Writes a mail to somebody whose key this is, in the transaction of what it tells of.
pub(crate) async fn write(
    connection: &mut PgConnection,
    user_id: UserId,
    key: &PersonKey,
    letter: &Letter,
) -> Result<(), WriteError> {
    let id = Uuid::now_v7();
    let place = place(id);
    let to = key.seal(&place, "to", &letter.to)?;
    let subject = key.seal(&place, "subject", &letter.subject)?;
    let body = key.seal(&place, "body", &letter.body)?;
    sqlx::query(
        "insert into mails (id, user_id, kind, recipient, subject, body, useful_until)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))",
    )
    .bind(id)
    .bind(Uuid::from(user_id))
    .bind(letter.kind.as_str())
    .bind(to.as_str())
    .bind(subject.as_str())
    .bind(body.as_str())
    .bind(letter.useful_for.map(|useful_for| useful_for.as_secs_f64()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes all mails to somebody, sent and unsent.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from mails where user_id = $1")
        .bind(Uuid::from(user_id))
        .execute(connection)
        .await?;
    Ok(())
}

/// Why a mail was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// It could not be sealed.
    #[error("sealing: {0}")]
    Seal(#[from] SealError),
    /// The database did not answer, or refused.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// A mail as it is stored.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Which.
    pub id: Uuid,
    /// Whom it is to.
    pub user_id: UserId,
    /// What it is about.
    pub kind: String,
    /// Where it goes, sealed.
    to: Sealed,
    /// Its subject, sealed.
    subject: Sealed,
    /// Its text, sealed.
    body: Sealed,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When a mail server took it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it was given up.
    pub failed_at: Option<DateTime<Utc>>,
    /// How often it was tried to send it.
    pub attempts: i32,
    /// What the last attempt met, as a short code.
    pub last_error: Option<String>,
    /// Whether it was of no use any more when it was read.
    pub useless: bool,
}

/// The columns of a mail, as [`Mail`] reads them.
const COLUMNS: &str = "id, user_id, kind, recipient, subject, body, created_at, sent_at, failed_at, attempts, last_error, \
     coalesce(useful_until <= clock_timestamp(), false) as useless";

impl FromRow<'_, PgRow> for Mail {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let sealed = |column: &str| row.try_get::<String, _>(column).map(Sealed::new);
        Ok(Self {
            id: row.try_get("id")?,
            user_id: UserId::from(row.try_get::<Uuid, _>("user_id")?),
            kind: row.try_get("kind")?,
            to: sealed("recipient")?,
            subject: sealed("subject")?,
            body: sealed("body")?,
            created_at: row.try_get("created_at")?,
            sent_at: row.try_get("sent_at")?,
            failed_at: row.try_get("failed_at")?,
            attempts: row.try_get("attempts")?,
            last_error: row.try_get("last_error")?,
            useless: row.try_get("useless")?,
        })
    }
}

/// What mails are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSort {
    /// When they were written.
    CreatedAt,
}

impl SortKey for MailSort {
    const ALL: &'static [Self] = &[Self::CreatedAt];

    fn name(self) -> &'static str {
        "created_at"
    }

    fn columns(self) -> [&'static str; 2] {
        ["created_at", "id"]
    }

    fn kind(self) -> SortKind {
        SortKind::Time
    }
}

/// A mail as it is sent.
#[derive(Clone)]
pub struct Opened {
    /// The address it goes to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub body: String,
}

/// Nothing of it is for logs.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(..)")
    }
}

/// All mails of a database, for whoever sends or shows them. Clones share the bell that rings when there is one more.
#[derive(Clone)]
pub struct Mails {
    pool: PgPool,
    vault: Vault,
    bell: Arc<Notify>,
}

impl Mails {
    /// The mails in this database, sealed with keys of this vault.
    pub fn new(pool: PgPool, vault: Vault) -> Self {
        Self {
            pool,
            vault,
            bell: Arc::default(),
        }
    }

    /// Wakes whoever waits for mails in this process.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Returns when this process has written a mail, and at the latest after `patience`: others write, too.
    pub async fn wait(&self, patience: Duration) {
        // late or in time: there is a look either way
        let _ = tokio::time::timeout(patience, self.bell.notified()).await;
    }

    /// Opens a mail; none where the key of its person is gone.
    pub async fn open(&self, mail: &Mail) -> Result<Option<Opened>, SealError> {
        let place = place(mail.id);
        let to = self.vault.open(&mail.to, &place, "to").await?;
        let subject = self.vault.open(&mail.subject, &place, "subject").await?;
        let body = self.vault.open(&mail.body, &place, "body").await?;
        Ok(to
            .zip(subject)
            .zip(body)
            .map(|((to, subject), body)| Opened { to, subject, body }))
    }

    /// Opens a mail to be looked at: none also where it does not open, so that one such mail does not hide the others.
    pub async fn show(&self, mail: &Mail) -> Result<Option<Opened>, SealError> {
        match self.open(mail).await {
            Err(error @ (SealError::OtherMasterKey(_) | SealError::Damaged)) => {
                tracing::warn!(mail = %mail.id, %error, "a mail cannot be opened");
                Ok(None)
            }
            other => other,
        }
    }

    /// A page of all mails, sent and unsent.
    pub async fn list(&self, page: &PageRequest<MailSort>) -> Result<Page<Mail>, sqlx::Error> {
        let mut sql = QueryBuilder::new(format!("select {COLUMNS} from mails m where true"));
        page.push_to(&mut sql, "m");
        let mails: Vec<Mail> = sql.build_query_as().fetch_all(&self.pool).await?;
        Ok(page.page(mails, |mail: &Mail| {
            (SortValue::Time(mail.created_at), mail.id)
        }))
    }

    /// Claims mails that are due, oldest first, for [`CLAIM`]. The attempt counts from here.
    pub async fn claim(&self, limit: usize) -> Result<Vec<Mail>, sqlx::Error> {
        let query = format!(
            "update mails set attempts = attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => $1)
             where id in ({DUE} limit $2) returning {COLUMNS}"
        );
        sqlx::query_as(&query)
            .bind(CLAIM.as_secs_f64())
            .bind(limit as i64)
            .fetch_all(&self.pool)
            .await
    }

    /// Notes that a mail server has taken it.
    pub async fn sent(&self, mail: &Mail) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update mails set sent_at = clock_timestamp(), last_error = null where id = $1 and sent_at is null",
        )
        .bind(mail.id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that this attempt failed. It is tried again after a pause that grows with the attempts; nothing happens
    /// where somebody else has claimed it since.
    pub async fn postpone(&self, mail: &Mail, code: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update mails set last_error = $3, next_attempt_at = clock_timestamp() + make_interval(secs => $4)
             where id = $1 and attempts = $2 and sent_at is null",
        )
        .bind(mail.id)
        .bind(mail.attempts)
        .bind(code)
        .bind(pause_after(mail.attempts).as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a mail up: it stays to be seen, and is not tried again.
    pub async fn give_up(&self, mail: &Mail, code: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update mails set last_error = $2, failed_at = clock_timestamp() where id = $1 and sent_at is null",
        )
        .bind(mail.id)
        .bind(code)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Removes mails that are older than [`KEPT`], whatever became of them. Returns how many.
    pub async fn remove_old(&self) -> Result<u64, sqlx::Error> {
        removal::remove(&self.pool, "mails", "created_at", KEPT).await
    }
}

/// The pause after so many attempts.
fn pause_after(attempts: i32) -> Duration {
    let doublings = attempts.saturating_sub(1).clamp(0, 20).unsigned_abs();
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        assert_eq!(pause_after(1), FIRST_PAUSE);
        assert_eq!(pause_after(3), FIRST_PAUSE * 4);
        assert_eq!(pause_after(1_000), LONGEST_PAUSE);
        assert_eq!(pause_after(0), FIRST_PAUSE);
    }

    #[test]
    fn neither_recipient_nor_text_is_in_debug_output() {
        let letter = Letter {
            kind: MailKind::ResetPassword,
            to: "mai@example.com".into(),
            subject: "Your code".into(),
            body: "01234567".into(),
            useful_for: None,
        };
        let printed = format!("{letter:?}");
        assert!(
            !printed.contains("mai@") && !printed.contains("0123"),
            "{printed}"
        );
    }
}
