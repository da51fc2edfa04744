//! The end of a person's key, and with it of all that was sealed for them.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{SealError, Vault, wrapping_place};

/// Deletes somebody's key for good and leaves a tombstone, so that none is made again. Erased again, nothing happens.
/// Processes that have the key at hand open with it for [`super::KEY_CACHE_TTL`] at most.
pub async fn erase(pool: &PgPool, person: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    hold(&mut tx, person).await?;
    sqlx::query("insert into erased_people (person_id) values ($1) on conflict do nothing")
        .bind(person)
        .execute(&mut *tx)
        .await?;
    sqlx::query("delete from person_keys where person_id = $1")
        .bind(person)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Orders the making of a person's key and its end until the transaction ends.
pub(super) async fn hold(connection: &mut PgConnection, person: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(wrapping_place(person))
        .execute(connection)
        .await?;
    Ok(())
}

/// The same for several people, always in the same order, so that two who do so never wait for each other.
pub(super) async fn hold_all(
    connection: &mut PgConnection,
    people: &[Uuid],
) -> Result<(), sqlx::Error> {
    let places: Vec<String> = people
        .iter()
        .map(|person| wrapping_place(*person))
        .collect();
    sqlx::query(
        "select pg_advisory_xact_lock(place) \
         from (select distinct hashtextextended(place, 0) as place from unnest($1::text[]) as named (place) order by 1) sorted",
    )
    .bind(places)
    .execute(connection)
    .await?;
    Ok(())
}

impl Vault {
    /// The same as [`erase`], and here nothing opens any more from now on.
    pub async fn erase(&self, person: Uuid) -> Result<(), SealError> {
        let erased = erase(self.pool(), person).await;
        // also where the answer to the commit was lost
        self.forget(person);
        Ok(erased?)
    }
}
