//! The liquidation strategy: who could be hurt is looked at, and who can be liquidated is sized.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use gannet_engine::ids::{LoanId, PoolId};
use gannet_engine::lending::math::Fault;
use gannet_engine::lending::trigger::{Budget, Hits, TriggerIndex, TriggerLimits, Watch};
use gannet_engine::limits::{HOPS_MAX, LOANS_OPEN_MAX, LOANS_STRUCK_MAX, PLANS_MAX};
use gannet_engine::loans::Times;
use gannet_engine::plan::{Bid, Leg, Plans};
use gannet_engine::search::route::Around;
use gannet_engine::strategy::{Ctx, InitError, Strategy};
use gannet_engine::target::Target;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::World;

use super::{Config, size};

/// How long a healthy loan is watched before it is looked at again, in seconds.
const WATCH_SECONDS: u64 = 1_800;
/// Feeds of a loan, on average, that the index has room for.
const TERMS_EACH: usize = 6;
/// Loans that are proposed after one event; of more, those are that move most.
const SIZED_MAX: usize = PLANS_MAX;
/// Loans that are sized for that: there are large ones that nothing can be had for.
const TRIED_MAX: usize = 4 * SIZED_MAX;
/// Pools that these are sold through.
const SOLD_THROUGH_MAX: usize = SIZED_MAX * HOPS_MAX;

/// Liquidates borrowers.
#[derive(Debug)]
pub struct Liquidation {
    config: Config,
    index: Option<Index>,
}

/// Who is watched, and for what.
#[derive(Debug)]
struct Index {
    triggers: TriggerIndex,
    hits: Hits,
    room: usize,
    feeds: usize,
    /// Loans that can be liquidated, or are so near that they are looked at in every block.
    open: Vec<LoanId>,
    /// Loans that an event strikes, with what they are worth looking at.
    struck: Vec<(u128, LoanId)>,
    /// Pools that collateral of larger ones is sold through.
    sold_through: Vec<PoolId>,
}

impl Strategy for Liquidation {
    const NAME: &'static str = "liquidation";
    type Config = Config;

    fn new(config: Config) -> Self {
        Self { config, index: None }
    }

    /// A world without loans has nobody to liquidate: a backtest of blocks that say nothing of
    /// them, for example.
    fn init(&mut self, world: &World) -> Result<(), InitError> {
        self.index = (!world.loans.is_empty()).then(|| Index::of(world));
        Ok(())
    }

    fn on_block(&mut self, ctx: &Ctx<'_>, plans: &mut Plans) {
        let Ctx { world, .. } = *ctx;
        if !world.loans.is_empty() && !self.index.as_ref().is_some_and(|held| held.fits(world)) {
            // All were loaded anew, and there are more than there was room for.
            self.index = Some(Index::of(world));
        }
        let Some(index) = &mut self.index else { return };
        index.look(world);
        index.struck.clear();
        for place in 0..index.open.len() {
            let loan = index.open[place];
            if world.loans.is_liquidatable(loan, world.loan_time()) == Ok(true) {
                index.strike(world, loan);
            }
        }
        let last_block = world.tip().number.plus(self.config.valid_blocks);
        index.propose(world, (Bid::Share(self.config.tip_share_bps), last_block), plans);
    }

    fn on_pending(&mut self, ctx: &Ctx<'_>, target: &Target, plans: &mut Plans) {
        let Ctx { world, .. } = *ctx;
        let Some(index) = &mut self.index else { return };
        if world.loans.supposed().is_empty() {
            return;
        }
        index.suppose(world);
        let last_block = world.tip().number.plus(self.config.valid_blocks);
        index.propose(world, (Bid::Behind(target.follow), last_block), plans);
    }
}

impl Index {
    #[cold]
    fn of(world: &World) -> Self {
        let room = world.loans.room();
        let feeds = world.loans.prices.feeds().count();
        let terms = room.saturating_mul(TERMS_EACH);
        let limits = TriggerLimits { positions: room, feeds, terms };
        Self {
            triggers: TriggerIndex::new(limits),
            hits: Hits::new(LOANS_STRUCK_MAX),
            room,
            feeds,
            open: Vec::with_capacity(LOANS_OPEN_MAX),
            struck: Vec::with_capacity(LOANS_STRUCK_MAX),
            sold_through: Vec::with_capacity(SOLD_THROUGH_MAX),
        }
    }

    fn fits(&self, world: &World) -> bool {
        self.room == world.loans.room() && self.feeds == world.loans.prices.feeds().count()
    }

    /// Looks at every loan that could have become liquidatable since the last block.
    fn look(&mut self, world: &World) {
        let loans = &world.loans;
        if loans.is_all_touched() {
            self.open.clear();
            let all = u32::try_from(self.room).unwrap_or(u32::MAX);
            (0..all).for_each(|loan| self.look_at(world, LoanId(loan)));
            return;
        }
        for feed in loans.moved() {
            loop {
                let is_done = match loans.prices.feed(*feed).price() {
                    Ok(answer) => self.triggers.moved(*feed, answer, &mut self.hits),
                    Err(_) => self.triggers.lost(*feed, &mut self.hits),
                };
                self.look_at_hits(world);
                if is_done {
                    break;
                }
            }
        }
        let at = world.loan_time();
        loop {
            let is_done = self.triggers.due(at, &mut self.hits);
            self.look_at_hits(world);
            if is_done {
                break;
            }
        }
        loans.touched().for_each(|loan| self.look_at(world, loan));
        // Those that stood open: whoever is healthy again is watched.
        let mut place = 0;
        while let Some(loan) = self.open.get(place).copied() {
            self.open.swap_remove(place);
            let before = self.open.len();
            self.look_at(world, loan);
            // It was put at the end: what was there is looked at next.
            let is_kept = self.open.len() > before;
            if is_kept {
                let last = self.open.len() - 1;
                self.open.swap(place, last);
                place += 1;
            }
        }
    }

