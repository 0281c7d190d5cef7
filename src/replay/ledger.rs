//! A recording as a node holds its chain: blocks by height and hash, transactions, and what was
//! heard when.
//!
//! What it does not know is a [`Missing`], never a guess.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::fmt;

use alloy::consensus::{Header, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::rlp::Decodable as _;
use alloy_primitives::{Address, B256, keccak256};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::recorder::{History, Start};
use crate::recording::column::Millis;
use crate::recording::rows::{ArrivalRow, TransactionRow};
use crate::recording::{RecordedBlock, Recording};

/// What a recording does not hold, as it is told to whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing(pub(super) String);

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} not in the recording", self.0)
    }
}

/// A block with what stands beside its columns.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) block: RecordedBlock,
    /// The whole header, if it is recorded.
    pub(super) header: Option<Header>,
    /// The header as a node wrote it.
    pub(super) written: Option<Value>,
    /// Whether that was when it announced the block.
    is_announced: bool,
}

impl Held {
    fn new(block: RecordedBlock) -> Self {
        let header = block.header.header.as_ref().and_then(|bytes| {
            let is_own = block.header.block_hash == Some(keccak256(bytes));
            Header::decode(&mut &bytes[..]).ok().filter(|_| is_own)
        });
        Self { block, header, written: None, is_announced: false }
    }

    pub(super) const fn number(&self) -> u64 {
        self.block.number()
    }

    pub(super) const fn hash(&self) -> Option<B256> {
        self.block.header.block_hash
    }

    /// Its transactions, if they are known.
    pub(super) fn transactions(&self) -> Result<&[TransactionRow], Missing> {
        let rows = &self.block.transactions;
        let is_empty = self.block.header.gas_used == Some(0);
        if rows.is_empty() && !is_empty {
            return Err(Missing(format!("the transactions of block {} are", self.number())));
        }
        Ok(rows)
    }

    /// A transaction as it was signed.
    pub(super) fn envelope(&self, place: usize) -> Result<TxEnvelope, Missing> {
        let row = self.transactions()?.get(place);
        let raw = row.and_then(|row| row.raw.as_ref());
        let read = raw.and_then(|raw| TxEnvelope::decode_2718(&mut &raw[..]).ok());
        read.ok_or_else(|| {
            let number = self.number();
            Missing(format!("the signed bytes of transaction {place} of block {number} are"))
        })
    }
}

/// Something that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A block, by its place.
    Head(usize),
    /// A pending transaction, by its place among all.
    Pending(usize),
}

/// A pending transaction as it was announced.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) hash: B256,
    /// Its JSON, if it came whole.
    pub(super) body: Option<Value>,
}

/// A recording as a node holds its chain.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) chain_id: u64,
    /// In order of height.
    pub(super) blocks: Vec<Held>,
    by_hash: HashMap<B256, usize>,
    /// Block and place of each transaction.
    by_transaction: HashMap<B256, (usize, usize)>,
    /// By sender, the blocks' places and nonces of its transactions, in order.
    by_sender: HashMap<Address, Vec<(usize, u64)>>,
    pub(super) pending: Vec<Sighting>,
    by_sighting: HashMap<B256, usize>,
    /// When what was heard, in nanoseconds of one clock.
    pub(super) timeline: Vec<(u64, Heard)>,
    /// What the run began with, if it is a run's.
    pub(super) start: Option<Start>,
    /// What was before it, if that is recorded.
    pub(super) history: Option<History>,
}

/// Seconds between blocks that do not tell their time.
const BLOCK_S: u64 = 12;
const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

impl Ledger {
    /// Reads the blocks of a range of heights, and what was heard of them.
    ///
    /// # Errors
    /// When the recording cannot be read, or has no block there.
    pub(super) fn read(recording: &Recording, range: (u64, u64)) -> Result<Self> {
        let mut blocks = Vec::new();
        recording.each(range, |block| {
            blocks.push(block);
            Ok(())
        })?;
        ensure!(!blocks.is_empty(), "the recording has no block there");
        let mut ledger = Self::of(recording.manifest.chain_id, blocks);
        if recording.manifest.has_arrivals {
            ledger.start = Some(Start::read(recording.folder())?);
            ledger.history = History::read(recording.folder())?;
            ledger.hear(recording)?;
        } else {
            ledger.suppose(recording)?;
        }
        Ok(ledger)
    }

