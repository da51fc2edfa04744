//! Access tokens: JWTs (RFC 7519) signed by one algorithm and no other, HMAC-SHA-256 or Ed25519 as the settings say,
//! checked by the rules of RFC 8725. They hold ids and roles, never personal data. Signed at log-in, verified on every
//! request.
//!
//! A token names its key, and only among the keys of the settings it is looked for: what a token brings along (`jwk`,
//! `jku`, `x5u`, `x5c`) is never used, and its `alg` is compared, not followed.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::UserId;
use jsonwebtoken::{Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::keys::{MAX_KEYS, PublicKey, TokenKeys, UnfitKeys};
use self::verified::VerifiedTokens;
use crate::roles::Roles;

mod keys;
mod verified;

/// Fewest bytes of the secret: as many as the hash has (RFC 7518, 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// Longest token that is looked at. Ours have about 350 bytes; what is longer is refused before it is parsed.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// How far the clocks of two servers may differ: a token is taken this long after it expired and before it begins.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// The `typ` of an access token (RFC 9068, 2.1), so that nothing else signed with the same secret passes for one.
const TOKEN_TYPE: &str = "at+jwt";

/// What access tokens say and how long they live.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// `iss`: who signs. Tokens of another issuer are refused.
    pub issuer: String,
    /// `aud`: who they are for. Tokens for another audience are refused.
    pub audience: String,
    /// Life of a token from `/api/v1`, which has refresh tokens.
    pub lifetime: Duration,
    /// Life of a token from the simple client contract, which has none.
    pub contract_lifetime: Duration,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            issuer: "souk".into(),
            audience: "souk".into(),
            lifetime: Duration::from_mins(15),
            contract_lifetime: Duration::from_hours(24),
        }
    }
}

/// Which log-in a token is for. It decides how long the token lives and whether there is a session to continue, and
/// nothing else: both are accepted everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The log-in of `/api/v1`, which begins a session.
    Api,
    /// The log-in of the simple client contract.
    Contract,
}

/// Whom a token speaks for, and what it is held against when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub user_id: UserId,
    /// The epoch of their access tokens when it was signed.
    pub epoch: i32,
    /// The session that it is of; none for a token of the simple client contract.
    pub session: Option<Uuid>,
}

/// A signed access token.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: String,
    expires_at: DateTime<Utc>,
    lifetime: Duration,
}

impl AccessToken {
    /// What the client sends after `Authorization: Bearer`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When it ends.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }

    /// How long it lives from now (`expires_in` of RFC 6749, 5.1).
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Signs and verifies access tokens. Clones share the keys.
#[derive(Clone)]
pub struct AccessTokens(Arc<Inner>);

struct Inner {
    settings: TokenSettings,
    keys: TokenKeys,
    header: Header,
    validation: Validation,
    /// Where signatures are slow to verify.
    verified: Option<VerifiedTokens>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens")
            .field("settings", &self.0.settings)
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    epoch: i32,
    /// For whoever else verifies our tokens. Souk itself goes by what the person may do when the token is used.
    roles: Roles,
}

/// What is read back. The other claims are compared by the library and needed by nobody here.
#[derive(Clone, Copy, Deserialize)]
struct VerifiedClaims {
    sub: UserId,
    #[serde(default)]
    sid: Option<Uuid>,
    epoch: i32,
    exp: i64,
}

impl AccessTokens {
    /// Tokens signed with that secret. All servers that share a database need the same one.
    pub fn new(secret: &[u8], settings: TokenSettings) -> Result<Self, WeakSecret> {
        Ok(Self::with_keys(TokenKeys::hs256(secret, &[])?, settings))
    }

    /// Tokens of these keys. All servers that share a database need to verify what any of them signs.
    pub fn with_keys(keys: TokenKeys, settings: TokenSettings) -> Self {
        let mut validation = Validation::new(keys.algorithm()); // this one, whatever the token's header says
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true; // the library's default is not to
        validation.leeway = CLOCK_SKEW.as_secs();
        let header = Header {
            typ: Some(TOKEN_TYPE.into()),
            kid: Some(keys.id().to_owned()),
            ..Header::new(keys.algorithm())
        };
        Self(Arc::new(Inner {
            settings,
            verified: keys.is_asymmetric().then(VerifiedTokens::new),
            keys,
            header,
            validation,
        }))
    }

    /// The public keys by which others verify tokens; none where they are signed with a secret.
    pub fn public_keys(&self) -> &[PublicKey] {
        self.0.keys.public_keys()
    }

