//! Strategies over a run of recorded blocks whose state is known.
//!
//! ```text
//! state before the first ─► pools, looked at and tried ─► engine ◄─ heads and logs, block by block
//!                                                            └─► plans ─► settled by arithmetic
//!                                                                 └─► the executor in the EVM
//! ```
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Result, anyhow};
use gannet_engine::decode::list::Rows;
use gannet_engine::decode::log::Log;
use gannet_engine::flight::{Flight, Settlement};
use gannet_engine::input::{Command, Loaded, Reloaded};
use gannet_engine::note::Note;
use gannet_engine::pipeline::Engine;
use gannet_engine::risk::{Funding, Risk};
use gannet_engine::sign::{Signer, WalletKey};
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::wallet::WalletState;
use gannet_engine::world::{Tip, World};

use super::cockpit::{Cockpit, head_before, head_of, log_of, stand_in};
use super::desk::{Desk, Paid, balance, transfer};
use super::forensics::before_header;
use super::limit::with_limit;
use super::plans::{End, Planned};
use super::swaps::{Swap, Transfer, by_transaction};
use crate::config::Config;
use crate::evm::{Fork, RECIPIENT, Replay, Scene};
use crate::recording::RecordedBlock;
use crate::recording::rows::{BlockRow, LogRow};
use crate::venue::{Because, Setting, Venue, world};

/// Seconds between blocks of which only the later one is recorded.
pub(super) const BLOCK_S: u64 = 12;
/// Part of a pool's reserve that a token is tried with.
const TRIAL_PART: u128 = 1_000;

/// What came of a run of blocks.
#[derive(Debug, Default)]
pub(super) struct Flown {
    /// In the order in which they were made.
    pub(super) plans: Vec<Planned>,
    /// Pools in the universe, and those that were left out, by reason.
    pub(super) pools: usize,
    pub(super) left_out: BTreeMap<String, usize>,
    /// Plans that risk turned down, by reason.
    pub(super) rejected: BTreeMap<&'static str, u64>,
}

/// What a note tells of plans.
pub(super) enum Told<'n> {
    /// One was made; its place among all.
    Made(&'n Flight, usize),
    /// One came to its end.
    Ended(&'n Flight, &'n Settlement),
    Else,
}

impl Flown {
    /// Takes in what a note tells.
    pub(super) fn note<'n>(
        &mut self,
        note: &'n Note,
        world: &World,
        names: &[&'static str],
    ) -> Told<'n> {
        match note {
            Note::Submitted(flight) => {
                self.plans.push(Planned::new(flight, world, names));
                return Told::Made(flight, self.plans.len() - 1);
            }
            Note::Settled(flight, end) => return Told::Ended(flight, end),
            Note::Rejected { reason, is_new: true, .. } => {
                *self.rejected.entry(reason.name()).or_default() += 1;
            }
            Note::Rejected { .. }
            | Note::Reversed(..)
            | Note::Cancelling { .. }
            | Note::Refused { .. }
            | Note::Sealed { .. }
            | Note::Alert(_)
            | Note::Freshness { .. } => {}
        }
        Told::Else
    }
}

/// Where strategies fly.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) codes: &'a BTreeMap<B256, Bytes>,
}

/// Flies over `blocks`, which follow each other. Not inlined, as [`cruise`](super::cruise::cruise).
#[inline(never)]
pub(super) fn fly<S: StrategySet>(
    config: Config<S>,
    blocks: &[RecordedBlock],
    course: &Course<'_>,
) -> Result<Flown> {
    let mut flown = Flown::default();
    let Some(first) = blocks.first() else { return Ok(flown) };
    let venues = universe(blocks, course.codes, &mut flown);
    if venues.is_empty() {
        return Ok(flown);
    }
    flown.pools = venues.len();
    let anchor = anchor(&first.header);
    let setting = Setting { anchor, ..course.setting };
    let world = match world(&venues, &setting) {
        Ok(world) => world,
        Err(Because(why)) => {
            flown.left_out.insert(gist(&why), venues.len());
            return Ok(flown);
        }
    };
    let begin = (&first.header, anchor);
    let (mut pilot, mut hash) = match take_off((config, world), &venues, begin, flown, course)? {
        Ok(pilot) => pilot,
        Err(flown) => return Ok(flown),
    };
    for (place, block) in blocks.iter().enumerate() {
        let next = blocks.get(place + 1).map(|next| &next.header);
        let head = head_of(&with_limit(&block.header, next), hash);
        hash = head.hash;
        let logs: Vec<Log<'_>> = block.logs.iter().filter_map(|row| log_of(row, hash)).collect();
        pilot.cockpit.block(&head, Rows { logs: &logs, is_empty: logs.is_empty() });
        pilot.note(Some(block));
    }
    Ok(pilot.flown)
}

