//! The start: the whole universe read from the node at one block hash.
//!
//! ```text
//! cold: factories' events ─► pools ─► states ─► the most liquid that a base token reaches ─► World
//! warm: what an earlier run kept, and what happened since ──────────────────────────────────┘
//! ```
//!
//! Every state is read at the same block, so a reorg meanwhile is an error and not a silent mix.
//!
//! Temperature: cold.

mod discover;
pub(crate) mod growth;
pub(crate) mod lens;
mod pool;
mod questions;
mod ranges;
mod read;
mod renewal;
#[cfg(test)]
pub(crate) mod tests;
mod universe;
mod warm;

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::Address;
use anyhow::{Context, Result, ensure};
use gannet_engine::amm::Tick;
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::head::Head;
use gannet_engine::ids::{PoolId, TokenId};
use gannet_engine::input::{self, Reloaded};
use gannet_engine::loans::Loans;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::pools::PoolEntry;
use gannet_engine::world::{Factory, Tip, World};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use self::discover::CREATIONS;
pub(crate) use self::growth::Grower;
pub(crate) use self::pool::{Kind, Known, Read, Reading};
pub(crate) use self::ranges::Sought;
pub(crate) use self::read::{Naming, Reader};
pub(crate) use self::renewal::Renewal;
pub(crate) use self::warm::{Shelf, demand_logs, header};
use crate::config::{Config, NamedFactory, Node};
use crate::feed::rpc::Rpc;

/// Connects for questions at leisure to the first node that can be reached, and makes sure that it
/// is on the right chain.
pub(crate) fn connect(nodes: &[Node], chain_id: u64) -> Result<Rpc> {
    let mut rpc = Rpc::connect(nodes)?;
    rpc.ensure_chain(chain_id)?;
    Ok(rpc)
}

/// The newest block, and what follows from it.
pub(crate) fn latest(rpc: &mut Rpc, chain: &ChainSpec) -> Result<Tip> {
    block(rpc, chain, "latest")
}

/// A block by its number or tag. Read by the engine's own decoder.
fn block(rpc: &mut Rpc, chain: &ChainSpec, named: &str) -> Result<Tip> {
    let block: Value = rpc.call("eth_getBlockByNumber", &json!([named, false]))?;
    let head = Head::parse(block.to_string().as_bytes())
        .map_err(|error| anyhow::anyhow!("the node's block {named} is no block: {error:?}"))?;
    Ok(Tip {
        number: BlockNumber(head.number),
        hash: head.hash,
        timestamp: head.timestamp,
        next_base_fee: chain.next_base_fee(&head),
    })
}

/// The pools of a world in the order of their handles: what reading them again takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    pools: Vec<Known>,
    /// What each had of its tokens when it was read.
    held: Vec<[u128; 2]>,
    /// The decimals of both of its tokens.
    decimals: Vec<[u8; 2]>,
    /// The factories, by their places.
    factories: Vec<Factory>,
    /// How many pairs each of them lists.
    pair_counts: Vec<u32>,
    /// What each token said of its decimals.
    told: Vec<(Address, Option<u8>)>,
    /// The block of the last cold start: when it was chosen from all there is.
    chosen_at: u64,
}

impl Roster {
    /// Each pool, and what it had of its tokens when it was read.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (&Known, &[u128; 2])> {
        self.pools.iter().zip(&self.held)
    }

    /// The pool at this place.
    pub(crate) fn known(&self, place: usize) -> Option<&Known> {
        self.pools.get(place)
    }

    /// How many pools and tokens there are.
    const fn counts(&self) -> [usize; 2] {
        [self.pools.len(), self.told.len()]
    }

    /// The tokens, in the order of handles.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Address> {
        self.told.iter().map(|(token, _)| token)
    }

    /// A token's address.
    pub(crate) fn token(&self, id: TokenId) -> Option<Address> {
        self.told.get(id.index()).map(|(token, _)| *token)
    }

    /// The pools at these places alone; places that are none are left out.
    pub(crate) fn some(&self, places: &[usize]) -> Self {
        let places = || places.iter().filter(|place| **place < self.pools.len());
        Self {
            pools: places().map(|place| self.pools[*place]).collect(),
            held: places().map(|place| self.held[*place]).collect(),
            decimals: places().map(|place| self.decimals[*place]).collect(),
            factories: self.factories.clone(),
            ..Self::default()
        }
    }
}

