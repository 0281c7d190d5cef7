//! Admission: a pool is traded with only after it was tried.
//!
//! ```text
//! pools, most liquid first ─► states at a block ─► the engine's quotes ─┐
//!                                   └─► real swaps in an eth_call ◄─────┴─► standing ─► hot thread
//! ```
//!
//! A cold thread tries all pools in the background, from the start on: three sizes both ways, by
//! `abi/Probe.sol`, at the block whose state the quotes were made from. What goes in is lent by
//! another pool; a pool whose token no other pool has cannot be in a cycle, and is not tried. What
//! fails is tried again later, and so is what passed.
//!
//! A contract that tells a trial from a trade can pass it; the executor's least profit stands
//! behind this.
//!
//! Temperature: cold.

mod ledger;
mod lenders;
mod probe;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result};
use gannet_engine::amm::ticks::TickArena;
use gannet_engine::chain::ChainSpec;
use gannet_engine::ids::{Direction, PoolId, TokenId};
use gannet_engine::input::Loaded;
use gannet_engine::world::{Standing, Tried};
use rtrb::{Consumer, Producer, RingBuffer};

use self::ledger::Ledger;
use self::lenders::{Lenders, shape_of};
use self::probe::{Shown, Trial};
use self::trial::{Claim, Quoted};
use crate::bootstrap::{self, Reader, Roster, Rosters};
use crate::config::{Config, Node, Patience};
use crate::feed::rpc::Rpc;

/// Results on their way; the thread waits when the ring is full.
const RING: usize = 8;
/// Pools that are tried together at most; fewer where the node is slow.
const BATCH: usize = 128;
/// The first batch is smaller, so that trading begins early.
const FIRST_BATCH: usize = 8;
/// A batch that takes less is followed by a larger one, one that takes longer by a smaller one: a
/// node that is busy with trials answers nothing else.
const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(4);
/// Lenders that are asked before a direction is given up.
const LENDERS_MAX: usize = 3;
/// How often the thread looks for what is due, and how long it waits when the node fails.
const LOOK: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What the thread needs of the configuration and the world.
#[derive(Debug)]
pub(crate) struct Setting {
    nodes: Vec<Node>,
    chain: ChainSpec,
    patience: Patience,
    /// Who must be able to receive tokens: the executor, or a wallet where there is none.
    receiver: Address,
}

