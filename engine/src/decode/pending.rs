//! Pending transactions with every signed field, and their raw bytes.
//!
//! A subscription sends a transaction as JSON, but a bundle needs its raw bytes, so they are
//! encoded again and their keccak must be the announced hash: that proves that every signed field
//! was read right and that the node did not alter one. The sender is not signed in and stays the
//! node's word.
//!
//! Transactions of types 0 (with and without chain id) to 4 are known. A blob transaction is
//! encoded in the form that is hashed, without its sidecar: it verifies, but cannot be sent on.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use crate::decode::DecodeError;
use crate::decode::fields::{Field, Fields};
use crate::keccak;
use crate::wire::hex::{self, HexError};
use crate::wire::json::{self, Scanner, Value};
use crate::wire::rlp::Writer;

/// Room beyond the raw transaction that encoding it may need while its lists are open, in bytes.
pub const SLACK_BYTES: usize = 16;

/// What rules a transaction follows (EIP-2718).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TxType {
    /// A gas price and nothing else.
    Legacy = 0,
    /// With an access list (EIP-2930).
    AccessList = 1,
    /// With fee caps (EIP-1559).
    DynamicFee = 2,
    /// With blobs (EIP-4844).
    Blob = 3,
    /// With authorisations to set code (EIP-7702).
    SetCode = 4,
}

/// A pending transaction. Lists stay as the JSON that they are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingTx<'a> {
    /// Its type.
    pub tx_type: TxType,
    /// The hash it was announced by.
    pub hash: B256,
    /// Who sent it, by the node's word.
    pub from: Address,
    /// Whom it calls; `None` if it creates a contract.
    pub to: Option<Address>,
    /// The chain it is for; `None` if it is for any (legacy without EIP-155).
    pub chain_id: Option<u64>,
    /// The sender's count.
    pub nonce: u64,
    /// Gas limit.
    pub gas: u64,
    /// Most wei per gas that it pays; the gas price where it has one.
    pub max_fee: u128,
    /// Most wei per gas that it tips; the gas price where it has one.
    pub priority_fee: u128,
    /// Most wei per blob gas; 0 without blobs.
    pub max_blob_fee: u128,
    /// Native wei that it sends along.
    pub value: U256,
    /// Calldata as it is written: `0x` and an even number of characters, not checked to be digits.
    pub input: &'a [u8],
    /// A JSON array of `{address, storageKeys}`; empty if there is none.
    pub access_list: &'a [u8],
    /// A JSON array of hashes; empty if there is none.
    pub blob_hashes: &'a [u8],
    /// A JSON array of `{chainId, address, nonce, yParity, r, s}`; empty if there is none.
    pub authorizations: &'a [u8],
    /// As it is encoded: the parity, or for a legacy transaction 27 or 35 + 2·chain more.
    pub v: u128,
    /// Half of the signature.
    pub r: U256,
    /// The other half.
    pub s: U256,
}

impl<'a> PendingTx<'a> {
    /// Reads a transaction's JSON object.
    ///
    /// # Errors
    /// When a field is absent or not what its name says.
    #[inline]
    pub fn parse(span: &'a [u8]) -> Result<Self, DecodeError> {
        Self::from_fields(&Fields::parse(span)?)
    }

    /// Reads a transaction from its members.
    ///
    /// # Errors
    /// When a field is absent or not what its name says.
    pub fn from_fields(fields: &Fields<'a>) -> Result<Self, DecodeError> {
        let tx_type = read_type(fields)?;
        let (max_fee, priority_fee) = read_fees(fields, tx_type)?;
        let (v, chain_id) = read_v(fields, tx_type)?;
        let max_blob_fee = match tx_type {
            TxType::Blob => fields.u128(Field::MaxFeePerBlobGas)?,
            TxType::Legacy | TxType::AccessList | TxType::DynamicFee | TxType::SetCode => 0,
        };
        let input = if fields.has(Field::Input) { Field::Input } else { Field::Data };
        Ok(Self {
            tx_type,
            hash: B256::new(fields.bytes(Field::Hash)?),
            from: Address::new(fields.bytes(Field::From)?),
            to: read_to(fields)?,
            chain_id,
            nonce: fields.u64(Field::Nonce)?,
            gas: fields.u64(Field::Gas)?,
            max_fee,
            priority_fee,
            max_blob_fee,
            value: fields.u256(Field::Value)?,
            input: fields.data(input)?,
            access_list: fields.array(Field::AccessList)?,
            blob_hashes: fields.array(Field::BlobVersionedHashes)?,
            authorizations: fields.array(Field::AuthorizationList)?,
            v,
            r: fields.u256(Field::R)?,
            s: fields.u256(Field::S)?,
        })
    }

