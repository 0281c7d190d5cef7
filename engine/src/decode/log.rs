//! Event logs, with their data left as it is written until a word of it is asked for.
//!
//! Come one by one from the `logs` subscription and as arrays from `eth_getLogs`, and from the
//! columns of a recording, where they are binary. Logs of a pending block (null block fields) are
//! refused: the world only follows blocks.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use crate::decode::DecodeError;
use crate::decode::fields::{Field, Fields};
use crate::wire::{hex, json};

/// Most topics that a log can have.
pub const TOPICS_MAX: usize = 4;

/// A log's data, as whoever told of it wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// `0x` and an even number of characters, not checked to be digits.
    Hex(&'a [u8]),
    /// Its bytes.
    Binary(&'a [u8]),
}

/// One event log of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// The contract that wrote it.
    pub address: Address,
    /// Its topics; the first `topic_count` count, the rest are zero.
    pub topics: [B256; TOPICS_MAX],
    /// How many topics it has.
    pub topic_count: u8,
    /// Its data as it is written.
    pub data: Data<'a>,
    /// Its block's height.
    pub block_number: u64,
    /// Its block.
    pub block_hash: B256,
    /// The transaction that wrote it.
    pub tx_hash: B256,
    /// That transaction's place in the block.
    pub tx_index: u32,
    /// Its own place among the block's logs.
    pub log_index: u32,
    /// Whether a reorg takes it back.
    pub removed: bool,
}

impl<'a> Log<'a> {
    /// Reads a log's JSON object.
    ///
    /// # Errors
    /// When a field is absent or not what its name says.
    #[inline]
    pub fn parse(span: &'a [u8]) -> Result<Self, DecodeError> {
        Self::from_fields(&Fields::parse(span)?)
    }

    /// Reads a log from its members.
    ///
    /// # Errors
    /// When a field is absent or not what its name says.
    pub fn from_fields(fields: &Fields<'a>) -> Result<Self, DecodeError> {
        let (topics, topic_count) = read_topics(fields)?;
        Ok(Self {
            address: Address::new(fields.bytes(Field::Address)?),
            topics,
            topic_count,
            data: Data::Hex(fields.data(Field::Data)?),
            block_number: fields.u64(Field::BlockNumber)?,
            block_hash: B256::new(fields.bytes(Field::BlockHash)?),
            tx_hash: B256::new(fields.bytes(Field::TransactionHash)?),
            tx_index: fields.u32(Field::TransactionIndex)?,
            log_index: fields.u32(Field::LogIndex)?,
            removed: read_removed(fields)?,
        })
    }

    /// The topics that it has.
    #[must_use]
    #[inline]
    pub fn topics(&self) -> &[B256] {
        self.topics.get(..usize::from(self.topic_count)).unwrap_or(&self.topics)
    }

    /// Length of its data, in bytes.
    #[must_use]
    #[inline]
    pub const fn data_bytes(&self) -> usize {
        match self.data {
            Data::Hex(text) => text.len().saturating_sub(2) / 2,
            Data::Binary(bytes) => bytes.len(),
        }
    }

    /// The data's 32-byte word number `index`.
    ///
    /// # Errors
    /// When the data ends before it, or is not hexadecimal there.
    #[inline]
    pub fn word(&self, index: usize) -> Result<U256, DecodeError> {
        self.word_bytes(index).map(U256::from_be_bytes)
    }

    /// The data's 32-byte word number `index`, which must fit a pool's reserve.
    ///
    /// # Errors
    /// When the data ends before it, is not hexadecimal there, or the number has over 112 bits.
    #[inline]
    pub fn word_u112(&self, index: usize) -> Result<u128, DecodeError> {
        let word = self.word_bytes(index)?;
        let (high, low) = (u128_at(&word, 0), u128_at(&word, 16));
        if high == 0 && low >> 112 == 0 { Ok(low) } else { Err(DecodeError::AmountTooLarge) }
    }

