//! A node on loopback that does one thing at a time, on one thread: it is awake from shortly before
//! it has something to say until that is answered, and dozes in between. What it says leaves when
//! it is due, and what comes in is stamped when it is read.
//!
//! Behind it is the scripted node's chain: swaps of known traders, the bot's transactions, blocks
//! with both.
//!
//! Temperature: cold.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, Bytes};
use gannet_scripted_node::model::chain::{Terms, Trade};
use gannet_scripted_node::model::{Chain, Market, Tx};
use gannet_scripted_node::{answer_of, frame, is_wanted, json};
use serde_json::{Value, json};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Room for what one client says before it is looked at, in bytes.
const BUFFER_BYTES: usize = 1 << 20;
/// What a swap takes of its pair, in basis points: enough to be followed.
const SHARE_BPS: u128 = 300;
/// The bot's wallets: so many swaps can be answered before a block must come.
const WALLETS: usize = 16;
/// After a block: it is sealed, and what the client asks is answered.
pub(crate) const PAUSE: Duration = Duration::from_millis(25);
/// Between two looks of a node that waits.
const DOZE: Duration = Duration::from_micros(100);
/// With less than this left it stays awake: a sleep may last that much longer than it should.
const AWAKE: Duration = Duration::from_micros(250);
/// By this a transaction is told from a question.
const SENDS: &[u8] = b"eth_sendRawTransaction";

/// What a client has subscribed to on a connection.
#[derive(Debug)]
enum Topic {
    Heads,
    Logs(Value),
    Pending,
}

#[derive(Debug)]
struct Link {
    socket: TcpStream,
    buffer: Vec<u8>,
    used: usize,
    topics: Vec<(String, Topic)>,
    /// It has brought a transaction.
    is_exit: bool,
    is_open: bool,
}

/// A frame that was heard.
#[derive(Debug)]
struct Heard {
    link: usize,
    opcode: u8,
    payload: Vec<u8>,
    at: Instant,
}

/// The node.
#[derive(Debug)]
pub(crate) struct Rig {
    listener: TcpListener,
    pub(crate) url: String,
    pub(crate) chain: Chain,
    links: Vec<Link>,
    heard: Vec<Heard>,
    subscriptions: u64,
    traders: Vec<(Address, u64)>,
    /// When answers to pings came.
    pub(crate) pongs: Vec<Instant>,
    /// How many transactions were announced.
    pub(crate) announced: u64,
    /// When swaps were announced that are not answered yet, the oldest first.
    asked: VecDeque<Instant>,
    /// From an announcement's write to its answer's read; the client answers in order.
    pub(crate) answers: Vec<Duration>,
    /// So many had no answer at the end of their round; they stand among the answers, too, with the
    /// time until then.
    pub(crate) unanswered: usize,
    /// The client may run on the node's core.
    pub(crate) shares_core: bool,
}

impl Rig {
    /// A node whose chain has two pairs for each of so many tokens, and as many traders as wallets.
    pub(crate) fn start(tokens: usize) -> Result<Self, String> {
        let market = Market::star(tokens, 2)?.with_wallets(WALLETS);
        let chain = Chain::new(market, 31_337, 1, 1_000);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let mut rig = Self {
            listener,
            url: format!("ws://{address}"),
            chain,
            links: Vec::new(),
            heard: Vec::new(),
            subscriptions: 0,
            traders: Vec::new(),
            pongs: Vec::new(),
            announced: 0,
            asked: VecDeque::new(),
            answers: Vec::new(),
            unanswered: 0,
            shares_core: false,
        };
        for _ in 0..rig.chain.market.wallets.len() {
            let trader = rig.chain.stranger();
            rig.traders.push((trader, 0));
        }
        Ok(rig)
    }

    /// How many swaps can be answered before a block must come.
    pub(crate) const fn round(&self) -> usize {
        self.traders.len()
    }

    /// Whether somebody listens to pending transactions.
    pub(crate) fn is_heard(&self) -> bool {
        self.links.iter().any(|link| {
            link.is_open && link.topics.iter().any(|(_, topic)| matches!(topic, Topic::Pending))
        })
    }

    /// Lets clients in, and answers what they ask.
    pub(crate) fn serve(&mut self) {
        if let Ok((socket, _)) = self.listener.accept() {
            self.admit(socket);
        }
        for link in 0..self.links.len() {
            self.read(link);
        }
        for heard in std::mem::take(&mut self.heard) {
            self.hear(&heard);
        }
    }

    /// Reads what has come, and answers one of it.
    pub(crate) fn serve_one(&mut self) {
        for link in 0..self.links.len() {
            self.read(link);
        }
        if !self.heard.is_empty() {
            let heard = self.heard.remove(0);
            self.hear(&heard);
        }
    }

    /// Lets clients in, and answers what they ask, for so long.
    pub(crate) fn serve_for(&mut self, time: Duration) {
        self.serve_until(Instant::now() + time);
    }

