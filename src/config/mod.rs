//! Configuration in two steps: what was written ([`raw`]), then what is meant ([`Config`]).
//!
//! [`Config`] is the only one other code sees. Everything that is wrong is told at once.
//!
//! Temperature: cold.

mod amount;
mod endpoint;
mod keystore;
mod lending;
mod near;
mod overrides;
mod place;
mod problems;
mod raw;
mod secret;
mod sections;
mod venues;

use std::path::PathBuf;
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::Address;
use gannet_engine::chain::ChainSpec;
use gannet_engine::guard::GuardLimits;
use gannet_engine::risk::Limits;
use gannet_engine::sign::WalletKey;
use gannet_engine::strategy::StrategySet;
use gannet_engine::world::{Factory, Router};
use toml::{Table, Value};

pub(crate) use self::amount::in_ether;
pub use self::endpoint::Endpoint;
pub use self::lending::{BalancerVault, Deployment, Lending, MorphoDeployment};
pub(crate) use self::place::Place;
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

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in logs and in the summary.
    pub name: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The start fails when it cannot be reached for this long, in seconds.
    pub connect_timeout_s: u64,
    /// No head for this long makes the world stale, in milliseconds.
    pub silent_after_ms: u64,
    /// Whether it is asked to announce receipts.
    pub receipts: bool,
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
        let source =
            self.key.as_ref().ok_or("missing; wanted \"env:NAME\" or \"keystore:PATH\"")?;
        let key = source.read()?;
        if key.address() == address {
            return Ok(key);
        }
        Err(format!("{source} holds the key of {}; wanted that of {address}", key.address()))
    }
}

/// A factory with its name.
#[derive(Clone, Debug)]
pub struct NamedFactory {
    /// Its name in logs.
    pub name: String,
    /// What the engine needs of it.
    pub factory: Factory,
    /// The first block that can have its events.
    pub deployed_block: u64,
}

/// How long what trying a pool has shown holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a pool that failed is tried again; doubles with each failure, up to a day.
    pub retry: Duration,
    /// Until a pool that passed is tried again.
    pub renew: Duration,
}

/// How the universe grows while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPools {
    /// Room for pools that are created meanwhile; none is looked for if it is 0.
    pub most: usize,
    /// Time between two looks.
    pub every: Duration,
}

/// How often how many pools are compared with the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPlan {
    /// Blocks from one audit to the next.
    pub every_blocks: u64,
    /// Pools that are compared each time, in turn, beside those that were traded.
    pub pools: usize,
}

/// How the process runs.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The core that the hot thread is pinned to; `None` leaves it to the system.
    pub core: Option<usize>,
    /// Whether the hot thread polls its sockets without sleeping.
    pub spin: bool,
    /// How many presignatures are kept ready at least; none is made if it is 0.
    pub presignatures: usize,
    /// How long the end waits for what is in flight, in seconds.
    pub drain_s: u64,
    /// Where state, locks and the kill switch's file live; absolute.
    pub state_dir: PathBuf,
    /// Where the journal is written, if anywhere.
    pub journal: Option<PathBuf>,
    /// Where the pools' reserves are written at the end, if anywhere.
    pub snapshot: Option<PathBuf>,
    /// Where they are written while it flies, if anywhere.
    pub snapshots: Option<Snapshots>,
}

/// Snapshots that are taken while the process runs.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// Where each is written, one JSON object a line.
    pub path: PathBuf,
    /// How many blocks lie between two.
    pub every_blocks: u64,
}

/// A recording that is flown over where no node is named.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Its folder.
    pub recording: PathBuf,
    /// How many times as fast as it was recorded; 0 is as fast as it goes.
    pub speed: u32,
}

