//! The open block is sealed by a node's own list of its logs.
//!
//! The list is asked for the moment the head comes: of the node that announced it, then of the
//! others that know the block.
//!
//! Temperature: warm.

use alloy_primitives::Bloom;

use super::Visitor;
use super::state::{FAILOVER_NS, INCLUDED_MAX, Included, LogFate, Progress, RETRY_NS};
use crate::decode::DecodeError;
use crate::decode::log::Log;
use crate::query::{Queries, Query};
use crate::units::Nanos;
use crate::wire::json;
use crate::world::{Stale, World};

/// A question that was answered with an error is repeated after this long.
const REFUSED_RETRY_NS: u64 = 100_000_000;

impl World {
    /// Seals the open block by the node's own list of its logs (the JSON array `logs`).
    /// `visit` is called with the world at the block's start (`None`) and after each of its
    /// transactions that touched our pools, if `replay` asks for it.
    ///
    /// # Errors
    /// When the list is not a list of this block's logs; the block stays open and the list is asked
    /// for again.
    pub fn on_block_logs(
        &mut self,
        (opened, logs): (u32, &[u8]),
        at: Nanos,
        queries: &mut Queries,
        replay: Option<&mut Visitor<'_>>,
    ) -> Result<Progress, DecodeError> {
        if !self.follower.is_open || opened != self.follower.opened {
            return Ok(Progress::None);
        }
        self.check_list(logs)?;
        if self.is_doubtful(logs)? {
            self.follower.open.is_doubted = true;
            return Err(DecodeError::Contradiction);
        }
        let (listed, known) = self.count_list(logs)?;
        let applied = self.follower.open.applied_count;
        if listed != applied || known != applied || replay.is_some() {
            self.apply_list(logs, replay)?;
        }
        self.note_included(logs)?;
        self.seal();
        self.advance(at, queries);
        if known < applied {
            // The node announced a log of this block that it does not list. One of the two is
            // wrong, so its pools are read.
            self.lose();
            return Ok(Progress::None);
        }
        Ok(self.progress())
    }

    /// The node has no list of the logs of the block that was opened as number `opened`: trading
    /// waits, and another node that knows the block is asked, or the same one again soon.
    pub fn on_block_logs_refused(&mut self, opened: u32, at: Nanos) {
        let follower = &mut self.follower;
        if follower.is_open && opened == follower.opened {
            let mut others = follower.open.by.and(self.nodes.askable());
            if let Some(asked) = follower.open.asked {
                others.remove(asked);
            }
            let wait_ns = if others.is_empty() { REFUSED_RETRY_NS } else { 0 };
            follower.open.ask_at = at.plus(wait_ns);
            self.freshness.set(Stale::SealLate, true);
        }
    }

    /// Every log must be of the open block, and in order; otherwise nothing of it is believed.
    fn check_list(&self, logs: &[u8]) -> Result<(), DecodeError> {
        let mut last = None;
        for item in json::items(logs)? {
            let log = Log::parse(item?)?;
            if log.block_hash != self.follower.open.head.hash || last >= Some(log.log_index) {
                return Err(DecodeError::Contradiction);
            }
            self.move_in(&log)?;
            last = Some(log.log_index);
        }
        Ok(())
    }

    /// Whether the list is empty though the head's bloom filter has our topic. A node that does not
    /// have the block's logs yet says so too, so it is believed when it says it again. A head that
    /// came without a bloom filter raises no doubt.
    fn is_doubtful(&self, logs: &[u8]) -> Result<bool, DecodeError> {
        let open = &self.follower.open;
        let has_bloom = open.head.bloom != Bloom::repeat_byte(0xff);
        Ok(has_bloom && !open.is_doubted && json::items(logs)?.next().is_none())
    }

    /// How many logs of ours the list has, and how many of them the subscription has brought.
    fn count_list(&self, logs: &[u8]) -> Result<(u32, u32), DecodeError> {
        let (mut listed, mut known) = (0_u32, 0_u32);
        for item in json::items(logs)? {
            let log = Log::parse(item?)?;
            if self.move_in(&log)?.is_some() {
                listed += 1;
                known += u32::from(self.follower.has_applied(log.log_index));
            }
        }
        Ok((listed, known))
    }

    /// Applies the whole list from the state before the block.
    fn apply_list(
        &mut self,
        logs: &[u8],
        mut replay: Option<&mut Visitor<'_>>,
    ) -> Result<(), DecodeError> {
        if self.undo.roll_back(&mut self.pools, self.follower.open.mark).is_err() {
            self.lose();
            return Err(DecodeError::Contradiction);
        }
        self.follower.forget_applied();
        if let Some(visit) = &mut replay {
            visit(self, None);
        }
        let mut current: Option<Included> = None;
        for item in json::items(logs)? {
            let log = Log::parse(item?)?;
            if let (Some(visit), Some(before)) = (&mut replay, current)
                && before.hash != log.tx_hash
            {
                visit(self, Some(before));
                current = None;
            }
            if self.apply_log(&log)? == LogFate::Applied {
                current = Some(Included::of(&log));
            }
        }
        if let (Some(visit), Some(last)) = (&mut replay, current) {
            visit(self, Some(last));
        }
        Ok(())
    }

    fn note_included(&mut self, logs: &[u8]) -> Result<(), DecodeError> {
        for item in json::items(logs)? {
            let log = Log::parse(item?)?;
            let included = Included::of(&log);
            let list = &mut self.follower.included;
            if list.last() != Some(&included)
                && list.len() < INCLUDED_MAX
                && self.pools.id_of(&log.address).is_some()
            {
                list.push(included);
            }
        }
        Ok(())
    }

    /// Asks for the open block's logs: the node that announced it, then the others that know it in
    /// turn.
    pub(super) fn ask_for_logs(&mut self, at: Nanos, queries: &mut Queries) {
        let (up, open) = (self.nodes.askable(), &mut self.follower.open);
        let known = open.by.and(up);
        let whom = if known.is_empty() { up } else { known };
        let next = match open.asked {
            None if whom.has(open.first) => Some(open.first),
            None => whom.after(open.first),
            Some(last) => whom.after(last),
        };
        let node = next.unwrap_or(queries.lead);
        open.asked = Some(node);
        let mut others = whom;
        others.remove(node);
        open.ask_at = at.plus(if others.is_empty() { RETRY_NS } else { FAILOVER_NS });
        let block = open.head.hash;
        queries.ask_of(node, Query::BlockLogs { block, open: self.follower.opened });
    }
}
