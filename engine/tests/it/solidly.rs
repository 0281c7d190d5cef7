//! Random swaps through Solidly-style pools, volatile and stable: what a pool quotes, what it lets
//! go and where it stands then are the engine's, to the wei.
//!
//! The judges are a published source of Aerodrome's pool, compiled (`scripts/chain/solidly`), in
//! the two forms that are deployed, and the pool of these tests. One run is 24,000 swaps of each
//! from one seed (`GANNET_SEED` to vary it), half of them exact outputs, between tokens of 6, 8
//! and 18 decimals and a few odd ones.
//!
//! No contract among the deployed ones of `../shared/data` is such a pool: the two that know
//! `getAmountOut(uint256,address)` call it, and none has `stable()`.
//!
//! What the engine says the pool gives, and a volatile one gives no unit more. Aerodrome's stable
//! form takes the decimals out twice in one place: now and then it quotes nothing for what it would
//! give, or a unit more than it gives. Such cases are counted; Velodrome's form has none.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use alloy::primitives::{Address, U256, address, hex, keccak256};
use alloy::sol_types::SolCall;
use gannet_engine::amm::constant_product::RESERVE_MAX;
use gannet_engine::amm::{Amm, Solidly, SolidlyState, Ticks};
use gannet_engine::ids::Direction;
use serde_json::Value;

use crate::differential::{Random, SEED, Verdict, agree};
use crate::evm::abi::{self, Pair};
use crate::evm::{LAST_TRADE, Market, STRANGER};

const STATES: u32 = 1_200;
const SWAPS_PER_STATE: u32 = 20;
/// Tokens' decimals; those at the end are rare.
const DECIMALS: [u8; 8] = [6, 6, 8, 18, 18, 18, 2, 24];
const USUAL: usize = 6;
const FEES: Address = address!("0x000000000000000000000000000000000000fee5");

/// Of each kind of case, the least share of all swaps, in thousandths.
const LEAST: [(&str, u32); 10] = [
    ("exact in, volatile", 100),
    ("exact in, stable", 100),
    ("exact out, volatile", 100),
    ("exact out, stable", 100),
    ("of 6 and 18 decimals", 50),
    ("of 8 and another number of decimals", 50),
    ("of an odd number of decimals", 10),
    ("more than a tenth of the reserve", 50),
    ("a price far from one", 50),
    ("refused by both", 5),
];

#[test]
fn aerodromes_pool_trades_as_the_engine_says() {
    Bench::new(Judge::Aerodrome).run();
}

#[test]
fn velodromes_pool_trades_as_the_engine_says() {
    Bench::new(Judge::Velodrome).run();
}

#[test]
fn the_solidly_style_pool_of_these_tests_trades_as_the_engine_says() {
    Bench::new(Judge::Ours).run();
}

/// Whose code trades.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Judge {
    Aerodrome,
    Velodrome,
    Ours,
}

/// A pool and what it trades.
#[derive(Clone, Copy, Debug)]
struct Place {
    pool: Address,
    tokens: [Address; 2],
    decimals: [u8; 2],
    is_stable: bool,
    fee_pips: u32,
}

struct Bench {
    judge: Judge,
    market: Market,
    random: Random,
    /// Where the pool's variables are, by name.
    slots: BTreeMap<String, U256>,
    factory: Address,
    places: Vec<Place>,
    at: Place,
    reserves: [u128; 2],
    counts: BTreeMap<&'static str, u32>,
}

/// Creation code and slots of a published pool.
fn published(form: &str) -> (Vec<u8>, BTreeMap<String, U256>) {
    let file = "scripts/chain/solidly/node_modules/pools.json";
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error} (run scripts/chain/install)"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let code = hex::decode(json[form]["bytecode"].as_str().expect("code")).expect("hex");
    let slots = json[form]["slots"].as_object().expect("slots").iter();
    let slot = |(name, place): (&String, &Value)| {
        (name.clone(), U256::from(place["slot"].as_u64().expect("a number")))
    };
    (code, slots.map(slot).collect())
}

