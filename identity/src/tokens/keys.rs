//! Keys of access tokens: what they are signed with and what verifies them. One algorithm, chosen by the settings and
//! never by a token: HMAC-SHA-256 with a shared secret, or Ed25519, whose public keys anybody may have.
//!
//! Every key has an id that tokens carry as `kid`, so that keys can be exchanged while tokens of the old one live. An
//! id says nothing of a secret.

use std::fmt;

use aws_lc_rs::{
    digest, hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::{MIN_SECRET_BYTES, WeakSecret};

/// Most keys at once: the one that signs, and those whose tokens may still live.
pub const MAX_KEYS: usize = 16;
/// What the id of a secret is derived by. No token begins so, so this is no signature of one.
const SECRET_ID: &[u8] = b"souk: id of a secret of access tokens";
/// Bytes of the id of a secret.
const SECRET_ID_BYTES: usize = 12;

/// The public half of a key pair, for whoever else verifies tokens (RFC 8037, 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its id: the thumbprint of RFC 7638.
    pub kid: String,
    /// The key itself, in base64url.
    pub x: String,
}

/// What tokens are signed with, and by what they are verified.
pub struct TokenKeys {
    algorithm: Algorithm,
    signing_key: EncodingKey,
    /// By id. The first one is that of the key which signs.
    verifying_keys: Vec<(String, DecodingKey)>,
    public_keys: Vec<PublicKey>,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.verifying_keys.iter().map(|(id, _)| id);
        f.debug_struct("TokenKeys")
            .field("algorithm", &self.algorithm)
            .field("ids", &ids.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl TokenKeys {
    /// HMAC-SHA-256: signs with the secret, and takes what was signed with one of the `others`.
    pub fn hs256(secret: &[u8], others: &[&[u8]]) -> Result<Self, WeakSecret> {
        let mut verifying_keys = Vec::new();
        for secret in std::iter::once(&secret).chain(others) {
            if secret.len() < MIN_SECRET_BYTES {
                return Err(WeakSecret);
            }
            verifying_keys.push((secret_id(secret), DecodingKey::from_secret(secret)));
        }
        Ok(Self {
            algorithm: Algorithm::HS256,
            signing_key: EncodingKey::from_secret(secret),
            verifying_keys,
            public_keys: Vec::new(),
        })
    }

    /// Ed25519: signs with the first private key of a PEM text, and takes what was signed with any of them. The keys are
    /// in PKCS#8, as `openssl genpkey -algorithm ed25519` writes them.
    pub fn ed25519(pem: &str) -> Result<Self, UnfitKeys> {
        let keys = private_keys(pem)?;
        let signing_key = match keys.first() {
            Some(first) => EncodingKey::from_ed_der(first),
            None => return Err(UnfitKeys::None),
        };
        let (mut verifying_keys, mut public_keys) = (Vec::new(), Vec::new());
        for (index, key) in keys.iter().enumerate() {
            let number = index + 1;
            let pair = Ed25519KeyPair::from_pkcs8(key).map_err(|_| UnfitKeys::Other { number })?;
            let public: &[u8] = pair.public_key().as_ref();
            let x = URL_SAFE_NO_PAD.encode(public);
            let kid = thumbprint(&x);
            verifying_keys.push((kid.clone(), DecodingKey::from_ed_der(public)));
            public_keys.push(PublicKey { kid, x });
        }
        Ok(Self {
            algorithm: Algorithm::EdDSA,
            signing_key,
            verifying_keys,
            public_keys,
        })
    }

    /// The one algorithm.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether a signature takes longer to verify than to look up.
    pub(super) fn is_asymmetric(&self) -> bool {
        self.algorithm != Algorithm::HS256
    }

    /// What signs.
    pub(super) fn signing(&self) -> &EncodingKey {
        &self.signing_key
    }

    /// What verifies a token that names this key. One that names none is of before tokens did: then it is the secret that
    /// signs.
    pub(super) fn verifying(&self, id: Option<&str>) -> Option<&DecodingKey> {
        let mut keys = self.verifying_keys.iter();
        match id {
            Some(id) => keys.find(|(known, _)| known == id),
            None if self.is_asymmetric() => None,
            None => keys.next(),
        }
        .map(|(_, key)| key)
    }

    /// The public keys, where there are any. The first one is that of the key which signs.
    pub fn public_keys(&self) -> &[PublicKey] {
        &self.public_keys
    }

    /// The id of the key that signs.
    pub fn id(&self) -> &str {
        self.verifying_keys
            .first()
            .map_or("", |(id, _)| id.as_str())
    }
}

/// Something about the secret that is different for every secret and leads back to none.
fn secret_id(secret: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    URL_SAFE_NO_PAD.encode(&hmac::sign(&key, SECRET_ID).as_ref()[..SECRET_ID_BYTES])
}

/// The thumbprint of a public Ed25519 key (RFC 7638, 3; RFC 8037, 2).
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

/// What the blocks of a PEM text hold (RFC 7468). What stands between them is for people.
fn private_keys(mut text: &str) -> Result<Vec<Vec<u8>>, UnfitKeys> {
    let mut keys = Vec::new();
    while let Some((_, block)) = text.split_once("-----BEGIN ") {
        let number = keys.len() + 1;
        if number > MAX_KEYS {
            return Err(UnfitKeys::TooMany);
        }
        let (label, block) = block
            .split_once("-----")
            .ok_or(UnfitKeys::Damaged { number })?;
        if label != "PRIVATE KEY" {
            return Err(UnfitKeys::Other { number });
        }
        let (content, rest) = block
            .split_once("-----END PRIVATE KEY-----")
            .ok_or(UnfitKeys::Damaged { number })?;
        let content: String = content.split_whitespace().collect();
        keys.push(
            STANDARD
                .decode(content)
                .map_err(|_| UnfitKeys::Damaged { number })?,
        );
        text = rest;
    }
    Ok(keys)
}

/// Why a PEM text gives no keys of access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitKeys {
    /// No block.
    #[error("there is no private key in it: make one with `openssl genpkey -algorithm ed25519`")]
    None,
    /// More than [`MAX_KEYS`].
    #[error("there are more than {MAX_KEYS} keys in it")]
    TooMany,
    /// Not PEM.
    #[error("key {number} of it is damaged")]
    Damaged {
        /// Which, from 1.
        number: usize,
    },
    /// Not an Ed25519 private key in PKCS#8, or one with a pass phrase.
    #[error(
        "key {number} of it is not an unencrypted Ed25519 private key in PKCS#8: make one with \
         `openssl genpkey -algorithm ed25519`"
    )]
    Other {
        /// Which, from 1.
        number: usize,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The key pair of RFC 8037, appendix A.1, in PKCS#8.
    const KNOWN: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

    fn generated() -> String {
        let key = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
        pem("PRIVATE KEY", key.as_ref())
    }

    fn pem(label: &str, content: &[u8]) -> String {
        let content = STANDARD.encode(content);
        format!("-----BEGIN {label}-----\n{content}\n-----END {label}-----\n")
    }

    #[test]
    fn the_id_of_a_public_key_is_the_thumbprint_of_the_standard() {
        let keys = TokenKeys::ed25519(KNOWN).unwrap();
        // RFC 8037, appendix A.2 and A.3
        let expected = PublicKey {
            kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".into(),
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
        };
        assert_eq!(keys.public_keys(), [expected]);
        assert_eq!(keys.id(), keys.public_keys()[0].kid);
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let (new, old) = (generated(), KNOWN);
        let keys = TokenKeys::ed25519(&format!("new:\n{new}\n old:\r\n{old}")).unwrap();
        let alone = TokenKeys::ed25519(&new).unwrap();
        assert_eq!(keys.id(), alone.id());
        assert_eq!(keys.public_keys().len(), 2);
        for key in keys.public_keys() {
            assert!(keys.verifying(Some(&key.kid)).is_some());
        }
        assert!(keys.verifying(None).is_none());
        assert!(keys.verifying(Some("")).is_none());
    }

    #[test]
    fn what_is_no_ed25519_private_key_is_refused_with_its_number() {
        let ed25519 = generated();
        let other = |text: &str| TokenKeys::ed25519(text).unwrap_err();
        assert_eq!(other(""), UnfitKeys::None);
        assert_eq!(other("souk"), UnfitKeys::None);
        for label in ["PUBLIC KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let text = format!("{ed25519}{}", pem(label, b"1234"));
            assert_eq!(other(&text), UnfitKeys::Other { number: 2 }, "{label}");
        }
        let p256 = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &aws_lc_rs::rand::SystemRandom::new(),
        );
        let p256 = pem("PRIVATE KEY", p256.unwrap().as_ref());
        assert_eq!(other(&p256), UnfitKeys::Other { number: 1 });
        for damaged in [
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY",
            "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PUBLIC KEY-----",
        ] {
            assert_eq!(
                other(damaged),
                UnfitKeys::Damaged { number: 1 },
                "{damaged}"
            );
        }
        let many = KNOWN.repeat(MAX_KEYS + 1);
        assert_eq!(other(&many), UnfitKeys::TooMany);
    }

    #[test]
    fn a_secret_is_known_by_an_id_that_does_not_lead_back_to_it() {
        let (new, old) = ([1; 32], [2; 32]);
        let keys = TokenKeys::hs256(&new, &[&old]).unwrap();
        let before = TokenKeys::hs256(&old, &[]).unwrap();
        assert_ne!(keys.id(), before.id());
        assert_eq!(keys.id().len(), 16);
        assert!(keys.verifying(Some(before.id())).is_some());
        assert!(before.verifying(Some(keys.id())).is_none());
        assert!(keys.verifying(None).is_some(), "the one that signs");
        assert!(keys.public_keys().is_empty());
    }

    #[test]
    fn a_secret_that_is_too_short_is_refused_also_among_the_others() {
        assert_eq!(TokenKeys::hs256(&[1; 31], &[]).unwrap_err(), WeakSecret);
        assert_eq!(
            TokenKeys::hs256(&[1; 32], &[&[2; 31]]).unwrap_err(),
            WeakSecret
        );
    }

    #[test]
    fn no_key_is_in_debug_output() {
        let keys = TokenKeys::ed25519(KNOWN).unwrap();
        assert!(!format!("{keys:?}").contains("nWGx"));
        let keys = TokenKeys::hs256(b"0123456789abcdef0123456789abcdef", &[]).unwrap();
        assert!(!format!("{keys:?}").contains("0123456789"));
    }
}