/// The roster as it is now: it becomes longer while the bot flies. Cold threads share it.
#[derive(Clone, Debug)]
pub(crate) struct Rosters(Arc<Mutex<Arc<Roster>>>);

impl Rosters {
    pub(crate) fn new(roster: Roster) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(roster))))
    }

    pub(crate) fn now(&self) -> Arc<Roster> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The world has these pools now.
    fn publish(&self, roster: Roster) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(roster);
    }
}

/// The universe as it was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) world: World,
    pub(crate) roster: Roster,
    pub(crate) market: Market,
}

/// What pools that are created later are measured by.
#[derive(Debug)]
pub(crate) struct Market {
    prices: universe::Prices,
    /// The liquidity of the first pool there was no room for.
    least: f64,
}

/// Loads the universe: from what an earlier run kept if that still holds, or else as a whole.
pub(crate) fn load<S>(config: &Config<S>, rpc: &mut Rpc) -> Result<Loaded> {
    let anchor = latest(rpc, &config.chain)?;
    let mut reader = Reader::new(rpc, anchor)?;
    let kept = Shelf::of(config).take_up(&mut reader);
    let is_warm = kept.is_some();
    let found = match kept {
        Some(kept) => kept,
        None => found(config, &mut reader)?,
    };
    finish(config, reader, found, is_warm)
}

/// The whole universe as it was at block `number`.
///
/// # Errors
/// When the node does not have that block or its state, or no pool was there.
pub(crate) fn load_at<S>(config: &Config<S>, rpc: &mut Rpc, number: u64) -> Result<World> {
    let anchor = block(rpc, &config.chain, &format!("{number:#x}"))?;
    let mut reader = Reader::new(rpc, anchor)?;
    let found = found(config, &mut reader)?;
    finish(config, reader, found, false).map(|loaded| loaded.world)
}

/// What there is to choose from.
#[derive(Debug, Default)]
struct Found {
    pools: Vec<Read>,
    /// What tokens said of their decimals, as far as they were asked.
    told: Vec<(Address, Option<u8>)>,
    /// How many pairs each factory lists.
    pair_counts: Vec<u32>,
    /// The block at which everything was looked for.
    chosen_at: u64,
}

/// Every pool that the factories made, with its state.
fn found<S>(config: &Config<S>, reader: &mut Reader<'_>) -> Result<Found> {
    let anchor = reader.anchor.number.0;
    let mut known = discover::announced(reader, &config.factories, 0..=anchor)?;
    let pair_counts = discover::complete(reader, &config.factories, &[], &mut known)?;
    let pools = states(reader, &known, &addresses(&config.factories))?;
    let left_out = known.len() - pools.len();
    if left_out > 0 {
        tracing::info!(left_out, "pools that do not answer like what their factory said they are");
    }
    Ok(Found { pools, pair_counts, told: Vec::new(), chosen_at: anchor })
}

/// Reads the states of pools; those that do not answer like pools are left out.
fn states(reader: &mut Reader<'_>, known: &[Known], factories: &[Address]) -> Result<Vec<Read>> {
    let states = reader.readings(known, factories)?;
    let read = |(known, state): (&Known, Option<read::State>)| {
        let (reading, held) = state?;
        Some(Read { known: *known, reading, held, ticks: None })
    };
    Ok(known.iter().zip(states).filter_map(read).collect())
}

