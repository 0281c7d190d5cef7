//! `gannet run`: from a checked configuration to a flying engine and its summary.
//!
//! Temperature: cold.

use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, bail};
use gannet_engine::finality::Legacy;
use gannet_engine::pipeline::Engine;
use gannet_engine::risk::{Funding, Risk};
use gannet_engine::sign::{Signer, WalletKey};
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Wei;
use gannet_engine::wallet::WalletState;
use gannet_engine::world::World;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::admission::{Admission, Setting};
use crate::allocation::HotAllocations;
use crate::audit::{self, Auditor};
use crate::bootstrap::{self, Grower, Loaded, Market, Renewal, Roster, Rosters, Shelf, growth};
use crate::clock::Monotonic;
use crate::commands::check;
use crate::config::{Config, Endpoint, Mode, Node, Wallet};
use crate::contracts::Executor;
use crate::cores;
use crate::feed::keeper::Keeper;
use crate::feed::loopback::Loopback;
use crate::lending::{Lenders, LoanKeeper, LoanSummary};
use crate::locks::Lock;
use crate::nodes::NodeCounts;
use crate::presigner::Presigner;
use crate::recorder::{LoansRead, Recorder, Start as Begun, Tape, Witnesses};
use crate::recording::Size;
use crate::runtime::{Crew, Ending, Hot};
use crate::scribe::{Names, Scribe};
use crate::signals::Signals;
use crate::snapshot::{self, series::Series};
use crate::state::{Care, Handles, Owner, State};
use crate::submit::{Ledger, LivePort, Port};
use crate::summary::{Summary, Upkeep};
use crate::switch::Switch;

/// The run was cut short by a signal; the process should end with status 130.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutShort {
    /// While it was starting: nothing was sent, and there is nothing to sum up.
    Starting,
    /// By a second signal, while it was draining.
    Draining,
}

impl std::fmt::Display for CutShort {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Starting => "cut short by a signal while starting: nothing was sent",
            Self::Draining => "cut short by a second signal",
        })
    }
}

impl std::error::Error for CutShort {}

/// Runs the strategies of `config` until SIGINT or SIGTERM, then drains, and says what came of it.
///
/// The calling thread becomes the hot thread and is pinned, if the configuration says so.
///
/// # Errors
/// When it cannot start: the node cannot be reached or is on another chain, a key is missing, a
/// wallet is in use by another process, the executor is not there. Once it is up it does not end
/// for trouble with its feed. A signal during the start, or a second one, is an error too.
pub fn run<S: StrategySet + Send + 'static>(config: Config<S>) -> Result<Summary> {
    match config.mode {
        Mode::Live => fly(config, live),
        Mode::DryRun => fly(config, |clock, _, presigner| {
            let port = Ledger::new(clock, presigner);
            Ok(Outfit { port, legacy: Legacy::default(), care: None })
        }),
    }
}

/// Takes up the state of earlier runs.
fn live<S: StrategySet>(
    clock: Monotonic,
    start: &Start<S>,
    presigner: Presigner,
) -> Result<Outfit<LivePort>> {
    let Start { config, world, genesis, .. } = start;
    let wallets: Vec<Address> = config.wallets.iter().map(|wallet| wallet.address).collect();
    let owner = Owner {
        chain_id: config.chain.id,
        genesis: *genesis,
        executor: config.executor,
        wallet: wallets.first().copied().unwrap_or_default(),
        strategies: S::NAMES,
    };
    let handles = Handles::of(world, wallets);
    let (state, legacy) = State::open(&config.runtime.state_dir, &owner, handles)?;
    let care = Some(state.care()?);
    let port = LivePort::new(clock, state, presigner, loopback(config));
    Ok(Outfit { port, legacy, care })
}

/// Where the loop that spins sends what keeps the kernel's way warm, if that is the nodes' way.
fn loopback<S>(config: &Config<S>) -> Option<Loopback> {
    let by_tcp = |node: &Node| matches!(node.endpoint, Endpoint::WebSocket { .. });
    if !config.runtime.spin || !config.nodes.iter().any(by_tcp) {
        return None;
    }
    let opened = Loopback::open();
    opened.inspect_err(|error| tracing::info!(%error, "the kernel's way is not kept warm")).ok()
}

