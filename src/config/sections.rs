//! Each section of the file, checked: what was written becomes what is meant.
//!
//! Temperature: cold.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::Address;
use gannet_engine::chain::ChainSpec;
use gannet_engine::guard::GuardLimits;
use gannet_engine::limits::{
    BASE_TOKENS_MAX, NEW_POOLS_MAX, NODES_MAX, POOLS_MAX, REORG_BLOCKS_MAX, WALLETS_MAX,
};
use gannet_engine::risk::{Funding, Limits};
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Wei;
use gannet_engine::world::Router;
use toml::{Table, Value};

use super::amount::spelled;
use super::problems::{self, Problems};
use super::secret::KeySource;
use super::{
    AuditPlan, Endpoint, Lending, Mode, NamedFactory, NewPools, Node, Patience, Replay, Runtime,
    Snapshots, Wallet, endpoint, raw,
};

const ETHER: u128 = 1_000_000_000_000_000_000;
const GWEI: u128 = 1_000_000_000;
/// Mainnet has never asked a twentieth of it; more is a slip of the unit.
const GAS_PRICE_MAX: u128 = 100_000 * GWEI;
/// What is undone by a reorg can be told only as far back as blocks can be played backwards.
const FINALITY_BLOCKS: RangeInclusive<u64> = 1..=REORG_BLOCKS_MAX as u64;

/// The rules of the chain, and the blocks after which what it mined is final.
pub(super) fn chain(file: &mut Table, problems: &mut Problems) -> (Option<ChainSpec>, u64) {
    let mut table = problems.table(file, "chain");
    let id = chain_id(&mut table, problems);
    let raw: raw::Chain = problems.section(&table, "chain");
    let wrapped = problems.required(
        raw.wrapped_native,
        "chain.wrapped_native",
        "the address of the token that wraps the native one (WETH)",
    );
    let block_time_ms =
        within(raw.block_time_ms, 12_000, 1..=600_000, "chain.block_time_ms", problems);
    let finality_blocks =
        within(raw.finality_blocks, 12, FINALITY_BLOCKS, "chain.finality_blocks", problems);
    let spec = id
        .zip(wrapped)
        .map(|(id, wrapped)| ChainSpec { block_time_ms, ..ChainSpec::ethereum(id, wrapped) });
    (spec, finality_blocks)
}

/// The chain's id, out of its section.
pub(super) fn chain_id(table: &mut Table, problems: &mut Problems) -> Option<u64> {
    let alone = Table::from_iter(table.remove_entry("id"));
    let raw: raw::Chain = problems.section(&alone, "chain");
    let id = problems.required(raw.id, "chain.id", "the chain's number, 1 for mainnet")?;
    // Signatures and tools take no larger one (EIP-2294).
    Some(within(Some(id), id, 1..=u64::MAX / 2 - 36, "chain.id", problems))
}

/// The nodes: one table `[node]`, or several `[[node]]`.
pub(super) fn nodes(
    file: &mut Table,
    (chain, is_needed): (Option<ChainSpec>, bool),
    problems: &mut Problems,
) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    if !matches!(file.get("node"), Some(Value::Array(_))) {
        let mut table = problems.table(file, "node");
        if !is_needed && !table.contains_key("url") {
            // What else is wrong with it is told all the same.
            table.insert("url".to_owned(), Value::String("ws://127.0.0.1:1".to_owned()));
            node(&table, "node", chain, problems);
            return nodes;
        }
        nodes.extend(node(&table, "node", chain, problems));
        return nodes;
    }
    let tables = problems.tables(file, "node");
    count(tables.len(), NODES_MAX, "node", problems);
    for (index, table) in tables.iter().enumerate() {
        let section = format!("node.{index}");
        let Some(node) = node(table, &section, chain, problems) else { continue };
        if nodes.iter().any(|other| other.endpoint == node.endpoint) {
            problems.add(format!("{section}.url"), "found another node's; wanted one of its own");
        } else if nodes.iter().any(|other| other.name == node.name) {
            problems.add(format!("{section}.name"), "found another node's; wanted one of its own");
        }
        nodes.push(node);
    }
    nodes
}

