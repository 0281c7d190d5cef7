//! Serves an archive over WebSocket until it is dropped.
//!
//! Temperature: cold.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use serde_json::Value;

use super::Archive;
use crate::wire::{CLOSE, PING, PONG, TEXT, frame, read_frame};

/// Time between two looks for a client.
const LOOK: Duration = Duration::from_millis(2);

/// The server.
#[derive(Debug)]
pub struct Server {
    archive: Arc<Archive>,
    url: String,
    is_over: Arc<AtomicBool>,
}

impl Server {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(archive: Archive) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("ws://{}", listener.local_addr()?);
        let (archive, is_over) = (Arc::new(archive), Arc::new(AtomicBool::new(false)));
        let (theirs, ends) = (Arc::clone(&archive), Arc::clone(&is_over));
        spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        let archive = Arc::clone(&theirs);
                        spawn(move || serve(&archive, socket));
                    }
                    Err(_) => sleep(LOOK),
                }
            }
        });
        Ok(Self { archive, url, is_over })
    }

    /// What it serves.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Serves one client until it goes.
fn serve(archive: &Archive, socket: TcpStream) {
    let set = socket.set_nonblocking(false).and_then(|()| socket.set_nodelay(true));
    let Ok(mut writer) = set.and_then(|()| socket.try_clone()) else { return };
    let Ok(reader) = tungstenite::accept(socket) else { return };
    let mut socket = reader.get_ref();
    loop {
        let answer = match read_frame(&mut socket) {
            Ok((TEXT, text)) => {
                let question: Value = serde_json::from_slice(&text).unwrap_or_default();
                frame(true, TEXT, reply(archive, &question).as_bytes())
            }
            Ok((PING, payload)) => frame(true, PONG, &payload),
            Ok((CLOSE, _)) | Err(_) => return,
            Ok(_) => continue,
        };
        if io::Write::write_all(&mut writer, &answer).is_err() {
            return;
        }
    }
}

fn reply(archive: &Archive, question: &Value) -> String {
    let method = question["method"].as_str().unwrap_or_default();
    let (name, value) = match archive.answer(method, &question["params"]) {
        Ok(result) => ("result", result),
        Err(error) => ("error", error),
    };
    format!(r#"{{"jsonrpc":"2.0","id":{},"{name}":{value}}}"#, question["id"])
}