    /// The first four bytes of its calldata, if there are as many.
    #[must_use]
    #[inline]
    pub fn selector(&self) -> Option<[u8; 4]> {
        hex::fixed(self.input.get(..10)?).ok()
    }

    /// Length of its calldata, in bytes.
    #[must_use]
    #[inline]
    pub const fn input_bytes(&self) -> usize {
        self.input.len().saturating_sub(2) / 2
    }

    /// Decodes its calldata into `scratch`.
    ///
    /// # Errors
    /// When it is not hexadecimal, or longer than `scratch`.
    #[inline]
    pub fn decode_input<'s>(&self, scratch: &'s mut [u8]) -> Result<&'s [u8], DecodeError> {
        let room = scratch.get_mut(..self.input_bytes()).ok_or(DecodeError::NoRoom)?;
        match hex::bytes_into(self.input, room) {
            Ok(_) => Ok(room),
            Err(_) => Err(DecodeError::Invalid(Field::Input)),
        }
    }

    /// Encodes its raw bytes (EIP-2718) to the start of `out` and returns their number. Needs up to
    /// [`SLACK_BYTES`] more room than that.
    ///
    /// # Errors
    /// When `out` is too short, or a list is not what its name says.
    pub fn encode_raw(&self, out: &mut [u8]) -> Result<usize, DecodeError> {
        let mut out = Writer::new(out);
        if self.tx_type != TxType::Legacy {
            out.raw(&[self.tx_type as u8]);
        }
        let envelope = out.begin_list();
        match self.tx_type {
            TxType::Legacy => {}
            TxType::AccessList | TxType::DynamicFee | TxType::Blob | TxType::SetCode => {
                out.u64(self.chain_id.ok_or(DecodeError::Missing(Field::ChainId))?);
            }
        }
        out.u64(self.nonce);
        self.encode_fees(&mut out);
        out.u64(self.gas);
        self.encode_to(&mut out)?;
        out.u256(&self.value);
        valid(Field::Input, out.hex_string(self.input))?;
        self.encode_lists(&mut out)?;
        out.u128(self.v);
        out.u256(&self.r);
        out.u256(&self.s);
        out.end_list(envelope);
        Ok(out.finish()?)
    }

    /// Encodes its raw bytes into `scratch` and makes sure that they hash to what was announced.
    ///
    /// # Errors
    /// When they do not, or cannot be encoded; see [`encode_raw`](Self::encode_raw).
    #[inline]
    pub fn verify<'s>(&self, scratch: &'s mut [u8]) -> Result<&'s [u8], DecodeError> {
        let length = self.encode_raw(scratch)?;
        let raw = scratch.get(..length).ok_or(DecodeError::NoRoom)?;
        if keccak::hash(raw) == self.hash { Ok(raw) } else { Err(DecodeError::HashMismatch) }
    }

    #[inline]
    fn encode_fees(&self, out: &mut Writer<'_>) {
        match self.tx_type {
            TxType::Legacy | TxType::AccessList => out.u128(self.max_fee),
            TxType::DynamicFee | TxType::Blob | TxType::SetCode => {
                out.u128(self.priority_fee);
                out.u128(self.max_fee);
            }
        }
    }

    #[inline]
    fn encode_to(&self, out: &mut Writer<'_>) -> Result<(), DecodeError> {
        match (self.to, self.tx_type) {
            (Some(to), _) => out.string(to.as_slice()),
            (None, TxType::Legacy | TxType::AccessList | TxType::DynamicFee) => out.string(&[]),
            (None, TxType::Blob | TxType::SetCode) => return Err(DecodeError::Missing(Field::To)),
        }
        Ok(())
    }

    /// What stands between the calldata and the signature.
    #[inline]
    fn encode_lists(&self, out: &mut Writer<'_>) -> Result<(), DecodeError> {
        match self.tx_type {
            TxType::Legacy => Ok(()),
            TxType::AccessList | TxType::DynamicFee => encode_access_list(self.access_list, out),
            TxType::Blob => {
                encode_access_list(self.access_list, out)?;
                out.u128(self.max_blob_fee);
                encode_words(self.blob_hashes, Field::BlobVersionedHashes, out)
            }
            TxType::SetCode => {
                encode_access_list(self.access_list, out)?;
                encode_authorizations(self.authorizations, out)
            }
        }
    }
}

