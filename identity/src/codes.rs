//! One-time codes by e-mail: to prove that an address is one's own, and to choose a new password. Also the registration
//! that tells nobody whether an address is known.
//!
//! Guarantees: who asks hears and waits the same whether or not anybody has the address, because asking only adds a row
//! of `code_requests`; a worker ([`Codes::work_off`]) looks the address up afterwards. A code is eight random digits,
//! good once, for [`CodeSettings::lifetime`] by the database's clock and for [`CodeSettings::tries`] tries; a new one
//! takes the place of the old. Stored is its keyed digest. Whatever is wrong with a code (another one, expired, used,
//! tried too often, of an address that nobody has or that never asked), the answer is the same, after the same work.
//! Effect and end of a code are one transaction.
//!
//! Locks are taken in one order, here and where accounts are deleted: credential, requests, codes, mails.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{constant_time, hmac, rand};
use domain::ids::UserId;
use eventstore::sealing::{PersonKey, SealError, Vault};
use sqlx::{Acquire, PgConnection, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    accounts::{Fault, Identity},
    credentials,
    email::Email,
    mail::{self, Letter, MailKind, Mails, WriteError, texts},
    password::Password,
    person_name::PersonName,
    roles::Role,
    sessions, users,
};

/// How long and how often a code may be tried.
#[derive(Clone, Copy, Debug)]
pub struct CodeSettings {
    /// How long it is good.
    pub lifetime: Duration,
    /// How often one may try, the right try included.
    pub tries: i16,
}

impl Default for CodeSettings {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_mins(15),
            tries: 5,
        }
    }
}

/// What a code is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To prove that mail to the address reaches its owner.
    VerifyEmail,
    /// To choose a new password.
    ResetPassword,
}

impl Purpose {
    const fn kind(self) -> MailKind {
        match self {
            Self::VerifyEmail => MailKind::VerifyEmail,
            Self::ResetPassword => MailKind::ResetPassword,
        }
    }

    /// What the code of such a mail is good for; none where it brings none.
    const fn of(kind: MailKind) -> Option<Self> {
        match kind {
            MailKind::VerifyEmail => Some(Self::VerifyEmail),
            MailKind::ResetPassword => Some(Self::ResetPassword),
            MailKind::AlreadyRegistered => None,
        }
    }

    /// Its name in the table.
    const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }
}

/// Most requests that are looked at in one go.
const BATCH: i64 = 32;
/// How long a request waits that could not be worked off.
const PAUSE: Duration = Duration::from_secs(10);
/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// Everything that is done with codes. Clones share the bell that rings when there is work.
#[derive(Clone)]
pub struct Codes {
    identity: Identity,
    mails: Mails,
    vault: Vault,
    key: hmac::Key,
    settings: CodeSettings,
    bell: Arc<Notify>,
}

impl Codes {
    /// Codes of these accounts. Digests are keyed with `key`; all processes need the same.
    pub fn new(
        identity: Identity,
        mails: Mails,
        vault: Vault,
        key: hmac::Key,
        settings: CodeSettings,
    ) -> Self {
        Self {
            identity,
            mails,
            vault,
            key,
            settings,
            bell: Arc::default(),
        }
    }

    /// Makes the account of a customer and sends a code to verify the address; where the address has an account, that
    /// one stays as it is and its owner is told by mail. The caller cannot tell which it was.
    pub async fn register(
        &self,
        name: PersonName,
        email: Email,
        password: Password,
    ) -> Result<(), Fault> {
        let hash = self.identity.hasher.hash(&password).await?;
        let id = UserId::from(Uuid::now_v7());
        let mut transaction = self.identity.pool.begin().await?;
        let is_new = credentials::insert(&mut transaction, id, &email, &hash).await?;
        // the same statements either way: for an address that is taken they are undone
        let mut account = transaction.begin().await?;
        users::insert(&mut account, id, &name, &email, Role::Customer.into()).await?;
        let kind = if is_new {
            account.commit().await?;
            MailKind::VerifyEmail
        } else {
            account.rollback().await?;
            MailKind::AlreadyRegistered
        };
        request(&mut transaction, &email, kind).await?;
        transaction.commit().await?;
        self.ring();
        Ok(())
    }

