//! Counts of what came in and what was turned away, each with its reason. Nothing is lost in
//! silence.
//!
//! Temperature: hot.

use crate::decode::DecodeError;
use crate::input::Source;
use crate::mempool::News;
use crate::world::Unfit;
use crate::world::follow::LogFate;

/// Why a pending swap left the queue before the strategies saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Gone {
    /// The queue was full of swaps that move more.
    Outranked,
    /// It did not land for several blocks.
    Expired,
    /// A sealed block included it.
    Landed,
    /// Its nonce was used: it reverted without a trace, or another transaction took its place.
    NonceUsed,
    /// Its sender announced another transaction in its place.
    Replaced,
}

impl Gone {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Outranked, Self::Expired, Self::Landed, Self::NonceUsed, Self::Replaced];

    /// The name used in the summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outranked => "outranked",
            Self::Expired => "expired",
            Self::Landed => "landed",
            Self::NonceUsed => "nonce-used",
            Self::Replaced => "replaced",
        }
    }
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages, by source.
    pub frames: [u64; 3],
    /// Messages that did not decode, by source.
    pub undecodable: [u64; 3],
    /// The last of these errors.
    pub last_error: Option<DecodeError>,
    /// Messages longer than their buffer, by source.
    pub truncated: [u64; 3],
    /// Heads.
    pub heads: u64,
    /// Logs by fate: applied, duplicate, of another block, removed, foreign.
    pub logs: [u64; 5],
    /// Pending transactions that are no swap through known pools.
    pub pending_other: u64,
    /// Pending swaps by news: new, replacing, duplicate, underpaying.
    pub pending: [u64; 4],
    /// Pending transactions whose bytes do not hash to the announced hash.
    pub pending_forged: u64,
    /// Pending hashes that were fetched.
    pub pending_fetched: u64,
    /// Pending hashes of swaps that were known already.
    pub pending_known: u64,
    /// Pending swaps that the strategies saw.
    pub pending_seen: u64,
    /// Pending swaps that waited for an open block.
    pub queued: u64,
    /// Pending swaps that came while the world was stale.
    pub pending_stale: u64,
    /// Pending swaps that would not land, by reason.
    pub unfit: [u64; Unfit::ALL.len()],
    /// Replies to questions that this engine did not ask.
    pub replies_other: u64,
    /// Replies of a node that is behind the world, or on another branch, about what changes from
    /// block to block.
    pub replies_behind: u64,
    /// Error replies to questions.
    pub reply_errors: u64,
}

impl Tally {
    /// Counts a message that did not decode.
    pub const fn undecodable(&mut self, source: Source, error: DecodeError) {
        self.undecodable[source as usize] += 1;
        self.last_error = Some(error);
    }

    /// Counts a log.
    pub const fn log(&mut self, fate: LogFate) {
        self.logs[fate as usize] += 1;
    }

    /// Counts a pending swap.
    pub const fn pending(&mut self, news: News) {
        self.pending[match news {
            News::New => 0,
            News::Replaces(_) => 1,
            News::Duplicate => 2,
            News::Underpays => 3,
        }] += 1;
    }

    /// Counts a pending swap that would not land.
    pub const fn unfit(&mut self, unfit: Unfit) {
        self.unfit[unfit as usize] += 1;
    }
}
