//! Registration, log-in and what follows from it: what joins users, credentials, hashing, sessions and tokens.
//! [`Identity`] is all that `api` holds.
//!
//! Guarantees: a user and its credential come into being together or not at all; one address is one account, however
//! many register it at once; no database connection is held while bcrypt works; a failed log-in says and takes the
//! same whether the address is known or not. Whoever makes a request may do what their roles allow at that time, not
//! when their token was signed.

use domain::ids::UserId;
use sqlx::PgPool;
use uuid::Uuid;

use self::create::Origin;
use crate::{
    api_keys::{self, ApiKeys},
    credentials::{self, Credential},
    email::Email,
    hashing::{HashingError, PasswordHasher},
    known_addresses::{self, AddressDigest, AddressDigests},
    password::Password,
    permissions::{Means, Principal},
    person_name::PersonName,
    roles::{Role, Roles},
    sessions::{self, RefreshToken, Rotation, SessionSettings},
    standing::Standings,
    tokens::{AccessToken, AccessTokens, PublicKey, SigningError, Subject, TokenError, TokenKind},
    users::{self, User},
};

pub(crate) mod create;
pub(crate) mod many;

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Name of the person.
    pub name: PersonName,
    /// The address to log in with; also where mail goes at first.
    pub email: Email,
    /// The password to log in with.
    pub password: Password,
    /// What the person is to the shop.
    pub roles: Roles,
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Who.
    pub user: User,
    /// What requests are made with.
    pub access_token: AccessToken,
    /// What continues the session; the simple client contract has none.
    pub refresh_token: Option<RefreshToken>,
}

/// Users, credentials, sessions and tokens over one database. Clones share all of it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(crate) pool: PgPool,
    pub(crate) hasher: PasswordHasher,
    tokens: AccessTokens,
    sessions: SessionSettings,
    pub(crate) standings: Standings,
    api_keys: ApiKeys,
}

impl Identity {
    /// The facade over its parts.
    pub fn new(
        pool: PgPool,
        hasher: PasswordHasher,
        tokens: AccessTokens,
        sessions: SessionSettings,
    ) -> Self {
        Self {
            standings: Standings::new(pool.clone()),
            api_keys: ApiKeys::new(pool.clone()),
            pool,
            hasher,
            tokens,
            sessions,
        }
    }

    /// Makes the account of a customer, and asks for a code to verify the address, from where they are.
    pub async fn register(
        &self,
        name: PersonName,
        email: Email,
        password: Password,
        from: &AddressDigests,
    ) -> Result<User, RegisterError> {
        let roles = Role::Customer.into();
        let account = NewAccount {
            name,
            email,
            password,
            roles,
        };
        self.create(&account, Origin::Registered(from))
            .await?
            .ok_or(RegisterError::EmailTaken)
    }

    /// Sees to it that somebody can log in with that address: makes the account when there is none. One that is there
    /// stays as it is, password and roles included, since its owner may have changed it.
    pub async fn ensure_user(&self, account: &NewAccount) -> Result<UserId, Fault> {
        loop {
            if let Some(existing) = credentials::find(&self.pool, &account.email).await? {
                return Ok(existing.user_id);
            }
            // none: somebody else made it a moment ago, so it is found now
            if let Some(user) = self.create(account, Origin::Ours).await? {
                return Ok(user.id);
            }
        }
    }

    /// Exchanges address and password for tokens. Takes the texts as they were typed: one that cannot be an address or a
    /// password is a wrong one like any other.
    pub async fn log_in(
        &self,
        email: &str,
        password: &str,
        kind: TokenKind,
    ) -> Result<LoggedIn, LogInError> {
        let (email, password) = (
            email.parse::<Email>().ok(),
            password.parse::<Password>().ok(),
        );
        let credential = match &email {
            Some(email) => credentials::find(&self.pool, email)
                .await
                .map_err(Fault::from)?,
            None => None,
        };
        let hash = credential
            .as_ref()
            .map(|credential| &credential.password_hash);
        let verified = self
            .hasher
            .verify(password.as_ref(), hash)
            .await
            .map_err(Fault::from)?;
        let (true, Some(credential), Some(password)) = (verified, credential, password) else {
            return Err(LogInError::WrongCredentials);
        };
        // a credential whose user is gone opens nothing
        let user = self
            .user(credential.user_id)
            .await?
            .ok_or(LogInError::WrongCredentials)?;
        let (subject, refresh_token) = self.begin_session(&credential, kind).await?;
        if self.hasher.is_outdated(&credential.password_hash) {
            self.hash_anew(&credential, &password).await;
        }
        Ok(self.logged_in(user, &subject, refresh_token)?)
    }

