//! What the executor promises, one promise a test, on real pairs and with hostile company.
//!
//! Programs are written by the engine's own packer; where one must be malformed, its bytes are
//! changed afterwards.
//!
//! Temperature: cold.

use std::iter::repeat_n;

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolCall, SolValue};
use gannet_engine::amm::PoolKind;
use gannet_engine::gas::{GasTable, Shape};
use gannet_engine::ids::{PoolId, TokenId};

use crate::evm::abi::{Erc20, Executor, HostilePair, ReentrantToken};
use crate::evm::{BLOCK, COINBASE, Market, NATIVE, OPERATOR, OWNER, STRANGER, Trade, error_name};

const ETHER: u128 = 1_000_000_000_000_000_000;
/// What the executor has at the start.
const OWN_WETH: u128 = 10 * ETHER;
const OWN_A: u128 = 7 * ETHER;
/// Refused opportunities are frequent, so they must be cheap.
const VANISHED_GAS_MAX: u64 = 60_000;

/// Three cycles from WETH that pay, through two, three and four pools.
struct Scene {
    market: Market,
    weth: TokenId,
    /// A token of which the executor holds some that no program may move.
    a: TokenId,
    cycles: [Vec<PoolId>; 3],
}

impl Scene {
    fn new() -> Self {
        let mut market = Market::new();
        let weth = market.weth;
        let [a, b, c] = [18, 6, 8].map(|decimals| market.token(decimals));
        let cheap = [200 * ETHER, 400_000 * ETHER];
        let dear = [200 * ETHER, 300_000 * ETHER];
        let even = [400_000 * ETHER; 2];
        let first = market.pool([weth, a], cheap);
        let a_weth = market.pool([weth, a], dear);
        let [a_b, b_c] = [[a, b], [b, c]].map(|pair| market.pool(pair, even));
        let [b_weth, c_weth] = [b, c].map(|token| market.pool([weth, token], dear));
        let cycles = [vec![first, a_weth], vec![first, a_b, b_weth], vec![first, a_b, b_c, c_weth]];
        let mut scene = Self { market, weth, a, cycles };
        scene.hold(weth, OWN_WETH);
        scene.hold(a, OWN_A);
        scene
    }

    /// Gives the executor a balance.
    fn hold(&mut self, token: TokenId, amount: u128) {
        self.market.fund(self.market.address(token), self.market.executor, amount);
    }

    /// One WETH through a cycle of this many pools.
    fn trade(&self, legs: usize) -> Trade {
        Trade::new(self.weth, &self.cycles[legs - 2], ETHER)
    }

    /// One WETH to A in the first pool, and back in `pool`.
    fn trade_back_through(&self, pool: PoolId) -> Trade {
        Trade::new(self.weth, &[self.cycles[0][0], pool], ETHER)
    }

    /// A pool that does `deed` when it is asked to swap A for WETH.
    fn hostile(&mut self, deed: Deed) -> (PoolId, Address) {
        let weth = self.market.address(self.weth);
        let arguments = (U256::from(deed as u8), weth).abi_encode_params();
        let pool = self.market.contract("HostilePair", &arguments);
        let reserves = [1_000_000 * ETHER, 2_000_000 * ETHER];
        (self.market.list(pool, [self.a, self.weth], reserves), pool)
    }

    /// Nobody took anything from the executor.
    #[track_caller]
    fn assert_untouched(&mut self) {
        let held = [self.weth, self.a].map(|token| self.market.held(token));
        assert_eq!(held, [OWN_WETH, OWN_A]);
    }
}

/// `enum Deed` of `tests/sol/HostilePair.sol`.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Keep,
    CallOnly,
    ChangeData,
    CallTwice,
    ChangeSender,
    CallFromElsewhere,
    Raid,
}

/// Both ways to pay for the first leg.
const FUNDINGS: [bool; 2] = [false, true];

// --- Who may do what ---------------------------------------------------------------------------

#[test]
fn strangers_and_the_owner_may_not_execute() {
    let mut scene = Scene::new();
    let data = scene.market.calldata(&scene.trade(2));
    for caller in [STRANGER, OWNER] {
        scene.market.chain.send(caller, scene.market.executor, data.clone()).reverts("NotOperator");
    }
    scene.assert_untouched();
}