    /// Has a code sent to whoever has the address, if anybody.
    pub async fn request(&self, purpose: Purpose, email: &Email) -> Result<(), Fault> {
        let mut connection = self.identity.pool.acquire().await?;
        request(&mut connection, email, purpose.kind()).await?;
        self.ring();
        Ok(())
    }

    /// Takes the address as verified, for the right code. Returns whose it is.
    pub async fn verify_email(&self, email: &Email, code: &str) -> Result<UserId, CodeError> {
        let mut transaction = self.begin().await?;
        let redeemed = self
            .redeem(&mut transaction, email, Purpose::VerifyEmail, code)
            .await?;
        let user_id = match redeemed {
            Some(user_id) if credentials::verify(&mut transaction, user_id, email).await? => {
                Some(user_id)
            }
            _ => None,
        };
        self.end(transaction, user_id).await
    }

    /// Puts a new password in the place of the old one, for the right code, and ends all sessions. The address is
    /// verified by it: the code has reached its owner. Returns whose it is.
    pub async fn reset_password(
        &self,
        email: &Email,
        code: &str,
        password: &Password,
    ) -> Result<UserId, CodeError> {
        // before anything is looked up, so that time tells nothing, and without a connection
        let hash = self
            .identity
            .hasher
            .hash(password)
            .await
            .map_err(Fault::from)?;
        let mut transaction = self.begin().await?;
        let redeemed = self
            .redeem(&mut transaction, email, Purpose::ResetPassword, code)
            .await?;
        let user_id = match redeemed {
            Some(user_id) if credentials::verify(&mut transaction, user_id, email).await? => {
                credentials::set_password(&mut transaction, user_id, &hash).await?;
                sessions::end_all(&mut transaction, user_id).await?;
                Some(user_id)
            }
            _ => None,
        };
        self.end(transaction, user_id).await
    }

    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Fault> {
        Ok(self.identity.pool.begin().await?)
    }

    /// Commits, also where the code was refused: the try counts. Returns whose the code was.
    async fn end(
        &self,
        transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        user_id: Option<UserId>,
    ) -> Result<UserId, CodeError> {
        transaction.commit().await?;
        let user_id = user_id.ok_or(CodeError::Refused)?;
        self.identity.standings.forget(user_id);
        Ok(user_id)
    }

