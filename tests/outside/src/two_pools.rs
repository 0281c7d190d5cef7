//! The strategy `two-pools`: buys a token in one pool, sells it in another, always at one size.
//!
//! Temperature: hot.

use alloy_primitives::Address;
use gannet::engine::ids::{Direction, PoolId, StrategyId, TokenId};
use gannet::engine::limits::HOPS_MAX;
use gannet::engine::plan::{Bid, Leg, Plan, Plans};
use gannet::engine::strategy::{Ctx, InitError, Strategy};
use gannet::engine::units::{Bps, Wei};
use gannet::engine::world::World;

/// What `[strategy.two-pools]` says.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    token: Address,
    amount_in: Wei,
}

/// Watches the pools of one token with the wrapped native one.
#[derive(Debug)]
pub struct TwoPools {
    config: Config,
    token: Option<TokenId>,
}

impl Strategy for TwoPools {
    const NAME: &'static str = "two-pools";
    type Config = Config;

    fn new(config: Config) -> Self {
        Self { config, token: None }
    }

    fn init(&mut self, world: &World) -> Result<(), InitError> {
        self.token = Some(world.tokens.id_of(&self.config.token).ok_or(InitError::NoCycles)?);
        Ok(())
    }

    fn on_block(&mut self, ctx: &Ctx<'_>, plans: &mut Plans) {
        if let Some(plan) = self.token.and_then(|token| self.best(ctx.world, token)) {
            plans.propose(&plan);
        }
    }
}

impl TwoPools {
    /// Buys where the most is given, sells where the most is paid; `None` if that does not gain.
    fn best(&self, world: &World, token: TokenId) -> Option<Plan> {
        let pools = || world.pools.pools_of_pair(world.native, token).iter();
        let buys =
            pools().filter_map(|pool| swap(world, *pool, world.native, self.config.amount_in.0));
        let buy = buys.max_by_key(|leg| leg.amount_out)?;
        let others = pools().filter(|pool| **pool != buy.pool);
        let sales = others.filter_map(|pool| swap(world, *pool, token, buy.amount_out));
        let sale = sales.max_by_key(|leg| leg.amount_out)?;
        let profit = sale.amount_out.checked_sub(buy.amount_in).filter(|profit| *profit > 0)?;
        let mut legs = [Leg::NONE; HOPS_MAX];
        legs[..2].copy_from_slice(&[buy, sale]);
        Some(Plan {
            strategy: StrategyId(0), // Set by `Plans::propose`.
            legs,
            leg_count: 2,
            profit_token: world.native,
            amount_in: buy.amount_in,
            profit,
            profit_wei: Wei(profit),
            bid: Bid::Share(Bps(5_000)),
            last_block: world.next_block(),
            order: None,
        })
    }
}

/// A swap of `amount_in` of the token `from`, at the pool's own quote.
fn swap(world: &World, pool: PoolId, from: TokenId, amount_in: u128) -> Option<Leg> {
    let is_first = world.pools.get(pool).tokens[0] == from;
    let direction = if is_first { Direction::ZeroForOne } else { Direction::OneForZero };
    let amount_out = world.quote(pool, direction, amount_in)?;
    Some(Leg { pool, direction, amount_in, amount_out })
}
