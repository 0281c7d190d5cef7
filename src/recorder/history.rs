//! What a run's node said of the time before it: which pools its factories had made, and the
//! chain's first block. A bot that starts from a replay asks for them.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use alloy::rpc::types::Log;
use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bootstrap::CREATIONS;
use crate::feed::rpc::{NodeError, Rpc};

/// Beside the manifest.
const FILE: &str = "history.json";
/// Blocks that are looked through; what is older takes a node too long to tell at leisure.
const BLOCKS_MAX: u64 = 100_000;
/// `allPairsLength()`.
const COUNT: [u8; 4] = [0x57, 0x4f, 0x2b, 0xa3];

/// What was before a run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct History {
    /// The first block that was looked through, and the last: the one that the run began at.
    pub(crate) blocks: (u64, u64),
    pub(crate) factories: Vec<Address>,
    /// What the factories announced there, in order.
    pub(crate) logs: Vec<Log>,
    /// How many pairs a factory listed, where it said so.
    pub(crate) pair_counts: BTreeMap<Address, u64>,
    /// The chain's first block, without its transactions.
    pub(crate) genesis: Value,
}

impl History {
    /// Asks a node. None if there is too much to tell.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn ask(
        rpc: &mut Rpc,
        factories: &[(Address, u64)],
        anchor: u64,
    ) -> Result<Option<Self>> {
        let first = factories.iter().map(|(_, deployed)| *deployed).min().unwrap_or(anchor);
        if anchor.saturating_sub(first) > BLOCKS_MAX {
            return Ok(None);
        }
        let factories: Vec<Address> = factories.iter().map(|(address, _)| *address).collect();
        let [from, to] = [first, anchor].map(|number| json!(U256::from(number)));
        let filter = json!({
            "address": factories, "topics": [CREATIONS], "fromBlock": from, "toBlock": to,
        });
        let logs = rpc.call("eth_getLogs", &json!([filter]))?;
        let genesis = rpc.call("eth_getBlockByNumber", &json!(["0x0", false]))?;
        let mut pair_counts = BTreeMap::new();
        for factory in &factories {
            let data = Bytes::from_static(&COUNT);
            match rpc.call::<Bytes>("eth_call", &json!([{ "to": factory, "data": data }, to])) {
                Ok(answer) if answer.len() == B256::len_bytes() => {
                    let count = U256::from_be_slice(&answer);
                    pair_counts.insert(*factory, count.saturating_to());
                }
                // It lists none.
                Ok(_) => {}
                Err(error) if error.is::<NodeError>() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Self { blocks: (first, anchor), factories, logs, pair_counts, genesis }))
    }

    /// Writes it into a recording's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let (path, new) = (folder.join(FILE), folder.join("history.new"));
        let text = serde_json::to_string(self)?;
        // Nobody finds half of it.
        fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads it out of a recording's folder; none if there is none.
    ///
    /// # Errors
    /// When it is not what it should be.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let told = || format!("reading {}", path.display());
        let text = fs::read(&path).with_context(told)?;
        serde_json::from_slice(&text).with_context(told)
    }

    /// What the factories announced up to a block, if this is all that a filter asks for.
    pub(crate) fn covers(&self, addresses: &[Address], topics: &[B256], from: u64) -> bool {
        let is_theirs = !addresses.is_empty()
            && addresses.iter().all(|address| self.factories.contains(address));
        let is_creation =
            !topics.is_empty() && topics.iter().all(|topic| CREATIONS.contains(topic));
        is_theirs && is_creation && from >= self.blocks.0
    }

    /// Whether a call asks how many pairs a factory lists.
    pub(crate) fn is_count(data: &[u8]) -> bool {
        data == COUNT
    }
}
