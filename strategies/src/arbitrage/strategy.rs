//! The arbitrage strategy: search what moved, propose what pays.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use gannet_engine::ids::PoolId;
use gannet_engine::limits::{HOPS_MAX, TOUCHED_MAX};
use gannet_engine::plan::{Bid, Plans};
use gannet_engine::search::cycles::Graph;
use gannet_engine::search::{FOUND_MAX, SearchLimits, Searcher};
use gannet_engine::strategy::{Ctx, InitError, Strategy};
use gannet_engine::world::World;

use super::Config;

/// Pools that are looked at again where a search found more than it reports.
const WATCHED_MAX: usize = 512;

/// Takes cycles that a sealed block has left open.
#[derive(Debug)]
pub struct Arbitrage {
    config: Config,
    searcher: Option<Searcher>,
    /// Pools to look at besides those that moved: all of them at first, then those of the cycles
    /// that paid last time. What was turned down for a busy wallet is so proposed again, and what
    /// had a better pool beside it is proposed once somebody has taken that. Where there was more
    /// than a search reports, all that it looked at, too, if that is not too much.
    watched: Vec<PoolId>,
}

impl Strategy for Arbitrage {
    const NAME: &'static str = "arbitrage";
    type Config = Config;

    fn new(config: Config) -> Self {
        Self { config, searcher: None, watched: Vec::new() }
    }

    fn init(&mut self, world: &World) -> Result<(), InitError> {
        let Config { hops_max, .. } = self.config;
        let graph = Graph::of(&world.pools, &world.bases, world.native, hops_max);
        let graph = graph.paying_gas(world.tip().next_base_fee);
        let searcher = Searcher::over(&world.pools, &graph);
        if searcher.index().is_empty() {
            return Err(InitError::NoCycles);
        }
        self.searcher = Some(searcher);
        self.watched = Vec::with_capacity(world.pools.len() + TOUCHED_MAX);
        self.watched.extend_from_slice(world.pools.ids());
        Ok(())
    }

    fn searcher(&mut self) -> Option<&mut Searcher> {
        self.searcher.as_mut()
    }

    fn on_block(&mut self, ctx: &Ctx<'_>, plans: &mut Plans) {
        let Some(searcher) = &mut self.searcher else { return };
        let Ctx { world, touched, risk } = *ctx;
        let new = searcher.refresh(&world.pools, touched);
        for pools in [touched, new] {
            let room = self.watched.capacity() - self.watched.len();
            self.watched.extend_from_slice(&pools[..pools.len().min(room)]);
        }
        let last_block = world.tip().number.plus(self.config.valid_blocks);
        let bid = Bid::Share(self.config.tip_share_bps);
        let worth_least = risk.worth_least(world, bid, last_block);
        let limits = searcher.limits_worth(self.config.max_input);
        let limits = SearchLimits { worth_least, minds_half: true, ..limits };
        let mut paying = [PoolId(0); FOUND_MAX * HOPS_MAX];
        let mut paying_count = 0;
        let is_all = searcher.search(&world.pools, &self.watched, &limits, &mut |found| {
            if let Some(plan) = found.plan(world, bid, last_block) {
                plans.propose(&plan);
                for leg in found.legs() {
                    if !paying[..paying_count].contains(&leg.pool) {
                        paying[paying_count] = leg.pool;
                        paying_count += 1;
                    }
                }
            }
        });
        let paying = &paying[..paying_count];
        searcher.look_again(paying);
        if !is_all {
            self.watched.sort_unstable();
            self.watched.dedup();
        }
        if is_all || self.watched.len() > WATCHED_MAX {
            self.watched.clear();
        }
        let room = self.watched.capacity() - self.watched.len();
        self.watched.extend_from_slice(&paying[..paying.len().min(room)]);
    }
}
