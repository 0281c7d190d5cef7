//! Random states of Morpho Blue's markets: interest, health and every amount of a liquidation are
//! the bytecode's, to the wei, and so is what is refused.
//!
//! The judges are the deployed code, from where real blocks are, and a published copy of the
//! source, compiled (`scripts/chain/compile-morpho.mjs`). The deployed adaptive curve is not among
//! those contracts, so the compiled one serves both. One run is 24,000 states of each from one seed
//! (`GANNET_SEED` to vary it), and as many of the curve alone.
//!
//! A state is written into storage. Half of the cases accrue first and compare the storage; half
//! let the liquidation do it. Most positions lie near their limit, many within one unit of it. The
//! tokens of these markets say yes to every transfer, and the oracle answers its first slot.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use alloy::primitives::{Address, B256, Log, U256, address, hex, keccak256};
use alloy::sol_types::{SolCall, SolValue};
use gannet_engine::lending::math::Fault;
use gannet_engine::lending::morpho::irm::{
    INITIAL_RATE_AT_TARGET, MAX_RATE_AT_TARGET, MIN_RATE_AT_TARGET, borrow_rate,
};
use gannet_engine::lending::morpho::{
    Accrual, Event, FEE_MAX, Irm, Liquidation, Market, Params, Position, Request, Total, WAD_U64,
    health, liquidate,
};
use serde_json::Value;

use crate::codes::code_with;
use crate::differential::{Random, SEED, Verdict, agree};
use crate::evm::{Chain, OWNER, Receipt, STRANGER};

const STATES: u32 = 24_000;
const CURVE_CASES: u32 = 24_000;
const START: u64 = 1_700_000_000;
const BORROWER: Address = Address::repeat_byte(0xb0);
const LOAN: Address = Address::repeat_byte(0x10);
const COLLATERAL: Address = Address::repeat_byte(0xc0);
const ORACLE: Address = Address::repeat_byte(0x0a);
const MAINNET: Address = address!("0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb");
/// Limits of mainnet's markets, and the ends of what there can be.
const LIMITS: [u64; 12] = [
    385_000_000_000_000_000,
    625_000_000_000_000_000,
    770_000_000_000_000_000,
    860_000_000_000_000_000,
    915_000_000_000_000_000,
    945_000_000_000_000_000,
    965_000_000_000_000_000,
    980_000_000_000_000_000,
    123_456_789_012_345_678,
    WAD_U64 - 1,
    1,
    0,
];
const USUAL: usize = 9;

pub(crate) mod abi {
    alloy::sol! {
        struct MarketParams {
            address loanToken;
            address collateralToken;
            address oracle;
            address irm;
            uint256 lltv;
        }
        struct MarketState {
            uint128 totalSupplyAssets;
            uint128 totalSupplyShares;
            uint128 totalBorrowAssets;
            uint128 totalBorrowShares;
            uint128 lastUpdate;
            uint128 fee;
        }
        interface Morpho {
            function enableIrm(address irm) external;
            function enableLltv(uint256 lltv) external;
            function createMarket(MarketParams market) external;
            function setFee(MarketParams market, uint256 fee) external;
            function setFeeRecipient(address recipient) external;
            function accrueInterest(MarketParams market) external;
            function supply(
                MarketParams market, uint256 assets, uint256 shares, address account, bytes data
            ) external returns (uint256, uint256);
            function withdraw(
                MarketParams market, uint256 assets, uint256 shares, address account, address to
            ) external returns (uint256, uint256);
            function borrow(
                MarketParams market, uint256 assets, uint256 shares, address account, address to
            ) external returns (uint256, uint256);
            function repay(
                MarketParams market, uint256 assets, uint256 shares, address account, bytes data
            ) external returns (uint256, uint256);
            function supplyCollateral(
                MarketParams market, uint256 assets, address account, bytes data
            ) external;
            function withdrawCollateral(
                MarketParams market, uint256 assets, address account, address to
            ) external;
            function liquidate(
                MarketParams market, address borrower, uint256 seized, uint256 shares, bytes data
            ) external returns (uint256, uint256);
        }
        interface Curve {
            function borrowRateView(MarketParams market, MarketState state)
                external view returns (uint256);
        }
    }
}

