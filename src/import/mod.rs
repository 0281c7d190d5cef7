//! `gannet import`: data sets that users already have become recordings.
//!
//! Temperature: cold.

mod json;
pub(crate) mod witness;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::recording::{Manifest, Segment, Size};

/// What came of an import.
#[derive(Debug, Serialize)]
pub(crate) struct Imported {
    pub(crate) recording: PathBuf,
    pub(crate) chain_id: u64,
    pub(crate) origin: String,
    pub(crate) blocks: u64,
    pub(crate) segments: Vec<Segment>,
    /// Bytes on disk, by table.
    pub(crate) bytes: BTreeMap<&'static str, u64>,
    pub(crate) remarks: Vec<String>,
}

impl Imported {
    pub(crate) fn new(recording: PathBuf, manifest: Manifest, size: Size) -> Self {
        let Manifest { chain_id, origin, segments, remarks, .. } = manifest;
        let Size { blocks, bytes } = size;
        Self { recording, chain_id, origin, blocks, segments, bytes, remarks }
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
        for (table, bytes) in &self.bytes {
            writeln!(out, "{table:<13} {:.1} KiB", f64::from(kib_tenths(*bytes)) / 10.0)?;
        }
        for remark in &self.remarks {
            writeln!(out, "note          {remark}")?;
        }
        write!(out, "next          gannet backtest {path}")
    }
}

/// Tenths of a KiB.
fn kib_tenths(bytes: u64) -> u32 {
    u32::try_from(bytes.saturating_mul(10) / 1_024).unwrap_or(u32::MAX)
}
