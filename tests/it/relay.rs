//! A relay between the bot and a node, on loopback: it can end TLS, and cut all its connections in
//! the middle of a frame.
//!
//! Temperature: cold.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::nodes::Folder;

/// Time between two looks at sockets that had nothing.
const LOOK: Duration = Duration::from_millis(1);
/// A connection that is to be cut in the middle of a frame, and on which none comes, is cut anyway.
const NO_FRAME: Duration = Duration::from_secs(2);

/// Where the certificate of a relay with TLS is, in the test's folder.
pub(crate) const CERTIFICATE: &str = "certificate.pem";

/// A relay; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    url: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often all connections were to be cut.
    cuts: AtomicUsize,
    /// Connections that were cut in the middle of what the node said.
    torn: AtomicUsize,
    /// Connections that are up.
    open: AtomicUsize,
    /// Whether new connections are refused.
    is_closed: AtomicBool,
    is_over: AtomicBool,
}

impl Relay {
    /// Passes bytes on to `upstream` as they are.
    pub(crate) fn plain(upstream: &str) -> Self {
        Self::start(upstream, None)
    }

    /// Ends TLS with a certificate for `localhost` that it makes, and writes to `folder`.
    pub(crate) fn tls(upstream: &str, folder: &Folder) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        std::fs::write(folder.file(CERTIFICATE), made.cert.pem()).expect("it can be written");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the protocol")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the key is the certificate's");
        Self::start(upstream, Some(Arc::new(config)))
    }

    fn start(upstream: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be set");
        let port = listener.local_addr().expect("a listener has an address").port();
        let url = match tls {
            Some(_) => format!("wss://localhost:{port}"),
            None => format!("ws://127.0.0.1:{port}"),
        };
        let state = Arc::new(State::default());
        let (shared, upstream) = (Arc::clone(&state), upstream.to_owned());
        spawn(move || {
            while !shared.is_over.load(Ordering::Relaxed) {
                let Ok((client, _)) = listener.accept() else {
                    sleep(LOOK);
                    continue;
                };
                if shared.is_closed.load(Ordering::Relaxed) {
                    continue;
                }
                // A node that is gone refuses; the client sees its connection close.
                let Ok(node) = TcpStream::connect(&upstream) else { continue };
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                spawn(move || {
                    state.open.fetch_add(1, Ordering::Relaxed);
                    let session = tls.map(ServerConnection::new);
                    if let Ok(session) = session.transpose() {
                        Connection { client, node, session }.pass_on(&state);
                    }
                    state.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { url, state }
    }

    /// What the bot connects to.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many connections are up.
    pub(crate) fn open_count(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }

    /// Refuses new connections from here on, or takes them again.
    pub(crate) fn close(&self, is_closed: bool) {
        self.state.is_closed.store(is_closed, Ordering::Relaxed);
    }

    /// How many connections were cut in the middle of a frame.
    pub(crate) fn torn_count(&self) -> usize {
        self.state.torn.load(Ordering::Relaxed)
    }

    /// Cuts every connection in the middle of what the node says next.
    pub(crate) fn cut(&self) {
        self.state.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
    }
}

struct Connection {
    client: TcpStream,
    node: TcpStream,
    session: Option<ServerConnection>,
}

impl Connection {
    /// Passes on until either side ends, it is cut, or the relay is over.
    fn pass_on(mut self, state: &State) {
        for socket in [&self.client, &self.node] {
            socket.set_nodelay(true).and(socket.set_nonblocking(true)).unwrap_or_default();
        }
        if let Some(session) = &mut self.session {
            session.set_buffer_limit(None);
        }
        let cuts = state.cuts.load(Ordering::Relaxed);
        let mut cut_since = None;
        let mut buffer = vec![0; 64 * 1_024];
        while !state.is_over.load(Ordering::Relaxed) {
            if cut_since.is_none() && state.cuts.load(Ordering::Relaxed) != cuts {
                cut_since = Some(Instant::now());
            }
            match self.turn(&mut buffer, cut_since.is_some()) {
                Ok(true) => {}
                Ok(false) => sleep(LOOK),
                Err(error) => {
                    let is_torn = error.kind() == ErrorKind::ConnectionAborted;
                    state.torn.fetch_add(usize::from(is_torn), Ordering::Relaxed);
                    break;
                }
            }
            if cut_since.is_some_and(|since| since.elapsed() > NO_FRAME) {
                break;
            }
        }
        for socket in [&self.client, &self.node] {
            // It may be closed already.
            socket.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }

    /// Passes on what is there; whether there was anything. An error is the end.
    fn turn(&mut self, buffer: &mut [u8], is_cut: bool) -> io::Result<bool> {
        let asked = self.read_client(buffer)?;
        if let Some(count) = asked {
            write_all(&mut self.node, &buffer[..count])?;
        }
        let said = read(&mut self.node, buffer)?;
        if let Some(count) = said {
            let passed = if is_cut { count / 2 } else { count };
            self.write_client(&buffer[..passed])?;
            if is_cut {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(asked.is_some() || said.is_some())
    }

    fn read_client(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(session) = &mut self.session else { return read(&mut self.client, buffer) };
        match session.read_tls(&mut self.client) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                session.process_new_packets().map_err(io::Error::other)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        send(session, &mut self.client)?;
        match session.reader().read(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_client(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(session) = &mut self.session else { return write_all(&mut self.client, bytes) };
        session.writer().write_all(bytes)?;
        send(session, &mut self.client)
    }
}

/// Sends what a session has encrypted.
fn send(session: &mut ServerConnection, socket: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(LOOK),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match socket.read(buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_all(socket: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(LOOK),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
