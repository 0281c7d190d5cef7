//! `gannet check`: everything that a run needs, one line each, and what to do about what is unfit.
//!
//! Temperature: cold.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, Bytes, U256};
use gannet_engine::input::Source;
use gannet_engine::loans::Followed;
use gannet_engine::strategy::StrategySet;
use gannet_engine::world::World;
use serde::Serialize;
use serde_json::{Value, json};

use super::host;
use crate::bootstrap::{self, Loaded};
use crate::config::{Config, Mode, Node, Wallet, in_ether};
use crate::contracts::{Executor, executor_code};
use crate::feed::connect;
use crate::feed::rpc::{NodeError, Rpc};
use crate::lending::{Lenders, LoanSummary};
use crate::{locks, switch};

/// Questions that the latency is taken from.
const PINGS: usize = 10;
/// A node that answers slower than this is no neighbour.
const FAR: Duration = Duration::from_millis(20);
/// What two clocks may differ by.
const SKEW_S: u64 = 5;
/// Blocks after which a chain that has no newer one stands still.
const STALE_BLOCKS: u64 = 5;

/// How fit something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// A run starts, but less well than it could.
    Warn,
    Fail,
}

/// What was found and, if it is not fit, what to do.
pub(super) struct Found(pub(super) Level, pub(super) String);

impl Found {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self(Level::Ok, detail.into())
    }

    pub(super) fn warn(detail: impl Into<String>) -> Self {
        Self(Level::Warn, detail.into())
    }

    fn fail(detail: impl Into<String>) -> Self {
        Self(Level::Fail, detail.into())
    }
}

impl From<anyhow::Error> for Found {
    fn from(error: anyhow::Error) -> Self {
        Self::fail(format!("{error:#}"))
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    name: String,
    level: Level,
    is_fit: bool,
    detail: String,
}

/// All findings.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn is_fit(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_fit)
    }

    fn note(&mut self, name: impl Into<String>, found: impl Into<Found>) {
        let Found(level, detail) = found.into();
        let is_fit = level != Level::Fail;
        self.findings.push(Finding { name: name.into(), level, is_fit, detail });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { name, level, detail, .. } in &self.findings {
            let mark = match level {
                Level::Ok => "ok  ",
                Level::Warn => "warn",
                Level::Fail => "FAIL",
            };
            writeln!(out, "{mark}  {name:<12} {detail}")?;
        }
        let bad = self.findings.iter().filter(|finding| !finding.is_fit).count();
        if bad == 0 { write!(out, "fit to run") } else { write!(out, "unfit: {bad} to be mended") }
    }
}

/// Looks at everything and leaves nothing out for an earlier failure that does not concern it.
pub(crate) fn check<S: StrategySet>(config: &Config<S>) -> Report {
    let mut report = Report::default();
    let mode = match config.mode {
        Mode::Live => "live",
        Mode::DryRun => "dry-run",
    };
    let strategies = config.strategies.enabled_count();
    report.note("config", Found::ok(format!("readable; mode {mode}, strategies on: {strategies}")));
    check_machine(config, &mut report);
    let mut first = None;
    for (index, node) in config.nodes.iter().enumerate() {
        // As with wallets; but a node that is alone needs no number.
        let number = if config.nodes.len() > 1 { format!(" {index}") } else { String::new() };
        match bootstrap::connect(std::slice::from_ref(node), config.chain.id) {
            Ok(mut rpc) => {
                let mut alone = Report::default();
                check_node(config, node, &mut rpc, &mut alone);
                for Finding { name, .. } in &mut alone.findings {
                    name.push_str(&number);
                }
                report.findings.append(&mut alone.findings);
                first = first.or(Some(rpc));
            }
            Err(error) => report.note(format!("node{number}"), error),
        }
    }
    if let Some(mut rpc) = first {
        check_chain(config, &mut rpc, &mut report);
    }
    report
}