fn node(
    table: &Table,
    section: &str,
    chain: Option<ChainSpec>,
    problems: &mut Problems,
) -> Option<Node> {
    let raw: raw::Node = problems.section(table, section);
    let path = format!("{section}.connect_timeout_s");
    let connect_timeout_s = within(raw.connect_timeout_s, 10, 1..=600, &path, problems);
    let path = format!("{section}.silent_after_ms");
    let silent_after_ms = within(raw.silent_after_ms, 30_000, 100..=3_600_000, &path, problems);
    if let Some(ChainSpec { block_time_ms, .. }) = chain
        && silent_after_ms < block_time_ms
    {
        problems.add(
            path.as_str(),
            format!(
                "found {silent_after_ms}; wanted at least chain.block_time_ms ({block_time_ms}): \
                 between any two blocks the node would count as silent"
            ),
        );
    }
    let path = format!("{section}.url");
    let url = problems.required(raw.url, &path, endpoint::WANTED)?;
    let endpoint = Endpoint::parse(&url).map_err(|message| problems.add(&path, message)).ok()?;
    let name = raw.name.unwrap_or_else(|| endpoint.name());
    let receipts = raw.receipts.unwrap_or(true);
    Some(Node { name, endpoint, connect_timeout_s, silent_after_ms, receipts })
}

/// What is flown over where no node is named.
pub(super) fn replay(file: &mut Table, problems: &mut Problems) -> Option<Replay> {
    let table = problems.table(file, "replay");
    let raw: raw::Replay = problems.section(&table, "replay");
    let speed = within(raw.speed, 4, 0..=10_000, "replay.speed", problems);
    raw.recording.map(|recording| Replay { recording: recording.into(), speed })
}

pub(super) fn executor(
    file: &mut Table,
    mode: Mode,
    problems: &mut Problems,
) -> (Option<Address>, Option<KeySource>, Funding) {
    let table = problems.table(file, "executor");
    let raw: raw::Executor = problems.section(&table, "executor");
    let key = Secret { key: raw.owner_key, password: raw.owner_password };
    let owner_key = key.source("executor.owner_key", "executor.owner_password", problems);
    let funding = match raw.funding.as_deref() {
        None | Some("flash") => Funding::Flash,
        Some("own") => Funding::Own,
        Some(other) => {
            let found = problems::shown(&Value::from(other));
            problems.add("executor.funding", format!("found {found}; wanted \"flash\" or \"own\""));
            Funding::Flash
        }
    };
    let address = match (mode, raw.address) {
        (Mode::DryRun, None) => Some(Address::ZERO),
        (_, address) => {
            let wanted = "what `gannet deploy` printed; live mode trades through it";
            problems.required(address, "executor.address", wanted)
        }
    };
    (address, owner_key, funding)
}

pub(super) fn wallets(file: &mut Table, mode: Mode, problems: &mut Problems) -> Vec<Wallet> {
    let tables = problems.tables(file, "wallet");
    count(tables.len(), WALLETS_MAX, "wallet", problems);
    let mut wallets: Vec<Wallet> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let path = |key: &str| format!("wallet.{index}.{key}");
        let raw: raw::Wallet = problems.section(table, &format!("wallet.{index}"));
        let address = problems.required(raw.address, &path("address"), "the wallet's address");
        let secret = Secret { key: raw.key, password: raw.password };
        let key = secret.source(&path("key"), &path("password"), problems);
        if mode == Mode::Live {
            let wanted = "\"env:NAME\" or \"keystore:PATH\" in live mode";
            problems.required(key.as_ref(), &path("key"), wanted);
        }
        // A missing address is a problem already; the place is kept for those that follow.
        wallets.push(Wallet { address: address.unwrap_or_default(), key });
    }
    wallets
}

/// A key as it is named, and what opens it.
struct Secret {
    key: Option<String>,
    password: Option<String>,
}

impl Secret {
    fn source(
        self,
        key_path: &str,
        password_path: &str,
        problems: &mut Problems,
    ) -> Option<KeySource> {
        let key = self.key.map(|text| KeySource::parse(&text));
        let key = key.and_then(|key| key.map_err(|why| problems.add(key_path, why)).ok());
        let Some(text) = self.password else { return key };
        let Some(key) = key else {
            let message = format!("opens nothing; wanted {key_path} = \"keystore:PATH\" beside it");
            if !problems.has(key_path) {
                problems.add(password_path, message);
            }
            return None;
        };
        let opened = key.clone().with_password(&text);
        Some(opened.unwrap_or_else(|why| {
            problems.add(password_path, why);
            key
        }))
    }
}

