//! Random accounts through the code of mainnet's newest pool: what an account may owe before its
//! health is below one, and the indices and debt that a borrow leaves, are the engine's to the wei.
//!
//! That code links five libraries. Of these, the blocks that are at hand have the one that borrows
//! and repays and the one of flash loans; they lack the one that reads accounts out, the one that
//! liquidates and the one that supplies. But who borrows must have a health of one or more
//! afterwards, by the same function that a liquidation asks: so each state asks for exactly as much
//! as the engine says is allowed, which must land, and for one unit more, which must not. The
//! amounts of a liquidation at this revision rest on the reference's vectors.
//!
//! The pool, the library and both tokens are the chain's own code; the provider, the oracle, the
//! rate strategy and the underlying are a few bytes each.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;

use alloy::primitives::{Address, U256, address, keccak256};
use alloy::sol_types::{SolCall, SolValue};
use gannet_engine::lending::aave::events::{Event, ReserveChange, decode};
use gannet_engine::lending::aave::{Entry, Rules, index, wide};
use gannet_engine::lending::math::{Fault, RAY, WAD, mul_div_up};

use crate::aave_bench::{
    DECIMALS, Ended, NOW, Scene, USER, Vm, configuration, numbered_slot, pair, slots, write_account,
};
use crate::codes::code_with;
use crate::differential::{Random, SEED, Verdict, agree};
use crate::evm::mapping_slot;

const STATES: u32 = 20_000;
/// Where the tokens and the pool's code expect each other.
const POOL: Address = address!("87870bca3f3fd6335c3f4ce8392d69350b4fa4e2");
const PROVIDER: Address = address!("2f39d218133afab8f2b819b1066c7e434ad94e9e");
const STRATEGY: Address = address!("9ec6f08190dea04a54f8afc53db96134e5e3fdfb");
const INCENTIVES: Address = address!("8164cc65827dcfe994ab23944cbc90e0aa80bfcb");
const BORROW_LOGIC: Address = address!("52da0ce88202d1542543598d1e1e27f0d344726a");
/// In whose code the pool's liquidation, the revision's reading and nothing older meet.
const POOL_CODE: &str = "630148170e";
const BORROW_CODE: &str = "7352da0ce88202d1542543598d1e1e27f0d344726a3014";
/// Of a function that only the collateral token's code has, and of one of the debt token's.
const A_TOKEN_CODE: &str = "63353b7b9a";
const DEBT_TOKEN_CODE: &str = "6391fb372d";

/// Where the pool lists its reserves by number.
const RESERVE_LIST_SLOT: u64 = 54;
/// Where a collateral token and a debt token keep what they are tokens of.
const UNDERLYING_SLOTS: [u64; 2] = [61, 55];

const ORACLE: Address = Address::repeat_byte(0x0c);

/// Of each kind of case, the least share of all, in thousandths.
const LEAST: [(&str, u32); 9] = [
    ("asked", 500),
    ("in a category", 150),
    ("collateral without a threshold of its own", 20),
    ("the same without, in a category", 5),
    ("collateral at a category's threshold", 50),
    ("several reserves", 300),
    ("first debt in its reserve", 100),
    ("debt in other reserves, too", 100),
    ("time since the last update", 400),
];

alloy::sol! {
    interface INewPool {
        function POOL_REVISION() external view returns (uint256);
        function borrow(
            address asset, uint256 amount, uint256 mode, uint16 referral, address onBehalfOf
        ) external;
    }
    interface IScaled {
        function scaledBalanceOf(address user) external view returns (uint256);
    }
}

#[test]
fn an_account_may_owe_what_the_newest_pool_says_to_the_wei() {
    let Some(mut bench) = Bench::new() else { return };
    let mut mismatches = 0;
    for number in 0..STATES {
        let (scene, borrowed) = bench.next();
        if let Err(difference) = bench.judge(&scene, borrowed) {
            println!("state {number}: {difference}\n  {borrowed} of {scene:?}");
            mismatches += 1;
        }
    }
    for (kind, count) in &bench.counts {
        println!("{count:>7} {kind}");
    }
    assert_eq!(mismatches, 0, "of {STATES} states");
    for (kind, share) in LEAST {
        let count = bench.counts.get(kind).copied().unwrap_or(0);
        assert!(count * 1_000 >= share * STATES, "{kind}: only {count}");
    }
}

/// Code that answers everything with what these bytes leave on the stack.
fn answers(with: &[u8]) -> Vec<u8> {
    // Stores it at 0 and returns that word.
    [with, &[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]].concat()
}

struct Bench {
    vm: Vm,
    random: Random,
    rules: Rules,
    /// Collateral token and debt token, by number.
    tokens: Vec<[Address; 2]>,
    counts: BTreeMap<&'static str, u32>,
}

