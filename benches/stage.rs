//! An engine over a universe of [`universe`](super::universe), and the node that it listens to:
//! frames go in, and the time until it hands over a signed transaction comes out. Sockets are not
//! in it.
//!
//! What is handed over does not leave, so that an engine can answer for ever: its wallet is free
//! again, and the opportunity open.
//!
//! Temperature: cold.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::topics::SYNC;
use gannet_engine::flight::Flight;
use gannet_engine::guard::GuardLimits;
use gannet_engine::ids::NodeId;
use gannet_engine::input::{Happening, Input, Source};
use gannet_engine::limits::{PLANS_MAX, WALLETS_MAX};
use gannet_engine::outbox::{Clock, Outbox, Settles, SignedTx, Stamps, Unsent};
use gannet_engine::pipeline::Engine;
use gannet_engine::plan::Plan;
use gannet_engine::query::Query;
use gannet_engine::risk::{Funding, Limits, Risk};
use gannet_engine::sign::presign::{Maker, Presignature, SLOT_BYTES};
use gannet_engine::sign::{Signer, WalletKey};
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::{BlockNumber, Nanos, Wei};
use gannet_engine::wallet::WalletState;
use gannet_engine::world::pools::PoolTable;
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, Tip, Universe, World};
use gannet_strategies::Standard;
use serde_json::json;

use super::universe::{BASES, Market, NATIVE};

pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const ETHER: u128 = GWEI * GWEI;
/// At this, what the universe at rest holds does not pay for its gas.
const BASE_FEE: u128 = 4 * GWEI;
const ANCHOR: u64 = 100;
const TIME: u64 = 1_800_000_000;
const NODE: NodeId = NodeId(0);
/// The router that pending swaps go through.
pub(crate) const ROUTER: Address = Address::repeat_byte(0x77);
/// EIP-155 chain id.
pub(crate) const CHAIN_ID: u64 = 31_337;

/// Takes note of when it is handed a transaction, and of what it does.
#[derive(Debug)]
pub(crate) struct Desk {
    handed_at: Option<Instant>,
    pub(crate) bytes: usize,
    /// The plan that was handed over last.
    pub(crate) plan: Option<Plan>,
    maker: Maker,
    /// As many as one event can ask for.
    slots: [[u8; SLOT_BYTES]; PLANS_MAX],
}

impl Desk {
    fn new(keys: &[WalletKey]) -> Self {
        let maker = Maker::new(keys);
        let mut desk = Self {
            handed_at: None,
            bytes: 0,
            plan: None,
            maker,
            slots: [[0; SLOT_BYTES]; PLANS_MAX],
        };
        desk.refill();
        desk
    }

    /// Makes the costly halves of the next signatures, as the presigner's thread does.
    fn refill(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.iter().all(|byte| *byte == 0)) {
            self.maker.make(&[1; 32], 0).put(slot);
        }
    }
}

impl Outbox for Desk {
    const SETTLES: Settles = Settles::ByReceipt;

    fn presignature(&mut self) -> Option<Presignature> {
        self.slots.iter_mut().find_map(Presignature::take)
    }

    fn submit(&mut self, tx: &SignedTx<'_>, flight: &Flight, _: &Stamps) -> Result<(), Unsent> {
        self.handed_at.get_or_insert_with(Instant::now);
        self.bytes = tx.raw.len();
        self.plan.get_or_insert(flight.admitted.plan);
        Err(Unsent::LinkDown)
    }
}

/// Stamps cost what they cost in the bot.
struct Watch(Instant);

