//! Keys of access tokens from the settings: a file of Ed25519 key pairs where there is one, otherwise a secret, with
//! those beside it that only verify.

use std::{fs, path::Path};

use identity::{TokenKeys, tokens::MIN_SECRET_BYTES};

use super::{ConfigError, Secret, SecretsConfig};

/// Name of the variable that names the file.
const FILE: &str = "SOUK_JWT_KEYS";

impl SecretsConfig {
    /// What access tokens are signed with and verified by.
    pub(super) fn token_keys(&self) -> Result<TokenKeys, ConfigError> {
        if let Some(path) = given(self.jwt_keys.as_deref()) {
            return from_file(Path::new(path));
        }
        let secret = self.secret(self.jwt_secret.as_ref(), "SOUK_JWT_SECRET", "jwt.secret")?;
        let others = given(self.jwt_previous_secrets.as_ref().map(Secret::expose));
        let others: Vec<&str> = others
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .collect();
        let all = others
            .iter()
            .map(|other| ("SOUK_JWT_PREVIOUS_SECRETS", *other));
        for (variable, secret) in all.chain([("SOUK_JWT_SECRET", secret.expose())]) {
            if secret.len() < MIN_SECRET_BYTES {
                return Err(unfit(variable, &identity::WeakSecret));
            }
        }
        let others: Vec<&[u8]> = others.into_iter().map(str::as_bytes).collect();
        TokenKeys::hs256(secret.expose().as_bytes(), &others)
            .map_err(|error| unfit("SOUK_JWT_SECRET", &error))
    }
}

/// What is set and empty counts as not set.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn from_file(path: &Path) -> Result<TokenKeys, ConfigError> {
    let pem = fs::read_to_string(path).map_err(|source| ConfigError::KeyFile {
        path: path.to_owned(),
        source,
    })?;
    TokenKeys::ed25519(&pem).map_err(|error| unfit(FILE, &format!("{}: {error}", path.display())))
}

fn unfit(variable: &'static str, reason: &impl ToString) -> ConfigError {
    ConfigError::UnfitSecret {
        variable,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::path::PathBuf;

    use super::*;

    /// Removed at the end.
    struct File(PathBuf);

    impl File {
        fn with(content: impl AsRef<[u8]>) -> Self {
            let path = std::env::temp_dir().join(format!("souk-keys-{}", uuid::Uuid::new_v4()));
            fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            fs::remove_file(&self.0).unwrap();
        }
    }

    /// RFC 8037, appendix A.1.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

    fn config() -> SecretsConfig {
        SecretsConfig {
            demo: false,
            state_dir: "/nonexistent".into(),
            jwt_secret: None,
            jwt_keys: None,
            jwt_previous_secrets: None,
            master_key: None,
            previous_master_keys: None,
        }
    }

    fn secret(byte: char) -> String {
        byte.to_string().repeat(MIN_SECRET_BYTES)
    }

    fn refusal(config: &SecretsConfig) -> String {
        config.token_keys().expect_err("refused").to_string()
    }

    #[test]
    fn a_file_of_key_pairs_needs_no_secret_beside_it() {
        let file = File::with(KEY);
        let config = SecretsConfig {
            jwt_keys: Some(format!(" {} ", file.0.display())),
            ..config()
        };
        let keys = config.token_keys().unwrap();
        assert_eq!(keys.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(keys.public_keys().len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_its_name_and_the_reason() {
        let of = |path: &Path| {
            refusal(&SecretsConfig {
                jwt_keys: Some(path.display().to_string()),
                jwt_secret: Some(secret('s').into()),
                ..config()
            })
        };
        let missing = of(Path::new("/nonexistent/keys.pem"));
        assert!(
            missing.contains("SOUK_JWT_KEYS") && missing.contains("/nonexistent/keys.pem"),
            "{missing}"
        );
        for (content, reason) in [
            ("".as_bytes(), "no private key"),
            (b"\xff\xfe".as_slice(), "UTF-8"),
            (KEY.replace("PRIVATE", "PUBLIC").as_bytes(), "key 1"),
            (&KEY.as_bytes()[..60], "damaged"),
        ] {
            let file = File::with(content);
            let told = of(&file.0);
            assert!(
                told.contains("SOUK_JWT_KEYS") && told.contains(reason),
                "{told}"
            );
            assert!(!told.contains("MC4CAQ"), "{told}");
        }
    }

    #[test]
    fn secrets_of_before_verify_only() {
        let alone = |byte| {
            let config = SecretsConfig {
                jwt_secret: Some(secret(byte).into()),
                jwt_keys: Some(String::new()),
                ..config()
            };
            config.token_keys().unwrap()
        };
        let config = SecretsConfig {
            jwt_secret: Some(secret('b').into()),
            jwt_previous_secrets: Some(format!("{}, {},", secret('a'), secret('c')).into()),
            ..config()
        };
        let keys = config.token_keys().unwrap();
        assert_eq!(keys.id(), alone('b').id());
        let printed = format!("{keys:?}");
        for byte in ['a', 'b', 'c'] {
            assert!(printed.contains(alone(byte).id()), "{printed}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_by_the_name_of_its_variable() {
        let config = SecretsConfig {
            jwt_secret: Some(secret('b').into()),
            jwt_previous_secrets: Some(format!("{},short", secret('a')).into()),
            ..config()
        };
        assert!(refusal(&config).starts_with("SOUK_JWT_PREVIOUS_SECRETS"));
    }
}