/// The configuration as it is meant.
#[derive(Debug)]
pub struct Config<S> {
    /// What the run does with what it signs.
    pub mode: Mode,
    /// The chain's rules.
    pub chain: ChainSpec,
    /// Blocks after which what was mined counts as final.
    pub finality_blocks: u64,
    /// The nodes, by handle; none if `replay` takes their place.
    pub nodes: Vec<Node>,
    /// What is flown over where no node is named.
    pub replay: Option<Replay>,
    /// The executor; zero where a dry-run has none.
    pub executor: Address,
    /// Where the executor's owner's key is; used by `gannet deploy` only.
    pub owner_key: Option<KeySource>,
    /// Wallets, by handle.
    pub wallets: Vec<Wallet>,
    /// Factories, by handle.
    pub factories: Vec<NamedFactory>,
    /// Routers whose pending swaps are followed, beside those of the V2 factories.
    pub routers: Vec<Router>,
    /// Lending protocols whose borrowers are looked at.
    pub lending: Lending,
    /// Base tokens, most preferred first.
    pub base_tokens: Vec<Address>,
    /// Pools in the universe; the most liquid are kept.
    pub pools_max: usize,
    /// How the universe grows while the process runs.
    pub new_pools: NewPools,
    /// When pools are tried again.
    pub admission: Patience,
    /// How pools are compared with the chain.
    pub audit: AuditPlan,
    /// Limits.
    pub limits: Limits,
    /// What may be lost.
    pub guard: GuardLimits,
    /// The strategies that are on.
    pub strategies: S,
    /// Where its inputs are recorded, if anywhere.
    pub record: Option<PathBuf>,
    /// How the process runs.
    pub runtime: Runtime,
}

impl<S: StrategySet> Config<S> {
    /// Reads a configuration: the file's text, then the overrides `key=value`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, overrides: &[String]) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let config =
            read_file(text, overrides, &mut problems).and_then(|file| check(file, &mut problems));
        match config {
            Some(config) if problems.0.is_empty() => Ok(config),
            Some(_) | None => Err(problems),
        }
    }
}

impl<S> Config<S> {
    /// For commands that talk to a node.
    ///
    /// # Errors
    /// When none is named.
    pub(crate) fn need_node(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.nodes.is_empty() {
            problems.add("node.url", format!("missing; wanted {}", endpoint::WANTED));
            return Err(problems);
        }
        Ok(())
    }

    /// For commands that look at borrowers.
    ///
    /// # Errors
    /// When no lending protocol is named.
    pub(crate) fn need_lending(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.lending.is_empty() {
            let wanted = "[[lending.aave_v3]], [[lending.comet]] or [[lending.morpho]]";
            problems.add("lending", format!("missing; wanted a table {wanted}"));
            return Err(problems);
        }
        Ok(())
    }

    /// For a run that records.
    ///
    /// # Errors
    /// When something is where the recording is to be.
    pub(crate) fn need_new_recording(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if let Some(out) = self.record.as_ref().filter(|out| out.exists()) {
            let found = out.display();
            let message = format!("found {found}, which is there already; wanted a new folder");
            problems.add("record.out", message);
            return Err(problems);
        }
        Ok(())
    }

    /// Where the locks and the kill switch are.
    pub(crate) fn place(&self) -> Place {
        Place { chain_id: self.chain.id, state_dir: self.runtime.state_dir.clone() }
    }

    /// Reads the wallets' keys, in the order of their handles.
    ///
    /// # Errors
    /// All that cannot be read or are other wallets'; never with their values.
    pub fn read_keys(&self) -> Result<Vec<WalletKey>, Problems> {
        let mut problems = Problems::default();
        let mut keys = Vec::with_capacity(self.wallets.len());
        for (index, wallet) in self.wallets.iter().enumerate() {
            match wallet.read_key() {
                Ok(key) => keys.push(key),
                Err(message) => problems.add(format!("wallet.{index}.key"), message),
            }
        }
        if problems.0.is_empty() { Ok(keys) } else { Err(problems) }
    }

