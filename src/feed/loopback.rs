//! A connection of the bot to itself: what is sent over it goes the kernel's way, and nowhere.
//!
//! Between two submissions other work takes the caches from what the kernel does to send a packet.
//! So the loop that spins sends something now and then (`wire_to_wire` shows what that brings).
//! It is TCP's way, and the loopback interface's: a network card's driver it cannot keep warm.
//!
//! Temperature: hot.

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use gannet_engine::wire::websocket;

use super::socket::Socket;
use super::wire::{Framing, Sender, Wire};

/// To connect takes no longer where it works at all.
const PATIENCE: Duration = Duration::from_millis(100);
/// More than is sent at a time, in bytes.
const READ_BYTES: usize = 4 << 10;
/// Frames are masked as those to a node are; by what is all the same here.
const MASK_SEED: u32 = 1;

/// Both ends of it.
#[derive(Debug)]
pub(crate) struct Loopback {
    near: Sender,
    far: TcpStream,
    heard: [u8; READ_BYTES],
}

impl Loopback {
    /// Connects; nobody else can reach either end.
    ///
    /// # Errors
    /// When there is no loopback interface, or somebody else was faster.
    #[cold]
    pub(crate) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let near = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
        let (far, who) = listener.accept()?;
        if who != near.local_addr()? {
            return Err(io::Error::new(ErrorKind::AddrInUse, "somebody else connected"));
        }
        near.set_nodelay(true)?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let framing = Framing::WebSocket(websocket::Reader::new(READ_BYTES));
        let Wire { sender, .. } = Wire::new(Socket::Tcp(near), framing, MASK_SEED);
        Ok(Self { near: sender, far, heard: [0; READ_BYTES] })
    }

    /// Sends a text, and takes out what is there at the other end; how many bytes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn rehearse(&mut self, text: &[u8]) -> io::Result<usize> {
        self.near.send(text)?;
        match self.far.read(&mut self.heard) {
            // It comes late where the kernel puts it off, and is taken out the next time.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rehearsed_never_piles_up() {
        let mut loopback = Loopback::open().unwrap();
        let text = [0x5a; 700];
        let taken: usize = (0..10_000).map(|_| loopback.rehearse(&text).unwrap()).sum();
        let sent = 10_000 * (text.len() + 8);
        assert!(sent - taken < 4 * READ_BYTES, "{taken} bytes of {sent} were taken out");
    }

    #[test]
    fn one_that_is_broken_says_so() {
        let mut loopback = Loopback::open().unwrap();
        loopback.far.shutdown(std::net::Shutdown::Both).unwrap();
        assert!((0..100).any(|_| loopback.rehearse(b"one").is_err()));
    }
}
