//! The arbitrage strategy: search what moved, propose what pays.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use gannet_engine::ids::PoolId;
use gannet_engine::limits::{HOPS_MAX, TOUCHED_MAX};
use gannet_engine::plan::{Bid, Plans};
use gannet_engine::search::cycles::Graph;
use gannet_engine::search::{FOUND_MAX, Searcher};
use gannet_engine::strategy::{Ctx, InitError, Strategy};
use gannet_engine::world::World;

use super::Config;

/// Takes cycles that a sealed block has left open.
#[derive(Debug)]
pub struct Arbitrage {
    config: Config,
    searcher: Option<Searcher>,
    /// Pools to look at besides those that moved: all of them at first, then those of the cycles
    /// that paid last time. What was turned down for a busy wallet is so proposed again, and what
    /// had a better pool beside it is proposed once somebody has taken that.
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
        let Ctx { world, touched } = *ctx;
        let new = searcher.refresh(&world.pools, touched);
        searcher.look_again(&self.watched);
        for pools in [touched, new] {
            let room = self.watched.capacity() - self.watched.len();
            self.watched.extend_from_slice(&pools[..pools.len().min(room)]);
        }
        let limits = searcher.limits_worth(self.config.max_input);
        let limits = limits.paying_gas(world.tip().next_base_fee);
        let last_block = world.tip().number.plus(self.config.valid_blocks);
        let bid = Bid::Share(self.config.tip_share_bps);
        let mut paying = [PoolId(0); FOUND_MAX * HOPS_MAX];
        let mut paying_count = 0;
        searcher.search(&world.pools, &self.watched, &limits, &mut |found| {
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
        self.watched.clear();
        self.watched.extend_from_slice(&paying[..paying_count]);
    }
}
