//! Registration and log-in: what joins users, credentials, hashing and tokens. [`Identity`] is all that `api` holds.
//!
//! Guarantees: a user and its credential come into being together or not at all; one address is one account, however
//! many register it at once; no database connection is held while bcrypt works; a failed log-in says and takes the
//! same whether the address is known or not.

use domain::ids::UserId;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    credentials::{self, Credential},
    email::Email,
    hashing::{HashingError, PasswordHasher},
    password::Password,
    permissions::Principal,
    person_name::PersonName,
    roles::{Role, Roles},
    tokens::{AccessToken, AccessTokens, SigningError, TokenError, TokenKind},
    users::{self, User},
};

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

/// Users, credentials and tokens over one database. Clones share all of it.
#[derive(Clone, Debug)]
pub struct Identity {
    pool: PgPool,
    hasher: PasswordHasher,
    tokens: AccessTokens,
}

impl Identity {
    /// The facade over its parts.
    pub fn new(pool: PgPool, hasher: PasswordHasher, tokens: AccessTokens) -> Self {
        Self {
            pool,
            hasher,
            tokens,
        }
    }

    /// Makes the account of a customer.
    pub async fn register(
        &self,
        name: PersonName,
        email: Email,
        password: Password,
    ) -> Result<User, RegisterError> {
        let roles = Role::Customer.into();
        self.create(&NewAccount {
            name,
            email,
            password,
            roles,
        })
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
            if let Some(user) = self.create(account).await? {
                return Ok(user.id);
            }
        }
    }

    /// Exchanges address and password for an access token. Takes the texts as they were typed: one that cannot be an
    /// address or a password is a wrong one like any other.
    pub async fn log_in(
        &self,
        email: &str,
        password: &str,
        kind: TokenKind,
    ) -> Result<(User, AccessToken), LogInError> {
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
        if self.hasher.is_outdated(&credential.password_hash) {
            self.hash_anew(&credential, &password).await;
        }
        let principal = Principal {
            user_id: user.id,
            roles: user.roles,
        };
        let token = self.tokens.sign(&principal, kind).map_err(Fault::from)?;
        Ok((user, token))
    }

    /// The person with that id.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, Fault> {
        Ok(users::find(&self.pool, id).await?)
    }

    /// Who the access token speaks for, and with which roles. Asks no database.
    pub fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        self.tokens.verify(token)
    }

    /// Makes user and credential in one transaction; none when the address is taken.
    async fn create(&self, account: &NewAccount) -> Result<Option<User>, Fault> {
        // before the transaction, so that no connection waits for it; also for a taken address, so that time tells
        // nothing
        let hash = self.hasher.hash(&account.password).await?;
        let id = UserId::from(Uuid::now_v7());
        let mut transaction = self.pool.begin().await?;
        if !credentials::insert(&mut transaction, id, &account.email, &hash).await? {
            transaction.rollback().await?;
            return Ok(None);
        }
        let user = users::insert(
            &mut transaction,
            id,
            &account.name,
            &account.email,
            account.roles,
        )
        .await?;
        transaction.commit().await?;
        Ok(Some(user))
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
}

impl Fault {
    /// Whether trying again later may help (503), as opposed to a defect (500).
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(_) => true,
            Self::Hashing(error) => matches!(error, HashingError::Busy | HashingError::Interrupted),
            Self::Signing(_) => false,
        }
    }
}