/// Whose code is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Judge {
    Deployed,
    Compiled,
}

/// Morpho and its adaptive curve on a chain of their own.
pub(crate) struct Stand {
    pub(crate) chain: Chain,
    pub(crate) morpho: Address,
    pub(crate) curve: Address,
}

impl Stand {
    /// `None` where there are no real blocks for the deployed code to come from.
    pub(crate) fn new(judge: Judge) -> Option<Self> {
        /// Of `liquidate`, which no other of those contracts has.
        const SELECTOR: &str = "63d8eabcb8";
        let mut chain = Chain::new();
        let morpho = match judge {
            Judge::Deployed => {
                chain.set_code(MAINNET, code_with(SELECTOR)?);
                chain.set_slot(MAINNET, U256::ZERO, OWNER.into_word().into());
                MAINNET
            }
            Judge::Compiled => chain.deploy(compiled("Morpho"), &OWNER.abi_encode()),
        };
        let curve = chain.deploy(compiled("AdaptiveCurveIrm"), &morpho.abi_encode());
        for token in [LOAN, COLLATERAL] {
            chain.set_code(token, hex!("60015f5260205ff3").to_vec());
        }
        chain.set_code(ORACLE, hex!("5f545f5260205ff3").to_vec());
        Some(Self { chain, morpho, curve })
    }

    /// A market of this stand; without interest if it says so.
    pub(crate) const fn params(&self, lltv: u64, has_interest: bool) -> Params {
        let irm = if has_interest { self.curve } else { Address::ZERO };
        Params { loan_token: LOAN, collateral_token: COLLATERAL, oracle: ORACLE, irm, lltv }
    }

    pub(crate) fn set_price(&mut self, price: U256) {
        self.chain.set_slot(ORACLE, U256::ZERO, price);
    }

    pub(crate) fn call(&mut self, from: Address, call: &impl SolCall) -> Receipt {
        self.chain.send(from, self.morpho, call.abi_encode())
    }

    /// Reads a market; its limit and source of interest are the parameters'.
    pub(crate) fn market(&mut self, params: &Params) -> Market {
        let at = market_slot(params);
        let [supply, borrow, times] = [0, 1, 2].map(|place| {
            let word = self.chain.slot(self.morpho, at.wrapping_add(U256::from(place)));
            halves(word)
        });
        let rate = self.chain.slot(self.curve, rate_slot(params));
        Market {
            supply: Total { assets: supply[0], shares: supply[1] },
            borrow: Total { assets: borrow[0], shares: borrow[1] },
            last_update: u64::try_from(times[0]).expect("a time"),
            fee: u64::try_from(times[1]).expect("a fee"),
            rate_at_target: rate.to(),
            lltv: params.lltv,
            irm: if params.irm.is_zero() { Irm::None } else { Irm::AdaptiveCurve },
        }
    }

    fn set_market(&mut self, params: &Params, market: &Market) {
        let at = market_slot(params);
        let Market { supply, borrow, last_update, fee, rate_at_target, .. } = *market;
        let words = [
            [supply.assets, supply.shares],
            [borrow.assets, borrow.shares],
            [last_update.into(), fee.into()],
        ];
        for (place, word) in (0_u64..).zip(words) {
            let slot = at.wrapping_add(U256::from(place));
            self.chain.set_slot(self.morpho, slot, word_of(word));
        }
        let rate = U256::from(rate_at_target);
        self.chain.set_slot(self.curve, rate_slot(params), rate);
    }

    /// Reads an account's debt and collateral.
    pub(crate) fn position(&mut self, params: &Params, account: Address) -> Position {
        let slot = position_slot(params, account).wrapping_add(U256::ONE);
        let [borrow_shares, collateral] = halves(self.chain.slot(self.morpho, slot));
        Position { borrow_shares, collateral }
    }

