//! Members of JSON objects by name, in one pass.
//!
//! A node's item (head, log or transaction) is walked once and every known member's token noted in
//! a fixed table, before it is known which of the three it is: key order is nobody's promise. Names
//! are recognised by a perfect hash that the compiler computes from the one list below.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use crate::decode::DecodeError;
use crate::wire::hex::{self, HexError};
use crate::wire::json::{JsonError, Scanner};

macro_rules! fields {
    ($($name:ident = $key:literal,)*) => {
        /// A member that the engine knows, by its JSON name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Field {
            $(#[doc = concat!("`", $key, "`")] $name,)*
        }

        impl Field {
            /// Every field, in the order of the list.
            pub const ALL: [Self; FIELD_COUNT] = [$(Self::$name),*];

            /// Its JSON name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                NAMES[self as usize]
            }
        }

        const NAMES: [&str; FIELD_COUNT] = [$($key),*];
        const FIELD_COUNT: usize = [$($key),*].len();
    };
}

fields! {
    // Heads.
    ParentHash = "parentHash",
    Number = "number",
    Timestamp = "timestamp",
    BaseFeePerGas = "baseFeePerGas",
    GasLimit = "gasLimit",
    GasUsed = "gasUsed",
    Miner = "miner",
    LogsBloom = "logsBloom",
    // Heads and transactions.
    Hash = "hash",
    Nonce = "nonce",
    // Logs.
    Topics = "topics",
    LogIndex = "logIndex",
    Removed = "removed",
    TransactionHash = "transactionHash",
    // Logs and transactions (and authorisations and access lists).
    Address = "address",
    Data = "data",
    BlockNumber = "blockNumber",
    BlockHash = "blockHash",
    TransactionIndex = "transactionIndex",
    // Transactions.
    Type = "type",
    ChainId = "chainId",
    From = "from",
    To = "to",
    Gas = "gas",
    GasPrice = "gasPrice",
    MaxFeePerGas = "maxFeePerGas",
    MaxPriorityFeePerGas = "maxPriorityFeePerGas",
    MaxFeePerBlobGas = "maxFeePerBlobGas",
    Value = "value",
    Input = "input",
    AccessList = "accessList",
    StorageKeys = "storageKeys",
    BlobVersionedHashes = "blobVersionedHashes",
    AuthorizationList = "authorizationList",
    V = "v",
    YParity = "yParity",
    R = "r",
    S = "s",
}

/// Buckets of the perfect hash: a few times the fields, so that one is found quickly.
const BUCKETS: usize = 256;
/// Marks a bucket that no name falls into.
const NO_FIELD: u8 = u8::MAX;

const _: () = assert!(FIELD_COUNT < NO_FIELD as usize, "a field's place fits its byte");

/// The first seed without a collision, and the field of every bucket.
const HASH: (u32, [u8; BUCKETS]) = {
    let mut seed = 1;
    loop {
        if let Some(buckets) = buckets(seed) {
            break (seed, buckets);
        }
        seed += 2;
    }
};

#[expect(clippy::cast_possible_truncation, reason = "FIELD_COUNT fits a byte, asserted above")]
const fn buckets(seed: u32) -> Option<[u8; BUCKETS]> {
    let mut buckets = [NO_FIELD; BUCKETS];
    let mut at = 0;
    while at < FIELD_COUNT {
        let bucket = bucket(NAMES[at].as_bytes(), seed);
        if buckets[bucket] != NO_FIELD {
            return None;
        }
        buckets[bucket] = at as u8;
        at += 1;
    }
    Some(buckets)
}

/// First, middle and last byte and the length tell all names apart.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "only the length's low bits are mixed in")]
const fn bucket(key: &[u8], seed: u32) -> usize {
    let [first, .., last] = key else {
        return match key {
            [only] => *only as usize % BUCKETS,
            _ => 0,
        };
    };
    let mixed = u32::from_le_bytes([*first, key[key.len() / 2], *last, key.len() as u8]);
    (mixed.wrapping_mul(seed) >> 24) as usize % BUCKETS
}

impl Field {
    /// The field with this JSON name.
    #[must_use]
    #[inline]
    pub fn of(key: &[u8]) -> Option<Self> {
        let place = usize::from(HASH.1[bucket(key, HASH.0)]);
        let name = NAMES.get(place)?;
        if is_same(name.as_bytes(), key) { Self::ALL.get(place).copied() } else { None }
    }
}

/// Compares two short byte strings by overlapping words: a call of `memcmp` costs more.
#[inline]
fn is_same(name: &[u8], key: &[u8]) -> bool {
    if name.len() != key.len() {
        return false;
    }
    match name.len() {
        0..=3 => name.iter().zip(key).all(|(name, key)| name == key),
        4..=7 => has_same_ends::<4>(name, key),
        8..=16 => has_same_ends::<8>(name, key),
        _ => name == key,
    }
}

#[inline]
fn has_same_ends<const N: usize>(name: &[u8], key: &[u8]) -> bool {
    name.first_chunk::<N>() == key.first_chunk() && name.last_chunk::<N>() == key.last_chunk()
}

/// The known members of one JSON object, each as it is written; the last of a kind counts.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Empty where there is none, or null.
    tokens: [&'a [u8]; FIELD_COUNT],
}

impl<'a> Fields<'a> {
    /// No members at all.
    pub const NONE: Self = Self { tokens: [&[]; FIELD_COUNT] };

