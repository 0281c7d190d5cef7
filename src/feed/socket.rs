//! The raw socket to a node: TCP, TLS over TCP, or a Unix socket, read and written without waiting.
//!
//! Set up blocking on a cold thread (see [`super::connect`]), then switched to non-blocking and
//! handed to the hot thread. TLS is driven by hand, so that a read or a write is one synchronous
//! call.
//!
//! Temperature: hot.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustls::ClientConnection;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::allocation::by_tls;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    /// `ws://`
    Tcp(TcpStream),
    /// `wss://`
    Tls(Box<Tls>),
    /// `ipc:`
    Unix(UnixStream),
}

/// TLS over TCP.
#[derive(Debug)]
pub(crate) struct Tls {
    session: ClientConnection,
    tcp: TcpStream,
}

impl Tls {
    pub(crate) const fn new(session: ClientConnection, tcp: TcpStream) -> Self {
        Self { session, tcp }
    }

    /// Decrypts what is there; reads more records only when nothing is left.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut has_part = false;
        loop {
            match self.session.reader().read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            // The rest of a record may wait for it.
            if core::mem::replace(&mut has_part, true) {
                acknowledge(&self.tcp);
            }
            if self.session.wants_write() {
                self.push()?;
            }
            let count = self.session.read_tls(&mut self.tcp)?;
            self.session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if count == 0 {
                return Ok(0);
            }
        }
    }

    /// Sends the records that are ready, as far as the socket takes them.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Socket {
    /// Switches between waiting (set-up) and not waiting (the hot thread).
    pub(crate) fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.set_nonblocking(is_nonblocking),
            Self::Tls(tls) => tls.tcp.set_nonblocking(is_nonblocking),
            Self::Unix(unix) => unix.set_nonblocking(is_nonblocking),
        }
    }

    /// Bounds how long a blocking read or write may take.
    pub(crate) fn set_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.set_read_timeout(limit).and(tcp.set_write_timeout(limit)),
            Self::Tls(tls) => tls.tcp.set_read_timeout(limit).and(tls.tcp.set_write_timeout(limit)),
            Self::Unix(unix) => unix.set_read_timeout(limit).and(unix.set_write_timeout(limit)),
        }
    }

    /// Has the kernel acknowledge what was read; see [`acknowledge`].
    pub(crate) fn acknowledge(&self) {
        match self {
            Self::Tcp(tcp) => acknowledge(tcp),
            Self::Tls(tls) => acknowledge(&tls.tcp),
            Self::Unix(_) => {}
        }
    }

    /// The reactor's own handle of the descriptor: tells when there is something to read.
    #[expect(unsafe_code, reason = "the only way to register a descriptor; it is owned here")]
    pub(crate) fn watch(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let descriptor = match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Tls(tls) => tls.tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        };
        let owned = descriptor.try_clone_to_owned()?;
        // SAFETY: `owned` is an open descriptor, and the `AsyncFd` that owns it from here on keeps
        // it open and unchanged until it is dropped.
        let watch = unsafe { AsyncFd::register_with_interest(owned, Interest::READABLE) };
        Ok(watch?)
    }

    /// Sends what is encrypted already and could not be sent yet.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(tls) => by_tls(|| tls.push()),
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
        }
    }
}

/// Has the kernel acknowledge what was read, and nothing else by itself for a moment (40 ms or
/// more).
///
/// A node that batches small writes (Nagle) waits for the acknowledgement. One that the kernel
/// sends when data comes, or when it is read, is sent before the data is in our hands: a packet
/// through the whole stack, 2 µs on loopback. The kernel leaves it to us only on a connection that
/// it takes for a dialogue, which every wish for a quick one ends.
fn acknowledge(tcp: &TcpStream) {
    let tcp = SockRef::from(tcp);
    // Wishes: a kernel that refuses them is slower, not wrong.
    tcp.set_tcp_quickack(true).unwrap_or_default();
    tcp.set_tcp_quickack(false).unwrap_or_default();
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.read(out),
            Self::Tls(tls) => by_tls(|| tls.read(out)),
            Self::Unix(unix) => unix.read(out),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.write(bytes),
            Self::Tls(tls) => {
                let count = by_tls(|| tls.session.writer().write(bytes))?;
                by_tls(|| tls.push())?;
                // A full session takes nothing until the socket has taken its records.
                if count == 0 && !bytes.is_empty() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(count)
            }
            Self::Unix(unix) => unix.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_was_read_is_acknowledged_and_the_kernel_leaves_the_next_one_to_us() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let near = TcpStream::connect(address).expect("somebody listens");
        let (mut far, _) = listener.accept().expect("somebody has come");
        let mut socket = Socket::Tcp(near);
        let is_quick = |socket: &Socket| match socket {
            Socket::Tcp(tcp) => SockRef::from(tcp).tcp_quickack().expect("it can be asked"),
            Socket::Tls(_) | Socket::Unix(_) => unreachable!("it is TCP"),
        };
        for text in [b"one", b"two"] {
            far.write_all(text).expect("it is taken");
            let mut read = [0; 3];
            socket.read_exact(&mut read).expect("it comes");
            assert_eq!(&read, text);
            socket.acknowledge();
            assert_eq!(unacknowledged(&far), 0);
            assert!(!is_quick(&socket));
        }
    }

    /// Bytes that the other end has not acknowledged, as the kernel's own table says.
    fn unacknowledged(socket: &TcpStream) -> u64 {
        let ports = [socket.local_addr(), socket.peer_addr()];
        let ports =
            ports.map(|address| format!(":{:04X}", address.expect("it is connected").port()));
        let table = std::fs::read_to_string("/proc/net/tcp").expect("there is a table");
        let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let mut queues = rows.filter_map(|row| match row[..] {
            [_, near, far, _, queues, ..]
                if near.ends_with(&ports[0]) && far.ends_with(&ports[1]) =>
            {
                queues.split(':').next().map(str::to_owned)
            }
            _ => None,
        });
        let queue = queues.next().expect("the socket is in the table");
        u64::from_str_radix(&queue, 16).expect("a number")
    }
}