impl Clock for Watch {
    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Risk that turns nothing down for its limits.
pub(crate) fn risk(wallets: Vec<WalletState>) -> Risk {
    let limits = Limits {
        min_profit: Wei(GWEI),
        gas_price_max: Wei(10_000 * GWEI),
        notional_max: Wei(1_000 * ETHER),
        funding: Funding::Flash,
    };
    Risk::new(limits, GuardLimits::NONE, wallets)
}

/// An engine over a universe, and its node.
pub(crate) struct Stage {
    pub(crate) engine: Engine<Standard>,
    pub(crate) desk: Desk,
    watch: Watch,
    seq: u64,
    block: u64,
    /// Logs of the block that is open, and the question that the engine asked for them.
    logs: Vec<String>,
    asked: Option<u64>,
    buffer: Vec<u8>,
}

impl Stage {
    /// Over a market, with these strategies; the world is fresh.
    pub(crate) fn new(market: &Market, strategies: &[&str]) -> Self {
        let keys = (1..=WALLETS_MAX).filter_map(|number| u8::try_from(number).ok());
        let keys: Vec<_> = keys.filter_map(|number| WalletKey::new(&[number; 32]).ok()).collect();
        let wallet = |key: &WalletKey| WalletState::new(key.address(), 7, 7, Wei(10 * ETHER));
        let risk = risk(keys.iter().map(wallet).collect());
        let desk = Desk::new(&keys);
        let signer = Signer::new(keys, Address::repeat_byte(0xee));
        let mut set = Standard::default();
        for name in strategies {
            let config = toml::Deserializer::parse("hops_max = 4");
            let enabled = config.ok().and_then(|config| set.enable(name, config));
            assert!(enabled.is_some_and(|done| done.is_ok()), "the strategy {name} is on");
        }
        let engine = Engine::new(world(market), set, risk, signer, u64::MAX / 2);
        let Ok(engine) = engine else { unreachable!("there are cycles") };
        let watch = Watch(Instant::now());
        let mut stage = Self {
            engine,
            desk,
            watch,
            seq: 0,
            block: ANCHOR,
            logs: Vec::new(),
            asked: None,
            buffer: Vec::new(),
        };
        for source in [Source::Chain, Source::Rpc, Source::Pending] {
            stage.input(Happening::Link { node: NODE, source, is_up: true });
        }
        stage.answer(Query::LatestHead.id(), &head(ANCHOR));
        assert!(stage.engine.world.freshness().is_fresh(), "the world is fresh");
        // The first block is searched whole.
        stage.seal();
        stage
    }

    fn input(&mut self, what: Happening<'_>) {
        self.seq += 1;
        let input = Input { at: self.watch.now(), seq: self.seq, what };
        self.engine.on_input(input, &self.watch, &mut self.desk);
    }

    fn clear(&mut self) {
        self.engine.queries.clear();
        self.engine.notes.clear();
        self.desk.handed_at = None;
        self.desk.bytes = 0;
        self.desk.plan = None;
    }

    /// Feeds a frame; how long it took until a transaction was handed over, or until it was done.
    fn frame(&mut self, source: Source, text: &str) -> Duration {
        self.clear();
        // As the kernel leaves it: just written.
        let mut buffer = core::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(text.as_bytes());
        let bytes = &buffer;
        let start = Instant::now();
        self.measured(Happening::Frame { node: NODE, source, bytes, has_more: false });
        let end = self.desk.handed_at.unwrap_or_else(Instant::now);
        self.buffer = buffer;
        if self.desk.plan.is_some() {
            self.desk.refill();
        }
        end.duration_since(start)
    }

    /// What is measured, and nothing else: profiles and counts of instructions find it by its name.
    #[inline(never)]
    fn measured(&mut self, what: Happening<'_>) {
        self.input(what);
        // Its frame stands on the stack meanwhile.
        std::hint::black_box(());
    }

    /// Answers a question, unmeasured.
    pub(crate) fn answer(&mut self, id: u64, result: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        self.feed(Source::Rpc, &text);
    }

    fn feed(&mut self, source: Source, text: &str) {
        self.clear();
        let bytes = text.as_bytes();
        self.input(Happening::Frame { node: NODE, source, bytes, has_more: false });
        if self.desk.plan.is_some() {
            self.desk.refill();
        }
    }

    /// Brings the head of the next block, which is open then; how long that took.
    pub(crate) fn open(&mut self) -> Duration {
        self.block += 1;
        self.logs.clear();
        let text = notification(&head(self.block));
        let time = self.frame(Source::Chain, &text);
        let is_logs = |query: &&Query| matches!(query, Query::BlockLogs { .. });
        self.asked = self.engine.queries.as_slice().iter().find(is_logs).map(Query::id);
        assert!(self.asked.is_some(), "the block's logs were asked for");
        time
    }

    /// Brings a log of the open block: what a pair came to hold. How long that took.
    pub(crate) fn sync(&mut self, pair: &Address, reserves: [u128; 2]) -> Duration {
        let place = self.logs.len();
        let log = json!({
            "address": pair,
            "topics": [SYNC],
            "data": format!("0x{:064x}{:064x}", reserves[0], reserves[1]),
            "blockNumber": format!("{:#x}", self.block),
            "blockHash": hash(self.block),
            "transactionHash": hash(1),
            "transactionIndex": "0x0",
            "logIndex": format!("{place:#x}"),
            "removed": false,
        });
        let log = log.to_string();
        let text = notification(&log);
        self.logs.push(log);
        self.frame(Source::Chain, &text)
    }

