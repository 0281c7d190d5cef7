//! Random states of a Compound III market: who can be absorbed, what an absorption leaves behind
//! and what the shop sells for how much are the engine's, to the unit.
//!
//! The judge is the one Comet among the deployed contracts of `../shared/data`, mainnet's for USDC,
//! with its own terms and up to 15 kinds of collateral; no code of the form with 24 is there.
//! Tokens are this repository's and feeds are a few bytes, at the addresses that the code names.
//! One run is 24,000 states from one seed (`GANNET_SEED` to vary it), each written into storage;
//! what the transactions log is read by the engine and applied to its table, which then must be
//! what storage says.
//!
//! Temperature: cold.

mod judge;

use std::collections::BTreeMap;
use std::env;

use alloy::primitives::{Address, U256, hex, keccak256};
use gannet_engine::lending::comet::{
    self, Account, Asset, Curve, Market, PRINCIPAL_MAX, Priced, Terms, Totals, layout, pause,
};
use gannet_engine::lending::math::Fault;

use crate::codes;
use crate::differential::{Random, SEED};
use crate::evm::{Chain, Receipt, STRANGER, TIME, bytecode, mapping_slot};

use self::abi::Comet;

const STATES: u32 = 24_000;
const COMET: Address = Address::repeat_byte(0xc3);
const BUYER: Address = Address::repeat_byte(0xb1);
const BORROWERS: [Address; 2] = [Address::repeat_byte(0xd1), Address::repeat_byte(0xd2)];
/// `latestRoundData` with the answer that is in slot 0, and with nothing else.
const FEED: &str = "60005460205260a06000f3";
/// A feed's answers are signed.
const NEGATIVE: U256 = U256::MAX;
/// Longest time without a touch, in seconds.
const IDLE_MAX: u128 = 10 * 31_536_000;

/// Of each kind of case, the least number in a run.
const LEAST: [(&str, u32); 23] = [
    ("utilisation and rates", STATES),
    ("liquidatable before interest", 2_000),
    ("not liquidatable before interest", 2_000),
    ("no health before interest", 500),
    ("liquidatable by interest alone", 50),
    ("touched", 5_000),
    ("absorbed", 4_000),
    ("absorbed, two at once", 500),
    ("absorbed, with a credit", 500),
    ("absorbed, at the reserves' cost", 1_000),
    ("absorb refused: NotLiquidatable", 1_000),
    ("absorb refused: Paused", 100),
    ("absorb refused: BadPrice", 100),
    ("absorb refused: Panic", 10),
    ("quoted", 10_000),
    ("bought", 2_000),
    ("bought what was absorbed just before", 500),
    ("buy refused: NotForSale", 1_000),
    ("buy refused: InsufficientReserves", 500),
    ("buy refused: TooMuchSlippage", 500),
    ("buy refused: Paused", 100),
    ("buy refused: BadPrice", 100),
    ("reserves below zero", 500),
];

pub(crate) mod abi {
    alloy::sol! {
        interface Comet {
            struct AssetInfo {
                uint8 offset;
                address asset;
                address priceFeed;
                uint64 scale;
                uint64 borrowCollateralFactor;
                uint64 liquidateCollateralFactor;
                uint64 liquidationFactor;
                uint128 supplyCap;
            }
            function baseToken() external view returns (address);
            function baseTokenPriceFeed() external view returns (address);
            function baseScale() external view returns (uint64);
            function numAssets() external view returns (uint8);
            function getAssetInfo(uint8 i) external view returns (AssetInfo memory);
            function getPrice(address feed) external view returns (uint256);
            function storeFrontPriceFactor() external view returns (uint64);
            function targetReserves() external view returns (uint104);
            function supplyKink() external view returns (uint64);
            function supplyPerSecondInterestRateSlopeLow() external view returns (uint64);
            function supplyPerSecondInterestRateSlopeHigh() external view returns (uint64);
            function supplyPerSecondInterestRateBase() external view returns (uint64);
            function borrowKink() external view returns (uint64);
            function borrowPerSecondInterestRateSlopeLow() external view returns (uint64);
            function borrowPerSecondInterestRateSlopeHigh() external view returns (uint64);
            function borrowPerSecondInterestRateBase() external view returns (uint64);

            function isLiquidatable(address account) external view returns (bool);
            function getUtilization() external view returns (uint256);
            function getSupplyRate(uint256 utilization) external view returns (uint64);
            function getBorrowRate(uint256 utilization) external view returns (uint64);
            function getReserves() external view returns (int256);
            function borrowBalanceOf(address account) external view returns (uint256);
            function quoteCollateral(address asset, uint256 amount)
                external view returns (uint256);

            function initializeStorage() external;
            function supply(address asset, uint256 amount) external;
            function withdraw(address asset, uint256 amount) external;
            function accrueAccount(address account) external;
            function absorb(address absorber, address[] accounts) external;
            function buyCollateral(
                address asset, uint256 minAmount, uint256 baseAmount, address recipient
            ) external;
        }
    }
}

