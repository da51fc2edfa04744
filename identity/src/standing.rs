//! What somebody may do now: roles and the epoch of their access tokens, kept for a moment, so that a request asks no
//! database and a role that was revoked, a session that was ended or an account that was closed counts within
//! [`MAX_AGE`] in every process, and at once in the one that changed it. Used by [`crate::accounts`] alone.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::ids::UserId;
use lru::LruCache;
use sqlx::PgPool;

use crate::{
    credentials::{self, Access},
    roles::Roles,
    users,
};

/// How old a standing may be.
pub const MAX_AGE: Duration = Duration::from_secs(2);
/// Most people whose standing is kept.
const MOST: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

/// What somebody is to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Their roles.
    pub(crate) roles: Roles,
    /// What their access tokens are held against.
    pub(crate) access: Access,
}

/// What is kept.
#[derive(Debug)]
struct Kept {
    /// Of whom, since when; none of somebody who is gone.
    standings: LruCache<UserId, (Option<Standing>, Instant)>,
    /// How often something was forgotten: what was read before that is not kept.
    forgotten: u64,
}

/// The standings of all people. Clones share what is kept.
#[derive(Clone, Debug)]
pub(crate) struct Standings {
    pool: PgPool,
    kept: Arc<Mutex<Kept>>,
}

impl Standings {
    /// The standings of the people in this database.
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            kept: Arc::new(Mutex::new(Kept {
                standings: LruCache::new(MOST),
                forgotten: 0,
            })),
        }
    }

    /// What somebody is to the shop, [`MAX_AGE`] ago at most; none where they are gone.
    pub(crate) async fn of(&self, id: UserId) -> Result<Option<Standing>, sqlx::Error> {
        if let Some(standing) = self.fresh(id) {
            return Ok(standing);
        }
        // what is read is at least as new as the question
        let (asked, forgotten) = (Instant::now(), self.lock().forgotten);
        let (roles, access) = tokio::try_join!(
            users::roles(&self.pool, id),
            credentials::access(&self.pool, id)
        )?;
        let standing = roles
            .zip(access)
            .map(|(roles, access)| Standing { roles, access });
        let mut kept = self.lock();
        if kept.forgotten == forgotten {
            kept.standings.put(id, (standing, asked));
        }
        Ok(standing)
    }

    /// Has somebody looked at anew from now on.
    pub(crate) fn forget(&self, id: UserId) {
        let mut kept = self.lock();
        kept.forgotten += 1;
        kept.standings.pop(&id);
    }

    /// Takes somebody to be that for a while, without asking the database.
    #[cfg(feature = "testing")]
    pub(crate) fn assume(&self, id: UserId, standing: Option<Standing>) {
        self.lock().standings.put(id, (standing, Instant::now()));
    }

    #[expect(
        clippy::option_option,
        reason = "none is kept, or it is kept that they are gone"
    )]
    fn fresh(&self, id: UserId) -> Option<Option<Standing>> {
        let mut kept = self.lock();
        let (standing, since) = kept.standings.get(&id)?;
        (since.elapsed() < MAX_AGE).then_some(*standing)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
