//! Standing: whether a pool may be traded with, and if not, why.
//!
//! The shell tries pools by real swaps at a block, off the hot thread, and tells the world what
//! came of it. A pool that was not tried is not traded with.
//!
//! Temperature: warm.

use alloc::vec::Vec;

use super::World;
use crate::ids::{PoolId, TokenId};

/// What is known of a pool from trying it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Standing {
    /// It pays what it is quoted at, and its tokens arrive: it may be traded with.
    #[default]
    Admitted,
    /// It was not tried yet.
    Untried,
    /// No other pool can lend one of its tokens, so it can be in no cycle and is not tried.
    Unlent,
    /// It has nothing to pay with one way or the other.
    Empty,
    /// The node does not say what it is, or what a trial of it gives.
    Unreadable,
    /// Its views answer with other words than its kind's.
    UnknownLayout,
    /// Less of a token arrives than was sent: a fee on transfer.
    TransferFee,
    /// A token does not let itself be moved: it is paused, or has a list of who may not.
    TransferRefused,
    /// It has less of a token than it says: balances change by themselves.
    Rebasing,
    /// It refuses a swap that it should make.
    SwapRefused,
    /// It pays more or less than it is quoted at: its fee or its curve is another.
    QuoteDiffers,
}

impl Standing {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Admitted,
        Self::Untried,
        Self::Unlent,
        Self::Empty,
        Self::Unreadable,
        Self::UnknownLayout,
        Self::TransferFee,
        Self::TransferRefused,
        Self::Rebasing,
        Self::SwapRefused,
        Self::QuoteDiffers,
    ];

    /// The name used in the summary and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Untried => "untried",
            Self::Unlent => "unlent",
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::UnknownLayout => "unknown-layout",
            Self::TransferFee => "transfer-fee",
            Self::TransferRefused => "transfer-refused",
            Self::Rebasing => "rebasing",
            Self::SwapRefused => "swap-refused",
            Self::QuoteDiffers => "quote-differs",
        }
    }

    /// Whether it may be traded with.
    #[must_use]
    #[inline]
    pub const fn is_admitted(self) -> bool {
        matches!(self, Self::Admitted)
    }
}

/// What came of trying some pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The pools, and what is known of them now.
    pub pools: Vec<(PoolId, Standing)>,
    /// Tokens, and what a transfer of each uses beyond a plain token's, in gas.
    pub transfers: Vec<(TokenId, u32)>,
}

impl World {
    /// Takes over what came of trying pools.
    #[cold]
    pub fn admit(&mut self, tried: &Tried) {
        for (pool, standing) in &tried.pools {
            if pool.index() >= self.pools.len() {
                continue;
            }
            let entry = self.pools.entry_mut(*pool);
            if entry.standing != *standing {
                entry.standing = *standing;
                // Whoever keeps figures of it must look again.
                self.touched.push(*pool);
            }
        }
        for (token, gas) in &tried.transfers {
            self.tokens.set_transfer_gas(*token, *gas);
        }
    }

    /// How many pools stand so, in the order of [`Standing::ALL`].
    #[must_use]
    #[cold]
    pub fn standings(&self) -> [usize; Standing::ALL.len()] {
        let mut counts = [0; Standing::ALL.len()];
        for id in self.pools.ids() {
            counts[self.pools.get(*id).standing as usize] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standings_are_numbered_in_their_order_and_named_once() {
        for (place, standing) in Standing::ALL.iter().enumerate() {
            assert_eq!(*standing as usize, place);
            let same = Standing::ALL.iter().filter(|other| other.name() == standing.name());
            assert_eq!(same.count(), 1);
        }
    }
}
