//! The public keys of access tokens (RFC 7517), for services that verify them themselves.

use axum::{extract::State, http::header};
use identity::PublicKey;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{answer::Answer, state::App};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(read))
}

/// How long the keys may be kept by whoever reads them. A new key is to be known for longer than that before it signs.
const CACHE_CONTROL: &str = "public, max-age=300";

/// Public keys.
#[derive(Serialize, ToSchema)]
pub struct JwkSet {
    /// The one that signs comes first. None where access tokens are signed with a secret.
    keys: Vec<JwkBody>,
}

/// A public key (RFC 8037).
#[derive(Serialize, ToSchema)]
pub struct JwkBody {
    /// Always `OKP`.
    #[schema(example = "OKP")]
    kty: &'static str,
    /// Always `Ed25519`.
    #[schema(example = "Ed25519")]
    crv: &'static str,
    /// Always `sig`: it verifies.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    key_use: &'static str,
    /// Always `EdDSA`.
    #[schema(example = "EdDSA")]
    alg: &'static str,
    /// Its id, which tokens carry in their header: the thumbprint of RFC 7638.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    kid: String,
    /// The key, in base64url.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    x: String,
}

impl From<&PublicKey> for JwkBody {
    fn from(key: &PublicKey) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            key_use: "sig",
            alg: "EdDSA",
            kid: key.kid.clone(),
            x: key.x.clone(),
        }
    }
}

/// Read the public keys of access tokens
///
/// Empty where they are signed with a secret, which is the default.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "readPublicKeys", tag = "log-in",
    responses((status = 200, body = JwkSet, headers(("Cache-Control")))))]
async fn read(State(app): State<App>) -> Answer<JwkSet> {
    let keys = app.identity.public_keys().iter().map(Into::into).collect();
    Answer::ok(JwkSet { keys }).header(header::CACHE_CONTROL, CACHE_CONTROL)
}
