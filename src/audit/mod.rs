//! The running audit: sampled pools are compared with the chain at a sealed block's hash.
//!
//! ```text
//! hot thread, after a seal: samples ─► ring ─► cold thread: the same pools, read at that block
//! hot thread: quarantine, then mend ◄───────── what differs
//! ```
//!
//! Temperature: cold.

mod sampler;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use gannet_engine::amm::Pool;
use gannet_engine::chain::ChainSpec;
use gannet_engine::input::Loaded;
use gannet_engine::note::Note;
use gannet_engine::world::audit::{Drift, Sample, digest};
use gannet_engine::world::{Tip, World};
use rtrb::{Consumer, Producer, RingBuffer};
use serde::Serialize;

use self::sampler::Sampler;
use crate::bootstrap::{self, Reader, Roster, Rosters};
use crate::config::{AuditPlan, Config, Node};
use crate::feed::rpc::Rpc;

/// Samples on their way: those of two audits of the largest size.
const RING: usize = 1_024;
const DRIFTS: usize = 64;
/// How often the thread looks for samples.
const LOOK: Duration = Duration::from_millis(50);

/// What the audits came to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AuditCounts {
    /// Pools compared with the chain.
    pub audited: u64,
    /// Pools that were other than was held of them: must be 0.
    pub drifted: u64,
    /// Pools that the node did not say at that block: it is behind, or the block is no more.
    pub unread: u64,
}

