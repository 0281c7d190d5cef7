//! Block headers: what the world follows and what fees are computed from.
//!
//! Comes from `newHeads` and from replies to `eth_getBlockBy…` alike. A header without a bloom
//! counts as one that may contain everything, so that nothing is ever missed because of it.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, Bloom, keccak256};

use crate::decode::DecodeError;
use crate::decode::fields::{Field, Fields};

/// A block header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// The block.
    pub hash: B256,
    /// The block before it.
    pub parent_hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Wei per gas; `None` where the chain has no base fee.
    pub base_fee: Option<u128>,
    /// Most gas that the block may use.
    pub gas_limit: u64,
    /// Gas that it used.
    pub gas_used: u64,
    /// Who is paid for it; zero where the header does not say.
    pub miner: Address,
    /// Which addresses and topics its logs may hold.
    pub bloom: Bloom,
}

impl Head {
    /// Reads a header's JSON object.
    ///
    /// # Errors
    /// When a field is absent or not what its name says.
    #[inline]
    pub fn parse(span: &[u8]) -> Result<Self, DecodeError> {
        Self::from_fields(&Fields::parse(span)?)
    }

    /// Reads a header from its members.
    ///
    /// # Errors
    /// When a field is absent or not what its name says.
    pub fn from_fields(fields: &Fields<'_>) -> Result<Self, DecodeError> {
        let base_fee = if fields.has(Field::BaseFeePerGas) {
            Some(fields.u128(Field::BaseFeePerGas)?)
        } else {
            None
        };
        let miner = if fields.has(Field::Miner) { fields.bytes(Field::Miner)? } else { [0; 20] };
        let bloom = if fields.has(Field::LogsBloom) {
            fields.bytes(Field::LogsBloom)?
        } else {
            [0xff; 256]
        };
        Ok(Self {
            number: fields.u64(Field::Number)?,
            hash: B256::new(fields.bytes(Field::Hash)?),
            parent_hash: B256::new(fields.bytes(Field::ParentHash)?),
            timestamp: fields.u64(Field::Timestamp)?,
            base_fee,
            gas_limit: fields.u64(Field::GasLimit)?,
            gas_used: fields.u64(Field::GasUsed)?,
            miner: Address::new(miner),
            bloom: Bloom::new(bloom),
        })
    }

    /// Whether a log of the block may hold what `bits` were made of; `false` is certain.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, bits: &BloomBits) -> bool {
        bits.0.iter().all(|bit| {
            let byte = 255 - usize::from(bit / 8);
            self.bloom[byte] & (1 << (bit % 8)) != 0
        })
    }

    /// Whether a log of the block may have this topic; `false` is certain.
    #[must_use]
    #[inline]
    pub fn may_contain_topic(&self, topic: &B256) -> bool {
        self.may_contain(&BloomBits::of(topic.as_slice()))
    }
}

/// The three bits that an address or a topic sets in a bloom: hashed once, tested for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BloomBits([u16; 3]);

impl BloomBits {
    /// The bits of an address's or a topic's bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let hash = keccak256(bytes);
        let bit = |at: usize| u16::from_be_bytes([hash[at], hash[at + 1]]) % 2_048;
        Self([bit(0), bit(2), bit(4)])
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use alloy_primitives::{BloomInput, b256};

    use super::*;
    use crate::decode::message::{Item, Message, parse};

