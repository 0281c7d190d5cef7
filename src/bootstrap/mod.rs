//! Cold start: the whole universe read from the node at one block hash, in batches.
//!
//! ```text
//! factories ─► pairs ─► tokens and reserves ─► the most liquid that a base token reaches ─► World
//! ```
//!
//! Every call names the same block, so a reorg meanwhile is an error and not a silent mix.
//!
//! Temperature: cold.

mod batch;
mod universe;

use alloy_primitives::Address;
use anyhow::{Context, Result, ensure};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::head::Head;
use gannet_engine::input::Reloaded;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::{Tip, World};
use serde_json::{Value, json};

use self::batch::Reader;
use crate::config::{Config, Node};
use crate::feed::rpc::Rpc;

/// Connects for questions at leisure, and makes sure that it is the right chain.
pub(crate) fn connect(node: &Node, chain_id: u64) -> Result<Rpc> {
    let mut rpc = Rpc::connect(node)?;
    rpc.ensure_chain(chain_id)?;
    Ok(rpc)
}

/// The newest block, and what follows from it. Read by the engine's own decoder.
fn latest(rpc: &mut Rpc, chain: &ChainSpec) -> Result<Tip> {
    let block: Value = rpc.call("eth_getBlockByNumber", &json!(["latest", false]))?;
    let head = Head::parse(block.to_string().as_bytes())
        .map_err(|error| anyhow::anyhow!("the node's newest block is no block: {error:?}"))?;
    Ok(Tip {
        number: BlockNumber(head.number),
        hash: head.hash,
        timestamp: head.timestamp,
        next_base_fee: chain.next_base_fee(&head),
    })
}

/// Reads the whole universe.
pub(crate) fn load<S>(config: &Config<S>, rpc: &mut Rpc) -> Result<World> {
    let anchor = latest(rpc, &config.chain)?;
    let mut reader = Reader::new(rpc, anchor)?;
    let world = universe::load(config, &mut reader, anchor)?;
    reader.finish()?;
    ensure!(
        !world.pools.is_empty(),
        "no pool is reachable from universe.base_tokens through the configured factories"
    );
    tracing::info!(
        block = anchor.number.0,
        pools = world.pools.len(),
        tokens = world.tokens.len(),
        "universe loaded"
    );
    for base in bases_without_pools(&world) {
        tracing::warn!(%base, "no pool holds this token of universe.base_tokens");
    }
    Ok(world)
}

/// Base tokens that no pool holds: most likely mistyped.
pub(crate) fn bases_without_pools(world: &World) -> Vec<Address> {
    let held = |token| {
        let mut pools = world.pools.ids().iter().map(|id| world.pools.get(*id));
        pools.any(|pool| pool.tokens.contains(token))
    };
    let lonely = world.bases.iter().filter(|base| !held(base));
    lonely.map(|base| world.tokens.get(*base).address).collect()
}

/// Reads the whole universe from these answers, one a line: what the fuzz target `start` runs.
///
/// # Errors
/// When they are not the answers of a node with pools.
#[cfg(fuzzing)]
pub fn load_from<S>(config: &Config<S>, answers: &[u8]) -> Result<World> {
    let (mut rpc, _node) = Rpc::answered(answers)?;
    load(config, &mut rpc)
}

/// Reads the reserves of known pools again, at the newest block.
pub(crate) fn reload(rpc: &mut Rpc, chain: &ChainSpec, pools: &[Address]) -> Result<Reloaded> {
    let anchor = latest(rpc, chain)?;
    let mut reader = Reader::new(rpc, anchor)?;
    let reserves = reader.reserves(pools).context("reading reserves")?;
    reader.finish()?;
    Ok(Reloaded { anchor, reserves })
}