/// What a market's terms are, and what it takes as collateral, by its views.
pub(crate) fn read_market(chain: &mut Chain, comet: Address) -> (Terms, Vec<Asset>) {
    macro_rules! read {
        ($call:expr) => {
            chain.read(comet, &$call).expect("a view")
        };
    }
    let terms = Terms {
        base_token: read!(Comet::baseTokenCall {}),
        base_feed: read!(Comet::baseTokenPriceFeedCall {}),
        base_scale: read!(Comet::baseScaleCall {}),
        supply: Curve {
            kink: read!(Comet::supplyKinkCall {}),
            slope_low: read!(Comet::supplyPerSecondInterestRateSlopeLowCall {}),
            slope_high: read!(Comet::supplyPerSecondInterestRateSlopeHighCall {}),
            base: read!(Comet::supplyPerSecondInterestRateBaseCall {}),
        },
        borrow: Curve {
            kink: read!(Comet::borrowKinkCall {}),
            slope_low: read!(Comet::borrowPerSecondInterestRateSlopeLowCall {}),
            slope_high: read!(Comet::borrowPerSecondInterestRateSlopeHighCall {}),
            base: read!(Comet::borrowPerSecondInterestRateBaseCall {}),
        },
        store_front_price_factor: read!(Comet::storeFrontPriceFactorCall {}),
        target_reserves: read!(Comet::targetReservesCall {}).to(),
    };
    let assets = (0..read!(Comet::numAssetsCall {})).map(|index| {
        let info = read!(Comet::getAssetInfoCall { i: index });
        assert_eq!(info.offset, index);
        Asset {
            token: info.asset,
            feed: info.priceFeed,
            scale: info.scale,
            liquidate_factor: info.liquidateCollateralFactor,
            liquidation_factor: info.liquidationFactor,
            ..Asset::default()
        }
    });
    let assets = assets.collect();
    (terms, assets)
}

#[test]
fn random_states_of_a_market_are_the_bytecodes_to_the_unit() {
    let Some(code) = codes::code_with("63c3cecfd2") else { return };
    let seed = env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
    println!("comet: seed {seed}");
    Bench::new(code, Random(seed)).run();
}

/// One account as it is written and as the engine has it.
#[derive(Clone, Debug, Default)]
struct Position {
    principal: i128,
    assets_in: u32,
    balances: Vec<u128>,
}

impl Position {
    fn account(&self) -> Account<'_> {
        let Self { principal, assets_in, .. } = *self;
        Account { principal, assets_in, balances: &self.balances }
    }
}

/// What is written into storage, as the engine has it.
#[derive(Clone, Debug)]
struct State {
    market: Market,
    assets: Vec<Asset>,
    positions: [Position; 2],
    /// The collaterals' and then the base token's.
    answers: Vec<U256>,
}

impl State {
    fn price(&self, what: Priced) -> Result<U256, Fault> {
        Ok(match what {
            Priced::Base => self.answers[self.assets.len()],
            Priced::Asset(index) => self.answers[usize::from(index)],
        })
    }
}

