//! Random swaps and programs: the engine's numbers against the bytecode's, to the wei.
//!
//! One run is more than 10,000 cases from one seed (`GANNET_SEED` to vary it). A case is a state of
//! pools and a swap or a program over them; what it checks is in its function.
//!
//! Temperature: cold.

use std::env;
use std::fmt::Debug;

use alloy::primitives::{Address, U256, keccak256};
use alloy::sol_types::{SolCall, SolValue};
use gannet_engine::amm::constant_product::RESERVE_MAX;
use gannet_engine::amm::{Amm, ConstantProduct, Pool, Ticks};
use gannet_engine::ids::{Direction, PoolId, TokenId};
use gannet_engine::limits::HOPS_MAX;
use gannet_engine::plan::Leg;

use crate::evm::abi::{Pair, Router};
use crate::evm::{Market, NATIVE, Receipt, STRANGER, Trade};

pub(crate) const SEED: u64 = 0x9a77_e71b_5eed;
const EXACT_IN_CASES: u32 = 10_000;
const EXACT_OUT_CASES: u32 = 10_000;
const ROUTER_CASES: u32 = 10_000;
const PROGRAM_CASES: u32 = 10_000;

#[test]
fn the_engine_and_the_bytecode_agree_to_the_wei() {
    let seed = env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
    println!("differential: seed {seed}");
    let mut bench = Bench::new(Random(seed));
    bench.run("exact in", EXACT_IN_CASES, Bench::exact_in);
    bench.run("exact out", EXACT_OUT_CASES, Bench::exact_out);
    bench.run("router", ROUTER_CASES, Bench::router_path);
    bench.run("program", PROGRAM_CASES, Bench::program);
    println!("differential: {} cases, {} mismatches", bench.cases, bench.mismatches);
    assert_eq!(bench.mismatches, 0);
    assert!(bench.cases >= 10_000);
    println!("differential: {} paths and {} programs paid", bench.paths_paid, bench.programs_paid);
    assert!(bench.paths_paid * 2 > ROUTER_CASES, "paths that pay nothing prove little");
    assert!(bench.programs_paid * 2 > PROGRAM_CASES, "programs that pay nothing prove little");
}

/// A case's verdict: what differs.
pub(crate) type Verdict = Result<(), String>;

#[expect(clippy::needless_pass_by_value, reason = "a case reads better without references")]
pub(crate) fn agree<T: PartialEq + Debug>(what: &str, engine: T, bytecode: T) -> Verdict {
    if engine == bytecode {
        return Ok(());
    }
    Err(format!("{what}: engine {engine:?}, bytecode {bytecode:?}"))
}

pub(crate) fn refused(what: &str, receipt: &Receipt) -> Verdict {
    agree(what, true, receipt.answer.is_err())
}

struct Bench {
    market: Market,
    random: Random,
    tokens: Vec<TokenId>,
    /// By pair of tokens (first below second), in both factories; the router's factory is first.
    pools: Vec<([usize; 2], [PoolId; 2])>,
    cases: u32,
    mismatches: u32,
    paths_paid: u32,
    programs_paid: u32,
}

impl Bench {
    /// WETH and tokens of 6, 8 and 18 decimals, each paired with each in both factories.
    fn new(random: Random) -> Self {
        let mut market = Market::new();
        let mut tokens = vec![market.weth];
        tokens.extend([6, 8, 18, 18].map(|decimals| market.token(decimals)));
        let mut pools = vec![];
        for (second, &token) in tokens.iter().enumerate() {
            market.approve_router(token, STRANGER);
            for (first, &other) in tokens[..second].iter().enumerate() {
                let twins = [(); 2].map(|()| market.pool([other, token], [1; 2]));
                pools.push(([first, second], twins));
            }
        }
        Self {
            market,
            random,
            tokens,
            pools,
            cases: 0,
            mismatches: 0,
            paths_paid: 0,
            programs_paid: 0,
        }
    }

    fn run(&mut self, part: &str, cases: u32, case: fn(&mut Self) -> Verdict) {
        for number in 0..cases {
            self.cases += 1;
            if let Err(difference) = case(self) {
                self.mismatches += 1;
                // A mistake shows in thousands of cases; the first few tell.
                if self.mismatches <= 10 {
                    println!("{part} {number}: {difference}");
                }
            }
        }
    }

