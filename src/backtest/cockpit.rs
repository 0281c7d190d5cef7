//! The engine of a run, fed from a recording: its blocks come as they are kept, in columns, and
//! what the engine asks is answered as a node would.
//!
//! ```text
//! columns ─► Log, binary ─┐
//! rows ────► Log, binary ─┴─► Happening::Block ─► the world, as a head's frame and its list's do
//! ```
//!
//! Temperature: cold.

use std::cell::Cell;
use std::time::Instant;

use alloy_primitives::{B256, Bloom, keccak256};
use gannet_engine::decode::head::Head;
use gannet_engine::decode::list::Rows;
use gannet_engine::decode::log::{Data, Log, TOPICS_MAX};
use gannet_engine::flight::Flight;
use gannet_engine::ids::NodeId;
use gannet_engine::input::{self, Command, Happening, Input, Source};
use gannet_engine::note::Note;
use gannet_engine::outbox::{Clock, Outbox, Settles, SignedTx, Stamps, Unsent};
use gannet_engine::pipeline::Engine;
use gannet_engine::query::Query;
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Nanos;
use serde_json::{Value, json};

use super::fly::BLOCK_S;
use super::spent::Spent;
use crate::recording::rows::{BlockRow, LogRow};

/// Questions raise others, but not for ever.
const ROUNDS_MAX: usize = 64;
/// The node of a recording.
const NODE: NodeId = NodeId(0);

/// Takes what is signed, and sends it nowhere: plans are scored on the following blocks.
#[derive(Debug)]
pub(super) struct Fills;

impl Outbox for Fills {
    const SETTLES: Settles = Settles::ByReplay;

    fn submit(
        &mut self,
        _tx: &SignedTx<'_>,
        _flight: &Flight,
        _stamps: &Stamps,
    ) -> Result<(), Unsent> {
        Ok(())
    }
}

/// A clock that stands: stamps mean nothing here.
#[derive(Debug)]
pub(super) struct Still;

impl Clock for Still {
    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

/// A clock whose stamps mean nothing either, and which notes when it was asked: between decode and
/// world, world and strategies, strategies and risk.
#[derive(Debug)]
struct Laps {
    at: [Cell<Instant>; 3],
    count: Cell<usize>,
}

impl Laps {
    fn new() -> Self {
        let now = Instant::now();
        Self { at: [(); 3].map(|()| Cell::new(now)), count: Cell::new(0) }
    }

    /// Adds what each stage took, up to now.
    fn add_to(&self, spent: &mut Spent) {
        let end = Instant::now();
        let at = |place: usize| if place < self.count.get() { self.at[place].get() } else { end };
        spent.world += at(1).saturating_duration_since(at(0));
        spent.strategies += at(2).saturating_duration_since(at(1));
        spent.trade += end.saturating_duration_since(at(2));
    }
}

impl Clock for Laps {
    fn now(&self) -> Nanos {
        let count = self.count.get();
        if let Some(place) = self.at.get(count) {
            place.set(Instant::now());
            self.count.set(count + 1);
        }
        Nanos(0)
    }
}

/// What filter a header has that speaks of other logs than those that are there, or of none.
const ANY: Bloom = Bloom::repeat_byte(0xff);

/// The header of a recorded block on `parent`.
pub(super) fn head_of(header: &BlockRow, parent: B256) -> Head {
    let number = header.block_number.0;
    let is_whole = header.logs_complete != Some(false);
    let bloom = header.logs_bloom.as_ref().filter(|_| is_whole);
    Head {
        number,
        hash: header.block_hash.unwrap_or_else(|| stand_in(number)),
        parent_hash: parent,
        timestamp: header.timestamp.unwrap_or_default().0,
        base_fee: header.base_fee_per_gas.map(u128::from),
        gas_limit: header.gas_limit.unwrap_or_default(),
        gas_used: header.gas_used.unwrap_or_default(),
        miner: header.author.unwrap_or_default(),
        bloom: bloom.and_then(|bloom| Bloom::try_from(&bloom[..]).ok()).unwrap_or(ANY),
    }
}

/// That of the block before a recorded one, of which nothing else is known: it moved no pool, and
/// the next base fee is what it was.
pub(super) fn head_before(header: &BlockRow, parent: B256) -> Head {
    let number = header.block_number.0.saturating_sub(1);
    let gas_limit = header.gas_limit.unwrap_or(30_000_000);
    Head {
        number,
        hash: header.parent_hash.unwrap_or_else(|| stand_in(number)),
        parent_hash: parent,
        timestamp: header.timestamp.unwrap_or_default().0.saturating_sub(BLOCK_S),
        base_fee: header.base_fee_per_gas.map(u128::from),
        gas_limit,
        gas_used: gas_limit / 2,
        miner: header.author.unwrap_or_default(),
        bloom: Bloom::ZERO,
    }
}

/// A header as a node sends it.
pub(super) fn json_of(head: &Head) -> Value {
    let mut json = json!({
        "number": quantity(head.number),
        "hash": head.hash,
        "parentHash": head.parent_hash,
        "timestamp": quantity(head.timestamp),
        "gasLimit": quantity(head.gas_limit),
        "gasUsed": quantity(head.gas_used),
        "miner": head.miner,
    });
    if let Some(fee) = head.base_fee {
        json["baseFeePerGas"] = json!(format!("{fee:#x}"));
    }
    if head.bloom != ANY {
        json["logsBloom"] = json!(head.bloom);
    }
    json
}

/// Stands for the hash of a block whose hash is not recorded.
pub(super) fn stand_in(number: u64) -> B256 {
    keccak256(format!("block {number}"))
}

fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

/// A log as the engine takes it; none of one without a topic: nothing follows of those, and nodes
/// do not filter them in either.
pub(super) fn log_of(row: &LogRow, block_hash: B256) -> Option<Log<'_>> {
    let count = row.topics.len().min(TOPICS_MAX);
    let mut topics = [B256::ZERO; TOPICS_MAX];
    topics[..count].copy_from_slice(&row.topics[..count]);
    let log = Log {
        address: row.address,
        topics,
        topic_count: u8::try_from(count).unwrap_or(0),
        data: Data::Binary(&row.data),
        block_number: row.block_number,
        block_hash,
        tx_hash: row.transaction_hash,
        tx_index: row.transaction_index,
        log_index: row.log_index,
        removed: false,
    };
    (count > 0).then_some(log)
}

