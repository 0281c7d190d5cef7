//! What the targets share: mutators that know what the bytes are.
//!
//! A fuzzer that flips bytes of JSON mostly finds that broken JSON is refused. These keep the shape
//! and change what is in it, and leave one input in four to the fuzzer's own, blind mutations.
//!
//! Temperature: cold.

pub mod json;
pub mod words;

/// Numbers from a seed (SplitMix64), so that a mutation is the same whenever it is repeated.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall alike for one seed.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self(seed as u64)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}
