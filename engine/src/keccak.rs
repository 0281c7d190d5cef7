//! Keccak-256, the hash of Ethereum: one message, and another one beside it.
//!
//! The permutation mixes 25 words of 64 bits by rotations and by functions of three words. AVX-512
//! has an instruction for each of both, and registers for all words at once. A word is half of the
//! shortest register, so a second message is permuted in the other half in the same time: what is
//! signed and what is sent have nearly all bytes in common, and are hashed together up to the
//! signature. On other processors the library's own implementation hashes one after the other.
//!
//! Invariants: every digest is what `alloy_primitives::keccak256` gives.
//!
//! Temperature: hot.

use alloy_primitives::{B256, keccak256};

/// Bytes that are absorbed at a time.
const RATE: usize = 136;
/// The state's words.
const WORDS: usize = 25;

/// A message of which the first bytes are hashed.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    words: [u64; WORDS],
    /// How many bytes that is; whole blocks.
    absorbed: usize,
}

impl Begun {
    const NOTHING: Self = Self { words: [0; WORDS], absorbed: 0 };

    /// The hash of `message`, which must begin with what was begun with.
    #[must_use]
    pub fn finish(&self, message: &[u8]) -> B256 {
        #[cfg(target_arch = "x86_64")]
        if let Some(rest) = message.get(self.absorbed..)
            && self.absorbed > 0
            && let Some(hash) = avx512::finish(&self.words, rest)
        {
            return hash;
        }
        hash(message)
    }
}

/// The hash of a message.
#[must_use]
#[inline]
pub fn hash(message: &[u8]) -> B256 {
    #[cfg(target_arch = "x86_64")]
    if let Some(hash) = avx512::finish(&[0; WORDS], message) {
        return hash;
    }
    keccak256(message)
}