/// What differs from mode to mode.
struct Outfit<P> {
    port: P,
    /// What an earlier run left behind.
    legacy: Legacy,
    /// What is to be done for the state aside.
    care: Option<Care>,
}

fn fly<S: StrategySet + Send + 'static, P: Port>(
    config: Config<S>,
    outfit: impl FnOnce(Monotonic, &Start<S>, Presigner) -> Result<Outfit<P>>,
) -> Result<Summary> {
    let core = cores::reserve(config.runtime.core);
    let switch = Switch::watch(config.place())?;
    let keys = keys_of(&config)?;
    let locks = locks_of(&config)?;
    let runtime = Builder::new_current_thread().enable_all().build().context("starting")?;
    let mut signals = {
        let _within = runtime.enter();
        Signals::listen()?
    };
    let start = runtime.block_on(start(config, &mut signals))?;
    let clock = Monotonic::start();
    let presigner = presigner(&start.config, &keys)?;
    let Outfit { port, legacy, care } = outfit(clock, &start, presigner)?;
    let Start { config, world, roster, market, lenders, read, shelf, wallets, owner, .. } = start;

    let (rosters, silent_after_ns) = (Rosters::new(roster), silent_after_ns(&config.nodes));
    let setting = (silent_after_ns, switch.is_on());
    let recorded = record(&config, (&world, &rosters.now()), (&wallets, read), setting)?;
    let (tape, recorder) = recorded.unzip();
    let names = Names::new(rosters.clone(), S::NAMES, &config.wallets);
    let mut risk = risk_of(&config, wallets);
    risk.is_halted = switch.is_on();
    let signer = Signer::new(keys, config.executor);
    let (setting, audit) = (Setting::of(&config), audit::Setting::of(&config));
    let growth = growth::Setting::of(&config, &world, market);
    let mut engine = Engine::new(world, config.strategies, risk, signer, silent_after_ns)
        .map_err(|(name, why)| anyhow::anyhow!("strategy {name} cannot start: {why}"))?;

    engine.owner = owner;
    engine.finality.depth = config.finality_blocks;
    tell(&legacy);
    engine.take_up(&legacy);
    let before = engine.books;

    let node_names: Vec<_> = config.nodes.iter().map(|node| node.name.clone()).collect();
    let admission = Admission::start(setting, rosters.clone())?;
    let auditor = Auditor::start(audit, rosters.clone())?;
    let grower = Grower::start(growth, rosters.clone(), engine.searched_hops())?;
    let _renewal = Renewal::start(shelf.clone(), config.nodes.clone(), config.chain)?;
    let loans = LoanKeeper::start(&config.nodes, config.chain, lenders.clone())?;
    let keeper = |node| Keeper::start(node, config.chain, rosters.clone(), lenders.clone());
    let keepers = config.nodes.into_iter().map(keeper).collect::<Result<Vec<_>>>()?;
    let scribe = Scribe::start(names, config.runtime.journal.as_deref(), care)?;
    if let Some(path) = &config.runtime.snapshot {
        // Seen now, and not when the run is over.
        snapshot::write(path, &engine.world)?;
    }
    let snapshots = config.runtime.snapshots.as_ref();
    let series = snapshots
        .map(|wanted| Series::start(wanted, &engine.world, rosters.clone()))
        .transpose()?;
    core.take();
    let crew = Crew { keepers, scribe, series, switch, admission, auditor, grower, loans, tape };
    let mut hot = Hot::new(engine, port, crew, clock);
    let drain = Duration::from_secs(config.runtime.drain_s);
    let ending = runtime.block_on(hot.fly(&mut signals, config.runtime.spin, drain))?;
    end_recording(hot.tape.take(), recorder);
    hot.port.keep(&mut hot.engine);
    // Held until nothing more is sent, and the state is what the next run is to find.
    drop(locks);
    if hot.scribe.dropped > 0 {
        tracing::warn!(lost = hot.scribe.dropped, "journal lines were lost: the ring was full");
    }
    shelf.put(&mut hot.engine.world, &rosters.now());
    match ending {
        Ending::Cut => bail!(CutShort::Draining),
        Ending::Drained => {
            if let Some(path) = &config.runtime.snapshot {
                snapshot::write(path, &hot.engine.world)?;
            }
            let latency = hot.port.latency();
            let summary = Summary::of(&hot.engine, &before, S::NAMES, config.mode, latency);
            Ok(Summary { upkeep: upkeep_of(&mut hot, &node_names), ..summary })
        }
    }
}

