//! Setting up a connection: name, TCP, TLS, WebSocket handshake, subscriptions. Blocking, on a cold
//! thread; the hot thread gets a connection that is ready.
//!
//! Temperature: cold.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gannet_engine::input::Source;
use gannet_engine::loans::Followed;
use gannet_engine::wire::{newline, websocket};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};

use super::rpc::{NodeError, Rpc};
use super::socket::{Socket, Tls};
use super::wire::{Framing, Wire};
use crate::config::{Endpoint, Node};

/// Frame buffers, in bytes. Heads are small, but a node may announce a block's transactions with
/// them, or all its receipts; a list of a block's logs can be long; one pending transaction may
/// carry a blob.
const fn buffer_bytes(source: Source) -> usize {
    match source {
        Source::Chain => 4 << 20,
        Source::Pending => 1 << 20,
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

/// Opens the connection for `source`, makes sure that it leads to the right chain, and subscribes
/// to what belongs on it, the events of what is followed.
pub(crate) fn open(
    node: &Node,
    chain_id: u64,
    (source, followed): (Source, Followed),
    mask_seed: u32,
) -> Result<Opened> {
    let limit = Duration::from_secs(node.connect_timeout_s);
    let wire = connect(&node.endpoint, limit, buffer_bytes(source), mask_seed)?;
    let mut rpc = Rpc::over(wire);
    rpc.ensure_chain(chain_id)?;
    let mut early = Vec::new();
    match source {
        Source::Chain => {
            subscribe(&mut rpc, &json!(["newHeads"]), &mut early)?;
            let topics: Vec<_> = followed.topics().collect();
            subscribe(&mut rpc, &json!(["logs", { "topics": [topics] }]), &mut early)?;
            if node.receipts {
                // Where the node has it, each block brings its own list and none is asked for.
                let all = json!(["transactionReceipts"]);
                if let Err(error) = subscribe(&mut rpc, &all, &mut early) {
                    ensure!(error.is::<NodeError>(), error);
                }
            }
        }
        Source::Pending => {
            let full = json!(["newPendingTransactions", true]);
            if let Err(error) = subscribe(&mut rpc, &full, &mut early) {
                // A node that refuses full bodies serves hashes; the engine fetches each.
                ensure!(error.is::<NodeError>(), error);
                tracing::info!("the node refuses full pending transactions: fetching each by hash");
                subscribe(&mut rpc, &json!(["newPendingTransactions"]), &mut early)?;
            }
        }
        Source::Rpc => {}
    }
    let wire = rpc.into_wire()?;
    wire.socket().set_timeout(None)?;
    wire.socket().set_nonblocking(true)?;
    Ok(Opened { wire, early })
}

/// Subscribes; notifications that come before the answer are kept.
fn subscribe(rpc: &mut Rpc, params: &Value, early: &mut Vec<Vec<u8>>) -> Result<()> {
    let id = rpc.send("eth_subscribe", params)?;
    rpc.answer_to(id, early)?.with_context(|| format!("subscribing to {params}"))?;
    Ok(())
}

pub(super) fn connect(
    endpoint: &Endpoint,
    limit: Duration,
    buffer: usize,
    mask_seed: u32,
) -> Result<Wire> {
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
