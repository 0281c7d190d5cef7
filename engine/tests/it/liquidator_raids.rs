//! What a stolen operator key can do with liquidations: lenders, markets, pools and tokens that
//! keep, lie, pull more, call back otherwise than they should, or come back later.
//!
//! The last test makes up programs and hostile company at random, 20,000 from one seed
//! (`GANNET_SEED` to vary it): whatever lands, no balance that the executor held is lower, and
//! nobody is allowed anything.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use gannet_engine::ids::{Direction, PoolId, TokenId};
use gannet_engine::plan::Leg;
use gannet_engine::sign::liquidation::{Funding, Liquidation, Path, Protocol, Size};
use gannet_engine::units::BlockNumber;

use crate::differential::{Random, SEED};
use crate::evm::abi::{Erc20, Executor, HostileMarket, ReentrantToken, Step};
use crate::evm::{BLOCK, Market, OPERATOR, OWNER, Receipt, STRANGER, Trade, error_name};

const CASES: u32 = 20_000;
const ETHER: u128 = 1_000_000_000_000_000_000;
/// What the executor has of each token.
const HELD: u128 = 50 * ETHER;
/// What hostile contracts have of each.
const LOOT: u128 = 1_000 * ETHER;

/// `enum Deed` of `tests/sol/HostileMarket.sol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Try,
    Demand,
    CallBack,
    CallBackChanged,
    CallBackFromElsewhere,
}

/// Forms of callbacks, as the hostile contract numbers them.
const FORM_V3: u8 = 1;
const FORM_MORPHO: u8 = 2;
const FORM_BALANCER: u8 = 3;
const FORM_AAVE: u8 = 4;
const FORM_MARKET: u8 = 5;

struct Den {
    market: Market,
    /// WETH and three plain tokens.
    tokens: [TokenId; 4],
    /// A lender, a market, and V3 shaped pools of every two tokens.
    hostile: Vec<Address>,
    /// Pairs and pools of every two tokens, and the hostile ones.
    pools: Vec<PoolId>,
}

impl Den {
    fn new() -> Self {
        let mut market = Market::new();
        let plain = [18; 3].map(|decimals| market.token(decimals));
        let tokens = [market.weth, plain[0], plain[1], plain[2]];
        let mut hostile: Vec<_> =
            [(); 2].into_iter().map(|()| market.contract("HostileMarket", &[])).collect();
        let mut pools = vec![];
        for second in 1..tokens.len() {
            for first in 0..second {
                let pair = [tokens[first], tokens[second]];
                pools.push(market.pool(pair, [4_000 * ETHER; 2]));
                let pool = market.v3_pool(pair, 3_000);
                market.set_v3_flat(pool, [4_000 * ETHER; 2]).expect("a price");
                pools.push(pool);
                let pool = market.contract("HostileMarket", &[]);
                pools.push(market.list_v3(pool, pair));
                hostile.push(pool);
            }
        }
        let executor = market.executor;
        for token in tokens.map(|token| market.address(token)) {
            market.fund(token, executor, HELD);
            for &who in &hostile {
                market.fund(token, who, LOOT);
            }
        }
        // The worst case: they are operators themselves.
        for &account in &hostile {
            let call = Executor::setOperatorCall { account, allowed: true };
            market.call(OWNER, &call).lands();
        }
        Self { market, tokens, hostile, pools }
    }

    fn address(&self, token: usize) -> Address {
        self.market.address(self.tokens[token])
    }

    fn held(&mut self) -> [u128; 4] {
        self.tokens.map(|token| self.market.held(token))
    }

    /// Has a hostile contract do this, after what it was told before, when it is called for this
    /// time.
    fn plan(&mut self, who: Address, call: u64, step: Step) {
        let plan = HostileMarket::planCall { call: U256::from(call), step };
        self.market.chain.send(STRANGER, who, plan.abi_encode()).lands();
    }

