//! Tokens whose signature was found right, for a while: an Ed25519 signature takes longer to verify than a request may
//! cost, and a client sends the same token for a quarter of an hour. Only what was verified is kept, so made-up tokens
//! push nothing out; whether a token has expired is looked at each time.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest;
use lru::LruCache;

use super::VerifiedClaims;

/// Most tokens that are kept, of about 200 bytes each.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A token's digest: the token itself is not kept.
type Digest = [u8; 32];

/// See the module.
pub(super) struct VerifiedTokens(Mutex<LruCache<Digest, VerifiedClaims>>);

impl VerifiedTokens {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    /// What the token says, if it was verified; otherwise `verify` says it.
    pub(super) fn or_verify<E>(
        &self,
        token: &str,
        verify: impl FnOnce() -> Result<VerifiedClaims, E>,
    ) -> Result<VerifiedClaims, E> {
        let digest = digest_of(token);
        let kept = self.lock().get(&digest).copied();
        if let Some(claims) = kept {
            return Ok(claims);
        }
        // nobody waits for a signature to be verified
        let claims = verify()?;
        self.lock().put(digest, claims);
        Ok(claims)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<Digest, VerifiedClaims>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    bytes
}
