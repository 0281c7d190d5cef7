//! What a run started from: the universe, the wallets, and the venues that they were read at.
//!
//! Temperature: cold.

use std::fs;
use std::path::Path;

use alloy_primitives::{Address, B256, keccak256};
use anyhow::{Context as _, Result, ensure};
use gannet_engine::chain::ChainSpec;
use gannet_engine::ids::FactoryId;
use gannet_engine::limits::{
    BASE_TOKENS_MAX, FACTORIES_MAX, NEW_POOLS_MAX, ROUTERS_MAX, WALLETS_MAX,
};
use gannet_engine::units::Wei;
use gannet_engine::wallet::WalletState;
use gannet_engine::world::{Factory, FactoryKind, Router, RouterKind, World};
use serde::{Deserialize, Serialize};

use super::orders::{KeptTip, kept_tip, tip_of};
use crate::bootstrap::{self, Roster, Universe};
use crate::config::{Config, NamedFactory};

/// Beside the manifest.
const FILE: &str = "start.bin";
/// What the file begins with: its kind, and the version of its format.
const MAGIC: &[u8; 16] = b"gannet start v1\n";

const FACTORIES: [FactoryKind; 4] =
    [FactoryKind::UniswapV2, FactoryKind::UniswapV3, FactoryKind::PancakeV3, FactoryKind::Solidly];
const ROUTERS: [RouterKind; 3] =
    [RouterKind::SwapRouter, RouterKind::SwapRouter02, RouterKind::Universal];

/// What a run started from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    chain_id: u64,
    wrapped_native: Address,
    block_time_ms: u64,
    base_tokens: Vec<Address>,
    /// Name, kind, address, router, fee, first block.
    factories: Vec<(String, usize, Address, Address, u32, u64)>,
    /// Address, kind, places of its factories.
    routers: Vec<(Address, usize, Option<u8>, Option<u8>)>,
    new_pools_max: usize,
    anchor: KeptTip,
    universe: Universe,
    /// Address, next nonce without and with the node's pool, balance.
    wallets: Vec<(Address, u64, u64, u128)>,
    pub(crate) executor: Address,
    pub(crate) silent_after_ns: u64,
    pub(crate) is_halted: bool,
    pub(crate) finality_blocks: u64,
    /// The time of day at the clock's zero, in nanoseconds since 1970.
    pub(crate) unix_ns: u64,
}

