//! The critical path in one process: from a frame's bytes to the signed transaction, or to the end
//! of what there is to do. Over universes of [`universe`], with some two hundred pending swaps of
//! others in the queue.
//!
//! | case | what is measured |
//! |---|---|
//! | `pending_2hop` | a pending swap of a token with two pools, until a cycle of both is signed |
//! | `pending_4hop` | one behind which the best cycle has four swaps, through pools of kinds |
//! | `pending_skip` | a pending transaction that is no swap |
//! | `sync` | a log that moves a pool of the open block; the search follows when it is sealed |
//! | `head` | a head, until the question for its logs is ready |
//!
//! Which pools a swap goes through is drawn, from those whose answer has the shape that the case
//! wants.
//!
//! Temperature: cold.

#[expect(dead_code, reason = "not all of it is wanted here")]
mod measure;
mod stage;
#[expect(dead_code, reason = "not all of it is wanted here")]
mod universe;

use std::collections::BTreeMap;
use std::process::ExitCode;

use alloy::consensus::TxEip1559;
use alloy::sol_types::SolCall;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use gannet_engine::amm::Pool;
use gannet_engine::ids::{FactoryId, PoolId};
use gannet_engine::plan::Plan;
use gannet_scripted_node::json;
use gannet_scripted_node::model::Tx;
use gannet_scripted_node::model::execution::swapExactTokensForTokensCall;
use serde_json::json;

use self::measure::{Effort, Options, Times, title};
use self::stage::{CHAIN_ID, GWEI, ROUTER, Stage, notification};
use self::universe::{Chance, Market};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a pending swap takes of a pair's depth, in hundredths.
const SHARES: [u128; 3] = [1, 3, 8];
/// Pending swaps of others that each block brings, and that wait for three.
const BYSTANDERS: usize = 48;
/// Events between two blocks.
const EVENTS_PER_BLOCK: usize = 512;
/// What a node sends along with a pending transaction's fee.
const FEES: (u128, u128) = (50 * GWEI, 2 * GWEI);

/// A pending swap, but for who sends it.
#[derive(Clone, Copy, Debug)]
struct Swap {
    path: [Address; 2],
    amount: u128,
}

impl Swap {
    fn announced(&self, sender: Address, nonce: u64) -> String {
        let call = swapExactTokensForTokensCall {
            amountIn: U256::from(self.amount),
            least: U256::ZERO,
            path: self.path.to_vec(),
            to: sender,
            deadline: U256::from(u64::MAX),
        };
        announced(sender, nonce, ROUTER, call.abi_encode().into())
    }
}

/// The announcement of a transaction, in full.
fn announced(sender: Address, nonce: u64, to: Address, input: Bytes) -> String {
    let body = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 250_000,
        max_fee_per_gas: FEES.0,
        max_priority_fee_per_gas: FEES.1,
        to: TxKind::Call(to),
        value: U256::ZERO,
        access_list: Default::default(),
        input,
    };
    notification(&json::tx(&Tx::made_up(body, sender), None).to_string())
}

/// An engine, and the swaps that are announced to it.
struct Bench {
    stage: Stage,
    /// Swaps that may open a cycle, in any order.
    swaps: Vec<Swap>,
    /// Pairs, with what they hold.
    pairs: Vec<(Address, [u128; 2])>,
    senders: u64,
    events: usize,
}

impl Bench {
    fn new(pool_count: usize) -> Self {
        let stage = Stage::new(&Market::new(7, pool_count), &["arbitrage", "backrun"]);
        let mut bench = Self { stage, swaps: Vec::new(), pairs: Vec::new(), senders: 0, events: 0 };
        let world = &bench.stage.engine.world;
        for id in world.pools.ids() {
            let entry = world.pools.get(*id);
            let Pool::ConstantProduct(pool) = entry.state else { continue };
            let tokens = entry.tokens;
            bench.pairs.push((entry.address, pool.reserves()));
            // What the router of the one factory goes through.
            let routed = world.pair_of(FactoryId(0), tokens[0], tokens[1]);
            if routed.map(|(pool, _)| pool) != Some(*id) {
                continue;
            }
            let mut path = tokens.map(|token| world.tokens.get(token).address);
            for reserve in pool.reserves() {
                bench
                    .swaps
                    .extend(SHARES.map(|share| Swap { path, amount: reserve / 100 * share }));
                path.reverse();
            }
        }
        shuffle(&mut bench.swaps);
        shuffle(&mut bench.pairs);
        bench.begin_block();
        bench
    }