    /// Exchanges a refresh token for its successor and a new access token. Before anything comes of it, `within_limit`
    /// is asked with whose token it is; of one that nobody knows, with the token itself.
    pub async fn refresh<E: From<RefreshError>, F: Future<Output = Result<(), E>>>(
        &self,
        refresh_token: &str,
        within_limit: impl FnOnce(Uuid) -> F,
    ) -> Result<LoggedIn, E> {
        let token = Uuid::try_parse(refresh_token).map_err(|_| RefreshError::Refused)?;
        let mut transaction = self.pool.begin().await.map_err(RefreshError::from)?;
        let found = sessions::find(&mut transaction, token)
            .await
            .map_err(RefreshError::from)?;
        within_limit(found.as_ref().map_or(token, |found| found.user_id.into())).await?;
        let found = found.ok_or(RefreshError::Refused)?;
        Ok(self.continue_session(transaction, token, found).await?)
    }

    async fn continue_session(
        &self,
        transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        token: Uuid,
        found: sessions::Found,
    ) -> Result<LoggedIn, RefreshError> {
        let session = match sessions::rotate(transaction, token, found, self.sessions).await? {
            Rotation::Continued(session) => session,
            Rotation::Unknown => return Err(RefreshError::Refused),
            Rotation::Reused { user_id } => {
                tracing::warn!(%user_id, "a refresh token was used twice: its session is over");
                return Err(RefreshError::Refused);
            }
        };
        let user = self
            .user(session.user_id)
            .await?
            .ok_or(RefreshError::Refused)?;
        let subject = Subject {
            user_id: user.id,
            epoch: session.epoch,
            session: Some(session.id),
        };
        Ok(self.logged_in(user, &subject, Some(session.refresh_token))?)
    }

    /// Ends the session of a refresh token. A token that is not known ends nothing, and nobody is told.
    pub async fn log_out(&self, refresh_token: &str) -> Result<(), Fault> {
        match Uuid::try_parse(refresh_token) {
            Ok(token) => Ok(sessions::end(&self.pool, token).await?),
            Err(_) => Ok(()),
        }
    }

    /// Ends all sessions of somebody, and with them all access tokens.
    pub async fn log_out_everywhere(&self, user_id: UserId) -> Result<(), Fault> {
        let mut transaction = self.pool.begin().await?;
        if credentials::hold(&mut transaction, user_id)
            .await?
            .is_some()
        {
            sessions::end_all(&mut transaction, user_id).await?;
        }
        transaction.commit().await?;
        self.standings.forget(user_id);
        Ok(())
    }

    /// Whether somebody has logged in to that account from there before. Takes the user name as it was typed.
    pub async fn knows_address(
        &self,
        email: &str,
        address: &AddressDigests,
    ) -> Result<bool, Fault> {
        let Ok(email) = email.parse::<Email>() else {
            return Ok(false);
        };
        Ok(known_addresses::contains(&self.pool, &email, address).await?)
    }

    /// Notes that somebody has proved from there who they are.
    pub async fn remember_address(
        &self,
        user_id: UserId,
        address: &AddressDigest,
    ) -> Result<(), Fault> {
        Ok(known_addresses::remember(&self.pool, user_id, address).await?)
    }

    /// Removes refresh tokens that have expired, and addresses that were not seen for long. Returns how many.
    pub async fn remove_expired(&self) -> Result<u64, Fault> {
        let tokens = sessions::remove_expired(&self.pool).await?;
        Ok(tokens + known_addresses::remove_old(&self.pool).await?)
    }