    /// The same until then. It dozes, so that whatever else the machine has to do finds this core
    /// idle and does not take the client's; and is wide awake when the time comes.
    pub(crate) fn serve_until(&mut self, due: Instant) {
        loop {
            self.serve();
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if left > AWAKE {
                std::thread::sleep(DOZE.min(left - AWAKE));
            } else {
                self.make_way();
            }
        }
    }

    /// Lets a client run that may want this core.
    fn make_way(&self) {
        if self.shares_core {
            std::thread::yield_now();
        }
    }

    fn admit(&mut self, socket: TcpStream) {
        let set = socket.set_nonblocking(false).and_then(|()| socket.set_nodelay(true));
        if set.is_err() {
            return;
        }
        let Ok(accepted) = tungstenite::accept(socket) else { return };
        let Ok(socket) = accepted.get_ref().try_clone() else { return };
        if socket.set_nonblocking(true).is_ok() {
            self.links.push(Link {
                socket,
                buffer: vec![0; BUFFER_BYTES],
                used: 0,
                topics: Vec::new(),
                is_exit: false,
                is_open: true,
            });
        }
    }

    /// Reads a connection once, and takes note of the whole frames.
    fn read(&mut self, place: usize) {
        let link = &mut self.links[place];
        if !link.is_open {
            return;
        }
        let count = match link.socket.read(&mut link.buffer[link.used..]) {
            Ok(0) => 0,
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return;
            }
            Err(_broken) => 0,
        };
        let at = Instant::now();
        link.is_open = count > 0;
        link.used += count;
        let mut start = 0;
        while let Some((opcode, payload, size)) = unmasked(&link.buffer[start..link.used]) {
            if contains(&payload, SENDS) {
                link.is_exit = true;
                let asked = self.asked.pop_front();
                self.answers.extend(asked.map(|start| at.duration_since(start)));
            }
            self.heard.push(Heard { link: place, opcode, payload, at });
            start += size;
        }
        link.buffer.copy_within(start..link.used, 0);
        link.used -= start;
    }

    /// The swap that a trader announces next: the frame, for every connection that wants it.
    pub(crate) fn swap(&mut self, trader: usize, is_forth: bool) -> (Tx, Vec<u8>) {
        let trade = Trade { pair: trader, is_forth, share_bps: SHARE_BPS };
        let (sender, nonce) = self.traders[trader];
        let tip = self.chain.tip();
        let tx = self.chain.swap(&trade, &tip.state, sender, Terms { nonce, ..Terms::default() });
        self.traders[trader].1 += 1;
        let frame = self.pending_frame(&json::tx(&tx, None));
        (tx, frame)
    }

    /// The frame that announces a transaction. All subscriptions to them have one id.
    pub(crate) fn pending_frame(&self, tx: &Value) -> Vec<u8> {
        let mut topics =
            self.links.iter().filter(|link| link.is_open).flat_map(|link| &link.topics);
        let id = topics.find(|(_, topic)| matches!(topic, Topic::Pending));
        let id = id.map_or("0x0", |(id, _)| id);
        frame(true, TEXT, notification(id, tx).as_bytes())
    }

    /// Writes to whoever listens to pending transactions.
    pub(crate) fn announce(&mut self, bytes: &[u8]) {
        for link in self.links.iter_mut().filter(|link| link.is_open) {
            if link.topics.iter().any(|(_, topic)| matches!(topic, Topic::Pending)) {
                link.write(bytes);
            }
        }
    }

    /// Announces a swap, and listens until all are answered, or until then; whether all are. The
    /// client is told afterwards what became of its transactions.
    pub(crate) fn ask(&mut self, tx: Tx, bytes: &[u8], until: Instant) -> bool {
        self.announced += 1;
        self.asked.push_back(Instant::now());
        self.announce(bytes);
        self.listen(until);
        // What its pool refuses could not have been announced.
        let (tip, id) = (self.chain.tip(), self.chain.id);
        assert!(self.chain.pool.add(tx, &tip.state, id).is_ok(), "a trader's swap is valid");
        for heard in std::mem::take(&mut self.heard) {
            self.hear(&heard);
        }
        self.asked.is_empty()
    }

    fn listen(&mut self, until: Instant) {
        let any = self.links.iter().any(|link| link.is_exit && link.is_open);
        while !self.asked.is_empty() && Instant::now() < until {
            for place in 0..self.links.len() {
                // Until somebody has sent one, it may come from anywhere.
                if !any || self.links[place].is_exit {
                    self.read(place);
                }
            }
            self.make_way();
        }
    }

    /// Mines what waits, and what the client has to say to that, until there is nothing; then the
    /// round is over.
    pub(crate) fn settle(&mut self) {
        self.mine();
        self.serve_for(PAUSE);
        while !self.chain.pool.is_empty() && self.is_heard() {
            self.mine();
            self.serve_for(PAUSE);
        }
        self.unanswered += self.asked.len();
        self.answers.extend(self.asked.drain(..).map(|start| start.elapsed()));
    }

    /// What was answered until now does not count.
    pub(crate) fn start_counting(&mut self) {
        self.answers.clear();
        self.unanswered = 0;
    }

    /// Mines what waits, and announces the block.
    pub(crate) fn mine(&mut self) {
        let block = self.chain.mine(&[], false);
        let head = json::head(&block);
        for link in self.links.iter_mut().filter(|link| link.is_open) {
            let mut bytes = Vec::new();
            for (id, topic) in &link.topics {
                match topic {
                    Topic::Heads => {
                        bytes.extend(frame(true, TEXT, notification(id, &head).as_bytes()));
                    }
                    Topic::Logs(filter) => {
                        for log in block.logs.iter().filter(|log| is_wanted(filter, log)) {
                            let text = notification(id, &json::log(&block, log, false));
                            bytes.extend(frame(true, TEXT, text.as_bytes()));
                        }
                    }
                    Topic::Pending => {}
                }
            }
            link.write(&bytes);
        }
    }

    /// A question whether the client is there, which it answers when it has read what was before.
    pub(crate) fn ping_frame() -> Vec<u8> {
        frame(true, PING, b"are you there?")
    }

    fn hear(&mut self, heard: &Heard) {
        let reply = match heard.opcode {
            TEXT if let Some(reply) = self.nonce_of_a_stranger(&heard.payload) => reply,
            TEXT => {
                let Ok(question) = serde_json::from_slice::<Value>(&heard.payload) else { return };
                let reply = if let Value::Array(batch) = &question {
                    batch.iter().map(|one| self.reply(heard.link, one)).collect()
                } else {
                    self.reply(heard.link, &question)
                };
                frame(true, TEXT, reply.to_string().as_bytes())
            }
            PING => frame(true, PONG, &heard.payload),
            PONG => {
                self.pongs.push(heard.at);
                return;
            }
            CLOSE => frame(true, CLOSE, &heard.payload),
            _ => return,
        };
        self.links[heard.link].write(&reply);
        self.links[heard.link].is_open &= heard.opcode != CLOSE;
    }

    /// The answer to what a flood makes a bot ask most, without a detour: the next nonce of
    /// somebody who never sent anything.
    fn nonce_of_a_stranger(&self, question: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(question).ok()?;
        let (head, params) =
            text.split_once(r#","method":"eth_getTransactionCount","params":["#)?;
        let id = head.strip_prefix(r#"{"jsonrpc":"2.0","id":"#)?;
        let address: Address = params.get(1..43)?.parse().ok()?;
        let is_known = self.traders.iter().any(|(trader, _)| *trader == address)
            || self.chain.market.wallets.iter().any(|wallet| wallet.address() == address);
        let reply = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x0"}}"#);
        (!is_known).then(|| frame(true, TEXT, reply.as_bytes()))
    }

    fn reply(&mut self, link: usize, question: &Value) -> Value {
        let method = question["method"].as_str().unwrap_or_default();
        let params = &question["params"];
        let answer = match method {
            "eth_subscribe" => self.subscribe(link, params),
            "eth_sendRawTransaction" => self.take(params),
            _ => answer_of(&self.chain, method, params),
        };
        let id = &question["id"];
        match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
        }
    }

    fn subscribe(&mut self, link: usize, params: &Value) -> Result<Value, Value> {
        let topic = match params[0].as_str() {
            Some("newHeads") => Topic::Heads,
            Some("logs") => Topic::Logs(params[1].clone()),
            Some("newPendingTransactions") => Topic::Pending,
            _ => return Err(json!({ "code": -32_601, "message": "no such subscription" })),
        };
        self.subscriptions += 1;
        let id = format!("{:#x}", self.subscriptions);
        self.links[link].topics.push((id.clone(), topic));
        Ok(json!(id))
    }

    /// Takes a transaction into the pool; what an echo sends is none, and is let pass.
    fn take(&mut self, params: &Value) -> Result<Value, Value> {
        let refused = |words: String| json!({ "code": -32_000, "message": words });
        let raw: Bytes = params[0].as_str().unwrap_or_default().parse().unwrap_or_default();
        let tx = Tx::from_raw(&raw).map_err(refused)?;
        let (hash, tip, id) = (tx.hash, self.chain.tip(), self.chain.id);
        self.chain.pool.add(tx, &tip.state, id).map_err(refused)?;
        Ok(json!(hash))
    }
}

impl Link {
    /// Writes all of it; a client that takes nothing holds the node up, as it would a real one's
    /// queue.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.is_open {
            match self.socket.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_broken) => self.is_open = false,
            }
        }
    }
}

fn notification(id: &str, item: &Value) -> String {
    let params = format!(r#"{{"subscription":"{id}","result":{item}}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{params}}}"#)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The first whole frame: its opcode, its payload without the mask, and its size.
fn unmasked(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let [first, second, ..] = *bytes else { return None };
    let (length, start) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let mask = bytes.get(start..start + 4)?;
    let size = start + 4 + length;
    let masked = bytes.get(start + 4..size)?;
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    Some((first & 0x0f, payload.collect(), size))
}