    fn stranger(&mut self) -> Address {
        self.senders += 1;
        Address::left_padding_from(&(0xa0_0000_0000 + self.senders).to_be_bytes())
    }

    /// Seals a block; others' swaps wait for the next one.
    fn begin_block(&mut self) {
        self.stage.seal();
        self.events = 0;
        for _ in 0..BYSTANDERS {
            let sender = self.stranger();
            let swap = self.swaps[usize::try_from(self.senders).unwrap_or(0) % self.swaps.len()];
            // Too small to be answered, and so in nobody's way.
            let swap = Swap { amount: (swap.amount / 10_000).max(1), ..swap };
            self.stage.introduce(&swap.announced(sender, 0), 0);
        }
    }

    /// Makes the engine know the next nonce of somebody, who announces a swap then: its text, and
    /// the question by whose answer it is mined.
    fn prepare(&mut self, swap: &Swap) -> (String, u64) {
        self.events += 1;
        if self.events > EVENTS_PER_BLOCK {
            self.begin_block();
        }
        let sender = self.stranger();
        let small = Swap { amount: 1, ..*swap };
        let asked = self.stage.introduce(&small.announced(sender, 5), 6);
        (swap.announced(sender, 6), asked)
    }

    /// It is mined, so that it stands before nobody.
    fn mine(&mut self, asked: u64) {
        self.stage.answer(asked, "\"0x7\"");
    }

    /// Up to `count` swaps that are answered in the wanted way, each in a pair of its own.
    fn choose(&mut self, count: usize, is_wanted: impl Fn(&Self, &Plan) -> bool) -> Vec<Swap> {
        let mut chosen: Vec<Swap> = Vec::new();
        for place in 0..self.swaps.len() {
            let swap = self.swaps[place];
            let is_there = |other: &Swap| other.path.iter().all(|token| swap.path.contains(token));
            if chosen.len() == count || chosen.iter().any(is_there) {
                continue;
            }
            let (text, asked) = self.prepare(&swap);
            let plan = self.stage.answer_to(&text);
            self.mine(asked);
            if plan.is_some_and(|plan| is_wanted(self, &plan)) {
                chosen.push(swap);
            }
        }
        assert!(!chosen.is_empty(), "there are swaps of this shape");
        chosen
    }

