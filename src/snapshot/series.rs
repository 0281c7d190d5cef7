//! A series of snapshots, taken while the bot flies, for whoever wants to compare them with the
//! chain.
//!
//! The hot thread copies its pools at the end of a sealed block into memory that was taken at the
//! start and hands it over; a cold thread writes it and gives the memory back. If none is free, or
//! the ticks have outgrown it, the snapshot is left out and counted; the next block is tried.
//!
//! Temperature: warm.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use gannet_engine::amm::{Pool, Tick};
use gannet_engine::units::BlockNumber;
use gannet_engine::world::{Freshness, Tip, World};
use rtrb::{Consumer, Producer, RingBuffer};
use serde::Serialize;

use super::{Snapshot, state_of};
use crate::bootstrap::{Roster, Rosters};
use crate::config::Snapshots;

/// Snapshots on their way.
const SHEETS: usize = 4;
/// Room for ticks that are added while it flies, beside twice those of the start.
const TICKS_MORE: usize = 4_096;
/// How often the cold thread looks for a snapshot.
const LOOK: Duration = Duration::from_millis(20);

/// Memory for one snapshot.
#[derive(Debug)]
struct Sheet {
    tip: Tip,
    freshness: Freshness,
    pools: Vec<Pool>,
    /// Those of all pools, one after the other, and how many are of each.
    ticks: Vec<Tick>,
    tick_counts: Vec<usize>,
}

impl Sheet {
    #[cold]
    fn for_world(world: &World) -> Self {
        let ids = world.pools.ids();
        let ticks: usize = ids.iter().map(|id| world.pools.tick_list(*id).count()).sum();
        Self {
            tip: Tip::default(),
            freshness: Freshness::default(),
            pools: Vec::with_capacity(world.pools.capacity()),
            ticks: Vec::with_capacity(2 * ticks + TICKS_MORE),
            tick_counts: Vec::with_capacity(world.pools.capacity()),
        }
    }

    /// Copies the world; false if there is too little room.
    fn copy(&mut self, world: &World) -> bool {
        let ids = world.pools.ids();
        self.pools.clear();
        self.ticks.clear();
        self.tick_counts.clear();
        (self.tip, self.freshness) = (*world.tip(), *world.freshness());
        if ids.len() > self.pools.capacity() {
            return false;
        }
        for id in ids {
            let before = self.ticks.len();
            for tick in world.pools.tick_list(*id) {
                if self.ticks.len() == self.ticks.capacity() {
                    return false;
                }
                self.ticks.push(tick);
            }
            self.pools.push(world.pools.get(*id).chain);
            self.tick_counts.push(self.ticks.len() - before);
        }
        true
    }

    #[cold]
    fn line(&self, roster: &Roster) -> Line {
        let mut ticks = self.ticks.iter().copied();
        // A pool that the world has only just taken in may not be on the roster yet.
        let states = self.pools.iter().zip(&self.tick_counts).zip(roster.pools());
        let pools = states.map(|((pool, count), (known, _))| {
            let own: Vec<Tick> = ticks.by_ref().take(*count).collect();
            (known.address, state_of(pool, own.into_iter()))
        });
        let pools = pools.collect();
        let snapshot = Snapshot { block: self.tip.number.0, hash: self.tip.hash, pools };
        let stale = self.freshness.reasons().map(|why| why.name()).collect();
        Line { snapshot, stale }
    }
}

/// What is written of a snapshot: also why nothing was traded on it, if that was so.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    snapshot: Snapshot,
    stale: Vec<&'static str>,
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Series {
    every: u64,
    taken_at: Option<BlockNumber>,
    free: Consumer<Box<Sheet>>,
    filled: Producer<Box<Sheet>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Times that one was due and there was no memory for it.
    skipped: u64,
}

impl Series {
    /// Starts the thread.
    #[cold]
    pub(crate) fn start(config: &Snapshots, world: &World, rosters: Rosters) -> Result<Self> {
        let Snapshots { path, every_blocks } = config;
        let file = File::options().append(true).create(true).open(path);
        let file = file.with_context(|| format!("writing the snapshots {}", path.display()))?;
        let (mut back, free) = RingBuffer::new(SHEETS);
        let (filled, incoming) = RingBuffer::new(SHEETS);
        while back.push(Box::new(Sheet::for_world(world))).is_ok() {}
        let is_over = Arc::new(AtomicBool::new(false));
        let mut desk = Desk { file, rosters, incoming, back, is_failing: false };
        let over = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("gannet-series".to_owned())
            .spawn(move || {
                // Read before the last look, so that nothing pushed before it is left.
                while !over.load(Ordering::Acquire) {
                    desk.work();
                    std::thread::sleep(LOOK);
                }
                desk.work();
            })
            .context("starting the thread that writes snapshots")?;
        let every = (*every_blocks).max(1);
        let thread = Some(thread);
        Ok(Self { every, taken_at: None, free, filled, is_over, thread, skipped: 0 })
    }

    /// Takes a snapshot if one is due: also when a reorg has taken the world back.
    pub(crate) fn look(&mut self, world: &World) {
        let tip = world.tip().number;
        let is_early = self
            .taken_at
            .is_some_and(|taken_at| tip >= taken_at && tip < taken_at.plus(self.every));
        // Inside an open block the pools are at no block's state.
        if is_early || world.open_block().is_some() {
            return;
        }
        let is_copied = match self.free.pop() {
            Err(_none_free) => false,
            Ok(mut sheet) => {
                let is_whole = sheet.copy(world);
                if !is_whole {
                    sheet.pools.clear();
                }
                self.filled.push(sheet).is_ok() && is_whole
            }
        };
        // One that failed is due again at the next block, and not at the next message.
        let is_retried = BlockNumber((tip.0 + 1).saturating_sub(self.every));
        self.taken_at = Some(if is_copied { tip } else { is_retried });
        self.skipped += u64::from(!is_copied);
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if self.skipped > 0 {
            let skipped = self.skipped;
            tracing::warn!(skipped, "snapshots were left out: there was no room for them");
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes snapshots had panicked");
        }
    }
}

/// The cold thread's end.
struct Desk {
    file: File,
    rosters: Rosters,
    incoming: Consumer<Box<Sheet>>,
    back: Producer<Box<Sheet>>,
    is_failing: bool,
}

impl Desk {
    #[cold]
    fn work(&mut self) {
        while let Ok(sheet) = self.incoming.pop() {
            // An empty one comes back unused.
            if !sheet.pools.is_empty() {
                let written = self.write(&sheet);
                if let Err(error) = &written
                    && !self.is_failing
                {
                    tracing::error!(%error, "a snapshot cannot be written");
                }
                self.is_failing = written.is_err();
            }
            // There is room for every sheet that there is.
            drop(self.back.push(sheet));
        }
    }

    fn write(&mut self, sheet: &Sheet) -> Result<()> {
        let mut line = serde_json::to_vec(&sheet.line(&self.rosters.now()))?;
        line.push(b'\n');
        // At one go, so that a line is lost as a whole or not at all.
        Ok(self.file.write_all(&line)?)
    }
}