#[test]
fn an_operator_may_do_nothing_but_execute() {
    let mut scene = Scene::new();
    let weth = scene.market.address(scene.weth);
    for caller in [OPERATOR, STRANGER] {
        let amount = U256::ONE;
        for call in [
            Executor::withdrawCall { token: weth, amount, to: caller }.abi_encode(),
            Executor::withdrawCall { token: NATIVE, amount, to: caller }.abi_encode(),
            Executor::setOperatorCall { account: caller, allowed: true }.abi_encode(),
            Executor::setSweepAboveCall { token: weth, limit: amount }.abi_encode(),
            Executor::transferOwnershipCall { to: caller }.abi_encode(),
            Executor::acceptOwnershipCall {}.abi_encode(),
        ] {
            scene.market.chain.send(caller, scene.market.executor, call).reverts("NotOwner");
        }
    }
    scene.assert_untouched();
}

#[test]
fn an_operator_who_was_dismissed_may_not_execute() {
    let mut scene = Scene::new();
    let dismissal = Executor::setOperatorCall { account: OPERATOR, allowed: false };
    scene.market.call(OWNER, &dismissal).lands();
    scene.market.run(&scene.trade(2)).reverts("NotOperator");
}

#[test]
fn ownership_changes_hands_in_two_steps() {
    let mut scene = Scene::new();
    let executor = scene.market.executor;
    let market = &mut scene.market;
    market.call(OWNER, &Executor::transferOwnershipCall { to: STRANGER }).lands();
    assert_eq!(market.chain.read(executor, &Executor::ownerCall {}), Some(OWNER));
    market.call(OPERATOR, &Executor::acceptOwnershipCall {}).reverts("NotOwner");
    market.call(STRANGER, &Executor::acceptOwnershipCall {}).lands();
    assert_eq!(market.chain.read(executor, &Executor::ownerCall {}), Some(STRANGER));
    assert_eq!(market.chain.read(executor, &Executor::pendingOwnerCall {}), Some(Address::ZERO));
    market.call(OWNER, &Executor::transferOwnershipCall { to: OWNER }).reverts("NotOwner");
}

#[test]
fn an_offer_of_ownership_can_be_taken_back() {
    let mut scene = Scene::new();
    scene.market.call(OWNER, &Executor::transferOwnershipCall { to: STRANGER }).lands();
    scene.market.call(OWNER, &Executor::transferOwnershipCall { to: Address::ZERO }).lands();
    scene.market.call(STRANGER, &Executor::acceptOwnershipCall {}).reverts("NotOwner");
}

#[test]
fn the_owner_withdraws_tokens_and_native_coin() {
    let mut scene = Scene::new();
    scene.market.fund(NATIVE, scene.market.executor, 5);
    for (token, amount) in [(scene.market.address(scene.weth), OWN_WETH), (NATIVE, 5)] {
        let withdrawal = |to| Executor::withdrawCall { token, amount: U256::from(amount), to };
        scene.market.call(OWNER, &withdrawal(Address::ZERO)).reverts("ZeroAddress");
        scene.market.call(OWNER, &withdrawal(COINBASE)).lands();
        assert_eq!(scene.market.balance(token, COINBASE), amount);
        scene.market.call(OWNER, &withdrawal(COINBASE)).reverts("TransferFailed");
    }
}

#[test]
fn anybody_may_give_native_coin() {
    let mut scene = Scene::new();
    scene.market.fund(NATIVE, STRANGER, 5);
    scene.market.chain.pay(STRANGER, scene.market.executor, (5, vec![])).lands();
    assert_eq!(scene.market.balance(NATIVE, scene.market.executor), 5);
}

// --- Programs ----------------------------------------------------------------------------------

#[test]
fn a_minimum_profit_is_met_exactly_or_the_program_reverts() {
    for (legs, is_flash) in [2, 3, 4].into_iter().flat_map(|n| FUNDINGS.map(|flash| (n, flash))) {
        let mut scene = Scene::new();
        let trade = scene.trade(legs).flash(is_flash);
        let profit = scene.market.profit(&trade).expect("the cycle pays");
        scene.market.peek(&trade.clone().least(profit - 1)).lands();
        scene.market.run(&trade.clone().least(profit + 1)).reverts("BelowMinimumProfit");
        scene.market.run(&trade.least(profit)).lands();
        assert_eq!(scene.market.held(scene.weth), OWN_WETH + profit);
        assert_eq!(scene.market.held(scene.a), OWN_A);
    }
}