    /// A program that a hostile lender and a hostile market serve: profit in token 0, the debt is
    /// token 1, the collateral token 2, nothing is swapped.
    fn program(&self, funding: Funding, protocol: Protocol) -> Liquidation {
        Liquidation {
            funding,
            last_block: BlockNumber(BLOCK),
            profit_token: self.address(0),
            amount_in: ETHER,
            least_profit: 0,
            tip: 0,
            protocol,
            market: self.hostile[1],
            borrower: STRANGER,
            debt_token: self.address(1),
            collateral: self.address(2),
            paid: 2 * ETHER,
            exit: Path::NONE,
            entry: Path::NONE,
        }
    }

    fn run(&mut self, program: &Liquidation) -> Receipt {
        let mut data = vec![0; program.packed_bytes()];
        program.write(&self.market.world, &mut data).expect("it is as long as it says");
        self.market.chain.send(OPERATOR, self.market.executor, data)
    }

    /// What any of these may pull of any token.
    fn allowances(&mut self, spenders: &[Address]) -> U256 {
        let owner = self.market.executor;
        let mut sum = U256::ZERO;
        for token in (0..4).map(|token| self.address(token)).collect::<Vec<_>>() {
            for &spender in spenders {
                let call = Erc20::allowanceCall { owner, spender };
                sum += self.market.chain.read(token, &call).expect("a view");
            }
        }
        sum
    }

    /// Whether a pool is in a program.
    fn is_used(&self, program: &Liquidation, pool: Address) -> bool {
        let mut legs = program.exit.legs().iter().chain(program.entry.legs());
        legs.any(|leg| self.market.world.pools.get(leg.pool).address == pool)
    }

    #[track_caller]
    fn assert_untouched(&mut self) {
        assert_eq!(self.held(), [HELD; 4]);
        let hostile = self.hostile.clone();
        assert_eq!(self.allowances(&hostile), U256::ZERO);
    }

    fn pull(&self, token: usize, to: Address, amount: u128) -> Step {
        let from = self.market.executor;
        let call = Erc20::transferFromCall { from, to, amount: U256::from(amount) };
        called(Deed::Demand, self.address(token), call.abi_encode())
    }

    fn pay(&self, token: usize, amount: u128) -> Step {
        let to = self.market.executor;
        let call = Erc20::transferCall { to, amount: U256::from(amount) };
        called(Deed::Demand, self.address(token), call.abi_encode())
    }
}

fn called(deed: Deed, target: Address, message: Vec<u8>) -> Step {
    Step { deed: deed as u8, target, amount: U256::ZERO, message: message.into() }
}

fn callback(deed: Deed, form: u8, fee: u128) -> Step {
    let amount = U256::from(form) | (U256::from(fee) << 3);
    Step { deed: deed as u8, target: Address::ZERO, amount, message: Bytes::new() }
}

const MORPHO_SEIZED: Protocol = Protocol::Morpho {
    oracle: Address::ZERO,
    rate_model: Address::ZERO,
    lltv: 0,
    size: Size::Seized(1),
};

// --- Markets -----------------------------------------------------------------------------------

#[test]
fn a_market_that_takes_the_debt_and_gives_nothing_reverts_the_program() {
    let mut den = Den::new();
    let market = den.hostile[1];
    let step = den.pull(1, market, 2 * ETHER);
    den.plan(market, 0, step);
    let program = den.program(Funding::Own, Protocol::Aave);
    den.run(&program).reverts("BalanceFell");
    // It is the profit token too.
    let debt_token = program.profit_token;
    let step = den.pull(0, market, 2 * ETHER);
    let mut den = Den::new();
    den.plan(market, 0, step);
    den.run(&Liquidation { debt_token, ..program }).reverts("BelowMinimumProfit");
    den.assert_untouched();
}

#[test]
fn a_market_cannot_pull_more_than_the_program_pays_nor_another_token() {
    for (token, amount) in [(1, 2 * ETHER + 1), (0, 1), (2, 1), (3, 1)] {
        let mut den = Den::new();
        let market = den.hostile[1];
        let step = den.pull(token, market, amount);
        den.plan(market, 0, step);
        let program = den.program(Funding::Own, Protocol::Aave);
        assert!(den.run(&program).answer.is_err());
        den.assert_untouched();
    }
}

