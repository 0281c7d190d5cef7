//! ABI-encoded arguments, read where they are.
//!
//! Temperature: hot.

use alloy_primitives::{Address, U256};

use crate::decode::DecodeError;

/// An amount, which is refused if it is more than any pool can hold.
#[inline]
pub(crate) fn narrow(amount: U256) -> Result<u128, DecodeError> {
    u128::try_from(amount).map_or(Err(DecodeError::AmountTooLarge), Ok)
}

/// A bound, which no amount of a pool can tell from a larger one.
#[inline]
pub(crate) fn saturated(bound: U256) -> u128 {
    u128::try_from(bound).unwrap_or(u128::MAX)
}

/// A timestamp, in seconds; a larger number is as good as never.
#[inline]
pub(crate) fn timestamp(word: U256) -> u64 {
    u64::try_from(word).unwrap_or(u64::MAX)
}

/// ABI-encoded arguments: a head of 32-byte words, which may point into what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Arguments<'a> {
    #[inline]
    pub(crate) fn integer(&self, index: usize) -> Result<U256, DecodeError> {
        self.word_at(index * 32).map(|word| U256::from_be_bytes(*word))
    }

    #[inline]
    pub(crate) fn word(&self, index: usize) -> Result<&'a [u8; 32], DecodeError> {
        self.word_at(index * 32)
    }

    #[inline]
    pub(crate) fn address(&self, index: usize) -> Result<Address, DecodeError> {
        clean_address(self.word_at(index * 32)?)
    }

    #[inline]
    pub(crate) fn flag(&self, index: usize) -> Result<bool, DecodeError> {
        match self.size(index * 32)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Unknown),
        }
    }

    /// The first `count` words.
    #[inline]
    pub(crate) fn head(&self, count: usize) -> Result<&'a [[u8; 32]], DecodeError> {
        self.bytes.as_chunks::<32>().0.get(..count).ok_or(DecodeError::OutOfBounds)
    }

    /// The tuple that head word `index` points to; its own offsets count from its start.
    #[inline]
    pub(crate) fn tuple(&self, index: usize) -> Result<Self, DecodeError> {
        let offset = self.size(index * 32)?;
        let bytes = self.bytes.get(offset..).ok_or(DecodeError::OutOfBounds)?;
        Ok(Self { bytes })
    }

    /// The byte string that head word `index` points to.
    #[inline]
    pub(crate) fn byte_string(&self, index: usize) -> Result<&'a [u8], DecodeError> {
        let (count, bytes) = self.list(index)?;
        bytes.get(..count).ok_or(DecodeError::OutOfBounds)
    }

    /// The list of byte strings that head word `index` points to: how many they are, and as
    /// arguments of which each is one.
    #[inline]
    pub(crate) fn byte_strings(&self, index: usize) -> Result<(usize, Self), DecodeError> {
        let (count, bytes) = self.list(index)?;
        Ok((count, Self { bytes }))
    }

    /// The length that head word `index` points to, and everything after it.
    #[inline]
    pub(crate) fn list(&self, index: usize) -> Result<(usize, &'a [u8]), DecodeError> {
        let offset = self.size(index * 32)?;
        let count = self.size(offset)?;
        let start = offset.checked_add(32).ok_or(DecodeError::OutOfBounds)?;
        Ok((count, self.bytes.get(start..).ok_or(DecodeError::OutOfBounds)?))
    }

    /// A word that is an offset or a length: what memory could not hold lies outside of the data.
    #[inline]
    fn size(&self, at: usize) -> Result<usize, DecodeError> {
        let size = U256::from_be_bytes(*self.word_at(at)?);
        usize::try_from(size).map_or(Err(DecodeError::OutOfBounds), Ok)
    }

    #[inline]
    fn word_at(&self, at: usize) -> Result<&'a [u8; 32], DecodeError> {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(DecodeError::OutOfBounds)
    }
}

#[inline]
pub(crate) fn clean_address(word: &[u8; 32]) -> Result<Address, DecodeError> {
    let (upper, _) = word.split_at(12);
    if upper.iter().all(|byte| *byte == 0) {
        Ok(low_address(word))
    } else {
        Err(DecodeError::DirtyAddress)
    }
}

#[inline]
pub(crate) fn low_address(word: &[u8; 32]) -> Address {
    word.last_chunk::<20>().map_or(Address::ZERO, |bytes| Address::new(*bytes))
}