    /// Blocks in order, of which nothing was heard.
    pub(super) fn of(chain_id: u64, blocks: Vec<RecordedBlock>) -> Self {
        let mut ledger = Self {
            chain_id,
            by_hash: HashMap::new(),
            by_transaction: HashMap::new(),
            by_sender: HashMap::new(),
            blocks: blocks.into_iter().map(Held::new).collect(),
            pending: Vec::new(),
            by_sighting: HashMap::new(),
            timeline: Vec::new(),
            start: None,
            history: None,
        };
        for (place, held) in ledger.blocks.iter().enumerate() {
            ledger.by_hash.extend(held.hash().map(|hash| (hash, place)));
            for (at, row) in held.block.transactions.iter().enumerate() {
                ledger.by_transaction.insert(row.transaction_hash, (place, at));
                if let Some((sender, nonce)) = row.from_address.zip(row.nonce) {
                    ledger.by_sender.entry(sender).or_default().push((place, nonce));
                }
            }
        }
        ledger
    }

    /// What a run heard, as it heard it.
    fn hear(&mut self, recording: &Recording) -> Result<()> {
        let mut times = vec![None; self.blocks.len()];
        let mut began = None;
        recording.each_arrival(|row| {
            let at = row.received_ns;
            began.get_or_insert(at);
            match heard(&row) {
                Some(Announced::Head { hash, head, is_news }) => {
                    if let Some(place) = self.by_hash.get(&hash).copied() {
                        times[place].get_or_insert(at);
                        let held = &mut self.blocks[place];
                        if is_news || held.written.is_none() {
                            held.written = Some(head);
                            held.is_announced = is_news;
                        }
                    }
                }
                Some(Announced::Pending(hash, body)) => self.sight(at, hash, body),
                Some(Announced::Body(hash, body)) => {
                    if let Some(known) = self.by_sighting.get(&hash) {
                        self.pending[*known].body.get_or_insert(body);
                    }
                }
                None => {}
            }
            Ok(())
        })?;
        // The block that the run began at is not announced: the clock begins there.
        times[0] = times[0].or(began);
        self.order(&times);
        Ok(())
    }

    /// What data sets tell of the time: blocks' own, and when transactions were first seen.
    fn suppose(&mut self, recording: &Recording) -> Result<()> {
        let mut times: Vec<Option<u64>> = Vec::with_capacity(self.blocks.len());
        for held in &self.blocks {
            let told = held.block.header.timestamp.map(|time| time.0.saturating_mul(NS_PER_S));
            let before = times.last().copied().flatten();
            let supposed = before.map(|time| time.saturating_add(BLOCK_S * NS_PER_S));
            times.push(told.or(supposed).or(Some(0)));
        }
        let ends = [times.first(), times.last()].map(|time| time.copied().flatten().unwrap_or(0));
        let [from, to] = ends.map(|time| Millis(time / NS_PER_MS));
        recording.each_pending((from, to), |row| {
            let body = row.raw_tx.as_ref().and_then(|raw| super::render::pending(raw));
            self.sight(row.timestamp.0.saturating_mul(NS_PER_MS), row.hash.0, body);
            Ok(())
        })?;
        self.order(&times);
        Ok(())
    }

    fn sight(&mut self, at: u64, hash: B256, body: Option<Value>) {
        if self.by_sighting.contains_key(&hash) {
            return;
        }
        let place = self.pending.len();
        self.by_sighting.insert(hash, place);
        self.pending.push(Sighting { hash, body });
        self.timeline.push((at, Heard::Pending(place)));
    }

    /// Puts blocks among the rest: each not before the one below it.
    fn order(&mut self, times: &[Option<u64>]) {
        let mut last = 0;
        for (place, time) in times.iter().enumerate() {
            last = time.unwrap_or(last).max(last);
            self.timeline.push((last, Heard::Head(place)));
        }
        // A head that comes with a transaction comes before it, as blocks keep their order.
        let first = times.first().copied().flatten().unwrap_or(0);
        self.timeline.retain(|(at, _)| *at >= first);
        self.timeline.sort_by_key(|(at, heard)| (*at, matches!(heard, Heard::Pending(_))));
    }

    /// A block's head as the node announced it, or would have.
    pub(super) fn head(&self, held: &Held) -> Value {
        if let Some(head) = held.written.as_ref().filter(|_| held.is_announced) {
            return head.clone();
        }
        let whole = super::render::block(held, false);
        let mut head = whole.unwrap_or_else(|_missing| super::render::header(held));
        // It was asked for before it was announced. Nodes announce all with the same fields.
        let announced = self.blocks.iter().find(|held| held.is_announced);
        let other = announced.and_then(|held| held.written.as_ref());
        let more = ["size", "totalDifficulty", "transactions", "uncles", "withdrawals"];
        if let Some(fields) = head.as_object_mut() {
            fields.retain(|key, _| match other {
                Some(other) => other.get(key).is_some(),
                None => !more.contains(&key.as_str()),
            });
        }
        head
    }