    /// Reads the executor's owner's key.
    pub(crate) fn read_owner_key(&self) -> Result<PrivateKeySigner, Problems> {
        let missing = || "missing; wanted \"env:NAME\" or \"keystore:PATH\" to deploy".to_owned();
        let source = self.owner_key.as_ref().ok_or_else(missing);
        let key = source.and_then(|source| {
            let key = source.bytes()?;
            PrivateKeySigner::from_slice(key.as_slice())
                .map_err(|_hidden| format!("{source} holds no private key"))
        });
        key.map_err(|message| {
            Problems(vec![Problem { path: "executor.owner_key".to_owned(), message }])
        })
    }
}

/// The file as a table, with the overrides in it; `None` if it is no TOML, which is a problem then.
fn read_file(text: &str, overrides: &[String], problems: &mut Problems) -> Option<Table> {
    let mut file: Table = match text.parse() {
        Ok(file) => file,
        Err(error) => {
            let error: toml::de::Error = error;
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            problems.add(format!("line {line}"), error.message());
            return None;
        }
    };
    for change in overrides {
        match change.split_once('=') {
            Some((path, value)) => {
                if let Err(message) = overrides::set(&mut file, path.trim(), value.trim()) {
                    // The value is not repeated: it may be a secret in the wrong place.
                    problems.add("--set", message);
                }
            }
            None => problems.add("--set", "found no `=`; wanted key=value"),
        }
    }
    Some(file)
}

/// What stands at the top of the file.
const SECTIONS: [&str; 16] = [
    "mode",
    "chain",
    "node",
    "replay",
    "executor",
    "wallet",
    "factory",
    "router",
    "lending",
    "universe",
    "admission",
    "audit",
    "risk",
    "strategy",
    "record",
    "runtime",
];

/// Checks every section; `None` where a required value is missing, which is a problem then.
fn check<S: StrategySet>(mut file: Table, problems: &mut Problems) -> Option<Config<S>> {
    let mode = check_mode(file.remove("mode").as_ref(), problems);
    let (chain, finality_blocks) = sections::chain(&mut file, problems);
    let replay = sections::replay(&mut file, problems);
    let nodes = sections::nodes(&mut file, (chain, replay.is_none()), problems);
    let (executor, owner_key, funding) = sections::executor(&mut file, mode, problems);
    let wallets = sections::wallets(&mut file, mode, problems);
    let factories = venues::factories(&mut file, problems);
    let routers = venues::routers(&mut file, &factories, problems);
    let lending = lending::lending(&mut file, problems);
    let (base_tokens, pools_max, new_pools) = sections::universe(&mut file, problems);
    let admission = sections::admission(&mut file, problems);
    let audit = sections::audit(&mut file, problems);
    let (limits, guard, allows_public) = sections::risk(&mut file, funding, problems);
    if mode == Mode::Live && chain.is_some_and(|chain| chain.id == 1) && !allows_public {
        problems.add(
            "risk.allow_public_mempool",
            "found false; on mainnet without a relay every transaction is public and can be copied \
             or front-run: set it to true to accept that, or stay in dry-run",
        );
    }
    let strategies = sections::strategies(&mut file, problems);
    let record = sections::record(&mut file, problems);
    let runtime = sections::runtime(&mut file, chain, problems);
    for (key, _) in file {
        let message = problems::unknown(&key, &SECTIONS);
        problems.add(key, message);
    }
    let named = sections::Named {
        chain,
        executor,
        wallets: &wallets,
        factories: &factories,
        routers: &routers,
        lending: &lending,
    };
    named.check(&base_tokens, problems);
    Some(Config {
        mode,
        chain: chain?,
        finality_blocks,
        nodes,
        replay,
        executor: executor?,
        owner_key,
        wallets,
        factories,
        routers,
        lending,
        base_tokens,
        pools_max,
        new_pools,
        admission,
        audit,
        limits,
        guard,
        strategies,
        record,
        runtime: runtime?,
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
