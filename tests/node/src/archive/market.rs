//! The pools of an archive, drawn from a seed: a few tokens that everybody trades, and a long tail
//! of which each has a pool or two.
//!
//! Temperature: cold.

use alloy::sol;
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde_json::{Value, json};

use crate::json::hex;
use crate::lens::Concentrated;

sol! {
    event PairCreated(address indexed token0, address indexed token1, address pair, uint256 count);
    event PoolCreated(
        address indexed token0, address indexed token1, uint24 indexed fee, int24 tickSpacing,
        address pool
    );
    event Sync(uint112 reserve0, uint112 reserve1);
    event Swap(
        address indexed sender, address indexed to, int256 amount0, int256 amount1,
        uint160 sqrtPriceX96, uint128 liquidity, int24 tick
    );
    event Mint(
        address sender, address indexed owner, int24 indexed tickLower, int24 indexed tickUpper,
        uint128 amount, uint256 amount0, uint256 amount1
    );
    function allPairsLength();
    function decimals();
    function balanceOf(address account);
}

mod solidly {
    alloy::sol! {
        event PoolCreated(
            address indexed token0, address indexed token1, bool indexed stable, address pool,
            uint256 count
        );
        event Sync(uint256 reserve0, uint256 reserve1);
    }
}

/// Tokens that everybody trades: WETH, USDC and these many more.
const MAJORS: usize = 40;
/// Distances of ticks, and the fees that go with them in millionths.
const SPACINGS: [(i32, u32); 3] = [(10, 500), (60, 3_000), (200, 10_000)];

/// What is added far from a pool's price.
const FAR_LIQUIDITY: i128 = 1_000_000_000_000_000;

/// Two ticks far above a price that is even.
const fn far(spacing: i32) -> [i32; 2] {
    [1_000 * spacing, 1_001 * spacing]
}

/// How large a history is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the draws start from.
    pub seed: u64,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Its blocks.
    pub blocks: u64,
    /// V2 pairs, of two factories.
    pub pairs: usize,
    /// V3 pools.
    pub concentrated: usize,
    /// Ticks that are set in each of them.
    pub ticks: usize,
    /// Solidly pools.
    pub solidly: usize,
}

/// What a pool is at the moment.
#[derive(Clone, Debug)]
pub enum State {
    /// A V2 pair's reserves.
    Pair([u128; 2]),
    /// A V3 pool.
    Concentrated(Concentrated),
    /// A Solidly pool's reserves, its fee in 1/10,000, and whether it is a stable one.
    Solidly {
        /// In the tokens' smallest units.
        reserves: [u128; 2],
        /// In 1/10,000.
        fee: u16,
        /// Whether its tokens are of about one value.
        is_stable: bool,
    },
}

/// A pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its address.
    pub address: Address,
    /// Its tokens, in order.
    pub tokens: [Address; 2],
    /// Place of its factory.
    factory: usize,
    /// The block that it was made in.
    block: u64,
    /// What it is.
    pub state: State,
}

/// A log as its contract writes it.
pub(super) struct Log {
    pub(super) address: Address,
    pub(super) topics: Vec<B256>,
    data: Bytes,
}

impl Log {
    fn of(address: Address, event: &impl SolEvent) -> Self {
        let data = event.encode_log_data();
        Self { address, topics: data.topics().to_vec(), data: data.data }
    }

    pub(super) fn to_json(&self, block: u64, hash: B256, index: usize) -> Value {
        json!({
            "address": self.address, "topics": self.topics, "data": self.data,
            "blockNumber": hex(block), "blockHash": hash, "transactionHash": hash,
            "transactionIndex": "0x0", "logIndex": hex(index as u128), "removed": false,
        })
    }
}

/// All pools, in the order in which they were made.
#[derive(Debug)]
pub struct Market {
    /// The pools.
    pub pools: Vec<Pool>,
    factories: [Address; 4],
    weth: Address,
    usdc: Address,
}

/// Draws numbers, the same ones from the same seed (splitmix).
struct Chance(u64);

impl Chance {
    const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }
}

fn address(kind: &str, number: u64) -> Address {
    let hash = keccak256([kind.as_bytes(), &number.to_be_bytes()].concat());
    Address::from_word(hash)
}

impl Market {
    /// Draws the pools of a plan.
    pub(super) fn draw(plan: &Plan) -> Self {
        let mut chance = Chance(plan.seed);
        let factories = [0, 1, 2, 3].map(|place| address("factory", place));
        let (weth, usdc) = (address("major", 0), address("major", 1));
        let mut pools = Vec::new();
        let counts = [plan.pairs / 2, plan.pairs - plan.pairs / 2, plan.concentrated, plan.solidly];
        for (factory, count) in counts.into_iter().enumerate() {
            for place in 0..count {
                let number = ((factory as u64) << 32) | place as u64;
                let tokens = tokens_of(&mut chance, factory, number);
                let state = match factory {
                    0 | 1 => State::Pair(reserves(&mut chance)),
                    2 => State::Concentrated(concentrated(&mut chance, plan.ticks)),
                    _ => State::Solidly {
                        reserves: reserves(&mut chance),
                        fee: 5,
                        is_stable: chance.below(2) == 0,
                    },
                };
                // Half of them were made in the newest tenth of the blocks: a crowded stretch.
                let early = plan.blocks * 9 / 10;
                let block = match chance.below(2) {
                    0 => 1 + chance.below(early.max(1)),
                    _ => early + 1 + chance.below((plan.blocks - early).max(1)),
                };
                let block = block.min(plan.blocks);
                pools.push(Pool {
                    address: address("pool", number),
                    tokens,
                    factory,
                    block,
                    state,
                });
            }
        }
        pools.sort_by_key(|pool| pool.block);
        Self { pools, factories, weth, usdc }
    }

