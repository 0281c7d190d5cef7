//! From the bytes that seal a block to the signed transaction that answers it: the whole path, with
//! the deepest V2 pool of the WETH/USDC pair moved by a tenth.
//!
//! The node's reply with the block's logs goes in; decode, the world, the search over the universe
//! of [`universe`], risk, calldata and signature follow; what is measured ends where the outbox is
//! handed the raw transaction. Sockets are not in it. Each engine answers as many blocks as it has
//! wallets, for every answer keeps one busy.
//!
//! Temperature: cold.

#[expect(dead_code, reason = "nobody trades here")]
mod universe;

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gannet_engine::amm::Pool;
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::topics::SYNC;
use gannet_engine::flight::Flight;
use gannet_engine::guard::GuardLimits;
use gannet_engine::ids::NodeId;
use gannet_engine::input::{Happening, Input, Source};
use gannet_engine::limits::WALLETS_MAX;
use gannet_engine::outbox::{Clock, Outbox, Settles, SignedTx, Stamps, Unsent};
use gannet_engine::pipeline::Engine;
use gannet_engine::query::Query;
use gannet_engine::risk::{Funding, Limits, Risk};
use gannet_engine::sign::{Signer, WalletKey};
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::{BlockNumber, Nanos, Wei};
use gannet_engine::wallet::WalletState;
use gannet_engine::world::pools::PoolTable;
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, Tip, Universe, World};
use gannet_strategies::Standard;

use universe::{BASES, Market, NATIVE};

const GWEI: u128 = 1_000_000_000;
const ETHER: u128 = GWEI * GWEI;
/// At this, what the universe at rest holds does not pay for its gas.
const BASE_FEE: u128 = 4 * GWEI;
const ANCHOR: u64 = 100;
const TIME: u64 = 1_800_000_000;
const NODE: NodeId = NodeId(0);

/// Takes note of when it is handed a transaction.
#[derive(Debug, Default)]
struct Desk {
    handed_at: Option<Instant>,
    bytes: usize,
}

impl Outbox for Desk {
    const SETTLES: Settles = Settles::ByReceipt;