#[test]
fn a_market_cannot_pull_afterwards() {
    let mut den = Den::new();
    let market = den.hostile[1];
    // It takes nothing now, so that a rest of the approval would stay.
    let program = den.program(Funding::Own, Protocol::Aave);
    let later = den.pull(1, market, 1);
    den.plan(market, 1, later);
    den.run(&program).lands();
    den.assert_untouched();
    assert!(den.market.chain.send(STRANGER, market, vec![]).answer.is_err());
    den.assert_untouched();
}

#[test]
fn a_market_that_gives_collateral_cannot_have_what_was_here_sold() {
    // It says that it pays, and pays nothing, or takes what is here of it.
    let mut den = Den::new();
    let pool = den.pools.iter().copied().find(|pool| {
        let entry = den.market.world.pools.get(*pool);
        entry.tokens.contains(&den.tokens[0]) && entry.tokens.contains(&den.tokens[2])
    });
    let trade = Trade::new(den.tokens[2], &[pool.expect("it is there")], ETHER);
    let exit = Path::new(&den.market.legs(&trade), 0).expect("a leg");
    let program = Liquidation { exit, ..den.program(Funding::Own, Protocol::Aave) };
    assert!(den.run(&program).answer.is_err(), "a pair swaps no nothing");
    den.assert_untouched();
    // What comes is sold, and not more.
    let market = den.hostile[1];
    let step = den.pay(2, ETHER);
    den.plan(market, 0, step);
    let gain = den.market.legs(&trade)[0].amount_out;
    den.run(&Liquidation { least_profit: gain, ..program }).lands();
    assert_eq!(den.held(), [HELD + gain, HELD, HELD, HELD]);
}

#[test]
fn a_market_s_callback_is_served_once_with_its_own_bytes_in_its_own_form() {
    for (steps, error) in [
        (vec![], "MissingCallback"),
        (vec![callback(Deed::CallBack, FORM_MARKET, 0)], ""),
        (vec![callback(Deed::CallBack, FORM_MARKET, 0); 2], "ForbiddenCallback"),
        (vec![callback(Deed::CallBackChanged, FORM_MARKET, 0)], "ForbiddenCallback"),
        (vec![callback(Deed::CallBackFromElsewhere, FORM_MARKET, 0)], "ForbiddenCallback"),
        (vec![callback(Deed::CallBack, 0, 0)], "ForbiddenCallback"),
        (vec![callback(Deed::CallBack, FORM_V3, 0)], "ForbiddenCallback"),
        (vec![callback(Deed::CallBack, FORM_BALANCER, 0)], "ForbiddenCallback"),
        (vec![callback(Deed::CallBack, FORM_AAVE, 0)], "ForbiddenCallback"),
    ] {
        for protocol in [MORPHO_SEIZED, Protocol::PreLiquidation(Size::Shares(1))] {
            let mut den = Den::new();
            let market = den.hostile[1];
            for step in &steps {
                den.plan(market, 0, step.clone());
            }
            let program = den.program(Funding::Market, protocol);
            let answer = den.run(&program).answer;
            assert_eq!(answer.err().unwrap_or_default(), error);
            den.assert_untouched();
        }
    }
}

// --- Lenders -----------------------------------------------------------------------------------

/// Every loan of this lender, with the form of its callback.
const fn loans(lender: Address) -> [(Funding, u8); 3] {
    [
        (Funding::Morpho(lender), FORM_MORPHO),
        (Funding::Balancer(lender), FORM_BALANCER),
        (Funding::Aave(lender), FORM_AAVE),
    ]
}

#[test]
fn a_lender_s_callback_is_served_once_with_its_own_bytes_in_its_own_form() {
    let lender = Den::new().hostile[0];
    for (funding, form) in loans(lender) {
        let right = callback(Deed::CallBack, form, 0);
        let mut plans = vec![
            (vec![], "MissingCallback"),
            (vec![right.clone(), right.clone()], "ForbiddenCallback"),
            (vec![callback(Deed::CallBackChanged, form, 0)], "ForbiddenCallback"),
            (vec![callback(Deed::CallBackFromElsewhere, form, 0)], "ForbiddenCallback"),
        ];
        for other in [0, FORM_V3, FORM_MORPHO, FORM_BALANCER, FORM_AAVE] {
            // A pair's has its bytes where the vault's has them, and is as good.
            let is_alike = form == FORM_BALANCER && other == 0;
            if other != form && !is_alike {
                plans.push((vec![callback(Deed::CallBack, other, 0)], "ForbiddenCallback"));
            }
        }
        for (steps, error) in plans {
            let mut den = Den::new();
            for step in steps {
                den.plan(lender, 0, step);
            }
            let program = den.program(funding, Protocol::Aave);
            den.run(&program).reverts(error);
            den.assert_untouched();
        }
    }
}

