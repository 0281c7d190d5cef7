//! Pools of other kinds than the pair's, on the chain in memory: Uniswap V3's own, and
//! `tests/sol/SolidlyPair.sol`.
//!
//! A V3 pool's price is set by its own `initialize`, its liquidity, ticks and bitmap by storage.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy::primitives::aliases::U160;
use alloy::primitives::{Address, I256, Sign, U256, address, keccak256};
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use gannet_engine::amm::{
    self as engine, Concentrated, ConcentratedState, Pool, SolidlyState, Tick,
};
use gannet_engine::ids::{Direction, PoolId, TokenId};

use crate::evm::abi::{Quoter, Solidly, V3Factory, V3Pool};
use crate::evm::{LAST_TRADE, Market, OWNER, Receipt, Trade};

/// The kinds of legs, as programs number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pair,
    V3,
    Solidly,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Pair, Self::V3, Self::Solidly];
}

/// Slots of a V3 pool; in Pancake's all but the first come one later.
const SLOT0: U256 = U256::ZERO;
const FEE_GROWTH_SLOTS: [u64; 2] = [1, 2];
const LIQUIDITY_SLOT: u64 = 4;
const TICKS_SLOT: u64 = 5;
const BITMAP_SLOT: u64 = 6;
const OBSERVATIONS_SLOT: u64 = 8;
/// Where in its first slot Uniswap's pool keeps the protocol's share of fees, and Pancake's in its
/// second.
const FEE_PROTOCOL_BITS: [usize; 2] = [232, 0];
/// What a V3 pool holds of each token; it does not look at what it holds.
pub(crate) const V3_FUNDS: u128 = 1 << 120;
/// Fees of V3 pools with the spacing of their ticks.
pub(crate) const V3_FEES: [(u32, i32); 4] = [(100, 1), (500, 10), (3_000, 60), (10_000, 200)];
/// The highest tick, and minus it the lowest.
const TICK_MAX: i32 = 887_272;

/// A pool that is no pair.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) kind: Kind,
    pub(crate) fee_pips: u32,
    spacing: i32,
    is_stable: bool,
    /// Of a V3 pool: whether its first slot spills into a second.
    is_spilled: bool,
    /// Slots that hold ticks now, to be emptied.
    written: Vec<U256>,
}

impl Other {
    pub(crate) const fn new(kind: Kind, fee_pips: u32) -> Self {
        Self { kind, fee_pips, spacing: 1, is_stable: false, is_spilled: false, written: vec![] }
    }

    /// Where the slot of Uniswap's layout is.
    fn slot(&self, number: u64) -> u64 {
        number + u64::from(self.is_spilled)
    }
}

/// Liquidity between two ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) low: i32,
    pub(crate) high: i32,
    pub(crate) liquidity: u128,
}

/// The word of a signed number, as mappings use it for a key.
fn word(number: i128) -> U256 {
    let magnitude = U256::from(number.unsigned_abs());
    let sign = if number < 0 { Sign::Negative } else { Sign::Positive };
    I256::overflowing_from_sign_and_abs(sign, magnitude).0.into_raw()
}

fn signed_slot(key: i32, slot: u64) -> U256 {
    keccak256((word(key.into()), U256::from(slot)).abi_encode()).into()
}

impl Market {
    pub(crate) fn other(&self, pool: PoolId) -> Option<&Other> {
        self.others.iter().find(|(id, _)| *id == pool).map(|(_, other)| other)
    }

    fn add_other(&mut self, address: Address, tokens: [TokenId; 2], other: Other) -> PoolId {
        let is_sorted = self.address(tokens[0]) < self.address(tokens[1]);
        let sorted = if is_sorted { tokens } else { [tokens[1], tokens[0]] };
        let id = self.list(address, sorted, [1; 2]);
        let state: Pool = match other.kind {
            Kind::V3 => concentrated(&other, U256::ONE << 96, [0; 2]).into(),
            Kind::Pair | Kind::Solidly => {
                let decimals = sorted.map(|token| self.world.tokens.get(token).decimals);
                let Other { fee_pips, is_stable, .. } = other;
                let state = SolidlyState { reserves: [1; 2], decimals, fee_pips, is_stable };
                engine::Solidly::new(&state).expect("a pool's state").into()
            }
        };
        self.set_state(id, state, &[]);
        self.others.push((id, other));
        id
    }

    /// Tells the world what a pool's state is.
    fn set_state(&mut self, id: PoolId, state: Pool, ticks: &[Tick]) {
        self.world.pools.load_ticks(id, ticks).expect("there is room");
        let entry = self.world.pools.entry_mut(id);
        (entry.state, entry.chain) = (state, state);
    }

    /// Tells the world of a V3 shaped pool, and nobody else.
    pub(crate) fn list_v3(&mut self, address: Address, tokens: [TokenId; 2]) -> PoolId {
        self.add_other(address, tokens, Other::new(Kind::V3, 0))
    }

