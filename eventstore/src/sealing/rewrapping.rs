//! Exchanging the master key: people's keys are wrapped anew, in chunks, while servers run. What they have sealed stays
//! as it is.

use sqlx::Row;
use uuid::Uuid;

use super::{SealError, Vault};

/// Most keys that one transaction wraps anew, so that it holds their rows for milliseconds.
const KEYS_AT_ONCE: i64 = 500;

/// What became of people's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// How many were wrapped anew.
    pub keys: u64,
    /// The other master keys that still wrap some, each with how many: not known here, or still the current one of a
    /// server.
    pub left: Vec<(String, i64)>,
}

impl Vault {
    /// Wraps by the current master key what another known one has wrapped. Stopped and begun again it goes on; several
    /// may run at once.
    pub async fn rewrap(&self) -> Result<Rewrapped, SealError> {
        let mut keys = 0;
        let mut after = Uuid::nil();
        while let Some((last, count)) = self.rewrap_some(after).await? {
            (after, keys) = (last, keys + count);
        }
        let left = sqlx::query_as(
            "select master_key_id, count(*) from person_keys where master_key_id <> $1
             group by master_key_id order by master_key_id",
        )
        .bind(self.masters().current().id())
        .fetch_all(self.pool())
        .await?;
        Ok(Rewrapped { keys, left })
    }

    /// Of the people behind `after`: the last one looked at, and how many keys were wrapped anew; none at the end.
    async fn rewrap_some(&self, after: Uuid) -> Result<Option<(Uuid, u64)>, SealError> {
        let masters = self.masters();
        let mut tx = self.pool().begin().await?;
        // what is held is being wrapped by another run, or about to be gone
        let rows = sqlx::query(
            "select person_id, wrapped_key, master_key_id from person_keys
             where person_id > $1 and master_key_id = any ($2) order by person_id limit $3 for update skip locked",
        )
        .bind(after)
        .bind(masters.other_ids())
        .bind(KEYS_AT_ONCE)
        .fetch_all(&mut *tx)
        .await?;
        let (mut people, mut wrapped) = (Vec::new(), Vec::new());
        for row in &rows {
            let person: Uuid = row.try_get("person_id")?;
            let key = masters.unwrapped(
                person,
                row.try_get("master_key_id")?,
                row.try_get("wrapped_key")?,
            )?;
            people.push(person);
            wrapped.push(masters.wrap(person, &key)?);
        }
        let Some(last) = people.last().copied() else {
            return Ok(None);
        };
        let updated = sqlx::query(
            "update person_keys k set wrapped_key = n.wrapped_key, master_key_id = $3
             from unnest($1::uuid[], $2::bytea[]) as n (person_id, wrapped_key) where k.person_id = n.person_id",
        )
        .bind(&people)
        .bind(&wrapped)
        .bind(masters.current().id())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some((last, updated.rows_affected())))
    }
}