    /// Reads the object `span`.
    ///
    /// # Errors
    /// When it is not an object.
    #[inline]
    pub fn parse(span: &'a [u8]) -> Result<Self, JsonError> {
        let mut fields = Self::NONE;
        fields.scan(&mut Scanner::new(span))?;
        Ok(fields)
    }

    /// Adds the members of the object that `scanner` stands before.
    ///
    /// # Errors
    /// When it is not an object.
    #[inline]
    pub fn scan(&mut self, scanner: &mut Scanner<'a>) -> Result<(), JsonError> {
        scanner.object()?;
        while let Some(key) = scanner.next_key()? {
            let token = scanner.token()?;
            if let Some(field) = Field::of(key) {
                self.tokens[field as usize] = if token == b"null" { &[] } else { token };
            }
        }
        Ok(())
    }

    /// Whether it is there and not null.
    #[must_use]
    #[inline]
    pub fn has(&self, field: Field) -> bool {
        self.token(field).is_some()
    }

    /// What is written there; `None` if it is absent or null.
    #[must_use]
    #[inline]
    pub fn token(&self, field: Field) -> Option<&'a [u8]> {
        match self.tokens[field as usize] {
            [] => None,
            token => Some(token),
        }
    }

    /// A string's contents or a number's digits.
    ///
    /// # Errors
    /// When it is absent, or something else.
    #[inline]
    pub fn text(&self, field: Field) -> Result<&'a [u8], DecodeError> {
        match self.tokens[field as usize] {
            [b'"', contents @ .., b'"'] => Ok(contents),
            digits @ [b'0'..=b'9', ..] => Ok(digits),
            [] => Err(DecodeError::Missing(field)),
            _ => Err(DecodeError::Invalid(field)),
        }
    }

    /// An array, with its brackets; empty if it is absent.
    ///
    /// # Errors
    /// When it is something else.
    #[inline]
    pub fn array(&self, field: Field) -> Result<&'a [u8], DecodeError> {
        match self.token(field) {
            None => Ok(&[]),
            Some(token @ [b'[', ..]) => Ok(token),
            Some(_) => Err(DecodeError::Invalid(field)),
        }
    }

    /// Exactly `N` bytes.
    ///
    /// # Errors
    /// When it is absent, or something else.
    #[inline]
    pub fn bytes<const N: usize>(&self, field: Field) -> Result<[u8; N], DecodeError> {
        valid(field, hex::fixed(self.text(field)?))
    }

    /// Data of any length, as it is written, `0x` included; its digits are not checked yet.
    ///
    /// # Errors
    /// When it is absent, or not `0x` and an even number of characters.
    #[inline]
    pub fn data(&self, field: Field) -> Result<&'a [u8], DecodeError> {
        match self.text(field)? {
            text @ [b'0', b'x' | b'X', digits @ ..] if digits.len().is_multiple_of(2) => Ok(text),
            _ => Err(DecodeError::Invalid(field)),
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// When it is absent, or something else.
    #[inline]
    pub fn u32(&self, field: Field) -> Result<u32, DecodeError> {
        u32::try_from(self.u64(field)?).map_or(Err(DecodeError::Invalid(field)), Ok)
    }

    /// An integer.
    ///
    /// # Errors
    /// When it is absent, or something else.
    #[inline]
    pub fn u64(&self, field: Field) -> Result<u64, DecodeError> {
        valid(field, hex::quantity_u64(self.text(field)?))
    }

    /// An integer.
    ///
    /// # Errors
    /// When it is absent, or something else.
    #[inline]
    pub fn u128(&self, field: Field) -> Result<u128, DecodeError> {
        valid(field, hex::quantity_u128(self.text(field)?))
    }

    /// An integer.
    ///
    /// # Errors
    /// When it is absent, or something else.
    #[inline]
    pub fn u256(&self, field: Field) -> Result<U256, DecodeError> {
        valid(field, hex::quantity_u256(self.text(field)?))
    }
}

#[inline]
fn valid<T>(field: Field, result: Result<T, HexError>) -> Result<T, DecodeError> {
    match result {
        Ok(value) => Ok(value),
        Err(_) => Err(DecodeError::Invalid(field)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place);
            assert_eq!(Field::of(field.name().as_bytes()), Some(field));
        }
        assert_eq!(Field::of(b""), None);
        assert_eq!(Field::of(b"x"), None);
        assert_eq!(Field::of(b"hasH"), None);
        assert_eq!(Field::of(b"stateRoot"), None);
    }

    proptest! {
        #[test]
        fn any_key_is_told_apart(key in "[a-zA-Z]{0,24}") {
            let expected = Field::ALL.into_iter().find(|field| field.name() == key);
            prop_assert_eq!(Field::of(key.as_bytes()), expected);
        }
    }

    #[test]
    fn null_counts_as_absent_and_wrong_kinds_are_named() {
        let fields = Fields::parse(br#"{"to":null,"gas":[],"nonce":7,"value":"0x0a"}"#).unwrap();
        assert!(!fields.has(Field::To) && !fields.has(Field::Hash) && fields.has(Field::Gas));
        assert_eq!(fields.u64(Field::To), Err(DecodeError::Missing(Field::To)));
        assert_eq!(fields.u64(Field::Gas), Err(DecodeError::Invalid(Field::Gas)));
        assert_eq!(fields.u64(Field::Nonce), Ok(7));
        assert_eq!(fields.u256(Field::Value), Ok(U256::from(10)));
        assert_eq!(fields.bytes::<1>(Field::Value), Ok([10]));
        assert_eq!(fields.array(Field::Value), Err(DecodeError::Invalid(Field::Value)));
    }
}
