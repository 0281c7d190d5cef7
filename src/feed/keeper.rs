//! The keeper of a node: a cold thread that opens connections to it, and reads the world anew from
//! it, when the hot thread asks.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park, park_timeout};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use anyhow::{Context, Result};
use gannet_engine::chain::ChainSpec;
use gannet_engine::ids::TokenId;
use gannet_engine::input::{Reloaded, Source};
use gannet_engine::limits::REORG_BLOCKS_MAX;
use gannet_engine::loans::Loans;
use rtrb::{Consumer, Producer, RingBuffer};

use super::connect::{self, Opened};
use crate::bootstrap::{self, Reader, Roster, Rosters};
use crate::config::Node;
use crate::lending::Lenders;

/// Requests and answers on their way; there are three connections and one reload.
const RING: usize = 16;
/// First pause before a connection is tried again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Times that loans may fail to be read with the world, one after the other, before it is read
/// without them: pools are traded with all the same.
const LOANS_FAILED_MAX: u32 = 3;
/// A reload that takes so many blocks is of no use: the world gives up a little later.
const BEHIND_BLOCKS: u32 = 48;
const _: () = assert!((BEHIND_BLOCKS as usize) < REORG_BLOCKS_MAX, "before the world gives up");

/// What the hot thread asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    /// A connection, which was lost or never was.
    Connect(Source),
    /// The pools' states at the newest block.
    Reload,
}

/// What the hot thread gets.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A connection that is ready.
    Connection(Source, Box<Opened>),
    /// The world at a block.
    Reloaded(Box<Reloaded>),
    /// The world could not be read from this node.
    NotReloaded,
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Keeper {
    requests: Producer<Request>,
    deliveries: Consumer<Delivery>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    name: String,
}

impl Keeper {
    /// Starts the thread. What is in the roster is read again when the world must be reloaded, and
    /// so are loans if any are followed.
    pub(crate) fn start(
        node: Node,
        chain: ChainSpec,
        rosters: Rosters,
        lenders: Option<Lenders>,
    ) -> Result<Self> {
        let name = node.name.clone();
        let (requests, incoming) = RingBuffer::new(RING);
        let (outgoing, deliveries) = RingBuffer::new(RING);
        let is_over = Arc::new(AtomicBool::new(false));
        let shift = Shift {
            node,
            chain,
            rosters,
            lenders,
            loans_failed: 0,
            requests: incoming,
            deliveries: outgoing,
            is_over: Arc::clone(&is_over),
            todo: Vec::new(),
            reload_pause: Duration::ZERO,
            // Seeded by the system, as hash maps are: two bots do not retry in step.
            chance: RandomState::new().hash_one(0),
        };
        let thread = std::thread::Builder::new()
            .name("gannet-keeper".to_owned())
            .spawn(move || shift.work())
            .context("starting the keeper thread")?;
        Ok(Self { requests, deliveries, is_over, thread: Some(thread), name })
    }

    /// The node's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks; false if the ring is full, which only a keeper that is gone can bring about.
    pub(crate) fn ask(&mut self, request: Request) -> bool {
        let is_taken = self.requests.push(request).is_ok();
        self.wake();
        is_taken
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// What is ready, if anything.
    pub(crate) fn delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop().ok()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake();
        // A keeper in the middle of a connection attempt is left behind; the process is ending.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
            && thread.join().is_err()
        {
            tracing::error!("the keeper thread had panicked");
        }
    }
}

/// Something to be done, not before `due`.
#[derive(Debug)]
struct Task {
    request: Request,
    due: Instant,
    pause: Duration,
}

/// The keeper's end.
struct Shift {
    node: Node,
    chain: ChainSpec,
    rosters: Rosters,
    lenders: Option<Lenders>,
    /// How often in a row loans could not be read.
    loans_failed: u32,
    requests: Consumer<Request>,
    deliveries: Producer<Delivery>,
    is_over: Arc<AtomicBool>,
    todo: Vec<Task>,
    /// How long the next reload waits, because the one before failed.
    reload_pause: Duration,
    chance: u64,
}