    /// Counts a try, and ends the code where it is the right one. Holds the credential of whoever has the address.
    async fn redeem(
        &self,
        connection: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
        code: &str,
    ) -> Result<Option<UserId>, sqlx::Error> {
        let address = self.address_digest(email);
        let owner: Option<Option<Uuid>> = sqlx::query_scalar(
            "select user_id from one_time_codes where address = $1 and purpose = $2",
        )
        .bind(address.as_slice())
        .bind(purpose.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        // nobody has the nil id: for an address that is not known the same is asked in vain
        let owner = owner.flatten().unwrap_or(Uuid::nil());
        let held = credentials::hold(connection, owner.into()).await?;
        let tried: Option<(Option<Uuid>, Vec<u8>)> = sqlx::query_as(
            "update one_time_codes set tries_left = tries_left - 1
             where address = $1 and purpose = $2 and tries_left > 0 and expires_at > clock_timestamp()
             returning user_id, code",
        )
        .bind(address.as_slice())
        .bind(purpose.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let given = self.code_digest(email, purpose, code);
        let (tried_of, expected) = tried.unwrap_or((None, vec![0; DIGEST_BYTES]));
        let right = constant_time::verify_slices_are_equal(&given, &expected).is_ok();
        if !(right && held.is_some() && tried_of == Some(owner)) {
            return Ok(None);
        }
        sqlx::query("delete from one_time_codes where address = $1 and purpose = $2")
            .bind(address.as_slice())
            .bind(purpose.as_str())
            .execute(connection)
            .await?;
        Ok(Some(owner.into()))
    }

    /// Wakes the worker of this process.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Returns when this process was asked for a code, and at the latest after `patience`: other processes are asked,
    /// too.
    pub async fn wait(&self, patience: Duration) {
        // rung or not: there is a look either way
        let _ = tokio::time::timeout(patience, self.bell.notified()).await;
    }

    /// Works off the requests that are due, some of them at least. Returns whether there may be more. Any number of
    /// processes may do it at once.
    pub async fn work_off(&self) -> Result<bool, sqlx::Error> {
        let due: Vec<(Uuid, String, String)> = sqlx::query_as(
            "select id, user_name, wish from code_requests where due_at <= clock_timestamp() order by due_at limit $1",
        )
        .bind(BATCH)
        .fetch_all(&self.identity.pool)
        .await?;
        for (id, user_name, wish) in &due {
            if let Err(error) = self.fulfil(user_name, wish).await {
                tracing::warn!(%error, "a mail that was asked for is not written yet");
                postpone(&self.identity.pool, *id).await?;
            }
        }
        Ok(due.len() as i64 == BATCH)
    }

    /// Does what a request wishes for, and removes it, with all others that wish for the same.
    async fn fulfil(&self, user_name: &str, wish: &str) -> Result<(), WorkError> {
        let email: Email = user_name.parse().map_err(|_| WorkError::Unknown)?;
        let kind = MailKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == wish)
            .ok_or(WorkError::Unknown)?;
        // before the transaction: the vault has connections of its own
        let mut owner = self.owner(&email).await?;
        let mut transaction = self.identity.pool.begin().await?;
        if let Some((user_id, _)) = &owner
            && credentials::hold(&mut transaction, *user_id)
                .await?
                .is_none()
        {
            owner = None; // gone since
        }
        if !claim(&mut transaction, user_name, wish).await? {
            return Ok(()); // another process was faster
        }
        let code = match Purpose::of(kind) {
            Some(purpose) => Some(
                self.replace_code(&mut transaction, &email, purpose, owner.as_ref())
                    .await?,
            ),
            None => None,
        };
        if let Some((user_id, key)) = &owner {
            let letter = self.letter(kind, &email, code.as_deref())?;
            mail::write(&mut transaction, *user_id, key, &letter).await?;
        }
        transaction.commit().await?;
        self.mails.ring();
        Ok(())
    }

    /// Who has the address, and the key to write to them with.
    async fn owner(&self, email: &Email) -> Result<Option<(UserId, PersonKey)>, WorkError> {
        let Some(credential) = credentials::find(&self.identity.pool, email).await? else {
            return Ok(None);
        };
        match self.vault.key_for(credential.user_id.into()).await {
            Ok(key) => Ok(Some((credential.user_id, key))),
            Err(SealError::Erased) => Ok(None),
            Err(error) => Err(WriteError::Seal(error).into()),
        }
    }

    /// Makes the next code of this address, which nobody is told where nobody has it.
    async fn replace_code(
        &self,
        connection: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
        owner: Option<&(UserId, PersonKey)>,
    ) -> Result<String, WorkError> {
        let code = random_code()?;
        let digest = if owner.is_some() {
            self.code_digest(email, purpose, &code)
        } else {
            let mut nothing = [0; DIGEST_BYTES];
            rand::fill(&mut nothing).map_err(|_| WorkError::NoRandomness)?;
            nothing
        };
        sqlx::query(
            "insert into one_time_codes (address, purpose, user_id, code, tries_left, expires_at)
             values ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6))
             on conflict (address, purpose) do update set user_id = excluded.user_id, code = excluded.code,
                 tries_left = excluded.tries_left, expires_at = excluded.expires_at",
        )
        .bind(self.address_digest(email).as_slice())
        .bind(purpose.as_str())
        .bind(owner.map(|(user_id, _)| Uuid::from(*user_id)))
        .bind(digest.as_slice())
        .bind(self.settings.tries)
        .bind(self.settings.lifetime.as_secs_f64())
        .execute(connection)
        .await?;
        Ok(code)
    }

    fn letter(
        &self,
        kind: MailKind,
        email: &Email,
        code: Option<&str>,
    ) -> Result<Letter, minijinja::Error> {
        let lifetime = self.settings.lifetime;
        let text = match code {
            Some(code) => texts::with_code(kind, code, lifetime)?,
            None => texts::plain(kind)?,
        };
        Ok(Letter {
            kind,
            to: email.as_str().to_owned(),
            subject: text.subject,
            body: text.body,
            useful_for: code.map(|_| lifetime),
        })
    }

    /// Removes codes that have expired, and requests that nobody could work off for as long. Returns how many.
    pub async fn remove_expired(&self) -> Result<u64, Fault> {
        let pool = &self.identity.pool;
        let codes = sqlx::query("delete from one_time_codes where expires_at <= clock_timestamp()")
            .execute(pool)
            .await?;
        let requests = sqlx::query(
            "delete from code_requests where requested_at <= clock_timestamp() - make_interval(secs => $1)",
        )
        .bind(self.settings.lifetime.as_secs_f64())
        .execute(pool)
        .await?;
        Ok(codes.rows_affected() + requests.rows_affected())
    }

    fn address_digest(&self, email: &Email) -> [u8; DIGEST_BYTES] {
        self.digest(&["address", email.as_str()])
    }

    /// Blanks do not count: people copy them along, or part long numbers by them.
    fn code_digest(&self, email: &Email, purpose: Purpose, code: &str) -> [u8; DIGEST_BYTES] {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        self.digest(&[purpose.as_str(), email.as_str(), &code])
    }

    /// Parts are parted by what only the last one could hold.
    fn digest(&self, parts: &[&str]) -> [u8; DIGEST_BYTES] {
        let tag = hmac::sign(&self.key, parts.join("\n").as_bytes());
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(tag.as_ref()); // HMAC-SHA-256 has as many
        digest
    }
}

