//! `gannet run`: from a checked configuration to a flying engine and its summary.
//!
//! Temperature: cold.

use std::fs::File;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, bail, ensure};
use gannet_engine::finality::Legacy;
use gannet_engine::pipeline::Engine;
use gannet_engine::risk::{Funding, Risk, WalletState};
use gannet_engine::sign::{Signer, WalletKey};
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Wei;
use gannet_engine::world::World;
use tokio::runtime::Builder;

use crate::bootstrap;
use crate::clock::Monotonic;
use crate::commands::check;
use crate::config::{Config, Mode, Wallet};
use crate::contracts::Executor;
use crate::feed::keeper::Keeper;
use crate::runtime::{Ending, Hot};
use crate::scribe::{Names, Scribe};
use crate::snapshot;
use crate::state::{Handles, Owner, State};
use crate::submit::{Ledger, LivePort, Port};
use crate::summary::Summary;

/// The run was cut short by a second signal; the process should end with status 130.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutShort;

impl std::fmt::Display for CutShort {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("cut short by a second signal")
    }
}

impl std::error::Error for CutShort {}

/// Runs the strategies of `config` until SIGINT or SIGTERM, then drains, and says what came of it.
///
/// The calling thread becomes the hot thread and is pinned, if the configuration says so.
///
/// # Errors
/// When it cannot start: the node cannot be reached or is on another chain, a key is
/// missing, the executor is not there. Once it is up it does not end for trouble with its feed.
/// A second signal cuts the drain short, which is an error too.
pub fn run<S: StrategySet>(config: Config<S>) -> Result<Summary> {
    match config.mode {
        Mode::Live => fly(config, |clock, ground, config| {
            let owner = Owner {
                chain_id: config.chain.id,
                genesis: ground.genesis,
                executor: config.executor,
                wallet: config.wallets.first().map(|first| first.address).unwrap_or_default(),
                strategies: S::NAMES,
            };
            let wallets = config.wallets.iter().map(|wallet| wallet.address).collect();
            let handles = Handles::of(&ground.world, wallets);
            let (state, legacy) = State::open(&config.runtime.state_dir, &owner, handles)?;
            let file = state.file()?;
            Ok(Outfit { port: LivePort::new(clock, state), legacy, file: Some(file) })
        }),
        Mode::DryRun => fly(config, |clock, _, _| {
            Ok(Outfit { port: Ledger::new(clock), legacy: Legacy::default(), file: None })
        }),
    }
}

/// What a run reads from the node before it starts.
struct Ground {
    world: World,
    wallets: Vec<WalletState>,
    /// The executor's owner, if there is one.
    owner: Option<Address>,
    genesis: B256,
}

/// What differs from mode to mode.
struct Outfit<P> {
    port: P,
    /// What an earlier run left behind.
    legacy: Legacy,
    /// The state, to be written out to the disk now and then.
    file: Option<File>,
}

