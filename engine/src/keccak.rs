//! Keccak-256, the hash of Ethereum.
//!
//! The permutation mixes 25 words of 64 bits by rotations and by functions of three words. AVX-512
//! has an instruction for each of both, and registers for all words at once. On other processors
//! the library's own implementation hashes.
//!
//! Invariants: every digest is what `alloy_primitives::keccak256` gives.
//!
//! Temperature: hot.

use alloy_primitives::{B256, keccak256};

/// The hash of a message.
#[must_use]
#[inline]
pub fn hash(message: &[u8]) -> B256 {
    #[cfg(target_arch = "x86_64")]
    if let Some(hash) = avx512::hash(message) {
        return hash;
    }
    keccak256(message)
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        __m128i, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_rol_epi64, _mm_set1_epi64x,
        _mm_setzero_si128, _mm_ternarylogic_epi64, _mm_xor_si128,
    };

    use alloy_primitives::B256;

    cpufeatures::new!(processor, "avx512f", "avx512vl");

    /// Bytes that are absorbed at a time.
    const RATE: usize = 136;
    /// A word is half of the shortest register.
    type State = [__m128i; 25];
    /// A block of a message.
    type Block = [u8; RATE];

    /// Of three bits: whether an odd number is set.
    const XOR: i32 = 0x96;
    /// Of three bits: the first, turned over if the third is set and the second is not.
    const CHI: i32 = 0xd2;
    /// The first byte after a message, and the last of its last block.
    const PADDING: [u8; 2] = [0x01, 0x80];

    /// What each round flips in the first word, from the sequence of FIPS 202, 3.2.5.
    const ROUNDS: [u64; 24] = {
        let mut rounds = [0; 24];
        let (mut round, mut register) = (0, 1_u8);
        while round < rounds.len() {
            let mut bit = 0;
            while bit < 7 {
                rounds[round] |= ((register & 1) as u64) << ((1_u32 << bit) - 1);
                register = (register << 1) ^ if register & 0x80 == 0 { 0 } else { 0x71 };
                bit += 1;
            }
            round += 1;
        }
        rounds
    };

    /// The hash of a message; `None` if the processor cannot.
    #[expect(unsafe_code, reason = "whether the processor can is known only when it runs")]
    #[inline]
    pub(super) fn hash(message: &[u8]) -> Option<B256> {
        // SAFETY: the processor has what these instructions need.
        processor::get().then(|| unsafe { hash_here(message) })
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    fn hash_here(message: &[u8]) -> B256 {
        let mut state = [_mm_setzero_si128(); 25];
        let (blocks, rest) = message.as_chunks();
        for block in blocks {
            absorb(&mut state, block);
        }
        absorb(&mut state, &last_block(rest));
        let mut hash = B256::ZERO;
        let (words, _) = hash.0.as_chunks_mut();
        for (word, lane) in words.iter_mut().zip(state) {
            *word = _mm_cvtsi128_si64(lane).to_le_bytes();
        }
        hash
    }

    /// The last block of a message that ends with these bytes.
    fn last_block(rest: &[u8]) -> Block {
        let mut last = [0; RATE];
        if let Some((text, padding)) = last.split_at_mut_checked(rest.len()) {
            text.copy_from_slice(rest);
            padding[0] = PADDING[0];
        }
        last[RATE - 1] |= PADDING[1];
        last
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn absorb(state: &mut State, block: &Block) {
        let (words, _) = block.as_chunks();
        for (lane, word) in state.iter_mut().zip(words) {
            *lane = _mm_xor_si128(*lane, _mm_cvtsi64_si128(i64::from_le_bytes(*word)));
        }
        permute(state);
    }

    /// Keccak-f\[1600\] of FIPS 202, 3.3. Written out: rotations are by constants.
    #[target_feature(enable = "avx512f,avx512vl")]
    fn permute(state: &mut State) {
        let mut words = *state;
        for round in ROUNDS {
            macro_rules! column {
                ($x:literal) => {{
                    let upper =
                        _mm_ternarylogic_epi64::<XOR>(words[$x], words[$x + 5], words[$x + 10]);
                    _mm_ternarylogic_epi64::<XOR>(upper, words[$x + 15], words[$x + 20])
                }};
            }
            let sums = [column!(0), column!(1), column!(2), column!(3), column!(4)];
            // A word with the columns beside it, and turned.
            macro_rules! moved {
                ($at:literal << $by:literal) => {{
                    let right = _mm_rol_epi64::<1>(sums[($at + 1) % 5]);
                    let mixed =
                        _mm_ternarylogic_epi64::<XOR>(words[$at], sums[($at + 4) % 5], right);
                    _mm_rol_epi64::<$by>(mixed)
                }};
            }
            macro_rules! row {
                ($a:literal << $by_a:literal, $b:literal << $by_b:literal,
                 $c:literal << $by_c:literal, $d:literal << $by_d:literal,
                 $e:literal << $by_e:literal) => {{
                    let (a, b) = (moved!($a << $by_a), moved!($b << $by_b));
                    let (c, d) = (moved!($c << $by_c), moved!($d << $by_d));
                    let e = moved!($e << $by_e);
                    [
                        _mm_ternarylogic_epi64::<CHI>(a, b, c),
                        _mm_ternarylogic_epi64::<CHI>(b, c, d),
                        _mm_ternarylogic_epi64::<CHI>(c, d, e),
                        _mm_ternarylogic_epi64::<CHI>(d, e, a),
                        _mm_ternarylogic_epi64::<CHI>(e, a, b),
                    ]
                }};
            }
            let [a, b, c, d, e] = row!(0 << 0, 6 << 44, 12 << 43, 18 << 21, 24 << 14);
            let [f, g, h, i, j] = row!(3 << 28, 9 << 20, 10 << 3, 16 << 45, 22 << 61);
            let [k, l, m, n, o] = row!(1 << 1, 7 << 6, 13 << 25, 19 << 8, 20 << 18);
            let [p, q, r, s, t] = row!(4 << 27, 5 << 36, 11 << 10, 17 << 15, 23 << 56);
            let [u, v, w, x, y] = row!(2 << 62, 8 << 55, 14 << 39, 15 << 41, 21 << 2);
            let a = _mm_xor_si128(a, _mm_set1_epi64x(round.cast_signed()));
            words = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y];
        }
        *state = words;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_message_has_the_hash_that_the_library_gives(
            message in proptest::collection::vec(any::<u8>(), 0..700),
        ) {
            prop_assert_eq!(hash(&message), keccak256(&message));
        }
    }

    #[test]
    fn messages_of_every_length_around_a_block_are_padded_right() {
        let message: Vec<u8> = (0..=255).cycle().take(3 * 136 + 2).collect();
        for length in 0..message.len() {
            let message = &message[..length];
            assert_eq!(hash(message), keccak256(message), "{length} bytes");
        }
    }
}
