//! Calls of V3's routers and of the Universal Router against `sol!`, and their swaps on a world.
//!
//! The first bytes choose the function, the router and the native wei sent along; the rest is the
//! arguments. What both readers read is the same list of swaps. Whatever a call asks for, it lands
//! or it does not, and is taken back whole.
//!
//! Temperature: cold.
#![no_main]

use std::cell::RefCell;

use alloy::sol;
use alloy::sol_types::{SolCall, SolValue};
use alloy_primitives::{Address, B256, Bytes, U160, U256, hex};
use gannet_engine::amm::tick_math::tick_at;
use gannet_engine::amm::{Concentrated, ConcentratedState, ConstantProduct, Pool, Tick};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::calldata::{
    self, Action, Actions, Amount, PeripheryFunction, RoutedSwap, UniversalFunction,
};
use gannet_engine::decode::pending::{PendingTx, TxType};
use gannet_engine::decode::swap;
use gannet_engine::ids::{FactoryId, PoolId};
use gannet_engine::limits::{PATH_TOKENS_MAX, TARGET_STEPS_MAX};
use gannet_engine::plan::Follow;
use gannet_engine::target::{Target, Way};
use gannet_engine::units::Wei;
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, FactoryKind, Router, RouterKind, Tip, Universe, World};
use gannet_fuzz::words;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

mod old {
    alloy::sol! {
        struct Single {
            address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
            uint256 amount; uint256 limit; uint160 priceLimit;
        }
        struct Along {
            bytes path; address recipient; uint256 deadline; uint256 amount; uint256 limit;
        }
        function single(Single params);
        function along(Along params);
    }
}

mod new {
    alloy::sol! {
        struct Single {
            address tokenIn; address tokenOut; uint24 fee; address recipient;
            uint256 amount; uint256 limit; uint160 priceLimit;
        }
        struct Along { bytes path; address recipient; uint256 amount; uint256 limit; }
        function single(Single params);
        function along(Along params);
        function pairs(uint256 amount, uint256 limit, address[] path, address to);
    }
}

sol! {
    function calls(bytes[] data);
    function callsBehind(bytes32 word, bytes[] data);
    function execute(bytes commands, bytes[] inputs);
}

/// Function, router and native wei.
const HEADER: usize = 18;
const TOKENS: [Address; 3] =
    [Address::repeat_byte(0x01), Address::repeat_byte(0x02), Address::repeat_byte(0x03)];
const ROUTERS: [(Address, RouterKind); 3] = [
    (Address::repeat_byte(0x0a), RouterKind::SwapRouter),
    (Address::repeat_byte(0x0b), RouterKind::SwapRouter02),
    (Address::repeat_byte(0x0c), RouterKind::Universal),
];
const ADDRESSES: [[u8; 20]; 7] = [
    TOKENS[0].0.0,
    TOKENS[1].0.0,
    TOKENS[2].0.0,
    ROUTERS[1].0.0.0,
    ROUTERS[2].0.0.0,
    Address::with_last_byte(1).0.0,
    Address::with_last_byte(2).0.0,
];
const RESERVE: u128 = 1_000_000_000_000_000_000_000;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    words::mutate(data, size, max_size, (seed, HEADER, &ADDRESSES))
});

fuzz_target!(|data: &[u8]| {
    let Some((&[function, place], rest)) = data.split_first_chunk() else { return };
    let Some((value, arguments)) = rest.split_first_chunk() else { return };
    let value = u128::from_be_bytes(*value);
    let (router, kind) = ROUTERS[usize::from(place) % ROUTERS.len()];
    let count = PeripheryFunction::ALL.len();
    let place = usize::from(function) % (count + UniversalFunction::ALL.len());
    let selector = match PeripheryFunction::ALL.get(place) {
        Some(function) => function.selector(),
        None => UniversalFunction::ALL[place - count].selector(),
    };
    let input = [&selector[..], arguments].concat();
    if let Ok(ours) = calldata::actions(&input, kind) {
        check(&ours);
        if let Some(theirs) = read(&input, kind, 0) {
            compare(&ours, &theirs);
        }
    }
    follow(&input, value, router);
});

