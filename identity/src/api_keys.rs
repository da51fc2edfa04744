//! API keys: what programs use instead of a password. The table `api_keys`.
//!
//! Guarantees: a key is shown once and kept as a digest; it may do what its scopes name, and of that only what its maker
//! may at that time ([`crate::accounts`] cuts it down); one that was revoked, has expired or whose maker is gone opens
//! nothing, at once in the process that was told and within [`MAX_AGE`] in all others. A request with a key asks the
//! database at most that often, and never waits for its use to be noted. Made-up keys push no real ones out of memory.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::{ids::UserId, text::Title};
use lru::LruCache;
use sqlx::{FromRow, PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    accounts::Fault,
    credentials,
    permissions::{Permission, Permissions},
    standing::MAX_AGE,
};

/// Most keys of one person that can be used.
pub const MOST_LIVE: i64 = 50;
/// How many of a person's revoked and expired keys are remembered: the last ones.
pub const MOST_DEAD: i64 = 50;

/// How every key begins: so secret scanners find it, and an access token never does.
const MARK: &str = "souk_";
/// Characters of a key's prefix.
const PREFIX_CHARS: usize = 8;
/// What prefixes are made of: 32 characters that are not mistaken for each other.
const PREFIX_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Random bytes of a key.
const SECRET_BYTES: usize = 32;
/// Characters of a whole key: `souk_<prefix>_<secret in base64url>`.
const KEY_CHARS: usize = MARK.len() + PREFIX_CHARS + 1 + (SECRET_BYTES * 4).div_ceil(3);

/// Most keys that are kept in memory.
const MOST_KNOWN: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Most texts that are kept in memory as being no keys.
const MOST_UNKNOWN: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
/// How often the use of a key is noted at most.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What its maker calls it.
    pub name: Title,
    /// What it may do at the most.
    pub scopes: Permissions,
    /// How long it lives; none for a key that does not end by itself.
    pub lifetime: Option<Duration>,
}

/// A key, as its maker sees it afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Which.
    pub id: Uuid,
    /// Who made it.
    pub user_id: UserId,
    /// What its maker calls it.
    pub name: String,
    /// The part of the key that tells it from others.
    pub prefix: String,
    /// What it may do at the most.
    pub scopes: Permissions,
    /// When it was made, by the database's clock, like all times here.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, give or take a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for ApiKey {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get::<Uuid, _>("user_id")?.into(),
            name: row.try_get("name")?,
            prefix: row.try_get("prefix")?,
            scopes: scopes_of(&row.try_get::<Vec<String>, _>("scopes")?),
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
            last_used_at: row.try_get("last_used_at")?,
            revoked_at: row.try_get("revoked_at")?,
        })
    }
}

/// A name that this binary does not know, because a newer one wrote it, grants nothing here.
fn scopes_of(names: &[String]) -> Permissions {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// The text of a key, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyText(String);

impl ApiKeyText {
    /// What the program sends after `Authorization: Bearer`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key that nobody has.
    fn generate() -> Result<Self, Fault> {
        let mut bytes = [0; PREFIX_CHARS + SECRET_BYTES];
        rand::fill(&mut bytes).map_err(|_| Fault::Randomness)?;
        let (prefix, secret) = bytes.split_at(PREFIX_CHARS);
        let prefix: String = prefix
            .iter()
            .map(|byte| char::from(PREFIX_ALPHABET[usize::from(byte % 32)]))
            .collect();
        let secret = URL_SAFE_NO_PAD.encode(secret);
        Ok(Self(format!("{MARK}{prefix}_{secret}")))
    }

    fn prefix(&self) -> &str {
        &self.0[MARK.len()..MARK.len() + PREFIX_CHARS]
    }
}

/// Its beginning only.
impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyText({MARK}{}_..)", self.prefix())
    }
}

/// Whether what a request brings is meant to be an API key, and no access token.
pub(crate) fn is_meant(bearer: &str) -> bool {
    bearer.starts_with(MARK)
}