/// Begins to record, if that is wanted.
fn record<S>(
    config: &Config<S>,
    universe: (&World, &Roster),
    (wallets, read): (&[WalletState], Option<LoansRead>),
    setting: (u64, bool),
) -> Result<Option<(Tape, Recorder)>> {
    let begin = |out: &std::path::PathBuf| {
        let start = Begun::of(config, universe, wallets, setting);
        let witnesses = Witnesses { nodes: config.nodes.clone(), chain_id: config.chain.id };
        Recorder::begin(out, (&start, read.as_ref()), witnesses).context("beginning to record")
    };
    config.record.as_ref().map(begin).transpose()
}

/// Ends the recording. A run that ends well does not end badly for what could not be kept of it.
fn end_recording(tape: Option<Tape>, recorder: Option<Recorder>) {
    let lost = tape.map_or(0, |tape| tape.lost());
    match recorder.map(Recorder::end) {
        Some(Ok(Size { blocks, bytes })) => {
            let bytes: u64 = bytes.values().sum();
            tracing::info!(blocks, bytes, lost, "recorded");
        }
        Some(Err(error)) => {
            let error = format!("{error:#}");
            tracing::error!(error, "the recording is not whole");
        }
        None => {}
    }
}

fn upkeep_of<S: StrategySet, P: Port>(hot: &mut Hot<S, P>, node_names: &[String]) -> Upkeep {
    Upkeep {
        new_pools: hot.grower.taken(),
        audit: hot.auditor.counts(&hot.engine.world),
        presignatures: hot.port.presigner().counts(),
        hot_allocations: HotAllocations::of_this_thread(),
        loans: LoanSummary::of(&hot.engine.world.loans),
        nodes: NodeCounts::of(&hot.engine.world, node_names),
    }
}

fn tell(legacy: &Legacy) {
    let submissions = legacy.flights.len();
    if submissions > 0 {
        tracing::info!(
            submissions,
            "an earlier run left submissions that are not final: following them"
        );
    }
}

/// The silence after which the least patient node is given up.
fn silent_after_ns(nodes: &[Node]) -> u64 {
    let silent_after_ms = nodes.iter().map(|node| node.silent_after_ms).min();
    silent_after_ms.unwrap_or_default().saturating_mul(1_000_000)
}

/// What a trade must be like, and what may be lost.
fn risk_of<S>(config: &Config<S>, wallets: Vec<WalletState>) -> Risk {
    let mut limits = config.limits;
    if config.executor == Address::ZERO {
        // There is nobody whose funds could pay.
        limits.funding = Funding::Flash;
    }
    let mut risk = Risk::new(limits, config.guard, wallets);
    risk.needs_balance = config.mode == Mode::Live;
    risk
}

/// The wallets' keys; in dry-run throwaway ones, so that signing costs the same and nothing can be
/// spent.
fn keys_of<S>(config: &Config<S>) -> Result<Vec<WalletKey>> {
    match config.mode {
        Mode::DryRun => {
            let throwaway = |_wallet| {
                let key = Zeroizing::new(PrivateKeySigner::random().to_bytes().0);
                WalletKey::new(&key).map_err(|_not_a_key| anyhow::anyhow!("making a throwaway key"))
            };
            config.wallets.iter().map(throwaway).collect()
        }
        Mode::Live => Ok(config.read_keys()?),
    }
}

/// The presigner; where the system does not keep its memory safe, one that has nothing.
fn presigner<S>(config: &Config<S>, keys: &[WalletKey]) -> Result<Presigner> {
    Presigner::start(keys, config.runtime.presignatures).or_else(|error| {
        let error = format!("{error:#}");
        tracing::warn!(error, "no presignatures: each signature takes 40 µs longer");
        Presigner::start(keys, 0)
    })
}

