//! Random swaps through Uniswap V3's own bytecode: what it pays and asks is what the engine quotes,
//! to the wei.
//!
//! One run is 110,000 quotes from one seed (`GANNET_SEED` to vary it): exact inputs and exact
//! outputs, both ways, within a range and through many, over gaps, at the ends of what ticks there
//! are, in pools of every spacing. A pool that runs dry, or an amount past 128 bits, is refused
//! here; of these one in [`JUDGED`] is asked of the bytecode too, which walks to the end of all
//! ticks to say no.
//!
//! Temperature: cold.

use std::env;

use alloy::primitives::U256;
use gannet_engine::amm::Pool;
use gannet_engine::amm::concentrated::STEPS_MAX;
use gannet_engine::amm::tick_math::sqrt_price_at;
use gannet_engine::amm::ticks::TICK_MAX;
use gannet_engine::ids::{Direction, PoolId};

use crate::differential::{Random, SEED};
use crate::evm::Market;
use crate::mixed_pools::{Range, V3_FEES, V3_FUNDS};

const STATES: u32 = 5_500;
const QUOTES_PER_STATE: u32 = 20;
const JUDGED: usize = 64;

#[test]
fn random_v3_swaps_are_the_bytecodes_to_the_wei() {
    let seed = env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
    println!("v3: seed {seed}");
    let mut bench = Bench::new(Random(seed));
    for number in 0..STATES {
        bench.next_state();
        for _ in 0..QUOTES_PER_STATE {
            if let Err(difference) = bench.quote() {
                bench.mismatches += 1;
                if bench.mismatches <= 10 {
                    println!("state {number}: {difference}");
                }
            }
        }
    }
    let Bench { exact_in, exact_out, crossed, dry, refused, unjudged, mismatches, .. } = bench;
    let quotes = STATES * QUOTES_PER_STATE;
    println!("v3: {quotes} quotes, {mismatches} mismatches");
    println!("v3: {exact_in} exact inputs and {exact_out} exact outputs paid, {crossed} of them");
    println!("v3: through a tick; {dry} ran dry, {refused} refused by both, {unjudged} not asked");
    assert_eq!(mismatches, 0);
    assert!(exact_in + exact_out >= quotes / 2, "quotes that pay nothing prove little");
    assert!(crossed >= quotes / 20, "some cross ticks");
}

struct Bench {
    market: Market,
    random: Random,
    pools: Vec<PoolId>,
    pool: PoolId,
    exact_in: u32,
    exact_out: u32,
    crossed: u32,
    dry: u32,
    refused: u32,
    unjudged: u32,
    mismatches: u32,
}

impl Bench {
    fn new(random: Random) -> Self {
        let mut market = Market::new();
        let tokens = [market.token(18), market.token(6)];
        let pools: Vec<PoolId> =
            V3_FEES.iter().map(|(fee, _)| market.v3_pool(tokens, *fee)).collect();
        let pool = pools[0];
        let [exact_in, exact_out, crossed, dry, refused, unjudged, mismatches] = [0; 7];
        Self {
            market,
            random,
            pools,
            pool,
            exact_in,
            exact_out,
            crossed,
            dry,
            refused,
            unjudged,
            mismatches,
        }
    }

    /// Another pool at another price with other liquidity.
    fn next_state(&mut self) {
        self.pool = self.random.pick(&self.pools);
        let reach = self.random.pick(&[100, 60_000, 300_000, TICK_MAX]);
        let tick = self.within(reach).clamp(-TICK_MAX, TICK_MAX - 1);
        let [low, high] = [tick, tick + 1].map(|tick| sqrt_price_at(tick).expect("a tick"));
        let within = ((high - low) * U256::from(self.random.wide())) >> 128_usize;
        let price = low + if self.random.below(4) == 0 { U256::ZERO } else { within };
        let mut ranges = vec![];
        if self.random.below(3) > 0 {
            let liquidity = self.liquidity();
            ranges.push(self.market.whole_range(self.pool, liquidity));
        }
        let width = self.random.pick(&[2_usize, 12, 300, 3_000]);
        for _ in 0..self.random.below(7) {
            let [below, above] = [self.step(width), self.step(width)];
            // Most ranges hold the price; some lie beside it, so that there are gaps.
            let is_beside = self.random.below(3) == 0;
            let shift = if is_beside { self.step(width) - self.step(width) } else { 0 };
            let low = self.market.usable_tick(self.pool, tick, shift - below);
            let high = self.market.usable_tick(self.pool, tick, shift + above + 1);
            let liquidity = self.liquidity();
            if low < high {
                ranges.push(Range { low, high, liquidity });
            }
        }
        self.market.set_v3(self.pool, price, &ranges).expect("a price within the bounds");
    }