/// Reads what is still open of the pools that are chosen, and builds the world of them.
fn finish<S>(
    config: &Config<S>,
    mut reader: Reader<'_>,
    found: Found,
    is_warm: bool,
) -> Result<Loaded> {
    let Found { pools, told, pair_counts, chosen_at } = found;
    let universe::Choice { pools: mut chosen, prices, least } = universe::choose(pools, config);
    read_ticks(&mut reader, &mut chosen)?;
    let tokens = universe::tokens(&chosen, config);
    let told = complete_decimals(&mut reader, &tokens, told)?;
    let anchor = reader.anchor;
    reader.finish()?;
    let world = universe::build(config, anchor, &mut chosen, &told)?;
    ensure!(
        !world.pools.is_empty(),
        "no pool is reachable from universe.base_tokens through the configured factories"
    );
    tracing::info!(
        block = anchor.number.0,
        pools = world.pools.len(),
        tokens = world.tokens.len(),
        is_warm,
        "universe loaded"
    );
    for base in bases_without_pools(&world) {
        tracing::warn!(%base, "no pool holds this token of universe.base_tokens");
    }
    let entries = world.pools.ids().iter().map(|id| world.pools.get(*id));
    let of = |entry: &PoolEntry| entry.tokens.map(|token| world.tokens.get(token).decimals);
    let decimals = entries.map(of).collect();
    let (pools, held) = chosen.into_iter().map(|pool| (pool.known, pool.held)).unzip();
    let factories = world.factories.clone();
    let roster = Roster { pools, held, decimals, factories, pair_counts, told, chosen_at };
    Ok(Loaded { world, roster, market: Market { prices, least } })
}

/// A universe as a run began with it: what building its world again takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Universe {
    pools: Vec<Read>,
    told: Vec<(Address, Option<u8>)>,
}

impl Universe {
    /// That of a world which was only just loaded.
    pub(crate) fn of(world: &World, roster: &Roster) -> Self {
        Self { pools: universe::kept(world, roster), told: roster.told.clone() }
    }

    /// The pools as they were.
    pub(crate) fn pools(&self) -> &[Read] {
        &self.pools
    }

    /// What each token said of its decimals.
    pub(crate) fn told(&self) -> &[(Address, Option<u8>)] {
        &self.told
    }
}

/// Builds the world of a universe again.
///
/// # Errors
/// When it does not fit the configuration.
pub(crate) fn rebuild<S>(config: &Config<S>, anchor: Tip, universe: &Universe) -> Result<World> {
    universe::build(config, anchor, &mut universe.pools.clone(), &universe.told)
}

fn addresses(factories: &[NamedFactory]) -> Vec<Address> {
    factories.iter().map(|named| named.factory.address).collect()
}

/// Reads the ticks of concentrated pools that have none yet; a pool without a bitmap is dropped.
fn read_ticks(reader: &mut Reader<'_>, pools: &mut Vec<Read>) -> Result<()> {
    let wanted: Vec<(usize, (Address, i32))> = pools
        .iter()
        .enumerate()
        .filter_map(|(place, pool)| Some((place, (pool.known.address, pool.ticks_wanted()?))))
        .collect();
    let asked: Vec<(Address, i32)> = wanted.iter().map(|(_, asked)| *asked).collect();
    let ticks = reader.ticks(&asked)?;
    for ((place, _), ticks) in wanted.into_iter().zip(ticks) {
        pools[place].ticks = ticks;
    }
    let before = pools.len();
    pools.retain(|pool| pool.ticks_wanted().is_none());
    if pools.len() < before {
        tracing::warn!(left_out = before - pools.len(), "pools whose ticks cannot be read");
    }
    Ok(())
}

