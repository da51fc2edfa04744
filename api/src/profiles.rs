//! Names and addresses of customers, for orders that do not give their own: kept for seconds, so that a customer who
//! places many orders is read once.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::ids::UserId;
use identity::Identity;
use lru::LruCache;

use crate::error::ApiError;

/// Most profiles kept.
const MOST: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// How long a profile is kept: a change by another process is noticed after this at the latest.
const TTL: Duration = Duration::from_secs(5);

/// What an order needs of its customer. Both may be empty until the order is shipped.
#[derive(Default)]
pub struct Profile {
    /// Their name.
    pub name: String,
    /// Where parcels go.
    pub address: String,
}

/// What is kept.
struct Kept {
    profiles: LruCache<UserId, (Arc<Profile>, Instant)>,
    /// How often something was forgotten: what was read before that is not kept.
    forgotten: u64,
}

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
            kept: Mutex::new(Kept {
                profiles: LruCache::new(MOST),
                forgotten: 0,
            }),
        }
    }

    /// The profile of a customer; an empty one where the user is gone.
    pub async fn of(&self, id: UserId) -> Result<Arc<Profile>, ApiError> {
        if let Some(profile) = self.fresh(id) {
            return Ok(profile);
        }
        let (asked, forgotten) = (Instant::now(), self.lock().forgotten);
        let profile = self
            .identity
            .user(id)
            .await?
            .map_or_else(Profile::default, |user| Profile {
                name: user.name,
                address: user.address.unwrap_or_default(),
            });
        let profile = Arc::new(profile);
        let mut kept = self.lock();
        if kept.forgotten == forgotten {
            kept.profiles.put(id, (profile.clone(), asked));
        }
        Ok(profile)
    }

    /// Has a customer's profile read anew from now on: it was changed here.
    pub fn forget(&self, id: UserId) {
        let mut kept = self.lock();
        kept.forgotten += 1;
        kept.profiles.pop(&id);
    }

    fn fresh(&self, id: UserId) -> Option<Arc<Profile>> {
        let mut kept = self.lock();
        let (profile, since) = kept.profiles.get(&id)?;
        (since.elapsed() < TTL).then(|| profile.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