#[test]
fn a_lender_that_lends_nothing_or_asks_too_much_reverts_the_program() {
    let lender = Den::new().hostile[0];
    for (funding, form) in loans(lender) {
        let pulls = form != FORM_BALANCER;
        // What it lends, what it asks for, and what it takes of it.
        for (lent, fee, taken) in [
            (0, 0, ETHER),
            (ETHER, 1, ETHER + 1),
            (ETHER, HELD, ETHER + HELD),
            (ETHER, 0, ETHER + 1),
        ] {
            let mut den = Den::new();
            let lend = den.pay(0, lent);
            den.plan(lender, 0, lend);
            den.plan(lender, 0, callback(Deed::CallBack, form, fee));
            if pulls {
                let pull = den.pull(0, lender, taken);
                den.plan(lender, 0, pull);
            }
            let program = den.program(funding, Protocol::Aave);
            let is_served = !pulls && lent == ETHER && fee == 0;
            let answer = den.run(&program).answer;
            assert_eq!(
                answer.is_ok(),
                is_served,
                "{funding:?}, {lent}, {fee}, {taken}: {answer:?}"
            );
            den.assert_untouched();
        }
    }
}

#[test]
fn a_lender_cannot_pull_afterwards() {
    let lender = Den::new().hostile[0];
    for (funding, form) in loans(lender) {
        let mut den = Den::new();
        let lend = den.pay(0, 2 * ETHER);
        den.plan(lender, 0, lend);
        den.plan(lender, 0, callback(Deed::CallBack, form, 0));
        let program = den.program(funding, Protocol::Aave);
        den.run(&program).lands();
        let hostile = den.hostile.clone();
        assert_eq!(den.allowances(&hostile), U256::ZERO);
        assert!(den.held()[0] > HELD, "it forgot to pull");
    }
}

#[test]
fn nobody_enters_while_a_liquidation_runs() {
    let den = Den::new();
    let [lender, market] = [den.hostile[0], den.hostile[1]];
    let executor = den.market.executor;
    let program = den.program(Funding::Own, Protocol::Aave);
    let mut nested = vec![0; program.packed_bytes()];
    program.write(&den.market.world, &mut nested).expect("it fits");
    let trade = Trade::new(den.tokens[0], &den.pools[..2], ETHER);
    let swaps = den.market.calldata(&trade);
    let amount = U256::ONE;
    let take = Executor::withdrawCall { token: program.debt_token, amount, to: market };
    for (message, error) in [
        (nested, "Locked"),
        (swaps, "Locked"),
        (take.abi_encode(), "NotOwner"),
        (Executor::transferOwnershipCall { to: market }.abi_encode(), "NotOwner"),
        (vec![0; 164], "ForbiddenCallback"),
    ] {
        for (who, funding) in [(market, Funding::Own), (lender, Funding::Morpho(lender))] {
            let mut den = Den::new();
            den.plan(who, 0, called(Deed::Demand, executor, message.clone()));
            den.plan(who, 0, callback(Deed::CallBack, FORM_MORPHO, 0));
            den.run(&Liquidation { funding, ..program }).reverts(error);
            den.assert_untouched();
        }
    }
}

// --- Tokens ------------------------------------------------------------------------------------

