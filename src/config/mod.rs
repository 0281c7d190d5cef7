//! Configuration in two steps: what was written ([`raw`]), then what is meant ([`Config`]).
//!
//! [`Config`] is the only one other code sees. Everything that is wrong is told at once.
//!
//! Temperature: cold.

mod amount;
mod problems;
mod raw;
mod secret;

use std::path::PathBuf;

use alloy_primitives::Address;
use gannet_engine::chain::ChainSpec;
use gannet_engine::limits::{BASE_TOKENS_MAX, FACTORIES_MAX, POOLS_MAX, WALLETS_MAX};
use gannet_engine::risk::{Funding, Limits};
use gannet_engine::sign::WalletKey;
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Wei;
use gannet_engine::world::Factory;
use toml::{Table, Value};

pub(crate) use self::amount::in_ether;
pub use self::problems::{Problem, Problems};
pub use self::secret::KeySource;

/// What a run does with what it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends nothing and holds no key; scores each plan against the following blocks.
    DryRun,
    /// Signs with the wallets' keys and sends.
    Live,
}

/// How the node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `ws://` or `wss://`.
    WebSocket {
        /// The whole URL.
        url: String,
        /// Whether it is `wss://`.
        is_tls: bool,
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket, messages separated by newlines.
    Ipc(PathBuf),
}

/// The node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The start fails when it cannot be reached for this long, in seconds.
    pub connect_timeout_s: u64,
    /// No head for this long makes the world stale, in milliseconds.
    pub silent_after_ms: u64,
}

/// A wallet.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// Its address.
    pub address: Address,
    /// Where its key is; read in live mode only.
    pub key: Option<KeySource>,
}

impl Wallet {
    /// Reads the wallet's key.
    ///
    /// # Errors
    /// When none is named, it cannot be read, or it is another wallet's; never with its value.
    pub fn read_key(&self) -> Result<WalletKey, String> {
        let address = self.address;
        let source = self.key.as_ref().ok_or_else(|| format!("no key is named for {address}"))?;
        let key = source.read()?;
        if key.address() == address {
            return Ok(key);
        }
        Err(format!("{} is the key of {}, not of {address}", source.variable(), key.address()))
    }
}

/// A factory with its name.
#[derive(Clone, Debug)]
pub struct NamedFactory {
    /// Its name in logs.
    pub name: String,
    /// What the engine needs of it.
    pub factory: Factory,
}

/// How the process runs.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The core that the hot thread is pinned to; `None` leaves it to the system.
    pub core: Option<usize>,
    /// Whether the hot thread polls its sockets without sleeping.
    pub spin: bool,
    /// How long the end waits for what is in flight, in seconds.
    pub drain_s: u64,
    /// Where the journal is written, if anywhere.
    pub journal: Option<PathBuf>,
    /// Where the pools' reserves are written at the end, if anywhere.
    pub snapshot: Option<PathBuf>,
    /// Where state is kept.
    pub state_dir: PathBuf,
}

/// The configuration as it is meant.
#[derive(Debug)]
pub struct Config<S> {
    /// What the run does with what it signs.
    pub mode: Mode,
    /// The chain's rules.
    pub chain: ChainSpec,
    /// The node.
    pub node: Node,
    /// The executor; zero where a dry-run has none.
    pub executor: Address,
    /// Where the executor's owner's key is; used by `gannet deploy` only.
    pub owner_key: Option<KeySource>,
    /// Wallets, by handle.
    pub wallets: Vec<Wallet>,
    /// Factories, by handle.
    pub factories: Vec<NamedFactory>,
    /// Base tokens, most preferred first.
    pub base_tokens: Vec<Address>,
    /// Pools in the universe; the most liquid are kept.
    pub pools_max: usize,
    /// Limits.
    pub limits: Limits,
    /// The strategies that are on.
    pub strategies: S,
    /// How the process runs.
    pub runtime: Runtime,
}

