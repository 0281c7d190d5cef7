//! Lets clients in: WebSocket and plain HTTP on one port.
//!
//! A client can cost a connection's worth of memory and no more: messages have a largest size, who
//! does not read is not read from, and who does not take its news is let go.
//!
//! Temperature: cold.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::answer;
use super::hub::Line;
use super::node::Node;

/// The longest message that is read, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// The longest head of a question by HTTP, in bytes, and the most lines in it.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEAD_LINES_MAX: usize = 64;
/// A client that says nothing at first, or takes nothing of a message, for so long is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets clients in until the task is dropped.
pub(super) async fn listen(node: Arc<Node>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = Arc::clone(&node);
                tokio::spawn(async move {
                    if let Err(error) = serve(&node, stream).await {
                        let error = format!("{error:#}");
                        tracing::debug!(error, "a connection ended");
                    }
                });
            }
            Err(error) => {
                // Too many files are open: some of them will be closed.
                tracing::warn!(%error, "no connection can be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(node: &Node, stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let (line, messages) = Line::new();
    ensure!(node.hub.enter(&line), "there are too many connections");
    node.connections.fetch_add(1, Ordering::Relaxed);
    let ended = match timeout(PATIENCE, first_word(&stream)).await {
        Ok(Ok(word)) if &word == b"GET " => {
            Box::pin(websocket(node, &line, messages, stream)).await
        }
        Ok(Ok(_)) => Box::pin(http(node, stream)).await,
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(anyhow!("it says nothing")),
    };
    node.hub.leave(&line);
    ended
}

/// The letters that a client begins with, left where they are.
async fn first_word(stream: &TcpStream) -> std::io::Result<[u8; 4]> {
    let mut word = [0; 4];
    loop {
        match stream.peek(&mut word).await? {
            4 => return Ok(word),
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            // It sends them one by one.
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn websocket(
    node: &Node,
    line: &Arc<Line>,
    mut messages: tokio::sync::mpsc::Receiver<String>,
    stream: TcpStream,
) -> Result<()> {
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MESSAGE_BYTES_MAX);
    config.max_frame_size = Some(MESSAGE_BYTES_MAX);
    let accepted = tokio_tungstenite::accept_async_with_config(stream, Some(config));
    let socket = timeout(PATIENCE, accepted).await.context("no handshake comes")??;
    let (mut sink, mut stream) = socket.split();
    let write = async {
        while let Some(text) = messages.recv().await {
            let bytes = text.len();
            let sent = timeout(PATIENCE, sink.send(Message::text(text))).await;
            line.is_written(bytes);
            if sent.is_err() {
                node.hub.dropped.fetch_add(1, Ordering::Relaxed);
                bail!("it takes nothing");
            }
            sent??;
        }
        Ok(())
    };
    let read = async {
        while let Some(message) = stream.next().await {
            let message = message?;
            let text: &[u8] = match &message {
                Message::Text(text) => text.as_bytes(),
                Message::Binary(bytes) => bytes,
                Message::Close(_) => break,
                // Answered by the library, with the next message or at once.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if let Some(answer) = answer::message(node, Some(line), text) {
                line.answer(answer).await;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
        () = line.ending.notified() => bail!("it takes less than comes"),
    }
}

/// Questions by HTTP, one after the other.
async fn http(node: &Node, mut stream: TcpStream) -> Result<()> {
    let mut bytes = Vec::new();
    loop {
        let Some(asked) = read(&mut stream, &mut bytes).await? else { return Ok(()) };
        let (status, body) = match asked {
            Asked::Question { body } => {
                let answer = answer::message(node, None, &body);
                ("200 OK", answer.unwrap_or_default())
            }
            Asked::Options => ("204 No Content", String::new()),
            Asked::Unfit(status) => (status, String::new()),
        };
        let is_last = status.starts_with('4');
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{}\r\n",
            body.len(),
            if is_last { "connection: close\r\n" } else { "" },
        );
        let write = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await
        };
        timeout(PATIENCE, write).await.context("it takes nothing")??;
        if is_last {
            return linger(&mut stream).await;
        }
    }
}

/// Hears a client out that is told no more: a connection that is closed with words unread is cut,
/// and the answer with it.
async fn linger(stream: &mut TcpStream) -> Result<()> {
    stream.shutdown().await?;
    let mut rest = (&mut *stream).take(MESSAGE_BYTES_MAX as u64);
    timeout(PATIENCE, tokio::io::copy(&mut rest, &mut tokio::io::sink()))
        .await
        .context("it goes on talking")??;
    Ok(())
}

/// What comes by HTTP.
enum Asked {
    Question {
        body: Vec<u8>,
    },
    Options,
    /// It gets this status, and nothing more is read.
    Unfit(&'static str),
}

/// Reads the next question; none if the client is gone. What is behind it stays in `bytes`.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<Option<Asked>> {
    let (method, length, body_at) = loop {
        let mut lines = [httparse::EMPTY_HEADER; HEAD_LINES_MAX];
        let mut head = httparse::Request::new(&mut lines);
        match head.parse(bytes) {
            Ok(httparse::Status::Complete(body_at)) => {
                let length = head.headers.iter().find_map(|line| {
                    let is_length = line.name.eq_ignore_ascii_case("content-length");
                    let text = is_length.then(|| std::str::from_utf8(line.value).ok()).flatten();
                    text?.trim().parse::<usize>().ok()
                });
                break (head.method.unwrap_or_default().to_owned(), length, body_at);
            }
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => {}
            Ok(httparse::Status::Partial) => {
                return Ok(Some(Asked::Unfit("431 Request Header Fields Too Large")));
            }
            Err(_) => return Ok(Some(Asked::Unfit("400 Bad Request"))),
        }
        if !more(stream, bytes).await? {
            return Ok(None);
        }
    };
    let length = match (method.as_str(), length) {
        ("POST", Some(length)) if length <= MESSAGE_BYTES_MAX => length,
        ("POST", Some(_)) => return Ok(Some(Asked::Unfit("413 Content Too Large"))),
        ("POST", None) => return Ok(Some(Asked::Unfit("411 Length Required"))),
        ("OPTIONS", _) => {
            bytes.drain(..body_at);
            return Ok(Some(Asked::Options));
        }
        _ => return Ok(Some(Asked::Unfit("405 Method Not Allowed"))),
    };
    while bytes.len() < body_at + length {
        if !more(stream, bytes).await? {
            return Ok(None);
        }
    }
    let rest = bytes.split_off(body_at + length);
    let body = std::mem::replace(bytes, rest).split_off(body_at);
    Ok(Some(Asked::Question { body }))
}

/// Reads what there is; false at the end.
async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<bool> {
    /// What is read at once, in bytes.
    const READ: usize = 64 << 10;
    let mut some = (&mut *stream).take(READ as u64);
    let mut buffer = Vec::new();
    // A connection may be quiet between two questions, but not within one.
    let count = if bytes.is_empty() {
        some.read_buf(&mut buffer).await?
    } else {
        timeout(PATIENCE, some.read_buf(&mut buffer)).await.context("it says nothing more")??
    };
    bytes.extend_from_slice(&buffer);
    Ok(count > 0)
}
