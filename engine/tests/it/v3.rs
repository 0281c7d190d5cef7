//! Random swaps through the bytecode of Uniswap V3 and of Pancake V3: what a pool takes, what it
//! pays and where it stands then are the engine's, to the wei.
//!
//! One run is 120,000 swaps of Uniswap's pool and 20,000 of Pancake's from one seed (`GANNET_SEED`
//! to vary it): exact inputs and outputs, both ways, with and without a price to stop at, within a
//! range and through many, over gaps, at the ends of what ticks there are, in pools of every
//! spacing. A swap is the pool's own `swap`, and the next one begins where it ended; what the
//! engine holds is then compared with the pool's storage. Each kind of case has a least count.
//!
//! Walking thousands of empty words costs the bytecode most of a block's gas: of swaps that do, one
//! in [`JUDGED`] is asked.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;

use alloy::primitives::{Address, I256, U256};
use alloy::sol_types::SolCall;
use gannet_engine::amm::concentrated::STEPS_MAX;
use gannet_engine::amm::tick_math::{SQRT_PRICE_MAX, SQRT_PRICE_MIN, sqrt_price_at};
use gannet_engine::amm::ticks::TICK_MAX;
use gannet_engine::amm::{Concentrated, Exact, Pool, Swapped};
use gannet_engine::ids::{Direction, PoolId};

use crate::codes::code_with;
use crate::differential::{Random, SEED, Verdict, agree};
use crate::evm::abi::V3Swapper;
use crate::evm::{Market, STRANGER};
use crate::mixed_pools::{Range, V3_FEES, V3_FUNDS};

const SWAPS_PER_STATE: u32 = 20;
const STATES: u32 = 6_000;
const PANCAKE_STATES: u32 = 1_000;
const JUDGED: usize = 64;
/// Words of bitmap that a swap may walk and always be asked about.
const WORDS_ASKED: i32 = 24;
/// What a pool keeps of its funds, so that it can pay.
const SPARE: u128 = V3_FUNDS >> 5;
/// Beyond this tick, prices are at the end of what there are.
const EXTREME_TICK: i32 = 800_000;

/// Of each kind of case, the least share of all swaps, in thousandths.
const LEAST: [(&str, u32); 22] = [
    ("exact in", 300),
    ("exact out", 300),
    ("price falls", 300),
    ("price rises", 300),
    ("no price limit", 300),
    ("price limit, filled before", 100),
    ("price limit, stopped there", 100),
    ("price limit on an initialised tick", 10),
    ("price limit refused by both", 10),
    ("nothing asked for, refused by both", 1),
    ("within one range", 200),
    ("through a tick", 100),
    ("through three ticks or more", 20),
    ("begins in a gap", 10),
    ("goes over a gap", 5),
    ("through an edge of a bitmap's word", 50),
    ("begins at an extreme price", 5),
    ("ends at an extreme price", 5),
    ("ran dry at the last price", 1),
    ("nothing comes out", 5),
    ("begins where another ended", 500),
    ("protocol takes a part of the fee", 300),
];

/// The code of a deployed Pancake V3 pool, where there are real blocks; says so otherwise.
pub(crate) fn pancake_code() -> Option<Vec<u8>> {
    /// Of a function that such a pool has and others have not: what sets its lottery's keeper.
    const SELECTOR: &str = "63cc7e7fa2";
    code_with(SELECTOR)
}

#[test]
fn random_v3_swaps_are_the_bytecodes_to_the_wei() {
    let mut market = Market::new();
    let tokens = [market.token(18), market.token(6)];
    let pools = V3_FEES.map(|(fee, _)| market.v3_pool(tokens, fee));
    // Shares of both sides: one quarter, one tenth, none and one fourth.
    Bench::new(market, &pools, &[0, 0x44, 0xaa, 0x40]).run("v3", STATES);
}

