//! The engine of a run, fed from a recording as a node would feed it: the same frames, and an
//! answer to each of its questions.
//!
//! Temperature: cold.

use alloy_primitives::{B256, Bloom, keccak256};
use gannet_engine::flight::Flight;
use gannet_engine::ids::NodeId;
use gannet_engine::input::{Command, Happening, Input, Source};
use gannet_engine::note::Note;
use gannet_engine::outbox::{Clock, Outbox, Settles, SignedTx, Stamps, Unsent};
use gannet_engine::pipeline::Engine;
use gannet_engine::query::Query;
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Nanos;
use serde_json::{Value, json};

use super::fly::BLOCK_S;
use crate::recording::RecordedBlock;
use crate::recording::rows::LogRow;

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

/// A header as a node sends it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) hash: B256,
    pub(super) json: Value,
}

impl Head {
    /// That of a recorded block on `parent`.
    pub(super) fn of(block: &RecordedBlock, parent: B256) -> Self {
        let header = &block.header;
        let hash = header.block_hash.unwrap_or_else(|| stand_in(block.number()));
        let mut json = json!({
            "number": quantity(block.number()),
            "hash": hash,
            "parentHash": parent,
            "timestamp": quantity(header.timestamp.unwrap_or_default().0),
            "gasLimit": quantity(header.gas_limit.unwrap_or_default()),
            "gasUsed": quantity(header.gas_used.unwrap_or_default()),
            "miner": header.author.unwrap_or_default(),
        });
        if let Some(fee) = header.base_fee_per_gas {
            json["baseFeePerGas"] = json!(quantity(fee));
        }
        if let Some(bloom) = header.logs_bloom.as_ref().filter(|_| is_whole(block)) {
            json["logsBloom"] = json!(bloom);
        }
        Self { hash, json }
    }

    /// That of the block before a recorded one, of which nothing else is known: it moved no pool,
    /// and the next base fee is what it was.
    pub(super) fn before(block: &RecordedBlock, parent: B256) -> Self {
        let header = &block.header;
        let number = block.number().saturating_sub(1);
        let hash = header.parent_hash.unwrap_or_else(|| stand_in(number));
        let gas_limit = header.gas_limit.unwrap_or(30_000_000);
        let mut json = json!({
            "number": quantity(number),
            "hash": hash,
            "parentHash": parent,
            "timestamp": quantity(header.timestamp.unwrap_or_default().0.saturating_sub(BLOCK_S)),
            "gasLimit": quantity(gas_limit),
            "gasUsed": quantity(gas_limit / 2),
            "miner": header.author.unwrap_or_default(),
            "logsBloom": Bloom::ZERO,
        });
        if let Some(fee) = header.base_fee_per_gas {
            json["baseFeePerGas"] = json!(quantity(fee));
        }
        Self { hash, json }
    }
}

/// Whether the header's filter speaks of the logs that are there.
fn is_whole(block: &RecordedBlock) -> bool {
    block.header.logs_complete != Some(false)
}

/// Stands for the hash of a block whose hash is not recorded.
pub(super) fn stand_in(number: u64) -> B256 {
    keccak256(format!("block {number}"))
}

fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

/// A log as a node sends it.
pub(super) fn log_of(log: &LogRow, block_hash: B256) -> Value {
    json!({
        "address": log.address,
        "topics": log.topics,
        "data": log.data,
        "blockNumber": quantity(log.block_number),
        "blockHash": block_hash,
        "transactionHash": log.transaction_hash,
        "transactionIndex": quantity(log.transaction_index.into()),
        "logIndex": quantity(log.log_index.into()),
        "removed": false,
    })
}

/// The engine, and where the recording stands.
#[derive(Debug)]
pub(super) struct Cockpit<S> {
    pub(super) engine: Engine<S>,
    /// What it told since that was last taken.
    pub(super) told: Vec<Note>,
    at: Nanos,
    seq: u64,
    head: Option<Head>,
    logs: Value,
}

impl<S: StrategySet> Cockpit<S> {
    pub(super) const fn new(engine: Engine<S>) -> Self {
        let logs = Value::Array(Vec::new());
        Self { engine, told: Vec::new(), at: Nanos(1), seq: 0, head: None, logs }
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

    /// A block comes: its head, then the list of its logs when the engine asks for it.
    pub(super) fn block(&mut self, head: Head, logs: &[LogRow]) {
        // Of those without a topic nothing follows, and nodes do not filter them in either.
        let logs = logs.iter().filter(|log| !log.topics.is_empty());
        self.logs = logs.map(|log| log_of(log, head.hash)).collect();
        let news = json!({
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": { "subscription": "0x1", "result": head.json },
        });
        self.head = Some(head);
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
        self.seq += 1;
        let input = Input { at: self.at, seq: self.seq, what };
        self.engine.on_input(input, &Still, &mut Fills);
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
                let result = self.result_of(&query);
                let reply = json!({ "jsonrpc": "2.0", "id": query.id(), "result": result });
                self.frame(Source::Rpc, &reply);
            }
        }
    }

    fn result_of(&self, query: &Query) -> Value {
        let head = self.head.as_ref();
        match query {
            Query::LatestHead => head.map_or(Value::Null, |head| head.json.clone()),
            Query::Head(hash) => {
                let known = head.filter(|head| head.hash == *hash);
                known.map_or(Value::Null, |head| head.json.clone())
            }
            Query::BlockLogs { .. } => self.logs.clone(),
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