/// The hash of a message, and the beginning of another one whose first bytes are `head` and `body`.
/// As much of it is hashed on the way as takes no longer.
#[must_use]
pub fn hash_and_begin(message: &[u8], head: &[u8], body: &[u8]) -> (B256, Begun) {
    #[cfg(target_arch = "x86_64")]
    {
        let mut first = [0; RATE];
        let filled = RATE.saturating_sub(head.len());
        if let Some((from_head, from_body)) = first.split_at_mut_checked(head.len())
            && let Some((start, rest)) = body.split_at_checked(filled)
        {
            from_head.copy_from_slice(head);
            from_body.copy_from_slice(start);
            let (blocks, _) = rest.as_chunks::<RATE>();
            if let Some(both) = avx512::both(message, &first, blocks) {
                return both;
            }
        }
    }
    (hash(message), Begun::NOTHING)
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        __m128i, _mm_cvtsi128_si64, _mm_rol_epi64, _mm_set_epi64x, _mm_set1_epi64x,
        _mm_setzero_si128, _mm_ternarylogic_epi64, _mm_unpackhi_epi64, _mm_xor_si128,
    };

    use alloy_primitives::B256;

    use super::{Begun, RATE, WORDS};

    cpufeatures::new!(processor, "avx512f", "avx512vl");

    /// Words of two messages, side by side.
    type State = [__m128i; WORDS];
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

    /// The hash of a message of which `words` say what came before; `None` if the processor cannot.
    #[expect(unsafe_code, reason = "whether the processor can is known only when it runs")]
    pub(super) fn finish(words: &[u64; WORDS], message: &[u8]) -> Option<B256> {
        // SAFETY: the processor has what these instructions need.
        processor::get().then(|| unsafe { finish_here(words, message) })
    }

    /// The hash of a message, and the state of another one after `first` and as many of `others`
    /// as are permuted meanwhile; `None` if the processor cannot.
    #[expect(unsafe_code, reason = "whether the processor can is known only when it runs")]
    pub(super) fn both(message: &[u8], first: &Block, others: &[Block]) -> Option<(B256, Begun)> {
        // SAFETY: the processor has what these instructions need.
        processor::get().then(|| unsafe { both_here(message, first, others) })
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    fn finish_here(words: &[u64; WORDS], message: &[u8]) -> B256 {
        let mut state = [_mm_setzero_si128(); WORDS];
        for (lane, word) in state.iter_mut().zip(words) {
            *lane = _mm_set_epi64x(0, word.cast_signed());
        }
        let (blocks, rest) = message.as_chunks();
        for block in blocks {
            absorb(&mut state, block, None);
        }
        absorb(&mut state, &last_block(rest), None);
        digest(&state)
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    fn both_here(message: &[u8], first: &Block, others: &[Block]) -> (B256, Begun) {
        let mut state = [_mm_setzero_si128(); WORDS];
        let (blocks, rest) = message.as_chunks();
        let last = last_block(rest);
        let (mut begun, mut second) = (Begun::NOTHING, core::iter::once(first).chain(others));
        for block in blocks.iter().chain([&last]) {
            let beside = second.next();
            absorb(&mut state, block, beside);
            if beside.is_some() {
                begun.absorbed = begun.absorbed.saturating_add(RATE);
                for (word, lane) in begun.words.iter_mut().zip(state) {
                    *word = _mm_cvtsi128_si64(_mm_unpackhi_epi64(lane, lane)).cast_unsigned();
                }
            }
        }
        (digest(&state), begun)
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

    #[target_feature(enable = "avx512f,avx512vl")]
    fn digest(state: &State) -> B256 {
        let mut hash = B256::ZERO;
        let (words, _) = hash.0.as_chunks_mut();
        for (word, lane) in words.iter_mut().zip(state) {
            *word = _mm_cvtsi128_si64(*lane).to_le_bytes();
        }
        hash
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn absorb(state: &mut State, block: &Block, beside: Option<&Block>) {
        let (words, _) = block.as_chunks();
        let others = beside.map_or(words, |block| block.as_chunks().0);
        for ((lane, word), other) in state.iter_mut().zip(words).zip(others) {
            let [word, other] = [word, other].map(|word| i64::from_le_bytes(*word));
            *lane = _mm_xor_si128(*lane, _mm_set_epi64x(other, word));
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

        #[test]
        fn two_messages_are_hashed_together_as_they_are_alone(
            message in proptest::collection::vec(any::<u8>(), 0..700),
            head in proptest::collection::vec(any::<u8>(), 0..150),
            body in proptest::collection::vec(any::<u8>(), 0..700),
            tail in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let (digest, begun) = hash_and_begin(&message, &head, &body);
            prop_assert_eq!(digest, keccak256(&message));
            let whole: Vec<u8> = [head, body, tail].concat();
            prop_assert_eq!(begun.finish(&whole), keccak256(&whole));
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_head_start_is_as_long_as_the_message_beside_it_allows() {
        let blocks = |bytes: usize| {
            let body = alloc::vec![7; bytes];
            let (_, begun) = hash_and_begin(&[9; 2 * RATE], &[1, 2, 3], &body);
            begun.absorbed / RATE
        };
        // Two blocks and the padding are permuted.
        let begun = [RATE - 4, RATE - 3, 3 * RATE - 4, 3 * RATE - 3, 9 * RATE].map(blocks);
        let is_able = avx512::finish(&[0; WORDS], &[]).is_some();
        assert_eq!(begun, if is_able { [0, 1, 2, 3, 3] } else { [0; 5] });
    }

    #[test]
    fn messages_of_every_length_around_a_block_are_padded_right() {
        let message: Vec<u8> = (0..=255).cycle().take(3 * RATE + 2).collect();
        for length in 0..message.len() {
            let message = &message[..length];
            assert_eq!(hash(message), keccak256(message), "{length} bytes");
            let (digest, begun) = hash_and_begin(message, &[], message);
            assert_eq!([digest, begun.finish(message)], [keccak256(message); 2], "{length} bytes");
        }
    }
}
