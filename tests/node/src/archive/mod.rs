//! An archive node: a long history with tens of thousands of pools in it, for starts and nothing
//! else. It answers what a start asks, with the limits that providers have, and counts it.
//!
//! Temperature: cold.

mod market;
mod server;
mod start;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_primitives::{Address, B256, Bloom, Bytes, U256, keccak256};
use serde_json::{Value, json};

pub use self::market::{Market, Plan, Pool, State};
pub use self::server::Server;
pub use self::start::Start;
use crate::answer::{Refusal, read};
use crate::json::hex;
use crate::lens;

/// What a call may use, as geth has it.
const CALL_GAS: u64 = 50_000_000;
/// Blocks that one question for logs may span, and logs that it may bring.
const RANGE_MAX: u64 = 100_000;
const LOGS_MAX: usize = 10_000;
/// Time between two blocks, in seconds.
const BLOCK_S: u64 = 12;
/// When the first block was, in seconds since 1970.
const GENESIS_S: u64 = 1_700_000_000;

/// Something that happened to a pool since the history was drawn up.
#[derive(Clone, Debug)]
struct Move {
    block: u64,
    pool: usize,
    /// Liquidity was added; otherwise it was traded with.
    is_mint: bool,
}

/// What changes while the node runs.
#[derive(Debug)]
struct Now {
    tip: u64,
    market: Market,
    /// Place of each pool.
    places: HashMap<Address, usize>,
    moves: Vec<Move>,
    /// What blocks' hashes are made from, beside their heights.
    branch: u64,
    /// Logs of trades are not there any more, and the node does not say so.
    is_pruned: bool,
}

/// What was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Questions.
    pub all: u64,
    /// Of these, for logs.
    pub logs: u64,
    /// Of these, that were refused.
    pub refused: u64,
}

/// The chain and its limits.
#[derive(Debug)]
pub struct Archive {
    now: RwLock<Now>,
    plan: Plan,
    all: AtomicU64,
    logs: AtomicU64,
    refused: AtomicU64,
}

impl Archive {
    /// A history as it is planned.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let market = Market::draw(&plan);
        let places = market.pools.iter().map(|pool| pool.address).zip(0..).collect();
        let now = Now {
            tip: plan.blocks,
            market,
            places,
            moves: Vec::new(),
            branch: 0,
            is_pruned: false,
        };
        let zero = AtomicU64::default;
        Self { now: RwLock::new(now), plan, all: zero(), logs: zero(), refused: zero() }
    }

    fn now(&self) -> RwLockReadGuard<'_, Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration of a bot that starts here; `url` is where this node listens.
    #[must_use]
    pub fn config(&self, url: &str) -> String {
        self.now().market.config(&self.plan, url)
    }

    /// What was asked since it began to count.
    #[must_use]
    pub fn asked(&self) -> Asked {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Asked { all: of(&self.all), logs: of(&self.logs), refused: of(&self.refused) }
    }

    /// Begins to count anew.
    pub fn forget_asked(&self) {
        for count in [&self.all, &self.logs, &self.refused] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// The pools as they are now.
    #[must_use]
    pub fn pools(&self) -> Vec<Pool> {
        self.now().market.pools.clone()
    }

    /// Every block has another hash now: the chain was reorganised from below.
    pub fn reorganise(&self) {
        self.write().branch += 1;
    }

    /// From now on the logs of trades come back empty.
    pub fn prune(&self) {
        self.write().is_pruned = true;
    }

    /// One more pair of the first factory, which this node announces or not.
    pub fn make_pair(&self, is_announced: bool) -> Address {
        let mut now = self.write();
        let block = if is_announced { now.tip } else { u64::MAX };
        let pool = now.market.make_pair(block);
        let place = now.market.pools.len() - 1;
        now.places.insert(pool, place);
        pool
    }

    fn write(&self) -> RwLockWriteGuard<'_, Now> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many blocks go by, in which so many pools change.
    pub fn go_on(&self, blocks: u64, changes: usize) {
        let mut now = self.write();
        let first = now.tip + 1;
        now.tip += blocks;
        let step = (now.market.pools.len() / changes.max(1)).max(1);
        for (count, pool) in (0..now.market.pools.len()).step_by(step).take(changes).enumerate() {
            now.market.pools[pool].trade();
            let block = first + count as u64 % blocks;
            now.moves.push(Move { block, pool, is_mint: false });
        }
        now.moves.sort_by_key(|held| held.block);
    }

    /// One block goes by, in which every V3 pool gains liquidity far from its price: nothing of
    /// it shows but its ticks.
    pub fn mint_far(&self) {
        let mut now = self.write();
        now.tip += 1;
        let block = now.tip;
        for pool in 0..now.market.pools.len() {
            if now.market.pools[pool].mint_far() {
                now.moves.push(Move { block, pool, is_mint: true });
            }
        }
    }

    /// A pool is another one than it was, and nothing says so: one that is traded with, or the
    /// ticks of all V3 pools.
    pub fn tamper(&self, with_ticks: bool) {
        let mut now = self.write();
        now.tip += 1;
        if with_ticks {
            for pool in &mut now.market.pools {
                pool.mint_far();
            }
        } else if let Some(pool) = now.market.pools.first_mut() {
            pool.trade();
        }
    }

    /// The answer to a question.
    fn answer(&self, method: &str, params: &Value) -> Result<Value, Refusal> {
        self.all.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        let answer = match method {
            "eth_chainId" => Ok(json!(hex(self.plan.chain_id))),
            "eth_subscribe" => subscribe(&params[0]),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => Ok(now.block(&params[0])),
            "eth_getLogs" => {
                self.logs.fetch_add(1, Ordering::Relaxed);
                now.logs(&params[0], self.plan.seed)
            }
            "eth_call" => now.call(&params[0]),
            "eth_getBalance" => Ok(json!(hex(10_u128.pow(20)))),
            "eth_getTransactionCount" => Ok(json!("0x0")),
            "eth_getCode" => Ok(json!("0x6080")),
            _ => Err(refusal(-32_601, "the method does not exist/is not available")),
        };
        self.refused.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
        answer
    }
}