/// Sets one key of the file, `path` being its dotted path (`wallet.0.address`), to a TOML value;
/// what is no TOML value is taken as a string.
fn set(file: &mut Table, path: &str, text: &str) -> Result<(), String> {
    let parsed: Option<Table> = format!("value = {text}").parse().ok();
    // An address with many leading zeros would pass for an integer.
    let parsed = parsed.filter(|_| !text.starts_with("0x"));
    let value = parsed.and_then(|mut table| table.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let nowhere = || format!("there is no place `{path}` in the file");
    let mut keys = path.split('.');
    let empty = || Value::Table(Table::new());
    let mut place = file.entry(keys.next().ok_or_else(nowhere)?).or_insert_with(empty);
    for key in keys {
        place = match place {
            Value::Table(table) => table.entry(key).or_insert_with(empty),
            Value::Array(items) => {
                let index: usize = key.parse().map_err(|_no_index| nowhere())?;
                items.get_mut(index).ok_or_else(nowhere)?
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => return Err(nowhere()),
        };
    }
    *place = value;
    Ok(())
}

impl<S: StrategySet> Config<S> {
    /// Reads a configuration: the file's text, then the overrides `key=value`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, overrides: &[String]) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut file: Table = match text.parse() {
            Ok(file) => file,
            Err(error) => {
                let error: toml::de::Error = error;
                let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
                problems.add(format!("line {line}"), error.message());
                return Err(problems);
            }
        };
        for change in overrides {
            match change.split_once('=') {
                Some((path, value)) => {
                    if let Err(message) = set(&mut file, path.trim(), value.trim()) {
                        // The value is not repeated: it may be a secret in the wrong place.
                        problems.add("--set", message);
                    }
                }
                None => problems.add("--set", "found no `=`; wanted key=value"),
            }
        }
        let config = check(file, &mut problems);
        match config {
            Some(config) if problems.0.is_empty() => Ok(config),
            Some(_) | None => Err(problems),
        }
    }
}

/// Checks every section; `None` where a required value is missing, which is a problem then.
fn check<S: StrategySet>(mut file: Table, problems: &mut Problems) -> Option<Config<S>> {
    let mode = check_mode(file.remove("mode").as_ref(), problems);
    let chain = check_chain(&mut file, problems);
    let node = check_node(&mut file, problems);
    let (executor, owner_key, funding) = check_executor(&mut file, mode, problems);
    let wallets = check_wallets(&mut file, mode, problems);
    let factories = check_factories(&mut file, problems);
    let universe: raw::Universe = {
        let table = problems.table(&mut file, "universe");
        problems.section(&table, "universe")
    };
    let base_tokens = check_bases(universe.base_tokens, problems);
    let pools_max =
        within(universe.pools_max, 10_000, 1..=POOLS_MAX, "universe.pools_max", problems);
    let (limits, allows_public) = check_risk(&mut file, funding, problems);
    if mode == Mode::Live && chain.is_some_and(|chain| chain.id == 1) && !allows_public {
        problems.add(
            "risk.allow_public_mempool",
            "found false; on mainnet without a relay every transaction is public and can be copied \
             or front-run: set it to true to accept that, or stay in dry-run",
        );
    }
    let strategies = check_strategies(&mut file, problems);
    let runtime = check_runtime(&mut file, chain, problems);
    for (key, _) in file {
        problems.add(
            key,
            "unknown key; wanted mode, chain, node, executor, wallet, factory, universe, risk, \
             strategy or runtime",
        );
    }
    Some(Config {
        mode,
        chain: chain?,
        node: node?,
        executor: executor?,
        owner_key,
        wallets,
        factories,
        base_tokens,
        pools_max,
        limits,
        strategies,
        runtime,
    })
}

fn check_mode(value: Option<&Value>, problems: &mut Problems) -> Mode {
    match value.map(Value::as_str) {
        None | Some(Some("dry-run")) => Mode::DryRun,
        Some(Some("live")) => Mode::Live,
        Some(_) => {
            let found = value.map(problems::shown).unwrap_or_default();
            problems.add("mode", format!("found {found}; wanted \"dry-run\" or \"live\""));
            Mode::DryRun
        }
    }
}

