//! Personal data in events is only there sealed: encrypted with a key per person, bound to person, stream and field.
//!
//! A value is sealed before the decision and opened only when somebody who may reads it; everything between (state,
//! snapshots, caches, views, dead letters, Kafka) holds the sealed text. Deleting a person's key makes all of it
//! unreadable at once while history still replays. Keys are kept wrapped by a master key from the environment.
//!
//! AES-256-GCM (NIST SP 800-38D) with random nonces: a key seals far fewer than the 2^32 values that bound them.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest, rand,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::sealed::Sealed;
use lru::LruCache;
use sqlx::{PgPool, Row};
use uuid::Uuid;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// How long an unwrapped key is kept: an erasure by another process is noticed after this at the latest.
const KEY_CACHE_TTL: Duration = Duration::from_secs(30);
/// Most unwrapped keys kept.
const KEY_CACHE_ENTRIES: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// Version of the sealed text.
const VERSION: &str = "v1";

/// The key that wraps people's keys.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    key: Arc<RandomizedNonceKey>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The master key is not 32 bytes in base64.
    #[error("the master key must be {KEY_BYTES} bytes in base64")]
    InvalidMasterKey,
    /// The person was erased: nothing can be sealed for them any more.
    #[error("this person has been erased")]
    Erased,
    /// The key was wrapped by another master key than the one configured.
    #[error("the key of this person is wrapped by another master key ({0})")]
    OtherMasterKey(String),
    /// The text is damaged, or it was moved from where it was sealed.
    #[error("sealed text does not open")]
    Damaged,
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl MasterKey {
    /// A key from its base64 text (32 bytes).
    pub fn from_base64(text: &str) -> Result<Self, SealError> {
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| SealError::InvalidMasterKey)?;
        if bytes.len() != KEY_BYTES {
            return Err(SealError::InvalidMasterKey);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| SealError::InvalidMasterKey)?;
        let fingerprint = digest::digest(&digest::SHA256, &bytes);
        Ok(Self {
            id: URL_SAFE_NO_PAD.encode(&fingerprint.as_ref()[..6]),
            key: Arc::new(key),
        })
    }

    /// A new random key, as base64.
    pub fn generate_base64() -> Result<String, SealError> {
        Ok(STANDARD.encode(random_key()?))
    }
}

fn random_key() -> Result<[u8; KEY_BYTES], SealError> {
    let mut bytes = [0; KEY_BYTES];
    // fails only where the system has no randomness at all
    rand::fill(&mut bytes).map_err(|_| SealError::InvalidMasterKey)?;
    Ok(bytes)
}

/// Seals and opens for one person.
#[derive(Clone)]
pub struct PersonKey {
    person: Uuid,
    key: Arc<RandomizedNonceKey>,
}

impl PersonKey {
    fn new(person: Uuid, bytes: &[u8]) -> Result<Self, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| SealError::Damaged)?;
        Ok(Self {
            person,
            key: Arc::new(key),
        })
    }

    /// Seals `plain` for the place where it will stand: `stream` as `<type>/<id>`, and the field of the event.
    pub fn seal(&self, stream: &str, field: &str, plain: &str) -> Result<Sealed, SealError> {
        let sealed = encrypt(&self.key, &self.place(stream, field), plain.as_bytes())?;
        Ok(Sealed::new(format!(
            "{VERSION}.{}.{}",
            self.person.simple(),
            URL_SAFE_NO_PAD.encode(sealed)
        )))
    }

    fn open(&self, stream: &str, field: &str, sealed: &[u8]) -> Result<String, SealError> {
        let plain = decrypt(&self.key, &self.place(stream, field), sealed)?;
        String::from_utf8(plain).map_err(|_| SealError::Damaged)
    }

    fn place(&self, stream: &str, field: &str) -> String {
        format!("{}|{stream}|{field}", self.person.simple())
    }
}

fn encrypt(key: &RandomizedNonceKey, place: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut buffer = plain.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut buffer)
        .map_err(|_| SealError::Damaged)?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut buffer);
    Ok(sealed)
}

fn decrypt(key: &RandomizedNonceKey, place: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (nonce, ciphertext) = sealed
        .split_at_checked(NONCE_LEN)
        .ok_or(SealError::Damaged)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
    let mut buffer = ciphertext.to_vec();
    let plain = key
        .open_in_place(nonce, Aad::from(place.as_bytes()), &mut buffer)
        .map_err(|_| SealError::Damaged)?;
    Ok(plain.to_vec())
}

/// The keys of all people.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    master: MasterKey,
    cache: Arc<Mutex<LruCache<Uuid, (PersonKey, Instant)>>>,
}

impl Vault {
    /// The vault in this database, wrapped by `master`.
    pub fn new(pool: PgPool, master: MasterKey) -> Self {
        Self {
            pool,
            master,
            cache: Arc::new(Mutex::new(LruCache::new(KEY_CACHE_ENTRIES))),
        }
    }