    fn set_position(&mut self, params: &Params, account: Address, position: &Position) {
        let slot = position_slot(params, account).wrapping_add(U256::ONE);
        let word = word_of([position.borrow_shares, position.collateral]);
        self.chain.set_slot(self.morpho, slot, word);
    }
}

/// Creation code of a contract that `scripts/chain/install` compiled.
fn compiled(name: &str) -> Vec<u8> {
    let file = "scripts/chain/solidly/node_modules/morpho.json";
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error} (run scripts/chain/install)"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    hex::decode(json[name]["bytecode"].as_str().expect("code")).expect("hex")
}

pub(crate) fn market_params(params: &Params) -> abi::MarketParams {
    abi::MarketParams {
        loanToken: params.loan_token,
        collateralToken: params.collateral_token,
        oracle: params.oracle,
        irm: params.irm,
        lltv: U256::from(params.lltv),
    }
}

fn mapping(key: B256, slot: U256) -> U256 {
    keccak256([key, B256::from(slot)].concat()).into()
}

fn market_slot(params: &Params) -> U256 {
    mapping(params.id(), U256::from(3))
}

fn position_slot(params: &Params, account: Address) -> U256 {
    mapping(account.into_word(), mapping(params.id(), U256::from(2)))
}

fn rate_slot(params: &Params) -> U256 {
    mapping(params.id(), U256::ZERO)
}

/// The low and the high half of a word.
fn halves(word: U256) -> [u128; 2] {
    let high: U256 = word >> 128_usize;
    [word.wrapping_to(), high.to()]
}

fn word_of([low, high]: [u128; 2]) -> U256 {
    (U256::from(high) << 128_usize) | U256::from(low)
}

/// The events of Morpho and its curve in a receipt.
pub(crate) fn events(logs: &[Log]) -> Vec<Event> {
    let event = |log: &Log| Event::decode(log.topics(), &log.data.data).expect("well formed");
    logs.iter().filter_map(event).collect()
}

/// Whether the fault is one that the contract reverts with so.
fn is_fault(fault: Fault, error: &str) -> bool {
    let is_panic = |code: &str| error.starts_with("4e487b71") && error.ends_with(code);
    match error {
        "position is healthy" => fault == Fault::Healthy,
        "inconsistent input" => fault == Fault::Forbidden,
        "max uint128 exceeded" => fault == Fault::Overflow,
        _ if is_panic("11") => matches!(fault, Fault::Overflow | Fault::Underflow),
        _ if is_panic("12") => fault == Fault::Overflow,
        _ => false,
    }
}

fn seed() -> u64 {
    env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"))
}

#[test]
fn the_deployed_morpho_accrues_and_liquidates_as_the_engine_says() {
    let Some(bench) = Bench::new(Judge::Deployed) else { return };
    bench.run();
}

#[test]
fn the_compiled_morpho_accrues_and_liquidates_as_the_engine_says() {
    Bench::new(Judge::Compiled).expect("it is compiled").run();
}

/// Of each kind of case, the least number.
const LEAST: [(&str, u32); 25] = [
    ("no time", 500),
    ("above the target", 2_000),
    ("below the target", 2_000),
    ("without interest", 500),
    ("first interest", 500),
    ("rate at target at its least", 200),
    ("rate at target at its largest", 200),
    ("a fee is taken", 2_000),
    ("accrual refused by both", 20),
    ("healthy", 3_000),
    ("healthy with nothing to spare", 100),
    ("unhealthy by one unit", 100),
    ("liquidated by shares", 3_000),
    ("liquidated by collateral", 1_500),
    ("all that can be taken", 1_000),
    ("all of the debt", 500),
    ("all of the collateral", 500),
    ("bad debt", 500),
    ("one more repaid than was owed", 5),
    ("a price of zero", 100),
    ("refused: more than there is", 500),
    ("refused: a number too large", 20),
    ("refused: nothing asked for", 100),
    ("refused: division by zero", 20),
    ("odd totals", 500),
];