#[inline]
fn valid<T>(field: Field, result: Result<T, HexError>) -> Result<T, DecodeError> {
    match result {
        Ok(value) => Ok(value),
        Err(_) => Err(DecodeError::Invalid(field)),
    }
}

/// Nodes older than typed transactions do not name a type.
#[inline]
fn read_type(fields: &Fields<'_>) -> Result<TxType, DecodeError> {
    if fields.has(Field::Type) {
        return match fields.u64(Field::Type)? {
            0 => Ok(TxType::Legacy),
            1 => Ok(TxType::AccessList),
            2 => Ok(TxType::DynamicFee),
            3 => Ok(TxType::Blob),
            4 => Ok(TxType::SetCode),
            _ => Err(DecodeError::TxType),
        };
    }
    let has_fee_cap = fields.has(Field::MaxFeePerGas);
    Ok(if has_fee_cap { TxType::DynamicFee } else { TxType::Legacy })
}

/// The most per gas, and the most of it that is a tip.
#[inline]
fn read_fees(fields: &Fields<'_>, tx_type: TxType) -> Result<(u128, u128), DecodeError> {
    match tx_type {
        TxType::Legacy | TxType::AccessList => {
            let price = fields.u128(Field::GasPrice)?;
            Ok((price, price))
        }
        // Their `gasPrice`, where there is one, is the node's own computation.
        TxType::DynamicFee | TxType::Blob | TxType::SetCode => {
            Ok((fields.u128(Field::MaxFeePerGas)?, fields.u128(Field::MaxPriorityFeePerGas)?))
        }
    }
}

/// `v` as it is encoded, and the chain that the transaction is for.
#[inline]
fn read_v(fields: &Fields<'_>, tx_type: TxType) -> Result<(u128, Option<u64>), DecodeError> {
    if tx_type != TxType::Legacy {
        return Ok((read_parity(fields)?, Some(fields.u64(Field::ChainId)?)));
    }
    let v = fields.u128(if fields.has(Field::V) { Field::V } else { Field::YParity })?;
    match v {
        // A parity, and not a v: some providers write every signature alike.
        0 | 1 if fields.has(Field::ChainId) => {
            let chain_id = fields.u64(Field::ChainId)?;
            Ok((35 + 2 * u128::from(chain_id) + v, Some(chain_id)))
        }
        0 | 1 => Ok((27 + v, None)),
        27 | 28 => Ok((v, None)),
        35.. => match u64::try_from((v - 35) / 2) {
            Ok(chain_id) => Ok((v, Some(chain_id))),
            Err(_) => Err(DecodeError::Invalid(Field::V)),
        },
        _ => Err(DecodeError::Invalid(Field::V)),
    }
}

/// The parity of a signature, under either of its names.
#[inline]
fn read_parity(fields: &Fields<'_>) -> Result<u128, DecodeError> {
    let field = if fields.has(Field::YParity) { Field::YParity } else { Field::V };
    match fields.u128(field)? {
        parity @ (0 | 1) => Ok(parity),
        v @ (27 | 28) => Ok(v - 27),
        _ => Err(DecodeError::Invalid(field)),
    }
}

/// Null, absent and empty all mean that a contract is created.
#[inline]
fn read_to(fields: &Fields<'_>) -> Result<Option<Address>, DecodeError> {
    match fields.token(Field::To) {
        None | Some(b"\"\"" | b"\"0x\"") => Ok(None),
        Some(_) => Ok(Some(Address::new(fields.bytes(Field::To)?))),
    }
}

fn encode_access_list(list: &[u8], out: &mut Writer<'_>) -> Result<(), DecodeError> {
    let start = out.begin_list();
    if !list.is_empty() {
        for span in json::items(list)? {
            let fields = AccessListItem::parse(span?)?;
            let item = out.begin_list();
            out.string(&valid(Field::Address, hex::fixed::<20>(fields.address))?);
            encode_words(fields.storage_keys, Field::StorageKeys, out)?;
            out.end_list(item);
        }
    }
    out.end_list(start);
    Ok(())
}

/// The two members of an access list's item.
#[derive(Debug, Default)]
struct AccessListItem<'a> {
    address: &'a [u8],
    storage_keys: &'a [u8],
}

impl<'a> AccessListItem<'a> {
    fn parse(span: &'a [u8]) -> Result<Self, DecodeError> {
        let mut item = Self::default();
        let mut scanner = Scanner::new(span);
        scanner.object()?;
        while let Some(key) = scanner.next_key()? {
            match (key, scanner.value()?) {
                (b"address", Value::Str(text)) => item.address = text,
                (b"storageKeys", Value::Array(list)) => item.storage_keys = list,
                _ => {}
            }
        }
        Ok(item)
    }
}