#[test]
fn a_debt_token_that_is_as_strict_as_usdt_is_repaid_and_left_without_an_allowance() {
    // What is pulled: all, a part, or nothing of what is approved.
    for pulled in [2 * ETHER, ETHER, 0] {
        let mut den = Den::new();
        let debt = den.market.odd_token("StrictToken", &[]);
        den.tokens[1] = debt;
        let (debt, executor, market) = (den.address(1), den.market.executor, den.hostile[1]);
        den.market.fund(debt, executor, HELD);
        den.market.fund(debt, market, LOOT);
        for call in 0..2 {
            let steps = [den.pull(1, market, pulled), den.pay(1, pulled), den.pay(0, ETHER)];
            for step in steps {
                den.plan(market, call, step);
            }
        }
        let program =
            Liquidation { least_profit: ETHER, ..den.program(Funding::Own, Protocol::Aave) };
        den.run(&program).lands();
        // From zero again.
        den.run(&program).lands();
        assert_eq!(den.held(), [HELD + 2 * ETHER, HELD, HELD, HELD]);
        assert_eq!(den.allowances(&[market]), U256::ZERO);
    }
}

#[test]
fn a_collateral_that_takes_more_from_its_sender_than_it_moves_cannot_lower_what_was_here() {
    let mut den = Den::new();
    let collateral = den.market.odd_token("TaxToken", &[]);
    den.tokens[2] = collateral;
    let pool = den.market.pool([collateral, den.tokens[0]], [4_000 * ETHER; 2]);
    let (executor, market) = (den.market.executor, den.hostile[1]);
    den.market.fund(den.address(2), market, LOOT);
    let step = den.pay(2, ETHER);
    den.plan(market, 0, step);
    let legs = den.market.legs(&Trade::new(collateral, &[pool], ETHER));
    let exit = Path::new(&legs, 0).expect("a leg");
    let program = Liquidation { exit, ..den.program(Funding::Own, Protocol::Aave) };
    den.market.fund(den.address(2), executor, HELD);
    den.run(&program).reverts("BalanceFell");
    den.assert_untouched();
}

#[test]
fn a_token_that_calls_back_during_a_liquidation_is_refused() {
    let mut den = Den::new();
    let debt = den.market.odd_token("ReentrantToken", &[]);
    den.tokens[1] = debt;
    let (debt, executor, market) = (den.address(1), den.market.executor, den.hostile[1]);
    den.market.fund(debt, executor, HELD);
    let call = Executor::setOperatorCall { account: debt, allowed: true };
    den.market.call(OWNER, &call).lands();
    let program = den.program(Funding::Own, Protocol::Aave);
    let mut nested = vec![0; program.packed_bytes()];
    program.write(&den.market.world, &mut nested).expect("it fits");
    let aim = ReentrantToken::aimCall { target: executor, message: nested.into() };
    den.market.chain.send(STRANGER, debt, aim.abi_encode()).lands();
    for step in [den.pull(1, market, ETHER), den.pay(1, ETHER), den.pay(0, ETHER)] {
        den.plan(market, 0, step);
    }
    den.run(&program).lands();
    let refusal = den.market.chain.read(debt, &ReentrantToken::refusalCall {});
    assert_eq!(error_name(&refusal.expect("a view")), "Locked");
    assert_eq!(den.held(), [HELD + ETHER, HELD, HELD, HELD]);
}

// --- Anything ----------------------------------------------------------------------------------

struct Chaos {
    den: Den,
    random: Random,
}

impl Chaos {
    fn amount(&mut self) -> u128 {
        match self.random.below(5) {
            0 => 0,
            // What an offset of bytes would be, if it is read as one.
            4 => self.random.pick(&[0x60, 0x80, 0xa0]),
            1 => self.random.share(2 * HELD),
            2 => ETHER,
            _ => self.random.share(ETHER),
        }
    }

    /// Anybody who might be named as lender or market.
    fn anybody(&mut self) -> Address {
        let [lender, market, pool] = [0, 1, 2].map(|who| self.den.hostile[who]);
        let tokens = [0, 1, 2, 3].map(|token| self.den.address(token));
        let pair = self.random.pick(&self.den.pools);
        let pair = self.den.market.world.pools.get(pair).address;
        let executor = self.den.market.executor;
        let others = [pool, pair, tokens[0], tokens[1], executor, executor];
        match self.random.below(8) {
            0 | 1 => self.random.pick(&others),
            2..5 => lender,
            _ => market,
        }
    }

