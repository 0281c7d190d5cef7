//! What following the chain has to remember: sealed blocks, the open one, heads that wait.
//!
//! Temperature: warm.

use alloc::vec::Vec;

use alloy_primitives::B256;

use crate::decode::head::Head;
use crate::decode::log::Log;
use crate::ids::NodeId;
use crate::limits::{LOGS_PER_BLOCK_MAX, REORG_BLOCKS_MAX};
use crate::query::short;
use crate::units::{BlockNumber, Nanos};
use crate::world::Tip;
use crate::world::nodes::NodeSet;
use crate::world::undo::Mark;

/// A question about a block is repeated after this long.
pub(super) const RETRY_NS: u64 = 1_000_000_000;

/// Another node that knows the block is asked for its logs after this long.
pub(super) const FAILOVER_NS: u64 = 200_000_000;

/// Transactions of one block that are told apart for having touched our pools.
pub(super) const INCLUDED_MAX: usize = 4_096;

/// A head that still waits for its parent is given up when the tip is so many blocks higher.
const LEFT_BEHIND_BLOCKS: u64 = 8;
/// It is also given up when the node has said so often that it does not know the parent. A node
/// that is one of many behind one address may be late, so the answers are spread over time.
const DENIALS_MAX: u8 = 3;
/// A denial counts that comes so long after the one before.
const DENIED_AGAIN_NS: u64 = RETRY_NS / 2;

/// A block, by height and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BlockRef {
    /// Height.
    pub number: BlockNumber,
    /// Hash.
    pub hash: B256,
}

/// A transaction that touched our pools in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Included {
    /// The transaction.
    pub hash: B256,
    /// Its place in the block.
    pub index: u32,
    /// The block.
    pub block: B256,
}

impl Included {
    pub(super) const fn of(log: &Log<'_>) -> Self {
        Self { hash: log.tx_hash, index: log.tx_index, block: log.block_hash }
    }
}

/// What became of a log from the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LogFate {
    /// Applied to the open block.
    Applied,
    /// Applied before.
    Duplicate,
    /// From a block that is not open; the seal brings it.
    OtherBlock,
    /// Taken back by the node; the new branch's heads say so too.
    Removed,
    /// From a contract that is no pool of ours, or of another shape.
    Foreign,
}

/// How far a head or a list of logs has brought the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No block was sealed.
    None,
    /// At least one block was sealed; more are waiting.
    CatchingUp,
    /// At least one block was sealed, and the world stands at the newest head.
    AtHead,
}

/// A sealed block, and the place in the undo log where the world stood at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) tip: Tip,
    pub(super) mark: Mark,
}

/// A block whose logs may still be coming.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) head: Head,
    /// Where the undo log stood before it.
    pub(super) mark: Mark,
    pub(super) applied: Vec<u64>,
    pub(super) applied_count: u32,
    pub(super) highest: Option<u32>,
    /// When its logs are asked for again.
    pub(super) ask_at: Nanos,
    /// Whether an empty list of its logs was not believed.
    pub(super) is_doubted: bool,
    /// The nodes that know it, and the first of them.
    pub(super) by: NodeSet,
    pub(super) first: NodeId,
    /// The node that was asked for its logs last.
    pub(super) asked: Option<NodeId>,
    /// Whether its receipts are waited for before anybody is asked.
    pub(super) is_awaited: bool,
}

/// A head whose parent is not sealed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orphan {
    pub(super) head: Head,
    /// How often a node that knows it said that it does not know the parent, and when last.
    pub(super) denials: u8,
    pub(super) denied_at: Nanos,
    /// The nodes that know it, and the first of them.
    pub(super) by: NodeSet,
    pub(super) first: NodeId,
}

/// The state of following.
#[derive(Debug)]
pub struct Follower {
    pub(super) sealed: Vec<Sealed>,
    pub(super) is_open: bool,
    pub(super) open: Open,
    /// Heads whose parent is not sealed yet.
    pub(super) waiting: Vec<Orphan>,
    pub(super) included: Vec<Included>,
    /// The block whose receipts came before its head.
    pub(super) receipts_of: B256,
    /// Blocks opened since the start: tells a late reply from a current one.
    pub(super) opened: u32,
    /// When the last head came that was not known.
    pub(super) last_head_at: Nanos,
    /// Whether none has come for too long, and when that was noticed last.
    pub(super) is_silent: bool,
    pub(super) silent_at: Nanos,
    pub(super) gap_asked_at: Nanos,
    /// When the nodes were asked last where they stand, because none stands where we do.
    pub(super) word_asked_at: Nanos,
    /// Reorgs played backwards, since the start.
    pub(super) reorgs: u64,
    /// Deepest of them, in blocks.
    pub(super) reorg_depth_max: u64,
}

