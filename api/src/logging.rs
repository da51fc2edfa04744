//! The server's own logs: to standard error, for people or as JSON lines. They hold ids, never personal data.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LoggingConfig};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter does not parse.
    #[error("SOUK_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something else has set logging up in this process.
    #[error("logging was set up before")]
    Twice,
}

/// Sets logging up for the whole process. Called once, by the binary.
pub fn init(config: &LoggingConfig) -> Result<(), LoggingError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let set = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| LoggingError::Twice)
}
