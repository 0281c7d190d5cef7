//! Calldata against `sol!`, its path against a table, and its swaps against the router's formulas.
//!
//! The first bytes choose the function, the place it is sent to and the native wei sent along; the
//! rest is the arguments.
//!
//! Temperature: cold.
#![no_main]

use alloy::sol;
use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, U256, hex};
use gannet_engine::amm::Pool;
use gannet_engine::decode::DecodeError;
use gannet_engine::decode::calldata::{self, Call, PairSwap, RouterFunction, RouterSwap};
use gannet_engine::decode::pending::{PendingTx, TxType};
use gannet_engine::decode::swap;
use gannet_engine::ids::{Direction, PoolId};
use gannet_engine::plan::Follow;
use gannet_engine::target::{Route, Target, Way};
use gannet_engine::units::Wei;
use gannet_engine::world::World;
use gannet_fuzz::words;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

use crate::stage::{DAI, EVEN, POOLS, ROUTERS, TKN, WETH};

#[path = "../../../engine/tests/it/stage.rs"]
#[expect(dead_code, reason = "the stage of the engine's tests; this target needs its world only")]
mod stage;

sol! {
    function tokensBoth(uint256 a, uint256 b, address[] path, address to, uint256 end);
    function nativeIn(uint256 a, address[] path, address to, uint256 end);
    function swap(uint256 a, uint256 b, address to, bytes data);
}

/// Function, place and native wei.
const HEADER: usize = 18;

const ADDRESSES: [[u8; 20]; 5] = [WETH.0.0, DAI.0.0, TKN.0.0, ROUTERS[0].0.0, POOLS[1].0.0];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    words::mutate(data, size, max_size, (seed, HEADER, &ADDRESSES))
});

fuzz_target!(|data: &[u8]| {
    let Some((&[function, place], rest)) = data.split_first_chunk() else { return };
    let Some((value, arguments)) = rest.split_first_chunk() else { return };
    let value = U256::from(u128::from_be_bytes(*value));
    let function = RouterFunction::ALL.get(usize::from(function) % 10).copied();
    let selector = function.map_or(calldata::PAIR_SWAP, RouterFunction::selector);
    let input = [&selector[..], arguments].concat();
    let ours = calldata::parse(&input, value);
    match function {
        Some(function) => compare_router(function, arguments, value, ours),
        None => compare_pair(arguments, ours),
    }
    follow(&input, value, usize::from(place));
});

/// The five things that a router's call says, as alloy reads them.
struct Theirs {
    exact: U256,
    bound: U256,
    path: Vec<Address>,
    to: Address,
    end: U256,
}

fn read(function: RouterFunction, arguments: &[u8], value: U256) -> Option<Theirs> {
    if function.native_in() {
        let nativeInCall { a, path, to, end } = nativeInCall::abi_decode_raw(arguments).ok()?;
        let (exact, bound) = if is_exact_in(function) { (value, a) } else { (a, value) };
        return Some(Theirs { exact, bound, path, to, end });
    }
    let tokensBothCall { a, b, path, to, end } = tokensBothCall::abi_decode_raw(arguments).ok()?;
    Some(Theirs { exact: a, bound: b, path, to, end })
}

/// Read off the name, and not off the table that is under test.
fn is_exact_in(function: RouterFunction) -> bool {
    function.signature().starts_with("swapExact")
}