    /// Answers with the open block's logs, which seals it; how long that took until a transaction
    /// was handed over, or until it was done. Opens the next block first if none is open.
    pub(crate) fn seal(&mut self) -> Duration {
        if self.asked.is_none() {
            self.open();
        }
        let asked = self.asked.take().unwrap_or_default();
        let logs = format!("[{}]", self.logs.join(","));
        let start = Instant::now();
        self.answer(asked, &logs);
        assert_eq!(self.engine.world.tip().number.0, self.block, "the block is sealed");
        self.desk.handed_at.unwrap_or_else(Instant::now).duration_since(start)
    }

    /// Brings a pending transaction; how long it took until it was answered, or done with.
    pub(crate) fn pending(&mut self, tx: &str) -> Duration {
        self.frame(Source::Pending, tx)
    }

    /// Brings one, unmeasured; the plan that answers it.
    pub(crate) fn answer_to(&mut self, tx: &str) -> Option<Plan> {
        self.feed(Source::Pending, tx);
        self.desk.plan.take()
    }

    /// Has the engine learn that a sender's next nonce is `next`: a swap of it is announced, and
    /// the question about it answered. Returns the question's id.
    pub(crate) fn introduce(&mut self, tx: &str, next: u64) -> u64 {
        self.feed(Source::Pending, tx);
        let is_nonce = |query: &&Query| matches!(query, Query::SenderNonce { .. });
        let asked = self.engine.queries.as_slice().iter().find(is_nonce).map(Query::id);
        assert!(asked.is_some(), "the sender's nonce was asked for");
        let asked = asked.unwrap_or_default();
        self.answer(asked, &format!("\"{next:#x}\""));
        asked
    }
}

/// What a subscription brings.
pub(crate) fn notification(item: &str) -> String {
    let head = r#"{"jsonrpc":"2.0","method":"eth_subscription","params":"#;
    format!(r#"{head}{{"subscription":"0x1","result":{item}}}}}"#)
}

/// The world of a market, at the anchor.
pub(crate) fn world(market: &Market) -> World {
    let ids = market.pools.ids();
    let ends = ids.iter().flat_map(|id| market.pools.get(*id).tokens);
    let token_count = ends.map(|token| token.index() + 1).max().unwrap_or(0);
    let mut tokens = TokenTable::new(token_count);
    for token in 0..token_count as u64 {
        assert!(tokens.insert(token_at(token), 18).is_ok(), "room");
    }
    tokens.set_bases(&BASES);
    let mut pools = PoolTable::new(ids.len(), ids.len() * 16);
    for id in ids {
        let ticks: Vec<_> = market.pools.tick_list(*id).collect();
        assert!(pools.insert_with_ticks(*market.pools.get(*id), &ticks).is_ok(), "room");
    }
    pools.index_pairs();
    let anchor = Tip {
        number: BlockNumber(ANCHOR),
        hash: hash(ANCHOR),
        timestamp: TIME,
        next_base_fee: Wei(BASE_FEE),
    };
    World::new(Universe {
        chain: ChainSpec::ethereum(CHAIN_ID, token_at(u64::from(NATIVE.0))),
        tokens,
        pools,
        factories: vec![Factory { fee_pips: 3_000, router: ROUTER, ..Factory::default() }],
        routers: vec![],
        bases: BASES.to_vec(),
        native: NATIVE,
        anchor,
    })
}

fn token_at(token: u64) -> Address {
    Address::from_word(B256::from(U256::from(0x7000_0000 + token)))
}

fn hash(name: u64) -> B256 {
    B256::from(U256::from(name))
}

/// A head as geth brings it.
fn head(block: u64) -> String {
    let (hash, parent, time) = (hash(block), hash(block - 1), TIME + (block - ANCHOR) * 12);
    let word = B256::repeat_byte(0xab);
    let head = json!({
        "parentHash": parent,
        "sha3Uncles": word,
        "miner": Address::repeat_byte(1),
        "stateRoot": word,
        "transactionsRoot": word,
        "receiptsRoot": word,
        // Whatever is looked for may be in it.
        "logsBloom": format!("0x{}", "f".repeat(512)),
        "difficulty": "0x0",
        "number": format!("{block:#x}"),
        "gasLimit": "0x1c9c380",
        "gasUsed": "0xe4e1c0",
        "timestamp": format!("{time:#x}"),
        "extraData": "0x",
        "mixHash": word,
        "nonce": "0x0000000000000000",
        "baseFeePerGas": format!("{BASE_FEE:#x}"),
        "hash": hash,
    });
    head.to_string()
}
