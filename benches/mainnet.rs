//! A recording of a made-up chain in mainnet's shape, from a seed: blocks of 400 logs, of which 150
//! are of pools, popular ones far more often than others.
//!
//! What it shares with mainnet: the mix of events and what stands in them, amounts that follow the
//! pools' exact arithmetic, a few gaps that a large trade opens and that are closed one or two
//! blocks later. What it does not: traders come back, so that prices stay where they are over any
//! length; nobody else searches.
//!
//! A snapshot of the pools stands every so many blocks, as a recorder would leave one.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256, U256, address};
use gannet_engine::amm::ticks::Range;
use gannet_engine::amm::{Pool, Swapped};
use gannet_engine::decode::head::Head;
use gannet_engine::decode::log::{Data, Log, TOPICS_MAX};
use gannet_engine::decode::topics::{
    SOLIDLY_SYNC, SWAP, SYNC, TRANSFER, V3_BURN, V3_MINT, V3_SWAP,
};
use gannet_engine::ids::{Direction, PoolId, TokenId};
use gannet_engine::world::pools::PoolTable;

use super::universe::{Chance, Market};

/// Logs of a block, and how many of them are of pools.
const LOGS: usize = 400;
const POOL_LOGS: usize = 150;
/// WETH, USDC, USDT, DAI, WBTC: the universe's hubs by their addresses on mainnet.
const HUBS: [Address; 5] = [
    address!("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"),
    address!("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
    address!("dac17f958d2ee523a2206206994597c13d831ec7"),
    address!("6b175474e89094c44da98b954eedeac495271d0f"),
    address!("2260fac5e5542a773aa44fbcfedf7c8bc193c599"),
];
/// Accounts that trade.
const ACCOUNTS: u64 = 60_000;
/// One block in so many ends with a gap.
const GAP_EVERY: u64 = 16;
/// Pools that gaps are opened in: the most popular ones.
const GAP_POOLS: usize = 1_000;
/// One event of a concentrated pool in so many is of liquidity.
const LIQUIDITY_EVERY: u64 = 20;
const FIRST_BLOCK: u64 = 20_000_000;
const FIRST_TIME: u64 = 1_720_000_000;
/// What the universe at rest does not pay for at this.
const BASE_FEE: u128 = 4_000_000_000;

/// Takes what is made.
pub(crate) trait Sink {
    /// A segment begins at this block, from these pools.
    fn begin(&mut self, number: u64, pools: &PoolTable);
    /// A block with its logs.
    fn block(&mut self, head: &Head, logs: &[Log<'_>]);
}

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) seed: u64,
    pub(crate) pools: usize,
    pub(crate) blocks: u64,
    /// Blocks from one snapshot to the next.
    pub(crate) segment: u64,
}

/// A swap that is taken back later.
#[derive(Clone, Copy, Debug)]
struct Gap {
    pool: PoolId,
    direction: Direction,
    amount: u128,
    due: u64,
}

/// A chain whose traders come back.
#[derive(Debug)]
pub(crate) struct Chain {
    pools: PoolTable,
    /// By popularity.
    ranked: Vec<PoolId>,
    /// The way back for each pool's last trader, and what it takes.
    back: Vec<Option<(Direction, u128)>>,
    /// Liquidity that was put into each pool, between its outermost ticks.
    minted: Vec<Option<Range>>,
    gaps: Vec<Gap>,
    chance: Chance,
    page: Page,
    parent: B256,
}

/// The logs of a block in the making.
#[derive(Debug, Default)]
struct Page {
    rows: Vec<Made>,
    data: Vec<u8>,
    pool_logs: usize,
    tx_hash: B256,
    tx_index: u32,
}

#[derive(Clone, Copy, Debug)]
struct Made {
    address: Address,
    topics: [B256; TOPICS_MAX],
    topic_count: u8,
    data: [usize; 2],
    tx_hash: B256,
    tx_index: u32,
}

impl Page {
    fn clear(&mut self) {
        self.rows.clear();
        self.data.clear();
        self.pool_logs = 0;
        self.tx_index = 0;
    }

    fn log(&mut self, address: Address, topics: &[B256], words: &[U256]) {
        let start = self.data.len();
        for word in words {
            self.data.extend_from_slice(&word.to_be_bytes::<32>());
        }
        let mut padded = [B256::ZERO; TOPICS_MAX];
        padded[..topics.len()].copy_from_slice(topics);
        self.rows.push(Made {
            address,
            topics: padded,
            topic_count: u8::try_from(topics.len()).unwrap_or(0),
            data: [start, self.data.len()],
            tx_hash: self.tx_hash,
            tx_index: self.tx_index,
        });
    }

    /// Whether two transfers have room beside the pools' events that are still to come.
    const fn has_room(&self) -> bool {
        self.rows.len() + 2 + POOL_LOGS.saturating_sub(self.pool_logs) <= LOGS
    }
}

impl Chain {
    /// A market at rest, and nobody has traded yet.
    pub(crate) fn new(seed: u64, pool_count: usize) -> Self {
        let market = Market::new(seed, pool_count);
        let mut pools = market.pools;
        let ids = pools.ids().to_vec();
        for id in &ids {
            let entry = pools.entry_mut(*id);
            entry.chain = entry.state;
        }
        let mut chance = Chance(seed ^ 0x6d61_696e);
        // Pools of two hubs first, then by lot.
        let lot = |id: &PoolId, chance: &mut Chance| {
            let is_of_hubs = pools.get(*id).tokens.iter().all(|token| token.index() < HUBS.len());
            (!is_of_hubs, chance.bits(), *id)
        };
        let mut ranked: Vec<_> = ids.iter().map(|id| lot(id, &mut chance)).collect();
        ranked.sort_unstable();
        Self {
            ranked: ranked.into_iter().map(|(_, _, id)| id).collect(),
            back: vec![None; ids.len()],
            minted: vec![None; ids.len()],
            gaps: Vec::new(),
            parent: B256::from(U256::from(FIRST_BLOCK - 1)),
            page: Page::default(),
            pools,
            chance,
        }
    }

    /// The pools as they are now.
    pub(crate) fn into_pools(self) -> PoolTable {
        self.pools
    }

    /// Makes blocks.
    pub(crate) fn run(&mut self, size: Size, sink: &mut impl Sink) {
        for place in 0..size.blocks {
            let number = FIRST_BLOCK + place;
            if place % size.segment.max(1) == 0 {
                sink.begin(number, &self.pools);
            }
            self.fill(number);
            let hash = self.word();
            let head = Head {
                number,
                hash,
                parent_hash: self.parent,
                timestamp: FIRST_TIME + 12 * place,
                base_fee: Some(BASE_FEE),
                gas_limit: 30_000_000,
                gas_used: 15_000_000,
                miner: self.account(),
                bloom: alloy_primitives::Bloom::repeat_byte(0xff),
            };
            self.parent = hash;
            let Page { rows, data, .. } = &self.page;
            let log = |(place, made): (u32, &Made)| Log {
                address: made.address,
                topics: made.topics,
                topic_count: made.topic_count,
                data: Data::Binary(&data[made.data[0]..made.data[1]]),
                block_number: number,
                block_hash: hash,
                tx_hash: made.tx_hash,
                tx_index: made.tx_index,
                log_index: place,
                removed: false,
            };
            let logs: Vec<Log<'_>> = (0..).zip(rows).map(log).collect();
            sink.block(&head, &logs);
        }
    }

    /// Makes a block's logs.
    fn fill(&mut self, number: u64) {
        self.page.clear();
        let due = self.gaps.extract_if(.., |gap| gap.due <= number).collect::<Vec<_>>();
        for gap in due {
            self.swap(gap.pool, gap.direction, gap.amount);
        }
        let opens = self.chance.below(GAP_EVERY) == 0;
        while self.page.pool_logs + 2 * usize::from(opens) < POOL_LOGS {
            let pool = self.popular(self.ranked.len());
            let is_last = self.page.pool_logs + 1 + 2 * usize::from(opens) == POOL_LOGS;
            let is_ranged = matches!(self.pools.get(pool).state, Pool::Concentrated(_));
            // A pair's swap has two.
            if is_last && !is_ranged || self.gaps.iter().any(|gap| gap.pool == pool) {
                continue;
            }
            if is_ranged && self.chance.below(LIQUIDITY_EVERY) == 0 && self.liquidity(pool) {
                continue;
            }
            self.trade(pool);
        }
        if opens {
            self.open_gap(number);
        }
        while self.page.rows.len() < LOGS {
            self.transaction();
            let token = self.token();
            let [from, to] = [self.account(), self.account()];
            let amount = self.chance.bits() >> 8;
            let transfer = [TRANSFER, from.into_word(), to.into_word()];
            self.page.log(token, &transfer, &[U256::from(amount)]);
        }
    }

    /// A trader comes, or comes back.
    fn trade(&mut self, pool: PoolId) {
        if let Some((direction, amount)) = self.back[pool.index()].take()
            && self.swap(pool, direction, amount).is_some()
        {
            return;
        }
        let side = self.chance.below(2);
        let direction = [Direction::ZeroForOne, Direction::OneForZero][usize::from(side == 1)];
        let fee = fee_of(&self.pools.get(pool).state);
        // A tenth of the fee and less: nobody who looks for gaps sees one.
        let share = u128::from(1 + self.chance.below(1_000)) * u128::from(fee);
        let amount = depth(&self.pools.get(pool).state, direction);
        let amount = amount / 1_000_000 * share / 40_000;
        if let Some(back) = self.swap(pool, direction, amount) {
            self.back[pool.index()] = Some((other(direction), back));
        }
    }

    /// A trade so large that others will want to take what it leaves.
    fn open_gap(&mut self, number: u64) {
        let pool = self.popular(GAP_POOLS.min(self.ranked.len()));
        let share = 100 + self.chance.below(100);
        let direction = Direction::ZeroForOne;
        let amount = depth(&self.pools.get(pool).state, direction) / 10_000 * u128::from(share);
        let due = number + 1 + self.chance.below(2);
        if self.gaps.iter().all(|gap| gap.pool != pool)
            && let Some(amount) = self.swap(pool, direction, amount)
        {
            self.gaps.push(Gap { pool, direction: other(direction), amount, due });
        }
    }

    /// Swaps, and logs it; what takes the price back to where it was, so that it stays there over
    /// any length: what came out, and the fee on top.
    fn swap(&mut self, pool: PoolId, direction: Direction, amount: u128) -> Option<u128> {
        let view = self.pools.view(pool);
        let Swapped { amount_out: out, after, .. } = view.swap_in(amount, direction)?;
        if amount == 0 || out == 0 {
            return None;
        }
        let entry = *self.pools.get(pool);
        let held = self.pools.entry_mut(pool);
        (held.state, held.chain) = (after, after);
        self.transaction();
        let trader = self.account();
        let (paid, taken) = (direction.index_in(), direction.index_out());
        if self.page.has_room() {
            let [from, to] = [trader, entry.address].map(|account| account.into_word());
            let token = token_at(entry.tokens[paid]);
            self.page.log(token, &[TRANSFER, from, to], &[U256::from(amount)]);
            let token = token_at(entry.tokens[taken]);
            self.page.log(token, &[TRANSFER, to, from], &[U256::from(out)]);
        }
        let fee_pips = u128::from(fee_of(&after));
        let mut amounts = [U256::ZERO; 4];
        let (pool, trader) = (entry.address, trader.into_word());
        match &after {
            Pool::ConstantProduct(_) | Pool::Solidly(_) => {
                let topic = if matches!(after, Pool::Solidly(_)) { SOLIDLY_SYNC } else { SYNC };
                let reserves = after.reserves().unwrap_or_default().map(U256::from);
                self.page.log(pool, &[topic], &reserves);
                amounts[paid] = U256::from(amount);
                amounts[2 + taken] = U256::from(out);
                self.page.log(pool, &[SWAP, trader, trader], &amounts);
                self.page.pool_logs += 2;
            }
            Pool::Concentrated(state) => {
                let mut words = [U256::ZERO; 5];
                words[paid] = U256::from(amount);
                words[taken] = U256::from(out).wrapping_neg();
                words[2] = state.sqrt_price();
                words[3] = U256::from(state.liquidity());
                words[4] = signed(state.tick());
                self.page.log(pool, &[V3_SWAP, trader, trader], &words);
                self.page.pool_logs += 1;
            }
        }
        let rest = 1_000_000 - fee_pips;
        // Where the product is too large, digits do not matter.
        let product = out.checked_mul(fee_pips);
        let fee = product.map_or(out / rest * fee_pips, |product| product / rest);
        Some(out + fee)
    }

    /// Somebody puts liquidity into a pool, or takes it out again. False if nobody can.
    fn liquidity(&mut self, pool: PoolId) -> bool {
        let entry = *self.pools.get(pool);
        let Pool::Concentrated(state) = entry.state else { return false };
        let ticks: Vec<_> = self.pools.tick_list(pool).collect();
        let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else { return false };
        let amount = i128::try_from(state.liquidity() / 1_000).unwrap_or(0).max(1);
        let added = Range { lower: first.index, upper: last.index, amount };
        let held = self.minted[pool.index()].take();
        let range = held.map_or(added, Range::inverse);
        let Some(after) = state.with_liquidity(range) else { return false };
        if self.pools.change_ticks(pool, range).is_err() {
            return false;
        }
        if held.is_none() {
            self.minted[pool.index()] = Some(added);
        }
        let held = self.pools.entry_mut(pool);
        (held.state, held.chain) = (after.into(), after.into());
        self.transaction();
        let owner = self.account().into_word();
        let [lower, upper] = [range.lower, range.upper].map(|tick| B256::from(signed(tick)));
        let words = [owner.into(), U256::from(range.amount.unsigned_abs()), U256::ZERO, U256::ZERO];
        // A `Mint` names its sender, too.
        let (topic, words) =
            if range.amount > 0 { (V3_MINT, &words[..]) } else { (V3_BURN, &words[1..]) };
        self.page.log(entry.address, &[topic, owner, lower, upper], words);
        self.page.pool_logs += 1;
        true
    }

    fn transaction(&mut self) {
        self.page.tx_hash = self.word();
        self.page.tx_index += 1;
    }

    /// One of the first `end` pools, the first ones far more often.
    fn popular(&mut self, end: usize) -> PoolId {
        self.ranked[early(&mut self.chance, end)]
    }

    fn account(&mut self) -> Address {
        let place = early(&mut self.chance, usize::try_from(ACCOUNTS).unwrap_or(1));
        Address::from_word(spread(1, place as u64))
    }

    fn token(&mut self) -> Address {
        token_at(self.pools.get(self.ranked[early(&mut self.chance, self.ranked.len())]).tokens[0])
    }

    fn word(&mut self) -> B256 {
        let words = [(); 4].map(|()| self.chance.bits());
        B256::from(U256::from_limbs(words))
    }
}

/// A token's address.
pub(crate) fn token_at(token: TokenId) -> Address {
    let made = || Address::from_word(spread(2, u64::from(token.0)));
    HUBS.get(token.index()).copied().unwrap_or_else(made)
}

/// Twenty bytes that look like any.
fn spread(kind: u64, place: u64) -> B256 {
    let mut chance = Chance((kind << 56) ^ place);
    B256::from(U256::from_limbs([(); 4].map(|()| chance.bits())))
}

/// A place below `end`: its logarithm is even.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a list"
)]
fn early(chance: &mut Chance, end: usize) -> usize {
    (((end + 1) as f64).powf(chance.share()) as usize).clamp(1, end) - 1
}