/// Whether it can be one: otherwise nobody needs to be asked.
fn is_well_formed(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == KEY_CHARS
        && is_meant(text)
        && bytes[MARK.len()..][..PREFIX_CHARS]
            .iter()
            .all(|byte| PREFIX_ALPHABET.contains(byte))
        && bytes[MARK.len() + PREFIX_CHARS] == b'_'
        && bytes[MARK.len() + PREFIX_CHARS + 1..]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// What is stored of a key.
type Digest = [u8; 32];

fn digest_of(text: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    bytes
}

/// What a request needs to know of a key that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Which.
    pub(crate) id: Uuid,
    /// Who made it.
    pub(crate) user_id: UserId,
    /// What it may do at the most.
    pub(crate) scopes: Permissions,
}

/// What is kept in memory.
#[derive(Debug)]
struct Kept {
    /// Keys that counted then.
    known: LruCache<Digest, (Known, Instant)>,
    /// What was no key then. Apart, so that made-up keys push no real ones out.
    unknown: LruCache<Digest, Instant>,
    /// When the use of a key was last noted here.
    noted: LruCache<Uuid, Instant>,
    /// How often something was forgotten: what was read before that is not kept.
    forgotten: u64,
}

/// Nothing is known of it, or only what was known too long ago: somebody has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stale;

impl Kept {
    fn new() -> Self {
        Self {
            known: LruCache::new(MOST_KNOWN),
            unknown: LruCache::new(MOST_UNKNOWN),
            noted: LruCache::new(MOST_KNOWN),
            forgotten: 0,
        }
    }

    /// What was known of it a moment ago: the key, or that there is none.
    fn fresh(&mut self, digest: &Digest) -> Result<Option<Known>, Stale> {
        let (found, since) = match self.known.get(digest) {
            Some((known, since)) => (Some(*known), since),
            None => (None, self.unknown.get(digest).ok_or(Stale)?),
        };
        if since.elapsed() < MAX_AGE {
            Ok(found)
        } else {
            Err(Stale)
        }
    }

    fn keep(&mut self, digest: Digest, found: Option<Known>, asked: Instant) {
        if let Some(known) = found {
            self.known.put(digest, (known, asked));
        } else {
            self.known.pop(&digest);
            self.unknown.put(digest, asked);
        }
    }

    /// Whether it is time to note that the key was used; then that counts as done.
    fn is_to_be_noted(&mut self, id: Uuid) -> bool {
        let noted = self.noted.get(&id);
        if noted.is_some_and(|since| since.elapsed() < NOTED_EVERY) {
            return false;
        }
        self.noted.put(id, Instant::now());
        true
    }
}

/// The API keys of all people. Clones share what is kept.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    pool: PgPool,
    kept: Arc<Mutex<Kept>>,
}