/// It is no longer than it may be, and attempts hold what stands behind them.
fn check(actions: &Actions<'_>) {
    let list = actions.list();
    assert!(list.len() <= TARGET_STEPS_MAX);
    for (place, action) in list.iter().enumerate() {
        match action {
            Action::Swap(swap) => {
                assert!((2..=PATH_TOKENS_MAX).contains(&swap.path.len()));
                assert!(swap.price_limit <= U256::from(U160::MAX));
            }
            Action::Try { count } => assert!(place + usize::from(*count) < list.len()),
            Action::PayPortion { bips, .. } => assert!(*bips <= 10_000),
            Action::Wrap { .. }
            | Action::Unwrap { .. }
            | Action::Pull { .. }
            | Action::Pay { .. }
            | Action::Sweep { .. } => {}
        }
    }
}

/// A swap as alloy reads it.
struct Theirs {
    way: Way,
    amount: U256,
    limit: U256,
    price_limit: U256,
    tokens: Vec<Address>,
    fees: Vec<u32>,
}

/// The swaps of a call; `None` where alloy does not read it.
fn read(input: &[u8], kind: RouterKind, depth: u8) -> Option<Vec<Theirs>> {
    if depth > 4 {
        return None;
    }
    let (selector, rest) = input.split_first_chunk()?;
    if kind == RouterKind::Universal {
        return plan(&executeCall::abi_decode_raw(rest).ok()?, depth);
    }
    let name = PeripheryFunction::of(*selector)?.signature().split('(').next()?;
    let way = if name.contains("ForExact") {
        Way::ExactOutForward
    } else if name.starts_with("exactOutput") {
        Way::ExactOut
    } else {
        Way::ExactIn
    };
    match name {
        "multicall" => {
            let data = match PeripheryFunction::of(*selector)? {
                PeripheryFunction::Multicall => callsCall::abi_decode_raw(rest).ok()?.data,
                _ => callsBehindCall::abi_decode_raw(rest).ok()?.data,
            };
            let all = data.iter().map(|call| read(call, kind, depth + 1));
            Some(all.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
        }
        "exactInputSingle" | "exactOutputSingle" => single(rest, kind, way).map(|it| vec![it]),
        "exactInput" | "exactOutput" => {
            let (path, amount, limit) = if kind == RouterKind::SwapRouter {
                let call = old::alongCall::abi_decode_raw(rest).ok()?.params;
                (call.path, call.amount, call.limit)
            } else {
                let call = new::alongCall::abi_decode_raw(rest).ok()?.params;
                (call.path, call.amount, call.limit)
            };
            Some(vec![packed(&path, way, (amount, limit))?])
        }
        "swapExactTokensForTokens" | "swapTokensForExactTokens" => {
            let new::pairsCall { amount, limit, path, .. } =
                new::pairsCall::abi_decode_raw(rest).ok()?;
            let price_limit = U256::ZERO;
            Some(vec![Theirs { way, amount, limit, price_limit, tokens: path, fees: vec![] }])
        }
        _ => Some(vec![]),
    }
}

fn single(rest: &[u8], kind: RouterKind, way: Way) -> Option<Theirs> {
    let (tokens, fee, amount, limit, price_limit) = if kind == RouterKind::SwapRouter {
        let old::Single { tokenIn, tokenOut, fee, amount, limit, priceLimit, .. } =
            old::singleCall::abi_decode_raw(rest).ok()?.params;
        (vec![tokenIn, tokenOut], fee, amount, limit, priceLimit)
    } else {
        let new::Single { tokenIn, tokenOut, fee, amount, limit, priceLimit, .. } =
            new::singleCall::abi_decode_raw(rest).ok()?.params;
        (vec![tokenIn, tokenOut], fee, amount, limit, priceLimit)
    };
    let price_limit = U256::from(price_limit);
    Some(Theirs { way, amount, limit, price_limit, tokens, fees: vec![fee.to()] })
}

/// V3's path, by the length of its parts.
fn packed(path: &[u8], way: Way, (amount, limit): (U256, U256)) -> Option<Theirs> {
    let (mut tokens, mut fees) = (vec![Address::from_slice(path.get(..20)?)], vec![]);
    for hop in path[20..].chunks(23) {
        let [high, middle, low, token @ ..] = hop else { return None };
        fees.push(u32::from_be_bytes([0, *high, *middle, *low]));
        tokens.push(Address::new(token.try_into().ok()?));
    }
    if way == Way::ExactOut {
        tokens.reverse();
        fees.reverse();
    }
    Some(Theirs { way, amount, limit, price_limit: U256::ZERO, tokens, fees })
}

fn plan(call: &executeCall, depth: u8) -> Option<Vec<Theirs>> {
    if depth > 4 || call.commands.len() != call.inputs.len() {
        return None;
    }
    let mut all = vec![];
    for (byte, input) in call.commands.iter().zip(&call.inputs) {
        let terms = |way| match byte & 0x08 {
            0 => {
                let (_, amount, limit, path, _) =
                    <(Address, U256, U256, Bytes, bool)>::abi_decode_params(input).ok()?;
                packed(&path, way, (amount, limit))
            }
            _ => {
                let (_, amount, limit, tokens, _) =
                    <(Address, U256, U256, Vec<Address>, bool)>::abi_decode_params(input).ok()?;
                let (fees, price_limit) = (vec![], U256::ZERO);
                Some(Theirs { way, amount, limit, price_limit, tokens, fees })
            }
        };
        match byte & 0x7f {
            0x00 | 0x08 => all.push(terms(Way::ExactIn)?),
            0x01 => all.push(terms(Way::ExactOut)?),
            0x09 => all.push(terms(Way::ExactOutForward)?),
            0x21 => {
                let inner = <(Bytes, Vec<Bytes>)>::abi_decode_params(input).ok()?;
                let inner = executeCall { commands: inner.0, inputs: inner.1 };
                all.extend(plan(&inner, depth + 1)?);
            }
            _ => {}
        }
    }
    Some(all)
}

const fn swap_of<'a, 'b>(action: &'b Action<'a>) -> Option<&'b RoutedSwap<'a>> {
    match action {
        Action::Swap(swap) => Some(swap),
        Action::Wrap { .. }
        | Action::Unwrap { .. }
        | Action::Pull { .. }
        | Action::Pay { .. }
        | Action::PayPortion { .. }
        | Action::Sweep { .. }
        | Action::Try { .. } => None,
    }
}

fn compare(ours: &Actions<'_>, theirs: &[Theirs]) {
    let ours: Vec<&RoutedSwap<'_>> = ours.list().iter().filter_map(swap_of).collect();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours.way, theirs.way);
        match ours.amount {
            Amount::Exactly(amount) => assert_eq!(U256::from(amount), theirs.amount),
            Amount::Held => assert!(theirs.amount.is_zero() || theirs.amount == U256::ONE << 255),
        }
        assert_eq!(U256::from(ours.limit), theirs.limit.min(U256::from(u128::MAX)));
        assert_eq!(ours.price_limit, theirs.price_limit);
        assert_eq!(ours.path.iter().collect::<Vec<_>>(), theirs.tokens);
        let fees: Vec<u32> = (0..theirs.tokens.len()).filter_map(|at| ours.path.fee(at)).collect();
        assert_eq!(fees, theirs.fees);
    }
}

