//! The probe on the contracts' own bytecode: pools that are what they are taken for pass, and what
//! a token, a pool or a lender does that it should not is seen for what it is.
//!
//! Temperature: cold.

use std::sync::LazyLock;

use alloy::sol;
use alloy::sol_types::{SolCall, SolValue};
use alloy_primitives::{Address, TxKind, U256, hex, keccak256};
use gannet_engine::amm::ticks::TickArena;
use gannet_engine::amm::{
    Concentrated, ConcentratedState, ConstantProduct, Pool, Solidly, SolidlyState, Tick,
};
use gannet_engine::ids::{Direction, PoolId};
use gannet_engine::world::Standing;
use revm::context::result::Output;
use serde_json::Value;

use super::probe::{Lender, Shape, Shown, Trial};
use super::trial::{Claim, PLAIN_TRANSFER_GAS, Quoted, judge};
use crate::bootstrap::tests::{Chain, DEPLOYER, GAS, artifact, deployed, repository, set_tick};

sol! {
    function createPair(address a, address b) external returns (address pair);
    function createPool(address a, address b, uint24 fee) external returns (address pool);
    function sync() external;
    function list(address account) external;
    function rebase(uint256 perMille) external;
    function slot0() external view returns (uint256 price, int256 tick);
    function fee() external view returns (uint256 pips);
    function tickSpacing() external view returns (int256 spacing);
    function token0() external view returns (address token);
    function token1() external view returns (address token);
    function initialize(uint160 price) external;
}

/// Receives what is tried: the executor.
const RECEIVER: Address = Address::repeat_byte(0x5e);
const UNIT: u128 = 1_000_000_000_000_000_000;

/// Creation code of the contracts that are written for tests.
fn compiled(name: &str) -> Vec<u8> {
    static ALL: LazyLock<Value> = LazyLock::new(|| {
        let file = repository("engine/tests/sol/contracts.json");
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    });
    hex::decode(ALL[name]["bytecode"].as_str().unwrap()).unwrap()
}

/// A pool as the engine knows it.
struct Known {
    address: Address,
    shape: Shape,
    state: Pool,
    ticks: Vec<Tick>,
    tokens: [Address; 2],
}

/// A chain with a pair of a token and a plain one, and a pair that lends each of them.
struct Bench {
    chain: Chain,
    factory: Address,
}

impl Bench {
    fn new() -> Self {
        let mut chain = Chain::new();
        let code = artifact("v2-core/build/UniswapV2Factory");
        let factory = chain.deploy(&code, &DEPLOYER.abi_encode());
        Self { chain, factory }
    }

    fn token(&mut self, name: &str) -> Address {
        let arguments = if name == "Token" { U256::from(18).abi_encode() } else { Vec::new() };
        self.chain.deploy(&compiled(name), &arguments)
    }

    fn give(&mut self, token: Address, to: Address, amount: u128) {
        let slot = keccak256((to, U256::ZERO).abi_encode_params());
        self.chain.set(token, U256::from_be_bytes(slot.0), U256::from(amount));
    }

    /// A Uniswap V2 pair with these reserves, as the engine takes it for one of this fee.
    fn pair(&mut self, [a, b]: [Address; 2], reserves: [u128; 2], fee_pips: u32) -> Known {
        let call = createPairCall { a, b }.abi_encode();
        let made = self.chain.send(TxKind::Call(self.factory), call.into());
        let Output::Call(made) = made else { panic!() };
        let address = createPairCall::abi_decode_returns(&made).unwrap();
        self.fill(address, [a, b], reserves, fee_pips)
    }

    fn fill(
        &mut self,
        address: Address,
        [a, b]: [Address; 2],
        reserves: [u128; 2],
        fee_pips: u32,
    ) -> Known {
        self.give(a, address, reserves[0]);
        self.give(b, address, reserves[1]);
        self.chain.send(TxKind::Call(address), syncCall {}.abi_encode().into());
        let (tokens, reserves) =
            if a < b { ([a, b], reserves) } else { ([b, a], [reserves[1], reserves[0]]) };
        let state = ConstantProduct::new(reserves, fee_pips).unwrap().into();
        Known { address, shape: Shape::Pair, state, ticks: Vec::new(), tokens }
    }

    /// Lends both tokens: one pair for each, with a token of its own.
    fn lenders(&mut self, pool: &Known) -> [Lender; 2] {
        pool.tokens.map(|token| {
            let other = self.token("Token");
            let lender = self.pair([token, other], [1_000 * UNIT, 1_000 * UNIT], 3_000);
            let is_first = lender.tokens[0] == token;
            Lender { pool: lender.address, shape: Shape::Pair, is_first }
        })
    }