/// Asks for a mail to whoever has the address.
pub(crate) async fn request(
    connection: &mut PgConnection,
    email: &Email,
    kind: MailKind,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into code_requests (id, user_name, wish) values ($1, $2, $3)")
        .bind(Uuid::now_v7())
        .bind(email.as_str())
        .bind(kind.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends the codes of somebody whose credential is held.
pub(crate) async fn end_all(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from one_time_codes where user_id = $1")
        .bind(Uuid::from(user_id))
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes every trace of codes and mails of somebody whose credential is held and still there.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from code_requests where user_name = (select user_name from credentials where user_id = $1)",
    )
    .bind(Uuid::from(user_id))
    .execute(&mut *connection)
    .await?;
    end_all(connection, user_id).await?;
    mail::forget(connection, user_id).await
}

/// Takes all requests for the same. False where there are none that nobody else works on.
async fn claim(
    connection: &mut PgConnection,
    user_name: &str,
    wish: &str,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query(
        "delete from code_requests where id in
         (select id from code_requests where user_name = $1 and wish = $2 for update skip locked)",
    )
    .bind(user_name)
    .bind(wish)
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() > 0)
}

/// Has a request wait, so that others come before it.
async fn postpone(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update code_requests set due_at = clock_timestamp() + make_interval(secs => $2) where id = $1",
    )
    .bind(id)
    .bind(PAUSE.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(())
}

/// Eight random digits, each number as likely as any other.
fn random_code() -> Result<String, WorkError> {
    const CODES: u32 = 100_000_000;
    // the largest multiple of all codes that fits: what is above would make small numbers likelier
    const FAIR: u32 = u32::MAX / CODES * CODES;
    loop {
        let mut bytes = [0; 4];
        rand::fill(&mut bytes).map_err(|_| WorkError::NoRandomness)?;
        let number = u32::from_le_bytes(bytes);
        if number < FAIR {
            return Ok(format!("{:08}", number % CODES));
        }
    }
}

/// Why a code opened nothing.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It is not the right one, or not any more. Which, is told to nobody.
    #[error("the code is not the right one, or not any more")]
    Refused,
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for CodeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Why a request was not worked off.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    /// A newer version has asked for something.
    #[error("the request is not known to this version")]
    Unknown,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
    /// The text was not made.
    #[error("template: {0}")]
    Template(#[from] minijinja::Error),
    /// The mail was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The database did not answer, or refused.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_code_is_eight_digits_and_another_one_each_time() {
        let codes: HashSet<String> = (0..1_000).map(|_| random_code().unwrap()).collect();
        assert!(codes.len() > 990, "{}", codes.len());
        for code in codes {
            assert!(
                code.len() == 8 && code.chars().all(|c| c.is_ascii_digit()),
                "{code}"
            );
        }
    }

    #[test]
    fn a_purpose_and_its_mail_have_one_name() {
        for purpose in [Purpose::VerifyEmail, Purpose::ResetPassword] {
            assert_eq!(Purpose::of(purpose.kind()), Some(purpose));
        }
        assert_eq!(Purpose::of(MailKind::AlreadyRegistered), None);
    }
}
