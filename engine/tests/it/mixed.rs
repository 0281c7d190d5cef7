//! What the executor promises of programs that mix kinds of pools, one promise a test: with real V3
//! pools, Solidly-style pools and pairs, and with hostile company.
//!
//! A scene is written as the kinds of its legs: WETH goes to A, B and C, and back, and it pays.
//!
//! Temperature: cold.

use alloy::primitives::{Address, Bytes, I256, U256};
use alloy::sol_types::{SolCall, SolValue};
use gannet_engine::amm::PoolKind;
use gannet_engine::gas::{GasTable, Shape};
use gannet_engine::ids::{PoolId, TokenId};

use crate::evm::abi::{Erc20, Executor, HostilePair, ReentrantToken};
use crate::evm::{BLOCK, COINBASE, Market, NATIVE, OPERATOR, OWNER, STRANGER, Trade, error_name};
use crate::mixed_pools::{Kind, Range, liquidity_of, sqrt_price_of};
use crate::v3::pancake_code;

const ETHER: u128 = 1_000_000_000_000_000_000;
/// What the executor has of each token at the start, in the order of the scene's.
const HELD: [u128; 4] = [10 * ETHER, 7 * ETHER, 5 * ETHER, 3 * ETHER];
/// Both ways to pay for the first leg.
const FUNDINGS: [bool; 2] = [false, true];

/// Every mix of kinds, of this many legs.
pub(crate) fn mixes(legs: u32) -> Vec<Vec<Kind>> {
    let mix = |number: usize| (0..legs).map(move |leg| Kind::ALL[number / 3_usize.pow(leg) % 3]);
    (0..3_usize.pow(legs)).map(|number| mix(number).collect()).collect()
}

/// Every mix of two to four legs.
fn all_mixes() -> Vec<Vec<Kind>> {
    [2, 3, 4].into_iter().flat_map(mixes).collect()
}

/// A cycle that pays, and an executor that holds some of each token.
pub(crate) struct Scene {
    pub(crate) market: Market,
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) pools: Vec<PoolId>,
}

impl Scene {
    pub(crate) fn new(kinds: &[Kind]) -> Self {
        let mut market = Market::new();
        let mut tokens = vec![market.weth];
        tokens.extend([18; 3].map(|decimals| market.token(decimals)));
        Self::with(market, tokens, kinds)
    }

    /// With these tokens, the first of which is the profit token.
    fn with(market: Market, tokens: Vec<TokenId>, kinds: &[Kind]) -> Self {
        let mut scene = Self { market, tokens, pools: vec![] };
        for (leg, &kind) in kinds.iter().enumerate() {
            let next = (leg + 1) % kinds.len();
            let reserves = match (leg, next) {
                (0, _) => [200 * ETHER, 400_000 * ETHER],
                (_, 0) => [300_000 * ETHER, 200 * ETHER],
                (_, _) => [400_000 * ETHER; 2],
            };
            let pool = scene.pool(kind, [scene.tokens[leg], scene.tokens[next]], reserves);
            scene.pools.push(pool);
        }
        for (token, amount) in scene.tokens.clone().into_iter().zip(HELD) {
            scene.hold(token, amount);
        }
        scene
    }

    /// A pool with these reserves, which a V3 pool has virtually.
    fn pool(&mut self, kind: Kind, tokens: [TokenId; 2], reserves: [u128; 2]) -> PoolId {
        let market = &mut self.market;
        let is_sorted = market.address(tokens[0]) < market.address(tokens[1]);
        let sorted = if is_sorted { reserves } else { [reserves[1], reserves[0]] };
        match kind {
            Pair => market.pool(tokens, reserves),
            V3 => {
                // Two V3 pools of one pair differ in their fee.
                let fee = if self.pools.is_empty() { 3_000 } else { 500 };
                let pool = market.v3_pool(tokens, fee);
                market.set_v3_flat(pool, sorted).expect("a price");
                pool
            }
            Solidly => {
                let pool = market.solidly_pool(tokens, false, 3_000);
                market.set_solidly(pool, sorted);
                pool
            }
        }
    }

    fn hold(&mut self, token: TokenId, amount: u128) {
        self.market.fund(self.market.address(token), self.market.executor, amount);
    }

