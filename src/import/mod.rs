//! `gannet import`: data sets that users already have become recordings.
//!
//! Temperature: cold.

mod chunks;
pub(crate) mod cryo;
mod json;
pub(crate) mod mempool;
pub(crate) mod pools;
mod sightings;
pub(crate) mod witness;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::recording::{Manifest, Mempool, Segment, Size};

/// What came of an import.
#[derive(Debug, Serialize)]
pub(crate) struct Imported {
    pub(crate) recording: PathBuf,
    pub(crate) chain_id: u64,
    pub(crate) origin: String,
    pub(crate) blocks: u64,
    pub(crate) segments: Vec<Segment>,
    /// What was pending, where that is known.
    pub(crate) mempool: Option<Mempool>,
    /// Bytes on disk, by table.
    pub(crate) bytes: BTreeMap<&'static str, u64>,
    pub(crate) remarks: Vec<String>,
}

impl Imported {
    pub(crate) fn new(recording: PathBuf, manifest: Manifest, size: Size) -> Self {
        let Manifest { chain_id, origin, segments, mempool, remarks, .. } = manifest;
        let Size { blocks, bytes } = size;
        Self { recording, chain_id, origin, blocks, segments, mempool, bytes, remarks }
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_state = self.segments.iter().filter(|segment| segment.has_state).count();
        let path = self.recording.display();
        writeln!(out, "recording     {path}")?;
        writeln!(out, "from          {}, chain {}", self.origin, self.chain_id)?;
        let segments = self.segments.len();
        writeln!(out, "blocks        {} in {segments} segments", self.blocks)?;
        writeln!(out, "with state    {with_state} segments")?;
        if let Some(Mempool { rows, without_raw, .. }) = self.mempool {
            writeln!(out, "pending       {rows}, of which {without_raw} without signed bytes")?;
        }
        for (table, bytes) in &self.bytes {
            writeln!(out, "{table:<13} {:.1} KiB", f64::from(kib_tenths(*bytes)) / 10.0)?;
        }
        for remark in &self.remarks {
            writeln!(out, "note          {remark}")?;
        }
        if self.blocks > 0 {
            write!(out, "next          gannet backtest {path}")
        } else {
            write!(out, "next          import blocks elsewhere, and the mempool there once more")
        }
    }
}

/// Tenths of a KiB.
fn kib_tenths(bytes: u64) -> u32 {
    u32::try_from(bytes.saturating_mul(10) / 1_024).unwrap_or(u32::MAX)
}