/// An engine over these pools, and told of the block before the first one, with its hash; or what
/// has come of it where a strategy has nothing to do on them.
pub(super) fn take_off<'c, S: StrategySet>(
    (config, world): (Config<S>, World),
    venues: &[Venue],
    (first, anchor): (&BlockRow, Tip),
    mut flown: Flown,
    course: &Course<'c>,
) -> Result<Result<(Pilot<'c, S>, B256), Flown>> {
    let mut cockpit = match engine(config, world)? {
        Ok(engine) => Cockpit::new(engine),
        // There is nothing to plan there.
        Err(why) => {
            flown.left_out.insert(why, venues.len());
            return Ok(Err(flown));
        }
    };
    cockpit.connect();
    let loaded =
        venues.iter().map(|venue| Loaded { state: venue.state, ticks: venue.ticks.clone() });
    let pools = loaded.collect();
    // So that all pools count as moved, and gaps that were open before the first block are seen.
    let reloaded = Reloaded { anchor, pools, unread: Vec::new(), loans: None };
    cockpit.command(Command::Reload(Box::new(reloaded)));
    let parent = head_before(first, anchor.hash);
    cockpit.block(&parent, Rows { logs: &[], is_empty: true });
    let mut pilot =
        Pilot { cockpit, flown, flights: BTreeMap::new(), has_ended: false, codes: course.codes };
    pilot.note(None);
    Ok(Ok((pilot, parent.hash)))
}

/// The block before the one before the first: from there on the engine is told everything.
pub(super) fn anchor(first: &BlockRow) -> Tip {
    let tip = before_header(first);
    let number = tip.number.0.saturating_sub(1);
    let timestamp = tip.timestamp.saturating_sub(2 * BLOCK_S);
    Tip { number: BlockNumber(number), hash: stand_in(number), timestamp, ..tip }
}

/// The engine; or why a strategy has nothing to do on these pools. It is large, and the stacks of
/// threads that fly are small.
pub(super) fn engine<S: StrategySet>(
    config: Config<S>,
    world: World,
) -> Result<Result<Box<Engine<S>>, String>> {
    let mut limits = config.limits;
    // There is nobody whose funds could pay.
    limits.funding = Funding::Flash;
    // Keys of nobody: what they sign goes nowhere.
    let key = |place: u8| {
        WalletKey::new(&[place; 32]).map_err(|_no_key| anyhow!("making a throwaway key"))
    };
    let keys = (1..).take(config.wallets.len().max(1)).map(key).collect::<Result<Vec<_>>>()?;
    let wallets = keys.iter().map(|key| WalletState::new(key.address(), 0, 0, Wei(0))).collect();
    let mut risk = Risk::new(limits, config.guard, wallets);
    risk.needs_balance = false;
    let signer = Signer::new(keys, config.executor);
    match Engine::new(world, config.strategies, risk, signer, u64::MAX).map(Box::new) {
        Ok(mut engine) => {
            engine.finality.depth = config.finality_blocks;
            Ok(Ok(engine))
        }
        Err((name, why)) => Ok(Err(format!("strategy {name} has nothing to do: {why}"))),
    }
}

/// The pools that the blocks touch, as they are before the first of them, if their tokens can be
/// moved and arrive.
pub(super) fn universe(
    blocks: &[RecordedBlock],
    codes: &BTreeMap<B256, Bytes>,
    flown: &mut Flown,
) -> Vec<Venue> {
    let mut seen = BTreeSet::new();
    let mut venues = Vec::new();
    for block in blocks {
        let moved = block.logs.iter().filter(|log| log.is_move());
        let new: Vec<Address> =
            moved.map(|log| log.address).filter(|pool| seen.insert(*pool)).collect();
        let Some(scene) = Scene::new(block, codes) else { continue };
        let mut leave_out = |why: String| *flown.left_out.entry(gist(&why)).or_default() += 1;
        let arrived = arrivals(&block.logs);
        // What the block reads is known once it has run.
        let forked = Replay::new(&scene).and_then(|mut replay| {
            replay.run_to(block.transactions.len())?;
            Ok(Replay::new(&scene)?.fork())
        });
        let mut fork = match forked {
            Ok(fork) => fork,
            Err(unknown) => {
                leave_out(unknown.to_string());
                continue;
            }
        };
        for pool in new {
            match look(&mut fork, pool, &arrived) {
                Ok(venue) => venues.push(venue),
                Err(Because(reason)) => leave_out(reason),
            }
        }
    }
    venues
}

/// Looks at a pool, and tries its tokens. Where the recording does not know enough to move one,
/// what the block itself moved of it counts.
fn look(
    fork: &mut Fork<'_>,
    pool: Address,
    arrived: &BTreeMap<Address, bool>,
) -> Result<Venue, Because> {
    let venue = Venue::look(fork, pool)?;
    for token in venue.tokens {
        match try_token(fork, pool, token) {
            Ok(()) => {}
            Err(Trial::Failed(why)) => return Err(Because(why)),
            Err(Trial::Unknown(why)) => match arrived.get(&token) {
                Some(true) => {}
                Some(false) => return Err(Because(format!("token {token} arrives in part"))),
                None => return Err(Because(why)),
            },
        }
    }
    Ok(venue)
}