struct Bench {
    judge: Judge,
    stand: Stand,
    random: Random,
    counts: BTreeMap<&'static str, u32>,
}

/// A state and what is asked of it.
#[derive(Clone, Copy, Debug)]
struct Case {
    params: Params,
    market: Market,
    position: Position,
    price: U256,
    now: u64,
    request: Request,
}

impl Bench {
    fn new(judge: Judge) -> Option<Self> {
        let seed = seed();
        println!("morpho, {judge:?}: seed {seed}");
        let stand = Stand::new(judge)?;
        Some(Self { judge, stand, random: Random(seed), counts: BTreeMap::new() })
    }

    fn run(mut self) {
        let mut mismatches = 0;
        for number in 0..STATES {
            let case = self.next_case();
            if let Err(difference) = self.judge(&case) {
                mismatches += 1;
                if mismatches <= 10 {
                    println!("state {number}: {difference}\n{case:?}");
                }
            }
        }
        println!("morpho, {:?}: {STATES} states, {mismatches} mismatches", self.judge);
        let mut is_enough = true;
        for (kind, least) in LEAST {
            let count = self.counts.get(kind).copied().unwrap_or(0);
            println!("morpho, {:?}: {count:>6} {kind}", self.judge);
            is_enough &= count >= least;
        }
        assert_eq!(mismatches, 0);
        assert_eq!(self.counts.len(), LEAST.len(), "every kind of case has a least count");
        assert!(is_enough, "some kind of case is too rare to prove anything");
    }

    fn count(&mut self, kind: &'static str, is_so: bool) {
        *self.counts.entry(kind).or_default() += u32::from(is_so);
    }

    fn next_case(&mut self) -> Case {
        let limits = if self.random.below(8) == 0 { &LIMITS[..] } else { &LIMITS[..USUAL] };
        let (lltv, has_interest) = (self.random.pick(limits), self.random.below(8) > 0);
        let params = self.stand.params(lltv, has_interest);
        let market = self.next_market(&params);
        let elapsed = match self.random.below(8) {
            0 => 0,
            1 => 12,
            2 => self.random.share(100 * 31_536_000),
            _ => self.random.share(86_400 * 30),
        };
        let now = START + u64::try_from(elapsed).expect("a century");
        let owed = market.borrow.shares;
        let borrow_shares = match self.random.below(16) {
            0 => 0,
            1 => self.random.share(u128::MAX),
            2 | 3 => owed,
            _ => self.random.share(owed),
        };
        let (price, collateral) = self.next_collateral(&market, borrow_shares, now);
        let position = Position { borrow_shares, collateral };
        let request = self.next_request(&market.accrued(now).unwrap_or(market), &position, price);
        Case { params, market, position, price, now, request }
    }

    fn next_market(&mut self, params: &Params) -> Market {
        let supplied = match self.random.below(16) {
            0 => 0,
            1 => self.random.share(u128::MAX),
            _ => self.random.share(1 << 100),
        };
        let borrowed = match self.random.below(16) {
            0 => 0,
            1 => supplied,
            2 => supplied / 10 * 9,
            3 => self.random.share(u128::MAX),
            4..=8 => supplied - self.random.share(supplied / 10),
            _ => self.random.share(supplied),
        };
        let is_odd = self.random.below(16) == 0;
        self.count("odd totals", is_odd);
        let [supply, borrow] = [supplied, borrowed].map(|assets| {
            let shares = match is_odd {
                true => self.random.share(u128::MAX),
                // A million a unit at first; interest makes them fewer.
                false => {
                    assets.saturating_mul(1_000_000) / 1_000 * (500 + self.random.wide() % 500)
                }
            };
            Total { assets, shares }
        });
        let fee = self.random.pick(&[0, 0, FEE_MAX, FEE_MAX / 3, 1, 100_000_000_000_000_000]);
        let rate_at_target = match self.random.below(8) {
            0 => 0,
            1 => MIN_RATE_AT_TARGET,
            2 => MAX_RATE_AT_TARGET,
            3 => INITIAL_RATE_AT_TARGET,
            _ => {
                let above = self.random.share(u128::from(MAX_RATE_AT_TARGET - MIN_RATE_AT_TARGET));
                MIN_RATE_AT_TARGET + u64::try_from(above).expect("a rate")
            }
        };
        let irm = if params.irm.is_zero() { Irm::None } else { Irm::AdaptiveCurve };
        let rate_at_target = if irm == Irm::None { 0 } else { rate_at_target };
        Market { supply, borrow, last_update: START, fee, rate_at_target, lltv: params.lltv, irm }
    }

