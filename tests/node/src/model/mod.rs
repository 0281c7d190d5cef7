//! A chain small enough to reason about: V2 pairs, tokens, an executor, blocks with parents, a
//! transaction pool. No EVM: each contract is played by the few lines of arithmetic that it is.
//!
//! Temperature: cold.

pub mod chain;
pub mod execution;
pub mod market;
pub mod pool;
pub mod transaction;

pub use self::chain::{Block, Chain, Log, Mined};
pub use self::market::{Market, Pair, Wallet};
pub use self::transaction::Tx;

/// A generator of pseudo-random numbers (SplitMix64): the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator that starts from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % end.max(1) as u64).unwrap_or_default()
    }
}