    fn submit(&mut self, tx: &SignedTx<'_>, _: &Flight, _: &Stamps) -> Result<(), Unsent> {
        self.handed_at.get_or_insert_with(Instant::now);
        self.bytes = tx.raw.len();
        Ok(())
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

/// An engine over a universe, and its node.
struct Stage {
    engine: Engine<Standard>,
    desk: Desk,
    seq: u64,
    block: u64,
    /// The pool that moves, and what it holds at rest.
    address: Address,
    reserves: [u128; 2],
}

impl Stage {
    fn new(market: &Market) -> Self {
        let keys = (1..=WALLETS_MAX).filter_map(|number| u8::try_from(number).ok());
        let keys: Vec<_> = keys.filter_map(|number| WalletKey::new(&[number; 32]).ok()).collect();
        let wallet = |key: &WalletKey| WalletState::new(key.address(), 7, 7, Wei(10 * ETHER));
        let limits = Limits {
            min_profit: Wei(GWEI),
            gas_price_max: Wei(10_000 * GWEI),
            notional_max: Wei(1_000 * ETHER),
            funding: Funding::Flash,
        };
        let risk = Risk::new(limits, GuardLimits::NONE, keys.iter().map(wallet).collect());
        let signer = Signer::new(keys, Address::repeat_byte(0xee));
        let mut set = Standard::default();
        let config = toml::Deserializer::parse("hops_max = 4");
        let enabled = config.ok().and_then(|config| set.enable("arbitrage", config));
        assert!(enabled.is_some_and(|done| done.is_ok()), "the strategy is on");
        let world = world(market);
        let pairs = market.sketch.pools_of(BASES[0], BASES[1]);
        let moved = pairs.iter().filter_map(|id| match market.pools.get(*id).state {
            Pool::ConstantProduct(pool) => Some((market.pools.get(*id).address, pool.reserves())),
            Pool::Concentrated(_) | Pool::Solidly(_) => None,
        });
        // The deepest one.
        let deepest = moved.max_by_key(|(_, reserves)| reserves[0]);
        let (address, reserves) = deepest.unwrap_or_default();
        let engine = Engine::new(world, set, risk, signer, u64::MAX / 2);
        let Ok(engine) = engine else { unreachable!("there are cycles") };
        let desk = Desk::default();
        let mut stage = Self { engine, desk, seq: 0, block: ANCHOR, address, reserves };
        stage.raise();
        stage
    }

    fn raise(&mut self) {
        for source in [Source::Chain, Source::Rpc] {
            self.input(Happening::Link { node: NODE, source, is_up: true });
        }
        let head = head(ANCHOR);
        self.answer(Query::LatestHead.id(), &head);
        assert!(self.engine.world.freshness().is_fresh(), "the world is fresh");
        // The first block is searched whole.
        self.seal(self.reserves);
        self.desk.handed_at = None;
    }

    fn input(&mut self, what: Happening<'_>) {
        self.seq += 1;
        let input = Input { at: Nanos(self.seq), seq: self.seq, what };
        self.engine.on_input(input, &Still, &mut self.desk);
    }

    fn answer(&mut self, id: u64, result: &str) -> Duration {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        self.engine.queries.clear();
        let frame = Happening::Frame {
            node: NODE,
            source: Source::Rpc,
            bytes: text.as_bytes(),
            has_more: false,
        };
        let start = Instant::now();
        self.input(frame);
        let end = self.desk.handed_at.take().unwrap_or_else(Instant::now);
        end.duration_since(start)
    }

    /// Seals a block in which the pool came to hold this; how long that took.
    fn seal(&mut self, reserves: [u128; 2]) -> Duration {
        self.engine.queries.clear();
        self.engine.notes.clear();
        self.block += 1;
        let head = format!(
            r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"0x1",
            "result":{}}}}}"#,
            head(self.block)
        );
        let frame = Happening::Frame {
            node: NODE,
            source: Source::Chain,
            bytes: head.as_bytes(),
            has_more: false,
        };
        self.input(frame);
        let is_logs = |query: &&Query| matches!(query, Query::BlockLogs { .. });
        let asked = self.engine.queries.as_slice().iter().find(is_logs).map(Query::id);
        assert!(asked.is_some(), "the block's logs were asked for");
        let log = format!(
            r#"[{{"address":"{:#x}","topics":["{SYNC}"],"data":"0x{:064x}{:064x}",
            "blockNumber":"{:#x}","blockHash":"{}","transactionHash":"{}",
            "transactionIndex":"0x0","logIndex":"0x0","removed":false}}]"#,
            self.address,
            reserves[0],
            reserves[1],
            self.block,
            hash(self.block),
            hash(1)
        );
        let time = self.answer(asked.unwrap_or_default(), &log);
        assert_eq!(self.engine.world.tip().number.0, self.block, "the block is sealed");
        time
    }

    /// A block that opens a gap, and how long the answer took; `None` if there was none.
    fn turn(&mut self) -> Option<Duration> {
        let before = self.engine.flights.count();
        let share = u128::from(self.block % 10);
        let [first, second] = self.reserves;
        let time = self.seal([first, second + second * (100 + share) / 1_000]);
        let is_answered = self.engine.flights.count() > before;
        assert!(!is_answered || self.desk.bytes > 200, "a whole transaction");
        is_answered.then_some(time)
    }
}

/// The world of a market, at the anchor.
fn world(market: &Market) -> World {
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
        chain: ChainSpec::ethereum(31_337, token_at(u64::from(NATIVE.0))),
        tokens,
        pools,
        factories: vec![Factory { fee_pips: 3_000, ..Factory::default() }],
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

fn head(block: u64) -> String {
    let (hash, parent, time) = (hash(block), hash(block - 1), TIME + (block - ANCHOR) * 12);
    format!(
        r#"{{"number":"{block:#x}","hash":"{hash}","parentHash":"{parent}","timestamp":"{time:#x}",
        "gasLimit":"0x1c9c380","gasUsed":"0xe4e1c0","baseFeePerGas":"{BASE_FEE:#x}",
        "miner":"0x0101010101010101010101010101010101010101"}}"#
    )
}

fn plans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply to signed transaction");
    group.sample_size(10);
    for size in universe::sizes() {
        let mut market = None;
        group.bench_function(BenchmarkId::new("WETH/USDC", size), |bencher| {
            let market = &*market.get_or_insert_with(|| Market::new(7, size));
            bencher.iter_custom(|count| {
                let mut times: Vec<Duration> = Vec::new();
                while (times.len() as u64) < count {
                    let mut stage = Stage::new(market);
                    let answers = times.len();
                    while let Some(time) = stage.turn() {
                        times.push(time);
                    }
                    let rejects = stage.engine.books.rejects;
                    assert!(times.len() > answers, "a gap is answered: {rejects:?}");
                }
                times.truncate(usize::try_from(count).unwrap_or(0));
                times.iter().sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, plans);
criterion_main!(benches);
