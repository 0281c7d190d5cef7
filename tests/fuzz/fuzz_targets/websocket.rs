//! The frame reader against tungstenite: the same bytes must give the same messages.
//!
//! The first byte chooses how the rest is cut into reads.
//!
//! Temperature: cold.
#![no_main]

use std::io::{self, Read, Write};

use gannet_engine::wire::websocket::Reader;
use gannet_engine::wire::{Message, WireError};
use libfuzzer_sys::fuzz_target;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig};

const CAPACITY_BYTES: usize = 1 << 13;

#[derive(Debug, PartialEq)]
enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
    Skipped,
}

fuzz_target!(|data: &[u8]| {
    let Some((chunk, stream)) = data.split_first() else { return };
    let (ours, our_error) = read_by_us(stream, usize::from(*chunk) + 1);
    let (theirs, their_error) = read_by_tungstenite(stream);
    let count = ours.len().min(theirs.len());
    assert_eq!(ours[..count], theirs[..count]);
    if !is_beyond_us(their_error.as_ref()) {
        assert!(ours.len() <= theirs.len(), "{ours:?} {theirs:?} {their_error:?}");
        assert!(their_error.is_none() || our_error.is_some(), "{their_error:?}");
    }
    if our_error.is_none() {
        assert!(theirs.len() <= ours.len(), "{ours:?} {theirs:?} {their_error:?}");
    } else if !is_stricter(our_error) {
        // We refuse a frame by its header, tungstenite when it is whole: it must be no message.
        let whole = [stream, &[0; CAPACITY_BYTES]].concat();
        let (theirs, _) = read_by_tungstenite(&whole);
        assert!(theirs.len() <= ours.len(), "{ours:?} {theirs:?} {our_error:?}");
    }
});

/// What tungstenite refuses and we do not look at: text that is not UTF-8, and sizes.
fn is_beyond_us(error: Option<&Error>) -> bool {
    matches!(
        error,
        Some(
            Error::Utf8(_)
                | Error::Capacity(_)
                | Error::Protocol(ProtocolError::InvalidCloseSequence)
        )
    )
}

/// What RFC 6455 forbids and tungstenite lets pass: lengths that are not written in the shortest
/// way, which for a control frame looks as if it were too long.
fn is_stricter(error: Option<WireError>) -> bool {
    matches!(error, Some(WireError::LengthNotMinimal | WireError::ControlTooLong))
}

fn read_by_us(mut stream: &[u8], chunk: usize) -> (Vec<Seen>, Option<WireError>) {
    let mut reader = Reader::new(CAPACITY_BYTES);
    let mut seen = Vec::new();
    loop {
        while let Some(next) = reader.next() {
            seen.push(match next {
                Ok(Message::Text(bytes)) => Seen::Text(bytes.to_vec()),
                Ok(Message::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
                Ok(Message::Ping(bytes)) => Seen::Ping(bytes.to_vec()),
                Ok(Message::Pong(bytes)) => Seen::Pong(bytes.to_vec()),
                Ok(Message::Close { .. }) => Seen::Close,
                Ok(Message::Skipped { .. }) => Seen::Skipped,
                Err(error) => return (seen, Some(error)),
            });
        }
        if stream.is_empty() {
            return (seen, None);
        }
        let spare = reader.spare();
        let count = spare.len().min(stream.len()).min(chunk);
        assert!(count > 0, "there is always room");
        spare[..count].copy_from_slice(&stream[..count]);
        reader.filled(count);
        stream = &stream[count..];
    }
}

/// A socket that has received everything and sends nothing.
struct Received<'a>(&'a [u8]);

impl Read for Received<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.read(out)
    }
}

impl Write for Received<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_by_tungstenite(stream: &[u8]) -> (Vec<Seen>, Option<Error>) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(CAPACITY_BYTES))
        .max_frame_size(Some(CAPACITY_BYTES));
    let mut socket =
        tungstenite::WebSocket::from_raw_socket(Received(stream), Role::Client, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Seen::Text(text.as_bytes().to_vec()),
            Ok(tungstenite::Message::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
            Ok(tungstenite::Message::Ping(bytes)) => Seen::Ping(bytes.to_vec()),
            Ok(tungstenite::Message::Pong(bytes)) => Seen::Pong(bytes.to_vec()),
            Ok(tungstenite::Message::Close(_)) => {
                seen.push(Seen::Close);
                return (seen, None);
            }
            Ok(tungstenite::Message::Frame(_)) => unreachable!("not read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (seen, None);
            }
            Err(error) => return (seen, Some(error)),
        });
    }
}