    fn state(&self, pool: PoolId) -> ConstantProduct {
        match self.market.world.pools.get(pool).state {
            Pool::ConstantProduct(pool) => pool,
            other @ (Pool::Concentrated(_) | Pool::Solidly(_)) => {
                unreachable!("only pairs are dealt here, not {other:?}")
            }
        }
    }

    fn read<C: SolCall>(&mut self, call: &C) -> Option<C::Return> {
        self.market.chain.read(self.market.router, call)
    }

    /// A pool with random reserves, and a way through it with the reserves along it.
    fn any_pool(&mut self) -> (PoolId, Direction, [u128; 2]) {
        let pool = self.random.pick(&self.pools).1[0];
        let reserves = [self.random.reserve(), self.random.reserve()];
        self.market.set_reserves(pool, reserves, 3_000);
        let direction = self.random.pick(&[Direction::ZeroForOne, Direction::OneForZero]);
        (pool, direction, [reserves[direction.index_in()], reserves[direction.index_out()]])
    }

    /// Pays `paid` to the pair and asks it for `wanted`.
    fn swap(&mut self, pool: PoolId, direction: Direction, [paid, wanted]: [u128; 2]) -> Receipt {
        let entry = *self.market.world.pools.get(pool);
        let index_in = direction.index_in();
        let token_in = self.market.address(entry.tokens[index_in]);
        let reserve = self.market.reserves(pool)[index_in];
        self.market.fund(token_in, entry.address, reserve + paid);
        let mut out = [U256::ZERO; 2];
        out[direction.index_out()] = U256::from(wanted);
        let call = Pair::swapCall { out0: out[0], out1: out[1], to: STRANGER, data: vec![].into() };
        self.market.chain.peek(STRANGER, entry.address, call.abi_encode())
    }

    /// The pair pays the quote, syncs to the engine's next state, and refuses a wei more.
    fn exact_in(&mut self) -> Verdict {
        let (pool, direction, [reserve_in, reserve_out]) = self.any_pool();
        let amount = self.random.amount(reserve_in);
        let quote = self.state(pool).quote_out(Ticks::NONE, amount, direction);
        let call = Router::getAmountOutCall {
            amount: U256::from(amount),
            reserveIn: U256::from(reserve_in),
            reserveOut: U256::from(reserve_out),
        };
        // The router does not know that nothing out, or a reserve of 113 bits, is refused.
        let fits = reserve_in + amount <= RESERVE_MAX;
        let router = self.read(&call).filter(|out| fits && !out.is_zero());
        agree("getAmountOut", quote.map(U256::from), router)?;

        let more = quote.unwrap_or(0) + 1;
        refused("a wei more", &self.swap(pool, direction, [amount, more]))?;
        let Some(out) = quote else { return Ok(()) };
        let next = self.state(pool).after_swap(amount, out, direction).map(reserves_of);
        agree("reserves", next, self.swap(pool, direction, [amount, out]).last_sync())
    }

    /// The router asks for `quote_in`; the pair takes `least_in`, and refuses a wei less.
    fn exact_out(&mut self) -> Verdict {
        let (pool, direction, [reserve_in, reserve_out]) = self.any_pool();
        let state = self.state(pool);
        let room = RESERVE_MAX - reserve_in;
        // What fills the pool's other side to the brim is where the bounds are.
        let brim =
            state.quote_out(Ticks::NONE, room, direction).filter(|_| self.random.below(8) == 0);
        let wanted = brim.unwrap_or_else(|| self.random.amount(reserve_out));
        let call = Router::getAmountInCall {
            amount: U256::from(wanted),
            reserveIn: U256::from(reserve_in),
            reserveOut: U256::from(reserve_out),
        };
        let router = self.read(&call).filter(|amount| *amount <= U256::from(room));
        agree(
            "getAmountIn",
            state.quote_in(Ticks::NONE, wanted, direction).map(U256::from),
            router,
        )?;

        let Some(least) = state.least_in(Ticks::NONE, wanted, direction) else {
            return refused("all there is", &self.swap(pool, direction, [room, wanted]));
        };
        refused("a wei less", &self.swap(pool, direction, [least.saturating_sub(1), wanted]))?;
        let next = state.after_swap(least, wanted, direction).map(reserves_of);
        agree("reserves", next, self.swap(pool, direction, [least, wanted]).last_sync())
    }