#[test]
fn random_pancake_v3_swaps_are_the_bytecodes_to_the_wei() {
    let Some(code) = pancake_code() else { return };
    let mut market = Market::new();
    let pool = market.pancake_pool(Address::repeat_byte(0x9a), code);
    let shares = [0, 3_300 | (3_300 << 16), 4_000 << 16, 1_000 | (4_000 << 16)];
    Bench::new(market, &[pool], &shares).run("pancake v3", PANCAKE_STATES);
}

/// A swap that is asked of both.
#[derive(Clone, Copy, Debug)]
struct Case {
    direction: Direction,
    exact: Exact,
    /// `None`: the last price that there is.
    limit: Option<U256>,
}

impl Case {
    fn price_limit(&self) -> U256 {
        self.limit.unwrap_or(match self.direction {
            Direction::ZeroForOne => SQRT_PRICE_MIN + U256::ONE,
            Direction::OneForZero => SQRT_PRICE_MAX - U256::ONE,
        })
    }
}

struct Bench {
    market: Market,
    random: Random,
    swapper: Address,
    pools: Vec<PoolId>,
    fee_shares: Vec<u32>,
    pool: PoolId,
    fee_share: u32,
    /// Swaps since the state was set.
    since: u32,
    counts: BTreeMap<&'static str, u32>,
    unasked: u32,
}

impl Bench {
    fn new(mut market: Market, pools: &[PoolId], fee_shares: &[u32]) -> Self {
        let seed =
            env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
        println!("v3: seed {seed}");
        let swapper = market.contract("V3Swapper", &[]);
        Self {
            market,
            random: Random(seed),
            swapper,
            pools: pools.to_vec(),
            fee_shares: fee_shares.to_vec(),
            pool: pools[0],
            fee_share: 0,
            since: 0,
            counts: BTreeMap::new(),
            unasked: 0,
        }
    }

    fn run(mut self, name: &str, states: u32) {
        let mut mismatches = 0;
        for number in 0..states {
            self.next_state();
            for _ in 0..SWAPS_PER_STATE {
                if let Err(difference) = self.swap() {
                    mismatches += 1;
                    if mismatches <= 10 {
                        println!("state {number}: {difference}");
                    }
                    // What comes behind a mistake is no other one.
                    self.next_state();
                }
            }
        }
        let swaps = states * SWAPS_PER_STATE;
        println!("{name}: {swaps} swaps, {mismatches} mismatches, {} not asked", self.unasked);
        let mut is_enough = true;
        for (kind, least) in LEAST {
            let count = self.counts.get(kind).copied().unwrap_or(0);
            println!("{name}: {count:>7} {kind}");
            is_enough &= count >= least * swaps / 1_000;
        }
        assert_eq!(self.counts.len(), LEAST.len(), "every kind of case has a least count");
        assert_eq!(mismatches, 0);
        assert!(is_enough, "some kind of case is too rare to prove anything");
    }

    fn count(&mut self, kind: &'static str, is_so: bool) {
        *self.counts.entry(kind).or_default() += u32::from(is_so);
    }