impl Start {
    pub(crate) fn of<S>(
        config: &Config<S>,
        (world, roster): (&World, &Roster),
        wallets: &[WalletState],
        (silent_after_ns, is_halted): (u64, bool),
    ) -> Self {
        let factory = |named: &NamedFactory| {
            let Factory { address, router, fee_pips, kind } = named.factory;
            let kind = FACTORIES.iter().position(|known| *known == kind).unwrap_or_default();
            (named.name.clone(), kind, address, router, fee_pips, named.deployed_block)
        };
        let router = |router: &Router| {
            let kind = ROUTERS.iter().position(|known| *known == router.kind).unwrap_or_default();
            let place = |factory: Option<FactoryId>| factory.map(|factory| factory.0);
            (router.address, kind, place(router.v2), place(router.v3))
        };
        let wallet = |wallet: &WalletState| {
            (wallet.address, wallet.nonce, wallet.waits_for, wallet.balance.0)
        };
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            chain_id: config.chain.id,
            wrapped_native: config.chain.wrapped_native,
            block_time_ms: config.chain.block_time_ms,
            base_tokens: config.base_tokens.clone(),
            factories: config.factories.iter().map(factory).collect(),
            routers: config.routers.iter().map(router).collect(),
            new_pools_max: config.new_pools.most,
            anchor: kept_tip(world.tip()),
            universe: Universe::of(world, roster),
            wallets: wallets.iter().map(wallet).collect(),
            executor: config.executor,
            silent_after_ns,
            is_halted,
            finality_blocks: config.finality_blocks,
            unix_ns: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The block that the run began at.
    pub(super) const fn anchor(&self) -> B256 {
        self.anchor.1
    }

    /// That block's height.
    pub(crate) const fn height(&self) -> u64 {
        self.anchor.0
    }

    /// The pools and tokens that the run began with.
    pub(crate) const fn universe(&self) -> &Universe {
        &self.universe
    }

    /// The factories' addresses, by their places.
    pub(crate) fn factories(&self) -> Vec<Address> {
        self.factories.iter().map(|(_, _, address, ..)| *address).collect()
    }

    /// The factories' addresses, and the first block that each has events in.
    pub(super) fn deployments(&self) -> Vec<(Address, u64)> {
        let of = |(_, _, address, _, _, first): &(String, usize, Address, Address, u32, u64)| {
            (*address, *first)
        };
        self.factories.iter().map(of).collect()
    }

    /// Writes it into a recording's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let body = postcard::to_stdvec(self).context("writing down what the run starts from")?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(keccak256(&body).as_slice());
        bytes.extend_from_slice(&body);
        let path = folder.join(FILE);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads it out of a recording's folder.
    ///
    /// # Errors
    /// When it is not there, or not whole.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let told = || format!("reading {}", path.display());
        let bytes = fs::read(&path).with_context(told)?;
        let rest =
            bytes.strip_prefix(MAGIC).context("it is of another version").with_context(told)?;
        let (sum, body) = rest.split_first_chunk::<32>().context("it is cut short")?;
        ensure!(keccak256(body) == *sum, "{}: its checksum is wrong", path.display());
        let start: Self = postcard::from_bytes(body).with_context(told)?;
        let is_sane = start.wallets.len() <= WALLETS_MAX
            && start.factories.len() <= FACTORIES_MAX
            && start.routers.len() <= ROUTERS_MAX
            && start.base_tokens.len() <= BASE_TOKENS_MAX
            && start.new_pools_max <= NEW_POOLS_MAX;
        ensure!(is_sane, "{}: more than any run can have", path.display());
        Ok(start)
    }

    /// The world that the run began with. What it was read at takes the place of the
    /// configuration's.
    ///
    /// # Errors
    /// When the universe cannot be built.
    pub(crate) fn world<S>(&self, config: &mut Config<S>) -> Result<World> {
        config.chain = ChainSpec {
            block_time_ms: self.block_time_ms,
            ..ChainSpec::ethereum(self.chain_id, self.wrapped_native)
        };
        config.base_tokens.clone_from(&self.base_tokens);
        config.new_pools.most = self.new_pools_max;
        config.finality_blocks = self.finality_blocks;
        config.executor = self.executor;
        let factory = |(name, kind, address, router, fee_pips, deployed_block): &(
            String,
            usize,
            Address,
            Address,
            u32,
            u64,
        )| {
            let kind = FACTORIES.get(*kind).copied().unwrap_or_default();
            let factory = Factory { address: *address, router: *router, fee_pips: *fee_pips, kind };
            NamedFactory { name: name.clone(), factory, deployed_block: *deployed_block }
        };
        config.factories = self.factories.iter().map(factory).collect();
        let router = |(address, kind, v2, v3): &(Address, usize, Option<u8>, Option<u8>)| {
            let kind = ROUTERS.get(*kind).copied().context("a router of no known kind")?;
            let [v2, v3] = [*v2, *v3].map(|place| place.map(FactoryId));
            anyhow::Ok(Router { address: *address, kind, v2, v3 })
        };
        config.routers = self.routers.iter().map(router).collect::<Result<_>>()?;
        bootstrap::rebuild(config, tip_of(self.anchor), &self.universe)
    }

    /// The wallets as they were.
    pub(crate) fn wallets(&self) -> Vec<WalletState> {
        let wallet = |(address, mined, pending, balance): &(Address, u64, u64, u128)| {
            WalletState::new(*address, *mined, *pending, Wei(*balance))
        };
        self.wallets.iter().map(wallet).collect()
    }
}
