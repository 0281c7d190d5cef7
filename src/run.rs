//! `gannet run`: from a checked configuration to a flying engine and its summary.
//!
//! Temperature: cold.

use std::time::Duration;

use alloy_primitives::Address;
use anyhow::{Context, Result, bail, ensure};
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
        Mode::Live => fly(config, LivePort::new),
        Mode::DryRun => fly(config, Ledger::new),
    }
}

fn fly<S: StrategySet, P: Port>(
    config: Config<S>,
    port: impl FnOnce(Monotonic) -> P,
) -> Result<Summary> {
    let keys = keys_of(config.mode, &config.wallets)?;
    let (world, wallets, owner) = prepare(&config)?;

    let names = Names::of(&world, S::NAMES);
    let pools = names.pools().to_vec();
    let mut limits = config.limits;
    if config.executor == Address::ZERO {
        // There is nobody whose funds could pay.
        limits.funding = Funding::Flash;
    }
    let mut risk = Risk::new(limits, wallets);
    risk.needs_balance = config.mode == Mode::Live;
    let signer = Signer::new(keys, config.executor);
    let silent_after_ns = config.node.silent_after_ms.saturating_mul(1_000_000);
    let mut engine = Engine::new(world, config.strategies, risk, signer, silent_after_ns)
        .map_err(|(name, why)| anyhow::anyhow!("strategy {name} cannot start: {why}"))?;

    engine.owner = owner;

    // Cold threads start before this one is pinned: a thread inherits its creator's mask.
    let keeper = Keeper::start(config.node, config.chain, pools)?;
    let scribe = Scribe::start(names, config.runtime.journal.as_deref())?;
    if let Some(path) = &config.runtime.snapshot {
        // Seen now, and not when the run is over.
        snapshot::write(path, &engine.world)?;
    }
    pin(config.runtime.core);
    let clock = Monotonic::start();
    let mut hot = Hot::new(engine, port(clock), keeper, scribe, clock);
    let runtime = Builder::new_current_thread().enable_all().build().context("starting")?;
    let drain = Duration::from_secs(config.runtime.drain_s);
    let ending = runtime.block_on(hot.fly(config.runtime.spin, drain))?;
    if hot.scribe.dropped > 0 {
        tracing::warn!(lost = hot.scribe.dropped, "journal lines were lost: the ring was full");
    }
    match ending {
        Ending::Cut => bail!(CutShort),
        Ending::Drained => {
            if let Some(path) = &config.runtime.snapshot {
                snapshot::write(path, &hot.engine.world)?;
            }
            Ok(Summary::of(&hot.engine, S::NAMES, config.mode, hot.port.latency()))
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
fn prepare<S>(config: &Config<S>) -> Result<(World, Vec<WalletState>, Option<Address>)> {
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
        let (nonce, balance) = (rpc.nonce(*address)?, rpc.balance(*address)?);
        ensure!(
            balance > 0 || config.mode == Mode::DryRun,
            "wallet {address} is empty: it needs native tokens to pay gas"
        );
        wallets.push(WalletState { address: *address, nonce, balance: Wei(balance) });
    }
    Ok((world, wallets, owner))
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