    /// The person with that id.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, Fault> {
        Ok(users::find(&self.pool, id).await?)
    }

    /// The address that somebody logs in with; none where there is no such person.
    pub async fn user_name(&self, id: UserId) -> Result<Option<String>, Fault> {
        Ok(credentials::user_name(&self.pool, id).await?)
    }

    /// The API keys of all people.
    pub fn api_keys(&self) -> &ApiKeys {
        &self.api_keys
    }

    /// The public keys by which others verify access tokens; none where they are signed with a secret.
    pub fn public_keys(&self) -> &[PublicKey] {
        self.tokens.public_keys()
    }

    /// Who sends an access token or an API key, and what they may do now. Asks the database at most every
    /// [`crate::standing::MAX_AGE`] for each person and each key.
    pub async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthenticateError> {
        if api_keys::is_meant(bearer) {
            return self.authenticate_key(bearer).await;
        }
        let subject = self.tokens.verify(bearer)?;
        let standing = self.standings.of(subject.user_id).await;
        let standing = standing
            .map_err(Fault::from)?
            .filter(|standing| standing.access.epoch == subject.epoch)
            .ok_or(TokenError::Revoked)?;
        Ok(Principal {
            user_id: subject.user_id,
            permissions: standing.roles.permissions(),
            verified: standing.access.verified,
            means: subject.session.map_or(Means::Contract, Means::Session),
        })
    }

    /// A key does what its scopes name, and of that only what its maker may now. It is of no session, so the end of all
    /// sessions is not its end; that of the account is.
    async fn authenticate_key(&self, text: &str) -> Result<Principal, AuthenticateError> {
        let key = self.api_keys.find(text).await.map_err(Fault::from)?;
        let key = key.ok_or(TokenError::ApiKey)?;
        let standing = self.standings.of(key.user_id).await.map_err(Fault::from)?;
        let standing = standing.ok_or(TokenError::ApiKey)?;
        self.api_keys.note_use(key.id);
        Ok(Principal {
            user_id: key.user_id,
            permissions: standing.roles.permissions().and(key.scopes),
            verified: standing.access.verified,
            means: Means::ApiKey(key.id),
        })
    }

    /// Takes somebody to have these roles for a moment, without asking the database.
    #[cfg(feature = "testing")]
    pub fn assume(&self, user_id: UserId, roles: Roles) {
        let access = credentials::Access {
            epoch: 0,
            verified: true,
        };
        let standing = crate::standing::Standing { roles, access };
        self.standings.assume(user_id, Some(standing));
    }

    /// Begins a session where the kind of log-in has one. Refused where the password was changed since it was verified:
    /// a session that begins behind a reset would outlive it.
    async fn begin_session(
        &self,
        credential: &Credential,
        kind: TokenKind,
    ) -> Result<(Subject, Option<RefreshToken>), LogInError> {
        let mut transaction = self.pool.begin().await.map_err(Fault::from)?;
        let epoch = credentials::hold_verified(&mut transaction, credential)
            .await
            .map_err(Fault::from)?
            .ok_or(LogInError::WrongCredentials)?;
        let user_id = credential.user_id;
        let session = match kind {
            TokenKind::Api => Some(
                sessions::begin(&mut transaction, user_id, epoch, self.sessions)
                    .await
                    .map_err(Fault::from)?,
            ),
            TokenKind::Contract => None,
        };
        transaction.commit().await.map_err(Fault::from)?;
        let subject = Subject {
            user_id,
            epoch,
            session: session.as_ref().map(|session| session.id),
        };
        Ok((subject, session.map(|session| session.refresh_token)))
    }

    fn logged_in(
        &self,
        user: User,
        subject: &Subject,
        refresh_token: Option<RefreshToken>,
    ) -> Result<LoggedIn, Fault> {
        let access_token = self.tokens.sign(subject, user.roles)?;
        Ok(LoggedIn {
            user,
            access_token,
            refresh_token,
        })
    }

    /// Brings the hash to the cost that is set now, while the password is at hand. The log-in goes on without it.
    async fn hash_anew(&self, credential: &Credential, password: &Password) {
        let replaced = match self.hasher.hash(password).await {
            Ok(hash) => credentials::replace_hash(&self.pool, credential, &hash)
                .await
                .map_err(Fault::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = replaced {
            tracing::warn!(user_id = %credential.user_id, %error, "the password hash keeps its old cost");
        }
    }
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The address belongs to an account already. Whether a client is told is the API's decision.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Address or password is wrong; which of them is told to nobody.
    #[error("the e-mail address or the password is wrong")]
    WrongCredentials,
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a session was not continued.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token is unknown, expired, ended or was used before; which of these is told to nobody.
    #[error("the refresh token is not valid")]
    Refused,
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for RefreshError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Why it is not known who makes a request.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Something that the client has no part in.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database did not answer, or refused.
    #[error("identity database: {0}")]
    Database(#[from] sqlx::Error),
    /// The password could not be hashed or compared.
    #[error("password hashing: {0}")]
    Hashing(#[from] HashingError),
    /// The token could not be signed.
    #[error("{0}")]
    Signing(#[from] SigningError),
    /// The system gave no randomness.
    #[error("the system has no randomness")]
    Randomness,
}

impl Fault {
    /// Whether trying again later may help (503), as opposed to a defect (500).
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(_) => true,
            Self::Hashing(error) => matches!(error, HashingError::Busy | HashingError::Interrupted),
            Self::Signing(_) | Self::Randomness => false,
        }
    }
}
