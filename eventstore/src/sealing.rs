//! Personal data in events is only there sealed: encrypted with a key per person, bound to person, stream and field.
//!
//! A value is sealed before the decision and opened only when somebody who may reads it; everything between (state,
//! snapshots, caches, views, dead letters, Kafka) holds the sealed text. Deleting a person's key ([`erase`]) makes all of
//! it unreadable at once while history still replays. Keys are kept wrapped by a [`MasterKey`] from the environment,
//! which can be exchanged while servers run ([`Vault::rewrap`]).
//!
//! AES-256-GCM (NIST SP 800-38D) with random nonces: a key seals far fewer than the 2^32 values that bound them.

use std::sync::Arc;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::sealed::Sealed;
use uuid::Uuid;

mod erasing;
mod master;
mod rewrapping;
mod vault;

pub use self::{
    erasing::erase,
    master::{MasterKey, MasterKeys},
    rewrapping::Rewrapped,
    vault::{KEY_CACHE_TTL, Vault},
};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Version of the sealed text.
const VERSION: &str = "v1";

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The master key is not 32 bytes in base64.
    #[error("the master key must be {KEY_BYTES} bytes in base64")]
    InvalidMasterKey,
    /// The person was erased: nothing can be sealed for them any more.
    #[error("this person has been erased")]
    Erased,
    /// The key was wrapped by another master key than those configured.
    #[error("the key of this person is wrapped by another master key ({0})")]
    OtherMasterKey(String),
    /// The text is damaged, or it was moved from where it was sealed.
    #[error("sealed text does not open")]
    Damaged,
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Seals and opens for one person.
#[derive(Clone)]
pub struct PersonKey {
    person: Uuid,
    key: Arc<RandomizedNonceKey>,
}

impl PersonKey {
    fn new(person: Uuid, bytes: &[u8]) -> Result<Self, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| SealError::Damaged)?;
        Ok(Self {
            person,
            key: Arc::new(key),
        })
    }

    /// Seals `plain` for the place where it will stand: `stream` as `<type>/<id>`, and the field of the event. An empty text
    /// tells nothing of anybody and stays empty.
    pub fn seal(&self, stream: &str, field: &str, plain: &str) -> Result<Sealed, SealError> {
        if plain.is_empty() {
            return Ok(Sealed::new(""));
        }
        let sealed = encrypt(&self.key, &self.place(stream, field), plain.as_bytes())?;
        Ok(Sealed::new(format!(
            "{VERSION}.{}.{}",
            self.person.simple(),
            URL_SAFE_NO_PAD.encode(sealed)
        )))
    }

    fn open(&self, stream: &str, field: &str, sealed: &[u8]) -> Result<String, SealError> {
        let plain = decrypt(&self.key, &self.place(stream, field), sealed)?;
        String::from_utf8(plain).map_err(|_| SealError::Damaged)
    }

    fn place(&self, stream: &str, field: &str) -> String {
        format!("{}|{stream}|{field}", self.person.simple())
    }
}

fn random_key() -> Result<[u8; KEY_BYTES], SealError> {
    let mut bytes = [0; KEY_BYTES];
    // fails only where the system has no randomness at all
    rand::fill(&mut bytes).map_err(|_| SealError::InvalidMasterKey)?;
    Ok(bytes)
}

fn encrypt(key: &RandomizedNonceKey, place: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut buffer = plain.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut buffer)
        .map_err(|_| SealError::Damaged)?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut buffer);
    Ok(sealed)
}

fn decrypt(key: &RandomizedNonceKey, place: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (nonce, ciphertext) = sealed
        .split_at_checked(NONCE_LEN)
        .ok_or(SealError::Damaged)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
    let mut buffer = ciphertext.to_vec();
    let plain = key
        .open_in_place(nonce, Aad::from(place.as_bytes()), &mut buffer)
        .map_err(|_| SealError::Damaged)?;
    Ok(plain.to_vec())
}

/// What a person's key is bound to when it is wrapped; also the name of the lock that orders its making and its end.
fn wrapping_place(person: Uuid) -> String {
    format!("person-key|{}", person.simple())
}

fn parse(sealed: &Sealed) -> Result<(Uuid, Vec<u8>), SealError> {
    let mut parts = sealed.as_str().splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(VERSION), Some(person), Some(ciphertext)) => {
            let person = Uuid::try_parse(person).map_err(|_| SealError::Damaged)?;
            let ciphertext = URL_SAFE_NO_PAD
                .decode(ciphertext)
                .map_err(|_| SealError::Damaged)?;
            Ok((person, ciphertext))
        }
        _ => Err(SealError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_empty_stays_empty() {
        let key = PersonKey::new(Uuid::from_u128(1), &[7; KEY_BYTES]).unwrap();
        assert!(key.seal("order/1", "customer_name", "").unwrap().is_empty());
        assert!(
            !key.seal("order/1", "customer_name", " ")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let key = PersonKey::new(Uuid::from_u128(1), &[7; KEY_BYTES]).unwrap();
        let sealed = key
            .seal("order/1", "customer_name", "Nguyễn Văn A")
            .unwrap();
        let (person, bytes) = parse(&sealed).unwrap();
        assert_eq!(person, Uuid::from_u128(1));
        assert_eq!(
            key.open("order/1", "customer_name", &bytes).unwrap(),
            "Nguyễn Văn A"
        );
        assert!(
            key.open("order/2", "customer_name", &bytes).is_err(),
            "another stream"
        );
        assert!(
            key.open("order/1", "shipping_address", &bytes).is_err(),
            "another field"
        );
        let other = PersonKey::new(Uuid::from_u128(2), &[7; KEY_BYTES]).unwrap();
        assert!(
            other.open("order/1", "customer_name", &bytes).is_err(),
            "another person"
        );
        assert!(!sealed.as_str().contains("Nguy"));
    }
}
