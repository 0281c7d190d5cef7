//! Makes a recording for `scripts/bench-backtest`: `recording OUT BLOCKS SEGMENT [POOLS [SEED]]`.
//!
//! Temperature: cold.

#[expect(dead_code, reason = "tests look at the pools")]
mod mainnet;
#[expect(dead_code, reason = "the benchmarks use more of it")]
mod universe;

use std::path::Path;
use std::process::ExitCode;

use gannet::Maker;
use gannet_engine::decode::head::Head;
use gannet_engine::decode::log::Log;
use gannet_engine::world::pools::PoolTable;
use mainnet::{Chain, Sink, Size, token_at};

/// A recording in the making, and what went wrong first.
struct Tape(Maker, anyhow::Result<()>);

impl Sink for Tape {
    fn begin(&mut self, number: u64, pools: &PoolTable) {
        if self.1.is_ok() {
            self.1 = self.0.begin(number, pools, token_at);
        }
    }

    fn block(&mut self, head: &Head, logs: &[Log<'_>]) {
        if self.1.is_ok() {
            self.1 = self.0.add(head, logs);
        }
    }
}

/// Makes a recording at `out`; its bytes on disk.
fn record(out: &Path, size: Size) -> anyhow::Result<u64> {
    let mut maker = Maker::create(out, 1, "made up")?;
    maker.remark("made up from a seed: no chain has these blocks");
    let mut tape = Tape(maker, Ok(()));
    Chain::new(size.seed, size.pools).run(size, &mut tape);
    tape.1?;
    tape.0.finish()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, or: u64| arguments.get(place).map_or(Ok(or), |text| text.parse());
    let read = || -> anyhow::Result<_> {
        let (blocks, segment) = (number(1, 5_000)?, number(2, 1_000)?);
        let pools = usize::try_from(number(3, 20_000)?)?;
        Ok(Size { seed: number(4, 7)?, pools, blocks, segment })
    };
    let made = read().and_then(|size| match arguments.first() {
        Some(out) => record(Path::new(out), size),
        None => anyhow::bail!("found no folder; wanted OUT BLOCKS SEGMENT [POOLS [SEED]]"),
    });
    match made {
        Ok(bytes) => {
            println!("{} MB", bytes / 1_000_000);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("recording: {error:#}");
            ExitCode::FAILURE
        }
    }
}
