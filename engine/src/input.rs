//! Inputs: everything that can change a decision.
//!
//! A recorded sequence of inputs gives the same decisions again, because nothing else gets in: time
//! is `at`, and the node's answers are frames like its announcements.
//!
//! Temperature: hot.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::amm::{Pool, Tick};
use crate::decode::head::Head;
use crate::decode::list::Rows;
use crate::growth::Growth;
use crate::ids::{NodeId, PoolId};
use crate::loans::Loans;
use crate::loans::reread::Reread;
use crate::units::Nanos;
use crate::world::audit::Drift;
use crate::world::{Tip, Tried};

/// Where a frame came from: one of the three connections to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Source {
    /// Heads and logs.
    Chain,
    /// Pending transactions.
    Pending,
    /// Replies, and our own transactions out.
    Rpc,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chain, Self::Pending, Self::Rpc];

    /// The name used in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Pending => "pending",
            Self::Rpc => "rpc",
        }
    }
}

/// An order from the shell.
#[derive(Debug)]
pub enum Command {
    /// Submit nothing new; follow what is in flight.
    Drain,
    /// The kill switch: submit nothing new while it stands; what is in flight is followed.
    Halt(bool),
    /// The pools at a block, loaded anew after the feed was lost.
    Reload(Box<Reloaded>),
    /// What came of trying pools.
    Admit(Box<Tried>),
    /// A pool that the audit found to be other than was held of it.
    Drift(Box<Drift>),
    /// Pools that were created meanwhile, and what finds cycles through them.
    Grow(Box<Growth>),
    /// What was read anew of loans and prices.
    Lend(Box<Reread>),
}

/// The world at a block, read from the node.
#[derive(Debug)]
pub struct Reloaded {
    /// The block.
    pub anchor: Tip,
    /// Each pool there, in the order of handles.
    pub pools: Vec<Loaded>,
    /// Those of them that did not answer, and are taken to be empty until they do.
    pub unread: Vec<PoolId>,
    /// Loans there, if any are followed.
    pub loans: Option<Loans>,
}

/// A pool as it was read from the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its state.
    pub state: Pool,
    /// Its ticks, sorted; none for kinds without.
    pub ticks: Vec<Tick>,
}

/// A whole block that is read already, out of a recording's columns: what a head's announcement
/// and the node's list of its logs say, without a frame.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Its header.
    pub head: &'a Head,
    /// Its logs.
    pub rows: Rows<'a>,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A whole message.
    Frame {
        /// Its node.
        node: NodeId,
        /// Its connection.
        source: Source,
        /// Its bytes.
        bytes: &'a [u8],
        /// Whether more is buffered behind it: pending swaps are put aside then, so that the best
        /// of them are looked at first.
        has_more: bool,
    },
    /// A whole block, from a recording.
    Block {
        /// The node that stands for the recording.
        node: NodeId,
        /// The block.
        block: Block<'a>,
    },
    /// A message that was longer than the buffer and was skipped.
    Truncated {
        /// Its node.
        node: NodeId,
        /// Its connection.
        source: Source,
    },
    /// Time passed.
    Tick,
    /// A connection came up, with its subscriptions made, or went down.
    Link {
        /// The node.
        node: NodeId,
        /// The connection.
        source: Source,
        /// Whether it is up.
        is_up: bool,
    },
    /// An order from the shell.
    Command(Command),
}

impl Happening<'_> {
    /// The same once more, if it is what came over a connection.
    #[must_use]
    pub const fn message(&self) -> Option<Self> {
        match *self {
            Self::Frame { node, source, bytes, has_more } => {
                Some(Self::Frame { node, source, bytes, has_more })
            }
            Self::Truncated { node, source } => Some(Self::Truncated { node, source }),
            Self::Block { .. } | Self::Tick | Self::Link { .. } | Self::Command(_) => None,
        }
    }
}

/// Something that happened, when, and in what order.
#[derive(Debug)]
pub struct Input<'a> {
    /// When the read that completed it returned.
    pub at: Nanos,
    /// Its place in the sequence of all inputs.
    pub seq: u64,
    /// What happened.
    pub what: Happening<'a>,
}
