//! Where signed transactions go. What a run is — live, dry-run, backtest — is decided by this type
//! and by where inputs come from, and by nothing else.
//!
//! Temperature: hot.

use crate::flight::{Attempt, Flight};
use crate::sign::presign::Presignature;
use crate::units::Nanos;

/// The times at which one input passed the stages of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// The read that completed the message returned.
    pub received: Nanos,
    /// The frame was decoded.
    pub decoded: Nanos,
    /// The world was changed.
    pub applied: Nanos,
    /// The strategies had proposed.
    pub decided: Nanos,
    /// The transaction was signed.
    pub signed: Nanos,
}

/// A signed transaction on its way out.
#[derive(Clone, Copy, Debug)]
pub struct SignedTx<'a> {
    /// EIP-2718 bytes.
    pub raw: &'a [u8],
    /// Which transaction of which submission; replies come back under it.
    pub attempt: Attempt,
}

/// Why a transaction did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Unsent {
    /// The connection is down or its buffer is full.
    LinkDown,
    /// It could not be written down, so that a restart would not know of it.
    NotRecorded,
}

/// How the end of a submission is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settles {
    /// From the chain: receipts.
    ByReceipt,
    /// From the following blocks: the plan is executed on the state where it would have landed.
    ByReplay,
}

/// Takes signed transactions.
pub trait Outbox {
    /// How the end of a submission is learnt.
    const SETTLES: Settles;

    /// A presignature for what is submitted next; `None` has it signed as a whole.
    fn presignature(&mut self) -> Option<Presignature> {
        None
    }

    /// Writes the submission down, then sends this transaction of it, without waiting.
    ///
    /// Of the submission's own transaction, the first of it, `flight` does not have the hash yet:
    /// it is taken of the bytes once they have left.
    ///
    /// # Errors
    /// When it did not leave.
    fn submit(&mut self, tx: &SignedTx<'_>, flight: &Flight, stamps: &Stamps)
    -> Result<(), Unsent>;
}

/// Reads the time for stamps. Decisions never use it.
pub trait Clock {
    /// Now.
    fn now(&self) -> Nanos;
}
