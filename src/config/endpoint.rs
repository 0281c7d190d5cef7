//! How the node is reached.
//!
//! Temperature: cold.

use std::path::PathBuf;

/// What `node.url` may be.
pub(super) const WANTED: &str = "ws://host:port, wss://host or ipc:/path/to/socket";

/// How the node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `ws://` or `wss://`.
    WebSocket {
        /// The whole URL.
        url: String,
        /// Whether it is `wss://`.
        is_tls: bool,
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket, messages separated by newlines.
    Ipc(PathBuf),
}

impl Endpoint {
    /// What it is called where it has no name of its own: never its path, which may hold a key.
    pub(super) fn name(&self) -> String {
        match self {
            Self::WebSocket { host, port, .. } => format!("{host}:{port}"),
            Self::Ipc(path) => path.display().to_string(),
        }
    }

    /// Reads a URL. What is wrong is told without it: that of a provider often carries a key.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("ipc:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(format!("found \"ipc:\" without a path; wanted {WANTED}"));
            }
            return Ok(Self::Ipc(PathBuf::from(path)));
        }
        let is_tls = match url.split_once("://") {
            Some(("ws", _)) => false,
            Some(("wss", _)) => true,
            Some((scheme @ ("http" | "https"), _)) => {
                return Err(format!("found {scheme}://, which announces nothing; wanted {WANTED}"));
            }
            _ => return Err(format!("found no node's address; wanted {WANTED}")),
        };
        let no_host = || format!("found a URL without a valid host and port; wanted {WANTED}");
        let uri: tungstenite::http::Uri = url.parse().map_err(|_hidden| no_host())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(no_host)?.to_owned();
        // A port that is none must not pass for one that was left out.
        let ends_in_host = uri.authority().is_some_and(|all| all.as_str().ends_with(&host));
        let port = match uri.port_u16() {
            Some(port) => port,
            None if ends_in_host => [80, 443][usize::from(is_tls)],
            None => return Err(no_host()),
        };
        Ok(Self::WebSocket { url: url.to_owned(), is_tls, host, port })
    }
}
