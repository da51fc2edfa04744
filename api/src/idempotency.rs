//! Idempotency keys: a request that is repeated with its key is done once and answered alike.
//!
//! The key of a client is scoped by who sends it, method and route; with a fingerprint of the body it is committed
//! together with the events (the append refuses a key that was used). So the first try costs no extra read, and only
//! a repetition looks up what the key led to. Stored are status, resource id and position, never a body, which may be
//! personal: an answer is read afresh. Refusals and faults are not stored.
//!
//! While a request runs in this process, a second one with its key is told so; one in another process loses at the
//! commit and is answered with what the winner did.

use std::{
    collections::HashSet,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{digest, hmac};
use axum::http::Method;
use domain::ids::UserId;
use eventstore::{EventLog, StoredAnswer, unit::IdempotencyKey};
use serde_json::Value;
use uuid::Uuid;

use crate::{config::Secret, error::ApiError, problem::Kind};

/// What keeps keys apart and notices other bodies. Clones share it.
#[derive(Clone)]
pub struct Idempotency {
    fingerprints: hmac::Key,
    earlier_fingerprints: Vec<hmac::Key>,
    in_progress: Arc<Mutex<HashSet<Uuid>>>,
}

/// A request that carries a key. While it lives, no other one with the same key begins here.
#[derive(Debug)]
pub struct Attempt {
    id: Uuid,
    fingerprint: Vec<u8>,
    /// As it was, or would have been, made before the secret was exchanged.
    earlier_fingerprints: Vec<Vec<u8>>,
    in_progress: Arc<Mutex<HashSet<Uuid>>>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

impl Idempotency {
    /// Fingerprints are keyed by what `secret` gives, so that a body cannot be guessed from one. All processes need
    /// the same. Those of `earlier` secrets are still known again.
    pub fn new(secret: &Secret, earlier: &[Secret]) -> Self {
        let key = |secret: &Secret| derived_key(secret, "idempotency fingerprint");
        Self {
            fingerprints: key(secret),
            earlier_fingerprints: earlier.iter().map(key).collect(),
            in_progress: Arc::default(),
        }
    }

    /// Begins a request with the key of a client. Refused while another one with that key runs here.
    pub fn begin(&self, scope: &Scope<'_>, key: &str, body: &[u8]) -> Result<Attempt, ApiError> {
        let id = scope.id(key);
        let canonical = canonical(body)?;
        let fingerprint = |key: &hmac::Key| fingerprint(key, scope.path, &canonical);
        if !self
            .in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id)
        {
            return Err(Kind::IdempotencyKeyInUse.into());
        }
        Ok(Attempt {
            id,
            fingerprint: fingerprint(&self.fingerprints),
            earlier_fingerprints: self.earlier_fingerprints.iter().map(fingerprint).collect(),
            in_progress: self.in_progress.clone(),
        })
    }
}

impl Attempt {
    /// What the append stores: that the key led to this answer.
    pub fn key(&self, status: u16, resource: impl Display) -> IdempotencyKey {
        IdempotencyKey {
            id: self.id,
            fingerprint: self.fingerprint.clone(),
            status,
            resource: format!("{resource}"),
        }
    }

    /// An id that follows from the key: an operation named by it is the same one when it is repeated.
    pub fn derived_id(&self) -> Uuid {
        Uuid::new_v5(&self.id, b"operation")
    }

    /// What the key led to before. Refused when it was another request.
    pub async fn earlier(&self, log: &EventLog) -> Result<StoredAnswer, ApiError> {
        // it may have expired between the append and this look
        let earlier = self.earlier_if_any(log).await?;
        earlier.ok_or_else(|| Kind::Unavailable.into())
    }

    /// The same, where it is not known that the key was used at all.
    pub async fn earlier_if_any(&self, log: &EventLog) -> Result<Option<StoredAnswer>, ApiError> {
        match log.stored_answer(self.id).await? {
            Some(answer) if !self.is_of(&answer) => Err(Kind::IdempotencyKeyReused.into()),
            answer => Ok(answer),
        }
    }

    /// Whether the answer was given to this very request.
    fn is_of(&self, answer: &StoredAnswer) -> bool {
        let mut known = std::iter::once(&self.fingerprint).chain(&self.earlier_fingerprints);
        known.any(|fingerprint| *fingerprint == answer.fingerprint)
    }
}

/// What a body says, whatever the order of its members and its white space.
fn canonical(body: &[u8]) -> Result<String, ApiError> {
    let mut canonical = String::new();
    if !body.is_empty() {
        let body: Value = serde_json::from_slice(body).map_err(|_| Kind::MalformedJson)?;
        write_canonical(&body, &mut canonical);
    }
    Ok(canonical)
}

/// A digest of what is asked for: the path, and what the body says.
fn fingerprint(key: &hmac::Key, path: &str, canonical: &str) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    context.update(path.as_bytes());
    context.update(b"\n");
    context.update(canonical.as_bytes());
    context.sign().as_ref().to_vec()
}

/// A key for one purpose, from one secret.
pub fn derived_key(secret: &Secret, purpose: &str) -> hmac::Key {
    let master = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hmac::Key::new(
        hmac::HMAC_SHA256,
        hmac::sign(&master, purpose.as_bytes()).as_ref(),
    )
}

