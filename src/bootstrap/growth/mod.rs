//! The universe grows while the bot flies: pools that factories announce are taken in.
//!
//! ```text
//! cold thread: factories' events ─► candidates ─► their states ─► Growth ─► hot thread
//!              longer roster, old tables freed ◄─────────────── the same box, back ◄─┘
//! ```
//!
//! The hot thread has no part in it but to take over what was made here. The box that comes back
//! says what came of it; only then do other threads hear of the new pools, so that nobody speaks of
//! a pool to the hot thread before it has it.
//!
//! Temperature: cold.

mod candidates;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use anyhow::{Context, Result};
use gannet_engine::chain::ChainSpec;
use gannet_engine::gas::worth_least;
use gannet_engine::growth::Growth;
use gannet_engine::ids::{FactoryId, TokenId};
use gannet_engine::limits::GROWTH_POOLS_MAX;
use gannet_engine::search::Tables;
use gannet_engine::search::cycles::Graph;
use gannet_engine::units::Wei;
use gannet_engine::world::World;
use gannet_engine::world::pools::{PairIndex, PoolEntry};
use rtrb::{Consumer, Producer, RingBuffer};

use self::candidates::Candidates;
use super::pool::Read;
use super::{Known, Market, Reader, Roster, Rosters, discover, universe};
use crate::config::{Config, NamedFactory, NewPools, Node};

/// Growths on their way: one at a time.
const RING: usize = 1;
/// Boxes on their way back, to be freed.
const BACK: usize = 64;
/// How often the thread looks whether its box came back, or the run is over.
const LOOK: Duration = Duration::from_millis(50);
/// Candidates whose states are read at once.
const LOOKED_AT: usize = 256;
/// Blocks that are searched once more, for a reorganisation may have changed what is in them.
const OVERLAP: u64 = 64;