/// The wallets, taken; a dry-run sends nothing and needs none.
fn locks_of<S>(config: &Config<S>) -> Result<Vec<Lock>> {
    match config.mode {
        Mode::DryRun => Ok(Vec::new()),
        Mode::Live => {
            let place = config.place();
            config.wallets.iter().map(|wallet| Lock::take(&place, wallet.address)).collect()
        }
    }
}

/// What the engine starts from.
struct Start<S> {
    config: Config<S>,
    world: World,
    roster: Roster,
    market: Market,
    /// If loans are followed.
    lenders: Option<Lenders>,
    /// What was read of them, if it is recorded.
    read: Option<LoansRead>,
    /// Where the universe is kept for the next start.
    shelf: Shelf,
    wallets: Vec<WalletState>,
    owner: Option<Address>,
    /// The hash of the chain's first block.
    genesis: B256,
}

/// Prepares on a thread of its own, which a signal leaves behind: it only reads.
async fn start<S: StrategySet + Send + 'static>(
    config: Config<S>,
    signals: &mut Signals,
) -> Result<Start<S>> {
    let (done, started) = oneshot::channel();
    std::thread::Builder::new()
        .name("gannet-start".to_owned())
        .spawn(move || {
            // Nobody waits for it any more if a signal came.
            done.send(prepare(config)).is_ok()
        })
        .context("starting the first cold thread")?;
    tokio::select! { biased;
        () = signals.next() => bail!(CutShort::Starting),
        start = started => start.context("the start was given up")?,
    }
}

/// Reads everything that the engine starts from.
fn prepare<S: StrategySet>(config: Config<S>) -> Result<Start<S>> {
    let mut rpc = bootstrap::connect(&config.nodes, config.chain.id)?;
    let mut owner = None;
    if config.executor == Address::ZERO {
        tracing::info!("no executor is configured: plans are priced as if there were one");
    } else if config.mode == Mode::Live {
        // A stranger's contract would take every transaction's gas and give nothing.
        check::executor_of(&config, &mut rpc)
            .map_err(anyhow::Error::msg)
            .context("the executor")?;
        owner = Some(rpc.view(config.executor, &Executor::ownerCall {})?);
    }
    let Loaded { mut world, roster, market } = bootstrap::load(&config, &mut rpc)?;
    let shelf = Shelf::of(&config);
    shelf.put_as_loaded(&world, &roster);
    let lenders = Lenders::of(&config);
    let mut read = None;
    if let Some(lenders) = &lenders {
        let (lending, roll) = (config.lending.clone(), lenders.roll());
        if config.record.is_some() {
            rpc.keep();
        }
        let lent = lenders.lend(&mut world, &mut rpc);
        // What was found until then need not be looked for again.
        lenders.keep_roll();
        lent.context("loading loans")?;
        read = rpc.kept()?.map(|transcript| LoansRead { lending, roll, transcript });
    }
    let mut wallets = Vec::new();
    for Wallet { address, .. } in &config.wallets {
        let mined = rpc.nonce(*address)?;
        let pending = match config.mode {
            Mode::Live => rpc.pending_nonce(*address)?,
            // Another bot may fly with this wallet meanwhile.
            Mode::DryRun => mined,
        };
        let balance = Wei(rpc.balance(*address)?);
        wallets.push(WalletState::new(*address, mined, pending, balance));
    }
    if config.mode == Mode::Live {
        demand_funds(&wallets)?;
    }
    let genesis = rpc.genesis()?;
    Ok(Start { config, world, roster, market, lenders, read, shelf, wallets, owner, genesis })
}

/// One wallet that can pay gas is enough to fly; the others wait until they can.
fn demand_funds(wallets: &[WalletState]) -> Result<()> {
    let empty = || wallets.iter().filter(|wallet| wallet.balance == Wei(0));
    if empty().count() == wallets.len() {
        let listed: Vec<_> = empty().map(|wallet| wallet.address.to_string()).collect();
        let listed = listed.join(", ");
        bail!("every wallet is empty: send native tokens to pay gas to any of {listed}");
    }
    for WalletState { address, .. } in empty() {
        tracing::warn!(%address, "this wallet is empty: it pauses until it can pay gas");
    }
    Ok(())
}