/// What needs no network.
fn check_machine<S>(config: &Config<S>, report: &mut Report) {
    for (index, wallet) in config.wallets.iter().enumerate() {
        report.note(format!("key {index}"), key_of(config.mode, wallet));
    }
    for (index, wallet) in config.wallets.iter().enumerate() {
        report.note(format!("lock {index}"), lock_of(config, wallet.address));
    }
    report.note("state", state_of(config));
    let file = switch::path(&config.place());
    let shown = file.display();
    report.note(
        "kill switch",
        if switch::stands(&file) {
            Found::warn(format!("stands ({shown}): nothing is sent until `gannet resume`"))
        } else {
            Found::ok(format!("released; `gannet kill` or {shown} engages it"))
        },
    );
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    report.note(
        "core",
        match config.runtime.core {
            None => Found::ok("the hot thread is not pinned (runtime.pin)"),
            Some(core) if cores.iter().any(|found| found.id == core) => {
                Found::ok(format!("the hot thread can be pinned to core {core}"))
            }
            Some(core) => {
                let there: Vec<_> = cores.iter().map(|core| core.id.to_string()).collect();
                let there = there.join(", ");
                Found::warn(format!("there is no core {core} here: set runtime.core to {there}"))
            }
        },
    );
    for (name, found) in host::look(Path::new("/"), config.runtime.core) {
        report.note(name, found);
    }
}

fn key_of(mode: Mode, wallet: &Wallet) -> Found {
    match mode {
        Mode::DryRun => Found::ok("not needed in a dry-run"),
        Mode::Live => match wallet.read_key() {
            Ok(key) => Found::ok(format!("is the key of {}", key.address())),
            Err(message) => Found::fail(message),
        },
    }
}

fn lock_of<S>(config: &Config<S>, wallet: Address) -> Found {
    match locks::holder(&config.place(), wallet) {
        Ok(None) => Found::ok("no other process has this wallet"),
        Ok(Some(holder)) if config.mode == Mode::DryRun => Found::ok(holder.to_string()),
        Ok(Some(holder)) => Found::fail(format!("{holder}: end it, or take another wallet")),
        Err(error) => error.into(),
    }
}

fn state_of<S>(config: &Config<S>) -> Found {
    let place = config.place();
    let shown = place.state_dir.display();
    let probe = place.state_dir.join(format!("{}.probe-{}", place.chain_id, std::process::id()));
    let tried = place.make().and_then(|()| {
        std::fs::write(&probe, "probe")?;
        Ok(std::fs::remove_file(&probe)?)
    });
    match tried {
        Ok(()) => Found::ok(format!("{shown} can be written")),
        Err(error) => {
            let detail = format!("{shown} cannot be written: {error:#} (runtime.state_dir)");
            match config.mode {
                Mode::Live => Found::fail(detail),
                Mode::DryRun => Found::warn(detail),
            }
        }
    }
}

/// The node, and what it can do.
fn check_node<S>(config: &Config<S>, node: &Node, rpc: &mut Rpc, report: &mut Report) {
    let client = rpc.call("web3_clientVersion", &json!([]));
    let client: String = client.unwrap_or_else(|_unnamed| "a node without a name".to_owned());
    report.note("node", Found::ok(client));
    report.note("chain id", Found::ok(config.chain.id.to_string()));
    report.note("sync", sync_of(rpc));
    report.note("latency", latency(rpc));
    for (source, what) in [
        (Source::Chain, "heads and logs are announced"),
        (Source::Rpc, "questions and transactions are taken"),
    ] {
        let opened = connect::open(node, config.chain.id, (source, Followed::Pools), 1);
        report.note(source.name(), opened.map_or_else(Found::from, |_opened| Found::ok(what)));
    }
    report.note(Source::Pending.name(), pending_of(node));
    let newest = newest(rpc);
    match newest {
        Ok((hash, timestamp)) => {
            report.note("logs by hash", logs_by_hash(rpc, hash));
            report.note("call by hash", call_by_hash(config, rpc, hash));
            report.note("clock", clock(timestamp, config.chain.block_time_ms));
        }
        Err(error) => report.note("newest block", error),
    }
}

