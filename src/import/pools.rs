//! The pools before a run of imported blocks, read from a node that still has that block's state.
//!
//! Temperature: cold.

use anyhow::{Context as _, Result, ensure};

use crate::bootstrap;
use crate::config::Config;
use crate::feed::rpc::Rpc;
use crate::recording::Snapshot;

/// A node that is asked for pools, and what pools are asked for.
#[derive(Debug)]
pub(crate) struct Source<S> {
    config: Config<S>,
    rpc: Rpc,
}

impl<S> Source<S> {
    /// Connects to the configuration's node.
    ///
    /// # Errors
    /// When no node is named, none can be reached, or it is on another chain.
    pub(crate) fn connect(config: Config<S>) -> Result<Self> {
        config.need_node()?;
        let rpc = bootstrap::connect(&config.nodes, config.chain.id)?;
        Ok(Self { config, rpc })
    }

    /// The pools before block `number` of chain `chain_id`.
    ///
    /// # Errors
    /// When the node is on another chain, or does not have that state any more.
    pub(crate) fn before(&mut self, number: u64, chain_id: u64) -> Result<Snapshot> {
        let wanted = self.config.chain.id;
        ensure!(
            chain_id == wanted,
            "the blocks are of chain {chain_id}, and the configuration's node of chain {wanted}"
        );
        let parent = number.checked_sub(1).context("before the first block there are no pools")?;
        let told = || {
            format!(
                "reading the pools at block {parent}: does the node keep states that old (an \
                 archive node does)?"
            )
        };
        let world = bootstrap::load_at(&self.config, &mut self.rpc, parent).with_context(told)?;
        Ok(Snapshot::of(&world.pools, |token| world.tokens.get(token).address))
    }
}
