//! What one frame is: a notification, a reply or a batch of them.
//!
//! The entry of decode. A notification's kind is decided by the shape of what it carries and not by
//! its subscription id, because a notification may overtake the reply that tells the id, and by no
//! key's place, because nobody promises an order. One pass: members are noted while the kind is
//! still unknown, and converted once it is.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256};

use crate::decode::DecodeError;
use crate::decode::fields::{Field, Fields};
use crate::decode::head::Head;
use crate::decode::log::Log;
use crate::decode::pending::PendingTx;
use crate::wire::hex;
use crate::wire::json::{self, Items, Scanner, Value};

/// One JSON-RPC message from a node.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message lives on the stack for one call and boxing would allocate"
)]
pub enum Message<'a> {
    /// News from a subscription.
    Notification {
        /// The subscription's id as it is written, without quotes; empty if there is none.
        subscription: &'a [u8],
        /// The news.
        item: Item<'a>,
    },
    /// The answer to a question.
    Reply {
        /// The question's id.
        id: u64,
        /// The answer.
        result: Value<'a>,
    },
    /// The refusal of a question.
    ReplyError {
        /// The question's id; `None` if the node did not understand even that.
        id: Option<u64>,
        /// JSON-RPC error code; 0 if there is none.
        code: i64,
        /// The node's words, with JSON escapes; empty if there are none.
        message: &'a [u8],
    },
    /// Several messages in an array.
    Batch(Batch<'a>),
}

/// What a notification carries.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// A new block's header.
    Head(Head),
    /// A log of a block.
    Log(Log<'a>),
    /// A pending transaction.
    PendingTx(PendingTx<'a>),
    /// A pending transaction's hash.
    PendingHash(B256),
    /// The receipts of a block's transactions, as their array.
    Receipts(&'a [u8]),
    /// Anything else.
    Unknown(Value<'a>),
}

impl Message<'_> {
    /// What says nothing: where a message is to be read to.
    pub const NONE: Self = Self::ReplyError { id: None, code: 0, message: &[] };

    /// Whether it announces a log.
    #[must_use]
    pub const fn is_log(&self) -> bool {
        matches!(self, Self::Notification { item: Item::Log(_), .. })
    }
}

/// Reads one message.
///
/// # Errors
/// When it is not a JSON-RPC message, or an item that it announces lacks a field.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut message = Message::NONE;
    parse_into(bytes, &mut message, |_| ())?;
    Ok(message)
}

/// Reads one message in place: it has half a kilobyte, and each time it is handed on it is copied.
/// `ahead` hears of a log's contract before the log is read, if it is named first (as geth and its
/// kin do), so that memory can be asked meanwhile for what will change.
///
/// # Errors
/// As [`parse`]; there is anything in `message` then.
#[inline]
pub fn parse_into<'a>(
    bytes: &'a [u8],
    message: &mut Message<'a>,
    mut ahead: impl FnMut(&Address),
) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(bytes);
    if scanner.peek() == Some(b'[') {
        *message = Message::Batch(Batch { items: json::items(bytes)? });
        return Ok(());
    }
    read_one(&mut scanner, message, &mut ahead)?;
    Ok(scanner.finish()?)
}