fn check_chain(file: &mut Table, problems: &mut Problems) -> Option<ChainSpec> {
    let table = problems.table(file, "chain");
    let raw: raw::Chain = problems.section(&table, "chain");
    let id = problems.required(raw.id, "chain.id", "the chain's number, 1 for mainnet");
    let wrapped = problems.required(
        raw.wrapped_native,
        "chain.wrapped_native",
        "the address of the token that wraps the native one (WETH)",
    );
    let block_time_ms =
        within(raw.block_time_ms, 12_000, 1..=600_000, "chain.block_time_ms", problems);
    Some(ChainSpec { block_time_ms, ..ChainSpec::ethereum(id?, wrapped?) })
}

fn check_node(file: &mut Table, problems: &mut Problems) -> Option<Node> {
    let table = problems.table(file, "node");
    let raw: raw::Node = problems.section(&table, "node");
    let wanted = "ws://host:port, wss://host or ipc:/path/to/socket";
    let connect_timeout_s =
        within(raw.connect_timeout_s, 10, 1..=600, "node.connect_timeout_s", problems);
    let silent_after_ms =
        within(raw.silent_after_ms, 30_000, 100..=3_600_000, "node.silent_after_ms", problems);
    let url = problems.required(raw.url, "node.url", wanted)?;
    match endpoint(&url) {
        Some(endpoint) => Some(Node { endpoint, connect_timeout_s, silent_after_ms }),
        None => {
            // Not shown: the URL of a provider often carries a key.
            problems.add("node.url", format!("not a node's address; wanted {wanted}"));
            None
        }
    }
}

fn endpoint(url: &str) -> Option<Endpoint> {
    if let Some(path) = url.strip_prefix("ipc:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return (!path.is_empty()).then(|| Endpoint::Ipc(PathBuf::from(path)));
    }
    let uri: tungstenite::http::Uri = url.parse().ok()?;
    let is_tls = match uri.scheme_str()? {
        "ws" => false,
        "wss" => true,
        _ => return None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?.to_owned();
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    Some(Endpoint::WebSocket { url: url.to_owned(), is_tls, host, port })
}

fn check_executor(
    file: &mut Table,
    mode: Mode,
    problems: &mut Problems,
) -> (Option<Address>, Option<KeySource>, Funding) {
    let table = problems.table(file, "executor");
    let raw: raw::Executor = problems.section(&table, "executor");
    let owner_key = raw.owner_key.and_then(|text| {
        KeySource::parse(&text).map_err(|message| problems.add("executor.owner_key", message)).ok()
    });
    let funding = match raw.funding.as_deref() {
        None | Some("flash") => Funding::Flash,
        Some("own") => Funding::Own,
        Some(other) => {
            let message = format!("found \"{other}\"; wanted \"flash\" or \"own\"");
            problems.add("executor.funding", message);
            Funding::Flash
        }
    };
    let address = match (mode, raw.address) {
        (Mode::DryRun, None) => Some(Address::ZERO),
        (_, address) => problems.required(
            address.filter(|address| mode == Mode::DryRun || *address != Address::ZERO),
            "executor.address",
            "what `gannet deploy` printed",
        ),
    };
    (address, owner_key, funding)
}

fn check_wallets(file: &mut Table, mode: Mode, problems: &mut Problems) -> Vec<Wallet> {
    let tables = problems.tables(file, "wallet");
    if tables.is_empty() || tables.len() > WALLETS_MAX {
        let message =
            format!("found {}; wanted 1 to {WALLETS_MAX} tables [[wallet]]", tables.len());
        problems.add("wallet", message);
    }
    let mut wallets: Vec<Wallet> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let path = format!("wallet.{index}");
        let raw: raw::Wallet = problems.section(table, &path);
        let address = format!("{path}.address");
        let address = problems.required(raw.address, &address, "the wallet's address");
        let key = raw.key.and_then(|text| {
            let key = KeySource::parse(&text);
            key.map_err(|message| problems.add(format!("{path}.key"), message)).ok()
        });
        if mode == Mode::Live && key.is_none() {
            problems.required(key.as_ref(), &format!("{path}.key"), "\"env:NAME\" in live mode");
        }
        if wallets.iter().any(|held| Some(held.address) == address) {
            problems.add(format!("{path}.address"), "named twice; wanted different wallets");
        }
        wallets.extend(address.map(|address| Wallet { address, key }));
    }
    wallets
}