    /// The data's 32-byte word number `index`, as bytes.
    ///
    /// # Errors
    /// When the data ends before it, or is not hexadecimal there.
    #[inline]
    pub fn word_bytes(&self, index: usize) -> Result<[u8; 32], DecodeError> {
        match self.data {
            Data::Hex(text) => {
                // Two characters of prefix, then 64 digits a word.
                let start = index.checked_mul(64).and_then(|start| start.checked_add(2));
                let digits = start
                    .and_then(|start| text.get(start..))
                    .and_then(|rest| rest.first_chunk::<64>())
                    .ok_or(DecodeError::OutOfBounds)?;
                match hex::word(digits) {
                    Ok(word) => Ok(word),
                    Err(_) => Err(DecodeError::Invalid(Field::Data)),
                }
            }
            Data::Binary(bytes) => index
                .checked_mul(32)
                .and_then(|start| bytes.get(start..))
                .and_then(|rest| rest.first_chunk::<32>())
                .copied()
                .ok_or(DecodeError::OutOfBounds),
        }
    }
}

#[inline]
fn u128_at(word: &[u8; 32], at: usize) -> u128 {
    word.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |half| u128::from_be_bytes(*half))
}

#[inline]
fn read_topics(fields: &Fields<'_>) -> Result<([B256; TOPICS_MAX], u8), DecodeError> {
    let mut topics = [B256::ZERO; TOPICS_MAX];
    let mut count = 0;
    let list = fields.array(Field::Topics)?;
    if list.is_empty() {
        return Err(DecodeError::Missing(Field::Topics));
    }
    for token in json::items(list)? {
        let topic = topics.get_mut(usize::from(count)).ok_or(DecodeError::TopicCount)?;
        let text = json::Value::of_token(token?).scalar();
        match text.map(hex::fixed) {
            Some(Ok(bytes)) => *topic = B256::new(bytes),
            Some(Err(_)) | None => return Err(DecodeError::Invalid(Field::Topics)),
        }
        count += 1;
    }
    Ok((topics, count))
}