/// The engine, and where the recording stands.
#[derive(Debug)]
pub(super) struct Cockpit<S> {
    /// Large, so it is not on the stack of the thread that flies it.
    pub(super) engine: Box<Engine<S>>,
    /// What it told since that was last taken.
    pub(super) told: Vec<Note>,
    at: Nanos,
    seq: u64,
    head: Option<Head>,
    /// What the engine spent its time with.
    pub(super) spent: Spent,
    /// The list of the newest block's logs, where it did not come with its head.
    logs: Option<Value>,
}

impl<S: StrategySet> Cockpit<S> {
    pub(super) fn new(engine: Box<Engine<S>>) -> Self {
        Self {
            engine,
            told: Vec::new(),
            at: Nanos(1),
            seq: 0,
            head: None,
            spent: Spent::default(),
            logs: None,
        }
    }

    /// The feed comes up.
    pub(super) fn connect(&mut self) {
        for source in Source::ALL {
            self.feed(Happening::Link { node: NODE, source, is_up: true });
        }
    }

    pub(super) fn command(&mut self, command: Command) {
        self.feed(Happening::Command(command));
        self.answer();
    }

    /// A block comes, with all its logs.
    pub(super) fn block(&mut self, head: &Head, rows: Rows<'_>) {
        self.at = self.at.plus(1_000_000);
        let laps = Laps::new();
        let block = input::Block { head, rows };
        self.feed_timed(Happening::Block { node: NODE, block }, &laps);
        laps.add_to(&mut self.spent);
        self.head = Some(*head);
        self.answer();
    }

    /// Nothing comes: what the engine does at leisure is done.
    pub(super) fn tick(&mut self) {
        self.feed(Happening::Tick);
    }

    /// The same as frames, as a node sends it: its head, then the list of its logs when the engine
    /// asks for it.
    #[cfg(test)]
    pub(super) fn block_in_frames(&mut self, head: &Head, logs: Value) {
        self.logs = Some(logs);
        let news = json!({
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": { "subscription": "0x1", "result": json_of(head) },
        });
        self.head = Some(*head);
        self.at = self.at.plus(1_000_000);
        self.frame(Source::Chain, &news);
        self.answer();
    }

    fn frame(&mut self, source: Source, message: &Value) {
        let text = message.to_string();
        let bytes = text.as_bytes();
        self.feed(Happening::Frame { node: NODE, source, bytes, has_more: false });
    }

    fn feed(&mut self, what: Happening<'_>) {
        self.feed_timed(what, &Still);
    }

    fn feed_timed(&mut self, what: Happening<'_>, clock: &impl Clock) {
        self.seq += 1;
        let input = Input { at: self.at, seq: self.seq, what };
        self.engine.on_input(input, clock, &mut Fills);
        self.told.extend(self.engine.notes.iter());
        self.engine.notes.clear();
    }

    /// Answers the engine's questions, and those that the answers raise.
    fn answer(&mut self) {
        for _round in 0..ROUNDS_MAX {
            let asked: Vec<Query> = self.engine.queries.as_slice().to_vec();
            self.engine.queries.clear();
            if asked.is_empty() {
                break;
            }
            for query in asked {
                let is_known = self.logs.is_none();
                if is_known && matches!(query, Query::BlockLogs { .. }) {
                    continue;
                }
                let result = self.result_of(&query);
                let reply = json!({ "jsonrpc": "2.0", "id": query.id(), "result": result });
                self.frame(Source::Rpc, &reply);
            }
        }
    }

    fn result_of(&self, query: &Query) -> Value {
        let head = self.head.as_ref();
        match query {
            Query::LatestHead => head.map_or(Value::Null, json_of),
            Query::Head(hash) => {
                let known = head.filter(|head| head.hash == *hash);
                known.map_or(Value::Null, json_of)
            }
            Query::BlockLogs { .. } => self.logs.clone().unwrap_or_default(),
            // Nothing of ours is ever on the recorded chain.
            Query::Transaction(_)
            | Query::Receipt(..)
            | Query::Known(..)
            | Query::Followed { .. }
            | Query::Place { .. } => Value::Null,
            Query::Nonce(..)
            | Query::PendingNonce(..)
            | Query::Balance(..)
            | Query::SenderNonce { .. }
            | Query::Holding { .. } => json!("0x0"),
        }
    }
}