/// A list of 32-byte words; `list` is empty or a JSON array.
fn encode_words(list: &[u8], field: Field, out: &mut Writer<'_>) -> Result<(), DecodeError> {
    let start = out.begin_list();
    if !list.is_empty() {
        for token in json::items(list)? {
            let text = Value::of_token(token?).scalar().ok_or(DecodeError::Invalid(field))?;
            out.string(&valid(field, hex::fixed::<32>(text))?);
        }
    }
    out.end_list(start);
    Ok(())
}

fn encode_authorizations(list: &[u8], out: &mut Writer<'_>) -> Result<(), DecodeError> {
    let start = out.begin_list();
    if !list.is_empty() {
        for span in json::items(list)? {
            let fields = Fields::parse(span?)?;
            let item = out.begin_list();
            out.u256(&fields.u256(Field::ChainId)?);
            out.string(&fields.bytes::<20>(Field::Address)?);
            out.u64(fields.u64(Field::Nonce)?);
            // Anyone may put any byte here: only a valid one takes effect, but all are signed.
            let parity = if fields.has(Field::YParity) { Field::YParity } else { Field::V };
            out.u64(fields.u64(parity)?);
            out.u256(&fields.u256(Field::R)?);
            out.u256(&fields.u256(Field::S)?);
            out.end_list(item);
        }
    }
    out.end_list(start);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use alloy::consensus::{
        SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
    };
    use alloy::eips::eip2718::Encodable2718;
    use alloy::eips::eip2930::{AccessList, AccessListItem as Entry};
    use alloy::eips::eip7702::{Authorization, SignedAuthorization};
    use alloy_primitives::{Bytes, Signature, TxKind, address, hex as reference, keccak256};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::message::{Item, Message, parse};
    use crate::limits::RAW_TX_BYTES_MAX;

    const VERBATIM: &str = concat!(
        r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x555572546"#,
        r#"14f3231755a513661627347","result":{"type":"0x2","chainId":"0x7a69","nonce":"0x1",""#,
        r#"gas":"0x186a0","maxFeePerGas":"0x12a05f200","maxPriorityFeePerGas":"0x3b9aca00","t"#,
        r#"o":"0x5fbdb2315678afecb367f032d93f642f64180aa3","value":"0x0","accessList":[],"inp"#,
        r#"ut":"0x","r":"0x1556b03f9faca4f9d586dd34a4071eb85a5514364569ca456077f96f7fe38a0e","#,
        r#""s":"0x5639d85ae4c35cba8224c3dc59f0d68382e2370a07339069427ee450d48eccdd","yParity""#,
        r#":"0x0","v":"0x0","hash":"0x363e8bc5d00092f035e48b2ceb5f6c4c527769326b73b32e5a1155a"#,
        r#"f048fa2ff","blockHash":null,"blockNumber":null,"transactionIndex":null,"from":"0xf"#,
        r#"39fd6e51aad88f6f4ce6ab8827279cfffb92266","gasPrice":"0x6fc9340a"}}}"#,
    );
    const TRANSMIT: &str = concat!(
        r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x6973566f5"#,
        r#"76b766e7465634f59587371","result":{"type":"0x2","chainId":"0x7a69","nonce":"0xd",""#,
        r#"gas":"0x493e0","maxFeePerGas":"0xdf8475800","maxPriorityFeePerGas":"0x77359400","t"#,
        r#"o":"0x4631bcabd6df18d94796344963cb60d44a4136b6","value":"0x0","accessList":[],"inp"#,
        r#"ut":"0xb1dc65a400019e056f6890365e66fff17ff828f63884499a63012d176cf94247f16a5df2000"#,
        r#"0000000000000000000000000000000000000000000000000000000000201000000000000000000000"#,
        r#"0000000000000000000000000000000000000000000000000000000000000000000000000000000000"#,
        r#"00000000000000000000000e0000000000000000000000000000000000000000000000000000000000"#,
        r#"0000220000000000000000000000000000000000000000000000000000000000000028001010000000"#,
        r#"0000000000000000000000000000000000000000000000000000000000000000000000000000000000"#,
        r#"0000000000000000000000000000000012000000000000000000000000000000000000000000000000"#,
        r#"0000000006b011cec00010203000000000000000000000000000000000000000000000000000000000"#,
        r#"0000000000000000000000000000000000000000000000000000000000000800000000000000000000"#,
        r#"0000000000000000000000000000000038d7ea4c680000000000000000000000000000000000000000"#,
        r#"0000000000000000000000000040000000000000000000000000000000000000000000000000000003"#,
        r#"a352943fe0000000000000000000000000000000000000000000000000000003a352943ff000000000"#,
        r#"0000000000000000000000000000000000000000000003a35294400000000000000000000000000000"#,
        r#"0000000000000000000000000003a35294401000000000000000000000000000000000000000000000"#,
        r#"000000000000000000204c2e05e71be23ceb1e7317f5b2fad2fc52975987abac3aaeb44f6b5efe6261"#,
        r#"3338dc7832410e4a42d845d6e64b0fdc78e0ba0ae72c29e061ba54623578f3a6000000000000000000"#,
        r#"000000000000000000000000000000000000000000000027584843952531cdd7ff679667106f97e688"#,
        r#"0dcb068218c1f5fbc2e65fea9378a4e76de4c06075edc5e26d88c7885c5e7c58ab8e3d4d5092a4c3f2"#,
        r#"0f5dbf13e13","r":"0x13994c875459a95067bd889eea1db16345aa96e1579dea18626aba44413306"#,
        r#"ed","s":"0x69c9f793fde8ddd91be17805a3b5ff757b47f3dbed89d9776bcdc53106be438b","yPar"#,
        r#"ity":"0x0","v":"0x0","hash":"0xf79a57e7a611de81b379858870b6a42af9474043b81233f6ea3"#,
        r#"edb2540862744","blockHash":null,"blockNumber":null,"transactionIndex":null,"from":"#,
        r#""0xa0ee7a142d267c1f36714e4a8f75612f20a79720","gasPrice":"0x77359408"}}}"#,
    );

    fn tx_of(text: &str) -> Result<PendingTx<'_>, DecodeError> {
        let Message::Notification { item: Item::PendingTx(tx), .. } = parse(text.as_bytes())?
        else {
            unreachable!("not a transaction: {text}")
        };
        Ok(tx)
    }

    #[test]
    fn a_transaction_is_read_and_encoded_as_anvil_sends_it() {
        let tx = tx_of(VERBATIM).unwrap();
        assert_eq!(tx.tx_type, TxType::DynamicFee);
        assert_eq!((tx.chain_id, tx.nonce, tx.gas), (Some(31_337), 1, 100_000));
        assert_eq!((tx.max_fee, tx.priority_fee), (5_000_000_000, 1_000_000_000));
        assert_eq!(tx.to, Some(address!("5fbdb2315678afecb367f032d93f642f64180aa3")));
        assert_eq!(tx.from, address!("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"));
        assert_eq!((tx.input, tx.input_bytes(), tx.selector()), (&b"0x"[..], 0, None));
        let mut scratch = [0; 256];
        let raw = tx.verify(&mut scratch).unwrap();
        assert_eq!((raw[0], keccak256(raw)), (2, tx.hash));
    }

    #[test]
    fn an_oracle_transmission_is_read_and_encoded_as_anvil_sends_it() {
        let tx = tx_of(TRANSMIT).unwrap();
        assert_eq!(tx.selector(), Some([0xb1, 0xdc, 0x65, 0xa4]));
        let mut scratch = vec![0; RAW_TX_BYTES_MAX];
        assert!(tx.verify(&mut scratch).is_ok());
        let input = tx.decode_input(&mut scratch).unwrap();
        assert_eq!((input.len(), input[3]), (tx.input_bytes(), 0xa4));
    }

    #[test]
    fn whatever_a_node_alters_is_found_out() {
        let mut scratch = [0; 1_024];
        for (from, to) in [
            ("\"nonce\":\"0x1\"", "\"nonce\":\"0x2\""),
            ("\"value\":\"0x0\"", "\"value\":\"0x1\""),
            ("\"input\":\"0x\"", "\"input\":\"0x00\""),
            ("\"yParity\":\"0x0\"", "\"yParity\":\"0x1\""),
            ("\"chainId\":\"0x7a69\"", "\"chainId\":\"0x1\""),
            ("\"type\":\"0x2\"", "\"type\":\"0x4\""),
            ("0x5fbdb2315678afecb367f032d93f642f64180aa3", "0x"),
        ] {
            let text = VERBATIM.replace(from, to);
            assert_ne!(text, VERBATIM);
            let expected = Err(DecodeError::HashMismatch);
            assert_eq!(tx_of(&text).unwrap().verify(&mut scratch), expected, "{to}");
        }
        assert_eq!(tx_of(VERBATIM).unwrap().verify(&mut [0; 64]), Err(DecodeError::NoRoom));
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        for field in [Field::From, Field::Hash, Field::Value, Field::R, Field::S, Field::ChainId] {
            let key = format!("\"{}\":", field.name());
            let text = VERBATIM.replacen(&key, "\"not\":", 1);
            assert_eq!(tx_of(&text), Err(DecodeError::Missing(field)), "{key}");
        }
        let unknown = VERBATIM.replace("\"type\":\"0x2\"", "\"type\":\"0x7e\"");
        assert_eq!(tx_of(&unknown), Err(DecodeError::TxType));
        let odd = VERBATIM.replace("\"input\":\"0x\"", "\"input\":\"0x1\"");
        assert_eq!(tx_of(&odd), Err(DecodeError::Invalid(Field::Input)));
    }

    /// A transaction's JSON members.
    type Members = Vec<(&'static str, String)>;

    fn quantity(value: U256, style: u8) -> String {
        match style % 4 {
            0 | 1 => format!("\"0x{value:x}\""),
            2 => format!("\"0x00{value:x}\""),
            _ => format!("\"{value}\""),
        }
    }

    fn data(bytes: &[u8]) -> String {
        format!("\"{}\"", reference::encode_prefixed(bytes))
    }

    fn list<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
        format!("[{}]", items.iter().map(write).collect::<Vec<_>>().join(", "))
    }

    /// Everything that a transaction of any type may hold.
    #[derive(Clone, Debug)]
    struct Parts {
        chain_id: u64,
        nonce: u64,
        gas: u64,
        fees: [u128; 3],
        to: Option<Address>,
        value: U256,
        input: Bytes,
        access_list: AccessList,
        blob_hashes: Vec<B256>,
        authorizations: Vec<SignedAuthorization>,
        signature: Signature,
        style: u8,
    }

    impl Parts {
        fn sign<T: SignableTransaction<Signature>>(&self, tx: T) -> (B256, Vec<u8>)
        where
            alloy::consensus::Signed<T>: Encodable2718,
        {
            let signed = tx.into_signed(self.signature);
            (signed.trie_hash(), signed.encoded_2718())
        }

        fn to(&self) -> TxKind {
            self.to.map_or(TxKind::Create, TxKind::Call)
        }

        fn number(&self, value: impl TryInto<U256>) -> String {
            quantity(value.try_into().ok().unwrap(), self.style)
        }

        fn members(&self, hash: B256) -> Members {
            let input = if self.style.is_multiple_of(2) { "input" } else { "data" };
            let to = self.to.map_or("null".into(), |to| data(to.as_slice()));
            vec![
                ("hash", data(hash.as_slice())),
                ("from", data(&[7; 20])),
                ("nonce", self.number(U256::from(self.nonce))),
                ("gas", self.number(U256::from(self.gas))),
                ("to", to),
                ("value", self.number(self.value)),
                (input, data(&self.input)),
                ("r", self.number(self.signature.r())),
                ("s", self.number(self.signature.s())),
                ("blockHash", "null".into()),
            ]
        }

        /// What every type but the oldest has.
        fn typed(&self, hash: B256, tx_type: u8) -> Members {
            let mut members = self.members(hash);
            let parity = U256::from(u8::from(self.signature.v()));
            let keys = list(&self.access_list.0, |entry| {
                let keys = list(&entry.storage_keys, |key| data(key.as_slice()));
                let address = data(entry.address.as_slice());
                if self.style & 4 == 0 {
                    format!(r#"{{"address":{address},"storageKeys":{keys}}}"#)
                } else {
                    format!(r#"{{"storageKeys":{keys} ,"address":{address}}}"#)
                }
            });
            members.push(("type", self.number(U256::from(tx_type))));
            members.push(("chainId", self.number(U256::from(self.chain_id))));
            if self.style & 16 == 0 || !self.access_list.0.is_empty() {
                members.push(("accessList", keys));
            }
            if self.style & 8 == 0 {
                members.push(("yParity", self.number(parity)));
                members.push(("v", "\"0x0\"".into()));
            } else {
                members.push(("v", self.number(parity)));
            }
            members
        }

        fn fee_caps(&self, members: &mut Members) {
            members.push(("maxFeePerGas", self.number(U256::from(self.fees[0]))));
            members.push(("maxPriorityFeePerGas", self.number(U256::from(self.fees[1]))));
            members.push(("gasPrice", "\"0x1\"".into()));
        }

        fn legacy(&self, chain_id: Option<u64>) -> (Members, Vec<u8>) {
            let tx = TxLegacy {
                chain_id,
                nonce: self.nonce,
                gas_price: self.fees[0],
                gas_limit: self.gas,
                to: self.to(),
                value: self.value,
                input: self.input.clone(),
            };
            let (hash, raw) = self.sign(tx);
            let mut members = self.members(hash);
            let parity = u128::from(self.signature.v());
            members.push(("gasPrice", self.number(U256::from(self.fees[0]))));
            if self.style & 16 == 0 {
                members.push(("type", self.number(U256::ZERO)));
            }
            if let Some(chain_id) = chain_id {
                members.push(("chainId", self.number(U256::from(chain_id))));
            }
            let v = chain_id.map_or(27 + parity, |id| 35 + 2 * u128::from(id) + parity);
            match self.style & 12 {
                0 => members.push(("yParity", self.number(U256::from(parity)))),
                4 => members.push(("v", self.number(U256::from(parity)))),
                _ => members.push(("v", self.number(U256::from(v)))),
            }
            (members, raw)
        }

        fn access_list(&self) -> (Members, Vec<u8>) {
            let (hash, raw) = self.sign(TxEip2930 {
                chain_id: self.chain_id,
                nonce: self.nonce,
                gas_price: self.fees[0],
                gas_limit: self.gas,
                to: self.to(),
                value: self.value,
                access_list: self.access_list.clone(),
                input: self.input.clone(),
            });
            let mut members = self.typed(hash, 1);
            members.push(("gasPrice", self.number(U256::from(self.fees[0]))));
            (members, raw)
        }

        fn dynamic_fee(&self) -> (Members, Vec<u8>) {
            let (hash, raw) = self.sign(TxEip1559 {
                chain_id: self.chain_id,
                nonce: self.nonce,
                gas_limit: self.gas,
                max_fee_per_gas: self.fees[0],
                max_priority_fee_per_gas: self.fees[1],
                to: self.to(),
                value: self.value,
                access_list: self.access_list.clone(),
                input: self.input.clone(),
            });
            let mut members = self.typed(hash, 2);
            self.fee_caps(&mut members);
            (members, raw)
        }

        fn blob(&self) -> (Members, Vec<u8>) {
            let (hash, raw) = self.sign(TxEip4844 {
                chain_id: self.chain_id,
                nonce: self.nonce,
                gas_limit: self.gas,
                max_fee_per_gas: self.fees[0],
                max_priority_fee_per_gas: self.fees[1],
                max_fee_per_blob_gas: self.fees[2],
                to: self.to.unwrap_or_default(),
                value: self.value,
                access_list: self.access_list.clone(),
                blob_versioned_hashes: self.blob_hashes.clone(),
                input: self.input.clone(),
            });
            let mut members = self.typed(hash, 3);
            self.fee_caps(&mut members);
            members.push(("maxFeePerBlobGas", self.number(U256::from(self.fees[2]))));
            let hashes = list(&self.blob_hashes, |hash| data(hash.as_slice()));
            members.push(("blobVersionedHashes", hashes));
            members.push(("blobs", "[\"0x00\",\"0x01\"]".into()));
            (members, raw)
        }

        fn set_code(&self) -> (Members, Vec<u8>) {
            let (hash, raw) = self.sign(TxEip7702 {
                chain_id: self.chain_id,
                nonce: self.nonce,
                gas_limit: self.gas,
                max_fee_per_gas: self.fees[0],
                max_priority_fee_per_gas: self.fees[1],
                to: self.to.unwrap_or_default(),
                value: self.value,
                access_list: self.access_list.clone(),
                authorization_list: self.authorizations.clone(),
                input: self.input.clone(),
            });
            let mut members = self.typed(hash, 4);
            self.fee_caps(&mut members);
            let authorizations = list(&self.authorizations, |authorization| {
                format!(
                    r#"{{"chainId":{},"address":{},"nonce":{},"yParity":{},"r":{},"s":{}}}"#,
                    self.number(authorization.chain_id),
                    data(authorization.address.as_slice()),
                    self.number(U256::from(authorization.nonce)),
                    self.number(U256::from(authorization.y_parity())),
                    self.number(authorization.r()),
                    self.number(authorization.s()),
                )
            });
            members.push(("authorizationList", authorizations));
            (members, raw)
        }
    }

    /// Integers of every width, so that every boundary of a minimal encoding is met.
    fn width_u64() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
    }

    fn width_u128() -> impl Strategy<Value = u128> {
        (any::<u128>(), 0..128_u32).prop_map(|(value, shift)| value >> shift)
    }

    fn width_u256() -> impl Strategy<Value = U256> {
        (any::<[u64; 4]>(), 0..256_usize)
            .prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift)
    }

    fn words(count: usize) -> impl Strategy<Value = Vec<B256>> {
        proptest::collection::vec(any::<[u8; 32]>().prop_map(B256::new), 0..count)
    }

    fn addresses() -> impl Strategy<Value = Address> {
        any::<[u8; 20]>().prop_map(Address::new)
    }

    fn access_lists() -> impl Strategy<Value = AccessList> {
        let entry = (addresses(), words(9))
            .prop_map(|(address, storage_keys)| Entry { address, storage_keys });
        proptest::collection::vec(entry, 0..4).prop_map(AccessList)
    }

    fn authorizations() -> impl Strategy<Value = Vec<SignedAuthorization>> {
        let one = (width_u256(), addresses(), width_u64(), any::<u8>(), width_u256(), width_u256())
            .prop_map(|(chain_id, address, nonce, parity, r, s)| {
                let inner = Authorization { chain_id, address, nonce };
                SignedAuthorization::new_unchecked(inner, parity, r, s)
            });
        proptest::collection::vec(one, 0..4)
    }

    fn inputs() -> impl Strategy<Value = Bytes> {
        let length = prop_oneof![0..3_usize, 50..60_usize, 200..300_usize, 0..2_000_usize];
        length
            .prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length))
            .prop_map(Bytes::from)
    }

    fn parts() -> impl Strategy<Value = Parts> {
        let integers = (width_u64(), width_u64(), width_u64(), width_u256());
        let fees = [width_u128(), width_u128(), width_u128()];
        let to = proptest::option::weighted(0.9, addresses());
        let signature = (width_u256(), width_u256(), any::<bool>())
            .prop_map(|(r, s, parity)| Signature::new(r, s, parity));
        let lists = (access_lists(), words(7), authorizations());
        (integers, fees, to, inputs(), lists, signature, any::<u8>()).prop_map(
            |(integers, fees, to, input, lists, signature, style)| Parts {
                chain_id: integers.0,
                nonce: integers.1,
                gas: integers.2,
                fees,
                to,
                value: integers.3,
                input,
                access_list: lists.0,
                blob_hashes: lists.1,
                authorizations: lists.2,
                signature,
                style,
            },
        )
    }

    /// The members in an order that `seed` chooses.
    fn object(mut members: Members, seed: u64) -> String {
        let mut state = seed | 1;
        for index in (1..members.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            members.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
        }
        let list: Vec<_> =
            members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", list.join(","))
    }

    proptest! {
        #[test]
        fn every_type_is_encoded_as_alloy_encodes_it(parts in parts(), seed in any::<u64>()) {
            let cases = [
                (parts.legacy(None), TxType::Legacy, true),
                (parts.legacy(Some(parts.chain_id >> 1)), TxType::Legacy, true),
                (parts.access_list(), TxType::AccessList, true),
                (parts.dynamic_fee(), TxType::DynamicFee, true),
                (parts.blob(), TxType::Blob, parts.to.is_some()),
                (parts.set_code(), TxType::SetCode, parts.to.is_some()),
            ];
            let mut scratch = vec![0; RAW_TX_BYTES_MAX];
            for ((members, expected), tx_type, is_valid) in cases {
                let text = object(members, seed);
                let tx = PendingTx::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(tx.tx_type, tx_type);
                if is_valid {
                    prop_assert_eq!(tx.verify(&mut scratch), Ok(&expected[..]), "{}", text);
                    let mut tight = vec![0; expected.len() + SLACK_BYTES];
                    prop_assert_eq!(tx.verify(&mut tight), Ok(&expected[..]), "{}", text);
                } else {
                    let missing = Err(DecodeError::Missing(Field::To));
                    prop_assert_eq!(tx.verify(&mut scratch), missing);
                }
            }
        }

        #[test]
        fn damaged_transactions_never_panic(
            parts in parts(),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut scratch = vec![0; 4_096];
            for (members, _) in [parts.blob(), parts.set_code(), parts.legacy(None)] {
                let mut text = object(members, 1).into_bytes();
                let at = at.index(text.len());
                text[at] = byte;
                if let Ok(tx) = PendingTx::parse(&text) {
                    let _ignored = tx.verify(&mut scratch);
                }
            }
        }
    }
}