    /// One unit of the profit token through the cycle.
    pub(crate) fn trade(&self) -> Trade {
        Trade::new(self.tokens[0], &self.pools, ETHER)
    }

    fn held(&mut self) -> Vec<u128> {
        self.tokens.clone().into_iter().map(|token| self.market.held(token)).collect()
    }

    /// Nobody took anything from the executor, and it gained this much of the profit token.
    #[track_caller]
    fn assert_gained(&mut self, gain: u128) {
        let mut wanted = HELD.to_vec();
        wanted[0] += gain;
        assert_eq!(self.held(), wanted[..self.tokens.len()]);
    }

    /// Puts a hostile V3 shaped pool in the place of a leg's: it pays `payment` of what comes out.
    fn infiltrate(&mut self, leg: usize, deed: Deed, payment: u128) -> Address {
        let next = (leg + 1) % self.pools.len();
        let loot = self.market.address(self.tokens[next]);
        let arguments = (U256::from(deed as u8), loot, U256::from(payment)).abi_encode_params();
        let pool = self.market.contract("HostileV3Pool", &arguments);
        self.market.fund(loot, pool, payment);
        let tokens = [self.tokens[leg], self.tokens[next]];
        self.pools[leg] = self.market.list_v3(pool, tokens);
        pool
    }
}

/// `enum V3Deed` of `tests/sol/HostileV3Pool.sol`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Keep,
    CallOnly,
    AskTwice,
    AskMore,
    AskOtherToken,
    ChangeData,
    ChangeForm,
    CallFromElsewhere,
    SayMore,
    SayLess,
    SayPaid,
    Raid,
}

use Kind::{Pair, Solidly, V3};

// --- Programs ----------------------------------------------------------------------------------

#[test]
fn every_mix_pays_what_its_pools_quote_and_not_a_wei_less() {
    for (kinds, is_flash) in all_mixes().iter().flat_map(|mix| FUNDINGS.map(|flash| (mix, flash))) {
        let mut scene = Scene::new(kinds);
        let trade = scene.trade().flash(is_flash);
        let gain = scene.market.gain(&trade).expect("the cycle pays");
        let over = scene.market.peek(&trade.clone().least(gain + 1)).answer;
        assert_eq!(over, Err("BelowMinimumProfit".into()), "{kinds:?}, flash {is_flash}");
        let landed = scene.market.run(&trade.least(gain)).answer;
        assert!(landed.is_ok(), "{kinds:?}, flash {is_flash}: {landed:?}");
        scene.assert_gained(gain);
    }
}

#[test]
fn a_mix_that_a_pool_lends_for_needs_no_funds() {
    for kinds in all_mixes() {
        let is_quoted = !kinds.contains(&V3);
        let mut scene = Scene::new(&kinds);
        for token in scene.tokens.clone() {
            scene.hold(token, 0);
        }
        let trade = scene.trade();
        if is_quoted {
            scene.market.peek(&trade).reverts("TransferFailed");
        } else {
            // A V3 pool lends whatever the flags say.
            scene.market.peek(&trade).lands();
        }
        let gain = scene.market.gain(&trade).expect("the cycle pays");
        scene.market.run(&trade.flash(true).least(gain)).lands();
        assert_eq!(scene.held()[..2], [gain, 0], "{kinds:?}");
    }
}

#[test]
fn profit_of_a_mix_may_be_taken_in_any_token() {
    for kinds in mixes(3) {
        let mut market = Market::new();
        let mut tokens: Vec<_> = [18; 3].map(|decimals| market.token(decimals)).into();
        tokens.insert(1, market.weth);
        let mut scene = Scene::with(market, tokens, &kinds);
        let trade = scene.trade();
        let gain = scene.market.gain(&trade).expect("the cycle pays");
        scene.market.run(&trade.least(gain)).lands();
        scene.assert_gained(gain);
    }
}