/// Three tokens, each with each in a pair and in a V3 pool with a range around its price.
fn world() -> World {
    let mut tokens = TokenTable::new(3);
    let ids = TOKENS.map(|token| tokens.insert(token, 18).expect("room"));
    tokens.set_bases(&[ids[0]]);
    let mut pools = PoolTable::new(6, 64);
    let price = U256::ONE << 96;
    for (place, pair) in [[0, 1], [0, 2], [1, 2]].into_iter().enumerate() {
        let at = |number: u8| Address::repeat_byte(number + u8::try_from(place).expect("small"));
        let pair = pair.map(|token: usize| ids[token]);
        let state = ConstantProduct::new([RESERVE; 2], 3_000).expect("reserves fit").into();
        pools.insert(PoolEntry::new(at(0x40), FactoryId(0), pair, state)).expect("room");
        let state = Concentrated::new(&ConcentratedState {
            sqrt_price: price,
            tick: tick_at(price).expect("a price"),
            liquidity: 2 * RESERVE,
            fee_pips: 3_000,
            tick_spacing: 60,
        });
        let state = state.expect("a pool's state").into();
        let net = RESERVE.cast_signed();
        let tick = |index, net: i128| Tick { index, net, gross: net.unsigned_abs() };
        let ticks = [tick(-887_220, net), tick(-600, net), tick(600, -net), tick(887_220, -net)];
        let entry = PoolEntry::new(at(0x60), FactoryId(1), pair, state);
        pools.insert_with_ticks(entry, &ticks).expect("room");
    }
    pools.index_pairs();
    let factory = |kind| Factory { kind, fee_pips: 3_000, ..Factory::default() };
    let router = |(address, kind)| Router {
        address,
        kind,
        v2: (kind != RouterKind::SwapRouter).then_some(FactoryId(0)),
        v3: Some(FactoryId(1)),
    };
    World::new(Universe {
        chain: ChainSpec::ethereum(1, TOKENS[0]),
        tokens,
        pools,
        factories: vec![factory(FactoryKind::UniswapV2), factory(FactoryKind::UniswapV3)],
        routers: ROUTERS.map(router).into(),
        bases: vec![ids[0]],
        native: ids[0],
        anchor: Tip::default(),
    })
}