    /// Adds a pair of the first factory; a block that never comes is not announced.
    pub(super) fn make_pair(&mut self, block: u64) -> Address {
        let number = self.pools.len() as u64;
        let (first, second) = (self.weth, address("new", number));
        let tokens = if first < second { [first, second] } else { [second, first] };
        let state = State::Pair(reserves(&mut Chance(number)));
        let address = address("new pool", number);
        self.pools.push(Pool { address, tokens, factory: 0, block, state });
        address
    }

    /// The pools that were made in these blocks, both ends included.
    pub(super) fn created_between(&self, from: u64, to: u64) -> impl Iterator<Item = (&Pool, u64)> {
        let first = self.pools.partition_point(|pool| pool.block < from);
        self.pools[first..].iter().take_while(move |pool| pool.block <= to).map(|p| (p, p.block))
    }

    /// A token's decimals; contracts that are no tokens have none.
    pub(super) fn decimals(&self, token: &Address) -> Option<u8> {
        let is_contract = self.factories.contains(token);
        (!is_contract).then(|| if *token == self.usdc { 6 } else { 18 })
    }

    /// A factory's pair by its place, with its tokens.
    pub(super) fn listed(&self, factory: &Address, place: usize) -> Option<[Address; 3]> {
        let factory = self.factories.iter().position(|held| held == factory)?;
        let pool = self.pools.iter().filter(|pool| pool.factory == factory).nth(place)?;
        Some([pool.address, pool.tokens[0], pool.tokens[1]])
    }

    /// The answer of a view call.
    pub(super) fn view(&self, to: &Address, data: &[u8]) -> Option<Bytes> {
        let is = |selector: [u8; 4]| data.starts_with(&selector);
        let number = if is(allPairsLengthCall::SELECTOR) {
            let factory = self.factories.iter().position(|held| held == to)?;
            U256::from(self.pools.iter().filter(|pool| pool.factory == factory).count())
        } else if is(decimalsCall::SELECTOR) {
            U256::from(self.decimals(to)?)
        } else if is(balanceOfCall::SELECTOR) {
            U256::ZERO
        } else {
            return None;
        };
        Some(number.abi_encode().into())
    }

    /// The configuration of a bot that starts from this market.
    pub(super) fn config(&self, plan: &Plan, url: &str) -> String {
        let kinds = ["uniswap-v2", "uniswap-v2", "uniswap-v3", "solidly"];
        let factories: String = self
            .factories
            .iter()
            .zip(kinds)
            .enumerate()
            .map(|(place, (address, kind))| {
                let router = self::address("router", place as u64);
                let fee = match kind {
                    "uniswap-v2" => format!("fee_pips = 3000\nrouter = \"{router}\"\n"),
                    _ => String::new(),
                };
                format!(
                    "[[factory]]\nname = \"factory {place}\"\nkind = \"{kind}\"\n\
                     address = \"{address}\"\n{fee}"
                )
            })
            .collect();
        let Plan { chain_id, pairs, concentrated, solidly, .. } = plan;
        let pools_max = pairs + concentrated + solidly;
        format!(
            "mode = \"dry-run\"\n[chain]\nid = {chain_id}\nwrapped_native = \"{}\"\n\
             block_time_ms = 12000\n[node]\nurl = \"{url}\"\nsilent_after_ms = 3600000\n\
             [[wallet]]\naddress = \"{}\"\n{factories}[universe]\n\
             base_tokens = [\"{}\", \"{}\"]\npools_max = {pools_max}\n\
             [strategy.arbitrage]\nhops_max = 3\n[strategy.backrun]\nhops_max = 3\n\
             [runtime]\npin = false\ndrain_s = 0\n",
            self.weth,
            address("wallet", 0),
            self.weth,
            self.usdc,
        )
    }
}

/// Two tokens in order: mostly a base token and one of its own, sometimes two that all trade.
fn tokens_of(chance: &mut Chance, factory: usize, number: u64) -> [Address; 2] {
    let major = |chance: &mut Chance| address("major", chance.below(MAJORS as u64 + 2));
    let own = address("own", if factory == 1 { number & 0xffff_ffff } else { number });
    let (first, second) = match chance.below(10) {
        0..=6 => (address("major", 0), own),
        7 => (address("major", 1), own),
        8 => (major(chance), own),
        _ => {
            let first = chance.below(MAJORS as u64 + 2);
            let other = (first + 1 + chance.below(MAJORS as u64 + 1)) % (MAJORS as u64 + 2);
            (address("major", first), address("major", other))
        }
    };
    if first < second { [first, second] } else { [second, first] }
}