impl Setting {
    pub(crate) fn of<S>(config: &Config<S>) -> Self {
        let wallet = config.wallets.first().map(|wallet| wallet.address).unwrap_or_default();
        Self {
            nodes: config.nodes.clone(),
            chain: config.chain,
            patience: config.admission,
            receiver: if config.executor == Address::ZERO { wallet } else { config.executor },
        }
    }
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Admission {
    tried: Consumer<Box<Tried>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Admission {
    /// Starts the thread that tries the pools of the roster.
    pub(crate) fn start(setting: Setting, rosters: Rosters) -> Result<Self> {
        let (outgoing, tried) = RingBuffer::new(RING);
        let is_over = Arc::new(AtomicBool::new(false));
        let Setting { nodes, chain, patience, receiver } = setting;
        let roster = rosters.now();
        let ledger = Ledger::new(roster.pools().count(), patience, Instant::now());
        let desk = Desk {
            nodes,
            chain,
            rosters,
            tokens: tokens_of(&roster),
            bench: Bench::new(roster, receiver),
            ledger,
            gas: HashMap::new(),
            codes: HashMap::new(),
            outgoing,
            is_over: Arc::clone(&is_over),
        };
        let thread = std::thread::Builder::new()
            .name("gannet-admission".to_owned())
            .spawn(move || desk.work())
            .context("starting the admission thread")?;
        Ok(Self { tried, is_over, thread: Some(thread) })
    }

    /// How many pools the next result is about, if there is one.
    pub(crate) fn waiting(&self) -> Option<usize> {
        self.tried.peek().ok().map(|tried| tried.pools.len())
    }

    /// The next result.
    pub(crate) fn next(&mut self) -> Option<Box<Tried>> {
        self.tried.pop().ok()
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // One that waits for its node is left behind; the process is ending.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
            && thread.join().is_err()
        {
            tracing::error!("the admission thread had panicked");
        }
    }
}

/// The thread's end.
struct Desk {
    nodes: Vec<Node>,
    chain: ChainSpec,
    rosters: Rosters,
    bench: Bench,
    tokens: HashMap<Address, TokenId>,
    ledger: Ledger,
    /// What a transfer of each token uses beyond a plain one's: the most that was seen.
    gas: HashMap<Address, u32>,
    /// How many admitted pools have this code.
    codes: HashMap<B256, usize>,
    outgoing: Producer<Box<Tried>>,
    is_over: Arc<AtomicBool>,
}

impl Desk {
    fn work(mut self) {
        let mut rpc = None;
        let (mut pause, mut most) = (PAUSE, FIRST_BATCH);
        let (mut is_ready, mut is_through) = (false, false);
        while !self.is_over.load(Ordering::Relaxed) {
            is_through &= !self.take_in();
            let places = self.ledger.due(most, Instant::now());
            if places.is_empty() {
                // It may be hours until it is needed again.
                rpc = None;
                std::thread::sleep(LOOK);
                continue;
            }
            let start = Instant::now();
            match self.attempt(&mut rpc, &places) {
                Ok(tried) => {
                    if !is_ready {
                        is_ready = true;
                        let admitted = self.ledger.count(Standing::Admitted);
                        tracing::info!(admitted, "ready to trade; more pools are being tried");
                    }
                    pause = PAUSE;
                    most = match start.elapsed() {
                        took if took < QUICK => (most * 2).min(BATCH),
                        took if took > SLOW => (most / 2).max(1),
                        _ => most,
                    };
                    self.deliver(tried);
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, pools = places.len(), "pools are not tried: later");
                    rpc = None;
                    self.ledger.put_off(&places, Instant::now() + pause);
                    self.sleep(pause);
                    // A slow node still works on what we no longer wait for.
                    most = (most / 2).max(1);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            if !is_through && self.ledger.count(Standing::Untried) == 0 {
                is_through = true;
                self.report();
            }
        }
    }

    /// Takes up pools that are new to the world; whether there are some. Who had no lender may have
    /// one now.
    fn take_in(&mut self) -> bool {
        let (roster, now) = (self.rosters.now(), Instant::now());
        let known = self.bench.roster.pools().count();
        let is_longer = self.ledger.extend_to(roster.pools().count(), now);
        if is_longer {
            let new = roster.pools().skip(known);
            let lent: HashSet<Address> = new.flat_map(|(pool, _)| pool.tokens).collect();
            let pools = roster.pools().enumerate().take(known);
            let helped =
                pools.filter(|(_, (pool, _))| pool.tokens.iter().any(|it| lent.contains(it)));
            self.ledger.lent(helped.map(|(place, _)| place), now);
            self.tokens = tokens_of(&roster);
            self.bench = Bench::new(roster, self.bench.receiver);
        }
        is_longer
    }

    fn report(&self) {
        let counts = Standing::ALL.iter().map(|standing| (standing, self.ledger.count(*standing)));
        let told: Vec<_> = counts
            .filter(|(_, count)| *count > 0)
            .map(|(standing, count)| format!("{} {count}", standing.name()))
            .collect();
        let pools = told.join(", ");
        tracing::info!(pools, codes = self.codes.len(), "every pool was tried");
    }

    /// Tries pools at the newest block.
    fn attempt(&mut self, rpc: &mut Option<Rpc>, places: &[usize]) -> Result<Tried> {
        let rpc = match rpc {
            Some(rpc) => rpc,
            None => rpc.insert(bootstrap::connect(&self.nodes, self.chain.id)?),
        };
        let anchor = bootstrap::latest(rpc, &self.chain)?;
        let mut reader = Reader::new(rpc, anchor)?;
        let findings = self.bench.try_pools(&mut reader, places)?;
        reader.finish()?;
        Ok(self.take_down(places, &findings))
    }

    fn take_down(&mut self, places: &[usize], findings: &[Finding]) -> Tried {
        let mut tried = Tried::default();
        let now = Instant::now();
        for (place, finding) in places.iter().zip(findings) {
            let Some(known) = self.bench.roster.known(*place) else { continue };
            let (pool, standing) = (known.address, finding.standing);
            if self.ledger.enter(*place, standing, now) {
                let [first, second] = known.tokens;
                let reason = standing.name();
                tracing::warn!(%pool, %first, %second, reason, "this pool is not traded with");
            }
            if standing.is_admitted() {
                *self.codes.entry(finding.code).or_default() += 1;
                for (token, gas) in known.tokens.iter().zip(finding.gas) {
                    let most = self.gas.entry(*token).or_default();
                    if gas > *most
                        && let Some(id) = self.tokens.get(token)
                    {
                        *most = gas;
                        tried.transfers.push((*id, gas));
                    }
                }
            }
            // As many as there are handles.
            tried.pools.push((PoolId(u32::try_from(*place).unwrap_or(u32::MAX)), standing));
        }
        tried
    }

    /// Hands a result over; waits while there is no room for it.
    fn deliver(&mut self, tried: Tried) {
        let mut tried = Box::new(tried);
        while let Err(rtrb::PushError::Full(back)) = self.outgoing.push(tried) {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            tried = back;
            std::thread::sleep(LOOK);
        }
    }

    fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
    }
}

fn tokens_of(roster: &Roster) -> HashMap<Address, TokenId> {
    roster.tokens().copied().zip((0..).map(TokenId)).collect()
}

/// What a trial found of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finding {
    standing: Standing,
    /// What a transfer of each of its tokens uses beyond a plain one's.
    gas: [u32; 2],
    code: B256,
}

/// Where pools are tried.
#[derive(Debug)]
struct Bench {
    roster: Arc<Roster>,
    lenders: Lenders,
    /// Must be able to receive the tokens.
    receiver: Address,
}

/// One direction of one pool that is being tried.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Place in the batch, and in the roster.
    at: usize,
    place: usize,
    direction: Direction,
    claim: Claim,
    found: Option<Result<u32, Standing>>,
    code: B256,
}

