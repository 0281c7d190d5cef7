//! The server: lets clients in, reads their questions, writes answers with what is wrong with them.
//!
//! Temperature: cold.

use std::fmt::Display;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use alloy_primitives::{B256, Bytes};
use serde_json::{Value, json};

use crate::answer::{Refusal, View, read};
use crate::faults::{Faults, Shape, Style};
use crate::json;
use crate::model::{Chain, Tx};
use crate::record::{Record, Sent};
use crate::wire::{CLOSE, Kind, Link, PING, PONG, TEXT, Topic, frame, read_frame};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// A client that takes nothing for so long is dropped.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// The ways in: a node has one, or two that look like two nodes on one chain.
const DOORS: usize = 2;

/// What all threads of a node share. No two of its locks are held at once, but for the record's,
/// which is the last to be taken.
#[derive(Debug)]
pub(crate) struct Shared {
    chain: Mutex<Chain>,
    /// What is wrong with each door.
    faults: [Mutex<Faults>; DOORS],
    open: AtomicUsize,
    record: Mutex<Record>,
    links: Mutex<Vec<Arc<Link>>>,
    subscriptions: AtomicU64,
    is_over: AtomicBool,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked has failed its test already.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(chain: Chain) -> Self {
        Self {
            chain: Mutex::new(chain),
            faults: Default::default(),
            open: AtomicUsize::new(1),
            record: Mutex::default(),
            links: Mutex::default(),
            subscriptions: AtomicU64::new(1),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        held(&self.chain)
    }

    pub(crate) fn faults(&self, door: usize) -> MutexGuard<'_, Faults> {
        held(&self.faults[door])
    }

    /// Opens the second way in.
    pub(crate) fn open_another(&self) {
        self.open.store(DOORS, Ordering::Relaxed);
    }