struct Bench {
    chain: Chain,
    random: Random,
    terms: Terms,
    assets: Vec<Asset>,
    counts: BTreeMap<String, u32>,
}

/// The contract's name for a refusal.
fn reason(error: &str) -> &str {
    const NAMES: [&str; 13] = [
        "Paused()",
        "NotLiquidatable()",
        "BadPrice()",
        "NotForSale()",
        "InsufficientReserves()",
        "TooMuchSlippage()",
        "InvalidInt104()",
        "InvalidInt256()",
        "InvalidUInt64()",
        "InvalidUInt104()",
        "InvalidUInt128()",
        "NegativeNumber()",
        "Panic(uint256)",
    ];
    let data = hex::decode(error).unwrap_or_default();
    let named = NAMES.iter().find(|name| data.get(..4) == Some(&keccak256(**name)[..4]));
    named.map_or(error, |name| name.split_once('(').expect("it has arguments").0)
}

/// What the contract calls what the engine refuses.
const fn reasons(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::Overflow | Fault::Underflow => &[
            "Panic",
            "InvalidInt104",
            "InvalidInt256",
            "InvalidUInt64",
            "InvalidUInt104",
            "InvalidUInt128",
        ],
        Fault::NoPrice => &["BadPrice"],
        Fault::Forbidden => &["Paused", "NotForSale"],
        Fault::Healthy => &["NotLiquidatable"],
        Fault::NoLiquidity => &["InsufficientReserves"],
        Fault::Dust | Fault::NotHeld | Fault::Unknown | Fault::Unsure => &[],
    }
}

/// Compares what the engine refuses with how a call reverted; the answer if neither did.
fn both<T: std::fmt::Debug>(
    what: &str,
    ours: Result<T, Fault>,
    receipt: &Receipt,
) -> Result<Option<T>, String> {
    match (ours, &receipt.answer) {
        (Ok(ours), Ok(_)) => Ok(Some(ours)),
        (Err(fault), Err(error)) if reasons(fault).contains(&reason(error)) => Ok(None),
        (ours, theirs) => Err(format!("{what}: engine {ours:?}, bytecode {theirs:?}")),
    }
}

impl Bench {
    fn new(code: Vec<u8>, random: Random) -> Self {
        let mut chain = Chain::new();
        chain.set_code(COMET, code);
        let (terms, assets) = read_market(&mut chain, COMET);
        println!("comet: {terms:?}, {} kinds of collateral", assets.len());
        let mut bench = Self { chain, random, terms, assets, counts: BTreeMap::new() };
        bench.put_tokens_and_feeds();
        bench
    }

    fn put_tokens_and_feeds(&mut self) {
        let made = bytecode("engine/tests/sol/contracts.json", Some("Token"));
        let made = self.chain.deploy(made, &U256::from(18).to_be_bytes::<32>());
        let token = self.chain.code(made);
        let tokens = self.assets.iter().map(|asset| (asset.token, asset.feed));
        let all: Vec<_> = tokens.chain([(self.terms.base_token, self.terms.base_feed)]).collect();
        for (at, feed) in all {
            self.chain.set_code(at, token.clone());
            self.chain.set_code(feed, hex::decode(FEED).expect("hexadecimal digits"));
        }
        self.chain.set_slot(self.terms.base_token, mapping_slot(BUYER, 0), U256::MAX >> 1);
        let approved = keccak256([COMET.into_word(), mapping_slot(BUYER, 1).into()].concat());
        self.chain.set_slot(self.terms.base_token, approved.into(), U256::MAX);
    }

    fn run(mut self) {
        let mut mismatches = 0;
        for number in 0..STATES {
            let state = self.any_state();
            self.write(&state);
            if let Err(difference) = self.views(&state).and_then(|()| self.transactions(state)) {
                mismatches += 1;
                if mismatches <= 10 {
                    println!("state {number}: {difference}");
                }
            }
        }
        println!("comet: {STATES} states, {mismatches} mismatches");
        for (kind, count) in &self.counts {
            println!("comet: {count:>7} {kind}");
        }
        assert_eq!(mismatches, 0);
        for (kind, least) in LEAST {
            let count = self.counts.get(kind).copied().unwrap_or(0);
            assert!(count >= least, "{count} of \"{kind}\" are too few to prove anything");
        }
    }