impl Bench {
    fn new() -> Option<Self> {
        let seed =
            env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
        let mut vm = Vm::new();
        vm.put(POOL, code_with(POOL_CODE)?);
        vm.put(BORROW_LOGIC, code_with(BORROW_CODE)?);
        vm.put(PROVIDER, answers(&[&[0x73], ORACLE.as_slice()].concat()));
        // The price of an asset is in the slot that its address names.
        vm.put(ORACLE, answers(&[0x60, 0x04, 0x35, 0x54]));
        // Both rates are zero: two words of memory that nobody wrote.
        vm.put(STRATEGY, vec![0x60, 0x40, 0x5f, 0xf3]);
        vm.put(INCENTIVES, vec![0x00]);
        let codes = [code_with(A_TOKEN_CODE)?, code_with(DEBT_TOKEN_CODE)?];
        let mut tokens = vec![];
        for number in (0..).take(DECIMALS.len()) {
            let asset = underlying(number);
            vm.put(asset, answers(&[0x60, 0x01]));
            let pair = [0x20, 0x30].map(|kind| Address::repeat_byte(kind | number));
            for (token, code) in pair.into_iter().zip(&codes) {
                vm.put(token, code.clone());
            }
            let word = asset.into_word().into();
            for (token, slot) in pair.into_iter().zip(UNDERLYING_SLOTS) {
                vm.set(token, U256::from(slot), word);
            }
            vm.set(POOL, numbered_slot(number.into(), RESERVE_LIST_SLOT), word);
            tokens.push(pair);
        }
        let revision = vm.ask(USER, POOL, INewPool::POOL_REVISIONCall {}.abi_encode());
        let revision = U256::abi_decode(&revision.answer.expect("a constant")).expect("a number");
        println!("aave, revision {revision}: seed {seed}");
        let rules = Rules::of(revision.to()).expect("it is known");
        Some(Self { vm, random: Random(seed), rules, tokens, counts: BTreeMap::new() })
    }

    /// Another state, and the reserve that is borrowed from.
    fn next(&mut self) -> (Scene, u16) {
        let mut scene = Scene::random(&mut self.random, self.rules);
        for reserve in &mut scene.reserves {
            (reserve.is_active, reserve.is_paused) = (true, false);
            reserve.available = u128::MAX >> 16;
        }
        let borrowed = self.random.below(scene.reserves.len());
        // What it owes already leaves room for more.
        for entry in &mut scene.entries {
            entry.debt = if self.random.below(2) == 0 { 0 } else { entry.debt / 3 };
        }
        let random = &mut self.random;
        scene.entries.retain(|entry| entry.collateral != 0 || entry.debt != 0);
        if random.below(3) == 0 && scene.category != 0 {
            let category = &mut scene.categories[usize::from(scene.category)];
            category.collateral_bitmap |= random.wide() & 0xff;
        }
        self.write(&scene);
        (scene, u16::try_from(borrowed).expect("few"))
    }

    fn write(&mut self, scene: &Scene) {
        let Self { vm, tokens, .. } = self;
        for (number, (reserve, pairs)) in (0_u8..).zip(scene.reserves.iter().zip(&*tokens)) {
            let asset = underlying(number);
            let base = mapping_slot(asset, slots::RESERVES);
            let state = (U256::from(reserve.updated_at) << 128) | (U256::from(number) << 168);
            let address = |token: Address| U256::from_be_bytes(token.into_word().0);
            let words = [
                // A high loan to value, so that health is what limits a borrow.
                (0, configuration(reserve, u16::MAX)),
                (1, pair(reserve.liquidity_index, reserve.liquidity_rate)),
                (2, pair(reserve.borrow_index, reserve.borrow_rate)),
                (3, state),
                (4, address(pairs[0])),
                (6, address(pairs[1])),
                (8, pair(0, reserve.available)),
            ];
            for (place, word) in words {
                vm.set(POOL, base + U256::from(place), word);
            }
            let price = scene.prices[usize::from(number)];
            vm.set(ORACLE, asset.into_word().into(), price);
        }
        for (number, category) in (0_u64..).zip(&scene.categories).skip(1) {
            let base = numbered_slot(number, slots::CATEGORIES);
            let word = U256::from(u16::MAX)
                | (U256::from(category.threshold_bps) << 16)
                | (U256::from(category.bonus_bps) << 32)
                | (wide(category.collateral_bitmap) << 48);
            vm.set(POOL, base, word);
            // All may be borrowed, and none has its loan to value taken away.
            vm.set(POOL, base + U256::from(2), pair(u128::MAX, 0));
        }
        write_account(vm, POOL, scene, tokens);
    }

    fn borrow(&mut self, number: u16, amount: U256) -> Ended {
        let asset = underlying(u8::try_from(number).expect("few"));
        let mode = U256::from(2);
        let call = INewPool::borrowCall { asset, amount, mode, referral: 0, onBehalfOf: USER };
        self.vm.ask(USER, POOL, call.abi_encode())
    }

    fn count(&mut self, kind: &'static str, is: bool) {
        *self.counts.entry(kind).or_default() += u32::from(is);
    }

