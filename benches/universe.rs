//! Universes as large as mainnet's, made up from a seed.
//!
//! What they share with mainnet, and what a search feels: nearly every token trades against WETH,
//! fewer against a dollar, few against anything else; popular tokens have dozens of pools, most
//! have one; pools of one pair agree within their fees, for arbitrageurs see to it; and there is
//! dust, shallow pools far off the market which nobody corrects because it does not pay the gas.
//!
//! Shared by the benchmarks and the tests.
//!
//! Temperature: cold.

use gannet_engine::amm::{ConstantProduct, Pool};
use gannet_engine::ids::{FactoryId, PoolId, TokenId};
use gannet_engine::world::pools::{PoolEntry, PoolTable};

/// The tokens that others trade against: decimals, and what one is worth in WETH.
const HUBS: [(u8, f64); 5] =
    [(18, 1.0), (6, 1.0 / 2_500.0), (6, 1.0 / 2_500.0), (18, 1.0 / 2_500.0), (8, 16.0)];
/// WETH, USDC, USDT, DAI: what profit is kept in.
pub(crate) const BASES: [TokenId; 4] = [TokenId(0), TokenId(1), TokenId(2), TokenId(3)];
/// WETH.
pub(crate) const NATIVE: TokenId = BASES[0];
/// Tokens that are popular enough to be traded against by others, hubs included.
const POPULAR: usize = 300;
/// Pools in a thousand that are dust.
const DUST_PER_MILLE: u64 = 30;

/// What correcting a pool of dust gains at most, in WETH: less than the gas of two swaps.
const DUST_GAIN_MAX: f64 = 0.0002;

/// A made-up universe.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// Decimals, and what one token is worth in WETH.
    tokens: Vec<(u8, f64)>,
    pools: Vec<PoolSketch>,
    chance: Chance,
}

/// A pool before it is built.
#[derive(Clone, Copy, Debug)]
struct PoolSketch {
    tokens: [usize; 2],
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
        let mut sketch = Self { tokens, pools: Vec::new(), chance };
        for place in 0..pool_count {
            // Every token has a pool; what is left goes to popular ones.
            let pair = if place < token_count - HUBS.len() {
                [place + HUBS.len(), sketch.partner()]
            } else {
                sketch.second_pair()
            };
            let pool = sketch.pool(pair);
            sketch.pools.push(pool);
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
        match self.chance.below(100) {
            // Hubs among themselves, at all fees and factories.
            0..2 => [self.chance.early(HUBS.len()), self.chance.early(HUBS.len())],
            // Another factory or fee for a pair that there is.
            2..40 => {
                let earlier = self.chance.early(self.pools.len());
                self.pools[earlier].tokens
            }
            40..60 => [token, 0],
            60..76 => [token, 1],
            76..88 => [token, 2],
            88..92 => [token, 3],
            92..94 => [token, 4],
            94..98 => [token, self.chance.early(POPULAR.min(self.tokens.len()))],
            _ => [token, HUBS.len() + self.chance.early(self.tokens.len() - HUBS.len())],
        }
    }

    fn pool(&mut self, [first, second]: [usize; 2]) -> PoolSketch {
        let second = if first == second { usize::from(first == 0) } else { second };
        let hub_count = [first, second].iter().filter(|token| **token < HUBS.len()).count();
        let chance = &mut self.chance;
        let fee_pips = [3_000, 3_000, 10_000, 500][chance.early(4)];
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
        PoolSketch { tokens: [first, second], fee_pips, depth, skew }
    }

    /// The pools in their first state, by handle.
    #[must_use]
    pub(crate) fn table(&self) -> PoolTable {
        let mut table = PoolTable::new(self.pools.len(), 0);
        for (place, pool) in (1_u64..).zip(&self.pools) {
            let mut address = [0; 20];
            address[..8].copy_from_slice(&place.to_be_bytes());
            let tokens = pool.tokens.map(token_id);
            let state = self.state(pool, pool.skew);
            let entry = PoolEntry::new(address.into(), FactoryId(0), tokens, state);
            assert!(table.insert(entry).is_ok(), "addresses and tokens differ");
        }
        table.index_pairs();
        table
    }

    /// A pool at this price.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::expect_used,
        reason = "positive, and far below 2^112"
    )]
    fn state(&self, pool: &PoolSketch, skew: f64) -> Pool {
        let half = |side: usize| {
            let (decimals, worth) = self.tokens[pool.tokens[side]];
            let away = if side == 0 { -0.5 } else { 0.5 } * skew;
            let amount = pool.depth / worth * 10_f64.powi(decimals.into()) * away.exp();
            amount as u128
        };
        let state = ConstantProduct::new([half(0), half(1)], pool.fee_pips);
        state.expect("reserves fit").into()
    }

    /// The state that traders leave a pool in next: anywhere within its fee; dust stays as it is.
    pub(crate) fn next_state(&mut self, id: PoolId) -> Pool {
        let pool = self.pools[id.index()];
        let fee = f64::from(pool.fee_pips) / 1e6;
        let skew =
            if pool.skew.abs() < fee { (self.chance.share() - 0.5) * 0.9 * fee } else { pool.skew };
        self.state(&pool, skew)
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

fn token_id(token: usize) -> TokenId {
    TokenId(u32::try_from(token).unwrap_or(u32::MAX))
}
