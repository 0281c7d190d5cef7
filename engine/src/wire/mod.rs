//! Bytes to messages: WebSocket frames, newline-delimited streams, JSON, hexadecimal and RLP.
//!
//! The first stop of every frame. Nothing here knows what a message means; that is `decode`. The
//! two readers own one fixed buffer each, into which the shell reads its socket, and lend out
//! messages from it; everything else works on borrowed bytes. All of it is total: no input makes it
//! panic.
//!
//! ```text
//! socket ─► websocket | newline ─► message ─► json ─► spans ─► hex ─► values
//!                                                     values ─► rlp ─► raw transaction
//! ```
//!
//! Temperature: hot.

pub mod hex;
pub mod json;
pub mod newline;
mod quotes;
pub mod rlp;
pub mod websocket;

/// Why a stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WireError {
    /// A server must not mask its frames.
    Masked,
    /// A reserved bit is set, though no extension was agreed on.
    ReservedBits,
    /// An opcode that nobody has defined.
    ReservedOpcode,
    /// A control frame must not be fragmented.
    FragmentedControl,
    /// A control frame has more than 125 bytes.
    ControlTooLong,
    /// A continuation of nothing.
    Continuation,
    /// A new message before the last fragment of the one before.
    Interrupted,
    /// A length that is not written in the shortest way.
    LengthNotMinimal,
    /// A length with its highest bit set.
    LengthTooLarge,
    /// A close frame with half a code.
    CloseCode,
    /// A stream that holds something other than JSON objects and arrays.
    NotJson,
}

/// One message from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text; not checked to be UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Binary(&'a [u8]),
    /// Must be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// Answers a ping of ours.
    Pong(&'a [u8]),
    /// The peer closes the connection; nothing follows.
    Close {
        /// Why, if it says so.
        code: Option<u16>,
    },
    /// A message that was longer than the capacity, and is gone.
    Skipped {
        /// Length of its payload.
        bytes: u64,
    },
}
