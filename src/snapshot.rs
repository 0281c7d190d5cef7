//! A snapshot: the pools' reserves as the bot knows them, at a block.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::path::Path;

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result};
use gannet_engine::amm::Pool;
use gannet_engine::world::World;
use gannet_engine::world::pools::PoolEntry;
use serde::Serialize;

/// The world at its last sealed block.
#[derive(Debug, Serialize)]
struct Snapshot {
    block: u64,
    hash: B256,
    /// Reserves of token 0 and token 1, in their smallest unit.
    pools: BTreeMap<Address, [String; 2]>,
}

/// Writes the world's pools to `path`.
pub(crate) fn write(path: &Path, world: &World) -> Result<()> {
    let entries = world.pools.ids().iter().map(|id| world.pools.get(*id));
    let pools = entries.map(|entry| (entry.address, reserves(entry))).collect();
    let tip = world.tip();
    let snapshot = Snapshot { block: tip.number.0, hash: tip.hash, pools };
    std::fs::write(path, serde_json::to_vec(&snapshot)?)
        .with_context(|| format!("writing the snapshot {}", path.display()))
}

/// A pool's reserves as the chain has them: without the trades of a dry-run.
fn reserves(entry: &PoolEntry) -> [String; 2] {
    let Pool::ConstantProduct(pool) = entry.state;
    let [first, second] = pool.reserves();
    let [ours_first, ours_second] = entry.overlay.map(i128::saturating_neg);
    [first.saturating_add_signed(ours_first), second.saturating_add_signed(ours_second)]
        .map(|reserve| reserve.to_string())
}