    /// Tries a pool both ways, and says what is made of it.
    fn judge(&mut self, pool: &Known, lenders: [Lender; 2]) -> [Option<Result<u32, Standing>>; 2] {
        let trials = trials(pool, lenders);
        let shown: Vec<Shown> = self.chain.look(&trials, GAS);
        assert_eq!(shown.len(), 2);
        let reserves = pool.state.reserves();
        [0, 1].map(|way| {
            let claim = Claim { reserve: reserves.map(|reserves| reserves[way]) };
            judge(&trials[way], claim, &shown[way])
        })
    }

    /// What is made of a pool that has this token, with lenders of its own.
    fn standing_of(&mut self, name: &str) -> [Option<Result<u32, Standing>>; 2] {
        let (token, plain) = (self.token(name), self.token("Token"));
        let pool = self.pair([token, plain], [3_000 * UNIT, 70 * UNIT], 3_000);
        let lenders = self.lenders(&pool);
        let found = self.judge(&pool, lenders);
        // The token's own direction first.
        if pool.tokens[0] == token { found } else { [found[1], found[0]] }
    }
}

fn trials(pool: &Known, lenders: [Lender; 2]) -> Vec<Trial> {
    let mut arena = TickArena::new(1, TickArena::room_for(pool.ticks.len()));
    arena.load(PoolId(0), &pool.ticks).unwrap();
    let quoted = Quoted { pool: &pool.state, ticks: arena.of(PoolId(0)) };
    let ways = [Direction::ZeroForOne, Direction::OneForZero];
    let trial = |direction: Direction| Trial {
        pool: pool.address,
        shape: pool.shape,
        is_first: direction == Direction::ZeroForOne,
        tokens: [pool.tokens[direction.index_in()], pool.tokens[direction.index_out()]],
        lender: lenders[direction.index_in()],
        receiver: RECEIVER,
        sizes: quoted.sizes(direction, 200 * UNIT).unwrap(),
    };
    ways.map(trial).to_vec()
}

const PASSED: [Option<Result<u32, Standing>>; 2] = [Some(Ok(0)); 2];

#[test]
fn a_pair_of_plain_tokens_passes_at_its_own_fee_and_at_no_other() {
    let mut bench = Bench::new();
    let tokens = [bench.token("Token"), bench.token("Token")];
    let mut pool = bench.pair(tokens, [3_000 * UNIT, 70 * UNIT], 3_000);
    let lenders = bench.lenders(&pool);
    assert_eq!(bench.judge(&pool, lenders), PASSED);
    let reserves = pool.state.reserves().unwrap();
    for (fee_pips, expected) in [
        (2_999, Standing::SwapRefused),
        (2_500, Standing::SwapRefused),
        (3_001, Standing::QuoteDiffers),
        (10_000, Standing::QuoteDiffers),
    ] {
        pool.state = ConstantProduct::new(reserves, fee_pips).unwrap().into();
        let found = bench.judge(&pool, lenders);
        assert_eq!(found, [Some(Err(expected)); 2], "taken for a fee of {fee_pips}");
    }
    let off = [reserves[0] - 1_000_000_000, reserves[1]];
    pool.state = ConstantProduct::new(off, 3_000).unwrap().into();
    let found = bench.judge(&pool, lenders);
    assert!(found.iter().any(|way| way.unwrap().is_err()), "its reserves are others: {found:?}");
}

#[test]
fn a_plain_transfer_is_what_others_are_measured_by() {
    let mut bench = Bench::new();
    let tokens = [bench.token("Token"), bench.token("Token")];
    let pool = bench.pair(tokens, [3_000 * UNIT, 70 * UNIT], 3_000);
    let trials = trials(&pool, bench.lenders(&pool));
    for shown in bench.chain.look(&trials, GAS) {
        let gas = shown.transfers[0].gas;
        assert!((PLAIN_TRANSFER_GAS - 200..=PLAIN_TRANSFER_GAS).contains(&gas), "{gas}");
    }
    let Some(Ok(extra)) = bench.standing_of("HeavyToken")[0] else { panic!() };
    // Four new slots and the length of a list.
    assert!((88_000..140_000).contains(&extra), "{extra}");
}