#[test]
fn a_mix_tips_and_sweeps_to_the_wei() {
    for kinds in all_mixes().into_iter().filter(|kinds| kinds.contains(&V3)) {
        let mut scene = Scene::new(&kinds);
        let weth = scene.market.address(scene.tokens[0]);
        let trade = scene.trade();
        let gain = scene.market.gain(&trade).expect("the cycle pays");
        let trade = trade.tip(gain - 5);
        scene.market.peek(&trade.clone().least(6)).reverts("BelowMinimumProfit");
        scene.market.peek(&trade.clone().tip(gain + 1)).reverts("BelowMinimumProfit");
        let limit = U256::from(HELD[0] + 2);
        let call = Executor::setSweepAboveCall { token: weth, limit };
        scene.market.call(OWNER, &call).lands();
        scene.market.run(&trade.least(5)).lands();
        assert_eq!(scene.market.balance(NATIVE, COINBASE), gain - 5);
        assert_eq!(scene.market.balance(weth, OWNER), 3);
        scene.assert_gained(2);
    }
}

#[test]
fn a_mix_whose_gap_has_closed_moves_nothing() {
    for kinds in all_mixes() {
        for closed in 0..kinds.len() {
            let mut scene = Scene::new(&kinds);
            // Somebody else went through one of the pools before.
            let (pool, token) = (scene.pools[closed], scene.tokens[closed]);
            let direction = scene.market.direction(pool, token);
            let mut reserves = [400_000 * ETHER, 100_000 * ETHER];
            if closed == 0 {
                reserves = [200 * ETHER, 200_000 * ETHER];
            } else if closed + 1 == kinds.len() {
                reserves = [600_000 * ETHER, 200 * ETHER];
            }
            if direction.index_in() == 1 {
                reserves.swap(0, 1);
            }
            match kinds[closed] {
                Pair => scene.market.set_reserves(pool, reserves, 3_000),
                V3 => drop(scene.market.set_v3_flat(pool, reserves)),
                Solidly => scene.market.set_solidly(pool, reserves),
            }
            scene.market.run(&scene.trade()).reverts("BelowMinimumProfit");
            scene.assert_gained(0);
        }
    }
}

#[test]
fn a_mix_expires_after_its_last_block() {
    let mut scene = Scene::new(&[Pair, V3, Solidly]);
    let trade = Trade { last_block: BLOCK - 1, ..scene.trade() };
    scene.market.run(&trade).reverts("Expired");
    scene.market.run(&Trade { last_block: BLOCK, ..trade }).lands();
}

#[test]
fn a_v3_pool_that_occurs_twice_is_refused() {
    let mut scene = Scene::new(&[V3, V3]);
    let [first, second] = [scene.pools[0], scene.pools[1]];
    let trade = |pools: &[PoolId]| Trade::new(scene.tokens[0], pools, ETHER);
    let [twice, back] = [trade(&[first, second, first, second]), trade(&[first, first])];
    scene.market.run(&twice).reverts("LOK");
    scene.market.run(&back).reverts("LOK");
    scene.assert_gained(0);
}

#[test]
fn a_v3_pool_that_runs_out_of_liquidity_costs_no_more_than_the_gain() {
    let mut scene = Scene::new(&[Pair, V3]);
    let pool = scene.pools[1];
    let direction = scene.market.direction(pool, scene.tokens[1]);
    let mut reserves = [300_000 * ETHER, 200 * ETHER];
    if direction.index_in() == 1 {
        reserves.swap(0, 1);
    }
    let price = sqrt_price_of(reserves);
    let tick = scene.market.set_v3_flat(pool, reserves).expect("a price");
    let [low, high] = [-1, 2].map(|steps| scene.market.usable_tick(pool, tick, steps));
    let range = Range { low, high, liquidity: liquidity_of(reserves) / 50 };
    scene.market.set_v3(pool, price, &[range]);
    let trade = scene.trade();
    assert_eq!(scene.market.gain(&trade), None, "less comes out than goes in");
    scene.market.run(&trade).reverts("BelowMinimumProfit");
    scene.assert_gained(0);
}

