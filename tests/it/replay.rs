//! The replay node: what was recorded of a real node looks as it did there, and no client can bring
//! it down.
//!
//! Temperature: cold.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::bot::binary;
use crate::nodes::{Folder, PATIENCE, Process, root, text, wait_for};

/// A node of the bundled recording.
struct Replay {
    process: Process,
    address: String,
}

impl Replay {
    fn start(folder: &Folder, speed: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = free.local_addr().expect("it has an address").to_string();
        drop(free);
        let mut process = Process::start(folder, "replay", binary(), |command| {
            command.current_dir(root()).args(["replay", "recordings/sample", "--json"]);
            command.args(["--listen", &address, "--speed", speed]);
        });
        wait_for("the replay node", || {
            assert!(process.ending().is_none(), "{}", folder.read("replay.stderr"));
            TcpStream::connect(&address).ok()
        });
        Self { process, address }
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket can be set");
        socket
    }

    fn client(&self) -> WebSocket<TcpStream> {
        let url = format!("ws://{}", self.address);
        tungstenite::client(url, self.socket()).expect("it speaks WebSocket").0
    }

    /// Ends it, and gives what it said.
    fn end(mut self, folder: &Folder) -> Value {
        self.process.signal("INT");
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "{}", folder.read("replay.stderr"));
        serde_json::from_str(&folder.read("replay.stdout")).expect("one JSON object")
    }
}

fn read(client: &mut WebSocket<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = client.read().expect("it answers") {
            return serde_json::from_str(&text).expect("an answer is JSON");
        }
    }
}

fn ask(client: &mut WebSocket<TcpStream>, method: &str, params: &Value) -> Value {
    let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    client.send(Message::text(question.to_string())).expect("it listens");
    read(client)
}

#[test]
fn what_was_recorded_of_anvil_looks_to_ethers_as_it_did_there() {
    let folder = Folder::new("replay-anvil");
    let out = folder.file("out");
    let mut process = Process::start(&folder, "compare", Path::new("node"), |command| {
        command.arg(root().join("scripts/chain/replay.mjs"));
        command.arg("--bot").arg(binary()).arg("--out").arg(&out);
    });
    let status = process.wait();
    assert!(status.success(), "{}{}", folder.read("compare.stdout"), folder.read("compare.stderr"));
}

#[test]
fn subscribers_hear_every_block_of_the_recording_in_order() {
    let folder = Folder::new("replay-heads");
    let replay = Replay::start(&folder, "1000");
    let mut client = replay.client();
    let first = ask(&mut client, "eth_blockNumber", &json!([]));
    assert!(ask(&mut client, "eth_subscribe", &json!(["newHeads"]))["error"].is_null());
    let manifest = std::fs::read(root().join("recordings/sample/manifest.json"));
    let manifest: Value = serde_json::from_slice(&manifest.expect("a manifest")).expect("JSON");
    let last = manifest["segments"][0]["last_block"].as_u64().expect("a height");
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let mut height = number(text(&first["result"])).expect("a height");
    while height < last {
        let head = read(&mut client);
        assert_eq!(number(text(&head["params"]["result"]["number"])), Some(height + 1), "{head}");
        height += 1;
    }
    let said = replay.end(&folder);
    assert_eq!((said["block"].as_u64(), said["dropped"].as_u64()), (Some(last), Some(0)));
}

#[test]
fn clients_that_break_every_rule_are_left_and_the_node_goes_on() {
    let folder = Folder::new("replay-hostile");
    let replay = Replay::start(&folder, "0");
    let mut good = replay.client();
    // Questions that are none are answered on a connection that stays.
    for bad in ["", "{", "[]", "null", "{\"id\":1}", "\u{1f426}"] {
        good.send(Message::text(bad)).expect("it listens");
        assert!(read(&mut good)["error"]["code"].as_i64().is_some_and(|code| code < 0), "{bad}");
    }
    good.send(Message::binary(vec![0xff; 100])).expect("it listens");
    assert_eq!(read(&mut good)["error"]["code"], -32_700);
    // What is too long ends its own connection and no other.
    let mut huge = replay.client();
    let long = format!("[{}]", " ".repeat(5 << 20));
    let sent = huge.send(Message::text(long)).and_then(|()| huge.read());
    assert!(sent.is_err() || sent.is_ok_and(|message| message.is_close()));
    // Nor do those who break the framing, say nothing, or leave in the middle of a word.
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"GET", b"POST / HTTP/1.1"]
    {
        let mut socket = replay.socket();
        socket.write_all(bytes).expect("it reads");
        drop(socket);
    }
    let mut broken = replay.client();
    broken.get_mut().write_all(&[0xff; 64]).expect("it reads");
    let clients: Vec<_> = (0..100).map(|_| replay.client()).collect();
    for mut client in clients {
        assert_eq!(ask(&mut client, "eth_chainId", &json!([]))["result"], "0x7a69");
    }
    assert_eq!(ask(&mut good, "eth_chainId", &json!([]))["result"], "0x7a69");
    let said = replay.end(&folder);
    assert!(said["connections"].as_u64() > Some(100), "{said}");
}

#[test]
fn questions_come_by_http_too() {
    let folder = Folder::new("replay-http");
    let replay = Replay::start(&folder, "1");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId" }).to_string();
    let length = body.len();
    let good = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    for (asked, wanted) in [
        (good.clone(), "\"0x7a69\""),
        // Two at once.
        (good.repeat(2), "\"0x7a69\""),
        ("PUT / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "405"),
        ("POST / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "411"),
        ("POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n".to_owned(), "413"),
        (format!("POST / HTTP/1.1\r\nx: {}", "y".repeat(20_000)), "431"),
        ("POST \u{0}".to_owned(), "400"),
    ] {
        let mut socket = replay.socket();
        socket.write_all(asked.as_bytes()).expect("it reads");
        socket.shutdown(Shutdown::Write).expect("a socket can be closed");
        let mut answer = String::new();
        // One that is refused in the middle of what it says is heard out, so that it is told why.
        socket.read_to_string(&mut answer).expect("it is answered");
        let times = asked.matches("eth_chainId").count().max(1);
        assert_eq!(answer.matches(wanted).count(), times, "{asked:.80}: {answer}");
    }
    replay.end(&folder);
}

#[test]
fn a_recording_that_is_none_and_a_port_that_is_taken_are_told() {
    let folder = Folder::new("replay-wrong");
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken_at = taken.local_addr().expect("it has an address").to_string();
    for (arguments, code, words) in [
        (vec!["replay", "no/such/folder"], 1, "manifest.json"),
        (vec!["replay", "recordings/sample", "--from", "900"], 1, "no block"),
        (vec!["replay", "recordings/sample", "--speed=-1"], 2, "0 to 10000"),
        (vec!["replay", "recordings/sample", "--listen", "nowhere"], 2, "--listen"),
        (vec!["replay", "recordings/sample", "--listen", &taken_at], 1, "listening at"),
    ] {
        let said = crate::bot::gannet(&folder, &arguments, &[]);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(words), "{arguments:?}: {}", said.stderr);
    }
}
