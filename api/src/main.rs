//! The `souk` binary: the command line and nothing else, see [`api::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    api::cli::main()
}
