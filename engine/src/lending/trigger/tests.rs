//! The index against a look at every position after every step of a random market.
//!
//! Temperature: cold.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_macros,
    reason = "tests print what they counted"
)]
#![expect(clippy::cast_possible_truncation, reason = "small random numbers")]

use std::collections::BTreeSet;
use std::vec::Vec;
use std::{println, vec};

use alloy_primitives::{Address, I256};
use proptest::prelude::*;

use super::watch::share_of;
use super::*;
use crate::lending::math::{Fault, mul_div_down, mul_div_up};
use crate::lending::price::{FeedSpec, Node, PriceId, PriceLimits, Prices};
use crate::lending::transmission::Route;

/// Random numbers from a seed.
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }
}

const E8: u64 = 100_000_000;
const FEEDS: u16 = 12;
/// When everything begins, in seconds.
const START: u64 = 1_800_000_000;
const YEAR: u64 = 31_536_000;
/// Units of a token are told in this.
const UNIT: u64 = 1_000_000_000_000;

fn constant(number: u64) -> U256 {
    U256::from(number)
}

fn ten(exponent: u64) -> U256 {
    U256::from(10).pow(U256::from(exponent))
}

/// Twelve feeds, and prices of every kind over them.
fn prices(chance: &mut Chance) -> (Prices, Vec<PriceId>) {
    let limits = PriceLimits { feeds: 64, nodes: 128, prices: 32, leaves: 128 };
    let mut prices = Prices::new(limits);
    let mut leaves = vec![];
    for number in 0..FEEDS {
        let spec = FeedSpec {
            proxy: Address::with_last_byte(1),
            aggregator: Address::ZERO,
            route: Route::Primary,
            weight: if number < 3 { 1 } else { 8 },
            answer: I256::try_from(chance.between(E8 / 2, 5_000 * E8)).unwrap(),
        };
        let feed = prices.add_feed(&spec).unwrap();
        leaves.push(prices.add_node(Node::Feed(feed)).unwrap());
    }
    let mut nodes = leaves[..6].to_vec();
    let mut add = |node| prices.add_node(node).unwrap();
    let ratio = add(Node::Scale { of: leaves[6], multiplier: U256::from(1), divisor: ten(3) });
    let capped = Node::GrowthCapped {
        ratio: leaves[7],
        snapshot: constant(2_000 * E8),
        growth: constant(3_000),
        since: START - 100_000,
    };
    let capped = add(capped);
    let product = |of| Node::Product { of, multiplier: constant(E8), divisor: ten(18) };
    nodes.push(add(product([leaves[3], ratio])));
    nodes.push(add(product([leaves[4], capped])));
    nodes.push(add(Node::Quotient {
        of: [leaves[8], leaves[9]],
        multiplier: ten(11),
        divisor: constant(E8),
    }));
    nodes.push(add(Node::Capped { of: leaves[1], cap: constant(2_000 * E8) }));
    nodes.push(add(Node::Discounted { of: leaves[10], maturity: START + YEAR, per_year: 900 }));
    nodes.push(add(Node::Market {
        scale: ten(10),
        base: [Some(leaves[11]), Some(leaves[5]), None],
        quote: [Some(leaves[0]), None, None],
    }));
    nodes.push(add(Node::Fallback([leaves[2], leaves[5]])));
    let made = nodes.iter().map(|node| prices.add_price(Some(*node), 8).unwrap()).collect();
    (prices, made)
}

#[derive(Clone, Copy, Debug)]
struct Holding {
    price: PriceId,
    amount: U256,
    /// Ten-thousandths that count as support.
    threshold: u64,
}

/// Collateral and debts, as an account of a lending protocol has them.
#[derive(Clone, Debug, Default)]
struct Account {
    collateral: Vec<Holding>,
    debts: Vec<Holding>,
    /// Parts of 1e18 that its debts grow by each second.
    rate: u64,
}

impl Account {
    fn random(chance: &mut Chance, all: &[PriceId], prices: &Prices, at: u64) -> Self {
        let mut account = Self::default();
        for _ in 0..chance.between(1, 4) {
            account.collateral.push(Holding {
                price: all[chance.below(all.len() as u64) as usize],
                amount: constant(chance.between(UNIT, 1_000 * UNIT)),
                threshold: chance.between(5_000, 9_500),
            });
        }
        account.rate = chance.below(5_000_000_000);
        let Ok(support) = account.support(prices, at) else { return account };
        let count = chance.between(1, 2);
        for _ in 0..count {
            let price = all[chance.below(all.len() as u64) as usize];
            let Ok(value) = prices.value(price, at) else { continue };
            // From far below its support to barely.
            let spread = 1 << chance.between(4, 19);
            let share = 1_000_000 - chance.below(spread);
            let owed = support / constant(10_000) * constant(share) / constant(1_000_000 * count);
            let amount = owed * constant(UNIT) / value;
            account.debts.push(Holding { price, amount, threshold: 10_000 });
        }
        account
    }