impl Bench {
    fn new(judge: Judge) -> Self {
        let seed =
            env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
        println!("{judge:?}: seed {seed}");
        let mut market = Market::new();
        let factory = market.contract("SolidlyFactory", &[]);
        let (code, slots) = match judge {
            Judge::Aerodrome => published("aerodrome"),
            Judge::Velodrome => published("velodrome"),
            Judge::Ours => (vec![], BTreeMap::new()),
        };
        let nowhere = Place {
            pool: Address::ZERO,
            tokens: [Address::ZERO; 2],
            decimals: [18; 2],
            is_stable: false,
            fee_pips: 0,
        };
        let (random, counts) = (Random(seed), BTreeMap::new());
        let (places, reserves) = (vec![], [0; 2]);
        let mut bench =
            Self { judge, market, random, slots, factory, places, at: nowhere, reserves, counts };
        bench.add_places(&code);
        bench
    }

    /// Every token with every other, volatile and stable.
    fn add_places(&mut self, code: &[u8]) {
        let tokens = DECIMALS.map(|decimals| self.market.token(decimals));
        for second in 1..tokens.len() {
            for first in 0..second {
                for is_stable in [false, true] {
                    let mut pair = [first, second];
                    let address = |index: usize| self.market.address(tokens[index]);
                    if address(first) > address(second) {
                        pair.swap(0, 1);
                    }
                    let addresses = pair.map(address);
                    let decimals = pair.map(|index| DECIMALS[index]);
                    let fee_pips = if is_stable { 500 } else { 3_000 };
                    let pool = if self.judge == Judge::Ours {
                        let ids = pair.map(|index| tokens[index]);
                        let id = self.market.solidly_pool(ids, is_stable, fee_pips);
                        self.market.world.pools.get(id).address
                    } else {
                        self.market.chain.deploy(code.to_vec(), &[])
                    };
                    let place = Place { pool, tokens: addresses, decimals, is_stable, fee_pips };
                    self.places.push(place);
                    self.initialise(&place);
                }
            }
        }
    }

    /// What the published pool's `initialize` and first `mint` leave behind.
    fn initialise(&mut self, place: &Place) {
        for token in place.tokens {
            self.market.fund(token, FEES, 1);
        }
        if self.judge == Judge::Ours {
            return;
        }
        let unit = |token: usize| U256::from(10).pow(U256::from(place.decimals[token]));
        let word = |address: Address| -> U256 { address.into_word().into() };
        let last = U256::from(LAST_TRADE);
        for (name, value) in [
            ("_totalSupply", U256::from(1_000_000_000_000_000_000_u128)),
            // Behind the voter in its slot.
            ("stable", U256::from(u8::from(place.is_stable)) << 160),
            ("token0", word(place.tokens[0])),
            ("token1", word(place.tokens[1])),
            ("poolFees", word(FEES)),
            ("factory", word(self.factory)),
            ("observations", U256::ONE),
            ("decimals0", unit(0)),
            ("decimals1", unit(1)),
            ("blockTimestampLast", last),
            ("index0", U256::ONE),
            ("index1", U256::ONE),
        ] {
            let slot = self.slots[name];
            self.market.chain.set_slot(place.pool, slot, value);
        }
        let first = keccak256(self.slots["observations"].to_be_bytes::<32>());
        self.market.chain.set_slot(place.pool, first.into(), last);
    }

    fn run(mut self) {
        let mut mismatches = 0;
        for number in 0..STATES {
            self.next_state();
            for _ in 0..SWAPS_PER_STATE {
                if let Err(difference) = self.swap() {
                    mismatches += 1;
                    if mismatches <= 10 {
                        println!("state {number}: {difference}");
                    }
                    self.next_state();
                }
            }
        }
        let (swaps, judge) = (STATES * SWAPS_PER_STATE, self.judge);
        println!("{judge:?}: {swaps} swaps, {mismatches} mismatches");
        for (kind, count) in &self.counts {
            println!("{judge:?}: {count:>6} {kind}");
        }
        assert_eq!(mismatches, 0);
        for (kind, least) in LEAST {
            let count = self.counts.get(kind).copied().unwrap_or(0);
            assert!(count >= least * swaps / 1_000, "{kind}: too few to prove anything");
        }
    }

    fn count(&mut self, kind: &'static str, is_so: bool) {
        *self.counts.entry(kind).or_default() += u32::from(is_so);
    }