    /// Whether the account stays healthy if it borrows this much; and the scaled debt it has then.
    fn stays_healthy(scene: &Scene, number: u16, amount: U256) -> Result<(bool, u128), Fault> {
        let index = index::debt(&scene.rules, &scene.reserves[usize::from(number)], NOW)?;
        let minted = u128::try_from(mul_div_up(amount, RAY, index)?).ok().ok_or(Fault::Overflow)?;
        let mut then = scene.clone();
        let before = then.entries.iter().find(|entry| entry.reserve == number);
        let debt = before.map_or(0, |entry| entry.debt);
        let debt = debt.checked_add(minted).ok_or(Fault::Overflow)?;
        then.owe(number, debt);
        let health = then.position().health(&|key| then.price(key))?;
        Ok((health.health_factor >= WAD, debt))
    }

    fn judge(&mut self, scene: &Scene, number: u16) -> Verdict {
        let fits = |amount: U256| {
            Self::stays_healthy(scene, number, amount).is_ok_and(|(is_healthy, _)| is_healthy)
        };
        if !fits(U256::ONE) {
            self.count("owes too much already", true);
            return self.is_refused(number, U256::ONE);
        }
        // By halves: an account that may owe more than this much is not asked.
        let (mut least, mut most) = (U256::ONE, U256::ONE << 100);
        if fits(most) {
            self.count("may owe more than there is", true);
            return Ok(());
        }
        while most - least > U256::ONE {
            let middle = (least + most) / U256::from(2);
            if fits(middle) { least = middle } else { most = middle }
        }
        self.counted(scene, number);
        self.is_refused(number, most)?;
        self.lands(scene, number, least)
    }

    fn counted(&mut self, scene: &Scene, number: u16) {
        let position = scene.position();
        let of = |entry: &Entry| scene.reserves[usize::from(entry.reserve)];
        let held =
            || scene.entries.iter().filter(|entry| entry.is_collateral && entry.collateral != 0);
        let bare = |entry: &&Entry| of(entry).threshold_bps == 0;
        let member = |entry: &&Entry| position.category_of(entry.reserve, &of(entry)).is_some();
        let own = |entry: &&Entry| entry.reserve == number;
        let (is_bare, is_member) = (held().any(|e| bare(&e)), held().any(|e| member(&e)));
        let is_both = held().any(|e| bare(&e) && member(&e));
        let other = scene.entries.iter().any(|entry| entry.debt != 0 && !own(&entry));
        let first = !scene.entries.iter().any(|entry| entry.debt != 0 && own(&entry));
        self.count("asked", true);
        self.count("in a category", scene.category != 0);
        self.count("collateral without a threshold of its own", is_bare);
        self.count("the same without, in a category", is_both);
        self.count("collateral at a category's threshold", is_member);
        self.count("several reserves", scene.entries.len() > 1);
        self.count("first debt in its reserve", first);
        self.count("debt in other reserves, too", other);
        let reserve = &scene.reserves[usize::from(number)];
        self.count("time since the last update", reserve.updated_at < NOW);
    }

    fn is_refused(&mut self, number: u16, amount: U256) -> Verdict {
        const NAMES: [&str; 2] =
            ["HealthFactorLowerThanLiquidationThreshold()", "LtvValidationFailed()"];
        match self.borrow(number, amount).answer {
            Err(reason) => {
                let known = NAMES.iter().any(|name| reason[..] == keccak256(name)[..4]);
                if known { Ok(()) } else { Err(format!("{amount} is refused for {reason}")) }
            }
            Ok(_) => Err(format!("{amount} lands: the engine says it is too much")),
        }
    }

    fn lands(&mut self, scene: &Scene, number: u16, amount: U256) -> Verdict {
        let ended = self.borrow(number, amount);
        if let Err(reason) = &ended.answer {
            return Err(format!("{amount} is refused for {reason}: the engine says it is allowed"));
        }
        let (_, debt) = Self::stays_healthy(scene, number, amount).expect("it was tried");
        let [_, token] = self.tokens[usize::from(number)];
        let word = ended.slot(token, mapping_slot(USER, slots::DEBT));
        agree("debt", Some(wide(debt)), word.map(|word| word & wide(u128::MAX >> 8)))?;
        let reserve = &scene.reserves[usize::from(number)];
        let told = ended.logs.iter().filter(|log| log.address == POOL);
        let told = told.map(|log| decode(log.data.topics(), &log.data.data));
        let told = told.filter_map(Result::ok).find_map(|event| {
            let Event::Reserve { change: ReserveChange::Data { liquidity, borrow }, .. } = event
            else {
                return None;
            };
            Some((liquidity.1, borrow.1))
        });
        let small = |index: U256| u128::try_from(index).expect("it fits");
        let mut wanted = (
            small(index::income(reserve, NOW).expect("it fits")),
            small(index::debt(&scene.rules, reserve, NOW).expect("it fits")),
        );
        // The pool leaves an index alone where nothing would grow.
        if reserve.liquidity_rate == 0 {
            wanted.0 = reserve.liquidity_index;
        }
        agree("indices", Some(wanted), told)
    }
}

const fn underlying(number: u8) -> Address {
    Address::repeat_byte(0x10 | number)
}