#[test]
fn profit_may_be_taken_in_any_token() {
    for is_flash in FUNDINGS {
        let mut scene = Scene::new();
        let [first, second] = [scene.cycles[0][1], scene.cycles[0][0]];
        let trade = Trade::new(scene.a, &[first, second], ETHER).flash(is_flash);
        let profit = scene.market.profit(&trade).expect("the cycle pays");
        scene.market.run(&trade.least(profit)).lands();
        assert_eq!(scene.market.held(scene.a), OWN_A + profit);
    }
}

#[test]
fn a_flash_swap_needs_no_funds_and_own_funds_must_be_there() {
    let mut scene = Scene::new();
    scene.hold(scene.weth, 0);
    scene.market.run(&scene.trade(2)).reverts("TransferFailed");
    let trade = scene.trade(4).flash(true);
    let profit = scene.market.profit(&trade).expect("the cycle pays");
    scene.market.run(&trade).lands();
    assert_eq!(scene.market.held(scene.weth), profit);
}

#[test]
fn a_vanished_opportunity_reverts_before_a_token_moves() {
    for (legs, is_flash) in [2, 3, 4].into_iter().flat_map(|n| FUNDINGS.map(|flash| (n, flash))) {
        let mut scene = Scene::new();
        let trade = scene.trade(legs).flash(is_flash).least(1);
        let data = scene.market.calldata(&trade);
        // Somebody else closed the gap.
        let first = trade.pools[0];
        let reserves = scene.market.reserves(first);
        let index = scene.market.direction(first, scene.weth).index_in();
        let moved = if index == 0 {
            [2 * reserves[0], reserves[1] / 2]
        } else {
            [reserves[0] / 2, 2 * reserves[1]]
        };
        scene.market.set_reserves(first, moved, 3_000);
        let receipt = scene.market.chain.send(OPERATOR, scene.market.executor, data);
        println!("vanished, {legs} legs, flash {is_flash}: {} gas", receipt.gas);
        assert!(receipt.gas < VANISHED_GAS_MAX);
        receipt.reverts("BelowMinimumProfit");
        scene.assert_untouched();
    }
}

#[test]
fn a_program_expires_after_its_last_block() {
    let mut scene = Scene::new();
    let trade = Trade { last_block: BLOCK - 1, ..scene.trade(2) };
    let receipt = scene.market.run(&trade).reverts("Expired");
    println!("expired: {} gas", receipt.gas);
    scene.assert_untouched();
    scene.market.run(&Trade { last_block: BLOCK, ..trade }).lands();
}

#[test]
fn a_pool_that_occurs_twice_is_refused() {
    let mut scene = Scene::new();
    let [cheap, dear] = [scene.cycles[0][0], scene.cycles[0][1]];
    let trade = Trade::new(scene.weth, &[cheap, dear, cheap, dear], ETHER);
    scene.market.run(&trade).reverts("UniswapV2: K");
    // The last pool has lent, and is locked until it is repaid.
    scene.market.run(&trade.flash(true)).reverts("UniswapV2: LOCKED");
    scene.market.run(&Trade::new(scene.weth, &[cheap, cheap], ETHER)).reverts("BelowMinimumProfit");
    scene.assert_untouched();
}

#[test]
fn a_fee_below_the_pairs_own_is_refused() {
    for is_flash in FUNDINGS {
        let mut scene = Scene::new();
        let pool = scene.cycles[0][1];
        let reserves = scene.market.reserves(pool);
        scene.market.set_reserves(pool, reserves, 2_999);
        scene.market.run(&scene.trade(2).flash(is_flash)).reverts("UniswapV2: K");
        scene.assert_untouched();
    }
}