    /// Another pool with other reserves.
    fn next_state(&mut self) {
        loop {
            self.at = self.random.pick(&self.places);
            let is_odd = self.at.decimals.iter().any(|it| !DECIMALS[..USUAL].contains(it));
            if !is_odd || self.random.below(8) == 0 {
                break;
            }
        }
        if self.judge != Judge::Ours {
            let bips = self.random.pick(&[0, 1, 4, 5, 18, 30, 100]);
            self.market.chain.set_slot(self.factory, U256::ZERO, U256::from(bips));
            self.at.fee_pips = bips * 100;
        }
        let worth = self.random.share(1 << 40) + 1;
        let tilt = self.random.pick(&[1, 1, 2, 20, 1_000]);
        let mut reserves = self.at.decimals.map(|decimals| {
            let unit = 10_u128.pow(decimals.into());
            (unit / 1_000 + 1).saturating_mul(worth * (90 + self.random.share(20)))
        });
        let tilted = self.random.below(2);
        reserves[tilted] = reserves[tilted].saturating_mul(tilt);
        if self.random.below(16) == 0 {
            reserves = [(); 2].map(|()| self.random.share(RESERVE_MAX));
        }
        self.reserves = reserves.map(|reserve| reserve.min(RESERVE_MAX));
        self.set_reserves();
    }

    fn set_reserves(&mut self) {
        let names = ["reserve0", "reserve1"];
        for (token, name) in names.into_iter().enumerate() {
            let slot = match self.judge {
                Judge::Ours => U256::from(token),
                Judge::Aerodrome | Judge::Velodrome => self.slots[name],
            };
            let (pool, reserve) = (self.at.pool, self.reserves[token]);
            self.market.chain.set_slot(pool, slot, U256::from(reserve));
            self.market.fund(self.at.tokens[token], pool, reserve);
        }
    }

    const fn engine(&self) -> Solidly {
        let Place { decimals, is_stable, fee_pips, .. } = self.at;
        let state = SolidlyState { reserves: self.reserves, decimals, fee_pips, is_stable };
        Solidly::new(&state).expect("reserves have 112 bits")
    }

    /// What the pool itself quotes.
    fn quote(&mut self, amount: u128, direction: Direction) -> Option<u128> {
        let token = self.at.tokens[direction.index_in()];
        let call = abi::Solidly::getAmountOutCall { amountIn: U256::from(amount), tokenIn: token };
        let quote: U256 = self.market.chain.read(self.at.pool, &call)?;
        Some(quote.to())
    }

    /// Whether the pool gives `out` for `paid`; if it is kept, its reserves then.
    fn trade(
        &mut self,
        [paid, out]: [u128; 2],
        direction: Direction,
        is_kept: bool,
    ) -> Result<[u128; 2], String> {
        let Place { pool, tokens, .. } = self.at;
        let (into, from) = (direction.index_in(), direction.index_out());
        self.market.fund(tokens[into], pool, self.reserves[into] + paid);
        let mut outs = [U256::ZERO; 2];
        outs[from] = U256::from(out);
        let [out0, out1] = outs;
        let call = Pair::swapCall { out0, out1, to: STRANGER, data: vec![].into() }.abi_encode();
        let receipt = match is_kept {
            true => self.market.chain.send(STRANGER, pool, call),
            false => self.market.chain.peek(STRANGER, pool, call),
        };
        if receipt.answer.is_err() || !is_kept {
            self.market.fund(tokens[into], pool, self.reserves[into]);
        }
        receipt.answer?;
        Ok(tokens.map(|token| self.market.balance(token, pool)))
    }

    fn swap(&mut self) -> Verdict {
        let direction = self.random.pick(&[Direction::ZeroForOne, Direction::OneForZero]);
        let is_exact_in = self.random.below(2) == 0;
        let side = if is_exact_in { direction.index_in() } else { direction.index_out() };
        let reserve = self.reserves[side];
        let amount = match self.random.below(16) {
            0 => self.random.share(RESERVE_MAX),
            1 => reserve / 2 + self.random.share(reserve),
            2..9 => self.random.share(reserve / 2),
            _ => self.random.wide() % (reserve / 4 + 1),
        };
        let amount = amount.max(1);
        let kinds = self.kinds(amount, reserve);
        for (kind, is_so) in kinds {
            self.count(kind, is_so);
        }
        match is_exact_in {
            true => self.exact_in(amount, direction),
            false => self.exact_out(amount, direction),
        }
    }

