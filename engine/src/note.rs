//! Notes: what the journal and the log tell, as plain values that the shell writes off the hot
//! thread.
//!
//! Temperature: hot.

use alloy_primitives::B256;

use crate::flight::{Flight, Settlement};
use crate::limits::NOTES_MAX;
use crate::plan::Plan;
use crate::risk::Reject;
use crate::units::{BlockNumber, Nanos, Wei};
use crate::world::Freshness;

/// One thing worth telling.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    /// A plan was turned down.
    Rejected {
        /// The plan.
        plan: Plan,
        /// Why.
        reason: Reject,
        /// Whether this opportunity was not seen before.
        is_new: bool,
    },
    /// A plan was signed and handed to the outbox.
    Submitted(Flight),
    /// A submission ended.
    Settled(Flight, Settlement),
    /// The node's answer to a submission was an error.
    Refused {
        /// The submission.
        ticket: u32,
        /// The JSON-RPC error code.
        code: i64,
    },
    /// A block was sealed.
    Sealed {
        /// Its height.
        number: BlockNumber,
        /// Its hash.
        hash: B256,
        /// The next block's base fee.
        next_base_fee: Wei,
        /// Pools that moved.
        touched: u32,
    },
    /// Trading was gated or allowed again.
    Freshness {
        /// The reasons that stand now.
        freshness: Freshness,
        /// When.
        at: Nanos,
    },
}

/// The notes of one input.
#[derive(Debug)]
pub struct Notes {
    list: [Option<Note>; NOTES_MAX],
    count: usize,
    /// Notes that did not fit, since the start.
    pub dropped: u64,
}

impl Default for Notes {
    fn default() -> Self {
        Self { list: [None; NOTES_MAX], count: 0, dropped: 0 }
    }
}

impl Notes {
    /// Takes a note.
    pub const fn add(&mut self, note: Note) {
        if self.count < NOTES_MAX {
            self.list[self.count] = Some(note);
            self.count += 1;
        } else {
            self.dropped += 1;
        }
    }

    /// The notes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.list[..self.count].iter().flatten()
    }

    /// Forgets them.
    pub const fn clear(&mut self) {
        self.count = 0;
    }
}