    /// An empty V3 pool of two tokens with this fee.
    pub(crate) fn v3_pool(&mut self, tokens: [TokenId; 2], fee_pips: u32) -> PoolId {
        let [a, b] = tokens.map(|token| self.address(token));
        let spacing = V3_FEES.iter().find(|(fee, _)| *fee == fee_pips).expect("a usual fee").1;
        let (factory, fee) = (self.v3_factory, fee_pips.try_into().expect("24 bits"));
        if fee_pips == V3_FEES[0].0 {
            let tick_spacing = spacing.try_into().expect("24 bits");
            let call = V3Factory::enableFeeAmountCall { fee, tickSpacing: tick_spacing };
            drop(self.chain.send(OWNER, factory, call.abi_encode()));
        }
        self.chain
            .send(OWNER, factory, V3Factory::createPoolCall { a, b, fee }.abi_encode())
            .lands();
        let pool = self.chain.read(factory, &V3Factory::getPoolCall { a, b, fee }).expect("a view");
        self.add_v3(pool, tokens, Other { spacing, ..Other::new(Kind::V3, fee_pips) })
    }

    /// A Pancake V3 pool of this deployed code, which has its tokens, fee and spacing within it.
    pub(crate) fn pancake_pool(&mut self, address: Address, code: Vec<u8>) -> PoolId {
        self.chain.set_code(address, code);
        let plain = self.token(18);
        let plain = self.chain.code(self.address(plain));
        let tokens = [
            self.chain.read(address, &V3Pool::token0Call {}),
            self.chain.read(address, &V3Pool::token1Call {}),
        ];
        // Plain tokens are put where its own are.
        let tokens = tokens.map(|token| {
            let token = token.expect("a view");
            self.chain.set_code(token, plain.clone());
            self.world.tokens.insert(token, 18).expect("there is room")
        });
        let fee = self.chain.read(address, &V3Pool::feeCall {}).expect("a view");
        let spacing = self.chain.read(address, &V3Pool::tickSpacingCall {}).expect("a view");
        let spacing = spacing.try_into().expect("24 bits");
        let other = Other { spacing, is_spilled: true, ..Other::new(Kind::V3, fee.to()) };
        self.add_v3(address, tokens, other)
    }

    fn add_v3(&mut self, address: Address, tokens: [TokenId; 2], other: Other) -> PoolId {
        for token in tokens {
            self.fund(self.address(token), address, V3_FUNDS);
        }
        // A pool that has traded before has earned fees.
        for slot in FEE_GROWTH_SLOTS {
            self.chain.set_slot(address, U256::from(other.slot(slot)), U256::ONE);
        }
        self.add_other(address, tokens, other)
    }

    /// Sets the part of a V3 pool's fees that is the protocol's, in its own encoding.
    pub(crate) fn set_fee_protocol(&mut self, id: PoolId, share: u32) {
        let pool = self.world.pools.get(id).address;
        let is_spilled = self.other(id).expect("a V3 pool").is_spilled;
        let slot = U256::from(u8::from(is_spilled));
        let at = FEE_PROTOCOL_BITS[usize::from(is_spilled)];
        let mask = U256::from(if is_spilled { u32::MAX } else { 0xff });
        let held = self.chain.slot(pool, slot) & !(mask << at);
        self.chain.set_slot(pool, slot, held | (U256::from(share) << at));
    }

    /// A V3 pool's state, as its storage has it.
    pub(crate) fn v3_state(&mut self, id: PoolId) -> ConcentratedState {
        let pool = self.world.pools.get(id).address;
        let other = self.other(id).expect("a V3 pool").clone();
        let slot0 = self.chain.slot(pool, SLOT0);
        let liquidity = self.chain.slot(pool, U256::from(other.slot(LIQUIDITY_SLOT)));
        let tick: u32 = (slot0 >> 160_usize).wrapping_to::<u32>() << 8;
        ConcentratedState {
            sqrt_price: slot0 & ((U256::ONE << 160) - U256::ONE),
            tick: tick.cast_signed() >> 8,
            liquidity: liquidity.to(),
            fee_pips: other.fee_pips,
            tick_spacing: other.spacing,
        }
    }

