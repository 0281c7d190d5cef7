//! What they share with mainnet, and what a search feels: nearly every token trades against WETH,
//! fewer against a dollar, few against anything else; most pairs have one pool, popular ones up to
//! a dozen, of all kinds and fees; pools of one pair agree within their fees; and there is dust,
//! shallow pools far off the market which nobody corrects because it does not pay the gas. What
//! would pay, [`Market::settle`] takes, as arbitrageurs do: a market is at rest before it is used,
//! and after each trade.
//!
//! What they do not share: positions of concentrated pools are three or four, prices are steady but
//! for the trades, and traders know nothing.
//!
//! Shared by the benchmarks and the tests.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use gannet_engine::amm::tick_math::{sqrt_price_at, tick_at};
use gannet_engine::amm::ticks::TickArena;
use gannet_engine::amm::{
    Concentrated, ConcentratedState, ConstantProduct, Pool, Solidly, SolidlyState, Tick,
};
use gannet_engine::ids::{Direction, FactoryId, PoolId, TokenId};
use gannet_engine::search::cycles::Graph;
use gannet_engine::search::{Found, SearchLimits, Searcher};
use gannet_engine::units::Wei;
use gannet_engine::world::pools::{PoolEntry, PoolTable};

/// The tokens that others trade against: decimals, and what one is worth in WETH.
const HUBS: [(u8, f64); 5] =
    [(18, 1.0), (6, 1.0 / 2_500.0), (6, 1.0 / 2_500.0), (18, 1.0 / 2_500.0), (8, 16.0)];
/// WETH, USDC, USDT, DAI: what profit is kept in.
pub(crate) const BASES: [TokenId; 4] = [TokenId(0), TokenId(1), TokenId(2), TokenId(3)];
/// WETH.
pub(crate) const NATIVE: TokenId = BASES[0];
/// What a cycle must be worth, in wei: less does not pay the gas of two swaps at 2 gwei.
pub(crate) const WORTH_LEAST: Wei = Wei(300_000_000_000_000);
/// Tokens that are popular enough to be traded against by others, hubs included.
const POPULAR: usize = 300;
/// Pools in a thousand that are dust.
const DUST_PER_MILLE: u64 = 30;
/// Most pools of one pair: of two hubs, and of others.
const PAIR_POOLS_MAX: [u32; 2] = [24, 12];
/// What correcting a pool of dust gains at most, in WETH: less than the gas of two swaps.
const DUST_GAIN_MAX: f64 = 0.0002;

/// How many pools the universes of the benchmarks have: the least of them where each benchmark is
/// run once, as a test.
pub(crate) fn sizes() -> impl Iterator<Item = usize> {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    [1_000, 10_000, 50_000].into_iter().take(if is_measured { 3 } else { 1 })
}

/// A made-up universe.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// Decimals, and what one token is worth in WETH.
    tokens: Vec<(u8, f64)>,
    pools: Vec<PoolSketch>,
    pair_counts: BTreeMap<[usize; 2], u32>,
    chance: Chance,
}

/// What a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ConstantProduct,
    Concentrated,
    Volatile,
    Stable,
}

/// A pool before it is built.
#[derive(Clone, Copy, Debug)]
struct PoolSketch {
    tokens: [usize; 2],
    kind: Kind,
    fee_pips: u32,
    /// The worth of one side, in WETH.
    depth: f64,
    /// How far it is off the market: the logarithm of its price in parts of the market's.
    skew: f64,
}