const fn other(direction: Direction) -> Direction {
    match direction {
        Direction::ZeroForOne => Direction::OneForZero,
        Direction::OneForZero => Direction::ZeroForOne,
    }
}

const fn fee_of(pool: &Pool) -> u32 {
    match pool {
        Pool::ConstantProduct(pool) => pool.fee_pips(),
        Pool::Concentrated(pool) => pool.fee_pips(),
        Pool::Solidly(pool) => pool.state().fee_pips,
    }
}

/// What a pool holds of the token that goes in; of a concentrated one, as if its range went on.
fn depth(pool: &Pool, direction: Direction) -> u128 {
    let Pool::Concentrated(state) = pool else {
        return pool.reserves().unwrap_or_default()[direction.index_in()];
    };
    let (liquidity, price) = (U256::from(state.liquidity()), state.sqrt_price());
    let held = match direction {
        Direction::ZeroForOne => (liquidity << 96_usize) / price.max(U256::from(1)),
        Direction::OneForZero => (liquidity * (price >> 32_usize)) >> 64_usize,
    };
    u128::try_from(held).unwrap_or(u128::MAX >> 40)
}

/// A tick as a word.
fn signed(tick: i32) -> U256 {
    let size = U256::from(tick.unsigned_abs());
    if tick < 0 { size.wrapping_neg() } else { size }
}
