//! Random calls of the routers' own bytecode: what the engine reads in a call and lands on its
//! world, the chain does.
//!
//! One run is 40,000 calls of V2's Router02, of V3's `SwapRouter`, of `SwapRouter02` and of the
//! Universal Router from one seed (`GANNET_SEED` to vary it): swaps along paths and through one
//! pool, through pairs and V3 pools, exact both ways, as far as a price, several of them one after
//! another, paid by the sender, by the router or in native, with parts and fees for others, and
//! plans that may fail. What the engine follows must land, and leave every pool where the engine
//! says; what it says would revert must revert. What it does not follow is counted, and none of the
//! above.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use alloy::primitives::aliases::{U24, U48, U160};
use alloy::primitives::{Address, B256, Bytes, U256, hex};
use alloy::sol_types::{SolCall, SolValue};
use gannet_engine::amm::{Concentrated, ConcentratedState, Pool};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::pending::{PendingTx, TxType};
use gannet_engine::decode::swap;
use gannet_engine::ids::{Direction, FactoryId, PoolId, TokenId};
use gannet_engine::plan::Follow;
use gannet_engine::target::{Route, Target};
use gannet_engine::units::Wei;
use gannet_engine::world::pools::PoolTable;
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, FactoryKind, Router, RouterKind, Unfit, Universe, World};

use crate::differential::{Random, SEED, Verdict, agree};
use crate::evm::abi::Erc20;
use crate::evm::{Market, NATIVE, STRANGER, bytecode, npm_v3};
use crate::mixed_pools::{Range, liquidity_of, sqrt_price_of};

const CALLS: u32 = 10_000;
/// Calls between two new states of all pools.
const CALLS_PER_STATE: u32 = 25;
const FEES: [u32; 3] = [500, 3_000, 10_000];
const FUNDS: u128 = 1 << 126;
/// Who else is paid.
const OTHER: Address = Address::repeat_byte(0x7b);
/// Of the Universal Router: all that it holds.
const HELD: U256 = U256::from_limbs([0, 0, 0, 1 << 63]);

mod old {
    alloy::sol! {
        struct SingleIn {
            address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
            uint256 amount; uint256 limit; uint160 priceLimit;
        }
        struct PathIn {
            bytes path; address recipient; uint256 deadline; uint256 amount; uint256 limit;
        }
        function exactInputSingle(SingleIn params);
        function exactOutputSingle(SingleIn params);
        function exactInput(PathIn params);
        function exactOutput(PathIn params);
    }
}

mod new {
    alloy::sol! {
        struct SingleIn {
            address tokenIn; address tokenOut; uint24 fee; address recipient;
            uint256 amount; uint256 limit; uint160 priceLimit;
        }
        struct PathIn { bytes path; address recipient; uint256 amount; uint256 limit; }
        function exactInputSingle(SingleIn params);
        function exactOutputSingle(SingleIn params);
        function exactInput(PathIn params);
        function exactOutput(PathIn params);
        function swapExactTokensForTokens(
            uint256 amount, uint256 limit, address[] path, address to);
        function swapTokensForExactTokens(
            uint256 amount, uint256 limit, address[] path, address to);
        function wrapETH(uint256 value);
        function pull(address token, uint256 value);
        function multicall(uint256 deadline, bytes[] data);
    }
}

mod periphery {
    alloy::sol! {
        function multicall(bytes[] data);
        function unwrapWETH9(uint256 least, address recipient);
        function unwrapWETH9WithFee(uint256 least, address recipient, uint256 bips, address other);
        function sweepToken(address token, uint256 least, address recipient);
        function sweepTokenWithFee(
            address token, uint256 least, address recipient, uint256 bips, address other);
        function refundETH();
    }
}

mod pairs {
    alloy::sol! {
        function swapExactTokensForTokens(
            uint256 amount, uint256 limit, address[] path, address to, uint256 end);
        function swapTokensForExactTokens(
            uint256 amount, uint256 limit, address[] path, address to, uint256 end);
        function swapExactETHForTokens(uint256 limit, address[] path, address to, uint256 end);
        function swapTokensForExactETH(
            uint256 amount, uint256 limit, address[] path, address to, uint256 end);
        function swapExactTokensForETH(
            uint256 amount, uint256 limit, address[] path, address to, uint256 end);
        function swapETHForExactTokens(uint256 amount, address[] path, address to, uint256 end);
        function swapExactTokensForTokensSupportingFeeOnTransferTokens(
            uint256 amount, uint256 limit, address[] path, address to, uint256 end);
        function swapExactETHForTokensSupportingFeeOnTransferTokens(
            uint256 limit, address[] path, address to, uint256 end);
        function swapExactTokensForETHSupportingFeeOnTransferTokens(
            uint256 amount, uint256 limit, address[] path, address to, uint256 end);
    }
}

