//! The node: a chain, a server, and everything that can be done to them.
//!
//! Temperature: cold.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use alloy::consensus::TxEip1559;
use alloy::sol_types::SolEvent;
use alloy_primitives::{B256, Bytes, TxKind, U256};
use serde_json::{Value, json};

use crate::answer::is_wanted;
use crate::faults::{Faults, Shape, Style, take_one};
use crate::json;
use crate::model::chain::{Terms, Trade};
use crate::model::execution::Sync;
use crate::model::{Block, Chain, Log, Market, Tx};
use crate::record::{Record, in_us};
use crate::server::{Shared, listen};
use crate::wire::{Kind, PING, TEXT, Topic, frame};

/// Height of the first block.
const FIRST_BLOCK: u64 = 1_000;
/// Share of a pair that a trade takes which leaves a gap to the others, in basis points.
const GAP_BPS: u128 = 300;
/// What gas costs that is sent in a wallet's name by somebody else, in wei.
const ELSEWHERE_FEES: (u128, u128) = (400_000_000_000, 300_000_000_000);

/// A chain's own rules, as a scenario sets them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where to listen.
    pub listen: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// What the draws start from.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { listen: "127.0.0.1:0".to_owned(), chain_id: 31_337, seed: 1 }
    }
}

/// How a pending swap is out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It reverts: it wants more than it can get.
    Reverting,
    /// Its deadline is over.
    Expired,
    /// It offers less than the base fee.
    Underpriced,
    /// Its nonce leaves a gap.
    Early,
    /// Its nonce was used.
    Used,
}

impl Flaw {
    /// Every flaw, with its name in a scenario.
    pub const ALL: [(&'static str, Self); 5] = [
        ("reverting", Self::Reverting),
        ("expired", Self::Expired),
        ("underpriced", Self::Underpriced),
        ("early", Self::Early),
        ("used", Self::Used),
    ];
}

/// A false head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FalseHead {
    /// Its height is not one more than its parent's.
    Number,
    /// Nobody knows its parent.
    Parent,
    /// It is a sibling of the tip.
    Rival,
    /// It is so many blocks old.
    Old(u64),
}

/// A node that runs until it is dropped.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    url: String,
    door: usize,
    /// Ends the server when the node that was started is dropped.
    _listening: Option<Listening>,
}