#[test]
fn a_surplus_that_was_given_to_a_pair_is_not_its_price() {
    let mut bench = Bench::new();
    let tokens = [bench.token("Token"), bench.token("Token")];
    let pool = bench.pair(tokens, [3_000 * UNIT, 70 * UNIT], 3_000);
    let lenders = bench.lenders(&pool);
    bench.give(tokens[0], pool.address, 3_001 * UNIT);
    assert_eq!(bench.judge(&pool, lenders), PASSED);
}

#[test]
fn a_token_that_answers_nothing_passes() {
    let mut bench = Bench::new();
    assert_eq!(bench.standing_of("SilentToken"), PASSED);
}

#[test]
fn tokens_that_do_not_arrive_are_told_apart() {
    let mut bench = Bench::new();
    let found = bench.standing_of("FeeToken");
    assert_eq!(found, [Some(Err(Standing::TransferFee)); 2], "a fee is seen both ways");
    // It cannot even be lent, and a pair that it leaves refuses its swap.
    let found = bench.standing_of("FalseToken");
    assert_eq!(found, [None, Some(Err(Standing::SwapRefused))]);
}

#[test]
fn a_list_that_has_the_pool_or_the_executor_is_seen_and_so_is_a_pause() {
    for (listed, expected) in [
        (Some(RECEIVER), [Some(Err(Standing::TransferRefused)), Some(Ok(0))]),
        (None, [Some(Err(Standing::TransferRefused)), Some(Err(Standing::SwapRefused))]),
        // Paused: nobody lends it.
        (Some(Address::ZERO), [None, Some(Err(Standing::SwapRefused))]),
    ] {
        let mut bench = Bench::new();
        let (token, plain) = (bench.token("ListToken"), bench.token("Token"));
        let pool = bench.pair([token, plain], [3_000 * UNIT, 70 * UNIT], 3_000);
        let lenders = bench.lenders(&pool);
        let way = usize::from(pool.tokens[0] != token);
        let before = bench.judge(&pool, lenders);
        assert!(matches!(before, [Some(Ok(_)), Some(Ok(_))]), "{before:?}");
        let account = listed.unwrap_or(pool.address);
        bench.chain.send(TxKind::Call(token), listCall { account }.abi_encode().into());
        let found = bench.judge(&pool, lenders);
        let refused = |found: Option<Result<u32, Standing>>| found.map(|found| found.map(|_| 0));
        assert_eq!([refused(found[way]), refused(found[1 - way])], expected, "{listed:?}");
    }
}

#[test]
fn a_token_whose_balances_shrink_by_themselves_is_seen() {
    let mut bench = Bench::new();
    let (token, plain) = (bench.token("ShareToken"), bench.token("Token"));
    let pool = bench.pair([token, plain], [3_000 * UNIT, 70 * UNIT], 3_000);
    let lenders = bench.lenders(&pool);
    let way = usize::from(pool.tokens[0] != token);
    assert!(matches!(bench.judge(&pool, lenders), [Some(Ok(_)), Some(Ok(_))]));
    bench
        .chain
        .send(TxKind::Call(token), rebaseCall { perMille: U256::from(999) }.abi_encode().into());
    let found = bench.judge(&pool, lenders);
    assert!(
        matches!(found[way], Some(Err(Standing::Rebasing | Standing::TransferFee))),
        "{found:?}"
    );
    assert!(found[1 - way].unwrap().is_err(), "{found:?}");
}

#[test]
fn a_lender_that_lends_nothing_or_answers_for_the_probe_is_not_believed() {
    let mut bench = Bench::new();
    let tokens = [bench.token("Token"), bench.token("Token")];
    let pool = bench.pair(tokens, [3_000 * UNIT, 70 * UNIT], 2_000);
    let forged_answer = |size: u16| {
        // Reverts with so many bytes that are all ones.
        let [high, low] = size.to_be_bytes();
        let fill = [0x60, 0x01, 0x60, 0x00, 0x53];
        [&fill[..], &[0x61, high, low, 0x60, 0x00, 0xfd]].concat()
    };
    let hostile: [Vec<u8>; 5] = [
        Vec::new(),
        hex!("60006000f3").to_vec(),
        hex!("60006000fd").to_vec(),
        hex!("5b600056").to_vec(),
        forged_answer(238),
    ];
    for (id, code) in (1..).zip(hostile) {
        let lender = Address::repeat_byte(0xe0 + id);
        bench.chain.place(lender, &code);
        let lender = Lender { pool: lender, shape: Shape::Pair, is_first: true };
        assert_eq!(bench.judge(&pool, [lender; 2]), [None; 2], "lender {id}");
    }
}