    /// Sets a V3 pool's price and liquidity; gives its tick, or `None` if there is no such price.
    pub(crate) fn set_v3(&mut self, id: PoolId, sqrt_price: U256, ranges: &[Range]) -> Option<i32> {
        let pool = self.world.pools.get(id).address;
        self.chain.set_slot(pool, SLOT0, U256::ZERO);
        let price = sqrt_price;
        let sqrt_price = U160::checked_from_limbs_slice(sqrt_price.as_limbs())?;
        let call = V3Pool::initializeCall { sqrtPriceX96: sqrt_price };
        let receipt: Receipt = self.chain.send(OWNER, pool, call.abi_encode());
        let event =
            receipt.logs.first().and_then(|log| V3Pool::Initialize::decode_log(log).ok())?;
        let tick: i32 = event.tick.try_into().expect("24 bits");
        let traded = U256::from(LAST_TRADE) | (U256::ONE << 248);
        let (_, other) = self.others.iter_mut().find(|(held, _)| *held == id).expect("a V3 pool");
        let (spacing, old) = (other.spacing, std::mem::take(&mut other.written));
        let [liquidity_slot, ticks_slot, bitmap_slot, observations_slot] =
            [LIQUIDITY_SLOT, TICKS_SLOT, BITMAP_SLOT, OBSERVATIONS_SLOT]
                .map(|slot| other.slot(slot));
        self.chain.set_slot(pool, U256::from(observations_slot), traded);
        for slot in old {
            self.chain.set_slot(pool, slot, U256::ZERO);
        }
        let mut ticks = BTreeMap::<i32, (u128, i128)>::new();
        let mut liquidity = 0;
        for &Range { low, high, liquidity: amount } in ranges {
            let net = i128::try_from(amount).expect("liquidity has 127 bits");
            for (tick, net) in [(low, net), (high, -net)] {
                let held = ticks.entry(tick).or_default();
                *held = (held.0 + amount, held.1 + net);
            }
            if low <= tick && tick < high {
                liquidity += amount;
            }
        }
        self.chain.set_slot(pool, U256::from(liquidity_slot), U256::from(liquidity));
        let mut slots = BTreeMap::<U256, U256>::new();
        let listed = ticks.iter().filter(|(_, (gross, _))| *gross > 0);
        let listed =
            listed.map(|(index, (gross, net))| Tick { index: *index, net: *net, gross: *gross });
        let listed: Vec<Tick> = listed.collect();
        for (tick, (gross, net)) in ticks.into_iter().filter(|(_, (gross, _))| *gross > 0) {
            let at = signed_slot(tick, ticks_slot);
            slots.insert(at, U256::from(gross) | (word(net) << 128));
            // Ticks that were crossed before: what is outside of them is not zero.
            for offset in 1..3 {
                slots.insert(at + U256::from(offset), U256::ONE);
            }
            slots.insert(at + U256::from(3), U256::ONE | (U256::ONE << 248));
            let compressed = tick.div_euclid(spacing);
            let bitmap = signed_slot(compressed >> 8, bitmap_slot);
            *slots.entry(bitmap).or_default() |= U256::ONE << (compressed & 255);
        }
        for (slot, value) in &slots {
            self.chain.set_slot(pool, *slot, *value);
        }
        let other = self.others.iter_mut().find(|(held, _)| *held == id).expect("a V3 pool");
        other.1.written = slots.into_keys().collect();
        let state = concentrated(&other.1, price, [tick.into(), liquidity.cast_signed()]);
        self.set_state(id, state.into(), &listed);
        Some(tick)
    }

    /// Sets a V3 pool to trade like a pair with these reserves (in its own order), over all prices.
    pub(crate) fn set_v3_flat(&mut self, id: PoolId, reserves: [u128; 2]) -> Option<i32> {
        let whole = self.whole_range(id, liquidity_of(reserves));
        self.set_v3(id, sqrt_price_of(reserves), &[whole])
    }

    /// Liquidity at all prices.
    pub(crate) fn whole_range(&self, id: PoolId, liquidity: u128) -> Range {
        let spacing = self.other(id).expect("a V3 pool").spacing;
        let high = TICK_MAX / spacing * spacing;
        Range { low: -high, high, liquidity }
    }

    /// A tick that may be used, `steps` away from that of `tick`.
    pub(crate) fn usable_tick(&self, id: PoolId, tick: i32, steps: i32) -> i32 {
        let spacing = self.other(id).expect("a V3 pool").spacing;
        let high = TICK_MAX / spacing * spacing;
        ((tick.div_euclid(spacing) + steps) * spacing).clamp(-high, high)
    }

    /// A Solidly-style pool of two tokens, without reserves.
    pub(crate) fn solidly_pool(
        &mut self,
        tokens: [TokenId; 2],
        is_stable: bool,
        fee_pips: u32,
    ) -> PoolId {
        let is_sorted = self.address(tokens[0]) < self.address(tokens[1]);
        let sorted = if is_sorted { tokens } else { [tokens[1], tokens[0]] };
        let addresses = sorted.map(|token| self.address(token));
        let decimals = sorted.map(|token| U256::from(self.world.tokens.get(token).decimals));
        let arguments = (addresses, decimals, is_stable, U256::from(fee_pips)).abi_encode();
        let pool = self.contract("SolidlyPair", &arguments);
        // A pool that has traded before has earned fees.
        for slot in [3, 4] {
            self.chain.set_slot(pool, U256::from(slot), U256::ONE);
        }
        for token in addresses {
            self.fund(token, SOLIDLY_FEES, 1);
        }
        let other = Other { is_stable, ..Other::new(Kind::Solidly, fee_pips) };
        self.add_other(pool, sorted, other)
    }

