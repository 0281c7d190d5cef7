//! How values in a strategy's table are read: in range, with their unit, or refused with a reason.
//!
//! Each function is named in a `#[serde(deserialize_with = "…")]` of a `config.rs`.
//!
//! Temperature: cold.

use gannet_engine::limits::HOPS_MAX;
use gannet_engine::units::Bps;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Blocks in which a plan may be valid, at most.
const VALID_BLOCKS_MAX: u64 = 100;

/// The length of a cycle: 2 to [`HOPS_MAX`] swaps.
pub(crate) fn hops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let hops = usize::deserialize(deserializer)?;
    if (2..=HOPS_MAX).contains(&hops) {
        return Ok(hops);
    }
    Err(D::Error::custom(format_args!("wanted a cycle of 2 to {HOPS_MAX} swaps")))
}

/// A share in basis points: 0 to 10,000.
pub(crate) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bps, D::Error> {
    let share = u16::deserialize(deserializer)?;
    if share <= Bps::ALL.0 {
        return Ok(Bps(share));
    }
    Err(D::Error::custom(format_args!("wanted 0 to 10000; 10000 basis points are all of it")))
}

/// A count of blocks: 1 to 100.
pub(crate) fn blocks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let blocks = u64::deserialize(deserializer)?;
    if (1..=VALID_BLOCKS_MAX).contains(&blocks) {
        return Ok(blocks);
    }
    Err(D::Error::custom(format_args!("wanted 1 to {VALID_BLOCKS_MAX} blocks")))
}