impl fmt::Display for AuditCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { audited, drifted, unread } = self;
        write!(out, "{audited} pools compared with the chain, {drifted} differed")?;
        if *unread > 0 {
            write!(out, ", {unread} could not be read")?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Tally {
    audited: AtomicU64,
    unread: AtomicU64,
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Auditor {
    sampler: Sampler,
    samples: Producer<Sample>,
    drifts: Consumer<Box<Drift>>,
    tally: Arc<Tally>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs of the configuration.
#[derive(Debug)]
pub(crate) struct Setting {
    nodes: Vec<Node>,
    chain: ChainSpec,
    plan: AuditPlan,
}

impl Setting {
    pub(crate) fn of<S>(config: &Config<S>) -> Self {
        Self { nodes: config.nodes.clone(), chain: config.chain, plan: config.audit }
    }
}

impl Auditor {
    /// Starts the thread; the pools are those of the roster.
    pub(crate) fn start(setting: Setting, rosters: Rosters) -> Result<Self> {
        let Setting { nodes, chain, plan } = setting;
        let (samples, incoming) = RingBuffer::new(RING);
        let (outgoing, drifts) = RingBuffer::new(DRIFTS);
        let (tally, is_over) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let desk = Desk {
            nodes,
            chain,
            rosters,
            samples: incoming,
            drifts: outgoing,
            tally: Arc::clone(&tally),
            is_over: Arc::clone(&is_over),
        };
        let thread = std::thread::Builder::new()
            .name("gannet-audit".to_owned())
            .spawn(move || desk.work())
            .context("starting the audit thread")?;
        let sampler = Sampler::new(plan.every_blocks, plan.pools);
        Ok(Self { sampler, samples, drifts, tally, is_over, thread: Some(thread) })
    }

    /// Remembers which pools are traded.
    pub(crate) fn note(&mut self, note: &Note) {
        if let Note::Submitted(flight) = note {
            flight.admitted.plan.legs().iter().for_each(|leg| self.sampler.note(leg.pool));
        }
    }

    /// Takes samples if it is time.
    pub(crate) fn work(&mut self, world: &World) {
        self.sampler.work(world, &mut self.samples);
    }

    /// The next pool that differs.
    pub(crate) fn drift(&mut self) -> Option<Box<Drift>> {
        self.drifts.pop().ok()
    }

    pub(crate) fn counts(&self, world: &World) -> AuditCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        AuditCounts {
            audited: of(&self.tally.audited),
            drifted: world.drifted(),
            unread: of(&self.tally.unread),
        }
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // One that waits for its node is left behind; the process is ending.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
            && thread.join().is_err()
        {
            tracing::error!("the audit thread had panicked");
        }
    }
}

/// The thread's end.
struct Desk {
    nodes: Vec<Node>,
    chain: ChainSpec,
    rosters: Rosters,
    samples: Consumer<Sample>,
    drifts: Producer<Box<Drift>>,
    tally: Arc<Tally>,
    is_over: Arc<AtomicBool>,
}

impl Desk {
    fn work(mut self) {
        let mut rpc = None;
        while !self.is_over.load(Ordering::Relaxed) {
            let samples = self.next_block();
            if samples.is_empty() {
                // Nobody would answer the node's pings until the next audit.
                rpc = None;
                std::thread::sleep(LOOK);
                continue;
            }
            let count = u64::try_from(samples.len()).unwrap_or(u64::MAX);
            match self.compare(&mut rpc, &samples) {
                Ok(unread) => {
                    self.tally.audited.fetch_add(count.saturating_sub(unread), Ordering::Relaxed);
                    self.tally.unread.fetch_add(unread, Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::debug!(error = format!("{error:#}"), count, "pools are not compared");
                    self.tally.unread.fetch_add(count, Ordering::Relaxed);
                    rpc = None;
                    // What is in quarantine does not wait for its turn.
                    for sample in samples.iter().filter(|sample| sample.is_quarantined) {
                        self.tell(sample, None);
                    }
                }
            }
        }
    }

    /// The samples of one block that have come.
    fn next_block(&mut self) -> Vec<Sample> {
        let mut samples: Vec<Sample> = Vec::new();
        while let Ok(sample) = self.samples.peek() {
            if samples.first().is_some_and(|first| first.block != sample.block) {
                break;
            }
            samples.extend(self.samples.pop());
        }
        samples
    }

    /// Compares the samples of one block with the chain; how many could not be read.
    fn compare(&mut self, rpc: &mut Option<Rpc>, samples: &[Sample]) -> Result<u64> {
        let Some(first) = samples.first() else { return Ok(0) };
        let rpc = match rpc {
            Some(rpc) => rpc,
            None => rpc.insert(bootstrap::connect(&self.nodes, self.chain.id)?),
        };
        let anchor = Tip { number: first.block.number, hash: first.block.hash, ..Tip::default() };
        let mut reader = Reader::new(rpc, anchor)?;
        let roster = self.rosters.now();
        // A pool that the world has only just taken in may not be on the list yet.
        let is_known = |sample: &&Sample| roster.known(sample.pool.index()).is_some();
        let (known, unknown): (Vec<&Sample>, Vec<&Sample>) = samples.iter().partition(is_known);
        unknown.iter().for_each(|sample| self.tell(sample, None));
        let (doubted, trusted): (Vec<Sample>, Vec<Sample>) =
            known.into_iter().partition(|sample| sample.is_quarantined);
        let unread = self.check(&mut reader, &roster, &trusted)?
            + self.renew(&mut reader, &roster, &doubted)?;
        reader.finish()?;
        Ok(unread + u64::try_from(unknown.len()).unwrap_or(u64::MAX))
    }

    /// Compares those that are trusted; how many could not be read.
    fn check(
        &mut self,
        reader: &mut Reader<'_>,
        roster: &Roster,
        samples: &[Sample],
    ) -> Result<u64> {
        let words: Vec<i16> = samples.iter().map(|sample| sample.word).collect();
        let seen = bootstrap::glance(reader, &roster.some(&places(samples)), &words)?;
        let mut unread = 0;
        for (sample, seen) in samples.iter().zip(seen) {
            let Some(seen) = seen else {
                unread += 1;
                continue;
            };
            let has_ticks = sample.ticks == digest(seen.ticks.iter().copied());
            if sample.chain != seen.state || !has_ticks {
                let pool = roster.known(sample.pool.index()).map(|known| known.address);
                let (block, held, chain) = (sample.block.number.0, sample.chain, seen.state);
                tracing::error!(
                    ?pool,
                    block,
                    ?held,
                    ?chain,
                    has_ticks,
                    "a pool is not what the chain says: quarantined, until it is put right"
                );
                // Of a concentrated one, only a part of the ticks was read.
                let is_whole = !matches!(seen.state, Pool::Concentrated(_));
                self.tell(sample, is_whole.then_some(seen));
            }
        }
        Ok(unread)
    }

    /// Reads those in quarantine as a whole, for more may be wrong of them than was seen; how many
    /// could not be read.
    fn renew(
        &mut self,
        reader: &mut Reader<'_>,
        roster: &Roster,
        samples: &[Sample],
    ) -> Result<u64> {
        let seen = bootstrap::read_pools(reader, &roster.some(&places(samples)))?;
        let mut unread = 0;
        for (sample, seen) in samples.iter().zip(seen) {
            unread += u64::from(seen.is_none());
            self.tell(sample, seen);
        }
        Ok(unread)
    }

    fn tell(&mut self, sample: &Sample, chain: Option<Loaded>) {
        // A full ring: what is in quarantine is found after the next block, and the rest in turn.
        drop(self.drifts.push(Box::new(Drift { sample: *sample, chain })));
    }
}

fn places(samples: &[Sample]) -> Vec<usize> {
    samples.iter().map(|sample| sample.pool.index()).collect()
}
