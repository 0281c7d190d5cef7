//! The tokens of a swap and the fees of the pools between them, read where they are.
//!
//! Temperature: hot.

use alloy_primitives::{Address, U256};

use super::abi::{Arguments, clean_address, low_address};
use crate::decode::DecodeError;
use crate::limits::PATH_TOKENS_MAX;

const ADDRESS_BYTES: usize = 20;
/// A token and the fee behind it.
const STRIDE_BYTES: usize = ADDRESS_BYTES + 3;

/// A swap's tokens, from what is paid to what is received: two to [`PATH_TOKENS_MAX`] addresses in
/// the calldata, and in V3 the fees that name the pools between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    tokens: Tokens<'a>,
    /// V3's paths of exact outputs begin with what is received.
    is_reversed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens<'a> {
    /// V2: clean addresses.
    Words(&'a [[u8; 32]]),
    /// V3: token, fee, token, fee, token, without anything between them.
    Packed(&'a [u8]),
    /// V3: token in, token out, fee.
    Single(&'a [[u8; 32]]),
}

impl<'a> Path<'a> {
    /// V2's path: the list of addresses that head word `index` points to.
    #[inline]
    pub(super) fn words(arguments: &Arguments<'a>, index: usize) -> Result<Self, DecodeError> {
        let (count, items) = arguments.list(index)?;
        if !(2..=PATH_TOKENS_MAX).contains(&count) {
            return Err(DecodeError::PathLength);
        }
        let words = Arguments { bytes: items }.head(count)?;
        for word in words {
            clean_address(word)?;
        }
        Ok(Self { tokens: Tokens::Words(words), is_reversed: false })
    }

    /// V3's path: the packed bytes that head word `index` points to.
    #[inline]
    pub(super) fn packed(
        arguments: &Arguments<'a>,
        index: usize,
        is_reversed: bool,
    ) -> Result<Self, DecodeError> {
        let bytes = arguments.byte_string(index)?;
        let whole = bytes.len().checked_sub(ADDRESS_BYTES).ok_or(DecodeError::PathLength)?;
        // The routers ignore what is too short to be one more pool.
        let is_whole = whole.is_multiple_of(STRIDE_BYTES);
        if !is_whole || !(1..PATH_TOKENS_MAX).contains(&(whole / STRIDE_BYTES)) {
            return Err(DecodeError::PathLength);
        }
        Ok(Self { tokens: Tokens::Packed(bytes), is_reversed })
    }

    /// V3's path through one pool: token in, token out and fee are the first three words.
    #[inline]
    pub(super) fn single(arguments: &Arguments<'a>) -> Result<Self, DecodeError> {
        let words = arguments.head(3)?;
        clean_address(&words[0])?;
        clean_address(&words[1])?;
        if U256::from_be_bytes(words[2]) >> 24 != U256::ZERO {
            return Err(DecodeError::Unknown);
        }
        Ok(Self { tokens: Tokens::Single(words), is_reversed: false })
    }

    /// How many tokens it has.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a path has at least two tokens")]
    pub const fn len(&self) -> usize {
        match self.tokens {
            Tokens::Words(words) => words.len(),
            Tokens::Packed(bytes) => bytes.len() / STRIDE_BYTES + 1,
            Tokens::Single(_) => 2,
        }
    }

    /// The token at `index`.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<Address> {
        let place = self.place(index, self.len())?;
        match self.tokens {
            Tokens::Words(words) | Tokens::Single(words) => words.get(place).map(low_address),
            Tokens::Packed(bytes) => {
                let rest = bytes.get(place * STRIDE_BYTES..)?;
                rest.first_chunk().copied().map(Address::new)
            }
        }
    }

    /// The fee of the pool behind the token at `index`, in pips; `None` in V2, where a pair is
    /// named by its tokens.
    #[must_use]
    #[inline]
    pub fn fee(&self, index: usize) -> Option<u32> {
        let place = self.place(index, self.len() - 1)?;
        let bytes = match self.tokens {
            Tokens::Words(_) => return None,
            Tokens::Packed(bytes) => {
                *bytes.get(place * STRIDE_BYTES + ADDRESS_BYTES..)?.first_chunk::<3>()?
            }
            Tokens::Single(words) => *words.get(2)?.last_chunk::<3>()?,
        };
        let [high, middle, low] = bytes;
        Some(u32::from_be_bytes([0, high, middle, low]))
    }

    /// Whether fees name its pools, and not tokens alone.
    #[must_use]
    #[inline]
    pub const fn has_fees(&self) -> bool {
        !matches!(self.tokens, Tokens::Words(_))
    }

    /// The tokens, in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Address> + Clone + use<'a> {
        let path = *self;
        // Every index below the length has a token.
        (0..path.len()).map(move |index| path.get(index).unwrap_or(Address::ZERO))
    }

    /// Where in the data the item at `index` of `count` is.
    #[inline]
    const fn place(&self, index: usize, count: usize) -> Option<usize> {
        if index >= count {
            None
        } else if self.is_reversed {
            Some(count - 1 - index)
        } else {
            Some(index)
        }
    }
}