/// The base tokens, how many pools are followed, and how they become more.
pub(super) fn universe(
    file: &mut Table,
    problems: &mut Problems,
) -> (Vec<Address>, usize, NewPools) {
    let table = problems.table(file, "universe");
    let raw: raw::Universe = problems.section(&table, "universe");
    let path = "universe.base_tokens";
    let wanted = "the tokens that profit is kept in, most preferred first";
    let bases = problems.required(raw.base_tokens, path, wanted);
    if let Some(bases) = &bases
        && !(1..=BASE_TOKENS_MAX).contains(&bases.len())
    {
        problems.add(path, format!("found {}; wanted 1 to {BASE_TOKENS_MAX}", bases.len()));
    }
    let pools_max = within(raw.pools_max, 10_000, 1..=POOLS_MAX, "universe.pools_max", problems);
    let path = "universe.new_pools_max";
    let most = within(raw.new_pools_max, 1_024, 0..=NEW_POOLS_MAX, path, problems);
    let path = "universe.new_pools_every_s";
    let every_s = within(raw.new_pools_every_s, 12, 1..=86_400, path, problems);
    let new_pools = NewPools { most, every: Duration::from_secs(every_s) };
    (bases.unwrap_or_default(), pools_max, new_pools)
}

/// The limits of a trade, what may be lost, and whether the public mempool is accepted.
pub(super) fn risk(
    file: &mut Table,
    funding: Funding,
    problems: &mut Problems,
) -> (Limits, GuardLimits, bool) {
    let table = problems.table(file, "risk");
    let raw: raw::Risk = problems.section(&table, "risk");
    let limits = Limits {
        min_profit: raw.min_profit.unwrap_or(Wei(ETHER / 2_000)),
        gas_price_max: raw.gas_price_max.unwrap_or(Wei(500 * GWEI)),
        notional_max: raw.notional_max.unwrap_or(Wei(100 * ETHER)),
        funding,
    };
    let reverts_pause_s =
        within(raw.reverts_pause_s, 300, 1..=86_400, "risk.reverts_pause_s", problems);
    let guard = GuardLimits {
        loss_per_block_max: raw.loss_per_block_max.unwrap_or(Wei(ETHER / 20)),
        loss_per_day_max: raw.loss_per_day_max.unwrap_or(Wei(ETHER / 5)),
        reverts_max: within(raw.reverts_max, 5, 0..=1_000, "risk.reverts_max", problems),
        reverts_pause_ns: reverts_pause_s * 1_000_000_000,
    };
    for (amount, path) in [
        (limits.gas_price_max, "risk.gas_price_max"),
        (limits.notional_max, "risk.notional_max"),
        (guard.loss_per_block_max, "risk.loss_per_block_max"),
        (guard.loss_per_day_max, "risk.loss_per_day_max"),
    ] {
        if amount == Wei(0) {
            problems.add(path, "found 0; wanted more: nothing could ever be sent");
        }
    }
    if limits.gas_price_max > Wei(GAS_PRICE_MAX) {
        let found = spelled(limits.gas_price_max);
        problems.add("risk.gas_price_max", format!("found {found}; wanted at most 100000 gwei"));
    }
    if limits.min_profit > limits.notional_max {
        let (found, most) = (spelled(limits.min_profit), spelled(limits.notional_max));
        let message = format!("found {found}; wanted at most risk.notional_max ({most})");
        problems.add("risk.min_profit", message);
    }
    if guard.loss_per_block_max > guard.loss_per_day_max && guard.loss_per_day_max > Wei(0) {
        let (found, most) = (spelled(guard.loss_per_block_max), spelled(guard.loss_per_day_max));
        let message = format!("found {found}; wanted at most risk.loss_per_day_max ({most})");
        problems.add("risk.loss_per_block_max", message);
    }
    (limits, guard, raw.allow_public_mempool.unwrap_or(false))
}