/// Asks for the decimals of tokens that have not said them; in the order of `tokens`.
fn complete_decimals(
    reader: &mut Reader<'_>,
    tokens: &[Address],
    known: Vec<(Address, Option<u8>)>,
) -> Result<Vec<(Address, Option<u8>)>> {
    let mut known: std::collections::HashMap<Address, Option<u8>> = known.into_iter().collect();
    let missing: Vec<Address> = tokens
        .iter()
        .filter(|token| known.get(*token).is_none_or(Option::is_none))
        .copied()
        .collect();
    known.extend(missing.iter().copied().zip(reader.decimals(&missing)?));
    Ok(tokens.iter().map(|token| (*token, known.get(token).copied().flatten())).collect())
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
pub fn load_from<S>(config: &Config<S>, answers: &[u8]) -> Result<World> {
    let (mut rpc, _node) = Rpc::answered(answers)?;
    let anchor = latest(&mut rpc, &config.chain)?;
    let mut reader = Reader::new(&mut rpc, anchor)?;
    let found = found(config, &mut reader)?;
    finish(config, reader, found, false).map(|loaded| loaded.world)
}

/// Reads the states of known pools again, at the newest block, and with `loans` the loans there.
pub(crate) fn reload(
    rpc: &mut Rpc,
    chain: &ChainSpec,
    roster: &Roster,
    loans: impl FnOnce(&mut Reader<'_>) -> Result<Option<Loans>>,
) -> Result<Reloaded> {
    let anchor = latest(rpc, chain)?;
    let mut reader = Reader::new(rpc, anchor)?;
    let pools = read_pools(&mut reader, roster)?;
    let loans = loans(&mut reader)?;
    reader.finish()?;
    let missing = pools.iter().zip(0..).filter(|(pool, _)| pool.is_none());
    let unread = missing.map(|(_, place)| PoolId(place)).collect();
    let or_empty = |(place, pool): (usize, Option<input::Loaded>)| {
        pool.unwrap_or_else(|| input::Loaded {
            state: universe::empty(&roster.pools[place], roster.decimals[place]),
            ticks: Vec::new(),
        })
    };
    let pools = pools.into_iter().enumerate().map(or_empty).collect();
    Ok(Reloaded { anchor, pools, unread, loans })
}

/// The states of pools at the reader's block; `None` where one does not answer like its kind.
pub(crate) fn read_pools(
    reader: &mut Reader<'_>,
    roster: &Roster,
) -> Result<Vec<Option<input::Loaded>>> {
    let factories: Vec<Address> = roster.factories.iter().map(|factory| factory.address).collect();
    let states = reader.readings(&roster.pools, &factories).context("reading pools")?;
    let ranged = |(place, state): (usize, &Option<read::State>)| match state {
        Some((Reading::Concentrated { tick_spacing, .. }, _)) => {
            Some((place, (roster.pools[place].address, *tick_spacing)))
        }
        Some((Reading::Pair { .. } | Reading::Solidly { .. }, _)) | None => None,
    };
    let (places, asked): (Vec<usize>, Vec<_>) =
        states.iter().enumerate().filter_map(ranged).unzip();
    let mut ticks = vec![None; states.len()];
    for (place, read) in places.into_iter().zip(reader.ticks(&asked)?) {
        ticks[place] = read;
    }
    let pools = states.into_iter().zip(ticks).enumerate();
    Ok(pools.map(|(place, (state, ticks))| loaded(roster, place, state, ticks)).collect())
}

/// Pools at the reader's block, each with the ticks in one word of its bitmap; `None` where one
/// does not answer like its kind.
pub(crate) fn glance(
    reader: &mut Reader<'_>,
    roster: &Roster,
    words: &[i16],
) -> Result<Vec<Option<input::Loaded>>> {
    let factories: Vec<Address> = roster.factories.iter().map(|factory| factory.address).collect();
    let states = reader.readings(&roster.pools, &factories).context("reading pools")?;
    let slices = states.iter().zip(roster.pools.iter().zip(words)).map(|(state, (known, word))| {
        let Some((Reading::Concentrated { tick_spacing, .. }, _)) = state else { return None };
        Some((known.address, *tick_spacing, *word))
    });
    let slices: Vec<_> = slices.collect();
    let ticks = reader.words(&slices)?;
    let pools = states.into_iter().zip(ticks).enumerate();
    Ok(pools.map(|(place, (state, ticks))| loaded(roster, place, state, ticks)).collect())
}

/// A pool as it was read.
fn loaded(
    roster: &Roster,
    place: usize,
    state: Option<read::State>,
    ticks: Option<Vec<Tick>>,
) -> Option<input::Loaded> {
    let known = &roster.pools[place];
    let factory = roster.factories.get(usize::from(known.factory)).copied().unwrap_or_default();
    if ticks.is_none() && matches!(known.kind, Kind::Concentrated { .. }) {
        return None;
    }
    let (reading, _) = state?;
    let state = universe::state(known, &reading, roster.decimals[place], factory.fee_pips)?;
    Some(input::Loaded { state, ticks: ticks.unwrap_or_default() })
}