fn fly<S: StrategySet, P: Port>(
    config: Config<S>,
    outfit: impl FnOnce(Monotonic, &Ground, &Config<S>) -> Result<Outfit<P>>,
) -> Result<Summary> {
    let keys = keys_of(config.mode, &config.wallets)?;
    let ground = prepare(&config)?;
    let clock = Monotonic::start();
    let Outfit { port, legacy, file } = outfit(clock, &ground, &config)?;
    let Ground { world, wallets, owner, .. } = ground;

    let names = Names::of(&world, S::NAMES, &config.wallets);
    let pools = names.pools().to_vec();
    let mut limits = config.limits;
    if config.executor == Address::ZERO {
        // There is nobody whose funds could pay.
        limits.funding = Funding::Flash;
    }
    let mut risk = Risk::new(limits, gannet_engine::guard::GuardLimits::NONE, wallets);
    risk.needs_balance = config.mode == Mode::Live;
    let signer = Signer::new(keys, config.executor);
    let silent_after_ns = config.node.silent_after_ms.saturating_mul(1_000_000);
    let mut engine = Engine::new(world, config.strategies, risk, signer, silent_after_ns)
        .map_err(|(name, why)| anyhow::anyhow!("strategy {name} cannot start: {why}"))?;

    engine.owner = owner;
    engine.finality.depth = 12;
    if !legacy.flights.is_empty() {
        tracing::info!(
            submissions = legacy.flights.len(),
            "an earlier run left submissions that are not final: following them"
        );
    }
    engine.take_up(&legacy);
    let before = engine.books;

    // Cold threads start before this one is pinned: a thread inherits its creator's mask.
    let keeper = Keeper::start(config.node, config.chain, pools)?;
    let scribe = Scribe::start(names, config.runtime.journal.as_deref(), file)?;
    if let Some(path) = &config.runtime.snapshot {
        // Seen now, and not when the run is over.
        snapshot::write(path, &engine.world)?;
    }
    pin(config.runtime.core);
    let mut hot = Hot::new(engine, port, keeper, scribe, clock);
    let runtime = Builder::new_current_thread().enable_all().build().context("starting")?;
    let drain = Duration::from_secs(config.runtime.drain_s);
    let ending = runtime.block_on(hot.fly(config.runtime.spin, drain))?;
    if hot.scribe.dropped > 0 {
        tracing::warn!(lost = hot.scribe.dropped, "journal lines were lost: the ring was full");
    }
    hot.port.keep(&mut hot.engine);
    match ending {
        Ending::Cut => bail!(CutShort),
        Ending::Drained => {
            if let Some(path) = &config.runtime.snapshot {
                snapshot::write(path, &hot.engine.world)?;
            }
            Ok(Summary::of(&hot.engine, &before, S::NAMES, config.mode, hot.port.latency()))
        }
    }
}

/// The wallets' keys; in dry-run throwaway ones, so that signing costs the same and nothing can be
/// spent.
fn keys_of(mode: Mode, wallets: &[Wallet]) -> Result<Vec<WalletKey>> {
    wallets.iter().map(|wallet| key_of(mode, wallet)).collect()
}

fn key_of(mode: Mode, wallet: &Wallet) -> Result<WalletKey> {
    match mode {
        Mode::DryRun => {
            let throwaway = alloy::signers::local::PrivateKeySigner::random().to_bytes();
            WalletKey::new(&throwaway.0)
                .map_err(|_not_a_key| anyhow::anyhow!("making a throwaway key"))
        }
        Mode::Live => wallet.read_key().map_err(anyhow::Error::msg),
    }
}

/// Reads everything that the engine starts from.
fn prepare<S>(config: &Config<S>) -> Result<Ground> {
    let mut rpc = bootstrap::connect(&config.node, config.chain.id)?;
    let mut owner = None;
    if config.executor == Address::ZERO {
        tracing::info!("no executor is configured: plans are priced as if there were one");
    } else if config.mode == Mode::Live {
        // A stranger's contract would take every transaction's gas and give nothing.
        check::executor_of(config, &mut rpc).map_err(anyhow::Error::msg).context("the executor")?;
        owner = Some(rpc.view(config.executor, &Executor::ownerCall {})?);
    }
    let world = bootstrap::load(config, &mut rpc)?;
    let mut wallets = Vec::new();
    for Wallet { address, .. } in &config.wallets {
        let (mined, pending) = (rpc.nonce(*address)?, rpc.pending_nonce(*address)?);
        let balance = rpc.balance(*address)?;
        ensure!(
            balance > 0 || config.mode == Mode::DryRun,
            "wallet {address} is empty: it needs native tokens to pay gas"
        );
        wallets.push(WalletState::new(*address, mined, pending, Wei(balance)));
    }
    let genesis = rpc.genesis()?;
    Ok(Ground { world, wallets, owner, genesis })
}

fn pin(core: Option<usize>) {
    let Some(core) = core else { return };
    let is_there = core_affinity::get_core_ids()
        .is_some_and(|cores| cores.iter().any(|found| found.id == core));
    if is_there && core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        tracing::info!(core, "the hot thread is pinned");
    } else {
        tracing::warn!(core, "the hot thread cannot be pinned to this core: change runtime.core");
    }
}