#[test]
fn a_pool_that_does_whatever_it_can_is_refused_and_the_next_is_tried() {
    let hostile: [&[u8]; 6] = [
        &[],
        &hex!("60006000fd"),
        &hex!("fe"),
        &hex!("5b600056"),
        &hex!("621000006000f3"),
        &hex!("60006000f3"),
    ];
    let mut bench = Bench::new();
    let tokens = [bench.token("Token"), bench.token("Token")];
    let good = bench.pair(tokens, [3_000 * UNIT, 70 * UNIT], 3_000);
    let lenders = bench.lenders(&good);
    let honest = trials(&good, lenders);
    for (id, code) in (1..).zip(hostile) {
        let address = Address::repeat_byte(0xe0 + id);
        bench.chain.place(address, code);
        let asked = [Trial { pool: address, ..honest[0] }, honest[1]];
        let shown = bench.chain.look(&asked, GAS);
        let claim = Claim { reserve: None };
        assert_eq!(judge(&asked[0], claim, &shown[0]), Some(Err(Standing::UnknownLayout)));
        assert_eq!(judge(&asked[1], claim, &shown[1]), Some(Ok(0)), "after {id}");
    }
}

/// Liquidity in range of a concentrated pool.
const LIQUIDITY: u128 = 10_000 * UNIT;

impl Bench {
    /// Fills a concentrated pool whose ticks, bitmap and liquidity are at these slots.
    fn concentrated(&mut self, pool: Address, slots: [u64; 3], fee_pips: u32) -> Known {
        let price: U256 = U256::from(1) << 96;
        let call = initializeCall { price: price.to() }.abi_encode();
        self.chain.send(TxKind::Call(pool), call.into());
        let tick_spacing = self.chain.view(pool, &tickSpacingCall {}).as_i32();
        let (far, near) = (tick_spacing * 400, tick_spacing * 5);
        let ranges = [(-far, LIQUIDITY / 2), (-near, LIQUIDITY / 2)];
        let mut ticks = Vec::new();
        for (lower, amount) in ranges {
            let net = amount.cast_signed();
            ticks.push(Tick { index: lower, net, gross: amount });
            ticks.push(Tick { index: -lower, net: -net, gross: amount });
        }
        ticks.sort_unstable_by_key(|tick| tick.index);
        let [tick_slot, bitmap, liquidity] = slots;
        for Tick { index, net, gross } in &ticks {
            set_tick(&mut self.chain, pool, [tick_slot, bitmap], (*index, tick_spacing));
            let key = alloy_primitives::I256::try_from(*index).unwrap().into_raw();
            let slot = keccak256((key, U256::from(tick_slot)).abi_encode_params());
            let word = (U256::from(net.cast_unsigned()) << 128) | U256::from(*gross);
            self.chain.set(pool, U256::from_be_bytes(slot.0), word);
        }
        self.chain.set(pool, U256::from(liquidity), U256::from(LIQUIDITY));
        let state = ConcentratedState {
            sqrt_price: price,
            tick: 0,
            liquidity: LIQUIDITY,
            fee_pips,
            tick_spacing,
        };
        let tokens = [self.chain.view(pool, &token0Call {}), self.chain.view(pool, &token1Call {})];
        for token in tokens {
            self.give(token, pool, 100_000 * UNIT);
        }
        let state = Concentrated::new(&state).unwrap().into();
        Known { address: pool, shape: Shape::Concentrated, state, ticks, tokens }
    }

    fn concentrated_passes_at_its_own_fee_only(&mut self, pool: &mut Known) {
        let lenders = self.lenders(pool);
        assert_eq!(self.judge(pool, lenders), PASSED);
        // It lends as well.
        let pair = self.pair(pool.tokens, [500 * UNIT, 500 * UNIT], 3_000);
        let lender = |is_first| Lender { pool: pool.address, shape: Shape::Concentrated, is_first };
        assert_eq!(self.judge(&pair, [lender(true), lender(false)]), PASSED);
        let Pool::Concentrated(state) = pool.state else { panic!() };
        for fee_pips in [state.fee_pips() - 1, state.fee_pips() + 1] {
            let other = ConcentratedState { fee_pips, ..state.state() };
            pool.state = Concentrated::new(&other).unwrap().into();
            let found = self.judge(pool, lenders);
            assert_eq!(found, [Some(Err(Standing::QuoteDiffers)); 2], "a fee of {fee_pips}");
        }
        // A tick less is known than there is.
        pool.state = state.into();
        pool.ticks.remove(1);
        pool.ticks.remove(1);
        let found = self.judge(pool, lenders);
        assert_eq!(found, [Some(Err(Standing::QuoteDiffers)); 2]);
    }
}