fn refusal(code: i64, words: &str) -> Refusal {
    json!({ "code": code, "message": words })
}

fn subscribe(topic: &Value) -> Result<Value, Refusal> {
    match topic.as_str() {
        Some("newHeads" | "logs" | "newPendingTransactions") => Ok(json!("0x1")),
        _ => Err(refusal(-32_601, "no such subscription")),
    }
}

impl Now {
    /// A block's hash.
    fn hash_of(&self, number: u64) -> B256 {
        keccak256([number.to_be_bytes(), self.branch.to_be_bytes()].concat())
    }

    /// The height of a block by its hash: one of the newest, or it is not known.
    fn number_of(&self, hash: &Value) -> Option<u64> {
        let mut newest = self.tip.saturating_sub(64)..=self.tip;
        newest.find(|number| json!(self.hash_of(*number)) == *hash)
    }

    /// The moves of a range of blocks.
    fn moves(&self, from: u64, to: u64) -> &[Move] {
        let first = self.moves.partition_point(|held| held.block < from);
        let end = self.moves.partition_point(|held| held.block <= to);
        &self.moves[first..end.max(first)]
    }

    /// A block's filter of what happened in it; history is told by its logs alone.
    fn bloom(&self, number: u64) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for held in self.moves(number, number) {
            let log = self.log_of(held);
            bloom.accrue_raw_log(log.address, &log.topics);
        }
        bloom
    }

    fn log_of(&self, held: &Move) -> market::Log {
        let pool = &self.market.pools[held.pool];
        if held.is_mint { pool.minted() } else { pool.moved() }
    }

    fn block(&self, named: &Value) -> Value {
        let number = match named.as_str() {
            Some("latest") => Some(self.tip),
            Some(text) if text.len() < 20 => {
                read::<U256>(named).ok().and_then(|number| u64::try_from(number).ok())
            }
            _ => self.number_of(named),
        };
        let Some(number) = number.filter(|number| *number <= self.tip) else { return Value::Null };
        json!({
            "number": hex(number), "hash": self.hash_of(number),
            "parentHash": self.hash_of(number.wrapping_sub(1)),
            "timestamp": hex(GENESIS_S + BLOCK_S * number), "gasLimit": hex(30_000_000_u64),
            "gasUsed": hex(15_000_000_u64), "miner": Address::ZERO,
            "baseFeePerGas": hex(1_000_000_000_u64), "logsBloom": self.bloom(number),
            "difficulty": "0x0", "transactions": [], "uncles": [],
        })
    }

    /// The logs of a range of blocks, as far as a provider gives them.
    fn logs(&self, filter: &Value, seed: u64) -> Result<Value, Refusal> {
        let (from, to) = if filter["blockHash"].is_string() {
            let number = self.number_of(&filter["blockHash"]);
            let number = number.ok_or_else(|| refusal(-32_000, "unknown block"))?;
            (number, number)
        } else {
            let bound = |name: &str| read::<U256>(&filter[name]).map(|number| number.to::<u64>());
            (bound("fromBlock")?, bound("toBlock")?.min(self.tip))
        };
        if to.saturating_sub(from) >= RANGE_MAX {
            return Err(too_much(from ^ seed));
        }
        let topics = &filter["topics"][0];
        let wants = |topic: &B256| match topics.as_array() {
            Some(list) => list.contains(&json!(topic)),
            None => topics.is_null() || *topics == json!(topic),
        };
        let is_in = |list: &Value, address: &Address| match list.as_array() {
            Some(list) => list.contains(&json!(address)),
            None => list.is_null() || *list == json!(address),
        };
        let mut found = Vec::new();
        let created = self.market.created_between(from, to);
        for (pool, block) in created {
            let log = pool.created(&self.market);
            if wants(&log.topics[0]) && is_in(&filter["address"], &log.address) {
                found.push(log.to_json(block, self.hash_of(block), found.len()));
            }
        }
        let moves = if self.is_pruned { &[][..] } else { self.moves(from, to) };
        for held in moves {
            let log = self.log_of(held);
            if wants(&log.topics[0]) && is_in(&filter["address"], &log.address) {
                found.push(log.to_json(held.block, self.hash_of(held.block), found.len()));
            }
        }
        if found.len() > LOGS_MAX {
            return Err(too_much(to ^ seed));
        }
        Ok(Value::Array(found))
    }

    fn call(&self, call: &Value) -> Result<Value, Refusal> {
        let reverted = || refusal(3, "execution reverted");
        let data: Bytes = read(&call["data"]).or_else(|_| read(&call["input"]))?;
        if call["to"].is_null() {
            let answer = lens::answer(&data, self, CALL_GAS);
            return answer.map(|answer| json!(answer)).ok_or_else(reverted);
        }
        let answer = self.market.view(&read(&call["to"])?, &data);
        answer.map(|answer| json!(answer)).ok_or_else(reverted)
    }

    fn state(&self, pool: &Address) -> Option<&State> {
        self.places.get(pool).map(|place| &self.market.pools[*place].state)
    }
}