/// What is on the chain for this configuration.
fn check_chain<S: StrategySet>(config: &Config<S>, rpc: &mut Rpc, report: &mut Report) {
    check_wallets(config, rpc, report);
    let executor = executor_of(config, rpc);
    report.note("executor", executor.map_or_else(Found::fail, Found::ok));
    match bootstrap::load(config, rpc) {
        Ok(Loaded { mut world, .. }) => {
            let size = format!("{} pools, {} tokens", world.pools.len(), world.tokens.len());
            report.note("universe", Found::ok(size));
            for base in bootstrap::bases_without_pools(&world) {
                let detail =
                    format!("{base} is in no pool of these factories: no cycle starts there");
                report.note("base token", Found::warn(detail));
            }
            if Lenders::are_wanted(config) {
                report.note("loans", loans_of(config, &mut world, rpc));
            }
        }
        Err(error) => report.note("universe", error),
    }
}

/// The borrowers of a run that liquidates.
fn loans_of<S: StrategySet>(config: &Config<S>, world: &mut World, rpc: &mut Rpc) -> Found {
    let Some(lenders) = Lenders::of(config) else {
        return Found::warn("nobody can be liquidated: name lending protocols ([lending])");
    };
    let lent = lenders.lend(world, rpc);
    lenders.keep_roll();
    if let Err(error) = lent {
        return error.into();
    }
    let LoanSummary { borrowers, prices_read, .. } =
        LoanSummary::of(&world.loans).unwrap_or_default();
    let prices = world.loans.prices.price_count();
    Found::ok(format!(
        "{borrowers} borrowers; of {prices} prices {prices_read} are read in each block, the \
         others followed"
    ))
}

fn sync_of(rpc: &mut Rpc) -> Found {
    match rpc.call::<Value>("eth_syncing", &json!([])) {
        Ok(Value::Bool(false)) => Found::ok("the node is in sync"),
        Ok(_) => Found::fail("the node is still syncing: wait until it has caught up"),
        Err(error) if error.is::<NodeError>() => Found::warn("the node does not say"),
        Err(error) => error.into(),
    }
}

fn latency(rpc: &mut Rpc) -> Found {
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let started = Instant::now();
        if let Err(error) = rpc.chain_id() {
            return error.into();
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let (least, median) = (times[0].as_micros(), times[PINGS / 2]);
    let detail = format!(
        "a question takes {} µs, at least {least} µs (median and least of {PINGS})",
        median.as_micros()
    );
    if median > FAR {
        return Found::warn(format!("{detail}: others are nearer to their node"));
    }
    Found::ok(detail)
}

fn pending_of(node: &Node) -> Found {
    let subscribe = |params: Value| -> anyhow::Result<()> {
        // A connection of its own, so that what is announced on it disturbs nothing.
        let mut rpc = Rpc::connect(std::slice::from_ref(node))?;
        rpc.call::<Value>("eth_subscribe", &params).map(drop)
    };
    match subscribe(json!(["newPendingTransactions", true])) {
        Ok(()) => Found::ok("pending transactions are announced, with their bodies"),
        Err(error) if error.is::<NodeError>() => {
            match subscribe(json!(["newPendingTransactions"])) {
                Ok(()) => Found::warn(
                    "pending transactions are announced by hash only: each is fetched, which takes \
                     a round trip; geth, reth and erigon announce bodies",
                ),
                Err(error) => error.into(),
            }
        }
        Err(error) => error.into(),
    }
}

fn newest(rpc: &mut Rpc) -> anyhow::Result<(B256, u64)> {
    let block: Value = rpc.call("eth_getBlockByNumber", &json!(["latest", false]))?;
    let hash = serde_json::from_value(block["hash"].clone())?;
    let timestamp: U256 = serde_json::from_value(block["timestamp"].clone())?;
    Ok((hash, timestamp.saturating_to()))
}

fn logs_by_hash(rpc: &mut Rpc, hash: B256) -> Found {
    match rpc.call::<Vec<Value>>("eth_getLogs", &json!([{ "blockHash": hash }])) {
        Ok(_) => Found::ok("a block's logs are listed by its hash (EIP-234)"),
        Err(error) => Found::fail(format!(
            "blocks are sealed by eth_getLogs with a block hash: take another node ({error:#})"
        )),
    }
}

fn call_by_hash<S>(config: &Config<S>, rpc: &mut Rpc, hash: B256) -> Found {
    let call = json!([{ "to": config.chain.wrapped_native }, { "blockHash": hash }]);
    match rpc.call::<Bytes>("eth_call", &call) {
        Ok(_) => Found::ok("state is read at a block's hash (EIP-1898)"),
        Err(error) if is_refusal(&error) => Found::warn(
            "state cannot be read at a block's hash: the start is repeated if a block is replaced",
        ),
        Err(error) if error.is::<NodeError>() => {
            Found::ok("state is read at a block's hash (EIP-1898)")
        }
        Err(error) => error.into(),
    }
}

/// Whether the node, and not the contract, refuses a question.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.downcast_ref::<NodeError>().is_some_and(|error| !error.is_revert())
}