pub(super) fn strategies<S: StrategySet>(file: &mut Table, problems: &mut Problems) -> S {
    let mut set = S::default();
    let mut names = problems.table(file, "strategy");
    let known = S::NAMES.join(", ");
    for name in S::NAMES {
        let Some(value) = names.remove(*name) else { continue };
        let path = format!("strategy.{name}");
        let Value::Table(table) = value else {
            problems
                .add(&path, format!("found {}; wanted a table [{path}]", problems::shown(&value)));
            continue;
        };
        for (key, value) in &table {
            let alone = Table::from_iter([(key.to_owned(), value.to_owned())]);
            // Read alone, a key lacks the strategy's required ones; that is told at the end.
            if let Some(Err(error)) = set.enable(name, alone)
                && !error.message().starts_with("missing field")
            {
                let message = problems::explain(value, error.message());
                problems.add(format!("{path}.{key}"), message);
            }
        }
        if let Some(Err(error)) = set.enable(name, table)
            && !problems.0.iter().any(|problem| problem.path.starts_with(&path))
        {
            problems.add(&path, error.message());
        }
    }
    let has_problem = problems.0.iter().any(|held| held.path.starts_with("strategy"));
    if set.enabled_count() == 0 && !has_problem {
        problems.add("strategy", format!("none is on; wanted a table [strategy.NAME], of {known}"));
    }
    for (name, _) in names {
        let message = problems::unlisted("strategy", &name, S::NAMES);
        problems.add(format!("strategy.{name}"), message);
    }
    set
}

/// When pools are tried again.
pub(super) fn admission(file: &mut Table, problems: &mut Problems) -> Patience {
    const DAY_S: u64 = 86_400;
    let table = problems.table(file, "admission");
    let raw: raw::Admission = problems.section(&table, "admission");
    let retry_s = within(raw.retry_s, 300, 1..=DAY_S, "admission.retry_s", problems);
    let renew_s = within(raw.renew_s, 21_600, 60..=30 * DAY_S, "admission.renew_s", problems);
    Patience { retry: Duration::from_secs(retry_s), renew: Duration::from_secs(renew_s) }
}

/// How often how many pools are compared with the chain.
pub(super) fn audit(file: &mut Table, problems: &mut Problems) -> AuditPlan {
    let table = problems.table(file, "audit");
    let raw: raw::Audit = problems.section(&table, "audit");
    let every_blocks = within(raw.every_blocks, 10, 1..=100_000, "audit.every_blocks", problems);
    let pools = within(raw.pools, 32, 1..=256, "audit.pools", problems);
    AuditPlan { every_blocks, pools }
}

/// Where a run's inputs are recorded.
pub(super) fn record(file: &mut Table, problems: &mut Problems) -> Option<PathBuf> {
    let table = problems.table(file, "record");
    let raw: raw::Record = problems.section(&table, "record");
    raw.out.map(PathBuf::from)
}

pub(super) fn runtime(
    file: &mut Table,
    chain: Option<ChainSpec>,
    problems: &mut Problems,
) -> Option<Runtime> {
    let table = problems.table(file, "runtime");
    let raw: raw::Runtime = problems.section(&table, "runtime");
    // Three blocks, so that what is in flight can land and be seen to have landed.
    let blocks_s = chain.map_or(0, |chain| chain.block_time_ms.saturating_mul(3).div_ceil(1_000));
    let drain_s = within(raw.drain_s, blocks_s.clamp(5, 600), 0..=600, "runtime.drain_s", problems);
    let state_dir = raw.state_dir.map(PathBuf::from).or_else(default_state_dir);
    let wanted = "a folder; its default needs $XDG_STATE_HOME or $HOME, and neither is set";
    let state_dir = problems.required(state_dir, "runtime.state_dir", wanted);
    let journal = output(raw.journal, "runtime.journal", problems);
    let snapshot = output(raw.snapshot, "runtime.snapshot", problems);
    if journal.is_some() && journal == snapshot {
        problems.add("runtime.snapshot", "found the file of runtime.journal; wanted another");
    }
    let snapshots = output(raw.snapshots, "runtime.snapshots", problems);
    if snapshots.is_some() && [&journal, &snapshot].contains(&&snapshots) {
        let message = "found the file of runtime.journal or runtime.snapshot; wanted another";
        problems.add("runtime.snapshots", message);
    }
    let key = "runtime.presignatures";
    let presignatures = within(raw.presignatures, 252, 0..=4_096, key, problems);
    let key = "runtime.snapshot_every_blocks";
    let every_blocks = within(raw.snapshot_every_blocks, 10, 1..=100_000, key, problems);
    Some(Runtime {
        core: raw.pin.unwrap_or(true).then(|| raw.core.unwrap_or(0)),
        spin: raw.spin.unwrap_or(false),
        presignatures,
        drain_s,
        state_dir: std::path::absolute(state_dir?).ok()?,
        journal,
        snapshot,
        snapshots: snapshots.map(|path| Snapshots { path, every_blocks }),
    })
}

