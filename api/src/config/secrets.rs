//! Demo mode, and the two secrets of a server: the one that signs access tokens, and the master key that wraps the
//! keys of people's personal data.
//!
//! Outside demo mode both come from the environment and a server without them does not start. Demo mode makes what
//! is missing, once, and keeps it in files of `SOUK_STATE_DIR` that only their owner can read: so tokens stay valid
//! and personal data stays readable over restarts, and nobody takes a secret beside the data for security.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Args, builder::BoolishValueParser};
use eventstore::sealing::{MasterKey, MasterKeys};
use identity::TokenKeys;

use super::{ConfigError, Secret};

/// How to make a secret, in the words of the refusal to start without one.
const HINT: &str = "make one with `openssl rand -base64 32`";

/// Demo mode and secrets.
#[derive(Args, Clone, Debug)]
pub struct SecretsConfig {
    /// Demo mode: demo data, test payment methods, secrets made by the server
    #[arg(
        long,
        env = "SOUK_DEMO",
        value_name = "BOOL",
        default_value = "false",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub demo: bool,

    /// Where demo mode keeps the secrets that it makes
    #[arg(
        long,
        env = "SOUK_STATE_DIR",
        default_value = ".local/run/secrets",
        value_name = "FOLDER"
    )]
    pub state_dir: PathBuf,

    /// Signs access tokens; at least 32 bytes, the same in all processes
    #[arg(
        long,
        env = "SOUK_JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,

    /// File with Ed25519 private keys in PEM: signs access tokens with the first, takes those of any
    #[arg(long, env = "SOUK_JWT_KEYS", value_name = "FILE")]
    pub jwt_keys: Option<String>,

    /// Secrets, with commas between, whose access tokens are taken beside those of the one that signs
    #[arg(
        long,
        env = "SOUK_JWT_PREVIOUS_SECRETS",
        hide_env_values = true,
        value_name = "SECRETS"
    )]
    pub jwt_previous_secrets: Option<Secret>,

    /// Wraps people's keys; 32 bytes in base64, the same in all processes
    #[arg(
        long,
        env = "SOUK_MASTER_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub master_key: Option<Secret>,

    /// Master keys, with commas between, that still unwrap what they have wrapped, beside the one that wraps
    #[arg(
        long,
        env = "SOUK_PREVIOUS_MASTER_KEYS",
        hide_env_values = true,
        value_name = "KEYS"
    )]
    pub previous_master_keys: Option<Secret>,
}

/// The secrets of a server.
pub struct Secrets {
    /// Sign access tokens.
    pub token_keys: TokenKeys,
    /// Wrap people's keys.
    pub master_keys: MasterKeys,
    /// What keys of a single purpose are derived from: the master key.
    pub derivation_secret: Secret,
    /// The same of before the master key was exchanged.
    pub earlier_derivation_secrets: Vec<Secret>,
}

impl SecretsConfig {
    /// The secrets from the environment; in demo mode those that are missing are made and kept.
    pub fn secrets(&self) -> Result<Secrets, ConfigError> {
        let token_keys = self.token_keys()?;
        let (master, earlier) = self.master_key_texts()?;
        Ok(Secrets {
            token_keys,
            master_keys: master_keys(&master, &earlier)?,
            derivation_secret: master,
            earlier_derivation_secrets: earlier,
        })
    }

    /// The master keys alone, for who needs nothing else.
    pub fn master_keys(&self) -> Result<MasterKeys, ConfigError> {
        let (master, earlier) = self.master_key_texts()?;
        master_keys(&master, &earlier)
    }

    /// The one that wraps, and those that only unwrap.
    fn master_key_texts(&self) -> Result<(Secret, Vec<Secret>), ConfigError> {
        let master = self.secret(self.master_key.as_ref(), "SOUK_MASTER_KEY", "master.key")?;
        let earlier = self
            .previous_master_keys
            .as_ref()
            .map_or("", Secret::expose);
        let earlier = earlier
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty());
        Ok((
            master,
            earlier.map(|text| Secret::from(text.to_owned())).collect(),
        ))
    }

    pub(super) fn secret(
        &self,
        given: Option<&Secret>,
        variable: &'static str,
        file: &str,
    ) -> Result<Secret, ConfigError> {
        match given.filter(|secret| !secret.expose().trim().is_empty()) {
            Some(secret) => Ok(secret.clone()),
            None if self.demo => kept(&self.state_dir, file),
            None => Err(ConfigError::MissingSecret {
                variable,
                hint: HINT,
            }),
        }
    }
}

fn master_keys(master: &Secret, earlier: &[Secret]) -> Result<MasterKeys, ConfigError> {
    let parse = |variable, secret: &Secret| {
        MasterKey::from_base64(secret.expose()).map_err(|error| ConfigError::UnfitSecret {
            variable,
            reason: error.to_string(),
        })
    };
    let others = earlier
        .iter()
        .map(|secret| parse("SOUK_PREVIOUS_MASTER_KEYS", secret))
        .collect::<Result<_, _>>()?;
    Ok(MasterKeys::new(parse("SOUK_MASTER_KEY", master)?, others))
}

/// The secret in this file, which is made when it is not there.
fn kept(folder: &Path, name: &str) -> Result<Secret, ConfigError> {
    let path = folder.join(name);
    let fault = |source| ConfigError::StateDir {
        path: path.clone(),
        source,
    };
    if !path.exists() {
        create(folder, &path).map_err(fault)?;
    }
    let text = fs::read_to_string(&path).map_err(fault)?;
    Ok(Secret::from(text.trim().to_owned()))
}

/// Makes the file, whole or not at all; where another process makes it at the same moment, the first one wins.
fn create(folder: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| io::Error::other("the system has no randomness"))?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", STANDARD.encode(bytes))?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
