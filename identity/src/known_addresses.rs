//! From where people have signed in before: the table `known_addresses`. Addresses are only there as keyed digests,
//! which the caller makes. Used by [`crate::accounts`] and [`crate::codes`]; what it is for is in `api`'s limits.

use std::time::Duration;

use domain::ids::UserId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{email::Email, removal};

/// A network address, digested with a key.
pub type AddressDigest = [u8; 32];

/// One network address in all digests that may be kept of it.
#[derive(Clone, Debug)]
pub struct AddressDigests {
    /// With the key of now: what is kept from now on.
    pub present: AddressDigest,
    /// With the keys of before.
    pub earlier: Vec<AddressDigest>,
}

impl AddressDigests {
    /// All of them, as a statement takes them.
    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        let earlier = self.earlier.iter();
        let all = std::iter::once(&self.present).chain(earlier);
        all.map(|digest| digest.to_vec()).collect()
    }
}

/// An address of which only one digest is known.
impl From<AddressDigest> for AddressDigests {
    fn from(present: AddressDigest) -> Self {
        Self {
            present,
            earlier: Vec::new(),
        }
    }
}

/// After which an address that was not seen again is forgotten.
const KEPT: Duration = Duration::from_hours(24 * 90);

/// Whether whoever logs in with that user name has signed in from there before.
pub(crate) async fn contains(
    pool: &PgPool,
    user_name: &Email,
    address: &AddressDigests,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select 1 from credentials join known_addresses using (user_id)
                        where user_name = $1 and address_digest = any($2))",
    )
    .bind(user_name.as_str())
    .bind(address.all())
    .fetch_one(pool)
    .await
}

/// Notes that somebody has signed in from there.
pub(crate) async fn remember(
    pool: &PgPool,
    user_id: UserId,
    address: &AddressDigest,
) -> Result<(), sqlx::Error> {
    // once a day is enough; only while the person is there, since an erasure may be under way
    sqlx::query(
        "insert into known_addresses (user_id, address_digest)
         select user_id, $2 from credentials where user_id = $1
         on conflict (user_id, address_digest) do update set seen_at = now()
         where known_addresses.seen_at < now() - interval '1 day'",
    )
    .bind(Uuid::from(user_id))
    .bind(address.as_slice())
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes what is known of somebody.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from known_addresses where user_id = $1")
        .bind(Uuid::from(user_id))
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes addresses that were not seen for long. Returns how many.
pub(crate) async fn remove_old(pool: &PgPool) -> Result<u64, sqlx::Error> {
    removal::remove(pool, "known_addresses", "seen_at", KEPT).await
}