    /// A token that speaks for the subject from now on: for the life of the API's tokens where it is of a session,
    /// otherwise for that of the simple client contract's.
    pub fn sign(&self, subject: &Subject, roles: Roles) -> Result<AccessToken, SigningError> {
        let settings = &self.0.settings;
        let lifetime = match subject.session {
            Some(_) => settings.lifetime,
            None => settings.contract_lifetime,
        };
        let now = Utc::now();
        let expires_at = TimeDelta::from_std(lifetime)
            .ok()
            .and_then(|lifetime| now.checked_add_signed(lifetime))
            .ok_or(SigningError::Lifetime)?;
        let claims = Claims {
            iss: &settings.issuer,
            aud: &settings.audience,
            sub: subject.user_id,
            jti: Uuid::new_v4(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: expires_at.timestamp(),
            sid: subject.session,
            epoch: subject.epoch,
            roles,
        };
        let text = jsonwebtoken::encode(&self.0.header, &claims, self.0.keys.signing())?;
        Ok(AccessToken {
            text,
            expires_at,
            lifetime,
        })
    }

    /// Who the token speaks for. Nothing in it is believed before its signature is found right.
    pub fn verify(&self, token: &str) -> Result<Subject, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let claims = match &self.0.verified {
            Some(verified) => verified.or_verify(token, || self.decode(token))?,
            None => self.decode(token)?,
        };
        if claims.exp < Utc::now().timestamp() - CLOCK_SKEW.as_secs() as i64 {
            return Err(TokenError::Expired);
        }
        Ok(Subject {
            user_id: claims.sub,
            epoch: claims.epoch,
            session: claims.sid,
        })
    }

    /// What the token says, if it was signed with one of our keys for a use like this one.
    fn decode(&self, token: &str) -> Result<VerifiedClaims, TokenError> {
        let Inner {
            keys, validation, ..
        } = &*self.0;
        let header = jsonwebtoken::decode_header(token).map_err(|error| of(&error))?;
        if header.alg != keys.algorithm() {
            return Err(TokenError::WrongAlgorithm);
        }
        let key = keys
            .verifying(header.kid.as_deref())
            .ok_or(TokenError::UnknownKey)?;
        let verified = jsonwebtoken::decode::<VerifiedClaims>(token, key, validation)
            .map_err(|error| of(&error))?;
        // `crit` names extensions that must be understood (RFC 7515, 4.1.11): we know none
        if verified.header.typ.as_deref() != Some(TOKEN_TYPE) || verified.header.crit.is_some() {
            return Err(TokenError::Foreign);
        }
        Ok(verified.claims)
    }
}

/// The secret is too short to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of access tokens needs at least {MIN_SECRET_BYTES} bytes")]
pub struct WeakSecret;

/// Why a token could not be signed: a defect, or a setting.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The lifetime reaches beyond the calendar.
    #[error("the lifetime of access tokens is too long")]
    Lifetime,
    /// The library refused.
    #[error("signing an access token: {0}")]
    Library(#[from] jsonwebtoken::errors::Error),
}

/// Why a token is not accepted. For logs and counters; a client is told only that the token is not valid, or that it
/// expired, since neither helps in forging one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`MAX_TOKEN_BYTES`].
    #[error("too long")]
    TooLong,
    /// Not a JWT, or one that lacks what ours have.
    #[error("malformed")]
    Malformed,
    /// Signed with another algorithm than ours, or with none.
    #[error("wrong algorithm")]
    WrongAlgorithm,
    /// Signed with a key that is not ours, or not any more.
    #[error("unknown key")]
    UnknownKey,
    /// Changed after it was signed, or signed with another key than it says.
    #[error("wrong signature")]
    WrongSignature,
    /// Rightly signed, but of another issuer, for another audience or of another type.
    #[error("not issued as an access token for this server")]
    Foreign,
    /// It ended.
    #[error("expired")]
    Expired,
    /// It has not begun.
    #[error("not valid yet")]
    NotYetValid,
    /// Its sessions were ended, or its user is gone.
    #[error("revoked")]
    Revoked,
    /// No access token but an API key: there is none like it, or not any more.
    #[error("no such API key")]
    ApiKey,
}

fn of(error: &jsonwebtoken::errors::Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidAlgorithm
        | ErrorKind::MissingAlgorithm
        | ErrorKind::UnsupportedAlgorithm => TokenError::WrongAlgorithm,
        ErrorKind::InvalidSignature => TokenError::WrongSignature,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => TokenError::Foreign,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYetValid,
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests;