    /// Any of the router's nine swap functions over one to four pairs: what is paid, what arrives
    /// and every pair's reserves are the engine's.
    fn router_path(&mut self) -> Verdict {
        let (kind, native) = (self.random.pick(&Kind::ALL), self.random.pick(&Native::ALL));
        let mut path = self.random.shuffled(self.tokens.len());
        path.truncate(2 + self.random.below(HOPS_MAX));
        // WETH, token 0, stands where the native coin goes in or comes out.
        if let Some(end) = native.end_of(path.len()) {
            let weth = path.iter().position(|token| *token == 0);
            match weth {
                Some(place) => path.swap(place, end),
                None => path[end] = 0,
            }
        }
        let pools: Vec<PoolId> = path.windows(2).map(|pair| self.twins(pair)[0]).collect();
        for &pool in &pools {
            let reserves = [self.random.reserve(), self.random.reserve()];
            self.market.set_reserves(pool, reserves, 3_000);
        }
        let path: Vec<TokenId> = path.iter().map(|index| self.tokens[*index]).collect();
        let (amount, legs) = self.path_legs(kind, &path, &pools);
        let [paid, got] = match (&legs, kind) {
            (Some(legs), _) => [legs[0].amount_in, legs[legs.len() - 1].amount_out],
            (None, Kind::ExactOut) => [u128::MAX, amount],
            (None, Kind::ExactIn | Kind::FeeOnTransfer) => [amount, 0],
        };
        let receipt = self.swap_path((kind, native), &path, [paid, got])?;
        let Some(legs) = legs else { return refused("a path that cannot pay", &receipt) };
        self.paths_paid += 1;
        agree("the path", Ok(()), receipt.answer.map(drop))?;
        self.judge_reserves(&legs)
    }

    /// An amount for a path, and its swaps in the engine's amounts; `None` if it cannot be had.
    fn path_legs(
        &mut self,
        kind: Kind,
        path: &[TokenId],
        pools: &[PoolId],
    ) -> (u128, Option<Vec<Leg>>) {
        if kind != Kind::ExactOut {
            let reserve = self.reserve_of(pools[0], path[0]);
            let amount = self.random.share(reserve);
            let legs = self.market.legs(&Trade::new(path[0], pools, amount));
            let pays = legs.iter().all(|leg| leg.amount_out > 0);
            return (amount, pays.then_some(legs));
        }
        let reserve = self.reserve_of(pools[pools.len() - 1], path[pools.len()]);
        let amount = self.random.share(reserve);
        let mut amount_out = amount;
        let backwards = pools.iter().zip(path).rev().map(|(&pool, &token)| {
            let direction = self.market.direction(pool, token);
            let amount_in = self.state(pool).quote_in(Ticks::NONE, amount_out, direction)?;
            let leg = Leg { pool, direction, amount_in, amount_out };
            amount_out = amount_in;
            Some(leg)
        });
        let legs: Option<Vec<Leg>> = backwards.collect();
        (amount, legs.map(|legs| legs.into_iter().rev().collect()))
    }

    /// Swaps through the router, and checks that exactly `paid` went and `got` came.
    fn swap_path(
        &mut self,
        (kind, native): (Kind, Native),
        path: &[TokenId],
        [paid, got]: [u128; 2],
    ) -> Result<Receipt, String> {
        let route: Vec<Address> = path.iter().map(|token| self.market.address(*token)).collect();
        let mut ends = [route[0], route[route.len() - 1]];
        match native {
            Native::No => {}
            Native::In => ends[0] = NATIVE,
            Native::Out => ends[1] = NATIVE,
        }
        self.market.fund(ends[0], STRANGER, paid);
        self.market.fund(ends[1], TAKER, 0);
        let value = if native == Native::In { paid } else { 0 };
        let call = router_call(kind, native, [paid, got], route);
        let receipt = self.market.chain.pay(STRANGER, self.market.router, (value, call));
        if receipt.answer.is_ok() {
            agree("paid", 0, self.market.balance(ends[0], STRANGER))?;
            agree("received", got, self.market.balance(ends[1], TAKER))?;
        }
        Ok(receipt)
    }