fn compare_router(
    function: RouterFunction,
    arguments: &[u8],
    value: U256,
    ours: Result<Call<'_>, DecodeError>,
) {
    let theirs = read(function, arguments, value);
    let ours = match ours {
        Ok(Call::Router(ours)) => ours,
        Ok(other) => panic!("{other:?}"),
        Err(DecodeError::AmountTooLarge | DecodeError::PathLength | DecodeError::DirtyAddress) => {
            return;
        }
        Err(error) => {
            assert!(theirs.is_none(), "{error:?}, and alloy reads it");
            return;
        }
    };
    let theirs = theirs.expect("alloy reads what we read");
    assert_eq!(U256::from(ours.amount), theirs.exact);
    assert_eq!(U256::from(ours.limit), theirs.bound.min(U256::from(u128::MAX)));
    assert_eq!(ours.path.iter().collect::<Vec<_>>(), theirs.path);
    assert_eq!(ours.path.get(ours.path.len()), None);
    assert_eq!(ours.to, theirs.to);
    assert_eq!(U256::from(ours.deadline), theirs.end.min(U256::from(u64::MAX)));
    assert_eq!(ours.function, function);
}

fn compare_pair(arguments: &[u8], ours: Result<Call<'_>, DecodeError>) {
    let theirs = swapCall::abi_decode_raw(arguments).ok();
    match (ours, theirs) {
        (Ok(Call::Pair(ours)), Some(theirs)) => {
            let PairSwap { amount0_out, amount1_out, to, has_callback } = ours;
            assert_eq!(U256::from(amount0_out), theirs.a);
            assert_eq!(U256::from(amount1_out), theirs.b);
            assert_eq!((to, has_callback), (theirs.to, !theirs.data.is_empty()));
        }
        (Ok(other), theirs) => panic!("{other:?} {}", theirs.is_some()),
        (Err(DecodeError::AmountTooLarge | DecodeError::DirtyAddress), _) | (Err(_), None) => {}
        (Err(error), Some(_)) => panic!("{error:?}, and alloy reads it"),
    }
}

/// Decodes the call as a pending transaction's over the stage's pools, and lands it there.
fn follow(input: &[u8], value: U256, place: usize) {
    let places = [&ROUTERS[..], &POOLS[..], &[Address::ZERO]].concat();
    let to = places[place % places.len()];
    let text = format!("0x{}", hex::encode(input));
    let tx = PendingTx {
        tx_type: TxType::DynamicFee,
        hash: B256::ZERO,
        from: Address::ZERO,
        to: Some(to),
        chain_id: Some(1),
        nonce: 0,
        gas: 1,
        max_fee: u128::MAX,
        priority_fee: 1,
        max_blob_fee: 0,
        value,
        input: text.as_bytes(),
        access_list: &[],
        blob_hashes: &[],
        authorizations: &[],
        v: 0,
        r: U256::ONE,
        s: U256::ONE,
    };
    let mut scratch = [0; swap::CALLDATA_BYTES_MAX];
    let mut world = stage::world();
    let found = swap::decode(&tx, &world, &mut scratch);
    let expected = match calldata::parse(input, value) {
        Ok(Call::Router(call)) if input.len() <= scratch.len() => route(&call, &to),
        _ => None,
    };
    if ROUTERS.contains(&to) {
        let hops = found.map(|route| route.hops().to_vec());
        let hops: Option<Vec<_>> =
            hops.map(|hops| hops.iter().map(|hop| (hop.pool, hop.direction)).collect());
        assert_eq!(hops, expected);
    }
    let Some(route) = found else { return };
    land(&route, &mut world);
}

/// The pools and ways that the router goes, by a table of the stage's pools.
fn route(call: &RouterSwap<'_>, to: &Address) -> Option<Vec<(PoolId, Direction)>> {
    let factory = ROUTERS.iter().position(|router| router == to)?;
    let path: Vec<_> = call.path.iter().collect();
    let mut hops = Vec::new();
    for pair in path.windows(2) {
        let (first, direction) = match (pair[0], pair[1]) {
            (WETH, DAI) => (0, Direction::ZeroForOne),
            (DAI, WETH) => (0, Direction::OneForZero),
            (WETH, TKN) => (2, Direction::ZeroForOne),
            (TKN, WETH) => (2, Direction::OneForZero),
            _ => return None,
        };
        let pool = PoolId(u32::try_from(first + factory).ok()?);
        // The router fixes every amount before the first swap; twice through one pool is no price.
        if hops.iter().any(|(held, _)| *held == pool) {
            return None;
        }
        hops.push((pool, direction));
    }
    let name = call.function.signature();
    let is_native_in = name.starts_with("swapExactETHFor") || name.starts_with("swapETHFor");
    let is_native_out = name.contains("ForETH") || name.contains("ForExactETH");
    let starts = path.first() == Some(&WETH) || !is_native_in;
    (starts && (path.last() == Some(&WETH) || !is_native_out)).then_some(hops)
}