#[test]
fn malformed_mixes_are_refused() {
    const FLAGS: usize = 4;
    const FIRST_LEG: usize = 81;
    const LEG: usize = 45;
    let mut scene = Scene::new(&[V3, V3, Pair]);
    let whole = scene.market.calldata(&scene.trade());
    let with = |at: usize, byte: u8| {
        let mut data = whole.clone();
        data[at] = byte;
        data
    };
    let many = [&whole[..FIRST_LEG], &whole[FIRST_LEG..FIRST_LEG + LEG].repeat(256)].concat();
    for (data, error) in [
        (with(FLAGS, 2), "BadProgram"),
        (with(FIRST_LEG, 3), "UnknownLeg"),
        (with(FIRST_LEG + 2 * LEG, 3), "UnknownLeg"),
        (with(FIRST_LEG + 24, 2), "BadProgram"),
        (with(FIRST_LEG + LEG + 24, 2), "BadProgram"),
        (with(FIRST_LEG + 2 * LEG + 24, 2), "BadProgram"),
        (whole[..whole.len() - 20].to_vec(), "BadProgram"),
        (whole[..FIRST_LEG + LEG].to_vec(), "BelowMinimumProfit"),
        (many, "BadProgram"),
    ] {
        scene.market.chain.send(OPERATOR, scene.market.executor, data).reverts(error);
    }
    scene.assert_gained(0);
}

#[test]
fn a_token_named_wrongly_between_v3_pools_cannot_be_spent() {
    let mut scene = Scene::new(&[V3, V3, Pair]);
    let whole = scene.market.calldata(&scene.trade());
    // The executor holds all of these, and none of them arrives between the two.
    for wrong in [0, 2, 3] {
        let mut data = whole.clone();
        let token = scene.market.address(scene.tokens[wrong]);
        data[81 + 45 + 25..81 + 2 * 45].copy_from_slice(token.as_slice());
        scene.market.chain.send(OPERATOR, scene.market.executor, data).reverts("AS");
    }
    scene.assert_gained(0);
}

#[test]
fn a_pool_that_calls_back_under_another_name_is_served() {
    let Some(code) = pancake_code() else { return };
    for (kinds, place) in [([V3, Pair], 0), ([Pair, V3], 1), ([V3, V3], 0), ([V3, V3], 1)] {
        let mut market = Market::new();
        let pool = market.pancake_pool(Address::repeat_byte(0x9a), code.clone());
        let tokens = market.world.pools.get(pool).tokens;
        let mut scene = Scene::with(market, tokens.into(), &kinds);
        let is_forth = place == 0;
        let reserves =
            if is_forth { [200 * ETHER, 400_000 * ETHER] } else { [200 * ETHER, 300_000 * ETHER] };
        scene.market.set_v3_flat(pool, reserves).expect("a price");
        scene.pools[place] = pool;

        let gain = scene.market.profit(&scene.trade()).expect("the cycle pays");
        let trade = scene.trade().least(gain + 1);
        scene.market.peek(&trade).reverts("BelowMinimumProfit");
        scene.market.run(&trade.least(gain)).lands();
        scene.assert_gained(gain);
    }
}

// --- Odd tokens --------------------------------------------------------------------------------

/// The cycle of these kinds, with a token of `tests/sol/Token.sol` at this place.
fn odd_scene(kinds: &[Kind], place: usize, name: &str) -> Scene {
    let mut market = Market::new();
    let mut tokens = vec![market.weth];
    tokens.extend([18; 3].map(|decimals| market.token(decimals)));
    tokens[place] = market.odd_token(name, &[]);
    Scene::with(market, tokens, kinds)
}

#[test]
fn a_fee_on_transfer_token_reverts_any_mix_and_loses_nothing() {
    for kinds in all_mixes() {
        for place in 0..kinds.len() {
            let mut scene = odd_scene(&kinds, place, "FeeToken");
            for is_flash in FUNDINGS {
                let trade = scene.trade().flash(is_flash);
                let error = scene.market.run(&trade).answer.expect_err("less arrives than is sent");
                let usual = ["UniswapV2: K", "K", "IIA"].contains(&&*error);
                assert!(usual, "{kinds:?}, place {place}: {error}");
                scene.assert_gained(0);
            }
        }
    }
}

#[test]
fn a_token_that_returns_nothing_is_as_good_as_any_in_a_mix() {
    for kinds in mixes(3) {
        for place in 0..kinds.len() {
            // Solidly-style pools of these tests insist on an answer, as many do.
            if kinds.contains(&Solidly) {
                continue;
            }
            let mut scene = odd_scene(&kinds, place, "SilentToken");
            let trade = scene.trade();
            let gain = scene.market.gain(&trade).expect("the cycle pays");
            scene.market.run(&trade.least(gain)).lands();
            scene.assert_gained(gain);
        }
    }
}