#[test]
fn malformed_programs_are_refused() {
    const FLAGS: usize = 4;
    const FIRST_LEG: usize = 81;
    const SECOND_LEG: usize = FIRST_LEG + 45;
    let mut scene = Scene::new();
    let whole = scene.market.calldata(&scene.trade(2));
    let with = |at: usize, byte: u8| {
        let mut data = whole.clone();
        data[at] = byte;
        data
    };
    let cut = |len: usize| whole[..len].to_vec();
    for (data, error) in [
        (with(FLAGS, 2), "BadProgram"),
        (with(FLAGS, 3), "BadProgram"),
        (with(FIRST_LEG, 3), "UnknownLeg"),
        (with(SECOND_LEG, 255), "UnknownLeg"),
        (with(SECOND_LEG + 24, 2), "BadProgram"),
        (cut(FIRST_LEG), "BadProgram"),
        (cut(whole.len() - 1), "BadProgram"),
        (cut(SECOND_LEG), "BelowMinimumProfit"),
        ([&whole[..], &[0]].concat(), "BadProgram"),
        (cut(4), "Expired"),
        (cut(3), "ForbiddenCallback"),
    ] {
        scene.market.chain.send(OPERATOR, scene.market.executor, data).reverts(error);
    }
    scene.assert_untouched();
}

#[test]
fn what_is_above_the_limit_goes_to_the_owner() {
    for is_flash in FUNDINGS {
        let mut scene = Scene::new();
        let weth = scene.market.address(scene.weth);
        let limit = |limit| Executor::setSweepAboveCall { token: weth, limit: U256::from(limit) };
        let trade = scene.trade(2).flash(is_flash);
        let profit = scene.market.profit(&trade).expect("the cycle pays");

        scene.market.call(OWNER, &limit(OWN_WETH + profit)).lands();
        scene.market.peek(&trade).lands();
        assert_eq!(scene.market.balance(weth, OWNER), 0, "at the limit nothing is swept");
        scene.market.call(OWNER, &limit(ETHER)).lands();
        scene.market.run(&trade).lands();
        assert_eq!(scene.market.held(scene.weth), ETHER);
        assert_eq!(scene.market.balance(weth, OWNER), OWN_WETH + profit - ETHER);
    }
}

// --- Tips --------------------------------------------------------------------------------------

#[test]
fn a_tip_is_paid_from_the_profit_to_the_wei() {
    for is_flash in FUNDINGS {
        let mut scene = Scene::new();
        let trade = scene.trade(2).flash(is_flash);
        let profit = scene.market.profit(&trade).expect("the cycle pays");
        let trade = trade.tip(profit - 5);
        scene.market.run(&trade.clone().least(6)).reverts("BelowMinimumProfit");
        scene.market.run(&trade.clone().tip(profit + 1)).reverts("BelowMinimumProfit");
        scene.market.run(&trade.least(5)).lands();
        assert_eq!(scene.market.balance(NATIVE, COINBASE), profit - 5);
        assert_eq!(scene.market.held(scene.weth), OWN_WETH + 5);
    }
}

#[test]
fn a_tip_needs_profit_in_the_wrapped_native_token() {
    let mut scene = Scene::new();
    let pools = [scene.cycles[0][1], scene.cycles[0][0]];
    scene.market.fund(NATIVE, scene.market.executor, ETHER);
    let trade = Trade::new(scene.a, &pools, ETHER).tip(1);
    scene.market.run(&trade).reverts("TipNeedsWrappedNative");
    assert_eq!(scene.market.balance(NATIVE, scene.market.executor), ETHER);
}

#[test]
fn a_tip_that_is_refused_reverts_the_program() {
    let mut scene = Scene::new();
    // A contract that takes no native coin.
    let miser = scene.market.contract("Forger", &[]);
    scene.market.chain.set_coinbase(miser);
    scene.market.run(&scene.trade(2).tip(1)).reverts("TipFailed");
    scene.assert_untouched();
}

// --- Odd tokens --------------------------------------------------------------------------------

/// A cycle from a token of `tests/sol/Token.sol` through WETH and back, which pays.
fn odd_cycle(scene: &mut Scene, name: &str) -> Trade {
    let token = scene.market.odd_token(name, &[]);
    let pools =
        [150, 100].map(|weth| scene.market.pool([token, scene.weth], [100 * ETHER, weth * ETHER]));
    scene.hold(token, OWN_WETH);
    Trade::new(token, &pools, ETHER)
}