    fn kinds(&self, plan: &Plan) -> usize {
        let mut kinds: Vec<_> = plan.legs().iter().map(|leg| self.kind(leg.pool)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.len()
    }

    fn kind(&self, pool: PoolId) -> u8 {
        match self.stage.engine.world.pools.get(pool).state {
            Pool::ConstantProduct(_) => 0,
            Pool::Concentrated(_) => 1,
            Pool::Solidly(_) => 2,
        }
    }

    /// Announces these, one right behind the other, again and again until it is `count` times.
    fn pending(&mut self, swaps: &[Swap], count: usize) -> Times {
        let mut times = Times::new();
        while times.len() < count as u64 {
            let prepared: Vec<_> = swaps.iter().map(|swap| self.prepare(swap)).collect();
            for (text, _) in &prepared {
                times.add(self.stage.pending(text));
                assert!(self.stage.desk.bytes > 200, "what was answered once is answered again");
            }
            prepared.iter().for_each(|(_, asked)| self.mine(*asked));
        }
        times
    }

    fn pending_2hop(&mut self, count: usize, choice: usize) -> Times {
        // The two pools are all that the pair's other token trades in.
        let is_so = |bench: &Self, plan: &Plan| {
            let pools = &bench.stage.engine.world.pools;
            let [first, second] = pools.get(plan.legs()[0].pool).tokens;
            let other = first.max(second);
            let trades = |id: &&PoolId| pools.get(**id).tokens.contains(&other);
            plan.legs().len() == 2 && pools.ids().iter().filter(trades).count() == 2
        };
        let swaps = self.choose(choice, is_so);
        self.pending(&swaps, count)
    }

    fn pending_4hop(&mut self, count: usize, choice: usize) -> Times {
        let is_mixed = |bench: &Self, plan: &Plan| plan.legs().len() == 4 && bench.kinds(plan) > 1;
        let swaps = self.choose(choice, is_mixed);
        self.pending(&swaps, count)
    }

    fn pending_skip(&mut self, count: usize) -> Times {
        // Transfers of the native token and of others, and calls of who knows what.
        let mut texts = Vec::new();
        for length in [0, 68, 68, 68, 132, 228, 356, 68] {
            let (sender, to) = (self.stranger(), self.stranger());
            texts.push(announced(sender, 3, to, vec![0x5a; length].into()));
        }
        let mut times = Times::new();
        for text in texts.iter().cycle().take(count) {
            times.add(self.stage.pending(text));
        }
        times
    }

    fn sync(&mut self, count: usize) -> Times {
        let mut times = Times::new();
        let mut pairs = self.pairs.clone().into_iter().cycle();
        while times.len() < count as u64 {
            self.stage.open();
            for (pair, [first, second]) in pairs.by_ref().take(200) {
                // So little that nothing is to be had.
                times.add(self.stage.sync(&pair, [first, second - second / 1_000_000]));
            }
            self.stage.seal();
        }
        times
    }

    fn head(&mut self, count: usize) -> Times {
        let mut times = Times::new();
        for _ in 0..count {
            times.add(self.stage.open());
            self.stage.seal();
        }
        times
    }
}

fn shuffle<T>(list: &mut [T]) {
    let mut chance = Chance(11);
    for place in (1..list.len()).rev() {
        let other = usize::try_from(chance.below(place as u64 + 1)).unwrap_or(0);
        list.swap(place, other);
    }
}

/// A case, by its name.
type Case = (&'static str, fn(&mut Bench, usize, usize) -> Times);

const CASES: [Case; 5] = [
    ("pending_2hop", Bench::pending_2hop),
    ("pending_4hop", Bench::pending_4hop),
    ("pending_skip", |bench, count, _| bench.pending_skip(count)),
    ("sync", |bench, count, _| bench.sync(count)),
    ("head", |bench, count, _| bench.head(count / 10 + 1)),
];

fn run(options: &Options) -> Result<(), String> {
    let (events, choice) = options.pick((64, 16), (2_000, 64), (20_000, 64));
    let sizes = options.pick(&[1_000][..], &[1_000, 10_000, 50_000], &[1_000, 10_000, 50_000]);
    let (mut scaling, mut cases) = (BTreeMap::new(), BTreeMap::new());
    for size in sizes {
        let mut bench = Bench::new(*size);
        println!("{}", title(&format!("{size} pools")));
        for (name, measure) in CASES.iter().filter(|(name, _)| options.wants(name)) {
            let is_scaled = *name == CASES[0].0;
            let is_main = *size == 10_000 || options.effort == Effort::Trial;
            if !is_scaled && !is_main {
                continue;
            }
            let times = measure(&mut bench, events, choice);
            println!("{}", times.line(name));
            if is_scaled {
                scaling.insert(size.to_string(), times.to_json(&["p50_ns"]));
            }
            if is_main {
                cases.insert(*name, times.to_json(&["p50_ns", "p99_ns"]));
            }
        }
    }
    options.put("pipeline", json!(cases))?;
    options.put("scaling", json!(scaling))
}

fn main() -> ExitCode {
    measure::main(run)
}