    /// A block by its height.
    pub(super) fn at(&self, number: u64) -> Option<usize> {
        self.blocks.binary_search_by_key(&number, Held::number).ok()
    }

    /// A block by its hash.
    pub(super) fn of_hash(&self, hash: &B256) -> Option<usize> {
        self.by_hash.get(hash).copied()
    }

    /// The block of a transaction, and its place there.
    pub(super) fn of_transaction(&self, hash: &B256) -> Option<(usize, usize)> {
        self.by_transaction.get(hash).copied()
    }

    /// A sender's transactions: their blocks' places and their nonces, in order.
    pub(super) fn sent_by(&self, sender: &Address) -> &[(usize, u64)] {
        self.by_sender.get(sender).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether all transactions of the blocks above one height, and up to another, are known.
    pub(super) fn knows_transactions(&self, above: u64, to: u64) -> bool {
        (above.saturating_add(1)..=to).all(|number| {
            self.at(number).is_some_and(|place| self.blocks[place].transactions().is_ok())
        })
    }

    /// A sighting by its transaction's hash.
    pub(super) fn sighting(&self, hash: &B256) -> Option<usize> {
        self.by_sighting.get(hash).copied()
    }

    /// The height of the first block.
    pub(super) fn first(&self) -> u64 {
        self.blocks.first().map_or(0, Held::number)
    }

    /// The height of the last block.
    pub(super) fn last(&self) -> u64 {
        self.blocks.last().map_or(0, Held::number)
    }

    /// The block at a height of which every node has one: told as missing if it is none of these.
    pub(super) fn known(&self, number: u64) -> Result<usize, Missing> {
        self.at(number).ok_or_else(|| {
            let first = self.first();
            let begins = format!("which begins at block {first}");
            Missing(if number < first {
                format!("block {number} is older than the recording, {begins}: it is")
            } else {
                format!("block {number} is")
            })
        })
    }
}

/// What a frame announces.
enum Announced {
    Head {
        hash: B256,
        head: Value,
        /// Whether nobody had asked for it.
        is_news: bool,
    },
    Pending(B256, Option<Value>),
    /// What a pending transaction that was announced by its hash is.
    Body(B256, Value),
}

/// Reads a frame of a run; none if it announces neither a block nor a pending transaction.
fn heard(row: &ArrivalRow) -> Option<Announced> {
    let bytes = row.bytes.as_ref().filter(|_| row.kind == "frame")?;
    // Most frames announce a log: those need not be read.
    let is_pending = row.source.as_deref() == Some("pending");
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    let is_body = row.source.as_deref() == Some("rpc") && has(b"\"nonce\"");
    if !is_pending && !is_body && !has(b"\"parentHash\"") {
        return None;
    }
    let mut frame: Value = serde_json::from_slice(bytes).ok()?;
    let is_news = frame.get("method").is_some();
    let result = match frame.get_mut("params").and_then(|params| params.get_mut("result")) {
        Some(result) => result.take(),
        None => frame.get_mut("result")?.take(),
    };
    let hash = |value: &Value| value.as_str()?.parse::<B256>().ok();
    if let Some(hash) = hash(&result) {
        return (is_pending && is_news).then_some(Announced::Pending(hash, None));
    }
    let of = hash(result.get("hash")?)?;
    if result.get("parentHash").is_some() {
        let mut head = result;
        // An answer to a question may bring the whole block.
        if let Some(fields) = head.as_object_mut().filter(|_| !is_news) {
            let more = ["transactions", "uncles", "withdrawals", "size", "totalDifficulty"];
            more.iter().for_each(|key| drop(fields.remove(*key)));
        }
        return Some(Announced::Head { hash: of, head, is_news });
    }
    let is_open = result.get("blockHash").is_none_or(Value::is_null);
    if result.get("nonce").is_none() || !is_open {
        return None;
    }
    Some(if is_pending {
        Announced::Pending(of, Some(result))
    } else {
        Announced::Body(of, result)
    })
}

/// Reads a whole recording into memory.
///
/// # Errors
/// When it cannot be read, or has no block in the range.
pub(super) fn open(folder: &std::path::Path, range: (u64, u64)) -> Result<(Recording, Ledger)> {
    let recording = Recording::open(folder)?;
    let ledger = Ledger::read(&recording, range);
    let ledger = ledger.with_context(|| format!("reading {}", folder.display()))?;
    Ok((recording, ledger))
}