impl ApiKeys {
    /// The keys in this database.
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            kept: Arc::new(Mutex::new(Kept::new())),
        }
    }

    /// Makes a key. Its text is not to be had again. Whether its scopes are within what the maker may is not looked at
    /// here: it would grant no more.
    pub async fn create(
        &self,
        user_id: UserId,
        new: &NewApiKey,
    ) -> Result<(ApiKey, ApiKeyText), CreateApiKeyError> {
        let text = ApiKeyText::generate()?;
        let mut transaction = self.pool.begin().await.map_err(Fault::from)?;
        // one person's keys are made one after the other, and none once the account is closed
        credentials::hold(&mut transaction, user_id)
            .await
            .map_err(Fault::from)?
            .ok_or(CreateApiKeyError::Gone)?;
        let live = count_live(&mut transaction, user_id).await;
        if live.map_err(Fault::from)? >= MOST_LIVE {
            return Err(CreateApiKeyError::TooMany);
        }
        let key = insert(&mut transaction, user_id, new, &text).await;
        let key = key.map_err(Fault::from)?;
        forget_oldest_dead(&mut transaction, user_id)
            .await
            .map_err(Fault::from)?;
        transaction.commit().await.map_err(Fault::from)?;
        tracing::info!(%user_id, key = %key.prefix, "an API key was made");
        Ok((key, text))
    }

    /// Somebody's keys, the newest first, the dead ones that are remembered among them.
    pub async fn of(&self, user_id: UserId) -> Result<Vec<ApiKey>, Fault> {
        let keys = sqlx::query_as(
            "select id, user_id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at
             from api_keys where user_id = $1 order by created_at desc, id desc",
        )
        .bind(Uuid::from(user_id))
        .fetch_all(&self.pool)
        .await?;
        Ok(keys)
    }

    /// Revokes a key, of anybody or only of the `owner`. False where there is no such key; nothing happens where it was
    /// revoked before.
    pub async fn revoke(&self, id: Uuid, owner: Option<UserId>) -> Result<bool, Fault> {
        let revoked: Option<(Vec<u8>, String)> = sqlx::query_as(
            "update api_keys set revoked_at = coalesce(revoked_at, clock_timestamp())
             where id = $1 and ($2::uuid is null or user_id = $2) returning digest, prefix",
        )
        .bind(id)
        .bind(owner.map(Uuid::from))
        .fetch_optional(&self.pool)
        .await?;
        let Some((digest, prefix)) = revoked else {
            return Ok(false);
        };
        tracing::info!(key = %prefix, "an API key was revoked");
        let mut kept = self.lock();
        kept.forgotten += 1;
        if let Ok(digest) = Digest::try_from(digest) {
            kept.known.pop(&digest);
        }
        Ok(true)
    }

    /// The key with that text, if it counts, or did [`MAX_AGE`] ago.
    pub(crate) async fn find(&self, text: &str) -> Result<Option<Known>, sqlx::Error> {
        if !is_well_formed(text) {
            return Ok(None);
        }
        let digest = digest_of(text);
        let forgotten = {
            let mut kept = self.lock();
            if let Ok(found) = kept.fresh(&digest) {
                return Ok(found);
            }
            kept.forgotten
        };
        // what is read is at least as new as the question
        let asked = Instant::now();
        let found = look_up(&self.pool, &digest).await?;
        let mut kept = self.lock();
        if kept.forgotten == forgotten {
            kept.keep(digest, found, asked);
        }
        Ok(found)
    }

    /// Has it noted that a key was used, once a minute and beside the request, which does not wait and does not fail
    /// with it.
    pub(crate) fn note_use(&self, id: Uuid) {
        if !self.lock().is_to_be_noted(id) {
            return;
        }
        let pool = self.pool.clone();
        tokio::spawn(async move {
            if let Err(error) = note(&pool, id).await {
                tracing::debug!(%error, "the use of an API key was not noted");
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes every trace of somebody's keys.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from api_keys where user_id = $1")
        .bind(Uuid::from(user_id))
        .execute(connection)
        .await?;
    Ok(())
}

async fn look_up(pool: &PgPool, digest: &Digest) -> Result<Option<Known>, sqlx::Error> {
    let row: Option<(Uuid, Uuid, Vec<String>)> = sqlx::query_as(
        "select id, user_id, scopes from api_keys
         where digest = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())",
    )
    .bind(digest.as_slice())
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(id, user_id, scopes)| Known {
        id,
        user_id: user_id.into(),
        scopes: scopes_of(&scopes),
    }))
}

/// Several processes note uses: the row moves once a minute all the same.
async fn note(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update api_keys set last_used_at = clock_timestamp()
         where id = $1 and (last_used_at is null or last_used_at <= clock_timestamp() - make_interval(secs => $2))",
    )
    .bind(id)
    .bind(NOTED_EVERY.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(())
}

async fn count_live(connection: &mut PgConnection, user_id: UserId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from api_keys
         where user_id = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())",
    )
    .bind(Uuid::from(user_id))
    .fetch_one(connection)
    .await
}

async fn insert(
    connection: &mut PgConnection,
    user_id: UserId,
    new: &NewApiKey,
    text: &ApiKeyText,
) -> Result<ApiKey, sqlx::Error> {
    let scopes: Vec<&str> = new.scopes.iter().map(Permission::as_str).collect();
    sqlx::query_as(
        "insert into api_keys (id, user_id, name, prefix, digest, scopes, expires_at)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))
         returning id, user_id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at",
    )
    .bind(Uuid::now_v7())
    .bind(Uuid::from(user_id))
    .bind(new.name.as_str())
    .bind(text.prefix())
    .bind(digest_of(text.as_str()).as_slice())
    .bind(scopes)
    .bind(new.lifetime.map(|lifetime| lifetime.as_secs_f64()))
    .fetch_one(connection)
    .await
}

