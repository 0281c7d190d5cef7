//! The `gannet` binary: Gannet with the strategies that it brings.
//!
//! Temperature: cold.

use std::process::ExitCode;

use gannet::strategies::Standard;

/// Per-thread caches and no global lock: the cold threads' allocations do not disturb the hot
/// thread, whose own are counted.
#[global_allocator]
static ALLOCATOR: gannet::Counting<tikv_jemallocator::Jemalloc> =
    gannet::Counting::new(tikv_jemallocator::Jemalloc);

fn main() -> ExitCode {
    gannet::cli::main::<Standard>()
}