    /// What its collateral supports, rounded down asset by asset, times 10,000.
    fn support(&self, prices: &Prices, at: u64) -> Result<U256, Fault> {
        let mut sum = U256::ZERO;
        for held in &self.collateral {
            let value = mul_div_down(held.amount, prices.value(held.price, at)?, constant(UNIT))?;
            sum += value * constant(held.threshold);
        }
        Ok(sum)
    }

    /// What it owes, rounded up asset by asset, times 10,000.
    fn debt(&self, prices: &Prices, at: u64) -> Result<U256, Fault> {
        let mut sum = U256::ZERO;
        for owed in &self.debts {
            let grown = ten(18) + constant(self.rate * (at - START));
            let amount = mul_div_up(owed.amount, grown, ten(18))?;
            sum += mul_div_up(amount, prices.value(owed.price, at)?, constant(UNIT))?
                * constant(owed.threshold);
        }
        Ok(sum)
    }

    fn is_liquidatable(&self, prices: &Prices, at: u64) -> Result<bool, Fault> {
        Ok(self.support(prices, at)? < self.debt(prices, at)?)
    }

    /// As a protocol would have it watched through `until`.
    fn watch(
        &self,
        prices: &Prices,
        at: u64,
        until: u64,
    ) -> Result<(Watch, Option<Budget>), Fault> {
        let mut watch = Watch::new();
        let feed = |feed| (prices.feed(feed).weight, prices.feed(feed).price().unwrap_or_default());
        let (support, debt) = (self.support(prices, at)?, self.debt(prices, until)?);
        let mut worst = [0; 2];
        for (side, held) in [(Side::Collateral, &self.collateral), (Side::Debt, &self.debts)] {
            for held in held {
                watch.add(side, prices.leaves(held.price), feed);
                let rounding = prices.rounding(held.price, at)?;
                worst[side as usize] = rounding.max(worst[side as usize]);
            }
        }
        // A unit of each asset, and what the prices themselves are rounded by.
        let assets = 10_000 * (self.collateral.len() + self.debts.len()) as u64;
        let errors = constant(assets) + share_of(worst[0], support) + share_of(worst[1], debt);
        Ok((watch, Budget::new(support, debt, errors)))
    }
}

/// A random market, its index, and what both have done.
struct Market {
    chance: Chance,
    prices: Prices,
    made: Vec<PriceId>,
    accounts: Vec<Account>,
    index: TriggerIndex,
    hits: Hits,
    /// Handed out and not set again.
    out: BTreeSet<u32>,
    now: u64,
    recomputed: u64,
    compared: u64,
    liquidatable: u64,
}

impl Market {
    fn new(seed: u64, count: u32) -> Self {
        let mut chance = Chance(seed);
        let (prices, made) = prices(&mut chance);
        let limits = TriggerLimits { positions: count as usize, feeds: 64, terms: 40_000 };
        let mut market = Self {
            chance,
            prices,
            made,
            accounts: vec![Account::default(); count as usize],
            index: TriggerIndex::new(limits),
            hits: Hits::new(count as usize),
            out: BTreeSet::new(),
            now: START,
            recomputed: 0,
            compared: 0,
            liquidatable: 0,
        };
        (0..count).for_each(|position| market.change(position));
        market
    }

    /// A position is another one from now on.
    fn change(&mut self, position: u32) {
        let account = Account::random(&mut self.chance, &self.made, &self.prices, self.now);
        self.accounts[position as usize] = account;
        self.recompute(position);
    }

    fn recompute(&mut self, position: u32) {
        let account = &self.accounts[position as usize];
        let (prices, at) = (&self.prices, self.now);
        self.recomputed += 1;
        let long = at + 12 + self.chance.below(3_600);
        self.out.insert(position);
        if account.is_liquidatable(prices, at) == Ok(false) {
            for until in [long, at + 12] {
                if let Ok((watch, Some(budget))) = account.watch(prices, at, until) {
                    self.index.set(position, &watch, budget, until).unwrap();
                    self.out.remove(&position);
                    return;
                }
            }
        }
        // It is its owner's from here on.
        self.index.remove(position);
    }

    fn hand_out(&mut self) {
        let hits = self.hits.as_slice().to_vec();
        self.hits.clear();
        hits.iter().for_each(|position| assert!(self.out.insert(*position), "handed out once"));
    }

