//! The running audit: what is held of a pool at a sealed block, to be compared with the chain.
//!
//! The shell takes samples when a block has been sealed and reads the same pools at that block's
//! hash, off the hot thread. They must be equal; what differs is quarantined, and put right once it
//! was read as a whole. A pool that is new to the world begins in quarantine, and leaves it so.
//!
//! Temperature: warm.

use super::World;
use super::follow::BlockRef;
use crate::amm::{Pool, Tick};
use crate::ids::PoolId;
use crate::input::Loaded;
use crate::units::BlockNumber;

/// What is held of a pool at a sealed block.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The block.
    pub block: BlockRef,
    /// The pool.
    pub pool: PoolId,
    /// How often it had been moved.
    pub version: u32,
    /// Its state, without trades of ours that the chain does not contain.
    pub chain: Pool,
    /// The word of its bitmap whose ticks are compared; 0 for kinds without ticks.
    pub word: i16,
    /// What [`digest`] makes of the ticks in that word.
    pub ticks: u64,
    /// Whether it is known not to be trusted.
    pub is_quarantined: bool,
}

/// A pool that is not what was held of it, or that was in quarantine and is to leave it.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The sample that was compared.
    pub sample: Sample,
    /// What the chain says of all of it; `None` if only a part was read.
    pub chain: Option<Loaded>,
}

/// One number of ticks in order: equal ticks have equal ones, and others hardly ever do.
#[must_use]
pub fn digest(ticks: impl Iterator<Item = Tick>) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |sum: u64, part: u64| (sum.rotate_left(23) ^ part).wrapping_mul(PRIME);
    let halves = |number: u128| {
        let [high, low] = [number >> 64, number & u128::from(u64::MAX)];
        [high, low].map(|half| u64::try_from(half).unwrap_or(0))
    };
    ticks.fold(0, |sum, tick| {
        let sum = mix(sum, u64::from(tick.index.cast_unsigned()));
        let parts = halves(tick.net.cast_unsigned()).into_iter().chain(halves(tick.gross));
        parts.fold(sum, mix)
    })
}

impl World {
    /// A sample of a pool at the tip; `None` inside an open block, which is no block's state.
    /// `turn` chooses the ticks that are compared: now those around the price, now others.
    #[must_use]
    pub fn sample(&self, pool: PoolId, turn: usize) -> Option<Sample> {
        if self.open_block().is_some() || pool.index() >= self.pools.len() {
            return None;
        }
        let entry = self.pools.get(pool);
        let (word, ticks) = match &entry.chain {
            Pool::ConstantProduct(_) | Pool::Solidly(_) => (0, 0),
            Pool::Concentrated(held) => {
                let state = held.state();
                let indices = self.pools.ticks(pool).indices();
                let other = indices.get(turn.checked_rem(indices.len()).unwrap_or(0));
                let tick = other.filter(|_| turn % 2 == 1).copied().unwrap_or(state.tick);
                let spacing = state.tick_spacing.max(1);
                let word = tick.div_euclid(spacing) >> 8;
                let from = indices.partition_point(|index| index.div_euclid(spacing) >> 8 < word);
                let to = indices.partition_point(|index| index.div_euclid(spacing) >> 8 <= word);
                let ticks = self.pools.tick_list(pool).skip(from).take(to - from);
                (i16::try_from(word).unwrap_or(0), digest(ticks))
            }
        };
        let block = BlockRef { number: self.tip.number, hash: self.tip.hash };
        let (version, chain) = (entry.version, entry.chain);
        let is_quarantined = entry.is_quarantined;
        Some(Sample { block, pool, version, chain, word, ticks, is_quarantined })
    }

    /// A pool is not what was held of it: it is not traded with until it is put right, at once if
    /// nothing has moved it since and all of it was read, or when it is compared the next time.
    #[cold]
    pub fn on_drift(&mut self, Drift { sample, chain }: &Drift) {
        let pool = sample.pool;
        if pool.index() >= self.pools.len() {
            return;
        }
        self.drifted += u64::from(!sample.is_quarantined);
        self.pools.entry_mut(pool).is_quarantined = true;
        self.touched.push(pool);
        let is_untouched = self.pools.get(pool).version == sample.version
            && self.open_block().is_none()
            && self.holds(&sample.block);
        if let Some(chain) = chain.as_ref().filter(|_| is_untouched) {
            self.put_right(pool, chain, sample.block.number);
        }
    }

    /// Puts pools into quarantine: what is held of them is a guess.
    #[cold]
    pub fn quarantine(&mut self, pools: &[PoolId]) {
        let count = self.pools.len();
        for pool in pools.iter().filter(|pool| pool.index() < count) {
            self.pools.entry_mut(*pool).is_quarantined = true;
            self.touched.push(*pool);
        }
    }

    /// Ticks that there is no room for leave the pool in quarantine.
    fn put_right(
        &mut self,
        pool: PoolId,
        Loaded { state: chain, ticks }: &Loaded,
        since: BlockNumber,
    ) {
        if self.pools.load_ticks(pool, ticks).is_err() {
            return;
        }
        let before = self.undo.mark();
        self.undo.remember(pool, self.pools.get(pool));
        // It is what this block left, and what those after it left too; of those below it nothing
        // is known.
        self.follower.move_marks(since, [before, self.undo.mark()]);
        let overlay = self.pools.get(pool).overlay;
        let state = chain.with_overlay(self.pools.ticks(pool), overlay);
        let entry = self.pools.entry_mut(pool);
        (entry.chain, entry.state) = (*chain, state);
        entry.version = entry.version.wrapping_add(1);
        entry.is_quarantined = false;
    }

    /// Pools that the audit found to be other than was held of them, since the start: must be 0.
    #[must_use]
    pub const fn drifted(&self) -> u64 {
        self.drifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_ticks_apart_by_each_of_their_parts_and_by_order() {
        let ticks = [Tick { index: -60, net: 5, gross: 5 }, Tick { index: 60, net: -5, gross: 5 }];
        let held = digest(ticks.into_iter());
        assert_eq!(held, digest(ticks.into_iter()));
        let others = [
            [Tick { index: -120, ..ticks[0] }, ticks[1]],
            [Tick { net: 6, ..ticks[0] }, ticks[1]],
            [Tick { net: 5 + (1 << 80), ..ticks[0] }, ticks[1]],
            [Tick { gross: 6, ..ticks[0] }, ticks[1]],
            [ticks[1], ticks[0]],
        ];
        for other in others {
            assert_ne!(held, digest(other.into_iter()), "{other:?}");
        }
        assert_ne!(held, digest(ticks.into_iter().take(1)));
        assert_eq!(digest(core::iter::empty()), 0);
    }
}
