//! The `gannet` binary: Gannet with the strategies that it brings.
//!
//! Temperature: cold.

use std::process::ExitCode;

use gannet::strategies::Standard;

/// Per-thread caches and no global lock: the cold threads' allocations do not disturb the hot
/// thread.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    gannet::cli::main::<Standard>()
}