    /// Another pool at another price with other liquidity.
    fn next_state(&mut self) {
        self.pool = self.random.pick(&self.pools);
        let reach = self.random.pick(&[100, 60_000, 300_000, TICK_MAX]);
        let tick = self.within(reach).clamp(-TICK_MAX, TICK_MAX - 1);
        let price = self.price_in(tick);
        let mut ranges = vec![];
        if self.random.below(3) > 0 {
            let liquidity = self.liquidity();
            ranges.push(self.market.whole_range(self.pool, liquidity));
        }
        let width = self.random.pick(&[2_usize, 12, 300, 3_000]);
        for _ in 0..self.random.below(9) {
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
        self.fee_share = self.random.pick(&self.fee_shares);
        self.market.set_fee_protocol(self.pool, self.fee_share);
        let entry = *self.market.world.pools.get(self.pool);
        for token in entry.tokens {
            self.market.fund(self.market.address(token), entry.address, V3_FUNDS);
        }
        self.since = 0;
    }

    /// A price whose tick is this one; one in four is that of the tick itself.
    fn price_in(&mut self, tick: i32) -> U256 {
        let [low, high] = [tick, tick + 1].map(|tick| sqrt_price_at(tick).expect("a tick"));
        let within = ((high - low) * U256::from(self.random.wide())) >> 128_usize;
        low + if self.random.below(4) == 0 { U256::ZERO } else { within }
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

    fn state(&self) -> Concentrated {
        match self.market.world.pools.get(self.pool).state {
            Pool::Concentrated(pool) => pool,
            other @ (Pool::ConstantProduct(_) | Pool::Solidly(_)) => {
                unreachable!("only V3 pools are dealt here, not {other:?}")
            }
        }
    }

    fn any_case(&mut self) -> Case {
        let direction = self.random.pick(&[Direction::ZeroForOne, Direction::OneForZero]);
        let is_exact_in = self.random.below(2) == 0;
        let token = if is_exact_in { direction.index_in() } else { direction.index_out() };
        let amount = match self.random.below(128) {
            0 => 0,
            1..64 => {
                let bits = self.random.below(108);
                self.random.share(1 << bits) + 1
            }
            _ => self.moving(token),
        };
        let exact = if is_exact_in { Exact::In(amount) } else { Exact::Out(amount) };
        let limit = self.any_limit(direction);
        Case { direction, exact, limit }
    }

    /// An amount of one of the tokens that moves the price by some ticks to some thousands.
    fn moving(&mut self, token: usize) -> u128 {
        let pool = self.state();
        let liquidity = U256::from(pool.liquidity());
        let reserve = match token {
            0 => (liquidity << 96) / pool.sqrt_price(),
            _ => (liquidity * pool.sqrt_price()) >> 96,
        };
        let part: U256 = reserve >> self.random.below(12);
        let half = part.saturating_to::<u128>().min(1 << 108) / 2 + 1;
        half + self.random.wide() % half
    }

    fn any_limit(&mut self, direction: Direction) -> Option<U256> {
        let pool = self.state();
        let ahead = |steps: i32| match direction {
            Direction::ZeroForOne => -steps,
            Direction::OneForZero => steps,
        };
        let tick = match self.random.below(16) {
            0..8 => return None,
            8..11 => pool.tick() + ahead(self.step(300)),
            11..13 => pool.tick() + ahead(self.step(20_000)),
            13..15 => {
                let ticks = self.market.world.pools.view(self.pool).ticks;
                let place = ticks.above(pool.tick());
                let at = match direction {
                    Direction::ZeroForOne => place.checked_sub(1),
                    Direction::OneForZero => Some(place),
                };
                let (tick, _) = at.and_then(|at| ticks.at(at))?;
                return sqrt_price_at(tick);
            }
            // Anywhere, and at the edges of what is accepted.
            _ => {
                let price = pool.sqrt_price();
                let edges = [U256::ZERO, SQRT_PRICE_MIN, SQRT_PRICE_MAX, price];
                let edge = self.random.pick(&edges);
                let near = [edge, edge.wrapping_sub(U256::ONE), edge + U256::ONE];
                let anywhere = self.within(TICK_MAX);
                let anywhere = self.price_in(anywhere);
                let limit = self.random.pick(&[near[0], near[1], near[2], anywhere]);
                return Some(limit & (U256::MAX >> 96_usize));
            }
        };
        Some(self.price_in(tick.clamp(-TICK_MAX, TICK_MAX - 1)))
    }

    /// One swap that is worth asking the bytecode about.
    fn swap(&mut self) -> Verdict {
        loop {
            let case = self.any_case();
            let pool = self.state();
            let ours = pool.swap_to(
                self.market.world.pools.view(self.pool).ticks,
                case.exact,
                case.direction,
                case.price_limit(),
            );
            self.judge_whole(&case, ours)?;
            if self.is_asked(&case, ours) {
                return self.judge(&case, ours);
            }
            self.unasked += 1;
            if self.unasked.is_multiple_of(4) {
                self.next_state();
            }
        }
    }

    /// Swaps and quotes without a price limit are those that are filled whole.
    fn judge_whole(&self, case: &Case, ours: Option<Swapped<Concentrated>>) -> Verdict {
        if case.limit.is_some() {
            return Ok(());
        }
        let view = self.market.world.pools.view(self.pool);
        let (whole, quoted) = match case.exact {
            Exact::In(amount) => (
                view.swap_in(amount, case.direction),
                view.quote_out(amount, case.direction).map(|out| (amount, out)),
            ),
            Exact::Out(amount) => (
                view.swap_out(amount, case.direction),
                view.quote_in(amount, case.direction).map(|paid| (paid, amount)),
            ),
        };
        let of = |swapped: &Swapped<Concentrated>| (swapped.amount_in, swapped.amount_out);
        let is_whole = |swapped: &Swapped<Concentrated>| match case.exact {
            Exact::In(amount) => swapped.amount_in == amount,
            Exact::Out(amount) => swapped.amount_out == amount,
        };
        let expected = ours.filter(is_whole);
        let found = whole.map(|swapped| (swapped.amount_in, swapped.amount_out, swapped.after));
        let wanted = expected.map(|it| (it.amount_in, it.amount_out, Pool::from(it.after)));
        agree("filled whole", wanted, found)?;
        // An input that buys nothing has no quote.
        let wanted = expected.as_ref().map(of).filter(|(_, out)| *out > 0);
        agree("quote", wanted, quoted)
    }

    /// Whether the bytecode can answer without walking for long, or it is its turn in any case.
    fn is_asked(&mut self, case: &Case, ours: Option<Swapped<Concentrated>>) -> bool {
        if ours.is_some_and(|swapped| swapped.amount_out >= SPARE) {
            // More than the pool of this test has.
            return false;
        }
        let pool = self.state();
        let is_behind = !pool.is_ahead(case.price_limit(), case.direction);
        let is_refused = ours.is_none() && (is_behind || case.exact.amount() == 0);
        let words = ours.map_or(i32::MAX, |swapped| words_between(&pool, &swapped.after));
        is_refused || words <= WORDS_ASKED || self.random.below(JUDGED) == 0
    }

    fn judge(&mut self, case: &Case, ours: Option<Swapped<Concentrated>>) -> Verdict {
        let before = self.state();
        let entry = *self.market.world.pools.get(self.pool);
        let token_in = self.market.address(entry.tokens[case.direction.index_in()]);
        self.market.fund(token_in, self.swapper, u128::MAX);
        let amount = I256::try_from(case.exact.amount()).expect("128 bits");
        let call = V3Swapper::swapCall {
            pool: entry.address,
            isDown: case.direction == Direction::ZeroForOne,
            amount: if matches!(case.exact, Exact::In(_)) { amount } else { -amount },
            limit: case.price_limit().to(),
        };
        let answer = self.market.chain.send(STRANGER, self.swapper, call.abi_encode()).answer;
        let Some(ours) = ours else { return self.judge_refused(case, answer.map(drop)) };
        let answer = answer.map_err(|error| format!("{case:?}: {ours:?}, reverted: {error}"))?;
        let theirs = V3Swapper::swapCall::abi_decode_returns(&answer).expect("two amounts");
        let mut amounts = [theirs.amount0, theirs.amount1];
        if case.direction == Direction::OneForZero {
            amounts.swap(0, 1);
        }
        let [paid, taken] = amounts;
        let wanted = [paid.into_raw(), (-taken).into_raw()];
        let what = format!("{case:?} on {before:?}");
        agree(&what, [ours.amount_in, ours.amount_out].map(U256::from), wanted)?;
        agree(&what, ours.after.state(), self.market.v3_state(self.pool))?;
        self.count_swap(case, &before, &ours);
        let entry = self.market.world.pools.entry_mut(self.pool);
        (entry.state, entry.chain) = (ours.after.into(), ours.after.into());
        self.since += 1;
        // From the last price that there is, little more is to be learnt.
        if case.limit.is_none() && ours.after.sqrt_price() == case.price_limit() {
            self.next_state();
        }
        Ok(())
    }

    /// What the engine refuses, the pool refuses; or it walks further than the engine does.
    fn judge_refused(&mut self, case: &Case, theirs: Result<(), String>) -> Verdict {
        let is_behind = !self.state().is_ahead(case.price_limit(), case.direction);
        if case.exact.amount() == 0 {
            agree("nothing", Err("AS".into()), theirs)?;
        } else if is_behind {
            agree("behind the price", Err("SPL".into()), theirs)?;
        } else if theirs.is_ok() {
            let after = self.market.v3_state(self.pool);
            let after = Concentrated::new(&after).expect("a pool's state");
            let words = words_between(&self.state(), &after).unsigned_abs();
            if words + 1 < STEPS_MAX {
                return Err(format!("{case:?} on {:?}: none, {after:?}", self.state()));
            }
            self.next_state();
        }
        let is_nothing = case.exact.amount() == 0;
        self.count("price limit refused by both", is_behind);
        self.count("nothing asked for, refused by both", is_nothing);
        Ok(())
    }

    /// What kinds of cases a swap was.
    fn count_swap(&mut self, case: &Case, before: &Concentrated, swapped: &Swapped<Concentrated>) {
        let after = &swapped.after;
        let ticks = self.market.world.pools.view(self.pool).ticks;
        let [from, to] = [before, after].map(|pool| ticks.above(pool.tick()));
        let crossed = from.abs_diff(to);
        // Liquidity of every range on the way.
        let (mut liquidity, mut is_over_gap) = (before.liquidity(), false);
        for place in from.min(to)..from.max(to) {
            let place = if to < from { from - 1 - (place - to) } else { place };
            let (_, net) = ticks.at(place).expect("a place between two others");
            let net = if to < from { -net } else { net };
            is_over_gap |= liquidity == 0;
            liquidity = liquidity.checked_add_signed(net).expect("the walk did the same");
        }
        let is_on_tick = case.limit.is_some_and(|limit| {
            let is_there = |tick: &i32| sqrt_price_at(*tick) == Some(limit);
            ticks.indices().iter().any(is_there)
        });
        let is_stopped = after.sqrt_price() == case.price_limit();
        let [is_extreme_before, is_extreme_after] =
            [before, after].map(|pool| pool.tick().abs() >= EXTREME_TICK);
        let is_limited = case.limit.is_some();
        for (kind, is_so) in [
            ("exact in", matches!(case.exact, Exact::In(_))),
            ("exact out", matches!(case.exact, Exact::Out(_))),
            ("price falls", case.direction == Direction::ZeroForOne),
            ("price rises", case.direction == Direction::OneForZero),
            ("no price limit", !is_limited),
            ("price limit, filled before", is_limited && !is_stopped),
            ("price limit, stopped there", is_limited && is_stopped),
            ("price limit on an initialised tick", is_limited && is_stopped && is_on_tick),
            ("within one range", crossed == 0),
            ("through a tick", crossed > 0),
            ("through three ticks or more", crossed >= 3),
            ("begins in a gap", before.liquidity() == 0),
            ("goes over a gap", is_over_gap),
            ("through an edge of a bitmap's word", words_between(before, after) > 0),
            ("begins at an extreme price", is_extreme_before),
            ("ends at an extreme price", is_extreme_after),
            ("ran dry at the last price", !is_limited && is_stopped),
            ("nothing comes out", swapped.amount_out == 0),
            ("begins where another ended", self.since > 0),
            ("protocol takes a part of the fee", self.fee_share > 0),
        ] {
            self.count(kind, is_so);
        }
    }
}

/// How many words of bitmap lie between two states of a pool.
fn words_between(before: &Concentrated, after: &Concentrated) -> i32 {
    let word = |pool: &Concentrated| pool.tick().div_euclid(pool.tick_spacing()) >> 8;
    (word(before) - word(after)).abs()
}
