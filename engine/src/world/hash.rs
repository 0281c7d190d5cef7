//! A hasher without a random seed, so that the same inputs always give the same run.
//!
//! Keys are addresses and hashes, which an attacker can choose only at the price of deploying
//! contracts or grinding transactions; tables are bounded, so the worst case is bounded too.
//!
//! Temperature: hot.

use core::hash::{BuildHasher, Hasher};

/// Builds [`FixedHasher`]s; every one starts alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct FixedState;

impl BuildHasher for FixedState {
    type Hasher = FixedHasher;

    fn build_hasher(&self) -> FixedHasher {
        FixedHasher(0x9e37_79b9_7f4a_7c15)
    }
}

/// Multiplies and folds eight bytes at a time.
#[derive(Clone, Copy, Debug)]
pub struct FixedHasher(u64);

impl FixedHasher {
    fn fold(&mut self, word: u64) {
        // Two 64-bit factors: their product always fits.
        let product = u128::from(self.0 ^ word) * 0xa076_1d64_78bd_642f;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        {
            self.0 = (product as u64) ^ ((product >> 64) as u64);
        }
    }
}

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0_u8; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.fold(u64::from_le_bytes(last));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.fold(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.fold(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_keys_spread_over_the_table() {
        let mut buckets = [0_u32; 256];
        for key in 0..25_600_u64 {
            let mut hasher = FixedState.build_hasher();
            hasher.write(&key.to_be_bytes());
            buckets[usize::try_from(hasher.finish() >> 57 << 1).unwrap() % 256] += 1;
        }
        let used = buckets.iter().filter(|count| **count > 0).count();
        assert!(used >= 128, "the top seven bits, which hashbrown uses as tags, all occur: {used}");
        assert!(buckets.iter().all(|count| *count < 400));
    }
}