#[test]
fn a_fee_on_transfer_token_reverts_and_loses_nothing() {
    for is_flash in FUNDINGS {
        let mut scene = Scene::new();
        let trade = odd_cycle(&mut scene, "FeeToken").flash(is_flash);
        let token = trade.token;
        scene.market.run(&trade.clone().least(1)).reverts("UniswapV2: K");
        let [first, last] = [trade.pools[1], trade.pools[0]];
        let through = Trade::new(scene.weth, &[first, last], ETHER).flash(is_flash);
        scene.market.run(&through).reverts("UniswapV2: K");
        assert_eq!(scene.market.held(token), OWN_WETH);
        scene.assert_untouched();
    }
}

#[test]
fn a_token_that_returns_nothing_is_as_good_as_any() {
    for is_flash in FUNDINGS {
        let mut scene = Scene::new();
        let trade = odd_cycle(&mut scene, "SilentToken").flash(is_flash);
        let profit = scene.market.profit(&trade).expect("the cycle pays");
        scene.market.run(&trade.clone().least(profit)).lands();
        assert_eq!(scene.market.held(trade.token), OWN_WETH + profit);
        let (token, amount) = (scene.market.address(trade.token), U256::from(OWN_WETH));
        scene.market.call(OWNER, &Executor::withdrawCall { token, amount, to: OWNER }).lands();
        assert_eq!(scene.market.balance(token, OWNER), OWN_WETH);
    }
}

#[test]
fn a_transfer_that_returns_false_or_has_no_code_has_failed() {
    let mut scene = Scene::new();
    let trade = odd_cycle(&mut scene, "FalseToken");
    scene.market.run(&trade).reverts("TransferFailed");
    for token in [scene.market.address(trade.token), STRANGER] {
        let call = Executor::withdrawCall { token, amount: U256::ONE, to: OWNER };
        scene.market.call(OWNER, &call).reverts("TransferFailed");
    }
}

#[test]
fn a_token_that_calls_back_is_refused_and_the_program_lands() {
    let mut scene = Scene::new();
    let trade = odd_cycle(&mut scene, "ReentrantToken");
    let token = scene.market.address(trade.token);
    // The worst case: the token is an operator itself.
    scene.market.call(OWNER, &Executor::setOperatorCall { account: token, allowed: true }).lands();
    let program = scene.market.calldata(&scene.trade(2));
    let withdrawal = Executor::withdrawCall { token, amount: U256::ONE, to: token }.abi_encode();
    for (message, error) in [
        (program, "Locked"),
        (withdrawal, "NotOwner"),
        (callback(scene.market.executor, &[0; 200]), "ForbiddenCallback"),
    ] {
        let aim =
            ReentrantToken::aimCall { target: scene.market.executor, message: message.into() };
        for is_flash in FUNDINGS {
            scene.market.chain.send(STRANGER, token, aim.abi_encode()).lands();
            let held = scene.market.held(trade.token);
            scene.market.run(&trade.clone().flash(is_flash)).lands();
            let refusal = scene.market.chain.read(token, &ReentrantToken::refusalCall {});
            assert_eq!(error_name(&refusal.expect("a view")), error);
            assert!(scene.market.held(trade.token) > held);
        }
    }
    scene.assert_untouched();
}

// --- Forged callbacks and hostile pools --------------------------------------------------------

/// A flash callback with `data`, as a pool would make it.
fn callback(sender: Address, data: &[u8]) -> Vec<u8> {
    let (out0, out1) = (U256::ONE, U256::ONE);
    let data = Bytes::copy_from_slice(data);
    Executor::anyCallCall { sender, out0, out1, data }.abi_encode()
}

#[test]
fn a_callback_that_nobody_awaits_is_refused() {
    let mut scene = Scene::new();
    let executor = scene.market.executor;
    let program = scene.market.calldata(&scene.trade(2).flash(true));
    // The data is said to begin 20 bytes before the arguments, and so is its length.
    let mut wild = callback(executor, &[1, 2]);
    wild[4 + 3 * 32..4 + 4 * 32].fill(0xff);
    wild[4 + 4 * 32 - 1] -= 20;
    let forged = [callback(executor, &program[13..]), callback(STRANGER, &[]), wild];
    for data in forged.into_iter().chain([vec![0x12], vec![0x12; 5]]) {
        for caller in [STRANGER, OPERATOR, OWNER] {
            scene.market.chain.send(caller, executor, data.clone()).reverts("ForbiddenCallback");
        }
    }
    scene.assert_untouched();
}

