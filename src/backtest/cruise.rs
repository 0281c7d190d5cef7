//! Strategies over a whole segment whose pools are known before its first block: its logs come
//! column by column, so that length costs time and no memory.
//!
//! Segments fly beside each other, each from its own pools, so how many threads there are changes
//! nothing. What a segment still has in flight at its end is settled on the blocks behind it, where
//! they follow at once; nothing new is planned there.
//!
//! Temperature: cold.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Instant;

use alloy_primitives::{Address, B256};
use anyhow::Result;
use gannet_engine::decode::list::Rows;
use gannet_engine::decode::log::Log;
use gannet_engine::input::Command;
use gannet_engine::strategy::StrategySet;

use super::cockpit::head_of;
use super::fly::{Course, Flown, Pilot, anchor, take_off};
use super::limit::with_limit;
use super::spent::Spent;
use crate::config::Config;
use crate::recording::rows::BlockRow;
use crate::recording::{Lane, Recording, Segment};
use crate::venue::{Because, Setting, world};

/// Blocks behind a segment on which its last plans may be settled.
const TAIL_BLOCKS: u64 = 8;

/// What came of a segment.
#[derive(Debug, Default)]
pub(super) struct Cruised {
    pub(super) flown: Flown,
    /// Blocks within the range that was asked for, the first and the last of them.
    pub(super) blocks: u64,
    pub(super) ends: Option<(u64, u64)>,
    /// Times of the blocks that plans are for.
    pub(super) timestamps: Vec<(u64, u64)>,
    /// Logs that contradicted what was held of their pool.
    pub(super) contradicted: u64,
    pub(super) spent: Spent,
}

/// Flies over a segment. Blocks of it before the range are flown over too, for what they leave;
/// their plans are dropped. Not inlined: threads wait for each other on top of whoever calls it, so
/// that what it has on the stack must not be theirs.
#[inline(never)]
pub(super) fn cruise<S: StrategySet>(
    config: Config<S>,
    recording: &Recording,
    (segment, range): (&Segment, (u64, u64)),
    setting: Setting<'_>,
) -> Result<Cruised> {
    let start = Instant::now();
    let venues = recording.pools_before(segment.first_block)?;
    let Some(first) = recording.header(segment.first_block)? else {
        return Ok(Cruised::default());
    };
    let mut cruised = Cruised::default();
    cruised.flown.pools = venues.len();
    let course = Course { setting, codes: &recording.codes };
    let anchor = anchor(&first);
    let world = match world(&venues, &Setting { anchor, ..setting }) {
        Ok(world) => world,
        Err(Because(why)) => {
            cruised.flown.left_out.insert(why, venues.len());
            return Ok(cruised);
        }
    };
    let flown = std::mem::take(&mut cruised.flown);
    let (pilot, hash) = match take_off((config, world), &venues, (&first, anchor), flown, &course)?
    {
        Ok(pilot) => pilot,
        Err(flown) => return Ok(Cruised { flown, ..cruised }),
    };
    drop(venues);
    cruised.spent.start = start.elapsed();
    let last = segment.last_block;
    let flight =
        Flight { pilot, hash, cruised, last, range, number: first.block_number.0, is_over: false };
    flight.fly(recording, segment)
}

/// A segment's flight.
struct Flight<'a, S> {
    pilot: Pilot<'a, S>,
    /// The block that was flown over last.
    hash: B256,
    /// The block that is expected next.
    number: u64,
    cruised: Cruised,
    /// The segment's last block.
    last: u64,
    range: (u64, u64),
    /// Whether nothing new is planned any more.
    is_over: bool,
}

impl<S: StrategySet> Flight<'_, S> {
    fn fly(mut self, recording: &Recording, segment: &Segment) -> Result<Cruised> {
        let start = Instant::now();
        let end = self.last.min(self.range.1);
        self.last = end;
        let mut lane = Lane::new(recording);
        // Handles and addresses of a world do not change while it is flown over.
        let followed: HashSet<Address> = {
            let pools = &self.pilot.cockpit.engine.world.pools;
            pools.ids().iter().map(|id| pools.get(*id).address).collect()
        };
        let blocks = (segment.first_block, end.saturating_add(TAIL_BLOCKS));
        lane.each(
            blocks,
            |address| followed.contains(address),
            |(header, next), logs| Ok(self.block(&with_limit(header, next), logs)),
        )?;
        let Self { pilot, mut cruised, .. } = self;
        let (from, to) = self.range;
        let is_asked = |block: u64| (from..=to).contains(&block);
        cruised.contradicted = pilot.cockpit.engine.world.contradicted();
        cruised.flown = pilot.flown;
        cruised.flown.plans.retain(|plan| is_asked(plan.block));
        let spent = &mut cruised.spent;
        *spent += pilot.cockpit.spent;
        (spent.read, spent.rows, spent.blocks) = (lane.read, lane.rows, cruised.blocks);
        let stages = spent.read + spent.rows + spent.world + spent.strategies;
        // What is left is what came of plans.
        spent.trade = start.elapsed().saturating_sub(stages);
        Ok(cruised)
    }

    fn block(&mut self, header: &BlockRow, logs: &mut [Log<'_>]) -> ControlFlow<()> {
        let number = header.block_number.0;
        if number > self.last {
            if !self.pilot.is_in_flight() || number != self.number {
                return ControlFlow::Break(());
            }
            if !self.is_over {
                self.is_over = true;
                self.pilot.cockpit.command(Command::Drain);
            }
        } else if number >= self.range.0 {
            self.cruised.blocks += 1;
            let first = self.cruised.ends.map_or(number, |(first, _)| first);
            self.cruised.ends = Some((first, number));
        }
        self.number = number.saturating_add(1);
        let head = head_of(header, self.hash);
        if header.block_hash.is_none() {
            logs.iter_mut().for_each(|log| log.block_hash = head.hash);
        }
        self.hash = head.hash;
        let planned = self.pilot.flown.plans.len();
        // Whether it has others than those that move pools was not read, and a recording says by
        // itself whether it has all that a header speaks of.
        self.pilot.cockpit.block(&head, Rows { logs, is_empty: false });
        self.pilot.cockpit.tick();
        self.pilot.cockpit.engine.world.forget_past();
        self.pilot.note(None);
        if self.pilot.flown.plans.len() > planned || self.pilot.has_ended {
            self.cruised.timestamps.push((number, head.timestamp));
        }
        ControlFlow::Continue(())
    }
}
