//! What tests of accounts stand on: users and log-in over a database, with passwords that are hashed quickly.

use std::{num::NonZeroUsize, time::Duration};

use identity::{
    AccessTokens, HashingSettings, Identity, PasswordHasher, SessionSettings, TokenSettings,
};
use sqlx::PgPool;

/// What access tokens are signed with.
pub(crate) const SECRET: &[u8] = b"a secret of tests, 32 bytes and more";
/// The lowest cost of bcrypt.
pub(crate) const QUICK: u32 = 4;

/// A process: two passwords are hashed at once, at that cost.
pub(crate) fn identity_with(pool: &PgPool, cost: u32, sessions: SessionSettings) -> Identity {
    let hasher = PasswordHasher::new(&HashingSettings {
        cost,
        concurrency: NonZeroUsize::new(2).unwrap(),
        max_wait: Duration::from_mins(1),
    });
    let tokens = AccessTokens::new(SECRET, TokenSettings::default()).unwrap();
    Identity::new(pool.clone(), hasher.unwrap(), tokens, sessions)
}