    /// Sets a Solidly-style pool's reserves, in its own order.
    pub(crate) fn set_solidly(&mut self, id: PoolId, reserves: [u128; 2]) {
        let entry = *self.world.pools.get(id);
        for (slot, reserve) in reserves.into_iter().enumerate() {
            self.chain.set_slot(entry.address, U256::from(slot), U256::from(reserve));
            self.fund(self.address(entry.tokens[slot]), entry.address, reserve);
        }
        self.chain.set_slot(entry.address, U256::from(2), U256::from(LAST_TRADE));
        let Pool::Solidly(pool) = entry.state else { unreachable!("a Solidly-style pool") };
        self.set_state(id, pool.with_reserves(reserves).into(), &[]);
    }

    /// What the contracts say that a pool of another kind pays.
    pub(crate) fn quote_other(
        &mut self,
        pool: PoolId,
        direction: Direction,
        amount_in: u128,
    ) -> Option<u128> {
        let entry = *self.world.pools.get(pool);
        let [token_in, token_out] =
            [direction.index_in(), direction.index_out()].map(|at| self.address(entry.tokens[at]));
        let other = self.other(pool).expect("a pool of another kind");
        let amount_in = U256::from(amount_in);
        let out: U256 = if other.kind == Kind::V3 {
            let fee = other.fee_pips.try_into().expect("24 bits");
            let limit = U160::ZERO;
            let call = Quoter::quoteExactInputSingleCall {
                tokenIn: token_in,
                tokenOut: token_out,
                fee,
                amountIn: amount_in,
                limit,
            };
            self.chain.read(self.quoter, &call)?
        } else {
            let call = Solidly::getAmountOutCall { amountIn: amount_in, tokenIn: token_in };
            // Rounded to all that there is, which it does not give.
            let held = U256::from(self.balance(token_out, entry.address));
            self.chain.read(entry.address, &call).filter(|out| *out < held)?
        };
        out.try_into().ok()
    }

    /// What goes into each leg of a trade and what the last one pays, as the contracts say.
    pub(crate) fn flow(&mut self, trade: &Trade) -> Option<Vec<u128>> {
        let (mut token, mut amount) = (trade.token, trade.amount);
        let mut flow = vec![amount];
        for &pool in &trade.pools {
            let direction = self.direction(pool, token);
            let mut quote = self.world.quote(pool, direction, amount);
            if self.other(pool).is_some() {
                let theirs = self.quote_other(pool, direction, amount).filter(|out| *out > 0);
                let is_dry = quote.is_none()
                    && theirs.is_some()
                    && self.quote_other(pool, direction, amount.saturating_mul(2)) == theirs;
                // A pool that runs dry pays for a part of the input, which is no swap to us.
                quote = if is_dry { theirs } else { quote };
                let view = self.world.pools.view(pool);
                assert_eq!(quote, theirs, "the engine's quote is the contracts': {view:?}");
            }
            amount = quote?;
            flow.push(amount);
            token = self.world.pools.get(pool).tokens[direction.index_out()];
        }
        Some(flow)
    }

    /// What a trade through any pools gains, as the contracts say; `None` if it does not.
    pub(crate) fn gain(&mut self, trade: &Trade) -> Option<u128> {
        self.flow(trade)?.last()?.checked_sub(trade.amount)
    }
}

/// A V3 pool at this price, tick and liquidity.
fn concentrated(other: &Other, sqrt_price: U256, [tick, liquidity]: [i128; 2]) -> Concentrated {
    let state = ConcentratedState {
        sqrt_price,
        tick: tick.try_into().expect("24 bits"),
        liquidity: liquidity.unsigned_abs(),
        fee_pips: other.fee_pips,
        tick_spacing: other.spacing,
    };
    Concentrated::new(&state).expect("a pool's state")
}

/// Where `tests/sol/SolidlyPair.sol` sends its fees.
const SOLIDLY_FEES: Address = address!("0x000000000000000000000000000000000000fee5");

/// Square root of a V3 pool's price where it has these virtual reserves, in units of 2⁻⁹⁶.
pub(crate) fn sqrt_price_of([x, y]: [u128; 2]) -> U256 {
    let price: U256 = (U256::from(y) << 144) / U256::from(x);
    price.root(2) << 24
}

/// Liquidity of a V3 pool with these virtual reserves.
pub(crate) fn liquidity_of([x, y]: [u128; 2]) -> u128 {
    let product: U256 = U256::from(x) * U256::from(y);
    product.root(2).to()
}
