//! One-time codes by e-mail: to prove that an address is one's own, and to choose a new password. Also the registration
//! that tells nobody whether an address is known.
//!
//! Guarantees: who asks hears and waits the same whether or not anybody has the address, because asking only adds a row
//! of `code_requests`; a worker ([`Codes::work_off`]) looks the address up afterwards. A code is eight random digits,
//! good once, for [`CodeSettings::lifetime`] by the database's clock. Stored is its keyed digest. Whatever is wrong with
//! a code (another one, expired, used, tried too often, of an address that nobody has or that never asked), the answer
//! is the same, after the same work. Effect and end of a code are one transaction.
//!
//! A code belongs to the network address that asked for it, so that strangers can neither replace nor use up the code of
//! somebody else: a new one takes the place of the one from the same network address, and it may be tried
//! [`CodeSettings::tries`] times from there. Tries from elsewhere are counted apart, as many for all of them together,
//! since people change networks between asking and typing. At most five network addresses have a code for one
//! e-mail address and purpose at a time; one from which the account was used has its code beside them.
//!
//! Locks are taken in one order, here and where accounts are deleted: credential, requests, codes, mails; codes of one
//! e-mail address in the order of who asked.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{constant_time, hmac, rand};
use domain::ids::UserId;
use eventstore::sealing::{PersonKey, SealError, Vault};
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use self::requests::Request;
pub(crate) use self::requests::request;
use crate::{
    accounts::{Fault, Identity, NewAccount, create},
    api_keys, credentials,
    email::Email,
    known_addresses::{self, AddressDigest, AddressDigests},
    mail::{self, Letter, MailKind, Mails, WriteError, texts},
    password::Password,
    person_name::PersonName,
    removal,
    roles::Role,
    sessions,
};

pub(crate) mod requests;

