//! Counts of what came in and what was turned away, each with its reason. Nothing is lost in
//! silence.
//!
//! Temperature: hot.

use crate::decode::DecodeError;
use crate::input::Source;
use crate::mempool::News;
use crate::world::Unfit;
use crate::world::follow::LogFate;

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
    /// Pending swaps that waited for an open block.
    pub queued: u64,
    /// Pending swaps that came while the world was stale.
    pub pending_stale: u64,
    /// Pending swaps that would not land, by reason.
    pub unfit: [u64; 5],
    /// Replies to questions that this engine did not ask.
    pub replies_other: u64,
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
