//! WebSocket frames, written by hand so that they can be broken, and links to clients.
//!
//! Temperature: cold.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::faults::Style;

/// Longest message that a client may send, in bytes.
const MESSAGE_BYTES_MAX: u64 = 16 << 20;
/// Pause between two pieces of a trickle.
const TRICKLE: Duration = Duration::from_micros(20);

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// What a subscription brings.
#[derive(Clone, Debug)]
pub(crate) enum Topic {
    Heads,
    /// Logs that fit a filter.
    Logs(Value),
    /// The receipts of each block.
    Receipts,
    /// Pending transactions, in full or as hashes.
    Pending {
        is_full: bool,
    },
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Brings heads and logs.
    Chain,
    /// Brings pending transactions.
    Pending,
    /// Brings answers only.
    Rpc,
}

impl Kind {
    /// Every kind, with its name in a scenario.
    pub const ALL: [(&'static str, Self); 3] =
        [("chain", Self::Chain), ("pending", Self::Pending), ("rpc", Self::Rpc)];
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// The way in that it came by.
    pub(crate) door: usize,
    writer: Mutex<TcpStream>,
    pub(crate) subscriptions: Mutex<Vec<(String, Topic)>>,
    /// When the client's last frame was read.
    pub(crate) heard_at: Mutex<Instant>,
    is_open: AtomicBool,
}

impl Link {
    pub(crate) fn new(door: usize, socket: TcpStream) -> Self {
        Self {
            door,
            writer: Mutex::new(socket),
            subscriptions: Mutex::default(),
            heard_at: Mutex::new(Instant::now()),
            is_open: AtomicBool::new(true),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    pub(crate) fn kind(&self) -> Kind {
        let held = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        match held.first() {
            None => Kind::Rpc,
            Some((_, Topic::Pending { .. })) => Kind::Pending,
            Some((_, Topic::Heads | Topic::Logs(_) | Topic::Receipts)) => Kind::Chain,
        }
    }

    /// Writes a text message in some style.
    pub(crate) fn say(&self, text: &str, style: Style) {
        self.write(&message(text.as_bytes(), style.fragment), style.trickle);
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&self, bytes: &[u8], trickle: Option<usize>) {
        let mut socket = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match trickle {
            None => socket.write_all(bytes),
            Some(size) => bytes.chunks(size.max(1)).try_for_each(|piece| {
                std::thread::sleep(TRICKLE);
                socket.write_all(piece)
            }),
        };
        if written.is_err() {
            self.end(&socket);
        }
    }

    /// Closes the connection without a word.
    pub(crate) fn drop_it(&self) {
        let socket = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.end(&socket);
    }

    fn end(&self, socket: &TcpStream) {
        self.is_open.store(false, Ordering::Relaxed);
        // It may be closed already.
        socket.shutdown(Shutdown::Both).unwrap_or_default();
    }

    /// Marks it closed by the client.
    pub(crate) fn is_gone(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }
}

/// A text message as one frame, or in fragments of so many bytes.
pub(crate) fn message(payload: &[u8], fragment: Option<usize>) -> Vec<u8> {
    let size = fragment.unwrap_or(payload.len()).max(1);
    let count = payload.len().div_ceil(size).max(1);
    let mut bytes = Vec::with_capacity(payload.len() + 10 * count);
    for place in 0..count {
        let end = payload.len().min((place + 1) * size);
        let opcode = if place == 0 { TEXT } else { 0 };
        bytes.extend(frame(place + 1 == count, opcode, &payload[place * size..end]));
    }
    bytes
}

/// One frame of a server, which does not mask.
#[must_use]
pub fn frame(is_last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode | if is_last { 0x80 } else { 0 }];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => bytes.push(short),
        (_, Ok(length)) => {
            bytes.push(126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads one frame of a client: its opcode and its payload.
pub(crate) fn read_frame(socket: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    socket.read_exact(&mut head)?;
    let length = match head[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            socket.read_exact(&mut length)?;
            u64::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            socket.read_exact(&mut length)?;
            u64::from_be_bytes(length)
        }
        short => u64::from(short),
    };
    // A client masks, and ours sends whole messages.
    if head[1] & 0x80 == 0 || head[0] & 0x80 == 0 || length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut mask = [0; 4];
    socket.read_exact(&mut mask)?;
    let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
    socket.read_exact(&mut payload)?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok((head[0] & 0x0f, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_join_to_the_message() {
        assert_eq!(message(b"abc", None), [0x81, 3, b'a', b'b', b'c']);
        assert_eq!(message(b"abc", Some(2)), [0x01, 2, b'a', b'b', 0x80, 1, b'c']);
        assert_eq!(message(b"", Some(1)), [0x81, 0]);
    }

    #[test]
    fn a_masked_frame_is_read_and_an_open_one_is_refused() {
        let masked = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
        assert_eq!(read_frame(&mut &masked[..]).unwrap(), (TEXT, b"hi".to_vec()));
        assert!(read_frame(&mut &[0x81, 2, b'h', b'i'][..]).is_err());
    }
}