    /// A feed moves, up or down, by a little or by much, or has no answer for a while.
    fn move_feed(&mut self) {
        let feed = FeedId(self.chance.below(u64::from(FEEDS)) as u16);
        let held = self.prices.feed(feed).answer;
        let size = [20, 2_000, 20_000, 300_000][self.chance.below(4) as usize];
        let size = self.chance.below(size) + 1;
        let part = I256::try_from(size).unwrap() * held / I256::try_from(1_000_000).unwrap();
        let answer = match self.chance.below(400) {
            0 => I256::ZERO,
            1 => I256::MINUS_ONE,
            even if even % 2 == 0 => held + part,
            _ => held - part,
        };
        let had_price = held > I256::ZERO;
        let answer = if had_price { answer } else { I256::try_from(700 * E8).unwrap() };
        self.prices.set_answer(feed, answer, &mut |_| ());
        if !had_price || answer <= I256::ZERO {
            assert!(self.index.lost(feed, &mut self.hits));
        } else {
            let answer = answer.into_raw();
            let mut supposed = BTreeSet::new();
            self.index.reached(feed, answer, |position| {
                supposed.insert(position);
            });
            assert!(self.index.moved(feed, answer, &mut self.hits));
            let hits = self.hits.as_slice();
            assert_eq!(supposed, hits.iter().copied().collect(), "supposing is the same");
        }
        self.hand_out();
    }

    fn step(&mut self) {
        for _ in 0..self.chance.between(1, 4) {
            self.move_feed();
        }
        self.now += self.chance.below(4) * 12;
        assert!(self.index.due(self.now, &mut self.hits));
        self.hand_out();
        for _ in 0..self.chance.below(4) {
            let position = self.chance.below(self.accounts.len() as u64) as u32;
            self.change(position);
        }
        // Nobody looks at any other position.
        let out: Vec<_> = self.out.iter().copied().collect();
        out.into_iter().for_each(|position| self.recompute(position));
        for (position, account) in (0_u32..).zip(&self.accounts) {
            self.compared += 1;
            let health = account.is_liquidatable(&self.prices, self.now);
            let is_out = self.out.contains(&position);
            assert_ne!(is_out, self.index.is_watched(position));
            self.liquidatable += u64::from(health == Ok(true));
            if !is_out {
                assert_eq!(health, Ok(false), "{position} was not handed out: {account:?}");
            }
        }
    }
}

#[test]
fn no_liquidatable_position_is_ever_missed_and_few_are_looked_at() {
    let (mut recomputed, mut compared, mut liquidatable) = (0, 0, 0);
    for seed in 0..6 {
        let mut market = Market::new(seed, 2_000);
        (0..150).for_each(|_| market.step());
        recomputed += market.recomputed;
        compared += market.compared;
        liquidatable += market.liquidatable;
        // Feeds move by up to 30 % at once; what is liquidatable is looked at in every step.
        let counts = market.index.counts();
        println!("seed {seed}: {counts:?}, recomputed {}", market.recomputed);
    }
    println!(
        "looked at {compared} times by brute force, {liquidatable} times liquidatable; \
         recomputed {recomputed} times behind the index"
    );
    assert!(recomputed - liquidatable < compared / 5, "most are left alone");
}

#[test]
fn small_moves_touch_hardly_anything() {
    let mut market = Market::new(77, 3_000);
    let before = market.index.counts();
    let mut looks = 0_u64;
    for turn in 0..3_000_u64 {
        let feed = FeedId((turn % u64::from(FEEDS)) as u16);
        let held = market.prices.feed(feed).answer.into_raw();
        let part = held / constant(10_000 + market.chance.below(100_000));
        let answer = if market.chance.below(2) == 0 { held + part } else { held - part };
        market.prices.set_answer(feed, I256::from_raw(answer), &mut |_| ());
        assert!(market.index.moved(feed, answer, &mut market.hits));
        market.hand_out();
        let out: Vec<_> = market.out.iter().copied().collect();
        out.into_iter().for_each(|position| market.recompute(position));
        looks += market.accounts.len() as u64;
        if turn % 50 == 0 {
            for (position, account) in (0_u32..).zip(&market.accounts) {
                let is_healthy = account.is_liquidatable(&market.prices, market.now) == Ok(false);
                assert!(is_healthy || market.out.contains(&position), "{position}");
            }
        }
    }
    let after = market.index.counts();
    let handed_out = after.reached - before.reached + after.due - before.due;
    println!("{looks} looks by brute force; the index handed out {handed_out}");
    assert!(handed_out < looks / 50, "hardly anything");
}