mod universal {
    alloy::sol! {
        function execute(bytes commands, bytes[] inputs, uint256 deadline);
        function approve(address token, address spender, uint160 amount, uint48 expiration);
    }
}

use RouterKind::{SwapRouter, SwapRouter02, Universal};

#[test]
fn what_is_read_in_a_routers_call_is_what_the_router_does() {
    let seed = env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
    println!("routers: seed {seed}");
    let mut bench = Bench::new(Random(seed));
    for kind in [None, Some(SwapRouter), Some(SwapRouter02), Some(Universal)] {
        bench.run(kind);
    }
}

/// A swap that a call asks for.
#[derive(Clone, Debug)]
struct Swap {
    /// By their places in the bench's list.
    tokens: Vec<usize>,
    /// V3's; none: through pairs.
    fees: Vec<u32>,
    is_exact_in: bool,
    amount: U256,
    limit: U256,
    price_limit: U160,
    /// Whether the router keeps what comes out.
    is_kept: bool,
    /// Whether the router pays from what it holds (the Universal Router only).
    by_router: bool,
}

struct Bench {
    market: Market,
    random: Random,
    tokens: Vec<TokenId>,
    routers: BTreeMap<u8, Address>,
    /// By pair of tokens (first below second) and fee; a pair's is 0.
    pools: BTreeMap<([usize; 2], u32), PoolId>,
    counts: BTreeMap<&'static str, u32>,
}

impl Bench {
    /// WETH and tokens of 6, 8 and 18 decimals, each paired with each in a pair and three V3 pools.
    fn new(random: Random) -> Self {
        let mut market = Market::new();
        let weth = market.address(market.weth);
        let [v2, v3] = [market.factories[0], market.v3_factory];
        let file = "scripts/chain/node_modules/hardhat-predeploy/bin/\
                    0x000000000022D473030F116dDEE9F6B43aC78BA3.bytecode";
        let file = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
        let permit2 = market.chain.deploy(fs::read(file).expect("Permit2's code"), &[]);
        let old = npm_v3("v3-periphery", "SwapRouter");
        let new = npm_v3("swap-router-contracts", "SwapRouter02");
        let both = npm_v3("universal-router", "UniversalRouter");
        let [pair_hash, pool_hash] = [
            bytecode("scripts/chain/node_modules/@uniswap/v2-core/build/UniswapV2Pair.json", None),
            npm_v3("v3-core", "UniswapV3Pool"),
        ]
        .map(alloy::primitives::keccak256);
        let nobody = Address::ZERO;
        let arguments = (permit2, weth, v2, v3, pair_hash, pool_hash);
        let arguments = (arguments, (nobody, nobody, nobody, nobody)).abi_encode_params();
        let routers = BTreeMap::from([
            (SwapRouter as u8, market.chain.deploy(old, &(v3, weth).abi_encode_params())),
            (
                SwapRouter02 as u8,
                market.chain.deploy(new, &(v2, v3, nobody, weth).abi_encode_params()),
            ),
            (Universal as u8, market.chain.deploy(both, &arguments)),
        ]);
        let mut tokens = vec![market.weth];
        tokens.extend([6, 8, 18].map(|decimals| market.token(decimals)));
        let mut bench = Self {
            market,
            random,
            tokens,
            routers,
            pools: BTreeMap::new(),
            counts: BTreeMap::new(),
        };
        bench.add_pools();
        bench.found([v2, v3]);
        bench.approve(permit2);
        bench
    }

    fn add_pools(&mut self) {
        for second in 1..self.tokens.len() {
            for first in 0..second {
                let pair = [self.tokens[first], self.tokens[second]];
                self.pools.insert(([first, second], 0), self.market.pool(pair, [1; 2]));
                for fee in FEES {
                    let pool = self.market.v3_pool(pair, fee);
                    self.market.world.pools.entry_mut(pool).factory = FactoryId(1);
                    self.pools.insert(([first, second], fee), pool);
                }
            }
        }
        self.market.world.pools.index_pairs();
    }

    /// The world anew, with all its pools, and with the routers.
    fn found(&mut self, [v2, v3]: [Address; 2]) {
        let own = self.market.router;
        let factory = |address, router, kind| Factory { address, router, fee_pips: 3_000, kind };
        let router = |kind| Router {
            address: self.routers[&(kind as u8)],
            kind,
            v2: (kind != SwapRouter).then_some(FactoryId(0)),
            v3: Some(FactoryId(1)),
        };
        let world = &mut self.market.world;
        let universe = Universe {
            chain: ChainSpec::ethereum(1, world.tokens.get(world.native).address),
            tokens: std::mem::replace(&mut world.tokens, TokenTable::new(0)),
            pools: std::mem::replace(&mut world.pools, PoolTable::new(0, 0)),
            factories: vec![
                factory(v2, own, FactoryKind::UniswapV2),
                factory(v3, Address::ZERO, FactoryKind::UniswapV3),
            ],
            routers: [SwapRouter, SwapRouter02, Universal].map(router).into(),
            bases: world.bases.clone(),
            native: world.native,
            anchor: *world.tip(),
        };
        self.market.world = World::new(universe);
    }