    fn kinds(&self, amount: u128, reserve: u128) -> [(&'static str, bool); 5] {
        let has = |decimals: u8| self.at.decimals.contains(&decimals);
        let whole = |token: usize| {
            self.reserves[token] as f64 / 10_f64.powi(self.at.decimals[token].into())
        };
        let tilt = (whole(0) / whole(1)).ln().abs();
        [
            ("of 6 and 18 decimals", has(6) && has(18)),
            ("of 8 and another number of decimals", has(8)),
            (
                "of an odd number of decimals",
                self.at.decimals.iter().any(|it| !DECIMALS[..USUAL].contains(it)),
            ),
            ("more than a tenth of the reserve", amount > reserve / 10),
            ("a price far from one", tilt > 2.0),
        ]
    }

    /// The pool's quote is the engine's, and the pool pays it; or both refuse.
    fn exact_in(&mut self, amount: u128, direction: Direction) -> Verdict {
        let engine = self.engine();
        let quote = self.quote(amount, direction).filter(|quote| *quote > 0);
        let fits = self.reserves[direction.index_in()] + amount <= RESERVE_MAX;
        let Some(ours) = engine.swap_in(Ticks::NONE, amount, direction) else {
            let Some(quote) = quote.filter(|_| fits) else {
                self.count("refused by both", true);
                return Ok(());
            };
            let answer = self.trade([amount, quote], direction, false);
            self.count("quoted by the pool, and refused by both", answer.is_err());
            return agree(&format!("{engine:?} {amount} {direction:?}"), true, answer.is_err());
        };
        let what = format!("{engine:?} {amount} {direction:?}: {}", ours.amount_out);
        match quote {
            Some(theirs) if theirs == ours.amount_out => {}
            None if self.judge == Judge::Aerodrome => self.count("given, and not quoted", true),
            Some(theirs) if self.judge == Judge::Aerodrome && theirs > ours.amount_out => {
                let answer = self.trade([amount, theirs], direction, false);
                self.count("quoted, and refused by the same pool", true);
                agree(&format!("{what}, quoted {theirs}"), true, answer.is_err())?;
            }
            theirs => agree(&what, Some(ours.amount_out), theirs)?,
        }
        let more = self.trade([amount, ours.amount_out + 1], direction, false);
        self.count("a unit more would do", more.is_ok());
        if !self.at.is_stable {
            agree(&format!("{what}, a unit more"), true, more.is_err())?;
        }
        let after = self.trade([amount, ours.amount_out], direction, true);
        agree(&what, Ok(ours.after.state().reserves), after)?;
        self.reserves = ours.after.state().reserves;
        let is_stable = self.at.is_stable;
        self.count("exact in, stable", is_stable);
        self.count("exact in, volatile", !is_stable);
        Ok(())
    }

    /// The pool gives the output for the engine's input, and a volatile one for no less.
    fn exact_out(&mut self, amount: u128, direction: Direction) -> Verdict {
        let engine = self.engine();
        let room = RESERVE_MAX - self.reserves[direction.index_in()];
        let Some(ours) = engine.swap_out(Ticks::NONE, amount, direction) else {
            let answer = self.trade([room, amount], direction, false);
            self.count("refused by both", answer.is_err());
            // A stable pool may give for all that fits what it does not quote.
            self.count("given by the pool, and not by the engine", answer.is_ok());
            let what = format!("{engine:?} {direction:?} out {amount}");
            return agree(&what, true, answer.is_err() || self.at.is_stable);
        };
        let what = format!("{engine:?} {direction:?} out {amount}: {}", ours.amount_in);
        agree(&what, amount, ours.amount_out)?;
        if !self.at.is_stable {
            let less = self.trade([ours.amount_in - 1, amount], direction, false);
            agree(&format!("{what}, a unit less"), true, less.is_err())?;
        }
        let is_quoted = self.quote(ours.amount_in, direction) >= Some(amount);
        agree(&what, true, is_quoted || self.judge == Judge::Aerodrome)?;
        let after = self.trade([ours.amount_in, amount], direction, true);
        agree(&what, Ok(ours.after.state().reserves), after)?;
        self.reserves = ours.after.state().reserves;
        let is_stable = self.at.is_stable;
        self.count("exact out, stable", is_stable);
        self.count("exact out, volatile", !is_stable);
        Ok(())
    }
}