    fn within(&mut self, reach: i32) -> i32 {
        let span = usize::try_from(reach).expect("positive") * 2;
        i32::try_from(self.random.below(span)).expect("it is small") - reach
    }

    fn step(&mut self, width: usize) -> i32 {
        i32::try_from(self.random.below(width)).expect("it is small")
    }

    fn liquidity(&mut self) -> u128 {
        let bits = 10 + self.random.below(90);
        self.random.share(1 << bits) + 1
    }

    /// One quote that the engine gives, or one in so many of those that it refuses.
    fn quote(&mut self) -> Result<(), String> {
        while !self.quote_once()? {
            self.unjudged += 1;
            // A pool that gives next to nothing is left.
            if self.unjudged.is_multiple_of(4) {
                self.next_state();
            }
        }
        Ok(())
    }

    fn quote_once(&mut self) -> Result<bool, String> {
        let direction = self.random.pick(&[Direction::ZeroForOne, Direction::OneForZero]);
        let bits = self.random.below(108);
        let amount = self.random.share(1 << bits) + 1;
        let is_exact_in = self.random.below(2) == 0;
        let view = self.market.world.pools.view(self.pool);
        let swapped = if is_exact_in {
            view.swap_in(amount, direction)
        } else {
            view.swap_out(amount, direction)
        };
        if swapped.is_some_and(|swapped| swapped.amount_out >= V3_FUNDS) {
            // More than the pool of this test has.
            return Ok(false);
        }
        if swapped.is_none() && self.random.below(JUDGED) > 0 {
            return Ok(false);
        }
        let tick = |pool: &Pool| match pool {
            Pool::Concentrated(pool) => Some(view.ticks.above(pool.tick())),
            Pool::ConstantProduct(_) | Pool::Solidly(_) => None,
        };
        let is_crossed = swapped.is_some_and(|swapped| tick(&swapped.after) != tick(view.pool));
        self.crossed += u32::from(is_crossed);
        if is_exact_in {
            self.judge_in(direction, amount, swapped.map(|swapped| swapped.amount_out))?;
        } else {
            self.judge_out(direction, amount, swapped.map(|swapped| swapped.amount_in))?;
        }
        Ok(true)
    }

    fn judge_in(
        &mut self,
        direction: Direction,
        amount: u128,
        ours: Option<u128>,
    ) -> Result<(), String> {
        let theirs = self.market.quote_other(self.pool, direction, amount);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours == theirs => self.exact_in += 1,
            // Refused here: it takes only a part of the input, or the contract refuses it too.
            (None, None) => self.refused += 1,
            (None, Some(part)) => {
                let twice = self.market.quote_other(self.pool, direction, amount * 2);
                if twice != Some(part) && !self.is_far(direction) {
                    return Err(format!("in {amount} {direction:?}: none, {part}"));
                }
                self.dry += 1;
            }
            (ours, theirs) => {
                return Err(format!("in {amount} {direction:?}: {ours:?}, {theirs:?}"));
            }
        }
        Ok(())
    }

    /// Whether the last tick on the way lies more words away than the engine walks.
    fn is_far(&self, direction: Direction) -> bool {
        let view = self.market.world.pools.view(self.pool);
        let Pool::Concentrated(pool) = view.pool else { return false };
        let last = match direction {
            Direction::ZeroForOne => view.ticks.indices().first(),
            Direction::OneForZero => view.ticks.indices().last(),
        };
        let words = last.map_or(0, |last| (last - pool.tick()).abs() / pool.tick_spacing() / 256);
        words.unsigned_abs() + 1 >= STEPS_MAX
    }

    fn judge_out(
        &mut self,
        direction: Direction,
        amount: u128,
        ours: Option<u128>,
    ) -> Result<(), String> {
        let theirs = self.market.quote_v3_exact_out(self.pool, direction, amount);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours == theirs => self.exact_out += 1,
            (None, None) => self.refused += 1,
            (ours, theirs) => {
                return Err(format!("out {amount} {direction:?}: {ours:?}, {theirs:?}"));
            }
        }
        Ok(())
    }
}