    fn count(&mut self, kind: &str) {
        *self.counts.entry(kind.to_owned()).or_default() += 1;
    }

    fn any_state(&mut self) -> State {
        let mut assets = self.assets.clone();
        let mut answers: Vec<_> = assets.iter().map(|_| self.any_price(1 << 44)).collect();
        let near_one = 99_000_000 + self.random.wide() % 2_000_000;
        answers.push(match self.random.below(40) {
            0 => self.any_price(1 << 40),
            _ => U256::from(near_one),
        });
        let positions = [self.any_position(&answers), self.any_position(&answers)];
        for (index, asset) in assets.iter_mut().enumerate() {
            let mut total: u128 = positions.iter().map(|at| at.balances[index]).sum();
            total += self.random.share(1 << 80);
            if self.random.below(100) == 0 {
                total = self.random.share(total);
            }
            asset.total = total;
            let surplus = self.random.pick(&[0, 1 << 40, 1 << 70, 1 << 80]);
            asset.held = total + self.random.share(surplus);
            if self.random.below(100) == 0 {
                asset.held = self.random.share(total);
            }
        }
        let market = Market { terms: self.terms, totals: self.any_totals(&positions) };
        State { market, assets, positions, answers }
    }

    fn any_price(&mut self, limit: u128) -> U256 {
        match self.random.below(60) {
            0 => U256::ZERO,
            1 => NEGATIVE,
            _ => U256::from(self.random.share(limit)),
        }
    }

    /// Mostly a debt near what the collateral is worth.
    fn any_position(&mut self, answers: &[U256]) -> Position {
        let mut position = Position { balances: vec![0; self.assets.len()], ..Position::default() };
        // With its threshold, and as it is credited.
        let mut worth = [0_i128; 2];
        for (index, asset) in self.assets.iter().enumerate() {
            if self.random.below(2) == 0 {
                let balance = self.random.share(u128::from(asset.scale) << 12);
                position.balances[index] = balance;
                position.assets_in |= 1 << index;
                let price = u128::try_from(answers[index]).unwrap_or(0);
                let value = balance * (price >> 8) / u128::from(asset.scale) * 256;
                let parts = [asset.liquidate_factor, asset.liquidation_factor];
                for (worth, part) in worth.iter_mut().zip(parts) {
                    let counted = value / 1_000_000 * u128::from(part / 1_000_000_000_000);
                    *worth += i128::try_from(counted / 100).expect("a value has few bits");
                }
            }
        }
        if self.random.below(32) == 0 {
            // A bit without a balance, or a balance without a bit.
            position.assets_in ^= 1 << self.random.below(self.assets.len());
        }
        let [counted, credited] = worth;
        let mut small = |limit: usize| i128::try_from(self.random.below(limit)).expect("small");
        position.principal = match small(16) {
            0 => small(1 << 56),
            1 => 0,
            2 => -small(1 << 56),
            3 => -1 - counted,
            4..=6 => -counted - (credited - counted) / 100 * small(100) - 1,
            7..=9 => -(counted / 1_000 * (960 + small(100))) - 1,
            // Well below: the reserves pay.
            _ => -(credited / 1_000 * (1_000 + small(500))) - 1,
        };
        position
    }