async fn forget_oldest_dead(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from api_keys where id in (
             select id from api_keys
             where user_id = $1 and (revoked_at is not null or expires_at <= clock_timestamp())
             order by least(revoked_at, expires_at) desc, id offset $2)",
    )
    .bind(Uuid::from(user_id))
    .bind(MOST_DEAD)
    .execute(connection)
    .await?;
    Ok(())
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    /// The person has [`MOST_LIVE`] keys.
    #[error("a person has at most {MOST_LIVE} API keys: revoke one")]
    TooMany,
    /// The account was closed.
    #[error("the account was closed")]
    Gone,
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_has_its_form_and_no_other_key_is_like_it() {
        let (one, two) = (
            ApiKeyText::generate().unwrap(),
            ApiKeyText::generate().unwrap(),
        );
        assert_ne!(one, two);
        for key in [&one, &two] {
            let text = key.as_str();
            assert!(is_well_formed(text), "{text}");
            assert_eq!(text.len(), 57);
            assert_eq!(&text[..5], "souk_");
            assert_eq!(&text[13..14], "_");
            let secret = URL_SAFE_NO_PAD.decode(&text[14..]).unwrap();
            assert_eq!(secret.len(), 32);
            assert_eq!(key.prefix(), &text[5..13]);
        }
    }

    #[test]
    fn what_cannot_be_a_key_is_told_without_asking_anybody() {
        let key = ApiKeyText::generate().unwrap().0;
        for text in [
            "",
            "souk_",
            &key[..56],
            &format!("{key}A"),
            &key.replacen("souk_", "SOUK_", 1),
            &format!("souk_ABCDEFGH_{}", &key[14..]),
            &format!("{}-{}", &key[..13], &key[14..]),
            &format!("{}\0", &key[..56]),
            &format!("{}é", &key[..55]),
            &format!("{}'", &key[..56]),
        ] {
            assert!(!is_well_formed(text), "{text:?}");
        }
        assert!(!is_meant("eyJhbGciOiJIUzI1NiJ9.e30.AAAA"));
    }

    #[test]
    fn the_text_of_a_key_is_not_in_debug_output() {
        let key = ApiKeyText::generate().unwrap();
        let printed = format!("{key:?}");
        assert!(printed.contains(key.prefix()));
        assert!(!printed.contains(&key.as_str()[14..]));
    }

    #[test]
    fn a_flood_of_made_up_keys_fills_no_memory_and_pushes_no_key_out() {
        let mut kept = Kept::new();
        let known = Known {
            id: Uuid::nil(),
            user_id: Uuid::nil().into(),
            scopes: Permissions::NONE,
        };
        let now = Instant::now();
        kept.keep(digest_of("real"), Some(known), now);
        for made_up in 0..5_000 {
            kept.keep(digest_of(&made_up.to_string()), None, now);
        }
        assert_eq!(kept.unknown.len(), MOST_UNKNOWN.get());
        assert_eq!(kept.fresh(&digest_of("real")), Ok(Some(known)));
        assert_eq!(kept.fresh(&digest_of("4999")), Ok(None));
        assert_eq!(kept.fresh(&digest_of("0")), Err(Stale), "asked for again");
    }

    #[test]
    fn a_key_that_counts_no_more_is_forgotten() {
        let mut kept = Kept::new();
        let known = Known {
            id: Uuid::nil(),
            user_id: Uuid::nil().into(),
            scopes: Permissions::NONE,
        };
        let digest = digest_of("real");
        kept.keep(digest, Some(known), Instant::now());
        kept.keep(digest, None, Instant::now());
        assert_eq!(kept.fresh(&digest), Ok(None));
    }

    #[test]
    fn the_use_of_a_key_is_noted_once_in_a_while() {
        let mut kept = Kept::new();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(kept.is_to_be_noted(one));
        assert!(!kept.is_to_be_noted(one));
        assert!(kept.is_to_be_noted(two));
    }
}
