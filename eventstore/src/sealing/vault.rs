//! The keys of all people: made on first use, kept at hand for a moment, gone when a person is erased.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::sealed::Sealed;
use lru::LruCache;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::{MasterKeys, PersonKey, SealError, erasing, parse, random_key};

/// How long an unwrapped key is kept: an erasure by another process is noticed after this at the latest.
pub const KEY_CACHE_TTL: Duration = Duration::from_secs(5);
/// Most unwrapped keys kept.
const KEY_CACHE_ENTRIES: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

/// What is kept at hand.
struct Kept {
    /// Whose key, since when; none of somebody whose key is gone.
    keys: LruCache<Uuid, (Option<PersonKey>, Instant)>,
    /// How often a key was forgotten: one that was read before that is not kept.
    forgotten: u64,
}

/// What is known of somebody's key without asking the database.
enum AtHand {
    /// Nothing.
    Nothing,
    /// It was destroyed.
    Gone,
    /// The key.
    Key(PersonKey),
}

/// The keys of all people. Clones share what is kept.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    masters: MasterKeys,
    kept: Arc<Mutex<Kept>>,
}

impl Vault {
    /// The vault in this database, whose keys these master keys have wrapped.
    pub fn new(pool: PgPool, masters: impl Into<MasterKeys>) -> Self {
        Self {
            pool,
            masters: masters.into(),
            kept: Arc::new(Mutex::new(Kept {
                keys: LruCache::new(KEY_CACHE_ENTRIES),
                forgotten: 0,
            })),
        }
    }

    /// The key of a person, made on first use; refused for somebody who was erased.
    pub async fn key_for(&self, person: Uuid) -> Result<PersonKey, SealError> {
        if let AtHand::Key(key) = self.at_hand(person) {
            return Ok(key);
        }
        if let Some(key) = self.stored(&[person]).await?.remove(&person) {
            return Ok(key);
        }
        let wrapped = self.masters.wrap(person, &random_key()?)?;
        let mut tx = self.pool.begin().await?;
        // ordered with an erasure of the same person, so that a key is never made behind it
        erasing::hold(&mut tx, person).await?;
        sqlx::query(
            "insert into person_keys (person_id, wrapped_key, master_key_id) select $1, $2, $3 \
             where not exists (select 1 from erased_people where person_id = $1) on conflict (person_id) do nothing",
        )
        .bind(person)
        .bind(wrapped)
        .bind(self.masters.current().id())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.stored(&[person])
            .await?
            .remove(&person)
            .ok_or(SealError::Erased)
    }

    /// Has this person's key at hand for an hour, without asking the database.
    #[cfg(feature = "testing")]
    pub fn remember(&self, person: Uuid, bytes: &[u8; super::KEY_BYTES]) -> Result<(), SealError> {
        let key = PersonKey::new(person, bytes)?;
        let until = Instant::now() + Duration::from_hours(1);
        self.lock().keys.put(person, (Some(key), until));
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
        let key = match self.at_hand(person) {
            AtHand::Key(key) => Some(key),
            AtHand::Gone => None,
            AtHand::Nothing => self.of_sealed(&[person]).await?.remove(&person),
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
            if matches!(self.at_hand(person), AtHand::Nothing) {
                people.push(person);
            }
        }
        people.sort_unstable();
        people.dedup();
        if !people.is_empty() {
            self.of_sealed(&people).await?;
        }
        Ok(())
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) fn masters(&self) -> &MasterKeys {
        &self.masters
    }

    /// Has somebody's key looked at anew from now on.
    pub(super) fn forget(&self, person: Uuid) {
        let mut kept = self.lock();
        kept.forgotten += 1;
        kept.keys.pop(&person);
    }

    fn at_hand(&self, person: Uuid) -> AtHand {
        match self.lock().keys.get(&person) {
            Some((key, since)) if since.elapsed() < KEY_CACHE_TTL => {
                key.clone().map_or(AtHand::Gone, AtHand::Key)
            }
            _ => AtHand::Nothing,
        }
    }

    /// The keys of people for whom something was sealed. They had one, so who has none now was erased: that, too, is
    /// kept at hand, so that a list of many orders of erased people asks once.
    async fn of_sealed(&self, people: &[Uuid]) -> Result<HashMap<Uuid, PersonKey>, SealError> {
        let asked = Instant::now();
        let keys = self.stored(people).await?;
        let mut kept = self.lock();
        for person in people.iter().filter(|person| !keys.contains_key(*person)) {
            kept.keys.put(*person, (None, asked));
        }
        Ok(keys)
    }

    async fn stored(&self, people: &[Uuid]) -> Result<HashMap<Uuid, PersonKey>, SealError> {
        // what is read is at least as new as the question
        let (asked, forgotten) = (Instant::now(), self.lock().forgotten);
        let rows = sqlx::query("select person_id, wrapped_key, master_key_id from person_keys where person_id = any($1)")
            .bind(people)
            .fetch_all(&self.pool)
            .await?;
        let mut keys = HashMap::with_capacity(rows.len());
        for row in rows {
            let person: Uuid = row.try_get("person_id")?;
            let bytes = self.masters.unwrapped(
                person,
                row.try_get("master_key_id")?,
                row.try_get("wrapped_key")?,
            )?;
            keys.insert(person, PersonKey::new(person, &bytes)?);
        }
        let mut kept = self.lock();
        if kept.forgotten == forgotten {
            for (person, key) in &keys {
                kept.keys.put(*person, (Some(key.clone()), asked));
            }
        }
        Ok(keys)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
