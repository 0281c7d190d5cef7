//! Cold start: the whole universe read from the node at one block hash, in batches.
//!
//! ```text
//! factories ─► pairs ─► tokens and reserves ─► the most liquid that a base token reaches ─► World
//! ```
//!
//! Every call names the same block hash, so a reorg meanwhile is an error and not a silent mix.
//!
//! Temperature: cold.

mod batch;
mod universe;

use std::time::Duration;

use alloy::eips::BlockId;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::Header;
use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, bail, ensure};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::head::Head;
use gannet_engine::input::Reloaded;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::{Tip, World};

use self::batch::Reader;
use crate::config::{Config, Endpoint, Node};

/// Connects for questions at leisure, and makes sure that it is the right chain.
///
/// # Errors
/// When the node cannot be reached in time or is on another chain.
pub(crate) async fn connect(node: &Node, chain_id: u64) -> Result<DynProvider> {
    let url = match &node.endpoint {
        Endpoint::WebSocket { url, .. } => url.to_owned(),
        Endpoint::Ipc(path) => path.to_string_lossy().into_owned(),
    };
    let limit = Duration::from_secs(node.connect_timeout_s);
    let attempt = async {
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect(&url).await?;
        let found = provider.get_chain_id().await?;
        anyhow::Ok((provider.erased(), found))
    };
    let (provider, found) = tokio::time::timeout(limit, attempt)
        .await
        .map_err(|_elapsed| anyhow::anyhow!("no answer within {} s", node.connect_timeout_s))
        .and_then(|connected| connected)
        .context("cannot reach the node: is it running, and is node.url right?")?;
    ensure!(
        found == chain_id,
        "the node is on chain {found}, the configuration on chain {chain_id}: change chain.id or \
         node.url"
    );
    Ok(provider)
}

/// Reads the newest block's header.
///
/// # Errors
/// When the node does not answer.
pub(crate) async fn latest(provider: &DynProvider) -> Result<Header> {
    let block = provider.get_block(BlockId::latest()).await.context("reading the newest block")?;
    Ok(block.context("the node has no newest block")?.header)
}

fn tip_of(header: &Header, chain: &ChainSpec) -> Tip {
    let head = Head {
        base_fee: header.base_fee_per_gas.map(u128::from),
        gas_limit: header.gas_limit,
        gas_used: header.gas_used,
        ..Head::default()
    };
    Tip {
        number: BlockNumber(header.number),
        hash: header.hash,
        timestamp: header.timestamp,
        next_base_fee: chain.next_base_fee(&head),
    }
}

/// Reads the whole universe.
///
/// # Errors
/// When the node does not answer, or what it answers makes no universe.
pub(crate) async fn load<S>(config: &Config<S>, provider: &DynProvider) -> Result<World> {
    let header = latest(provider).await?;
    let reader = Reader::new(provider, header.hash);
    let anchor = tip_of(&header, &config.chain);
    let world = universe::load(config, &reader, anchor).await?;
    tracing::info!(
        block = anchor.number.0,
        pools = world.pools.len(),
        tokens = world.tokens.len(),
        "universe loaded"
    );
    if world.pools.is_empty() {
        bail!("no pool is reachable from universe.base_tokens through the configured factories");
    }
    Ok(world)
}

/// Reads the reserves of known pools again, at the newest block.
///
/// # Errors
/// When the node does not answer.
pub(crate) async fn reload(
    provider: &DynProvider,
    chain: &ChainSpec,
    pools: &[Address],
) -> Result<Reloaded> {
    let header = latest(provider).await?;
    let reserves = Reader::new(provider, header.hash).reserves(pools).await?;
    Ok(Reloaded { anchor: tip_of(&header, chain), reserves })
}

/// What a wallet needs to start: its next nonce and its balance.
///
/// # Errors
/// When the node does not answer.
pub(crate) async fn wallet(provider: &DynProvider, address: Address) -> Result<(u64, u128)> {
    let nonce = provider.get_transaction_count(address).await.context("reading a nonce")?;
    let balance = provider.get_balance(address).await.context("reading a balance")?;
    Ok((nonce, balance.saturating_to()))
}

/// The code at an address, at the newest block.
///
/// # Errors
/// When the node does not answer.
pub(crate) async fn code_hash(provider: &DynProvider, address: Address) -> Result<Option<B256>> {
    let code = provider.get_code_at(address).await.context("reading the executor's code")?;
    Ok((!code.is_empty()).then(|| alloy_primitives::keccak256(&code)))
}