#[derive(Debug)]
struct Listening(Arc<Shared>);

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(market: Market, setup: &Setup) -> io::Result<Self> {
        let chain = Chain::new(market, setup.chain_id, setup.seed, FIRST_BLOCK);
        let node = Self::open(Arc::new(Shared::new(chain)), 0, &setup.listen)?;
        let listening = Some(Listening(Arc::clone(&node.shared)));
        Ok(Self { _listening: listening, ..node })
    }

    fn open(shared: Arc<Shared>, door: usize, address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let url = format!("ws://{}", listener.local_addr()?);
        let theirs = Arc::clone(&shared);
        spawn(move || listen(&theirs, door, &listener));
        Ok(Self { shared, url, door, _listening: None })
    }

    /// A second node on the same chain, with its own faults.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn second(&self) -> io::Result<Self> {
        let second = Self::open(Arc::clone(&self.shared), 1, "127.0.0.1:0")?;
        self.shared.open_another();
        Ok(second)
    }

    /// This node and the other one, if there is one.
    fn all(&self) -> impl Iterator<Item = Self> + '_ {
        self.shared.doors().map(|door| Self {
            shared: Arc::clone(&self.shared),
            url: String::new(),
            door,
            _listening: None,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The chain. Everything waits while this is held.
    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        self.shared.chain()
    }

    /// What was seen of the clients so far.
    #[must_use]
    pub fn record(&self) -> Record {
        self.shared.record().clone()
    }

    /// A configuration with which the bot flies here, and on the other node as well.
    #[must_use]
    pub fn config(&self, other: Option<&Self>) -> String {
        let chain = self.chain();
        let urls: Vec<&str> = std::iter::once(self).chain(other).map(Self::url).collect();
        chain.market.config(&urls, chain.id)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.shared.faults(self.door)
    }

    /// Whether a client has subscribed to heads and to pending transactions, and can ask, on every
    /// node.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        let has = |door, kind| !self.shared.links(door, Some(kind)).is_empty();
        self.shared.doors().all(|door| Kind::ALL.iter().all(|(_, kind)| has(door, *kind)))
    }

    /// Mines a block and announces it.
    pub fn mine(&self, trades: &[Trade]) -> Arc<Block> {
        let block = self.mine_unannounced(trades);
        for node in self.all() {
            let behind = node.faults().behind;
            let seen = node.chain().behind(behind);
            node.announce(&seen);
        }
        block
    }

    /// Mines a block and tells nobody.
    pub fn mine_unannounced(&self, trades: &[Trade]) -> Arc<Block> {
        let leave_out = take_one(&mut self.faults().leave_out);
        self.chain().mine(trades, leave_out)
    }

    /// So many small trades.
    #[must_use]
    pub fn small_trades(&self, count: usize) -> Vec<Trade> {
        let mut chain = self.chain();
        (0..count).map(|_| chain.small_trade()).collect()
    }

    /// A trade that moves a pair away from the others.
    #[must_use]
    pub const fn gap(pair: usize) -> Trade {
        Trade { pair, is_forth: true, share_bps: GAP_BPS }
    }

    /// Announces a block's head and logs, with what is wrong with announcements.
    pub fn announce(&self, block: &Arc<Block>) {
        let (is_first, is_backwards, late) = {
            let mut faults = self.faults();
            let is_late = take_one(&mut faults.logs_late.0);
            let late = is_late.then_some(faults.logs_late.1);
            (take_one(&mut faults.logs_first), take_one(&mut faults.logs_backwards), late)
        };
        if !is_first {
            self.announce_head(block);
        }
        if let Some(late) = late {
            sleep(late);
        }
        let mut logs: Vec<&Log> = block.logs.iter().collect();
        if is_backwards {
            logs.reverse();
        }
        for log in logs {
            self.announce_log(block, log, false);
        }
        self.announce_receipts(block);
        if is_first {
            self.announce_head(block);
        }
    }

    fn announce_receipts(&self, block: &Block) {
        if take_one(&mut self.faults().lose_receipts) {
            return;
        }
        let receipts = (0..block.mined.len()).map(|place| json::receipt(block, place));
        let receipts = Value::Array(receipts.collect());
        self.shared.notify(self.door, &receipts, |topic| matches!(topic, Topic::Receipts));
    }

    fn announce_head(&self, block: &Block) {
        let (is_lost, is_doubled) = {
            let mut faults = self.faults();
            let is_lost = take_one(&mut faults.lose_heads);
            (is_lost, !is_lost && take_one(&mut faults.double_heads))
        };
        if is_lost {
            return;
        }
        let head = json::head(block);
        let start = Instant::now();
        self.shared.record().written.insert(block.hash, start);
        for _ in 0..=usize::from(is_doubled) {
            self.shared.notify(self.door, &head, |topic| matches!(topic, Topic::Heads));
        }
        let took = start.elapsed();
        self.shared.record().writes_us.push(in_us(took));
    }

    fn announce_log(&self, block: &Block, log: &Log, is_removed: bool) {
        // What nobody has subscribed to cannot be lost.
        if log.event.topics.first() != Some(&Sync::SIGNATURE_HASH) {
            return self.notify_log(block, log, is_removed);
        }
        let (is_lost, is_doubled, is_denied) = {
            let mut faults = self.faults();
            let is_lost = take_one(&mut faults.lose_logs);
            let is_doubled = !is_lost && take_one(&mut faults.double_logs);
            (is_lost, is_doubled, !is_lost && take_one(&mut faults.removed_logs))
        };
        for _ in 0..usize::from(!is_lost) + usize::from(is_doubled) {
            self.notify_log(block, log, is_removed || is_denied);
        }
    }

    fn notify_log(&self, block: &Block, log: &Log, is_removed: bool) {
        let item = json::log(block, log, is_removed);
        self.shared.notify(self.door, &item, |topic| match topic {
            Topic::Logs(filter) => is_wanted(filter, log),
            Topic::Heads | Topic::Receipts | Topic::Pending { .. } => false,
        });
    }

    /// Replaces the newest `depth` blocks by one more, and announces these; the logs that are no
    /// more are taken back one by one unless it is `by_heads_alone`.
    pub fn reorganise(&self, depth: usize, by_heads_alone: bool) {
        let gone = self.chain().take_back(depth);
        if !by_heads_alone {
            for block in &gone {
                for node in self.all() {
                    block.logs.iter().rev().for_each(|log| node.notify_log(block, log, true));
                }
            }
        }
        let trades = |node: &Self| node.small_trades(1);
        let blocks: Vec<_> =
            (0..=gone.len()).map(|_| self.mine_unannounced(&trades(self))).collect();
        for node in self.all() {
            blocks.iter().for_each(|block| node.announce(block));
        }
    }

    /// Announces everything that was mined since `number` and not announced.
    pub fn announce_since(&self, number: u64) {
        let tip = self.chain().tip().header.number;
        for number in number + 1..=tip {
            let block = self.chain().by_number(number);
            block.iter().for_each(|block| self.announce(block));
        }
    }

    /// A pending swap of somebody in a pair, taken into the pool; it leaves a gap if it lands.
    pub fn announce_swap(&self, trade: &Trade, flaw: Option<Flaw>) -> Tx {
        let mut terms = Terms::default();
        match flaw {
            Some(Flaw::Reverting) => terms.is_greedy = true,
            Some(Flaw::Expired) => terms.is_expired = true,
            Some(Flaw::Underpriced) => terms.fees = (1_000, 1_000),
            Some(Flaw::Early) => terms.nonce = 1,
            Some(Flaw::Used) | None => {}
        }
        let tx = {
            let mut chain = self.chain();
            let tip = chain.tip();
            let used = (flaw == Some(Flaw::Used)).then(|| chain.last_sender()).flatten();
            let sender = used.unwrap_or_else(|| chain.stranger());
            let tx = chain.swap(trade, &tip.state, sender, terms);
            // A node announces what its peers say, even if its own pool would refuse it.
            let id = chain.id;
            if chain.pool.add(tx.clone(), &tip.state, id).is_err() {
                chain.pool.remember(tx.clone());
            }
            tx
        };
        self.shared.announce_pending(&tx.hash, &json::tx(&tx, None));
        tx
    }

    /// Replaces a pending transaction by a transfer that pays more.
    pub fn replace_by_transfer(&self, old: &Tx) {
        let body = TxEip1559 {
            max_fee_per_gas: old.body.max_fee_per_gas * 2,
            max_priority_fee_per_gas: old.body.max_priority_fee_per_gas * 2,
            gas_limit: 21_000,
            to: TxKind::Call(old.from),
            input: Bytes::new(),
            ..old.body.clone()
        };
        self.pass_on(&Tx::made_up(body, old.from));
    }

    /// Replaces a pending swap by the same that pays more.
    pub fn replace_by_better(&self, old: &Tx) -> Tx {
        let body = TxEip1559 {
            max_fee_per_gas: old.body.max_fee_per_gas * 2,
            max_priority_fee_per_gas: old.body.max_priority_fee_per_gas * 2,
            ..old.body.clone()
        };
        let tx = Tx::made_up(body, old.from);
        self.pass_on(&tx);
        tx
    }

    /// Mines and announces a block of nothing but a transfer, after which a swap's nonce is next.
    pub fn land_predecessor(&self, swap: &Tx) {
        let body = TxEip1559 {
            nonce: swap.body.nonce.saturating_sub(1),
            gas_limit: 21_000,
            to: TxKind::Call(swap.from),
            input: Bytes::new(),
            ..swap.body.clone()
        };
        let block = self.chain().mine_alone(Tx::made_up(body, swap.from));
        self.all().for_each(|node| node.announce(&block));
    }

    /// Takes a transaction of somebody into the pool and announces it; what the pool refuses is
    /// not announced.
    fn pass_on(&self, tx: &Tx) {
        let is_taken = {
            let mut chain = self.chain();
            let (tip, id) = (chain.tip(), chain.id);
            chain.pool.add(tx.clone(), &tip.state, id).is_ok()
        };
        if is_taken {
            self.shared.announce_pending(&tx.hash, &json::tx(tx, None));
        }
    }

    /// Sends a transfer in the name of a wallet of the bot: of nothing, or of all that it has.
    ///
    /// # Errors
    /// When there is no such wallet.
    pub fn use_wallet(&self, wallet: usize, takes_all: bool) -> Result<(), String> {
        let tx = {
            let chain = self.chain();
            let held = chain.market.wallets.get(wallet);
            let held = held.ok_or_else(|| format!("there is no wallet {}", wallet + 1))?;
            let tip = chain.tip();
            let address = held.address();
            let cost = U256::from(ELSEWHERE_FEES.0) * U256::from(21_000);
            let all = tip.state.balance(&address).saturating_sub(cost);
            let body = TxEip1559 {
                chain_id: chain.id,
                nonce: tip.state.nonce(&address),
                gas_limit: 21_000,
                max_fee_per_gas: ELSEWHERE_FEES.0,
                max_priority_fee_per_gas: ELSEWHERE_FEES.1,
                to: TxKind::Call(chain.market.owner),
                value: if takes_all { all } else { U256::ZERO },
                ..TxEip1559::default()
            };
            Tx::signed(body, &held.signer)?
        };
        self.pass_on(&tx);
        Ok(())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.shared.is_over()
    }

    pub(crate) fn announce_text(&self, hash: &B256, text: &str) {
        self.shared.announce_pending(hash, &text);
    }

    /// Sends a head that is not what it should be.
    pub fn send_false_head(&self, which: FalseHead) {
        let head = {
            let mut chain = self.chain();
            let tip = chain.tip();
            let mut head = match which {
                FalseHead::Old(depth) => json::head(&chain.behind(depth)),
                FalseHead::Rival => json::head(&chain.rival()),
                FalseHead::Number | FalseHead::Parent => json::head(&tip),
            };
            let mut invented = || B256::from(U256::from(chain.chance.draw()));
            match which {
                FalseHead::Number => {
                    head["hash"] = json!(invented());
                    head["parentHash"] = json!(tip.hash);
                    head["number"] = json!(json::hex(tip.header.number + 5));
                }
                FalseHead::Parent => {
                    head["hash"] = json!(invented());
                    head["parentHash"] = json!(invented());
                    head["number"] = json!(json::hex(tip.header.number + 1));
                }
                FalseHead::Rival | FalseHead::Old(_) => {}
            }
            head
        };
        self.shared.notify(self.door, &head, |topic| matches!(topic, Topic::Heads));
    }

    /// Drops connections, of one kind or all; some in the middle of a frame.
    pub fn drop_links(&self, kind: Option<Kind>, in_a_frame: bool) {
        for link in self.shared.links(self.door, kind) {
            if in_a_frame {
                let mut torn = frame(true, TEXT, &[b' '; 1_000]);
                torn.truncate(300);
                link.write(&torn, None);
            }
            link.drop_it();
        }
    }

    /// Writes bytes as they are.
    pub fn send_bytes(&self, kind: Kind, bytes: &[u8]) {
        self.shared.links(self.door, Some(kind)).iter().for_each(|link| link.write(bytes, None));
    }

    /// Writes a text frame of any bytes.
    pub fn send_frame(&self, kind: Kind, payload: &[u8]) {
        self.send_bytes(kind, &frame(true, TEXT, payload));
    }

    /// Pings.
    pub fn ping(&self, kind: Kind, count: usize) {
        let ping = frame(true, PING, b"are you there?");
        let bytes: Vec<u8> = ping.iter().copied().cycle().take(ping.len() * count).collect();
        self.send_bytes(kind, &bytes);
    }

    /// Ends all connections and lets nobody in for a time.
    pub fn restart(&self, closed: Duration) {
        self.faults().listens_from = Some(Instant::now() + closed);
        self.drop_links(None, false);
    }

    /// Gives the next answers to a method a shape.
    pub fn shape_answers(&self, method: &str, count: usize, shape: Shape) {
        self.faults().answers.push((method.to_owned(), count, shape));
    }

    /// How bytes are written from now on.
    pub fn set_style(&self, style: Style) {
        self.faults().style = style;
    }

    /// The chain's state and what was seen, as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = self.record().to_json();
        let chain = self.chain();
        let tip = chain.tip();
        let pairs = chain.market.pairs.iter().zip(&tip.state.reserves);
        let reserves: serde_json::Map<String, Value> = pairs
            .map(|(pair, held)| (pair.address.to_string(), json!(held.map(|h| h.to_string()))))
            .collect();
        let mined = chain.blocks().flat_map(|block| &block.mined);
        let ours = mined.filter(|mined| {
            chain.market.wallets.iter().any(|wallet| wallet.address() == mined.tx.from)
        });
        value["tip"] = json!({ "number": tip.header.number, "hash": tip.hash });
        value["reserves"] = json!(reserves);
        value["mined"] = ours
            .map(|mined| {
                json!({
                    "from": mined.tx.from, "nonce": mined.tx.body.nonce, "hash": mined.tx.hash,
                    "is_success": mined.effect.is_success,
                })
            })
            .collect();
        value
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.end();
    }
}
