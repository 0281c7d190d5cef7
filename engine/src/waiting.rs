//! Pending swaps that have not landed yet: those that wait for an open block to be sealed, and
//! those that may stand before us in the next block.
//!
//! Bounded; when it is full the oldest gives way, for it is likeliest to have landed.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::B256;

use crate::flight::Admitted;
use crate::limits::PENDING_QUEUE_MAX;
use crate::mempool::Target;
use crate::units::BlockNumber;

/// A pending swap is forgotten when it has not landed for this many blocks.
const BLOCKS_MAX: u64 = 3;

#[derive(Clone, Copy, Debug)]
struct Entry {
    target: Target,
    /// The block that was next when it was announced.
    next_block: BlockNumber,
    /// Whether the strategies have not seen it yet.
    is_unseen: bool,
}

/// Pending swaps, oldest first.
#[derive(Debug)]
pub(crate) struct Waiting {
    entries: Vec<Entry>,
    /// Swaps that gave way to newer ones, since the start.
    pub(crate) dropped: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { entries: Vec::with_capacity(PENDING_QUEUE_MAX), dropped: 0 }
    }
}

impl Waiting {
    /// Remembers a swap; `is_unseen` says that the strategies must still look at it.
    pub(crate) fn push(&mut self, target: &Target, next_block: BlockNumber, is_unseen: bool) {
        if self.entries.len() == PENDING_QUEUE_MAX {
            self.entries.remove(0);
            self.dropped += 1;
        }
        self.entries.push(Entry { target: *target, next_block, is_unseen });
    }

    /// The oldest swap that the strategies have not seen; it counts as seen from now on.
    pub(crate) fn next_unseen(&mut self) -> Option<Target> {
        let entry = self.entries.iter_mut().find(|entry| entry.is_unseen)?;
        entry.is_unseen = false;
        Some(entry.target)
    }

    /// Drops the swaps that landed or were replaced.
    pub(crate) fn forget(&mut self, mut is_gone: impl FnMut(&B256) -> bool) {
        self.entries.retain(|entry| !is_gone(&entry.target.follow.hash));
    }

    /// Drops the swaps that did not land for too long.
    pub(crate) fn expire(&mut self, next_block: BlockNumber) {
        self.entries.retain(|entry| next_block < entry.next_block.plus(BLOCKS_MAX));
    }

    /// A swap, by its hash.
    pub(crate) fn get(&self, hash: &B256) -> Option<&Target> {
        let entry = self.entries.iter().rev().find(|entry| entry.target.follow.hash == *hash);
        entry.map(|entry| &entry.target)
    }

    /// The swaps that may stand before a transaction of ours in the same block and move a pool of
    /// its plan: they pay more by one rule or the other (the fee cap or the tip).
    pub(crate) fn ahead_of<'a>(&'a self, ours: &'a Admitted) -> impl Iterator<Item = &'a Target> {
        let (max_fee, tip) = (ours.fees.max_fee, ours.fees.priority_fee);
        let followed = ours.plan.follows().map(|follow| follow.hash);
        self.entries.iter().map(|entry| &entry.target).filter(move |target| {
            let follow = &target.follow;
            let pays_more = follow.max_fee > max_fee || follow.priority_fee > tip;
            let moves_ours = target
                .hops()
                .iter()
                .any(|hop| ours.plan.legs().iter().any(|leg| leg.pool == hop.pool));
            Some(follow.hash) != followed && pays_more && moves_ours
        })
    }
}
