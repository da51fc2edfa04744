//! Master keys: people's keys are stored wrapped by one, so that the database alone opens nothing.
//!
//! One master key wraps; others may still unwrap, so that it can be exchanged while servers run.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, RandomizedNonceKey},
    digest,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use uuid::Uuid;

use super::{KEY_BYTES, SealError, decrypt, encrypt, random_key, wrapping_place};

/// The key that wraps people's keys.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    key: Arc<RandomizedNonceKey>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

impl MasterKey {
    /// A key from its base64 text (32 bytes).
    pub fn from_base64(text: &str) -> Result<Self, SealError> {
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| SealError::InvalidMasterKey)?;
        if bytes.len() != KEY_BYTES {
            return Err(SealError::InvalidMasterKey);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| SealError::InvalidMasterKey)?;
        let fingerprint = digest::digest(&digest::SHA256, &bytes);
        Ok(Self {
            id: URL_SAFE_NO_PAD.encode(&fingerprint.as_ref()[..6]),
            key: Arc::new(key),
        })
    }

    /// A new random key, as base64.
    pub fn generate_base64() -> Result<String, SealError> {
        Ok(STANDARD.encode(random_key()?))
    }

    /// What it is called beside the keys that it wraps: some bits of its digest.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The master keys of a server.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    current: MasterKey,
    others: Vec<MasterKey>,
}

impl From<MasterKey> for MasterKeys {
    fn from(only: MasterKey) -> Self {
        Self::new(only, Vec::new())
    }
}

impl MasterKeys {
    /// `current` wraps from now on; what one of the `others` has wrapped still opens.
    pub fn new(current: MasterKey, mut others: Vec<MasterKey>) -> Self {
        others.retain(|other| other.id != current.id);
        Self { current, others }
    }

    /// The one that wraps.
    pub fn current(&self) -> &MasterKey {
        &self.current
    }

    /// The names of those that only unwrap.
    pub(super) fn other_ids(&self) -> Vec<String> {
        self.others.iter().map(|other| other.id.clone()).collect()
    }

    /// Wraps a person's key by the current master key.
    pub(super) fn wrap(&self, person: Uuid, key: &[u8]) -> Result<Vec<u8>, SealError> {
        encrypt(&self.current.key, &wrapping_place(person), key)
    }

    /// A person's key, which the master key of that name has wrapped.
    pub(super) fn unwrapped(
        &self,
        person: Uuid,
        master_key_id: &str,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut known = std::iter::once(&self.current).chain(&self.others);
        let master = known
            .find(|master| master.id == master_key_id)
            .ok_or_else(|| SealError::OtherMasterKey(master_key_id.to_owned()))?;
        decrypt(&master.key, &wrapping_place(person), wrapped)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn master() -> MasterKey {
        MasterKey::from_base64(&MasterKey::generate_base64().unwrap()).unwrap()
    }

    #[test]
    fn a_master_key_is_thirty_two_bytes_of_base64() {
        assert!(MasterKey::from_base64(&MasterKey::generate_base64().unwrap()).is_ok());
        for text in ["", "short", &STANDARD.encode([1; 16])] {
            assert!(MasterKey::from_base64(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_an_earlier_master_key_has_wrapped_opens_as_long_as_it_is_known() {
        let (old, new, person) = (master(), master(), Uuid::from_u128(1));
        let wrapped = MasterKeys::from(old.clone())
            .wrap(person, &[7; KEY_BYTES])
            .unwrap();
        let both = MasterKeys::new(new.clone(), vec![old.clone(), new.clone()]);
        assert_eq!(
            both.unwrapped(person, old.id(), &wrapped).unwrap(),
            [7; KEY_BYTES]
        );
        assert_eq!(both.other_ids(), [old.id()], "the current one is no other");
        assert!(
            both.unwrapped(Uuid::from_u128(2), old.id(), &wrapped)
                .is_err(),
            "wrapped for somebody else"
        );
        let refused = MasterKeys::from(new).unwrapped(person, old.id(), &wrapped);
        assert!(matches!(refused, Err(SealError::OtherMasterKey(id)) if id == old.id()));
    }

    #[test]
    fn a_master_key_is_not_in_debug_output() {
        let text = STANDARD.encode([7; KEY_BYTES]);
        let shown = format!(
            "{:?}",
            MasterKeys::from(MasterKey::from_base64(&text).unwrap())
        );
        assert!(!shown.contains(&text) && !shown.contains("7, 7"), "{shown}");
    }
}