    fn program(&mut self) -> Liquidation {
        let lender = self.anybody();
        let funding = match self.random.below(5) {
            0 => Funding::Own,
            1 => Funding::Morpho(lender),
            2 => Funding::Balancer(lender),
            3 => Funding::Aave(lender),
            _ => Funding::Market,
        };
        let size = match self.random.below(2) {
            0 => Size::Shares(self.amount()),
            _ => Size::Seized(self.amount()),
        };
        let (oracle, rate_model) = (Address::ZERO, Address::ZERO);
        let protocol = match self.random.below(4) {
            0 if funding != Funding::Market => Protocol::Aave,
            1 if funding != Funding::Market => {
                Protocol::Comet { absorbs: self.random.below(2) == 0, least: self.amount() }
            }
            2 => Protocol::PreLiquidation(size),
            _ => Protocol::Morpho { oracle, rate_model, lltv: 0, size },
        };
        let [profit, debt, collateral] = [(); 3].map(|()| self.random.below(4));
        let exit = self.path(collateral, profit);
        let entry = self.path(profit, debt);
        Liquidation {
            funding,
            last_block: BlockNumber(BLOCK),
            profit_token: self.den.address(profit),
            amount_in: self.amount(),
            least_profit: if self.random.below(4) == 0 { self.amount() } else { 0 },
            tip: if self.random.below(16) == 0 { self.amount() } else { 0 },
            protocol,
            market: self.anybody(),
            borrower: STRANGER,
            debt_token: self.den.address(debt),
            collateral: self.den.address(collateral),
            paid: self.amount(),
            exit,
            entry,
        }
    }

    /// From a token to another, by one pool or two, at times by the wrong ones.
    fn path(&mut self, from: usize, to: usize) -> Path {
        if from == to || self.random.below(4) == 0 {
            return Path::NONE;
        }
        let middle = self.random.below(4);
        let is_long = middle != from && middle != to && self.random.below(2) == 0;
        let stops = if is_long { vec![from, middle, to] } else { vec![from, to] };
        let mut legs = vec![];
        for ends in stops.windows(2) {
            let ends = [self.den.tokens[ends[0]], self.den.tokens[ends[1]]];
            let pools = &self.den.pools;
            let fits = |pool: &&PoolId| {
                let tokens = self.den.market.world.pools.get(**pool).tokens;
                tokens == ends || tokens == [ends[1], ends[0]]
            };
            let fitting: Vec<PoolId> = pools.iter().filter(fits).copied().collect();
            let is_wrong = self.random.below(32) == 0;
            let pool = self.random.pick(if is_wrong { &self.den.pools } else { &fitting });
            let mut direction = self.den.market.direction(pool, ends[0]);
            if self.random.below(64) == 0 {
                direction = Direction::ZeroForOne;
            }
            legs.push(Leg { pool, direction, amount_in: 0, amount_out: 0 });
        }
        Path::new(&legs, 0).expect("few legs")
    }

    /// What a hostile contract does when it is called in this form.
    fn steps(&mut self, who: Address, form: u8) -> Vec<Step> {
        let mut steps = vec![];
        let is_generous = self.random.below(4) != 0;
        if is_generous {
            for token in 0..4 {
                steps.push(self.den.pay(token, 2 * HELD));
            }
        }
        for _ in 0..self.random.below(5) {
            let token = self.random.below(4);
            let amount = self.amount();
            let step = match self.random.below(6) {
                0 => self.den.pay(token, amount),
                1 | 2 => Step { deed: Deed::Try as u8, ..self.den.pull(token, who, amount) },
                3 => Step { deed: Deed::Try as u8, ..self.den.pull(token, who, 1) },
                4 => self.raid(who),
                _ => {
                    let to = self.den.pools[0];
                    let to = self.den.market.world.pools.get(to).address;
                    Step { deed: Deed::Try as u8, ..self.den.pull(token, to, amount) }
                }
            };
            let at = self.random.below(steps.len() + 1);
            steps.insert(at, step);
        }
        if self.random.below(8) != 0 {
            let is_odd = self.random.below(16) == 0;
            let form = if is_odd { self.random.pick(&[0, 1, 2, 3, 4, 5]) } else { form };
            let deeds = [Deed::CallBackChanged, Deed::CallBackFromElsewhere];
            let deed =
                if self.random.below(16) == 0 { self.random.pick(&deeds) } else { Deed::CallBack };
            let fee = self.amount();
            let first = if is_generous { steps.len().min(4) } else { 0 };
            let at = first + self.random.below(steps.len() + 1 - first);
            steps.insert(at, callback(deed, form, fee));
        }
        steps
    }

