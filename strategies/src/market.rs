//! A small language for markets in tests: `market().pool("WETH/USDC", 1_000, 2_000_000)`.
//!
//! Amounts are in whole tokens. WETH is the native token and the first base, USDC the second.
//!
//! Temperature: cold.

use std::string::String;
use std::vec::Vec;

use gannet_engine::amm::ConstantProduct;
use gannet_engine::chain::ChainSpec;
use gannet_engine::guard::GuardLimits;
use gannet_engine::ids::{Direction, FactoryId, PoolId, TokenId};
use gannet_engine::plan::{Follow, Plan, Plans};
use gannet_engine::risk::{Funding, Limits, Risk};
use gannet_engine::strategy::{Ctx, Strategy};
use gannet_engine::target::{Route, Target, TargetHop, Way};
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Tip, Universe, World};

/// One whole token of 18 decimals.
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;

/// A market in the making.
#[derive(Debug, Default)]
pub(crate) struct Market {
    names: Vec<String>,
    pools: Vec<([usize; 2], [u128; 2])>,
}

/// An empty market whose bases are WETH and USDC.
pub(crate) fn market() -> Market {
    Market { names: ["WETH", "USDC"].map(String::from).into(), pools: Vec::new() }
}

fn decimals(name: &str) -> u8 {
    match name {
        "USDC" | "USDT" => 6,
        "WBTC" => 8,
        _ => 18,
    }
}

impl Market {
    /// Adds a pool at 0.3 % with these whole tokens in it.
    pub(crate) fn pool(mut self, pair: &str, first: u128, second: u128) -> Self {
        let (left, right) = pair.split_once('/').unwrap();
        let tokens = [left, right].map(|name| self.token(name));
        let unit = |name: &str| 10_u128.pow(decimals(name).into());
        self.pools.push((tokens, [first * unit(left), second * unit(right)]));
        self
    }

    fn token(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        })
    }

    /// The world at block 100.
    pub(crate) fn build(self) -> World {
        let mut tokens = TokenTable::new(self.names.len());
        let mut ids = Vec::new();
        for (place, name) in (1_u8..).zip(&self.names) {
            ids.push(tokens.insert([place; 20].into(), decimals(name)).unwrap());
        }
        let bases: Vec<TokenId> = ids[..2].to_vec();
        tokens.set_bases(&bases);
        let mut pools = PoolTable::new(self.pools.len(), 0);
        for (place, (pair, reserves)) in (101_u8..).zip(&self.pools) {
            let state = ConstantProduct::new(*reserves, 3_000).unwrap().into();
            let pair = pair.map(|token| ids[token]);
            let entry = PoolEntry::new([place; 20].into(), FactoryId(0), pair, state);
            pools.insert(entry).unwrap();
        }
        pools.index_pairs();
        World::new(Universe {
            chain: ChainSpec::ethereum(1, [1; 20].into()),
            tokens,
            pools,
            factories: Vec::new(),
            routers: Vec::new(),
            native: bases[0],
            bases,
            anchor: Tip { number: BlockNumber(100), ..Tip::default() },
        })
    }
}

/// A pending swap of `amount` (in the smallest unit) through one pool.
pub(crate) fn swap(pool: u32, direction: Direction, amount: u128) -> Target {
    let follow = Follow { hash: [7; 32].into(), max_fee: Wei(u128::MAX), priority_fee: Wei(3) };
    let hop = TargetHop { pool: PoolId(pool), direction };
    let route = Route::path(&[hop], Way::ExactIn, amount, 0).unwrap();
    Target { follow, sender: [9; 20].into(), nonce: 0, route }
}

/// Risk that asks for this profit after gas.
fn risk(min_profit: Wei) -> Risk {
    let [gas_price_max, notional_max] = [Wei(u128::MAX); 2];
    let limits = Limits { min_profit, gas_price_max, notional_max, funding: Funding::Flash };
    Risk::new(limits, GuardLimits::NONE, Vec::new())
}

/// What a strategy proposes after a block that moved these pools.
pub(crate) fn on_block(strategy: &mut impl Strategy, world: &World, moved: &[u32]) -> Vec<Plan> {
    on_block_asking(Wei(0), strategy, world, moved)
}

/// The same where this is the least profit.
pub(crate) fn on_block_asking(
    min_profit: Wei,
    strategy: &mut impl Strategy,
    world: &World,
    moved: &[u32],
) -> Vec<Plan> {
    let touched: Vec<PoolId> = moved.iter().copied().map(PoolId).collect();
    let mut plans = Plans::default();
    let risk = &risk(min_profit);
    strategy.on_block(&Ctx { world, touched: &touched, risk }, &mut plans);
    strategy.after_block(world);
    plans.best_first().copied().collect()
}

/// What a strategy proposes behind a pending swap, which is taken back again.
pub(crate) fn on_pending(
    strategy: &mut impl Strategy,
    world: &mut World,
    target: &Target,
) -> Vec<Plan> {
    let mut plans = Plans::default();
    let mark = world.apply_target(target).unwrap();
    let touched: Vec<PoolId> = target.hops().iter().map(|hop| hop.pool).collect();
    let risk = &risk(Wei(0));
    strategy.on_pending(&Ctx { world, touched: &touched, risk }, target, &mut plans);
    world.take_back(mark).unwrap();
    plans.best_first().copied().collect()
}

/// Asserts that a plan is a cycle whose amounts are what the pools quote.
pub(crate) fn assert_exact(world: &World, plan: &Plan) {
    let mut amount = plan.amount_in;
    let mut token = plan.profit_token;
    for leg in plan.legs() {
        let tokens = world.pools.get(leg.pool).tokens;
        assert_eq!(tokens[leg.direction.index_in()], token, "legs join");
        assert_eq!(leg.amount_in, amount);
        assert_eq!(world.quote(leg.pool, leg.direction, amount), Some(leg.amount_out));
        (amount, token) = (leg.amount_out, tokens[leg.direction.index_out()]);
    }
    assert_eq!((token, amount), (plan.profit_token, plan.amount_in + plan.profit));
}