/// What is wrong with a token.
enum Trial {
    Failed(String),
    Unknown(String),
}

/// Has a pool send some of a token.
fn try_token(fork: &mut Fork<'_>, pool: Address, token: Address) -> Result<(), Trial> {
    let unknown = |Because(why)| Trial::Unknown(why);
    let held = balance(fork, token, pool).map_err(unknown)?;
    let amount = u128::try_from(held).unwrap_or(u128::MAX) / TRIAL_PART;
    let moved = transfer(fork, token, (pool, *RECIPIENT), amount).map_err(unknown)?;
    match moved {
        (_, Some(error)) => Err(Trial::Failed(format!("token {token} does not move: {error}"))),
        (arrived, None) if arrived < U256::from(amount) => {
            Err(Trial::Failed(format!("token {token} arrives in part")))
        }
        (_, None) => Ok(()),
    }
}

/// Tokens that pools were paid in, and whether all that was sent arrived, each time.
fn arrivals(logs: &[LogRow]) -> BTreeMap<Address, bool> {
    let mut arrived = BTreeMap::new();
    for logs in by_transaction(logs) {
        let sent: Vec<Transfer> = logs.iter().filter_map(Transfer::of).collect();
        for swap in logs.iter().filter_map(Swap::of) {
            for paid in swap.paid.iter().filter(|paid| **paid > 0) {
                let paid = U256::from(*paid);
                let to_pool = || sent.iter().filter(|sent| sent.to == swap.pool);
                if let Some(sent) = to_pool().find(|sent| sent.amount == paid) {
                    arrived.entry(sent.token).or_insert(true);
                } else if let Some(sent) = to_pool().find(|sent| sent.amount > paid) {
                    // One time that it did not is enough.
                    arrived.insert(sent.token, false);
                }
            }
        }
    }
    arrived
}

/// A reason without the addresses and slots in it, so that those of one kind are counted together.
fn gist(why: &str) -> String {
    let word = |word: &str| if word.starts_with("0x") { "…".to_owned() } else { word.to_owned() };
    why.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Follows what the engine tells.
#[derive(Debug)]
pub(super) struct Pilot<'a, S> {
    pub(super) cockpit: Cockpit<S>,
    pub(super) flown: Flown,
    /// Plans in flight: their place among all plans, by ticket.
    flights: BTreeMap<u32, usize>,
    /// Whether the last notes tell of the end of one.
    pub(super) has_ended: bool,
    codes: &'a BTreeMap<B256, Bytes>,
}

impl<S: StrategySet> Pilot<'_, S> {
    /// Whether a plan's end is not known yet.
    pub(super) fn is_in_flight(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Takes the notes that a block gave rise to.
    pub(super) fn note(&mut self, block: Option<&RecordedBlock>) {
        let told = std::mem::take(&mut self.cockpit.told);
        self.has_ended = false;
        for note in told {
            match self.flown.note(&note, &self.cockpit.engine.world, S::NAMES) {
                Told::Made(flight, place) => {
                    self.flights.insert(flight.ticket, place);
                }
                Told::Ended(flight, end) => {
                    let Some(place) = self.flights.remove(&flight.ticket) else { continue };
                    self.has_ended = true;
                    let mut plan = self.flown.plans[place].clone();
                    plan.settle(end);
                    if let Some(block) = block.filter(|_| plan.end == End::Won) {
                        plan.execute(self.execute(flight, block));
                    }
                    self.flown.plans[place] = plan;
                }
                Told::Else => {}
            }
        }
    }

    /// Runs a plan's program where it would have landed.
    fn execute(&self, flight: &Flight, block: &RecordedBlock) -> Result<Paid, String> {
        let scene = Scene::new(block, self.codes).ok_or("the state is not recorded")?;
        let told = |unknown: crate::evm::Unknown| unknown.to_string();
        let mut replay = Replay::new(&scene).map_err(told)?;
        if let Some(follow) = flight.admitted.plan.follows() {
            let place = block.transactions.iter();
            let place = place.filter(|row| row.transaction_hash == follow.hash);
            let place = place.map(|row| row.transaction_index).next();
            let place = place.and_then(|place| usize::try_from(place).ok());
            let place = place.ok_or("its target is not in the block")?;
            replay.run_to(place.saturating_add(1)).map_err(told)?;
        }
        let world = &self.cockpit.engine.world;
        let native = world.chain.wrapped_native;
        let mut desk = Desk::new(replay.fork(), native).map_err(|Because(why)| why)?;
        let plan = &flight.admitted.plan;
        let least = flight.admitted.least_profit;
        let cycle = (plan.profit_token, plan.amount_in, plan.legs());
        desk.execute(world, cycle, least).map_err(|Because(why)| why)
    }
}