#[test]
fn a_token_that_calls_back_during_a_mix_is_refused_and_the_program_lands() {
    for (kinds, place) in [([V3, V3, Pair], 1), ([Pair, V3, Solidly], 1), ([V3, Pair, V3], 0)] {
        let mut scene = odd_scene(&kinds, place, "ReentrantToken");
        let (token, executor) = (scene.market.address(scene.tokens[place]), scene.market.executor);
        // The worst case: the token is an operator itself.
        let call = Executor::setOperatorCall { account: token, allowed: true };
        scene.market.call(OWNER, &call).lands();
        let program = scene.market.calldata(&scene.trade());
        let withdrawal =
            Executor::withdrawCall { token, amount: U256::ONE, to: token }.abi_encode();
        let forged = callback(&program[13..]);
        for (message, error) in
            [(program, "Locked"), (withdrawal, "NotOwner"), (forged, "ForbiddenCallback")]
        {
            let aim = ReentrantToken::aimCall { target: executor, message: message.into() };
            scene.market.chain.send(STRANGER, token, aim.abi_encode()).lands();
            let before = scene.held();
            scene.market.run(&scene.trade()).lands();
            let refusal = scene.market.chain.read(token, &ReentrantToken::refusalCall {});
            assert_eq!(error_name(&refusal.expect("a view")), error);
            let after = scene.held();
            assert!(after[0] > before[0] && after[1..] == before[1..]);
        }
    }
}

// --- Forged callbacks and hostile pools --------------------------------------------------------

/// A callback with `data`, as a V3 shaped pool would make it.
fn callback(data: &[u8]) -> Vec<u8> {
    let (amount0, amount1) = (I256::ONE, I256::MINUS_ONE);
    let data = Bytes::copy_from_slice(data);
    Executor::anyV3CallCall { amount0, amount1, data }.abi_encode()
}

#[test]
fn a_v3_callback_that_nobody_awaits_is_refused() {
    let mut scene = Scene::new(&[V3, Pair]);
    let program = scene.market.calldata(&scene.trade());
    for data in [callback(&[]), callback(&program[13..])] {
        for caller in [STRANGER, OPERATOR, OWNER] {
            scene
                .market
                .chain
                .send(caller, scene.market.executor, data.clone())
                .reverts("ForbiddenCallback");
        }
    }
    scene.assert_gained(0);
}

#[test]
fn a_hostile_v3_pool_is_refused_or_paid_exactly_its_input_wherever_it_stands() {
    for legs in [2, 3] {
        for kinds in mixes(legs) {
            for place in 0..kinds.len() {
                // With a V3 pool in its place it is the same mix, and seen once.
                if kinds[place] == V3 {
                    judge_deeds(&kinds, place);
                }
            }
        }
    }
}

fn judge_deeds(kinds: &[Kind], place: usize) {
    for deed in [
        Deed::Keep,
        Deed::CallOnly,
        Deed::AskTwice,
        Deed::AskMore,
        Deed::AskOtherToken,
        Deed::ChangeData,
        Deed::ChangeForm,
        Deed::CallFromElsewhere,
        Deed::SayMore,
        Deed::SayLess,
        Deed::SayPaid,
    ] {
        let mut scene = Scene::new(kinds);
        let flow = scene.market.flow(&scene.trade()).expect("the cycle pays");
        let pool = scene.infiltrate(place, deed, flow[place + 1]);
        let token_in = scene.market.address(scene.tokens[place]);
        let answer = scene.market.run(&scene.trade()).answer;
        let got = scene.market.balance(token_in, pool);
        let is_last = place + 1 == kinds.len();
        let what = format!("{kinds:?}, place {place}, {deed:?}: {answer:?}");
        let is_next_v3 = !is_last && kinds[place + 1] == V3;
        let end = match deed {
            Deed::Keep => Err("MissingCallback"),
            Deed::AskTwice | Deed::ChangeData | Deed::ChangeForm | Deed::CallFromElsewhere => {
                Err("ForbiddenCallback")
            }
            // A V3 pool refuses to swap the nothing that has arrived.
            Deed::CallOnly if is_next_v3 => Err("AS"),
            Deed::CallOnly if is_last => Err("BelowMinimumProfit"),
            // The next pool sees that nothing came, or not enough.
            Deed::CallOnly => Err(""),
            Deed::SayMore | Deed::SayPaid | Deed::AskOtherToken if !is_last && !is_next_v3 => {
                Err("")
            }
            // Half of it asked from the next pool is no gain.
            Deed::SayLess if !is_next_v3 => Err("BelowMinimumProfit"),
            // Whatever it says: it is paid its input, and what it paid is counted.
            Deed::SayMore
            | Deed::SayPaid
            | Deed::AskOtherToken
            | Deed::SayLess
            | Deed::AskMore
            | Deed::Raid => Ok(()),
        };
        match (end, answer) {
            (Ok(()), Ok(_)) => {
                assert_eq!(got, flow[place], "{what}");
                scene.assert_gained(flow[kinds.len()] - flow[0]);
            }
            (Err(wanted), Err(error)) => {
                assert!(wanted.is_empty() || wanted == error, "{what}");
                assert_eq!(got, 0, "{what}");
                scene.assert_gained(0);
            }
            _ => panic!("{what}"),
        }
    }
}

