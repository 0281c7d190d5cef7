//! Pending swaps that wait for an open block to be sealed.
//!
//! A full queue drops its oldest: what waited longest is likeliest to have landed.
//!
//! Temperature: hot.

use alloc::collections::VecDeque;

use alloy_primitives::B256;

use crate::limits::PENDING_QUEUE_MAX;
use crate::mempool::Target;

/// A bounded first-in first-out queue.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: VecDeque<Target>,
    /// Swaps that did not fit, since the start.
    pub(crate) dropped: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { queue: VecDeque::with_capacity(PENDING_QUEUE_MAX), dropped: 0 }
    }
}

impl Waiting {
    /// Puts a swap at the end; when the queue is full the oldest gives way.
    pub(crate) fn push(&mut self, target: &Target) {
        if self.queue.len() == PENDING_QUEUE_MAX {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(*target);
    }

    /// Takes the swap that waited longest.
    pub(crate) fn pop(&mut self) -> Option<Target> {
        self.queue.pop_front()
    }

    /// Drops the swaps that `is_gone` tells to be in a block already, or replaced.
    pub(crate) fn forget(&mut self, mut is_gone: impl FnMut(&B256) -> bool) {
        self.queue.retain(|target| !is_gone(&target.follow.hash));
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}
