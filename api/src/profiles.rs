//! Names and addresses of customers, for orders that do not give their own: kept for seconds, so that a customer who
//! places many orders is read once.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::ids::UserId;
use identity::Identity;
use lru::LruCache;

use crate::error::ApiError;

/// Most profiles kept.
const MOST: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// How long a profile is kept: a change is noticed after this at the latest.
const TTL: Duration = Duration::from_secs(5);

/// What an order needs of its customer. Both may be empty until the order is shipped.
#[derive(Default)]
pub struct Profile {
    /// Their name.
    pub name: String,
    /// Where parcels go.
    pub address: String,
}

type Kept = LruCache<UserId, (Arc<Profile>, Instant)>;

/// The profiles of all customers.
pub struct Profiles {
    identity: Identity,
    kept: Mutex<Kept>,
}

impl Profiles {
    /// Profiles of these users.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            kept: Mutex::new(LruCache::new(MOST)),
        }
    }

    /// The profile of a customer; an empty one where the user is gone.
    pub async fn of(&self, id: UserId) -> Result<Arc<Profile>, ApiError> {
        if let Some(profile) = self.fresh(id) {
            return Ok(profile);
        }
        let profile = self
            .identity
            .user(id)
            .await?
            .map_or_else(Profile::default, |user| Profile {
                name: user.name,
                address: user.address.unwrap_or_default(),
            });
        let profile = Arc::new(profile);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(id, (profile.clone(), Instant::now()));
        Ok(profile)
    }

    fn fresh(&self, id: UserId) -> Option<Arc<Profile>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (profile, since) = kept.get(&id)?;
        (since.elapsed() < TTL).then(|| profile.clone())
    }
}
