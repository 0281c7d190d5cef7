//! Setting up a connection: name, TCP, TLS, WebSocket handshake, subscriptions. Blocking, on a cold
//! thread; the hot thread gets a connection that is ready.
//!
//! Temperature: cold.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gannet_engine::decode::topics::SYNC;
use gannet_engine::input::Source;
use gannet_engine::wire::{Message, newline, websocket};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};

use super::socket::{Socket, Tls};
use super::wire::{Framing, Wire};
use crate::config::{Endpoint, Node};

/// Frame buffers, in bytes. Heads are small, but a node may announce a block's transactions with
/// them; a list of a block's logs can be long; one pending transaction may carry a blob.
const fn buffer_bytes(source: Source) -> usize {
    match source {
        Source::Chain | Source::Pending => 1 << 20,
        Source::Rpc => 16 << 20,
    }
}

/// A connection that is ready: subscribed, not waiting, with what came in meanwhile.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) wire: Wire,
    /// Messages that came before the last subscription was answered.
    pub(crate) early: Vec<Vec<u8>>,
}

/// Opens the connection for `source` and subscribes to what belongs on it.
pub(crate) fn open(node: &Node, source: Source, mask_seed: u32) -> Result<Opened> {
    let limit = Duration::from_secs(node.connect_timeout_s);
    let wire = connect(&node.endpoint, limit, buffer_bytes(source), mask_seed)?;
    let mut setup = Setup { wire, early: Vec::new(), deadline: Instant::now() + limit };
    match source {
        Source::Chain => {
            setup.subscribe(&json!(["newHeads"])).context("subscribing to newHeads")?;
            setup
                .subscribe(&json!(["logs", { "topics": [SYNC] }]))
                .context("subscribing to logs")?;
        }
        Source::Pending => {
            // A node that refuses full bodies serves hashes; the engine fetches each.
            if setup.subscribe(&json!(["newPendingTransactions", true])).is_err() {
                tracing::info!(
                    "the node refuses full pending transactions: fetching each by its hash"
                );
                setup
                    .subscribe(&json!(["newPendingTransactions"]))
                    .context("subscribing to newPendingTransactions")?;
            }
        }
        Source::Rpc => {}
    }
    let Setup { wire, early, .. } = setup;
    wire.socket().set_timeout(None)?;
    wire.socket().set_nonblocking(true)?;
    Ok(Opened { wire, early })
}

fn connect(endpoint: &Endpoint, limit: Duration, buffer: usize, mask_seed: u32) -> Result<Wire> {
    match endpoint {
        Endpoint::Ipc(path) => {
            let unix = UnixStream::connect(path)
                .with_context(|| format!("connecting to the socket {}", path.display()))?;
            let socket = Socket::Unix(unix);
            socket.set_timeout(Some(limit))?;
            Ok(Wire::new(socket, Framing::Newline(newline::Reader::new(buffer)), mask_seed))
        }
        Endpoint::WebSocket { url, is_tls, host, port } => {
            let tcp = dial(host, *port, limit)?;
            let mut socket =
                if *is_tls { Socket::Tls(Box::new(secure(host, tcp)?)) } else { Socket::Tcp(tcp) };
            socket.set_timeout(Some(limit))?;
            upgrade(url, &mut socket)?;
            Ok(Wire::new(socket, Framing::WebSocket(websocket::Reader::new(buffer)), mask_seed))
        }
    }
}

fn dial(host: &str, port: u16, limit: Duration) -> Result<TcpStream> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (bare, port).to_socket_addrs().context("looking up the node's name")?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("connecting to {host}:{port}")),
        None => bail!("the name {host} has no address"),
    }
}

fn secure(host: &str, tcp: TcpStream) -> Result<Tls> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    ensure!(added > 0, "this system has no trusted root certificates: install ca-certificates");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).context("the node's name is no TLS name")?;
    Ok(Tls::new(ClientConnection::new(Arc::new(config), name)?, tcp))
}

/// Longest answer to a handshake, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1_024;

/// Lends the socket for the handshake: reads up to the blank line that ends the answer and not a
/// byte further, so that nothing of the first frame is swallowed.
struct UpToBlankLine<'a> {
    socket: &'a mut Socket,
    answer: Vec<u8>,
    given: usize,
}

impl Read for UpToBlankLine<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if self.answer.len() == ANSWER_BYTES_MAX || self.socket.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.answer.push(byte[0]);
        }
        let left = &self.answer[self.given..];
        let count = left.len().min(out.len());
        out[..count].copy_from_slice(&left[..count]);
        self.given += count;
        Ok(count)
    }
}

impl Write for UpToBlankLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(self.socket)
    }
}

fn upgrade(url: &str, socket: &mut Socket) -> Result<()> {
    match tungstenite::client(url, UpToBlankLine { socket, answer: Vec::new(), given: 0 }) {
        Ok(_) => Ok(()),
        Err(error) => bail!("the node refuses the WebSocket handshake: {error}"),
    }
}

/// A connection that is being set up: blocking, with a deadline.
struct Setup {
    wire: Wire,
    early: Vec<Vec<u8>>,
    deadline: Instant,
}

impl Setup {
    fn subscribe(&mut self, params: &Value) -> Result<()> {
        let id = 1;
        let request = json!({
            "jsonrpc": "2.0", "id": id, "method": "eth_subscribe", "params": params
        });
        self.wire.sender.send(request.to_string().as_bytes())?;
        loop {
            let message = self.next_text()?;
            let reply: Value = serde_json::from_slice(&message).unwrap_or_default();
            if reply.get("id").and_then(Value::as_u64) != Some(id) {
                self.early.push(message);
                continue;
            }
            if let Some(error) = reply.get("error") {
                bail!("the node answers {error}");
            }
            ensure!(reply.get("result").is_some(), "the node's answer has no result");
            return Ok(());
        }
    }

    fn next_text(&mut self) -> Result<Vec<u8>> {
        loop {
            ensure!(Instant::now() < self.deadline, "the node does not answer");
            let Wire { framing, sender } = &mut self.wire;
            match framing.next() {
                Some(Ok(Message::Text(text) | Message::Binary(text))) => return Ok(text.to_vec()),
                Some(Ok(Message::Ping(payload))) => sender.pong(payload)?,
                Some(Ok(Message::Close { code })) => bail!("the node closes (code {code:?})"),
                Some(Ok(Message::Pong(_) | Message::Skipped { .. })) => {}
                Some(Err(error)) => bail!("the node breaks the framing: {error:?}"),
                None => {
                    ensure!(self.wire.read()? > 0, "the node closed the connection");
                }
            }
        }
    }
}
