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
    /// What is known of whose key, since when.
    keys: LruCache<Uuid, (Known, Instant)>,
    /// How often a key was forgotten: one that was read before that is not kept.
    forgotten: u64,
}

/// What is known of somebody's key.
#[derive(Clone)]
enum Known {
    /// It was destroyed.
    Gone,
    /// It is there and does not unwrap: the name of the master key that is not known here, none where it is damaged.
    Shut(Option<String>),
    /// The key.
    Key(PersonKey),
}

impl Known {
    /// The key, where it can be used; none where it is gone.
    fn usable(self) -> Result<Option<PersonKey>, SealError> {
        match self {
            Self::Gone => Ok(None),
            Self::Shut(Some(master_key_id)) => Err(SealError::OtherMasterKey(master_key_id)),
            Self::Shut(None) => Err(SealError::Damaged),
            Self::Key(key) => Ok(Some(key)),
        }
    }
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
        if let Some(Known::Key(key)) = self.at_hand(person) {
            return Ok(key);
        }
        if let Some(known) = self.stored(&[person]).await?.remove(&person)
            && let Some(key) = known.usable()?
        {
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
        let stored = self.stored(&[person]).await?.remove(&person);
        stored
            .map_or(Ok(None), Known::usable)?
            .ok_or(SealError::Erased)
    }

    /// Has the keys of people at hand for a moment, made for those who have none, in a few round trips for all of them:
    /// for whoever is about to seal for many. Somebody who was erased has none afterwards, too; sealing for them says so.
    pub async fn make_keys(&self, people: impl IntoIterator<Item = Uuid>) -> Result<(), SealError> {
        let mut absent: Vec<Uuid> = people
            .into_iter()
            .filter(|person| self.at_hand(*person).is_none())
            .collect();
        absent.sort_unstable();
        absent.dedup();
        let stored = self.stored(&absent).await?;
        absent.retain(|person| !stored.contains_key(person));
        if absent.is_empty() {
            return Ok(());
        }
        let wrapped = absent
            .iter()
            .map(|person| self.masters.wrap(*person, &random_key()?))
            .collect::<Result<Vec<_>, _>>()?;
        let mut tx = self.pool.begin().await?;
        erasing::hold_all(&mut tx, &absent).await?;
        sqlx::query(
            "insert into person_keys (person_id, wrapped_key, master_key_id) \
             select person_id, wrapped_key, $3 from unnest($1::uuid[], $2::bytea[]) as made (person_id, wrapped_key) \
             where not exists (select 1 from erased_people e where e.person_id = made.person_id) \
             on conflict (person_id) do nothing",
        )
        .bind(&absent)
        .bind(wrapped)
        .bind(self.masters.current().id())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.stored(&absent).await?;
        Ok(())
    }

    /// Has this person's key at hand for an hour, without asking the database.
    #[cfg(feature = "testing")]
    pub fn remember(&self, person: Uuid, bytes: &[u8; super::KEY_BYTES]) -> Result<(), SealError> {
        let key = PersonKey::new(person, bytes)?;
        let until = Instant::now() + Duration::from_hours(1);
        self.lock().keys.put(person, (Known::Key(key), until));
        Ok(())
    }

    /// Opens a sealed text; `None` where the person's key is gone.
    pub async fn open(
        &self,
        sealed: &Sealed,
        stream: &str,
        field: &str,
    ) -> Result<Option<String>, SealError> {
        if sealed.is_empty() {
            return Ok(Some(String::new()));
        }
        let (person, ciphertext) = parse(sealed)?;
        let known = match self.at_hand(person) {
            Some(known) => known,
            None => self
                .of_sealed(&[person])
                .await?
                .remove(&person)
                .unwrap_or(Known::Gone),
        };
        known
            .usable()?
            .map(|key| key.open(stream, field, &ciphertext))
            .transpose()
    }

    /// Fetches the keys that opening these texts will need, in one query. A text that is none, or whose person's key does
    /// not unwrap, keeps no other from being opened: it is refused, or not shown, where it is opened itself.
    pub async fn prepare<'s>(
        &self,
        sealed: impl IntoIterator<Item = &'s Sealed>,
    ) -> Result<(), SealError> {
        let mut people: Vec<Uuid> = Vec::new();
        for text in sealed {
            if let Ok((person, _)) = parse(text)
                && self.at_hand(person).is_none()
            {
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

    fn at_hand(&self, person: Uuid) -> Option<Known> {
        let mut kept = self.lock();
        let (known, since) = kept.keys.get(&person)?;
        (since.elapsed() < KEY_CACHE_TTL).then(|| known.clone())
    }

    /// The keys of people for whom something was sealed. They had one, so who has none now was erased: that, too, is
    /// kept at hand, so that a list of many orders of erased people asks once.
    async fn of_sealed(&self, people: &[Uuid]) -> Result<HashMap<Uuid, Known>, SealError> {
        let asked = Instant::now();
        let stored = self.stored(people).await?;
        let mut kept = self.lock();
        for person in people.iter().filter(|person| !stored.contains_key(*person)) {
            kept.keys.put(*person, (Known::Gone, asked));
        }
        Ok(stored)
    }

    /// What is stored of people's keys; nothing of somebody who has none.
    async fn stored(&self, people: &[Uuid]) -> Result<HashMap<Uuid, Known>, SealError> {
        // what is read is at least as new as the question
        let (asked, forgotten) = (Instant::now(), self.lock().forgotten);
        let rows = sqlx::query("select person_id, wrapped_key, master_key_id from person_keys where person_id = any($1)")
            .bind(people)
            .fetch_all(&self.pool)
            .await?;
        let mut stored = HashMap::with_capacity(rows.len());
        for row in rows {
            let person: Uuid = row.try_get("person_id")?;
            let wrapped = row.try_get("wrapped_key")?;
            let known = self.unwrapped(person, row.try_get("master_key_id")?, wrapped)?;
            stored.insert(person, known);
        }
        let mut kept = self.lock();
        if kept.forgotten == forgotten {
            for (person, known) in &stored {
                kept.keys.put(*person, (known.clone(), asked));
            }
        }
        Ok(stored)
    }

    /// One key that does not unwrap is that person's matter alone: it must not keep others from being shown.
    fn unwrapped(&self, person: Uuid, master: &str, wrapped: &[u8]) -> Result<Known, SealError> {
        let bytes = self.masters.unwrapped(person, master, wrapped);
        match bytes.and_then(|bytes| PersonKey::new(person, &bytes)) {
            Ok(key) => Ok(Known::Key(key)),
            Err(error @ (SealError::OtherMasterKey(_) | SealError::Damaged)) => {
                tracing::error!(%person, %error, "the key of a person does not unwrap");
                let unknown = matches!(error, SealError::OtherMasterKey(_));
                Ok(Known::Shut(unknown.then(|| master.to_owned())))
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