    const VERBATIM: &str = concat!(
        r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x743444377"#,
        r#"6365179624e7a5752653154","result":{"hash":"0x2633a825f111e1e1d55b8409d6a1434a8da0d"#,
        r#"144f3015765ecab8b407981720a","parentHash":"0x876d46843d8fcc46009d7e4228c43dcba736f"#,
        r#"e01ff4e85e80242ff426bab161b","sha3Uncles":"0x1dcc4de8dec75d7aab85b567b6ccd41ad3124"#,
        r#"51b948a7413f0a142fd40d49347","miner":"0x0000000000000000000000000000000000000000","#,
        r#""stateRoot":"0xf823c1c6abf5148db4bb67a2f8056603b038688f43e6acc1df43985b8ed04c46",""#,
        r#"transactionsRoot":"0x383c5f71341c2da8517f23f5e128261b8d2df06f7b498cd95017dd088f7e9"#,
        r#"cc2","receiptsRoot":"0x9dafc400d9b34ee75aa1ee18a9dc7d009447a3143e2573823cec2f4ee78"#,
        r#"1e234","logsBloom":"0x000000000000000000000000000000000000000000000000000000000000"#,
        r#"0000000000000000000000000000000000000000000000000000000000000004000000000000000000"#,
        r#"0000000000000000000000000000040000000000000000000000000040000000000000000000000000"#,
        r#"0000000000000000000000000000000000000000000000000000000000000000000000000000000000"#,
        r#"0000020000000000000000000000000000000000000000000000000000000000000000000000000000"#,
        r#"0040000000000000000000000000000000000000000000000000000040000000000000000000000000"#,
        r#"000000000000000000000000000000000000000000","difficulty":"0x0","number":"0x2","gas"#,
        r#"Limit":"0x1c9c380","gasUsed":"0x54ff","timestamp":"0x6b011e07","extraData":"0x","m"#,
        r#"ixHash":"0xf73469e4ea40f8f9d12ed937b78f975c538cfab8ac8c84d723931f8210bd0531","nonc"#,
        r#"e":"0x0000000000000000","baseFeePerGas":"0x342e6a0a","withdrawalsRoot":"0x56e81f17"#,
        r#"1bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421","blobGasUsed":"0x0","exc"#,
        r#"essBlobGas":"0x0","parentBeaconBlockRoot":"0x0000000000000000000000000000000000000"#,
        r#"000000000000000000000000000","requestsHash":"0xe3b0c44298fc1c149afbf4c8996fb92427a"#,
        r#"e41e4649b934ca495991b7852b855","totalDifficulty":"0x0","size":"0x2dd","uncles":[],"#,
        r#""transactions":["0x363e8bc5d00092f035e48b2ceb5f6c4c527769326b73b32e5a1155af048fa2f"#,
        r#"f"],"withdrawals":[]}}}"#,
    );

    fn head_of(text: &str) -> Result<Head, DecodeError> {
        let Message::Notification { item: Item::Head(head), .. } = parse(text.as_bytes())? else {
            unreachable!("not a head: {text}")
        };
        Ok(head)
    }

    #[test]
    fn a_head_is_read_as_anvil_sends_it() {
        let head = head_of(VERBATIM).unwrap();
        assert_eq!(
            head.hash,
            b256!("2633a825f111e1e1d55b8409d6a1434a8da0d144f3015765ecab8b407981720a")
        );
        assert_eq!(
            head.parent_hash,
            b256!("876d46843d8fcc46009d7e4228c43dcba736fe01ff4e85e80242ff426bab161b")
        );
        assert_eq!((head.number, head.timestamp), (2, 0x6b01_1e07));
        assert_eq!((head.gas_limit, head.gas_used), (30_000_000, 0x54ff));
        assert_eq!(head.base_fee, Some(0x342e_6a0a));
        assert_eq!(head.bloom.iter().map(|byte| byte.count_ones()).sum::<u32>(), 6);
    }

    #[test]
    fn the_bloom_answers_as_alloys_does() {
        let head = head_of(VERBATIM).unwrap();
        // The block's only log: this address and topic 1.
        let address = Address::new(
            *b"\x5f\xbd\xb2\x31\x56\x78\xaf\xec\xb3\x67\xf0\x32\xd9\x3f\x64\
            \x2f\x64\x18\x0a\xa3",
        );
        assert!(head.may_contain(&BloomBits::of(address.as_slice())));
        assert!(head.may_contain_topic(&B256::with_last_byte(1)));
        for byte in 0..=255 {
            let topic = B256::repeat_byte(byte);
            let expected = head.bloom.contains_input(BloomInput::Raw(topic.as_slice()));
            assert_eq!(head.may_contain_topic(&topic), expected, "{topic}");
        }
    }

    #[test]
    fn a_head_without_a_bloom_may_contain_everything() {
        let head = head_of(&VERBATIM.replace("logsBloom", "logsGloom")).unwrap();
        assert!(head.may_contain_topic(&B256::repeat_byte(7)));
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        let missing = |field: Field| {
            let renamed = format_key(field.name());
            head_of(&VERBATIM.replace(&format_key_of(field.name()), &renamed))
        };
        for field in [Field::Number, Field::Hash, Field::Timestamp, Field::GasLimit, Field::GasUsed]
        {
            assert_eq!(missing(field), Err(DecodeError::Missing(field)));
        }
        assert_eq!(missing(Field::BaseFeePerGas).unwrap().base_fee, None);
        assert_eq!(missing(Field::Miner).unwrap().miner, Address::ZERO);
        let wrong = VERBATIM.replace("\"0x54ff\"", "\"0x54fg\"");
        assert_eq!(head_of(&wrong), Err(DecodeError::Invalid(Field::GasUsed)));
    }

    fn format_key_of(name: &str) -> String {
        ["\"", name, "\":"].concat()
    }

    fn format_key(name: &str) -> String {
        ["\"not ", name, "\":"].concat()
    }
}
