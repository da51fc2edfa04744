//! `souk openapi`: the document that describes the API, as the server serves it at `/openapi.json`.

use std::io::{self, Write};

use super::Failure;

/// Prints the document.
pub(super) fn run() -> Result<(), Failure> {
    let mut document = crate::openapi()
        .to_pretty_json()
        .map_err(|error| Failure::Output(error.into()))?;
    document.push('\n');
    match io::stdout().write_all(document.as_bytes()) {
        // a reader that has seen enough
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::Output),
    }
}