fn check_factories(file: &mut Table, problems: &mut Problems) -> Vec<NamedFactory> {
    let tables = problems.tables(file, "factory");
    if tables.is_empty() || tables.len() > FACTORIES_MAX {
        let message =
            format!("found {}; wanted 1 to {FACTORIES_MAX} tables [[factory]]", tables.len());
        problems.add("factory", message);
    }
    let mut factories = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let path = format!("factory.{index}");
        let raw: raw::Factory = problems.section(table, &path);
        let key = |key: &str| format!("{path}.{key}");
        let address = problems.required(raw.address, &key("address"), "the factory's address");
        let router = problems.required(raw.router, &key("router"), "its router's address");
        let wanted = "its pairs' fee in millionths, 3000 for 0.3 %";
        let fee_pips = problems.required(raw.fee_pips, &key("fee_pips"), wanted);
        if let Some(fee) = fee_pips.filter(|fee| *fee >= 1_000_000) {
            problems.add(key("fee_pips"), format!("found {fee}; wanted less than 1000000"));
        }
        if let (Some(address), Some(router), Some(fee_pips)) = (address, router, fee_pips) {
            let name = raw.name.unwrap_or_else(|| format!("factory {index}"));
            factories.push(NamedFactory { name, factory: Factory { address, router, fee_pips } });
        }
    }
    factories
}

fn check_bases(bases: Option<Vec<Address>>, problems: &mut Problems) -> Vec<Address> {
    let path = "universe.base_tokens";
    let wanted = "the tokens that profit is kept in, most preferred first";
    let bases = problems.required(bases, path, wanted).unwrap_or_default();
    if bases.len() > BASE_TOKENS_MAX {
        problems.add(path, format!("found {}; wanted at most {BASE_TOKENS_MAX}", bases.len()));
    }
    for (index, base) in bases.iter().enumerate() {
        if bases[..index].contains(base) {
            problems.add(format!("{path}.{index}"), format!("{base} is named twice"));
        }
    }
    bases
}

fn check_risk(file: &mut Table, funding: Funding, problems: &mut Problems) -> (Limits, bool) {
    let table = problems.table(file, "risk");
    let raw: raw::Risk = problems.section(&table, "risk");
    let limits = Limits {
        min_profit: raw.min_profit.unwrap_or(Wei(500_000_000_000_000)),
        gas_price_max: raw.gas_price_max.unwrap_or(Wei(500_000_000_000)),
        notional_max: raw.notional_max.unwrap_or(Wei(100_000_000_000_000_000_000)),
        funding,
    };
    (limits, raw.allow_public_mempool.unwrap_or(false))
}

fn check_strategies<S: StrategySet>(file: &mut Table, problems: &mut Problems) -> S {
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
        problems
            .add(format!("strategy.{name}"), format!("no such strategy; wanted one of {known}"));
    }
    set
}

fn check_runtime(file: &mut Table, chain: Option<ChainSpec>, problems: &mut Problems) -> Runtime {
    let table = problems.table(file, "runtime");
    let raw: raw::Runtime = problems.section(&table, "runtime");
    // Three blocks, so that what is in flight can land and be seen to have landed.
    let blocks_s = chain.map_or(0, |chain| chain.block_time_ms.saturating_mul(3).div_ceil(1_000));
    let drain_s = within(raw.drain_s, blocks_s.clamp(5, 600), 0..=600, "runtime.drain_s", problems);
    Runtime {
        core: raw.pin.unwrap_or(true).then(|| raw.core.unwrap_or(0)),
        spin: raw.spin.unwrap_or(false),
        drain_s,
        journal: raw.journal.map(PathBuf::from),
        snapshot: raw.snapshot.map(PathBuf::from),
        state_dir: PathBuf::from("/tmp/gannet-state"),
    }
}

fn within<T: PartialOrd + Copy + std::fmt::Display>(
    value: Option<T>,
    default: T,
    range: std::ops::RangeInclusive<T>,
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