    /// A price, and collateral which at that price is worth about what is owed.
    fn next_collateral(&mut self, market: &Market, shares: u128, now: u64) -> (U256, u128) {
        let price = match self.random.below(32) {
            0 => U256::ZERO,
            1 => U256::from(self.random.wide()) << self.random.below(129),
            _ => {
                U256::from(10).pow(U256::from(24 + self.random.below(24)))
                    / U256::from(1 + self.random.below(1_000))
            }
        };
        let owed =
            market.accrued(now).and_then(|then| then.borrow.to_assets_up(U256::from(shares)));
        let scale = U256::from(10).pow(U256::from(36));
        let limit = U256::from(market.lltv.max(1));
        let enough = owed.ok().and_then(|owed| {
            let worth = owed.checked_mul(U256::from(WAD_U64))?.div_ceil(limit);
            worth.checked_mul(scale)?.checked_div(price)
        });
        let enough = enough.and_then(|enough| u128::try_from(enough).ok());
        let Some(enough) = enough else { return (price, self.random.share(u128::MAX)) };
        let part = |share: u128| enough.saturating_mul(share) / 1_000;
        let collateral = match self.random.below(8) {
            0 => self.random.share(1 << 100),
            1 | 2 => enough.saturating_add(self.random.wide() % 5).saturating_sub(2),
            3 => part(self.random.wide() % 500),
            4 => part(1_000 + self.random.wide() % 500),
            _ => part(700 + self.random.wide() % 300),
        };
        (price, collateral)
    }

    fn next_request(&mut self, then: &Market, position: &Position, price: U256) -> Request {
        let Position { borrow_shares, collateral } = *position;
        match self.random.below(16) {
            0 => Request::Shares(self.random.share(u128::MAX)),
            1 => Request::Seized(self.random.share(u128::MAX)),
            2 => Request::Shares(borrow_shares.saturating_add(1)),
            3 => Request::Seized(collateral.saturating_add(1)),
            4 => Request::Shares(self.random.pick(&[0, 1])),
            5 => Request::Seized(self.random.pick(&[0, 1])),
            6 | 7 => Request::Shares(borrow_shares),
            8 => Request::Seized(collateral),
            9 | 10 => Request::Shares(self.random.share(borrow_shares)),
            11 | 12 => Request::Seized(self.random.share(collateral / 2)),
            _ => {
                let most = Request::most(then, position, price);
                self.count("all that can be taken", most.is_ok());
                most.unwrap_or(Request::Shares(borrow_shares))
            }
        }
    }

    /// Asks both about a case.
    fn judge(&mut self, case: &Case) -> Verdict {
        let Case { params, market, position, price, now, .. } = *case;
        self.stand.set_market(&params, &market);
        self.stand.set_position(&params, BORROWER, &position);
        self.stand.set_price(price);
        self.stand.chain.set_time(now);
        let accrual = self.accrual(case)?;
        // The contract looks at what is asked for before it accrues.
        let result = match case.request {
            Request::Shares(0) | Request::Seized(0) => Err(Fault::Forbidden),
            Request::Shares(_) | Request::Seized(_) => accrual
                .and_then(|accrual| liquidate(&accrual.market, &position, price, case.request)),
        };
        self.liquidation(case, accrual.map(|accrual| accrual.market), result)
    }