    fn look_at_hits(&mut self, world: &World) {
        for place in 0..self.hits.as_slice().len() {
            let loan = LoanId(self.hits.as_slice()[place]);
            self.look_at(world, loan);
        }
        self.hits.clear();
    }

    /// Looks at a loan: it is watched if it is healthy, and kept open if it is not, or nearly not.
    fn look_at(&mut self, world: &World, loan: LoanId) {
        let from = world.loan_time();
        let times = Times { from, until: from.saturating_add(WATCH_SECONDS) };
        match world.loans.is_liquidatable(loan, from) {
            Ok(false) => match world.loans.watch(loan, times) {
                Ok(Some((watch, budget))) => {
                    let set = self.triggers.set(loan.0, &watch, budget, times.until);
                    if set.is_err() {
                        self.keep_open(loan, times);
                    }
                }
                Ok(None) | Err(Fault::NoPrice | Fault::Unsure) => self.keep_open(loan, times),
                Err(_) => self.triggers.remove(loan.0),
            },
            // There are many that nobody will ever liquidate: they are not in others' way.
            Ok(true) if size::is_dust(world, loan) => self.put_off(loan, times),
            Ok(true) => self.keep_struck(world, loan, times),
            Err(Fault::NoPrice | Fault::Unsure) => self.keep_open(loan, times),
            // It is not there, or has to be read first: it is touched then.
            Err(_) => self.triggers.remove(loan.0),
        }
    }

    fn keep_open(&mut self, loan: LoanId, times: Times) {
        if self.open.contains(&loan) {
            self.triggers.remove(loan.0);
        } else if self.open.len() < LOANS_OPEN_MAX {
            self.triggers.remove(loan.0);
            self.open.push(loan);
        } else {
            self.put_off(loan, times);
        }
    }

    /// Keeps one open that can be liquidated: if there is no room, in the place of one that cannot.
    fn keep_struck(&mut self, world: &World, loan: LoanId, times: Times) {
        if self.open.len() == LOANS_OPEN_MAX {
            let at = world.loan_time();
            let cannot = |held: &LoanId| world.loans.is_liquidatable(*held, at) != Ok(true);
            if let Some(place) = self.open.iter().position(cannot) {
                let other = self.open.swap_remove(place);
                self.put_off(other, times);
            }
        }
        self.keep_open(loan, times);
    }

    /// Looks at a loan again when it is touched, or after a while.
    fn put_off(&mut self, loan: LoanId, times: Times) {
        let set = self.triggers.set(loan.0, &Watch::new(), Budget::default(), times.until);
        debug_assert!(set.is_ok(), "what has no feeds has room");
    }

    /// Finds whom the supposed answers strike.
    fn suppose(&mut self, world: &World) {
        self.struck.clear();
        let at = world.loan_time();
        for feed in world.loans.supposed() {
            let Ok(answer) = world.loans.prices.feed(*feed).price() else { continue };
            let Self { triggers, struck, .. } = self;
            triggers.reached(*feed, answer, |position| {
                if struck.len() < LOANS_STRUCK_MAX {
                    struck.push((0, LoanId(position)));
                }
            });
        }
        for place in 0..self.open.len().min(LOANS_STRUCK_MAX.saturating_sub(self.struck.len())) {
            self.struck.push((0, self.open[place]));
        }
        self.struck.sort_unstable_by_key(|(_, loan)| *loan);
        self.struck.dedup_by_key(|(_, loan)| *loan);
        self.struck.retain_mut(|(worth, loan)| {
            let is_struck = world.loans.is_liquidatable(*loan, at) == Ok(true);
            if is_struck {
                *worth = size::worth(world, *loan);
            }
            is_struck
        });
    }

    fn strike(&mut self, world: &World, loan: LoanId) {
        if self.struck.len() < LOANS_STRUCK_MAX {
            self.struck.push((size::worth(world, loan), loan));
        }
    }

    /// Proposes what is best for each that was struck; of many, for those that move most. Two plans
    /// that share a pool are never both sent, so whoever would sell through a pool that a larger
    /// one sells through is proposed by another way, too.
    fn propose(&mut self, world: &World, place: (Bid, BlockNumber), plans: &mut Plans) {
        if self.struck.len() > TRIED_MAX {
            self.struck.select_nth_unstable_by(TRIED_MAX, |left, right| right.cmp(left));
            self.struck.truncate(TRIED_MAX);
        }
        self.struck.sort_unstable_by(|left, right| right.cmp(left));
        self.sold_through.clear();
        let mut found = 0;
        for (_, loan) in &self.struck {
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