    /// The pools of two tokens in both factories, the router's first.
    fn twins(&self, pair: &[usize]) -> [PoolId; 2] {
        let key = [pair[0].min(pair[1]), pair[0].max(pair[1])];
        self.pools.iter().find(|(pair, _)| *pair == key).expect("every pair has its pools").1
    }

    fn reserve_of(&mut self, pool: PoolId, token: TokenId) -> u128 {
        let index = self.market.direction(pool, token).index_in();
        self.market.reserves(pool)[index]
    }

    /// Every pair stands where the engine says after these swaps.
    fn judge_reserves(&mut self, legs: &[Leg]) -> Verdict {
        legs.iter().try_for_each(|leg| {
            let next =
                self.state(leg.pool).after_swap(leg.amount_in, leg.amount_out, leg.direction);
            agree("reserves", next.map(reserves_of), Some(self.market.reserves(leg.pool)))
        })
    }

    /// A cycle of two to four pools through the executor: it pays the engine's profit exactly, and
    /// refuses a minimum that is a wei higher.
    fn program(&mut self) -> Verdict {
        let trade = self.any_trade();
        let legs = self.market.legs(&trade);
        let spare = self.random.below(2) as u128 * self.random.share(1 << 100);
        let held = if trade.is_flash { spare } else { trade.amount + spare };
        let token = self.market.address(trade.token);
        self.market.fund(token, self.market.executor, held);

        if legs.iter().any(|leg| leg.amount_out == 0) {
            return refused("a pool that refuses", &self.market.peek(&trade));
        }
        let loss = Err("BelowMinimumProfit".into());
        let Some(profit) = self.market.profit(&trade) else {
            return agree("a loss", loss, self.market.peek(&trade).answer.map(drop));
        };
        self.programs_paid += 1;
        let is_tipped = trade.token == self.market.weth && self.random.below(2) == 0;
        let tip = if is_tipped { self.random.share(profit) } else { 0 };
        let trade = trade.tip(tip);
        let answer = self.market.peek(&trade.clone().least(profit - tip + 1)).answer;
        agree("a wei more", loss, answer.map(drop))?;
        let receipt = self.market.run(&trade.least(profit - tip));
        agree("the program", Ok(()), receipt.answer.map(drop))?;
        agree("balance", held + profit - tip, self.market.balance(token, self.market.executor))?;
        self.judge_reserves(&legs)
    }

    /// A cycle whose last pool is generous, so that most of them pay.
    fn any_trade(&mut self) -> Trade {
        let hops = 2 + self.random.below(HOPS_MAX - 1);
        let mut path = self.random.shuffled(self.tokens.len());
        path.truncate(hops);
        path.push(path[0]);
        let mut pools: Vec<PoolId> = vec![];
        for pair in path.windows(2) {
            let twins = self.twins(pair);
            let twin = twins[self.random.below(2)];
            // A cycle of two tokens goes back through the other factory's pool.
            let pool =
                if pools.contains(&twin) { twins[usize::from(twins[0] == twin)] } else { twin };
            pools.push(pool);
            self.price_fairly(pool, pair);
        }
        let token = self.tokens[path[0]];
        let last = pools[hops - 1];
        let index = self.market.direction(last, token).index_in();
        let mut reserves = self.market.reserves(last);
        reserves[index] += reserves[index] / 100 * self.random.below(300) as u128;
        let fee = if self.random.below(8) == 0 { 10_000 } else { 3_000 };
        self.market.set_reserves(last, reserves, fee);
        let reserve = self.reserve_of(pools[0], token);
        let amount = self.random.share(reserve / 10);
        Trade::new(token, &pools, amount).flash(self.random.below(2) == 0)
    }