    /// The interest: the events always, the storage in half of the cases.
    fn accrual(&mut self, case: &Case) -> Result<Result<Accrual, Fault>, String> {
        let Case { params, market, now, .. } = *case;
        let call = abi::Morpho::accrueInterestCall { market: market_params(&params) };
        let is_kept = self.random.below(2) == 0;
        let accrual = market.accrue(now);
        let receipt = match is_kept {
            true => self.stand.call(STRANGER, &call),
            false => self.stand.chain.peek(STRANGER, self.stand.morpho, call.abi_encode()),
        };
        let accrued = match (accrual, &receipt.answer) {
            (Err(fault), Err(error)) if is_fault(fault, error) => {
                self.count("accrual refused by both", true);
                return Ok(accrual);
            }
            (Ok(accrued), Ok(_)) => accrued,
            (ours, theirs) => return Err(format!("accrual: engine {ours:?}, bytecode {theirs:?}")),
        };
        let (id, Accrual { rate, interest, fee_shares, .. }) = (params.id(), accrued);
        let rate_at_target = accrued.market.rate_at_target;
        let expected = match now > market.last_update && market.irm == Irm::AdaptiveCurve {
            false => vec![],
            true => vec![
                Event::BorrowRateUpdate { id, rate_at_target },
                Event::AccrueInterest { id, rate, interest, fee_shares },
            ],
        };
        agree("interest", expected, events(&receipt.logs))?;
        if is_kept {
            agree("accrued market", accrued.market, self.stand.market(&params))?;
        }
        self.count_accrual(case, &accrued);
        Ok(accrual)
    }

    fn count_accrual(&mut self, case: &Case, accrued: &Accrual) {
        let Case { market, now, .. } = *case;
        let has_passed = now > market.last_update;
        let (borrowed, supplied) = (market.borrow.assets, market.supply.assets);
        let is_above = borrowed / 9 > supplied / 10;
        let end = accrued.market.rate_at_target;
        let is_curved = has_passed && market.irm == Irm::AdaptiveCurve;
        self.count("no time", !has_passed);
        self.count("without interest", market.irm == Irm::None);
        self.count("above the target", is_curved && is_above);
        self.count("below the target", is_curved && !is_above);
        self.count("first interest", is_curved && market.rate_at_target == 0);
        self.count("rate at target at its least", is_curved && end == MIN_RATE_AT_TARGET);
        self.count("rate at target at its largest", is_curved && end == MAX_RATE_AT_TARGET);
        self.count("a fee is taken", accrued.fee_shares > 0);
    }

    fn liquidation(
        &mut self,
        case: &Case,
        accrued: Result<Market, Fault>,
        ours: Result<Liquidation, Fault>,
    ) -> Verdict {
        let Case { params, request, .. } = *case;
        let (seized, shares) = match request {
            Request::Shares(shares) => (0, shares),
            Request::Seized(seized) => (seized, 0),
        };
        let call = abi::Morpho::liquidateCall {
            market: market_params(&params),
            borrower: BORROWER,
            seized: U256::from(seized),
            shares: U256::from(shares),
            data: vec![].into(),
        };
        let receipt = self.stand.call(STRANGER, &call);
        if let Ok(market) = accrued {
            self.count_health(case, &market);
        }
        match (ours, &receipt.answer) {
            (Err(fault), Err(error)) if is_fault(fault, error) => {
                self.count_refusal(error);
                return Ok(());
            }
            (Ok(_), Ok(_)) => {}
            (ours, theirs) => return Err(format!("engine {ours:?}, bytecode {theirs:?}")),
        }
        let (Ok(done), Ok(answer)) = (ours, &receipt.answer) else { return Ok(()) };
        let returned = abi::Morpho::liquidateCall::abi_decode_returns(answer).expect("two numbers");
        agree("seized", U256::from(done.seized), returned._0)?;
        agree("repaid", U256::from(done.repaid_assets), returned._1)?;
        let told = events(&receipt.logs).last().copied();
        let Some(Event::Liquidate(told)) = told else { return Err(format!("told {told:?}")) };
        agree("repaid shares", done.repaid_shares, told.repaid_shares)?;
        agree("bad debt", done.bad_debt_assets, told.bad_debt_assets)?;
        agree("bad debt shares", done.bad_debt_shares, told.bad_debt_shares)?;
        agree("market", done.market, self.stand.market(&params))?;
        agree("position", done.position, self.stand.position(&params, BORROWER))?;
        self.count_liquidation(case, &done, &accrued.unwrap_or(case.market));
        Ok(())
    }