#[test]
fn a_uniswap_v3_pool_passes_across_its_ticks_and_at_its_own_fee_only() {
    let mut bench = Bench::new();
    let code = artifact("v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory");
    let factory = bench.chain.deploy(&code, &[]);
    for fee in [500_u16, 3_000] {
        let (a, b) = (bench.token("Token"), bench.token("Token"));
        let call = createPoolCall { a, b, fee: alloy_primitives::aliases::U24::from(fee) };
        let made = bench.chain.send(TxKind::Call(factory), call.abi_encode().into());
        let Output::Call(made) = made else { panic!() };
        let pool = createPoolCall::abi_decode_returns(&made).unwrap();
        let mut pool = bench.concentrated(pool, [5, 6, 4], fee.into());
        bench.concentrated_passes_at_its_own_fee_only(&mut pool);
    }
}

#[test]
fn a_pancake_v3_pool_passes_too() {
    let Some(code) = deployed(&[hex!("cc7e7fa2"), slot0Call::SELECTOR]) else { return };
    let mut bench = Bench::new();
    let pool = Address::repeat_byte(0x77);
    bench.chain.place(pool, &code);
    for token in [bench.chain.view(pool, &token0Call {}), bench.chain.view(pool, &token1Call {})] {
        let code = bench.token("Token");
        let code = bench.chain.code(code);
        bench.chain.place(token, &code);
    }
    let fee_pips = bench.chain.view(pool, &feeCall {}).to();
    let mut pool = bench.concentrated(pool, [6, 7, 5], fee_pips);
    bench.concentrated_passes_at_its_own_fee_only(&mut pool);
}

#[test]
fn solidly_pools_of_both_curves_pass_at_their_own_fee_only() {
    for is_stable in [true, false] {
        let mut bench = Bench::new();
        let mut tokens = [bench.token("Token"), bench.token("Token")];
        tokens.sort_unstable();
        let decimals = [U256::from(18), U256::from(18)];
        let arguments = (tokens, decimals, is_stable, U256::from(3_000_u32)).abi_encode_params();
        let address = bench.chain.deploy(&compiled("SolidlyPair"), &arguments);
        let reserves = [3_000 * UNIT, 2_500 * UNIT];
        for (token, reserve) in tokens.iter().zip(reserves) {
            bench.give(*token, address, reserve);
        }
        for (slot, reserve) in reserves.iter().enumerate() {
            bench.chain.set(address, U256::from(slot), U256::from(*reserve));
        }
        let state = |fee_pips| {
            Solidly::new(&SolidlyState { reserves, decimals: [18; 2], fee_pips, is_stable })
        };
        let pool = |fee_pips| Known {
            address,
            shape: Shape::Solidly,
            state: state(fee_pips).unwrap().into(),
            ticks: Vec::new(),
            tokens,
        };
        let lenders = bench.lenders(&pool(3_000));
        assert_eq!(bench.judge(&pool(3_000), lenders), PASSED);
        for (fee_pips, expected) in
            [(2_900, Standing::SwapRefused), (3_100, Standing::QuoteDiffers)]
        {
            let found = bench.judge(&pool(fee_pips), lenders);
            assert_eq!(found, [Some(Err(expected)); 2], "stable: {is_stable}, {fee_pips}");
        }
        // And it lends.
        let pair = bench.pair(tokens, [500 * UNIT, 500 * UNIT], 3_000);
        let lender = |is_first| Lender { pool: address, shape: Shape::Solidly, is_first };
        assert_eq!(bench.judge(&pair, [lender(true), lender(false)]), PASSED);
    }
}

#[test]
fn one_call_tries_as_much_as_its_gas_allows_and_says_how_far_it_came() {
    let mut bench = Bench::new();
    let tokens = [bench.token("Token"), bench.token("Token")];
    let pool = bench.pair(tokens, [3_000 * UNIT, 70 * UNIT], 3_000);
    let asked = trials(&pool, bench.lenders(&pool)).repeat(40);
    let few = bench.chain.look(&asked, 9_000_000).len();
    let more = bench.chain.look(&asked, GAS).len();
    assert!(0 < few && few < more && more < asked.len(), "{few} and {more} of {}", asked.len());
}