    /// A call of the executor's that must come to nothing.
    fn raid(&mut self, who: Address) -> Step {
        let executor = self.den.market.executor;
        let (token, amount) = (self.den.address(self.random.below(4)), U256::ONE);
        let message = match self.random.below(4) {
            0 => Executor::withdrawCall { token, amount, to: who }.abi_encode(),
            1 => Executor::transferOwnershipCall { to: who }.abi_encode(),
            2 => {
                let trade = Trade::new(self.den.tokens[0], &self.den.pools[..2], ETHER);
                self.den.market.calldata(&trade)
            }
            _ => {
                let program = self.program();
                let mut data = vec![0; program.packed_bytes()];
                program.write(&self.den.market.world, &mut data).expect("it fits");
                data
            }
        };
        called(Deed::Try, executor, message)
    }
}

impl Chaos {
    /// Tells the hostile contracts what to do with this program.
    fn plan(&mut self, program: &Liquidation) {
        for (index, who) in self.den.hostile.clone().into_iter().enumerate() {
            let form = match index {
                1 if program.funding == Funding::Market => FORM_MARKET,
                0 | 1 => program.funding.number() + 1,
                _ => FORM_V3,
            };
            if index > 1 && !self.den.is_used(program, who) {
                continue;
            }
            for call in 0..2 {
                for step in self.steps(who, form) {
                    self.den.plan(who, call, step);
                }
            }
        }
    }

    /// Runs a program, and holds what it left against what was there; the error that ended it.
    fn judge(&mut self, program: &Liquidation) -> Option<String> {
        let before = self.den.held();
        let answer = self.den.run(program).answer.map(drop);
        let after = self.den.held();
        if answer.is_ok() {
            for (token, (before, after)) in before.into_iter().zip(after).enumerate() {
                let is_profit = self.den.address(token) == program.profit_token;
                let least = if is_profit { program.least_profit } else { 0 };
                assert!(after >= before + least, "{program:?}: {before} to {after} of {token}");
            }
        } else {
            assert_eq!(before, after, "{program:?}: {answer:?}");
        }
        let mut spenders = self.den.hostile.clone();
        spenders.extend([program.market, self.den.market.executor]);
        assert_eq!(self.den.allowances(&spenders), U256::ZERO, "{program:?}");
        answer.err()
    }
}

#[test]
fn whatever_company_a_program_keeps_no_balance_that_was_held_is_lower() {
    let seed = env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
    println!("raids: seed {seed}");
    let mut chaos = Chaos { den: Den::new(), random: Random(seed) };
    let start = chaos.den.market.chain.snapshot();
    let mut ends = BTreeMap::<String, u32>::new();
    let mut landed = BTreeMap::<(u8, u8), u32>::new();
    for _ in 0..CASES {
        let program = chaos.program();
        chaos.plan(&program);
        let end = chaos.judge(&program);
        if end.is_none() {
            let kind = (program.protocol.number(), program.funding.number());
            *landed.entry(kind).or_default() += 1;
        }
        let end = end.unwrap_or_else(|| "landed".into());
        *ends.entry(end.chars().take(24).collect()).or_default() += 1;
        chaos.den.market.chain.restore(&start);
    }
    println!("raids: {CASES} programs, {landed:?} landed by protocol and funding");
    println!("raids: ended as {ends:?}");
    assert!(ends["landed"] * 20 >= CASES, "programs that never land prove little");
    assert!(landed.len() >= 25, "of every protocol with nearly every funding");
    for error in ["BelowMinimumProfit", "BalanceFell", "ForbiddenCallback", "MissingCallback"] {
        assert!(ends.contains_key(error), "{error}");
    }
}