#[test]
fn a_hostile_v3_pool_cannot_reach_what_else_the_executor_holds() {
    for (kinds, place) in
        [([Pair, V3, Pair], 1), ([V3, V3, Pair], 0), ([V3, V3, Solidly], 1), ([Pair, V3, V3], 2)]
    {
        let mut scene = Scene::new(&kinds);
        let executor = scene.market.executor;
        let flow = scene.market.flow(&scene.trade()).expect("the cycle pays");
        let raider = scene.infiltrate(place, Deed::Raid, flow[place + 1]);
        // The worst case: the pool is an operator itself.
        let call = Executor::setOperatorCall { account: raider, allowed: true };
        scene.market.call(OWNER, &call).lands();
        let program = scene.market.calldata(&scene.trade());
        let mut raids = vec![
            (executor, program.clone()),
            (executor, callback(&program[13..])),
            (executor, callback(&[])),
            (executor, Executor::transferOwnershipCall { to: raider }.abi_encode()),
        ];
        for token in scene.tokens.clone() {
            let (token, amount) = (scene.market.address(token), U256::ONE);
            let pull = Erc20::transferFromCall { from: executor, to: raider, amount }.abi_encode();
            let push = Executor::withdrawCall { token, amount, to: raider }.abi_encode();
            raids.extend([(token, pull), (executor, push)]);
        }
        for (target, message) in raids {
            let plan = HostilePair::planCall { target, message: message.into() };
            scene.market.chain.send(STRANGER, raider, plan.abi_encode()).lands();
        }
        scene.market.run(&scene.trade()).lands();
        scene.assert_gained(flow[3] - flow[0]);
    }
}

// --- Gas ---------------------------------------------------------------------------------------

/// The kinds as the engine names them.
fn shape(kinds: &[Kind], is_flash: bool) -> Shape {
    let kinds = kinds.iter().map(|kind| match kind {
        Pair => PoolKind::ConstantProduct,
        V3 => PoolKind::Concentrated,
        Solidly => PoolKind::Solidly,
    });
    Shape::of(kinds, 0, is_flash)
}

#[test]
fn every_mix_costs_about_what_the_table_says_and_less_than_its_limit() {
    let table = GasTable::default();
    let mut furthest = 0.0_f64;
    for kinds in all_mixes() {
        for is_flash in FUNDINGS {
            let mut scene = Scene::new(&kinds);
            for token in scene.tokens.clone().into_iter().skip(1) {
                scene.hold(token, 0);
            }
            let trade = scene.trade().flash(is_flash);
            let gas = scene.market.peek(&trade).lands().gas;
            let shape = shape(&kinds, is_flash);
            let expected = table.expected(&shape).0;
            let off = gas as f64 / expected as f64 - 1.0;
            assert!(off.abs() < 0.08, "{kinds:?} {is_flash}: {gas}, expected {expected}");
            furthest = if off.abs() > furthest.abs() { off } else { furthest };
            assert!(gas <= table.limit(&shape).0);
            let gain = scene.market.gain(&trade).expect("pays");
            let revert = scene.market.peek(&trade.least(gain + 1)).gas;
            assert!(revert <= shape.revert().0, "{kinds:?} {is_flash}: a revert costs {revert}");
        }
    }
    println!("gas of {} mixes: at most {furthest:+.3} off the table", all_mixes().len());
}