    /// The key of a person, made on first use; refused for somebody who was erased.
    pub async fn key_for(&self, person: Uuid) -> Result<PersonKey, SealError> {
        if let Some(key) = self.cached(person) {
            return Ok(key);
        }
        if let Some(key) = self.stored(&[person]).await?.remove(&person) {
            return Ok(key);
        }
        let wrapped = encrypt(&self.master.key, &wrapping_place(person), &random_key()?)?;
        let mut tx = self.pool.begin().await?;
        // ordered with an erasure of the same person, so that a key is never made behind it
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(wrapping_place(person))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "insert into person_keys (person_id, wrapped_key, master_key_id) select $1, $2, $3 \
             where not exists (select 1 from erased_people where person_id = $1) on conflict (person_id) do nothing",
        )
        .bind(person)
        .bind(wrapped)
        .bind(&self.master.id)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.stored(&[person])
            .await?
            .remove(&person)
            .ok_or(SealError::Erased)
    }

    /// Has this person's key at hand for a while, without asking the database.
    #[cfg(feature = "testing")]
    pub fn remember(&self, person: Uuid, bytes: &[u8; KEY_BYTES]) -> Result<(), SealError> {
        let key = PersonKey::new(person, bytes)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(person, (key, Instant::now()));
        Ok(())
    }

    /// Opens a sealed text; `None` where the person's key is gone.
    pub async fn open(
        &self,
        sealed: &Sealed,
        stream: &str,
        field: &str,
    ) -> Result<Option<String>, SealError> {
        let (person, ciphertext) = parse(sealed)?;
        let key = match self.cached(person) {
            Some(key) => Some(key),
            None => self.stored(&[person]).await?.remove(&person),
        };
        key.map(|key| key.open(stream, field, &ciphertext))
            .transpose()
    }

    /// Fetches the keys that opening these texts will need, in one query.
    pub async fn prepare<'s>(
        &self,
        sealed: impl IntoIterator<Item = &'s Sealed>,
    ) -> Result<(), SealError> {
        let mut people: Vec<Uuid> = Vec::new();
        for text in sealed {
            let (person, _) = parse(text)?;
            if self.cached(person).is_none() {
                people.push(person);
            }
        }
        people.sort_unstable();
        people.dedup();
        if !people.is_empty() {
            self.stored(&people).await?;
        }
        Ok(())
    }

    fn cached(&self, person: Uuid) -> Option<PersonKey> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, since) = cache.get(&person)?;
        (since.elapsed() < KEY_CACHE_TTL).then(|| key.clone())
    }

    async fn stored(&self, people: &[Uuid]) -> Result<HashMap<Uuid, PersonKey>, SealError> {
        let rows = sqlx::query("select person_id, wrapped_key, master_key_id from person_keys where person_id = any($1)")
            .bind(people)
            .fetch_all(&self.pool)
            .await?;
        let mut keys = HashMap::with_capacity(rows.len());
        for row in rows {
            let master_key_id: String = row.try_get("master_key_id")?;
            if master_key_id != self.master.id {
                return Err(SealError::OtherMasterKey(master_key_id));
            }
            let person: Uuid = row.try_get("person_id")?;
            let bytes = decrypt(
                &self.master.key,
                &wrapping_place(person),
                row.try_get("wrapped_key")?,
            )?;
            keys.insert(person, PersonKey::new(person, &bytes)?);
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for (person, key) in &keys {
            cache.put(*person, (key.clone(), Instant::now()));
        }
        Ok(keys)
    }
}

fn wrapping_place(person: Uuid) -> String {
    format!("person-key|{}", person.simple())
}

fn parse(sealed: &Sealed) -> Result<(Uuid, Vec<u8>), SealError> {
    let mut parts = sealed.as_str().splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(VERSION), Some(person), Some(ciphertext)) => {
            let person = Uuid::try_parse(person).map_err(|_| SealError::Damaged)?;
            let ciphertext = URL_SAFE_NO_PAD
                .decode(ciphertext)
                .map_err(|_| SealError::Damaged)?;
            Ok((person, ciphertext))
        }
        _ => Err(SealError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let key = PersonKey::new(Uuid::from_u128(1), &[7; KEY_BYTES]).unwrap();
        let sealed = key
            .seal("order/1", "customer_name", "Nguyễn Văn A")
            .unwrap();
        let (person, bytes) = parse(&sealed).unwrap();
        assert_eq!(person, Uuid::from_u128(1));
        assert_eq!(
            key.open("order/1", "customer_name", &bytes).unwrap(),
            "Nguyễn Văn A"
        );
        assert!(
            key.open("order/2", "customer_name", &bytes).is_err(),
            "another stream"
        );
        assert!(
            key.open("order/1", "shipping_address", &bytes).is_err(),
            "another field"
        );
        let other = PersonKey::new(Uuid::from_u128(2), &[7; KEY_BYTES]).unwrap();
        assert!(
            other.open("order/1", "customer_name", &bytes).is_err(),
            "another person"
        );
        assert!(!sealed.as_str().contains("Nguy"));
    }

    #[test]
    fn a_master_key_is_thirty_two_bytes_of_base64() {
        assert!(MasterKey::from_base64(&MasterKey::generate_base64().unwrap()).is_ok());
        for text in ["", "short", &STANDARD.encode([1; 16])] {
            assert!(MasterKey::from_base64(text).is_err(), "{text}");
        }
    }
}
