//! Where strings end: quotes and backslashes, found a chunk of bytes at a time.
//!
//! Temperature: hot.

use memchr::memchr2;

/// Chunks that are looked at one by one: as many as a hash has, and with AVX2 two words of data.
const CHUNKS: usize = 5;

/// Bytes of a chunk.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
const CHUNK_BYTES: usize = 32;
#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
const CHUNK_BYTES: usize = 16;

/// The first quote or backslash at or after `at`.
#[inline]
pub(super) fn quote_or_backslash(bytes: &[u8], at: usize) -> Option<usize> {
    // Keys, quantities and hashes end within a few chunks, which is over before a search that is
    // made for long texts has started.
    let mut at = at;
    for _ in 0..CHUNKS {
        let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { break };
        let hits = hits(chunk);
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize);
        }
        at += chunk.len();
    }
    memchr2(b'"', b'\\', bytes.get(at..)?).map(|found| at + found)
}

/// Where quotes and backslashes are, a bit each, the first one lowest.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[expect(unsafe_code, reason = "the instructions are there by what is built for")]
#[inline]
pub(super) fn hits(chunk: &[u8; CHUNK_BYTES]) -> u32 {
    // SAFETY: the whole program is built for AVX2.
    unsafe { avx2::hits(chunk) }
}

/// Where quotes and backslashes are, a bit each, the first one lowest.
#[cfg(all(target_arch = "x86_64", not(target_feature = "avx2")))]
#[expect(unsafe_code, reason = "the instructions are named by the architecture alone")]
#[inline]
pub(super) fn hits(chunk: &[u8; CHUNK_BYTES]) -> u32 {
    // SAFETY: every processor of this architecture has SSE2.
    unsafe { sse2::hits(chunk) }
}

/// Where quotes and backslashes are, a bit each, the first one lowest.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn hits(chunk: &[u8; CHUNK_BYTES]) -> u32 {
    hits_one_by_one(chunk)
}

#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
mod avx2 {
    use core::arch::x86_64::{
        _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x,
        _mm256_set1_epi8,
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn hits(chunk: &[u8; 32]) -> u32 {
        let words = chunk.as_chunks::<8>().0;
        let [a, b, c, d] = [0, 1, 2, 3].map(|word| i64::from_le_bytes(words[word]));
        let chunk = _mm256_set_epi64x(d, c, b, a);
        let quotes = _mm256_cmpeq_epi8(chunk, _mm256_set1_epi8(b'"'.cast_signed()));
        let backslashes = _mm256_cmpeq_epi8(chunk, _mm256_set1_epi8(b'\\'.cast_signed()));
        _mm256_movemask_epi8(_mm256_or_si256(quotes, backslashes)).cast_unsigned()
    }
}

#[cfg(all(target_arch = "x86_64", any(test, not(target_feature = "avx2"))))]
mod sse2 {
    use core::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn hits(chunk: &[u8; 16]) -> u32 {
        let halves = chunk.as_chunks::<8>().0;
        let [low, high] = [0, 1].map(|half| i64::from_le_bytes(halves[half]));
        let chunk = _mm_set_epi64x(high, low);
        let quotes = _mm_cmpeq_epi8(chunk, _mm_set1_epi8(b'"'.cast_signed()));
        let backslashes = _mm_cmpeq_epi8(chunk, _mm_set1_epi8(b'\\'.cast_signed()));
        _mm_movemask_epi8(_mm_or_si128(quotes, backslashes)).cast_unsigned()
    }
}

/// The same without vectors.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
fn hits_one_by_one<const N: usize>(chunk: &[u8; N]) -> u32 {
    let bits = chunk.iter().rev().map(|byte| u32::from(matches!(byte, b'"' | b'\\')));
    bits.fold(0, |hits, bit| (hits << 1) | bit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start_of(chunk: &[u8; CHUNK_BYTES]) -> [u8; 16] {
        chunk.first_chunk().copied().unwrap_or_default()
    }

    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the instructions are named by the architecture alone")]
    fn hits_of_older_processors(chunk: &[u8; CHUNK_BYTES]) -> u32 {
        // SAFETY: every processor of this architecture has SSE2.
        unsafe { sse2::hits(&start_of(chunk)) }
    }

    proptest! {
        #[test]
        fn quotes_are_found_wherever_they_stand(
            chunk in proptest::array::uniform(prop_oneof![Just(b'"'), Just(b'\\'), any::<u8>()]),
            before in 0_usize..200,
        ) {
            prop_assert_eq!(hits(&chunk), hits_one_by_one(&chunk));
            #[cfg(target_arch = "x86_64")]
            prop_assert_eq!(hits_of_older_processors(&chunk), hits_one_by_one(&start_of(&chunk)));
            let text = [&b"a".repeat(before)[..], &chunk].concat();
            let first = text.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(quote_or_backslash(&text, 0), first);
        }
    }
}