fn clock(timestamp: u64, block_time_ms: u64) -> Found {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let stale_s = (STALE_BLOCKS * block_time_ms).div_ceil(1_000).max(2 * SKEW_S);
    if timestamp > now + SKEW_S {
        let ahead = timestamp - now;
        return Found::warn(format!(
            "the newest block is {ahead} s in the future: set this machine's clock (NTP)"
        ));
    }
    let age = now.saturating_sub(timestamp);
    if age > stale_s {
        return Found::warn(format!(
            "the newest block is {age} s old: the node is behind, or this machine's clock is fast"
        ));
    }
    Found::ok(format!("the newest block is {age} s old"))
}

/// One wallet that can pay gas is enough to fly.
fn check_wallets<S>(config: &Config<S>, rpc: &mut Rpc, report: &mut Report) {
    let read = |rpc: &mut Rpc, address| Ok((rpc.nonce(address)?, rpc.balance(address)?));
    let found: Vec<anyhow::Result<(u64, u128)>> =
        config.wallets.iter().map(|wallet| read(rpc, wallet.address)).collect();
    let is_funded = found.iter().flatten().any(|(_, balance)| *balance > 0);
    for (index, (Wallet { address, .. }, found)) in config.wallets.iter().zip(found).enumerate() {
        let empty = || format!("{address} is empty: send it native tokens to pay gas");
        let found = match found {
            Err(error) => error.into(),
            Ok((_, 0)) if config.mode == Mode::Live && !is_funded => Found::fail(empty()),
            Ok((_, 0)) if config.mode == Mode::Live => Found::warn(empty()),
            Ok((nonce, balance)) => {
                let funds = in_ether(i128::try_from(balance).unwrap_or(i128::MAX));
                Found::ok(format!("{address} has {funds} ETH, nonce {nonce}"))
            }
        };
        report.note(format!("wallet {index}"), found);
    }
}

/// Whether the configured executor is ours and takes orders from all wallets.
pub(crate) fn executor_of<S>(config: &Config<S>, rpc: &mut Rpc) -> Result<String, String> {
    let address = config.executor;
    if address == Address::ZERO && config.mode == Mode::DryRun {
        return Ok("none; a dry-run needs none".to_owned());
    }
    let code = rpc.code(address).map_err(|error| format!("{error:#}"))?;
    if code.is_empty() {
        let detail = format!("there is no contract at {address}: run `gannet deploy`");
        return if config.mode == Mode::Live { Err(detail) } else { Ok(detail) };
    }
    let foreign =
        |_| format!("the contract at {address} is no Gannet executor: run `gannet deploy`");
    let weth = rpc.view(address, &Executor::WETHCall {}).map_err(foreign)?;
    if weth != config.chain.wrapped_native {
        let wanted = config.chain.wrapped_native;
        return Err(format!(
            "its wrapped native token is {weth}; wanted chain.wrapped_native ({wanted})"
        ));
    }
    if code[..] != executor_code(weth)[..] {
        return Err(format!(
            "the executor at {address} is of another build and may not understand this one's \
             programs: run `gannet deploy`"
        ));
    }
    let owner = rpc.view(address, &Executor::ownerCall {}).map_err(foreign)?;
    let mut strangers = Vec::new();
    for Wallet { address: wallet, .. } in &config.wallets {
        let asked = Executor::operatorsCall { account: *wallet };
        if !rpc.view(address, &asked).map_err(foreign)? {
            strangers.push(wallet.to_string());
        }
    }
    if strangers.is_empty() {
        return Ok(format!("{address}, owner {owner}, all wallets are operators"));
    }
    let strangers = strangers.join(", ");
    Err(format!("{strangers} may not use {address}: its owner ({owner}) must call setOperator"))
}