    fn any_totals(&mut self, positions: &[Position]) -> Totals {
        let idle = match self.random.below(8) {
            0 => 0,
            1 => self.random.share(IDLE_MAX),
            _ => self.random.share(86_400),
        };
        let mut supply: u128 = positions.iter().map(|at| at.principal.max(0).unsigned_abs()).sum();
        let mut borrow: u128 = positions.iter().map(|at| at.principal.min(0).unsigned_abs()).sum();
        supply += self.random.share(1 << 62);
        borrow += match self.random.below(8) {
            0 => 0,
            1 => self.random.share(1 << 62),
            _ => supply / 1_000 * self.random.below(1_200) as u128,
        };
        if self.random.below(100) == 0 {
            borrow = self.random.share(borrow);
        }
        if self.random.below(100) == 0 {
            supply = 0;
        }
        let index = |random: &mut Random| {
            let growth = random.pick(&[1 << 10, 1 << 50, 1 << 52]);
            u64::try_from(1_000_000_000_000_000 + random.share(growth)).expect("few bits")
        };
        let mut totals = Totals {
            supply_index: index(&mut self.random),
            borrow_index: index(&mut self.random),
            supply,
            borrow,
            last_accrual: TIME - u64::try_from(idle).expect("few bits"),
            pause: if self.random.below(16) == 0 { self.any_pause() } else { 0 },
            held: 0,
        };
        if self.random.below(500) == 0 {
            totals.last_accrual = TIME + 1;
        }
        // Reserves on both sides of their target, and of zero.
        let owed = comet::accrue::present(supply, totals.supply_index).expect("few bits");
        let owned = comet::accrue::present(borrow, totals.borrow_index).expect("few bits");
        let lack = u128::try_from(owed.saturating_sub(owned)).expect("few bits");
        let target = self.terms.target_reserves;
        totals.held = match self.random.below(4) {
            0 => self.random.share(lack),
            1 => lack + target + self.random.share(target),
            _ => lack + self.random.share(target),
        };
        totals
    }

    fn any_pause(&mut self) -> u8 {
        self.random.pick(&[pause::ABSORB, pause::BUY, pause::SUPPLY | pause::WITHDRAW, 31])
    }

    fn write(&mut self, state: &State) {
        let State { market: Market { totals, .. }, assets, positions, answers } = state;
        let word = |parts: &[(u128, usize)]| {
            let parts = parts.iter().map(|(part, shift)| U256::from(*part) << *shift);
            parts.fold(U256::ZERO, |word, part| word | part)
        };
        let Totals { supply_index, borrow_index, supply, borrow, last_accrual, pause, held } =
            *totals;
        let indices = word(&[(supply_index.into(), 0), (borrow_index.into(), 64)]);
        self.chain.set_slot(COMET, layout::INDICES, indices);
        let touched = [(u128::from(last_accrual), 208), (u128::from(pause), 248)];
        let sums = word(&[(supply, 0), (borrow, 104), touched[0], touched[1]]);
        self.chain.set_slot(COMET, layout::TOTALS, sums);
        self.chain.set_slot(self.terms.base_token, mapping_slot(COMET, 0), U256::from(held));
        // Whoever touched the market has an index of rewards, which do not go back.
        self.chain.set_slot(COMET, layout::account_slot(STRANGER), U256::ZERO);
        for (owner, position) in BORROWERS.into_iter().zip(positions) {
            let principal = position.principal.cast_unsigned() & comet::TOTAL_MAX;
            assert!(position.principal.unsigned_abs() <= PRINCIPAL_MAX, "it fits the contract");
            let basic = word(&[(principal, 0), (position.assets_in.into(), 232)]);
            self.chain.set_slot(COMET, layout::account_slot(owner), basic);
            for (asset, balance) in assets.iter().zip(&position.balances) {
                let slot = layout::balance_slot(owner, asset.token);
                self.chain.set_slot(COMET, slot, U256::from(*balance));
            }
        }
        for (asset, answer) in assets.iter().zip(answers) {
            let slot = layout::collateral_total_slot(asset.token);
            self.chain.set_slot(COMET, slot, U256::from(asset.total));
            self.chain.set_slot(asset.token, mapping_slot(COMET, 0), U256::from(asset.held));
            self.chain.set_slot(asset.feed, U256::ZERO, *answer);
        }
        self.chain.set_slot(self.terms.base_feed, U256::ZERO, answers[assets.len()]);
    }
}
