//! Recordings: blocks, transactions, logs and state on disk, for backtests and for any engine that
//! reads Parquet.
//!
//! ```text
//! manifest.json                 chain, origin, segments, parts
//! blocks/12047794-12300570.parquet
//! transactions/…  logs/…        one file a table and part, under cryo's names and types
//! accounts/…  storage/…  codes/…  block_hashes/…      state, where it is known
//! pools/…  ticks/…              the pools before a segment's first block, where they are
//! mempool/000000.parquet        pending transactions by time, where they are known
//! ```
//!
//! A *segment* is a run of blocks without a gap, or what follows a snapshot of the pools; a *part*
//! is what one file of each table holds, and of no more than one such segment. A recording is made
//! under another name and takes its own when it is whole. Logs that move pools stand in a row group
//! of their own, for flights read no others; within a row group rows are in the order of blocks.
//!
//! Temperature: cold.

pub(crate) mod column;
mod columns;
mod maker;
mod pools;
mod read;
pub(crate) mod rows;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use alloy_primitives::{Address, B256, U256};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub(crate) use self::columns::Lane;
pub use self::maker::Maker;
pub(crate) use self::pools::Snapshot;
pub(crate) use self::read::{Batch, Batches, Recording};
use self::rows::{BlockRow, LogColumns, LogRow, TransactionRow};
pub(crate) use self::write::{Size, Writer, write_table};

/// The layout that this build writes.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What a recording is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Manifest {
    /// Its layout.
    pub(crate) format: u32,
    /// What wrote it.
    pub(crate) version: String,
    /// EIP-155 chain id.
    pub(crate) chain_id: u64,
    /// Where it is from.
    pub(crate) origin: String,
    /// Runs of blocks without a gap, in order.
    pub(crate) segments: Vec<Segment>,
    /// The names of its files, without their ending, in order.
    pub(crate) parts: Vec<String>,
    /// What was pending, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mempool: Option<Mempool>,
    /// What whoever relies on it should know.
    pub(crate) remarks: Vec<String>,
    /// The tape of a run that is going on, or was killed: what is in no part yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tape: Option<String>,
    /// The one before it: its last blocks are in no part yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tape_before: Option<String>,
    /// Whether it holds a run's inputs.
    #[serde(default)]
    pub(crate) has_arrivals: bool,
}

impl Manifest {
    /// That of a run which begins.
    pub(crate) fn of_a_run(chain_id: u64) -> Self {
        let remark = "where a node gave no receipts, logs are those that move pools";
        Self { has_arrivals: true, remarks: vec![remark.to_owned()], ..Self::new(chain_id, "run") }
    }

    fn new(chain_id: u64, origin: &str) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            chain_id,
            origin: origin.to_owned(),
            segments: Vec::new(),
            parts: Vec::new(),
            mempool: None,
            remarks: Vec::new(),
            tape: None,
            tape_before: None,
            has_arrivals: false,
        }
    }

    /// Adds blocks, which follow those that are there.
    pub(crate) fn extend(&mut self, blocks: &[RecordedBlock]) {
        for block in blocks {
            let (number, has_state) = (block.number(), block.state.is_some());
            match self.segments.last_mut() {
                Some(last)
                    if last.last_block.saturating_add(1) == number
                        && last.has_state == has_state =>
                {
                    last.last_block = number;
                }
                Some(_) | None => {
                    self.begin(number, has_state, false);
                }
            }
        }
    }

    /// Begins a segment.
    fn begin(&mut self, number: u64, has_state: bool, has_pools: bool) {
        let (first_block, last_block) = (number, number);
        self.segments.push(Segment { first_block, last_block, has_state, has_pools });
    }

    /// The name of a part with these blocks; one without any stands behind the last.
    pub(crate) fn name_part(&self, blocks: &[RecordedBlock]) -> String {
        let next = self.segments.last().map_or(0, |segment| segment.last_block.saturating_add(1));
        let first = blocks.first().map_or(next, RecordedBlock::number);
        let last = blocks.last().map_or(next, RecordedBlock::number);
        format!("{first:010}-{last:010}")
    }

    /// Writes it into a recording's folder, or leaves the one that is there as it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let (path, new) = (folder.join(MANIFEST), folder.join("manifest.new"));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("writing {}", path.display()))
    }
}

/// Sightings of pending transactions: they are by time and not by block.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Mempool {
    pub(crate) rows: u64,
    /// Those of them that cannot be replayed, for their signed bytes are not there.
    pub(crate) without_raw: u64,
    /// Its files, in order.
    pub(crate) parts: Vec<MempoolPart>,
}

/// A file of sightings, in order.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct MempoolPart {
    /// The file's, without its ending.
    pub(crate) name: String,
    /// Milliseconds since 1970.
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

/// A remark on data sets of blocks.
pub(crate) const PENDING_UNKNOWN: &str =
    "what was pending, and when, is not known: nothing is planned behind it";

/// A run of blocks without a gap.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Segment {
    pub(crate) first_block: u64,
    pub(crate) last_block: u64,
    /// Whether the state before each block is known, as far as the block touches it.
    pub(crate) has_state: bool,
    /// Whether the pools before the first block are known.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) has_pools: bool,
}

/// As serde asks it.
const fn is_false(is_so: &bool) -> bool {
    !*is_so
}

/// A block with all that is known of it.
#[derive(Clone, Debug)]
pub(crate) struct RecordedBlock {
    pub(crate) header: BlockRow,
    /// In order.
    pub(crate) transactions: Vec<TransactionRow>,
    /// In order.
    pub(crate) logs: Vec<LogRow>,
    pub(crate) state: Option<State>,
}

impl RecordedBlock {
    /// Height.
    pub(crate) const fn number(&self) -> u64 {
        self.header.block_number.0
    }

    /// Adds its logs to the row groups of a table: events that move pools, and all others.
    pub(crate) fn put_logs(&self, chain_id: u64, groups: &mut [Vec<LogColumns>; 2]) {
        for log in &self.logs {
            let columns = log.to_columns(chain_id, self.header.block_hash);
            groups[usize::from(!log.is_move())].push(columns);
        }
    }

    /// Whether its logs are all that it has.
    pub(crate) fn has_all_logs(&self) -> bool {
        self.header.logs_complete == Some(true)
    }
}

/// The state before a block, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<Address, Account>,
    /// Hashes of earlier blocks, by height.
    pub(crate) block_hashes: BTreeMap<u64, B256>,
}

/// An account before a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) balance: U256,
    pub(crate) nonce: u64,
    pub(crate) code_hash: Option<B256>,
    pub(crate) storage: BTreeMap<U256, U256>,
}