/// What a key is valid in: the same key of another person, or for another route, is another key.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Who sends it.
    pub who: UserId,
    /// The method.
    pub method: &'a Method,
    /// The route, as a template: `/api/v1/products/{id}/stock/receipts`.
    pub route: &'a str,
    /// The path itself. Not part of the key: the same one for another path is a mistake that is noticed.
    pub path: &'a str,
}

impl Scope<'_> {
    /// Parts are parted by what none of them holds.
    fn id(&self, key: &str) -> Uuid {
        let text = format!("{}\n{}\n{}\n{key}", self.who, self.method, self.route);
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        Uuid::from_bytes(id)
    }
}

/// JSON with its members in order and without white space.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SCOPE: Scope<'_> = Scope {
        who: UserId(Uuid::from_u128(1)),
        method: &Method::POST,
        route: "/api/v1/products/{id}/stock/receipts",
        path: "/api/v1/products/7/stock/receipts",
    };

    fn idempotency() -> Idempotency {
        Idempotency::new(&Secret::from("secret".to_owned()), &[])
    }

    fn begin(idempotency: &Idempotency, body: &str) -> Result<Attempt, ApiError> {
        idempotency.begin(&SCOPE, "k", body.as_bytes())
    }

    #[test]
    fn a_key_is_in_use_until_its_request_ends() {
        let idempotency = idempotency();
        let first = begin(&idempotency, "{}").unwrap();
        let refusal = begin(&idempotency, "{}").unwrap_err().problem();
        assert_eq!(refusal.kind(), Kind::IdempotencyKeyInUse);
        drop(first);
        assert!(begin(&idempotency, "{}").is_ok());
    }

    #[test]
    fn a_key_belongs_to_a_person_a_method_and_a_route() {
        let ids = [
            SCOPE.id("k"),
            SCOPE.id("l"),
            Scope {
                who: UserId(Uuid::from_u128(2)),
                ..SCOPE
            }
            .id("k"),
            Scope {
                method: &Method::PUT,
                ..SCOPE
            }
            .id("k"),
            Scope {
                route: "/b",
                ..SCOPE
            }
            .id("k"),
        ];
        let different: HashSet<Uuid> = ids.into_iter().collect();
        assert_eq!(different.len(), ids.len());
        assert_eq!(
            Scope {
                path: "/other",
                ..SCOPE
            }
            .id("k"),
            ids[0]
        );
    }

    #[test]
    fn a_fingerprint_is_of_what_a_body_says() {
        let fingerprint = |body: &str| begin(&idempotency(), body).unwrap().fingerprint.clone();
        let body = r#"{"b":[1,{"d":2,"c":"é"}],"a":null}"#;
        assert_eq!(
            fingerprint(body),
            fingerprint("{ \"a\" : null, \"b\":[1,{\"c\":\"\\u00e9\",\"d\":2}]}")
        );
        for other in [
            r#"{"b":[1,{"d":2,"c":"e"}],"a":null}"#,
            r#"{"b":[{"d":2,"c":"é"},1],"a":null}"#,
            "{}",
            "",
        ] {
            assert_ne!(fingerprint(body), fingerprint(other), "{other}");
        }
        let other_path = Scope {
            path: "/api/v1/products/8/stock/receipts",
            ..SCOPE
        };
        let other_path = idempotency()
            .begin(&other_path, "k", body.as_bytes())
            .unwrap();
        assert_ne!(fingerprint(body), other_path.fingerprint);
        let other_secret = Idempotency::new(&Secret::from("another".to_owned()), &[]);
        assert_ne!(
            fingerprint(body),
            begin(&other_secret, body).unwrap().fingerprint
        );
    }

    #[test]
    fn a_fingerprint_of_before_the_secret_was_exchanged_is_known_again() {
        let stored = |attempt: &Attempt| StoredAnswer {
            fingerprint: attempt.fingerprint.clone(),
            status: 201,
            resource: "r".into(),
            head: eventstore::position::Head::EMPTY,
        };
        let before = stored(&begin(&idempotency(), "{}").unwrap());
        let [new, old] = ["new", "secret"].map(|secret| Secret::from(secret.to_owned()));
        let both = Idempotency::new(&new, std::slice::from_ref(&old));
        let again = begin(&both, "{}").unwrap();
        assert!(again.is_of(&before) && again.is_of(&stored(&again)));
        drop(again);
        assert!(!begin(&both, "[]").unwrap().is_of(&before), "another body");
        let after = Idempotency::new(&new, &[]);
        assert!(!begin(&after, "{}").unwrap().is_of(&before));
    }

    #[test]
    fn what_is_stored_names_the_answer_and_nothing_of_the_body() {
        let attempt = begin(&idempotency(), r#"{"name":"Nguyễn"}"#).unwrap();
        let key = attempt.key(201, "r");
        assert_eq!(
            (key.status, key.resource.as_str(), key.fingerprint.len()),
            (201, "r", 32)
        );
        assert_eq!(attempt.derived_id(), attempt.derived_id());
    }
}
