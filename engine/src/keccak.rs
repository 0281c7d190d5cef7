//! Keccak-256, the hash of Ethereum: of one message, or of two in one pass.
//!
//! The permutation mixes 25 words of 64 bits by rotations and by functions of three words. AVX-512
//! has an instruction for each of both, and registers for all words at once. For one message that
//! is hardly faster than the library's assembly; but a word is half of the shortest register, and a
//! second message is permuted in the other half in the same time. On other processors the library
//! hashes one after the other.
//!
//! Invariants: every digest is what `alloy_primitives::keccak256` gives.
//!
//! Temperature: hot.

use alloy_primitives::{B256, keccak256};

/// The hash of a message.
#[must_use]
#[inline]
pub fn hash(message: &[u8]) -> B256 {
    keccak256(message)
}

/// The hashes of two messages.
#[must_use]
#[inline]
pub fn hash_both(messages: [&[u8]; 2]) -> [B256; 2] {
    #[cfg(target_arch = "x86_64")]
    if let Some(hashes) = avx512::hash_both(messages) {
        return hashes;
    }
    messages.map(hash)
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        __m128i, _mm_cvtsi128_si64, _mm_rol_epi64, _mm_set_epi64x, _mm_set1_epi64x,
        _mm_setzero_si128, _mm_ternarylogic_epi64, _mm_unpackhi_epi64, _mm_xor_si128,
    };

    use alloy_primitives::B256;

    cpufeatures::new!(processor, "avx512f", "avx512vl");

    /// Bytes that are absorbed at a time.
    const RATE: usize = 136;
    /// Words of two messages, side by side.
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

    /// The hashes of two messages; `None` if the processor cannot.
    #[expect(unsafe_code, reason = "whether the processor can is known only when it runs")]
    #[inline]
    pub(super) fn hash_both(messages: [&[u8]; 2]) -> Option<[B256; 2]> {
        // SAFETY: the processor has what these instructions need.
        processor::get().then(|| unsafe { hash_here(messages) })
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    fn hash_here(messages: [&[u8]; 2]) -> [B256; 2] {
        let mut state = [_mm_setzero_si128(); 25];
        let mut hashes = [B256::ZERO; 2];
        let [first, second] = messages.map(|message| message.as_chunks::<RATE>());
        let lasts = [first, second].map(|(_, rest)| last_block(rest));
        let ends = [first, second].map(|(blocks, _)| blocks.len());
        for at in 0..=ends[0].max(ends[1]) {
            // Whoever has ended goes on with what does not matter.
            let one = first.0.get(at).unwrap_or(&lasts[0]);
            let other = second.0.get(at).unwrap_or(&lasts[1]);
            absorb(&mut state, one, other);
            let [a, b, c, d, ..] = state;
            let start = [a, b, c, d];
            if at == ends[0] {
                hashes[0] = squeeze(start.map(|both| _mm_cvtsi128_si64(both)));
            }
            if at == ends[1] {
                let second = start.map(|both| _mm_unpackhi_epi64(both, both));
                hashes[1] = squeeze(second.map(|word| _mm_cvtsi128_si64(word)));
            }
        }
        hashes
    }

    /// The first words, which are the hash.
    fn squeeze(words: [i64; 4]) -> B256 {
        let mut hash = B256::ZERO;
        for (bytes, word) in hash.0.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
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
    fn absorb(state: &mut State, one: &Block, other: &Block) {
        let words = one.as_chunks().0.iter().zip(other.as_chunks().0);
        for (lane, (one, other)) in state.iter_mut().zip(words) {
            let [one, other] = [one, other].map(|word| i64::from_le_bytes(*word));
            *lane = _mm_xor_si128(*lane, _mm_set_epi64x(other, one));
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
        fn two_messages_have_the_hashes_that_the_library_gives(
            one in proptest::collection::vec(any::<u8>(), 0..700),
            other in proptest::collection::vec(any::<u8>(), 0..700),
        ) {
            let expected = [&one, &other].map(keccak256);
            prop_assert_eq!(hash_both([&one, &other]), expected);
        }
    }

    #[test]
    fn messages_of_every_length_around_a_block_are_padded_right() {
        let message: Vec<u8> = (0..=255).cycle().take(3 * 136 + 2).collect();
        for length in 0..message.len() {
            let (one, other) = (&message[..length], &message[length..]);
            let expected = [keccak256(one), keccak256(other)];
            assert_eq!(hash_both([one, other]), expected, "{length} bytes");
        }
    }
}
