//! Random cycles through pairs, V3 pools and Solidly-style pools, run by the executor: what it
//! earns is what the pools quote, to the wei.
//!
//! One run is 30,000 cases from one seed (`GANNET_SEED` to vary it). A case sets the state of two
//! to four pools, and takes a cycle through them, with the executor's own funds or a pool's.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;

use gannet_engine::ids::{PoolId, TokenId};
use gannet_engine::limits::HOPS_MAX;

use crate::differential::{Random, SEED, Verdict, agree, refused};
use crate::evm::{Market, Trade};
use crate::mixed_pools::{Kind, Range, V3_FEES, liquidity_of, sqrt_price_of};

const CASES: u32 = 30_000;

#[test]
fn mixed_cycles_earn_what_is_quoted_to_the_wei() {
    let seed = env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
    println!("mixed cycles: seed {seed}");
    let mut bench = Bench::new(Random(seed));
    let mut mismatches = 0;
    for number in 0..CASES {
        if let Err(difference) = bench.cycle() {
            mismatches += 1;
            // A mistake shows in thousands of cases; the first few tell.
            if mismatches <= 10 {
                println!("cycle {number}: {difference}");
            }
        }
    }
    println!("mixed cycles: {CASES} cases, {mismatches} mismatches");
    let Bench { paid, lost, refused, legs, .. } = &bench;
    println!("mixed cycles: {} paid, {lost} lose, {refused} refused", paid.values().sum::<u32>());
    println!("mixed cycles: legs that paid, by kind {legs:?}; {} mixes paid", paid.len());
    assert_eq!(mismatches, 0);
    assert!(paid.values().sum::<u32>() >= 20_000, "cycles that pay nothing prove little");
    assert!(paid.len() >= 9 + 27 + 81, "every mix of kinds pays somewhere");
}

/// What a case is about.
struct Case {
    trade: Trade,
    kinds: Vec<Kind>,
    /// The tokens between the pools.
    between: Vec<TokenId>,
}

struct Bench {
    market: Market,
    random: Random,
    tokens: Vec<TokenId>,
    /// By pair of tokens, first below second.
    pools: BTreeMap<[usize; 2], Vec<(Kind, PoolId)>>,
    /// Cycles that paid, by their kinds.
    paid: BTreeMap<String, u32>,
    lost: u32,
    refused: u32,
    /// Legs that paid, by kind.
    legs: [u32; 3],
}

impl Bench {
    /// WETH and tokens of 6, 8 and 18 decimals, each paired with each in pools of all kinds.
    fn new(random: Random) -> Self {
        let mut market = Market::new();
        let mut tokens = vec![market.weth];
        tokens.extend([6, 8, 18, 18].map(|decimals| market.token(decimals)));
        let mut pools = BTreeMap::new();
        for second in 1..tokens.len() {
            for first in 0..second {
                let pair = [tokens[first], tokens[second]];
                let mut all = vec![];
                all.extend([(); 2].map(|()| (Kind::Pair, market.pool(pair, [1; 2]))));
                let fees = V3_FEES[1..].iter();
                all.extend(fees.map(|(fee, _)| (Kind::V3, market.v3_pool(pair, *fee))));
                let solidly = [(true, 500), (false, 3_000)];
                all.extend(solidly.map(|(is_stable, fee)| {
                    (Kind::Solidly, market.solidly_pool(pair, is_stable, fee))
                }));
                pools.insert([first, second], all);
            }
        }
        let (paid, lost, refused, legs) = (BTreeMap::new(), 0, 0, [0; 3]);
        Self { market, random, tokens, pools, paid, lost, refused, legs }
    }

    /// The cycle earns exactly what is quoted, refuses a minimum that is a wei higher, and leaves
    /// everything else that the executor holds alone.
    fn cycle(&mut self) -> Verdict {
        let Case { trade, kinds, between } = self.any_case();
        let spare = self.random.below(2) as u128 * self.random.share(1 << 100);
        let has_v3 = kinds.contains(&Kind::V3);
        let needs_funds = !trade.is_flash && !has_v3;
        let held = if needs_funds { trade.amount + spare } else { spare };
        let token = self.market.address(trade.token);
        let executor = self.market.executor;
        self.market.fund(token, executor, held);
        for token in &between {
            self.market.fund(self.market.address(*token), executor, spare);
        }

        let Some(flow) = self.market.flow(&trade) else {
            self.refused += 1;
            return refused("a pool that refuses", &self.market.peek(&trade));
        };
        let loss = Err("BelowMinimumProfit".into());
        let Some(profit) = flow[kinds.len()].checked_sub(trade.amount) else {
            self.lost += 1;
            return agree("a loss", loss, self.market.peek(&trade).answer.map(drop));
        };
        let is_tipped = trade.token == self.market.weth && self.random.below(2) == 0;
        let tip = if is_tipped { self.random.share(profit) } else { 0 };
        let trade = trade.tip(tip);
        let answer = self.market.peek(&trade.clone().least(profit - tip + 1)).answer;
        agree("a wei more", loss, answer.map(drop))?;
        let receipt = self.market.run(&trade.least(profit - tip));
        agree("the program", Ok(()), receipt.answer.map(drop))?;
        agree("balance", held + profit - tip, self.market.balance(token, executor))?;
        for token in between {
            agree("what else it holds", spare, self.market.held(token))?;
        }
        *self.paid.entry(format!("{kinds:?}")).or_default() += 1;
        for kind in kinds {
            self.legs[kind as usize] += 1;
        }
        Ok(())
    }