/// The messages of a batch, in order. After an error inside of the array itself there are no more.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    items: Items<'a>,
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.items.next()? {
            Ok(span) => {
                let mut message = Message::NONE;
                let read = read_one(&mut Scanner::new(span), &mut message, &mut |_| ());
                Some(read.map(|()| message))
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// How a notification begins where nothing but its members is written.
const NOTIFICATION: &[u8] = br#"{"jsonrpc":"2.0","method":"eth_subscription","params":"#;

/// Reads the members of the message's outermost object.
#[inline]
fn read_one<'a>(
    scanner: &mut Scanner<'a>,
    message: &mut Message<'a>,
    ahead: &mut impl FnMut(&Address),
) -> Result<(), DecodeError> {
    let (mut id, mut result, mut error) = (Value::Null, None, Value::Null);
    let mut has_item = false;
    let mut next = if scanner.pass(NOTIFICATION) {
        Some(&b"params"[..])
    } else {
        scanner.object()?;
        scanner.next_key()?
    };
    while let Some(key) = next {
        match key {
            b"params" if scanner.peek() == Some(b'{') => {
                has_item |= read_params(scanner, message, ahead)?;
            }
            b"id" => id = scanner.value()?,
            b"result" => result = Some(scanner.value()?),
            b"error" => error = scanner.value()?,
            _ => scanner.skip()?,
        }
        next = scanner.next_key()?;
    }
    if has_item {
        return Ok(());
    }
    let id = id.scalar().and_then(|text| hex::quantity_u64(text).ok());
    *message = match (error, result) {
        (Value::Null, None) => return Err(DecodeError::NotRpc),
        (Value::Null, Some(result)) => {
            Message::Reply { id: id.ok_or(DecodeError::ReplyId)?, result }
        }
        (error, _) => read_refusal(id, error)?,
    };
    Ok(())
}

/// Reads a notification's parameters; whether they have an item.
#[inline]
fn read_params<'a>(
    scanner: &mut Scanner<'a>,
    message: &mut Message<'a>,
    ahead: &mut impl FnMut(&Address),
) -> Result<bool, DecodeError> {
    let (mut name, mut has_item): (&[u8], _) = (&[], false);
    scanner.object()?;
    while let Some(key) = scanner.next_key()? {
        match key {
            b"result" => {
                has_item = true;
                if scanner.peek() == Some(b'{') {
                    read_object(scanner, message, ahead)?;
                } else {
                    *message = notify(read_other(scanner.value()?));
                }
            }
            b"subscription" => name = scanner.value()?.scalar().unwrap_or_default(),
            _ => scanner.skip()?,
        }
    }
    if has_item && let Message::Notification { subscription, .. } = message {
        *subscription = name;
    }
    Ok(has_item)
}

/// A notification, whose subscription is not read yet.
#[inline]
const fn notify(item: Item<'_>) -> Message<'_> {
    Message::Notification { subscription: &[], item }
}

/// Reads an item that is an object.
#[inline]
fn read_object<'a>(
    scanner: &mut Scanner<'a>,
    message: &mut Message<'a>,
    ahead: &mut impl FnMut(&Address),
) -> Result<(), DecodeError> {
    scanner.peek();
    let rest = scanner.rest();
    if let Some(address) = leading_address(rest) {
        ahead(&address);
    }
    let mut fields = Fields::NONE;
    fields.scan(scanner)?;
    *message = if fields.has(Field::ParentHash) {
        notify(Item::Head(Head::from_fields(&fields)?))
    } else if fields.has(Field::Topics) {
        notify(Item::Log(Log::from_fields(&fields)?))
    } else if is_transaction(&fields) {
        notify(Item::PendingTx(PendingTx::from_fields(&fields)?))
    } else {
        let span = rest.get(..rest.len() - scanner.rest().len()).unwrap_or_default();
        notify(Item::Unknown(Value::Object(span)))
    };
    Ok(())
}

/// The address that an object begins with.
#[inline]
fn leading_address(object: &[u8]) -> Option<Address> {
    let text = object.strip_prefix(br#"{"address":""#)?.get(..42)?;
    hex::fixed(text).ok().map(Address::new)
}

/// Reads an item that is no object.
#[inline]
fn read_other(value: Value<'_>) -> Item<'_> {
    if let Value::Array(span) = value {
        return Item::Receipts(span);
    }
    match value.scalar().map(hex::fixed) {
        Some(Ok(hash)) => Item::PendingHash(B256::new(hash)),
        Some(Err(_)) | None => Item::Unknown(value),
    }
}

#[inline]
fn is_transaction(fields: &Fields<'_>) -> bool {
    let has_input = fields.has(Field::Input) || fields.has(Field::Data);
    has_input && fields.has(Field::Gas) && fields.has(Field::Nonce)
}

/// Reads an error object, or whatever stands in its place.
#[cold]
fn read_refusal<'a>(id: Option<u64>, error: Value<'a>) -> Result<Message<'a>, DecodeError> {
    let (mut code, mut message) = (0, error.scalar().unwrap_or_default());
    if let Value::Object(span) = error {
        let mut scanner = Scanner::new(span);
        scanner.object()?;
        while let Some(key) = scanner.next_key()? {
            match key {
                b"code" => code = integer(&scanner.value()?).unwrap_or(0),
                b"message" => message = scanner.value()?.scalar().unwrap_or_default(),
                _ => scanner.skip()?,
            }
        }
    }
    Ok(Message::ReplyError { id, code, message })
}