/// How long and how often a code may be tried.
#[derive(Clone, Copy, Debug)]
pub struct CodeSettings {
    /// How long it is good.
    pub lifetime: Duration,
    /// How often one may try from where it was asked for, the right try included; and once more as often from all other
    /// network addresses together.
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

/// Most network addresses that have a code for one e-mail address and purpose at the same time, beside those that the
/// account was used from.
const ASKERS: i64 = 5;
/// Most mails in [`NEWS_WINDOW`] that tell somebody that their address was to be registered.
const NEWS: i64 = 3;
/// See [`NEWS`].
const NEWS_WINDOW: Duration = Duration::from_hours(1);
/// How long it is of use to hear that one's address was to be registered again: a mail server that is configured later
/// does not send what has long passed.
const NEWS_USEFUL_FOR: Duration = Duration::from_hours(24);
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
        from: &AddressDigests,
    ) -> Result<(), Fault> {
        let account = NewAccount {
            name,
            email,
            password,
            roles: Role::Customer.into(),
        };
        let hash = self.identity.hasher.hash(&account.password).await?;
        let mut transaction = self.identity.pool.begin().await?;
        let made = create::insert(&mut transaction, &account, &hash).await?;
        let kind = if made.is_some() {
            MailKind::VerifyEmail
        } else {
            MailKind::AlreadyRegistered
        };
        request(&mut transaction, &account.email, kind, from).await?;
        transaction.commit().await?;
        self.ring();
        Ok(())
    }

    /// Has a code sent to whoever has the e-mail address, if anybody. It belongs to the network address that asks.
    pub async fn request(
        &self,
        purpose: Purpose,
        email: &Email,
        from: &AddressDigests,
    ) -> Result<(), Fault> {
        let mut connection = self.identity.pool.acquire().await?;
        request(&mut connection, email, purpose.kind(), from).await?;
        self.ring();
        Ok(())
    }

    /// Takes the e-mail address as verified, for the right code, tried from that network address. Returns whose it is.
    pub async fn verify_email(
        &self,
        email: &Email,
        code: &str,
        from: &AddressDigest,
    ) -> Result<UserId, CodeError> {
        let mut transaction = self.begin().await?;
        let redeemed = self
            .redeem(&mut transaction, email, Purpose::VerifyEmail, code, from)
            .await?;
        let verified = match redeemed {
            Some(user_id) => credentials::verify(&mut transaction, user_id, email).await?,
            None => None,
        };
        self.end(transaction, redeemed.filter(|_| verified.is_some()))
            .await
    }

    /// Puts a new password in the place of the old one, for the right code, and ends all sessions. The address is
    /// verified by it: the code has reached its owner. Where it was not before, the account may have been made by
    /// somebody else who named the address: the API keys and the known network addresses of before go as well. Returns
    /// whose it is.
    pub async fn reset_password(
        &self,
        email: &Email,
        code: &str,
        password: &Password,
        from: &AddressDigest,
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
            .redeem(&mut transaction, email, Purpose::ResetPassword, code, from)
            .await?;
        let Some(user_id) = redeemed else {
            return self.end(transaction, None).await;
        };
        let verified = credentials::verify(&mut transaction, user_id, email).await?;
        if let Some(is_news) = verified {
            credentials::set_password(&mut transaction, user_id, &hash).await?;
            sessions::end_all(&mut transaction, user_id).await?;
            if is_news {
                api_keys::forget(&mut transaction, user_id).await?;
                known_addresses::forget(&mut transaction, user_id).await?;
            }
        }
        self.end(transaction, verified.map(|_| user_id)).await
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

    /// Counts a try, and ends all codes of that address and purpose where it is one of the right ones. Holds the
    /// credential of whoever has the address.
    async fn redeem(
        &self,
        connection: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
        code: &str,
        from: &AddressDigest,
    ) -> Result<Option<UserId>, sqlx::Error> {
        let address = self.address_digest(email);
        // codes of before and after somebody registered stand side by side
        let owner: Option<Option<Uuid>> = sqlx::query_scalar(
            "select user_id from one_time_codes where address = $1 and purpose = $2
             order by user_id is null, expires_at desc limit 1",
        )
        .bind(address.as_slice())
        .bind(purpose.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        // nobody has the nil id: for an address that is not known the same is asked in vain
        let owner = owner.flatten().unwrap_or(Uuid::nil());
        let held = credentials::hold(connection, owner.into()).await?;
        let tried = count_try(connection, &address, purpose, from).await?;
        let given = self.code_digest(email, purpose, code);
        let mut right = false;
        for (tried_of, expected) in &tried {
            let matches = constant_time::verify_slices_are_equal(&given, expected).is_ok();
            right |= matches && *tried_of == Some(owner); // all are compared, whichever it is
        }
        if !(right && held.is_some()) {
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
        let due = requests::due(&self.identity.pool).await?;
        for request in &due {
            if let Err(error) = self.fulfil(request).await {
                tracing::warn!(%error, "a mail that was asked for is not written yet");
                requests::postpone(&self.identity.pool, request).await?;
            }
        }
        Ok(due.len() as i64 == requests::BATCH)
    }

    /// Does what a request wishes for, and removes it, with all others that wish for the same from the same network
    /// address.
    async fn fulfil(&self, request: &Request) -> Result<(), WorkError> {
        let email: Email = request.user_name.parse().map_err(|_| WorkError::Unknown)?;
        let kind = MailKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == request.wish)
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
        if !requests::claim(&mut transaction, request).await? {
            return Ok(()); // another process was faster
        }
        let user_id = owner.as_ref().map(|(user_id, _)| *user_id);
        let letter = if let Some(purpose) = Purpose::of(kind) {
            let code = self.replace_code(&mut transaction, &email, purpose, user_id, request);
            let code = code.await?;
            code.map(|code| self.letter(kind, &email, Some(&code)))
        } else {
            // as a new account would have one: trying it must not tell the two apart
            let purpose = Purpose::VerifyEmail;
            self.make_unknown_code(&mut transaction, &email, purpose, request)
                .await?;
            let is_news = is_news(&mut transaction, user_id).await?;
            is_news.then(|| self.letter(kind, &email, None))
        };
        let letter = letter.transpose()?;
        if let (Some((user_id, key)), Some(letter)) = (&owner, &letter) {
            mail::write(&mut transaction, *user_id, key, letter).await?;
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

    /// Makes the next code of this e-mail address for whoever asks, which nobody is told where nobody has the address.
    /// None where too many others have asked, and the account was never used from where this one asks.
    async fn replace_code(
        &self,
        connection: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
        owner: Option<UserId>,
        request: &Request,
    ) -> Result<Option<String>, WorkError> {
        let code = random_code()?;
        let digest = if owner.is_some() {
            self.code_digest(email, purpose, &code)
        } else {
            digest_of_nothing()?
        };
        // what was asked for while nobody had the address keeps nobody from it who has it since
        let made = sqlx::query(
            "insert into one_time_codes
                 (address, purpose, asked_from, user_id, code, tries_left, others_tries_left, expires_at)
             select $1, $2, $3, $4, $5, $6, $6, clock_timestamp() + make_interval(secs => $7)
             where $8 > (select count(*) from one_time_codes
                         where address = $1 and purpose = $2 and asked_from <> $3
                           and user_id is not distinct from $4 and expires_at > clock_timestamp())
                or exists (select from known_addresses
                           where user_id = $4 and (address_digest = $3 or address_digest = any($9)))
             on conflict (address, purpose, asked_from) do update set user_id = excluded.user_id,
                 code = excluded.code, tries_left = excluded.tries_left,
                 others_tries_left = excluded.others_tries_left, expires_at = excluded.expires_at",
        )
        .bind(self.address_digest(email).as_slice())
        .bind(purpose.as_str())
        .bind(&request.asked_from)
        .bind(owner.map(Uuid::from))
        .bind(digest.as_slice())
        .bind(self.settings.tries)
        .bind(self.settings.lifetime.as_secs_f64())
        .bind(ASKERS)
        .bind(&request.asked_from_earlier)
        .execute(connection)
        .await?;
        Ok((made.rows_affected() > 0).then_some(code))
    }

    /// Makes a code that nobody knows, unless whoever asks has one.
    async fn make_unknown_code(
        &self,
        connection: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
        request: &Request,
    ) -> Result<(), WorkError> {
        sqlx::query(
            "insert into one_time_codes
                 (address, purpose, asked_from, code, tries_left, others_tries_left, expires_at)
             values ($1, $2, $3, $4, $5, $5, clock_timestamp() + make_interval(secs => $6))
             on conflict (address, purpose, asked_from) do nothing",
        )
        .bind(self.address_digest(email).as_slice())
        .bind(purpose.as_str())
        .bind(&request.asked_from)
        .bind(digest_of_nothing()?.as_slice())
        .bind(self.settings.tries)
        .bind(self.settings.lifetime.as_secs_f64())
        .execute(connection)
        .await?;
        Ok(())
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
            useful_for: Some(code.map_or(NEWS_USEFUL_FOR, |_| lifetime)),
        })
    }

    /// Removes codes that have expired, and requests that nobody could work off for as long. Returns how many.
    pub async fn remove_expired(&self) -> Result<u64, Fault> {
        let pool = &self.identity.pool;
        let codes = removal::remove(pool, "one_time_codes", "expires_at", Duration::ZERO).await?;
        let lifetime = self.settings.lifetime;
        let requests = removal::remove(pool, "code_requests", "requested_at", lifetime).await?;
        Ok(codes + requests)
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

/// Whether somebody whose credential is held was not yet told too often that their address was to be registered.
async fn is_news(
    connection: &mut PgConnection,
    owner: Option<UserId>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) < $3 from mails
         where user_id = $1 and kind = $2 and created_at > clock_timestamp() - make_interval(secs => $4)",
    )
    .bind(owner.map(Uuid::from))
    .bind(MailKind::AlreadyRegistered.as_str())
    .bind(NEWS)
    .bind(NEWS_WINDOW.as_secs_f64())
    .fetch_one(connection)
    .await
}

/// Counts a try against every code that may be tried from there. Returns these, with whose they are.
async fn count_try(
    connection: &mut PgConnection,
    address: &[u8; DIGEST_BYTES],
    purpose: Purpose,
    from: &AddressDigest,
) -> Result<Vec<(Option<Uuid>, Vec<u8>)>, sqlx::Error> {
    // a statement of its own, so that all who try take the rows in one order, and the next one sees what they left
    sqlx::query(
        "select from one_time_codes where address = $1 and purpose = $2 order by asked_from for update",
    )
    .bind(address.as_slice())
    .bind(purpose.as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query_as(
        "update one_time_codes
         set tries_left = tries_left - (asked_from = $3)::int,
             others_tries_left = others_tries_left - (asked_from <> $3)::int
         where address = $1 and purpose = $2 and expires_at > clock_timestamp()
           and case when asked_from = $3 then tries_left else others_tries_left end > 0
         returning user_id, code",
    )
    .bind(address.as_slice())
    .bind(purpose.as_str())
    .bind(from.as_slice())
    .fetch_all(connection)
    .await
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
    requests::forget(connection, user_id).await?;
    end_all(connection, user_id).await?;
    mail::forget(connection, user_id).await
}

/// The digest of a code that nobody knows.
fn digest_of_nothing() -> Result<[u8; DIGEST_BYTES], WorkError> {
    let mut nothing = [0; DIGEST_BYTES];
    rand::fill(&mut nothing).map_err(|_| WorkError::NoRandomness)?;
    Ok(nothing)
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