fn states(world: &World) -> Vec<(PoolId, Pool)> {
    world.pools.ids().iter().map(|id| (*id, *world.state(*id))).collect()
}

thread_local! {
    /// Memory for a world is taken once; every landing is taken back.
    static WORLD: RefCell<World> = RefCell::new(world());
}

/// Decodes the call as a pending transaction's, lands it and takes it back.
fn follow(input: &[u8], value: u128, router: Address) {
    let text = format!("0x{}", hex::encode(input));
    let tx = PendingTx {
        tx_type: TxType::DynamicFee,
        hash: B256::ZERO,
        from: Address::ZERO,
        to: Some(router),
        chain_id: Some(1),
        nonce: 0,
        gas: 1,
        max_fee: u128::MAX,
        priority_fee: 1,
        max_blob_fee: 0,
        value: U256::from(value),
        input: text.as_bytes(),
        access_list: &[],
        blob_hashes: &[],
        authorizations: &[],
        v: 0,
        r: U256::ONE,
        s: U256::ONE,
    };
    WORLD.with_borrow_mut(|world| land(&tx, world));
}

/// Lands what the world reads in a transaction, and takes it back.
fn land(tx: &PendingTx<'_>, world: &mut World) {
    let mut scratch = [0; swap::CALLDATA_BYTES_MAX];
    let Some(mut route) = swap::decode(tx, world, &mut scratch) else { return };
    route.deadline = u64::MAX;
    route.parent = None;
    for part in route.parts() {
        let hops = route.hops_of(part);
        assert!(!hops.is_empty() && hops.len() < PATH_TOKENS_MAX);
    }
    let follow = Follow { hash: B256::ZERO, max_fee: Wei(u128::MAX), priority_fee: Wei(1) };
    let target = Target { follow, sender: Address::ZERO, nonce: 0, route };
    let before = states(world);
    let landed = world.apply_target(&target);
    let after = states(world);
    if let Ok(mark) = landed {
        judge(&before, &after);
        assert!(world.take_back(mark).is_ok());
        assert_eq!(states(world), before);
        // The same again is the same again.
        let mark = world.apply_target(&target).expect("it landed before");
        assert_eq!(states(world), after);
        assert!(world.take_back(mark).is_ok());
    } else {
        assert_eq!(after, before, "{landed:?}");
    }
}

/// No pair's product falls, and a V3 pool's tick, price and liquidity belong together.
fn judge(before: &[(PoolId, Pool)], after: &[(PoolId, Pool)]) {
    for ((_, before), (_, after)) in before.iter().zip(after) {
        match (before, after) {
            (Pool::ConstantProduct(before), Pool::ConstantProduct(after)) => {
                let product = |[x, y]: [u128; 2]| U256::from(x) * U256::from(y);
                assert!(product(after.reserves()) >= product(before.reserves()));
            }
            (Pool::Concentrated(_), Pool::Concentrated(after)) => {
                let tick = tick_at(after.sqrt_price()).expect("a price within the bounds");
                assert!((tick - 1..=tick).contains(&after.tick()));
                let is_inside = (-600..600).contains(&after.tick());
                let wanted = if is_inside { 2 * RESERVE } else { RESERVE };
                let is_out = after.tick() < -887_220 || after.tick() >= 887_220;
                assert_eq!(after.liquidity(), if is_out { 0 } else { wanted });
            }
            (before, after) => panic!("{before:?} became {after:?}"),
        }
    }
}
