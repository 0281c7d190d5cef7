//! The open block is sealed by a node's own list of its logs.
//!
//! A node that announces a block's receipts brings the list by itself. Of any other it is asked for
//! the moment the head comes: of the node that announced it, then of the others that know it.
//!
//! Temperature: warm.

use alloy_primitives::{B256, Bloom};

use super::Visitor;
use super::state::{FAILOVER_NS, Included, LogFate, Progress, RETRY_NS};
use crate::decode::DecodeError;
use crate::decode::list::{self, List, Rows};
use crate::decode::log::Log;
use crate::ids::NodeId;
use crate::query::{Queries, Query};
use crate::units::Nanos;
use crate::world::{Stale, World};

/// A question that was answered with an error is repeated after this long.
const REFUSED_RETRY_NS: u64 = 100_000_000;

impl World {
    /// Seals the open block by a node's own list of its logs (the JSON array `logs`).
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
        self.seal_by(List::Logs(logs), at, queries, replay)
    }

    /// Seals the open block, which is `block`, by logs that are read already. No node is asked for
    /// the list then.
    ///
    /// # Errors
    /// As [`World::on_block_logs`].
    pub fn on_rows(
        &mut self,
        (block, rows): (&B256, &Rows<'_>),
        at: Nanos,
        queries: &mut Queries,
        replay: Option<&mut Visitor<'_>>,
    ) -> Result<Progress, DecodeError> {
        if !self.follower.is_open_block(block) {
            return Ok(Progress::None);
        }
        self.seal_by(List::Rows(rows), at, queries, replay)
    }

    /// Seals the open block by the receipts of its transactions (a JSON array), which a node
    /// announces by itself. Those of the block sealed last are held against what sealed it.
    ///
    /// # Errors
    /// As [`World::on_block_logs`].
    pub fn on_receipts(
        &mut self,
        (node, receipts): (NodeId, &[u8]),
        at: Nanos,
        queries: &mut Queries,
        replay: Option<&mut Visitor<'_>>,
    ) -> Result<Progress, DecodeError> {
        // A block without transactions does not say which one it is; it has no logs of ours.
        let Some(block) = list::block_of(receipts)? else { return Ok(Progress::None) };
        self.nodes.announces_receipts(node);
        let list = List::Receipts(receipts);
        if self.follower.is_open_block(&block) {
            return self.seal_by(list, at, queries, replay);
        }
        if !self.follower.knows(&block) {
            // They came before their head, and will not come again.
            self.follower.receipts_of = block;
        } else if block == self.tip.hash {
            let mut is_wrong = false;
            list.each(|log| {
                is_wrong |= self.follower.lacks(log) && self.hear(log)?.is_some();
                Ok(())
            })?;
            if is_wrong {
                self.lose();
            }
        }
        Ok(Progress::None)
    }

    fn seal_by(
        &mut self,
        list: List<'_>,
        at: Nanos,
        queries: &mut Queries,
        replay: Option<&mut Visitor<'_>>,
    ) -> Result<Progress, DecodeError> {
        let included_before = self.follower.included.len();
        let applied = self.follower.open.applied_count;
        let taken = match list {
            // Nothing has come before it, and it is whole.
            List::Rows(rows) if applied == 0 => self.take_rows(rows, replay),
            List::Logs(_) | List::Receipts(_) | List::Rows(_) => self.take_list(list, replay),
        };
        let known = match taken {
            Ok(known) => known,
            Err(error) => {
                self.follower.included.truncate(included_before);
                return Err(error);
            }
        };
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

    /// Takes a list that was not read yet. How many of its logs the subscription had brought.
    fn take_list(
        &mut self,
        list: List<'_>,
        replay: Option<&mut Visitor<'_>>,
    ) -> Result<u32, DecodeError> {
        let survey = self.survey(list)?;
        self.doubt(list, survey.is_empty)?;
        let Survey { listed, known, .. } = survey;
        let applied = self.follower.open.applied_count;
        if listed != applied || known != applied || replay.is_some() {
            self.apply_list(list, replay, true)?;
        }
        Ok(known)
    }

    /// Takes a list that is read already, at once: no log of it has to be read a second time. One
    /// with a log that cannot be is taken back; pools that it made doubtful stay so.
    fn take_rows(
        &mut self,
        rows: &Rows<'_>,
        replay: Option<&mut Visitor<'_>>,
    ) -> Result<u32, DecodeError> {
        let list = List::Rows(rows);
        let mut last = None;
        rows.logs.iter().try_for_each(|log| self.check_log(log, &mut last))?;
        self.doubt(list, rows.is_empty && rows.logs.is_empty())?;
        self.pools.warm(rows.logs.iter().map(|log| &log.address));
        let applied = self.apply_list(list, replay, false);
        if applied.is_err() {
            self.leave_list()?;
        }
        applied.map(|()| 0)
    }

    /// Every log must be of the open block, and come behind the one before.
    fn check_log(&self, log: &Log<'_>, last: &mut Option<u32>) -> Result<(), DecodeError> {
        if log.block_hash != self.follower.open.head.hash || *last >= Some(log.log_index) {
            return Err(DecodeError::Contradiction);
        }
        *last = Some(log.log_index);
        Ok(())
    }

    /// Reads a list once; if it is wrong, nothing of it is believed. Notes the transactions that
    /// touched our pools.
    fn survey(&mut self, list: List<'_>) -> Result<Survey, DecodeError> {
        let mut survey = Survey::default();
        if let List::Rows(rows) = list {
            survey.is_empty = rows.is_empty;
        }
        let mut last = None;
        list.each(|log| {
            self.check_log(log, &mut last)?;
            survey.is_empty = false;
            let is_heard = self.hear(log)?.is_some();
            if is_heard {
                survey.listed += 1;
                survey.known += u32::from(self.follower.has_applied(log.log_index));
            }
            if is_heard || self.pools.id_of(&log.address).is_some() {
                self.follower.include(log);
            }
            Ok(())
        })?;
        Ok(survey)
    }

    /// Doubts a list that is empty though the head's bloom filter has our topic. A node that does
    /// not have the block's logs yet says so too, so it is believed when it says it again. A head
    /// that came without a bloom filter raises no doubt.
    fn doubt(&mut self, list: List<'_>, is_empty: bool) -> Result<(), DecodeError> {
        let open = &mut self.follower.open;
        let has_bloom = open.head.bloom != Bloom::repeat_byte(0xff);
        let is_asked = match list {
            List::Logs(_) | List::Rows(_) => true,
            List::Receipts(_) => false,
        };
        if is_asked && has_bloom && !open.is_doubted && is_empty {
            open.is_doubted = true;
            return Err(DecodeError::Contradiction);
        }
        Ok(())
    }

    /// Takes back what was applied of the open block.
    fn leave_list(&mut self) -> Result<(), DecodeError> {
        if self.roll_back(self.follower.open.mark).is_err() {
            self.lose();
            return Err(DecodeError::Contradiction);
        }
        self.follower.forget_applied();
        Ok(())
    }

    /// Applies the whole list from the state before the block. If it was not surveyed, it notes the
    /// transactions that touched our pools.
    fn apply_list(
        &mut self,
        list: List<'_>,
        mut replay: Option<&mut Visitor<'_>>,
        is_surveyed: bool,
    ) -> Result<(), DecodeError> {
        self.leave_list()?;
        if let Some(visit) = &mut replay {
            visit(self, None);
        }
        let mut current: Option<Included> = None;
        list.each(|log| {
            if let (Some(visit), Some(before)) = (&mut replay, current)
                && before.hash != log.tx_hash
            {
                visit(self, Some(before));
                current = None;
            }
            let is_applied = self.apply_log(log)? == LogFate::Applied;
            if is_applied {
                current = Some(Included::of(log));
            }
            if !is_surveyed && (is_applied || self.pools.id_of(&log.address).is_some()) {
                self.follower.include(log);
            }
            Ok(())
        })?;
        if let (Some(visit), Some(last)) = (&mut replay, current) {
            visit(self, Some(last));
        }
        Ok(())
    }

    /// Asks for the open block's logs: the node that announced it, then the others that know it in
    /// turn.
    pub(super) fn ask_for_logs(&mut self, at: Nanos, queries: &mut Queries) {
        let up = self.nodes.askable();
        let is_early = self.follower.receipts_of == self.follower.open.head.hash;
        let open = &mut self.follower.open;
        if open.asked.is_none()
            && !open.is_awaited
            && !is_early
            && self.nodes.has_receipts(open.first)
        {
            // It is about to announce them.
            open.is_awaited = true;
            open.ask_at = at.plus(FAILOVER_NS);
            return;
        }
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
        let (open, followed) = (self.follower.opened, self.loans.followed());
        queries.ask_of(node, Query::BlockLogs { block, open, followed });
    }
}

/// What one reading of a list shows.
#[derive(Clone, Copy, Debug)]
struct Survey {
    /// Logs of ours.
    listed: u32,
    /// How many of these the subscription has brought.
    known: u32,
    /// Whether it has no log at all.
    is_empty: bool,
}

impl Default for Survey {
    fn default() -> Self {
        Self { listed: 0, known: 0, is_empty: true }
    }
}
