//! The `souk` binary: the command line and nothing else, see [`api::cli`].

use std::process::ExitCode;

/// Most of what the server allocates is small and short-lived: glibc's allocator took a third of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api::cli::main()
}