    /// Reserves worth the same on both sides, but for noise; one in sixteen is anything at all.
    fn price_fairly(&mut self, pool: PoolId, pair: &[usize]) {
        let is_sorted = self.market.direction(pool, self.tokens[pair[0]]) == Direction::ZeroForOne;
        let worth = self.random.share(1 << 40) + 1_000;
        let mut reserves = [pair[0], pair[1]].map(|index| {
            let unit =
                10_u128.pow(self.market.world.tokens.get(self.tokens[index]).decimals.into());
            unit / 1_000 * worth / 100 * (95 + self.random.share(10))
        });
        if !is_sorted {
            reserves.swap(0, 1);
        }
        if self.random.below(16) == 0 {
            reserves = [(); 2].map(|()| self.random.reserve() / 8 + 1);
        }
        self.market.set_reserves(pool, reserves, 3_000);
    }
}

const fn reserves_of(pool: ConstantProduct) -> [u128; 2] {
    pool.reserves()
}

/// What a swap function of the router fixes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ExactIn,
    ExactOut,
    FeeOnTransfer,
}

impl Kind {
    const ALL: [Self; 3] = [Self::ExactIn, Self::ExactOut, Self::FeeOnTransfer];
}

/// Where a swap function of the router wraps or unwraps the native coin.
#[derive(Clone, Copy, PartialEq)]
enum Native {
    No,
    In,
    Out,
}

impl Native {
    const ALL: [Self; 3] = [Self::No, Self::In, Self::Out];

    const fn end_of(self, tokens: usize) -> Option<usize> {
        match self {
            Self::No => None,
            Self::In => Some(0),
            Self::Out => Some(tokens - 1),
        }
    }
}

/// Who receives what the router pays.
const TAKER: Address = Address::repeat_byte(0x7a);

/// A call of the router's function for these two; bounded by exactly what is expected.
fn router_call(kind: Kind, native: Native, [paid, got]: [u128; 2], path: Vec<Address>) -> Vec<u8> {
    let names = ["TokensForTokens", "ETHForTokens", "TokensForETH"];
    let exact_out = ["TokensForExactTokens", "ETHForExactTokens", "TokensForExactETH"];
    let index = native as usize;
    let name = match kind {
        Kind::ExactIn => format!("swapExact{}", names[index]),
        Kind::ExactOut => format!("swap{}", exact_out[index]),
        Kind::FeeOnTransfer => format!("swapExact{}SupportingFeeOnTransferTokens", names[index]),
    };
    let [paid, got, deadline] = [paid, got, u128::MAX].map(U256::from);
    let (first, second) = if kind == Kind::ExactOut { (got, paid) } else { (paid, got) };
    // What goes in is the transaction's value if it is native, and not an argument.
    let (types, arguments) = if native == Native::In {
        ("", (got, path, TAKER, deadline).abi_encode_params())
    } else {
        ("uint256,", (first, second, path, TAKER, deadline).abi_encode_params())
    };
    let signature = format!("{name}(uint256,{types}address[],address,uint256)");
    [&keccak256(signature)[..4], &arguments].concat()
}

/// Random numbers: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn wide(&mut self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.wide() % count as u128).expect("it is below a usize")
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// The numbers below `count` in any order.
    pub(crate) fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..count).collect();
        for end in (1..count).rev() {
            all.swap(end, self.below(end + 1));
        }
        all
    }

    /// From 1 to `limit`, every magnitude as likely as another; 0 if that is the limit.
    pub(crate) fn share(&mut self, limit: u128) -> u128 {
        let Some(log) = limit.checked_ilog2() else { return 0 };
        1 + self.wide() % (limit >> self.below(log as usize + 1))
    }

    /// A reserve: mostly from 1,000 to the largest that fits, sometimes at an edge.
    fn reserve(&mut self) -> u128 {
        match self.below(16) {
            0 => self.pick(&[1, 2, 999, 1_000, 1 << 108, RESERVE_MAX - 1, RESERVE_MAX]),
            1 => RESERVE_MAX - self.share(RESERVE_MAX >> 8),
            _ => self.share(RESERVE_MAX - 999) + 999,
        }
    }

    /// An amount to trade against a reserve: mostly a part of it, sometimes at an edge or too much.
    fn amount(&mut self, reserve: u128) -> u128 {
        let room = RESERVE_MAX - reserve;
        match self.below(8) {
            0 => self.pick(&[1, reserve, reserve + 1, reserve.max(2) - 1, room.max(1), room + 1]),
            1 => self.share(RESERVE_MAX),
            _ => self.share(reserve),
        }
    }
}