fn single(feed: u16, answer: u64) -> Watch {
    let limits = PriceLimits { feeds: 16, nodes: 16, prices: 4, leaves: 8 };
    let mut prices = Prices::new(limits);
    let spec = FeedSpec {
        proxy: Address::ZERO,
        aggregator: Address::ZERO,
        route: Route::Primary,
        weight: 1,
        answer: I256::try_from(answer).unwrap(),
    };
    for _ in 0..=feed {
        prices.add_feed(&spec).unwrap();
    }
    let node = prices.add_node(Node::Feed(FeedId(feed))).unwrap();
    let price = prices.add_price(Some(node), 1).unwrap();
    let mut watch = Watch::new();
    watch.add(Side::Collateral, prices.leaves(price), |feed| {
        (prices.feed(feed).weight, prices.feed(feed).price().unwrap())
    });
    watch
}

#[test]
fn a_position_is_handed_out_at_its_threshold_and_not_a_unit_before() {
    let limits = TriggerLimits { positions: 4, feeds: 4, terms: 8 };
    let mut index = TriggerIndex::new(limits);
    let mut hits = Hits::new(4);
    // A tenth of its support may go.
    let budget = Budget::new(constant(1_000), constant(900), U256::ZERO).unwrap();
    index.set(2, &single(3, 5_000), budget, 60).unwrap();
    let feed = FeedId(3);
    assert!(index.moved(feed, constant(4_501), &mut hits) && hits.as_slice().is_empty());
    assert!(index.moved(FeedId(2), constant(1), &mut hits) && hits.as_slice().is_empty());
    assert!(index.due(60, &mut hits) && hits.as_slice().is_empty(), "valid through its time");
    assert!(index.moved(feed, constant(4_500), &mut hits));
    assert_eq!(hits.as_slice(), [2]);
    assert!(!index.is_watched(2), "until it is set again");
    assert!(index.moved(feed, constant(1), &mut hits) && index.due(u64::MAX, &mut hits));
    assert_eq!(hits.as_slice(), [2], "once");
    hits.clear();
    index.set(2, &single(3, 4_500), budget, 60).unwrap();
    assert!(index.due(61, &mut hits));
    assert_eq!(hits.as_slice(), [2]);
    let expected = TriggerCounts { reached: 1, due: 1, refused: 0 };
    assert_eq!(index.counts(), expected);
}

#[test]
fn what_there_is_no_room_for_comes_later_or_is_refused_and_counted() {
    let mut index = TriggerIndex::new(TriggerLimits { positions: 40, feeds: 17, terms: 40 });
    let budget = Budget::new(constant(10), constant(9), U256::ZERO).unwrap();
    for position in 0..3 {
        index.set(position, &single(0, 100), budget, 9).unwrap();
    }
    let mut hits = Hits::new(2);
    assert!(!index.moved(FeedId(0), constant(1), &mut hits), "one is left");
    hits.clear();
    assert!(index.moved(FeedId(0), constant(1), &mut hits));
    assert_eq!(hits.as_slice().len(), 1);
    assert_eq!(index.set(40, &single(0, 1), budget, 9), Err(Refused::OutOfRange));
    let mut wide = Watch::new();
    for feed in 0..17 {
        let leaf = crate::lending::price::Leaf { feed: FeedId(feed), up: 1, down: 0 };
        wide.add(Side::Debt, &[leaf], |_| (1, constant(5)));
    }
    assert_eq!(index.set(0, &wide, budget, 9), Err(Refused::TooManyTerms));
    assert!(!index.is_watched(0));
    assert_eq!(index.counts().refused, 2);
}

#[test]
fn a_budget_is_never_more_than_what_is_to_spare() {
    let [hundred, ninety] = [100, 90].map(constant);
    let parts = |support, debt, errors| Budget::new(support, debt, errors).map(Budget::parts);
    assert_eq!(parts(hundred, ninety, U256::ZERO), Some(watch::ONE / 10));
    assert_eq!(parts(hundred, ninety, constant(4)), Some(watch::ONE / 100 * 6));
    assert_eq!(parts(hundred, ninety, constant(10)), Some(0));
    assert_eq!(parts(hundred, ninety, constant(11)), None, "rounding alone could do it");
    assert_eq!(parts(ninety, hundred, U256::ZERO), None, "time alone does it");
    assert_eq!(parts(hundred, U256::ZERO, hundred), Some(watch::ONE / 2), "no debt");
    assert_eq!(parts(U256::MAX, U256::MAX >> 1, U256::ZERO), Some(watch::ONE / 2));
}

proptest! {
    #[test]
    fn codes_are_in_the_order_of_their_numbers(a in any::<[u8; 32]>(), b in any::<[u8; 32]>(),
        shifts in (0..256_usize, 0..256_usize)) {
        let a = U256::from_be_bytes(a) >> shifts.0;
        let b = U256::from_be_bytes(b) >> shifts.1;
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        prop_assert!(code(low) <= code(high));
        // They are no coarser than they are said to be.
        prop_assert!(code(low) < code(low + (low >> 56_usize) + U256::from(1)));
    }
}