impl Shift {
    fn work(mut self) {
        while !self.is_over.load(Ordering::Relaxed) {
            while let Ok(request) = self.requests.pop() {
                let wait = match request {
                    Request::Connect(_) => Duration::ZERO,
                    Request::Reload => self.reload_pause,
                };
                let due = Instant::now() + wait;
                self.todo.push(Task { request, due, pause: PAUSE_MIN });
            }
            let now = Instant::now();
            if let Some(place) = self.todo.iter().position(|task| task.due <= now) {
                let task = self.todo.swap_remove(place);
                self.attempt(&task);
            } else if let Some(due) = self.todo.iter().map(|task| task.due).min() {
                park_timeout(due.saturating_duration_since(now));
            } else {
                park();
            }
        }
    }

    fn attempt(&mut self, task: &Task) {
        let done = match task.request {
            Request::Connect(source) => {
                let seed = u32::try_from(self.next_chance() >> 32).unwrap_or(1);
                let followed = self.lenders.as_ref().map(Lenders::followed);
                let what = (source, followed.unwrap_or_default());
                connect::open(&self.node, self.chain.id, what, seed)
                    .map(|opened| Delivery::Connection(source, Box::new(opened)))
            }
            // Whoever leads by then is asked again, after a pause.
            Request::Reload => Ok(self.reload()),
        };
        match done {
            Ok(delivery) => {
                // The node is back: what else waits for it need not wait any longer.
                for other in &mut self.todo {
                    (other.due, other.pause) = (Instant::now(), PAUSE_MIN);
                }
                if self.deliveries.push(delivery).is_err() {
                    tracing::warn!("the hot thread takes no deliveries");
                    self.later(task);
                }
            }
            Err(error) => {
                let what = match task.request {
                    Request::Connect(source) => source.name(),
                    Request::Reload => "reload",
                };
                let node = &self.node.name;
                tracing::warn!(node, what, error = format!("{error:#}"), "trying again");
                self.later(task);
            }
        }
    }

    /// Tries again after a pause that doubles, give or take a half.
    fn later(&mut self, task: &Task) {
        let spread = 50 + self.next_chance() % 100;
        let wait = task.pause * u32::try_from(spread).unwrap_or(100) / 100;
        let pause = (task.pause * 2).min(PAUSE_MAX);
        self.todo.push(Task { due: Instant::now() + wait, pause, request: task.request });
    }

    fn reload(&mut self) -> Delivery {
        let Self { node, chain, rosters, lenders, loans_failed, .. } = self;
        let roster = rosters.now();
        let loans = |reader: &mut Reader<'_>| {
            let limit = Duration::from_millis(chain.block_time_ms) * BEHIND_BLOCKS;
            let read = |all| loans((all, limit), reader, &roster, loans_failed);
            lenders.as_ref().map(read).transpose()
        };
        let read = bootstrap::connect(std::slice::from_ref(node), chain.id)
            .and_then(|mut rpc| bootstrap::reload(&mut rpc, chain, &roster, loans));
        match read {
            Ok(state) => {
                self.reload_pause = Duration::ZERO;
                Delivery::Reloaded(Box::new(state))
            }
            Err(error) => {
                let node = &self.node.name;
                tracing::warn!(node, error = format!("{error:#}"), "cannot read the world anew");
                self.reload_pause = (self.reload_pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
                Delivery::NotReloaded
            }
        }
    }

    const fn next_chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.chance ^ (self.chance >> 33)
    }
}

/// Reads loans anew, within a time; none at all where that has failed too often.
fn loans(
    (lenders, limit): (&Lenders, Duration),
    reader: &mut Reader<'_>,
    roster: &Roster,
    failed: &mut u32,
) -> Result<Loans> {
    if *failed >= LOANS_FAILED_MAX {
        tracing::error!("loans cannot be read anew: none are followed until the next reload");
        *failed = 0;
        return Ok(Loans::none());
    }
    let ids: HashMap<Address, TokenId> = roster.tokens().copied().zip((0..).map(TokenId)).collect();
    let start = Instant::now();
    let read = lenders.load(reader, |token| ids.get(token).copied()).context("loans");
    lenders.keep_roll();
    *failed = if read.is_ok() { 0 } else { *failed + 1 };
    if start.elapsed() > limit {
        // By now the chain is further than the world may be behind: it would be lost again at once,
        // for ever.
        let took_s = start.elapsed().as_secs();
        tracing::error!(took_s, "reading loans anew takes longer than the chain allows");
        *failed = LOANS_FAILED_MAX;
    }
    read
}