    fn approve(&mut self, permit2: Address) {
        let spenders = [self.market.router, self.routers[&0], self.routers[&1], permit2];
        for token in self.tokens.clone() {
            let token = self.market.address(token);
            for spender in spenders {
                let call = Erc20::approveCall { spender, amount: U256::MAX };
                self.market.chain.send(STRANGER, token, call.abi_encode()).lands();
            }
            let (spender, amount, expiration) = (self.routers[&2], U160::MAX, U48::MAX);
            let call = universal::approveCall { token, spender, amount, expiration };
            self.market.chain.send(STRANGER, permit2, call.abi_encode()).lands();
        }
    }

    /// Calls of one router; `None` is V2's own.
    fn run(&mut self, kind: Option<RouterKind>) {
        let name = kind.map_or_else(|| "Router02".into(), |kind| format!("{kind:?}"));
        let router = kind.map_or(self.market.router, |kind| self.routers[&(kind as u8)]);
        self.counts.clear();
        let mut mismatches = 0;
        for number in 0..CALLS {
            if number % CALLS_PER_STATE == 0 {
                self.next_state();
            }
            let (value, input) = match kind {
                None => self.pairs_call(),
                Some(kind @ (SwapRouter | SwapRouter02)) => self.periphery_call(kind),
                Some(Universal) => self.universal_call(),
            };
            if let Err(difference) = self.judge(router, value, &input) {
                mismatches += 1;
                if mismatches <= 10 {
                    println!("{name} {number}: {difference}\n  {value} {}", hex::encode(&input));
                }
                self.next_state();
            }
        }
        println!("{name}: {CALLS} calls, {mismatches} mismatches");
        for (what, count) in &self.counts {
            println!("{name}: {count:>6} {what}");
        }
        assert_eq!(mismatches, 0);
        let count = |what| self.counts.get(what).copied().unwrap_or(0);
        let [is_v3, is_any, is_universal] = [
            matches!(kind, Some(SwapRouter | SwapRouter02)),
            kind.is_some(),
            kind == Some(Universal),
        ];
        for (what, is_due, part) in [
            ("landed", true, 3),
            ("landed: two swaps or more", is_any, 10),
            ("landed: stopped at a price", is_v3, 60),
            ("landed: with a plan that failed", is_universal, 50),
            ("landed: with a share for somebody", is_any, 50),
            ("landed: with native", true, 20),
            ("reverted", true, 20),
        ] {
            assert!(!is_due || count(what) >= CALLS / part, "{what}: too few to prove anything");
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Every pool at new reserves, fairly priced but for noise.
    fn next_state(&mut self) {
        let pools: Vec<_> = self.pools.clone().into_iter().collect();
        for ((pair, fee), pool) in pools {
            let worth = self.random.share(1 << 30) + 100_000;
            let reserves = pair.map(|token| {
                let decimals = self.market.world.tokens.get(self.tokens[token]).decimals;
                let unit = 10_u128.pow(decimals.into());
                unit / 1_000 * worth / 100 * (97 + self.random.share(6))
            });
            let is_sorted = self.market.direction(pool, self.tokens[pair[0]]).index_in() == 0;
            let reserves = if is_sorted { reserves } else { [reserves[1], reserves[0]] };
            if fee == 0 {
                self.market.set_reserves(pool, reserves, 3_000);
            } else {
                self.set_v3(pool, reserves);
            }
        }
    }

    fn set_v3(&mut self, pool: PoolId, reserves: [u128; 2]) {
        let liquidity = liquidity_of(reserves).max(1_000);
        let mut ranges = vec![self.market.whole_range(pool, liquidity)];
        let price = sqrt_price_of(reserves);
        let tick = self.market.set_v3(pool, price, &ranges).expect("a price");
        for _ in 0..self.random.below(4) {
            let mut step = || i32::try_from(self.random.below(20)).expect("it is small");
            let [below, above] = [step(), step()];
            let low = self.market.usable_tick(pool, tick, -below);
            let high = self.market.usable_tick(pool, tick, above + 1);
            ranges.push(Range { low, high, liquidity: self.random.share(liquidity * 4) });
        }
        self.market.set_v3(pool, price, &ranges).expect("a price that was there before");
        for token in self.market.world.pools.get(pool).tokens {
            let (token, pool) = (self.market.address(token), self.market.world.pools.get(pool));
            self.market.fund(token, pool.address, 1 << 120);
        }
    }

    // --- Calls ---------------------------------------------------------------------------------

    fn one_in(&mut self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    fn pool(&self, [from, to]: [usize; 2], fee: u32) -> (PoolId, Direction) {
        let pool = self.pools[&([from.min(to), from.max(to)], fee)];
        (pool, self.market.direction(pool, self.tokens[from]))
    }

    /// How much of a token a pool holds, or seems to.
    fn depth(&self, pool: PoolId, side: usize) -> u128 {
        match self.market.world.state(pool) {
            Pool::ConstantProduct(pool) => pool.reserves()[side],
            Pool::Concentrated(pool) => {
                let liquidity = U256::from(pool.liquidity());
                let depth: U256 = match side {
                    0 => (liquidity << 96) / pool.sqrt_price(),
                    _ => (liquidity * pool.sqrt_price()) >> 96,
                };
                depth.saturating_to()
            }
            Pool::Solidly(_) => unreachable!("no such pool is dealt here"),
        }
    }

    fn any_swap(&mut self, kind: RouterKind, from: Option<usize>) -> Swap {
        let mut tokens = self.random.shuffled(self.tokens.len());
        tokens.truncate(2 + self.random.below(3).min(2));
        if let Some(from) = from {
            let place = tokens.iter().position(|token| *token == from);
            tokens.swap(0, place.unwrap_or(0));
            tokens[0] = from;
        }
        if tokens.len() == 3 && self.one_in(8) {
            tokens[2] = tokens[0];
        }
        let is_v3 = kind == SwapRouter || self.one_in(2);
        let hops = tokens.len() - 1;
        let fees =
            if is_v3 { (0..hops).map(|_| self.random.pick(&FEES)).collect() } else { vec![] };
        let is_exact_in = self.one_in(2);
        let fee_of = |hop: usize| fees.get(hop).copied().unwrap_or(0);
        let places: Vec<_> =
            (0..hops).map(|hop| self.pool([tokens[hop], tokens[hop + 1]], fee_of(hop))).collect();
        let (fixed, side) = match is_exact_in {
            true => (places[0].0, places[0].1.index_in()),
            false => (places[hops - 1].0, places[hops - 1].1.index_out()),
        };
        let part = self.depth(fixed, side) / if is_exact_in { 4 } else { 8 };
        let amount = match self.one_in(2) {
            true => self.random.share(part.max(1)),
            false => self.random.wide() % part.max(1) + 1,
        };
        let limit = self.any_bound(&places, is_exact_in, amount);
        let price_limit = match hops {
            1 if is_v3 && kind != Universal && self.one_in(3) => self.any_price_limit(places[0]),
            _ => U160::ZERO,
        };
        let (is_kept, by_router) = (self.one_in(3), self.one_in(6));
        let amount = U256::from(amount);
        Swap { tokens, fees, is_exact_in, amount, limit, price_limit, is_kept, by_router }
    }

    /// A bound that is loose, or met exactly, or missed by one.
    fn any_bound(
        &mut self,
        places: &[(PoolId, Direction)],
        is_exact_in: bool,
        amount: u128,
    ) -> U256 {
        let pools = &self.market.world.pools;
        let quoted = if is_exact_in {
            let step = |amount, (pool, way): &(_, _)| pools.view(*pool).quote_out(amount, *way);
            places.iter().try_fold(amount, step)
        } else {
            let step = |amount, (pool, way): &(_, _)| pools.view(*pool).quote_in(amount, *way);
            places.iter().rev().try_fold(amount, step)
        };
        let missed = if is_exact_in { 1 } else { u128::MAX };
        match (self.random.below(8), quoted) {
            (0, Some(quoted)) => U256::from(quoted),
            (1, Some(quoted)) => U256::from(quoted.wrapping_add(missed)),
            (2, _) => U256::from(self.random.wide() >> self.random.below(128)),
            _ if is_exact_in => U256::ZERO,
            _ => U256::MAX,
        }
    }

    fn any_price_limit(&mut self, (pool, direction): (PoolId, Direction)) -> U160 {
        let Pool::Concentrated(pool) = *self.market.world.state(pool) else { unreachable!("V3") };
        let away = 1 + self.random.below(100);
        let is_behind = self.one_in(10);
        let is_down = (direction == Direction::ZeroForOne) != is_behind;
        let parts = if is_down { 10_000 - away } else { 10_000 + away };
        (pool.sqrt_price() * U256::from(parts) / U256::from(10_000)).to()
    }

    fn address(&self, token: usize) -> Address {
        self.market.address(self.tokens[token])
    }

    /// V3's path.
    fn packed(&self, swap: &Swap) -> Bytes {
        let mut tokens = swap.tokens.clone();
        let mut fees = swap.fees.clone();
        if !swap.is_exact_in {
            tokens.reverse();
            fees.reverse();
        }
        let mut bytes = self.address(tokens[0]).to_vec();
        for (token, fee) in tokens[1..].iter().zip(fees) {
            bytes.extend(&fee.to_be_bytes()[1..]);
            bytes.extend(self.address(*token));
        }
        bytes.into()
    }

    fn words(&self, swap: &Swap) -> Vec<Address> {
        swap.tokens.iter().map(|token| self.address(*token)).collect()
    }

    /// Who receives, in the numbers of the router.
    fn recipient(&mut self, kind: RouterKind, is_kept: bool) -> Address {
        let by_number = self.one_in(2);
        match (kind, is_kept) {
            (SwapRouter, true) if by_number => Address::ZERO,
            (SwapRouter02 | Universal, true) if by_number => Address::with_last_byte(2),
            (_, true) => self.routers[&(kind as u8)],
            (SwapRouter02 | Universal, false) if by_number => Address::with_last_byte(1),
            (_, false) => STRANGER,
        }
    }

    /// A call of V2's own router.
    fn pairs_call(&mut self) -> (u128, Vec<u8>) {
        let (is_native_in, is_native_out) = match self.random.below(4) {
            0 => (true, false),
            1 => (false, true),
            _ => (false, false),
        };
        let swap = loop {
            let swap = self.any_swap(SwapRouter02, is_native_in.then_some(0));
            let is_last_native = swap.tokens.last() == Some(&0);
            if swap.fees.is_empty() && (is_last_native || !is_native_out) {
                break swap;
            }
        };
        let Swap { amount, limit, is_exact_in, .. } = swap;
        let (path, to, end) = (self.words(&swap), STRANGER, U256::MAX);
        let is_measured = self.one_in(3);
        let value = match (is_native_in, is_exact_in) {
            (false, _) => 0,
            (true, true) => amount.to(),
            (true, false) => limit.saturating_to::<u128>().min(FUNDS),
        };
        let input = match (is_native_in, is_native_out, is_exact_in, is_measured) {
            (true, _, true, true) => {
                pairs::swapExactETHForTokensSupportingFeeOnTransferTokensCall {
                    limit,
                    path,
                    to,
                    end,
                }
                .abi_encode()
            }
            (true, _, true, false) => {
                pairs::swapExactETHForTokensCall { limit, path, to, end }.abi_encode()
            }
            (true, _, false, _) => {
                pairs::swapETHForExactTokensCall { amount, path, to, end }.abi_encode()
            }
            (false, true, true, true) => {
                pairs::swapExactTokensForETHSupportingFeeOnTransferTokensCall {
                    amount,
                    limit,
                    path,
                    to,
                    end,
                }
                .abi_encode()
            }
            (false, true, true, false) => {
                pairs::swapExactTokensForETHCall { amount, limit, path, to, end }.abi_encode()
            }
            (false, true, false, _) => {
                pairs::swapTokensForExactETHCall { amount, limit, path, to, end }.abi_encode()
            }
            (false, false, true, true) => {
                pairs::swapExactTokensForTokensSupportingFeeOnTransferTokensCall {
                    amount,
                    limit,
                    path,
                    to,
                    end,
                }
                .abi_encode()
            }
            (false, false, true, false) => {
                pairs::swapExactTokensForTokensCall { amount, limit, path, to, end }.abi_encode()
            }
            (false, false, false, _) => {
                pairs::swapTokensForExactTokensCall { amount, limit, path, to, end }.abi_encode()
            }
        };
        (value, input)
    }

    /// Native that is sent along with a swap from WETH: mostly what it needs, or more, or less.
    fn any_value(&mut self, swap: &Swap) -> u128 {
        let needed: u128 = swap.amount.saturating_to();
        match self.random.below(4) {
            0 => needed / 2 + 1,
            1 => self.depth(self.pools[&([0, 1], 0)], 0) / 3,
            _ => needed,
        }
    }

    fn periphery_call(&mut self, kind: RouterKind) -> (u128, Vec<u8>) {
        let (mut calls, mut value, mut held) = (vec![], 0, None);
        let has_native = self.one_in(3);
        for number in 0..1 + self.random.below(3) {
            let from = match held {
                Some(held) if !self.one_in(3) => Some(held),
                _ if has_native && number == 0 => Some(0),
                _ => None,
            };
            let mut swap = self.any_swap(kind, from);
            if kind == SwapRouter02 && swap.is_exact_in && held == Some(swap.tokens[0]) {
                swap.amount = U256::ZERO;
            }
            if has_native && number == 0 {
                value = self.any_value(&swap);
                if kind == SwapRouter02 && self.one_in(4) {
                    let part = U256::from(value / 2 + 1);
                    calls.push(new::wrapETHCall { value: part }.abi_encode());
                }
            }
            if kind == SwapRouter02 && self.one_in(8) {
                let (token, amount) = (self.address(swap.tokens[0]), swap.amount);
                calls.push(new::pullCall { token, value: amount }.abi_encode());
                swap.amount = if swap.is_exact_in { U256::ZERO } else { amount };
            }
            calls.push(self.periphery_swap(kind, &swap));
            held = swap.is_kept.then(|| swap.tokens[swap.tokens.len() - 1]).or(held);
        }
        if let Some(held) = held.filter(|_| !self.one_in(4)) {
            calls.push(self.periphery_payment(held));
        }
        if value > 0 && !self.one_in(4) {
            calls.push(periphery::refundETHCall {}.abi_encode());
        }
        let data: Vec<Bytes> = calls.iter().cloned().map(Bytes::from).collect();
        let input = match calls.as_slice() {
            [call] if self.one_in(2) => call.clone(),
            _ if kind == SwapRouter02 && self.one_in(2) => {
                new::multicallCall { deadline: U256::MAX, data }.abi_encode()
            }
            _ => periphery::multicallCall { data }.abi_encode(),
        };
        (value, input)
    }

    #[expect(non_snake_case, reason = "fields are named as the contracts name them")]
    fn periphery_swap(&mut self, kind: RouterKind, swap: &Swap) -> Vec<u8> {
        let recipient = self.recipient(kind, swap.is_kept);
        let Swap { amount, limit, price_limit, .. } = *swap;
        if swap.fees.is_empty() {
            let (path, to) = (self.words(swap), recipient);
            return if swap.is_exact_in {
                new::swapExactTokensForTokensCall { amount, limit, path, to }.abi_encode()
            } else {
                new::swapTokensForExactTokensCall { amount, limit, path, to }.abi_encode()
            };
        }
        let is_single = swap.fees.len() == 1 && (!price_limit.is_zero() || self.one_in(2));
        let deadline = U256::MAX;
        if !is_single {
            let path = self.packed(swap);
            if kind == SwapRouter {
                let params = old::PathIn { path, recipient, deadline, amount, limit };
                return if swap.is_exact_in {
                    old::exactInputCall { params }.abi_encode()
                } else {
                    old::exactOutputCall { params }.abi_encode()
                };
            }
            let params = new::PathIn { path, recipient, amount, limit };
            return if swap.is_exact_in {
                new::exactInputCall { params }.abi_encode()
            } else {
                new::exactOutputCall { params }.abi_encode()
            };
        }
        let [tokenIn, tokenOut] = [0, 1].map(|place| self.address(swap.tokens[place]));
        let (fee, priceLimit) = (U24::from(swap.fees[0]), price_limit);
        if kind == SwapRouter {
            let params = old::SingleIn {
                tokenIn,
                tokenOut,
                fee,
                recipient,
                deadline,
                amount,
                limit,
                priceLimit,
            };
            return if swap.is_exact_in {
                old::exactInputSingleCall { params }.abi_encode()
            } else {
                old::exactOutputSingleCall { params }.abi_encode()
            };
        }
        let params = new::SingleIn { tokenIn, tokenOut, fee, recipient, amount, limit, priceLimit };
        if swap.is_exact_in {
            new::exactInputSingleCall { params }.abi_encode()
        } else {
            new::exactOutputSingleCall { params }.abi_encode()
        }
    }

    /// Pays out what the router holds, in one way or another.
    fn periphery_payment(&mut self, held: usize) -> Vec<u8> {
        let least = if self.one_in(8) { U256::from(self.random.wide()) } else { U256::ZERO };
        let (token, recipient, other) = (self.address(held), STRANGER, OTHER);
        let bips = U256::from(1 + self.random.below(100));
        match (held == 0 && !self.one_in(3), self.one_in(3)) {
            (true, true) => {
                let call = periphery::unwrapWETH9WithFeeCall { least, recipient, bips, other };
                call.abi_encode()
            }
            (true, false) => periphery::unwrapWETH9Call { least, recipient }.abi_encode(),
            (false, true) => {
                periphery::sweepTokenWithFeeCall { token, least, recipient, bips, other }
                    .abi_encode()
            }
            (false, false) => periphery::sweepTokenCall { token, least, recipient }.abi_encode(),
        }
    }

    fn universal_call(&mut self) -> (u128, Vec<u8>) {
        let (mut value, mut held, mut plan) = (0, None, vec![]);
        if self.one_in(3) {
            let swap = self.any_swap(Universal, Some(0));
            value = self.any_value(&swap);
            let amount = if self.one_in(2) { HELD } else { U256::from(value / 2 + 1) };
            let to = self.recipient(Universal, true);
            plan.push((0x0b, (to, amount).abi_encode_params()));
            held = Some(0);
        }
        for _ in 0..1 + self.random.below(3) {
            let part = self.universal_swap(&mut held);
            if !self.one_in(4) {
                plan.extend(part);
                continue;
            }
            // A plan within the plan, which may fail, and often does.
            let mut inner = part;
            if self.one_in(2) {
                inner.extend(self.universal_swap(&mut held));
            }
            let may_fail = if self.one_in(4) { 0 } else { 0x80 };
            let (commands, inputs) = split(inner);
            plan.push((0x21 | may_fail, (commands, inputs).abi_encode_params()));
        }
        if let Some(held) = held.filter(|_| !self.one_in(4)) {
            plan.extend(self.universal_payment(held));
        }
        if value > 0 && !self.one_in(3) {
            plan.push((0x04, (NATIVE, STRANGER, U256::ZERO).abi_encode_params()));
        }
        let (commands, inputs) = split(plan);
        let call = universal::executeCall { commands, inputs, deadline: U256::MAX };
        (value, call.abi_encode())
    }

    /// One swap, and sometimes what the router is given for it before.
    fn universal_swap(&mut self, held: &mut Option<usize>) -> Vec<(u8, Vec<u8>)> {
        let from = held.filter(|_| !self.one_in(3));
        let mut swap = self.any_swap(Universal, from);
        let mut plan = vec![];
        if *held == Some(swap.tokens[0]) {
            swap.by_router = !self.one_in(4);
        } else if swap.by_router {
            // The router is given some of the token first, mostly enough.
            let given = if self.one_in(4) { swap.amount / U256::from(2) } else { swap.amount };
            let (token, router) = (self.address(swap.tokens[0]), self.recipient(Universal, true));
            plan.push((0x02, (token, router, given).abi_encode_params()));
        }
        if swap.by_router && swap.is_exact_in && !self.one_in(3) {
            swap.amount = HELD;
            // Somebody has a share of what is swapped then: its rounding shows.
            if self.one_in(2) {
                let bips = U256::from(self.random.below(5_000));
                plan.push((0x06, (self.address(swap.tokens[0]), OTHER, bips).abi_encode_params()));
            }
        }
        *held = swap.is_kept.then(|| swap.tokens[swap.tokens.len() - 1]).or(*held);
        let to = self.recipient(Universal, swap.is_kept);
        let (Swap { amount, limit, .. }, by_sender) = (swap.clone(), !swap.by_router);
        let (byte, input) = if swap.fees.is_empty() {
            (0x08, (to, amount, limit, self.words(&swap), by_sender).abi_encode_params())
        } else {
            (0x00, (to, amount, limit, self.packed(&swap), by_sender).abi_encode_params())
        };
        let may_fail = if self.one_in(8) { 0x80 } else { 0 };
        plan.push((byte | u8::from(!swap.is_exact_in) | may_fail, input));
        plan
    }

    /// Pays out what the router holds, in one way or another.
    fn universal_payment(&mut self, held: usize) -> Vec<(u8, Vec<u8>)> {
        let token = self.address(held);
        let least = if self.one_in(8) { U256::from(self.random.wide()) } else { U256::ZERO };
        let mut plan = vec![];
        if self.one_in(3) {
            let bips = U256::from(self.random.below(5_000));
            plan.push((0x06, (token, OTHER, bips).abi_encode_params()));
        }
        if self.one_in(6) {
            let amount = if self.one_in(2) { HELD } else { U256::from(1_000) };
            plan.push((0x05, (token, OTHER, amount).abi_encode_params()));
        }
        if held == 0 && !self.one_in(3) {
            plan.push((0x0c, (STRANGER, least).abi_encode_params()));
        } else {
            plan.push((0x04, (token, STRANGER, least).abi_encode_params()));
        }
        plan
    }

    // --- Verdicts ------------------------------------------------------------------------------

    fn judge(&mut self, router: Address, value: u128, input: &[u8]) -> Verdict {
        let Some(route) = self.route(router, value, input) else {
            self.count("not followed");
            return Ok(());
        };
        self.settle(router);
        let follow = Follow { hash: B256::ZERO, max_fee: Wei(u128::MAX), priority_fee: Wei(1) };
        let target = Target { follow, sender: STRANGER, nonce: 0, route };
        let before = self.ours();
        let others = self.balances(OTHER);
        let applied = self.market.world.apply_target(&target);
        let after = self.ours();
        match applied {
            Ok(mark) => self.market.world.take_back(mark).expect("a handful of changes"),
            Err(_) => agree("nothing is changed", &before, &after)?,
        }
        agree("it is taken back", &before, &self.ours())?;
        let receipt = self.market.chain.pay(STRANGER, router, (value, input.to_vec()));
        if let Err(unfit) = applied {
            let what = format!("{unfit:?} of {:?}", route.steps());
            self.count("reverted");
            self.count(match unfit {
                Unfit::NoLiquidity => "reverted: no liquidity",
                Unfit::LimitMissed => "reverted: a limit missed",
                Unfit::PastDeadline | Unfit::Underpriced | Unfit::TooLong | Unfit::Doubted => {
                    return Err(what);
                }
            });
            return agree(&what, true, receipt.answer.is_err());
        }
        let what = format!("{:?}", route.steps());
        agree(&what, Ok(()), receipt.answer.map(drop))?;
        let theirs = self.theirs();
        agree(&what, &after, &theirs)?;
        for (pool, state) in after {
            let entry = self.market.world.pools.entry_mut(pool);
            (entry.state, entry.chain) = (state, state);
        }
        let is_shared = self.balances(OTHER) != others;
        self.count_landed(&route, &before, [is_shared, value > 0]);
        Ok(())
    }

    /// The sender has plenty, and nobody has left anything with the router.
    fn settle(&mut self, router: Address) {
        self.market.fund(NATIVE, STRANGER, FUNDS);
        self.market.fund(NATIVE, router, 0);
        for token in 0..self.tokens.len() {
            let token = self.address(token);
            self.market.fund(token, STRANGER, FUNDS);
            self.market.fund(token, router, 0);
        }
    }

    fn balances(&mut self, who: Address) -> Vec<u128> {
        let mut tokens: Vec<_> = (0..self.tokens.len()).map(|token| self.address(token)).collect();
        tokens.push(NATIVE);
        tokens.into_iter().map(|token| self.market.balance(token, who)).collect()
    }

    fn route(&self, router: Address, value: u128, input: &[u8]) -> Option<Route> {
        let text = format!("0x{}", hex::encode(input));
        let tx = PendingTx {
            tx_type: TxType::DynamicFee,
            hash: B256::ZERO,
            from: STRANGER,
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
        swap::decode(&tx, &self.market.world, &mut [0; swap::CALLDATA_BYTES_MAX])
    }

    /// Every pool's state, as the engine has it.
    fn ours(&self) -> Vec<(PoolId, Pool)> {
        self.pools.values().map(|pool| (*pool, *self.market.world.state(*pool))).collect()
    }

    /// Every pool's state, as the chain has it.
    fn theirs(&mut self) -> Vec<(PoolId, Pool)> {
        let mut states = self.ours();
        for (id, state) in &mut states {
            *state = match state {
                Pool::ConstantProduct(pool) => pool.with_reserves(self.market.reserves(*id)).into(),
                Pool::Concentrated(_) => {
                    let held: ConcentratedState = self.market.v3_state(*id);
                    Concentrated::new(&held).expect("a pool's state").into()
                }
                Pool::Solidly(_) => unreachable!("no such pool is dealt here"),
            };
        }
        states
    }

    /// What kinds of calls landed.
    fn count_landed(
        &mut self,
        route: &Route,
        before: &[(PoolId, Pool)],
        [is_shared, has_native]: [bool; 2],
    ) {
        use gannet_engine::target::Step;

        self.count("landed");
        let parts: Vec<_> = route.parts().copied().collect();
        let price_of = |pool: &Pool| match pool {
            Pool::Concentrated(pool) => pool.sqrt_price(),
            Pool::ConstantProduct(_) | Pool::Solidly(_) => U256::ZERO,
        };
        let stopped = parts.iter().filter(|part| part.has_price_limit).any(|part| {
            let pool = route.hops_of(part)[0].pool;
            price_of(self.market.world.state(pool)) == route.price_limit
        });
        let has_failed = route.steps().iter().enumerate().any(|(place, step)| {
            let Step::Try { count } = step else { return false };
            // Pools that nothing else touches stand where they stood.
            let tried = &route.steps()[place + 1..][..usize::from(*count)];
            tried.iter().any(|step| {
                let Step::Swap(part) = step else { return false };
                route.hops_of(part).iter().any(|hop| {
                    let held = before.iter().find(|(pool, _)| *pool == hop.pool);
                    held.is_some_and(|(_, state)| state == self.market.world.state(hop.pool))
                })
            })
        });
        for (what, is_so) in [
            ("landed: two swaps or more", parts.len() > 1),
            ("landed: stopped at a price", stopped),
            ("landed: with a plan that failed", has_failed),
            ("landed: with a share for somebody", is_shared),
            ("landed: with native", has_native),
        ] {
            if is_so {
                self.count(what);
            }
        }
    }
}

fn split(plan: Vec<(u8, Vec<u8>)>) -> (Bytes, Vec<Bytes>) {
    let (commands, inputs): (Vec<u8>, Vec<Vec<u8>>) = plan.into_iter().unzip();
    (commands.into(), inputs.into_iter().map(Bytes::from).collect())
}