impl Bench {
    fn new(roster: Arc<Roster>, receiver: Address) -> Self {
        let lenders = Lenders::of(&roster);
        Self { roster, lenders, receiver }
    }

    /// Tries the pools at these places at the reader's block.
    fn try_pools(&self, reader: &mut Reader<'_>, places: &[usize]) -> Result<Vec<Finding>> {
        let batch = self.roster.some(places);
        let loaded = bootstrap::read_pools(reader, &batch)?;
        let mut arena = arena_of(&loaded);
        let mut ways: Vec<Way> = Vec::new();
        for (at, (place, loaded)) in places.iter().zip(&loaded).enumerate() {
            let is_whole = loaded.as_ref().is_some_and(|loaded| {
                let id = PoolId(u32::try_from(at).unwrap_or(u32::MAX));
                arena.load(id, &loaded.ticks).is_ok()
            });
            for direction in [Direction::ZeroForOne, Direction::OneForZero] {
                let reserves = loaded.as_ref().and_then(|loaded| loaded.state.reserves());
                let reserve = reserves.map(|reserves| reserves[direction.index_in()]);
                let found = (!is_whole).then_some(Err(Standing::Unreadable));
                let (claim, code) = (Claim { reserve }, B256::ZERO);
                ways.push(Way { at, place: *place, direction, claim, found, code });
            }
        }
        for skipped in 0..LENDERS_MAX {
            self.round(reader, (&loaded, &arena), &mut ways, skipped)?;
        }
        Ok(ways.chunks_exact(2).map(finding).collect())
    }

    /// Tries what is still open, with the next lender of each.
    fn round(
        &self,
        reader: &mut Reader<'_>,
        (loaded, arena): (&[Option<Loaded>], &TickArena),
        ways: &mut [Way],
        skipped: usize,
    ) -> Result<()> {
        let mut trials: Vec<(usize, Trial)> = Vec::new();
        for (number, way) in ways.iter_mut().enumerate().filter(|(_, way)| way.found.is_none()) {
            let Some(Some(Loaded { state, .. })) = loaded.get(way.at) else { continue };
            let ticks = arena.of(PoolId(u32::try_from(way.at).unwrap_or(u32::MAX)));
            match self.trial(way, Quoted { pool: state, ticks }, skipped) {
                Ok(trial) => trials.push((number, trial)),
                Err(standing) => way.found = Some(Err(standing)),
            }
        }
        let asked: Vec<Trial> = trials.iter().map(|(_, trial)| *trial).collect();
        let shown: Vec<Option<Shown>> = reader.ask("trials", &asked)?;
        for ((number, trial), shown) in trials.iter().zip(shown) {
            let way = &mut ways[*number];
            match shown {
                None => way.found = Some(Err(Standing::Unreadable)),
                Some(shown) => {
                    way.code = shown.code;
                    way.found = trial::judge(trial, way.claim, &shown);
                }
            }
        }
        Ok(())
    }

    fn trial(&self, way: &Way, quoted: Quoted<'_>, skipped: usize) -> Result<Trial, Standing> {
        let known = self.roster.known(way.place).ok_or(Standing::Unreadable)?;
        let tokens =
            [known.tokens[way.direction.index_in()], known.tokens[way.direction.index_out()]];
        let next = self.lenders.nth(&self.roster, &tokens[0], (way.place, skipped));
        let (lender, most) = next.ok_or(Standing::Unlent)?;
        Ok(Trial {
            pool: known.address,
            shape: shape_of(known),
            is_first: way.direction == Direction::ZeroForOne,
            tokens,
            lender,
            receiver: self.receiver,
            sizes: quoted.sizes(way.direction, most).ok_or(Standing::Empty)?,
        })
    }
}

/// Both directions of a pool together.
fn finding(ways: &[Way]) -> Finding {
    let mut finding = Finding { standing: Standing::Admitted, gas: [0; 2], code: B256::ZERO };
    for way in ways.iter().rev() {
        match way.found.unwrap_or(Err(Standing::Unlent)) {
            Ok(gas) => finding.gas[way.direction.index_in()] = gas,
            Err(standing) => finding.standing = standing,
        }
        finding.code = way.code;
    }
    finding
}

fn arena_of(loaded: &[Option<Loaded>]) -> TickArena {
    let ticks = loaded.iter().flatten().map(|loaded| TickArena::room_for(loaded.ticks.len()));
    TickArena::new(loaded.len(), ticks.sum())
}