/// Where programs keep their state by the XDG base directory specification.
fn default_state_dir() -> Option<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    Some(state?.join("gannet"))
}

/// A file that will be written: its folder must be there.
fn output(file: Option<String>, path: &str, problems: &mut Problems) -> Option<PathBuf> {
    let file = PathBuf::from(file?);
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let shown = file.display();
    if file.is_dir() || file.as_os_str().is_empty() {
        problems.add(path, format!("found \"{shown}\"; wanted a file"));
    } else if folder.is_some_and(|folder| !folder.is_dir()) {
        problems.add(path, format!("found \"{shown}\"; wanted a file in a folder that exists"));
    }
    Some(file)
}

/// The addresses that a configuration names for different things.
pub(super) struct Named<'a> {
    pub(super) chain: Option<ChainSpec>,
    pub(super) executor: Option<Address>,
    pub(super) wallets: &'a [Wallet],
    pub(super) factories: &'a [NamedFactory],
    pub(super) routers: &'a [Router],
    pub(super) lending: &'a Lending,
}

impl Named<'_> {
    /// Two keys that name one address are a slip of copy and paste; only the wrapped native token
    /// is a base token as well.
    pub(super) fn check(&self, base_tokens: &[Address], problems: &mut Problems) {
        let mut seen: Vec<(String, Address)> = Vec::new();
        let mut name = |path: String, address: Address, problems: &mut Problems| {
            if address.is_zero() {
                return;
            }
            if let Some((first, _)) = seen.iter().find(|(_, held)| *held == address) {
                let message =
                    format!("found {address}, which {first} names already; wanted another");
                problems.add(path, message);
            } else {
                seen.push((path, address));
            }
        };
        for (index, wallet) in self.wallets.iter().enumerate() {
            name(format!("wallet.{index}.address"), wallet.address, problems);
        }
        for (index, NamedFactory { factory, .. }) in self.factories.iter().enumerate() {
            name(format!("factory.{index}.address"), factory.address, problems);
            name(format!("factory.{index}.router"), factory.router, problems);
        }
        for (index, router) in self.routers.iter().enumerate() {
            name(format!("router.{index}.address"), router.address, problems);
        }
        for (path, address) in self.lending.named() {
            name(path, address, problems);
        }
        name("executor.address".to_owned(), self.executor.unwrap_or_default(), problems);
        let native = self.chain.map(|chain| chain.wrapped_native).unwrap_or_default();
        if !base_tokens.contains(&native) {
            name("chain.wrapped_native".to_owned(), native, problems);
        }
        for (index, base) in base_tokens.iter().enumerate() {
            name(format!("universe.base_tokens.{index}"), *base, problems);
        }
    }
}

pub(super) fn count(found: usize, most: usize, key: &str, problems: &mut Problems) {
    if !(1..=most).contains(&found) && !problems.has(key) {
        problems.add(key, format!("found {found}; wanted 1 to {most} tables [[{key}]]"));
    }
}

pub(super) fn within<T: PartialOrd + Copy + Display>(
    value: Option<T>,
    default: T,
    range: RangeInclusive<T>,
    path: &str,
    problems: &mut Problems,
) -> T {
    let value = value.unwrap_or(default);
    if !range.contains(&value) {
        let (low, high) = (range.start(), range.end());
        problems.add(path, format!("found {value}; wanted {low} to {high}"));
    }
    value
}