impl Follower {
    pub(in crate::world) fn new(anchor: Tip, mark: Mark) -> Self {
        let mut sealed = Vec::with_capacity(REORG_BLOCKS_MAX + 1);
        sealed.push(Sealed { tip: anchor, mark });
        let applied = alloc::vec![0; LOGS_PER_BLOCK_MAX / 64];
        let open = Open {
            head: Head::default(),
            mark,
            applied,
            applied_count: 0,
            highest: None,
            ask_at: Nanos(0),
            is_doubted: false,
            by: NodeSet::default(),
            first: NodeId(0),
            asked: None,
            is_awaited: false,
        };
        Self {
            sealed,
            is_open: false,
            open,
            waiting: Vec::with_capacity(REORG_BLOCKS_MAX),
            included: Vec::with_capacity(INCLUDED_MAX),
            receipts_of: B256::ZERO,
            opened: 0,
            last_head_at: Nanos(0),
            is_silent: false,
            silent_at: Nanos(0),
            gap_asked_at: Nanos(0),
            word_asked_at: Nanos(0),
            reorgs: 0,
            reorg_depth_max: 0,
        }
    }

    /// Nothing older than this can be taken back any more: of sealed blocks, the last one is kept.
    pub(in crate::world) fn restart_marks(&mut self, mark: Mark) {
        let last = self.sealed.len().saturating_sub(1);
        self.sealed.drain(..last);
        for sealed in &mut self.sealed {
            sealed.mark = mark;
        }
    }

    /// Begins anew at `anchor`. The count of opened blocks goes on, so that a late answer about a
    /// block that was left is never taken for one about a new block.
    pub(super) fn restart(&mut self, anchor: Tip, mark: Mark) {
        self.sealed.clear();
        self.sealed.push(Sealed { tip: anchor, mark });
        self.is_open = false;
        // What the anchor's logs are is not known: none of them is missed.
        self.open.head = Head::default();
        self.waiting.clear();
        self.included.clear();
    }

    pub(in crate::world) const fn open(&self) -> Option<BlockRef> {
        if self.is_open {
            let Head { number, hash, .. } = self.open.head;
            Some(BlockRef { number: BlockNumber(number), hash })
        } else {
            None
        }
    }

    /// The time of the open block, in seconds, if one is.
    pub(in crate::world) fn open_time(&self) -> Option<u64> {
        self.is_open.then_some(self.open.head.timestamp)
    }

    /// What was written after the end of the last sealed block belongs to it, and to those before
    /// it down to `since` after which nothing was written: it is not taken back with what comes
    /// after them.
    pub(in crate::world) fn move_marks(&mut self, since: BlockNumber, [before, after]: [Mark; 2]) {
        let is_meant = |sealed: &&mut Sealed| sealed.mark == before && sealed.tip.number >= since;
        for sealed in self.sealed.iter_mut().rev().take_while(is_meant) {
            sealed.mark = after;
        }
        if self.is_open && self.open.mark == before {
            self.open.mark = after;
        }
    }

    /// Whether its parent, as far as it is known, has another height than this head says.
    pub(super) fn denies(&self, head: &Head) -> bool {
        let sealed = self.sealed.iter().map(|sealed| (sealed.tip.hash, sealed.tip.number.0));
        let open = self.is_open.then_some((self.open.head.hash, self.open.head.number));
        let waiting = self.waiting.iter().map(|child| (child.head.hash, child.head.number));
        sealed.chain(open).chain(waiting).any(|(hash, number)| {
            hash == head.parent_hash && number.checked_add(1) != Some(head.number)
        })
    }

    /// Drops the waiting children of `head` that are not one block higher.
    pub(super) fn drop_false_children(&mut self, head: &Head) {
        self.waiting.retain(|Orphan { head: child, .. }| {
            child.parent_hash != head.hash || head.number.checked_add(1) == Some(child.number)
        });
    }

