//! Notes: what the journal and the log tell, as plain values that the shell writes off the hot
//! thread.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::B256;

use crate::flight::{Attempt, Flight, Settlement};
use crate::ids::WalletId;
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
    /// A reorg took back how a submission ended; it is followed anew.
    Reversed(Flight, Settlement),
    /// A submission is being taken back.
    Cancelling {
        /// The submission.
        flight: Flight,
        /// The transaction that is to take its nonce.
        hash: B256,
    },
    /// The node's answer to a submission was an error.
    Refused {
        /// The transaction.
        attempt: Attempt,
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
    /// Something that a user should look at.
    Alert(Alert),
    /// Trading was gated or allowed again.
    Freshness {
        /// The reasons that stand now.
        freshness: Freshness,
        /// When.
        at: Nanos,
    },
}

/// Something that a user should look at, and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// A wallet cannot pay the gas of a trade; it pauses.
    WalletLow {
        /// The wallet.
        wallet: WalletId,
        /// What it has.
        balance: Wei,
        /// What it must have to go on.
        needed: Wei,
    },
    /// It can pay again.
    WalletFunded {
        /// The wallet.
        wallet: WalletId,
        /// What it has.
        balance: Wei,
    },
    /// A transaction that is not ours used the wallet.
    WalletShared {
        /// The wallet.
        wallet: WalletId,
        /// Its next nonce now.
        nonce: u64,
    },
    /// Too many reverts in a row: trading pauses.
    RevertsPause,
    /// That pause is over.
    RevertsPauseOver,
    /// What may be lost in a day is lost, or may be by what is on its way.
    LossPerDay {
        /// What was lost.
        lost: Wei,
    },
    /// Submissions that can no longer be taken back wait for their nonce to be mined.
    Stuck {
        /// The wallet.
        wallet: WalletId,
        /// Its nonce.
        nonce: u64,
    },
}

impl Alert {
    /// The name used in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WalletLow { .. } => "wallet-low",
            Self::WalletFunded { .. } => "wallet-funded",
            Self::WalletShared { .. } => "wallet-shared",
            Self::RevertsPause => "reverts-pause",
            Self::RevertsPauseOver => "reverts-pause-over",
            Self::LossPerDay { .. } => "loss-per-day",
            Self::Stuck { .. } => "stuck",
        }
    }
}

/// The notes of one input.
#[derive(Debug)]
pub struct Notes {
    list: Vec<Note>,
    /// Notes that did not fit, since the start.
    pub dropped: u64,
}

impl Default for Notes {
    fn default() -> Self {
        Self { list: Vec::with_capacity(NOTES_MAX), dropped: 0 }
    }
}

impl Notes {
    /// Takes a note.
    pub fn add(&mut self, note: Note) {
        if self.list.len() < NOTES_MAX {
            self.list.push(note);
        } else {
            self.dropped += 1;
        }
    }

    /// The notes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.list.iter()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.list.clear();
    }
}