/// Numbers from a seed (the `SplitMix64` generator).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// The next 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        ((self.bits() as u128 * end as u128) >> 64) as u64
    }

    /// A place below `end`.
    fn place(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`.
    fn between(&mut self, low: i32, high: i32) -> i32 {
        low + i32::try_from(self.below(u64::from(high.abs_diff(low)) + 1)).unwrap_or(0)
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal: mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }

    /// A place below `end`, the first ones far more often.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    fn early(&mut self, end: usize) -> usize {
        // The logarithm of the place is even: half of all draws are below the root of `end`.
        ((end as f64).powf(self.share()) as usize).min(end) - 1
    }
}

impl Sketch {
    /// A universe of `pool_count` pools, over half as many tokens.
    #[must_use]
    pub(crate) fn new(seed: u64, pool_count: usize) -> Self {
        let mut chance = Chance(seed);
        let token_count = (pool_count / 2).max(HUBS.len() + 1);
        let mut tokens: Vec<_> = HUBS.into();
        while tokens.len() < token_count {
            let decimals = [18, 18, 18, 18, 18, 18, 18, 9, 8, 6][chance.early(10)];
            // So that every reserve has units enough to be at its price, and fits.
            tokens.push((decimals, (chance.normal() * 3.0 - 9.0).exp().clamp(1e-9, 0.05)));
        }
        let mut sketch = Self { tokens, pools: Vec::new(), pair_counts: BTreeMap::new(), chance };
        while sketch.pools.len() < pool_count {
            // Every token has a pool; what is left goes to popular ones.
            let place = sketch.pools.len();
            let pair = if place < token_count - HUBS.len() {
                [place + HUBS.len(), sketch.partner()]
            } else {
                sketch.second_pair()
            };
            let pair = if pair[0] == pair[1] { [pair[0], usize::from(pair[0] == 0)] } else { pair };
            let is_of_hubs = pair.iter().all(|token| *token < HUBS.len());
            let count = sketch.pair_counts.entry([pair[0].min(pair[1]), pair[0].max(pair[1])]);
            let count = count.or_default();
            if *count < PAIR_POOLS_MAX[usize::from(!is_of_hubs)] {
                *count += 1;
                let pool = sketch.pool(pair);
                sketch.pools.push(pool);
            }
        }
        sketch
    }

    /// What a token's first pool is against.
    fn partner(&mut self) -> usize {
        match self.chance.below(1_000) {
            0..880 => 0,
            880..930 => 1,
            930..965 => 2,
            965..980 => 3,
            980..985 => 4,
            _ => self.chance.early(POPULAR.min(self.tokens.len())),
        }
    }

    /// The pair of one more pool.
    fn second_pair(&mut self) -> [usize; 2] {
        let token = HUBS.len() + self.chance.early(self.tokens.len() - HUBS.len());
        let any = HUBS.len() + self.chance.place(self.tokens.len() - HUBS.len());
        match self.chance.below(100) {
            // Hubs among themselves, at all fees and factories.
            0..2 => [self.chance.early(HUBS.len()), self.chance.early(HUBS.len())],
            // Another factory or fee for a pair that there is.
            2..30 => {
                let earlier = self.chance.place(self.pools.len());
                self.pools[earlier].tokens
            }
            30..50 => [any, self.partner()],
            50..60 => [token, 0],
            60..76 => [token, 1],
            76..88 => [token, 2],
            88..92 => [token, 3],
            92..94 => [token, 4],
            94..98 => [token, self.chance.early(POPULAR.min(self.tokens.len()))],
            _ => [token, any],
        }
    }

    fn pool(&mut self, tokens: [usize; 2]) -> PoolSketch {
        let hub_count = tokens.iter().filter(|token| **token < HUBS.len()).count();
        let chance = &mut self.chance;
        let is_of_dollars = tokens.iter().all(|token| (1..4).contains(token));
        // Hubs trade in concentrated pools, most others where they were first listed.
        let kind = match (chance.below(100), hub_count == 2) {
            (0..10, true) if is_of_dollars => Kind::Stable,
            (0..5, true) | (0..3, false) => Kind::Volatile,
            (5..65, true) | (3..25, false) => Kind::Concentrated,
            _ => Kind::ConstantProduct,
        };
        let fees = if is_of_dollars { [100, 100, 500, 3_000] } else { [3_000, 3_000, 10_000, 500] };
        let fee_pips = fees[chance.early(4)];
        let is_dust = hub_count < 2 && chance.below(1_000) < DUST_PER_MILLE;
        let fee = f64::from(fee_pips) / 1e6;
        let (depth, skew) = if is_dust {
            // What correcting it gains, about a quarter of the skew's square, is below the gas.
            let skew = chance.normal().clamp(-3.0, 3.0) * 0.3;
            let gain = DUST_GAIN_MAX * chance.share();
            ((4.0 * gain / (skew * skew)).clamp(5e-4, 0.1), skew)
        } else {
            let scale = if hub_count == 2 { 6.0 } else { 1.0 };
            // Arbitrageurs leave it anywhere within its fee, nearly.
            ((chance.normal() * 2.0 + scale).exp().max(5e-4), (chance.share() - 0.5) * 0.9 * fee)
        };
        PoolSketch { tokens, kind, fee_pips, depth, skew }
    }

    /// The pools in their first state, by handle.
    #[must_use]
    pub(crate) fn table(&mut self) -> PoolTable {
        let built: Vec<_> = (0..self.pools.len()).map(|place| self.build(place)).collect();
        // Trades change no positions.
        let room = built.iter().map(|(_, ticks)| TickArena::room_for(ticks.len())).sum();
        let mut table = PoolTable::new(self.pools.len(), room);
        for ((place, pool), (state, ticks)) in (1_u64..).zip(&self.pools).zip(built) {
            let mut address = [0; 20];
            address[..8].copy_from_slice(&place.to_be_bytes());
            let entry =
                PoolEntry::new(address.into(), FactoryId(0), pool.tokens.map(token_id), state);
            assert!(table.insert_with_ticks(entry, &ticks).is_ok(), "addresses and tokens differ");
        }
        table.index_pairs();
        table
    }

    /// What one side of a pool holds in its token's units, for this worth in WETH.
    fn units(&self, pool: &PoolSketch, side: usize, worth: f64) -> f64 {
        let (decimals, value) = self.tokens[pool.tokens[side]];
        worth / value * 10_f64.powi(decimals.into())
    }

    /// A pool at its price, and its ticks.
    fn build(&mut self, place: usize) -> (Pool, Vec<Tick>) {
        let pool = self.pools[place];
        let PoolSketch { fee_pips, depth, skew, .. } = pool;
        let reserves = [-0.5, 0.5].map(|half| depth * (half * skew).exp());
        let reserves = [0, 1].map(|side| whole(self.units(&pool, side, reserves[side])).max(1));
        let decimals = pool.tokens.map(|token| self.tokens[token].0);
        let solidly = |is_stable| {
            let state = SolidlyState { reserves, decimals, fee_pips, is_stable };
            fits(Solidly::new(&state)).into()
        };
        let state = match pool.kind {
            Kind::ConstantProduct => fits(ConstantProduct::new(reserves, fee_pips)).into(),
            Kind::Volatile => solidly(false),
            Kind::Stable => solidly(true),
            Kind::Concentrated => return self.concentrated(&pool),
        };
        (state, Vec::new())
    }

    /// A concentrated pool: a thin position over nearly all prices, and thicker ones around its
    /// own.
    fn concentrated(&mut self, pool: &PoolSketch) -> (Pool, Vec<Tick>) {
        let [zero, one] = [0, 1].map(|side| self.units(pool, side, pool.depth));
        let ratio = (one / zero * pool.skew.exp()).sqrt();
        let sqrt_price = q96(ratio);
        let tick = fits(tick_at(sqrt_price));
        let tick_spacing = match pool.fee_pips {
            100 => 1,
            500 => 10,
            3_000 => 60,
            _ => 200,
        };
        let whole_depth = zero * ratio;
        let mut nets: BTreeMap<i32, (i128, u128)> = BTreeMap::new();
        let mut liquidity = 0;
        for (width, share) in [(100_000, 0.2), (8_000, 1.0), (2_000, 3.0), (600, 5.0)] {
            let amount = whole(whole_depth * share).max(1);
            let centre = tick + self.chance.between(-width / 2, width / 2);
            let snap = |tick: i32| tick.clamp(-887_000, 887_000).div_euclid(tick_spacing);
            let lower = snap(centre - width) * tick_spacing;
            let upper = (snap(centre + width) + 1) * tick_spacing;
            let signed = fits(i128::try_from(amount).ok());
            for (at, net) in [(lower, signed), (upper, -signed)] {
                let held = nets.entry(at).or_default();
                *held = (held.0 + net, held.1 + amount);
            }
            if (lower..upper).contains(&tick) {
                liquidity += amount;
            }
        }
        let ticks = nets.into_iter().map(|(index, (net, gross))| Tick { index, net, gross });
        let fee_pips = pool.fee_pips;
        let state = ConcentratedState { sqrt_price, tick, liquidity, fee_pips, tick_spacing };
        (fits(Concentrated::new(&state)).into(), ticks.collect())
    }

    /// What a trader does to a pool: a swap of some thousandths of its depth, either way. `None` if
    /// the pool refuses.
    pub(crate) fn trade(&mut self, pools: &PoolTable, id: PoolId) -> Option<Pool> {
        let pool = self.pools[id.index()];
        let share = (self.chance.normal() * 1.5 - 8.0).exp();
        let side = self.chance.place(2);
        let amount = whole(self.units(&pool, side, pool.depth * share));
        let direction = [Direction::ZeroForOne, Direction::OneForZero][side];
        Some(pools.view(id).swap_in(amount, direction)?.after)
    }

    /// The pools of two tokens.
    #[must_use]
    pub(crate) fn pools_of(&self, first: TokenId, second: TokenId) -> Vec<PoolId> {
        let pair = [first.index(), second.index()];
        let places = (0..).zip(&self.pools);
        let of_pair =
            places.filter(|(_, pool)| pool.tokens == pair || pool.tokens == [pair[1], pair[0]]);
        of_pair.map(|(place, _)| PoolId(place)).collect()
    }

    /// How many pools there are.
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.pools.len()
    }
}

/// A universe with its pools and a searcher over them, at rest.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) sketch: Sketch,
    pub(crate) pools: PoolTable,
    pub(crate) searcher: Searcher,
    /// What is asked of a cycle.
    pub(crate) limits: SearchLimits,
}

impl Market {
    /// A market of `pool_count` pools in which nothing pays.
    #[must_use]
    pub(crate) fn new(seed: u64, pool_count: usize) -> Self {
        let mut sketch = Sketch::new(seed, pool_count);
        let pools = sketch.table();
        let searcher = Searcher::over(&pools, &graph_of(&pools));
        let limits = SearchLimits::NONE.asking(WORTH_LEAST);
        let mut market = Self { sketch, pools, searcher, limits };
        let mut all = market.pools.ids().to_vec();
        market.settle(&mut all);
        market
    }

    /// Searches the cycles through a pool, whether it moved or not; how many pay, and the first.
    pub(crate) fn search_again(&mut self, pool: PoolId) -> (usize, Option<Found>) {
        self.searcher.look_again(&[pool]);
        self.search(pool)
    }

    /// Searches the cycles that a pool's move opened; how many pay, and the first.
    pub(crate) fn search(&mut self, pool: PoolId) -> (usize, Option<Found>) {
        let (mut count, mut first) = (0, None);
        self.searcher.search(&self.pools, &[pool], &self.limits, &mut |found| {
            count += 1;
            first.get_or_insert(*found);
        });
        (count, first)
    }

    /// Takes whatever pays through these pools, and through those that this moves, until nothing
    /// does.
    pub(crate) fn settle(&mut self, moved: &mut Vec<PoolId>) {
        while let Some(pool) = moved.last().copied() {
            let Some(found) = self.search_again(pool).1 else {
                moved.pop();
                continue;
            };
            for leg in found.legs() {
                let swapped = self.pools.view(leg.pool).swap_in(leg.amount_in, leg.direction);
                if let Some(swapped) = swapped {
                    self.pools.entry_mut(leg.pool).state = swapped.after;
                }
                self.searcher.refresh(&self.pools, &[leg.pool]);
                moved.push(leg.pool);
            }
        }
    }
}

/// What the search walks.
#[must_use]
pub(crate) fn graph_of(pools: &PoolTable) -> Graph {
    Graph::of(pools, &BASES, NATIVE, 4).asking(WORTH_LEAST)
}

/// A price in Q64.96.
fn q96(ratio: f64) -> alloy_primitives::U256 {
    // Through the nearest tick, and on by what is left of it.
    let tick = (ratio.ln() * 2.0 / 1.0001_f64.ln()).floor();
    #[expect(clippy::cast_possible_truncation, reason = "ticks are below a million")]
    let at = sqrt_price_at((tick as i32).clamp(-887_000, 887_000)).unwrap_or_default();
    let left = ratio / 1.0001_f64.powf(tick / 2.0);
    let parts = alloy_primitives::U256::from(whole(left * 1e12));
    at * parts / alloy_primitives::U256::from(1_000_000_000_000_u64)
}

/// What is made up here fits what pools can have.
fn fits<T>(made: Option<T>) -> T {
    let Some(made) = made else { unreachable!("what is made up fits") };
    made
}

/// The whole part of a positive number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is meant")]
const fn whole(value: f64) -> u128 {
    value as u128
}

fn token_id(token: usize) -> TokenId {
    TokenId(u32::try_from(token).unwrap_or(u32::MAX))
}