    /// Drops the heads that wait on a branch which the chain has left: their parents may never
    /// come, and trading would be gated for ever.
    pub(super) fn drop_left_behind(&mut self, tip: BlockNumber) {
        let is_near = |head: &Head| BlockNumber(head.number).plus(LEFT_BEHIND_BLOCKS) > tip;
        self.waiting.retain(|child| is_near(&child.head));
    }

    /// A node does not know a parent: heads that it announced and that wait for it in vain for too
    /// long are dropped, and `on_drop` is told of each. Whether there was one.
    pub(super) fn deny(
        &mut self,
        (node, parent): (NodeId, u32),
        at: Nanos,
        mut on_drop: impl FnMut(&B256),
    ) -> bool {
        let before = self.waiting.len();
        self.waiting.retain_mut(|Orphan { head, denials, denied_at, by, .. }| {
            // A node that never announced the child need not know the parent.
            let is_meant = short(&head.parent_hash) == parent && by.has(node);
            if is_meant && (*denials == 0 || at.since(*denied_at) > DENIED_AGAIN_NS) {
                *denials += 1;
                *denied_at = at;
            }
            let is_kept = *denials < DENIALS_MAX;
            if !is_kept {
                on_drop(&head.hash);
            }
            is_kept
        });
        self.waiting.len() < before
    }

    /// One more node knows this block.
    pub(super) fn vouch(&mut self, hash: &B256, node: NodeId, at: Nanos) {
        if self.is_open_block(hash) && !self.open.by.has(node) {
            self.open.by.add(node);
            self.open.ask_at = self.open.ask_at.min(at.plus(FAILOVER_NS));
        }
        if let Some(child) = self.waiting.iter_mut().find(|child| child.head.hash == *hash) {
            child.by.add(node);
        }
    }

    /// Adds a log's transaction to those that touched our pools, if there is room.
    pub(super) fn include(&mut self, log: &Log<'_>) {
        let included = Included::of(log);
        if self.included.last() != Some(&included) && self.included.len() < INCLUDED_MAX {
            self.included.push(included);
        }
    }

    pub(super) fn depth_of(&self, hash: &B256) -> Option<usize> {
        self.sealed.iter().rev().position(|sealed| sealed.tip.hash == *hash)
    }

    pub(super) fn is_waiting(&self, hash: &B256) -> bool {
        self.waiting.iter().any(|child| child.head.hash == *hash)
    }

    pub(super) fn is_open_block(&self, hash: &B256) -> bool {
        self.is_open && self.open.head.hash == *hash
    }

    pub(super) fn knows(&self, hash: &B256) -> bool {
        self.is_open_block(hash) || self.is_waiting(hash) || self.depth_of(hash).is_some()
    }

    /// The parents that waiting heads lack.
    /// With the node that announced the child first.
    pub(super) fn unknown_parents(&self) -> impl Iterator<Item = (NodeId, &B256)> {
        let parents = self.waiting.iter().map(|child| (child.first, &child.head.parent_hash));
        parents.filter(|(_, parent)| !self.knows(parent))
    }

    /// Whether a log with this index was applied to the block that was opened last.
    pub(super) fn has_applied(&self, log_index: u32) -> bool {
        let (word, bit) = (log_index as usize / 64, log_index % 64);
        self.open.applied.get(word).is_some_and(|word| word & (1 << bit) != 0)
    }

    /// Whether this log is of the block that was opened last, and is not among what sealed it.
    pub(super) fn lacks(&self, log: &Log<'_>) -> bool {
        let is_last = self.sealed.last().is_some_and(|sealed| sealed.tip.hash == log.block_hash);
        is_last
            && self.open.head.hash == log.block_hash
            && (log.log_index as usize) < LOGS_PER_BLOCK_MAX
            && !self.has_applied(log.log_index)
    }

    /// Whether this log of the open block is new; remembers it.
    pub(super) fn first_time(&mut self, log_index: u32) -> bool {
        let (word, bit) = (log_index as usize / 64, log_index % 64);
        let Some(word) = self.open.applied.get_mut(word) else { return true };
        let is_new = *word & (1 << bit) == 0;
        *word |= 1 << bit;
        is_new
    }

    pub(super) fn forget_applied(&mut self) {
        self.open.applied.fill(0);
        self.open.applied_count = 0;
        self.open.highest = None;
    }
}