/// A refusal in the words of one provider or another.
fn too_much(chance: u64) -> Refusal {
    match chance % 4 {
        0 => refusal(-32_005, "query returned more than 10000 results"),
        1 => refusal(-32_602, "eth_getLogs is limited to a 100,000 range"),
        2 => refusal(-32_000, "block range is too wide"),
        _ => refusal(-32_603, "Log response size exceeded."),
    }
}

impl lens::Contracts for Now {
    fn reserves(&self, pool: &Address) -> Option<[u128; 2]> {
        match self.state(pool)? {
            State::Pair(reserves) | State::Solidly { reserves, .. } => Some(*reserves),
            State::Concentrated(_) => None,
        }
    }

    fn decimals(&self, token: &Address) -> Option<u8> {
        self.market.decimals(token)
    }

    fn listed(&self, factory: &Address, place: u32) -> Option<[Address; 3]> {
        self.market.listed(factory, usize::try_from(place).ok()?)
    }

    fn concentrated(&self, pool: &Address) -> Option<&lens::Concentrated> {
        match self.state(pool)? {
            State::Concentrated(pool) => Some(pool),
            State::Pair(_) | State::Solidly { .. } => None,
        }
    }

    fn solidly_fee(&self, pool: &Address) -> Option<u16> {
        match self.state(pool)? {
            State::Solidly { fee, .. } => Some(*fee),
            State::Pair(_) | State::Concentrated(_) => None,
        }
    }
}