/// What the hot thread gives back.
#[derive(Debug)]
pub(crate) enum Returned {
    /// What the universe was to grow by, with what came of it.
    Growth(Box<Growth>),
    /// Tables that no search uses any more.
    Spent(Box<Tables>),
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Grower {
    growths: Consumer<Box<Growth>>,
    back: Producer<Returned>,
    /// Pools that were taken in.
    taken: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs of the configuration and the world.
#[derive(Debug)]
pub(crate) struct Setting {
    nodes: Vec<Node>,
    chain: ChainSpec,
    factories: Vec<NamedFactory>,
    new_pools: NewPools,
    bases: Vec<TokenId>,
    native: TokenId,
    market: Market,
}

impl Setting {
    pub(crate) fn of<S>(config: &Config<S>, world: &World, market: Market) -> Self {
        Self {
            nodes: config.nodes.clone(),
            chain: config.chain,
            factories: config.factories.clone(),
            new_pools: config.new_pools,
            bases: world.bases.clone(),
            native: world.native,
            market,
        }
    }
}

impl Grower {
    /// Starts the thread, if the configuration wants it. `hops` are the longest cycles that the
    /// strategies search for.
    pub(crate) fn start(setting: Setting, rosters: Rosters, hops: Vec<usize>) -> Result<Self> {
        let (outgoing, growths) = RingBuffer::new(RING);
        let (back, incoming) = RingBuffer::new(BACK);
        let (taken, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let is_wanted = setting.new_pools.most > 0;
        let desk = Desk {
            seen: rosters.now().pools().map(|(known, _)| known.address).collect(),
            candidates: Candidates::new(setting.new_pools.every),
            searched_to: rosters.now().chosen_at,
            at_first: rosters.now().counts(),
            setting,
            rosters,
            hops,
            outgoing,
            incoming,
            under_way: None,
            is_full: false,
            taken: Arc::clone(&taken),
            is_over: Arc::clone(&is_over),
        };
        let thread = std::thread::Builder::new()
            .name("gannet-growth".to_owned())
            .spawn(move || {
                if is_wanted {
                    desk.work();
                }
            })
            .context("starting the thread that looks for new pools")?;
        Ok(Self { growths, back, taken, is_over, thread: Some(thread) })
    }

    /// What the universe is to grow by, if there is something.
    pub(crate) fn next(&mut self) -> Option<Box<Growth>> {
        self.growths.pop().ok()
    }

    /// Gives back what the hot thread needs no more.
    pub(crate) fn give_back(&mut self, returned: Returned) {
        // The thread is gone if nobody takes it: then it is freed here.
        drop(self.back.push(returned));
    }

    /// Pools that were taken in since the start.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Grower {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // One that waits for its node is left behind; the process is ending.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
            && thread.join().is_err()
        {
            tracing::error!("the thread that looks for new pools had panicked");
        }
    }
}

/// The thread's end.
struct Desk {
    setting: Setting,
    rosters: Rosters,
    hops: Vec<usize>,
    /// Pools of the universe, candidates, and those that were given up.
    seen: HashSet<Address>,
    candidates: Candidates,
    searched_to: u64,
    /// Pools and tokens at the start.
    at_first: [usize; 2],
    outgoing: Producer<Box<Growth>>,
    incoming: Consumer<Returned>,
    /// The roster that there is once the hot thread has taken in what is on its way.
    under_way: Option<Roster>,
    is_full: bool,
    taken: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Desk {
    fn work(mut self) {
        let mut is_failing = false;
        while !self.is_full && self.pause() {
            if self.under_way.is_some() {
                continue;
            }
            match self.look() {
                Ok(()) => is_failing = false,
                Err(error) => {
                    if !is_failing {
                        let error = format!("{error:#}");
                        tracing::warn!(error, "new pools are not looked for: later");
                    }
                    is_failing = true;
                }
            }
        }
        // What comes back is freed here, as long as the bot flies.
        while self.pause() {}
    }

    /// Waits for the next look and takes what comes back meanwhile; false if the run is over.
    fn pause(&mut self) -> bool {
        let until = Instant::now() + self.setting.new_pools.every;
        while !self.is_over.load(Ordering::Relaxed) {
            while let Ok(returned) = self.incoming.pop() {
                match returned {
                    Returned::Growth(growth) => self.receive(&growth),
                    Returned::Spent(tables) => drop(tables),
                }
            }
            if Instant::now() >= until {
                return true;
            }
            std::thread::sleep(LOOK);
        }
        false
    }

    /// The hot thread has taken a growth in, or has refused it.
    fn receive(&mut self, growth: &Growth) {
        let Some(roster) = self.under_way.take() else { return };
        let pools = growth.pools.len();
        match growth.outcome {
            Some(Ok(())) => {
                let all = roster.pools.len();
                tracing::info!(pools, all, "pools that were created meanwhile are taken in");
                self.taken.fetch_add(u64::try_from(pools).unwrap_or(0), Ordering::Relaxed);
                self.rosters.publish(roster);
            }
            refused => {
                tracing::error!(?refused, pools, "new pools are not taken in: restart to see them");
            }
        }
    }

    /// Looks for new pools, and sends those that are worth it to the hot thread.
    fn look(&mut self) -> Result<()> {
        let Setting { nodes, chain, .. } = &self.setting;
        let mut rpc = super::connect(nodes, chain.id)?;
        let anchor = super::latest(&mut rpc, chain)?;
        let mut reader = Reader::new(&mut rpc, anchor)?;
        self.search(&mut reader)?;
        let room = self.room();
        if room == 0 {
            self.is_full = true;
            tracing::warn!("no room for more new pools: raise universe.new_pools_max and restart");
            return Ok(());
        }
        let due = self.candidates.due(LOOKED_AT, Instant::now());
        if due.is_empty() {
            return Ok(());
        }
        let factories = super::addresses(&self.setting.factories);
        let states = super::states(&mut reader, &due, &factories)?;
        let mut chosen = self.choose(states, anchor.next_base_fee);
        chosen.truncate(room.min(GROWTH_POOLS_MAX));
        if chosen.is_empty() {
            return Ok(());
        }
        super::read_ticks(&mut reader, &mut chosen)?;
        let made = self.make(&mut reader, &chosen, anchor.next_base_fee)?;
        reader.finish()?;
        if let Some((growth, roster)) = made {
            self.candidates.remove(&roster.pools[growth.follows[0]..]);
            if self.outgoing.push(Box::new(growth)).is_ok() {
                self.under_way = Some(roster);
            }
        }
        Ok(())
    }

    /// Which pools were announced since the last look.
    fn search(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let newest = reader.anchor.number.0;
        let from = self.searched_to.min(newest).saturating_sub(OVERLAP);
        let announced = discover::announced(reader, &self.setting.factories, from..=newest)?;
        for pool in announced {
            if self.seen.insert(pool.address)
                && let Some(forgotten) = self.candidates.add(pool, Instant::now())
            {
                tracing::debug!(pool = %forgotten.address, "a new pool that stays empty");
            }
        }
        self.searched_to = newest;
        Ok(())
    }

    fn room(&self) -> usize {
        let now = self.rosters.now().counts();
        let more = now.iter().zip(self.at_first).map(|(now, before)| now - before).max();
        self.setting.new_pools.most.saturating_sub(more.unwrap_or_default())
    }

    /// Those that are more liquid than what was left out at the start, and from which the gas of a
    /// trade can be gained; the most liquid first.
    #[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
    fn choose(&mut self, pools: Vec<Read>, base_fee: Wei) -> Vec<Read> {
        let Market { prices, least } = &mut self.setting.market;
        let least = least.max(2.0 * worth_least(base_fee, 2).0 as f64);
        let mut ranked: Vec<(f64, Read)> = pools
            .into_iter()
            .filter(|pool| pool.reading.is_alive() && pool.known.tokens[0] != pool.known.tokens[1])
            .map(|pool| (prices.spread(&pool), pool))
            .filter(|(liquidity, _)| *liquidity > least)
            .collect();
        ranked.sort_by(|left, right| {
            let address = |pool: &Read| pool.known.address;
            right.0.total_cmp(&left.0).then_with(|| address(&left.1).cmp(&address(&right.1)))
        });
        ranked.into_iter().map(|(_, pool)| pool).collect()
    }

    /// What the universe grows by, and its roster then; `None` if nothing of it can be.
    fn make(
        &self,
        reader: &mut Reader<'_>,
        chosen: &[Read],
        base_fee: Wei,
    ) -> Result<Option<(Growth, Roster)>> {
        let mut roster = (*self.rosters.now()).clone();
        let follows = roster.counts();
        let mut ids: HashMap<Address, TokenId> = roster.tokens().copied().zip(handles()).collect();
        // One of a pool's tokens must be known before: room is made for the other.
        let mut new: Vec<Address> = Vec::new();
        for tokens in chosen.iter().map(|pool| pool.known.tokens) {
            let unknown = tokens.map(|token| !ids.contains_key(&token) && !new.contains(&token));
            let unknown: Vec<Address> = tokens
                .into_iter()
                .zip(unknown)
                .filter_map(|(t, is_new)| is_new.then_some(t))
                .collect();
            if let [token] = unknown[..] {
                new.push(token);
            }
        }
        roster.told.extend(new.iter().copied().zip(reader.decimals(&new)?));
        ids.extend(new.iter().copied().zip(handles().skip(follows[1])));
        let decimals_of: HashMap<Address, u8> =
            roster.told.iter().map(|(token, told)| (*token, told.unwrap_or(18))).collect();
        let mut pools = Vec::new();
        for Read { known, reading, held, ticks } in chosen {
            let decimals = known.tokens.map(|token| decimals_of.get(&token).copied().unwrap_or(18));
            let factory = roster.factories.get(usize::from(known.factory));
            let fee_pips = factory.map_or(0, |factory| factory.fee_pips);
            let Some(state) = universe::state(known, reading, decimals, fee_pips) else { continue };
            let [Some(first), Some(second)] = known.tokens.map(|token| ids.get(&token).copied())
            else {
                continue;
            };
            let factory = FactoryId(known.factory);
            let entry = PoolEntry::new(known.address, factory, [first, second], state);
            pools.push((entry, ticks.clone().unwrap_or_default()));
            roster.pools.push(*known);
            roster.held.push(*held);
            roster.decimals.push(decimals);
        }
        if pools.is_empty() {
            return Ok(None);
        }
        let of = |known: &Known| known.tokens.map(|token| ids.get(&token).copied());
        let all: Option<Vec<[TokenId; 2]>> = roster
            .pools
            .iter()
            .map(|known| match of(known) {
                [Some(first), Some(second)] => Some([first, second]),
                _ => None,
            })
            .collect();
        let all = all.context("a pool's token is not in the universe")?;
        let Setting { bases, native, .. } = &self.setting;
        let table = |hops: &usize| {
            let graph = Graph::new(all.clone(), bases, *native, *hops).paying_gas(base_fee);
            Some(Box::new(Tables::build(&graph)))
        };
        let tokens =
            new.iter().map(|token| (*token, decimals_of.get(token).copied().unwrap_or(18)));
        let growth = Growth {
            follows,
            tokens: tokens.collect(),
            pools,
            pairs: PairIndex::build(&all),
            base_fee,
            tables: self.hops.iter().map(table).collect(),
            outcome: None,
        };
        Ok(Some((growth, roster)))
    }
}

/// Every token's handle, in order.
fn handles() -> impl Iterator<Item = TokenId> {
    (0..).map(TokenId)
}