#[test]
fn a_forged_callback_reverts_the_program() {
    for (deed, error) in [
        (Deed::Keep, "MissingCallback"),
        (Deed::CallOnly, "BelowMinimumProfit"),
        (Deed::ChangeData, "ForbiddenCallback"),
        (Deed::CallTwice, "ForbiddenCallback"),
        (Deed::ChangeSender, "ForbiddenCallback"),
        (Deed::CallFromElsewhere, "ForbiddenCallback"),
    ] {
        let mut scene = Scene::new();
        let (pool, _) = scene.hostile(deed);
        let receipt = scene.market.run(&scene.trade_back_through(pool).flash(true));
        assert_eq!(receipt.answer, Err(error.into()), "{deed:?}");
        scene.assert_untouched();
    }
}

#[test]
fn a_callback_from_a_leg_that_lends_nothing_is_refused() {
    let mut scene = Scene::new();
    let (pool, _) = scene.hostile(Deed::CallOnly);
    scene.market.run(&scene.trade_back_through(pool)).reverts("ForbiddenCallback");
    scene.assert_untouched();
}

#[test]
fn a_pool_that_keeps_its_input_reverts_the_program() {
    let mut scene = Scene::new();
    let (pool, _) = scene.hostile(Deed::Keep);
    scene.market.run(&scene.trade_back_through(pool)).reverts("BelowMinimumProfit");
    let first = Trade::new(scene.a, &[pool, scene.cycles[0][0]], ETHER);
    scene.market.run(&first).reverts("UniswapV2: INSUFFICIENT_INPUT_AMOUNT");
    scene.assert_untouched();
}

#[test]
fn a_hostile_pool_cannot_reach_what_else_the_executor_holds() {
    let mut scene = Scene::new();
    let (pool, raider) = scene.hostile(Deed::Raid);
    let [weth, a] = [scene.weth, scene.a].map(|token| scene.market.address(token));
    let executor = scene.market.executor;
    // The worst case: the pool is an operator itself.
    scene.market.call(OWNER, &Executor::setOperatorCall { account: raider, allowed: true }).lands();
    let take = |token, amount| {
        let amount = U256::from(amount);
        let pull = Erc20::transferFromCall { from: executor, to: raider, amount }.abi_encode();
        let push = Executor::withdrawCall { token, amount, to: raider }.abi_encode();
        [(token, pull), (executor, push)]
    };
    let grant = Executor::transferOwnershipCall { to: raider }.abi_encode();
    let nested = scene.market.calldata(&scene.trade(2));
    let mut raids = [take(weth, 1), take(a, OWN_A)].concat();
    raids.extend([grant, nested, callback(executor, &[])].map(|message| (executor, message)));
    for (target, message) in raids {
        let plan = HostilePair::planCall { target, message: message.into() };
        scene.market.chain.send(STRANGER, raider, plan.abi_encode()).lands();
    }
    let trade = scene.trade_back_through(pool);
    let profit = scene.market.profit(&trade).expect("so it says");
    scene.market.fund(weth, raider, profit + ETHER);
    scene.market.run(&trade.least(profit)).lands();
    assert_eq!(scene.market.held(scene.a), OWN_A);
    assert_eq!(scene.market.held(scene.weth), OWN_WETH + profit);
}

// --- Gas ---------------------------------------------------------------------------------------

#[test]
fn gas_is_what_the_engine_expects_of_it() {
    let table = GasTable::default();
    println!("legs  flash  measured  expected  limit");
    for (legs, is_flash) in [2, 3, 4].into_iter().flat_map(|n| FUNDINGS.map(|flash| (n, flash))) {
        let mut scene = Scene::new();
        let measured = scene.market.run(&scene.trade(legs).flash(is_flash)).lands().gas;
        let shape = Shape::of(repeat_n(PoolKind::ConstantProduct, legs), 0, is_flash);
        let (expected, limit) = (table.expected(&shape).0, table.limit(&shape).0);
        println!("{legs:4}  {is_flash:5}  {measured:8}  {expected:8}  {limit:5}");
        assert!(measured <= limit, "the limit is an upper bound");
        assert!(measured.abs_diff(expected) * 100 <= expected * 15, "the expectation holds");
    }
}