fn reserves(world: &World) -> Vec<[u128; 2]> {
    let held = |id: &PoolId| {
        let Pool::ConstantProduct(pool) = world.state(*id) else { panic!("a pair") };
        pool.reserves()
    };
    world.pools.ids().iter().map(held).collect()
}

/// Lands the swap on the world and by the router's own formulas, and takes it back.
fn land(route: &Route, world: &mut World) {
    let follow = Follow { hash: B256::ZERO, max_fee: Wei(u128::MAX), priority_fee: Wei(1) };
    let mut route = *route;
    route.deadline = u64::MAX;
    let target = Target { follow, sender: Address::ZERO, nonce: 0, route };
    let before = reserves(world);
    assert!(before.iter().all(|held| *held == EVEN));
    let expected = landed(&target, &before);
    match world.apply_target(&target) {
        Ok(mark) => {
            assert_eq!(Some(reserves(world)), expected, "{target:?}");
            assert!(world.take_back(mark).is_ok());
        }
        Err(unfit) => assert_eq!(expected, None, "{unfit:?} {target:?}"),
    }
    assert_eq!(reserves(world), before);
}

/// `UniswapV2Library`'s `getAmountsOut` and `getAmountsIn` and the pair's own demands, in 256 bits.
fn landed(target: &Target, before: &[[u128; 2]]) -> Option<Vec<[u128; 2]>> {
    let sides = |place: usize| {
        let hop = target.hops()[place];
        let is_first = hop.direction == Direction::ZeroForOne;
        (hop.pool.index(), if is_first { [0, 1] } else { [1, 0] })
    };
    let held = |place: usize| {
        let (pool, [paid, taken]) = sides(place);
        [U256::from(before[pool][paid]), U256::from(before[pool][taken])]
    };
    let count = target.hops().len();
    let mut amounts = vec![U256::ZERO; count + 1];
    let part = target.route.parts().next()?;
    match part.way {
        Way::ExactIn => {
            let amount = part.amount;
            amounts[0] = U256::from(amount);
            for place in 0..count {
                let [paid, taken] = held(place);
                let with_fee = amounts[place] * U256::from(997);
                amounts[place + 1] = with_fee * taken / (paid * U256::from(1_000) + with_fee);
            }
        }
        Way::ExactOut | Way::ExactOutForward => {
            let amount = part.amount;
            amounts[count] = U256::from(amount);
            for place in (0..count).rev() {
                let [paid, taken] = held(place);
                let left = taken.checked_sub(amounts[place + 1]).filter(|left| !left.is_zero())?;
                amounts[place] = paid * amounts[place + 1] * U256::from(1_000)
                    / (left * U256::from(997))
                    + U256::ONE;
            }
        }
    }
    let is_within = match part.way {
        Way::ExactIn => amounts[count] >= U256::from(part.limit),
        Way::ExactOut | Way::ExactOutForward => amounts[0] <= U256::from(part.limit),
    };
    if !is_within || amounts.iter().any(|amount| amount.is_zero()) {
        return None;
    }
    let mut after = before.to_vec();
    for place in 0..count {
        let (pool, [paid, taken]) = sides(place);
        let full = U256::from(after[pool][paid]) + amounts[place];
        if full >= U256::from(1_u128 << 112) {
            return None;
        }
        after[pool][paid] = u128::try_from(full).ok()?;
        after[pool][taken] -= u128::try_from(amounts[place + 1]).ok()?;
    }
    Some(after)
}
