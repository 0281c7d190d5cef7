//! The liquidation strategy: who could be hurt is looked at, and who can be liquidated is sized.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use gannet_engine::ids::{LoanId, PoolId};
use gannet_engine::limits::{HOPS_MAX, LOANS_STRUCK_MAX, PLANS_MAX};
use gannet_engine::plan::{Bid, Leg, Plans};
use gannet_engine::search::route::Around;
use gannet_engine::strategy::{Ctx, InitError, Strategy};
use gannet_engine::target::Target;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::World;

use super::{Config, Watchlist, size};

/// Loans that are proposed after one event; of more, those are that move most.
const SIZED_MAX: usize = PLANS_MAX;
/// Loans that are sized for that: there are large ones that nothing can be had for.
const TRIED_MAX: usize = 4 * SIZED_MAX;
/// Loans of which it is reckoned for that what they move: those that owe most.
const RANKED_MAX: usize = 2 * TRIED_MAX;
/// Pools that these are sold through.
const SOLD_THROUGH_MAX: usize = SIZED_MAX * HOPS_MAX;

/// Liquidates borrowers.
#[derive(Debug)]
pub struct Liquidation {
    config: Config,
    desk: Option<Desk>,
}

/// Who is watched, and who is proposed.
#[derive(Debug)]
struct Desk {
    watchlist: Watchlist,
    /// Loans that an event strikes, with what they are worth looking at.
    ranked: Vec<(u128, LoanId)>,
    /// Pools that collateral of larger ones is sold through.
    sold_through: Vec<PoolId>,
}

impl Strategy for Liquidation {
    const NAME: &'static str = "liquidation";
    type Config = Config;

    fn new(config: Config) -> Self {
        Self { config, desk: None }
    }

    /// A world without loans has nobody to liquidate: a backtest of blocks that say nothing of
    /// them, for example.
    fn init(&mut self, world: &World) -> Result<(), InitError> {
        self.desk = (!world.loans.is_empty()).then(|| Desk::of(world));
        Ok(())
    }

    fn on_block(&mut self, ctx: &Ctx<'_>, plans: &mut Plans) {
        let Ctx { world, .. } = *ctx;
        if !world.loans.is_empty() && !self.desk.as_ref().is_some_and(|desk| desk.fits(world)) {
            // All were loaded anew, and there are more than there was room for.
            self.desk = Some(Desk::of(world));
        }
        let Some(desk) = &mut self.desk else { return };
        desk.watchlist.sealed(world);
        let last_block = world.tip().number.plus(self.config.valid_blocks);
        desk.propose(world, (Bid::Share(self.config.tip_share_bps), last_block), plans);
    }

    fn after_block(&mut self, world: &World) {
        if let Some(desk) = &mut self.desk {
            desk.watchlist.settle(world);
        }
    }

    fn on_pending(&mut self, ctx: &Ctx<'_>, target: &Target, plans: &mut Plans) {
        let Ctx { world, .. } = *ctx;
        let Some(desk) = &mut self.desk else { return };
        if world.loans.supposed().is_empty() {
            return;
        }
        desk.watchlist.supposed(world);
        let last_block = world.tip().number.plus(self.config.valid_blocks);
        desk.propose(world, (Bid::Behind(target.follow), last_block), plans);
    }
}

impl Desk {
    #[cold]
    fn of(world: &World) -> Self {
        Self {
            watchlist: Watchlist::of(world),
            ranked: Vec::with_capacity(LOANS_STRUCK_MAX),
            sold_through: Vec::with_capacity(SOLD_THROUGH_MAX),
        }
    }

    fn fits(&self, world: &World) -> bool {
        self.watchlist.fits(world)
    }

    /// Proposes what is best for each that was struck; of many, for those that move most. Two plans
    /// that share a pool are never both sent, so whoever would sell through a pool that a larger
    /// one sells through is proposed by another way, too.
    fn propose(&mut self, world: &World, place: (Bid, BlockNumber), plans: &mut Plans) {
        let struck = self.watchlist.struck().iter();
        self.ranked.clear();
        self.ranked.extend(struck.map(|loan| (size::rank(world, *loan), *loan)));
        keep_first(&mut self.ranked, RANKED_MAX);
        for (worth, loan) in &mut self.ranked {
            *worth = size::worth(world, *loan);
        }
        keep_first(&mut self.ranked, TRIED_MAX);
        self.ranked.sort_unstable_by(|left, right| right.cmp(left));
        self.sold_through.clear();
        let mut found = 0;
        for (_, loan) in &self.ranked {
            if found == SIZED_MAX {
                break;
            }
            let Some(plan) = size::best(world.into(), *loan, place) else { continue };
            found += 1;
            plans.propose(&plan);
            let is_taken = |leg: &Leg| self.sold_through.contains(&leg.pool);
            let plan = if plan.legs().iter().any(is_taken) {
                let around = Around { world, avoid: &self.sold_through };
                let Some(other) = size::best(around, *loan, place) else { continue };
                plans.propose(&other);
                other
            } else {
                plan
            };
            let room = SOLD_THROUGH_MAX - self.sold_through.len();
            self.sold_through.extend(plan.legs().iter().map(|leg| leg.pool).take(room));
        }
    }
}

/// Keeps the largest, in no order.
fn keep_first(ranked: &mut Vec<(u128, LoanId)>, count: usize) {
    if ranked.len() > count {
        ranked.select_nth_unstable_by(count, |left, right| right.cmp(left));
        ranked.truncate(count);
    }
}