    /// The ways in that are open.
    pub(crate) fn doors(&self) -> std::ops::Range<usize> {
        0..self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        held(&self.record)
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.doors().for_each(|door| self.links(door, None).iter().for_each(|link| link.drop_it()));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// The connections through one door that are up, of one kind or of all.
    pub(crate) fn links(&self, door: usize, kind: Option<Kind>) -> Vec<Arc<Link>> {
        let mut links = held(&self.links);
        links.retain(|link| link.is_open());
        let is_meant =
            |link: &&Arc<Link>| link.door == door && kind.is_none_or(|kind| link.kind() == kind);
        links.iter().filter(is_meant).cloned().collect()
    }

    /// Brings something to all who have subscribed through this door to what `picks` it.
    pub(crate) fn notify(&self, door: usize, item: &impl Display, picks: impl Fn(&Topic) -> bool) {
        let style = self.faults(door).style;
        for link in self.links(door, None) {
            let subscriptions = held(&link.subscriptions).clone();
            for (id, _) in subscriptions.iter().filter(|(_, topic)| picks(topic)) {
                link.say(&notification(id, item), style);
            }
        }
    }

    /// Announces a pending transaction; `body` is its JSON.
    pub(crate) fn announce_pending(&self, hash: &B256, body: &impl Display) {
        self.record().announced += 1;
        for door in self.doors() {
            self.notify(door, body, |topic| matches!(topic, Topic::Pending { is_full: true }));
            let is_wanted = |topic: &Topic| matches!(topic, Topic::Pending { is_full: false });
            self.notify(door, &json!(hash), is_wanted);
        }
    }
}

fn notification(id: &str, item: &impl Display) -> String {
    let params = format!(r#"{{"subscription":"{id}","result":{item}}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{params}}}"#)
}

/// Lets clients in through one door until the node is over.
pub(crate) fn listen(shared: &Arc<Shared>, door: usize, listener: &TcpListener) {
    while !shared.is_over() {
        let Ok((socket, _)) = listener.accept() else {
            sleep(LOOK);
            continue;
        };
        let is_closed = {
            let faults = shared.faults(door);
            faults.is_closed || faults.listens_from.is_some_and(|from| Instant::now() < from)
        };
        if is_closed {
            continue;
        }
        let shared = Arc::clone(shared);
        spawn(move || serve(&shared, door, socket));
    }
}

fn serve(shared: &Arc<Shared>, door: usize, socket: TcpStream) {
    let set = socket.set_nonblocking(false).and_then(|()| socket.set_nodelay(true));
    let set = set.and_then(|()| socket.set_write_timeout(Some(WRITE_LIMIT)));
    let Ok(writer) = set.and_then(|()| socket.try_clone()) else { return };
    let Ok(reader) = tungstenite::accept(socket) else { return };
    let mut socket = reader.get_ref();
    let link = Arc::new(Link::new(door, writer));
    held(&shared.links).push(Arc::clone(&link));
    shared.record().connections += 1;
    while link.is_open() && !shared.is_over() {
        let frame = read_frame(&mut socket);
        *held(&link.heard_at) = Instant::now();
        while shared.faults(door).reads_from.is_some_and(|from| Instant::now() < from) {
            sleep(LOOK);
        }
        match frame {
            Ok((TEXT, text)) => hear(shared, &link, &text),
            Ok((PING, payload)) => link.write(&frame_of(PONG, &payload), None),
            Ok((PONG, _)) => shared.record().pongs += 1,
            Ok((CLOSE, payload)) => {
                link.write(&frame_of(CLOSE, &payload), None);
                break;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    link.is_gone();
}

fn frame_of(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(true, opcode, payload)
}

/// Answers one message, which may be a batch.
fn hear(shared: &Arc<Shared>, link: &Arc<Link>, text: &[u8]) {
    let style = shared.faults(link.door).style;
    let Ok(question) = serde_json::from_slice::<Value>(text) else {
        let error = json!({ "code": -32_700, "message": "parse error" });
        return link.say(&reply(&Value::Null, &Err(error)), style);
    };
    let Value::Array(batch) = question else {
        return answer(shared, link, &question, style);
    };
    let most = shared.faults(link.door).batch_max.unwrap_or(usize::MAX);
    if batch.len() > most {
        let error = json!({ "code": -32_600, "message": "batch too large" });
        return link.say(&reply(&Value::Null, &Err(error)), style);
    }
    let answers = batch.iter().map(|question| {
        let (method, params) = (text_of(&question["method"]), &question["params"]);
        reply(&question["id"], &result_of(shared, link, method, params))
    });
    link.say(&format!("[{}]", answers.collect::<Vec<_>>().join(",")), style);
}

fn answer(shared: &Arc<Shared>, link: &Arc<Link>, question: &Value, style: Style) {
    let (id, method) = (&question["id"], text_of(&question["method"]));
    let params = &question["params"];
    let (shape, late) = {
        let mut faults = shared.faults(link.door);
        (faults.shape_of(method), faults.lateness_of(method))
    };
    let result = match shape.and_then(Shape::error) {
        Some(error) => {
            note(shared, link, (method, params));
            Err(error)
        }
        None => result_of(shared, link, method, params),
    };
    let messages = shaped(shared, shape, id, result);
    let Some(late) = late else {
        return messages.iter().for_each(|text| link.say(text, style));
    };
    let link = Arc::clone(link);
    spawn(move || {
        sleep(late);
        messages.iter().for_each(|text| link.say(text, style));
    });
}

/// The messages that an answer becomes.
fn shaped(
    shared: &Shared,
    shape: Option<Shape>,
    id: &Value,
    mut result: Result<Value, Refusal>,
) -> Vec<String> {
    let list = result.as_mut().ok().and_then(Value::as_array_mut);
    match shape {
        Some(Shape::Null) => result = Ok(Value::Null),
        Some(Shape::Empty) => result = Ok(json!([])),
        Some(Shape::Incomplete) => {
            if let Some(list) = list {
                list.pop();
            }
        }
        Some(Shape::Backwards) => {
            if let Some(list) = list {
                list.reverse();
            }
        }
        Some(Shape::OtherBlock) => {
            let other = json!(shared.chain().behind(1).hash);
            list.into_iter().flatten().for_each(|log| log["blockHash"] = other.clone());
        }
        Some(Shape::Lost) => return Vec::new(),
        Some(Shape::Garbage) => return vec![format!("{{\"id\":{id},\"result\":[{{]")],
        Some(Shape::Twice) => return vec![reply(id, &result), reply(id, &result)],
        Some(Shape::UnknownId) => return vec![reply(&json!(987_654_321), &result)],
        Some(
            Shape::GethHeaderNotFound
            | Shape::RethBlockNotFound
            | Shape::AnvilOutOfRange
            | Shape::MissingTrieNode
            | Shape::RateLimit
            | Shape::UnknownMethod
            | Shape::HugeError
            | Shape::TextCode
            | Shape::TextError,
        )
        | None => {}
    }
    vec![reply(id, &result)]
}

fn reply(id: &Value, result: &Result<Value, Refusal>) -> String {
    match result {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err(error) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
    }
}

fn note(shared: &Shared, link: &Link, (method, params): (&str, &Value)) {
    let mut record = shared.record();
    *record.questions.entry(method.to_owned()).or_default() += 1;
    if method == "eth_getLogs"
        && let Ok(block) = read(&params[0]["blockHash"])
    {
        record.asks_for_logs_of(&block, *held(&link.heard_at));
    }
}

fn result_of(
    shared: &Arc<Shared>,
    link: &Link,
    method: &str,
    params: &Value,
) -> Result<Value, Refusal> {
    note(shared, link, (method, params));
    match method {
        "eth_subscribe" => subscribe(shared, link, params),
        "eth_unsubscribe" => {
            held(&link.subscriptions).retain(|(id, _)| params[0] != **id);
            Ok(json!(true))
        }
        "eth_sendRawTransaction" => take(shared, read(&params[0])?),
        _ => {
            let behind = shared.faults(link.door).depth_of_next();
            let chain = shared.chain();
            View { chain: &chain, behind }.answer(method, params)
        }
    }
}

fn subscribe(shared: &Shared, link: &Link, params: &Value) -> Result<Value, Refusal> {
    let topic = match (text_of(&params[0]), &params[1]) {
        ("newHeads", _) => Topic::Heads,
        ("logs", filter) => Topic::Logs(filter.clone()),
        ("transactionReceipts", _) if shared.faults(link.door).has_receipts => Topic::Receipts,
        ("newPendingTransactions", full) => {
            let is_full = full.as_bool().unwrap_or_default();
            if is_full && shared.faults(link.door).refuses_bodies {
                return Err(
                    json!({ "code": -32_602, "message": "too many arguments, want at most 1" }),
                );
            }
            Topic::Pending { is_full }
        }
        (other, _) => {
            let words = format!("no \"{other}\" subscription in eth namespace");
            return Err(json!({ "code": -32_601, "message": words }));
        }
    };
    let id = format!("{:#x}", shared.subscriptions.fetch_add(1, Ordering::Relaxed));
    held(&link.subscriptions).push((id.clone(), topic));
    Ok(json!(id))
}

/// Takes a raw transaction into the pool, and announces it.
fn take(shared: &Shared, raw: Bytes) -> Result<Value, Refusal> {
    let read = Tx::from_raw(&raw);
    let (is_program, taken) = {
        let mut chain = shared.chain();
        let executor = chain.market.executor;
        let is_program = read.as_ref().is_ok_and(|tx| tx.to() == executor);
        let (tip, id) = (chain.tip(), chain.id);
        let taken = read.clone().and_then(|tx| chain.pool.add(tx, &tip.state, id));
        (is_program, taken)
    };
    {
        let mut record = shared.record();
        let (at_ms, refused) = (record.now_ms(), taken.clone().err());
        // A client of two nodes sends to both.
        let is_again = shared.doors().len() > 1 && record.sent.iter().any(|sent| sent.raw == raw);
        if !is_again {
            record.sent.push(Sent { at_ms, raw, tx: read.clone().ok(), is_program, refused });
        }
    }
    match (read, taken) {
        (Ok(tx), Ok(())) => {
            shared.announce_pending(&tx.hash, &json::tx(&tx, None));
            Ok(json!(tx.hash))
        }
        (_, Err(words)) | (Err(words), _) => Err(json!({ "code": -32_000, "message": words })),
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