fn integer(value: &Value<'_>) -> Option<i64> {
    match value.scalar()? {
        [b'-', digits @ ..] => {
            hex::quantity_u64(digits).ok().and_then(|size| 0_i64.checked_sub_unsigned(size))
        }
        digits => hex::quantity_u64(digits).ok().and_then(|size| i64::try_from(size).ok()),
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use alloy_primitives::b256;
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "0x363e8bc5d00092f035e48b2ceb5f6c4c527769326b73b32e5a1155af048fa2ff";

    fn notification(result: &str) -> String {
        [
            r#"{"jsonrpc":"2.0","method":"eth_subscription","#,
            r#""params":{"subscription":"0x3","result":"#,
            result,
            "}}",
        ]
        .concat()
    }

    #[test]
    fn a_pending_hash_is_read_as_anvil_sends_it() {
        let text = notification(&["\"", HASH, "\""].concat());
        let Ok(Message::Notification { subscription, item: Item::PendingHash(hash) }) =
            parse(text.as_bytes())
        else {
            unreachable!("a hash");
        };
        assert_eq!(subscription, b"0x3");
        assert_eq!(hash, b256!("363e8bc5d00092f035e48b2ceb5f6c4c527769326b73b32e5a1155af048fa2ff"));
    }

    #[test]
    fn a_logs_contract_is_told_ahead_where_it_is_named_first() {
        let address = Address::repeat_byte(0x5a);
        let named = std::format!(r#""address":"{address:#x}""#);
        let rest = concat!(
            r#""topics":[],"data":"0x","blockNumber":"0x1","transactionIndex":"0x0","#,
            r#""logIndex":"0x0""#
        );
        let hashes = std::format!(r#""blockHash":"{HASH}","transactionHash":"{HASH}""#);
        let ahead_of = |result: String| {
            let text = notification(&result);
            let (mut message, mut heard) = (Message::NONE, Vec::new());
            let read = parse_into(text.as_bytes(), &mut message, |address| heard.push(*address));
            assert_eq!(read, Ok(()));
            assert!(message.is_log(), "{message:?}");
            heard
        };
        assert_eq!(ahead_of(std::format!("{{{named},{rest},{hashes}}}")), [address]);
        // Elsewhere it is read like any member.
        let none: [Address; 0] = [];
        assert_eq!(ahead_of(std::format!("{{{rest},{named},{hashes}}}")), none);
        assert_eq!(ahead_of(std::format!("{{ {named},{rest},{hashes}}}")), none);
    }

    #[test]
    fn a_notification_reads_the_same_however_it_is_spaced() {
        let tight = notification(&["\"", HASH, "\""].concat());
        let begins = std::str::from_utf8(NOTIFICATION).unwrap_or_default();
        assert!(tight.starts_with(begins), "the way that is taken at once");
        for text in [tight.replace(':', " : "), tight.replace(',', " ,"), tight.replace('{', "{ ")]
        {
            let both = [tight.as_bytes(), text.as_bytes()].map(|text| match parse(text) {
                Ok(Message::Notification { subscription, item: Item::PendingHash(hash) }) => {
                    (subscription.to_vec(), hash)
                }
                other => unreachable!("{other:?}"),
            });
            assert_eq!(both[0], both[1], "{text}");
        }
        // Where it ends behind the start that is known, or goes on in another way.
        assert!(parse(NOTIFICATION).is_err());
        assert!(parse(&[NOTIFICATION, b"[]}"].concat()).is_err());
        assert!(parse(&[NOTIFICATION, b"{}"].concat()).is_err());
    }

    #[test]
    fn the_subscription_may_stand_behind_the_result() {
        let text = [r#"{"params":{"result":""#, HASH, r#"","subscription":"0x7"},"method":"x"}"#];
        let text = text.concat();
        let message = parse(text.as_bytes());
        assert!(
            matches!(
                message,
                Ok(Message::Notification { subscription: b"0x7", item: Item::PendingHash(_) })
            ),
            "{message:?}"
        );
    }

    #[test]
    fn what_has_an_unknown_shape_is_handed_over_as_it_is() {
        for (result, expected) in [
            ("true", Value::Bool(true)),
            (r#""0x12""#, Value::Str(b"0x12")),
            (r#"{"syncing":{"a":1}}"#, Value::Object(br#"{"syncing":{"a":1}}"#)),
            (" { } ", Value::Object(b"{ }")),
        ] {
            let text = notification(result);
            let Ok(Message::Notification { item: Item::Unknown(value), .. }) =
                parse(text.as_bytes())
            else {
                unreachable!("unknown: {result}");
            };
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn an_array_is_a_block_of_receipts() {
        let text = notification(r#"[{"logs":[]}]"#);
        let message = parse(text.as_bytes());
        let Ok(Message::Notification { item: Item::Receipts(span), .. }) = message else {
            unreachable!("receipts: {message:?}");
        };
        assert_eq!(span, br#"[{"logs":[]}]"#);
    }

    #[test]
    fn replies_are_told_by_their_id_however_it_is_written() {
        for id in ["42", "\"42\"", "\"0x2a\""] {
            let text = [r#"{"id":"#, id, r#","result":{"a":[1]},"jsonrpc":"2.0"}"#].concat();
            let message = parse(text.as_bytes());
            assert!(
                matches!(
                    message,
                    Ok(Message::Reply { id: 42, result: Value::Object(br#"{"a":[1]}"#) })
                ),
                "{message:?}"
            );
        }
        let null = parse(br#"{"jsonrpc":"2.0","id":1,"result":null}"#);
        assert!(matches!(null, Ok(Message::Reply { id: 1, result: Value::Null })));
        assert!(matches!(parse(br#"{"id":null,"result":1}"#), Err(DecodeError::ReplyId)));
    }

    #[test]
    fn refusals_carry_code_and_words() {
        let read = |text: &'static str| match parse(text.as_bytes()) {
            Ok(Message::ReplyError { id, code, message }) => (id, code, message),
            other => unreachable!("{other:?}"),
        };
        assert_eq!(
            read(r#"{"id":7,"error":{"code":-32000,"message":"nonce too low","data":{}}}"#),
            (Some(7), -32_000, &b"nonce too low"[..])
        );
        assert_eq!(
            read(r#"{"id":null,"error":{"message":"a \"b\"","code":-32600}}"#),
            (None, -32_600, &br#"a \"b\""#[..])
        );
        assert_eq!(
            read(r#"{"error":"error in signature check"}"#),
            (None, 0, &b"error in signature check"[..])
        );
        assert_eq!(read(r#"{"error":{},"id":1}"#), (Some(1), 0, &b""[..]));
        assert!(matches!(parse(br#"{"id":1,"error":null,"result":2}"#), Ok(Message::Reply { .. })));
    }

    #[test]
    fn a_batch_is_walked_message_by_message() {
        let text = br#" [{"id":1,"result":"0x1"},{"id":2,"error":{"code":3}},[],{"id":3}] "#;
        let Ok(Message::Batch(batch)) = parse(text) else { unreachable!("a batch") };
        let list: Vec<_> = batch.collect();
        assert_eq!(list.len(), 4);
        assert!(matches!(list[0], Ok(Message::Reply { id: 1, result: Value::Str(b"0x1") })));
        assert!(matches!(list[1], Ok(Message::ReplyError { id: Some(2), code: 3, .. })));
        assert!(matches!(list[2], Err(DecodeError::Json(_))));
        assert!(matches!(list[3], Err(DecodeError::NotRpc)));
    }

    #[test]
    fn what_follows_the_message_is_an_error() {
        assert!(parse(br#"{"id":1,"result":2} {"#).is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"{}").is_err());
        assert!(parse(br#"{"id":1,"result":2"#).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Message::Batch(batch)) = parse(&bytes) {
                prop_assert!(batch.count() <= bytes.len());
            }
        }

        #[test]
        fn damaged_messages_never_panic(
            cut in any::<proptest::sample::Index>(),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut text = notification(
                r#"{"parentHash":"0x1","topics":["0x2"],"gas":"0x1","input":"0x","nonce":"0x0"}"#,
            )
            .into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            text.truncate(cut.index(text.len()) + 1);
            let _ignored = parse(&text);
        }
    }
}
