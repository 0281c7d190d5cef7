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

/// What was freed is kept. Giving it back is a call of the system on whatever thread freed it, and
/// a fault for every page that is touched again: a backtest spent a tenth of its time with these.
#[expect(unsafe_code, reason = "jemalloc looks for this name; nothing else has it")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static CONFIGURED: &[u8; 36] = b"dirty_decay_ms:-1,muzzy_decay_ms:-1\0";

fn main() -> ExitCode {
    gannet::cli::main::<Standard>()
}
