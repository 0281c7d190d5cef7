//! A connection to the node: a socket, its framing, and what is still to be sent.
//!
//! Temperature: hot.

use std::io::{self, Read, Write};

use gannet_engine::wire::websocket::{self, HEADER_BYTES_MAX, Opcode};
use gannet_engine::wire::{Message, WireError, newline};

use super::socket::Socket;

/// Most that is read at once, in bytes: a backlog stays with the kernel, and what is read stays
/// where memory is warm, at the front of the buffer.
const READ_BYTES_MAX: usize = 64 << 10;
/// Room for what the socket did not take at once, in bytes.
const OUT_BYTES_MAX: usize = 1 << 20;

/// How messages are told apart on the wire.
#[derive(Debug)]
pub(crate) enum Framing {
    WebSocket(websocket::Reader),
    Newline(newline::Reader),
}

impl Framing {
    fn spare(&mut self) -> &mut [u8] {
        match self {
            Self::WebSocket(reader) => reader.spare(),
            Self::Newline(reader) => reader.spare(),
        }
    }

    fn filled(&mut self, count: usize) {
        match self {
            Self::WebSocket(reader) => reader.filled(count),
            Self::Newline(reader) => reader.filled(count),
        }
    }

    /// Bytes that were read and not looked at yet.
    pub(crate) const fn unread_bytes(&self) -> usize {
        match self {
            Self::WebSocket(reader) => reader.unread_bytes(),
            Self::Newline(reader) => reader.unread_bytes(),
        }
    }

    /// The next whole message, lent out of the buffer.
    pub(crate) fn next(&mut self) -> Option<Result<Message<'_>, WireError>> {
        match self {
            Self::WebSocket(reader) => reader.next(),
            Self::Newline(reader) => reader.next(),
        }
    }
}

/// The sending half: the socket, and what it has not taken yet.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: Socket,
    is_websocket: bool,
    pending: Vec<u8>,
    mask: u32,
    /// Something was read that is not acknowledged yet.
    has_read: bool,
    /// A write has failed: what was waiting may be half sent, and must not be sent again.
    is_broken: bool,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) framing: Framing,
    pub(crate) sender: Sender,
}

impl Wire {
    pub(crate) fn new(socket: Socket, framing: Framing, mask_seed: u32) -> Self {
        let is_websocket = matches!(framing, Framing::WebSocket(_));
        let pending = Vec::with_capacity(OUT_BYTES_MAX);
        let mask = mask_seed | 1;
        let sender =
            Sender { socket, is_websocket, pending, mask, has_read: false, is_broken: false };
        Self { framing, sender }
    }

    pub(crate) const fn socket(&self) -> &Socket {
        self.sender.socket()
    }

    /// Reads once into the buffer. `Ok(0)` is the end of the stream.
    pub(crate) fn read(&mut self) -> io::Result<usize> {
        read(&mut self.framing, &mut self.sender)
    }
}

/// Reads a connection once into its buffer. `Ok(0)` is the end of the stream.
pub(crate) fn read(framing: &mut Framing, sender: &mut Sender) -> io::Result<usize> {
    let spare = framing.spare();
    if spare.is_empty() {
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, "the frame buffer is full"));
    }
    let most = spare.len().min(READ_BYTES_MAX);
    // No answer should wait for this: what was read before is acted upon.
    if std::mem::take(&mut sender.has_read) {
        sender.socket.acknowledge();
    }
    let count = sender.socket.read(&mut spare[..most])?;
    framing.filled(count);
    sender.has_read = true;
    Ok(count)
}

impl Sender {
    pub(crate) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sends one text message.
    ///
    /// # Errors
    /// When the connection is broken, or so much is waiting already that the message does not fit.
    pub(crate) fn send(&mut self, text: &[u8]) -> io::Result<()> {
        self.send_as(Opcode::Text, text)
    }

    /// Whether the socket has not taken all that was sent.
    #[cfg(test)]
    pub(crate) const fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Answers a ping.
    pub(crate) fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        if self.is_websocket { self.send_as(Opcode::Pong, payload) } else { Ok(()) }
    }

    /// Makes the node show that it is alive. Where the framing has no ping, a question does it.
    pub(crate) fn ping(&mut self) -> io::Result<()> {
        if self.is_websocket {
            self.send_as(Opcode::Ping, b"gannet")
        } else {
            self.send(br#"{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]}"#)
        }
    }

    fn send_as(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        self.put_as(opcode, payload)?;
        self.flush()
    }

    /// Puts one text message behind what is waiting; [`Self::flush`] sends it.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.put_as(Opcode::Text, text)
    }

    fn put_as(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = OUT_BYTES_MAX - self.pending.len();
        if payload.len() + HEADER_BYTES_MAX > room {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "the node takes no more bytes"));
        }
        if self.is_websocket {
            let key = self.next_mask();
            let mut header = [0; HEADER_BYTES_MAX];
            let len = websocket::encode_header(opcode, payload.len(), key, &mut header);
            self.pending.extend_from_slice(&header[..len]);
            let start = self.pending.len();
            self.pending.extend_from_slice(payload);
            websocket::mask(&mut self.pending[start..], key);
        } else {
            self.pending.extend_from_slice(payload);
            self.pending.push(b'\n');
        }
        Ok(())
    }

    /// Sends what is waiting, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let flushed = self.write_pending();
        self.is_broken = flushed.is_err();
        flushed
    }

    fn write_pending(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.pending.len() {
            match self.socket.write(&self.pending[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.drain(..sent);
        self.socket.flush()
    }

    /// A mask that differs from frame to frame (xorshift). Masks protect proxies from crafted
    /// payloads, and ours carries nothing that a stranger wrote.
    const fn next_mask(&mut self) -> [u8; 4] {
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 17;
        self.mask ^= self.mask << 5;
        self.mask.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use gannet_engine::wire::newline;

    use super::*;

    #[test]
    fn what_could_not_be_sent_is_not_sent_later() {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let framing = Framing::Newline(newline::Reader::new(64));
        let mut wire = Wire::new(Socket::Unix(near), framing, 1);
        drop(far);
        assert!(wire.sender.send(b"one").is_err());
        let again = wire.sender.flush().expect_err("it stays broken");
        assert_eq!(again.kind(), io::ErrorKind::BrokenPipe);
        assert!(wire.sender.send(b"two").is_err());
    }
}