fn reserves(chance: &mut Chance) -> [u128; 2] {
    let unit = 10_u128.pow(18);
    [0, 1].map(|_| unit / 10 + u128::from(chance.draw()) * u128::from(1 + chance.below(1_000)))
}

/// A pool at an even price, with its liquidity in nested ranges around it.
fn concentrated(chance: &mut Chance, ticks: usize) -> Concentrated {
    let (spacing, fee_pips) = SPACINGS[usize::try_from(chance.below(3)).unwrap_or(0)];
    let mut list = Vec::new();
    let mut liquidity = 0;
    for range in 0..ticks / 2 {
        let amount = 10_u128.pow(18) + u128::from(chance.below(1 << 60));
        let width = spacing * i32::try_from(1 + range * 3 + ticks).unwrap_or(1);
        list.push((-width, amount, amount.cast_signed()));
        list.push((width, amount, -amount.cast_signed()));
        liquidity += amount;
    }
    list.sort_unstable();
    Concentrated {
        sqrt_price: U256::from(1) << 96,
        tick: 0,
        liquidity,
        fee_pips,
        spacing,
        held: [liquidity / 8; 2],
        ticks: list,
    }
}

impl Pool {
    /// Somebody trades a little in it.
    pub(super) fn trade(&mut self) {
        match &mut self.state {
            State::Pair(reserves) | State::Solidly { reserves, .. } => {
                reserves[0] += reserves[0] / 1_000;
                reserves[1] -= reserves[1] / 1_001;
            }
            State::Concentrated(pool) => {
                // Within the first tick: its liquidity stays.
                pool.sqrt_price += U256::from(1) << 80;
            }
        }
    }

    /// Somebody adds liquidity far from the price of a V3 pool; false if it is none.
    pub(super) fn mint_far(&mut self) -> bool {
        let State::Concentrated(pool) = &mut self.state else { return false };
        let [lower, upper] = far(pool.spacing);
        for (index, net) in [(lower, FAR_LIQUIDITY), (upper, -FAR_LIQUIDITY)] {
            match pool.ticks.iter_mut().find(|tick| tick.0 == index) {
                Some((_, gross, held)) => {
                    *gross += FAR_LIQUIDITY.unsigned_abs();
                    *held += net;
                }
                None => pool.ticks.push((index, FAR_LIQUIDITY.unsigned_abs(), net)),
            }
        }
        pool.ticks.sort_unstable();
        true
    }

    /// The log of what was added last.
    pub(super) fn minted(&self) -> Log {
        let spacing = match &self.state {
            State::Concentrated(pool) => pool.spacing,
            State::Pair(_) | State::Solidly { .. } => 1,
        };
        let [lower, upper] = far(spacing).map(|tick| tick.try_into().unwrap_or_default());
        let event = Mint {
            sender: self.address,
            owner: self.address,
            tickLower: lower,
            tickUpper: upper,
            amount: FAR_LIQUIDITY.unsigned_abs(),
            amount0: U256::from(1),
            amount1: U256::ZERO,
        };
        Log::of(self.address, &event)
    }

    /// The log by which its factory announced it.
    pub(super) fn created(&self, market: &Market) -> Log {
        let [token0, token1] = self.tokens;
        let factory = market.factories[self.factory];
        match &self.state {
            State::Pair(_) => {
                let pair = self.address;
                Log::of(factory, &PairCreated { token0, token1, pair, count: U256::from(1) })
            }
            State::Concentrated(pool) => {
                let fee = pool.fee_pips.try_into().unwrap_or_default();
                let tick_spacing = pool.spacing.try_into().unwrap_or_default();
                let pool = self.address;
                let event = PoolCreated { token0, token1, fee, tickSpacing: tick_spacing, pool };
                Log::of(factory, &event)
            }
            State::Solidly { is_stable, .. } => {
                let (stable, pool, count) = (*is_stable, self.address, U256::from(1));
                Log::of(factory, &solidly::PoolCreated { token0, token1, stable, pool, count })
            }
        }
    }

    /// The log of what was traded last.
    pub(super) fn moved(&self) -> Log {
        match &self.state {
            State::Pair([first, second]) => {
                let narrow = |amount: &u128| U256::from(*amount).to();
                let (reserve0, reserve1) = (narrow(first), narrow(second));
                Log::of(self.address, &Sync { reserve0, reserve1 })
            }
            State::Solidly { reserves, .. } => {
                let [reserve0, reserve1] = reserves.map(U256::from);
                Log::of(self.address, &solidly::Sync { reserve0, reserve1 })
            }
            State::Concentrated(pool) => {
                let event = Swap {
                    sender: self.address,
                    to: self.address,
                    amount0: alloy_primitives::I256::MINUS_ONE,
                    amount1: alloy_primitives::I256::ONE,
                    sqrtPriceX96: pool.sqrt_price.to(),
                    liquidity: pool.liquidity,
                    tick: pool.tick.try_into().unwrap_or_default(),
                };
                Log::of(self.address, &event)
            }
        }
    }
}