#[inline]
fn read_removed(fields: &Fields<'_>) -> Result<bool, DecodeError> {
    match fields.token(Field::Removed) {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(DecodeError::Invalid(Field::Removed)),
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use alloy_primitives::{address, b256};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::message::{Item, Message, parse};

    const VERBATIM: &str = concat!(
        r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x51454c506"#,
        r#"c4e68774253777653765132","result":{"address":"0x5fbdb2315678afecb367f032d93f642f64"#,
        r#"180aa3","topics":["0x0000000000000000000000000000000000000000000000000000000000000"#,
        r#"001"],"data":"0x","blockHash":"0x2633a825f111e1e1d55b8409d6a1434a8da0d144f3015765e"#,
        r#"cab8b407981720a","blockNumber":"0x2","blockTimestamp":"0x6b011e07","transactionHas"#,
        r#"h":"0x363e8bc5d00092f035e48b2ceb5f6c4c527769326b73b32e5a1155af048fa2ff","transacti"#,
        r#"onIndex":"0x0","logIndex":"0x0","removed":false}}}"#,
    );

    fn log_of(text: &str) -> Result<Log<'_>, DecodeError> {
        let Message::Notification { item: Item::Log(log), .. } = parse(text.as_bytes())? else {
            unreachable!("not a log: {text}")
        };
        Ok(log)
    }

    #[test]
    fn a_log_is_read_as_anvil_sends_it() {
        let log = log_of(VERBATIM).unwrap();
        assert_eq!(log.address, address!("5fbdb2315678afecb367f032d93f642f64180aa3"));
        assert_eq!(log.topics(), [B256::with_last_byte(1)]);
        assert_eq!((log.data, log.data_bytes()), (Data::Hex(b"0x"), 0));
        assert_eq!((log.block_number, log.tx_index, log.log_index), (2, 0, 0));
        assert_eq!(
            log.block_hash,
            b256!("2633a825f111e1e1d55b8409d6a1434a8da0d144f3015765ecab8b407981720a")
        );
        assert_eq!(
            log.tx_hash,
            b256!("363e8bc5d00092f035e48b2ceb5f6c4c527769326b73b32e5a1155af048fa2ff")
        );
        assert!(!log.removed);
        assert!(log_of(&VERBATIM.replace("false", "true")).unwrap().removed);
    }

    #[test]
    fn a_log_of_a_pending_block_is_refused() {
        let pending = VERBATIM.replace("\"blockNumber\":\"0x2\"", "\"blockNumber\":null");
        assert_eq!(log_of(&pending), Err(DecodeError::Missing(Field::BlockNumber)));
    }

    #[test]
    fn five_topics_are_too_many_and_none_is_fine() {
        let topic = "\"0x0000000000000000000000000000000000000000000000000000000000000001\"";
        let with = |count: usize| {
            let list = [topic].repeat(count).join(",");
            VERBATIM.replace(topic, &list)
        };
        assert_eq!(log_of(&with(0)).unwrap().topics(), [B256::ZERO; 0]);
        assert_eq!(log_of(&with(4)).unwrap().topics(), [B256::with_last_byte(1); 4]);
        assert_eq!(log_of(&with(5)), Err(DecodeError::TopicCount));
    }

    fn with_data(data: &str) -> String {
        VERBATIM.replace("\"data\":\"0x\"", &["\"data\":\"", data, "\""].concat())
    }

    proptest! {
        #[test]
        fn words_are_read_straight_from_the_digits(words in proptest::collection::vec(
            any::<[u8; 32]>(), 0..5)
        ) {
            let bytes = words.concat();
            let data = alloy_primitives::hex::encode_prefixed(&bytes);
            let text = with_data(&data);
            let log = log_of(&text).unwrap();
            let binary = Log { data: Data::Binary(&bytes), ..log };
            prop_assert_eq!(log.data_bytes(), bytes.len());
            prop_assert_eq!(binary.data_bytes(), bytes.len());
            for (index, word) in words.iter().enumerate() {
                let expected = U256::from_be_bytes(*word);
                prop_assert_eq!(log.word(index), Ok(expected));
                prop_assert_eq!(binary.word(index), Ok(expected));
                let small = expected >> 144_usize;
                prop_assert!(u128::try_from(small).is_ok());
            }
            prop_assert_eq!(log.word(words.len()), Err(DecodeError::OutOfBounds));
            prop_assert_eq!(binary.word(words.len()), Err(DecodeError::OutOfBounds));
            prop_assert_eq!(binary.word(usize::MAX), Err(DecodeError::OutOfBounds));
        }
    }

    #[test]
    fn reserves_have_at_most_112_bits() {
        let max = (U256::from(1) << 112_usize) - U256::from(1);
        for (value, expected) in [
            (max, Ok((1 << 112) - 1)),
            (max + U256::from(1), Err(DecodeError::AmountTooLarge)),
            (U256::MAX, Err(DecodeError::AmountTooLarge)),
            (U256::from(1) << 128_usize, Err(DecodeError::AmountTooLarge)),
        ] {
            let data = alloy_primitives::hex::encode_prefixed(value.to_be_bytes::<32>());
            let text = with_data(&data);
            assert_eq!(log_of(&text).unwrap().word_u112(0), expected, "{value}");
        }
        let bad = with_data(&["0x", &"g".repeat(64)].concat());
        assert_eq!(log_of(&bad).unwrap().word(0), Err(DecodeError::Invalid(Field::Data)));
        assert_eq!(log_of(&bad).unwrap().word(usize::MAX), Err(DecodeError::OutOfBounds));
        assert_eq!(log_of(&with_data("0x123")), Err(DecodeError::Invalid(Field::Data)));
    }
}