    fn count_health(&mut self, case: &Case, market: &Market) {
        self.count("a price of zero", case.price.is_zero());
        let Ok(health) = health(market, &case.position, case.price) else { return };
        let one_more = health.max_borrow.saturating_add(U256::ONE);
        let owes = case.position.borrow_shares > 0;
        self.count("healthy with nothing to spare", owes && health.max_borrow == health.borrowed);
        self.count("unhealthy by one unit", owes && one_more == health.borrowed);
    }

    fn count_refusal(&mut self, error: &str) {
        let is_panic = |code: &str| error.starts_with("4e487b71") && error.ends_with(code);
        self.count("healthy", error == "position is healthy");
        self.count("refused: nothing asked for", error == "inconsistent input");
        self.count("refused: a number too large", error == "max uint128 exceeded");
        self.count("refused: more than there is", is_panic("11"));
        self.count("refused: division by zero", is_panic("12"));
    }

    fn count_liquidation(&mut self, case: &Case, done: &Liquidation, before: &Market) {
        let is_by_shares = matches!(case.request, Request::Shares(_));
        self.count("liquidated by shares", is_by_shares);
        self.count("liquidated by collateral", !is_by_shares);
        self.count("all of the debt", done.repaid_shares == case.position.borrow_shares);
        self.count("all of the collateral", done.seized == case.position.collateral);
        self.count("bad debt", done.bad_debt_assets > 0);
        let owed = before.borrow.assets;
        self.count("one more repaid than was owed", done.repaid_assets > owed);
    }
}

/// The curve alone, also where more is borrowed than was supplied.
#[test]
fn the_adaptive_curve_answers_as_the_engine_says() {
    let mut stand = Stand::new(Judge::Compiled).expect("it is compiled");
    let (mut random, params) = (Random(seed()), stand.params(LIMITS[0], true));
    let (mut mismatches, mut answered) = (0, 0);
    for _ in 0..CURVE_CASES {
        let supplied = random.share(u128::MAX);
        let borrowed = match random.below(4) {
            0 => random.share(u128::MAX),
            1 => 0,
            _ => random.share(supplied),
        };
        let rate = match random.below(4) {
            0 => 0,
            _ => u64::try_from(random.share(MAX_RATE_AT_TARGET.into())).expect("a rate"),
        };
        let longest = 1 << random.below(64);
        let elapsed = u64::try_from(random.share(longest)).expect("64 bits");
        let ours = borrow_rate(borrowed, supplied, rate, elapsed);
        stand.chain.set_slot(stand.curve, rate_slot(&params), U256::from(rate));
        stand.chain.set_time(elapsed);
        let state = abi::MarketState {
            totalSupplyAssets: supplied,
            totalSupplyShares: 0,
            totalBorrowAssets: borrowed,
            totalBorrowShares: 0,
            lastUpdate: 0,
            fee: 0,
        };
        let call = abi::Curve::borrowRateViewCall { market: market_params(&params), state };
        let theirs = stand.chain.read(stand.curve, &call);
        answered += u32::from(theirs.is_some());
        if ours.map(|rate| rate.average).ok() != theirs {
            mismatches += 1;
            println!("{borrowed} of {supplied}, {rate}, {elapsed}: {ours:?}, {theirs:?}");
        }
    }
    println!("curve: {CURVE_CASES} cases, {answered} answered, {mismatches} mismatches");
    assert_eq!(mismatches, 0);
    assert!(answered > CURVE_CASES / 2, "cases that are refused prove little");
}
