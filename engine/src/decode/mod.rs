//! Messages to events: what a JSON-RPC message says, in the engine's own types.
//!
//! Stands between `wire` (bytes to messages) and the world. [`message`] says what a frame is;
//! [`head`], [`log`] and [`pending`] are what a node announces; [`calldata`] reads what a pending
//! transaction calls. The structs here hold what the wire says in plain integers, and borrow long
//! data from the frame as it is written. Whatever does not decode is a small [`DecodeError`] that
//! is counted; nothing here panics on what a node may send.
//!
//! Temperature: hot.

pub mod calldata;
pub mod fields;
pub mod head;
pub mod list;
pub mod log;
pub mod message;
pub mod pending;
pub mod receipt;
pub mod swap;
pub mod topics;

use crate::decode::fields::Field;
use crate::wire::json::JsonError;
use crate::wire::rlp::RlpFull;

/// Why bytes were not decoded. Counted, never formatted on the hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DecodeError {
    /// Not JSON, or not the kind of value that belongs there.
    Json(JsonError),
    /// JSON, but neither a notification nor a reply.
    NotRpc,
    /// A reply whose id is not a number.
    ReplyId,
    /// A field that must be there is absent or null.
    Missing(Field),
    /// A field does not hold what its name promises.
    Invalid(Field),
    /// A transaction type that nobody has defined yet.
    TxType,
    /// More than four topics.
    TopicCount,
    /// A word or an offset lies outside of the data.
    OutOfBounds,
    /// An amount that no pool can hold.
    AmountTooLarge,
    /// An address with something in its upper twelve bytes.
    DirtyAddress,
    /// A swap path shorter than two tokens or longer than any that is followed.
    PathLength,
    /// The raw transaction is longer than the buffer for it.
    NoRoom,
    /// What was re-encoded does not hash to what was announced.
    HashMismatch,
    /// Facts that are well-formed but contradict each other.
    Contradiction,
    /// A call, a command or a value that is not followed.
    Unknown,
    /// More calls, or deeper ones, or more swaps than are followed.
    TooMuch,
}

impl From<JsonError> for DecodeError {
    #[inline]
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<RlpFull> for DecodeError {
    #[inline]
    fn from(_: RlpFull) -> Self {
        Self::NoRoom
    }
}

const _: () = assert!(size_of::<DecodeError>() == 2, "errors are counted by their code");