    /// A cycle whose last pool is generous, so that most of them pay.
    fn any_case(&mut self) -> Case {
        let hops = 2 + self.random.below(HOPS_MAX - 1);
        let mut path = self.random.shuffled(self.tokens.len());
        path.truncate(hops);
        path.push(path[0]);
        let (mut pools, mut kinds) = (vec![], vec![]);
        let mut first_reserve = 0;
        let worth = self.random.share(1 << 40) + 1_000;
        for (leg, pair) in path.windows(2).enumerate() {
            let key = [pair[0].min(pair[1]), pair[0].max(pair[1])];
            let kind = self.random.pick(&Kind::ALL);
            let free = self.pools[&key].iter().filter(|(other, _)| *other == kind);
            let free: Vec<PoolId> =
                free.map(|(_, pool)| *pool).filter(|pool| !pools.contains(pool)).collect();
            let pool = self.random.pick(&free);
            let mut reserves = self.fair_reserves(worth, [pair[0], pair[1]]);
            if leg + 1 == hops {
                reserves[1] += reserves[1] / 100 * self.random.below(300) as u128;
            }
            if leg == 0 {
                first_reserve = reserves[0];
            }
            self.set(kind, pool, pair[0], reserves);
            pools.push(pool);
            kinds.push(kind);
        }
        // Dust buys nothing in most pools: one in eight is enough.
        let magnitudes = if self.random.below(8) == 0 { 60 } else { 12 };
        let share = (first_reserve / 10) >> self.random.below(magnitudes);
        let amount = (share / 2 + self.random.share(share / 2)).max(1);
        let is_flash = self.random.below(2) == 0;
        let trade = Trade::new(self.tokens[path[0]], &pools, amount).flash(is_flash);
        Case { trade, kinds, between: path[1..hops].iter().map(|at| self.tokens[*at]).collect() }
    }

    /// Reserves worth about this much on both sides, but for noise; a few are anything at all.
    fn fair_reserves(&mut self, worth: u128, pair: [usize; 2]) -> [u128; 2] {
        if self.random.below(32) == 0 {
            return [(); 2].map(|()| self.random.share(1 << 108) + 1_000);
        }
        let worth = worth * (1 + self.random.below(8) as u128);
        pair.map(|index| {
            let decimals = self.market.world.tokens.get(self.tokens[index]).decimals;
            let unit = 10_u128.pow(decimals.into());
            unit / 1_000 * worth / 100 * (95 + self.random.share(10))
        })
    }

    /// Sets a pool's state to these reserves, that of `token_in` first.
    fn set(&mut self, kind: Kind, pool: PoolId, token_in: usize, reserves: [u128; 2]) {
        let direction = self.market.direction(pool, self.tokens[token_in]);
        let sorted = [reserves[direction.index_in()], reserves[direction.index_out()]];
        match kind {
            Kind::Pair => {
                let fee = if self.random.below(8) == 0 { 10_000 } else { 3_000 };
                self.market.set_reserves(pool, sorted, fee);
            }
            Kind::V3 => self.set_v3(pool, sorted),
            Kind::Solidly => self.market.set_solidly(pool, sorted),
        }
    }

    /// A V3 pool at a price, with liquidity everywhere, or in a few ranges, or both; some have a
    /// gap at their price, or run out.
    fn set_v3(&mut self, pool: PoolId, reserves: [u128; 2]) {
        let (price, liquidity) = (sqrt_price_of(reserves), liquidity_of(reserves));
        let whole = self.market.whole_range(pool, liquidity);
        let Some(tick) = self.market.set_v3(pool, price, &[whole]) else { return };
        let style = self.random.below(4);
        if style == 0 {
            return;
        }
        let mut ranges = if style == 1 { vec![] } else { vec![whole] };
        let width = self.random.pick(&[2_usize, 10, 60, 600]);
        for _ in 0..=self.random.below(6) {
            let mut step = || i32::try_from(self.random.below(width)).expect("it is small");
            let [below, above] = [step(), step()];
            let low = self.market.usable_tick(pool, tick, -below);
            let high = self.market.usable_tick(pool, tick, above + 1);
            let liquidity = self.random.share(liquidity.max(1 << 10) * 4);
            if low < high {
                ranges.push(Range { low, high, liquidity });
            }
        }
        self.market.set_v3(pool, price, &ranges).expect("a price that was there before");
    }
}
